"""mine: bitext mining with embeddings, without training (Tatoeba, BUCC 2018).

`retrieval: nearest` finds a translation for every English sentence (Tatoeba). `margin` finds the
translations in two large pools (BUCC): pairs with a score, which count above a threshold that is
tuned on a validation split.
"""

from collections import Counter

from xstilts import metrics
from xstilts.errors import InputError
from xstilts.families import HubColumns, Shown, features_of, mean_of_tokens, pad
from xstilts.sources.sentences import pools

COLUMNS = {"id": str, "side": str, "text": str, "match": str}
MODEL = "AutoModel"
SETTINGS = frozenset({"prefix", "layer", "pooling", "retrieval", "neighbours"})
TOKENS = 30
HUB = HubColumns({"foreign", "english"}, {"pairs"})
CATEGORY = "Sentence retrieval"
VECTORS = True
# Rows and columns of a block of similarities: on a CPU it fits in the cache, on a GPU it is large
# enough to keep the device busy (256 MiB).
_BLOCKS = {"cpu": (2048, 2048), "cuda": (2048, 32768)}


def _translations(rows, predictions):
    """Return (id, right foreign id, chosen one) of each English sentence with a translation."""
    chosen = {prediction["id"]: prediction["prediction"] for prediction in predictions}
    english = [row for row in rows if row["side"] == "english" and row["match"]]
    return [(row["id"], row["match"], chosen[row["id"]]) for row in english]


def _accuracy(rows, predictions, language):
    pairs = [pair for _, *pair in _translations(rows, predictions)]
    return metrics.accuracy([gold for gold, _ in pairs], [chosen for _, chosen in pairs])


def _pair_metric(key):
    def score(rows, predictions, language):
        return metrics.pair_f1(_gold_pairs(rows), _pairs(predictions))[key]

    return score


def _gold_pairs(rows):
    return [(row["id"], row["match"]) for row in rows if row["side"] == "foreign" and row["match"]]


def _pairs(predictions):
    """Return the score of each candidate pair (foreign id, English id)."""
    return {(p["id"], p["prediction"]): p["score"] for p in predictions if p["prediction"]}


METRICS = {
    "accuracy": _accuracy,
    "f1": _pair_metric("f1"),
    "precision": _pair_metric("precision"),
    "recall": _pair_metric("recall"),
}


def _translated(rows, predictions, language):
    """Return, for Tatoeba, whether the translation of each English sentence is right."""
    translations = _translations(rows, predictions)
    return [(id, float(chosen == gold), 1.0) for id, gold, chosen in translations]


def _mined(rows, predictions, language):
    """Return the terms of BUCC's F1, 2 correct / (gold + predicted), per foreign sentence."""
    golds = dict(_gold_pairs(rows))
    mined = dict(_pairs(predictions).keys())
    return [
        (
            id,
            2.0 * (id in mined and golds.get(id) == mined[id]),
            float((id in golds) + (id in mined)),
        )
        for id in sorted({*golds, *mined})
    ]


EXAMPLES = {"accuracy": _translated, "f1": _mined}


def asked(rows, settings):
    """Return the rows that get a prediction: English, or foreign with `margin`."""
    side = "foreign" if settings.retrieval == "margin" else "english"
    return [row for row in rows if row["side"] == side]


def threshold(rows, predictions):
    """Return the threshold that maximises F1 on a validation split."""
    return metrics.best_pair_threshold(_gold_pairs(rows), _pairs(predictions))


def above(predictions, threshold):
    """Return the predictions; those with a score below the threshold become empty."""
    return [p if p["score"] >= threshold else p | {"prediction": ""} for p in predictions]


def encode(rows, tokenizer, settings, labels, train):
    """Return one feature per sentence."""
    texts = [settings.prefix + row["text"] for row in rows]
    encoding = tokenizer(texts, truncation=True, max_length=settings.max_length)
    return features_of(encoding, tokenizer.model_input_names)


def collate(features, pad_id):
    """Return input_ids and attention_mask [batch, tokens]."""
    return pad(features, pad_id)


def layer(settings):
    """Return the number of the layer that yields embeddings."""
    return settings.layer


def outputs(output, batch, settings):
    """Return a sentence embedding [hidden] per feature; the settings name the pooling."""
    hidden = output["hidden_state"]
    if settings.pooling == "first":
        return list(hidden[:, 0].float().cpu().numpy())
    return list(mean_of_tokens(hidden, batch["attention_mask"]).cpu().numpy())


