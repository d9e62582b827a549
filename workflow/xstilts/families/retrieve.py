"""retrieve: a question ranks candidates of all languages.

Those are the sentences of many contexts (LAReQA), or descriptions of entities, which mentions in
texts rank (Mewsli-X). One encoder embeds questions and candidates, without a head. Training draws a
question to its answer and away from the other answers of the batch. The rows with a question hold
their answer too; those without one are the candidates.
"""

from xstilts import metrics
from xstilts.families import Shown, features_of, mean_of_tokens, pad
from xstilts.families.mine import nearest

COLUMNS = {"id": str, "question": str, "text": str, "context": str, "matches": list[str]}
MODEL = "AutoModel"
TOKENS = 200
WHOLE_BATCH = True
ALONE = True
CANDIDATES = True
CATEGORY = "Answer retrieval"
_SCALE = 20.0  # of the cosines in the softmax, as in sentence-transformers' ranking loss
_RANKED = 20


def _map(rows, predictions, language):
    golds = {row["id"]: row["matches"] for row in asked(rows, None)}
    rankings = {prediction["id"]: prediction["prediction"] for prediction in predictions}
    return metrics.mean_average_precision(golds, rankings, _RANKED)


METRICS = {"map_at_20": _map}


def _examples(rows, predictions, language):
    golds = {row["id"]: row["matches"] for row in asked(rows, None)}
    rankings = {prediction["id"]: prediction["prediction"] for prediction in predictions}
    precisions = metrics.average_precisions(golds, rankings, _RANKED)
    return [(id, precision, 1.0) for id, precision in zip(golds, precisions, strict=True)]


EXAMPLES = {"map_at_20": _examples}


def asked(rows, settings):
    """The rows with a question."""
    return [row for row in rows if row["question"]]


def forward(model, groups=None, **inputs):
    """The encoder; with `groups` [questions] also its loss: inputs are questions, then answers.

    Cross-entropy of each question's own answer among the batch's. Questions of one group have the
    same answer, which is no wrong answer to any of them.
    """
    import torch

    output = type(model).forward(model, **inputs)
    if groups is None:
        return output
    vectors = mean_of_tokens(output.last_hidden_state, inputs["attention_mask"])
    questions, answers = torch.nn.functional.normalize(vectors, dim=1).chunk(2)
    own = torch.eye(len(groups), dtype=torch.bool, device=groups.device)
    same = (groups[:, None] == groups[None, :]) & ~own
    scores = (_SCALE * questions @ answers.T).masked_fill(same, -torch.inf)
    target = torch.arange(len(groups), device=groups.device)
    return {"loss": torch.nn.functional.cross_entropy(scores, target)}


def encode(rows, tokenizer, settings, labels, train):
    """A feature per row: a question, or a candidate with its context, if any, as second text.

    In training a feature per question, with its answer as a feature `answer`, and `group`, the
    same number for the same answer.
    """
    rows = asked(rows, settings) if train else rows
    is_question = [bool(row["question"]) for row in rows]
    questions = iter(_questions(asked(rows, settings), tokenizer, settings))
    if not train:
        candidates = [row for row in rows if not row["question"]]
        others = iter(_candidates(candidates, tokenizer, settings))
        return [next(questions if question else others) for question in is_question]
    groups: dict[tuple, int] = {}
    features = []
    for row, answer in zip(rows, _candidates(rows, tokenizer, settings), strict=True):
        group = groups.setdefault((row["text"], row["context"]), len(groups))
        features.append({**next(questions), "answer": answer, "group": group})
    return features


def _questions(rows, tokenizer, settings):
    if not rows:
        return []
    texts = [row["question"] for row in rows]
    encoding = tokenizer(texts, truncation=True, max_length=settings.max_question_length)
    return features_of(encoding, tokenizer.model_input_names)


def _candidates(rows, tokenizer, settings):
    if not rows:
        return []
    contexts = [row["context"] for row in rows]
    encoding = tokenizer(
        [row["text"] for row in rows],
        contexts if any(contexts) else None,
        truncation="longest_first",
        max_length=settings.max_length,
    )
    return features_of(encoding, tokenizer.model_input_names)


def collate(features, pad_id, settings=None, random=None):
    """input_ids and attention_mask [batch, tokens]; in training the answers follow the questions,
    and `groups` is [questions].
    """
    import torch

    if "answer" not in features[0]:
        return pad(features, pad_id)
    batch = pad([*features, *(feature["answer"] for feature in features)], pad_id)
    batch["groups"] = torch.tensor([feature["group"] for feature in features])
    return batch


def outputs(output, batch, settings):
    """Embedding [hidden]: the mean of the last layer over all tokens, as in training."""
    vectors = mean_of_tokens(output.last_hidden_state, batch["attention_mask"])
    return list(vectors.float().cpu().numpy())


def decode(rows, features, embeddings, labels, settings):
    """For each question the ids of the best candidates by cosine, best first."""
    import numpy as np

    vectors = np.stack(embeddings)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)  # a million may be gigabytes
    questions = [number for number, row in enumerate(rows) if row["question"]]
    candidates = [number for number, row in enumerate(rows) if not row["question"]]
    _, ranked = nearest(vectors[questions], vectors[candidates], _RANKED)
    return [
        {"id": rows[number]["id"], "prediction": [rows[candidates[n]]["id"] for n in best]}
        for number, best in zip(questions, ranked, strict=True)
    ]


def shown_texts(row):
    """Return the question."""
    return [Shown("question", row["question"])]


def gold(row):
    """Return the ids of the right candidates."""
    return row["matches"]


def shown_answer(row, answer, rows, answers):
    """Return the text of the first candidate."""
    return [(rows[id]["text"] or rows[id]["context"], "") for id in answer[:1] if id in rows]
