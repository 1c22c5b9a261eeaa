"""The worst mistakes of a model: what it missed, and what it took for a label."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from mlc.report.contents import JUDGED
from mlc.tables import ENTITY_ID, in_split, scores_of, targets_of

_MOST = 3
_LONGEST = 280


@dataclass(frozen=True)
class Mistake:
    """One test example whose score is far from its target.

    Attributes:
        key: Its id, as text.
        target: Whether it has the label.
        score: What the model gave it.
        shown: What people recognise it by: an excerpt of its text, or the path of its picture.
    """

    key: str
    target: bool
    score: float
    shown: str


def worst_mistakes(
    class_names: Sequence[str], examples: pl.DataFrame, predictions: pl.DataFrame, shown: pl.Series
) -> dict[str, list[Mistake]]:
    """Return the worst mistakes on the test split of each label, the worst first.

    At most three examples with the label and a score below one half, and as many without it and a score
    above; of equal scores the first.

    Args:
        class_names: The K labels.
        examples: All examples.
        predictions: Their scores, in the same order.
        shown: What people recognise each by.

    Examples:
        >>> table = pl.DataFrame({"entity_id": [7, 8], "split": ["test", "test"], "targets": [[1], [0]]})
        >>> table = table.cast({"targets": pl.Array(pl.UInt8, 1)})
        >>> scores = pl.DataFrame({"scores": [[0.25], [0.5]]}, schema={"scores": pl.Array(pl.Float32, 1)})
        >>> worst_mistakes(["joy"], table, scores, pl.Series(["so happy", "so what"]))
        {'joy': [Mistake(key='7', target=True, score=0.25, shown='so happy')]}
    """
    test_N = in_split(examples, JUDGED)
    keys, texts = examples[ENTITY_ID].cast(pl.String).filter(test_N), shown.filter(test_N)
    scores_NK, targets_NK = scores_of(predictions)[test_N], targets_of(examples)[test_N]

    def of_label(k: int) -> list[Mistake]:
        scores_N, targets_N = scores_NK[:, k], targets_NK[:, k]
        missed = _first(np.flatnonzero((targets_N == 1) & (scores_N < 0.5)), scores_N)
        wrong = _first(np.flatnonzero((targets_N == 0) & (scores_N > 0.5)), -scores_N)
        return [
            Mistake(
                str(keys[row]), bool(targets_N[row] == 1), round(float(scores_N[row]), 4), _cut(texts[row])
            )
            for row in (*missed, *wrong)
        ]

    return {name: of_label(k) for k, name in enumerate(class_names)}


def _first(rows: np.ndarray, values_N: np.ndarray) -> list[int]:
    """The rows with the lowest values, in their order."""
    order = np.argsort(values_N[rows], kind="stable")[:_MOST]
    return [int(row) for row in rows[order]]


def _cut(text: str | None) -> str:
    text = " ".join((text or "").split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def mistakes_to_json(mistakes: Mapping[str, Sequence[Mistake]]) -> dict[str, Any]:
    """Return plain lists and mappings."""
    return {name: [asdict(one) for one in some] for name, some in mistakes.items()}


def mistakes_from_json(value: Mapping[str, Any]) -> dict[str, list[Mistake]]:
    """Return what `mistakes_to_json` made."""
    return {name: [Mistake(**one) for one in some] for name, some in value.items()}
