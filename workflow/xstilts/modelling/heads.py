"""Heads for encoders for which transformers has no suitable class.

These are the encoders of encoder-decoder models (mT5), whose classes in transformers are missing
or put a decoder between encoder and head, and encoders without a class for some family. The
encoder keeps its own weight names, so its class opens a checkpoint
(`MT5EncoderModel.from_pretrained`). Such an encoder may have no token that represents the text:
heads of a text use the mean over its tokens.
"""

from functools import cache
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, initialization, modeling_outputs

from xstilts.families import IGNORED, mean_of_tokens

_STD = 0.02  # of new weights, as in the library's heads


@cache
def with_head(encoder: type[PreTrainedModel], wanted: str) -> type[PreTrainedModel]:
    """Return the class of `encoder` with a head instead of that of `wanted`, an Auto class.

    It inherits from the architecture's base class, which has the configuration, the prefix of the
    encoder's weights and the supported kernels.
    """
    head = _HEADS[wanted]
    name = head.__name__.removeprefix("_")
    base = next(c for c in encoder.__mro__[1:] if issubclass(c, PreTrainedModel))
    about = {
        "encoder_class": encoder,
        "base_model_prefix": base.base_model_prefix or "encoder",
        "__doc__": f"{encoder.__name__} with the head of the family {name.lower()}.",
    }
    return type(f"{encoder.__name__}For{name}", (head, base), about)


class _Headed:
    """Base of the heads: construction and initial weights."""

    encoder_class: type[PreTrainedModel]

    def __init__(self, config):
        super().__init__(config)
        setattr(self, self.base_model_prefix, self.encoder_class(config))
        self.add_head(config)
        self.post_init()

    def _init_weights(self, module):
        # the encoder's class initialises its own modules: only those of a head arrive here
        if isinstance(module, nn.Linear):
            initialization.normal_(module.weight, std=_STD)
            if module.bias is not None:
                initialization.zeros_(module.bias)
        elif isinstance(module, _LanguageHead):
            initialization.zeros_(module.bias)
        else:
            super()._init_weights(module)

    def hidden(self, **inputs: torch.Tensor) -> torch.Tensor:
        """Return the last hidden states [batch, tokens, hidden]."""
        return self.base_model(**inputs).last_hidden_state


class _Classify(_Headed):
    def add_head(self, config) -> None:
        """Add a linear layer over the mean of the tokens."""
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)

    def forward(self, attention_mask, labels=None, **inputs) -> Any:
        """Return logits [batch, labels]; with labels [batch] also the loss."""
        hidden = self.hidden(attention_mask=attention_mask, **inputs)
        logits = self.classifier(mean_of_tokens(hidden, attention_mask))
        loss = None if labels is None else cross_entropy(logits.float(), labels)
        return modeling_outputs.SequenceClassifierOutput(loss, logits)


class _Choose(_Headed):
    def add_head(self, config) -> None:
        """Add a score of the mean of a candidate's tokens."""
        self.classifier = nn.Linear(config.hidden_size, 1)

    def forward(self, attention_mask, labels=None, **inputs) -> Any:
        """Return logits [batch, choices] of [batch, choices, tokens]; with labels also the loss."""
        flat = {key: tensor.flatten(0, 1) for key, tensor in inputs.items()}
        mask = attention_mask.flatten(0, 1)
        pooled = mean_of_tokens(self.hidden(attention_mask=mask, **flat), mask)
        logits = self.classifier(pooled).view(attention_mask.shape[:2])
        loss = None if labels is None else cross_entropy(logits.float(), labels)
        return modeling_outputs.MultipleChoiceModelOutput(loss, logits)


class _Tag(_Headed):
    def add_head(self, config) -> None:
        """Add a linear layer over each token."""
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)

    def forward(self, labels=None, **inputs) -> Any:
        """Return logits [batch, tokens, labels]; with labels [batch, tokens] also the loss."""
        logits = self.classifier(self.hidden(**inputs))
        loss = None
        if labels is not None:
            loss = cross_entropy(logits.float().flatten(0, 1), labels.flatten())
        return modeling_outputs.TokenClassifierOutput(loss, logits)


class _Answer(_Headed):
    def add_head(self, config) -> None:
        """Add two scores of each token: start and end of the answer."""
        self.qa_outputs = nn.Linear(config.hidden_size, 2)

    def forward(self, start_positions=None, end_positions=None, **inputs) -> Any:
        """Return start and end logits [batch, tokens]; with positions the mean of both losses."""
        start, end = self.qa_outputs(self.hidden(**inputs)).float().unbind(-1)
        loss = None
        if start_positions is not None:
            loss = (cross_entropy(start, start_positions) + cross_entropy(end, end_positions)) / 2
        return modeling_outputs.QuestionAnsweringModelOutput(loss, start, end)


class _Mask(_Headed):
    def add_head(self, config) -> None:
        """Add a language modelling head whose output weights are the encoder's embeddings."""
        self.lm_head = _LanguageHead(config.hidden_size, config.vocab_size)
        embeddings = self.base_model.get_input_embeddings()
        name = next(n for n, module in self.base_model.named_modules() if module is embeddings)
        source = f"{self.base_model_prefix}.{name}.weight"
        self._tied_weights_keys = {"lm_head.decoder.weight": source}

    def get_output_embeddings(self) -> nn.Module:
        """Return the layer whose weights are tied."""
        return self.lm_head.decoder

    def forward(self, labels=None, **inputs) -> Any:
        """Return logits [batch, tokens, pieces]; with labels the loss and chosen logits."""
        hidden = self.hidden(**inputs)
        if labels is None:
            return modeling_outputs.MaskedLMOutput(None, self.lm_head(hidden))
        chosen = labels != IGNORED
        logits = self.lm_head(hidden[chosen])
        return modeling_outputs.MaskedLMOutput(cross_entropy(logits, labels[chosen]), logits)


class _LanguageHead(nn.Module):
    """Hidden states -> logits of the vocabulary, by embeddings of any size.

    mT5's embeddings are far larger than those of masked language models. The logits are therefore
    divided by the embeddings' mean norm, which has no gradient.
    """

    def __init__(self, hidden: int, vocabulary: int):
        super().__init__()
        self.dense = nn.Linear(hidden, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.decoder = nn.Linear(hidden, vocabulary, bias=False)
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return logits [..., pieces] of hidden states [..., hidden], in float32."""
        logits = self.decoder(self.norm(nn.functional.gelu(self.dense(hidden))))
        weight = self.decoder.weight.detach().float()
        return logits.float() * (weight.shape[0] ** 0.5 / weight.norm()) + self.bias.float()


_HEADS = {
    "AutoModelForSequenceClassification": _Classify,
    "AutoModelForMultipleChoice": _Choose,
    "AutoModelForTokenClassification": _Tag,
    "AutoModelForQuestionAnswering": _Answer,
    "AutoModelForMaskedLM": _Mask,
}
