"""Metrics of all task families, in percent (0-100): the numbers of XTREME's official scorer.

The reference is google-research/xtreme: `evaluate.py` with `third_party/evaluate_squad.py`,
`evaluate_mlqa.py`, `utils_retrieve.py` and `utils_mewslix.py`. All functions are pure; golds come
before predictions; a set of scores maps names to percent. Functions raise InputError for input
that cannot be scored.

Sequences (labels, sentences of tags) are paired by position and must have equal lengths. Mappings
(answers, rankings) are paired by example id: a missing prediction scores 0, and an unknown id is
ignored, as in the official scripts.
"""

import re
import string
import unicodedata
import warnings
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from itertools import accumulate, chain, groupby, zip_longest

from xstilts.errors import InputError, nearest

Scores = dict[str, float]
Labels = Sequence[Hashable]
Tags = Sequence[Sequence[str]]  # sentences of tags
Answers = Mapping[str, Sequence[str]]  # question id to gold answers
Pair = tuple[str, str]  # ids of two sentences: foreign, English
Counts = tuple[int, ...]  # correct, gold, predicted


def _precision_recall_f1(correct: float, n_gold: int, n_predicted: int) -> Scores:
    """Return scores with F1 = 2 correct / (gold + predicted); an undefined ratio is 0."""
    return {
        "f1": 200 * correct / (n_gold + n_predicted) if n_gold + n_predicted else 0.0,
        "precision": 100 * correct / n_predicted if n_predicted else 0.0,
        "recall": 100 * correct / n_gold if n_gold else 0.0,
    }


def _check_paired(golds: Sequence, predictions: Sequence, what: str) -> None:
    if len(golds) != len(predictions):
        raise InputError(f"{len(golds)} gold {what} but {len(predictions)} predicted {what}")
    if not golds:
        raise InputError(f"no {what} to score")


# Labels: classification, multiple choice, and Tatoeba (the label is the chosen sentence)


def accuracy(golds: Labels, predictions: Labels) -> float:
    """Share of equal labels; for Tatoeba, labels are sentence ids."""
    _check_paired(golds, predictions, "labels")
    return 100 * sum(g == p for g, p in zip(golds, predictions, strict=True)) / len(golds)


def binary_f1(golds: Labels, predictions: Labels, positive: Hashable) -> float:
    """F1 of the label `positive`: GLUE's metric for QQP, where it marks duplicates."""
    _check_paired(golds, predictions, "labels")
    correct = sum(g == p == positive for g, p in zip(golds, predictions, strict=True))
    n_gold, n_predicted = (sum(x == positive for x in xs) for xs in (golds, predictions))
    return _precision_recall_f1(correct, n_gold, n_predicted)["f1"]


def class_f1(golds: Labels, predictions: Labels) -> dict[Hashable, float]:
    """F1 of each label that occurs in the gold labels or the predictions, sorted by label."""
    labels = sorted({*golds, *predictions})
    return {label: binary_f1(golds, predictions, label) for label in labels}


def macro_f1(golds: Labels, predictions: Labels) -> float:
    """Unweighted mean of `class_f1`, as scikit-learn's `f1_score(average="macro")`."""
    by_class = class_f1(golds, predictions)
    return sum(by_class.values()) / len(by_class)


def mean_accuracy_f1(golds: Labels, predictions: Labels, positive: Hashable) -> float:
    """Mean of accuracy and binary F1: QQP in GLUE and jiant (`acc_and_f1`)."""
    return (accuracy(golds, predictions) + binary_f1(golds, predictions, positive)) / 2


def majority(golds: Labels) -> float:
    """Share of the most frequent label: the accuracy of a model that has learned nothing."""
    if not golds:
        raise InputError("no labels to score")
    return 100 * Counter(golds).most_common(1)[0][1] / len(golds)


# Tags: NER and POS


def _check_tags(golds: Tags, predictions: Tags) -> None:
    _check_paired(golds, predictions, "sentences")
    for number, (gold, predicted) in enumerate(zip(golds, predictions, strict=True), 1):
        if len(gold) != len(predicted):
            raise InputError(
                f"sentence {number}: {len(gold)} gold tags but {len(predicted)} predicted tags"
            )
        if not (all(gold) and all(predicted)):
            raise InputError(f"sentence {number}: an empty tag")


