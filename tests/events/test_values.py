"""Values that mean nothing or do not fit: numbers, texts, ids and times, from table to store to scores."""

import math
import unicodedata
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mlc.errors import ScenarioError
from mlc.events.findings import alike_findings, table_findings, time_findings, value_findings
from mlc.events.findings.finding import Subject
from mlc.events.findings.values import _alike
from mlc.sources import check_tables, moment_expr, number_expr, scan_events, text_expr
from mlc.sources.times import epoch_expr, iso_expr, names_offsets
from tests.support.reference import is_blank
from tests.support.shop_tables import shop_tables
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


# ── what `mlc check` says ───────────────────────────────────────────────────────────────────────


def _findings(path: Path, frame: pl.DataFrame, **sections: Any) -> str:
    """The findings about values of the shop with these sales."""
    write_shop_tables(path, anchors("ann"))
    frame.write_parquet(path / "sales.parquet")
    scenario = scenario_at(path, shop(**sections))
    store = build(scenario, path / "runs").store
    found = [*value_findings(scenario), *alike_findings(scenario, store), *table_findings(scenario)]
    return "\n".join(finding.found for finding in found)


def _every_tenth(column: str, value: Any, dtype: Any = pl.String) -> pl.Expr:
    tenth = pl.int_range(pl.len()) % 10 == 0
    return pl.when(tenth).then(pl.lit(value, dtype)).otherwise(pl.col(column)).alias(column)


@pytest.mark.parametrize(
    ("column", "value", "dtype", "found"),
    [
        ("price", math.inf, pl.Float64, "24 of 240 rows in sales have a price that is infinite or beyond"),
        ("price", -1e300, pl.Float64, "24 of 240 rows in sales have a price that is infinite or beyond"),
        ("price", math.nan, pl.Float64, "24 of 240 rows in sales have NaN as price"),
        ("shop", "", pl.String, "by column and rows of 240: shop (24)"),
        ("shop", " \u200b", pl.String, "by column and rows of 240: shop (24)"),
        ("shop", "north\xa0", pl.String, "differ from another only in Unicode form, invisible"),
        ("shop", "North", pl.String, "only in upper and lower case: \"North\" and \"north\""),
        ("shop", "x" * 5_000, pl.String, "have more than 1,000 characters, up to 5,000"),
        ("customer", "ann\u200b", pl.String, "2 of 2 ids of customer differ from another only in Unicode"),
        ("customer", " ", pl.String, "24 of 240 rows in sales have an empty or blank customer, "),
        ("day", datetime(9999, 12, 31), pl.Datetime("us"), "24 of 240 rows in sales have a day outside"),
        ("day", datetime(1, 1, 1), pl.Datetime("us"), "24 of 240 rows in sales have a day outside"),
    ],
)  # fmt: skip
def test_values_that_mean_nothing_or_look_alike_are_reported_with_column_and_rows(
    tmp_path, column, value, dtype, found
):
    frame = sales_frame(anchors("ann"))
    assert _findings(tmp_path / "plain", frame) == ""
    assert found in _findings(tmp_path, frame.with_columns(_every_tenth(column, value, dtype)))


_ALIKE = st.text(st.sampled_from("aA\u00e9e\u0301\u200b\xa0 \uff21"), min_size=1, max_size=3)


@many
@given(st.sets(_ALIKE.filter(lambda text: not is_blank(text)), min_size=1, max_size=12))
def test_values_that_look_alike_are_those_that_a_plain_loop_finds(tmp_path_factory, texts):
    def seen(text: str) -> str:
        form = unicodedata.normalize("NFKC", text)
        return "".join(c for c in form if unicodedata.category(c) not in ("Cc", "Cf")).strip()

    forms: dict[str, list[str]] = {}
    for text in texts:
        forms.setdefault(seen(text), []).append(text)
    cases: dict[str, list[str]] = {}
    for form in forms:
        cases.setdefault(form.lower(), []).append(form)
    wanted = [sum(len(g) for g in groups.values() if len(g) > 1) for groups in (forms, cases)]
    say = Subject(scenario_at(tmp_path_factory.mktemp("alike"), shop()), "tables")
    found = [finding.found for finding in _alike(say, "data", "values", pl.Series(sorted(texts)))]
    assert [int(text.split(" ")[0]) for text in found] == [count for count in wanted if count]


