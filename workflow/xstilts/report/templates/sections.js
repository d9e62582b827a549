"use strict";
/* Languages, cost and examples. */
/* -------------------------------------------------------------------------------- languages */
function languageRows(m, r, t, options = {}) {
  const targets = t === MEAN ? range(D.targets.length) : [t];
  const codes = [...new Set(targets.flatMap((u) => D.values[D.targets[u]]?.languages ?? []))];
  return codes
    .map((code) => {
      const s = summary(m, r, t, { ...options, over: code });
      return {
        code,
        ...s,
        n_: examplesOf(t, code),
        source: targets.every((u) => D.sources[D.targets[u]] === code),
      };
    })
    .filter((s) => s.mean !== null);
}
const languageRow = (s) => ({
  name: languageName(s.code) + (s.source ? ", source" : ""),
  value: s.gain,
  low: s.low ?? s.gain,
  high: s.high ?? s.gain,
  clear: s.clear,
  sign: s.gain < 0 ? "loss" : "gain",
  Language: languageName(s.code),
  Gain: signed(s.gain),
  Interval: interval(s),
  Score: number(s.mean),
  n: String(s.n_),
});

const HEADER = "\u200b"; // as charts.py has it: the name of a row that heads a group

/** The rows of the chart: languages by group, each group below its head, the best gain first. */
function grouped(found, by) {
  const groupOf = (s) => D.languages[s.code]?.[by] ?? "other";
  const rows = [];
  for (const group of [...new Set(found.map(groupOf))].sort()) {
    const own = found.filter((s) => groupOf(s) === group).sort((a, b) => b.gain - a.gain);
    rows.push({ name: HEADER + group }, ...own.map((s) => ({ ...languageRow(s), group })));
  }
  return rows.map((row, rank) => ({ ...row, rank }));
}

async function showLanguages(v) {
  const element = byId("languages-chart");
  const found = languageRows(Number(v.model), Number(v.recipe), Number(v.target));
  const rows = grouped(
    found.filter((s) => s.gain !== null),
    Number(v.group),
  );
  const room = element.clientWidth - (innerWidth < 640 ? 165 : 220);
  if (rows.length)
    await draw("languages", element, rows, { width: Math.max(150, Math.min(640, room)) });
  else clear(element, "No gain is known here yet: the recipe or its baseline is missing.");
  behind(byId("languages-more"), element, {
    caption: "gains by language",
    head: ["Language", "Group", "Gain", "95 % interval", "Score", "n"],
    rows: () =>
      rows
        .filter((row) => row.group)
        .map((row) => [row.name, row.group, row.Gain, row.Interval, row.Score, row.n]),
    saved: "languages",
  });
}

function startLanguages() {
  const recipes = recipesOf(0).filter((r) => D.recipes[r] !== BASELINE);
  if (!recipes.length) return byId("languages").remove();
  const best = [...recipes].sort(
    (a, b) => (summary(0, b, MEAN).gain ?? -Infinity) - (summary(0, a, MEAN).gain ?? -Infinity),
  )[0];
  return showLanguages(
    controls(
      byId("languages-controls"),
      {
        model: ["Model", modelOptions(D.models)],
        recipe: [
          "Recipe",
          [best, ...recipes.filter((r) => r !== best)].map((r) => [r, RECIPE_LABELS[r]]),
        ],
        target: ["Target", D.targets.map((_, t) => [t, targetName(t)])],
        group: [
          "Group by",
          [
            [1, "family"],
            [2, "script"],
          ],
        ],
      },
      showLanguages,
    ),
  );
}

