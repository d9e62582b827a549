import json
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xstilts import metrics as m
from xstilts.errors import InputError

GOLDEN = Path(__file__).parent / "golden"


def golden(name):
    return json.loads((GOLDEN / name).read_text(encoding="utf-8"))["cases"]


def paired(elements, min_size=1, max_size=30):
    """Two lists of equal length."""
    return st.lists(st.tuples(elements, elements), min_size=min_size, max_size=max_size).map(
        lambda pairs: ([a for a, _ in pairs], [b for _, b in pairs])
    )


def tag_pairs(tags):
    sentence = paired(st.sampled_from(tags), max_size=8)
    return st.lists(sentence, min_size=1, max_size=5).map(
        lambda sentences: ([g for g, _ in sentences], [p for _, p in sentences])
    )


def approx(value):
    return pytest.approx(value, abs=1e-9)


# Labels


@given(paired(st.sampled_from("abc")))
def test_label_metrics_equal_sklearn(labels):
    from sklearn.metrics import accuracy_score, f1_score

    golds, predictions = labels
    accuracy = 100 * accuracy_score(golds, predictions)
    f1 = 100 * f1_score(golds, predictions, labels=["a"], average="micro", zero_division=0)
    assert m.accuracy(golds, predictions) == approx(accuracy)
    assert m.binary_f1(golds, predictions, "a") == approx(f1)
    assert m.mean_accuracy_f1(golds, predictions, "a") == approx((accuracy + f1) / 2)


@given(st.lists(st.integers(0, 3), min_size=1))
def test_majority_is_the_best_constant_prediction(golds):
    best = max(m.accuracy(golds, [label] * len(golds)) for label in set(golds))
    assert m.majority(golds) == approx(best)


def test_label_metrics_by_hand():
    golds, predictions = ["1", "1", "0", "0", "0"], ["1", "0", "1", "0", "0"]
    assert m.accuracy(golds, predictions) == approx(60)
    assert m.binary_f1(golds, predictions, "1") == approx(50)
    assert m.binary_f1(golds, predictions, "0") == approx(100 * 2 / 3)
    assert m.mean_accuracy_f1(golds, predictions, "1") == approx(55)
    assert m.majority(golds) == approx(60)


# Tags

IOB = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "I-MISC"]
UPOS = ["NOUN", "VERB", "SCONJ", "CCONJ", "SYM", "X", "INTJ"]


@pytest.mark.parametrize(
    ("metric", "tags"), [(m.span_f1, IOB), (m.pos_f1_seqeval_1_2, UPOS), (m.span_f1, [*IOB, "X"])]
)
def test_seqeval_metrics_equal_the_scores_of_seqeval(metric, tags):
    from seqeval.metrics.sequence_labeling import precision_recall_fscore_support

    @given(tag_pairs(tags))
    def check(sentences):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            precision, recall, f1, _ = precision_recall_fscore_support(
                *sentences, average="micro", zero_division=0
            )
        expected = {"precision": 100 * precision, "recall": 100 * recall, "f1": 100 * f1}
        assert metric(*sentences) == approx(expected)

    check()


@pytest.mark.parametrize("case", golden("pos_tags.json"))
def test_pos_f1_equals_seqeval_before_0_0_16(case):
    expected = {name: case[name] for name in ("f1", "precision", "recall")}
    assert m.pos_f1(case["golds"], case["predictions"]) == approx(expected)


@given(tag_pairs(["NOUN", "VERB", "ADJ", "X"]))
def test_pos_f1_is_the_f1_of_spans_written_in_iob(sentences):
    """Runs of equal tags in IOB: B- where the tag changes, I- where it stays."""

    def iob(tags):
        return [f"{'I' if i and tags[i - 1] == tag else 'B'}-{tag}" for i, tag in enumerate(tags)]

    golds, predictions = ([iob(tags) for tags in side] for side in sentences)
    assert m.pos_f1(*sentences) == approx(m.span_f1(golds, predictions))


