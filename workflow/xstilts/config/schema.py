"""Keys of studies, tasks and models in the configuration's YAML files.

An unknown key is an error that names the nearest valid key.
"""

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from xstilts.config.claims import Claim
from xstilts.config.orders import Orders
from xstilts.config.origins import (
    COMMIT,
    FilesSplit,
    HubModel,
    HubSplit,
    Init,
    Local,
    Seed,
    Split,
    Strict,
)
from xstilts.config.resources import Keep, ModelNeeds
from xstilts.config.settings import Overrides, Train, layer
from xstilts.config.subsets import Subset
from xstilts.errors import nearest, spelled
from xstilts.families import family, names
from xstilts.recipe import ALL, LANGUAGE, TASK, Part

Analysis = Literal["helps", "order", "scale", "language", "size"]
SplitName = Literal["train", "validation", "test", "candidates"]
MODEL = STUDY = r"[a-z][a-z0-9_-]{0,59}"  # part of file names
# also part of a path; a point only in a number
RECIPE_NAME = r"[a-z](?:[a-z0-9_+@~|-]|(?<=[0-9])\.(?=[0-9]))*"
_METRICS = {"acc": "accuracy", "em": "exact_match", "map@20": "map_at_20"}  # usual short forms
ARM = "+"  # separates a model and its arm
SIZES = "[-_](?:tiny|mini|small|medium|base|large|huge|x+l|[0-9.]+[mb])(?![a-z])"
Commit = Annotated[str, Field(pattern=f"^{COMMIT}$")]
Scores = dict[str, dict[str, Annotated[float, Field(ge=0, le=100)] | None]]
Language = Annotated[str, Field(pattern=f"^{LANGUAGE}$")]


def _once(given: list) -> list:
    repeated = next((value for value in given if given.count(value) > 1), None)
    if repeated is not None:
        raise ValueError(f"{repeated!r} is given twice")
    return given


_ONCE = AfterValidator(_once)


def _known_family(name: str) -> str:
    if name not in names():
        raise ValueError(f"unknown family {name!r}: {nearest(name, names())}")
    return name


