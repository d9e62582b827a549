"""BUCC: the margin against a brute force, and the threshold from the validation split."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.tiny_project import make_files_grid
from xstilts import store
from xstilts.errors import InputError
from xstilts.families import mine
from xstilts.stages import predict, prepare, score

MARGIN = SimpleNamespace(retrieval="margin", neighbours=4, layer=-1)


def unit(random, count, size=6):
    vectors = random.normal(size=(count, size)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def brute_force(foreign, english, k):
    """Return the margin and "max" matching of Artetxe and Schwenk, pair by pair."""
    cosine = foreign.astype(float) @ english.astype(float).T

    def neighbours(row):
        return sorted(range(len(row)), key=lambda n: -row[n])[:k]

    def mean(row):
        return sum(row[n] for n in neighbours(row)) / len(neighbours(row))

    def margin(f, e):
        return cosine[f, e] / ((mean(cosine[f]) + mean(cosine[:, e])) / 2)

    candidates = set()
    for f in range(len(foreign)):
        candidates.add(max((margin(f, e), f, e) for e in neighbours(cosine[f])))
    for e in range(len(english)):
        candidates.add(max((margin(f, e), f, e) for f in neighbours(cosine[:, e])))
    pairs = []
    for value, f, e in sorted(candidates, reverse=True):
        if all(f != other and e != another for other, another, _ in pairs):
            pairs.append((f, e, value))
    return pairs


@pytest.mark.parametrize("sizes", [(1, 1), (3, 9), (40, 25), (30, 70)])
def test_pairs_equal_a_brute_force_for_any_blocks(sizes, monkeypatch):
    random = np.random.default_rng(sizes)
    # positive cosines, as a model has: a ratio of negative means is meaningless
    foreign, english = (np.abs(unit(random, size)) for size in sizes)
    expected = brute_force(foreign, english, 4)
    for queries, index in ((1000, 1000), (7, 5), (1, 3)):
        monkeypatch.setitem(mine._BLOCKS, "cpu", (queries, index))
        found = mine.margin_pairs(foreign, english, 4)
        assert [pair[:2] for pair in found] == [pair[:2] for pair in expected]
        assert [pair[2] for pair in found] == pytest.approx([pair[2] for pair in expected], 1e-5)


def test_nearest_finds_the_best_in_every_block(monkeypatch):
    monkeypatch.setitem(mine._BLOCKS, "cpu", (2048, 4))
    random = np.random.default_rng(1)
    queries, index = unit(random, 11), unit(random, 23)
    scores, positions = mine.nearest(queries, index, 3)
    assert (positions == np.argsort(-(queries @ index.T), axis=1)[:, :3]).all()
    assert np.allclose(scores, np.take_along_axis(queries @ index.T, positions, 1))


def rows_of(foreign, english, matches=()):
    matches = dict(matches) | {e: f for f, e in matches}
    return [
        {
            "id": f"{side[0]}{n}",
            "side": side,
            "text": text,
            "match": matches.get(f"{side[0]}{n}", ""),
        }
        for side, texts in (("foreign", foreign), ("english", english))
        for n, text in enumerate(texts)
    ]


def test_repeated_sentences_have_an_empty_prediction():
    rows = rows_of(["a", "b", "a"], ["x", "y"])
    vectors = np.eye(3, dtype=np.float32)[[0, 1, 0, 0, 1]] + 0.1
    found = mine.decode(rows, [], list(vectors), [], MARGIN)
    assert [(p["id"], p["prediction"]) for p in found] == [("f0", ""), ("f1", "e1"), ("f2", "")]


def test_white_space_does_not_distinguish_sentences():
    rows = rows_of(["a", "b", " a\u3000"], ["x", "y"])  # as read_sent2id compares them
    vectors = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1]] + 0.1
    found = mine.decode(rows, [], list(vectors), [], MARGIN)
    assert [p["prediction"] for p in found] == ["", "e1", ""]


def test_the_threshold_is_tuned_on_other_rows():
    dev = rows_of("abc", "xyz", [("f0", "e0"), ("f1", "e1")])
    candidates = [
        {"id": f"f{n}", "prediction": f"e{n}", "score": score}
        for n, score in enumerate((1.4, 1.2, 0.8))
    ]
    threshold = mine.threshold(dev, candidates)
    assert threshold == pytest.approx(1.0)
    kept = mine.above(candidates, threshold)
    assert [p["prediction"] for p in kept] == ["e0", "e1", ""]
    assert mine.METRICS["f1"](dev, kept, "xx") == 100
    assert mine.METRICS["precision"](dev, candidates, "xx") == pytest.approx(200 / 3)


@pytest.fixture
def pools(tmp_path):
    """Two splits in BUCC's three files: five pairs among distractors."""
    for split, shift in (("sample", 0), ("training", 40)):
        foreign = [f"xa-{n}\tword{n + shift} other{n}" for n in range(12)]
        english = [f"en-{n}\tword{n + shift} else{n}" for n in range(9)]
        gold = [f"xa-{n}\ten-{n}" for n in range(5)]
        for ending, lines in (("xa", foreign), ("en", english), ("gold", gold)):
            (tmp_path / f"xa-en.{split}.{ending}").write_text("\n".join(lines) + "\n")
    return tmp_path


def grid_of(pools, **task):
    bucc = {
        "family": "mine",
        "roles": ["target"],
        "languages": ["xa"],
        "splits": {
            name: {"source": "files", "format": "bucc", "path": f"{{language}}-en.{split}.*"}
            for name, split in (("validation", "sample"), ("test", "training"))
        },
        "metrics": ["f1", "precision", "recall"],
        "predict": {"retrieval": "margin"},
        "encode": {"max_length": 64},
        **task,
    }
    return make_files_grid(pools, {"bucc": bucc})


def test_from_files_to_score(workspace, pools):
    grid = grid_of(pools)
    [wanted] = grid.scores()
    assert [d.split for d in wanted.predictions.datasets] == ["validation", "test"]
    prepare.run(wanted.predictions.datasets, grid.project)
    predict.run(wanted.predictions)
    score.run(wanted)
    found = store.read_json(Path(wanted.path))["languages"]["xa"]
    dev, test = wanted.predictions.datasets
    files = [store.read_lines(Path(wanted.predictions.file(d))) for d in (dev, test)]
    assert [len(file) for file in files] == [12, 12]
    assert found["n"] == 12
    assert found["threshold"] == mine.threshold(store.read_rows(Path(dev.path)), files[0])
    kept = mine.above(files[1], found["threshold"])
    rows = store.read_rows(Path(test.path))
    assert found["metrics"]["f1"] == mine.METRICS["f1"](rows, kept, "xa")


def test_a_margin_needs_a_validation_split(pools):
    with pytest.raises(InputError, match="margin` goes with a validation split"):
        grid_of(pools, predict={}).scores()
