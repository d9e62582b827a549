"""The lab is fair: no shortcut, no leak, no chance."""

import subprocess
import sys
from functools import cache
from itertools import product

import numpy as np
import pytest

from xstilts import lab
from xstilts.errors import InputError
from xstilts.lab import KINDS, LANGUAGES
from xstilts.lab import examples as made

rows = cache(lab.rows)  # many tests look at the same rows
FOREIGN = [name for name in LANGUAGES if name != "en"]
TASKS = tuple(kind for kind in KINDS if kind != "text")
LABELLED = tuple(kind for kind in TASKS if kind != "translation")


def sentences(row):
    """Return every sentence of a row."""
    if "words" in row:
        return [made.write(row["words"])]
    values = [row[c] for c in ("text", "text_a", "text_b", "context", "question") if row.get(c)]
    text = " ".join(values + row.get("choices", []))
    return [part.strip() for part in text.replace("?", "?|").replace(".", ".|").split("|")][:-1]


@cache
def sentences_of(kinds, language, split, size):
    """Return all sentences of these kinds in one language, of both portions."""
    found = set()
    for kind, portion in product(kinds, ("a", "b")):
        source = "xa" if (kind, language) == ("translation", "en") else language
        for row in rows(kind, source, split, size, portion=portion):
            found.update(sentences(row))
    return found


def statements(texts):
    """Return the sentences that are long enough to state an event."""
    return {text for text in texts if len(text.split()) >= 3}


# --- form -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "language"), [*product(KINDS, LANGUAGES)])
def test_rows_are_canonical(kind, language):
    if (kind, language) == ("translation", "en"):
        pytest.skip("translation pairs a foreign language with English")
    columns = {
        "text": "id text text_b",
        "nli": "id text_a text_b label",
        "hinted_nli": "id text_a text_b label",
        "paraphrase": "id text_a text_b label",
        "completion": "id context question choices label",
        "reading": "id context question answers starts",
        "entities": "id words tags",
        "wordclass": "id words tags",
        "translation": "id side text match",
    }[kind].split()
    found = rows(kind, language, "train", 200)
    assert all(list(row) == columns for row in found)
    assert len({row["id"] for row in found}) == len(found)
    assert len(found) == (400 if kind == "translation" else 200)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_answer_is_at_its_offset(language):
    for row in rows("reading", language, "train", 1000):
        (answer,), (start,), context = row["answers"], row["starts"], row["context"]
        assert answer
        assert context[start : start + len(answer)] == answer
        assert start == 0 or context[start - 1] == " "
        assert context[start + len(answer)] in " ."


