"""The foundation model: what an entity's events say about all it does next.

From the history up to a random cutoff it predicts, directly: which values each category field takes within
several horizons, the fields of the events of the next moment, and the time to that moment. What it hands on
is the `EventEncoder`; the heads are kept, so that a scenario can ask what is predicted for its labels.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, cast

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from mlc.files.atomic import replacing, write_text
from mlc.models.branches.events import EventInputs
from mlc.models.branches.foundation import EventEncoder, ValueCadence
from mlc.models.encoders import BINS
from mlc.models.ensemble import load_weights
from mlc.models.reading.batch import Batch, FieldSizes, FutureBatch
from mlc.run.schemas import of_schema
from mlc.scenario import PretrainSection

SCHEMA = "mlc/foundation/3"
TIMES_DAYS = (1.0, 2.0, 4.0, 7.0, 14.0, 28.0, 56.0, 91.0)
"""Between these moments the next event lies: the chance of each interval, given that it is reached."""

_SIZES = {"nano": (16, 32), "small": (64, 128), "base": (128, 256)}
"""Preset → width of an event, length of the entity's vector."""
_SMALL = 0.01  # nats: what is as good as known has no say in the loss


@dataclass(frozen=True)
class FoundationSpec:
    """All that it takes to build the foundation again before its weights are loaded.

    Attributes:
        sizes: Of the events' fields; texts are read and not predicted.
        width: Length of an event's embedding.
        vector: Length of the entity's vector.
        horizons_days: Horizons H over which values are predicted.
        outputs: Values V that are predicted.
    """

    sizes: FieldSizes
    width: int
    vector: int
    horizons_days: list[int]
    outputs: int

    @classmethod
    def of(
        cls, section: PretrainSection, sizes: FieldSizes, horizons_days: list[int], outputs: int
    ) -> "FoundationSpec":
        """The foundation of a scenario."""
        return cls(sizes, *_SIZES[section.preset], horizons_days, outputs)


@dataclass(frozen=True)
class Term:
    """One thing that is predicted.

    Attributes:
        kind: `set` (values within a horizon), `next` (a field of the next moment), `time` (to it).
        field: Index of the field: categories first, then numbers.
        horizon_days: Of a set.
    """

    kind: Literal["set", "next", "time"]
    field: int = -1
    horizon_days: int = 0


