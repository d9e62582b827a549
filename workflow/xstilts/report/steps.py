"""The tree of training steps and the cost of each recipe, as the page shows them.

Steps are rows of `Record.nodes`; steps that differ only in their seed are one branch of the tree.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from xstilts import units
from xstilts.config.schema import ARM
from xstilts.recipe import TASK

Columns = Mapping[str, list]
_PRETRAINING = "pretrain-"
KINDS = ("Own steps", "Shared steps", "Target", "Prediction")  # of a recipe's cost


@dataclass
class Use:
    """The recipes, models and runs that use a step."""

    recipes: set[int] = field(default_factory=set)
    models: set[int] = field(default_factory=set)
    runs: int = 0

    @property
    def text(self) -> str:
        """Number of runs, and of the recipes that share the step."""
        shared = f"shared by {len(self.recipes)} recipes · " if len(self.recipes) > 1 else ""
        return f"{shared}used by {units.count(self.runs, 'run')}"


@dataclass
class Branch:
    """Steps that differ only in their seed, and the branches of what is made from them."""

    number: int
    name: str
    parent: "Branch | None"
    nodes: list[int] = field(default_factory=list)
    trainings: list["Branch"] = field(default_factory=list)
    predictions: list["Branch"] = field(default_factory=list)
    facts: str = ""
    uses: str = ""
    state: str = ""  # empty if all are done
    is_open: bool = False


def branches(
    nodes: Columns, cells: Columns, models: list[str], label: Callable[[str], str]
) -> list[Branch]:
    """Return all branches of a study's tree; those without a parent are its roots."""
    by_kind: dict[tuple, Branch] = {}
    of_node: list[Branch] = []
    for node, above in enumerate(nodes["parent"]):
        parent = None if above is None else of_node[above]
        keys = ("phase", "model", "chain", "settings")
        kind = (*(nodes[key][node] for key in keys), parent and parent.number)
        if kind not in by_kind:
            by_kind[kind] = Branch(len(by_kind), _name(nodes, node, label), parent)
            if parent:
                is_leaf = nodes["phase"][node] == "predict"
                after = parent.predictions if is_leaf else parent.trainings
                after.append(by_kind[kind])
        by_kind[kind].nodes.append(node)
        of_node.append(by_kind[kind])
    used = uses(nodes, cells)
    for branch in by_kind.values():
        _describe(branch, nodes, used, models, label)
    return list(by_kind.values())


def uses(nodes: Columns, cells: Columns) -> list[Use]:
    """Return the use of each step."""
    used = [Use() for _ in nodes["id"]]
    for model, recipe, leaf in _runs(cells):
        for node in _lineage(nodes, leaf):
            used[node].models.add(model)
            used[node].recipes.add(recipe)
            used[node].runs += 1
    return used


def _runs(cells: Columns) -> Iterable[tuple[int, int, int]]:
    """Return the model, the recipe and the predictions of each cell."""
    return zip(cells["model"], cells["recipe"], cells["predictions"], strict=True)


def _lineage(nodes: Columns, node: int | None) -> list[int]:
    """Return all steps from the initial model to this one; a merge needs those that it combines."""
    steps = []
    while node is not None:
        steps.append(node)
        steps += reversed((nodes["merged"][node] if "merged" in nodes else None) or [])
        node = nodes["parent"][node]
    return steps[::-1]


def _name(nodes: Columns, node: int, label: Callable[[str], str]) -> str:
    chain, model = nodes["chain"][node], label(nodes["model"][node])
    if nodes["phase"][node] == "predict":
        return f"predictions: {label(chain)}"
    if nodes["parent"][node] is None:
        origin = "as downloaded" if chain == "hub" else "random weights"
        return ": ".join(dict.fromkeys([model, origin]))
    pretraining = chain.startswith(_PRETRAINING)
    step = chain.removeprefix(_PRETRAINING) if pretraining else chain.split("-")[-1]
    pieces = re.split("([+|])", step)
    parts = [re.sub(f"^{TASK}", lambda task: label(task[0]), piece) for piece in pieces]
    kind = "pretraining: " if pretraining else "merge: " * (nodes["phase"][node] == "merge")
    return kind + " ".join(parts)


