"""The report page without a browser: what goes into it, and what it survives."""

import json
import re
from html import unescape
from pathlib import Path

import pytest

from tests.made_up import ATTACK, make_grid, write_results
from xstilts import store
from xstilts.grid import state
from xstilts.report import disagreements
from xstilts.report.page import render
from xstilts.report.record import Record, compact
from xstilts.report.view import StudyView
from xstilts.results.colours import GAIN, LOSS, ZERO
from xstilts.results.scores import Context, collect
from xstilts.store import MANIFEST

ANSWER = {
    "analysis": "helps",
    "question": "Does it help?",
    "finding": f"By 2.1 points, 0.4 to 3.8. {ATTACK}",
    "estimates": [
        {"label": "gain", "value": 2.1, "low": 0.4, "high": 3.8, "n": 2, "unit": "points"}
    ],
}
GAINS = (
    "model,recipe,target,language,gain,low,high,p,p_adjusted,significant,effect,seeds,n,degenerate\n"
    "m0,i0,t0,zero_shot,1.5,0.25,2.75,0.01,0.02,True,0.1,2,500,0\n"
    "m0,i2,t1,he,-1.0,NA,NA,NA,NA,False,NA,1,500,0\n"
)


@pytest.fixture
def view(tmp_path, monkeypatch):
    """A small study with results."""
    monkeypatch.chdir(tmp_path)
    grid = make_grid()
    write_results(grid)
    return StudyView(grid)


def page(view, **files: str) -> str:
    grid = view.grid
    results = collect(
        (Path(s.path) for s in grid.scores()), Context("made-up", tuple(grid.cells()))
    )
    return render(view, results, {n.replace("_", "."): t.encode() for n, t in files.items()})


def data(text: str) -> dict:
    """The page's data, as a browser reads it."""
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])


def test_mixed_library_versions_are_named(view):
    artefacts = view.grid.artefacts()
    assert state.mixed_versions(artefacts.all()) == ""
    step = next(x for x in artefacts.checkpoints.values() if (Path(x.path) / MANIFEST).exists())
    path = Path(step.path) / MANIFEST
    content = json.loads(path.read_text())
    content["provenance"]["libraries"] |= {"torch": "1.0", "xstilts": "0.1"}
    content["provenance"]["commit"] = "another"
    path.write_text(json.dumps(content))
    warning = state.mixed_versions(artefacts.all())
    assert re.search(r": torch \S+ \(\d+\), 1\.0 \(1\)\. Differences", warning)


def test_equal_results_give_an_equal_page(view):
    assert page(view) == page(view)


def test_answer_and_intervals_come_from_the_files(view):
    text = page(view, answer_json=json.dumps(ANSWER), gains_csv=GAINS)
    assert "By 2.1 points, 0.4 to 3.8." in text
    assert "+0.4 to +3.8" in text
    intervals = data(text)["intervals"]
    expected = {"model": [0], "recipe": [1], "target": [0], "language": ["zero_shot"]}
    assert intervals == expected | {
        "gain": [1.5],
        "low": [0.25],
        "high": [2.75],
        "significant": [1],
        "p": [0.02],
    }


def test_page_and_figures_have_the_same_colours(view):
    styles = page(view)
    for name, colour in (("loss", LOSS), ("middle", ZERO), ("win", GAIN)):
        assert f"--{name}: {colour.lower()};" in styles


def test_scores_are_in_hundredths(view):
    values = data(page(view))["values"]["t1"]
    score = view.grid.scores()[values["cells"][0]]
    stored = json.loads(Path(score.path).read_text())["languages"]
    width = len(values["languages"])
    for language, value in zip(values["languages"], values["values"]["f1"][:width], strict=True):
        assert value == round(stored[language]["metrics"]["f1"] * 100)


def test_no_text_can_end_a_script():
    hostile = {"a": "</script><!--<script>", "b": "\u2028\u2029&"}
    text = compact(hostile)
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == hostile


