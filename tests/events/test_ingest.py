"""The event store: codes give back the values, rows join, and it is built once."""

import os
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlc.errors import DataError
from mlc.events.store import EventStore, default_encoder, open_store, store_fingerprint
from mlc.events.trained import scenario_as_trained
from mlc.events.vocabulary import fit_vocabulary
from mlc.run import RunFolder
from mlc.scenario import EventScenario, scenario_yaml
from mlc.sources import check_tables
from tests.support.event_scenarios import load_events
from tests.support.reference import is_blank
from tests.support.small_tables import START, TICK, Rows, few, folder, scenario_at, write

DAY = timedelta(days=1)


def scenario_of(place, tables: dict[str, Any], **more: Any) -> EventScenario:
    """A scenario on tables: name → (fields, rows or frame)."""
    sections = {}
    for name, (section, rows) in tables.items():
        frame = rows if isinstance(rows, pl.DataFrame) else pl.DataFrame(rows, infer_schema_length=None)
        write(place / f"{name}.parquet", frame)
        sections[name] = {"path": f"{name}.parquet", **section}
    value = {
        "data": {"entity": "who", "tables": sections},
        "target": {"table": next(iter(tables)), "column": "x", "class_names": ["1"], "window_days": 1},
        **more,
    }
    return scenario_at(place, value)


def opened(place, tables: dict[str, Any]) -> EventStore:
    return open_store(scenario_of(place, tables), place / "runs", lambda _: None)


def decoded(store: EventStore, name: str) -> list[Any]:
    """A field by event, or by entity, as values."""
    field = next(f for f in (*store.event_fields, *store.entity_fields) if f.name == name)
    column = store.field_column(field).tolist()
    if field.kind == "number":
        return [None if np.isnan(value) else value for value in column]
    values = [None, *store.values(name)]
    return [values[code] for code in column]


EVENTS = {"kind": "events", "time": "at"}
ODD = ["a/b", "ü", "a.b", "with space", "q'", "value", "label", "row", "len", "events"]


def events(rows: Rows) -> Rows:
    return [{"who": "ann", "at": START + i * DAY, **row} for i, row in enumerate(rows)]


