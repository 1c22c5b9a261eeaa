"""Values that mean nothing or do not fit: numbers, texts, ids and times, from table to store to scores."""

import math
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlc.sources import moment_expr, number_expr, text_expr
from tests.support.reference import is_blank
from tests.support.small_tables import DAYS, anchors, build, many, sales_frame, scenario_at, shop
from tests.support.small_tables import write_shop as write_shop_tables

# ── single values ───────────────────────────────────────────────────────────────────────────────

_LETTERS = st.text(st.sampled_from("ab \t\n\0\xa0\xad\u200b\u2060\ufeff\u3164é\u0301"), max_size=4)


@many
@given(st.lists(st.none() | _LETTERS | st.text(max_size=3)))
def test_a_text_without_a_visible_character_is_missing_and_any_other_stays_as_it_is(texts):
    found = pl.DataFrame({"t": texts}, schema={"t": pl.String}).select(text_expr(pl.col("t")))["t"].to_list()
    assert found == [None if text is None or is_blank(text) else text for text in texts]


@many
@given(st.lists(st.none() | st.floats(width=64)))
def test_a_number_that_32_bits_cannot_hold_is_missing_and_any_other_stays_as_it_is(numbers):
    frame = pl.DataFrame({"n": numbers}, schema={"n": pl.Float64})
    found = frame.select(number_expr(pl.col("n"), pl.Float64()))["n"].to_list()
    assert found == [n if n is not None and math.isfinite(n) and abs(n) <= 1e37 else None for n in numbers]


_UNITS = {"ms": 10**3, "us": 10**6, "ns": 10**9}


