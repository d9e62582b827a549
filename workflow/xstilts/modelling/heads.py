"""Heads of our own, for encoders that transformers has no fitting class for.

Such are the encoders of encoder-decoder models (mT5), whose classes in transformers put a decoder
between encoder and head or are missing, and encoders without a class for some family. The encoder
lies below the name that its own class gives it, so a checkpoint opens with that class, as
`MT5EncoderModel.from_pretrained`. These encoders may lack a token that stands for the text: what
is of a whole text is read from the mean over its tokens.
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
    """The class of `encoder` with a head in place of that of `wanted`, an Auto class.

    It descends from the architecture's base class, which knows the configuration, the prefix of
    the encoder's weights and what the kernels support.
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
    """What the heads share: how they are built, and how their weights begin."""

    encoder_class: type[PreTrainedModel]

    def __init__(self, config):
        super().__init__(config)
        setattr(self, self.base_model_prefix, self.encoder_class(config))
        self.add_head(config)
        self.post_init()

    def _init_weights(self, module):
        # the encoder's modules are its own class's: only a head's come here
        if isinstance(module, nn.Linear):
            initialization.normal_(module.weight, std=_STD)
            if module.bias is not None:
                initialization.zeros_(module.bias)
        elif isinstance(module, _LanguageHead):
            initialization.zeros_(module.bias)
        else:
            super()._init_weights(module)

    def hidden(self, **inputs: torch.Tensor) -> torch.Tensor:
        """Last hidden states [batch, tokens, hidden]."""
        return self.base_model(**inputs).last_hidden_state


class _Classify(_Headed):
    def add_head(self, config) -> None:
        """A linear layer over the mean of the tokens."""
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)

    def forward(self, attention_mask, labels=None, **inputs) -> Any:
        """Logits [batch, labels]; with labels [batch] the loss."""
        hidden = self.hidden(attention_mask=attention_mask, **inputs)
        logits = self.classifier(mean_of_tokens(hidden, attention_mask))
        loss = None if labels is None else cross_entropy(logits.float(), labels)
        return modeling_outputs.SequenceClassifierOutput(loss, logits)


class _Choose(_Headed):
    def add_head(self, config) -> None:
        """A score from the mean of a candidate's tokens."""
        self.classifier = nn.Linear(config.hidden_size, 1)

    def forward(self, attention_mask, labels=None, **inputs) -> Any:
        """Logits [batch, choices] of inputs [batch, choices, tokens]; with labels the loss."""
        flat = {key: tensor.flatten(0, 1) for key, tensor in inputs.items()}
        mask = attention_mask.flatten(0, 1)
        pooled = mean_of_tokens(self.hidden(attention_mask=mask, **flat), mask)
        logits = self.classifier(pooled).view(attention_mask.shape[:2])
        loss = None if labels is None else cross_entropy(logits.float(), labels)
        return modeling_outputs.MultipleChoiceModelOutput(loss, logits)


class _Tag(_Headed):
    def add_head(self, config) -> None:
        """A linear layer over each token."""
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)

    def forward(self, labels=None, **inputs) -> Any:
        """Logits [batch, tokens, labels]; with labels [batch, tokens] the loss."""
        logits = self.classifier(self.hidden(**inputs))
        loss = None
        if labels is not None:
            loss = cross_entropy(logits.float().flatten(0, 1), labels.flatten())
        return modeling_outputs.TokenClassifierOutput(loss, logits)


class _Answer(_Headed):
    def add_head(self, config) -> None:
        """Two scores of each token: that it starts, that it ends the answer."""
        self.qa_outputs = nn.Linear(config.hidden_size, 2)

    def forward(self, start_positions=None, end_positions=None, **inputs) -> Any:
        """Start and end logits [batch, tokens]; with positions [batch] the mean of both losses."""
        start, end = self.qa_outputs(self.hidden(**inputs)).float().unbind(-1)
        loss = None
        if start_positions is not None:
            loss = (cross_entropy(start, start_positions) + cross_entropy(end, end_positions)) / 2
        return modeling_outputs.QuestionAnsweringModelOutput(loss, start, end)


class _Mask(_Headed):
    def add_head(self, config) -> None:
        """A language modelling head whose output weights are the encoder's embeddings."""
        self.lm_head = _LanguageHead(config.hidden_size, config.vocab_size)
        embeddings = self.base_model.get_input_embeddings()
        name = next(n for n, module in self.base_model.named_modules() if module is embeddings)
        source = f"{self.base_model_prefix}.{name}.weight"
        self._tied_weights_keys = {"lm_head.decoder.weight": source}

    def get_output_embeddings(self) -> nn.Module:
        """The layer whose weights are tied."""
        return self.lm_head.decoder

    def forward(self, labels=None, **inputs) -> Any:
        """Logits [batch, tokens, pieces]; with labels the loss, and logits [chosen, pieces]."""
        hidden = self.hidden(**inputs)
        if labels is None:
            return modeling_outputs.MaskedLMOutput(None, self.lm_head(hidden))
        chosen = labels != IGNORED
        logits = self.lm_head(hidden[chosen])
        return modeling_outputs.MaskedLMOutput(cross_entropy(logits, labels[chosen]), logits)


class _LanguageHead(nn.Module):
    """Hidden states -> logits of the vocabulary, through embeddings of whatever size they are.

    mT5's are far larger than those of models that are trained by masked language modelling: they
    count divided by their mean norm, which is taken as a constant.
    """

    def __init__(self, hidden: int, vocabulary: int):
        super().__init__()
        self.dense = nn.Linear(hidden, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.decoder = nn.Linear(hidden, vocabulary, bias=False)
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """[…, hidden] -> [..., pieces], in float32."""
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
