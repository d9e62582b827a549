"""`report.html`: one self-contained page on a study, from its results and the results folder.

A template shows what needs no choice; the rest is JSON that the page's script draws from, in
columns. Nothing is fetched: scripts and styles are inside, and the page forbids connections.
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
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from scipy import stats

from xstilts.analyses.answer import Answer
from xstilts.grid.artefacts import Score
from xstilts.languages.names import language
from xstilts.report import charts, disagreements
from xstilts.report.record import Record, compact
from xstilts.report.view import StudyView, same_data
from xstilts.results.scores import AVERAGES, Results, plain

TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = ("data", "draw", "grid", "sections", "panel", "steps")  # each uses those before it
_LARGEST_FIGURE = 1_000_000  # bytes
DRAWN_BY = ("xstilts", "altair", "vl-convert-python", "matplotlib", "pandas", "numpy", "scipy")


def render(view: StudyView, results: Results, files: Mapping[str, bytes]) -> str:
    """The page as HTML; equal inputs give equal pages.

    `files` are the others of the study's folder: the answer and the intervals come from its
    `answer.json` and `gains.csv`, and the page lists the digests of all.
    """
    content = files.get("answer.json")
    answer = content and Answer.model_validate_json(content)
    record = Record(view.grid)
    nodes, datasets = record.nodes(), record.datasets()
    examples = disagreements.sample(view.grid, record.notices)
    data = {
        **_names(view, results),
        **_grid(view, results, record),
        "intervals": _intervals(files.get("gains.csv"), results),
        "nodes": nodes,
        "phases": record.phases(),
        "datasets": datasets,
        "examples": examples,
        "settings": record.settings.values,
        "environments": record.environments.values,
        "axes": record.axes.values,
        "snapshot": str(view.snapshot),
    }
    scripts = [_vega(), *(_template(f"{name}.js") for name in SCRIPTS)]
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined
    )
    states = Counter(nodes["state"])
    return environment.get_template("report.html").render(
        title=plain(view.grid.study.title) or view.grid.study.study,
        study=view.grid.study.study,
        answer=answer,
        figures=_figures(answer, files),
        notes=results.context.notes,
        warnings=[*results.warnings, *_state_warnings(results, nodes, datasets)],
        notices=list(dict.fromkeys(record.notices)),
        scored=len(results.scored),
        wanted=len(results.context.cells),
        states=states,
        seeds=len(results.context.seeds),
        files=[(name, hashlib.sha256(content).hexdigest()) for name, content in files.items()],
        stamp=view.stamp.name,
        libraries={name: version(name) for name in DRAWN_BY},
        hashes=" ".join(f"'sha256-{_base64_sha256(script)}'" for script in scripts),
        scripts=[Markup(script) for script in scripts],
        style=Markup(_template("report.css")),
        data=Markup(compact(data)),
        charts=Markup(compact(charts.charts())),
    )


def _names(view: StudyView, results: Results) -> dict[str, Any]:
    """The study's axes, with the labels that people see."""
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
        "seeds": context.seeds,
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
        # half the width of a 95 % interval in standard errors, by degrees of freedom
        "t": [round(float(stats.t.ppf(0.975, n)), 3) for n in range(1, len(context.seeds) + 1)],
    }


def _grid(view: StudyView, results: Results, record: Record) -> dict[str, Any]:
    """The cells as columns of numbers, and per target the scores of its cells by language."""
    context = results.context
    axes = {"model": [*context.models, *context.controls], "recipe": context.recipes}
    axes |= {"target": context.targets, "seed": context.seeds}
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
    """Scores of one target in hundredths of a point, cells x languages; None where it has none."""
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
    """(stem, data URL) of the answer's figures; of a very large one the file must do."""
    drawn = [(stem, files.get(f"{stem}.svg", b"")) for stem in (answer.figures if answer else [])]
    return [
        (stem, "data:image/svg+xml;base64," + base64.b64encode(content).decode())
        for stem, content in drawn
        if 0 < len(content) < _LARGEST_FIGURE
    ]


def _intervals(content: bytes | None, results: Results) -> dict[str, list]:
    """The gains' intervals as columns; names of models, recipes and targets are their numbers."""
    if content is None:
        return {"model": []}
    numbers = {key: ["NA", ""] for key in ("gain", "low", "high", "p_holm")}
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
        **{key: [_hundredths(value) for value in kept[key]] for key in ("gain", "low", "high")},
        "p": [None if pd.isna(value) else float(f"{value:.2g}") for value in kept["p_holm"]],
    }


def _state_warnings(results: Results, nodes: dict, datasets: Iterable[dict]) -> list[str]:
    """What a reader must know before trusting a number: gaps, failures, exclusions."""
    lines = []
    missing = len(results.context.cells) - len(results.scored)
    if missing:
        share = f"{missing} of {len(results.context.cells)} cells"
        lines.append(f"{share} are not scored yet; they are shown as missing.")
    failed = Counter(nodes["state"])["failed"]
    if failed:
        lines.append(f"{failed} steps failed in their last run; the steps below say why.")
    degenerate = int(results.scored["degenerate"].sum())
    if degenerate:
        lines.append(
            f"{degenerate} cells are degenerate (†): in the source language they do not beat the "
            "most frequent label. They count in the means."
        )
    excluded = {data["id"]: sum(data["excluded"].values()) for data in datasets}
    if total := sum(excluded.values()):
        sets = sum(map(bool, excluded.values()))
        lines.append(
            f"{total} rows of {sets} data sets are left out, as their benchmarks do; the list of "
            "data sets says why."
        )
    return lines


@cache
def _vega() -> str:
    """Vega, Vega-Lite and its embedding as one script, from vl-convert, which needs no network."""
    import vl_convert

    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return f"(() => {{{bundle}}})();"  # its many short names stay its own


def _template(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _base64_sha256(script: str) -> str:
    """As a content security policy names a script that may run."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
