"""Settings of the phases: encoding of text, training of a step, prediction."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator

from xstilts.config.origins import KeyMistake, Strict

Fraction = Annotated[float, Field(ge=0, le=1)]
Precision = Literal["fp32", "tf32", "bf16", "fp16"]
_PRECISIONS = (
    "`bf16` and `fp16` are mixed precision: weights and results stay in fp32. `fp16` is for GPUs "
    "without bf16. `tf32` shortens the mantissa of matrix products on GPUs that have it."
)


_USUAL_NAMES = {  # of other programs, such as transformers' TrainingArguments
    **dict.fromkeys(("lr", "peak_lr"), "learning_rate"),
    **dict.fromkeys(("num_train_epochs", "n_epochs"), "epochs"),
    **dict.fromkeys(("bs", "per_device_train_batch_size"), "batch_size"),
    **dict.fromkeys(("max_seq_length", "max_seq_len", "max_len"), "max_length"),
    **dict.fromkeys(("lr_scheduler_type", "scheduler"), "schedule"),
    **dict.fromkeys(("warmup_ratio", "warmup_proportion"), "warmup"),
    **dict.fromkeys(("fp16", "bf16", "tf32", "dtype"), "precision"),
    **dict.fromkeys(("steps", "total_steps"), "max_steps"),
    "wd": "weight_decay",
    "mlm_probability": "mask_rate",
    "doc_stride": "stride",
    "max_query_length": "max_question_length",
    "eval_steps": "evaluate_every",
    "early_stopping_patience": "patience",
    **dict.fromkeys(("intermediate", "intermediate_tasks"), "recipes"),
}


class Grouped(Strict):
    """A block whose errors name the group that an unknown key belongs to."""

    @classmethod
    def place_of(cls, key: str) -> str:
        """Return the setting that a key means, or the group that has it; empty if none has."""
        usual = _USUAL_NAMES.get(key.casefold(), key)
        if usual in cls.model_fields:
            return f"did you mean {usual!r}?"
        key = usual
        group = next((name for name, model in SETTINGS.items() if key in model.model_fields), None)
        return f"it is a setting of {group}, `{group}: {{{key}: …}}`" if group else ""


class Encode(Grouped):
    """Conversion of text to token ids, the same in training and prediction."""

    max_length: int = Field(
        128,
        ge=8,
        description="Maximum sequence length in sub-word tokens; longer text is truncated.",
    )
    stride: int = Field(
        0, ge=0, description="Overlap in tokens of the windows of a long context (family answer)."
    )
    max_question_length: int = Field(
        64, ge=4, description="Maximum question length in tokens (families answer and retrieve)."
    )
    prefix: str = Field(
        "",
        max_length=100,
        description="Text before the first text of each example (families classify and mine), such "
        "as `query: ` of E5. A model states the prefix that it was trained with.",
    )
    texts: Literal["both", "first", "second"] = Field(
        "both",
        description="Texts of a pair that the model sees (family classify). `second`, such as the "
        "hypothesis of NLI, shows how much the labels depend on one text alone.",
    )


class Lora(Strict):
    """Low-rank matrices, which are trained instead of the encoder's linear layers."""

    rank: int = Field(8, gt=0, description="Rank of the matrices.")
    alpha: float = Field(16, gt=0, description="Scales the low-rank update by alpha / rank.")
    dropout: Fraction = Field(0.0, description="Dropout on the input of the matrices.")
    target_modules: tuple[str, ...] = Field(
        (), description="Linear modules to adapt, such as `query`; all if empty."
    )

    @field_validator("target_modules")
    @classmethod
    def _in_one_order(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(given)))  # the order of the names changes nothing


