"""What became of earlier predictions, against a plain loop."""

from datetime import timedelta
from pathlib import Path

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from mlc.events.task import EventTask
from mlc.tables import CUTOFF, ENTITY_ID, TARGETS, UNKNOWN
from tests.support import reference
from tests.support.small_tables import (
    DAYS,
    PRODUCTS,
    START,
    TICK,
    anchors,
    as_events,
    folder,
    sales,
    scenario_at,
    shop,
    silent,
    some,
    write_shop,
)

NAMES = ["Dress", "Skirt", "Hat"]
WINDOWS = [2, 5]
cutoffs = st.builds(
    lambda days, beside: START + timedelta(days=days) + beside * TICK,
    st.sampled_from([half / 2 for half in range(2 * DAYS + 8)]),
    st.sampled_from([-1, 0, 1]),
)


def key_table(keys: list[tuple[str, object]]) -> pl.DataFrame:
    schema = {ENTITY_ID: pl.String(), CUTOFF: pl.Datetime("us")}
    return pl.DataFrame(keys, schema=schema, orient="row")


@some
@given(
    rows=sales(),
    keys=st.lists(st.tuples(st.sampled_from(["ann", "bob", "eve", "nobody"]), cutoffs), max_size=12),
    gap=st.sampled_from([0, 1]),
)
def test_actuals_equal_the_plain_loop_and_are_unknown_until_the_label_s_own_window_has_closed(
    rows, keys, gap
):
    rows = anchors("ann") + rows
    value = shop(target={"window_days": WINDOWS, "gap_days": gap})
    with folder() as name:
        write_shop(Path(name), rows)
        task = EventTask(scenario_at(Path(name), value), Path(name) / "runs", silent)
        actual = task.actuals(key_table(keys))
    events = reference.joined(as_events(rows), PRODUCTS, "products", "product", "code")
    last = max(event["time"] for event in events if event["time"] and event["entity"])
    known = {event["entity"] for event in events if event["entity"] and event["time"]}
    expected = []
    for entity, cutoff in keys:
        targets = []
        for label in NAMES:
            for days in WINDOWS:
                question = {"window_days": days, "gap_days": gap, "times": 1, "column": "products.department"}
                closed = cutoff + timedelta(days=gap + days) <= last
                became = reference.target(events, entity, cutoff, question, [label])
                targets.append(became if closed and entity in known else UNKNOWN)
        expected.append(targets)
    assert actual.select(ENTITY_ID, CUTOFF).rows() == keys
    assert actual[TARGETS].to_list() == expected


def test_the_actuals_of_the_examples_are_their_targets(tmp_path):
    write_shop(tmp_path, anchors("ann") + anchors("bob")[::3])
    task = EventTask(scenario_at(tmp_path, shop()), tmp_path / "runs", silent)
    table = task.prepare().table
    assert task.actuals(table.select(ENTITY_ID, CUTOFF))[TARGETS].to_list() == table[TARGETS].to_list()


def test_a_trained_model_s_labels_stay_though_the_tables_no_longer_have_one(tmp_path):
    write_shop(tmp_path, anchors("ann"))
    value = shop(target={"class_names": {"top": 2}})
    task = EventTask(scenario_at(tmp_path, value), tmp_path / "runs", silent, ["Dress", "Gloves"])
    key = key_table([("ann", START + timedelta(days=2))])
    assert task.actuals(key)[TARGETS].to_list() == [[1, 0]]
