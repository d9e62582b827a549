"""The report page without a browser: what goes into it, and what it survives."""

import base64
import json
import re
import zlib
from html import unescape
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import Unigram
from tokenizers.pre_tokenizers import Metaspace

from tests.made_up import ATTACK, make_grid, write_results
from xstilts import store
from xstilts.analyses.answer import Answer, Estimate
from xstilts.grid import state
from xstilts.report import disagreements, first_tokens
from xstilts.report.page import bibtex, render
from xstilts.report.record import Record
from xstilts.report.view import StudyView
from xstilts.results import tables
from xstilts.results.colours import GAIN, LOSS, ZERO
from xstilts.results.samples import judge
from xstilts.results.scores import Context, Results, collect
from xstilts.store import MANIFEST

ANSWER = Answer(
    analysis="helps",
    question="Does it help?",
    finding=f"By 2.1 points, 0.4 to 3.8. {ATTACK}",
    estimates=[Estimate(label="gain", value=2.1, low=0.4, high=3.8, n=2, unit="points")],
)


@pytest.fixture
def view(tmp_path, monkeypatch):
    """A small study with results."""
    monkeypatch.chdir(tmp_path)
    grid = make_grid()
    write_results(grid)
    return StudyView(grid)


def results_of(view) -> Results:
    paths = (Path(score.path) for score in view.grid.scores())
    return judge(collect(paths, Context("made-up", tuple(view.grid.cells()))))


def page(view) -> str:
    return render(view, results_of(view), ANSWER, {})


def data(text: str) -> dict:
    """The page's data, as a browser reads it."""
    encoded = re.search(r'id="data">(.*?)</script>', text)[1]
    return json.loads(zlib.decompress(base64.b64decode(encoded)))


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


def test_costs_show_shared_steps_only_if_some_are(view):
    assert "Shared steps</th>" in page(view)
    grid = make_grid(recipes=2)
    write_results(grid)
    text = page(StudyView(grid))
    assert "Own steps</th>" in text
    assert "Shared steps</th>" not in text


def test_equal_results_give_an_equal_page(view):
    assert page(view) == page(view)


def cells(text: str, section: str = "grid") -> dict[tuple[str, str], tuple[str, set[str]]]:
    """Return (recipe, column) -> text and classes of the cells of a section's first table."""
    table = re.search(rf'<section id="{section}".*?<table(.*?)</table>', text, re.S)[1]
    heads = re.findall(r'data-key="([^"]*)"', table)[1:]
    found = {}
    for recipe, body in re.findall(r'<tr data-recipe="([^"]*)".*?</th>(.*?)</tr>', table, re.S):
        entries = re.findall(r'<td class="([^"]*)"[^>]*>(.*?)</td>', body, re.S)
        for head, (classes, content) in zip(heads, entries, strict=True):
            shown = unescape(re.sub(r"<small>.*?</small>|<[^>]*>", "", content)).strip()
            found.setdefault((recipe, head), (shown, set(classes.split())))
    return found


def test_the_page_shows_the_answer(view):
    text = page(view)
    assert "By 2.1 points, 0.4 to 3.8." in text
    assert "+0.4 to +3.8" in text


def test_the_grid_shows_gains_and_verdicts(view):
    results, shown = results_of(view), cells(page(view))
    gains = results.gains[results.gains["language"] == "zero_shot"]
    assert len(gains) == 16
    for gain in gains.itertuples():
        text, classes = shown[gain.recipe, gain.target]
        assert text == tables.signed(gain.gain, "+")
        assert ("strong" in classes) == gain.significant
        assert ("loss" in classes) == text.startswith("−")
    assert {"score"} == shown["none", "t0"][1]


def test_recipes_are_sorted_by_mean_gain(view):
    means = {r: text for (r, head), (text, _) in cells(page(view)).items() if head == "mean"}
    gains = [float(text.replace("−", "-")) for name, text in means.items() if name != "none"]
    assert next(iter(means)) == "none"
    assert gains == sorted(gains, reverse=True)


def test_kinds_of_task_are_above_their_targets(view):
    groups = re.findall(r'colspan="(\d)"><span>([^<]*)', page(view))
    names = ["Classification", "Question answering", "Structured prediction"]
    assert groups == [("1", name) for name in names]


def test_floors_are_the_last_rows(view):
    text = page(view)
    floor = re.search(r'<tbody class="floor">(.*?)</tbody>', text, re.S)[1]
    assert 'data-model="floor"' in floor
    assert "degenerate" not in floor


