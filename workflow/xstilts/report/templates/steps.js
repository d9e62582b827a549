"use strict";
/* The tree of steps, the lists of provenance, and the start of the page. */
/* ------------------------------------------------------------------------------- the steps */
const kinds = new Map();
/** What steps that differ only in their seed have in common. */
function kindOf(node) {
  if (!kinds.has(node)) {
    const above = N.parent[node] === null ? "" : kindOf(N.parent[node]);
    kinds.set(
      node,
      [N.phase[node], N.model[node], N.chain[node], column("settings", node), above].join(" "),
    );
  }
  return kinds.get(node);
}
const withLabels = (text) =>
  text
    .split("+")
    .map((part) => label(taskOf(part)) + part.slice(taskOf(part).length))
    .join(" + ");
function stepName(node) {
  const chain = N.chain[node];
  if (N.phase[node] === "predict") return `predictions: ${label(chain)}`;
  if (N.parent[node] === null)
    return `${label(N.model[node])}: ${chain === "hub" ? "as downloaded" : "random weights"}`;
  if (chain.startsWith("pretrain-")) return `pretraining: ${withLabels(chain.slice(9))}`;
  return withLabels(chain.split("-").at(-1));
}
const shared = (nodes) => {
  const cells = sum(nodes.map((n) => cellsBelow[n]));
  return `${cells} cell${cells === 1 ? "" : "s"} below`;
};

function openStep(nodes) {
  const chart = h("div", { class: "chart", role: "img", "aria-label": "Learning curves" }),
    table = h("div"),
    first = nodes[0];
  const failed = nodes.filter((n) => N.state[n] === "failed");
  openPanel(
    stepName(first),
    `${label(N.model[first])} · ${N.chain[first]} · ${N.phase[first]}`,
    h(
      "p",
      {},
      `${nodes.filter((n) => N.state[n] === "done").length} of ${nodes.length} done · ${time(seconds(nodes))} in all · ${shared(nodes)}, of ${users[first].size} recipe${users[first].size === 1 ? "" : "s"}`,
    ),
    failed.flatMap((n) => [
      h("p", { class: "warnings" }, `${N.id[n]} failed: ${column("failure", n)}`),
    ]),
    N.phase[first] === "train" ? [h("h3", {}, "Learning curves"), chart, table] : null,
    h("h3", {}, "Runs"),
    rowsTable(
      ["Seed", "State", "Time", "Examples", "Steps", "Identifier"],
      nodes.map((n) => [
        String(N.seed[n]),
        N.state[n],
        time(column("seconds", n)),
        String(column("examples", n) ?? "–"),
        String(column("steps", n) ?? "–"),
        h("code", {}, N.id[n]),
      ]),
    ),
    h("h3", {}, "Settings"),
    ...settingsOf(first),
    h("h3", {}, "Log"),
    ...logsOf(nodes, [first]),
    ...librariesOf(nodes),
    h("h3", {}, "Run it again"),
    copied(nodes.map((n) => command(stageOf(n), N.id[n])).join("\n")),
  );
  if (N.phase[first] !== "train") return;
  drawCurves(chart, nodes).then(
    () =>
      curveRows(nodes).length &&
      behind(table, chart, {
        caption: "learning curves",
        head: ["Series", "Run", "Step", "Value"],
        rows: () => curveRows(nodes).map((x) => [x.series, x.run, x.step, x.value]),
        saved: "curves",
      }),
  );
}

/** Which libraries made a step's checkpoints, in words; nothing where none is there. */
function librariesOf(nodes) {
  const used = [...new Set(there(nodes.map((n) => column("environment", n))))];
  return used.length
    ? [
        h("h3", {}, "Made with"),
        ...used.map((id) => h("p", {}, h("small", {}, librariesText(D.environments[id])))),
      ]
    : [];
}
const librariesText = (e) =>
  [`Python ${e.python}`, ...Object.entries(e.libraries ?? {}).map((pair) => pair.join(" "))].join(
    ", ",
  );

/** What a branch of the tree says beside its name; `state` is empty where all is done. */
function branchFacts(nodes) {
  const done = nodes.filter((n) => N.state[n] === "done").length;
  const recipes = users[nodes[0]].size;
  const arms = [...modelsBelow[nodes[0]]].map((m) => MODELS[m]);
  const facts = [
    arms.length === 1 && arms[0] !== baseModel(arms[0]) && label(arms[0]),
    nodes.length > 1 && `${nodes.length} seeds`,
    time(seconds(nodes)),
    recipes > 1 && `shared by ${recipes} recipes`,
    shared(nodes),
  ];
  let state = done === nodes.length ? "" : done ? `${done} of ${nodes.length} done` : "missing";
  if (nodes.some((n) => N.state[n] === "failed")) state = "failed";
  return { text: facts.filter(Boolean).join(" · "), state };
}

