"""Notes on languages whose words begin with a token that says nothing about the word.

A word is tagged at its first token, as in XTREME. Where SentencePiece knows no piece with the mark
of a word's beginning, that token is the mark alone: 86 % of the Chinese words of UD with XLM-R's
vocabulary, where POS tagging scores 13.6 beside 80 in German.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from tokenizers import Tokenizer

from xstilts import store
from xstilts.errors import InputError
from xstilts.grid.artefacts import Cell, Checkpoint, Dataset
from xstilts.grid.grid import Grid
from xstilts.report.view import labels
from xstilts.units import percent

MARK = "▁"
_MOST = 0.5  # from this share on, most words of a language begin so
_SENTENCES = 200  # per language, so that a study with 40 languages takes a second


def notes(grid: Grid) -> list[str]:
    """Return a note per model and tagging target with such languages."""
    first: dict[tuple[str, str], Cell] = {}
    for cell in grid.cells():
        is_tagged = grid.project.tasks[cell.target].family == "tag"
        if is_tagged and cell.model not in grid.study.controls:
            first.setdefault((cell.model, cell.target), cell)
    names, read, lines = labels(grid), cache(_tokenizer), []
    for (model, target), cell in first.items():
        predictions = grid.score(cell).predictions
        tokenizer = read(Path(root_of(predictions.checkpoint).path))
        if shares := _shares(tokenizer, predictions.scored):
            listed = ", ".join(f"{code} ({percent(share)})" for code, share in shares.items())
            lines.append(
                f"{names.get(target, target)}, {names.get(model, model)}: most words begin with "
                f"a lone {MARK} in {listed}. A word is tagged at its first token, as in XTREME, so "
                "the tokenizer makes these scores low."
            )
    return lines


def root_of(step: Checkpoint) -> Checkpoint:
    """The initial model: its files stay, whatever a study keeps of its trainings."""
    return root_of(step.parent) if step.parent else step


def _tokenizer(folder: Path) -> Tokenizer | None:
    path = folder / "tokenizer.json"
    if not path.exists():
        return None
    try:
        return Tokenizer.from_file(str(path))
    except Exception:  # the library has no narrower one; `doctor` and the stages name the file
        return None


def _shares(tokenizer: Tokenizer | None, datasets: Iterable[Dataset]) -> dict[str, float]:
    """Return language -> share of words with a lone mark, where most words have one."""
    shares = {}
    for dataset in datasets if tokenizer else ():
        path = Path(dataset.path)
        try:
            rows = store.read_rows(path)[:_SENTENCES] if path.exists() else []
        except InputError:
            continue  # the page names unreadable files
        share = lone_share(tokenizer, [row["words"] for row in rows])
        if share >= _MOST:
            shares[dataset.language] = share
    return shares


def lone_share(tokenizer: Tokenizer, sentences: Sequence[Sequence[str]]) -> float:
    """Return the share of words whose first token is the mark alone; 0 without words."""
    encodings = tokenizer.encode_batch(sentences, is_pretokenized=True, add_special_tokens=False)
    first = [
        dict(reversed(list(zip(encoding.word_ids, encoding.tokens, strict=True))))
        for encoding in encodings
    ]
    tokens = [token for words in first for token in words.values()]
    return tokens.count(MARK) / len(tokens) if tokens else 0.0
