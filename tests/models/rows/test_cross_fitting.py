"""Rows are scored by what was trained without them."""

import numpy as np
import pytest

from mlc.models.rows.cross_fitting import Folds, cross_fit
from tests.support.row_inputs import folds_of


class Memory:
    """Knows the rows that it was trained on: their decisions are right, those of others are wrong."""

    def __init__(self, targets_NK: np.ndarray, rows_M: np.ndarray, sure: float) -> None:
        self.targets_NK, self.rows, self.sure = targets_NK, set(rows_M.tolist()), sure

    def __call__(self, rows_M: np.ndarray) -> np.ndarray:
        seen_M = np.array([row in self.rows for row in rows_M])
        signs_MK = np.where(self.targets_NK[rows_M] == 1, 1.0, -1.0)
        return self.sure * signs_MK * np.where(seen_M, 1.0, -1.0)[:, None]


@pytest.mark.parametrize("every", [True, False])
def test_each_judged_row_is_scored_by_a_part_that_was_trained_without_it(every):
    targets_NK = (np.random.default_rng(0).random((30, 2)) < 0.5).astype(np.uint8)
    folds, seen = folds_of(np.arange(3, 30), every=every), []

    def fit(sure: float, rows_M: np.ndarray) -> Memory:
        seen.append(set(rows_M.tolist()))
        return Memory(targets_NK, rows_M, sure)

    found = cross_fit(fit, [1.0], targets_NK, folds)
    assert len(found.scores_JK) == len(folds.judged) == (27 if every else 9)
    # The maps find the decisions of rows that were left out to be against the truth: nothing was seen.
    assert found.maps.slope_K.max() < 0.1
    assert found.trained.rows == set(range(3, 30))
    assert [len(rows) for rows in seen] == [18] * (3 if every else 1) + [27]


def test_the_way_of_the_lowest_log_loss_wins():
    generator = np.random.default_rng(1)
    truth_NK = generator.normal(size=(300, 2))
    targets_NK = (generator.random((300, 2)) < 1 / (1 + np.exp(-2 * truth_NK))).astype(np.uint8)
    noise_NK = generator.normal(size=(300, 2))

    def fit(share: float, _: np.ndarray) -> "Noisy":
        return Noisy(share * truth_NK + (1 - share) * noise_NK)

    found = cross_fit(fit, [0.2, 1.0, 0.6], targets_NK, folds_of(np.arange(300)))
    assert found.way == 1.0


class Noisy:
    """Decisions that are there already."""

    def __init__(self, decisions_NK: np.ndarray) -> None:
        self.decisions_NK = decisions_NK

    def __call__(self, rows_M: np.ndarray) -> np.ndarray:
        return self.decisions_NK[rows_M]


def test_without_every_the_first_fold_alone_is_judged():
    folds = Folds(np.array([5, 6, 7, 8]), np.array([1, 0, 2, 0]), every=False)
    assert folds.judged.tolist() == [1, 3]
