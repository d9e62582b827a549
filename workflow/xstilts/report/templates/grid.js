"use strict";
/* The heat map, an HTML table: recipes down, targets across, in the order and colours of the choices. */
const ROWS_SHOWN = 120;
const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
const grid = { rows: [], all: false, values: {} }; // rows: the cells of each row shown

/** The columns that the choices select and, by recipe and column, the statistics. */
function gridCells(v) {
  const m = Number(v.model);
  const options = { metric: v.metric, over: v.over, baseline: Number(v.baseline) };
  const targets = range(D.targets.length).filter((t) => canShow(t, v.metric, v.over));
  const columns = targets.length > 1 ? [...targets, MEAN] : targets;
  const cells = new Map(
    recipesOf(m).map((r) => [r, new Map(columns.map((t) => [t, summary(m, r, t, options)]))]),
  );
  for (const row of cells.values()) {
    if (row.has(MEAN)) row.get(MEAN).absent = targets.some((t) => row.get(t).absent);
  }
  return { m, columns, cells, gains: v.show === "gain" && D.models.includes(MODELS[m]) };
}

/** The order of recipes and targets: by the study, the mean, one target, cost or name. */
function gridOrder({ m, columns, cells, gains }, v) {
  const value = (s) => (s ? (gains && !s.isBase ? s.gain : gains ? 0 : s.mean) : null) ?? -Infinity;
  const by = (key) => (a, b) => key(a) - key(b);
  const column = v.sort.startsWith("target ") ? Number(v.sort.slice(7)) : columns.at(-1);
  const recipes = [...cells.keys()];
  if (v.sort === "mean" || v.sort.startsWith("target ")) {
    recipes.sort(by((r) => -value(cells.get(r).get(column))));
  } else if (v.sort === "cost") {
    recipes.sort(by((r) => cost(m, r, MEAN) ?? Infinity));
  } else if (v.sort === "name") {
    recipes.sort((a, b) => RECIPE_LABELS[a].localeCompare(RECIPE_LABELS[b]));
  }
  if (v.columns === "study") return { recipes, targets: columns };
  const average = (t) => mean(recipes.map((r) => value(cells.get(r).get(t))).filter(isFinite)) ?? 0;
  const costs = (t) => mean(present(recipes.map((r) => cost(m, r, t)))) ?? Infinity;
  const key = v.columns === "cost" ? costs : (t) => -average(t);
  const sorted = columns.filter((t) => t !== MEAN).sort(by(key));
  return { recipes, targets: [...sorted, ...columns.filter((t) => t === MEAN)] };
}

/** Values at which colours saturate: the 95th percentile of the gains, at least one point, or the
    range of scores. */
function gridScale({ cells, gains }) {
  const all = [...cells.values()].flatMap((row) => [...row.values()]);
  const values = present(all.map((s) => (gains ? s.gain : s.mean)));
  if (!values.length) return { low: 0, high: 1 };
  if (!gains) return { low: Math.min(...values), high: Math.max(...values) };
  const sizes = values.map(Math.abs).sort((a, b) => a - b);
  return { low: 0, high: Math.max(1, sizes[Math.ceil(0.95 * (sizes.length - 1))]) };
}

/** Position of a value on the colour scale: gains in [-1, 1], scores in [0, 0.9]. */
function colourOf(value, gains, { low, high }) {
  if (value === null) return 0;
  if (gains) return Math.max(-1, Math.min(1, value / high));
  return (0.9 * (value - low)) / (high - low || 1);
}

function gridCell(m, r, t, s, gains, scale, over) {
  const isGain = gains && !s.isBase;
  const value = isGain ? s.gain : s.mean;
  const shared = isSameData(r, t);
  const gap = s.wanted - s.seeds;
  const marks = `${s.degenerate ? "†" : ""}${s.seeds && gap > 0 ? "‡" : ""}${shared ? "=" : ""}`;
  const empty = s.absent ? "n/a" : s.seeds ? "no pair" : "missing";
  const notes = [
    s.absent && "not in the study",
    s.degenerate && `${s.degenerate} degenerate`,
    !s.absent && gap > 0 && `${gap} of ${s.wanted} seeds missing`,
    shared && "shares training data with the target",
  ].filter(Boolean);
  return {
    ...{ m, r, target: t, recipeName: RECIPE_LABELS[r], targetName: targetName(t) },
    shown: value === null ? empty : (isGain ? signed(value) : number(value)) + marks,
    colour: gains && s.isBase ? 0 : colourOf(value, gains, scale),
    isEmpty: value === null,
    strong: gains && s.clear,
    interval: isGain && s.gain !== null ? interval(s) : "",
    facts: {
      Gain: s.isBase ? "the baseline" : signed(s.gain),
      "95 % CI": s.isBase || s.gain === null ? "" : interval(s),
      Score: number(s.mean),
      Seeds: `${s.seeds} of ${s.wanted}`,
      "Test examples": String(examplesOf(t, over) ?? "n/a"),
      Cost: usage(m, cost(m, r, t)),
      Note: notes.join("; "),
    },
  };
}
const TARGET_LABELS = unique(D.targets);

