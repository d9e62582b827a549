"""classify for text-to-text models: the decoder generates the label as text.

The input is the text, or the pair with a separator. A prediction is the label whose tokens have
the highest log-likelihood, including the end-of-sequence token.
"""

from xstilts.families import IGNORED, classify, pad, pad_lists

COLUMNS = classify.COLUMNS
MODEL = "AutoModelForSeq2SeqLM"
SETTINGS = classify.SETTINGS
TOKENS = classify.TOKENS
METRICS = classify.METRICS
EXAMPLES = classify.EXAMPLES
CATEGORY = classify.CATEGORY
labels = classify.labels
decode = classify.decode
shown_texts = classify.shown_texts


def encode(rows, tokenizer, settings, labels, train):
    """Return the features of `classify`; `candidates` are the token ids of all labels."""
    candidates = tokenizer(list(labels))["input_ids"]
    features = classify.encode(rows, tokenizer, settings, labels, train)
    return [{**feature, "candidates": candidates} for feature in features]


def collate(features, pad_id):
    """Return input_ids and attention_mask [batch, tokens], and labels: the target token ids.

    Labels are [batch, longest] in training and [batch, candidates, longest] in prediction.
    """
    batch = pad(features, pad_id)
    if "label" in features[0]:
        targets = [feature["candidates"][feature["label"]] for feature in features]
        return {**batch, "labels": pad_lists(targets, IGNORED)}
    lists = [feature["candidates"] for feature in features]
    most = max(map(len, lists))
    # features with fewer candidates get empty ones, which `outputs` drops
    targets = [
        ids for candidates in lists for ids in [*candidates, *[[]] * (most - len(candidates))]
    ]
    return {**batch, "labels": pad_lists(targets, IGNORED).view(len(features), most, -1)}


def terms(feature):
    """Return the number of target tokens."""
    return len(feature["candidates"][feature["label"]])


def forward(model, labels, **inputs):
    """Return the model's loss; in prediction, log-likelihoods [batch, candidates]."""
    from torch.nn.functional import cross_entropy

    if labels.dim() == 2:
        return type(model).forward(model, labels=labels, **inputs)
    batch, candidates, _ = labels.shape
    hidden = model.get_encoder()(**inputs).last_hidden_state
    targets = labels.flatten(0, 1)
    logits = (
        type(model)
        .forward(
            model,
            encoder_outputs=(hidden.repeat_interleave(candidates, 0),),
            attention_mask=inputs["attention_mask"].repeat_interleave(candidates, 0),
            labels=targets,
        )
        .logits
    )
    losses = cross_entropy(
        logits.float().transpose(1, 2), targets, ignore_index=IGNORED, reduction="none"
    )
    return {"likelihoods": -losses.sum(1).view(batch, candidates)}


def outputs(output, batch, settings):
    """Return log-likelihoods [candidates] per feature."""
    real = (batch["labels"] != IGNORED).any(-1).cpu()
    likelihoods = output["likelihoods"].cpu()
    return [values[mask].numpy() for values, mask in zip(likelihoods, real, strict=True)]
