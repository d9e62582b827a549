"use strict";
/* The panel of details of a cell or a step, the tree of steps, and the lists of provenance. */
const panel = byId("detail");

function openPanel(title, subtitle, ...content) {
  panel.replaceChildren(
    h(
      "header",
      {},
      h(
        "div",
        {},
        h("h2", { id: "detail-title", dir: "auto" }, title),
        h("div", { class: "subtitle", dir: "auto" }, h("small", {}, subtitle)),
      ),
      h("button", { type: "button", click: () => panel.close(), "aria-label": "Close" }, "Close"),
    ),
    ...content.flat(Infinity).filter((part) => part !== null),
  );
  if (!panel.open) panel.showModal();
  panel.scrollTop = 0;
}
panel.addEventListener("click", (event) => event.target === panel && panel.close()); // the backdrop

const rowsTable = (head, rows) =>
  h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": head.join(", ") },
    h(
      "table",
      {},
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          head.map((text) => h("th", { scope: "col" }, text)),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map((row) =>
          h(
            "tr",
            {},
            row.map((cell) => h("td", {}, cell)),
          ),
        ),
      ),
    ),
  );
const pretty = (value) =>
  value === null ? "none" : typeof value === "object" ? JSON.stringify(value) : String(value);
const settingRows = (values) =>
  Object.entries(values).map(([key, value]) => [key, h("code", {}, pretty(value))]);

/** The exact settings of a step: those of training, and of each of its parts with its data. */
function settingsOf(node) {
  const found = D.settings[column("settings", node)];
  if (!found) return [h("p", {}, "n/a")];
  const { parts = [], data = [], ...groups } = found;
  return [
    ...Object.entries(groups).map(([group, values]) =>
      h(
        "details",
        { open: true },
        h("summary", {}, group),
        rowsTable(["setting", "value"], settingRows(values)),
      ),
    ),
    ...parts.map((part) =>
      h(
        "details",
        {},
        h("summary", {}, `data of ${part.task}`),
        rowsTable(
          ["setting", "value"],
          [
            ...settingRows(part.encode),
            ...settingRows(part.train),
            ...part.data.map((id) => ["data set", h("code", {}, id)]),
          ],
        ),
      ),
    ),
    data.length
      ? h(
          "details",
          {},
          h("summary", {}, "texts"),
          data.map((id) => h("div", {}, h("code", {}, id))),
        )
      : null,
  ];
}

const stageOf = (node) => N.phase[node];
const command = (stage, id) => `python -m xstilts ${stage} --study ${D.snapshot} ${id}`;
const copied = (text) =>
  h(
    "div",
    {},
    h("pre", { tabindex: "0" }, text),
    h(
      "button",
      {
        type: "button",
        click: (event) =>
          navigator.clipboard?.writeText(text).then(() => (event.target.textContent = "Copied")),
      },
      "Copy",
    ),
  );
function logOf(node) {
  const text = column("log", node),
    failed = column("failure", node),
    path = `results/logs/${stageOf(node)}/${N.id[node]}.log`;
  return [
    failed ? h("p", { class: "wrong" }, `Failed: ${failed}`) : null,
    h("p", {}, h("code", {}, path)),
    text ? h("pre", { tabindex: "0" }, text) : null,
  ];
}

/** The logs of those that failed; if none did, of some. */
function logsOf(nodes, some) {
  const failed = nodes.filter((n) => N.state[n] === "failed");
  return (failed.length ? failed : some).flatMap(logOf);
}

/** Learning curves of steps that differ in their seed, as rows of the chart. */
function curveRows(nodes) {
  return nodes.flatMap((node) =>
    Object.entries(column("curve", node) ?? {}).flatMap(([series, [axis, values]]) =>
      values.map((value, i) => ({
        series: series === "loss" ? "training loss" : `validation: ${label(series.slice(5))}`,
        step: D.axes[axis][i],
        value,
        run: `seed ${N.seed[node]}`,
      })),
    ),
  );
}
async function drawCurves(element, nodes) {
  const rows = curveRows(nodes);
  if (!rows.length) return clear(element, "No training log: not trained yet.");
  await draw("curves", element, rows, {
    width: Math.max(180, element.clientWidth - 70),
    saved: "curves",
  });
}

