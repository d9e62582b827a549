"use strict";
/* The data of the page and the arithmetic on it; the other scripts show them. All text becomes text nodes:
   nothing of the data is ever read as HTML. */
const D = JSON.parse(document.getElementById("data").textContent);
const CHARTS = JSON.parse(document.getElementById("charts").textContent);
const BASELINE = "none",
  MEAN = D.targets.length;
const MODELS = [...D.models, ...D.controls];
const AVERAGES = { zero_shot: "zero-shot: all but the source", avg: "all languages" };

const byId = (id) => document.getElementById(id);
const sum = (values) => values.reduce((a, b) => a + b, 0);
const mean = (values) => (values.length ? sum(values) / values.length : null);
const there = (values) => values.filter((v) => v !== null && v !== undefined);
const range = (n) => Array.from({ length: n }, (_, i) => i);

/** An element; attributes that are functions are listeners, children that are text stay text. */
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

const number = (value, digits = 1) =>
  value === null
    ? "n/a"
    : value
        .toFixed(digits)
        .replace(/^-(0\.0*)$/, "$1")
        .replace("-", "−");
const signed = (value, digits = 1) =>
  value === null ? "n/a" : (Number(value.toFixed(digits)) > 0 ? "+" : "") + number(value, digits);
const interval = (s) =>
  s.low === null ? "one pair: none" : `${signed(s.low)} to ${signed(s.high)}`;