/** A cell of the table: a button in the colour of its value; hovering shows its facts. */
function cellElement(cell) {
  const facts = Object.entries(cell.facts).filter(([, value]) => value);
  const classes = [cell.isEmpty ? "empty" : cell.colour < 0 ? "loss" : "gain", cell.strong && "strong"];
  const attributes = {
    ...{ type: "button", tabindex: "-1", class: classes.filter(Boolean).join(" ") },
    style: `--t: ${Math.abs(cell.colour).toFixed(3)}`,
    title: facts.map(([name, value]) => `${name}: ${value}`).join("\n"),
    "aria-label": `${cell.recipeName}, ${cell.targetName}: ${cell.shown}`,
    click: () => openCell(cell),
  };
  return h("td", {}, h("button", attributes, cell.shown));
}

function gridTable(rows) {
  const head = rows[0].map((cell) => h("th", { scope: "col", dir: "auto" }, cell.targetName));
  const lines = rows.map((row) => {
    const name = h("th", { scope: "row", dir: "auto" }, row[0].recipeName);
    return h("tr", {}, name, row.map(cellElement));
  });
  const hasMean = rows[0].length > 1 && rows[0].at(-1).target === MEAN;
  return h(
    "table",
    { class: hasMean ? "heatmap with-mean" : "heatmap" },
    h("thead", {}, h("tr", {}, h("td"), head)),
    h("tbody", {}, lines),
  );
}

function showGrid(v) {
  const selected = gridCells(v),
    { recipes, targets } = gridOrder(selected, v),
    scale = gridScale(selected);
  const { m, cells, gains } = selected;
  const rows = recipes.map((r) =>
    targets.map((t) => gridCell(m, r, t, cells.get(r).get(t), gains, scale, v.over)),
  );
  grid.rows = rows.slice(0, grid.all ? undefined : ROWS_SHOWN);
  grid.values = { ...v };
  const element = byId("grid-chart");
  showLegend(gains, scale);
  element.replaceChildren(gridTable(grid.rows));
  element.querySelector("button").tabIndex = 0;
  const text = (cell) => (cell.interval ? `${cell.shown} (${cell.interval})` : cell.shown);
  behind(byId("grid-more"), element, {
    caption: gains ? "gains and their 95 % CIs" : "scores",
    head: ["Recipe", ...rows[0].map((cell) => cell.targetName)],
    rows: () =>
      rows.map((row) => [
        row[0].recipeName,
        ...row.map((cell) => ({ text: text(cell), open: () => openCell(cell) })),
      ]),
    saved: "grid",
  });
  if (rows.length > grid.rows.length) {
    const all = () => {
      grid.all = true;
      showGrid(v);
    };
    const button = h("button", { type: "button", click: all }, `Show all ${rows.length} recipes`);
    byId("grid-more").prepend(button);
  }
}

function showLegend(gains, { low, high }) {
  const ends = gains ? [signed(-high), `${signed(high)} points`] : [number(low), number(high)];
  byId("grid-legend").replaceChildren(
    ends[0],
    h("span", { class: gains ? "ramp" : "ramp score" }),
    ends[1],
    gains ? h("span", {}, "bold: significant, as the simultaneous CI excludes zero") : "",
    h("span", {}, "† degenerate · ‡ seeds missing · = shares training data with the target"),
  );
}

/** Arrow keys, Home and End move the focus over the heat map; only one cell is a stop of Tab. */
function moveFocus(event) {
  const column = event.target.closest("td")?.cellIndex,
    row = event.target.closest("tr")?.rowIndex;
  const by = ARROWS[event.key] ?? { Home: [0, -column + 1], End: [0, grid.rows[0].length - column] }[event.key];
  if (!column || !by) return;
  event.preventDefault();
  const next = byId("grid-chart").querySelector("table").rows[row + by[0]]?.cells[column + by[1]];
  const button = next?.querySelector("button");
  if (!button) return;
  event.target.tabIndex = -1;
  button.tabIndex = 0;
  button.focus();
}

function startGrid() {
  const metrics = [...new Set(Object.values(D.metrics).flat())];
  const codes = [...new Set(Object.values(D.values).flatMap((v) => v.languages))].sort();
  const first = (r) => (D.recipes[r] === BASELINE ? 0 : 1);
  const orders = [
    ["study", "the study's order"],
    ["mean", "gain or score"],
  ];
  const targets = TARGET_LABELS.map((text, t) => [`target ${t}`, text]);
  const values = controls(
    byId("grid-controls"),
    {
      model: ["Model", modelOptions(MODELS)],
      show: [
        "Show",
        [
          ["gain", "gain over the baseline"],
          ["score", "score"],
        ],
      ],
      baseline: [
        "Baseline",
        recipesOf(0)
          .sort((a, b) => first(a) - first(b))
          .map((r) => [r, RECIPE_LABELS[r]]),
      ],
      over: [
        "Languages",
        [...Object.entries(AVERAGES), ...codes.map((code) => [code, languageName(code)])],
      ],
      metric: [
        "Metric",
        [["", "each target's own"], ...metrics.map((m) => [m, m.replaceAll("_", " ")])],
      ],
      sort: ["Sort recipes by", [...orders, ["cost", "cost"], ["name", "name"], ...targets]],
      columns: ["Sort targets by", [...orders, ["cost", "cost"]]],
    },
    showGrid,
  );
  byId("grid-chart").addEventListener("keydown", moveFocus);
  showGrid(values);
}
startGrid();
