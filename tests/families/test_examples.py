"""Scores of single examples add up to the metrics, in every family."""

import importlib
import random

import pytest

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
POS = ["NOUN", "VERB", "SCONJ", "ADP", "X"]
WORDS = "der große rote Hund sah, die kleine Katze .".split()


def _classify(draw):
    rows = [{"id": f"r{n}", "label": draw.choice("012")} for n in range(60)]
    return rows, [{"id": row["id"], "prediction": draw.choice("012")} for row in rows]


def _choose(draw):
    rows = [{"id": f"r{n}", "label": draw.randrange(3)} for n in range(60)]
    return rows, [{"id": row["id"], "prediction": draw.randrange(3)} for row in rows]


def _tag(draw, inventory=TAGS):
    def tags(length):
        return draw.choices(inventory, k=length)

    rows = [{"id": f"r{n}", "tags": tags(1 + n % 7)} for n in range(40)]
    rows[3]["tags"] = rows[4]["tags"] = ["O"] if inventory is TAGS else ["ADP"]
    found = []
    for row in rows:
        found.append([g if draw.random() < 0.6 else draw.choice(inventory) for g in row["tags"]])
    pairs = zip(rows, found, strict=True)
    return rows, [{"id": row["id"], "prediction": tags} for row, tags in pairs]


def _answer(draw):
    def text():
        return " ".join(draw.choices(WORDS, k=draw.randrange(1, 5)))

    rows = [{"id": f"r{n}", "answers": [text() for _ in range(1 + n % 3)]} for n in range(50)]
    return rows, [
        {"id": row["id"], "prediction": draw.choice(["", text(), *row["answers"]])} for row in rows
    ]


def _mine(draw):
    rows, ids = [], range(40)
    for n in ids:
        match = f"e{n}" if n % 3 else ""
        rows.append({"id": f"f{n}", "side": "foreign", "match": match})
        rows.append({"id": f"e{n}", "side": "english", "match": f"f{n}" if n % 3 else ""})
    return rows, [
        {"id": f"f{n}", "prediction": draw.choice(["", f"e{n}", "e1"]), "score": 1.0} for n in ids
    ]


def _nearest(draw):
    rows, _ = _mine(draw)
    english = [row["id"] for row in rows if row["side"] == "english"]
    return rows, [{"id": i, "prediction": draw.choice([f"f{i[1:]}", "f1"])} for i in english]


def _retrieve(draw):
    rows = [{"id": f"q{n}", "question": "?", "matches": [f"c{n}", f"c{n + 1}"]} for n in range(9)]
    rows += [{"id": f"c{n}", "question": "", "matches": []} for n in range(9)]
    ranked = [f"c{n}" for n in range(10)]
    return rows, [
        {"id": row["id"], "prediction": draw.sample(ranked, 10)} for row in rows if row["question"]
    ]


CASES = [
    *(("classify", metric, _classify) for metric in ("accuracy", "f1")),
    ("choose", "accuracy", _choose),
    *(("tag", metric, _tag) for metric in ("f1", "precision", "recall", "token_accuracy")),
    ("tag", "pos_f1", lambda draw: _tag(draw, POS)),
    *(("answer", m, _answer) for m in ("f1", "exact_match", "mlqa_f1", "mlqa_exact_match")),
    ("mine", "accuracy", _nearest),
    ("mine", "f1", _mine),
    ("retrieve", "map_at_20", _retrieve),
]


@pytest.mark.parametrize(("family", "metric", "make"), CASES)
def test_the_metric_is_the_ratio_of_the_sums(family, metric, make):
    module = importlib.import_module(f"xstilts.families.{family}")
    for seed in range(5):
        rows, predictions = make(random.Random(seed))
        examples = module.EXAMPLES[metric](rows, predictions, "de")
        ids, tops, bottoms = zip(*examples, strict=True)
        score = module.METRICS[metric](rows, predictions, "de")
        assert 0 < score < 100
        assert 100 * sum(tops) / sum(bottoms) == pytest.approx(score, abs=1e-9)
        assert len(set(ids)) == len(ids)
        assert set(ids) <= {row["id"] for row in rows}


def test_every_ratio_is_tested():
    tested = {(family, metric) for family, metric, _ in CASES}
    names = {family for family, _ in tested}
    modules = {name: importlib.import_module(f"xstilts.families.{name}") for name in names}
    assert tested == {(name, m) for name, module in modules.items() for m in module.EXAMPLES}