def _seqeval_chunks(sentences: Tags) -> set[tuple]:
    """Return the chunks of all sentences; the sentence's number is their first item."""
    from seqeval.metrics.sequence_labeling import get_entities

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*seems not to be NE tag")
        # All sentences in one call: seqeval carries its state from one sentence to the next.
        entities = get_entities([list(tags) for tags in sentences])
    # its positions count through all sentences, plus one between sentences
    starts = list(accumulate((len(tags) + 1 for tags in sentences), initial=0))
    return {(bisect_right(starts, first) - 1, kind, first, last) for kind, first, last in entities}


def _runs_of_equal_tags(sentences: Tags) -> set[tuple]:
    """Return the chunks of all sentences; the sentence's number is their first item."""
    chunks = set()
    for number, tags in enumerate(sentences):
        end = 0
        for tag, run in groupby(tags):
            start, end = end, end + len(list(run))
            if tag[0] in "BES":  # read as begin, end, single, which never merge
                chunks.update((number, i, i + 1, tag) for i in range(start, end))
            elif tag[0] not in "O.":  # read as outside
                chunks.add((number, start, end, tag))
    return chunks


def _chunk_counts(golds: Tags, predictions: Tags, chunks: Callable[[Tags], set]) -> list[Counts]:
    _check_tags(golds, predictions)
    gold, predicted = chunks(golds), chunks(predictions)
    by_sentence = [
        Counter(number for number, *_ in kind) for kind in (gold & predicted, gold, predicted)
    ]
    return [tuple(counts[n] for counts in by_sentence) for n in range(len(golds))]


def _chunk_scores(golds: Tags, predictions: Tags, chunks: Callable[[Tags], set]) -> Scores:
    counts = _chunk_counts(golds, predictions, chunks)
    return _precision_recall_f1(*map(sum, zip(*counts, strict=True)))


def span_counts(golds: Tags, predictions: Tags) -> list[Counts]:
    """Return the counts of each sentence, whose sums give `span_f1`."""
    return _chunk_counts(golds, predictions, _seqeval_chunks)


def pos_counts(golds: Tags, predictions: Tags) -> list[Counts]:
    """Return the counts of each sentence, whose sums give `pos_f1`."""
    return _chunk_counts(golds, predictions, _runs_of_equal_tags)


def span_f1(golds: Tags, predictions: Tags) -> Scores:
    """F1, precision and recall of labelled spans with IOB tags (NER): `seqeval`, default mode.

    As in conlleval, an I- tag without B- before it, or of another type, starts a span.
    """
    return _chunk_scores(golds, predictions, _seqeval_chunks)


def pos_f1(golds: Tags, predictions: Tags) -> Scores:
    """F1, precision and recall of POS tags, as XTREME and papers report them. Not token accuracy.

    XTREME scores bare tags (NOUN, VERB) as IOB, with a seqeval before 0.0.16. A run of equal tags
    is one chunk, and the first letter is read as the IOB prefix: tags that start with B, E or S
    (SCONJ, SYM) never merge, and those that start with O count as outside. Source: `get_entities`
    of seqeval 0.0.12, for tags without a hyphen.
    """
    return _chunk_scores(golds, predictions, _runs_of_equal_tags)


def pos_f1_seqeval_1_2(golds: Tags, predictions: Tags) -> Scores:
    """`pos_f1` with a later seqeval (0.0.16 to 1.2.2), which is not comparable.

    The type lacks its first letter: CCONJ and SCONJ become one type, and an X at the end of a
    sentence is lost.
    """
    return _chunk_scores(golds, predictions, _seqeval_chunks)


def token_accuracy(golds: Tags, predictions: Tags) -> float:
    """Share of equal tags over all words of all sentences."""
    _check_tags(golds, predictions)
    return accuracy(list(chain(*golds)), list(chain(*predictions)))


# Answers: extractive question answering

# A regular expression per language, replaced by a space after lower-casing and removing
# punctuation. In Arabic it matches anywhere in a word. Source: mlqa_evaluation_v1.py.
MLQA_ARTICLES = {
    "ar": r"ال",
    "de": r"\b(?:ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
    "en": r"\b(?:a|an|the)\b",
    "es": r"\b(?:un|una|unos|unas|el|la|los|las)\b",
    "hi": None,
    "vi": r"\b(?:của|là|cái|chiếc|những)\b",
    "zh": None,
}


