/* The panel of details of a run or a step. */
const N = D.nodes;
const column = (name, node) => N[name]?.[node] ?? null;

function showPanel({ run, step }) {
  if (step && D.branches[step]) return openStep(Number(step));
  if (readKey(run)) return openRun(...readKey(run));
  if (panel.open) panel.close();
}

/** A table in a region that scrolls; a head may be a number's, `>Score`. */
function table(caption, head, rows) {
  const kind = (i) => ({ class: head[i].startsWith(">") ? "number" : null });
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, head.map((text, i) => h("th", { scope: "col", ...kind(i) }, text.replace(">", ""))))),
      h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell, i) => h("td", kind(i), cell))))),
    ),
  );
}

/* -------------------------------------------------------------------- steps and their costs */
const branchOf = new Map(); // step -> number of its branch; the template draws the tree
D.branches.forEach(([, , nodes], branch) => nodes.forEach((node) => branchOf.set(node, branch)));
/** All steps before a step, and itself; a merge needs the steps that it combines. */
const lineage = (node) =>
  node === null ? [] : [...lineage(N.parent[node]), ...(N.merged?.[node] ?? []), node];
/** The steps of a run that its recipe and target need: not the pretraining. */
const stepsOf = (cell) =>
  lineage(D.cells.predictions[cell]).filter(
    (n) => N.phase[n] !== "initialise" && !N.chain[n].startsWith("pretrain-"),
  );
const seconds = (nodes) => {
  const known = present(nodes.map((n) => column("seconds", n)));
  return known.length ? sum(known) : null;
};

/** The settings of a step: those of training or prediction, and of each of its parts with its data. */
function settingsOf(node) {
  const { parts = [], data = [], ...groups } = D.settings[column("settings", node)] ?? {};
  const code = (value) => h("code", {}, value);
  const pretty = (value) =>
    value === null ? "none" : typeof value === "object" ? JSON.stringify(value) : String(value);
  const lines = (values) => Object.entries(values).map(([name, value]) => [name, code(pretty(value))]);
  const files = (ids) => ids.map((id) => ["data set", code(id)]);
  const fold = (title, rows) =>
    h("details", {}, h("summary", {}, title), table(title, ["Setting", "Value"], rows));
  return [
    Object.entries(groups).map(([group, values]) => fold(`Settings: ${group}`, lines(values))),
    parts.map((part) =>
      fold(`Settings of the part ${part.task}`, [...lines({ ...part.train, ...part.encode }), ...files(part.data)]),
    ),
    data.length ? fold("Data", files(data)) : null,
  ];
}

/** A word for a shell; the ids of merges have a `|`. */
const quoted = (word) => (/[^\w.@%+=:,/~-]/.test(word) ? `'${word}'` : word);
const command = (stage, id) => `python -m xstilts ${stage} --study ${D.snapshot} ${quoted(id)}`;
function commands(lines) {
  const text = lines.join("\n"),
    button = h("button", { type: "button", click: () => copyText(text, button) }, "Copy");
  return [
    h("h3", {}, "Run again"),
    h("p", { class: "hint" }, "Run in the project's folder. Existing outputs are kept: delete an output to create it again."),
    h("pre", { tabindex: "0" }, text),
    button,
  ];
}

/** The logs of the failed steps; if none failed, of `others`. */
function logsOf(nodes, others) {
  const failed = nodes.filter((n) => N.state[n] === "failed");
  const shown = (failed.length ? failed : others).map((node) => [
    column("failure", node) ? h("p", { class: "wrong" }, `Failed: ${N.failure[node]}`) : null,
    h("p", {}, h("code", {}, `results/logs/${N.phase[node]}/${N.id[node]}.log`)),
    column("log", node) ? h("pre", { tabindex: "0" }, N.log[node]) : null,
  ]);
  return [h("h3", {}, "Log"), shown];
}

