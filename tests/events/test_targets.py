"""Targets, examples and labels against plain loops, and against DuckDB."""

from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlc.errors import DataError
from mlc.events.examples import held_out_entities
from mlc.tables import targets_of
from tests.support import reference
from tests.support.effort import drawn
from tests.support.small_tables import (
    DAYS,
    PRODUCTS,
    START,
    TICK,
    TIME_TYPES,
    Rows,
    anchors,
    as_events,
    build,
    few,
    folder,
    sales,
    sales_frame,
    scenario_at,
    shop,
    some,
    write,
    write_shop,
)

GROUPS = {
    "list": (["Skirt", "Dress", "Hat"], {"Skirt": ["Skirt"], "Dress": ["Dress"], "Hat": ["Hat"]}),
    "groups": (
        {"Worn below": ["Skirt", "Dress"], "Any": ["Dress", "Hat", "Skirt"], "Hat": "Hat"},
        {"Worn below": ["Skirt", "Dress"], "Any": ["Dress", "Hat", "Skirt"], "Hat": ["Hat"]},
    ),
    "top": ({"top": 2}, {}),
}


def north(event: reference.Event) -> bool:
    return bool(event["shop"] == "north")


def dear(event: reference.Event) -> bool:
    return event["price"] is not None and event["price"] > 3


def costly(event: reference.Event) -> bool:
    return event["products.cost"] is not None and event["products.cost"] > 3


WHERE: dict[str | None, reference.Where] = {
    None: None,
    "price > 3": dear,
    "shop = 'north'": north,
    "products.cost > 3": costly,
    '"products.cost" > 3': costly,
    "shop = 'north' and (products.cost > 3 or products.department like 'products.cost')": (
        lambda event: north(event) and costly(event)
    ),
}


@settings(some, max_examples=drawn(60))
@given(
    rows=sales(),
    time_type=st.sampled_from(list(TIME_TYPES)),
    classes=st.sampled_from(list(GROUPS)),
    rule_where=st.sampled_from(list(WHERE)),
    table_where=st.sampled_from([None, "price > 3", "shop = 'north'"]),
    times=st.sampled_from([None, 1, 2, 3]),
    gap=st.sampled_from([0, 0, 1, 3]),
    window=st.sampled_from([1, 4, 5]),
    test_from=st.sampled_from(
        [None, timedelta(days=30), timedelta(days=28, hours=12), timedelta(days=29) + TICK]
    ),
    least=st.sampled_from([1, 3]),
    active=st.sampled_from([None, 3]),
    visits=sales(most=8),
)
@pytest.mark.slow
def test_targets_and_examples_equal_the_plain_loop(
    rows, time_type, classes, rule_where, table_where, times, gap, window, test_from, least, active, visits
):
    rows = anchors("ann") + rows
    times = times and min(times, 2 * window)  # the anchor buys twice a day: always a positive in training
    rule: dict[str, object] = (
        {"kind": "exists"} if times is None else {"kind": "count_at_least", "times": times}
    )
    value = shop(
        target={
            "class_names": GROUPS[classes][0],
            "gap_days": gap,
            "window_days": window,
            "rule": {**rule, **({"where": rule_where} if rule_where else {})},
        },
        examples={"min_history_events": least, "active_within_days": active},
    )
    if test_from is not None:
        value["examples"]["test_from"] = START + test_from
    if table_where:
        value["data"]["tables"]["sales"]["where"] = table_where
    value["data"]["tables"]["visits"] = {
        "kind": "events",
        "path": "visits.parquet",
        "time": "at",
        "entity": "who",
    }
    with folder() as name:
        write_shop(Path(name), rows, time_type)
        columns = [
            pl.col("customer").alias("who"),
            pl.col("day").alias("at"),
            pl.col("price").alias("length"),
        ]
        write(
            Path(name) / "visits.parquet",
            sales_frame([*visits, anchors("ann")[0]], time_type).select(columns),
        )
        scenario = scenario_at(Path(name), value)
        events = reference.joined(as_events(rows, time_type), PRODUCTS, "products", "product", "code")
        chosen = WHERE[table_where]
        events = [event for event in events if chosen is None or chosen(event)]
        where = WHERE[rule_where]
        built = build(scenario, Path(name) / "runs")
    groups = GROUPS[classes][1] or {
        found: [found]
        for found in reference.most_frequent(events, "products.department", 2, built.cutoffs.fit_until, where)
    }
    assert list(built.examples.labels.names) == list(groups)
    question = {
        "window_days": window,
        "gap_days": gap,
        "times": times or 1,
        "column": "products.department",
        "min_history_events": least,
        "active_within_days": active,
    }
    everything = events + as_events([*visits, anchors("ann")[0]], time_type)
    expected = reference.examples(everything, events, groups, built.cutoffs.rows, question, where)
    assert built.by_key() == expected


