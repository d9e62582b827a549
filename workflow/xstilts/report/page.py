"""`report.html`: one self-contained page on a study, from its results and the results folder.

The template renders all that needs no choice: tree of steps, examples, provenance. The charts and
the panel are drawn from JSON, which is in columns. Scripts and styles are inside of the page, and
its policy forbids connections.
"""

import base64
import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from xstilts.analyses.answer import Answer, row
from xstilts.costs import units
from xstilts.grid.artefacts import Score
from xstilts.languages.names import language
from xstilts.recipe import trainings
from xstilts.report import charts, disagreements, steps
from xstilts.report.record import Record, compact
from xstilts.report.view import StudyView, same_data
from xstilts.results.scores import AVERAGES, Context, Results, plain

TEMPLATES = Path(__file__).parent / "templates"
# each uses those before it; the heat map is drawn before the browser reads Vega
SCRIPTS = ("data", "draw", "grid", "vega", "sections", "panel", "steps")
_LARGEST_FIGURE = 1_000_000  # bytes
LISTED = 2000  # steps in the list of identifiers
_SUMMED = ("wanted", "done", "measured", "seconds", "gpu_hours", "bytes")  # of the phases
DRAWN_BY = ("xstilts", "altair", "vl-convert-python", "matplotlib", "pandas", "numpy", "scipy")


def render(view: StudyView, results: Results, files: Mapping[str, bytes]) -> str:
    """Return the page as HTML; equal inputs give equal pages.

    `files` are the other files of the study's folder. The answer and the intervals come from
    `answer.json` and `gains.csv`; the page lists the hashes of all.
    """
    content = files.get("answer.json")
    answer = content and Answer.model_validate_json(content)
    record, context = Record(view.grid), results.context
    nodes, datasets = record.nodes(), record.datasets()
    examples = disagreements.sample(view.grid, record.notices)
    cells = _grid(view, results, record)
    branches = steps.branches(
        nodes, cells["cells"], [*context.models, *context.controls], context.label
    )
    data = {
        **_names(view, results),
        **cells,
        **_steps(view, context, record, nodes, branches, cells["cells"]),
        "intervals": _intervals(files.get("gains.csv"), results),
    }
    scripts = [_vega() if name == "vega" else _template(f"{name}.js") for name in SCRIPTS]
    return _html_template().render(
        title=plain(view.grid.study.title) or context.study,
        study=context.study,
        answer=answer,
        estimates=[row(estimate) for estimate in (answer.estimates if answer else [])],
        figures=_figures(answer, files),
        notes=context.notes,
        warnings=[*results.warnings, *_state_warnings(results, nodes, datasets)],
        scored=len(results.scored),
        wanted=len(context.cells),
        seeds=context.seeds,
        roots=[branch for branch in branches if not branch.parent],
        examples=examples,
        label=context.label,
        language=_language,
        **_provenance(record, nodes, datasets),
        files=[(name, hashlib.sha256(content).hexdigest()) for name, content in files.items()],
        stamp=view.stamp.name,
        hashes=" ".join(f"'sha256-{_base64_sha256(script)}'" for script in scripts),
        scripts=[Markup(script) for script in scripts],
        style=Markup(_template("report.css")),
        data=Markup(compact(data)),
        charts=Markup(compact(charts.charts())),
    )


def _html_template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = {"duration": units.duration, "size": units.size}
    environment.filters |= filters
    return environment.get_template("report.html")


def _steps(
    view: StudyView,
    context: Context,
    record: Record,
    nodes: Mapping[str, list],
    branches: Iterable[steps.Branch],
    cells: Mapping[str, list],
) -> dict[str, Any]:
    """Return the steps as columns, with their branches, costs, settings and curves."""
    recipes = [view.grid.recipes[name] for name in context.recipes]
    lengths = [sum(len(trainings(step)) for step in recipe.steps) for recipe in recipes]
    return {
        "nodes": nodes,
        "branches": [[branch.name, branch.uses, branch.nodes] for branch in branches],
        "costs": steps.costs(nodes, cells, lengths),
        "settings": record.settings.values,
        "environments": [steps.environment(values) for values in record.environments.values],
        "axes": record.axes.values,
        "snapshot": str(view.snapshot),
    }


def _provenance(record: Record, nodes: Mapping[str, list], datasets: list[dict]) -> dict[str, Any]:
    """Return what the template lists of data sets, steps, phases and libraries."""
    phases = record.phases()
    return {
        "phases": phases,
        "total": {key: sum(row[key] for row in phases) for key in _SUMMED},
        "failed": nodes["state"].count("failed"),
        "datasets": datasets,
        "environments": _environments(record, nodes, datasets),
        "steps": list(zip(nodes["id"], nodes["state"], nodes["sha256"], strict=True)),
        "listed": LISTED,
        "libraries": {name: version(name) for name in DRAWN_BY},
        "notices": list(dict.fromkeys(record.notices)),
    }


def _language(code: str) -> str:
    return f"{language(code).name} ({code})"


def _environments(
    record: Record, nodes: Mapping[str, list], datasets: Iterable[dict]
) -> list[tuple[int, str, str]]:
    """Libraries and commits of the artefacts: how many have them, the commit, the libraries."""
    used = Counter([*nodes["environment"], *(data["environment"] for data in datasets)])
    return [
        (used[number], values["commit"] or "none", steps.environment(values))
        for number, values in enumerate(record.environments.values)
    ]


