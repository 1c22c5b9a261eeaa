"""What the past says about each label: counts, decayed counts, recency and cadence, from packed events.

Everything is a scatter-add over the events of a batch; there is no feature store, and no event after the
cutoff is ever in a batch. Days are distinct days with the label: ten articles in one basket are one day.
"""

import torch

from mlc.models.batch import Batch

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


def label_features(batch: Batch, labels: int, entity_BF: torch.Tensor) -> torch.Tensor:
    """Features of each (example, label).

    Args:
        batch: B examples.
        labels: Number of labels K.
        entity_BF: From `entity_features`, for the shares.

    Returns:
        float32, shape (B, K, `len(LABEL_FEATURES)`); NaN where undefined (a recency without an event).
    """
    pair_P, seen_PF = seen_label_features(batch, labels, entity_BF)
    features = seen_PF.new_tensor(UNSEEN).repeat(len(batch) * labels, 1)
    features[pair_P] = seen_PF
    return features.view(len(batch), labels, len(LABEL_FEATURES))


def seen_label_features(
    batch: Batch, labels: int, entity_BF: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Features of those (example, label) that have an event; all others have `UNSEEN`.

    Args:
        batch: B examples.
        labels: Number of labels K.
        entity_BF: From `entity_features`, for the shares.

    Returns:
        The pairs as `example * K + label`, int64, rising, shape (P), and their features, float32, shape
        (P, `len(LABEL_FEATURES)`).
    """
    pair_T = batch.example_T * labels + batch.label_T
    seen = torch.zeros(len(batch) * labels, dtype=torch.bool, device=pair_T.device)
    seen[pair_T] = True
    pair_P = seen.nonzero().squeeze(-1)
    place = torch.empty_like(seen, dtype=torch.int64)
    place[pair_P] = torch.arange(len(pair_P), device=place.device)
    cadence = _cadence(place[pair_T], batch.age_T, batch.first_T, len(pair_P))
    shared = [CADENCE_FEATURES.index(name) for name in ("days", "days in 63", "decayed days, half-life 45")]
    entity_PS = entity_BF[:, shared][pair_P // labels]
    return pair_P, torch.cat([cadence, cadence[:, shared] / entity_PS.clamp_min(1e-6)], dim=1)


def entity_features(batch: Batch, labels: int) -> torch.Tensor:
    """Features of each example over all its events.

    Args:
        batch: B examples.
        labels: Number of labels K.

    Returns:
        float32, shape (B, `len(ENTITY_FEATURES)`); NaN where undefined.
    """
    cadence = _cadence(batch.example_S, batch.age_S, torch.ones_like(batch.age_S), len(batch))
    cadence[:, CADENCE_FEATURES.index("events")] = batch.events_B
    seen_BK = torch.zeros(len(batch) * labels, device=cadence.device)
    seen_BK.index_fill_(0, batch.example_T * labels + batch.label_T, 1.0)
    return torch.cat([cadence, seen_BK.view(len(batch), labels).sum(dim=1, keepdim=True)], dim=1)


def _cadence(group_T: torch.Tensor, age_T: torch.Tensor, first_T: torch.Tensor, groups: int) -> torch.Tensor:
    """The cadence features of each group of events, shape (groups, `len(CADENCE_FEATURES)`)."""
    # One scatter-add of all sums at once: a row an event, a column a sum.
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