@pytest.mark.parametrize("time_type", list(TIME_TYPES))
@pytest.mark.parametrize("gap", [0, 2])
def test_the_window_is_open_on_the_left_and_closed_on_the_right(tmp_path, time_type, gap):
    cutoff, window = START + timedelta(days=30), 4
    smallest = {"date": timedelta(days=1), "ms": timedelta(milliseconds=1)}.get(time_type, TICK)
    opens = cutoff + timedelta(days=gap)
    closes = opens + timedelta(days=window)
    moments = {
        "at the opening": (opens, 0),
        "just after the opening": (opens + smallest, 1),
        "just before the end": (closes - smallest, 1),
        "at the end": (closes, 1),
        "just after the end": (closes + smallest, 0),
    }
    rows = anchors("anchor")
    for name, (moment, _) in moments.items():
        rows.append({"customer": name, "day": START, "product": "p3", "price": 1.0, "shop": None})
        rows.append({"customer": name, "day": moment, "product": "p1", "price": 1.0, "shop": None})
    write_shop(tmp_path, rows, time_type)
    value = shop(target={"gap_days": gap}, examples={"test_from": cutoff})
    found = build(scenario_at(tmp_path, value), tmp_path / "runs").by_key()
    for name, (_, wanted) in moments.items():
        assert found[name, cutoff] == ("test", [wanted, 0, 0]), name


def test_an_event_at_the_cutoff_is_history_and_one_after_it_is_not(tmp_path):
    cutoff = START + timedelta(days=30)
    rows = anchors("anchor")
    for customer, moment in (("at", cutoff), ("after", cutoff + TICK)):
        rows.append({"customer": customer, "day": moment, "product": "p1", "price": 1.0, "shop": None})
    write_shop(tmp_path, rows)
    built = build(scenario_at(tmp_path, shop(examples={"test_from": cutoff})), tmp_path / "runs")
    assert ("at", cutoff) in built.by_key()
    assert ("after", cutoff) not in built.by_key()


