"""Scores and decisions as tables for other programs: wide or long, Parquet or CSV."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from mlc.errors import MlcError
from mlc.evaluation.thresholds import Threshold
from mlc.files.atomic import replacing
from mlc.tables import CUTOFF, ENTITY_ID, key_columns, scores_of, with_class_names

RUN = "run"
_FORMULA = r"^[=+\-@\t\r]"


@dataclass(frozen=True)
class Scored:
    """Scores of N entities, and what was decided on them.

    Attributes:
        run: Fingerprint of the run that scored them.
        predictions: A predictions table: `entity_id`, `cutoff`, `scores`.
        thresholds: One for each of the K labels.
        decisions_NK: Decisions, bool.
        contacts_NK: The pairs that a budget picks, bool; None without a budget.
    """

    run: str
    predictions: pl.DataFrame
    thresholds: Sequence[Threshold]
    decisions_NK: np.ndarray
    contacts_NK: np.ndarray | None = None

    @property
    def names(self) -> list[str]:
        """The K labels."""
        return [threshold.name for threshold in self.thresholds]

    def wide(self) -> pl.DataFrame:
        """Return one row per entity: its scores, then decisions, then contacts.

        The decision is null for a label without decisions.
        """
        decisions = [
            [None] * len(decided_N) if threshold.value is None else decided_N
            for threshold, decided_N in zip(self.thresholds, self.decisions_NK.T, strict=True)
        ]
        table = self.predictions.select(
            *key_columns(self.predictions),
            pl.lit(self.run).alias(RUN),
            *map(pl.Series, self.names, scores_of(self.predictions).T),
            *(
                pl.Series(f"{name}: decision", decided_N, pl.Boolean)
                for name, decided_N in zip(self.names, decisions, strict=True)
            ),
        )
        if self.contacts_NK is None:
            return table
        return table.with_columns(
            pl.Series(f"{name}: contact", picked_N)
            for name, picked_N in zip(self.names, self.contacts_NK.T, strict=True)
        )

    def long(self) -> pl.DataFrame:
        """Return one row per (entity, label): score, threshold, decision, contact.

        Threshold and decision are null for a label without decisions.
        """
        entities = self.predictions.height
        values = [threshold.value for threshold in self.thresholds]
        table = (
            self.predictions.select(
                pl.col(key_columns(self.predictions)).repeat_by(len(self.names)).explode(empty_as_null=False),
                pl.lit(self.run).alias(RUN),
            )
            .with_columns(
                pl.Series("label", self.names * entities),
                pl.Series("score", scores_of(self.predictions).reshape(-1)),
                pl.Series("threshold", values * entities, pl.Float64),
                pl.Series("decision", self.decisions_NK.reshape(-1)),
            )
            .with_columns(pl.when(pl.col("threshold").is_not_null()).then("decision").alias("decision"))
        )
        if self.contacts_NK is None:
            return table
        return table.with_columns(pl.Series("contact", self.contacts_NK.reshape(-1)))


def check_names(names: Sequence[str]) -> None:
    """Refuse labels that cannot be columns beside the others.

    Raises:
        MlcError: A label is called like another column.
    """
    others = [f"{name}: {kind}" for name in names for kind in ("decision", "contact")]
    counts = Counter([ENTITY_ID, CUTOFF, RUN, *names, *others])
    doubled = [name for name, count in counts.items() if count > 1]
    if doubled:
        raise MlcError(f"several columns would have the same name: {', '.join(doubled)}. Use --long.")


def write_scores(table: pl.DataFrame, path: Path, names: Sequence[str]) -> None:
    """Write CSV or Parquet by the file's ending, whole or not at all."""
    with replacing(path) as temporary:
        if path.suffix == ".csv":
            table.write_csv(temporary)
        else:
            table.write_parquet(temporary, metadata=with_class_names(names))


def formula_warnings(table: pl.DataFrame, path: Path) -> list[str]:
    """Warn of a CSV file whose texts a spreadsheet would take for formulas.

    They are written as they are.

    Args:
        table: What was written.
        path: Where.
    """
    texts = [pl.Series(table.columns), *table.select(pl.col(pl.String)).iter_columns()]
    formula = next((text for column in texts for text in column.filter(column.str.contains(_FORMULA))), None)
    if path.suffix != ".csv" or formula is None:
        return []
    return [
        f"warning: {path}: a spreadsheet may take texts such as {formula!r} for formulas. They are written "
        "as they are. Import the columns as text, or write .parquet."
    ]
