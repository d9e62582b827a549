"use strict";
/* Languages, cost and examples. */
/* -------------------------------------------------------------------------------- languages */
function languageRows(m, r, t, options = {}) {
  const targets = t === MEAN ? range(D.targets.length) : [t];
  const codes = [...new Set(targets.flatMap((u) => D.values[D.targets[u]]?.languages ?? []))];
  return codes
    .map((code) => ({
      code,
      ...summary(m, r, t, { ...options, over: code }),
      examples: examplesOf(t, code),
      source: targets.every((u) => D.sources[D.targets[u]] === code),
    }))
    .filter((s) => s.mean !== null);
}
const languageRow = (s) => ({
  ...{ name: languageName(s.code) + (s.source ? ", source" : ""), clear: s.clear },
  ...{ value: s.gain, low: s.low ?? s.gain, high: s.high ?? s.gain },
  sign: s.gain < 0 ? "loss" : "gain",
  ...{ Language: languageName(s.code), Gain: signed(s.gain), Interval: interval(s) },
  ...{ Score: number(s.mean), n: String(s.examples) },
});

const HEADER = "\u200b"; // first character of a group's heading, as in charts.py

/** The rows of the chart: languages by group, each below the group's heading, the best gain first. */
function grouped(languages, by) {
  const groupOf = (s) => D.languages[s.code]?.[by] ?? "other";
  const groups = [...new Set(languages.map(groupOf))].sort();
  return groups
    .flatMap((group) => [
      { name: HEADER + group },
      ...languages
        .filter((s) => groupOf(s) === group)
        .sort((a, b) => b.gain - a.gain)
        .map((s) => ({ ...languageRow(s), group })),
    ])
    .map((row, rank) => ({ ...row, rank }));
}

async function showLanguages(v) {
  const element = byId("languages-chart");
  const known = languageRows(Number(v.model), Number(v.recipe), Number(v.target)).filter(
    (s) => s.gain !== null,
  );
  const rows = grouped(known, Number(v.group));
  const room = element.clientWidth - (innerWidth < 640 ? 165 : 220);
  if (rows.length)
    await draw("languages", element, rows, { width: Math.max(150, Math.min(640, room)) });
  else clear(element, "No gain yet: scores of the recipe or of its baseline are missing.");
  const shown = rows.filter((row) => row.group);
  behind(byId("languages-more"), element, {
    caption: "gains by language",
    head: ["Language", "Group", "Gain", "95 % CI", "Score", "n"],
    rows: () => shown.map((row) => [row.name, row.group, row.Gain, row.Interval, row.Score, row.n]),
    saved: "languages",
  });
}

function startLanguages() {
  const recipes = recipesOf(0).filter((r) => D.recipes[r] !== BASELINE);
  if (!recipes.length) return byId("languages").remove();
  const gain = (r) => summary(0, r, MEAN).gain ?? -Infinity;
  const best = [...recipes].sort((a, b) => gain(b) - gain(a))[0];
  const choices = [best, ...recipes.filter((r) => r !== best)].map((r) => [r, RECIPE_LABELS[r]]);
  const values = controls(
    byId("languages-controls"),
    {
      model: ["Model", modelOptions(D.models)],
      recipe: ["Recipe", choices],
      target: ["Target", D.targets.map((_, t) => [t, targetName(t)])],
      group: ["Group by", [[1, "family"], [2, "script"]]],
    },
    showLanguages,
  );
  return showLanguages(values);
}

/* ------------------------------------------------------------------------------------- cost */
const COSTS_SHOWN = 40; // recipes in the chart; the table has all
const KINDS = ["own steps", "shared steps", "target", "predict"]; // as steps.costs orders them
async function showCost(v) {
  const m = Number(v.model),
    element = byId("cost-chart"),
    list = D.costs[m] ?? [],
    totals = list.map(([, parts]) => sum(present(parts))),
    inHours = Math.max(0, ...totals) >= 3600,
    unit = `${usesGpus(m) ? "GPU " : ""}${inHours ? "hours" : "minutes"}`;
  const rows = list.slice(0, COSTS_SHOWN).flatMap(([r, parts], rank) =>
    parts.map((value, order) => ({
      ...{ recipe: RECIPE_LABELS[r], rank, phase: KINDS[order], order },
      hours: (value ?? 0) / (inHours ? 3600 : 60),
      ...{ Recipe: RECIPE_LABELS[r], Part: KINDS[order], Time: usage(m, value) },
    })),
  );
  const room = element.clientWidth - (innerWidth < 640 ? 130 : 240);
  if (totals.some(Boolean))
    await draw("costs", element, rows, {
      ...{ unit, width: Math.max(150, Math.min(640, room)), saved: "cost" },
    });
  else clear(element, "No job has a benchmark file yet.");
  behind(byId("cost-more"), element, {
    caption: "cost and disk per recipe",
    head: ["Recipe", ...KINDS, "total", "on disk"],
    rows: () =>
      list.map(([r, parts, bytes], i) => [
        RECIPE_LABELS[r],
        ...parts.map((value) => (value === null ? "–" : usage(m, value))),
        totals[i] ? usage(m, totals[i]) : "not measured",
        size(bytes),
      ]),
    saved: "cost",
  });
}
const startCost = () =>
  showCost(controls(byId("cost-controls"), { model: ["Model", modelOptions(D.models)] }, showCost));

/* --------------------------------------------------------------------------------- examples */
const exampleGroups = [...document.querySelectorAll("[data-examples]")].map((element) => ({
  element,
  ...element.dataset,
}));
/** Show the examples of one target and language; the template contains all. */
function showExamples(v) {
  const ofTarget = exampleGroups.filter((group) => group.target === v.target),
    chosen = ofTarget.find((group) => group.language === v.language) ?? ofTarget[0],
    select = byId("examples-controls-language");
  v.language = chosen.language;
  for (const option of select?.options ?? [])
    option.hidden = !ofTarget.some((group) => group.language === option.value);
  if (select) select.value = v.language;
  for (const group of exampleGroups) group.element.hidden = group !== chosen;
}
function startExamples() {
  if (!exampleGroups.length) return;
  const options = (key) => [...new Map(exampleGroups.map((g) => [g[key], g[`${key}Label`]]))];
  const choices = { target: ["Target", options("target")], language: ["Language", options("language")] };
  showExamples(controls(byId("examples-controls"), choices, showExamples));
}
