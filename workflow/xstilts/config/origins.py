"""Origins of examples and models, as the entries of tasks and models state them."""

import os
import re
from collections.abc import Iterable, Mapping
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from xstilts.errors import InputError, nearest
from xstilts.families import HubColumns, family, names
from xstilts.sources.files import OWN, check_format

Written = Annotated[str, BeforeValidator(str)]  # a value of a column; YAML reads 0 as a number
COMMIT = "[0-9a-f]{40}"
REPOSITORY = r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*"
_LARGEST = 2**63 - 1
_SURROGATE = re.compile("[\ud800-\udfff]")


class KeyMistake(ValueError):
    """A mistake at a key below the block that is checked.

    `key` says in which file to look; it is `shown` unless the message names it.
    """

    def __init__(self, message: str, *key: str | int, shown: bool = False):
        super().__init__(message)
        self.key = key
        self.shown = shown


class Strict(BaseModel):
    """An immutable block of configuration; an unknown key is an error naming the nearest key."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def place_of(cls, key: str) -> str:
        """Return where a key belongs that this block does not have; empty if that is unknown."""
        return ""

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, given: Any) -> Any:
        if isinstance(given, Mapping):
            for key in given:
                if key not in cls.model_fields:
                    hint = cls.place_of(str(key)) or nearest(str(key), cls.model_fields)
                    raise KeyMistake(f"unknown key {key!r}: {hint}", key)
                _check_text(given[key], key)
                _check_numbers(given[key], cls.model_fields[key].annotation, key)
        return given


def _items(value: Any) -> Iterable[tuple[Any, Any]]:
    """Return the keys and entries of a mapping or a list; none of another value."""
    if isinstance(value, Mapping):
        return value.items()
    return enumerate(value) if isinstance(value, list) else ()


def _check_text(value: Any, *key: Any) -> None:
    """Raise KeyMistake for a text with half a character, which no file in UTF-8 can hold."""
    if isinstance(value, str) and not value.isascii() and _SURROGATE.search(value):
        raise KeyMistake(f"{value!r} has a character that no file can hold", *key, shown=True)
    for inner, entry in _items(value):
        _check_text(inner, *key)
        _check_text(entry, *key, inner)


def _check_numbers(value: Any, annotation: Any, *key: str | int) -> None:
    """Raise KeyMistake for true in place of 1, and for a number beyond 64 bits."""
    types = _types(annotation)
    if not types & {int, float} or types & {bool, Any}:
        return
    for inner, entry in _items(value):
        _check_numbers(entry, annotation, *key, inner)
    if isinstance(value, bool):
        number = "a number" if float in types else "a whole number"
        kind = "text in quotes" if str in types else number
        value = str(value).lower()
        raise KeyMistake(f"{value} is not allowed; expected {kind}", *key, shown=True)
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise KeyMistake("the number is too large", *key, shown=True)


def _types(annotation: Any) -> set[Any]:
    """Return the types that an annotation is composed of."""
    inner = get_args(annotation)
    return set().union(*map(_types, inner)) if inner else {annotation}


def _plain(value: Any, *key: Any) -> Any:
    """Return a value. Raise KeyMistake if JSON does not have it, such as .nan."""
    for name, entry in _items(value):
        _plain(entry, *key, name)
    if isinstance(value, dict) and not all(isinstance(name, str) for name in value):
        raise KeyMistake("the keys must be texts (in quotes)", *key, shown=True)
    if isinstance(value, float) and not isfinite(value):
        raise KeyMistake("expected a finite number", *key, shown=True)
    return value


Plain = Annotated[dict[str, Any], AfterValidator(_plain)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # NumPy's limit


class LabSplit(Strict):
    """Examples that the lab generates."""

    source: Literal["lab"]
    kind: str = Field(
        description="Kind of examples: a key of `KINDS` in `workflow/xstilts/lab/examples.py`."
    )
    size: int = Field(gt=0, description="Number of examples.")
    seed: int = Field(0, description="Seed of the generated examples.")
    portion: str = Field(
        "a", description="Half of the lab's facts: portions `a` and `b` of a kind share none."
    )


class Release(Strict):
    """A published dataset, whose size is known."""

    rows: int | dict[str, int] | None = Field(
        None,
        description="Number of rows of the release, with or without those that the benchmark "
        "excludes; by language, if these differ. Any other number is an error.",
    )
    pairs: int | dict[str, int] | None = Field(
        None, description="Number of gold pairs of the release, like `rows` (family mine)."
    )
    codes: dict[str, str] = Field(
        {},
        description="The release's names of languages, by code; `{language}` stands for them in "
        "paths, configurations and columns.",
    )

    def code(self, language: str) -> str:
        """Return the release's name of a language."""
        return self.codes.get(language, language)

    def expected(self, what: Literal["rows", "pairs"], language: str) -> int | None:
        """Return the number of rows or gold pairs in a language, or None if it is not stated."""
        stated = getattr(self, what)
        return stated.get(language) if isinstance(stated, dict) else stated