@few
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "text": st.none() | st.text(max_size=3),
                "bool": st.none() | st.booleans(),
                "int": st.none() | st.integers(-3, 3),
                "cat": st.none() | st.sampled_from(["x", "y"]),
                "enum": st.none() | st.sampled_from(["x", "y"]),
                "number": st.none() | st.floats(-5, 5, width=32),
                "who": st.sampled_from(["ann", "bob", None]),
                "at": st.none() | st.integers(0, 5).map(lambda i: START + i * DAY),
            }
        ),
        max_size=30,
    )
)
def test_codes_give_back_the_values(rows):
    first = {"who": "ann", "at": START, "text": None, "number": None, "bool": None}
    rows = [{"int": 1, "cat": "x", "enum": "x", **first}, *rows]
    types: dict[str, Any] = {
        "text": pl.String, "bool": pl.Boolean, "int": pl.Int16, "cat": pl.Categorical,
        "enum": pl.Enum(["y", "x"]), "number": pl.Float64, "who": pl.String, "at": pl.Datetime("us"),
    }  # fmt: skip
    encoders = dict.fromkeys(["bool", "int", "cat", "enum"], "category") | {
        "text": "text",
        "number": "number",
    }
    with folder() as name:
        frame = pl.DataFrame([{c: row[c] for c in types} for row in rows], schema=types, orient="row")
        store = opened(Path(name), {"t": ({**EVENTS, "encoders": encoders}, frame)})
        ids = store.entity_ids.to_list()
        kept = [row for row in rows if row["who"] is not None and row["at"] is not None]
        assert set(ids) == {row["who"] for row in kept}
        kept.sort(key=lambda row: (ids.index(row["who"]), row["at"]))  # stable, as the store should be
        texts: dict[str, Any] = {
            "text": str, "cat": str, "enum": str, "int": str, "bool": lambda value: str(value).lower(),
        }  # fmt: skip
        for column, text in texts.items():
            wanted = [
                None if row[column] is None or is_blank(row[column]) else text(row[column]) for row in kept
            ]
            assert decoded(store, f"t.{column}") == wanted
        assert decoded(store, "t.number") == [row["number"] for row in kept]
        assert store.events.time.tolist() == [(r["at"] - datetime(1970, 1, 1)) // TICK for r in kept]
        lengths = np.diff(store.events.offsets).tolist()
        assert lengths == [sum(row["who"] == i for row in kept) for i in ids]
        counts = store.counts["t"]
        assert counts.events == len(kept)
        assert counts.without_entity == sum(row["who"] is None for row in rows)
        assert counts.without_time == sum(row["at"] is None for row in rows)
        assert (counts.first, counts.last) == (min(r["at"] for r in kept), max(r["at"] for r in kept))


def test_odd_column_names_are_columns_like_any_other(tmp_path):
    rows = events([{name: f"{name}{i}" for name in ODD} for i in range(2)])
    store = opened(tmp_path, {"t": ({**EVENTS, "encoders": dict.fromkeys(ODD, "category")}, rows)})
    for name in ODD:
        assert decoded(store, f"t.{name}") == [f"{name}0", f"{name}1"]


def test_columns_without_values_and_nested_or_binary_ones_do_no_harm(tmp_path):
    rows = pl.DataFrame(events([{"x": 1, "empty": None, "list": [1], "bytes": b"\xff"}] * 3))
    store = opened(tmp_path, {"t": (EVENTS, rows.with_columns(pl.lit(None, pl.String).alias("no text")))})
    assert [field.name for field in store.event_fields] == ["t.x", "t.empty", "t.no text"]
    assert decoded(store, "t.empty") == decoded(store, "t.no text") == [None] * 3


@pytest.mark.parametrize("values", [254, 255, 256, 300])
def test_many_values_have_wider_codes(tmp_path, values):
    rows = events([{"x": f"v{i:03}"} for i in range(values)])
    store = opened(tmp_path, {"t": ({**EVENTS, "encoders": {"x": "category"}}, rows)})
    assert decoded(store, "t.x") == [row["x"] for row in rows]


# ── joins ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (pl.Int8, pl.Int64),
        (pl.Int64, pl.UInt16),
        (pl.UInt32, pl.Int32),
        (pl.String, pl.Categorical),
        (pl.Categorical, pl.String),
        (pl.Enum(["1", "2", "7", "9"]), pl.String),
        (pl.String, pl.Enum(["1", "2", "7", "300"])),
    ],
)
def test_dimension_rows_are_found_through_keys_of_another_name_and_width(tmp_path, left, right):
    key: Any = int if left in (pl.Int8, pl.Int64, pl.UInt32) else str
    rows = pl.DataFrame(
        events([{"item": None if value is None else key(value)} for value in (2, 1, 9, None, 7)])
    ).with_columns(pl.col("item").cast(left))
    # 300 does not fit an Int8 and is no word of the Enum: such a row matches nothing.
    dimension = pl.DataFrame(
        {
            "id": [key(1), key(2), key(7), key(300)],
            "name": ["one", "two", None, "many"],
            "size": [1.5, None, 7.5, 3.0],
        }
    ).with_columns(pl.col("id").cast(right))
    tables = {
        "t": ({**EVENTS, "joins": {"things": "item"}}, rows),
        "things": ({"kind": "dimension", "key": "id", "encoders": {"name": "category"}}, dimension),
    }
    scenario = scenario_of(
        tmp_path, tables, target={"table": "t", "column": "item", "class_names": ["1"], "window_days": 1}
    )
    check_tables(scenario)
    store = open_store(scenario, tmp_path / "runs", lambda _: None)
    assert decoded(store, "things.name") == ["two", "one", None, None, None]
    assert decoded(store, "things.size") == [None, 1.5, None, None, 7.5]
    assert [f.joined_by for f in store.event_fields if f.name.startswith("things")] == ["things", "things"]


def test_two_column_keys_match_in_the_order_of_the_lists(tmp_path):
    rows = events([{"a": 1, "b": "x"}, {"a": 2, "b": "x"}, {"a": 1, "b": "y"}, {"a": None, "b": "x"}])
    dimension = [
        {"b": 1, "a": "x", "name": "1x"},
        {"b": 1, "a": "y", "name": "1y"},
        {"b": None, "a": "x", "name": "!"},
    ]
    tables = {
        "t": ({**EVENTS, "joins": {"d": ["a", "b"]}}, rows),
        "d": ({"kind": "dimension", "key": ["b", "a"], "encoders": {"name": "category"}}, dimension),
    }
    store = opened(tmp_path, tables)
    assert decoded(store, "d.name") == ["1x", None, "1y", None]


