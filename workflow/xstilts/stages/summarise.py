"""summarise: a study's tables, figures, answer and report page, from the scores that exist."""

from dataclasses import replace
from pathlib import Path

from xstilts import analyses, store
from xstilts.analyses import facts
from xstilts.exchange import imported
from xstilts.grid import state
from xstilts.grid.grid import Grid
from xstilts.report import first_tokens, page
from xstilts.report.view import StudyView, labels, longer_training, notes, same_data
from xstilts.report.write import Report, write_answer, write_study
from xstilts.results.samples import Samples
from xstilts.results.scores import Context
from xstilts.units import count


def run(view: StudyView) -> Report:
    """Write the study's folder; the stamp comes last, and only if no score is missing."""
    grid = view.grid
    scores = [Path(score.path) for score in grid.scores()]
    examples = facts.examples_of(grid)
    report = write_study(scores, _context(grid), view.folder, examples)
    report = _answered(view, report, Samples(report.results, examples, facts.subsets(grid)))
    view.write_snapshot()  # the commands in the page name it
    files = {path.name: path.read_bytes() for path in report.files}
    path = view.folder / "report.html"
    store.write_text(path, page.render(view, report.results, files))
    for stale in view.folder.glob("made-of.*.txt"):
        stale.unlink()
    if all(path.exists() for path in scores):
        store.write_text(view.stamp, "\n".join(path.name for path in scores) + "\n")
    return replace(report, files=(path, *report.files))


def _context(grid: Grid) -> Context:
    names, pairs = labels(grid), same_data(grid)
    shown = ", ".join(f"{names.get(a, a)} → {names.get(b, b)}" for a, b in pairs)
    warning = (
        f"{count(len(pairs), 'pair')} of intermediate task and target use the same training "
        f"data: {shown}. A gain there reflects longer training, not transfer."
    )
    return Context(
        study=grid.study.study,
        cells=tuple(grid.cells()),
        labels=names,
        short_names={x: str(recipe) for x, recipe in grid.recipes.items()},
        notes=(*notes(grid), *first_tokens.notes(grid)),
        warnings=(warning,) if pairs else (),
        versions=state.mixed_versions(grid.artefacts().all()),
        imported=imported.read(grid.study.study),
    )


def _answered(view: StudyView, report: Report, samples: Samples) -> Report:
    """Write the answer of the study's analysis; return the report with its files added."""
    known = facts.gather(view.grid, report.results, longer_training(view.grid))
    outcome = analyses.run(view.grid.study.analysis, samples, known)
    return write_answer(outcome, report, view.folder)