@few
@given(rows=sales(most=60), shuffle=st.randoms(use_true_random=False), pieces=st.integers(1, 4))
@pytest.mark.slow
def test_order_of_rows_and_division_into_files_change_nothing(rows, shuffle, pieces):
    rows = anchors("ann") + rows
    mixed = list(rows)
    shuffle.shuffle(mixed)
    tables = []
    with folder() as name:
        home = Path(name)
        for number, (path, ending) in enumerate(
            [("sales.parquet", ""), ("many", "parquet"), ("many/*.parquet", "parquet"), ("text", "csv")]
        ):
            place = home / str(number)
            write_shop(place, rows if number == 0 else mixed)
            if number:
                frame = sales_frame(mixed)
                size = -(-frame.height // pieces)
                for piece in range(pieces):
                    write(place / path.split("/")[0] / f"{piece}.{ending}", frame.slice(piece * size, size))
            value = shop()
            value["data"]["tables"]["sales"]["path"] = path
            built = build(scenario_at(place, value), place / "runs")
            tables.append(built.examples.table)
            assert built.examples.rows.tolist() == built.store.rows(tables[-1]["entity_id"]).tolist()
    for table in tables[1:]:
        assert table.equals(tables[0])


@few
@given(rows=sales(), more=sales(most=10))
def test_events_after_the_last_window_change_no_example(rows, more):
    rows = anchors("ann") + rows
    later = [
        {**row, "day": None if row["day"] is None else row["day"] + timedelta(days=DAYS)} for row in more
    ]
    tables = []
    with folder() as name:
        value = shop(examples={"observed_until": START + timedelta(days=DAYS - 1)})
        for number, chosen in enumerate((rows, rows + later)):
            place = Path(name) / str(number)
            write_shop(place, chosen)
            table = build(scenario_at(place, value), place / "runs").examples.table
            tables.append(table.sort("entity_id", "cutoff"))
    assert tables[0].equals(tables[1])


def test_class_names_that_never_occur_are_named_with_their_line_and_the_nearest(tmp_path):
    write_shop(tmp_path, anchors("ann"))
    scenario = scenario_at(tmp_path, shop(target={"class_names": ["Dress", "Skrt", "a.b"]}))
    with pytest.raises(DataError) as caught:
        build(scenario, tmp_path / "runs")
    first, second = caught.value.problems
    line = scenario.origin.text.splitlines().index("  - Skrt") + 1
    assert str(first).endswith(
        f"scenario.yaml:{line}: target.class_names.1: 'Skrt' never occurs in "
        "products.department. Did you mean Skirt?"
    )
    assert second.location.endswith(f":{line + 1}")


def test_a_group_with_a_dot_in_its_name_is_found_in_the_file(tmp_path):
    write_shop(tmp_path, anchors("ann"))
    scenario = scenario_at(tmp_path, shop(target={"class_names": {"Dress": "Dress", "No. 7": ["Nix"]}}))
    with pytest.raises(DataError) as caught:
        build(scenario, tmp_path / "runs")
    line = scenario.origin.text.splitlines().index("    No. 7:") + 1
    assert caught.value.problems[0].location.endswith(f":{line}")


def test_labels_without_a_positive_in_training_are_listed_together(tmp_path):
    late = [
        {"customer": "ann", "day": START + timedelta(days=DAYS - 1, hours=12), "product": code, "price": 1.0}
        for code in ("p1", "p2")
    ]
    rows = [row for row in anchors("ann") if row["product"] == "p3"] + [{**row, "shop": None} for row in late]
    write_shop(tmp_path, rows)
    value = shop()
    value["target"]["allow_empty"] = False
    with pytest.raises(DataError, match=r"class_names: no positive target in training for Dress, Skirt"):
        build(scenario_at(tmp_path, value), tmp_path / "runs")


def test_the_most_frequent_classes_are_counted_before_validation_only(tmp_path):
    late = START + timedelta(days=DAYS - 1)
    rows = anchors("ann") + [
        {"customer": "bob", "day": late, "product": "p2", "price": 1.0, "shop": None} for _ in range(500)
    ]
    rows += [{**anchors("eve")[0], "product": "p3"}]
    write_shop(tmp_path, rows)
    built = build(scenario_at(tmp_path, shop(target={"class_names": {"top": 1}})), tmp_path / "runs")
    assert list(built.examples.labels.names) == ["Hat"]


def regulars(customers: int, until: int = DAYS) -> Rows:
    """Customers who come and go: each buys every fifth day for some weeks."""
    return [
        {"customer": f"c{i}", "day": START + timedelta(days=d), "product": "p1", "price": 1.0, "shop": None}
        for i in range(customers)
        for d in range(i % 30, min(until, i % 30 + 12), 5)
    ]


def test_the_funnel_adds_up_and_tells_every_reason(tmp_path):
    rows = anchors("ann") + regulars(60)
    write_shop(tmp_path, rows)
    value = shop(
        examples={
            "test_from": START + timedelta(days=32),
            "active_within_days": 8,
            "max_entities": 40,
            "holdout_entities": 0.4,
            "drop_all_negative": True,
        }
    )
    built = build(scenario_at(tmp_path, value), tmp_path / "runs")
    funnel = built.examples.funnel
    cutoffs = len(built.cutoffs.rows) + len(built.cutoffs.incomplete)
    assert funnel[0].kept == cutoffs * len(built.store.entity_ids)
    for before, after in pairwise(funnel):
        assert after.kept == before.kept - after.removed
        assert after.removed > 0
    assert funnel[-1].kept == built.examples.table.height
    assert len(funnel) == 7
    assert (targets_of(built.examples.table).max(axis=1) == 1).all()


def test_held_out_entities_are_never_in_training_and_alone_in_the_tests(tmp_path):
    rows = anchors("ann") + regulars(60)
    write_shop(tmp_path, rows)
    value = shop(examples={"holdout_entities": 0.5})
    built = build(scenario_at(tmp_path, value), tmp_path / "runs")
    held = held_out_entities(built.store.entity_ids, 0.5, built.scenario.train.seed)
    for (entity, _), (split, _) in built.by_key().items():
        assert held[built.store.entity_ids.to_list().index(entity)] == (split != "train")


@given(
    ids=st.lists(st.text(max_size=5), unique=True),
    share=st.floats(0, 1, exclude_max=True),
    seed=st.integers(0, 9),
)
@some
def test_who_is_held_out_does_not_depend_on_the_other_entities(ids, share, seed):
    together = held_out_entities(pl.Series(ids, dtype=pl.String), share, seed)
    alone = [bool(held_out_entities(pl.Series([i]), share, seed)[0]) for i in ids]
    assert together.tolist() == alone


def test_boolean_and_integer_columns_can_hold_the_label(tmp_path):
    rows = [
        {"customer": 7, "day": START + timedelta(days=i), "good": i % 2 == 0, "size": i % 3}
        for i in range(DAYS)
    ]
    write(tmp_path / "sales.parquet", rows)
    value = shop(target={"column": "good", "class_names": ["true", "false"], "window_days": 1})
    value["data"]["tables"] = {"sales": {"kind": "events", "path": "sales.parquet", "time": "day"}}
    found = build(scenario_at(tmp_path, value), tmp_path / "runs").by_key()
    assert {tuple(targets) for _, targets in found.values()} == {(1, 0), (0, 1)}
    assert all(isinstance(entity, int) and isinstance(at, datetime) for entity, at in found)
    value["target"].update(column="size", class_names=["0", "2"])
    found = build(scenario_at(tmp_path, value), tmp_path / "runs").by_key()
    assert {tuple(targets) for _, targets in found.values()} == {(1, 0), (0, 0), (0, 1)}