def test_languages_are_means_over_targets(view):
    results, shown = results_of(view), cells(page(view), "languages")
    gains = results.gains[results.gains["language"] == "sw"]
    for gain in gains[gains["target"] == "mean"].itertuples():
        text, classes = shown[gain.recipe, "sw"]
        assert text == tables.signed(gain.gain, "+")
        assert ("strong" in classes) == gain.significant
    low = [float(shown["i0", code][0].replace("−", "-")) for code in ("sw",)]
    assert float(shown["i0", "low"][0].replace("−", "-")) == low[0]
    assert ("i0", "en") not in shown  # the source language


def test_rounding_agrees_with_the_files(view):
    values = [n / 20 for n in range(-60, 60)] + [1.24996, 1.25004, -0.04996, 7.8518, -6.6497]
    for value in values:
        assert tables.signed(value) == tables.signed(float(f"{value:.4f}"))


def test_the_citation_names_study_and_state(view):
    entry = unescape(re.search(r'data-bibtex="(.*?)"', page(view), re.S)[1])
    assert entry.startswith("@misc{made-up,")
    assert view.stamp.name in entry
    assert bibtex("a", "50 % {of} it", "s").count("{") == bibtex("a", "50 % {of} it", "s").count(
        "}"
    )


def test_page_and_figures_have_the_same_colours(view):
    styles = page(view)
    for name, colour in (("loss", LOSS), ("middle", ZERO), ("win", GAIN)):
        assert f"--{name}: {colour.lower()};" in styles


def test_scores_have_the_decimals_of_the_files(view):
    values = data(page(view))["values"]["t1"]
    score = view.grid.scores()[values["cells"][0]]
    stored = json.loads(Path(score.path).read_text())["languages"]
    width = len(values["languages"])
    for language, value in zip(values["languages"], values["values"]["f1"][:width], strict=True):
        assert value == round(stored[language]["metrics"]["f1"] * 10**4)


def test_only_the_scripts_of_the_page_may_run(view):
    text = page(view)
    policy = unescape(re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1])
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in policy.split("style-src")[0]
    assert "unsafe-eval" not in policy
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
    assert len(losses) <= 40
    assert record.axes.values[axis][:2] == [1, 14]
    assert losses[:2] == [2.0, 1.97]
    assert curve["eval_t0"][1] == [50.0]


def test_exclusions_are_listed_with_their_reason(view):
    text = page(view)
    id = view.grid.data.dataset("t0", "he", "test").id
    row = re.search(rf"<td><code>{re.escape(id)}</code></td>(.*?)</tr>", text, re.S)[1]
    assert "<td>8</td>" in row
    assert "<td>3 gold label is missing</td>" in row
    assert "rows of" in text


@pytest.fixture
def tokenizer() -> Tokenizer:
    """A tokenizer that knows one word with the mark of its beginning, and single letters."""
    letters = [(letter, -5.0) for letter in "abcdefghijklmnopqrstuvwxyz0123456789A"]
    vocabulary = [("<unk>", 0.0), ("▁", -2.0), ("▁in", -1.0), *letters]
    made = Tokenizer(Unigram(vocabulary, unk_id=0))
    made.pre_tokenizer = Metaspace()
    return made


def test_lone_marks_count_at_the_first_token(tokenizer):
    share = first_tokens.lone_share(tokenizer, [["in", "book"], ["in", "in"]])
    assert share == 1 / 4
    assert first_tokens.lone_share(tokenizer, []) == 0


def test_languages_whose_words_begin_with_a_mark_are_noted(view, tokenizer):
    root = first_tokens.root_of(view.grid.scores()[0].predictions.checkpoint)
    assert first_tokens.notes(view.grid) == []  # the tokenizer is not there yet
    path = Path(root.path, "tokenizer.json")
    tokenizer.save(str(path))
    (note,) = first_tokens.notes(view.grid)
    assert note.startswith("Target 2, m0: most words begin with a lone ▁ in en (")
    path.write_text("{")
    assert first_tokens.notes(view.grid) == []


def test_examples_are_sorted_by_disagreement(view):
    notices = []
    groups = disagreements.sample(view.grid, notices)
    assert notices == []
    assert {group["target"] for group in groups} == {"t0", "t1", "t2"}
    assert max(len(group["examples"]) for group in groups) == disagreements.MOST // len(groups)
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
