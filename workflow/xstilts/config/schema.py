"""The keys of studies, tasks and models: what the configuration's YAML files may contain.

Unknown keys are errors that name the nearest valid one.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from xstilts.config.orders import Orders
from xstilts.config.origins import COMMIT, HubModel, HubSplit, Init, Split, Strict
from xstilts.config.resources import ModelNeeds
from xstilts.config.settings import Overrides, Train
from xstilts.config.subsets import Subset
from xstilts.errors import nearest
from xstilts.families import family, names
from xstilts.recipe import ALL, LANGUAGE, TASK, Part

Analysis = Literal["helps", "order", "scale", "language", "size"]
SplitName = Literal["train", "validation", "test", "candidates"]
MODEL = STUDY = r"[a-z][a-z0-9_-]*"
ARM = "+"  # between a model and its arm
Commit = Annotated[str, Field(pattern=f"^{COMMIT}$")]
Language = Annotated[str, Field(pattern=f"^{LANGUAGE}$")]


def _known_family(name: str) -> str:
    if name not in names():
        raise ValueError(f"unknown family {name!r}: {nearest(name, names())}")
    return name


class Task(Overrides):
    """An intermediate or target task: data and defaults; the family holds the behaviour."""

    family: Annotated[str, AfterValidator(_known_family)] = Field(
        description="The module that holds the behaviour.",
        json_schema_extra=lambda schema: schema.update(enum=names()),
    )
    roles: list[Literal["intermediate", "target", "pretraining"]] = Field(
        description="Where a study may use the task."
    )
    label: str = Field("", description="Name in tables and figures.")
    source_language: Language = Field("en", description="Language of the training data.")
    languages: list[Language] = Field(
        description="Languages of the test data, or of the text of the mask family."
    )
    labels: list[str] = Field([], description="Label inventory; from the training data if empty.")
    splits: dict[SplitName, Split | str | list[str]] = Field(
        description="Where each split is; the name of a task stands for that task's split, several "
        "names (of `train` only) for all their examples together. `candidates` (family retrieve): "
        "what the questions of `test` rank in every language, where `test` itself holds none."
    )
    hub: dict[SplitName, HubSplit] = Field(
        {}, description="The splits on the Hub, which a study with `source: hub` takes instead."
    )
    settings: dict[str, Overrides] = Field(
        {}, description="Named sets of settings, of which a study's `hyperparameters` takes one."
    )
    same_data: list[str] = Field(
        [],
        description="Tasks whose training examples this task has too, wholly or in part, in "
        "another form: a recipe with one of them is marked, as one with the target's own data is.",
    )
    metrics: list[str] = Field([], description="The first is the main metric.")
    licence: str = Field("", description="Licence of the data.")
    citation: str = Field("", description="Whom to cite.")
    homepage: str = Field("", description="Where the release is.")

    def references(self, split: str) -> list[str]:
        """The tasks whose split this task's split is; none if it is its own."""
        spec = self.splits[split]
        return [spec] if isinstance(spec, str) else spec if isinstance(spec, list) else []

    def languages_of(self, part: Part) -> list[str]:
        """Languages that a recipe's part, of this task, trains on.

        `@all` stands for all languages of the task. The mask family takes all without being asked.
        """
        if part.language == ALL or (family(self.family).ALL_LANGUAGES and not part.language):
            return list(self.languages)
        return [part.language or self.source_language]

    def predicted_splits(self) -> list[str]:
        """The splits that a target is predicted on in every language.

        A task without training can tune only a threshold on its validation split: BUCC.
        """
        tuned = "train" not in self.splits and "validation" in self.splits
        return ["validation", "test"] if tuned else ["test"]

    def taken_from(self, source: str, commits: Mapping[str, str]) -> "Task":
        """With the splits of a source, where it has them, and the commits of the lock file."""
        splits = self.splits | (self.hub if source == "hub" else {})
        pinned = {
            name: split.pinned(commits) if isinstance(split, HubSplit) else split
            for name, split in splits.items()
        }
        return self.model_copy(update={"splits": pinned, "hub": {}})

    @model_validator(mode="after")
    def _hub_columns(self) -> "Task":
        for key in ("splits", "hub"):
            for name, split in getattr(self, key).items():
                if isinstance(split, HubSplit):
                    try:
                        split.check_columns(self.family)
                    except ValueError as error:
                        raise ValueError(f"{key}.{name}.{error}") from None
        if "candidates" in self.splits and not family(self.family).CANDIDATES:
            possible = ", ".join(names("CANDIDATES"))
            raise ValueError(f"splits.candidates: not for family {self.family}, only {possible}")
        for name in self.hub:
            if name not in self.splits:
                raise ValueError(f"hub.{name}: `splits` has no {name}")
        return self