def test_only_the_scripts_of_the_page_may_run(view):
    text = page(view)
    policy = unescape(re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1])
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in policy.split("style-src")[0]
    markup = re.sub(r"<script.*?</script>", "", text, flags=re.S)
    assert not re.search(r'(src|href)="(?!#|data:)', markup)


def test_damaged_files_are_named_and_skipped(view):
    log = next(Path("results/checkpoints").glob("m0.i0.s1.*/training.jsonl"))
    log.write_text('{"loss": 1.0, "step"')
    manifest = next(Path("results/checkpoints").glob("m0.i2.s1.*/manifest.json"))
    manifest.write_text("{")
    benchmark = next(Path("results/benchmarks/train").glob("m0.i0-t0.s1.*.tsv"))
    benchmark.write_text("s\nfast\n")
    text = page(view)
    for path in (log, manifest, benchmark):
        assert path.name in text
    nodes = data(text)["nodes"]
    row = nodes["id"].index(log.parent.name)
    assert nodes["curve"][row] is None
    assert nodes["curve"][row + 1]  # another seed's


def test_failures_hide_the_paths_of_the_machine(view, tmp_path):
    step = view.grid.scores()[4].predictions.checkpoint
    Path(step.path, "manifest.json").unlink()
    store.write_text(
        store.failure_file(step.id), f"no memory, see {tmp_path}/x and {Path.home()}/y"
    )
    text = page(view)
    nodes = data(text)["nodes"]
    row = nodes["id"].index(step.id)
    assert (nodes["state"][row], nodes["failure"][row]) == ("failed", "no memory, see ./x and ~/y")
    assert str(tmp_path) not in text
    assert "1 step failed" in text


def test_curves_are_thinned_from_the_first_step(view):
    step = view.grid.scores()[4].predictions.checkpoint
    entries = [{"loss": 2.0 - n / 500, "step": n + 1} for n in range(500)]
    store.write_lines(
        Path(step.path) / "training.jsonl", [*entries, {"eval_t0": 50.0, "step": 500}]
    )
    record = Record(view.grid)
    nodes = record.nodes()
    curve = nodes["curve"][nodes["id"].index(step.id)]
    axis, losses = curve["loss"]
    assert len(losses) <= 60
    assert record.axes.values[axis][:2] == [1, 10]
    assert losses[:2] == [2.0, 1.98]
    assert curve["eval_t0"][1] == [50.0]


def test_exclusions_are_listed_with_their_reason(view):
    text = page(view)
    id = view.grid.dataset("t0", "he", "test").id
    row = re.search(rf"<td><code>{re.escape(id)}</code></td>(.*?)</tr>", text, re.S)[1]
    assert "<td>8</td>" in row
    assert "<td>3 gold label is missing</td>" in row
    assert "rows of" in text


def test_examples_are_sorted_by_disagreement(view):
    notices = []
    groups = disagreements.sample(view.grid, notices)
    assert notices == []
    assert {group["target"] for group in groups} == {"t0", "t1", "t2"}
    for group in groups:
        for example in group["examples"]:
            answers = [json.dumps(pairs) for _, _, pairs in example["answers"]]
            assert len(set(answers)) > 1
        differences = [
            max(s for _, s, _ in e["answers"]) - min(s for _, s, _ in e["answers"])
            for e in group["examples"]
        ]
        assert differences == sorted(differences, reverse=True)


def test_damaged_predictions_are_named_and_skipped(view):
    predictions = view.grid.scores()[0].predictions
    Path(predictions.file(predictions.scored[0])).write_text("{")
    notices = []
    groups = disagreements.sample(view.grid, notices)
    assert ("t0", predictions.scored[0].language) not in {
        (group["target"], group["language"]) for group in groups
    }
    assert len(notices) == 1


def test_long_texts_are_truncated_around_the_answer():
    text = "a" * 1000 + "X" + "b" * 1000
    shown = disagreements.excerpt(text, 1000)
    assert "X" in shown
    assert len(shown) == disagreements.LONGEST + 4
    assert disagreements.excerpt("short") == "short"