@pytest.mark.parametrize(
    ("gold", "predicted", "correct", "n_gold", "n_predicted"),
    [
        ("B-PER I-PER O", "B-PER I-PER O", 1, 1, 1),
        ("I-PER I-PER O", "B-PER I-PER O", 1, 1, 1),  # I- without B-
        ("O I-PER I-LOC", "O B-PER B-LOC", 2, 2, 2),  # a new type starts a span
        ("B-PER I-LOC I-LOC", "B-PER B-LOC I-LOC", 2, 2, 2),
        ("B-PER B-PER", "B-PER I-PER", 0, 2, 1),
        ("B-PER I-PER O", "B-PER O O", 0, 1, 1),
        ("B-PER", "B-LOC", 0, 1, 1),
        ("O O", "O O", 0, 0, 0),  # no gold and no predicted spans: 0, not 100
        ("O O", "O B-PER", 0, 0, 1),
    ],
)
def test_span_f1_by_hand(gold, predicted, correct, n_gold, n_predicted):
    scores = m.span_f1([gold.split()], [predicted.split()])
    assert scores["precision"] == approx(100 * correct / n_predicted if n_predicted else 0)
    assert scores["recall"] == approx(100 * correct / n_gold if n_gold else 0)
    total = n_gold + n_predicted
    assert scores["f1"] == approx(200 * correct / total if total else 0)


@pytest.mark.parametrize(
    ("gold", "predicted", "old", "new"),
    [
        # one run in gold, of which one half is found: no credit
        ("NOUN NOUN", "NOUN VERB", 0, 0),
        # tags in S never merge: one of two right
        ("SCONJ SCONJ", "SCONJ VERB", 50, 50),
        # the first letter is cut off: two names, one type
        ("CCONJ VERB", "SCONJ VERB", 50, 100),
        # an X at the end of a sentence is lost
        ("VERB X", "VERB X", 100, 100),
        ("VERB X", "VERB VERB", 0, 0),
        ("NOUN X", "NOUN PUNCT", 50, 200 / 3),
    ],
)
def test_the_two_pos_conventions_by_hand(gold, predicted, old, new):
    sides = [gold.split()], [predicted.split()]
    assert m.pos_f1(*sides)["f1"] == approx(old)
    assert m.pos_f1_seqeval_1_2(*sides)["f1"] == approx(new)


def test_chunks_do_not_cross_sentences():
    assert m.pos_f1([["NOUN"], ["NOUN"]], [["NOUN"], ["VERB"]])["f1"] == approx(50)
    assert m.span_f1([["B-A"], ["I-A"]], [["B-A"], ["O"]])["recall"] == approx(50)


def test_seqeval_does_not_warn_of_bare_tags():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        m.pos_f1_seqeval_1_2([["NOUN"]], [["NOUN"]])


def test_token_accuracy_is_over_words_not_sentences():
    golds = [["A", "B", "C"], ["A"], []]
    assert m.token_accuracy(golds, [["A", "B", "X"], ["X"], []]) == approx(50)


# Answers


@pytest.mark.parametrize("case", golden("answers.json"), ids=lambda case: case["language"])
def test_answer_scores_equal_the_official_scripts(case):
    golds, predictions = {"q": case["golds"]}, {"q": case["prediction"]}
    scores = {"squad": m.answer_scores(golds, predictions)}
    if "mlqa" in case:
        tokens = partial(m.mlqa_tokens, language=case["language"])
        scores["mlqa"] = m.answer_scores(golds, predictions, tokens)
    for rule, got in scores.items():
        assert [got["exact_match"], got["f1"]] == approx(case[rule]), rule
    assert m.squad2_em_f1(case["golds"], case["prediction"]) == approx(case["squad2"])


