"""Labels that come together: how often, and how much of it the scores miss."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mlc.drawing.page import element, scrolling
from mlc.drawing.sections import Block, Section, Table
from mlc.drawing.svg import heat_map
from mlc.drawing.text_tables import Row
from mlc.report.page.scored import ScoredSplit
from mlc.tables import UNKNOWN

Matrix = npt.NDArray[Any]

_MOST_LABELS = 40
_MOST_PAIRS = 15
_FEWEST_EXPECTED = 5  # pairs, for a comparison with what was expected


def labels_together(class_names: Sequence[str], test: ScoredSplit) -> Section:
    """Return how often labels share an example, and what the scores expect.

    Args:
        class_names: The K labels.
        test: Scores and targets of the test split.
    """
    positive_NK = test.targets_NK == 1
    frequent = np.sort(np.argsort(-positive_NK.sum(axis=0), kind="stable")[:_MOST_LABELS])
    names = [class_names[k] for k in frequent.tolist()]
    if len(names) < 2:
        return Section("Labels that come together")
    positive_NK = positive_NK[:, frequent].astype(np.float32)
    known_NK = test.targets_NK[:, frequent] != UNKNOWN
    scores_NK = np.where(known_NK, test.scores_NK[:, frequent], 0).astype(np.float32)
    both_KK, expected_KK = positive_NK.T @ positive_NK, scores_NK.T @ scores_NK
    share_KK = both_KK / np.maximum(np.diag(both_KK), 1)[:, None]
    notes = [
        [
            f"{one} and {other}: {both_KK[i, j]:,.0f} have both ({share_KK[i, j]:.1%} of those with {one}); "
            f"expected from the scores: {expected_KK[i, j]:,.0f}"
            for j, other in enumerate(names)
        ]
        for i, one in enumerate(names)
    ]
    some = f" The {_MOST_LABELS} most frequent labels." if len(names) < len(class_names) else ""
    drawing = heat_map("labels that come together", names, share_KK.tolist(), notes)
    return Section(
        "Labels that come together",
        "Of the test examples with the label of the row, the share in percent that also has the label of the "
        "column." + some,
        [scrolling(drawing), *_missed(names, scores_NK, both_KK, expected_KK)],
    )


def _missed(names: Sequence[str], scores_NK: Matrix, both_KK: Matrix, expected_KK: Matrix) -> list[Block]:
    """The pairs of labels whose number is farthest from what the scores expect."""
    spread_KK = np.sqrt(np.maximum(expected_KK - (scores_NK**2).T @ (scores_NK**2), 1e-9))
    away_KK = np.triu(np.where(expected_KK >= _FEWEST_EXPECTED, (both_KK - expected_KK) / spread_KK, 0), k=1)
    order = np.argsort(-np.abs(away_KK), axis=None, kind="stable")[:_MOST_PAIRS]
    pairs: list[Row] = [
        (
            f"{names[i]} & {names[j]}",
            f"{both_KK[i, j]:,.0f}",
            f"{expected_KK[i, j]:,.0f}",
            f"{both_KK[i, j] / expected_KK[i, j]:.2f}",
            f"{away_KK[i, j]:+.1f}",
        )
        for i, j in zip(*np.unravel_index(order, away_KK.shape), strict=True)
        if away_KK[i, j]
    ]
    if not pairs:
        return []
    lead = (
        "Expected: the scores of two labels multiplied, added up over the examples. Far more examples with "
        "both mean that the labels share a cause that the model does not see. The distance is in standard "
        "deviations."
    )
    header = ("", "examples with both", "expected", "times as many", "distance")
    return [
        element("h3", "Pairs that come together more or less often than the scores expect"),
        element("p", lead, class_="lead"),
        Table(header, pairs, sortable=True),
    ]