/* ----------------------------------------------------------------------------- cost, examples */
const COSTS_SHOWN = 40; // recipes in the chart; the table has all
async function showCost(v) {
  const m = Number(v.model),
    element = byId("cost-chart"),
    unit = usesGpus(m) ? "GPU hours" : "minutes of all jobs",
    scale = usesGpus(m) ? 1 / 3600 : 1 / 60,
    totals = new Map();
  D.cells.predictions.forEach((_, cell) => {
    if (D.cells.model[cell] !== m) return;
    const r = D.cells.recipe[cell],
      steps = stepsOf(cell),
      found = totals.get(r) ?? {
        own: new Set(),
        shared: new Set(),
        target: new Set(),
        predict: new Set(),
      };
    for (const step of steps.recipe) found[users[step].size > 1 ? "shared" : "own"].add(step);
    steps.target.forEach((step) => found[users[step].size > 1 ? "shared" : "target"].add(step));
    steps.predict.forEach((step) => found.predict.add(step));
    totals.set(r, found);
  });
  const names = { own: "own steps", shared: "shared steps", target: "target", predict: "predict" };
  const list = [...totals]
    .map(([r, kinds]) => ({
      r,
      parts: Object.entries(kinds).map(([kind, nodes]) => [kind, spent([...nodes])]),
      bytes: sum(Object.values(kinds).flatMap((nodes) => [...nodes].map((n) => N.bytes[n]))),
    }))
    .map((one) => ({ ...one, all: sum(there(one.parts.map((p) => p[1]))) }))
    .sort((a, b) => b.all - a.all);
  const rows = list.slice(0, COSTS_SHOWN).flatMap(({ r, parts }, rank) =>
    parts.map(([kind, s], order) => ({
      recipe: RECIPE_LABELS[r],
      rank,
      phase: names[kind],
      order,
      hours: (s ?? 0) * scale,
      Recipe: RECIPE_LABELS[r],
      Part: names[kind],
      Time: usage(m, s),
    })),
  );
  if (list.some((one) => one.all))
    await draw("costs", element, rows, {
      unit,
      width: Math.max(150, Math.min(640, element.clientWidth - (innerWidth < 640 ? 130 : 240))),
      saved: "cost",
    });
  else clear(element, "Nothing is measured yet: Snakemake leaves a benchmark file of each job.");
  behind(byId("cost-more"), element, {
    caption: "cost and disk per recipe",
    head: ["Recipe", ...Object.values(names), "all", "on disk"],
    rows: () =>
      list.map(({ r, parts, bytes, all }) => [
        RECIPE_LABELS[r],
        ...parts.map(([, s]) => (s === null ? "–" : usage(m, s))),
        all ? usage(m, all) : "not measured",
        size(bytes),
      ]),
    saved: "cost",
  });
  byId("cost-more").prepend(
    h("h3", {}, "By phase"),
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": "Cost by phase" },
      h(
        "table",
        {},
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            ["Phase", "Done", "Time", "GPU hours", "On disk"].map((text, i) =>
              h("th", { scope: "col", class: i ? "number" : null }, text),
            ),
          ),
        ),
        h(
          "tbody",
          {},
          D.phases.map((p) =>
            h(
              "tr",
              {},
              h("th", { scope: "row" }, p.phase),
              [
                `${p.done} of ${p.wanted}`,
                p.measured
                  ? time(p.seconds) + (p.measured < p.done ? ` (${p.measured} measured)` : "")
                  : "not measured",
                p.gpu_hours ? p.gpu_hours.toFixed(2) : "–",
                size(p.bytes),
              ].map((text) => h("td", { class: "number" }, text)),
            ),
          ),
        ),
      ),
    ),
  );
}

const answer = (pairs, code) =>
  pairs.map(([text, tag]) => [
    text ? h("bdi", { lang: code, dir: "auto" }, text) : null,
    tag ? h("span", { class: "tag" }, tag) : null,
  ]);
function showExamples(v) {
  const found =
    D.examples.find((one) => one.target === v.target && one.language === v.language) ??
    D.examples.find((one) => one.target === v.target);
  const others = D.examples.filter((one) => one.target === v.target),
    select = byId("examples-controls-language");
  if (select && select.dataset.target !== v.target) {
    select.dataset.target = v.target;
    select.replaceChildren(
      ...others.map((one) => h("option", { value: one.language }, languageName(one.language))),
    );
    select.value = found.language;
    v.language = found.language;
  }
  byId("examples-list").replaceChildren(
    ...found.examples.map((one) =>
      h(
        "article",
        { class: "example" },
        h(
          "dl",
          {},
          one.texts.map(([name, text, code]) => [
            h("dt", {}, name),
            h("dd", { lang: code, dir: "auto" }, text),
          ]),
          h("dt", {}, "gold"),
          h("dd", {}, answer(one.gold, found.language)),
        ),
        h("hr"),
        h(
          "dl",
          {},
          one.answers.map(([recipe, score, pairs]) => [
            h("dt", {}, label(recipe)),
            h(
              "dd",
              {},
              h(
                "span",
                { class: score >= 99.95 ? "right" : "wrong" },
                score >= 99.95 ? "✓ right " : score > 0 ? `${number(score)} % ` : "✗ wrong ",
              ),
              answer(pairs, found.language),
            ),
          ]),
        ),
      ),
    ),
  );
}
function startExamples() {
  if (!D.examples.length)
    return byId("examples-list").replaceChildren(
      h("p", {}, "None yet: there are no predictions of two recipes on one target, or they agree."),
    );
  const values = controls(
    byId("examples-controls"),
    {
      target: [
        "Target",
        [...new Set(D.examples.map((one) => one.target))].map((name) => [name, label(name)]),
      ],
      language: [
        "Language",
        [...new Set(D.examples.map((one) => one.language))].map((code) => [
          code,
          languageName(code),
        ]),
      ],
    },
    showExamples,
  );
  return showExamples(values);
}
