"""The task on rows: an example is a row, its targets are the labels it has."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from mlc.errors import DataError
from mlc.rows.checking import checked
from mlc.rows.columns import model_frame, row_columns
from mlc.rows.inputs import RowColumns, RowInputs
from mlc.rows.preparing import PreparedRows, prepare, read_rows, sizes_of
from mlc.rows.row_labels import read_labels
from mlc.rows.scoring import scoring_scenario
from mlc.rows.slices import slices_of
from mlc.rows.targets import class_values, target_matrix
from mlc.scenario import RowScenario
from mlc.sources import id_expr
from mlc.sources.rows import ROW_ID
from mlc.sources.truth import true_probabilities
from mlc.tables import (
    ENTITY_ID,
    SCORES,
    TARGETS,
    UNKNOWN,
    array_column,
    in_split,
    known_shares,
    targets_of,
)
from mlc.task import Baselines, Checked, Say

PREVALENCE = "prevalence"


class RowTask:
    """A scenario on a table of rows; see `mlc.task.Task`.

    Args:
        scenario: Checked scenario.
        say: Receives progress in lines.
        class_names: The labels that a trained model knows. Default: those that the tables give.
        columns: How a trained model reads the columns. Default: as the scenario and the values say.
    """

    def __init__(
        self,
        scenario: RowScenario,
        say: Say,
        class_names: Sequence[str] | None = None,
        columns: RowColumns | None = None,
    ) -> None:
        self.scenario, self.say, self.class_names, self.columns = scenario, say, class_names, columns

    def prepare(self) -> PreparedRows:
        """Make the examples with their targets.

        Raises:
            DataError: The tables do not fit the scenario.
        """
        return prepare(self.scenario, self.say, self.class_names, self.columns)

    def inputs(self, examples: PreparedRows) -> RowInputs:
        """Return what a model reads of the rows, in their order."""
        targets_NK = targets_of(examples.table)
        return RowInputs(examples.frame, examples.columns, targets_NK.shape[1], targets_NK)

    def inputs_at(self, moment: datetime | None) -> tuple[pl.DataFrame, RowInputs]:
        """Return the key of every row, of any split, and what a model reads of it.

        Labels, splits and times need not be there; a column that the model knows and the table no longer has
        is missing everywhere, with a warning.

        Args:
            moment: None, since a row has no cutoff.

        Returns:
            `entity_id`, in the order of the table, and the inputs in the same order.

        Raises:
            DataError: A cutoff is given, or the table cannot be read, or it has no row.
        """
        if moment is not None:
            raise DataError("--as-of: a row has no cutoff. Leave it out.")
        scenario = scoring_scenario(self.scenario, self.columns, self.say)
        rows = read_rows(scenario)
        rows = rows.filter(pl.col(ROW_ID).is_not_null())
        if not rows.height:
            rule = "the table has no row to score. Name another."
            raise DataError(scenario.problem(("data", "tables", scenario.target.table), rule))
        columns = self.columns or row_columns(scenario, rows)
        frame = model_frame(scenario, rows, columns)
        return rows.select(pl.col(ROW_ID).alias(ENTITY_ID)), RowInputs(
            frame, columns, len(self.class_names or ())
        )

    def actuals(self, keys: pl.DataFrame) -> pl.DataFrame:
        """Return keys with their targets, unknown for rows that the table does not have."""
        rows = read_rows(self.scenario)
        labels = read_labels(self.scenario, rows)
        names = self.class_names or ()
        values = class_values(self.scenario, labels, np.ones(rows.height, dtype=bool), names)
        targets_NK = target_matrix(self.scenario, labels, values, rows.height)
        unknown = np.full((1, len(names)), UNKNOWN, dtype=np.uint8)
        places = rows.select(ROW_ID, pl.int_range(pl.len()).alias("place"))
        wanted = keys.select(pl.col(ENTITY_ID).cast(rows.schema[ROW_ID], strict=False).alias(ROW_ID))
        found = wanted.join(places, on=ROW_ID, how="left", maintain_order="left")["place"].fill_null(-1)
        return keys.with_columns(
            array_column(TARGETS, np.concatenate([targets_NK, unknown])[found.to_numpy()])
        )

    def baselines(self, examples: PreparedRows, parts: Collection[str]) -> Baselines:
        """Score the rows with the share of each label in training.

        Other baselines are parts.
        """
        del parts
        wanted = self.scenario.baselines
        if wanted is not None and PREVALENCE not in wanted:
            return Baselines({})
        targets_NK = targets_of(examples.table)
        share_K = known_shares(targets_NK[in_split(examples.table, "train")]).astype(np.float32)
        scores = array_column(SCORES, np.broadcast_to(share_K, targets_NK.shape))
        return Baselines({PREVALENCE: examples.table.drop(TARGETS).with_columns(scores)})

    def slices(self, examples: PreparedRows) -> Mapping[str, pl.Series]:
        """Return length of the text and the named columns of each row."""
        return slices_of(examples)

    def shown(self, examples: PreparedRows) -> pl.Series | None:
        """Return the texts of each row, or the path of its picture.

        None where it has neither.
        """
        columns, rows = examples.columns, examples.frame
        if columns.texts:
            return rows.select(pl.concat_str(columns.texts, separator=" · ", ignore_nulls=True)).to_series()
        if columns.images:
            return examples.rows[next(iter(columns.images))].cast(pl.String)
        return None

    def oracle(self, examples: PreparedRows) -> pl.DataFrame | None:
        """Return the true probabilities of generated rows as predictions.

        None for real ones.
        """
        table, key = examples.table, self.scenario.table.key or ENTITY_ID
        keys = {ENTITY_ID: (key, id_expr(key, table.schema[ENTITY_ID]))}
        return true_probabilities(self.scenario, table, examples.class_names, keys)

    def periods(self, _: pl.DataFrame) -> None:
        """Return nothing: rows are not followed over time."""

    def limits(self, _: PreparedRows) -> Sequence[str]:
        """Return what the choice of rows means for the figures: nothing."""
        return []

    def facts(self, examples: PreparedRows) -> Mapping[str, Any]:
        """Return how many rows each split has, as in `run.json`."""
        return {"rows": sizes_of(examples)}

    def check(self) -> Checked:
        """Check tables, labels and rows; see `mlc.task.Task.check`."""
        return checked(self.scenario)
