"""Models: initial weights, fresh heads on a parent's encoder, several heads on one encoder.

A checkpoint is a folder that `AutoModel.from_pretrained` opens. Its head, if it has one, belongs to
its own task: the next step uses the encoder and draws a new head from the step's seed.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from safetensors import safe_open
from torch import nn
from transformers import (
    MODEL_FOR_TEXT_ENCODING_MAPPING,
    MODEL_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedConfig,
)
from transformers.tokenization_utils_base import LARGE_INTEGER

from xstilts import store
from xstilts.errors import Diverged, InputError, nearest
from xstilts.families import class_index, family
from xstilts.modelling.distributed import first_names
from xstilts.modelling.heads import with_head
from xstilts.modelling.steps import ceil_div, longest_sequence
from xstilts.sources.models import indexed

POOLER = "pooler."
_SENTINEL = "<extra_id_0>"
_TOKENIZER_TEXTS = 20_000  # at most, evenly spaced: more make it slower and hardly better


def load_tokenizer(folder: Path):
    """Return the fast tokenizer of a checkpoint."""
    return AutoTokenizer.from_pretrained(folder)


def check_encoder(folder: Path, where: str) -> int:
    """Return a pretrained model's number of weights.

    Raise InputError if a weight is missing: the library would draw it at random. A pooler may be
    missing, since a step draws a new one.
    """
    config = AutoConfig.from_pretrained(folder)
    made = model_class(config, "mine")
    try:
        model, report = made.from_pretrained(folder, output_loading_info=True)
    except (OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{where}: the weights do not fit config.json: {reason}") from None
    missing = sorted(key for key in report["missing_keys"] if not key.startswith(POOLER))
    if missing:
        others = f" and {len(missing) - 1} more" if missing[1:] else ""
        raise InputError(
            f"{where}: the weights lack {missing[0]}{others}, which the model of config.json has "
            f"(model_type {config.model_type!r}); expected the weights of one model"
        )
    return model.num_parameters()


def check_length(folder: Path, tokenizer, max_length: int, what: str) -> None:
    """Raise InputError if sequences can be longer than the model's positions.

    Many published tokenizers state no length; then the configuration does, if it has positions.
    """
    limit = tokenizer.model_max_length
    if limit >= LARGE_INTEGER:
        shape = store.read_object(folder / "config.json")
        limit = longest_sequence(shape) if "max_position_embeddings" in shape else limit
    if max_length > limit:
        raise InputError(
            f"{what}: encode.max_length is {max_length}, but the model accepts at most {limit} "
            "tokens"
        )


def load_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Return all weights of a checkpoint."""
    return {name: read() for name, read in opened_weights(folder).items()}


def opened_weights(folder: Path) -> dict[str, Callable[[], torch.Tensor]]:
    """Return functions that read the weights of a checkpoint, one by one.

    They are in one safetensors file or several.
    """
    index = folder / "model.safetensors.index.json"
    names = indexed(index) if index.exists() else ["model.safetensors"]
    weights: dict[str, Callable[[], torch.Tensor]] = {}
    for name in names:
        file = safe_open(folder / name, framework="pt")
        weights |= {key: partial(file.get_tensor, key) for key in file.keys()}  # noqa: SIM118
    return weights


def check_finite(weights: Mapping[str, torch.Tensor], what: str) -> None:
    """Raise Diverged naming `what` and the first weight that is infinite or not a number."""
    for name, weight in weights.items():
        if not torch.isfinite(weight).all():
            raise Diverged(
                f"{what}: the weights {name} are not finite; train with a lower learning rate"
            )


def fresh_head(
    folder: Path, name: str, labels: Sequence[str], pretrained_pooler: bool, seed: int
) -> transformers.PreTrainedModel:
    """Return a family's model with a checkpoint's encoder and a head drawn from `seed`.

    The head is re-initialised, with two exceptions: `mask` keeps the pretrained language modelling
    head, and text-to-text models have no head of a task, so all their weights are kept. A pooler
    is part of the head unless it was pretrained.
    """
    config = AutoConfig.from_pretrained(folder, **head_config(labels))
    weights = load_weights(folder)
    head = model_class(config, name)
    if not family(name).MASKED:
        weights = encoder_weights(weights, head, pretrained_pooler)
    torch.manual_seed(seed)
    model = head.from_pretrained(None, config=config, state_dict=weights, dtype=torch.float32)
    return _with_forward(model, name)