def decode(rows, features, embeddings, labels, settings):
    """Return the translation of each row of `asked` with its score; "" if there is none."""
    vectors = normalise(embeddings)
    if settings.retrieval == "margin":
        targets = _mutual(rows, vectors, settings.neighbours)
    else:
        targets = _nearest(rows, vectors)
    matches = {rows[query]["id"]: (rows[n]["id"], score) for query, (n, score) in targets.items()}
    predictions = []
    for row in asked(rows, settings):
        other, score = matches.get(row["id"], ("", 0.0))
        predictions.append({"id": row["id"], "prediction": other, "score": round(score, 6)})
    return predictions


def _mutual(rows, vectors, neighbours):
    """Return foreign row -> (English row, margin), of sentences that are unique on their side."""
    foreign, english = (_first_of_each_text(rows, side) for side in ("foreign", "english"))
    once = _occur_once(rows)
    pairs = margin_pairs(Selected(vectors, foreign), Selected(vectors, english), neighbours)
    return {
        foreign[f]: (english[e], score)
        for f, e, score in pairs
        if once[foreign[f]] and once[english[e]]
    }


def _nearest(rows, vectors):
    """Return English row -> (the most similar foreign row, cosine)."""
    foreign, english = (
        [number for number, row in enumerate(rows) if row["side"] == side]
        for side in ("foreign", "english")
    )
    scores, best = nearest(Selected(vectors, english), Selected(vectors, foreign), 1)
    return {
        query: (foreign[position], float(score))
        for query, position, score in zip(english, best[:, 0], scores[:, 0], strict=True)
    }


def _first_of_each_text(rows, side):
    """Return positions of a side's rows; a repeated sentence counts once as a neighbour."""
    first = {}
    for number, row in enumerate(rows):
        if row["side"] == side:
            first.setdefault(row["text"], number)
    return list(first.values())


def _occur_once(rows):
    """Return, per row, whether its sentence is unique on its side.

    XTREME drops repeated sentences as candidates, since their text has no single id
    (`read_sent2id`). White space around a sentence does not count there.
    """
    counts = Counter((row["side"], row["text"].strip()) for row in rows)
    return [counts[row["side"], row["text"].strip()] == 1 for row in rows]


def normalise(vectors):
    """Return vectors [n, d] of length 1; an array is changed in place, a list is copied.

    A copy of an array would take gigabytes: BUCC has up to 0.6 million sentences.
    """
    import numpy as np

    vectors = np.asarray(vectors)
    vectors /= np.sqrt(np.einsum("nd,nd->n", vectors, vectors))[:, None]
    return vectors


class Selected:
    """Some rows of an array of vectors; only the block of rows that is read is copied."""

    def __init__(self, vectors, positions):
        import numpy as np

        self.vectors, self.positions = vectors, np.asarray(positions, np.int64)

    def __len__(self):
        return len(self.positions)

    def __getitem__(self, rows):
        return self.vectors[self.positions[rows]]


def nearest(queries, index, count):
    """Return similarities and positions in `index` [n, d] of the nearest vectors of each query.

    `queries` are [m, d]; both results are [m, min(count, n)], best first, and of equals the first.
    Similarity is the inner product. Blocks bound the memory: the full matrix of BUCC would take
    300 GB.
    """
    best = _Best(len(queries), min(count, len(index)))
    for row, column, similarities in _similarities(queries, index):
        best.add(row, column, similarities)
    return best.result()


def nearest_both(left, right, count):
    """Return `nearest(left, right, count)` and `nearest(right, left, count)`.

    The similarities, which take most of the time, are computed once.
    """
    to_right = _Best(len(left), min(count, len(right)))
    to_left = _Best(len(right), min(count, len(left)))
    for row, column, similarities in _similarities(left, right):
        to_right.add(row, column, similarities)
        to_left.add(column, row, similarities.T.contiguous())
    return to_right.result(), to_left.result()


def _device():
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _similarities(left, right):
    """Yield a block's first row, its first column and its inner products, from the top left."""
    import numpy as np
    import torch

    device = _device()
    rows, columns = _BLOCKS[device]
    memory = np.empty(rows * columns, np.float32)  # fresh memory for each block costs 10 to 20 %
    for row in range(0, len(left), rows):
        some = left[row : row + rows]
        on_device = torch.from_numpy(some).to(device)
        for column in range(0, len(right), columns):
            others = right[column : column + columns]
            if device == "cpu":
                block = memory[: len(some) * len(others)].reshape(len(some), len(others))
                # NumPy's products take 0.8 of the time of torch's on AMD processors
                np.matmul(some, others.T, out=block)
                yield row, column, torch.from_numpy(block)
            else:
                yield row, column, on_device @ torch.from_numpy(others).to(device).T


