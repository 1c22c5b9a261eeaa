"""Losses: identities, and that unknown targets count for nothing."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from mlc.losses import label_losses, multilabel_loss
from mlc.scenario import Bce, Focal

LOGITS = torch.linspace(-6, 6, 12).view(4, 3)
TARGETS = torch.tensor([[1, 0, 0], [0, 1, 255], [1, 1, 0], [255, 0, 1]], dtype=torch.uint8)


def test_the_default_is_the_cross_entropy_of_the_known_cells():
    known = TARGETS <= 1
    expected = binary_cross_entropy_with_logits(LOGITS[known], TARGETS[known].float())
    torch.testing.assert_close(multilabel_loss(Bce(), LOGITS, TARGETS), expected)


def test_focal_loss_with_gamma_zero_is_the_cross_entropy():
    torch.testing.assert_close(
        multilabel_loss(Focal(kind="focal", gamma=0.0), LOGITS, TARGETS),
        multilabel_loss(Bce(), LOGITS, TARGETS),
    )


def test_focal_loss_is_the_formula_of_the_paper():
    targets = torch.tensor([1.0, 0.0])
    probabilities = torch.sigmoid(torch.tensor([0.7, 0.7]))
    expected = -torch.stack(
        [
            (1 - probabilities[0]) ** 2 * probabilities[0].log(),
            probabilities[1] ** 2 * (1 - probabilities[1]).log(),
        ]
    )
    torch.testing.assert_close(label_losses(Focal(kind="focal"), torch.tensor([0.7, 0.7]), targets), expected)


@pytest.mark.parametrize("loss", [Bce(), Focal(kind="focal", gamma=2.0)])
def test_unknown_targets_give_no_gradient(loss):
    logits = LOGITS.clone().requires_grad_()
    multilabel_loss(loss, logits, TARGETS).backward()
    assert logits.grad is not None
    assert (logits.grad[TARGETS == 255] == 0).all()
    assert (logits.grad[TARGETS != 255] != 0).all()


def test_without_a_known_target_the_loss_is_zero():
    assert multilabel_loss(Bce(), LOGITS, torch.full_like(TARGETS, 255)) == 0
