"""What became of predictions that were made earlier."""

import numpy as np
import polars as pl

from mlc.events.cutoffs import observed_until
from mlc.events.examples import mark_unknown, target_matrix
from mlc.events.label_names import ROW, Labels
from mlc.events.preparing import target_span
from mlc.events.store import EventStore
from mlc.events.targets import own_pairs
from mlc.events.timeline import Timeline
from mlc.scenario import EventScenario
from mlc.tables import CUTOFF, ENTITY_ID, UNKNOWN


def targets_at(
    scenario: EventScenario, store: EventStore, labels: Labels, line: Timeline, keys: pl.DataFrame
) -> np.ndarray:
    """Return the targets of pairs of entity and cutoff, as far as they are known.

    Args:
        scenario: Gives rule, gap, window and `examples.observed_until`.
        store: Event store of its tables.
        labels: The K labels.
        line: Label events by entity, from `label_line`.
        keys: `entity_id` and `cutoff` of N pairs, in any order, doubled or not.

    Returns:
        uint8, shape (N, K): 0, 1, or 255 (unknown) where the window of a label has not closed by the observed
        time, or the store does not know the entity.
    """
    entities = pl.DataFrame({ENTITY_ID: store.entity_ids}).with_row_index(ROW)
    rows = keys.select(pl.col(ENTITY_ID).cast(store.entity_ids.dtype, strict=False)).join(
        entities, on=ENTITY_ID, how="left", maintain_order="left"
    )[ROW]
    known_N = rows.is_not_null().to_numpy()
    rows_N = rows.drop_nulls().cast(pl.Int64).to_numpy()
    cutoffs_N = keys[CUTOFF].cast(pl.Datetime("us")).cast(pl.Int64).to_numpy()[known_N]
    pairs = own_pairs(scenario, labels, line, rows_N, cutoffs_N)
    known_NK = target_matrix(pairs, len(rows_N), len(labels.names))
    _, last, dates_only = target_span(scenario, store)
    mark_unknown(scenario, labels, cutoffs_N, observed_until(scenario, last, dates_only), known_NK)
    targets_NK = np.full((keys.height, len(labels.names)), UNKNOWN, dtype=np.uint8)
    targets_NK[known_N] = known_NK
    return targets_NK