class Foundation(nn.Module):
    """Encoder and heads.

    Args:
        spec: Its sizes.
    """

    output_R: torch.Tensor
    field_V: torch.Tensor
    prior: torch.Tensor
    baseline_L: torch.Tensor

    def __init__(self, spec: FoundationSpec) -> None:
        super().__init__()
        self.spec = spec
        sizes = spec.sizes
        self.encoder = EventEncoder(sizes, spec.width, spec.vector)
        self.cadence = ValueCadence(sizes.categories, len(spec.horizons_days)) if spec.outputs else None
        self.register_buffer("output_R", torch.zeros(sum(sizes.categories), dtype=torch.int64))
        self.register_buffer("field_V", torch.zeros(spec.outputs, dtype=torch.int64))
        horizons = len(spec.horizons_days)
        self._parts = [horizons * spec.outputs, spec.outputs, sizes.numbers * (BINS + 1), len(TIMES_DAYS)]
        self.register_buffer("prior", torch.zeros(sum(self._parts)))
        self.register_buffer("baseline_L", torch.ones(len(self.tasks)))
        self.dropout = nn.Dropout(0.1)
        self.heads = nn.Linear(spec.vector, sum(self._parts))
        nn.init.normal_(self.heads.weight, std=0.02)
        nn.init.zeros_(self.heads.bias)

    @property
    def tasks(self) -> list[Term]:
        """What is predicted, in the order of the losses L."""
        spec, categories = self.spec, len(self.spec.sizes.categories)
        return [
            *(Term("set", field, days) for days in spec.horizons_days for field in range(categories)),
            *(Term("next", field) for field in range(categories + spec.sizes.numbers)),
            Term("time"),
        ]

    def vectors(self, batch: Batch) -> torch.Tensor:
        """The entities' vectors, shape (B, vector)."""
        return cast(torch.Tensor, self.encoder(batch))

    def forward(self, batch: FutureBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Sums of the losses of a batch and their counts, both of shape (L), in nats."""
        history = batch.history
        logits_BO = self.prior + self.heads(self.dropout(self.vectors(history)))
        if self.cadence is not None:
            sets_BVH = self.cadence(history, self.output_R, self.field_V)
            rest = logits_BO.shape[1] - self._parts[0]
            logits_BO = logits_BO + functional.pad(sets_BVH.transpose(1, 2).flatten(1), (0, rest))
        return self.losses(batch, logits_BO)

    def losses(self, batch: FutureBatch, logits_BO: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The losses of given logits, shape (B, all outputs); see `forward`."""
        sets, following, numbers, times = torch.split(logits_BO, self._parts, dim=1)
        parts = (
            self._set_losses(batch, sets),
            self._category_losses(batch, following),
            self._number_losses(batch, numbers),
            self._time_loss(batch, times),
        )
        return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])

    def objective(self, sums_L: torch.Tensor, counts_L: torch.Tensor) -> torch.Tensor:
        """One number: each loss over that of the marginal frequencies.

        Half for the sets, half for the rest. 1 is what one can do without looking.
        """
        kinds = [task.kind for task in self.tasks]
        relative_L = sums_L / counts_L.clamp_min(1) / self.baseline_L.clamp_min(_SMALL)
        weight_L = torch.tensor([1.0 / kinds.count("set") if kind == "set" else 0.0 for kind in kinds])
        weight_L += torch.tensor(
            [0.0 if k == "set" else 1.0 / (len(kinds) - kinds.count("set")) for k in kinds]
        )
        weight_L = weight_L.to(sums_L.device) * (counts_L > 0) * (self.baseline_L > _SMALL)
        return (relative_L * weight_L).sum() / weight_L.sum().clamp_min(1e-9)

    def set_targets(self, batch: FutureBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return values within each horizon, (B, H, V), and complete horizons, (B, H)."""
        days_H = batch.seen_B.new_tensor([float(days) for days in self.spec.horizons_days])
        return batch.first_BV[:, None, :] <= days_H[:, None], batch.seen_B[:, None] >= days_H

    def _set_losses(self, batch: FutureBatch, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        spec = self.spec
        target_BHV, known_BH = self.set_targets(batch)
        cells = functional.binary_cross_entropy_with_logits(
            logits.view(target_BHV.shape), target_BHV.to(logits.dtype), reduction="none"
        )
        sums_HV = (cells * known_BH[..., None]).sum(0)
        sums_HF = sums_HV.new_zeros(len(spec.horizons_days), len(spec.sizes.categories))
        sums_HF.index_add_(1, self.field_V, sums_HV)
        counts_HF = known_BH.sum(0)[:, None].expand_as(sums_HF).to(sums_HF.dtype)
        return sums_HF.flatten(), counts_HF.flatten()

    def _category_losses(self, batch: FutureBatch, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        sums, counts = [logits.new_zeros(0)], [logits.new_zeros(0)]
        weight_X = _shares(batch)
        for field in range(len(self.spec.sizes.categories)):
            outputs = torch.nonzero(self.field_V == field).flatten()
            chosen_X = batch.outputs_XF[:, field]
            known_X = chosen_X >= 0
            if not len(outputs):
                sums.append(logits.new_zeros(1))
                counts.append(logits.new_zeros(1))
                continue
            scores_BV = functional.log_softmax(logits[:, outputs], dim=1)
            place_X = torch.where(known_X, chosen_X - outputs[0], 0)
            cell_X = batch.example_X * scores_BV.shape[1] + place_X
            losses_X = -scores_BV.flatten().index_select(0, cell_X) * weight_X * known_X
            sums.append(losses_X.sum()[None])
            counts.append((weight_X * known_X).sum()[None])
        return torch.cat(sums), torch.cat(counts)

    def _number_losses(self, batch: FutureBatch, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        numbers = self.spec.sizes.numbers
        if not numbers:
            return logits.new_zeros(0), logits.new_zeros(0)
        scores_BNC = functional.log_softmax(logits.view(len(batch), numbers, BINS + 1), dim=2)
        bins_XN, known_XN = self._bins(batch.numbers_XN)
        losses_XN = -scores_BNC.index_select(0, batch.example_X).gather(2, bins_XN[..., None]).squeeze(2)
        weight_XN = _shares(batch)[:, None] * known_XN
        return (losses_XN * weight_XN).sum(0), weight_XN.sum(0)

    def _bins(self, numbers_XN: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The quantile bin of each number, 0 for a zero; and whether it is known."""
        numbers = self.encoder.memory.fields.numbers
        assert numbers is not None
        inner = numbers.edges[:, 1:-1].contiguous()
        values = torch.nan_to_num(numbers_XN)
        bins = torch.searchsorted(inner, values.T.contiguous(), right=True).T + 1
        return torch.where(values == 0, 0, bins), ~torch.isnan(numbers_XN)

    def _time_loss(self, batch: FutureBatch, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return discrete hazards: whether the next event is in a reached, seen interval."""
        ends = logits.new_tensor(TIMES_DAYS)
        starts = torch.cat([ends.new_zeros(1), ends[:-1]])
        next_B1, seen_B1 = batch.next_B[:, None], batch.seen_B[:, None]
        comes = next_B1 <= ends
        counted = (next_B1 > starts) & (comes | (seen_B1 >= ends))
        cells = functional.binary_cross_entropy_with_logits(logits, comes.to(logits.dtype), reduction="none")
        return (cells * counted).sum()[None], counted.any(1).sum().to(cells.dtype)[None]

    @torch.no_grad()
    def fit(self, output_R: torch.Tensor, field_V: torch.Tensor, batches: Sequence[FutureBatch]) -> None:
        """Set what is counted, not learned.

        Bins, marginal frequencies, and the losses that they give.

        Args:
            output_R: Output of each vocabulary row.
            field_V: Field of each output.
            batches: A sample of the training batches.
        """
        self.output_R.copy_(output_R)
        self.field_V.copy_(field_V)
        self.encoder.memory.fields.fit([batch.history.of(EventInputs).fields_M for batch in batches])
        counted = [self._frequencies(batch) for batch in batches]
        hits, tries = (torch.stack(parts).sum(0) for parts in zip(*counted, strict=True))
        share = (hits + 0.5) / (tries + 1.0)
        sets, following, numbers, times = torch.split(share, self._parts)
        self.prior.copy_(torch.cat([sets.logit(), following.log(), numbers.log(), times.logit()]))
        losses = [self.losses(batch, self.prior.expand(len(batch), -1)) for batch in batches]
        sums_L, counts_L = (torch.stack(parts).sum(0) for parts in zip(*losses, strict=True))
        self.baseline_L.copy_(sums_L / counts_L.clamp_min(1))

    def _frequencies(self, batch: FutureBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """How often each output was right, and how often it could have been."""
        target_BHV, known_BH = self.set_targets(batch)
        sets = (target_BHV & known_BH[..., None]).sum(0).flatten().float()
        set_tries = known_BH.sum(0)[:, None].expand(-1, self.spec.outputs).flatten().float()
        weight_X = _shares(batch)
        following = torch.zeros(self.spec.outputs)
        tries = torch.zeros(self.spec.outputs)
        for field in range(len(self.spec.sizes.categories)):
            chosen_X = batch.outputs_XF[:, field]
            known_X = chosen_X >= 0
            following.index_add_(0, chosen_X[known_X], weight_X[known_X])
            tries[self.field_V == field] = weight_X[known_X].sum()
        numbers = torch.zeros(self.spec.sizes.numbers, BINS + 1)
        if self.spec.sizes.numbers:
            bins_XN, known_XN = self._bins(batch.numbers_XN)
            weight_XNC = functional.one_hot(bins_XN, BINS + 1) * (weight_X[:, None] * known_XN)[..., None]
            numbers = weight_XNC.sum(0)
        number_tries = numbers.sum(1, keepdim=True).expand_as(numbers)
        ends = torch.tensor(TIMES_DAYS)
        starts = torch.cat([ends.new_zeros(1), ends[:-1]])
        comes = batch.next_B[:, None] <= ends
        counted = (batch.next_B[:, None] > starts) & (comes | (batch.seen_B[:, None] >= ends))
        return (
            torch.cat([sets, following, numbers.flatten(), (comes & counted).sum(0).float()]),
            torch.cat([set_tries, tries, number_tries.flatten(), counted.sum(0).float()]),
        )


def _shares(batch: FutureBatch) -> torch.Tensor:
    """The events of one next moment share a weight of 1, shape (X)."""
    events_B = torch.bincount(batch.example_X, minlength=len(batch))
    return 1.0 / events_B[batch.example_X].float()


def added_up(losses: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Sums and counts over several batches."""
    return torch.stack([sums for sums, _ in losses]).sum(0), torch.stack([n for _, n in losses]).sum(0)


def save_foundation(foundation: Foundation, folder: Path) -> None:
    """Write `model.safetensors` and `model.json`: no pickled code."""
    with replacing(folder / "model.safetensors") as temporary:
        save_file(
            {name: tensor.cpu().contiguous() for name, tensor in foundation.state_dict().items()}, temporary
        )
    described = {"schema": SCHEMA, "foundation": asdict(foundation.spec)}
    write_text(folder / "model.json", json.dumps(described, indent=1) + "\n")


def load_foundation(folder: Path) -> Foundation:
    """The foundation of a run with its weights.

    Raises:
        ValueError: Another version wrote it.
    """
    described = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    of_schema(described, SCHEMA)
    spec = described["foundation"]
    foundation = Foundation(FoundationSpec(**{**spec, "sizes": FieldSizes(**spec["sizes"])}))
    load_weights(foundation, folder / "model.safetensors")
    return foundation