def test_two_events_tables_share_a_dimension_and_keep_their_own_columns(tmp_path):
    views = [
        {"user": who, "seen": START + i * DAY, "item": i % 2, "seconds": float(i)}
        for i, who in enumerate("abca")
    ]
    sales = [{"who": who, "at": START + i * DAY, "thing": 1, "paid": f"p{i}"} for i, who in enumerate("ab")]
    things = [{"id": i, "name": f"n{i}"} for i in range(2)]
    tables = {
        "sales": ({**EVENTS, "joins": {"things": "thing"}, "encoders": {"paid": "category"}}, sales),
        "views": ({"kind": "events", "time": "seen", "entity": "user", "joins": {"things": "item"}}, views),
        "things": ({"kind": "dimension", "key": "id", "encoders": {"name": "category"}}, things),
    }
    store = opened(tmp_path, tables)
    ids = store.entity_ids.to_list()
    assert sorted(ids) == ["a", "b", "c"]
    names, paid, seconds = (decoded(store, f) for f in ("things.name", "sales.paid", "views.seconds"))
    row = slice(*store.events.offsets[ids.index("a") : ids.index("a") + 2])
    # Sales come first where the moments are equal: the order of the tables in the scenario.
    assert (names[row], paid[row], seconds[row]) == (["n1", "n0", "n1"], ["p0", None, None], [None, 0.0, 3.0])
    assert (store.counts["sales"].events, store.counts["views"].events) == (2, 4)


def test_entities_that_have_no_row_have_missing_attributes(tmp_path):
    people = [{"id": "ann", "city": "Rome", "age": 30.0}, {"id": "zoe", "city": "Bonn", "age": 1.0}]
    rows = [{"who": who, "at": START, "x": 1} for who in ("ann", "bob")]
    section = {"kind": "entities", "key": "id", "encoders": {"city": "category"}}
    store = opened(tmp_path, {"t": (EVENTS, rows), "people": (section, people)})
    at = store.rows(pl.Series(["ann", "bob", "zoe"]))
    assert at.tolist()[2] == -1
    assert [decoded(store, "people.city")[i] for i in at[:2]] == ["Rome", None]
    assert [decoded(store, "people.age")[i] for i in at[:2]] == [30.0, None]
    assert store.values("people.city") == ["Rome"]


@pytest.mark.parametrize("dtype", [pl.Int32, pl.UInt64, pl.String, pl.Categorical])
def test_entity_ids_come_back_as_they_were(tmp_path, dtype):
    frame = pl.DataFrame({"who": ["7", "12", "7"], "at": [START] * 3, "x": [1, 2, 3]})
    frame = frame.with_columns(
        pl.col("who").cast(pl.Int64).cast(dtype) if dtype().is_integer() else pl.col("who").cast(dtype)
    )
    store = opened(tmp_path, {"t": (EVENTS, frame)})
    assert sorted(store.entity_ids.to_list()) == ([7, 12] if dtype().is_integer() else ["12", "7"])
    ids = pl.Series([12, 5, 7], dtype=pl.Int16).cast(dtype if dtype().is_integer() else pl.String)
    found = store.rows(ids).tolist()
    assert [store.entity_ids[i] if i >= 0 else None for i in found] == [
        value if str(value) != "5" else None for value in ids
    ]


# ── problems ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["dimension", "entities"])
def test_doubled_keys_are_refused_and_named(tmp_path, kind):
    rows = [{"id": key, "name": "n"} for key in ("b", "b", "a", "a", "c", None, None)]
    joins = {"joins": {"d": "x"}} if kind == "dimension" else {}
    tables = {"t": ({**EVENTS, **joins}, events([{"x": "a"}])), "d": ({"kind": kind, "key": "id"}, rows)}
    with pytest.raises(DataError) as caught:
        opened(tmp_path, tables)
    (problem,) = caught.value.problems
    assert "2 of the keys of d are there more than once (a, b)" in problem.rule
    assert problem.field == "data.tables.d.key"
    assert ":" in problem.location
    assert not list((tmp_path / "runs").rglob("*.npy"))


def test_doubles_that_a_where_removes_are_fine(tmp_path):
    rows = [{"id": "a", "year": 2020}, {"id": "a", "year": 2021}]
    section = {"kind": "dimension", "key": "id", "where": "year = 2021", "encoders": {"year": "number"}}
    store = opened(
        tmp_path, {"t": ({**EVENTS, "joins": {"d": "x"}}, events([{"x": "a"}])), "d": (section, rows)}
    )
    assert decoded(store, "d.year") == [2021]


def test_a_table_without_events_is_refused(tmp_path):
    rows = [{"who": None, "at": START, "x": "a"}, {"who": "ann", "at": None, "x": "b"}]
    with pytest.raises(DataError, match="of its 2 rows 1 have no entity and 1 no time"):
        opened(tmp_path, {"t": (EVENTS, rows)})
    assert [p for p in (tmp_path / "runs").rglob("*") if p.is_file()] == []


# ── once ────────────────────────────────────────────────────────────────────────────────────────


