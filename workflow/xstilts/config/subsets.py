"""Subsets of a target's test examples: what a study names, and which examples these are."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, model_validator

from xstilts.config.origins import Strict
from xstilts.errors import InputError

EVERYWHERE = ""  # as a language: the same examples in all languages


class Subset(Strict):
    """Some of a target's test examples, or another target in their place."""

    target: str = Field(description="A target of the study.")
    wrong: str | None = Field(
        None,
        description="A task with the target's test data: what the study's first model, trained on "
        "this task alone with the first seed, gets wrong in the source language.",
    )
    ids: str | None = Field(
        None,
        description="A file below `data`: an example's id per line; after a tab a language, where "
        "it counts in that language alone.",
    )
    whole: str | None = Field(
        None, description="Another target of the study, which stands as a whole for the subset."
    )

    @model_validator(mode="after")
    def _one_kind(self) -> "Subset":
        if sum(given is not None for given in (self.wrong, self.ids, self.whole)) != 1:
            raise ValueError("expected exactly one of `wrong`, `ids` and `whole`")
        return self


def read_ids(path: Path) -> dict[str, set[str]]:
    """Language (EVERYWHERE: all) -> ids of examples. Raises InputError naming file and line."""
    found: dict[str, set[str]] = defaultdict(set)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8: {error}") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        id, *languages = [cell.strip() for cell in line.split("\t")]
        if not id or len(languages) > 1:
            raise InputError(f"{path}, line {number}: expected an id, or an id, a tab, a language")
        language = languages[0] if languages else EVERYWHERE
        if id in found[language]:
            raise InputError(f"{path}, line {number}: {id!r} is given twice")
        found[language].add(id)
    if not found:
        raise InputError(f"{path}: no ids")
    return dict(found)


def check_ids(path: Path, ids: Mapping[str, set[str]], examples: Mapping[str, set[str]]) -> None:
    """Raise InputError for a language or an id that the target's test data do not have."""
    everywhere = set().union(*examples.values())
    for language, chosen in ids.items():
        if language and language not in examples:
            raise InputError(f"{path}: no test data in language {language!r}")
        strange = sorted(chosen - (examples[language] if language else everywhere))
        if strange:
            raise InputError(f"{path}: no test example has id {strange[0]!r}")