_COLUMNS = (
    "Column of each canonical field. `answers.text` is a field inside a column; `choices` may be a "
    "list of columns."
)


class Columns(Strict):
    """Columns of a table, and the meaning of their values."""

    columns: dict[str, str | list[str]] = Field({}, description=_COLUMNS)
    labels: dict[Written, str | int] = Field(
        {},
        description="Maps values to labels, or to choices by number from 0; if empty, unchanged.",
    )
    only: dict[str, str] = Field(
        {}, description="Glob that the values of a column must match; other rows are left out."
    )
    excluded: dict[str, dict[Written, str]] = Field(
        {}, description="Reason to exclude rows, by column and value; these rows are counted."
    )
    wording: dict[str, str] = Field(
        {}, description="Text around a canonical field; `{}` stands for its content."
    )
    lines: bool = Field(
        False, description="Each line of a text that is not blank is an example (family mask)."
    )
    limit: int | None = Field(None, gt=0, description="Use only the first N examples.")

    def check_family(self, family_name: str) -> None:
        """Raise ValueError if the columns, labels or options do not fit the family."""
        fields = family(family_name).HUB
        if fields is None:
            raise ValueError(
                f"source: not for family {family_name}, only {', '.join(names('HUB'))}"
            )
        self._check_fields(family_name, fields)
        if self.lines and not fields.lines:
            raise ValueError(f"lines: not for family {family_name}, only {_where('lines')}")
        for name, wording in self.wording.items():
            is_text = wording.count("{") == wording.count("}") == wording.count("{}") == 1
            if name not in self.columns or not is_text or not fields.worded:
                raise ValueError(
                    f"wording.{name}: expected a field of `columns`, a text with one {{}}, and "
                    f"family {_where('worded')}"
                )
        if fields.label is int and not self.labels:
            raise ValueError(
                f"labels: family {family_name} needs the number of each label's choice"
            )
        choices = self.columns.get("choices")  # one column, or one for each
        count = len(choices) if isinstance(choices, list) else _LARGEST
        for label, value in self.labels.items():
            if not isinstance(value, fields.label):
                expected = "a choice's number" if fields.label is int else "text (in quotes)"
                raise ValueError(f"labels.{label}: {value!r}, expected {expected}")
            if fields.label is int and not 0 <= value < count:
                of = f"from 0 to {count - 1}" if count < _LARGEST else "from 0"
                raise ValueError(f"labels.{label}: {value}, expected a choice's number, {of}")

    def _check_fields(self, family_name: str, fields: HubColumns) -> None:
        known = fields.required | fields.optional
        for name, column in self.columns.items():
            if name not in known:
                hint = nearest(name, known)
                raise ValueError(f"columns: family {family_name} has no field {name!r}: {hint}")
            if isinstance(column, list) and name not in fields.several:
                raise ValueError(f"columns.{name}: expected one column")
        for name in sorted(fields.required - self.columns.keys()):
            raise ValueError(f"columns: family {family_name} needs {name!r}")
        self._check_once()
        for group in fields.together:
            if self.columns.keys() & group not in (set(), group):
                together = " and ".join(f"`{name}`" for name in sorted(group))
                raise ValueError(f"columns: {together} go together")

    def tells_languages_apart(self) -> bool:
        """Whether a key has the language in it; otherwise all languages have the same rows."""
        keys = ("path", "config", "split", "files", "columns", "only")
        text = repr([getattr(self, key, "") for key in keys])
        return any(mark in text for mark in ("{language}", "{iso3}", "{name}"))

    def _check_once(self) -> None:
        """Raise ValueError for a column that fills two fields, so that they are equal."""
        filled: dict[str, str] = {}
        for name, columns in self.columns.items():
            for column in [columns] if isinstance(columns, str) else columns:
                other = filled.setdefault(column, name)
                if name != "id" != other and (other != name or columns.count(column) > 1):
                    fields = name if other == name else f"{other} and {name}"
                    raise ValueError(f"columns.{name}: {column!r} is given twice, for {fields}")


class FilesSplit(Release, Columns):
    """Examples in local files, of a benchmark's release or the user's own."""

    source: Literal["files"]
    format: str = Field(
        description="Format of a release, or `tsv`, `csv`, `jsonl`, `parquet` or `conll` with "
        "`columns`."
    )
    path: str | list[str] = Field(
        description="Path or glob below the `data` folder, or a list of them; `{language}` stands "
        "for the language, `{split}` for the split. `own.zip/*.tsv` are files in an archive."
    )
    options: Plain = Field({}, description="Options of the format of a release.")

    def named(self, split: str) -> Self:
        """Return the examples with the name of their split in the paths."""
        is_list = isinstance(self.path, list)
        paths = [path.replace("{split}", split) for path in (self.path if is_list else [self.path])]
        return self.model_copy(update={"path": paths if is_list else paths[0]})

    def check_family(self, family_name: str) -> None:
        """Raise ValueError if the format, its options or columns do not fit the family."""
        try:
            check_format(self.format, self.options, family_name)
        except InputError as error:
            raise ValueError(str(error)) from None
        if self.format in OWN:
            super().check_family(family_name)
        elif stated := self.model_fields_set & (Columns.model_fields.keys() - {"limit"}):
            raise ValueError(
                f"{min(stated)}: format {self.format} has its own columns; only {', '.join(OWN)} "
                "have this key"
            )


