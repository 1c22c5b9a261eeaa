"""The history branch: counts, recency and cadence of each label.

It reads packed events. Everything is a scatter-add over the events of a batch; there is no feature store, and
no event after the cutoff is ever in a batch. Days are distinct days with the label: ten articles in one
basket are one day.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from mlc.models.branches.branch import Branch, BranchSpec, Known, Sums
from mlc.models.branches.gathering import BranchInputs, Chosen, Gather, Place
from mlc.models.encoders import PiecewiseLinear
from mlc.models.reading.batch import Batch

if TYPE_CHECKING:
    from mlc.models.reading.batches import BatchBuilder

WINDOWS_DAYS = (7.0, 21.0, 63.0, 182.0)
HALF_LIVES_DAYS = (5.0, 15.0, 45.0, 135.0)

CADENCE_FEATURES = (
    *(f"days in {window:.0f}" for window in WINDOWS_DAYS),
    "days",
    *(f"decayed days, half-life {half_life:.0f}" for half_life in HALF_LIVES_DAYS),
    "events",
    "recency",
    "first seen",
    "mean gap",
    "recency over gap",
)
LABEL_FEATURES = (
    *CADENCE_FEATURES,
    "share of active days",
    "share of active days in 63",
    "share of decayed days, half-life 45",
)
ENTITY_FEATURES = (*CADENCE_FEATURES, "labels seen")


UNSEEN = (
    *(0.0 for _ in CADENCE_FEATURES[:-4]),
    *(float("nan") for _ in CADENCE_FEATURES[-4:]),
    *(0.0 for _ in LABEL_FEATURES[len(CADENCE_FEATURES) :]),
)
"""The features of an (example, label) without any event."""


@dataclass
class HistoryInputs(BranchInputs):
    """When each example had each label, and when it was active, up to its cutoff.

    Attributes:
        label_T: Label of each label event, int64.
        example_T: Its example, int64, rising.
        age_T: Days from the event to the cutoff, float32, at least 0.
        first_T: 1 for the first event of its (entity, day, label), else 0, float32.
        example_S: Example of each active day, int64, rising.
        age_S: Days from the first event of that day to the cutoff, float32.
        events_B: Number of events, float32.
    """

    label_T: torch.Tensor
    example_T: torch.Tensor
    age_T: torch.Tensor
    first_T: torch.Tensor
    example_S: torch.Tensor
    age_S: torch.Tensor
    events_B: torch.Tensor

    @classmethod
    def gatherer(cls, source: "BatchBuilder", place: Place) -> Gather:
        """See `BranchInputs`."""
        label_past_of, days_past_of = place.line(source.inputs.label_line), place.line(source.active_days)
        label_of = place.column(source.label_T, np.int64, source.inputs.labels)
        first_of = place.column(source.label_first, np.float32, 2)
        events_of = place.counts(source.inputs.store.events)

        def gather(chosen: Chosen) -> HistoryInputs:
            labels, days = label_past_of(chosen), days_past_of(chosen)
            return cls(
                label_T=label_of(labels.index_X),
                example_T=labels.example_X,
                age_T=labels.age_X,
                first_T=first_of(labels.index_X),
                example_S=days.example_X,
                age_S=days.age_X,
                events_B=events_of(chosen),
            )

        return gather

    @property
    def examples(self) -> int:
        """Number of examples B."""
        return self.events_B.shape[0]


class HistoryBranch(Branch):
    """When each label came, and how active the entity was."""

    name = "history"
    inputs = (HistoryInputs,)

    def __init__(self, spec: BranchSpec, labels: int, width: int) -> None:
        super().__init__(spec, labels, width)
        self.labels = labels
        self.label_numbers = PiecewiseLinear(len(LABEL_FEATURES), width)
        self.entity_numbers = PiecewiseLinear(len(ENTITY_FEATURES), width)

    @classmethod
    def spec_of(cls, known: Known) -> BranchSpec | None:
        """See `Branch`."""
        return BranchSpec() if known.model.history else None

    def features(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the features of the entities, (B, F), and of the labels, (B, K, F)."""
        history = batch.of(HistoryInputs)
        entity_BF = entity_features(history, self.labels)
        return entity_BF, label_features(history, self.labels, entity_BF)

    def forward(self, batch: Batch, sums: Sums) -> Sums:
        """See `Branch`."""
        history = batch.of(HistoryInputs)
        entity_BF = entity_features(history, self.labels)
        return replace(
            sums,
            entity_BD=sums.entity_BD + self.entity_numbers(entity_BF),
            hidden_BKD=sums.hidden_BKD + self.label_vectors(history, entity_BF),
        )

    def label_vectors(self, history: HistoryInputs, entity_BF: torch.Tensor) -> torch.Tensor:
        """Return what is added to each label, (B, K, D).

        Labels without an event share one vector.
        """
        pair_P, features_PF = seen_label_features(history, self.labels, entity_BF)
        vectors: torch.Tensor = self.label_numbers(torch.cat([features_PF, features_PF.new_tensor([UNSEEN])]))
        everywhere = vectors[-1].expand(history.examples * self.labels, -1)
        return everywhere.index_copy(0, pair_P, vectors[:-1]).view(history.examples, self.labels, -1)

    def fit(self, batches: Sequence[Batch]) -> None:
        """Set the edges of the bins."""
        features = [self.features(batch) for batch in batches]
        self.entity_numbers.fit(torch.cat([entity for entity, _ in features]))
        self.label_numbers.fit(torch.cat([label.flatten(0, 1) for _, label in features]))