def test_a_class_name_in_another_unicode_form_is_told_apart_from_the_value_that_looks_like_it(mlc, tmp_path):
    rows = anchors("ann")
    write_shop_tables(tmp_path, rows)
    frame = pl.col("department").str.replace("Dress", "Caf\u00e9")
    products = tmp_path / "products.parquet"
    pl.read_parquet(products).with_columns(frame).write_parquet(products)
    names = ["Cafe\u0301", "Skirt"]
    scenario_at(tmp_path, shop(target={"class_names": names}))
    refused = mlc("check", tmp_path / "scenario.yaml")
    assert refused.code == 2
    assert (
        'Did you mean "Caf\\u00e9"? It looks like "Cafe\\u0301", but text is compared as it is' in refused.err
    )


def test_labels_that_look_alike_are_shown_spelled_out_in_the_line_that_joins_them(mlc, tmp_path):
    write_shop_tables(tmp_path, anchors("ann"))
    products = tmp_path / "products.parquet"
    other = pl.col("department").str.replace("Skirt", "Dress\u200b")
    pl.read_parquet(products).with_columns(other).write_parquet(products)
    scenario_at(tmp_path, shop(target={"class_names": {"top": 3}}))
    said = mlc("check", tmp_path / "scenario.yaml").out
    assert "only in Unicode form, invisible characters, case, space or punctuation" in said
    names = yaml.safe_load("{" + said.split("class_names: {")[1].split(", …}")[0] + "}")
    assert {"Dress", "Dress\u200b"} in map(set, names.values())


@pytest.mark.parametrize("share", [3, 40])
@pytest.mark.parametrize(
    "day", [datetime(1970, 1, 1), datetime(1900, 1, 1), datetime(2099, 12, 31), datetime(2261, 1, 1)]
)
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
@pytest.mark.parametrize("where", [None, "price > 0 OR price <= 0 OR price IS NULL"])
def test_a_date_that_stands_for_none_is_left_out_by_the_line_that_the_finding_gives(
    tmp_path, share, day, zone, where
):
    rows = anchors("ann")
    write_shop_tables(tmp_path, rows)
    stray = pl.int_range(pl.len()) % (len(rows) // share) == 0
    moment = pl.when(stray).then(pl.lit(day)).otherwise("day").cast(pl.Datetime("us")).alias("day")
    frame = sales_frame(rows).with_columns(moment)
    if zone:
        frame = frame.with_columns(pl.col("day").dt.replace_time_zone(zone))
    count = frame.select(stray.sum()).item()
    frame.write_parquet(tmp_path / "sales.parquet")
    value = shop()
    sales = value["data"]["tables"]["sales"]
    if where:
        sales["where"] = where
    now = datetime(2025, 1, 1)
    scenario = scenario_at(tmp_path, value)
    (said,) = [f for f in time_findings(scenario, None, now) if "years" in f.found]
    assert f"{count} of {len(rows)} events in sales lie years" in said.found
    sales["where"] = yaml.safe_load(said.advice[said.advice.index("where: ") :].removesuffix(" at sales"))[
        "where"
    ]
    mended = scenario_at(tmp_path, value)
    check_tables(mended)
    assert scan_events(mended, "sales").collect().height == len(rows) - count
    assert not [f for f in time_findings(mended, None, now) if "years" in f.found]


@pytest.mark.parametrize("value", ["", "  ", "\u200b\xa0"])
def test_a_blank_value_is_never_among_the_most_frequent_labels(tmp_path, value):
    sales = sales_frame(anchors("ann")).with_columns(
        pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit(value)).otherwise("product").alias("product")
    )
    target = {"column": "product", "class_names": {"top": 9}}
    found = _findings(tmp_path, sales, target=target)
    assert "120 of 240 events in sales have an empty or blank product, which is no label" in found
    scenario = scenario_at(tmp_path, shop(target=target))
    assert set(build(scenario, tmp_path / "runs").examples.labels.names) == {"p1", "p2", "p3"}