@pytest.mark.parametrize(
    ("language", "text", "squad_words", "mlqa_words"),
    [
        ("en", "The  “U.S.” an’ A.", ["“us”", "’"], ["us"]),
        ("en", "there—theatre 5%", ["there—theatre", "5"], ["theretheatre", "5"]),
        ("de", "Die „Straße“", ["die", "„straße“"], ["straße"]),
        ("es", "¿Las casas?", ["¿las", "casas"], ["casas"]),
        ("ar", "المدرسة، اليوم", ["المدرسة،", "اليوم"], ["مدرسة", "يوم"]),
        ("hi", "दिल्ली। the", ["दिल्ली।"], ["दिल्ली", "the"]),
        ("vi", "của Việt Nam", ["của", "việt", "nam"], ["việt", "nam"]),
        ("zh", "在2008年，北京 the", ["在2008年，北京"], ["在", "2008", "年", "北", "京", "the"]),
        ("zh", "《》", ["《》"], []),
        ("zh", "龥龦龦一", ["龥龦龦一"], ["龥", "龦龦", "一"]),  # ideographs end at 龥 (U+9FA5)
    ],
)
def test_normalised_words_by_hand(language, text, squad_words, mlqa_words):
    assert m.squad_tokens(text) == squad_words
    assert m.mlqa_tokens(text, language) == mlqa_words


def test_unknown_mlqa_languages_are_rejected():
    with pytest.raises(InputError, match=r"language 'th'.*ar, de, en, es, hi, vi, zh"):
        m.mlqa_tokens("x", "th")


def test_answer_scores_by_hand():
    golds = {"a": ["red house", "big red house"], "b": ["Oslo"], "missing": [""], "d": ["x y"]}
    predictions = {"a": "The big, red house", "b": "", "d": "y z", "unknown": "?"}
    scores = m.answer_scores(golds, predictions)
    assert scores == approx({"exact_match": 25, "f1": (100 + 0 + 0 + 50) / 4})


def test_answers_without_tokens():
    """SQuAD v1.1 gives F1 0 and an exact match; v2.0 treats it as no answer."""
    golds, predictions = {"q": ["the"]}, {"q": "a"}
    assert m.answer_scores(golds, predictions) == {"exact_match": 100, "f1": 0}
    assert m.squad2_em_f1(golds["q"], predictions["q"]) == (100, 100)


@pytest.mark.parametrize(
    ("answers", "prediction", "exact", "f1"),
    [
        ([], "", 100, 100),
        ([], "the", 100, 100),  # normalises to nothing
        ([], "Oslo", 0, 0),
        (["Oslo"], "", 0, 0),
        (["Oslo", "the"], "", 0, 0),  # gold answers without words are left out
        (["Oslo city"], "Oslo", 0, 200 / 3),
    ],
)
def test_squad2_no_answer(answers, prediction, exact, f1):
    assert m.squad2_em_f1(answers, prediction) == approx((exact, f1))


@pytest.mark.parametrize("case", golden("squad2_best.json"))
def test_squad2_best_scores_equal_the_official_script(case):
    scores = m.squad2_best_scores(case["golds"], case["predictions"], case["null_scores"])
    assert scores["exact_match"] == approx(case["exact_match"])
    assert scores["f1"] == approx(case["f1"])


def test_squad2_thresholds_by_hand():
    golds = {"a": ["red house"], "b": [], "c": ["big red house"], "d": []}
    predictions = {"a": "red house", "b": "red", "c": "red house", "d": ""}
    null = {"a": -2.0, "b": -1.0, "c": 0.5, "d": 3.0}
    # After a: 3 of 4. With b: 2. With c: 2 exactly, 2.8 by F1. d is right either way.
    expected = {"exact_match": 75, "exact_match_threshold": -2, "f1": 75, "f1_threshold": -2}
    assert m.squad2_best_scores(golds, predictions, null) == approx(expected)
    # A right answer less, and the strictest threshold is as good: nothing is answered.
    scores = m.squad2_best_scores(golds, predictions | {"a": "blue"}, null)
    assert scores["exact_match"] == approx(50)
    assert scores["exact_match_threshold"] < -2