@many
@given(
    st.sampled_from(list(_UNITS)),
    st.none() | st.just("UTC"),
    st.lists(st.integers(-(2**63) + 1, 2**63 - 1) | st.integers(-(10**13), 10**13)),
)
def test_times_outside_the_years_1678_to_2261_are_missing_in_every_unit(unit, zone, ticks):
    dtype = pl.Datetime(unit, zone)
    frame = pl.DataFrame({"t": pl.Series(ticks, dtype=pl.Int64).cast(dtype)})
    found = frame.select(moment_expr("t", dtype))["t"].cast(pl.Int64).to_list()
    first, last = (
        int((datetime(year, 1, 1) - datetime(1970, 1, 1)).total_seconds()) * 10**6 for year in (1678, 2262)
    )
    wanted = [tick * 10**6 // _UNITS[unit] if unit != "ns" else math.trunc(tick / 1000) for tick in ticks]
    for got, tick, micro in zip(found, ticks, wanted, strict=True):
        exact = tick * 10**6 / _UNITS[unit]
        assert (got is None) == (not first <= exact < last)
        assert got is None or abs(got - micro) <= 1


def test_days_outside_the_years_1678_to_2261_are_missing():
    days = [date(1, 1, 1), date(1677, 12, 31), date(1678, 1, 1), date(2261, 12, 31), date(9999, 12, 31)]
    found = pl.DataFrame({"d": days}).select(moment_expr("d", pl.Date()))["d"].to_list()
    assert found == [None, None, datetime(1678, 1, 1), datetime(2261, 12, 31), None]


# ── ids ─────────────────────────────────────────────────────────────────────────────────────────


def _shop(path: Path, ids: pl.Series, entities: pl.DataFrame | None = None) -> Any:
    """The shop with two customers of the given ids, and perhaps a table about them."""
    rows = [row for number in range(len(ids)) for row in anchors(number)]
    frame = sales_frame(rows, entity=pl.Int64).with_columns(
        ids.gather(pl.Series([r["customer"] for r in rows])).alias("customer")
    )
    write_shop_tables(path, rows, entity=pl.Int64)
    frame.write_parquet(path / "sales.parquet")
    tables = shop()["data"]["tables"]
    if entities is not None:
        entities.write_parquet(path / "people.parquet")
        tables["people"] = {
            "kind": "entities",
            "path": "people.parquet",
            "key": "id",
            "encoders": {"age": "number"},
        }
    return scenario_at(path, shop(data={"tables": tables}))


@pytest.mark.parametrize(
    ("ids", "stored"),
    [
        (pl.Series([2**64 - 1, 5], dtype=pl.UInt64), pl.UInt64),
        (pl.Series([2**63, 0], dtype=pl.UInt64), pl.UInt64),
        (pl.Series([2**64 - 1, -(2**100)], dtype=pl.Int128), pl.String),
        (pl.Series([2**127, 1], dtype=pl.UInt128), pl.String),
        (pl.Series([-1, -(2**63)], dtype=pl.Int64), pl.Int64),
        (pl.Series([255, 0], dtype=pl.UInt8), pl.Int64),
        (pl.Series([" a", "a"]), pl.String),
        (pl.Series(["é", "e\u0301"]), pl.String),
        (pl.Series(["a", "A"]), pl.String),
        (pl.Series(["x" * 1_000_000, "x"]), pl.String),
    ],
)  # fmt: skip
def test_ids_of_every_kind_are_kept_as_they_are(tmp_path, ids, stored):
    built = build(_shop(tmp_path, ids), tmp_path / "runs")
    found = built.store.entity_ids
    wanted = ids.cast(pl.String) if stored == pl.String else ids
    assert found.dtype == stored
    assert set(found.to_list()) == set(wanted.to_list())
    assert set(built.examples.table["entity_id"].to_list()) == set(wanted.to_list())


@pytest.mark.parametrize("events", [pl.Int32, pl.Int64, pl.UInt64, pl.Int128])
@pytest.mark.parametrize("keys", [pl.Int16, pl.UInt32, pl.Int64, pl.UInt64, pl.Int128])
def test_an_entities_table_of_another_integer_type_is_joined(tmp_path, events, keys):
    people = pl.DataFrame({"id": pl.Series([7, 9, 11], dtype=keys), "age": [70.0, 90.0, 110.0]})
    store = build(_shop(tmp_path, pl.Series([9, 7], dtype=events), people), tmp_path / "runs").store
    ages = dict(zip(store.entity_ids.cast(pl.Int64), store.attributes["people.age"].tolist(), strict=True))
    assert ages == {7: 70.0, 9: 90.0}


def test_a_key_that_no_event_id_can_be_belongs_to_nobody(tmp_path):
    people = pl.DataFrame({"id": pl.Series([-1, 2**63 - 1, 5], dtype=pl.Int64), "age": [1.0, 2.0, 3.0]})
    ids = pl.Series([2**64 - 1, 5], dtype=pl.UInt64)
    store = build(_shop(tmp_path, ids, people), tmp_path / "runs").store
    ages = dict(zip(store.entity_ids, store.attributes["people.age"].tolist(), strict=True))
    assert ages[5] == 3.0
    assert math.isnan(ages[2**64 - 1])


def test_blank_ids_are_nobody_and_are_counted(tmp_path):
    people = pl.DataFrame({"id": ["a", "", " "], "age": [1.0, 2.0, 3.0]})
    scenario = _shop(tmp_path, pl.Series(["a", "", " \u200b"]), people)
    store = build(scenario, tmp_path / "runs").store
    assert store.entity_ids.to_list() == ["a"]
    assert store.counts["sales"].without_entity == 2 * 2 * DAYS * 3
    assert store.attributes["people.age"].tolist() == [1.0]


# ── numbers ─────────────────────────────────────────────────────────────────────────────────────


def test_infinite_and_too_large_numbers_of_every_table_are_missing(tmp_path):
    rows = [*anchors("ann"), *anchors("bob")]
    write_shop_tables(tmp_path, rows)
    bad = [math.inf, -math.inf, math.nan, 1e300, -1e300, 2e37]
    frame = sales_frame(rows)
    price = [bad[index % 7] if index % 7 < 6 else float(index) for index in range(frame.height)]
    frame.with_columns(pl.Series("price", price)).write_parquet(tmp_path / "sales.parquet")
    pl.DataFrame(
        {"code": ["p1", "p2"], "department": ["Dress", "Hat"], "cost": [math.inf, 2.0]}
    ).write_parquet(tmp_path / "products.parquet")
    pl.DataFrame({"id": ["ann", "bob"], "age": [math.inf, 1.5]}).write_parquet(tmp_path / "people.parquet")
    tables = shop()["data"]["tables"]
    tables["sales"]["computed"] = {"ratio": "price / 0"}
    tables["people"] = {"kind": "entities", "path": "people.parquet", "key": "id"}
    scenario = scenario_at(tmp_path, shop(data={"tables": tables}, target={"class_names": ["Dress", "Hat"]}))
    store = build(scenario, tmp_path / "runs").store
    for field in (*store.event_fields, *store.entity_fields):
        if field.kind == "number":
            values = store.field_column(field)
            assert not any(math.isinf(value) for value in values.tolist()), field.name
    assert {"sales.price", "sales.ratio"} <= {field.name for field in store.event_fields}


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan, 1e300, None])
def test_an_unusable_amount_adds_nothing_to_a_sum(tmp_path, bad):
    rows = anchors("ann")
    write_shop_tables(tmp_path, rows)
    frame = sales_frame(rows).with_columns(
        pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit(bad, pl.Float64)).otherwise(1.0).alias("price")
    )
    frame.write_parquet(tmp_path / "sales.parquet")
    rule = {"kind": "sum_at_least", "column": "price", "amount": 1.0}
    targets = build(scenario_at(tmp_path, shop(target={"rule": rule})), tmp_path / "runs").by_key()
    frame.with_columns(
        pl.when(pl.int_range(pl.len()) % 2 == 1).then(1.0).otherwise(0.0).alias("price")
    ).write_parquet(tmp_path / "sales.parquet")
    assert build(scenario_at(tmp_path, shop(target={"rule": rule})), tmp_path / "runs").by_key() == targets