def squad_tokens(text: str) -> list[str]:
    """Return the normalised words of an answer: SQuAD v1.1 and v2.0, XQuAD, TyDiQA.

    Lower case, no ASCII punctuation, no English articles, split at white space. This applies to
    all languages, also those written without spaces. Source: evaluate-v1.1.py and evaluate-v2.0.py.
    """
    bare = text.lower().translate(str.maketrans("", "", string.punctuation))
    return re.sub(MLQA_ARTICLES["en"], " ", bare).split()


def mlqa_tokens(text: str, language: str) -> list[str]:
    """Return the normalised words of an answer in `language`: MLQA (mlqa_evaluation_v1.py).

    Like `squad_tokens`, but with all Unicode punctuation and the language's own articles; in
    Chinese every ideograph is a token. Raise InputError for a language that MLQA does not have.
    """
    if language not in MLQA_ARTICLES:
        hint = nearest(language, MLQA_ARTICLES)
        raise InputError(f"MLQA has no answer normalisation for language {language!r}: {hint}")
    bare = "".join(
        c
        for c in text.lower()
        if c not in string.punctuation and not unicodedata.category(c).startswith("P")
    )
    if MLQA_ARTICLES[language]:
        bare = re.sub(MLQA_ARTICLES[language], " ", bare)
    return re.findall(r"[一-龥]|[^一-龥\s]+", bare) if language == "zh" else bare.split()


def _overlap_f1(gold: Sequence[str], predicted: Sequence[str]) -> float:
    correct = (Counter(gold) & Counter(predicted)).total()
    return _precision_recall_f1(correct, len(gold), len(predicted))["f1"]


def answer_scores(
    golds: Answers,
    predictions: Mapping[str, str],
    tokens: Callable[[str], list[str]] = squad_tokens,
) -> Scores:
    """Exact match and token F1: the maximum over a question's gold answers, then the mean.

    `golds` and `predictions` map question ids to texts; `tokens` normalises a text
    (`functools.partial(mlqa_tokens, language="de")` for MLQA). Every question needs a gold answer.
    An answer without tokens after normalisation can match exactly, but its F1 is 0.
    Source: SQuAD's evaluate-v1.1.py and mlqa_evaluation_v1.py.
    """
    if not golds:
        raise InputError("no questions to score")
    columns = zip(*answer_examples(golds, predictions, tokens), strict=True)
    exact, f1 = (sum(column) / len(golds) for column in columns)
    return {"exact_match": exact, "f1": f1}


def answer_examples(
    golds: Answers,
    predictions: Mapping[str, str],
    tokens: Callable[[str], list[str]] = squad_tokens,
) -> list[tuple[float, float]]:
    """Return exact match and F1 per question; `answer_scores` is their mean."""

    def score(question: str, answers: Sequence[str]) -> tuple[float, float]:
        if not answers:
            raise InputError(f"question {question!r} has no gold answer: score it as SQuAD v2.0")
        if question not in predictions:
            return 0.0, 0.0
        predicted = tokens(predictions[question])
        expected = [tokens(answer) for answer in answers]
        return 100.0 * (predicted in expected), max(_overlap_f1(e, predicted) for e in expected)

    return [score(question, answers) for question, answers in golds.items()]


def squad2_em_f1(answers: Sequence[str], prediction: str) -> tuple[float, float]:
    """Return exact match and F1 of a question that may have no answer (no golds; prediction "").

    Without an answer both are 100 for an empty prediction, otherwise 0. Source: SQuAD's
    evaluate-v2.0.py.
    """
    predicted = squad_tokens(prediction)
    expected = [words for words in map(squad_tokens, answers) if words] or [[]]
    exact = 100.0 * (predicted in expected)
    if expected == [[]]:  # no answer: both scores are 100 or 0
        return exact, exact
    return exact, max(_overlap_f1(e, predicted) for e in expected)


