"""Any moment that the tables reach.

Which one is asked for, and which entities have history then.
"""

from datetime import datetime, timedelta

import numpy as np
import polars as pl

from mlc.errors import DataError
from mlc.events.cutoffs import naive
from mlc.events.examples import eligible_rows
from mlc.events.store import EventStore
from mlc.scenario import EventScenario
from mlc.tables import CUTOFF, ENTITY_ID
from mlc.task import Say

_DAY = timedelta(days=1)
_MINUTE = "%Y-%m-%d %H:%M"


def cutoff_at(scenario: EventScenario, store: EventStore, as_of: datetime | None, say: Say) -> datetime:
    """Return the moment asked for, or the last one observed.

    Tables are often a few days behind: a moment up to one window after the last event is used, with a
    warning.

    Args:
        scenario: Gives the window.
        store: Its events.
        as_of: What was asked for; the last observed time where None.
        say: Receives the warning.

    Raises:
        DataError: The moment lies before the first event, or more than one window after the last.
    """
    last = max(counts.last for counts in store.counts.values())
    first = min(counts.first for counts in store.counts.values())
    if as_of is None:
        return naive(scenario.examples.observed_until) or last
    cutoff = naive(as_of)
    assert cutoff is not None
    latest = last + _longest_wait(scenario)
    if not first <= cutoff <= latest:
        raise DataError(
            f"--as-of {cutoff:{_MINUTE}}: outside the tables, whose events reach from {first:{_MINUTE}} to "
            f"{last:{_MINUTE}}. Choose a moment up to {latest:{_MINUTE}}, one window after the last event, "
            "or leave it out."
        )
    # The midnight after the last event is a moment at which the day is known to be over.
    if cutoff > last + _DAY:
        say(
            f"warning: --as-of {cutoff:{_MINUTE}} is {(cutoff - last) // _DAY} days after the last event "
            f"({last:{_MINUTE}}). If the tables lack events since then, the scores are those of entities "
            "that did nothing. Update the tables, or leave --as-of out."
        )
    return cutoff


def _longest_wait(scenario: EventScenario) -> timedelta:
    """One window: of the target, or the longest one that a foundation learns from."""
    if scenario.has_target:
        return timedelta(days=scenario.target.longest_days)
    return timedelta(days=max(scenario.pretrain.horizons_days))


def rows_at(scenario: EventScenario, store: EventStore, cutoff: datetime, say: Say) -> np.ndarray:
    """Return the rows of the entities that are scored at a cutoff, int64.

    Log how many are not, and why.

    Raises:
        DataError: None has history then.
    """
    rows = eligible_rows(
        scenario, store, cutoff, lambda reason, count: say(f"{count:,} entities {reason}") if count else None
    )
    if not len(rows):
        raise DataError(f"--as-of {cutoff:%Y-%m-%d %H:%M}: no entity has history at that time")
    return rows


def entities_at(store: EventStore, rows: np.ndarray, cutoff: datetime) -> pl.DataFrame:
    """The keys of some entities at a cutoff: `entity_id`, `cutoff`."""
    return pl.DataFrame({ENTITY_ID: store.entity_ids.gather(rows)}).with_columns(
        pl.lit(cutoff).cast(pl.Datetime("us")).alias(CUTOFF)
    )
