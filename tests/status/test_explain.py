"""`why` names a cell in any notation, and differences in words."""

from pathlib import Path

import pytest

from tests.results.test_scores import score as score_content
from xstilts import store
from xstilts.errors import InputError
from xstilts.grid.state import open_study
from xstilts.status.explain import find_cell, why

STUDY = Path("config/config.yaml")
pytestmark = pytest.mark.usefixtures("small_folder")


def grid(**changes):
    return open_study(STUDY, changes)[0]


def write_score(score) -> None:
    provenance = {"content": dict(score.identity.content)}
    values = {data.language: 50.0 for data in score.predictions.scored}
    content = score_content(score.cell, values, metric="accuracy") | {"provenance": provenance}
    store.write_json(Path(score.path), content)


@pytest.mark.parametrize(
    "name",
    [
        "tiny.nli+lab_nli~10-nli.tatoeba.s1",
        "tiny.lab_nli~10+nli-nli.tatoeba.s1",
        "Tiny.NLI+LAB-NLI~10-Nli.Tatoeba.1",
        "tiny.Both.tatoeba.S1",
    ],
)
def test_a_recipe_is_found_in_any_notation(name):
    changed = grid(recipes=["none", {"both": "nli+lab_nli~10-nli"}])
    assert str(find_cell(changed, name)) == "tiny.both.tatoeba.s1"


def test_only_accepts_the_notation_of_the_study():
    chosen = grid(recipes=["none", "nli-nli"], only=["tiny.NLI-nli.*.1"]).cells()
    assert {cell.recipe for cell in chosen} == {"nli-nli"}


def test_an_unknown_cell_gets_the_nearest():
    with pytest.raises(InputError, match=r"did you mean 'tiny\.nli\.tatoeba\.s1'"):
        find_cell(grid(), "tiny.NLI.tatoba.1")


def test_the_first_job_and_the_command_are_printed():
    lines = list(why(grid(), find_cell(grid(), "tiny.none.tatoeba.s1"), Path("x.yaml")))
    assert lines[1].startswith("  not made yet: prepare text.en.train, ")
    assert lines[-2] == "first: prepare text.en.train"
    assert len(lines) == 4
    assert lines[-1].startswith("run: snakemake results/scores/tiny.none.tatoeba.s1.")
    assert lines[-1].endswith(".json --configfile x.yaml")


def test_languages_that_are_no_longer_asked_for_are_named():
    both = grid(tasks={"paraphrase": {"languages": ["en", "xa"]}})
    cell = find_cell(both, "tiny.none.paraphrase.s1")
    score = both.score(cell)
    for data in score.predictions.datasets:
        Path(data.path).mkdir(parents=True)
    write_score(score)
    lines = list(why(grid(), cell, STUDY))
    name = Path(score.path).name
    assert f"    test data: paraphrase.xa.test: asked for in {name}, but not here" in lines


def test_inputs_are_named_in_words():
    before = grid()
    cell = find_cell(before, "tiny.nli.tatoeba.s1")
    step = before.score(cell).predictions.checkpoint
    store.Manifest(id=step.id, content=step.identity.content, files={}).write(Path(step.path))
    tasks = Path("config/tasks/small.yaml")
    tasks.write_text(tasks.read_text().replace("kind: nli, size: 40", "kind: nli, size: 50"))
    lines = list(why(grid(), cell, STUDY))
    assert f"    its training data is another than that of {step.id}" in lines
    assert not any("['" in line for line in lines)


def test_languages_that_are_newly_asked_for_are_named():
    cell = find_cell(grid(), "tiny.none.paraphrase.s1")
    score = grid().score(cell)
    write_score(score)
    both = grid(tasks={"paraphrase": {"languages": ["en", "xa"]}})
    name = Path(score.path).name
    lines = list(why(both, cell, STUDY))
    assert f"    test data: paraphrase.xa.test: not asked for in {name}" in lines
