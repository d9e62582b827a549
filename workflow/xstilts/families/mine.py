"""mine: find the translation of a sentence among many by its embedding. No training (Tatoeba)."""

import pyarrow as pa

from xstilts import metrics
from xstilts.families import features_of, pad

COLUMNS = pa.schema(
    {"id": pa.string(), "side": pa.string(), "text": pa.string(), "match": pa.string()}
)
MODEL = "AutoModel"


def _accuracy(rows, predictions, language):
    golds = {row["id"]: row["match"] for row in rows if row["side"] == "english" and row["match"]}
    found = {prediction["id"]: prediction["prediction"] for prediction in predictions}
    return metrics.accuracy(list(golds.values()), [found[english] for english in golds])


METRICS = {"accuracy": _accuracy}


def labels(rows):
    """No inventory: nothing is trained."""
    return []


def encode(rows, tokenizer, settings, labels, train):
    """One feature per sentence."""
    encoding = tokenizer(
        [row["text"] for row in rows], truncation=True, max_length=settings.max_length
    )
    return features_of(encoding, tokenizer.model_input_names)


def collate(features, pad_id, settings=None, random=None):
    """input_ids and attention_mask [batch, tokens]."""
    return pad(features, pad_id)


def outputs(output, batch, settings):
    """Sentence embedding [hidden]: the mean of a layer over all tokens, special ones included.

    As jiant (Phang et al. 2020) and XTREME's Tatoeba script pool; the layer is a setting.
    """
    hidden = output.hidden_states[settings.layer].float()
    mask = batch["attention_mask"].unsqueeze(-1).to(hidden)
    return list(((hidden * mask).sum(1) / mask.sum(1)).cpu().numpy())


def decode(rows, features, embeddings, labels, settings):
    """For each English sentence the foreign sentence with the highest cosine.

    XTREME's Tatoeba protocol: the foreign side is the index, the English side the queries.
    """
    import numpy as np

    vectors = np.stack(embeddings)
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    foreign = [number for number, row in enumerate(rows) if row["side"] == "foreign"]
    english = [number for number, row in enumerate(rows) if row["side"] == "english"]
    predictions = []
    for start in range(0, len(english), 1024):  # bounds the similarity matrix's memory
        queries = english[start : start + 1024]
        similarity = vectors[queries] @ vectors[foreign].T
        for query, scores in zip(queries, similarity, strict=True):
            best = int(scores.argmax())
            predictions.append(
                {
                    "id": rows[query]["id"],
                    "prediction": rows[foreign[best]]["id"],
                    "score": round(float(scores[best]), 6),
                }
            )
    return predictions
