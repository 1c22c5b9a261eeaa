"""The text branch: a pre-trained transformer that reads texts and is trained."""

import math
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self, cast

import torch
from torch import nn

from mlc.errors import DataError, Problem
from mlc.models.branches.branch import Branch, BranchSpec, Known, Sums
from mlc.models.branches.gathering import BranchInputs
from mlc.models.reading.batch import Batch
from mlc.models.rows.pooling import fast_on_cpu, pooled

HEAD_RATE = 5.0
"""The head learns this many times as fast as the encoder."""
_RANK = 16
Tune = Literal["lora", "all"]


@dataclass
class TextInputs(BranchInputs):
    """The texts of each row, in windows of tokens.

    Attributes:
        tokens_G: The tokens of all windows end to end, int32.
        lengths_W: How many of them each window has, int64.
        place_W: Whose each window is, int64: row times the number of columns, plus the column.
    """

    tokens_G: torch.Tensor
    lengths_W: torch.Tensor
    place_W: torch.Tensor

    @classmethod
    def gatherer(cls, *_: object) -> None:
        """Gather nothing of events: the reader of rows makes these inputs."""


@dataclass(frozen=True)
class TextSpec(BranchSpec):
    """Sizes of the text branch.

    Attributes:
        config: That of the encoder, as transformers writes it.
        columns: How many columns of texts a row has.
        tune: Whether low-rank updates of the encoder are trained, or all of it but the word embeddings.
        learning_rate: Highest learning rate of the encoder.
        alone: Whether a row has no other input; the head then says all, and can be exported with the
            encoder.
    """

    config: Mapping[str, Any] = field(default_factory=dict)
    columns: int = 1
    tune: Tune = "all"
    learning_rate: float = 5e-5
    alone: bool = True

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """See `BranchSpec`."""
        return cls(**value)


class TextBranch(Branch):
    """An encoder of texts, and a linear head on its vectors that adds to the logits."""

    name = "text"
    inputs = (TextInputs,)
    spec_type = TextSpec

    def __init__(self, spec: TextSpec, labels: int, width: int) -> None:
        super().__init__(spec, labels, width)
        self.spec = spec
        self.learning_rate = spec.learning_rate
        self.encoder = blank_encoder(spec.config)
        size = spec.columns * int(cast(Any, self.encoder.config).hidden_size)
        if spec.tune == "lora":
            self.encoder.requires_grad_(False)
            add_low_rank(self.encoder)
        else:
            cast(Any, self.encoder).get_input_embeddings().requires_grad_(False)
            for name, parameter in self.encoder.named_parameters():
                if name.startswith("pooler."):  # its output is not read
                    parameter.requires_grad_(False)
        self.head = nn.Linear(size, labels)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.to_row = None if spec.alone else nn.Sequential(nn.LayerNorm(size), nn.Linear(size, width))

    @classmethod
    def spec_of(cls, _: Known) -> None:
        """Return nothing: events have no texts of this kind."""

    def vectors(self, inputs: TextInputs, rows: int) -> torch.Tensor:
        """Return the vectors of each row side by side, shape (rows, columns x D)."""
        parts = (inputs.tokens_G, inputs.lengths_W, inputs.place_W)
        # Scores are computed with all digits, so that they are the same on every machine.
        with fast_on_cpu() if self.training else nullcontext():
            vectors = pooled(self.encoder, *parts, rows * self.spec.columns)
        return vectors.reshape(rows, -1)

    def forward(self, batch: Batch, sums: Sums) -> Sums:
        """See `Branch`."""
        vectors_BV = self.vectors(batch.of(TextInputs), len(batch))
        direct_BK = sums.direct_BK + self.head(vectors_BV)
        if self.to_row is None:
            return replace(sums, direct_BK=direct_BK)
        return replace(sums, direct_BK=direct_BK, entity_BD=sums.entity_BD + self.to_row(vectors_BV))

    def begin(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Give the encoder pre-trained weights.

        Args:
            weights: By the names of the encoder, before low-rank updates were added to it.
        """
        own = self.encoder.state_dict()
        with torch.no_grad():
            for name, tensor in weights.items():
                module, _, last = name.rpartition(".")
                inside = f"{module}.base.{last}"
                own[inside if inside in own else name].copy_(tensor)

    def pretrained(self) -> list[nn.Parameter]:
        """See `Branch`."""
        return list(self.encoder.parameters())

    def rates(self) -> list[tuple[float, list[nn.Parameter]]]:
        """See `Branch`: the head learns faster than the encoder."""
        rate = self.spec.learning_rate
        return [(rate, self.pretrained()), (HEAD_RATE * rate, list(self.head.parameters()))]


def blank_encoder(config: Mapping[str, Any]) -> nn.Module:
    """Return the encoder of a configuration, with weights at random.

    Raises:
        DataError: transformers is not installed.
    """
    try:
        from transformers import AutoConfig, AutoModel
    except ImportError:
        rule = "encoders of texts need the package transformers, which is not installed"
        raise DataError(Problem(f"{rule}. Install it: pip install 'mlc[text]'")) from None
    settings = {name: value for name, value in config.items() if name != "model_type"}
    sizes = AutoConfig.for_model(config["model_type"], **settings)
    return cast(nn.Module, cast(Any, AutoModel).from_config(sizes))


class LowRank(nn.Module):
    """A linear map that stays as it is, and a trained one of low rank that is added.

    Source: Edward Hu et al. (2021), LoRA. Written here rather than taken from peft, which wraps the whole
    network and renames its weights: as a plain part of it, it is stored, loaded, resumed and averaged as all
    others are.

    Args:
        base: The linear map.
    """

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base
        self.down = nn.Parameter(torch.empty(_RANK, base.in_features))
        self.up = nn.Parameter(torch.zeros(base.out_features, _RANK))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """`(…, in)` → `(…, out)`."""
        base: torch.Tensor = self.base(inputs)
        return base + inputs @ self.down.T @ self.up.T

    def merged(self) -> nn.Linear:
        """Return one linear map that does the same."""
        with torch.no_grad():
            self.base.weight += self.up @ self.down
        return self.base


def add_low_rank(encoder: nn.Module) -> None:
    """Add an update of low rank to each linear map of an encoder.

    Raises:
        DataError: It has none.
    """
    maps = [name for name, module in _linear_maps(encoder) if not name.startswith("pooler.")]
    if not maps:
        rule = "the encoder has no linear maps that low-rank updates could be added to. Set it to all."
        raise DataError(Problem(rule, "model.text.tune"))
    for name in maps:
        parent, _, last = name.rpartition(".")
        module = encoder.get_submodule(name)
        setattr(encoder.get_submodule(parent), last, LowRank(cast(nn.Linear, module)))


def merge_low_rank(encoder: nn.Module) -> None:
    """Undo `add_low_rank`, and keep what was learned."""
    updates = [(name, module) for name, module in encoder.named_modules() if isinstance(module, LowRank)]
    for name, module in updates:
        parent, _, last = name.rpartition(".")
        setattr(encoder.get_submodule(parent), last, module.merged())


def _linear_maps(encoder: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    return ((name, module) for name, module in encoder.named_modules() if isinstance(module, nn.Linear))