class Train(Grouped):
    """Training of a step; part of the identity of its checkpoint."""

    learning_rate: float = Field(1e-5, gt=0, description="Peak learning rate of AdamW.")
    epochs: float = Field(3.0, gt=0, description="Passes over the training data.")
    max_steps: int | None = Field(
        None, gt=0, description="Number of optimiser steps; overrides `epochs`."
    )
    batch_size: int = Field(32, gt=0, description="Examples per optimiser step.")
    warmup: Fraction = Field(
        0.1, description="Fraction of the steps in which the learning rate rises."
    )
    warmup_steps: int | None = Field(
        None, ge=0, description="Steps in which the learning rate rises; overrides `warmup`."
    )
    schedule: Literal["linear", "constant", "warmup_stable_decay"] = Field(
        "linear",
        description="Learning rate after the warm-up; `warmup_stable_decay` decays only in the "
        "last half.",
    )
    weight_decay: float = Field(
        0.01, ge=0, description="Weight decay of AdamW, except for biases and LayerNorm."
    )
    adam_epsilon: float = Field(1e-8, gt=0, description="Epsilon of AdamW.")
    max_grad_norm: float = Field(
        1.0, gt=0, description="Maximum norm of the gradients, which are clipped to it."
    )
    precision: Precision = Field("fp32", description=_PRECISIONS)
    packing: bool = Field(
        False,
        description="Compute no padding in the layers of the encoder (BERT, XLM-R, XLM-R XL, "
        "ModernBERT, EuroBERT). Dropout draws other numbers, so it is part of the path. On a GPU "
        "it needs `bf16` or `fp16` to be fast.",
    )
    save_precision: Literal["fp32", "bf16"] = Field(
        "fp32",
        description="Precision of the weights in a target's checkpoint, from which predictions are "
        "made; `bf16` halves their space. Steps that other steps start from are saved in fp32.",
    )
    select: Literal["last", "best"] = Field(
        "last", description="Weights to keep: the last, or the best on validation."
    )
    evaluate_every: int | None = Field(
        None, gt=0, description="Optimiser steps between validations; `select: best` needs it."
    )
    patience: int | None = Field(
        None, gt=0, description="Stop after this many validations without a gain."
    )
    validation_examples: int | None = Field(
        None, gt=0, description="Validate on the first N examples; by default, on all."
    )
    mixing: Literal["proportional", "temperature", "uniform"] = Field(
        "proportional",
        description="Probability of each task in a multi-task step. `proportional`: its number of "
        "examples, up to `examples_cap`. `temperature`: examples^(1/temperature). `uniform`: equal "
        "for all tasks.",
    )
    temperature: float | None = Field(
        None, ge=1, description="Temperature of `mixing: temperature`."
    )
    examples_cap: int | None = Field(
        None, gt=0, description="Maximum number of examples of a task that mixing counts."
    )
    language_temperature: float | None = Field(
        None,
        ge=1,
        description="Draw one language per step, with probability examples^(1/this), if a task "
        "trains on several. By default, the examples of all languages are one pool.",
    )
    mask_rate: Fraction = Field(
        0.15, description="Fraction of tokens that are masked (family mask)."
    )
    lora: Lora | bool = Field(
        False, description="Train only low-rank matrices and the head: `true`, or settings of LoRA."
    )

    @field_validator("lora")
    @classmethod
    def _default_lora(cls, given: Lora | bool) -> Lora | bool:
        return Lora() if given is True else given

    @model_validator(mode="after")
    def _complete(self) -> "Train":
        if self.evaluate_every is None and (self.select == "best" or self.patience):
            raise ValueError("`select: best` and `patience` need `evaluate_every`")
        if (self.mixing == "temperature") != (self.temperature is not None):
            raise ValueError("`mixing: temperature` and `temperature` need each other")
        return self


class Predict(Grouped):
    """Prediction with a checkpoint; part of the identity of the predictions."""

    precision: Precision = Field(
        "fp32", description="Precision of the encoder; search and scores are in fp32."
    )
    max_answer_length: int = Field(30, ge=1, description="Maximum answer length in tokens.")
    best_spans: int = Field(
        20, ge=1, description="Candidates for the start and the end of an answer."
    )
    layer: int = Field(
        -1, description="Hidden layer that yields sentence embeddings; 0 is the embedding layer."
    )
    pooling: Literal["mean", "first"] = Field(
        "mean",
        description="Sentence embedding (family mine): the mean over all tokens, or the first "
        "token, such as `<s>` or `[CLS]`.",
    )
    retrieval: Literal["nearest", "margin"] = Field(
        "nearest",
        description="Search for translations (family mine): the nearest sentence of each English "
        "sentence, or pairs above a margin that is tuned on the validation split.",
    )
    neighbours: int = Field(
        4, ge=1, description="Nearest neighbours that the margin averages over."
    )


def layer(model: type[Strict]) -> AfterValidator:
    """Return a validator of some settings of `model`, which other layers complete.

    Settings that need each other may come from different layers, so this is checked only when the
    settings are resolved.
    """

    def check(values: dict[str, Any]) -> dict[str, Any]:
        try:
            model.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            if first["loc"] or isinstance(first["ctx"]["error"], KeyMistake):
                raise
        return values

    return AfterValidator(check)


class Overrides(Grouped):
    """Settings that a task, a model or a study states; `Project.settings` resolves them."""

    encode: Annotated[dict[str, Any], layer(Encode)] = Field(
        {}, description="Settings of how text becomes token ids."
    )
    train: Annotated[dict[str, Any], layer(Train)] = Field({}, description="Settings of training.")
    predict: Annotated[dict[str, Any], layer(Predict)] = Field(
        {}, description="Settings of prediction."
    )


SETTINGS = {"encode": Encode, "train": Train, "predict": Predict}