def label_features(history: HistoryInputs, labels: int, entity_BF: torch.Tensor) -> torch.Tensor:
    """Features of each (example, label).

    Args:
        history: Of B examples.
        labels: Number of labels K.
        entity_BF: From `entity_features`, for the shares.

    Returns:
        float32, shape (B, K, `len(LABEL_FEATURES)`); NaN where undefined (a recency without an event).
    """
    pair_P, features_PF = seen_label_features(history, labels, entity_BF)
    features = features_PF.new_tensor(UNSEEN).repeat(history.examples * labels, 1)
    features[pair_P] = features_PF
    return features.view(history.examples, labels, len(LABEL_FEATURES))


def seen_label_features(
    history: HistoryInputs, labels: int, entity_BF: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Features of those (example, label) that have an event; all others have `UNSEEN`.

    Args:
        history: Of B examples.
        labels: Number of labels K.
        entity_BF: From `entity_features`, for the shares.

    Returns:
        The pairs as `example * K + label`, int64, rising, shape (P), and their features, float32, shape
        (P, `len(LABEL_FEATURES)`).
    """
    pair_T = history.example_T * labels + history.label_T
    has_event = torch.zeros(history.examples * labels, dtype=torch.bool, device=pair_T.device)
    has_event[pair_T] = True
    pair_P = has_event.nonzero().squeeze(-1)
    place = torch.empty_like(has_event, dtype=torch.int64)
    place[pair_P] = torch.arange(len(pair_P), device=place.device)
    cadence = _cadence(place[pair_T], history.age_T, history.first_T, len(pair_P))
    shared = [CADENCE_FEATURES.index(name) for name in ("days", "days in 63", "decayed days, half-life 45")]
    entity_PS = entity_BF[:, shared][pair_P // labels]
    return pair_P, torch.cat([cadence, cadence[:, shared] / entity_PS.clamp_min(1e-6)], dim=1)


def entity_features(history: HistoryInputs, labels: int) -> torch.Tensor:
    """Features of each example over all its events.

    Args:
        history: Of B examples.
        labels: Number of labels K.

    Returns:
        float32, shape (B, `len(ENTITY_FEATURES)`); NaN where undefined.
    """
    cadence = _cadence(history.example_S, history.age_S, torch.ones_like(history.age_S), history.examples)
    cadence[:, CADENCE_FEATURES.index("events")] = history.events_B
    has_label_BK = torch.zeros(history.examples * labels, device=cadence.device)
    has_label_BK.index_fill_(0, history.example_T * labels + history.label_T, 1.0)
    return torch.cat([cadence, has_label_BK.view(history.examples, labels).sum(dim=1, keepdim=True)], dim=1)


def _cadence(group_T: torch.Tensor, age_T: torch.Tensor, first_T: torch.Tensor, groups: int) -> torch.Tensor:
    """Return the cadence features of each group of events.

    The shape is (groups, `len(CADENCE_FEATURES)`).
    """
    # One scatter-add of all sums at once: one row per event, one column per sum.
    windows = torch.tensor(WINDOWS_DAYS, device=age_T.device)
    rates = torch.tensor([1.0 / half_life for half_life in HALF_LIVES_DAYS], device=age_T.device)
    within_TW = (age_T[:, None] < windows).to(age_T.dtype)
    decays_TH = torch.exp2(-age_T[:, None] * rates)
    ones_T1 = torch.ones_like(age_T)[:, None]
    weights_TX = torch.cat(
        [torch.cat([within_TW, ones_T1, decays_TH], dim=1) * first_T[:, None], ones_T1], dim=1
    )
    sums = torch.zeros(groups, weights_TX.shape[1], device=age_T.device, dtype=age_T.dtype)
    sums.index_add_(0, group_T, weights_TX)

    nothing = torch.full((groups,), float("nan"), device=age_T.device, dtype=age_T.dtype)
    newest = nothing.scatter_reduce(0, group_T, age_T, "amin", include_self=False)
    oldest = nothing.scatter_reduce(0, group_T, age_T, "amax", include_self=False)
    days = sums[:, len(WINDOWS_DAYS)]
    gap = torch.where(days > 1, (oldest - newest) / (days - 1).clamp_min(1), float("nan"))
    # Several purchases within a day leave a gap near 0: a quarter of a day keeps the ratio finite.
    ratio = newest / gap.clamp_min(0.25)
    return torch.cat([sums, torch.stack([newest, oldest, gap, ratio], dim=1)], dim=1)
