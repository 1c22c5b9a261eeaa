"""Any moment that the tables reach: which one is asked for, and which entities have history then."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl

from mlc.errors import DataError
from mlc.events.cutoffs import naive
from mlc.events.examples import eligible_rows
from mlc.events.preparing import Say
from mlc.events.store import EventStore
from mlc.scenario import Scenario
from mlc.tables import CUTOFF, ENTITY_ID


def cutoff_at(scenario: Scenario, store: EventStore, as_of: datetime | None) -> datetime:
    """The moment that is asked for, or the last one observed.

    Raises:
        DataError: The tables do not reach it.
    """
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
            f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}; choose a moment between, or leave it out"
        )
    return cutoff


def rows_at(scenario: Scenario, store: EventStore, cutoff: datetime, say: Say) -> np.ndarray:
    """Rows of the entities that are scored at a moment, int64; how many are not, and why, is said.

    Raises:
        DataError: None has history then.
    """
    rows = eligible_rows(
        scenario, store, cutoff, lambda reason, count: say(f"{count:,} entities {reason}") if count else None
    )
    if not len(rows):
        raise DataError(
            f"--as-of {cutoff:%Y-%m-%d %H:%M}: an entity must have history then, however: none has"
        )
    return rows


def entities_at(store: EventStore, rows: np.ndarray, cutoff: datetime, column: pl.Series) -> pl.DataFrame:
    """A table of `entity_id`, `cutoff` and a column."""
    return pl.DataFrame({ENTITY_ID: store.entity_ids.gather(rows)}).with_columns(
        pl.lit(cutoff).cast(pl.Datetime("us")).alias(CUTOFF), column
    )
