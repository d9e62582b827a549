"""choose: multiple choice; one of k candidates is right (HellaSwag, CommonsenseQA, COPA)."""

from xstilts.errors import InputError
from xstilts.families import HubColumns, Shown, classify, features_of, pad
from xstilts.sources.hub import each

COLUMNS = {"id": str, "context": str, "question": str, "choices": list[str], "label": int}
MODEL = "AutoModelForMultipleChoice"
TOKENS = 300  # all candidates together
SEQUENCES = 4
TEXT_TO_TEXT = "choose_text"
HUB = HubColumns(
    {"choices", "label"},
    {"id", "context", "question", "keys"},
    several={"choices"},
    label=int,
    worded=True,
)
CATEGORY = "Classification"
METRICS = {"accuracy": classify.METRICS["accuracy"]}
EXAMPLES = {"accuracy": classify.EXAMPLES["accuracy"]}


def prompt(row):
    """Return the context with the question, as one text."""
    return f"{row['context']} {row['question']}".strip()


def encode(rows, tokenizer, settings, labels, train):
    """Return one feature per row; `choices` are pairs of context with question, and candidate."""
    encoding = tokenizer(
        [prompt(row) for row in rows for _ in row["choices"]],
        [choice for row in rows for choice in row["choices"]],
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


def collate(features, pad_id):
    """Return input_ids and attention_mask [batch, choices, tokens]; in training, labels [batch]."""
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


outputs = classify.outputs  # logits [choices] per feature


def decode(rows, features, logits, labels, settings):
    """Return the index of the candidate with the highest score, and the scores of all."""
    return [
        {
            "id": row["id"],
            "prediction": int(scores.argmax()),
            "scores": [round(float(score), 6) for score in scores],
        }
        for row, scores in zip(rows, logits, strict=True)
    ]


def hub_items(records):
    """Yield an item per record, as a question with its choices."""
    return each(records, lambda record: record.labelled("context", "question"))


def shown_texts(row):
    """Return the context, the question and the choices."""
    choices = [Shown(f"choice {number}", text) for number, text in enumerate(row["choices"], 1)]
    return [Shown("context", row["context"]), Shown("question", row["question"]), *choices]


def shown_answer(row, answer, rows, answers):
    """Return the text of a choice and its number, which counts from 1."""
    return [(row["choices"][answer], f"choice {answer + 1}")]
