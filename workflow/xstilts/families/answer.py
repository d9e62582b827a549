"""answer: extractive question answering; an answer may be missing (SQuAD, XQuAD, TyDiQA)."""

from functools import partial

from xstilts import metrics
from xstilts.errors import InputError
from xstilts.families import HubColumns, Shown, features_of, pad
from xstilts.sources.hub import each
from xstilts.sources.squad import check_answer

COLUMNS = {"id": str, "context": str, "question": str, "answers": list[str], "starts": list[int]}
MODEL = "AutoModelForQuestionAnswering"
SETTINGS = frozenset({"stride", "max_question_length", "max_answer_length", "best_spans"})
VERSION = 2  # its loss leaves padding out
TOKENS = 190  # SQuAD's paragraphs have about 150
HUB = HubColumns({"context", "question", "answers", "starts"}, {"id"})
CATEGORY = "Question answering"


def _texts(rows, predictions):
    """Return the gold answers and the predicted text, each by id."""
    golds = {row["id"]: row["answers"] for row in rows}
    return golds, {prediction["id"]: prediction["prediction"] for prediction in predictions}


def _normaliser(tokens, language):
    return partial(tokens, language=language) if tokens else metrics.squad_tokens


def _metric(key, tokens=None):
    """Return SQuAD's metric `key`, or MLQA's with `tokens`, which normalises by language."""

    def score(rows, predictions, language):
        normalise = _normaliser(tokens, language)
        return metrics.answer_scores(*_texts(rows, predictions), normalise)[key]

    return score


def _best_metric(key):
    """Return SQuAD v2.0's metric `key` at its best no-answer threshold."""

    def score(rows, predictions, language):
        null = {prediction["id"]: prediction["null_score"] for prediction in predictions}
        return metrics.squad2_best_scores(*_texts(rows, predictions), null)[key]

    return score


METRICS = {
    "f1": _metric("f1"),
    "exact_match": _metric("exact_match"),
    "mlqa_f1": _metric("f1", metrics.mlqa_tokens),
    "mlqa_exact_match": _metric("exact_match", metrics.mlqa_tokens),
    "best_f1": _best_metric("f1"),
    "best_exact_match": _best_metric("exact_match"),
}


def _examples(column, tokens=None):
    """Return the terms of exact match (column 0) or F1 (column 1), as EXAMPLES has them."""

    def examples(rows, predictions, language):
        golds, texts = _texts(rows, predictions)
        scores = metrics.answer_examples(golds, texts, _normaliser(tokens, language))
        return [(id, score[column] / 100, 1.0) for id, score in zip(golds, scores, strict=True)]

    return examples


EXAMPLES = {
    "exact_match": _examples(0),
    "f1": _examples(1),
    "mlqa_exact_match": _examples(0, metrics.mlqa_tokens),
    "mlqa_f1": _examples(1, metrics.mlqa_tokens),
}


