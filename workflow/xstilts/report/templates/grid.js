"use strict";
/* The heat map of the grid: recipes down, targets across, in the order and colours of the choices. */
const ROWS_SHOWN = 120;
const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
const grid = { rows: [], cursor: 0, all: false, values: {} };

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

function gridRow(m, r, t, s, gains, scale, over) {
  const value = gains && !s.isBase ? s.gain : s.mean;
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
    ...{ key: `${r}.${t}`, m, r, target: t, y: RECIPE_LABELS[r] },
    x: t === MEAN ? "Mean" : TARGET_LABELS[t],
    state: value === null ? "empty" : "scored",
    shown: value === null ? empty : (gains && !s.isBase ? signed(value) : number(value)) + marks,
    t: gains && s.isBase ? 0 : colourOf(value, gains, scale),
    strong: gains && s.clear,
    Recipe: RECIPE_LABELS[r],
    Target: targetName(t),
    Gain: s.isBase ? "the baseline" : signed(s.gain),
    Interval: s.isBase || s.gain === null ? "–" : interval(s),
    Score: number(s.mean),
    Seeds: `${s.seeds} of ${s.wanted}`,
    n: String(examplesOf(t, over) ?? "n/a"),
    Cost: usage(m, cost(m, r, t)),
    Note: notes.join("; ") || "–",
  };
}

/** Labels in lines of about twelve characters, padded above to equal numbers of lines. */
function wrapped(names) {
  const lines = names.map((name) => {
    const text = [""];
    for (const word of name.split(/\s+/)) {
      const last = text.at(-1);
      if (!last || last.length + word.length < 13)
        text[text.length - 1] = `${last} ${word}`.trim();
      else if (text.length < 3) text.push(word);
      else text[2] = `${text[2].replace(/ …$/, "")} …`;
    }
    return text;
  });
  const most = Math.max(...lines.map((text) => text.length));
  const texts = lines.map((text) => [...Array(most - text.length).fill(""), ...text].join("\n"));
  // equal texts would share a column: zero-width spaces make them different
  return {
    most,
    texts: texts.map(
      (text, i) => text + "\u200b".repeat(texts.slice(0, i).filter((x) => x === text).length),
    ),
  };
}
const TARGET_LABELS = unique(D.targets);

async function showGrid(v) {
  const selected = gridCells(v),
    { recipes, targets } = gridOrder(selected, v),
    scale = gridScale(selected);
  const lines = recipes.map((r) =>
    targets.map((t) =>
      gridRow(selected.m, r, t, selected.cells.get(r).get(t), selected.gains, scale, v.over),
    ),
  );
  const heads = wrapped(lines[0].map((row) => row.x));
  lines.forEach((line, row) =>
    line.forEach((cell, column) => Object.assign(cell, { row, column, x: heads.texts[column] })),
  );
  const rows = lines.slice(0, grid.all ? undefined : ROWS_SHOWN).flat();
  Object.assign(grid, { rows, cursor: 0, values: { ...v } });
  const element = byId("grid-chart"),
    narrow = innerWidth < 640;
  const step = (element.clientWidth - (narrow ? 130 : 270)) / targets.length;
  showLegend(selected.gains, scale);
  const view = await draw("heatmap", element, rows, {
    width: { step: Math.max(58, Math.min(118, step)) },
    signals: { narrow, cursor: "", lines: heads.most },
  });
  view.addEventListener("click", (_, item) => {
    if (!item?.datum?.key) return;
    setCursor(rows.findIndex((row) => row.key === item.datum.key));
    openCell(item.datum);
  });
  const text = (row) =>
    selected.gains && row.Interval !== "–" ? `${row.shown} (${row.Interval})` : row.shown;
  behind(byId("grid-more"), element, {
    caption: selected.gains ? "gains and their 95 % CIs" : "scores",
    head: ["Recipe", ...lines[0].map((row) => row.Target)],
    rows: () =>
      lines.map((line) => [
        line[0].Recipe,
        ...line.map((row) => ({ text: text(row), open: () => openCell(row) })),
      ]),
    saved: "grid",
  });
  if (lines.length > ROWS_SHOWN && !grid.all) {
    const all = () => {
      grid.all = true;
      showGrid(v);
    };
    byId("grid-more").prepend(
      h("button", { type: "button", click: all }, `Show all ${lines.length} recipes`),
    );
  }
}

function showLegend(gains, { low, high }) {
  const ends = gains ? [signed(-high), `${signed(high)} points`] : [number(low), number(high)];
  byId("grid-legend").replaceChildren(
    ends[0],
    h("span", { class: gains ? "ramp" : "ramp score" }),
    ends[1],
    gains ? h("span", {}, "bold: the CI excludes zero") : "",
    h("span", {}, "† degenerate · ‡ seeds missing · = shares training data with the target"),
  );
}

/** Move the frame to a cell, given by its place in the rows, and return the cell. */
function setCursor(place) {
  grid.cursor = place;
  drawn.get(byId("grid-chart"))?.view.signal("cursor", grid.rows[place].key).run();
  return grid.rows[place];
}

/** Arrow keys move a frame over the heat map and announce the cell; Enter opens it. */
function moveCursor(event) {
  const here = grid.rows[grid.cursor],
    by = ARROWS[event.key];
  if (!here || (!by && event.type !== "focus" && event.key !== "Enter" && event.key !== " "))
    return;
  if (event.type !== "focus") event.preventDefault();
  if (!by && event.type !== "focus") return openCell(here);
  if (by) {
    const next = grid.rows.findIndex(
      (row) => row.row === here.row + by[0] && row.column === here.column + by[1],
    );
    if (next >= 0) grid.cursor = next;
  }
  const row = setCursor(grid.cursor);
  byId("grid-live").textContent =
    `${row.Recipe}, ${row.Target}: ${row.shown}, CI ${row.Interval}, ${row.Seeds} seeds. ${row.Note}`;
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
  byId("grid-chart").addEventListener("keydown", moveCursor);
  byId("grid-chart").addEventListener("focus", moveCursor);
  return showGrid(values);
}
