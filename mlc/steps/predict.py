"""`mlc predict`: scores and decisions for every entity with history, at any moment that the tables reach."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from mlc.atomic import replacing
from mlc.batches import BatchBuilder, BatchPlan, ExampleBatches
from mlc.cutoffs import naive
from mlc.errors import DataError, MlcError
from mlc.ingest import EventStore, open_store
from mlc.module import EVALUATION_BATCH, load_network, score_examples
from mlc.run import Run
from mlc.scenario import Scenario
from mlc.sources import check_tables
from mlc.steps.labels import Say, label_line_of
from mlc.steps.reporting import stored_thresholds
from mlc.tables import CUTOFF, ENTITY_ID, SCORES, array_column, microseconds, scores_of, with_class_names
from mlc.targets import Labels, eligible_rows
from mlc.thresholds import Threshold, decide, replace_thresholds
from mlc.vocabulary import Vocabulary

RUN = "run"


def predict(run: Run, runs: Path, as_of: datetime | None, say: Say) -> pl.DataFrame:
    """Score every entity with history at a moment.

    Args:
        run: A finished run.
        runs: Folder of all runs, for the event store.
        as_of: The cutoff; by default the last observed time.
        say: Receives progress in lines.

    Returns:
        A predictions table: `entity_id`, `cutoff`, `scores`.

    Raises:
        DataError: The tables no longer fit, do not reach the moment, or no entity has history at it.
    """
    scenario = run.scenario()
    check_tables(scenario)
    store = open_store(scenario, runs, say)
    cutoff = _cutoff(scenario, store, as_of)
    network, names = load_network(run.folder)
    label_line = label_line_of(scenario, store, _labels(scenario, names))
    rows = eligible_rows(
        scenario, store, cutoff, lambda reason, count: say(f"{count:,} entities {reason}") if count else None
    )
    if not len(rows):
        raise DataError(
            f"--as-of {cutoff:%Y-%m-%d %H:%M}: an entity must have history then, however: none has"
        )
    vocabulary = Vocabulary.from_json(run.read_json("vocabulary.json"))
    builder = BatchBuilder(store, label_line, vocabulary, len(names))
    examples = ExampleBatches(builder, rows, np.full(len(rows), microseconds(cutoff)), None)
    _, scores_NK = score_examples(network, examples, BatchPlan(np.arange(len(rows)), EVALUATION_BATCH))
    return pl.DataFrame({ENTITY_ID: store.entity_ids.gather(rows)}).with_columns(
        pl.lit(cutoff).cast(pl.Datetime("us")).alias(CUTOFF), array_column(SCORES, scores_NK)
    )


def _labels(scenario: Scenario, names: Sequence[str]) -> Labels:
    """The labels of the training, also where `{top: K}` would now choose others."""
    classes = scenario.target.class_names
    groups = classes if isinstance(classes, dict) else {name: [name] for name in names}
    pairs = [(value, index) for index, name in enumerate(names) for value in groups[name]]
    return Labels(
        list(names),
        pl.DataFrame(pairs, schema={"value": pl.String, "label": pl.UInt16}, orient="row").unique(),
    )


def _cutoff(scenario: Scenario, store: EventStore, as_of: datetime | None) -> datetime:
    last = max(counts.last for counts in store.counts.values())
    first = min(counts.first for counts in store.counts.values())
    if as_of is None:
        return naive(scenario.examples.observed_until) or last
    cutoff = naive(as_of)
    assert cutoff is not None
    # The midnight after the last event is a moment at which the day is known to be over.
    if not first <= cutoff <= last + timedelta(days=1):
        raise DataError(
            f"--as-of {cutoff:%Y-%m-%d %H:%M}: must lie within the tables, however: they reach from "
            f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}"
        )
    return cutoff


def decisions(run: Run, predictions: pl.DataFrame, threshold: str) -> tuple[np.ndarray, list[Threshold]]:
    """Decisions, bool, shape (N, K), at the stored thresholds or at those of `--threshold`."""
    thresholds = replace_thresholds(threshold, stored_thresholds(run))
    return decide(scores_of(predictions), thresholds).astype(bool), thresholds


def wide(run: Run, predictions: pl.DataFrame, decided_NK: np.ndarray, names: Sequence[str]) -> pl.DataFrame:
    """One row an entity: a column with the score of each label, then a column with each decision.

    Raises:
        MlcError: A label is called like another column.
    """
    columns = [name for label in names for name in (label, f"{label}: decision")]
    reserved = {ENTITY_ID, CUTOFF, RUN} & set(columns)
    if reserved or len(set(columns)) < len(columns):
        raise MlcError(
            f"a label must not be called like another column, however: {', '.join(reserved)}; use --long"
        )
    scores_NK = scores_of(predictions)
    return predictions.select(
        ENTITY_ID,
        CUTOFF,
        pl.lit(run.read_json("run.json")["fingerprint"]).alias(RUN),
        *(pl.Series(label, scores_NK[:, k]) for k, label in enumerate(names)),
        *(pl.Series(f"{label}: decision", decided_NK[:, k]) for k, label in enumerate(names)),
    )


def long(
    run: Run, predictions: pl.DataFrame, decided_NK: np.ndarray, thresholds: Sequence[Threshold]
) -> pl.DataFrame:
    """One row an (entity, label): score, threshold, decision."""
    names = [threshold.name for threshold in thresholds]
    entities = predictions.height
    return predictions.select(
        pl.col(ENTITY_ID, CUTOFF).repeat_by(len(names)).explode(empty_as_null=False),
        pl.lit(run.read_json("run.json")["fingerprint"]).alias(RUN),
    ).with_columns(
        pl.Series("label", names * entities),
        pl.Series("score", scores_of(predictions).reshape(-1)),
        pl.Series("threshold", [threshold.value for threshold in thresholds] * entities),
        pl.Series("decision", decided_NK.reshape(-1)),
    )


def write_scores(table: pl.DataFrame, path: Path, names: Sequence[str]) -> None:
    """Write Parquet or CSV by the file's ending, whole or not at all.

    Raises:
        MlcError: The ending is another, or the disk is full.
    """
    if path.suffix not in (".parquet", ".csv"):
        raise MlcError(f"--out {path}: must end in .parquet or .csv, however: {path.suffix or 'no ending'}")
    with replacing(path) as temporary:
        if path.suffix == ".csv":
            table.write_csv(temporary)
        else:
            table.write_parquet(temporary, metadata=with_class_names(names))