def test_an_empty_part_of_a_list_of_labels_is_no_label(tmp_path):
    sales = sales_frame(anchors("ann")).with_columns(pl.col("product") + pl.lit("| |"))
    target = {"column": "product", "separator": "|", "class_names": {"top": 9}}
    assert "240 of 240 events in sales have an empty or blank name among others" in _findings(
        tmp_path, sales, target=target
    )
    scenario = scenario_at(tmp_path, shop(target=target))
    assert set(build(scenario, tmp_path / "runs").examples.labels.names) == {"p1", "p2", "p3"}


@pytest.mark.parametrize("names", [[""], ["Dress", " "], {"": ["Dress"]}, {"\u200b": ["Dress"]}])
def test_a_class_name_without_a_visible_character_is_refused(tmp_path, names):
    with pytest.raises(ScenarioError, match="must have a visible character: empty and blank"):
        scenario_at(tmp_path, shop(target={"class_names": names}))


# ── times ───────────────────────────────────────────────────────────────────────────────────────


@many
@given(
    st.lists(
        st.tuples(
            st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)),
            st.sampled_from(["T", " "]),
            st.sampled_from(["seconds", "milliseconds", "microseconds"]),
            st.sampled_from(
                [("Z", 0), (" UTC", 0), ("+00:00", 0), ("+0230", 150), ("-05", -300), (" +14:00", 840)]
            ),
        ),
        min_size=1,
    )
)
def test_iso_text_with_an_offset_is_read_as_that_moment_in_utc(parts):
    texts, wanted = [], []
    for moment, between, precision, (offset, minutes) in parts:
        text = moment.isoformat(between, timespec=precision)
        texts.append(text + offset)
        wanted.append(datetime.fromisoformat(text) - timedelta(minutes=minutes))
    frame = pl.DataFrame({"t": texts})
    assert names_offsets(frame.lazy(), "t")
    found = frame.select(iso_expr(pl.col("t"), offsets=True))["t"]
    assert found.dtype == pl.Datetime("us", "UTC")
    assert found.dt.replace_time_zone(None).to_list() == wanted


@many
@given(
    st.sampled_from(["s", "ms", "us", "ns"]),
    st.lists(st.integers(-(10**18), 10**18), min_size=1),
    st.booleans(),
)
def test_a_number_since_1970_is_that_moment_or_missing(unit, ticks, as_text):
    dtype = pl.String if as_text else pl.Int64
    frame = pl.DataFrame({"t": [str(tick) if as_text else tick for tick in ticks]}, schema={"t": dtype})
    found = frame.select(epoch_expr(pl.col("t"), dtype(), unit))["t"].cast(pl.Int64).to_list()
    size = {"s": 10**6, "ms": 10**3, "us": 1}
    micros = [tick // 1000 if unit == "ns" else tick * size[unit] for tick in ticks]
    assert found == [micro if abs(micro) < 2**63 else None for micro in micros]


@pytest.mark.parametrize(
    ("written", "types"),
    [
        ("%Y-%m-%d %H:%M:%S+00:00", "datetime"),
        ("%d.%m.%Y %H:%M", '{kind: datetime, format: "%d.%m.%Y %H:%M"}'),
        ("%s", "{kind: datetime, unit: s}"),
    ],
)
def test_init_writes_the_types_line_that_reads_the_times(mlc, tmp_path, written, types):
    day = pl.col("at").dt.epoch("s") if written == "%s" else pl.col("at").dt.strftime(written)
    path = tmp_path / "sales.parquet"
    shop_tables()["sales"].with_columns(day).write_parquet(path)
    assert mlc("init", path).code == 0
    assert f"at: {types}" in (tmp_path / "scenario.yaml").read_text()