def squad2_best_scores(
    golds: Answers, predictions: Mapping[str, str], null_scores: Mapping[str, float]
) -> Scores:
    """Exact match and F1 of SQuAD v2.0, each at its best no-answer threshold.

    `predictions` are the best spans, also if the null score (no answer minus best span) is high. A
    question is answered if its null score is at most the threshold. Returns `exact_match`, `f1` and
    both `…_threshold`. Every question needs a prediction and a null score. Source:
    `find_best_thresh` of evaluate-v2.0.py. Here thresholds lie between different null scores only,
    so a threshold attains the result, and the order of ties has no influence.
    """
    for name, given in (("prediction", predictions), ("null score", null_scores)):
        missing = [question for question in golds if question not in given]
        if missing:
            raise InputError(f"question {missing[0]!r} has no {name} ({len(missing)} without)")
    if not golds:
        raise InputError("no questions to score")
    ranked = sorted(golds, key=lambda question: null_scores[question])
    best: Scores = {}
    for column, name in enumerate(("exact_match", "f1")):
        # Start where no question is answered: those without a gold answer are right.
        total = best_total = 100.0 * sum(not answers for answers in golds.values())
        threshold = null_scores[ranked[0]] - 1
        for null_score, tied in groupby(ranked, key=lambda question: null_scores[question]):
            for question in tied:
                if golds[question]:
                    total += squad2_em_f1(golds[question], predictions[question])[column]
                elif predictions[question]:
                    total -= 100.0
            if total > best_total:
                best_total, threshold = total, null_score
        best |= {name: best_total / len(golds), f"{name}_threshold": threshold}
    return best


# Retrieval: BUCC (pairs of sentences), LAReQA and Mewsli-X (rankings of candidates)


def pair_f1(golds: Collection[Pair], predictions: Iterable[Pair]) -> Scores:
    """F1, precision and recall of a set of sentence pairs (BUCC); duplicates count once."""
    gold, predicted = set(golds), set(predictions)
    if not gold:
        raise InputError("no gold pairs to score")
    return _precision_recall_f1(len(gold & predicted), len(gold), len(predicted))


def best_pair_threshold(golds: Collection[Pair], candidates: Mapping[Pair, float]) -> float:
    """Score threshold with the best F1 on `candidates` (pair -> score) of a validation split: BUCC.

    It is half-way between the last accepted pair and the next (or equals the last score). Of
    equally good thresholds it is the highest; it is 0 if no candidate is right. Source:
    `bucc_optimize` of XTREME's utils_retrieve.py, but pairs of equal score are accepted together.
    """
    gold = set(golds)
    if not gold:
        raise InputError("no gold pairs to score")
    ranked = sorted(candidates, key=lambda pair: -candidates[pair])
    n_correct = 0
    best_f1 = threshold = 0.0
    for n_taken, (pair, next_pair) in enumerate(zip_longest(ranked, ranked[1:]), 1):
        n_correct += pair in gold
        score = candidates[pair]
        next_score = score if next_pair is None else candidates[next_pair]
        if next_pair and next_score == score:
            continue
        f1 = _precision_recall_f1(n_correct, len(gold), n_taken)["f1"]
        if f1 > best_f1:
            best_f1, threshold = f1, (score + next_score) / 2
    return threshold


def mean_average_precision(
    golds: Mapping[str, Collection[str]], rankings: Mapping[str, Sequence[str]], k: int = 20
) -> float:
    """mAP@k: Mewsli-X and LAReQA.

    `golds` maps a query to its right candidates, `rankings` to candidates, best first. Average
    precision sums precision@rank over ranks <= k with a right candidate, and divides by min(k,
    number of right candidates). A candidate ranked twice counts only the first time. With one right
    candidate it is the reciprocal rank, as Mewsli-X in XTREME's utils_mewslix.py.
    """
    if not golds:
        raise InputError("no queries to score")
    return 100 * sum(average_precisions(golds, rankings, k)) / len(golds)


def average_precisions(
    golds: Mapping[str, Collection[str]], rankings: Mapping[str, Sequence[str]], k: int = 20
) -> list[float]:
    """Return the average precision (0 to 1) of each query."""
    precisions = []
    for query, right in golds.items():
        if not right:
            raise InputError(f"query {query!r} has no right candidate")
        counted: set[str] = set()
        precision = 0.0
        for rank, candidate in enumerate(rankings.get(query, ())[:k], 1):
            if candidate in right and candidate not in counted:
                counted.add(candidate)
                precision += len(counted) / rank / min(k, len(set(right)))
        precisions.append(precision)
    return precisions