class Model(Overrides):
    """A pretrained encoder: from the Hub, or initialised and pretrained in the workflow."""

    label: str = Field("", description="Name in tables and figures.")
    hub: HubModel | None = Field(None, description="Download it.")
    init: Init | None = Field(None, description="Make it.")
    form: Literal["heads", "text-to-text"] = Field(
        "heads",
        description="What answers: heads on the encoder, or the decoder of an encoder-decoder "
        "model in words (families classify and choose).",
    )
    pretrain: str | None = Field(None, description="A recipe that is run first, with init.seed.")
    parameters: int | None = Field(
        None,
        gt=0,
        description="Number of weights, of the encoder in mT5; `plan` needs it of a model "
        "with `hub`, and it is the x axis of scale studies.",
    )
    embedding_parameters: int | None = Field(
        None, gt=0, description="Of these, those of the token embeddings: no token is multiplied."
    )
    resources: ModelNeeds = Field(
        ModelNeeds(), description="What its jobs may use: a cluster's GPUs, memory and time."
    )

    @model_validator(mode="after")
    def _one_origin(self) -> "Model":
        if (self.hub is None) == (self.init is None):
            raise ValueError("expected exactly one of `hub` and `init`")
        if self.pretrain and not self.init:
            raise ValueError("`pretrain` needs `init`")
        return self


class StudyTask(Overrides):
    """What a study changes for one task."""

    languages: list[Language] | None = Field(None, description="Score only these languages.")


class Arm(Overrides):
    """Settings that all of a study's models run under, beside its other arms."""

    label: str = Field("", description="Name in tables and figures.")
    tasks: dict[str, Overrides] = Field({}, description="Settings of single tasks.")


class Study(Overrides):
    """Models x recipes x targets x seeds, with settings: one question."""

    study: str = Field(pattern=f"^{STUDY}$", description="Name; also of its folder.")
    title: str = Field("", description="The question, for tables and the report.")
    analysis: Analysis = Field(
        "helps", description="What the study answers, and how; changes no result."
    )
    published: dict[str, dict[str, Annotated[float, Field(ge=0, le=100)] | None]] = Field(
        {},
        description="Recipe (`best`: the one chosen on validation), then target: a published "
        "score, average over all languages, to compare with; null where it is not known.",
    )
    models: list[str] = Field(min_length=1, description="Names of models.")
    arms: dict[Annotated[str, Field(pattern=f"^{TASK}$")], Arm] = Field(
        {},
        description="Every model runs under each of these, as `model+arm`. They win over all other "
        "settings; pretraining does not take them.",
    )
    controls: list[str] = Field([], description="Models that run under recipe `none` only.")
    recipes: list[str | dict[str, str]] = Field(
        min_length=1, description="Recipes; `{name: recipe}` gives one a short name."
    )
    orders: Orders | None = Field(
        None, description="More recipes: chains of the same tasks in different orders."
    )
    targets: list[str] = Field(min_length=1, description="Names of target tasks.")
    seeds: list[Annotated[int, Field(ge=0)]] = Field(
        min_length=1, description="Each fixes data order, subsamples and new heads."
    )
    only: list[str] = Field(
        [],
        description="Run just these cells, as `status` names them; `*` stands for any text. "
        "Shares all results with the whole study. `xstilts plan --write` writes it.",
    )
    hyperparameters: str | None = Field(
        None, description="The named set of settings that tasks which have it take."
    )
    languages: Literal["all", "available"] = Field(
        "all",
        description="`available`: leave out, and say, languages, targets and recipes whose files "
        "are missing.",
    )
    rows: Literal["stated", "any"] = Field(
        "stated", description="`any`: accept data with another number of rows than tasks state."
    )
    source: Literal["files", "hub"] = Field(
        "files", description="`hub`: take every split that a task also has on the Hub from there."
    )
    data: str = Field("data", description="Folder of the original files; may name a variable.")
    tasks: dict[str, StudyTask] = Field({}, description="Changes for single tasks.")
    subsets: dict[Annotated[str, Field(pattern=f"^{TASK}$")], Subset] = Field(
        {}, description="Parts of targets' test data that the analysis scores on their own."
    )
    multitask: dict[str, Any] = Field(
        {}, description="`train` settings of steps with several tasks, where these disagree."
    )

    @model_validator(mode="after")
    def _settings_are_valid(self) -> "Study":
        for key in self.multitask:
            if key not in Train.model_fields:
                raise ValueError(f"unknown key multitask.{key}: {nearest(key, Train.model_fields)}")
        for name in ("models", "controls", "recipes", "targets", "seeds"):
            values = [str(value) for value in getattr(self, name)]
            repeated = {value for value in values if values.count(value) > 1}
            if repeated:
                raise ValueError(f"{name}: {repeated.pop()} is given twice")
        return self

    def variants(self) -> list[str]:
        """What stands for the model in cells: the models, or each of them under each arm."""
        return [f"{model}{ARM}{arm}" for model in self.models for arm in self.arms] or self.models


class Lock(Strict):
    """The commits that `xstilts pin` found: repository, or repository@branch -> commit."""

    datasets: dict[str, Commit] = Field({})
    models: dict[str, Commit] = Field({})