/* ------------------------------------------------------------------------------- one cell */
async function openCell(row) {
  const { m, r, target: t } = row,
    options = { ...grid.values, baseline: Number(grid.values.baseline) },
    s = summary(m, r, t, options);
  const cells = t === MEAN ? [] : there(cellsOf(m, r, t)),
    scores = seedScores(m, r, t, options.metric, options.over);
  const base = RECIPE_LABELS[options.baseline],
    chart = h("div", { class: "chart", role: "img", "aria-label": "Scores by language" }),
    table = h("div");
  const found = languageRows(m, r, t, options),
    useGain = !s.isBase && s.gain !== null;
  const steps = cells.map(stepsOf),
    nodes = steps.flatMap((x) => [...x.recipe, ...x.target, ...x.predict]);
  const warnings = [
    isSameData(r, t) &&
      "An intermediate task and the target train on the same examples: a gain here is longer training, not transfer.",
    s.degenerate &&
      `${s.degenerate} of ${s.seeds} runs are degenerate: in the source language they do not beat the most frequent label.`,
    s.seeds < s.wanted && `${s.wanted - s.seeds} of ${s.wanted} seeds are not scored yet.`,
  ].filter(Boolean);
  openPanel(
    `${RECIPE_LABELS[r]} → ${targetName(t)}`,
    `${label(MODELS[m])} · ${D.written[D.recipes[r]]}`,
    useGain
      ? h(
          "p",
          { class: "wide-value" },
          signed(s.gain),
          h(
            "small",
            {},
            ` points over ${base}; ${s.low === null ? "one pair gives no interval" : `95 % interval ${interval(s)}, by ${s.method}`}`,
          ),
        )
      : h(
          "p",
          { class: "wide-value" },
          number(s.mean),
          h("small", {}, s.mean === null ? " no score yet" : " score, the mean over seeds"),
        ),
    warnings.map((text) => h("p", { class: "warnings" }, text)),
    h("h3", {}, "By seed"),
    rowsTable(
      ["Seed", "Score", "Cell"],
      D.seeds.map((seed, i) => [
        String(seed),
        scores[i] === null ? "missing" : number(scores[i]),
        t === MEAN ? "" : h("code", {}, cellName(m, r, t, i)),
      ]),
    ),
    h("h3", {}, "By language"),
    chart,
    table,
    t === MEAN
      ? null
      : [
          h("h3", {}, "Steps and settings"),
          ...stepButtons(nodes),
          h("p", {}, `Cost of all steps, shared ones included, per seed: ${usage(m, cost(m, r, t))}`),
          ...[...new Set(cells.length ? [...steps[0].target, ...steps[0].predict] : [])]
            .map((node) => [
              h(
                "h3",
                {},
                `Settings: ${N.phase[node] === "predict" ? "prediction" : "target training"}`,
              ),
              ...settingsOf(node),
            ])
            .flat(),
          h("h3", {}, "Log"),
          ...logsOf(nodes, cells.length ? [...steps[0].target, ...steps[0].predict] : []),
          h("h3", {}, "Run it again"),
          h(
            "p",
            { class: "hint" },
            "From the project's folder; what is there is kept, so remove an output first to make it anew.",
          ),
          copied(
            cells
              .flatMap((cell, i) => [
                ...[...steps[i].recipe, ...steps[i].target, ...steps[i].predict].map((n) =>
                  command(stageOf(n), N.id[n]),
                ),
                command("score", scoreId(cell)),
              ])
              .join("\n"),
          ),
        ],
  );
  if (found.length) {
    const rows = found.map((one, rank) => ({
      ...languageRow(one),
      rank,
      value: useGain ? one.gain : one.mean,
      low: useGain ? (one.low ?? one.gain) : one.mean,
      high: useGain ? (one.high ?? one.gain) : one.mean,
    }));
    await draw("bars", chart, rows, {
      unit: useGain ? `gain over ${base.slice(0, 40)}, points` : "score",
      width: Math.max(150, chart.clientWidth - 190),
      saved: "cell",
    });
    behind(table, chart, {
      caption: "scores and gains by language",
      head: ["Language", "Score", "Gain", "95 % interval", "n"],
      rows: () => rows.map((x) => [x.name, x.Score, x.Gain, x.Interval, x.n]),
      saved: "cell",
    });
  } else chart.replaceChildren(h("p", {}, "No language is scored yet."));
}
const cellName = (m, r, t, i) => `${MODELS[m]}.${D.recipes[r]}.${D.targets[t]}.s${D.seeds[i]}`;
const scoreId = (cell) =>
  `${cellName(D.cells.model[cell], D.cells.recipe[cell], D.cells.target[cell], D.cells.seed[cell]).slice(0, 160)}.${D.cells.score[cell]}`;

/** A button per kind of step, which opens it with all its seeds. */
function stepButtons(nodes) {
  const kinds = new Map();
  for (const node of nodes) kinds.set(kindOf(node), [...(kinds.get(kindOf(node)) ?? []), node]);
  return [...kinds.values()].map((some) =>
    h(
      "p",
      {},
      h(
        "button",
        { class: "link", type: "button", click: () => openStep(some) },
        stepName(some[0]),
      ),
      h("small", {}, ` ${N.phase[some[0]]} · ${time(seconds(some))} · ${shared(some)}`),
    ),
  );
}
