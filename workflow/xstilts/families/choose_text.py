"""choose for text-to-text models: the decoder generates the number of the right candidate.

The input is the context with the question, then `1: …`, `2: …` for the candidates. A prediction
is the number that the model finds most probable.
"""

from xstilts.families import choose, classify_text, features_of

COLUMNS = choose.COLUMNS
MODEL = classify_text.MODEL
TOKENS = choose.TOKENS
METRICS = choose.METRICS
EXAMPLES = choose.EXAMPLES
CATEGORY = choose.CATEGORY
collate = classify_text.collate
terms = classify_text.terms
forward = classify_text.forward
outputs = classify_text.outputs
decode = choose.decode
shown_texts = choose.shown_texts
shown_answer = choose.shown_answer


def encode(rows, tokenizer, settings, labels, train):
    """Return one feature per row; `candidates` are the token ids of the numbers."""
    encoding = tokenizer(
        [choose.prompt(row) for row in rows],
        [" ".join(f"{n}: {text}" for n, text in enumerate(row["choices"], 1)) for row in rows],
        truncation="longest_first",
        max_length=settings.max_length,
    )
    features = features_of(encoding, tokenizer.model_input_names)
    most = max(len(row["choices"]) for row in rows)
    numbers = tokenizer([str(n + 1) for n in range(most)])["input_ids"]
    for feature, row in zip(features, rows, strict=True):
        feature["candidates"] = numbers[: len(row["choices"])]
        if train:
            feature["label"] = row["label"]
    return features
