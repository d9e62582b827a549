"""mask: masked language modelling on text or on pairs of parallel sentences; only trains."""

from xstilts.families import IGNORED, HubColumns, features_of, labelled_tokens, pad, pad_lists

COLUMNS = {"id": str, "text": str, "text_b": str}
MODEL = "AutoModelForMaskedLM"
SETTINGS = frozenset({"mask_rate"})
TOKENS = 100
ALL_LANGUAGES = True
MASKED = True
HUB = HubColumns({"text"}, {"id", "text_b"}, lines=True)


def forward(model, labels=None, chosen=None, **inputs):
    """Return the model's own loss, with logits for the masked positions `chosen` only.

    Logits for all tokens cost a third of a small model's time, and 8 GB for 8,000 tokens with
    XLM-R's vocabulary of 250,000. A model whose head has several modules, or is one of
    `modelling.heads`, uses its own forward.
    """
    import torch
    from transformers.modeling_outputs import MaskedLMOutput

    heads = [part for name, part in model.named_children() if name != model.base_model_prefix]
    if labels is None or len(heads) > 1 or hasattr(model, "encoder_class"):
        return type(model).forward(model, labels=labels, **inputs)
    rows, columns = chosen
    logits = heads[0](model.base_model(**inputs).last_hidden_state[rows, columns])
    wanted = torch.where(rows < 0, IGNORED, labels[rows, columns])  # -1 is padding
    return MaskedLMOutput(torch.nn.functional.cross_entropy(logits, wanted), logits)


def encode(rows, tokenizer, settings, labels, train):
    """Return one feature per row, or several if the text is longer than `max_length`.

    `special` marks tokens that are never masked. A text without any other token has no feature.
    """
    features = []
    for paired in (False, True):
        chosen = [row for row in rows if bool(row["text_b"]) == paired]
        if not chosen:
            continue
        encoding = tokenizer(
            [row["text"] for row in chosen],
            [row["text_b"] for row in chosen] if paired else None,
            truncation=True,
            max_length=settings.max_length,
            return_overflowing_tokens=not paired,  # windows of a long text
            return_special_tokens_mask=True,
        )
        encoded = features_of(encoding, tokenizer.model_input_names)
        for feature, special in zip(encoded, encoding["special_tokens_mask"], strict=True):
            feature["special"] = special
        features += encoded
    return [feature for feature in features if 0 in feature["special"]]


def corrupt(features, settings, random):
    """Return features with masked tokens and their labels; `random` is a numpy Generator.

    As in Devlin et al. (2019), 80 % of the chosen tokens become the mask, 10 % a random token, and
    10 % stay; every feature has at least one chosen token, so the loss of a feature alone is
    defined. `settings` has mask_rate, mask_id and vocabulary.
    """
    import numpy as np

    ids = pad_lists([feature["input_ids"] for feature in features], 0).numpy()
    free = pad_lists([feature["special"] for feature in features], 1).numpy() == 0
    choice, kind = random.random((2, *ids.shape))
    others = random.integers(0, settings.vocabulary, ids.shape)
    choice[~free] = 2
    chosen = free & ((choice < settings.mask_rate) | (choice == choice.min(1, keepdims=True)))
    labels = np.where(chosen, ids, IGNORED)
    ids = np.where(chosen & (kind < 0.8), settings.mask_id, ids)
    ids = np.where(chosen & (kind >= 0.8) & (kind < 0.9), others, ids)
    return [
        {
            **feature,
            "input_ids": ids[number, : len(feature["input_ids"])].tolist(),
            "labels": labels[number, : len(feature["input_ids"])].tolist(),
        }
        for number, feature in enumerate(features)
    ]


def collate(features, pad_id):
    """Return input_ids, attention_mask and labels of corrupted features: all [batch, tokens].

    `chosen` [2, masked tokens] is their rows and columns.
    """
    labels = pad_lists([feature["labels"] for feature in features], IGNORED)
    return {**pad(features, pad_id), "labels": labels, "chosen": (labels != IGNORED).nonzero().T}


terms = labelled_tokens


def hub_items(records):
    """Yield an item per record; with `lines`, one per line of a text that is not blank."""
    for record in records:
        row = record.excluded or record.texts("text", "text_b")
        if not record.split.lines or isinstance(row, str):
            yield record.place, row
            continue
        for line in row["text"].split("\n"):
            if line.strip():
                yield record.place, {"text": line.strip(), "text_b": ""}