@pytest.mark.parametrize("kind", ["entities", "wordclass"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_tags_are_well_formed(kind, language):
    for row in rows(kind, language, "test", 300):
        tags = row["tags"]
        assert len(tags) == len(row["words"])
        if kind == "entities":
            assert set(tags) <= {"O", *(f"{b}-{e}" for b in "BI" for e in ("PER", "LOC", "ORG"))}
            for before, tag in zip(["O", *tags], tags, strict=False):
                assert not tag.startswith("I-") or before[1:] == tag[1:]


def test_labels_are_balanced_in_every_language():
    for kind, chance in (("nli", 1 / 3), ("paraphrase", 1 / 2), ("completion", 1 / 4)):
        found = {language: rows(kind, language, "test", 300) for language in LANGUAGES}
        labels = [row["label"] for row in found["en"]]
        shares = [labels.count(label) / 300 for label in set(labels)]
        assert shares == pytest.approx([chance] * len(shares), abs=0.1)
        for language in FOREIGN:
            assert [row["label"] for row in found[language]] == labels


def test_translations_match_in_both_directions():
    for language in FOREIGN:
        found = {row["id"]: row for row in rows("translation", language, "test", 300)}
        assert all(found[row["match"]]["match"] == row["id"] for row in found.values())
        assert all(found[row["match"]]["side"] != row["side"] for row in found.values())
        english = [row for row in found.values() if row["side"] == "english"]
        other = rows("translation", "xa", "test", 300)
        assert english == [row for row in other if row["side"] == "english"]
        assert len({row["text"] for row in found.values()}) == 600


# --- determinism ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_larger_sizes_extend_smaller_ones(kind):
    few, more = rows(kind, "xb", "train", 50), rows(kind, "xb", "train", 80)
    assert more[: len(few)] == few
    assert rows(kind, "xb", "train", 50, seed=1) != few


def test_another_process_makes_the_same_rows():
    program = "from xstilts.lab import *\nprint([rows(k, 'xd', 'train', 20) for k in KINDS])"
    other = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, encoding="utf8"
    )
    assert other.stdout.strip() == str([rows(kind, "xd", "train", 20) for kind in KINDS])


# --- nothing of the test is in training -----------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "xd"])
@pytest.mark.parametrize("held_out", ["validation", "test"])
def test_held_out_sentences_occur_nowhere_else(language, held_out):
    known = sentences_of(TASKS, language, "train", 1000)
    known = known.union(*(sentences_of(("text",), name, "train", 1000) for name in LANGUAGES))
    printed = statements(sentences_of(TASKS, language, held_out, 300))
    asked = {text for text in printed if text.endswith("?")}
    assert not (printed - asked) & known
    # Two events may share a question: "who" and "what" omit a participant.
    assert len(asked & known) <= 0.08 * len(asked)


def events_of(item):
    """Return all events inside a nested item."""
    if isinstance(item, made.Say):
        yield item.event
    elif isinstance(item, tuple):
        for part in item:
            yield from events_of(part)


@pytest.mark.parametrize("kind", KINDS)
def test_every_event_belongs_to_its_part(kind):
    draw = made.KINDS[kind].draw
    for part in made.world.PARTS:
        rng = made._rng(f"test {part}")
        items = [draw(rng, part) for _ in range(300)]
        if kind == "text":  # begins with its portion, goes on with any of the split
            assert {made.world.part_of(item[0].event) for item in items} == {part}
            found = {made.world.part_of(event)[0] for item in items for event in events_of(item)}
            assert found == {part[0]}
        else:
            found = {made.world.part_of(event) for item in items for event in events_of(item)}
            assert found == {part}


@pytest.mark.parametrize("kind", TASKS)
def test_rows_are_unique_across_splits_and_portions(kind):
    parts = [(s, p) for s, p in made.world.PARTS]
    found = [
        str({k: v for k, v in row.items() if k not in ("id", "match", "label")})
        for split, portion in parts
        for row in rows(kind, "xa", split, 300, portion=portion)
    ]
    assert len(found) == len(set(found))


@pytest.mark.parametrize("language", LANGUAGES)
def test_names_of_the_test_are_not_those_of_training(language):
    def names(split, **options):
        return {
            word
            for row in rows("entities", language, split, 2000, **options)
            for word, tag in zip(row["words"], row["tags"], strict=True)
            if tag.startswith("B-") or tag == "I-PER"  # I-ORG: bank, school, press
        }

    train = names("train") | names("train", portion="b")
    assert len(train) >= 20
    for split in ("validation", "test"):
        held_out = names(split)
        assert len(held_out) >= 8
        assert not held_out & train


@pytest.mark.parametrize("kind", LABELLED)
def test_languages_share_no_word(kind):
    def words(language, split):
        found = set()
        for row in rows(kind, language, split, 300):
            found.update(row.get("words") or " ".join(sentences(row)).split())
        return {word.strip(".?") for word in found} - {""}

    english = words("en", "train")
    for language in FOREIGN:
        assert not words(language, "test") & english


def test_no_positive_paraphrase_is_a_copy():
    for language in LANGUAGES:
        assert all(r["text_a"] != r["text_b"] for r in rows("paraphrase", language, "train", 1000))


# --- shortcuts ------------------------------------------------------------------------------------


def guess(train, test, analyzer):
    """Return the accuracy of logistic regression on n-grams of one text."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    width = (1, 2) if analyzer == "word" else (2, 4)
    vectors = CountVectorizer(analyzer=analyzer, ngram_range=width, min_df=2, binary=True)
    model = LogisticRegression(C=0.1, max_iter=60, tol=1e-3)
    model.fit(vectors.fit_transform(train[0]), train[1])
    return model.predict_proba(vectors.transform(test[0])), model.classes_


def accuracy(train, test, analyzer):
    chances, classes = guess(train, test, analyzer)
    return np.mean(classes[chances.argmax(1)] == np.array(test[1]))


@pytest.mark.parametrize("analyzer", ["word", "char_wb"])
@pytest.mark.parametrize("column", ["text_a", "text_b"])
@pytest.mark.parametrize(("kind", "chance"), [("nli", 1 / 3), ("paraphrase", 1 / 2)])
def test_one_sentence_of_a_pair_has_no_information(kind, chance, column, analyzer):
    def side(split, size):
        found = rows(kind, "en", split, size)
        return [row[column] for row in found], [row["label"] for row in found]

    assert accuracy(side("train", 2000), side("test", 1500), analyzer) < chance + 0.05


def test_hints_are_in_the_hypothesis_only():
    def side(split, size, column):
        found = rows("hinted_nli", "en", split, size)
        return [row[column] for row in found], [row["label"] for row in found]

    printed = {
        column: accuracy(side("train", 2000, column), side("test", 1500, column), "word")
        for column in ("text_a", "text_b")
    }
    assert 0.58 < printed["text_b"] < 0.75
    assert printed["text_a"] < 1 / 3 + 0.05


@pytest.mark.slow
@pytest.mark.parametrize("analyzer", ["word", "char_wb"])
def test_an_ending_alone_has_no_information(analyzer):
    def endings(split, size):
        found = rows("completion", "en", split, size)
        return (
            [choice for row in found for choice in row["choices"]],
            [int(i == row["label"]) for row in found for i in range(4)],
        )

    test = endings("test", 1500)
    chances, _ = guess(endings("train", 2000), test, analyzer)
    picked = chances[:, 1].reshape(-1, 4).argmax(1)
    assert np.mean(picked == np.array(test[1]).reshape(-1, 4).argmax(1)) < 0.30


def test_answer_positions_are_unpredictable():
    """Each sentence has the answer equally often; the question does not predict which."""

    def asked(split, size):
        found = rows("reading", "en", split, size)
        place = [row["context"][: row["starts"][0]].count(".") for row in found]
        return [row["question"] for row in found], place

    train, test = asked("train", 2000), asked("test", 1500)
    assert np.mean(test[1]) == pytest.approx(0.5, abs=0.04)
    assert accuracy(train, test, "word") < 0.55


# --- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("nly", "en", "test", 5), "'nli'"),
        (("nli", "de", "test", 5), "en, xa, xb, xc, xd"),
        (("nli", "en", "tests", 5), "'test'"),
        (("nli", "en", "test", 0), "at least 1"),
        (("nli", "en", "test", 5, 0, "c"), "a, b"),
        (("translation", "en", "test", 5), "xa, xb, xc, xd"),
    ],
)
def test_unknown_names_are_rejected(arguments, hint):
    with pytest.raises(InputError, match=hint):
        rows(*arguments)


def test_too_many_rows_are_rejected(monkeypatch):
    few = KINDS["nli"]._replace(draw=lambda rng, part: KINDS["nli"].draw(made._rng("x"), part))
    monkeypatch.setitem(made.KINDS, "poor", few)
    assert len(rows("poor", "en", "test", 1)) == 1
    with pytest.raises(InputError, match="only about 1 different examples exist, but size is 2"):
        rows("poor", "en", "test", 2)