def encode(rows, tokenizer, settings, labels, train):
    """Return one feature per window of a context; windows overlap by `stride` tokens.

    In training, `start` and `end` are the first and last token of the answer. Both are 0, the
    classification token, if the window does not contain the answer. In prediction, `offsets` holds
    the characters of the context that each token covers; None outside the context. Raise InputError
    if the settings leave windows no room to advance.
    """
    added = tokenizer.num_special_tokens_to_add(pair=True)
    room = settings.max_length - settings.max_question_length - added
    if room <= settings.stride:
        raise InputError(
            f"encode.max_length {settings.max_length} leaves {room} tokens for the context after "
            f"max_question_length {settings.max_question_length}; expected more than the stride, "
            f"{settings.stride}"
        )
    questions = [row["question"].strip() for row in rows]
    encoding = tokenizer(
        _shortened(questions, tokenizer, settings.max_question_length),
        [row["context"] for row in rows],
        truncation="only_second",
        max_length=settings.max_length,
        stride=settings.stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    features = features_of(encoding, tokenizer.model_input_names)
    for position, feature in enumerate(features):
        row = rows[encoding["overflow_to_sample_mapping"][position]]
        sequence = encoding.sequence_ids(position)
        offsets = [
            span if part == 1 else None
            for span, part in zip(encoding["offset_mapping"][position], sequence, strict=True)
        ]
        if train:
            feature["start"], feature["end"] = _answer_tokens(row, offsets)
        else:
            feature |= {"row": encoding["overflow_to_sample_mapping"][position], "offsets": offsets}
    return features


def _shortened(questions, tokenizer, max_length):
    """Return questions truncated to `max_length` tokens, as text."""
    encoding = tokenizer(questions, add_special_tokens=False, return_offsets_mapping=True)
    return [
        question[: offsets[max_length - 1][1]] if len(offsets) > max_length else question
        for question, offsets in zip(questions, encoding["offset_mapping"], strict=True)
    ]


def _answer_tokens(row, offsets):
    if not row["answers"]:
        return 0, 0
    first = row["starts"][0]
    last = first + len(row["answers"][0])
    inside = [token for token, span in enumerate(offsets) if span and span[1] > span[0]]
    covering = [token for token in inside if offsets[token][1] > first and offsets[token][0] < last]
    if not covering or offsets[inside[0]][0] > first or offsets[inside[-1]][1] < last:
        return 0, 0
    return covering[0], covering[-1]


def collate(features, pad_id):
    """Return input_ids and attention_mask [batch, tokens]; in training, positions [batch]."""
    import torch

    batch = pad(features, pad_id)
    if "start" in features[0]:
        batch["start_positions"] = torch.tensor([feature["start"] for feature in features])
        batch["end_positions"] = torch.tensor([feature["end"] for feature in features])
    return batch


def forward(model, start_positions=None, end_positions=None, **inputs):
    """Return the model's output; with positions [batch] the mean loss of starts and ends.

    The loss is over the tokens of each text alone. The library's own loss counts padding among the
    possible answers, so it would depend on the other texts of a micro-batch.
    """
    import torch

    output = type(model).forward(model, **inputs)
    if start_positions is None:
        return output
    padding = inputs["attention_mask"] == 0
    starts = output.start_logits.float().masked_fill(padding, -torch.inf)
    ends = output.end_logits.float().masked_fill(padding, -torch.inf)
    loss = torch.nn.functional.cross_entropy
    output["loss"] = (loss(starts, start_positions) + loss(ends, end_positions)) / 2
    return output


def outputs(output, batch, settings):
    """Return start and end logits, each [tokens], per feature."""
    starts, ends = output.start_logits.float().cpu(), output.end_logits.float().cpu()
    return list(zip(starts.numpy(), ends.numpy(), strict=True))


def decode(rows, features, logits, labels, settings):
    """Return each row's best span; `null_score` is the score of no answer minus the span's."""
    best = [(float("-inf"), "") for _ in rows]
    null = [float("inf")] * len(rows)
    for feature, (start, end) in zip(features, logits, strict=True):
        number = feature["row"]
        null[number] = min(null[number], float(start[0] + end[0]))
        span = _best_span(start, end, feature["offsets"], settings)
        if span and span[0] > best[number][0]:
            score, first, last = span
            best[number] = (score, rows[number]["context"][first:last].strip())
    return [
        {
            "id": row["id"],
            "prediction": text,
            "score": round(score, 6) if text else None,
            "null_score": round(null_score - score, 6) if text else 0.0,
        }
        for row, (score, text), null_score in zip(rows, best, null, strict=True)
    ]


def _best_span(start, end, offsets, settings):
    """Return (score, first character, last character) of the best valid span."""
    import numpy as np

    valid = np.array([token for token, span in enumerate(offsets) if span and span[1] > span[0]])
    if not valid.size:
        return None
    starts = valid[np.argsort(-start[valid], kind="stable")[: settings.best_spans]]
    ends = valid[np.argsort(-end[valid], kind="stable")[: settings.best_spans]]
    length = ends[None, :] - starts[:, None]
    allowed = (length >= 0) & (length < settings.max_answer_length)
    scores = np.where(allowed, start[starts][:, None] + end[ends][None, :], -np.inf)
    first, last = np.unravel_index(scores.argmax(), scores.shape)
    if not allowed[first, last]:
        return None
    return float(scores[first, last]), offsets[starts[first]][0], offsets[ends[last]][1]


def hub_items(records):
    """Yield an item per record, as a question with its answers in the context."""
    return each(records, _hub_row)


def _hub_row(record):
    row = record.texts("context", "question")
    answers, starts = record.listed("answers", str), record.listed("starts", int)
    if len(answers) != len(starts):
        raise InputError(
            f"{record.place}: {len(answers)} answers and {len(starts)} offsets; expected an offset "
            "for each answer"
        )
    for text, start in zip(answers, starts, strict=True):
        check_answer(text, start, row["context"], record.place)
    return row | {"answers": answers, "starts": starts}


def shown_texts(row):
    """Return the question, and the context around the first answer."""
    position = row["starts"][0] if row["starts"] else 0
    return [Shown("question", row["question"]), Shown("context", row["context"], position)]


def gold(row):
    """Return the first answer; "" if there is none."""
    return row["answers"][0] if row["answers"] else ""
