"use strict";
/* The panel of details of a run or a step. */
const panel = byId("detail");

function openPanel(title, subtitle, ...content) {
  const close = { type: "button", click: () => panel.close(), "aria-label": "Close" };
  const heading = h("div", {}, h("h2", { id: "detail-title", dir: "auto" }, title));
  heading.append(h("div", { class: "subtitle", dir: "auto" }, h("small", {}, subtitle)));
  panel.replaceChildren(
    h("header", {}, heading, h("button", close, "Close")),
    ...content.flat(Infinity).filter((part) => part !== null),
  );
  if (!panel.open) panel.showModal();
  panel.scrollTop = 0;
}
panel.addEventListener("click", (event) => event.target === panel && panel.close()); // the backdrop

/** The settings of a step: those of training or prediction, and of each of its parts with its data. */
function settingsOf(node) {
  const { parts = [], data = [], ...groups } = D.settings[column("settings", node)] ?? {};
  const code = (value) => h("code", {}, value);
  const pretty = (value) =>
    value === null ? "none" : typeof value === "object" ? JSON.stringify(value) : String(value);
  const lines = (values) => Object.entries(values).map(([key, value]) => [key, code(pretty(value))]);
  const files = (ids) => ids.map((id) => ["data set", code(id)]);
  const fold = (title, rows, open) =>
    h("details", { open }, h("summary", {}, title), table(["setting", "value"], rows));
  return [
    Object.entries(groups).map(([group, values]) => fold(group, lines(values), true)),
    parts.map((part) => {
      const rows = [...lines(part.encode), ...lines(part.train), ...files(part.data)];
      return fold(`data of ${part.task}`, rows, false);
    }),
    data.length ? fold("texts", files(data), false) : null,
  ];
}

/** A word for a shell; the ids of merges have a `|`. */
const quoted = (word) => (/[^\w.@%+=:,/~-]/.test(word) ? `'${word}'` : word);
const command = (stage, id) => `python -m xstilts ${stage} --study ${D.snapshot} ${quoted(id)}`;
function copied(text) {
  const click = (event) =>
    navigator.clipboard?.writeText(text).then(() => (event.target.textContent = "Copied"));
  const button = h("button", { type: "button", click }, "Copy");
  return h("div", {}, h("pre", { tabindex: "0" }, text), button);
}

/** The logs of the failed steps; if none failed, of `others`. */
function logsOf(nodes, others) {
  const failed = nodes.filter((n) => N.state[n] === "failed");
  return (failed.length ? failed : others).map((node) => {
    const failure = column("failure", node),
      log = column("log", node);
    return [
      failure ? h("p", { class: "wrong" }, `Failed: ${failure}`) : null,
      h("p", {}, h("code", {}, `results/logs/${N.phase[node]}/${N.id[node]}.log`)),
      log ? h("pre", { tabindex: "0" }, log) : null,
    ];
  });
}

/** Draw the learning curves of steps that differ in their seed, with a table of their points. */
async function drawCurves(element, more, nodes) {
  const rows = nodes.flatMap((node) =>
    Object.entries(column("curve", node) ?? {}).flatMap(([series, [axis, values]]) =>
      values.map((value, i) => ({
        series: series === "loss" ? "training loss" : `validation: ${label(series.slice(5))}`,
        ...{ step: D.axes[axis][i], value, run: `seed ${N.seed[node]}` },
      })),
    ),
  );
  if (!rows.length) return clear(element, "No training log: not trained yet.");
  await draw("curves", element, rows, { width: Math.max(180, element.clientWidth - 70) });
  behind(more, element, {
    caption: "learning curves",
    head: ["Series", "Seed", "Optimiser step", "Value"],
    rows: () => rows.map((x) => [x.series, x.run, x.step, x.value]),
    saved: "curves",
  });
}

/* -------------------------------------------------- the runs of a recipe on a target, all seeds */
const cellName = (m, r, t, i) => `${MODELS[m]}.${D.recipes[r]}.${D.targets[t]}.s${D.seeds[i]}`;
const scoreId = (cell) => {
  const [m, r, t, i] = ["model", "recipe", "target", "seed"].map((axis) => D.cells[axis][cell]);
  return `${cellName(m, r, t, i).slice(0, 160)}.${D.cells.score[cell]}`;
};