/* ----------------------------------------------------------------- learning curves as a drawing */
const SVG = "http://www.w3.org/2000/svg";
function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
/** A line per seed over the optimiser steps; the table below has the numbers. */
function curve(title, lines) {
  const xs = lines.flatMap((line) => line.x),
    ys = lines.flatMap((line) => line.y);
  const [left, right, top, bottom] = [44, 470, 10, 130];
  const [x0, x1, y0, y1] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const x = (value) => left + ((value - x0) / (x1 - x0 || 1)) * (right - left),
    y = (value) => bottom - ((value - y0) / (y1 - y0 || 1)) * (bottom - top);
  const text = (at, anchor, content) => svg("text", { x: at[0], y: at[1], "text-anchor": anchor }, content);
  const paths = lines.map((line, i) => {
    const points = line.x.map((value, n) => `${x(value).toFixed(1)},${y(line.y[n]).toFixed(1)}`);
    return svg("polyline", { points: points.join(" "), class: `line-${i % 5}` }, svg("title", {}, line.name));
  });
  const names = lines.map((line) => line.name).join(", ");
  return h(
    "figure",
    {},
    h("figcaption", {}, `${title} (${names})`),
    svg(
      "svg",
      { viewBox: "0 0 480 150", class: "curve", role: "img", "aria-label": `${title}: from ${y0} to ${y1}, over ${x1} optimiser steps` },
      svg("path", { d: `M${left},${top}V${bottom}H${right}` }),
      text([left - 5, top + 4], "end", String(y1)),
      text([left - 5, bottom], "end", String(y0)),
      text([left, bottom + 15], "start", String(x0)),
      text([right, bottom + 15], "end", `${x1} steps`),
      ...paths,
    ),
  );
}
function curvesOf(nodes) {
  const series = [...new Set(nodes.flatMap((node) => Object.keys(column("curve", node) ?? {})))];
  const title = (name) => (name === "loss" ? "training loss" : `validation: ${label(name.slice(5))}`);
  return series.map((name) => {
    const own = nodes.filter((node) => column("curve", node)?.[name]);
    const lines = own.map((node) => {
      const [axis, values] = N.curve[node][name];
      return { name: `seed ${N.seed[node]}`, x: D.axes[axis], y: values };
    });
    return curve(title(name), lines);
  });
}

/* ---------------------------------------------------------- the runs of a recipe on a target */
/** Gains in each language as dots with CIs on one axis, the numbers beside. */
function languagesTable(m, r, t) {
  const codes = [...new Set((t === MEAN ? D.targets : [t]).flatMap((u) => languagesOf(u, "avg")))];
  const rows = codes
    .map((code) => ({ code, ...languageGain(m, r, t, code), score: mean(present(seedScores(m, r, t, "", code))) }))
    .filter((x) => x.score !== null || x.gain !== null)
    .sort((a, b) => (b.gain ?? -1e9) - (a.gain ?? -1e9));
  const size = axisOf(rows);
  const dot = (x) => {
    const cell = h("span", { class: `mean ${x.gain < 0 ? "loss" : "gain"} ${x.significant ? "strong" : ""}` });
    setPlaces(cell, placesOf(x, size));
    return cell;
  };
  return table(
    "Gain in each language",
    ["Language", ">Score", ">Gain", "Gain and CI", "95 % CI"],
    rows.map((x) => [
      languageName(x.code) + (x.code === D.sources[t] ? ", source" : ""),
      x.score === null ? "" : number(x.score),
      x.gain === null ? "" : signed(x.gain),
      x.gain === null ? "" : dot(x),
      x.low === null || x.low === undefined ? "" : ends(x),
    ]),
  );
}