WORDS = st.lists(st.sampled_from(["red", "house"]), max_size=3).map(" ".join)
ANSWERS = st.lists(st.lists(st.sampled_from(["red", "house"]), min_size=1).map(" ".join))


@given(st.lists(st.tuples(ANSWERS, WORDS, st.integers(-2, 2)), min_size=1, max_size=8))
def test_squad2_threshold_is_the_best(rows):
    golds, predictions, null = ({str(i): row[c] for i, row in enumerate(rows)} for c in range(3))

    def scores_at(threshold):
        kept = {q: "" if null[q] > threshold else text for q, text in predictions.items()}
        examples = [m.squad2_em_f1(answers, kept[q]) for q, answers in golds.items()]
        totals = map(sum, zip(*examples, strict=True))
        return dict(zip(("exact_match", "f1"), (x / len(golds) for x in totals), strict=True))

    best = m.squad2_best_scores(golds, predictions, null)
    for name in ("exact_match", "f1"):
        brute_force = max(scores_at(threshold)[name] for threshold in range(-3, 3))
        assert best[name] == approx(brute_force)
        assert scores_at(best[f"{name}_threshold"])[name] == approx(brute_force)


# Retrieval


@pytest.mark.parametrize("case", golden("bucc.json"))
def test_pair_threshold_equals_the_official_script(case):
    golds = [tuple(pair) for pair in case["golds"]]
    candidates = {(foreign, english): score for foreign, english, score in case["candidates"]}
    threshold = m.best_pair_threshold(golds, candidates)
    assert threshold == approx(case["threshold"])
    above = {pair for pair, score in candidates.items() if score >= threshold}
    assert m.pair_f1(golds, above)["f1"] == approx(case["f1"])


PAIRS = st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"))


@given(st.sets(PAIRS, min_size=1), st.dictionaries(PAIRS, st.integers(1, 4)), st.randoms())
def test_pair_threshold_is_the_best_in_any_order(golds, candidates, random):
    """With many ties, the threshold is the best of all in any order."""

    def f1_at(threshold):
        above = {pair for pair, score in candidates.items() if score >= threshold}
        return m.pair_f1(golds, above)["f1"]

    threshold = m.best_pair_threshold(golds, candidates)
    assert f1_at(threshold) == approx(max(f1_at(t) for t in range(1, 6)))
    shuffled = list(candidates.items())
    random.shuffle(shuffled)
    assert m.best_pair_threshold(golds, dict(shuffled)) == threshold


def test_pairs_by_hand():
    golds = [("d1", "e1"), ("d2", "e2"), ("d3", "e3")]
    candidates = {("d1", "e1"): 1.3, ("d2", "e2"): 1.2, ("d4", "e4"): 1.1, ("d3", "e5"): 1.0}
    assert m.best_pair_threshold(golds, candidates) == approx(1.15)
    assert m.best_pair_threshold(golds[:1], {("d1", "e1"): 1.3}) == approx(1.3)  # no next one
    assert m.best_pair_threshold(golds, {("d9", "e9"): 1.3}) == 0
    found = [("d1", "e1"), ("d1", "e1"), ("d2", "e9")]  # a duplicate counts once
    assert m.pair_f1(golds, found) == approx({"precision": 50, "recall": 100 / 3, "f1": 40})
    assert m.pair_f1(golds, []) == {"precision": 0, "recall": 0, "f1": 0}


@given(st.permutations(range(8)), st.sets(st.integers(0, 7), min_size=1))
def test_map_of_a_full_ranking_equals_sklearn(ranking, right):
    from sklearn.metrics import average_precision_score

    expected = average_precision_score([c in right for c in ranking], range(8, 0, -1))
    got = m.mean_average_precision({"q": {str(c) for c in right}}, {"q": list(map(str, ranking))})
    assert got == approx(100 * expected)