function time(seconds) {
  if (seconds === null) return "not measured";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return seconds < 5400 ? `${(seconds / 60).toFixed(1)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
const size = (bytes) =>
  bytes >= 1e9
    ? `${(bytes / 1e9).toFixed(1)} GB`
    : bytes >= 1e6
      ? `${(bytes / 1e6).toFixed(0)} MB`
      : `${Math.ceil(bytes / 1e3)} kB`;

const label = (name) => D.labels[name] ?? name;
const targetName = (t) => (t === MEAN ? "Mean" : label(D.targets[t]));
const baseModel = (name) => name.split("+")[0]; // of a model with an arm of settings
const languageName = (code) => `${D.languages[code]?.[0] ?? code} (${code})`;
/** Labels that are all different, so that a chart has a row for each. */
function unique(names) {
  const labels = names.map(label);
  return labels.map((text, i) =>
    labels.indexOf(text) === labels.lastIndexOf(text) ? text : `${text} (${names[i]})`,
  );
}
const RECIPE_LABELS = unique(D.recipes);

/* ------------------------------------------------------------------ cells and their scores */
const cellAt = new Map(); // "model.recipe.target" -> cell number of each seed
const positionOf = new Int32Array(D.cells.model.length).fill(-1); // in the values of its target
D.cells.model.forEach((m, cell) => {
  const key = `${m}.${D.cells.recipe[cell]}.${D.cells.target[cell]}`;
  if (!cellAt.has(key)) cellAt.set(key, []);
  cellAt.get(key)[D.cells.seed[cell]] = cell;
});
for (const found of Object.values(D.values))
  found.cells.forEach((cell, row) => (positionOf[cell] = row));
const cellsOf = (m, r, t) => cellAt.get(`${m}.${r}.${t}`) ?? [];
const recipesOf = (m) =>
  range(D.recipes.length).filter((r) => D.targets.some((_, t) => cellAt.has(`${m}.${r}.${t}`)));
const same = new Set(D.same.map(([task, target]) => `${task} ${target}`));
const taskOf = (part) => part.match(/^[a-z0-9_]*/)[0]; // `mnli` of `mnli@de~10k`
const taskNames = (recipe) => D.written[recipe].split(/[-+]/).map(taskOf);
const isSameData = (r, t) =>
  t !== MEAN && taskNames(D.recipes[r]).some((task) => same.has(`${task} ${D.targets[t]}`));

/** A cell's score in points: of one language, or an average over languages; null if not there. */
function scoreOf(cell, metric, over) {
  const target = D.targets[D.cells.target[cell]],
    found = D.values[target],
    row = positionOf[cell];
  const values = row < 0 ? null : found.values[metric || D.metrics[target][0]];
  if (!values) return null;
  const width = found.languages.length,
    own = values.slice(row * width, (row + 1) * width);
  if (!(over in AVERAGES)) {
    const value = own[found.languages.indexOf(over)] ?? null;
    return value === null ? null : value / 100;
  }
  const kept = there(
    own.filter((_, i) => over === "avg" || found.languages[i] !== D.sources[target]),
  );
  return kept.length ? mean(kept) / 100 : null;
}

const seedCache = new Map();
/** The scores of a recipe on a target, one per seed of the study; null where there is none. */
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

/** Whether a target has this metric, and a language that the average is over, or may still have. */
function canShow(t, metric, over) {
  const target = D.targets[t],
    found = D.values[target];
  if (metric && !D.metrics[target].includes(metric)) return false;
  if (!found) return over in AVERAGES;
  return (
    over === "avg" ||
    (over === "zero_shot"
      ? found.languages.some((x) => x !== D.sources[target])
      : found.languages.includes(over))
  );
}

const given = new Map(); // the study's own intervals, against the baseline `none`
D.intervals.model.forEach((m, i) =>
  given.set(`${m}.${D.intervals.recipe[i]}.${D.intervals.target[i]}.${D.intervals.language[i]}`, i),
);

/** Mean over seeds and its paired gain over a baseline; the interval is the study's own where it
    has one, else Student's over seeds. */
function summary(
  m,
  r,
  t,
  { metric = "", over = "zero_shot", baseline = D.recipes.indexOf(BASELINE) } = {},
) {
  const own = seedScores(m, r, t, metric, over),
    other = baseline < 0 ? own.map(() => null) : seedScores(m, baseline, t, metric, over);
  const pairs = there(own.map((v, s) => (v === null || other[s] === null ? null : v - other[s])));
  const scores = there(own),
    isBase = r === baseline;
  const found = {
    seeds: scores.length,
    mean: mean(scores),
    gain: isBase ? null : mean(pairs),
    pairs: pairs.length,
    low: null,
    high: null,
    method: "",
    isBase,
  };
  found.wanted = t === MEAN ? D.seeds.length : there(cellsOf(m, r, t)).length;
  found.absent = found.wanted === 0; // the study leaves this out
  found.degenerate =
    t === MEAN ? 0 : sum(there(cellsOf(m, r, t)).map((cell) => D.cells.degenerate[cell]));
  const i =
    D.recipes[baseline] === BASELINE && !metric ? given.get(`${m}.${r}.${t}.${over}`) : undefined;
  if (i !== undefined && !isBase) {
    Object.assign(found, {
      low: D.intervals.low[i] / 100,
      high: D.intervals.high[i] / 100,
      p: D.intervals.p[i],
      method: "the study's statistics over seeds and examples",
    });
  } else if (pairs.length > 1 && !isBase) {
    const spread =
      Math.sqrt(sum(pairs.map((v) => (v - found.gain) ** 2)) / (pairs.length - 1) / pairs.length) *
      D.t[pairs.length - 2];
    Object.assign(found, {
      low: found.gain - spread,
      high: found.gain + spread,
      method: "Student's t over seeds",
    });
  }
  found.clear = found.low !== null && (found.low > 0 || found.high < 0);
  return found;
}

/** Examples that a score rests on: of all languages that it is over, or of one. */
function examplesOf(t, over) {
  if (t === MEAN) return sum(there(range(D.targets.length).map((u) => examplesOf(u, over))));
  const found = D.values[D.targets[t]];
  if (!found) return null;
  return sum(
    found.n.filter(
      (_, i) =>
        over === "avg" ||
        found.languages[i] === over ||
        (over === "zero_shot" && found.languages[i] !== D.sources[D.targets[t]]),
    ),
  );
}

/* ------------------------------------------------------------------- steps and their costs */
const N = D.nodes,
  nodeCount = N.id.length;
const lineage = (node) => (node === null ? [] : [...lineage(N.parent[node]), node]);
const column = (name, node) => N[name]?.[node] ?? null;
const users = range(nodeCount).map(() => new Set()); // of each node: "recipe" numbers below it
const modelsBelow = range(nodeCount).map(() => new Set());
const cellsBelow = new Int32Array(nodeCount);
D.cells.predictions.forEach((node, cell) => {
  for (const step of lineage(node)) {
    users[step].add(D.cells.recipe[cell]);
    modelsBelow[step].add(D.cells.model[cell]);
    cellsBelow[step] += 1;
  }
});
/** A cell's steps: those of its recipe, the target's training if there is one, the prediction. */
function stepsOf(cell) {
  const nodes = lineage(D.cells.predictions[cell]),
    trained = nodes.filter((n) => N.phase[n] === "train" && !N.chain[n].startsWith("pretrain-"));
  const written = D.written[D.recipes[D.cells.recipe[cell]]],
    count = written === BASELINE ? 0 : written.split("-").length;
  return {
    recipe: trained.slice(0, count),
    target: trained.slice(count),
    predict: [D.cells.predictions[cell]],
    root: nodes.filter((n) => !trained.includes(n) && N.phase[n] !== "predict"),
  };
}
const seconds = (nodes) => {
  const known = there(nodes.map((n) => column("seconds", n)));
  return known.length ? sum(known) : null;
};
/** What nodes took together, in seconds of a GPU each, or of a job where it asks for none. */
const spent = (nodes) => {
  const known = nodes.filter((n) => column("seconds", n) !== null);
  return known.length ? sum(known.map((n) => N.seconds[n] * Math.max(1, N.gpus[n]))) : null;
};
const usesGpus = (m) => D.on_gpus.includes(baseModel(MODELS[m]));
const usage = (m, value) =>
  value !== null && usesGpus(m) ? `${(value / 3600).toFixed(2)} GPU hours` : time(value);
/** What a recipe on a target took, the mean over seeds: all its steps, the shared ones included. */
function cost(m, r, t) {
  if (t === MEAN) {
    const all = there(range(D.targets.length).map((u) => cost(m, r, u)));
    return all.length ? sum(all) : null;
  }
  return mean(
    there(
      there(cellsOf(m, r, t)).map((cell) => {
        const steps = stepsOf(cell);
        return spent([...steps.recipe, ...steps.target, ...steps.predict]);
      }),
    ),
  );
}
