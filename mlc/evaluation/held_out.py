"""Scores of examples by models that did not learn from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from mlc.files.atomic import replacing
from mlc.tables import SPLIT, array_column, key_columns

Matrix = npt.NDArray[Any]

HELD_OUT = "held_out.parquet"
"""Its file in a run."""
VALIDATION = ("validation",)
TRAIN_AND_VALIDATION = ("train", "validation")


@dataclass(frozen=True)
class PartScores:
    """The raw scores of the parts of a model.

    Attributes:
        by_part: Name of a part → its scores of all examples, float32, shape (N examples, K labels).
        judging: The splits whose examples were scored by parts that had not learned from them. Weights of
            parts, calibration and thresholds are chosen on these.
    """

    by_part: Mapping[str, Matrix]
    judging: Sequence[str] = VALIDATION

    def only(self, splits: pl.Series) -> "PartScores":
        """Return the scores of the examples that may be judged on.

        Args:
            splits: The split of each example.
        """
        judged_N = splits.is_in(list(self.judging)).to_numpy()
        return replace(self, by_part={name: each[judged_N] for name, each in self.by_part.items()})


@dataclass(frozen=True)
class HeldOut:
    """Scores out of fold: each example by parts that were trained without it.

    They take the place of validation where it is small: calibration and thresholds then see all examples of
    training and validation.

    Attributes:
        keys: What identifies M examples.
        by_part: Name of a part → its scores of them, float32, shape (M examples, K labels).
    """

    keys: pl.DataFrame
    by_part: Mapping[str, Matrix]

    def applied(self, examples: pl.DataFrame, part_scores: Mapping[str, Matrix]) -> PartScores:
        """Return the scores of all examples, those of training and validation out of fold.

        Args:
            examples: N examples; those that are not among the keys keep their scores.
            part_scores: Name of a part → its scores of the examples.
        """
        places = self.keys.with_row_index("__place")
        joined = examples.select(self.keys.columns).join(
            places, on=self.keys.columns, how="left", maintain_order="left"
        )
        place_N = joined["__place"].to_numpy()
        there_N = joined["__place"].is_not_null().to_numpy()
        scored = {}
        for name, scores_NK in part_scores.items():
            scored[name] = scores_NK
            if name in self.by_part:
                scored[name] = scores_NK.copy()
                scored[name][there_N] = self.by_part[name][place_N[there_N].astype(np.int64)]
        return PartScores(scored, TRAIN_AND_VALIDATION)

    def write(self, path: Path) -> None:
        """Write them as Parquet, whole or not at all."""
        columns = [array_column(name, scores_MK) for name, scores_MK in self.by_part.items()]
        with replacing(path) as temporary:
            self.keys.with_columns(columns).write_parquet(temporary)

    @classmethod
    def read(cls, path: Path) -> "HeldOut":
        """Read what `write` has written."""
        table = pl.read_parquet(path)
        keys = key_columns(table)
        return cls(
            table.select(keys), {name: table[name].to_numpy() for name in table.columns if name not in keys}
        )


def judged(examples: pl.DataFrame, splits: Sequence[str]) -> Matrix:
    """Return which examples are in any of the splits, bool, shape (N).

    Examples:
        >>> judged(pl.DataFrame({"split": ["train", "test", "validation"]}), VALIDATION).tolist()
        [False, False, True]
    """
    return examples[SPLIT].is_in(list(splits)).to_numpy()