@pytest.mark.parametrize(
    ("right", "ranking", "k", "expected"),
    [
        (["a"], "xa", 20, 50),
        (["a"], "x" * 19 + "a", 20, 5),
        (["a"], "x" * 20 + "a", 20, 0),  # beyond k
        (["a"], "aa", 20, 100),  # ranked twice, counted once
        (["a", "a"], "a", 20, 100),
        (["a", "b"], "axb", 20, 100 * (1 + 2 / 3) / 2),
        (["a", "b", "c"], "ab", 2, 100),  # at most k can be ranked
        (["a"], "", 20, 0),
    ],
)
def test_mean_average_precision_by_hand(right, ranking, k, expected):
    assert m.mean_average_precision({"q": right}, {"q": list(ranking)}, k) == approx(expected)


def test_rankings_are_averaged_over_the_gold_queries():
    golds = {"1": ["a"], "2": ["b"], "missing": ["c"], "4": ["d", "e"]}
    rankings = {"1": ["a"], "2": ["x", "b"], "4": ["e"], "unknown": ["z"]}
    assert m.mean_average_precision(golds, rankings) == approx(100 * (1 + 0.5 + 0 + 0.5) / 4)


# Unusable input


@pytest.mark.parametrize(
    ("metric", "arguments", "message"),
    [
        (m.accuracy, (["a"], []), "1 gold labels but 0 predicted labels"),
        (m.accuracy, ([], []), "no labels"),
        (m.binary_f1, (["a"], ["a", "b"], "a"), "1 gold labels but 2 predicted"),
        (m.majority, ([],), "no labels"),
        (m.span_f1, ([["O"]], [["O"], ["O"]]), "1 gold sentences but 2 predicted"),
        (m.span_f1, ([["O"], ["O", "O"]], [["O"], ["O"]]), "sentence 2: 2 gold tags but 1"),
        (m.pos_f1, ([["X"]], [[""]]), "sentence 1: an empty tag"),
        (m.pos_f1, ([], []), "no sentences"),
        (m.token_accuracy, ([["X", "X"]], [["X"]]), "sentence 1: 2 gold tags but 1"),
        (m.answer_scores, ({}, {}), "no questions"),
        (m.answer_scores, ({"q7": []}, {"q7": ""}), "question 'q7' has no gold answer"),
        (m.squad2_best_scores, ({}, {}, {}), "no questions"),
        (m.squad2_best_scores, ({"q7": []}, {}, {"q7": 0}), "'q7' has no prediction"),
        (m.squad2_best_scores, ({"q7": []}, {"q7": ""}, {}), "'q7' has no null score"),
        (m.pair_f1, ([], [("a", "b")]), "no gold pairs"),
        (m.best_pair_threshold, ([], {("a", "b"): 1.0}), "no gold pairs"),
        (m.mean_average_precision, ({}, {}), "no queries"),
        (
            m.mean_average_precision,
            ({"q7": []}, {"q7": ["a"]}),
            "query 'q7' has no right candidate",
        ),
    ],
)
def test_unusable_input_is_rejected(metric, arguments, message):
    with pytest.raises(InputError, match=message):
        metric(*arguments)


def test_the_module_imports_no_heavy_library():
    code = (
        "import sys, xstilts.metrics; "
        "print(sorted({'numpy', 'sklearn', 'scipy', 'seqeval', 'torch'} & sys.modules.keys()))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr


def test_macro_f1_is_the_mean_over_labels():
    golds, predictions = list("aabbc"), list("abbba")
    by_class = m.class_f1(golds, predictions)
    assert by_class == {"a": 50.0, "b": pytest.approx(80.0), "c": 0.0}
    assert m.macro_f1(golds, predictions) == pytest.approx(130 / 3)
