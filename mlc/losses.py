"""What is minimised, over the known targets only.

To add a loss: a config class in `mlc.scenario`, one `case` in `label_losses`, one test.
"""

from typing import assert_never

import torch
from torch.nn import functional

from mlc.scenario import Bce, Focal, Loss


def multilabel_loss(loss: Loss, logits_BK: torch.Tensor, targets_BK: torch.Tensor) -> torch.Tensor:
    """Mean loss over the known (example, label) cells.

    Args:
        loss: Which loss.
        logits_BK: Logits, shape (B examples, K labels).
        targets_BK: 0, 1 or 255 (unknown), uint8, same shape.

    Returns:
        A scalar; 0 when no target is known.

    Examples:
        >>> targets = torch.tensor([[1, 255]], dtype=torch.uint8)
        >>> round(multilabel_loss(Bce(), torch.zeros(1, 2), targets).item(), 4)
        0.6931
    """
    known = targets_BK <= 1
    cells = label_losses(loss, logits_BK, targets_BK.clamp_max(1).to(logits_BK.dtype))
    return (cells * known).sum() / known.sum().clamp_min(1)


def label_losses(loss: Loss, logits_BK: torch.Tensor, targets_BK: torch.Tensor) -> torch.Tensor:
    """Loss of each cell, shape (B, K), for targets 0.0 and 1.0.

    Source of the focal loss: Lin et al. (2017), Focal loss for dense object detection, equation 4.
    """
    cross_entropy = functional.binary_cross_entropy_with_logits(logits_BK, targets_BK, reduction="none")
    match loss:
        case Bce():
            return cross_entropy
        case Focal(gamma=gamma):
            return (1 - torch.exp(-cross_entropy)) ** gamma * cross_entropy
        case unreachable:
            assert_never(unreachable)
