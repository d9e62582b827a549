"""classify: one label for a sentence or a pair of sentences (NLI, paraphrase)."""

from xstilts import metrics
from xstilts.errors import InputError
from xstilts.families import HubColumns, Shown, class_index, features_of, pad
from xstilts.sources.hub import each

COLUMNS = {"id": str, "text_a": str, "text_b": str, "label": str}
MODEL = "AutoModelForSequenceClassification"
SETTINGS = frozenset({"prefix", "texts"})
TOKENS = 45  # MNLI's pairs have about 40
TEXT_TO_TEXT = "classify_text"
HUB = HubColumns({"text_a", "label"}, {"id", "text_b"}, worded=True)
CATEGORY = "Classification"


def _metric(function, *arguments):
    def score(rows, predictions, language):
        golds = [row["label"] for row in rows]
        answers = [prediction["prediction"] for prediction in predictions]
        return function(golds, answers, *arguments)

    return score


METRICS = {
    "accuracy": _metric(metrics.accuracy),
    "f1": _metric(metrics.binary_f1, "1"),  # of label "1", which QQP gives to duplicates
    "macro_f1": _metric(metrics.macro_f1),
    "accuracy_f1": _metric(metrics.mean_accuracy_f1, "1"),
}
_OF_LABEL_1 = {"f1", "accuracy_f1"}  # metrics


def _duplicates(rows, predictions, language):
    """Return the terms of the F1 of label "1": 2 correct / (gold + predicted)."""
    examples = []
    for row, prediction in zip(rows, predictions, strict=True):
        gold, predicted = row["label"] == "1", prediction["prediction"] == "1"
        examples.append((row["id"], 2.0 * (gold and predicted), float(gold + predicted)))
    return examples


def _right(rows, predictions, language):
    """Return the terms of the accuracy."""
    pairs = zip(rows, predictions, strict=True)
    return [(row["id"], float(row["label"] == p["prediction"]), 1.0) for row, p in pairs]


EXAMPLES = {"accuracy": _right, "f1": _duplicates}


def labels(rows):
    """Return the labels that occur, sorted."""
    return sorted({row["label"] for row in rows})


def check_labels(labels, metrics):
    """Raise InputError for labels other than 0 and 1 if a metric is the F1 of label "1"."""
    counted = [metric for metric in metrics if metric in _OF_LABEL_1]
    odd = [label for label in labels if label not in ("0", "1")]
    if counted and odd:
        raise InputError(
            f"{counted[0]} is the F1 of label '1', but the labels are {', '.join(labels[:5])}; "
            "rename them (`labels` of the split) to '0' and '1', or use macro_f1"
        )


def encode(rows, tokenizer, settings, labels, train):
    """Return one feature per row; the longer text of a pair is truncated first."""
    seen = "text_b" if settings.texts == "second" else "text_a"
    first = [settings.prefix + row[seen] for row in rows]
    second = [row["text_b"] if settings.texts == "both" else "" for row in rows]
    encoding = tokenizer(
        first, second if any(second) else None, truncation=True, max_length=settings.max_length
    )
    features = features_of(encoding, tokenizer.model_input_names)
    if train:
        index = class_index(labels)
        for feature, row in zip(features, rows, strict=True):
            feature["label"] = index[row["label"]]
    return features


def collate(features, pad_id):
    """Return input_ids and attention_mask [batch, tokens]; in training, labels [batch]."""
    import torch

    batch = pad(features, pad_id)
    if "label" in features[0]:
        batch["labels"] = torch.tensor([feature["label"] for feature in features])
    return batch


def outputs(output, batch, settings):
    """Return logits [labels] per feature."""
    return list(output.logits.float().cpu().numpy())


def decode(rows, features, logits, labels, settings):
    """Return the most probable label, and the probability of each label."""
    import numpy as np

    predictions = []
    for row, scores in zip(rows, logits, strict=True):
        probabilities = np.exp(scores - scores.max())
        probabilities /= probabilities.sum()
        predictions.append(
            {
                "id": row["id"],
                "prediction": labels[int(scores.argmax())],
                "scores": {
                    label: round(float(p), 6)
                    for label, p in zip(labels, probabilities, strict=True)
                },
            }
        )
    return predictions


def hub_items(records):
    """Yield an item per record, as a text or a pair with its label."""
    return each(records, lambda record: record.labelled("text_a", "text_b"))


def shown_texts(row):
    """Return the text, or the pair."""
    return [Shown("text", row["text_a"]), Shown("second text", row["text_b"])]
