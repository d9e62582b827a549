"""retrieve: a question ranks candidates of all languages.

Candidates are the sentences of many contexts (LAReQA), or descriptions of entities, where the
questions are mentions in texts (Mewsli-X). One encoder without a head embeds questions and
candidates. Training increases the similarity of a question and its answer, compared with the other
answers in the batch. Rows with a question also hold its answer; rows without are candidates.
"""

from xstilts import metrics
from xstilts.families import Shown, features_of, mean_of_tokens, pad
from xstilts.families.mine import Selected, nearest, normalise

COLUMNS = {"id": str, "question": str, "text": str, "context": str, "matches": list[str]}
MODEL = "AutoModel"
SETTINGS = frozenset({"max_question_length"})
TOKENS = 200
WHOLE_BATCH = True
VECTORS = True
CANDIDATES = True
CATEGORY = "Answer retrieval"
_SCALE = 20.0  # scales the cosines in the softmax, as in sentence-transformers' ranking loss
_RANKED = 20


def _rankings(rows, predictions):
    """Return the right candidates of each question and their predicted ranking, each by id."""
    golds = {row["id"]: row["matches"] for row in asked(rows, None)}
    return golds, {prediction["id"]: prediction["prediction"] for prediction in predictions}


def _map(rows, predictions, language):
    return metrics.mean_average_precision(*_rankings(rows, predictions), _RANKED)


def _examples(rows, predictions, language):
    golds, rankings = _rankings(rows, predictions)
    precisions = metrics.average_precisions(golds, rankings, _RANKED)
    return [(id, precision, 1.0) for id, precision in zip(golds, precisions, strict=True)]


METRICS = {"map_at_20": _map}
EXAMPLES = {"map_at_20": _examples}


def asked(rows, settings):
    """Return the rows with a question."""
    return [row for row in rows if row["question"]]


def forward(model, groups=None, **inputs):
    """Return the encoder's output; with `groups` [questions] the loss.

    With `groups`, inputs are the questions, then their answers. The loss is the cross-entropy of
    each question's own answer among the answers of the batch. Questions of one group share an
    answer, which is not a wrong answer to any of them.
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
    """Return one feature per row: a question, or a candidate with its context as second text.

    In training there is one feature per question. `answer` is the feature of its answer; questions
    with the same answer have the same number as `group`.
    """
    asking = asked(rows, settings)
    questions = iter(_questions(asking, tokenizer, settings))
    if not train:
        candidates = [row for row in rows if not row["question"]]
        others = iter(_candidates(candidates, tokenizer, settings))
        return [next(questions if row["question"] else others) for row in rows]
    groups: dict[tuple, int] = {}
    features = []
    for row, answer in zip(asking, _candidates(asking, tokenizer, settings), strict=True):
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


def collate(features, pad_id):
    """Return input_ids and attention_mask [batch, tokens].

    In training the answers follow the questions, and `groups` is [questions].
    """
    import torch

    if "answer" not in features[0]:
        return pad(features, pad_id)
    batch = pad([*features, *(feature["answer"] for feature in features)], pad_id)
    batch["groups"] = torch.tensor([feature["group"] for feature in features])
    return batch


def outputs(output, batch, settings):
    """Return an embedding [hidden] per feature: the mean of the last layer, as in training."""
    vectors = mean_of_tokens(output.last_hidden_state, batch["attention_mask"])
    return list(vectors.float().cpu().numpy())


def decode(rows, features, embeddings, labels, settings):
    """Return, per question, the ids of the best candidates by cosine, best first."""
    vectors = normalise(embeddings)
    questions = [number for number, row in enumerate(rows) if row["question"]]
    candidates = [number for number, row in enumerate(rows) if not row["question"]]
    _, ranked = nearest(Selected(vectors, questions), Selected(vectors, candidates), _RANKED)
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
