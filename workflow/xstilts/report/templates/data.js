"use strict";
/* The data of the page and the arithmetic on it; the other scripts show them. All text becomes text nodes:
   no text of the data is ever parsed as HTML. */
const D = JSON.parse(document.getElementById("data").textContent);
const CHARTS = JSON.parse(document.getElementById("charts").textContent);
const BASELINE = "none",
  MEAN = D.targets.length;
const MODELS = [...D.models, ...D.controls];
const AVERAGES = { zero_shot: "zero-shot: all except the source", avg: "all languages" };

const byId = (id) => document.getElementById(id);
const sum = (values) => values.reduce((a, b) => a + b, 0);
const mean = (values) => (values.length ? sum(values) / values.length : null);
const present = (values) => values.filter((v) => v !== null && v !== undefined);
const range = (n) => Array.from({ length: n }, (_, i) => i);

/** Create an element. Functions as attributes become listeners; strings as children become text nodes. */
function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== null && value !== false)
      element.setAttribute(name, value === true ? "" : value);
  }
  element.append(
    ...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== ""),
  );
  return element;
}

/** A number that is exactly halfway rounds to even, as in the tables of the study. */
const toEven = (value, digits) =>
  digits === 1 && Number.isInteger(value * 4) && !Number.isInteger(value * 2) && Math.floor(Math.abs(value) * 10) % 2 === 0
    ? value * (1 - 1e-9)
    : value;
const number = (value, digits = 1) =>
  value === null
    ? "n/a"
    : toEven(value, digits)
        .toFixed(digits)
        .replace(/^-(0\.0*)$/, "$1")
        .replace("-", "−");
const signed = (value, digits = 1) =>
  value === null || number(value, digits).startsWith("−") ? number(value, digits) : `+${number(value, digits)}`;
const interval = (s) => (s.low === null ? "none" : `[${number(s.low)}, ${number(s.high)}]`);
/** A duration in words, by the same rule as costs/units.py. */
function time(seconds) {
  if (seconds === null) return "not measured";
  const [unit, length] = [["d", 86400], ["h", 3600], ["min", 60]].find((x) => seconds >= 2 * x[1]) ?? ["s", 1],
    amount = seconds / length;
  return `${rounded(amount, unit !== "s" && amount < 10 ? 1 : 0)} ${unit}`;
}
/** A size in words, by the same rule as costs/units.py. */
function size(bytes) {
  if (!bytes) return "–";
  const power = Math.min(4, Math.floor(Math.log10(bytes) / 3)),
    amount = bytes / 1000 ** power;
  return `${rounded(amount, amount >= 100 || !power ? 0 : 1)} ${["B", "kB", "MB", "GB", "TB"][power]}`;
}
const rounded = (value, digits) =>
  value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });

const label = (name) => D.labels[name] ?? name;
const targetName = (t) => (t === MEAN ? "Mean" : label(D.targets[t]));
const baseModel = (name) => name.split("+")[0]; // of a model with an arm of settings
const languageName = (code) => `${D.languages[code]?.[0] ?? code} (${code})`;
/** Unique labels: a chart has one row per label. */
function unique(names) {
  const labels = names.map(label);
  return labels.map((text, i) =>
    labels.indexOf(text) === labels.lastIndexOf(text) ? text : `${text} (${names[i]})`,
  );
}
const RECIPE_LABELS = unique(D.recipes);

/* ------------------------------------------------------------------- runs and their scores */
const cellAt = new Map(); // "model.recipe.target" -> number of the cell of each seed
const positionOf = new Int32Array(D.cells.model.length).fill(-1); // in the values of its target
D.cells.model.forEach((m, cell) => {
  const key = `${m}.${D.cells.recipe[cell]}.${D.cells.target[cell]}`;
  if (!cellAt.has(key)) cellAt.set(key, []);
  cellAt.get(key)[D.cells.seed[cell]] = cell;
});
for (const scores of Object.values(D.values))
  scores.cells.forEach((cell, row) => (positionOf[cell] = row));
const cellsOf = (m, r, t) => cellAt.get(`${m}.${r}.${t}`) ?? [];
const recipesOf = (m) =>
  range(D.recipes.length).filter((r) => D.targets.some((_, t) => cellAt.has(`${m}.${r}.${t}`)));
const same = new Set(D.same.map(([task, target]) => `${task} ${target}`));
const taskOf = (part) => part.match(/^[a-z0-9_]*/)[0]; // `mnli` of `mnli@de~10k`
const taskNames = (recipe) => D.written[recipe].split(/[-+]/).map(taskOf);
const isSameData = (r, t) =>
  t !== MEAN && taskNames(D.recipes[r]).some((task) => same.has(`${task} ${D.targets[t]}`));

/** A cell's score in points, of one language or averaged over languages; null if missing. */
function scoreOf(cell, metric, over) {
  const target = D.targets[D.cells.target[cell]],
    scores = D.values[target],
    row = positionOf[cell];
  const values = row < 0 ? null : scores.values[metric || D.metrics[target][0]];
  if (!values) return null;
  const width = scores.languages.length,
    own = values.slice(row * width, (row + 1) * width);
  if (!(over in AVERAGES)) {
    const value = own[scores.languages.indexOf(over)] ?? null;
    return value === null ? null : value / 100;
  }
  const kept = present(
    own.filter((_, i) => over === "avg" || scores.languages[i] !== D.sources[target]),
  );
  return kept.length ? mean(kept) / 100 : null;
}

