"""What is minimised, over the known targets only.

To add a loss: a config class in `mlc.scenario`, one `case` in `label_losses`, one test.
"""

from typing import assert_never

import torch
from torch import nn
from torch.nn import functional

from mlc.scenario import Asymmetric, Bce, Focal, Loss, PosWeight

_TINY = 1e-12
"""A power below 1 has no finite slope at 0."""


class Objective(nn.Module):
    """A weighted sum of losses over the known cells, and the sum of the weights.

    The mean is their quotient, over as many batches and ranks as one likes: in a mean of the batches' means
    a cell would count more where fewer are known.

    Args:
        loss: Which loss.
        label_weights_K: Weight of each label; ones by default.
        pos_weight_K: Factor on the loss of positive targets, see `positive_weights`; ones by default.

    Examples:
        >>> targets = torch.tensor([[1, 255]], dtype=torch.uint8)
        >>> total, weight = Objective(Bce(), torch.ones(2))(torch.zeros(1, 2), targets)
        >>> round((total / weight).item(), 4)
        0.6931
    """

    label_weights_K: torch.Tensor
    pos_weight_K: torch.Tensor

    def __init__(
        self, loss: Loss, label_weights_K: torch.Tensor, pos_weight_K: torch.Tensor | None = None
    ) -> None:
        super().__init__()
        self.loss = loss
        self.register_buffer("label_weights_K", label_weights_K.float(), persistent=False)
        pos_weight_K = torch.ones_like(label_weights_K) if pos_weight_K is None else pos_weight_K
        self.register_buffer("pos_weight_K", pos_weight_K.float(), persistent=False)

    def forward(
        self, logits_BK: torch.Tensor, targets_BK: torch.Tensor, weights_B: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Sum of the weighted losses, and sum of the weights.

        Args:
            logits_BK: Logits, shape (B examples, K labels).
            targets_BK: 0, 1 or 255 (unknown), uint8, same shape.
            weights_B: Weight of each example; ones by default.
        """
        weights_BK = (targets_BK <= 1) * self.label_weights_K
        if weights_B is not None:
            weights_BK = weights_BK * weights_B[:, None]
        targets_BK = targets_BK.clamp_max(1).to(logits_BK.dtype)
        cells_BK = label_losses(self.loss, logits_BK, targets_BK)
        # As in torch, `pos_weight` is part of the loss, not of the weight that the mean is divided by.
        return (
            cells_BK * torch.where(targets_BK > 0, self.pos_weight_K, 1.0) * weights_BK
        ).sum(), weights_BK.sum()


def label_losses(loss: Loss, logits_BK: torch.Tensor, targets_BK: torch.Tensor) -> torch.Tensor:
    """Loss of each cell, shape (B, K), for targets 0.0 and 1.0.

    Source of the focal loss: Lin et al. (2017), Focal loss for dense object detection, equation 4; of the
    asymmetric one: Ridnik et al. (2021), Asymmetric loss for multi-label classification, equations 4 to 6.
    """
    cross_entropy = functional.binary_cross_entropy_with_logits(logits_BK, targets_BK, reduction="none")
    match loss:
        case Bce():
            return cross_entropy
        case Focal(gamma=gamma):
            return (1 - torch.exp(-cross_entropy)).clamp_min(_TINY) ** gamma * cross_entropy
        case Asymmetric(gamma_negative=gamma_negative, gamma_positive=gamma_positive, clip=clip):
            # The margin lowers the score of a negative: its loss is -log(1 - max(p - clip, 0)).
            score_BK = torch.sigmoid(logits_BK)
            lowered_BK = (score_BK - clip).clamp_min(0) if clip else score_BK
            negative_BK = -torch.log1p(-lowered_BK) if clip else cross_entropy
            positive = (1 - score_BK).clamp_min(_TINY) ** gamma_positive * cross_entropy
            return torch.where(
                targets_BK > 0, positive, lowered_BK.clamp_min(_TINY) ** gamma_negative * negative_BK
            )
        case unreachable:
            assert_never(unreachable)


def positive_weights(
    weight: PosWeight, names: list[str], positives_K: torch.Tensor, known_K: torch.Tensor
) -> torch.Tensor:
    """Factor on the loss of the positive targets of each label, float32, shape (K).

    Args:
        weight: As in the scenario.
        names: The labels.
        positives_K: Positive training targets of each label.
        known_K: Known training targets of each label.

    Examples:
        >>> positive_weights("balanced", ["a", "b"], torch.tensor([2, 0]), torch.tensor([10, 10])).tolist()
        [4.0, 1.0]
    """
    match weight:
        case dict():
            return torch.tensor([weight.get(name, 1.0) for name in names])
        case "balanced":
            balanced_K = (known_K - positives_K) / positives_K.clamp_min(1)
            return torch.where((positives_K > 0) & (positives_K < known_K), balanced_K, 1.0).float()
        case _:
            return torch.full((len(names),), float(weight))
