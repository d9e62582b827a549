"use strict";
/* The panel of a training step, and the start of the page. */
const branchOf = new Map(); // step -> number of its branch; the template draws the tree
D.branches.forEach(([, , nodes], branch) => nodes.forEach((node) => branchOf.set(node, branch)));
byId("steps").addEventListener("click", (event) => {
  const branch = event.target.dataset.branch;
  if (branch) openStep(Number(branch));
});

function openStep(branch) {
  const [name, uses, nodes] = D.branches[branch],
    first = nodes[0],
    of = (state) => nodes.filter((n) => N.state[n] === state),
    isTraining = N.phase[first] === "train",
    chart = h("div", { class: "chart", role: "img", "aria-label": "Learning curves" }),
    more = h("div");
  openPanel(
    name,
    `${label(N.model[first])} · ${N.chain[first]} · ${N.phase[first]}`,
    h("p", {}, `${of("done").length + of("released").length} of ${nodes.length} done · ${time(seconds(nodes))} in total · ${uses}`),
    of("failed").map((n) => h("p", { class: "warnings" }, `${N.id[n]} failed: ${column("failure", n)}`)),
    isTraining ? [h("h3", {}, "Learning curves"), chart, more] : null,
    h("h3", {}, "By seed"),
    table(
      ["Seed", "State", "Time", "Examples", "Optimiser steps", "Identifier"],
      nodes.map((n) => [
        ...[String(N.seed[n]), N.state[n], time(column("seconds", n))],
        ...["examples", "steps"].map((key) => String(column(key, n) ?? "–")),
        h("code", {}, N.id[n]),
      ]),
    ),
    h("h3", {}, "Settings"),
    settingsOf(first),
    h("h3", {}, "Log"),
    logsOf(nodes, [first]),
    librariesOf(nodes),
    h("h3", {}, "Run again"),
    copied(nodes.map((n) => command(N.phase[n], N.id[n])).join("\n")),
  );
  if (isTraining) drawCurves(chart, more, nodes);
}

/** The libraries that created some steps, in words; nothing if no step has a manifest. */
function librariesOf(nodes) {
  const used = [...new Set(present(nodes.map((n) => column("environment", n))))];
  const lines = used.map((id) => h("p", {}, h("small", {}, D.environments[id])));
  return used.length ? [h("h3", {}, "Libraries"), ...lines] : null;
}

/** One section after another: a large page opens soon and prints completely. */
async function start() {
  document.documentElement.setAttribute("data-ready", "");
  for (const begin of [startLanguages, startCost, startExamples]) {
    await new Promise((resume) => setTimeout(resume));
    await begin();
  }
  for (const section of document.querySelectorAll("main > section"))
    section.setAttribute("data-drawn", "");
}
start();