class Task(Overrides):
    """An intermediate or target task: its data and defaults; its family defines its behaviour."""

    family: Annotated[str, AfterValidator(_known_family)] = Field(
        description="Kind of task, which defines its behaviour.",
        json_schema_extra=lambda schema: schema.update(enum=names()),
    )
    roles: list[Literal["intermediate", "target", "pretraining"]] = Field(
        description="Uses of the task in a study."
    )
    label: str = Field("", description="Name in tables and figures.")
    aliases: list[str] = Field(
        [], description="Other names that a study may call the task by, besides its label."
    )
    source_language: Language = Field("en", description="Language of the training data.")
    languages: Annotated[list[Language], _ONCE] = Field(
        min_length=1, description="Languages of the test data; in the mask family, of the text."
    )
    labels: Annotated[list[str], _ONCE] = Field(
        [], description="Names of the labels; if empty, taken from the training data."
    )
    splits: dict[SplitName, Split | str | list[str]] = Field(
        description="Source of each split. The name of a task means that task's split. A list of "
        "names (`train` only) means the examples of all these tasks. `candidates` (family "
        "retrieve) are ranked by the questions of `test` in every language; omit it if `test` "
        "contains candidates."
    )
    hub: dict[SplitName, HubSplit] = Field(
        {}, description="Splits on the Hub, which replace `splits` in a study with `source: hub`."
    )
    settings: dict[str, Overrides] = Field(
        {}, description="Settings presets by name; `hyperparameters` of a study selects one."
    )
    same_data: list[str] = Field(
        [],
        description="Tasks that share training examples with this task, in another form. The "
        "report marks recipes that train on the same examples as their target.",
    )
    metrics: Annotated[list[str], _ONCE] = Field(
        [], description="Metrics; the first is the main metric."
    )
    licence: str = Field("", description="Licence of the data.")
    citation: str = Field("", description="Publication to cite.")
    homepage: str = Field("", description="Address of the release.")

    @field_validator("metrics")
    @classmethod
    def _named_metrics(cls, given: list[str], info: ValidationInfo) -> list[str]:
        known = family(info.data["family"]).METRICS if "family" in info.data else {}
        return [spelled(_METRICS.get(name.casefold(), name), known) or name for name in given]

    def spellings(self) -> list[str]:
        """Return other names of the task."""
        return [self.label, *self.aliases]

    def references(self, split: str) -> list[str]:
        """Return the tasks that a split is taken from; empty if the split is the task's own."""
        spec = self.splits[split]
        if isinstance(spec, str):
            return [spec]
        return spec if isinstance(spec, list) else []

    def languages_of(self, part: Part) -> list[str]:
        """Return the languages that a recipe's part of this task trains on.

        `@all` means all languages of the task. The mask family trains on all by default.
        """
        if part.language == ALL or (family(self.family).ALL_LANGUAGES and not part.language):
            return list(self.languages)
        return [part.language or self.source_language]

    def predicted_splits(self) -> list[str]:
        """Return the splits that need predictions in every language when the task is a target.

        A task without training data, such as BUCC, tunes a threshold on its validation split.
        """
        tuned = "train" not in self.splits and "validation" in self.splits
        return ["validation", "test"] if tuned else ["test"]

    def check_language(self, key: str, name: str) -> None:
        """Raise ValueError if a split, named as in `splits.test`, has columns and one language."""
        split = getattr(self, key)[name]
        if getattr(split, "columns", None) and not split.tells_languages_apart():
            raise ValueError(
                f"{key}.{name}: the same rows for {', '.join(self.languages[:3])}; write the "
                "language as {language} in its files, `columns` or `only`"
            )

    def taken_from(self, source: str, commits: Mapping[str, str]) -> "Task":
        """Return the task with the splits of a source and the commits of the lock file.

        A split that the source lacks stays as it is.
        """
        splits = self.splits | (self.hub if source == "hub" else {})
        pinned = {
            name: split.pinned(commits) if isinstance(split, HubSplit) else split
            for name, split in splits.items()
        }
        return self.model_copy(update={"splits": pinned, "hub": {}})

    @field_validator("splits")
    @classmethod
    def _name_splits(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Fill `{split}` in the paths of the splits."""
        return {
            name: split.named(name) if isinstance(split, FilesSplit) else split
            for name, split in given.items()
        }

    @model_validator(mode="after")
    def _splits_fit_the_family(self) -> "Task":
        for key in ("splits", "hub"):
            for name, split in getattr(self, key).items():
                if isinstance(split, FilesSplit | HubSplit):
                    try:
                        split.check_family(self.family)
                    except ValueError as error:
                        raise ValueError(f"{key}.{name}.{error}") from None
                    every = name == "test" or family(self.family).ALL_LANGUAGES
                    if every and len(self.languages) > 1:
                        self.check_language(key, name)
        if "candidates" in self.splits and not family(self.family).CANDIDATES:
            possible = ", ".join(names("CANDIDATES"))
            raise ValueError(f"splits.candidates: not for family {self.family}, only {possible}")
        for name in self.hub:
            if name not in self.splits:
                raise ValueError(f"hub.{name}: `splits` has no {name}")
        return self


class Model(Overrides):
    """A pretrained model from the Hub or a folder, or one that the workflow initialises."""

    label: str = Field("", description="Name in tables and figures.")
    aliases: list[str] = Field(
        [], description="Other names that a study may call the model by, besides its label."
    )
    hub: HubModel | None = Field(None, description="Repository that the model is downloaded from.")
    local: Local | None = Field(None, description="Folder that holds the model.")
    init: Init | None = Field(None, description="Architecture and tokenizer of a new model.")
    form: Literal["heads", "text-to-text"] = Field(
        "heads",
        description="`heads`: a task head on the encoder. `text-to-text`: the decoder of an "
        "encoder-decoder model generates the answer (families classify and choose).",
    )
    pretrain: str | None = Field(
        None, description="Recipe that pretrains the model, with the seed of `init`."
    )
    parameters: int | None = Field(
        None,
        gt=0,
        description="Number of weights (mT5: of the encoder), which `plan` needs and scale studies "
        "use as x axis; by default, counted in the files of a `local` model.",
    )
    family: str = Field(
        "",
        description="Models that differ in size, such as XLM-R: studies of scale fit one slope "
        "within families, studies of language compare families. By default the model type of "
        "`init`, or the name of the repository or folder without its size.",
    )
    embedding_parameters: int | None = Field(
        None, gt=0, description="Weights of the token embeddings, which cost no multiplications."
    )
    resources: ModelNeeds = Field(
        ModelNeeds(), description="GPUs, memory and time of the model's jobs."
    )

    def spellings(self) -> list[str]:
        """Return other names of the model."""
        repository = [self.hub.repository, PurePath(self.hub.repository).name] if self.hub else []
        return [self.label, *self.aliases, *repository]

    @model_validator(mode="after")
    def _one_origin(self) -> "Model":
        stated = [name for name in ("hub", "local", "init") if getattr(self, name)]
        if len(stated) != 1:
            given = " and ".join(f"`{name}`" for name in stated) or "none of them"
            raise ValueError(f"expected exactly one of `hub`, `local` and `init`, not {given}")
        if self.pretrain and not self.init:
            raise ValueError("`pretrain` needs `init`")
        return self

    @property
    def weights(self) -> tuple[float | None, float]:
        """Number of weights, None if unknown, and of those in the embedding table."""
        if self.init is None or self.parameters:
            return self.parameters, self.embedding_parameters or 0

        def given(default: int, *names: str) -> int:
            return next((shape[name] for name in names if name in shape), default)

        shape = self.init.architecture
        hidden = given(768, "hidden_size", "d_model", "dim")
        layers = given(12, "num_hidden_layers", "num_layers", "n_layers")
        inner = given(4 * hidden, "intermediate_size", "d_ff", "hidden_dim")
        embeddings = self.init.tokenizer.vocabulary * hidden
        return embeddings + layers * (4 * hidden**2 + 2 * hidden * inner), embeddings

    @property
    def kin(self) -> str:
        """The family of the model, or its default; text to text is a family of its own."""
        if self.family:
            return self.family
        if self.init:
            name = str(self.init.architecture.get("model_type", ""))
        else:
            place = self.hub.repository if self.hub else self.local.folder
            name = re.split(SIZES, place.rpartition("/")[2].lower(), maxsplit=1)[0]
        return f"{name}, text to text" if self.form == "text-to-text" else name


class StudyTask(Overrides):
    """Changes of a study for one task."""

    languages: Annotated[list[Language], Field(min_length=1), _ONCE] | None = Field(
        None, description="Languages to score; by default, all of the task."
    )
    examples: int | None = Field(
        None,
        gt=0,
        description="Score only the first N examples of each language, and of the validation data "
        "(not in families mine and retrieve, whose examples belong together).",
    )


class Arm(Overrides):
    """Settings that all models of a study run under; a study may have several arms."""

    label: str = Field("", description="Name in tables and figures.")
    tasks: dict[str, Overrides] = Field({}, description="Settings by task.")


class Study(Overrides):
    """One question: models x recipes x targets x seeds, with settings."""

    study: str = Field(
        pattern=f"^{STUDY}$", description="Name of the study and of its results folder."
    )
    title: str = Field("", description="The question, as the answer and the report show it.")
    analysis: Analysis = Field(
        "helps", description="Question that the study answers; it changes no result."
    )
    published: Scores = Field(
        {},
        description="Published scores to compare with, by recipe and target, averaged over all "
        "languages; null if unknown. Recipe `best` is the recipe that is best on validation.",
    )
    published_by_model: dict[str, Scores] = Field(
        {}, description="The same, by model, recipe and target; takes precedence over `published`."
    )
    claims: list[Claim] = Field(
        [], description="Claims about gains, published or your own, which the answer checks."
    )
    models: Annotated[list[str], _ONCE] = Field(min_length=1, description="Names of models.")
    arms: dict[Annotated[str, Field(pattern=f"^{TASK}$")], Arm] = Field(
        {},
        description="Variants of the settings by name: every model runs under each, as "
        "`model+arm`. An arm takes precedence over all other settings. It does not apply to "
        "pretraining.",
    )
    controls: Annotated[list[str], _ONCE] = Field(
        [], description="Models that run only under recipe `none`."
    )
    recipes: Annotated[list[str | Annotated[dict[str, str], Field(min_length=1)]], _ONCE] = Field(
        min_length=1, description="Recipes; `{name: recipe}` gives a recipe a short name."
    )
    orders: Orders | None = Field(
        None, description="Further recipes: chains of the same tasks in different orders."
    )
    targets: Annotated[list[str], _ONCE] = Field(min_length=1, description="Names of target tasks.")
    seeds: Annotated[list[Seed], _ONCE] = Field(
        min_length=1, description="Seeds of data order, subsamples and new heads."
    )
    baseline_seeds: int | None = Field(
        None,
        ge=1,
        description="Number of seeds of `none`, a multiple of the number of `seeds`. All gains "
        "share the baseline, so each of its runs narrows all of their intervals.",
    )
    only: list[str] = Field(
        [],
        description="Cells to run, named as in `status`; `*` matches any text. Results are shared "
        "with the complete study. `xstilts plan --gpu-hours 9 --write FILE` writes this key.",
    )
    hyperparameters: str | None = Field(
        None, description="Settings preset to use; tasks without it keep their defaults."
    )
    languages: Literal["all", "available"] = Field(
        "all",
        description="`available`: leave out languages, targets and recipes whose files are "
        "missing, and report them.",
    )
    rows: Literal["stated", "any"] = Field(
        "stated",
        description="`any`: accept data whose number of rows differs from the task's `rows`.",
    )
    source: Literal["files", "hub"] = Field(
        "files", description="`hub`: prefer the splits on the Hub to local files."
    )
    keep: Keep | None = Field(
        None,
        description="Trained weights that stay when no missing score needs them. `parents`: those "
        "that another step starts from. `none`: none, only pretrained models. Manifests and logs "
        "always stay; weights that a new result needs are trained again. By default, that of the "
        "site, or `all`.",
    )
    data: str = Field(
        "data", description="Folder of the original files; environment variables are expanded."
    )
    tasks: dict[str, StudyTask] = Field({}, description="Changes by task.")
    subsets: dict[Annotated[str, Field(pattern=f"^{TASK}$")], Subset] = Field(
        {}, description="Subsets of test data, which the analysis scores separately."
    )
    multitask: Annotated[dict[str, Any], layer(Train)] = Field(
        {},
        description="`train` settings of multi-task steps, for settings in which the tasks differ.",
    )

    @model_validator(mode="after")
    def _baseline_seeds_are_a_multiple(self) -> "Study":
        number, seeds = self.baseline_seeds, len(self.seeds)
        if number and number % seeds:
            nearest = max(1, round(number / seeds)) * seeds
            raise ValueError(
                f"baseline_seeds: {number} is no multiple of the {seeds} seeds; write {nearest}"
            )
        return self

    @property
    def all_seeds(self) -> list[int]:
        """Seeds of the baseline: `seeds`, then, if it has more, the numbers after the largest."""
        start, missing = max(self.seeds) + 1, (self.baseline_seeds or 0) - len(self.seeds)
        return [*self.seeds, *range(start, start + max(0, missing))]

    def variants(self) -> list[str]:
        """Return the names of models in cells: each model, or each model under each arm."""
        return [f"{model}{ARM}{arm}" for model in self.models for arm in self.arms] or self.models


class Lock(Strict):
    """Commits that `xstilts pin` wrote, by repository or repository@branch."""

    datasets: dict[str, Commit] = Field({})
    models: dict[str, Commit] = Field({})
