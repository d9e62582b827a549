"""choose: one of k candidates continues or answers a context (HellaSwag, CommonsenseQA, COPA)."""

import pyarrow as pa

from xstilts import metrics
from xstilts.errors import InputError
from xstilts.families import features_of, labels_as_examples, pad

COLUMNS = pa.schema(
    {
        "id": pa.string(),
        "context": pa.string(),
        "question": pa.string(),
        "choices": pa.list_(pa.string()),
        "label": pa.int32(),
    }
)
MODEL = "AutoModelForMultipleChoice"
METRICS = {
    "accuracy": lambda rows, predictions, language: metrics.accuracy(
        [row["label"] for row in rows], [prediction["prediction"] for prediction in predictions]
    )
}
EXAMPLES = {"accuracy": labels_as_examples}


def labels(rows):
    """No inventory: the head scores one candidate at a time."""
    return []


def encode(rows, tokenizer, settings, labels, train):
    """One feature per row with `choices`: a pair (context and question, candidate) each."""
    contexts = [f"{row['context']} {row['question']}".strip() for row in rows]
    pairs = [
        (context, choice)
        for context, row in zip(contexts, rows, strict=True)
        for choice in row["choices"]
    ]
    encoding = tokenizer(
        [context for context, _ in pairs],
        [choice for _, choice in pairs],
        truncation=True,
        max_length=settings.max_length,
    )
    flat = iter(features_of(encoding, tokenizer.model_input_names))
    features = []
    for row in rows:
        choices = [next(flat) for _ in row["choices"]]
        longest = max(choices, key=lambda choice: len(choice["input_ids"]))
        feature = {"choices": choices, "input_ids": longest["input_ids"]}
        if train:
            feature["label"] = row["label"]
        features.append(feature)
    return features


def collate(features, pad_id, settings=None, random=None):
    """input_ids and attention_mask [batch, choices, tokens]; labels [batch] in training."""
    import torch

    counts = {len(feature["choices"]) for feature in features}
    if len(counts) > 1:
        raise InputError(f"examples with {sorted(counts)} candidates cannot share a batch")
    flat = pad([choice for feature in features for choice in feature["choices"]], pad_id)
    shape = (len(features), counts.pop(), -1)
    batch = {key: tensor.view(shape) for key, tensor in flat.items()}
    if "label" in features[0]:
        batch["labels"] = torch.tensor([feature["label"] for feature in features])
    return batch


def outputs(output, batch, settings):
    """Logits [choices] per feature."""
    return list(output.logits.float().cpu().numpy())


def decode(rows, features, logits, labels, settings):
    """The index of the candidate with the highest score, with the score of each."""
    return [
        {
            "id": row["id"],
            "prediction": int(scores.argmax()),
            "scores": [round(float(score), 6) for score in scores],
        }
        for row, scores in zip(rows, logits, strict=True)
    ]
