"""tag: a label for every word, at its first sub-word token (POS, NER, CCG supertags)."""

import re
from collections import Counter
from operator import mul

from xstilts import metrics
from xstilts.errors import InputError
from xstilts.families import (
    IGNORED,
    HubColumns,
    Shown,
    class_index,
    features_of,
    labelled_tokens,
    pad,
    pad_lists,
)
from xstilts.sources import spans
from xstilts.sources.hub import each
from xstilts.sources.records import field, known
from xstilts.sources.words import UPOS, Part, number, surface

COLUMNS = {"id": str, "words": list[str], "tags": list[str]}
MODEL = "AutoModelForTokenClassification"
TOKENS = 30
_TREE, _OFFSETS = frozenset({"heads", "fused"}), frozenset({"starts", "ends"})
HUB = HubColumns({"words", "tags"}, {"id", *_TREE, *_OFFSETS}, together=(_TREE, _OFFSETS))
CATEGORY = "Structured prediction"
_SPANS = ("f1", "precision", "recall")  # metrics
_IOB = re.compile("O|[BIES](-.+)?")
_SHOWN = 12  # words of an answer on the report's page


def _metric(function, key=None):
    def score(rows, predictions, language):
        golds = [row["tags"] for row in rows]
        scores = function(golds, [prediction["prediction"] for prediction in predictions])
        return scores[key] if key else scores

    return score


METRICS = {
    "f1": _metric(metrics.span_f1, "f1"),
    "precision": _metric(metrics.span_f1, "precision"),
    "recall": _metric(metrics.span_f1, "recall"),
    "pos_f1": _metric(metrics.pos_f1, "f1"),
    "pos_f1_seqeval_1_2": _metric(metrics.pos_f1_seqeval_1_2, "f1"),
    "token_accuracy": _metric(metrics.token_accuracy),
}


def _examples(function, top, bottom):
    """Return weighted sums of a sentence's (correct, gold, predicted) counts."""

    def examples(rows, predictions, language):
        golds = [row["tags"] for row in rows]
        counts = function(golds, [prediction["prediction"] for prediction in predictions])
        sums = [
            [float(sum(map(mul, weights, count))) for weights in (top, bottom)] for count in counts
        ]
        return [(row["id"], *pair) for row, pair in zip(rows, sums, strict=True)]

    return examples


def _words(golds, predictions):
    pairs = zip(golds, predictions, strict=True)
    return [(sum(map(str.__eq__, *pair)), len(pair[0]), len(pair[1])) for pair in pairs]


EXAMPLES = {
    "f1": _examples(metrics.span_counts, (2, 0, 0), (0, 1, 1)),
    "precision": _examples(metrics.span_counts, (1, 0, 0), (0, 0, 1)),
    "recall": _examples(metrics.span_counts, (1, 0, 0), (0, 1, 0)),
    "pos_f1": _examples(metrics.pos_counts, (2, 0, 0), (0, 1, 1)),
    "token_accuracy": _examples(_words, (1, 0, 0), (0, 1, 0)),
}


def labels(rows):
    """Return the tags that occur, sorted."""
    return sorted({tag for row in rows for tag in row["tags"]})


def check_labels(labels, metrics):
    """Raise InputError if a metric of spans cannot read a tag: seqeval would score it anyway."""
    counted = [metric for metric in metrics if metric in _SPANS]
    odd = [label for label in labels if not _IOB.fullmatch(label)]
    if counted and odd:
        raise InputError(
            f"{counted[0]} counts spans, and {odd[0]!r} is no tag of a span; expected O, B-TYPE or "
            "I-TYPE (`labels` renames tags), or metrics: [token_accuracy]"
        )


def encode(rows, tokenizer, settings, labels, train):
    """Return one feature per row, or several if it is long; truncation loses no word.

    `first` has pairs: the number of a word in the feature, and the position of its first token.
    `start` is the number of the feature's first word in its row.
    """
    index = class_index(labels) if train else {}
    room = settings.max_length - tokenizer.num_special_tokens_to_add()
    sentences, whole = _readable(rows, tokenizer)
    chunks = [
        (row, start, words)
        for row, sentence in enumerate(sentences)
        for start, words in _chunks(sentence, whole.word_ids(row), room)
    ]
    encoding = tokenizer(
        [words for _, _, words in chunks],
        is_split_into_words=True,
        truncation=True,
        max_length=settings.max_length,
    )
    features = features_of(encoding, tokenizer.model_input_names)
    for position, feature in enumerate(features):
        row, start, _ = chunks[position]
        word_of_token = encoding.word_ids(position)
        first = {}
        for token, word in enumerate(word_of_token):
            if word is not None:
                first.setdefault(word, token)
        feature |= {"row": row, "start": start, "first": list(first.items())}
        if train:
            tags = rows[row]["tags"]
            feature["labels"] = [IGNORED] * len(word_of_token)
            for word, token in first.items():
                feature["labels"][token] = index[tags[start + word]]
    return features


