"""Losses: formulas of the papers, weights, and that unknown targets count for nothing."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from mlc.models.losses import Objective, label_losses, positive_weights
from mlc.scenario import Asymmetric, Bce, Focal

LOGITS = torch.linspace(-6, 6, 12).view(4, 3)
TARGETS = torch.tensor([[1, 0, 0], [0, 1, 255], [1, 1, 0], [255, 0, 1]], dtype=torch.uint8)
KNOWN = TARGETS <= 1
ALIKE = torch.ones(3)


def mean(objective, *arguments):
    total, weight = objective(*arguments)
    return total / weight


def asymmetric(negative=0.0, positive=0.0, clip=0.0):
    return Asymmetric(kind="asymmetric", gamma_negative=negative, gamma_positive=positive, clip=clip)


def test_the_default_is_the_cross_entropy_of_the_known_cells():
    expected = binary_cross_entropy_with_logits(LOGITS[KNOWN], TARGETS[KNOWN].float())
    torch.testing.assert_close(mean(Objective(Bce(), ALIKE), LOGITS, TARGETS), expected)


@pytest.mark.parametrize("loss", [Focal(kind="focal", gamma=0.0), asymmetric()])
def test_losses_without_focus_are_the_cross_entropy(loss):
    expected = mean(Objective(Bce(), ALIKE), LOGITS, TARGETS)
    torch.testing.assert_close(mean(Objective(loss, ALIKE), LOGITS, TARGETS), expected)


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


def test_asymmetric_loss_is_the_formula_of_the_paper():
    logits = torch.tensor([0.7, 0.7, -4.0])
    p = torch.sigmoid(logits)
    expected = -torch.stack(
        [
            (1 - p[0]) * p[0].log(),
            (p[1] - 0.05) ** 4 * (1 - (p[1] - 0.05)).log(),
            torch.tensor(0.0),  # a negative scored below the margin
        ]
    )
    found = label_losses(Asymmetric(kind="asymmetric"), logits, torch.tensor([1.0, 0.0, 0.0]))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("loss", [Bce(), Focal(kind="focal", gamma=2.0), asymmetric(2.0, 1.0)])
def test_unknown_targets_give_no_gradient(loss):
    logits = LOGITS.clone().requires_grad_()
    mean(Objective(loss, ALIKE), logits, TARGETS).backward()
    assert logits.grad is not None
    assert (logits.grad[~KNOWN] == 0).all()
    assert (logits.grad[KNOWN] != 0).all()


@pytest.mark.parametrize("logit", [-200.0, 200.0])
@pytest.mark.parametrize("loss", [Focal(kind="focal"), asymmetric(4.0, 1.0, 0.05), asymmetric(4.0, 1.0)])
def test_extreme_scores_give_finite_gradients(loss, logit):
    logits = torch.full((1, 2), logit, requires_grad=True)
    total, _ = Objective(loss, torch.ones(2))(logits, torch.tensor([[0, 1]], dtype=torch.uint8))
    total.backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_without_a_known_target_there_is_neither_loss_nor_weight():
    total, weight = Objective(Bce(), ALIKE)(LOGITS, torch.full_like(TARGETS, 255))
    assert total == weight == 0


def test_a_weight_of_two_is_the_same_as_the_example_or_the_label_twice():
    once = Objective(Bce(), ALIKE)
    twice = mean(once, torch.cat([LOGITS, LOGITS[:1]]), torch.cat([TARGETS, TARGETS[:1]]))
    torch.testing.assert_close(mean(once, LOGITS, TARGETS, torch.tensor([2.0, 1.0, 1.0, 1.0])), twice)
    weighted = mean(Objective(Bce(), torch.tensor([1.0, 2.0, 1.0])), LOGITS, TARGETS)
    doubled = Objective(Bce(), torch.ones(4))
    order = [0, 1, 1, 2]
    torch.testing.assert_close(weighted, mean(doubled, LOGITS[:, order], TARGETS[:, order]))


def test_the_weight_of_positives_is_that_of_torch():
    positive = torch.tensor([3.0, 0.5, 1.0])
    expected = binary_cross_entropy_with_logits(
        LOGITS, TARGETS.clamp_max(1).float(), pos_weight=positive, reduction="none"
    )[KNOWN].mean()
    torch.testing.assert_close(mean(Objective(Bce(), ALIKE, positive), LOGITS, TARGETS), expected)


def test_weights_of_positives_are_given_for_all_for_some_or_balanced():
    counts = torch.tensor([5, 20, 0]), torch.tensor([25, 60, 30])
    names = ["a", "b", "c"]
    assert positive_weights(2.5, names, *counts).tolist() == [2.5, 2.5, 2.5]
    assert positive_weights({"b": 4.0}, names, *counts).tolist() == [1.0, 4.0, 1.0]
    assert positive_weights("balanced", names, *counts).tolist() == [4.0, 2.0, 1.0]
