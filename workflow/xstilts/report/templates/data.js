/* The data of the page and the arithmetic on it. They are read after the first paint: ten thousand runs take a
   second, in which the tables can be read and sorted already. */
await new Promise((done) => (globalThis.requestIdleCallback ?? setTimeout)(done));
const D = await unpack(byId("data").textContent);

/** Decode a value that `packed` in report/page.py encodes. */
async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const json = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(json).json();
}
const AVERAGES = ["zero_shot", "avg"];
const sum = (values) => values.reduce((a, b) => a + b, 0);
const mean = (values) => (values.length ? sum(values) / values.length : null);
const present = (values) => values.filter((v) => v !== null && v !== undefined);

/** Round as the files do: first to the four decimals that they store; exact halves to even. */
function number(value, digits = 1) {
  let stored = Math.round(value * 1e4) / 1e4;
  const isHalf = digits === 1 && Number.isInteger(stored * 4) && !Number.isInteger(stored * 2);
  if (isHalf && Math.floor(Math.abs(stored) * 10) % 2 === 0) stored *= 1 - 1e-9;
  return stored.toFixed(digits).replace(/^-(0\.0*)$/, "$1").replace("-", "−");
}
const signed = (value) => (number(value).startsWith("−") ? number(value) : `+${number(value)}`);
const ends = (s) => (s.low === null ? "" : `[${number(s.low)}, ${number(s.high)}]`);
/** A duration in words, by the same rule as units.py. */
function time(seconds) {
  if (seconds === null) return "not measured";
  const units = [["d", 86400, 2], ["h", 3600, 1], ["min", 60, 2]];
  const [unit, length] = units.find(([, length, least]) => seconds >= least * length) ?? ["s", 1];
  const amount = seconds / length,
    digits = unit !== "s" && amount < 10 ? 1 : 0;
  const format = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return `${amount.toLocaleString("en", format)} ${unit}`;
}
const label = (name) => D.labels[name] ?? name;
const targetName = (t) => (t === MEAN ? "Mean" : label(t));
const languageName = (code) => `${D.languages[code]?.[0] ?? code} (${code})`;
const key = (...names) => names.join(".");

/* ------------------------------------------------------------------- runs and their scores */
const MODELS = [...D.models, ...D.controls];
const cellAt = new Map(); // model.recipe.target -> number of the cell of each seed
const rowOf = new Map(); // cell -> its row in the values of its target
D.cells.model.forEach((model, cell) => {
  const name = key(MODELS[model], D.recipes[D.cells.recipe[cell]], D.targets[D.cells.target[cell]]);
  if (!cellAt.has(name)) cellAt.set(name, []);
  cellAt.get(name)[D.cells.seed[cell]] = cell;
});
for (const scores of Object.values(D.values)) scores.cells.forEach((cell, row) => rowOf.set(cell, row));
/** Model, recipe and target of a run's name, if the study has it. */
function readKey(name) {
  const parts = name.split("."),
    isKnown = parts.length === 3 && MODELS.includes(parts[0]) && D.recipes.includes(parts[1]);
  return isKnown && [...D.targets, MEAN].includes(parts[2]) ? parts : null;
}
const cellsOf = (m, r, t) => cellAt.get(key(m, r, t)) ?? [];
const sharesData = new Set(D.shared.map((pair) => key(...pair)));

/** Languages of a target in an average, or a single language; empty if it has none. */
function languagesOf(t, over) {
  const names = D.values[t]?.languages ?? [];
  if (!AVERAGES.includes(over)) return names.includes(over) ? [over] : [];
  return names.filter((name) => over === "avg" || name !== D.sources[t]);
}

/** A run's score in points; null if missing. */
function scoreOf(cell, t, metric, over) {
  const { languages, values } = D.values[t],
    own = values[metric || D.metrics[t][0]],
    start = rowOf.get(cell) * languages.length;
  if (!own || !rowOf.has(cell)) return null;
  const scores = present(languagesOf(t, over).map((x) => own[start + languages.indexOf(x)]));
  return scores.length ? mean(scores) / 1e4 : null;
}

/** Targets that have the metric and the languages. */
const targetsWith = (metric, over) =>
  D.targets.filter(
    (t) => (!metric || D.metrics[t].includes(metric)) && (!D.values[t] || languagesOf(t, over).length),
  );

/** The scores of a recipe on a target, one per seed of the study; null if missing. */
function seedScores(m, r, t, metric, over) {
  if (t !== MEAN)
    return D.seeds.map((_, s) => {
      const cell = cellsOf(m, r, t)[s];
      return cell === undefined || !D.values[t] ? null : scoreOf(cell, t, metric, over);
    });
  const rows = targetsWith(metric, over).map((u) => seedScores(m, r, u, metric, over));
  return D.seeds.map((_, s) =>
    rows.length && rows.every((row) => row[s] !== null) ? mean(rows.map((row) => row[s])) : null,
  );
}

const given = new Map(); // model.recipe.target.language -> row of gains.csv
D.gains.model.forEach((model, i) => {
  const { models, recipes, recipe, targets, target, languages, language } = D.gains;
  given.set(key(models[model], recipes[recipe[i]], targets[target[i]], languages[language[i]]), i);
});

/** Mean over seeds and its gain over a baseline. Verdict and CI are those of gains.csv; so gains over another
    baseline, or of another metric, have none. */
function summary(m, r, t, { metric = "", over = D.average, baseline = BASELINE } = {}) {
  const own = seedScores(m, r, t, metric, over),
    other = seedScores(m, baseline, t, metric, over),
    targets = targetsWith(metric, over).filter((u) => t === MEAN || u === t),
    cells = present(targets.flatMap((u) => cellsOf(m, r, u))),
    pairs = present(own.map((v, s) => (v === null || other[s] === null ? null : v - other[s])));
  const result = {
    ...{ mean: mean(present(own)), gain: r === baseline ? null : mean(pairs) },
    ...{ low: null, high: null, p: null, significant: false },
    seeds: present(own).length,
    wanted: Math.max(0, ...targets.map((u) => present(cellsOf(m, r, u)).length)),
    runs: cells.filter((cell) => rowOf.has(cell)).length,
    degenerate: sum(cells.map((cell) => D.cells.degenerate[cell])),
  };
  if (!metric && D.means[over]?.[key(m, r, t)] !== undefined) result.mean = D.means[over][key(m, r, t)];
  const i = metric || baseline !== BASELINE ? undefined : given.get(key(m, r, t, over));
  if (i !== undefined)
    for (const name of ["gain", "low", "high", "p", "significant"]) result[name] = D.gains[name][i];
  return result;
}

/** Gain in one language, of a target or of the mean over those that have it. */
function languageGain(m, r, t, code) {
  const i = given.get(key(m, r, t, code)),
    names = ["gain", "low", "high", "significant"];
  return i === undefined ? { gain: null, low: null } : Object.fromEntries(names.map((name) => [name, D.gains[name][i]]));
}