def encoder_weights(
    weights: Mapping[str, Any], made: type[transformers.PreTrainedModel], pooler: bool
) -> dict[str, Any]:
    """Return the weights of a model's encoder by their names in it, with or without the pooler."""
    prefix = f"{made.base_model_prefix}."
    inside = {key[len(prefix) :]: w for key, w in weights.items() if key.startswith(prefix)}
    kept = inside or weights
    return {key: w for key, w in kept.items() if pooler or not key.startswith(POOLER)}


def _with_forward(model: transformers.PreTrainedModel, name: str) -> transformers.PreTrainedModel:
    if forward := family(name).forward:
        model.forward = partial(forward, model)
    return model


def head_config(labels: Sequence[str] = ()) -> dict[str, Any]:
    """Return the keys of a model's configuration that describe its head."""
    # always stated: a saved configuration keeps the labels of the previous task
    labels = list(labels) or ["LABEL_0", "LABEL_1"]
    return {
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels)),
        "label2id": class_index(labels),
        # otherwise the first forward pass writes it into the configuration
        "problem_type": "single_label_classification" if len(labels) > 1 else None,
    }


def load_trained(
    folder: Path, name: str, pretrained_pooler: bool = True, head: Path | None = None
) -> transformers.PreTrainedModel:
    """Return a checkpoint's model for prediction, with its head or that of the checkpoint `head`.

    As in `fresh_head`, a pooler is part of the head unless it was pretrained.
    """
    config = AutoConfig.from_pretrained(head or folder)
    made = model_class(config, name)
    if head is None:
        return _with_forward(made.from_pretrained(folder, dtype=torch.float32), name).eval()
    prefix, weights = f"{made.base_model_prefix}.", load_weights(head)
    for key, later in load_weights(folder).items():
        inner = key.removeprefix(prefix)
        if prefix + inner in weights and (pretrained_pooler or not inner.startswith(POOLER)):
            weights[prefix + inner] = later
    return made.from_pretrained(None, config=config, state_dict=weights, dtype=torch.float32).eval()


def model_class(config: PreTrainedConfig, name: str) -> type[transformers.PreTrainedModel]:
    """Return the class of a family's model: the library's, or ours if the library has none.

    Raise InputError for an architecture without an encoder that can be used alone.
    """
    kind, wanted = type(config), getattr(transformers, family(name).MODEL)
    encoders = MODEL_FOR_TEXT_ENCODING_MAPPING
    # of an encoder-decoder model this is the encoder; the library's heads for it have a decoder
    encoder = encoders[kind] if kind in encoders else MODEL_MAPPING.get(kind, None)
    if encoder is None or (config.is_encoder_decoder and kind not in encoders):
        raise InputError(
            f"model_type {config.model_type!r}: transformers has no encoder for it that can be "
            "used alone"
        )
    if wanted is AutoModel:
        return encoder
    if wanted is AutoModelForSeq2SeqLM:
        if kind not in wanted._model_mapping:
            raise InputError(f"model_type {config.model_type!r}: no decoder, so not text-to-text")
        return wanted._model_mapping[kind]
    if encoder is MODEL_MAPPING[kind] and kind in wanted._model_mapping:
        return wanted._model_mapping[kind]
    return with_head(encoder, family(name).MODEL)


def mask_id(tokenizer: Any) -> int:
    """Return the token that replaces masked tokens: the mask, or T5's first sentinel.

    Raise InputError for a tokenizer that has neither.
    """
    if tokenizer.mask_token_id is not None:
        return tokenizer.mask_token_id
    ids = tokenizer(_SENTINEL, add_special_tokens=False)["input_ids"]
    if len(ids) != 1 or ids[0] == tokenizer.unk_token_id:
        raise InputError(f"family mask: the model's tokenizer has no mask token and no {_SENTINEL}")
    return ids[0]


