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
from xstilts.report.write import Report, write_study
from xstilts.results.samples import Samples
from xstilts.results.scores import Context, collect
from xstilts.units import count


def run(view: StudyView) -> Report:
    """Write the study's folder; the stamp comes last, and only if no score is missing."""
    grid = view.grid
    scores = [Path(score.path) for score in grid.scores()]
    results = collect(scores, _context(grid))
    samples = Samples(results, facts.examples_of(grid), facts.subsets(grid))
    known = facts.gather(grid, results, longer_training(grid))
    outcome = analyses.run(grid.study.analysis, samples, known)
    report = write_study(samples.judged, outcome, view.folder)
    view.write_snapshot()  # the commands in the page name it
    files = {path.name: path.read_bytes() for path in report.files}
    path = view.folder / "report.html"
    store.write_text(path, page.render(view, report.results, report.answer, files))
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