async function openCell({ m, r, target: t }) {
  const options = { ...grid.values, baseline: Number(grid.values.baseline) },
    s = summary(m, r, t, options),
    scores = seedScores(m, r, t, options.metric, options.over),
    base = RECIPE_LABELS[options.baseline],
    useGain = !s.isBase && s.gain !== null,
    chart = h("div", { class: "chart", role: "img", "aria-label": "Scores by language" }),
    more = h("div");
  const verdict = s.clear ? "significant" : s.p === null ? "no verdict from one seed" : "not significant";
  const ci = s.low === null ? "no CI: the study tests only gains in main metrics over none" : `95 % CI ${interval(s)}, ${verdict}`;
  const headline = useGain
    ? [signed(s.gain), h("small", {}, ` points over ${base}; ${ci}`)]
    : [number(s.mean), h("small", {}, s.mean === null ? " no score yet" : " mean score over seeds")];
  const warnings = [
    isSameData(r, t) &&
      "An intermediate task and the target share training data: a gain reflects longer training, not transfer.",
    s.degenerate &&
      `${s.degenerate} of ${s.seeds} runs are degenerate: not better than the most frequent label in the source language.`,
    s.seeds < s.wanted && `${s.wanted - s.seeds} of ${s.wanted} seeds are missing.`,
  ].filter(Boolean);
  openPanel(
    `${RECIPE_LABELS[r]} → ${targetName(t)}`,
    `${label(MODELS[m])} · ${D.written[D.recipes[r]]}`,
    h("p", { class: "wide-value" }, headline),
    warnings.map((text) => h("p", { class: "warnings" }, text)),
    h("h3", {}, "By seed"),
    table(
      ["Seed", "Score", "Run"],
      D.seeds.map((seed, i) => [
        ...[String(seed), scores[i] === null ? "missing" : number(scores[i])],
        t === MEAN ? "" : h("code", {}, cellName(m, r, t, i)),
      ]),
    ),
    h("h3", {}, "By language"),
    ...[chart, more],
    t === MEAN ? null : stepsOfRuns(m, r, t),
  );
  const rows = languageRows(m, r, t, options).map((one, rank) => {
    const { gain, mean: score } = one;
    const [value, low, high] = useGain ? [gain, one.low ?? gain, one.high ?? gain] : [score, score, score];
    return { ...languageRow(one), rank, value, low, high };
  });
  if (!rows.length) return chart.replaceChildren(h("p", {}, "No language is scored yet."));
  await draw("bars", chart, rows, {
    unit: useGain ? `gain over ${base.slice(0, 40)}, points` : "score",
    width: Math.max(150, chart.clientWidth - 190),
    saved: "run",
  });
  behind(more, chart, {
    caption: "scores and gains by language",
    head: ["Language", "Score", "Gain", "95 % CI", "n"],
    rows: () => rows.map((x) => [x.name, x.Score, x.Gain, x.Interval, x.n]),
    saved: "run",
  });
}

/** Steps, settings, logs and commands of the runs of a recipe on a target. */
function stepsOfRuns(m, r, t) {
  const cells = present(cellsOf(m, r, t)),
    steps = cells.map(stepsOf).map((x) => [...x.recipe, ...x.target, ...x.predict]),
    last = cells.length ? [...stepsOf(cells[0]).target, ...stepsOf(cells[0]).predict] : [];
  const link = (number) => {
    const [name, uses, nodes] = D.branches[number],
      own = nodes.filter((n) => steps.flat().includes(n));
    const button = { class: "link", type: "button", click: () => openStep(number) };
    const facts = [N.phase[own[0]], time(seconds(own)), uses].join(" · ");
    return h("p", {}, h("button", button, name), h("small", {}, ` ${facts}`));
  };
  const title = (node) => (N.phase[node] === "predict" ? "prediction" : "target training");
  return [
    h("h3", {}, "Steps and settings"),
    [...new Set(steps.flat().map((n) => branchOf.get(n)))].map(link),
    h("p", {}, `Cost per seed, shared steps included: ${usage(m, cost(m, r, t))}`),
    last.map((node) => [h("h3", {}, `Settings: ${title(node)}`), settingsOf(node)]),
    h("h3", {}, "Log"),
    logsOf(steps.flat(), last),
    h("h3", {}, "Run again"),
    h("p", { class: "hint" }, "Run in the project's folder. Existing outputs are kept: delete an output to create it again."),
    copied(
      cells
        .flatMap((cell, i) => [
          ...steps[i].map((n) => command(N.phase[n], N.id[n])),
          command("score", scoreId(cell)),
        ])
        .join("\n"),
    ),
  ];
}