const runName = (m, r, t, i) => `${m}.${r}.${t}.s${D.seeds[i]}`;
function openRun(m, r, t) {
  const s = summary(m, r, t, view),
    scores = seedScores(m, r, t, view.metric, view.over),
    cells = present(cellsOf(m, r, t)),
    steps = cells.map(stepsOf);
  const verdict = s.significant ? "significant" : s.p === null ? "no verdict from one seed" : "not significant";
  const ci = s.low === null ? "no CI for this choice" : `95 % CI ${ends(s)}, ${verdict}`;
  const headline =
    s.gain !== null
      ? [signed(s.gain), h("small", {}, ` points over ${label(view.baseline)}; ${ci}`)]
      : [s.mean === null ? "missing" : number(s.mean), h("small", {}, " mean score over seeds")];
  const warnings = [
    sharesData.has(key(r, t)) &&
      "An intermediate task and the target share training data: a gain reflects longer training, not transfer.",
    s.degenerate &&
      `${s.degenerate} of ${s.runs} runs are degenerate: not better than the most frequent label in the source language.`,
    s.seeds < s.wanted && `${s.wanted - s.seeds} of ${s.wanted} seeds are missing.`,
  ].filter(Boolean);
  // additional seeds are of the baseline alone
  const isWanted = (i) => (t === MEAN ? D.targets : [t]).some((u) => cellsOf(m, r, u)[i] !== undefined);
  const seedRows = [...D.seeds.keys()].filter(isWanted).map((i) => [
    ...[String(D.seeds[i]), scores[i] === null ? "missing" : number(scores[i])],
    t === MEAN ? "" : h("code", {}, runName(m, r, t, i)),
  ]);
  openPanel(
    `${label(r)} → ${targetName(t)}`,
    `${label(m)} · ${D.written[r]}`,
    h("p", { class: "wide-value" }, headline),
    warnings.map((text) => h("p", { class: "warnings" }, text)),
    ...[h("h3", {}, "By language"), languagesTable(m, r, t)],
    ...[h("h3", {}, "By seed"), table("Scores of each seed", ["Seed", ">Score", "Run"], seedRows)],
    cells.length ? stepsOfRuns(m, r, t, cells, steps) : null,
  );
}

/** Steps, settings, logs and commands of the runs of a recipe on a target. */
function stepsOfRuns(m, r, t, cells, steps) {
  const last = steps[0].slice(-2);
  const link = (branch) => {
    const [name, uses, nodes] = D.branches[branch],
      own = nodes.filter((n) => steps.flat().includes(n));
    const facts = [N.phase[own[0]], time(seconds(own)), uses].join(" · ");
    const button = { class: "link", type: "button", click: () => choose({ run: "", step: String(branch) }) };
    return h("p", {}, h("button", button, name), h("small", {}, ` ${facts}`));
  };
  const scored = (cell) => {
    const name = runName(m, r, t, D.cells.seed[cell]);
    return command("score", `${name.slice(0, 160)}.${D.cells.score[cell]}`);
  };
  return [
    h("h3", {}, "Steps and settings"),
    [...new Set(steps.flat().map((n) => branchOf.get(n)))].map(link),
    last.map(settingsOf),
    logsOf(steps.flat(), last),
    commands(cells.flatMap((cell, i) => [...steps[i].map((n) => command(N.phase[n], N.id[n])), scored(cell)])),
  ];
}

function openStep(branch) {
  const [name, uses, nodes] = D.branches[branch],
    first = nodes[0],
    of = (state) => nodes.filter((n) => N.state[n] === state);
  const curves = N.phase[first] === "train" ? curvesOf(nodes) : null;
  const head = ["Seed", "State", ">Time", ">Examples", ">Optimiser steps", "Identifier", "sha256"];
  const used = [...new Set(present(nodes.map((n) => column("environment", n))))];
  openPanel(
    name,
    `${label(N.model[first])} · ${N.chain[first]} · ${N.phase[first]}`,
    h("p", {}, `${of("done").length + of("released").length} of ${nodes.length} done · ${time(seconds(nodes))} in total · ${uses}`),
    of("failed").map((n) => h("p", { class: "warnings" }, `${N.id[n]} failed: ${column("failure", n)}`)),
    curves && [h("h3", {}, "Learning curves"), curves.length ? curves : h("p", {}, "No training log: not trained yet.")],
    h("h3", {}, "By seed"),
    table(
      "The step of each seed",
      head,
      nodes.map((n) => [
        ...[String(N.seed[n]), N.state[n], time(column("seconds", n))],
        ...["examples", "steps"].map((name) => String(column(name, n) ?? "–")),
        h("code", {}, N.id[n]),
        h("code", {}, column("sha256", n) ?? "–"),
      ]),
    ),
    ...[h("h3", {}, "Settings"), settingsOf(first)],
    logsOf(nodes, [first]),
    used.length ? [h("h3", {}, "Libraries"), used.map((id) => h("p", {}, h("small", {}, D.environments[id])))] : null,
    commands(nodes.map((n) => command(N.phase[n], N.id[n]))),
  );
}

loaded = { fillGrid, fillLanguages, explain, showPanel };
show(view);
document.documentElement.setAttribute("data-ready", "");
