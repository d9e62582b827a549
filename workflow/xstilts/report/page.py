"""`report.html`: one self-contained page on a study, from its results and the results folder.

The template renders all that needs no choice: tables of gains, tree of steps, cost, examples,
provenance. A script refills the tables after a choice and draws the panel, from compressed JSON. It
is inside of the page, whose policy forbids connections.
"""

import base64
import hashlib
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from itertools import compress
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from xstilts import units
from xstilts.analyses.answer import Answer, row
from xstilts.languages.names import by_code, language
from xstilts.recipe import trainings
from xstilts.report import disagreements, steps
from xstilts.report.grid import MARKS, Tables, key
from xstilts.report.record import Record
from xstilts.report.view import StudyView
from xstilts.results.scores import (
    AVERAGES,
    BASELINE,
    DECIMALS,
    MEAN,
    Context,
    Results,
    majority_floor,
    summarise,
)
from xstilts.results.tables import signed
from xstilts.units import count

TEMPLATES = Path(__file__).parent / "templates"
ENVIRONMENT = Environment(
    loader=FileSystemLoader(TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.filters |= {
    "duration": units.duration,
    "size": units.size,
    "signed": lambda value: signed(value, "+"),
}
EARLY = ("dom", "sorting", "page")  # runs below the first table, before the rest of a large page
LATE = ("data", "tables", "panel")  # a module: what needs the data, read when all is shown
_LARGEST_FIGURES = 200_000  # bytes of all figures; the files are beside the page
_LARGE = 2000  # cells of a page that is laid out in parts
_SUMMED = ("wanted", "done", "measured", "seconds", "gpu_hours", "bytes")  # of the phases
LIBRARIES = ("xstilts", "matplotlib", "pandas", "numpy", "scipy")  # that draw the page


def render(view: StudyView, results: Results, answer: Answer, files: Mapping[str, bytes]) -> str:
    """Return the page as HTML; equal inputs give equal pages.

    `files` are the other files of the study's folder, whose hashes the page lists.
    """
    record, context, tables = Record(view.grid), results.context, Tables(view.grid, results)
    nodes, datasets = record.nodes(), record.datasets()
    examples = disagreements.sample(view.grid, record.notices)
    cells = _cells(view, results, record)
    branches = steps.branches(nodes, cells["cells"], context.all_models, context.label)
    data = {
        **_names(view, results, tables),
        **cells,
        "nodes": nodes,
        "branches": [[branch.name, branch.uses, branch.nodes] for branch in branches],
        "settings": record.settings.values,
        "environments": [steps.environment(values) for values in record.environments.values],
        "axes": record.axes.values,
        "snapshot": str(view.snapshot),
        "gains": _gains(results),
        "majority": _majority(results),
        "means": {average: _means(results, average) for average in AVERAGES},
    }
    provenance = _provenance(record, nodes, datasets)
    return ENVIRONMENT.get_template("report.html").render(
        answer=answer,
        findings=[*answer.finding.splitlines(), *answer.power.splitlines()],
        estimates=map(row, answer.estimates),
        is_large=len(context.cells) > _LARGE,
        bibtex=bibtex(context.study, answer.question, view.stamp.name),
        study=context.study,
        about=_about(results, provenance["total"]),
        figures=_figures(answer, files),
        notes=context.notes,
        warnings=[*results.warnings, *_state_warnings(results, nodes, datasets)],
        tables=tables,
        marks=MARKS,
        **_choices(results, tables),
        **_costs(view, context, nodes, cells["cells"]),
        pretraining=steps.pretraining(nodes),
        seeds=context.seeds,
        roots=[branch for branch in branches if not branch.parent],
        examples=examples,
        label=context.label,
        language=lambda code: f"{language(code).name} ({code})",
        **provenance,
        files=[(name, hashlib.sha256(content).hexdigest()) for name, content in files.items()],
        stamp=view.stamp.name,
        **_scripts(),
        style=Markup(_template("report.css")),
        data=packed(data),
    )


def _scripts() -> dict[str, str]:
    """Return the page's scripts, and the hashes by which its policy permits them."""
    early, late = ("".join(_template(f"{n}.js") for n in names) for names in (EARLY, LATE))
    digests = (hashlib.sha256(script.encode()).digest() for script in (early, late))
    hashes = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return {
        "script_hashes": Markup(hashes),
        "early_script": Markup(early),
        "late_script": Markup(late),
    }


def packed(value: Any) -> str:
    """Return JSON, compressed and in base64: a third of its size, and no text can end a script."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def bibtex(study: str, title: str, stamp: str) -> str:
    """Return an entry that cites a study and the state of its results."""
    escaped = title.replace("\\", "").replace("{", "").replace("}", "")
    return (
        f"@misc{{{study},\n  title = {{{{{escaped}}}}},\n"
        f"  note = {{Study {study} of xstilts {version('xstilts')}, {stamp}}}\n}}\n"
    )


def _about(results: Results, total: Mapping[str, float]) -> list[str]:
    """Return what the head of the page says of the study's size and state."""
    context, scored, wanted = results.context, len(results.scored), len(results.context.cells)
    runs = f"{scored:,} of {wanted:,} runs" if scored < wanted else count(wanted, "run")
    models = context.models
    names = [context.label(models[0]) if len(models) == 1 else count(len(models), "model")]
    facts = [*names, runs, count(len(context.seeds), "seed")]
    if total["measured"]:
        hours = units.hours(total["gpu_hours"] or total["seconds"] / 3600)
        facts.append(f"{'GPU' if total['gpu_hours'] else 'job'} time {hours}")
    return facts


def _choices(results: Results, tables: Tables) -> dict[str, list[tuple[str, str]]]:
    """Return the options of the page's controls, the default first."""
    context, languages = results.context, tables.languages
    recipes = sorted(context.recipes, key=lambda recipe: recipe != BASELINE)
    averages = sorted(AVERAGES, key=lambda average: average != tables.average)
    names = {"zero_shot": "all except the source", "avg": "all"}
    metrics = dict.fromkeys(results.frame["metric"])
    families, scripts = ({getattr(x, key) for x in languages} for key in ("family", "script"))

    def among(every: str, names: Iterable[str]) -> list[tuple[str, str]]:
        return [("", every), *((name, name) for name in names)]

    return {
        "baselines": [(recipe, context.label(recipe)) for recipe in recipes],
        "averages": [
            *((average, names[average]) for average in averages),
            *((x.code, x.name) for x in sorted(languages, key=lambda x: x.name)),
        ],
        "metrics": [("", "each target's own"), *((m, m.replace("_", " ")) for m in metrics)],
        "language_targets": [
            (t, "mean over targets" if t == MEAN else context.label(t)) for t in tables.targets
        ],
        "levels": among("every level", tables.levels),
        "families": among("every family", sorted(families)),
        "script_names": among("every script", sorted(scripts)),
    }


def _costs(
    view: StudyView, context: Context, nodes: Mapping[str, list], cells: Mapping[str, list]
) -> dict[str, Any]:
    """Return the bars and the texts of each model's cost per recipe, and the kinds of step used."""
    recipes = [view.grid.recipes[name] for name in context.recipes]
    lengths = [sum(len(trainings(step)) for step in recipe.steps) for recipe in recipes]
    costs = steps.costs(nodes, cells, lengths)
    every = [parts for rows in costs.values() for _, parts, _ in rows]
    used = [any(seconds != 0 for seconds in kind) for kind in zip(*every, strict=True)]
    largest = max((sum(filter(None, parts)) for parts in every), default=0)  # one scale for all

    def shown(recipe: int, parts: list[float | None], size: int) -> dict[str, Any]:
        times = [sum(filter(None, parts)) or None, *compress(parts, used)]
        return {
            "label": context.label(context.recipes[recipe]),
            "shares": [f"{100 * (part or 0) / largest:.1f}" for part in parts],
            "texts": [*map(steps.duration, times), units.size(size) or "–"],
        }

    blocks = [
        {"label": context.label(context.all_models[model]), "rows": [shown(*row) for row in rows]}
        for model, rows in costs.items()
        if any(any(parts) for _, parts, _ in rows)
    ]
    return {"costs": blocks, "kinds": list(compress(steps.KINDS, used))}


def _provenance(record: Record, nodes: Mapping[str, list], datasets: list[dict]) -> dict[str, Any]:
    """Return what the template lists of data sets, steps, phases and libraries.

    An environment is (number of artefacts, commit, libraries).
    """
    phases = record.phases()
    used = Counter([*nodes["environment"], *(data["environment"] for data in datasets)])
    return {
        "phases": phases,
        "total": {key: sum(row[key] for row in phases) for key in _SUMMED},
        "datasets": datasets,
        "environments": [
            (used[number], values["commit"] or "none", steps.environment(values))
            for number, values in enumerate(record.environments.values)
        ],
        "libraries": {name: version(name) for name in LIBRARIES},
        "notices": list(dict.fromkeys(record.notices)),
    }


def _names(view: StudyView, results: Results, tables: Tables) -> dict[str, Any]:
    """Return the study's axes, with the labels that readers see."""
    context, project = results.context, view.grid.project
    shown = [*context.labels, *context.all_models, *context.recipes, *context.targets]
    codes = {code for target in context.targets for code in view.grid.data.languages(target)}
    codes |= {project.tasks[target].source_language for target in context.targets}
    return {
        "models": context.models,
        "controls": context.controls,
        "recipes": context.recipes,
        "targets": context.targets,
        "seeds": context.all_seeds,
        "labels": {name: context.label(name) for name in dict.fromkeys(shown)},
        "written": {name: str(recipe) for name, recipe in view.grid.recipes.items()},
        "sources": {t: project.tasks[t].source_language for t in context.targets},
        "metrics": {t: project.tasks[t].metrics for t in context.targets},
        "languages": {
            code: [x.name, x.family, x.script, x.resource]
            for code, x in by_code(sorted(codes)).items()
        },
        "shared": sorted(tables.shared),
        "average": tables.average,
    }


def _cells(view: StudyView, results: Results, record: Record) -> dict[str, Any]:
    """Return the cells as columns of numbers and, per target, their scores by language."""
    context = results.context
    axes = {"model": context.all_models, "recipe": context.recipes}
    axes |= {"target": context.targets, "seed": context.all_seeds}
    place = {axis: {name: n for n, name in enumerate(names)} for axis, names in axes.items()}
    cells = context.cells
    numbers = {str(cell): number for number, cell in enumerate(cells)}
    scores = [view.grid.score(cell) for cell in cells]
    flagged = set(results.frame.loc[results.frame["degenerate"], "cell"])
    rows = results.frame[~results.frame["language"].isin(list(AVERAGES))]
    return {
        "cells": {
            **{axis: [place[axis][getattr(cell, axis)] for cell in cells] for axis in axes},
            "score": [score.identity.digest for score in scores],
            "predictions": [record.numbers[score.predictions.id] for score in scores],
            "degenerate": [int(str(cell) in flagged) for cell in cells],
        },
        "values": {
            target: _values(frame, numbers, results.languages(target))
            for target, frame in rows.groupby("target", sort=False)
        },
    }


def _values(frame: pd.DataFrame, numbers: Mapping[str, int], names: list[str]) -> dict[str, Any]:
    """Return a target's scores in units of the last decimal of the CSV files; None if missing."""
    values, cells = {}, list(frame["cell"].drop_duplicates())
    for metric, some in frame.groupby("metric", sort=False):
        wide = some.pivot(index="cell", columns="language", values="value")
        wide = wide.reindex(index=cells, columns=names)
        values[metric] = [
            None if pd.isna(value) else round(round(value, DECIMALS) * 10**DECIMALS)
            for value in wide.to_numpy().ravel()
        ]
    return {"languages": names, "cells": [numbers[cell] for cell in cells], "values": values}


def _figures(answer: Answer, files: Mapping[str, bytes]) -> list[tuple[str, ...]]:
    """Return (stem, data URL, width in points, caption) of the figures while there is room.

    They are those of the answer, except of `helps`: the tables of the page show what they show.
    """
    stems = answer.figures if answer.analysis != "helps" else []
    room, figures = _LARGEST_FIGURES, []
    for stem in stems:
        content = files.get(f"{stem}.svg", b"")
        room -= len(content)
        if content and room > 0:
            url = f"data:image/svg+xml;base64,{base64.b64encode(content).decode()}"
            width = re.search(r'width="([\d.]+)pt"', content.decode())
            caption = files.get(f"{stem}.txt", b"").decode()
            figures.append((stem, url, width[1] if width else "234", caption))
    return figures


def _gains(results: Results) -> dict[str, list]:
    """Return the gains of gains.csv as columns."""
    gains = results.gains
    columns: dict[str, list] = {}
    for name in ("model", "recipe", "target", "language"):
        codes, names = pd.factorize(gains[name])
        columns |= {name: codes.tolist(), f"{name}s": list(names)}
    for name in ("gain", "low", "high"):
        columns[name] = [None if pd.isna(x) else round(x, DECIMALS) for x in gains[name]]
    columns["significant"] = [int(value) for value in gains["significant"]]
    columns["p"] = [None if pd.isna(p) else float(f"{p:.2g}") for p in gains["p_adjusted"]]
    return columns


def _means(results: Results, average: str) -> dict[str, float]:
    """Return the mean score over seeds of each run in an average, as in table.csv."""
    means = summarise(results, average)["mean"].dropna()
    return {key(*names): round(value, DECIMALS) for names, value in means.items()}


def _majority(results: Results) -> dict[str, dict[str, float]]:
    """Return the score of the most frequent label by language or average, and by target."""
    languages = results.frame["language"].drop_duplicates()
    floors = {over: majority_floor(results, over) for over in languages}
    return {
        over: {target: round(x, DECIMALS) for target, x in values.items() if target != MEAN}
        for over, values in floors.items()
        if values
    }


def _state_warnings(results: Results, nodes: dict, datasets: Iterable[dict]) -> list[str]:
    """Return the warnings to read first: missing, failed and degenerate runs, exclusions."""
    lines = []
    total = len(results.context.cells)
    if missing := total - len(results.scored):
        verb = "is" if missing == 1 else "are"
        lines.append(f"{missing:,} of {total:,} runs {verb} missing.")
    if failed := nodes["state"].count("failed"):
        lines.append(f"{count(failed, 'step')} failed; the panels of the steps show the reason.")
    if degenerate := int(results.scored["degenerate"].sum()):
        lines.append(
            f"† marks degenerate runs, {degenerate:,} of {len(results.scored):,}: not better than "
            "the most frequent label in the source language. The means include them."
        )
    excluded = {data["id"]: sum(data["excluded"].values()) for data in datasets}
    if total := sum(excluded.values()):
        sets = sum(map(bool, excluded.values()))
        lines.append(
            f"{count(total, 'row')} of {count(sets, 'data set')} excluded, as in their "
            "benchmarks; the list of data sets gives the reasons."
        )
    return lines


def _template(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")
