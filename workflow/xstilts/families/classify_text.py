"""classify, text to text: an encoder-decoder model says the label in words.

The input is the text, or the pair with the separator between. Predictions compare how probable the
model finds each label's words (their log likelihood, the end of the sequence included).
"""

from xstilts.families import IGNORED, class_index, classify, pad, pad_lists

COLUMNS = classify.COLUMNS
MODEL = "AutoModelForSeq2SeqLM"
TOKENS = classify.TOKENS
METRICS = classify.METRICS
EXAMPLES = classify.EXAMPLES
CATEGORY = classify.CATEGORY
labels = classify.labels
decode = classify.decode
shown_texts = classify.shown_texts


def encode(rows, tokenizer, settings, labels, train):
    """As classify, with the token ids of all labels' words as `candidates`."""
    features = classify.encode(rows, tokenizer, settings, labels, train=False)
    candidates = tokenizer(list(labels))["input_ids"]
    index = class_index(labels)
    for feature, row in zip(features, rows, strict=True):
        feature["candidates"] = candidates
        if train:
            feature["label"] = index[row["label"]]
    return features


def collate(features, pad_id, settings=None, random=None):
    """input_ids and attention_mask [batch, tokens]; labels: token ids of what is to be said.

    They are [batch, longest] in training and [batch, candidates, longest] in prediction.
    """
    batch = pad(features, pad_id)
    if "label" in features[0]:
        said = [feature["candidates"][feature["label"]] for feature in features]
        return {**batch, "labels": pad_lists(said, IGNORED)}
    lists = [feature["candidates"] for feature in features]
    most = max(map(len, lists))
    # one that is not there says nothing, and is dropped below
    said = [said for found in lists for said in [*found, *[[]] * (most - len(found))]]
    return {**batch, "labels": pad_lists(said, IGNORED).view(len(features), most, -1)}


def forward(model, labels, **inputs):
    """The model's loss; with candidates their log likelihoods [batch, candidates]."""
    from torch.nn.functional import cross_entropy

    if labels.dim() == 2:
        return type(model).forward(model, labels=labels, **inputs)
    batch, candidates, _ = labels.shape
    hidden = model.get_encoder()(**inputs).last_hidden_state
    said = labels.flatten(0, 1)
    logits = (
        type(model)
        .forward(
            model,
            encoder_outputs=(hidden.repeat_interleave(candidates, 0),),
            attention_mask=inputs["attention_mask"].repeat_interleave(candidates, 0),
            labels=said,
        )
        .logits
    )
    losses = cross_entropy(
        logits.float().transpose(1, 2), said, ignore_index=IGNORED, reduction="none"
    )
    return {"likelihoods": -losses.sum(1).view(batch, candidates)}


def outputs(output, batch, settings):
    """Log likelihoods [candidates] per feature."""
    there = (batch["labels"] != IGNORED).any(-1).cpu()
    found = output["likelihoods"].cpu()
    return [values[mask].numpy() for values, mask in zip(found, there, strict=True)]
