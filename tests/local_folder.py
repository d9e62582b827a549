"""A folder with a tiny model of random weights, as a user's own."""

from pathlib import Path

from tests.tiny_project import architecture

TEXTS = [
    f"the {adjective} {noun} is here."
    for adjective in "red big old".split()
    for noun in "house tree river bird fish".split()
]


def write_model(folder: Path, model_type: str = "xlm-roberta", seed: int = 1) -> Path:
    """Write a model with a few thousand weights and its tokenizer, and return its folder."""
    from xstilts.modelling import checkpoints
    from xstilts.modelling.steps import longest_sequence

    folder.mkdir(parents=True, exist_ok=True)
    shape = architecture(model_type)
    longest = longest_sequence(shape)
    tokenizer = checkpoints.train_tokenizer(TEXTS, 100, folder, longest)
    checkpoints.initialise(shape, tokenizer, seed).save_pretrained(folder)
    return folder