def _names(view: StudyView, results: Results) -> dict[str, Any]:
    """Return the study's axes, with the labels that readers see."""
    context, project = results.context, view.grid.project
    shown = [*context.models, *context.controls, *context.recipes, *context.targets]
    codes = {code for target in context.targets for code in view.grid.languages(target)}
    codes |= {project.tasks[target].source_language for target in context.targets}
    return {
        "study": context.study,
        "models": context.models,
        "controls": context.controls,
        "recipes": context.recipes,
        "targets": context.targets,
        "seeds": [*context.seeds, *context.extra_seeds],
        "labels": {
            name: context.label(name)
            for name in {**dict.fromkeys(context.labels), **dict.fromkeys(shown)}
        },
        "written": {name: str(recipe) for name, recipe in view.grid.recipes.items()},
        "sources": {t: project.tasks[t].source_language for t in context.targets},
        "metrics": {t: project.tasks[t].metrics for t in context.targets},
        "languages": {code: language(code)[1:] for code in sorted(codes)},
        "same": [list(pair) for pair in same_data(view.grid)],
        "on_gpus": [name for name, model in project.models.items() if model.resources.gpu],
    }


def _grid(view: StudyView, results: Results, record: Record) -> dict[str, Any]:
    """Return the cells as columns of numbers and, per target, their scores by language."""
    context = results.context
    axes = {"model": [*context.models, *context.controls], "recipe": context.recipes}
    axes |= {"target": context.targets, "seed": [*context.seeds, *context.extra_seeds]}
    place = {axis: {name: n for n, name in enumerate(names)} for axis, names in axes.items()}
    cells = list(context.cells)
    numbers = {str(cell): number for number, cell in enumerate(cells)}
    scores: list[Score] = [view.grid.score(cell) for cell in cells]
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
    """Return a target's scores in hundredths of a point, cells x languages; None if missing."""
    first = frame.drop_duplicates("language").set_index("language")["n"]
    values, cells = {}, list(frame["cell"].drop_duplicates())
    for metric, some in frame.groupby("metric", sort=False):
        wide = some.pivot(index="cell", columns="language", values="value")
        wide = wide.reindex(index=cells, columns=names)
        values[metric] = [_hundredths(value) for value in wide.to_numpy().ravel()]
    return {
        "languages": names,
        "n": [int(first[name]) for name in names],
        "cells": [numbers[cell] for cell in cells],
        "values": values,
    }


def _hundredths(value: float) -> int | None:
    return None if pd.isna(value) else round(value * 100)


def _figures(answer: Answer | None, files: Mapping[str, bytes]) -> list[tuple[str, str]]:
    """Return (stem, data URL) of the answer's figures; very large ones are left to their files."""
    drawn = [(stem, files.get(f"{stem}.svg", b"")) for stem in (answer.figures if answer else [])]
    return [
        (stem, "data:image/svg+xml;base64," + base64.b64encode(content).decode())
        for stem, content in drawn
        if 0 < len(content) < _LARGEST_FIGURE
    ]


def _intervals(content: bytes | None, results: Results) -> dict[str, list]:
    """Return the gains' intervals as columns; models, recipes and targets are numbers."""
    if content is None:
        return {"model": []}
    numbers = {key: ["NA", ""] for key in ("gain", "low", "high", "p_adjusted")}
    gains = pd.read_csv(io.BytesIO(content), keep_default_na=False, na_values=numbers)
    context = results.context
    kept = gains[gains["model"].isin(context.models) & gains["low"].notna()]
    numbered = {
        key: kept[key].map({name: number for number, name in enumerate(names)}).tolist()
        for key, names in (
            ("model", context.models),
            ("recipe", context.recipes),
            ("target", [*context.targets, "mean"]),
        )
    }
    return {
        **numbered,
        "language": kept["language"].tolist(),
        **{key: kept[key].tolist() for key in ("gain", "low", "high")},
        "significant": [int(value) for value in kept["significant"]],
        "p": [None if pd.isna(value) else float(f"{value:.2g}") for value in kept["p_adjusted"]],
    }


def _state_warnings(results: Results, nodes: dict, datasets: Iterable[dict]) -> list[str]:
    """Return the warnings to read first: missing, failed and degenerate runs, exclusions."""
    lines = []
    missing = len(results.context.cells) - len(results.scored)
    if missing:
        verb = "is" if missing == 1 else "are"
        lines.append(f"{missing:,} of {len(results.context.cells):,} runs {verb} missing.")
    failed = nodes["state"].count("failed")
    if failed:
        lines.append(f"{_count(failed, 'step')} failed; the panels of the steps show the reason.")
    degenerate = int(results.scored["degenerate"].sum())
    if degenerate:
        lines.append(
            f"{_count(degenerate, 'degenerate run')} (†): not better than the most frequent label "
            "in the source language. The means include them."
        )
    excluded = {data["id"]: sum(data["excluded"].values()) for data in datasets}
    if total := sum(excluded.values()):
        sets = sum(map(bool, excluded.values()))
        lines.append(
            f"{_count(total, 'row')} of {_count(sets, 'data set')} excluded, as in their "
            "benchmarks; the list of data sets gives the reasons."
        )
    return lines


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


@cache
def _vega() -> str:
    """Return Vega, Vega-Lite and vega-embed as one script; vl-convert includes them."""
    import vl_convert

    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return f"(() => {{{bundle}}})();"  # its many short names stay its own


def _template(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _base64_sha256(script: str) -> str:
    """Return the hash by which a content security policy allows a script."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
