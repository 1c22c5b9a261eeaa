"""From a checked scenario on rows to its examples; every other step begins here."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from mlc.errors import DataError
from mlc.progress import stage
from mlc.rows.columns import model_frame, row_columns
from mlc.rows.inputs import RowColumns
from mlc.rows.row_labels import RowLabels, read_labels
from mlc.rows.splits import NONE, TRAIN, digests, split_codes
from mlc.rows.targets import class_values, target_matrix
from mlc.scenario import RowScenario
from mlc.sources import check_tables, reading
from mlc.sources.checks.rows import check_row_columns
from mlc.sources.rows import ROW_ID, scan_rows
from mlc.tables import ENTITY_ID, SPLIT, SPLIT_TYPE, SPLITS, TARGETS, array_column, in_split, targets_of
from mlc.task import FunnelStep, Say

_MOST_NAMED = 3


@dataclass(frozen=True)
class PreparedRows:
    """The rows with their targets; see `mlc.task.Examples`.

    Attributes:
        scenario: The scenario.
        table: `entity_id`, `split` and `targets` of each row.
        class_names: The K labels, in the order of the targets.
        funnel: What was left out, in order.
        rows: The columns of the tables, in the order of `table`.
        frame: Those that the model reads, in the types of `RowInputs`.
        columns: How each of these enters the model.
        labels: What the tables say of the labels of each row, labels or not.
    """

    scenario: RowScenario
    table: pl.DataFrame
    class_names: Sequence[str]
    funnel: Sequence[FunnelStep]
    rows: pl.DataFrame
    frame: pl.DataFrame
    columns: RowColumns
    labels: RowLabels

    def for_refit(self) -> "PreparedRows":
        """Return the same rows, all of them in the training split."""
        return replace(self, table=self.table.with_columns(pl.lit("train", SPLIT_TYPE).alias(SPLIT)))


def prepare(
    scenario: RowScenario,
    say: Say,
    class_names: Sequence[str] | None = None,
    columns: RowColumns | None = None,
) -> PreparedRows:
    """Read the tables, deal the rows out to the splits, make their targets.

    The rows come in an order that depends on their keys alone.

    Args:
        scenario: Checked scenario.
        say: Receives a line when something long is done.
        class_names: The labels of a trained model, which the tables may have lost since.
        columns: How a trained model reads the columns.

    Raises:
        DataError: The tables do not fit the scenario.
    """
    stage("reading tables")
    check_row_columns(scenario, check_tables(scenario))
    everything = read_rows(scenario)
    rows = with_keys(everything, scenario)
    funnel = _Funnel("all rows", everything.height)
    funnel.narrow("without a key", rows.height)
    stage("labels")
    labels = read_labels(scenario, rows)  # in the order of the table, whose first fault is named
    order_M = np.argsort(digests(rows[ROW_ID]), kind="stable")[: scenario.examples.max_rows]
    rows, labels = rows[order_M], labels.of(order_M)
    funnel.narrow("not in the sample (max_rows)", rows.height)
    codes_N = split_codes(scenario, rows, labels)
    kept_M = np.flatnonzero(codes_N != NONE)
    funnel.narrow("in no split", len(kept_M))
    rows, labels, codes_N = rows[kept_M], labels.of(kept_M), codes_N[kept_M]
    values = class_values(scenario, labels, codes_N == TRAIN, class_names)
    targets_NK = target_matrix(scenario, labels, values, rows.height)
    _check_targets(scenario, list(values), targets_NK[codes_N == TRAIN], trained=class_names is not None)
    splits = pl.Series(SPLIT, [SPLITS[code] for code in codes_N.tolist()], dtype=SPLIT_TYPE)
    table = pl.DataFrame([rows[ROW_ID].alias(ENTITY_ID), splits, array_column(TARGETS, targets_NK)])
    if columns is None:
        columns = row_columns(scenario, rows)
    say(f"{funnel.line}: {', '.join(f'{(splits == name).sum():,} {name}' for name in SPLITS)}")
    frame = model_frame(scenario, rows, columns)
    return PreparedRows(scenario, table, list(values), funnel.steps, rows, frame, columns, labels)


def read_rows(scenario: RowScenario) -> pl.DataFrame:
    """Return all rows with the columns of their dimensions, see `scan_rows`.

    Raises:
        DataError: A table cannot be read, or two rows have one key.
    """
    with reading(scenario):
        frame = scan_rows(scenario, by_file=scenario.examples.split.files is not None).collect()
    keys = frame[ROW_ID].drop_nulls()
    twice = keys.filter(keys.is_duplicated()).unique(maintain_order=True)
    if len(twice):
        named = ", ".join(str(key) for key in twice.head(_MOST_NAMED))
        rule = f"{len(twice):,} keys are there more than once ({named}). Remove the doubles, or change key."
        raise DataError(scenario.problem(("data", "tables", scenario.target.table, "key"), rule))
    return frame


def with_keys(frame: pl.DataFrame, scenario: RowScenario) -> pl.DataFrame:
    """Return the rows that have a key.

    Args:
        frame: From `read_rows`.
        scenario: Checked scenario.

    Raises:
        DataError: No row has one.
    """
    frame = frame.filter(pl.col(ROW_ID).is_not_null())
    if not frame.height:
        rule = "no row is left. Check the file, where and key."
        raise DataError(scenario.problem(("data", "tables", scenario.target.table), rule))
    return frame


def _check_targets(
    scenario: RowScenario, names: Sequence[str], training_NK: np.ndarray, *, trained: bool
) -> None:
    positive_K = (training_NK == 1).any(axis=0)
    empty = [name for name, some in zip(names, positive_K.tolist(), strict=True) if not some]
    if trained or not empty:
        return
    if len(empty) == len(names):
        rule = "all targets in training are negative or unknown. Check the label column and the split."
        raise DataError(scenario.problem("target", rule))
    if not scenario.target.allow_empty:
        rule = f"no positive target in training for {', '.join(empty)}"
        advice = "Remove or group these labels, or set target.allow_empty: true."
        field = "target.columns" if scenario.target.columns is not None else "target.class_names"
        raise DataError(scenario.problem(field, f"{rule}. {advice}"))


class _Funnel:
    """Counts what filters remove."""

    def __init__(self, reason: str, rows: int) -> None:
        self.steps = [FunnelStep(reason, 0, rows)]

    def narrow(self, reason: str, kept: int) -> None:
        """Note a filter, if it removed something."""
        before = self.steps[-1].kept
        if kept < before:
            self.steps.append(FunnelStep(reason, before - kept, kept))

    @property
    def line(self) -> str:
        """All filters in one sentence."""
        story = ", ".join(f"{step.removed:,} {step.reason}" for step in self.steps[1:]) or "nothing removed"
        return f"kept {self.steps[-1].kept:,} of {self.steps[0].kept:,} rows: {story}"


def sizes_of(prepared: PreparedRows) -> dict[str, int]:
    """Return how many rows each split has."""
    return {name: int(in_split(prepared.table, name).sum()) for name in SPLITS}


def positives_of(prepared: PreparedRows) -> dict[str, list[int]]:
    """Return how many rows of each split have each label."""
    targets_NK = targets_of(prepared.table)
    return {name: (targets_NK[in_split(prepared.table, name)] == 1).sum(axis=0).tolist() for name in SPLITS}