def test_the_store_is_built_once_and_again_when_a_file_has_changed(tmp_path):
    tables = {"t": (EVENTS, events([{"x": 1}, {"x": 2}]))}
    scenario = scenario_of(tmp_path, tables)
    said: list[str] = []
    first = open_store(scenario, tmp_path / "runs", said.append)
    files = {p: p.stat().st_mtime_ns for p in first.folder.rglob("*")}
    again = open_store(scenario, tmp_path / "runs", said.append)
    assert said == ["events: t 2"]
    assert {p: p.stat().st_mtime_ns for p in first.folder.rglob("*")} == files
    assert again.fingerprint == first.fingerprint == store_fingerprint(scenario)
    assert again.counts == first.counts
    write(tmp_path / "t.parquet", [*events([{"x": 1}]), {"who": None, "at": START, "x": 3}])
    changed = open_store(scenario, tmp_path / "runs", said.append)
    assert said[1:] == ["events: t 1 (dropped 1 without an entity)"]
    assert changed.fingerprint != first.fingerprint


def test_the_fingerprint_is_of_the_data_section_and_its_files_alone(tmp_path):
    tables = {"t": (EVENTS, events([{"x": 1}]))}
    scenario = scenario_of(tmp_path, tables)
    before = store_fingerprint(scenario)
    status = (tmp_path / "t.parquet").stat()
    other = scenario_of(tmp_path, tables, train={"epochs": 3})
    os.utime(tmp_path / "t.parquet", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert store_fingerprint(other) == before
    os.utime(tmp_path / "t.parquet", ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert store_fingerprint(other) != before
    os.utime(tmp_path / "t.parquet", ns=(status.st_atime_ns, status.st_mtime_ns))
    filtered = {"t": ({**EVENTS, "where": "x > 0"}, tables["t"][1])}
    third = scenario_of(tmp_path, filtered)
    os.utime(tmp_path / "t.parquet", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert store_fingerprint(third) != before


@pytest.mark.parametrize(
    ("dtype", "distinct", "rows", "kind"),
    [
        (pl.Date(), 3, 9, "ignore"),
        (pl.Binary(), 3, 9, "ignore"),
        (pl.Int8(), 50, 90, "category"),
        (pl.Int8(), 51, 90, "number"),
        (pl.Int64(), 900, 900, "ignore"),
        (pl.Float32(), 2, 900, "number"),
        (pl.Boolean(), 2, 2, "category"),
        (pl.String(), 450, 900, "category"),
        (pl.String(), 451, 900, "ignore"),
        (pl.String(), 50_001, 900_000, "ignore"),
    ],
)
def test_columns_have_sensible_encoders_by_default(dtype, distinct, rows, kind):
    assert default_encoder(dtype, distinct, rows).kind == kind


def test_dates_are_midnights(tmp_path):
    rows = [{"who": "ann", "at": date(2024, 1, 2), "x": 1}]
    store = opened(tmp_path, {"t": (EVENTS, rows)})
    assert store.counts["t"].first == datetime(2024, 1, 2)


def test_a_column_that_outgrew_its_default_is_still_coded_as_in_the_training(tmp_path):
    """A 51st whole number turns a default category into a number; a trained model must not notice."""

    def sales(stores: int) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "customer": [f"c{i % 7}" for i in range(120)],
                "at": [datetime(2024, 1, 1) + timedelta(days=i) for i in range(120)],
                "item": ["a", "b"] * 60,
                "store": [i % stores for i in range(120)],
            }
        )

    text = """
data: {entity: customer, tables: {sales: {kind: events, path: sales.parquet, time: at}}}
target: {table: sales, column: item, class_names: [a, b], window_days: 7}
"""
    (tmp_path / "shop.yaml").write_text(text)
    sales(40).write_parquet(tmp_path / "sales.parquet")
    scenario = load_events(tmp_path / "shop.yaml")
    store = open_store(scenario, tmp_path / "runs", lambda _: None)
    vocabulary = fit_vocabulary(store, datetime(2025, 1, 1), attributes=True, memory=True)
    assert "sales.store" in vocabulary.events.categories
    run = RunFolder(tmp_path / "runs" / "shop")
    run.folder.mkdir()
    (run / "resolved.yaml").write_text(scenario_yaml(scenario))
    (run / "run.json").write_text('{"kind": "model"}')
    sales(60).write_parquet(tmp_path / "sales.parquet")
    assert {f.name: f.kind for f in open_store(scenario, tmp_path / "runs", lambda _: None).event_fields}[
        "sales.store"
    ] == "number"
    trained = scenario_as_trained(run, vocabulary, tmp_path / "runs", lambda _: None)
    again = open_store(trained, tmp_path / "runs", lambda _: None)
    assert {f.name: f.kind for f in again.event_fields}["sales.store"] == "category"