def _readable(rows, tokenizer):
    """Return sentences and their encoding; words without a sub-word are the unknown token.

    Such words are spaces and control characters, which many tokenizers drop; XTREME's utils_tag.py
    replaces them in the same way. Raise InputError if a tokenizer has no unknown token.
    """
    space = " " if _space_belongs_to_word(tokenizer) else ""
    sentences = [[*row["words"][:1], *(space + word for word in row["words"][1:])] for row in rows]
    options = {"is_split_into_words": True, "add_special_tokens": False}
    encoding = tokenizer(sentences, **options)
    complete = True
    for position, words in enumerate(sentences):
        for dropped in set(range(len(words))) - set(encoding.word_ids(position)):
            if tokenizer.unk_token is None:
                word = words[dropped]
                raise InputError(f"the tokenizer has no token for {word!r}, and none for unknowns")
            words[dropped], complete = tokenizer.unk_token, False
    return sentences, encoding if complete else tokenizer(sentences, **options)


def _space_belongs_to_word(tokenizer):
    """Whether a tokenizer reads a listed word as the continuation of the previous word.

    Byte-level BPE (ModernBERT, EuroBERT) and Gemma's (mmBERT) mark a word by the space before it.
    Without that space, words of a list have tokens that pretraining never saw at their place.
    """
    listed = tokenizer(["a", "a"], is_split_into_words=True, add_special_tokens=False)
    return listed["input_ids"] != tokenizer("a a", add_special_tokens=False)["input_ids"]


def _chunks(words, word_of_token, room):
    """Split a sentence where the next word does not fit; return (first word's number, words)."""
    lengths = Counter(word_of_token)
    chunks, start, used = [], 0, 0
    for word in range(len(words)):
        if word > start and used + lengths[word] > room:
            chunks.append((start, words[start:word]))
            start, used = word, 0
        used += lengths[word]
    return [*chunks, (start, words[start:])]


def collate(features, pad_id):
    """Return input_ids, attention_mask and, in training, labels: all [batch, tokens]."""
    batch = pad(features, pad_id)
    if "labels" in features[0]:
        batch["labels"] = pad_lists([feature["labels"] for feature in features], IGNORED)
    return batch


terms = labelled_tokens


def outputs(output, batch, settings):
    """Return the index of the most probable label [tokens] per feature."""
    return list(output.logits.argmax(-1).cpu().numpy())


def decode(rows, features, best, labels, settings):
    """Return a tag per word."""
    tags = [[""] * len(row["words"]) for row in rows]
    for feature, indices in zip(features, best, strict=True):
        for word, token in feature["first"]:
            tags[feature["row"]][feature["start"] + word] = labels[int(indices[token])]
    return [{"id": row["id"], "prediction": own} for row, own in zip(rows, tags, strict=True)]


def hub_items(records):
    """Yield an item per record, as words with their tags."""
    return each(records, _hub_row)


def _hub_row(record):
    if "starts" in record.split.columns:
        row = _spans(record)
        return row if isinstance(row, str) else record.texts() | row
    words = record.listed("words", str)
    tags = [str(tag).strip() for tag in record.listed("tags", str | int)]
    if len(words) != len(tags) or not words:
        raise InputError(
            f"{record.place}: {len(words)} words and {len(tags)} tags; expected a tag for each word"
        )
    tags = _renamed(record, tags, "word {} has an empty tag")
    row = {"words": words, "tags": tags}
    if "fused" in record.split.columns:
        row = _surface_words(record, words, tags)
    return row if isinstance(row, str) else record.texts() | row


def _spans(record):
    """Return the words and tags of a text whose spans have a label and offsets in characters."""
    starts, ends = record.listed("starts", int), record.listed("ends", int)
    names = [name.strip() for name in record.listed("tags", str)]
    if not len(starts) == len(ends) == len(names):
        counts = f"{len(starts)} starts, {len(ends)} ends and {len(names)} labels"
        raise InputError(f"{record.place}: {counts} of spans; expected equal numbers")
    names = _renamed(record, names, "span {} has an empty label")
    text = record.texts("words")["words"]
    tagged = spans.tagged(text, zip(starts, ends, names, strict=True), record.place)
    return tagged if isinstance(tagged, str) else dict(zip(("words", "tags"), tagged, strict=True))


def _renamed(record, tags, problem):
    """Return tags as `labels` renames them. Raise InputError with `problem` for an empty one."""
    if "" in tags:
        raise InputError(f"{record.place}: {problem.format(tags.index('') + 1)}")
    labels = record.split.labels
    return [labels[known(tag, labels, record.place)] for tag in tags] if labels else tags


def _surface_words(record, words, tags):
    """Return the surface words of a treebank's row, as `sources.words.conllu` those of a file."""
    place = record.place
    heads = [str(head) for head in record.listed("heads", object)]
    if len(heads) != len(words):
        raise InputError(
            f"{place}: {len(words)} words and {len(heads)} heads; expected a head for each word"
        )
    parts = [
        Part(word, known(tag, UPOS, place), (int(head) if head.isdecimal() else 0,))
        for word, tag, head in zip(words, tags, heads, strict=True)
    ]
    fused = {}
    for token in record.listed("fused", dict):
        first, _, last = number(field(token, "id", str, place), place)
        fused[first] = (last, field(token, "form", str, place))
    return surface(parts, fused, record.language, place)


def shown_texts(row):
    """Return the words as one text."""
    return [Shown("words", " ".join(row["words"]))]


def gold(row):
    """Return the tags."""
    return row["tags"]


def shown_answer(row, answer, rows, answers):
    """Return the first words on whose tags the answers or the gold tags disagree."""
    columns = zip(row["words"], answer, row["tags"], *answers, strict=True)
    return [(word, tag) for word, tag, *others in columns if len(set(others)) > 1][:_SHOWN]