def _matching(pattern: str, expected: str) -> Any:
    """Return the type of a name that becomes part of a path, a lock file or an address."""

    def check(name: str) -> str:
        if not re.fullmatch(pattern, name) or ".." in name:
            raise ValueError(f"{name!r} is not allowed; expected {expected}")
        return name

    return Annotated[str, AfterValidator(check)]


# of a configuration or a split; placeholders stand for the language
HubName = _matching(
    r"((?:\w|\{(?:language|iso3|name)\})(?:[\w.+-]|\{(?:language|iso3|name)\})*)?",
    "letters, digits, _ . + - and {language}",
)


class Hub(Strict):
    """A repository on the Hugging Face Hub at a pinned commit."""

    repository: str
    revision: _matching(rf"({COMMIT})?", "the 40 hexadecimal digits of a commit") = Field(
        "",
        description="Commit, since a branch may change. By default, the commit in "
        "`hub.lock.yaml`, which `xstilts pin` writes.",
    )
    branch: _matching(r"\w[\w./-]*", "letters, digits, _ . - and /") = Field(
        "main", description="Branch, tag or reference that `xstilts pin` resolves to a commit."
    )

    @property
    def locked_name(self) -> str:
        """Name of the repository in the lock file."""
        return self.repository if self.branch == "main" else f"{self.repository}@{self.branch}"

    def pinned(self, commits: Mapping[str, str]) -> Self:
        """Return the repository with its own commit, or with the commit of the lock file."""
        if self.revision or self.locked_name not in commits:
            return self
        return self.model_copy(update={"revision": commits[self.locked_name]})


class Pretrained(Strict):
    """A published model with its tokenizer."""

    tokenizer_class: str = Field(
        "AutoTokenizer",
        description="Tokenizer class in transformers, if the automatic choice is wrong.",
    )


class HubModel(Pretrained, Hub):
    """A pretrained model on the Hugging Face Hub."""

    repository: _matching(
        REPOSITORY,
        "OWNER/NAME, such as FacebookAI/xlm-roberta-large (for a folder on this machine: "
        "`local: {folder: FOLDER}` instead of `hub`)",
    ) = Field(description="Name on the Hub, such as `FacebookAI/xlm-roberta-large`.")
    convert: bool = Field(
        False,
        description="If the repository has pickled weights only (`pytorch_model.bin`), `fetch` "
        "writes them as safetensors, and the manifest has the hashes of both.",
    )


class Local(Pretrained):
    """A pretrained model in a folder, as `save_pretrained` of transformers writes it."""

    folder: str = Field(
        min_length=1,
        description="Folder with config.json, weights in safetensors and a tokenizer; relative to "
        "the working directory. `~` and environment variables are expanded.",
    )

    @property
    def path(self) -> Path:
        """Return the folder. Raise InputError naming a variable that is not set."""
        return expanded(self.folder, "local.folder")


def expanded(folder: str, key: str) -> Path:
    """Return the folder that a key states, with `~` and environment variables filled in.

    Raise InputError naming a variable that is not set.
    """
    path = os.path.expandvars(os.path.expanduser(folder))
    if "$" in path:
        raise InputError(f"{key}: {path} is not set")
    return Path(path)


class Tokenizer(Strict):
    """A SentencePiece unigram tokenizer, which the workflow trains on the texts of a task."""

    task: str = Field(
        description="Task of family mask; at most 20,000 of its texts are used, evenly spaced."
    )
    vocabulary: int = Field(8000, gt=10, description="Number of pieces, including special tokens.")


class Init(Strict):
    """A model with random weights, made from an architecture and a tokenizer."""

    architecture: Plain = Field(description="Keys of the configuration in transformers.")
    tokenizer: Tokenizer
    seed: Seed = Field(1, description="Seed of the weights and of `pretrain`.")


class HubSplit(Hub, Release, Columns):
    """Examples of a dataset on the Hugging Face Hub: Parquet, JSON, CSV, TSV or text files."""

    repository: _matching(
        rf"{REPOSITORY}|[A-Za-z0-9][\w.-]*",
        "OWNER/NAME, a repository on the Hub (for files on this machine: `source: files`)",
    ) = Field(description="Name on the Hub, such as `facebook/xnli`.")
    source: Literal["hub"]
    config: HubName = Field("", description="Configuration of the dataset, if it has several.")
    split: HubName = Field(description="Split of the dataset; `a+b` means both.")
    files: str = Field(
        "", description="Glob of the split's files, if the dataset does not state them."
    )
    columns: dict[str, str | list[str]] = Field(description=_COLUMNS)


def _where(option: str) -> str:
    """Return the families whose entries may have an option."""
    return " or ".join(name for name in names("HUB") if getattr(family(name).HUB, option))


Split = Annotated[LabSplit | FilesSplit | HubSplit, Field(discriminator="source")]
