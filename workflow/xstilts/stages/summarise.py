"""summarise: the study's tables, figures and report page from the scores that there are."""

from dataclasses import replace
from pathlib import Path

from xstilts import analyses, store
from xstilts.analyses import facts
from xstilts.grid.grid import Grid
from xstilts.report import page
from xstilts.report.view import StudyView, labels, notes, same_data
from xstilts.report.write import Report, write_answer, write_study
from xstilts.results.samples import Samples, gains
from xstilts.results.scores import Context


def run(view: StudyView) -> Report:
    """Write the study's folder; the stamp comes last, and only if every cell has its score."""
    grid = view.grid
    names = labels(grid)
    context = Context(
        study=grid.study.study,
        cells=tuple(grid.cells()),
        labels=names,
        short_names={
            name: str(recipe) for name, recipe in grid.recipes.items() if name != str(recipe)
        },
        notes=tuple(notes(grid)),
        warnings=tuple(
            f"{names.get(task, task)} → {names.get(target, target)}: "
            "both train on the same examples; a gain there is longer training, not transfer"
            for task, target in same_data(grid)
        ),
    )
    scores = [Path(score.path) for score in grid.scores()]
    report = _answered(grid, write_study(scores, context, view.folder), view.folder)
    view.write_snapshot()  # the commands in the page name it
    files = {path.name: path.read_bytes() for path in report.files}
    path = view.folder / "report.html"
    store.write_text(path, page.render(view, report.results, files))
    for stale in view.folder.glob("made-of.*.txt"):
        stale.unlink()
    if all(path.exists() for path in scores):
        store.write_text(view.stamp, "\n".join(path.name for path in scores) + "\n")
    return replace(report, files=(path, *report.files))


def _answered(grid: Grid, report: Report, folder: Path) -> Report:
    """The report with what the study's analysis finds, written beside its tables."""
    samples = Samples(report.results, facts.examples_of(grid), facts.subsets(grid))
    table = gains(samples)
    found = analyses.run(grid.study.analysis, samples, facts.gather(grid, report.results, table))
    return write_answer(found, table, report, folder)