const seedCache = new Map();
/** The scores of a recipe on a target, one per seed of the study; null if missing. */
function seedScores(m, r, t, metric, over) {
  const key = `${m} ${r} ${t} ${metric} ${over}`;
  if (!seedCache.has(key)) {
    const scores =
      t === MEAN
        ? meanOverTargets(
            range(D.targets.length)
              .filter((u) => canShow(u, metric, over))
              .map((u) => seedScores(m, r, u, metric, over)),
          )
        : D.seeds.map((_, s) =>
            cellsOf(m, r, t)[s] === undefined ? null : scoreOf(cellsOf(m, r, t)[s], metric, over),
          );
    seedCache.set(key, scores);
  }
  return seedCache.get(key);
}
const meanOverTargets = (rows) =>
  D.seeds.map((_, s) =>
    rows.length && rows.every((row) => row[s] !== null) ? mean(rows.map((row) => row[s])) : null,
  );

/** Whether a target has this metric and a language of the average, or may still get one. */
function canShow(t, metric, over) {
  const target = D.targets[t],
    scores = D.values[target];
  if (metric && !D.metrics[target].includes(metric)) return false;
  if (!scores) return over in AVERAGES;
  return (
    over === "avg" ||
    (over === "zero_shot"
      ? scores.languages.some((x) => x !== D.sources[target])
      : scores.languages.includes(over))
  );
}

const given = new Map(); // number of the interval in gains.csv, against the baseline `none`
D.intervals.model.forEach((m, i) =>
  given.set(`${m}.${D.intervals.recipe[i]}.${D.intervals.target[i]}.${D.intervals.language[i]}`, i),
);

/** Mean over seeds and its gain over a baseline. Verdict and CI are those of gains.csv; so gains over another
    baseline, or of another metric, have none. */
function summary(
  m,
  r,
  t,
  { metric = "", over = "zero_shot", baseline = D.recipes.indexOf(BASELINE) } = {},
) {
  const own = seedScores(m, r, t, metric, over),
    other = baseline < 0 ? own.map(() => null) : seedScores(m, baseline, t, metric, over);
  const pairs = present(own.map((v, s) => (v === null || other[s] === null ? null : v - other[s])));
  const scores = present(own),
    isBase = r === baseline;
  const result = {
    seeds: scores.length,
    mean: mean(scores),
    gain: isBase ? null : mean(pairs),
    pairs: pairs.length,
    low: null,
    high: null,
    clear: false, // significant
    isBase,
  };
  result.wanted = t === MEAN ? D.seeds.length : present(cellsOf(m, r, t)).length;
  result.absent = result.wanted === 0; // not part of the study
  result.degenerate =
    t === MEAN ? 0 : sum(present(cellsOf(m, r, t)).map((cell) => D.cells.degenerate[cell]));
  const i =
    D.recipes[baseline] === BASELINE && !metric ? given.get(`${m}.${r}.${t}.${over}`) : undefined;
  if (i !== undefined && !isBase) {
    Object.assign(result, {
      gain: D.intervals.gain[i],
      low: D.intervals.low[i],
      high: D.intervals.high[i],
      p: D.intervals.p[i],
      clear: Boolean(D.intervals.significant[i]),
    });
  }
  return result;
}

/** Number of examples behind a score, of all its languages or of one. */
function examplesOf(t, over) {
  if (t === MEAN) return sum(present(range(D.targets.length).map((u) => examplesOf(u, over))));
  const scores = D.values[D.targets[t]];
  if (!scores) return null;
  return sum(
    scores.n.filter(
      (_, i) =>
        over === "avg" ||
        scores.languages[i] === over ||
        (over === "zero_shot" && scores.languages[i] !== D.sources[D.targets[t]]),
    ),
  );
}

/* ------------------------------------------------------------------- steps and their costs */
const N = D.nodes,
  nodeCount = N.id.length;
/** All steps before a step, and itself; a merge needs the steps that it combines. */
const lineage = (node) =>
  node === null ? [] : [...lineage(N.parent[node]), ...(N.merged?.[node] ?? []), node];
const column = (name, node) => N[name]?.[node] ?? null;
/** A cell's steps: those of its recipe, the target's training if any, and the prediction. */
function stepsOf(cell) {
  const nodes = lineage(D.cells.predictions[cell]),
    trained = nodes.filter((n) => N.phase[n] === "train" && !N.chain[n].startsWith("pretrain-"));
  const written = D.written[D.recipes[D.cells.recipe[cell]]],
    count = written === BASELINE ? 0 : written.split(/[-|]/).length;
  return {
    recipe: trained.slice(0, count),
    target: trained.slice(count),
    predict: [D.cells.predictions[cell]],
    root: nodes.filter((n) => !trained.includes(n) && N.phase[n] !== "predict"),
  };
}
const seconds = (nodes) => {
  const known = present(nodes.map((n) => column("seconds", n)));
  return known.length ? sum(known) : null;
};
/** Total GPU seconds of nodes; job seconds where no GPU is requested. */
const spent = (nodes) => {
  const known = nodes.filter((n) => column("seconds", n) !== null);
  return known.length ? sum(known.map((n) => N.seconds[n] * Math.max(1, N.gpus[n]))) : null;
};
const usesGpus = (m) => D.on_gpus.includes(baseModel(MODELS[m]));
const usage = (m, value) =>
  value !== null && usesGpus(m) ? time(value).replace(" ", " GPU ") : time(value);
/** Cost of a recipe on a target, the mean over seeds, shared steps included. */
function cost(m, r, t) {
  if (t === MEAN) {
    const all = present(range(D.targets.length).map((u) => cost(m, r, u)));
    return all.length ? sum(all) : null;
  }
  return mean(
    present(
      present(cellsOf(m, r, t)).map((cell) => {
        const steps = stepsOf(cell);
        return spent([...steps.recipe, ...steps.target, ...steps.predict]);
      }),
    ),
  );
}