def _describe(
    branch: Branch, nodes: Columns, used: list[Use], models: list[str], label: Callable[[str], str]
) -> None:
    """Fill in what the tree shows beside the branch's name."""
    first = branch.nodes[0]
    use = Use(used[first].recipes, used[first].models, sum(used[n].runs for n in branch.nodes))
    arms = [models[number] for number in use.models]
    facts = [
        label(arms[0]) if len(arms) == 1 and ARM in arms[0] else "",
        f"{len(branch.nodes)} seeds" if len(branch.nodes) > 1 else "",
        duration(seconds(nodes, branch.nodes)),
        use.text,
    ]
    branch.uses = use.text
    branch.facts = " · ".join(filter(None, facts))
    states = [nodes["state"][node] for node in branch.nodes]
    done = states.count("done") + states.count("released")
    if "failed" in states:
        branch.state = "failed"
    elif done < len(states):
        branch.state = f"{done} of {len(states)} done" if done else "missing"
    elif "released" in states:
        branch.state = "released: weights deleted, log kept"
    is_root = branch.parent is None or nodes["chain"][first].startswith(_PRETRAINING)
    branch.is_open = is_root and nodes["model"][first] == models[0].partition(ARM)[0]


def seconds(nodes: Columns, chosen: Iterable[int]) -> float | None:
    """Return the measured seconds of steps; None if none is measured."""
    known = [nodes["seconds"][n] for n in chosen if nodes["seconds"][n] is not None]
    return sum(known) if known else None


def duration(amount: float | None) -> str:
    """Return seconds in words; a dash for no step."""
    if amount is None:
        return "not measured"
    return units.duration(amount) if amount else "–"


def costs(
    nodes: Columns, cells: Columns, lengths: list[int]
) -> dict[int, list[tuple[int, list[float | None], int]]]:
    """Return the cost of each recipe by model: (recipe, seconds by kind of step, bytes).

    The kinds are own steps, steps shared with other recipes, the target's training, predictions;
    the seconds are those of one GPU where a job has several. `lengths` are the recipes' steps. The
    most expensive recipe comes first.
    """
    used = uses(nodes, cells)
    kinds: dict[tuple[int, int], list[set[int]]] = {}
    for model, recipe, leaf in _runs(cells):
        groups = kinds.setdefault((model, recipe), [set(), set(), set(), set()])
        own, shared, target, predicted = groups
        predicted.add(leaf)
        for position, node in enumerate(_trained(nodes, leaf)):
            is_shared = len(used[node].recipes) > 1
            alone = own if position < lengths[recipe] else target
            (shared if is_shared else alone).add(node)
    rows: dict[int, list] = {}
    for (model, recipe), groups in kinds.items():
        size = sum(nodes["bytes"][node] for group in groups for node in group)
        rows.setdefault(model, []).append((recipe, [_spent(nodes, g) for g in groups], size))
    return {
        model: sorted(some, key=lambda row: -sum(filter(None, row[1])))
        for model, some in rows.items()
    }


def _trained(nodes: Columns, leaf: int) -> list[int]:
    """Return the training steps before a prediction, without the model's own pretraining."""
    return [
        node
        for node in _lineage(nodes, leaf)
        if nodes["phase"][node] == "train" and not nodes["chain"][node].startswith(_PRETRAINING)
    ]


def pretraining(nodes: Columns) -> float | None:
    """Return the measured seconds of the models' own pretraining; None if there is none."""
    chains = enumerate(nodes["chain"])
    return seconds(nodes, [node for node, chain in chains if chain.startswith(_PRETRAINING)])


def _spent(nodes: Columns, chosen: set[int]) -> float | None:
    known = [n for n in chosen if nodes["seconds"][n] is not None]
    spent = sum(nodes["seconds"][n] * max(1, nodes["gpus"][n]) for n in known)
    return None if chosen and not known else spent


def environment(values: Mapping[str, Any]) -> str:
    """Return the Python and the libraries of an artefact in words."""
    libraries = [f"{name} {version}" for name, version in (values["libraries"] or {}).items()]
    return ", ".join([f"Python {values['python']}", *libraries])