class Multitask(nn.Module):
    """Models of several families that share one encoder; a batch names its task."""

    def __init__(self, models: Mapping[str, transformers.PreTrainedModel]):
        super().__init__()
        self.models = nn.ModuleDict(models)
        bare = [task for task, model in models.items() if model.base_model is model]
        if bare:
            raise InputError(f"{bare[0]} has no head: it cannot share a step with other tasks")
        # the encoder with most weights has a pooler, which some heads need
        encoders = [model.base_model for model in models.values()]
        self.encoder = max(encoders, key=lambda encoder: sum(1 for _ in encoder.parameters()))
        for model in models.values():
            setattr(model, model.base_model_prefix, self.encoder)
            model.tie_weights()
        self.config = self.encoder.config

    def forward(self, task: str, **batch):
        """Return the output, with its loss, of the model of `task`."""
        return self.models[task](**batch)

    def state_dict(self, *args, **kwargs) -> dict[str, torch.Tensor]:
        """Return each shared tensor once, as safetensors requires."""
        first = first_names(self)
        state = super().state_dict(*args, **kwargs)
        return {key: tensor for key, tensor in state.items() if first.get(key, key) == key}

    def load_state_dict(self, state, *args, **kwargs):
        """Load the result of `state_dict`, under all names of a shared tensor."""
        first = first_names(self)
        names = super().state_dict().keys()
        return super().load_state_dict({key: state[first.get(key, key)] for key in names})

    def encoder_weights(self, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return the encoder's weights, from weights under all their names."""
        return {name: weights[f"encoder.{name}"] for name in self.encoder.state_dict()}


def encoder_of(model: nn.Module) -> transformers.PreTrainedModel:
    """Return the encoder of a model with one head or several."""
    return model.encoder if isinstance(model, Multitask) else model.base_model


def initialise(architecture: Mapping[str, Any], tokenizer: Any, seed: int):
    """Return a model with random weights and a language modelling head, sized for the tokenizer.

    An encoder-decoder model has both parts, as its published checkpoints do. Raise InputError for
    an architecture that transformers does not accept.
    """
    try:
        _check_keys(architecture)
        config = AutoConfig.for_model(
            **architecture,
            vocab_size=len(tokenizer),
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
        made = model_class(config, "mask")
        if config.is_encoder_decoder:
            made = transformers.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING[type(config)]
        torch.manual_seed(seed)
        return made._from_config(config)
    except (TypeError, ValueError, KeyError, StrictDataclassError) as error:
        raise InputError(f"init.architecture {dict(architecture)}: {error}") from None


def _check_keys(architecture: Mapping[str, Any]) -> None:
    """Raise ValueError for a key without effect: transformers would keep it, and take its default.

    A misspelt `hidden_size` would give a model of 768 dimensions.
    """
    default = AutoConfig.for_model(architecture["model_type"])
    known = {*default.to_dict(), *default.attribute_map, *signature(type(default)).parameters}
    for key in architecture:
        if key not in known:
            raise ValueError(f"unknown key {key!r}; {nearest(key, known)}")


def train_tokenizer(texts: Sequence[str], vocabulary: int, folder: Path, longest: int = 512):
    """Train a SentencePiece unigram tokenizer with XLM-R's special tokens and word marker.

    `vocabulary` is the number of all pieces, including special ones; short texts give fewer.
    `longest` is the model's longest sequence in tokens. Return the tokenizer; it is also saved.
    """
    import io

    import sentencepiece

    if not texts:
        raise InputError("no text to train a tokenizer on")
    texts = list(texts)[:: ceil_div(len(texts), _TOKENIZER_TEXTS)]
    specials = ["<s>", "<pad>", "</s>", "<unk>"]  # fairseq's order, as in XLM-R
    # sentencepiece's candidates are strings that two different words share: it would split a word
    # that is never followed by a full stop
    texts += sorted({word.rstrip(".?") + "." for text in texts for word in text.split()})
    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=trained,
        vocab_size=vocabulary - len(specials) + 3 - 1,  # its own three specials; we add the mask
        hard_vocab_limit=False,
        character_coverage=1.0,
        normalization_rule_name="identity",  # as the tokenizer below
        minloglevel=2,
        num_threads=1,  # with more threads, the result depends on their timing
    )
    model = sentencepiece.SentencePieceProcessor(model_proto=trained.getvalue())
    pieces = [
        (model.id_to_piece(number), model.get_score(number))
        for number in range(model.get_piece_size())
        if not (model.is_control(number) or model.is_unknown(number))
    ]
    tokenizer = transformers.XLMRobertaTokenizer(
        vocab=[(special, 0.0) for special in specials] + pieces + [("<mask>", 0.0)],
        model_max_length=longest,
    )
    tokenizer.save_pretrained(folder)
    return load_tokenizer(folder)
