"""How often each label is positive, and known."""

import torch

from mlc.tables import UNKNOWN, in_split, targets_of
from mlc.task import Examples


def target_counts(examples: Examples, split: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return positive and known targets of each label in a split, int64, shape (K)."""
    targets_NK = targets_of(examples.table.filter(in_split(examples.table, split)))
    known_K = (targets_NK != UNKNOWN).sum(axis=0)
    return torch.from_numpy((targets_NK == 1).sum(axis=0)), torch.from_numpy(known_K)