/** The tree as nested lists: steps that differ only in their seed are one branch, made when opened. */
function startTree() {
  const nodesOf = new Map(),
    children = new Map([["", []]]);
  for (const node of range(nodeCount)) {
    const kind = kindOf(node);
    if (!nodesOf.has(kind)) {
      nodesOf.set(kind, []);
      children.set(kind, []);
      children.get(N.parent[node] === null ? "" : kindOf(N.parent[node])).push(kind);
    }
    nodesOf.get(kind).push(node);
  }
  const list = (kinds) => h("ul", {}, kinds.map(branch));
  function branch(kind) {
    const nodes = nodesOf.get(kind),
      below = children.get(kind),
      { text, state } = branchFacts(nodes);
    const item = h("li"),
      name = stepName(nodes[0]);
    const open = (on) => {
      fold.setAttribute("aria-expanded", on);
      fold.textContent = on ? "▾" : "▸";
      if (on && item.children.length < 2) item.append(list(below));
      item.children[1].hidden = !on;
    };
    const turn = () => open(fold.getAttribute("aria-expanded") !== "true");
    const fold = h(
      "button",
      {
        class: "fold",
        type: "button",
        "aria-label": `Steps after ${name}`,
        "aria-expanded": "false",
        click: turn,
      },
      "▸",
    );
    const title = h(
      "button",
      { class: "link", type: "button", dir: "auto", click: () => openStep(nodes) },
      name,
    );
    item.append(
      h(
        "div",
        { class: "row" },
        below.length ? fold : h("span"),
        h(
          "div",
          {},
          title,
          h("small", {}, text),
          state ? h("span", { class: "state" }, state) : null,
        ),
      ),
    );
    const isRoot = N.parent[nodes[0]] === null || N.chain[nodes[0]].startsWith("pretrain-");
    if (isRoot && below.length && N.model[nodes[0]] === baseModel(D.models[0])) open(true);
    return item;
  }
  const tree = list(children.get(""));
  tree.className = "tree";
  byId("steps-tree").replaceChildren(tree);
}

/* ------------------------------------------------------------------------------ provenance */
function startProvenance() {
  const excluded = (data) =>
    Object.entries(data.excluded)
      .map(([reason, count]) => `${count} ${reason}`)
      .join("; ");
  const used = new Map();
  for (const id of [...(N.environment ?? []), ...D.datasets.map((data) => data.environment)])
    if (id !== null && id !== undefined) used.set(id, (used.get(id) ?? 0) + 1);
  const fold = (title, make) => {
    const details = h(
      "details",
      { toggle: () => details.open && details.children.length < 2 && details.append(make()) },
      h("summary", {}, title),
    );
    return details;
  };
  byId("provenance-more").replaceChildren(
    fold(`Data sets: ${D.datasets.length}, with what is left out`, () =>
      rowsTable(
        ["Data set", "Rows", "Left out", "sha256 of its rows"],
        D.datasets.map((data) => [
          h("code", {}, data.id),
          String(data.rows ?? "missing"),
          excluded(data) || "none",
          h("code", {}, data.sha256 || "–"),
        ]),
      ),
    ),
    fold(`Libraries and commits of the runs: ${D.environments.length}`, () =>
      rowsTable(
        ["Artefacts", "Commit", "Made with"],
        [...used].map(([id, count]) => {
          const e = D.environments[id];
          return [
            String(count),
            h("code", {}, e.commit ?? "none"),
            librariesText(e),
          ];
        }),
      ),
    ),
    fold(`Steps: ${nodeCount}, with their identifiers`, () =>
      rowsTable(
        ["Identifier", "State", "Weights' sha256"],
        range(Math.min(nodeCount, 2000)).map((n) => [
          h("code", {}, N.id[n]),
          N.state[n],
          h("code", {}, column("sha256", n) ?? "–"),
        ]),
      ),
    ),
  );
}

/* ----------------------------------------------------------------------------------- start */
function startFacts() {
  const hours = sum(D.phases.map((p) => p.gpu_hours)),
    measured = sum(D.phases.map((p) => p.seconds));
  byId("time-unit").textContent = hours ? "GPU hours" : "time of all jobs";
  const done = sum(D.phases.map((p) => p.done)),
    known = sum(D.phases.map((p) => p.measured));
  byId("time").textContent = !known ? "–" : hours ? hours.toFixed(1) : time(measured);
  if (known && known < done) byId("time").append(h("small", {}, `, ${known} of ${done} measured`));
  byId("disk").textContent = size(sum(D.phases.map((p) => p.bytes)));
}
const startCost = () =>
  showCost(controls(byId("cost-controls"), { model: ["Model", modelOptions(D.models)] }, showCost));
/** The first screen, then one section after another, so that a large page opens soon and prints whole. */
async function start() {
  startFacts();
  await startGrid();
  document.documentElement.setAttribute("data-ready", "");
  const sections = {
    languages: startLanguages,
    steps: startTree,
    cost: startCost,
    examples: startExamples,
    provenance: startProvenance,
  };
  for (const [id, draw] of Object.entries(sections)) {
    await new Promise((resume) => setTimeout(resume));
    await draw();
    byId(id)?.setAttribute("data-drawn", "");
  }
}
start();
let width = innerWidth;
addEventListener("resize", () => {
  if (innerWidth !== width) {
    width = innerWidth;
    showGrid(grid.values);
  }
});
