"""Which weights stay, when they go, and what is planned after that."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.grid.test_dag import a_run
from tests.grid.test_grid import grid
from xstilts import store
from xstilts.cli import main
from xstilts.costs import bill
from xstilts.costs.estimates import Estimator
from xstilts.costs.measured import Cost
from xstilts.costs.peak import peaks
from xstilts.errors import InputError
from xstilts.grid import retention, state
from xstilts.grid.artefacts import Checkpoint
from xstilts.grid.dag import Requests
from xstilts.report.view import StudyView
from xstilts.status.explain import why
from xstilts.store import paths

STUDY = {"study": "small", "controls": [], "targets": ["lab_paraphrase"], "seeds": [1]}
SMALL = Path("config/config.yaml")


def study(**changes):
    return grid(**{**STUDY, "recipes": ["none", "lab_nli"], **changes})


def finish(made) -> None:
    """Write all files of a study, with made-up contents."""
    for artefact in made.artefacts().all():
        if isinstance(artefact, Checkpoint):
            folder = Path("made")
            folder.mkdir()
            for name in ("model.safetensors", "tokenizer.json", paths.LOG):
                (folder / name).write_bytes(b"x" * 100)
            fields = {"content": {}, "pretrained_pooler": False, "labels": {}}
            store.CheckpointManifest.publish(folder, Path(artefact.path), **fields)
            continue
        for name in artefact.files:
            store.write_text(Path(name), "{}")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def released():
    """A finished study without weights."""
    made = study(keep="none")
    finish(made)
    retention.release(made)
    return made


def weights() -> set[str]:
    """Chains of the trained checkpoints that have weights."""
    chains = {path.parent.name.split(".")[1] for path in Path().rglob("model.safetensors")}
    return {chain for chain in chains if not chain.startswith(("init", "pretrain"))}


@pytest.mark.parametrize(
    ("keep", "stay"),
    [
        ("all", {"lab_nli", "lab_paraphrase", "lab_nli-lab_paraphrase"}),
        ("parents", {"lab_nli"}),
        ("none", set()),
    ],
)
def test_keep_decides_which_weights_stay(keep, stay):
    made = study(keep=keep)
    finish(made)
    retention.release(made)
    artefacts = made.artefacts()
    assert weights() == stay
    assert len(list(Path().rglob(paths.LOG))) == len(artefacts.checkpoints)
    lost = sum(map(state.is_released, artefacts.all()))
    assert len(list(Path().rglob("model.safetensors"))) == len(artefacts.checkpoints) - lost
    assert lost == 3 - len(stay)  # pretrained models stay
    assert state.done(artefacts.all()) == {artefact.id for artefact in artefacts.all()}
    assert state.loose_ends(artefacts.all()) == []


def test_weights_stay_while_a_score_is_missing():
    made = study(keep="none")
    finish(made)
    (missing,) = (score for score in made.scores() if score.cell.recipe == "lab_nli")
    Path(missing.path).unlink()
    retention.release(made)
    assert weights() == {"lab_nli", "lab_nli-lab_paraphrase"}


def test_score_releases_only_what_is_above_it():
    made = study(keep="none")
    finish(made)
    (score,) = (score for score in made.scores() if score.cell.recipe == "none")
    retention.release(made, score)
    assert weights() == {"lab_nli", "lab_nli-lab_paraphrase"}


def test_new_result_needs_released_weights_again(released):
    (score,) = (score for score in released.scores() if score.cell.recipe == "lab_nli")
    Path(score.path).unlink()
    Path(score.predictions.files[0]).unlink()  # as if a language were added
    target = score.predictions.checkpoint
    again = {score.id, score.predictions.id, target.id, target.parent.id}
    artefacts = released.artefacts().all()
    assert {artefact.id for artefact in artefacts} - state.done(artefacts) == again
    for everything, expected in ((None, True), ("forced", True), ("shown", False)):
        requests = Requests(released, a_run(everything=everything))
        inputs = requests.inputs("predictions", [score.predictions.id])
        assert (f"{target.path}/{paths.MANIFEST}" in inputs) is expected
    lines = list(why(released, score.cell, SMALL))
    assert sum("released: its weights were deleted" in line for line in lines) == 2


def test_trained_again_is_released_no_more(released):
    shutil.rmtree("results/scores")
    finish(released)
    assert not any(map(state.is_released, released.artefacts().all()))


def test_released_weights_are_refused_with_the_remedy(released):
    (score, *_) = released.scores()
    with pytest.raises(InputError, match=r"were deleted after prediction .*manifest.json`, with"):
        store.CheckpointManifest.verify(Path(score.predictions.checkpoint.path))


def test_why_names_released_weights(released):
    lines = list(why(released, released.cells()[0], SMALL))
    assert "done" in lines[0]
    assert "weights released, log kept" in lines[1]


@pytest.mark.parametrize(
    ("keep", "targets", "stay"),
    [
        ("all", [], {"lab_nli", "lab_paraphrase", "lab_nli-lab_paraphrase"}),
        ("none", [], set()),
        ("none", ["lab_reading"], {"lab_nli"}),  # its cells are not scored yet
    ],
)
def test_weights_that_another_study_uses_stay(keep, targets, stay):
    made = study(keep="none")
    finish(made)
    other = study(study="other", keep=keep, targets=["lab_paraphrase", *targets])
    StudyView(other).write_snapshot()
    retention.release(made)
    assert weights() == stay


def test_damaged_snapshot_keeps_weights(caplog):
    made = study(keep="none")
    finish(made)
    store.write_text(Path("results/studies/other/study.0123456789ab.json"), "{")
    retention.release(made)
    assert "lab_nli" in weights()
    assert "weights stay for now" in caplog.text


def test_gc_deletes_weights_on_request(capsys):
    path = Path("config/small.yaml")
    values = {**STUDY, "models": ["lab_tiny"], "recipes": ["none", "lab_nli"]}
    store.write_text(path, yaml.safe_dump(values))
    finish(study())
    assert main(["gc", "--study", str(path), "--checkpoints", "parents"]) == 0
    assert "in 2 checkpoints that no missing score needs; `xstilts gc" in capsys.readouterr().out
    assert "lab_paraphrase" in weights()
    assert main(["gc", "--study", str(path), "--checkpoints", "--delete", "--yes"]) == 0
    assert weights() == set()


class NoSaves:
    """An estimator of trainings that save no state."""

    scratch = staticmethod(lambda artefact: 0)


def equal_costs(made):
    """A plan whose trainings and predictions take a second, and its weights 100 bytes."""
    plan = bill.make(made, Estimator(made.project), done=())
    costs = {
        id: Cost(a.identity.phase in bill.COMPUTING, disk=100 if isinstance(a, Checkpoint) else 0)
        for id, a in plan.by_id.items()
    }
    return replace(plan, costs=costs)


def test_plan_counts_the_peak_of_each_keep():
    made = study(seeds=[1, 2])
    found = peaks(equal_costs(made), NoSaves(), places=1)
    roots = len(made.artefacts().checkpoints) - 6
    assert (found["all"], found["parents"]) == (100 * (roots + 6), 100 * (roots + 3))
    assert found["none"] == 100 * (roots + 2)  # one parent and what starts from it


@pytest.mark.parametrize(("keep", "depth_first"), [("all", False), ("none", True)])
def test_keep_none_ends_a_branch_before_the_next(keep, depth_first):
    made = study(recipes=["none", "lab_nli", "lab_ner"], targets=["lab_paraphrase", "lab_entities"])
    starts = bill.schedule(equal_costs(made), 1, keep)
    order = [
        node.id.split(".")[1]
        for node in sorted(
            made.artefacts().checkpoints.values(),
            key=lambda node: starts.get(str(node.job.benchmark), (0,))[0],
        )
    ]
    first = min(order.index("lab_nli"), order.index("lab_ner"))
    later = max(order.index("lab_nli"), order.index("lab_ner"))
    between = [chain for chain in order[first:later] if chain.startswith(order[first] + "-")]
    assert (len(between) == 2) is depth_first


def test_rules_have_the_priorities_of_the_plan():
    made = study(keep="none")
    requests = Requests(made, a_run())
    nodes = made.artefacts()
    chains = {id.split(".")[1]: id for id in nodes.checkpoints}
    first, second = (chains[chain] for chain in ("lab_nli", "lab_nli-lab_paraphrase"))
    assert requests.priority("checkpoints", [first]) > 0
    assert requests.priority("checkpoints", [first]) < requests.priority("checkpoints", [second])
    assert requests.priority("checkpoints", [first, second]) == requests.priority(
        "checkpoints", [first]
    )
    assert requests.priority("predictions", list(nodes.predictions)) == 1
