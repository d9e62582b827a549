"""Settings of the phases: how text is encoded, how a step trains, how predictions are made."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from xstilts.config.origins import Strict
from xstilts.errors import nearest

Fraction = Annotated[float, Field(ge=0, le=1)]


class Encode(Strict):
    """How text becomes token ids, the same in training and prediction."""

    max_length: int = Field(128, ge=8, description="Longest sequence, in sub-word tokens.")
    stride: int = Field(
        0, ge=0, description="Overlap of the windows of a long context or sentence, in tokens."
    )
    max_question_length: int = Field(
        64, ge=4, description="Longest question of the answer family, in tokens."
    )
    texts: Literal["both", "first", "second"] = Field(
        "both",
        description="What the classify family sees of a pair. A model of the second text alone, as "
        "the hypothesis of NLI, finds what the data give away.",
    )


class Lora(Strict):
    """Low-rank matrices that are trained instead of the encoder's linear layers."""

    rank: int = Field(8, gt=0, description="Of the matrices.")
    alpha: float = Field(16, gt=0, description="The matrices count alpha / rank times.")
    dropout: Fraction = Field(0.0, description="On what goes into the matrices.")
    target_modules: tuple[str, ...] = Field(
        (), description="Linear modules of the layers, such as `query`; all if empty."
    )


class Train(Strict):
    """How a step trains: part of its identity."""

    learning_rate: float = Field(1e-5, gt=0, description="Peak learning rate of AdamW.")
    epochs: float = Field(3.0, gt=0, description="Passes over the training data.")
    max_steps: int | None = Field(None, gt=0, description="Optimiser steps; instead of epochs.")
    batch_size: int = Field(32, gt=0, description="Examples per optimiser step.")
    warmup: Fraction = Field(0.1, description="Share of the steps with a rising learning rate.")
    warmup_steps: int | None = Field(
        None, ge=0, description="Steps with a rising learning rate; instead of `warmup`."
    )
    schedule: Literal["linear", "constant", "warmup_stable_decay"] = Field(
        "linear",
        description="Learning rate after the warm-up; warmup_stable_decay decays in the last half.",
    )
    weight_decay: float = Field(0.01, ge=0, description="Not applied to biases and LayerNorm.")
    adam_epsilon: float = Field(1e-8, gt=0, description="Epsilon of AdamW.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients are clipped to this norm.")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="bf16 is mixed precision.")
    select: Literal["last", "best"] = Field(
        "last", description="Which weights are kept: the last, or the best on validation."
    )
    evaluate_every: int | None = Field(
        None, gt=0, description="Optimiser steps between validations; needed by `select: best`."
    )
    patience: int | None = Field(
        None, gt=0, description="Stop after so many validations without a gain."
    )
    validation_examples: int | None = Field(
        None, gt=0, description="Validate on the first so many examples; all if not given."
    )
    mixing: Literal["proportional", "temperature", "uniform"] = Field(
        "proportional",
        description="How often each task of a step with several is drawn: as often as it has "
        "examples (with `examples_cap`: capped), in proportion to examples^(1/temperature), or "
        "all alike.",
    )
    temperature: float | None = Field(None, ge=1, description="Of `mixing: temperature`.")
    examples_cap: int | None = Field(
        None, gt=0, description="Mixing counts at most so many examples of a task."
    )
    language_temperature: float | None = Field(
        None,
        ge=1,
        description="The languages of a task in several are drawn in proportion to "
        "examples^(1/this), a language per step; not given, their examples are one pool.",
    )
    mask_rate: Fraction = Field(0.15, description="Share of the tokens masked (mask family).")
    lora: Lora | bool = Field(
        False, description="Train low-rank matrices and the head only: `true`, or settings of LoRA."
    )

    @field_validator("lora")
    @classmethod
    def _default_lora(cls, given: Lora | bool) -> Lora | bool:
        return Lora() if given is True else given

    @model_validator(mode="after")
    def _consistent(self) -> "Train":
        if self.evaluate_every is None and (self.select == "best" or self.patience):
            raise ValueError("`select: best` and `patience` need `evaluate_every`")
        if (self.mixing == "temperature") != (self.temperature is not None):
            raise ValueError("`mixing: temperature` and `temperature` need each other")
        return self


class Predict(Strict):
    """How predictions are made from a checkpoint: part of their identity."""

    max_answer_length: int = Field(30, ge=1, description="Longest answer span, in tokens.")
    best_spans: int = Field(20, ge=1, description="Start and end candidates for an answer span.")
    layer: int = Field(-1, description="Hidden layer of sentence embeddings; 0 is the embeddings.")
    pooling: Literal["mean", "first"] = Field(
        "mean",
        description="Sentence embeddings of the mine family: the mean over all tokens, or the "
        "first token, which is `<s>` or `[CLS]` in models that have one.",
    )
    retrieval: Literal["nearest", "margin"] = Field(
        "nearest",
        description="How the mine family finds translations: the nearest sentence of each English "
        "one, or pairs of high margin, with a threshold from the validation split.",
    )
    neighbours: int = Field(4, ge=1, description="Nearest neighbours that a margin averages over.")


class Overrides(Strict):
    """Settings that a model, a study or a study's entry for one task states; later ones win."""

    encode: dict[str, Any] = Field({}, description="Settings of how text becomes token ids.")
    train: dict[str, Any] = Field({}, description="Settings of training.")
    predict: dict[str, Any] = Field({}, description="Settings of prediction.")

    @model_validator(mode="after")
    def _known_settings(self) -> "Overrides":
        for group, model in SETTINGS.items():
            for key in getattr(self, group):
                if key not in model.model_fields:
                    hint = nearest(key, model.model_fields)
                    raise ValueError(f"unknown key {group}.{key}: {hint}")
        return self


SETTINGS = {"encode": Encode, "train": Train, "predict": Predict}