class _Best:
    """The largest values of each row of a matrix, and their columns; of equals the first."""

    def __init__(self, rows, count):
        import torch

        options = {"size": (rows, count), "device": _device()}
        self.values = torch.full(fill_value=-torch.inf, **options)
        self.columns = torch.full(fill_value=0, dtype=torch.long, **options)

    def add(self, row, column, block):
        """Add a block of the matrix; the blocks of a row are added from left to right."""
        import torch

        rows, count = slice(row, row + len(block)), self.values.shape[1]
        values, columns = _largest(block, count)
        values = torch.cat([self.values[rows], values], 1)
        columns = torch.cat([self.columns[rows], columns + column], 1)
        values, order = values.sort(dim=1, descending=True, stable=True)
        self.values[rows] = values[:, :count]
        self.columns[rows] = columns.gather(1, order[:, :count])

    def result(self):
        """Return values and columns as arrays [rows, count], the largest value first."""
        return self.values.cpu().numpy(), self.columns.cpu().numpy()


def _largest(values, count):
    """Return the `count` largest values per row and their columns; of equals the first."""
    # `topk` does not state which of equals it takes: rows where that matters are sorted
    best, columns = values.topk(min(count + 1, values.shape[1]), 1)
    tied = (best[:, 1:] == best[:, :-1]).any(1)
    if tied.any():
        exact, order = values[tied].sort(dim=1, descending=True, stable=True)
        best[tied], columns[tied] = exact[:, : best.shape[1]], order[:, : best.shape[1]]
    return best[:, :count], columns[:, :count]


def margin_pairs(foreign, english, neighbours):
    """Return pairs (foreign position, English position, score), best first; sentences are unique.

    The score is the ratio margin of Artetxe and Schwenk (2019): the cosine divided by the mean of
    both sentences' mean cosines with their nearest neighbours. Candidates are the best neighbours
    from both sides ("max"). `foreign` and `english` are unit vectors [n, d].
    """
    import numpy as np

    (forward, to_english), (backward, to_foreign) = nearest_both(foreign, english, neighbours)
    of_foreign, of_english = forward.mean(1), backward.mean(1)
    forward /= (of_foreign[:, None] + of_english[to_english]) / 2
    backward /= (of_english[:, None] + of_foreign[to_foreign]) / 2
    each_foreign, each_english = np.arange(len(foreign)), np.arange(len(english))
    best, best_back = forward.argmax(1), backward.argmax(1)
    left = np.concatenate([each_foreign, to_foreign[each_english, best_back]])
    right = np.concatenate([to_english[each_foreign, best], each_english])
    scores = np.concatenate([forward.max(1), backward.max(1)])
    pairs, used_left, used_right = [], set(), set()
    for number in np.argsort(-scores, kind="stable"):
        f, e = int(left[number]), int(right[number])
        if f not in used_left and e not in used_right:
            used_left.add(f)
            used_right.add(e)
            pairs.append((f, e, float(scores[number])))
    return pairs


def hub_items(records):
    """Return the items of sentence pairs, one per record, or of two pools with their gold pairs.

    The id of a sentence is its language and its number on its side, from 0.
    """
    foreign, english, golds = [], [], []
    for record in records:
        place, language = record.place, record.language
        if "pairs" in record.split.columns:
            sides = [record.listed(side, str) for side in ("foreign", "english")]
            pairs = record.listed("pairs", list)
        else:
            texts = record.texts("foreign", "english")
            sides, pairs = [[texts["foreign"]], [texts["english"]]], [[1, 1]]
        starts = len(foreign), len(english)
        for pair in pairs:
            if len(pair) != 2 or not all(type(number) is int for number in pair):
                raise InputError(f"{place}: {pair} is not a pair of numbers")
            for number, side in zip(pair, sides, strict=True):
                if not 1 <= number <= len(side):
                    raise InputError(f"{place}: pair {pair}, but the row has {len(side)} sentences")
            f, e = (start + number - 1 for start, number in zip(starts, pair, strict=True))
            golds.append((place, f"{language}-{f}", f"en-{e}"))
        for code, side, sentences in ((language, foreign, sides[0]), ("en", english, sides[1])):
            side += [(place, f"{code}-{len(side) + n}", text) for n, text in enumerate(sentences)]
    return pools(foreign, english, golds)


def shown_texts(row):
    """Return the sentence."""
    return [Shown("sentence", row["text"], language="en" if row["side"] == "english" else "")]


def gold(row):
    """Return the id of the translation."""
    return row["match"]


def shown_answer(row, answer, rows, answers):
    """Return the sentence that was chosen."""
    return [(rows[answer]["text"], "")] if answer in rows else []
