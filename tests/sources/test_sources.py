"""Tables are found, checked as a whole, filtered and joined."""

import os
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mlc.errors import DataError
from mlc.sources import (
    check_tables,
    conversion_problems,
    files_of,
    join_rates,
    rule_expr,
    scan_events,
    scan_table,
)
from tests.support.small_tables import START, anchors, sales_frame, scenario_at, shop, utc, write, write_shop

SALES = anchors("ann")[:6]


@pytest.fixture
def place(tmp_path):
    write_shop(tmp_path, SALES)
    return tmp_path


def problems_of(place: Path, value: dict[str, Any]) -> list[str]:
    """`line: field: rule` of every problem; each stands at a line of the scenario."""
    scenario = scenario_at(place, value)
    with pytest.raises(DataError) as caught:
        check_tables(scenario)
    for problem in caught.value.problems:
        file, _, line = problem.location.rpartition(":")
        assert file.endswith("scenario.yaml")
        assert problem.field.split(".")[-1] in scenario.origin.text.splitlines()[int(line) - 1] or (
            problem.field.split(".")[-2] in scenario.origin.text
        )
    return [f"{problem.field}: {problem.rule}" for problem in caught.value.problems]


def changed(**fields: Any) -> dict[str, Any]:
    """The shop with other fields of its sales table."""
    value = shop()
    value["data"]["tables"]["sales"].update(fields)
    return value


# ── files ───────────────────────────────────────────────────────────────────────────────────────


def test_a_missing_file_is_named_with_what_lies_beside_it(place):
    (found,) = problems_of(place, changed(path="sale.parquet"))
    assert found.startswith("data.tables.sales.path: no such file: ")
    assert "sale.parquet. Did you mean sales.parquet?" in found
    (found,) = problems_of(place, changed(path="nowhere/sales.parquet"))
    assert "There is no folder" in found
    (place / "folder").mkdir()
    (place / "folder" / "readme.md").write_text("nothing")
    (found,) = problems_of(place, changed(path="folder"))
    assert "The folder has no file that ends in .parquet, .pq, .csv" in found
    (found,) = problems_of(place, changed(path="s*.csv"))
    assert "no such file: " in found
    assert "Known: sales.parquet" in found


def test_folders_and_globs_are_read_sorted_and_without_hidden_files(tmp_path):
    home = tmp_path / "with [brackets] and *"
    write_shop(home, SALES)
    for name in ("b.parquet", "a.PARQUET", "sub/c.parquet", "_temporary/d.parquet", ".hidden.parquet"):
        write(home / "many" / name.lower(), sales_frame(SALES[:1]))
        (home / "many" / name.lower()).rename(home / "many" / name)
    folder = files_of(scenario_at(home, changed(path="many")), "sales")
    assert [str(file.relative_to(home / "many")) for file in folder] == [
        "a.PARQUET",
        "b.parquet",
        "sub/c.parquet",
    ]
    one = files_of(scenario_at(home, changed(path="many/?.parquet")), "sales")
    assert [file.name for file in one] == ["b.parquet"]
    below = files_of(scenario_at(home, changed(path=f"{home}/many/b.parquet")), "sales")
    assert below == one
    deep = files_of(scenario_at(tmp_path, changed(path="*brackets*/many/**/c.parquet")), "sales")
    assert [file.name for file in deep] == ["c.parquet"]


def test_a_file_whose_name_has_brackets_is_that_file(place):
    write(place / "sales [2024].parquet", sales_frame(SALES))
    scenario = scenario_at(place, changed(path="sales [2024].parquet"))
    assert scan_table(scenario, "sales").collect().height == 6


def test_a_url_goes_to_polars_as_it_is(place):
    scenario = scenario_at(place, changed(path=f"file://{place}/s*.parquet"))
    assert scan_table(scenario, "sales").collect().height == 6


def test_csv_files_have_dates_separators_and_null_values(place):
    (place / "sales.tsv").write_text(
        "customer\tday\tproduct\tprice\n7\t2024-03-04\tp1\t1\n8\t2024-03-05\t-\t\n"
    )
    scenario = scenario_at(place, changed(path="sales.tsv"))
    check_tables(scenario)
    assert scan_table(scenario, "sales").collect().schema["day"] == pl.Date
    (place / "sales.dat").write_text("customer;day;product\n7;2024-03-04 10:00:00;-\n")
    text = {"kind": "csv", "separator": ";", "null_values": ["-"]}
    row = scan_events(scenario_at(place, changed(path="sales.dat", format=text)), "sales").collect()
    assert row["product"].to_list() == [None]
    assert row["time"].to_list() == [START.replace(hour=10)]


@pytest.mark.parametrize("name", ["junk.parquet", "junk.csv"])
def test_junk_is_a_problem_of_the_path(place, name):
    (place / name).write_bytes(os.urandom(9) + b"\x00\xff\xfe" if name.endswith("parquet") else b"")
    (found,) = problems_of(place, changed(path=name))
    said = {
        "junk.csv": "data.tables.sales.path: junk.csv has no row. Name files that have rows.",
        "junk.parquet": "data.tables.sales.path: junk.parquet: it is not a Parquet file. ",
    }
    assert found.startswith(said[name])


def test_files_of_one_table_must_have_the_same_columns(place):
    frame = sales_frame(SALES)
    write(place / "many" / "1.parquet", frame)
    write(place / "many" / "2.parquet", frame.select(reversed(frame.columns)))
    check_tables(scenario_at(place, changed(path="many")))
    write(place / "many" / "3.parquet", frame.with_columns(pl.col("price").cast(pl.Float32)))
    (found,) = problems_of(place, changed(path="many"))
    assert "3.parquet: price is Float32, in 1.parquet it is Float64. Write it with one type" in found
    write(place / "many" / "3.parquet", frame.drop("shop"))
    (found,) = problems_of(place, changed(path="many"))
    assert "3.parquet: it has no column shop, unlike 1.parquet. Add shop to it" in found
    (place / "many" / "3.parquet").write_bytes(b"junk")
    assert "many/3.parquet: it is not a Parquet file" in problems_of(place, changed(path="many"))[0]


# ── columns ─────────────────────────────────────────────────────────────────────────────────────


def test_all_problems_of_all_tables_come_at_once(place):
    value = shop(target={"column": "products.departmnt"}, examples={"test_from": utc(START)})
    value["data"]["tables"]["sales"].update(
        time="dey",
        where="prise > 3",
        encoders={"shop": "number", "colour": "ignore"},
        joins={"products": "price"},
    )
    value["data"]["tables"]["products"]["key"] = "kode"
    value["data"]["tables"]["visits"] = {
        "kind": "events",
        "path": "visits.parquet",
        "time": "day",
        "entity": "who",
    }
    value["data"]["tables"]["people"] = {"kind": "entities", "path": "people.parquet", "key": "id"}
    write(place / "visits.parquet", [{"who": 3, "day": "2024-01-01"}])
    found = "\n".join(problems_of(place, value))
    for wanted in (
        "data.tables.sales.time: sales has no column dey. Did you mean day?",
        "data.tables.sales.where: not true or false for every row: there is no column",
        "data.tables.sales.encoders.shop: must be a number, not String",
        "data.tables.sales.encoders.colour: sales has no column colour. Known: customer, day, ",
        "data.tables.products.key: products has no column kode. Did you mean code?",
        "data.tables.visits.time: day is String, not a date or datetime; types: {day: datetime} reads",
        "data.entity: entity ids are of two types: sales.customer is text, visits.who is",
        "data.tables.people.path: no such file: ",
        "examples.test_from: has a time zone, and the tables have none. Remove it.",
        "target.column: products has no column departmnt. Did you mean department?",
    ):
        assert wanted in found
    assert len(found.splitlines()) == 10


def test_join_columns_must_have_one_type(place):
    (found,) = problems_of(place, changed(joins={"products": "price"}))
    assert found == (
        "data.tables.sales.joins.products: sales.price and products.code are of two types, "
        "Float64 and String. Add types: {price: text} to sales."
    )
    (found,) = problems_of(place, changed(joins={"products": "produkt"}))
    assert "sales has no column produkt. Did you mean product?" in found


def test_times_have_a_zone_everywhere_or_nowhere(place):
    value = shop()
    value["data"]["tables"]["visits"] = {"kind": "events", "path": "visits.parquet", "time": "day"}
    write(place / "visits.parquet", sales_frame(SALES, "us Paris"))
    (found,) = problems_of(place, value)
    assert found == "data.tables: times with and without a time zone: sales without, visits with"
    write(place / "sales.parquet", sales_frame(SALES, "ns New York"))
    check_tables(scenario_at(place, {**value, "examples": {"test_from": utc(START)}}))
    check_tables(scenario_at(place, {**value, "examples": {"test_from": START}}))


@pytest.mark.parametrize("entity", [pl.Float64, pl.Boolean, pl.Date])
def test_entities_are_text_or_whole_numbers(place, entity):
    frame = sales_frame(SALES).with_columns(pl.lit(None, entity).alias("customer"))
    write(place / "sales.parquet", frame)
    (found,) = problems_of(place, shop())
    assert found.startswith("data.tables.sales: sales.customer must be text or a whole number, not ")


@pytest.mark.parametrize(
    ("one", "other", "kind"),
    [
        (1.0, 2.0, "integer"),
        (1.0, 2.5, "text"),
        (-3.0, 1e30, "text"),
        (Decimal("7"), Decimal("8"), "integer"),
        (Decimal("7.25"), Decimal("8"), "text"),
        (True, False, "text"),
        (b"a", b"b", "text"),
        (date(2024, 1, 1), date(1999, 1, 1), "text"),
        (datetime(2024, 1, 1, 5), datetime(1999, 1, 1), "text"),
        (b"\xff", b"\xfe", None),
        ([1], [2], None),
    ],
)
@pytest.mark.parametrize("role", ["ids", "labels"])
def test_the_types_line_for_ids_and_labels_of_odd_types_works_when_typed(place, role, one, other, kind):
    column = "customer" if role == "ids" else "shop"
    odd = pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit(one)).otherwise(pl.lit(other)).alias(column)
    write(place / "sales.parquet", sales_frame(SALES).with_columns(odd))
    target = {} if role == "ids" else {"column": "shop", "class_names": {"top": 2, "min_support": 1}}
    if role == "labels" and isinstance(one, bool | list):
        return  # true and false are names, and a list of whole numbers is several labels
    (found,) = problems_of(place, shop(target=target))
    if kind is None:
        assert found.endswith("Write it as text in the source.")
        return
    assert found.endswith(f". Add types: {{{column}: {kind}}} to sales.")
    value = changed(types={column: kind})
    value["target"] |= target
    scenario = scenario_at(place, value)
    check_tables(scenario)
    assert scan_events(scenario, "sales").collect().height == len(SALES)
    assert not list(conversion_problems(scenario))


def test_an_entity_column_that_is_missing_is_named(place):
    value = shop()
    value["data"]["entity"] = "custmer"
    assert "sales has no column custmer. Did you mean customer?" in problems_of(place, value)[0]
    assert problems_of(place, changed(entity="who"))[0].startswith(
        "data.tables.sales.entity: sales has no column"
    )


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("price >", "it cannot be read as SQL"),
        ("prise > 3", "there is no column prise, did you mean price?"),
        ("price", "it gives a number, not true or false"),
        ("product > 3", "it compares a number with text; write numbers without quotes"),
        ("day > '2024-03-04'", "it compares a date with text; write date('2024-03-04')"),
    ],
)
def test_a_bad_where_is_a_problem_of_the_table_or_of_the_rule(place, where, reason):
    (found,) = problems_of(place, changed(where=where))
    assert found.startswith("data.tables.sales.where: not true or false for every row: ")
    assert reason in found
    (found,) = problems_of(place, shop(target={"rule": {"kind": "exists", "where": where}}))
    assert found.startswith("target.rule.where: not true or false for every event: ")
    assert reason in found


def test_the_target_must_be_there_and_no_fraction(place):
    (found,) = problems_of(place, shop(target={"column": "price"}))
    said = "target.column: sales.price must be text, not Float64. Add types: {price: integer} to sales."
    assert found == said
    (found,) = problems_of(place, shop(target={"column": "prodct"}))
    assert found == "target.column: sales has no column prodct. Did you mean product?"


@pytest.mark.parametrize("column", ["time", "entity_id"])
def test_columns_that_our_own_names_hide_cannot_be_asked_for(place, column):
    frame = sales_frame(SALES).with_columns(pl.lit("p1").alias(column))
    write(place / "sales.parquet", frame)
    check_tables(scenario_at(place, shop()))
    for value in (
        shop(target={"column": column}),
        changed(joins={"products": column}),
        shop(target={"rule": {"kind": "exists", "where": f"{column} = 'x'"}}),
    ):
        if value["target"]["column"] == column:
            value["data"]["tables"]["sales"]["joins"] = {"products": "product"}
        assert any(f"sales.{column} cannot be used, since " in found for found in problems_of(place, value))


def test_names_with_dots_are_found_in_the_file(tmp_path):
    write(tmp_path / "s.parquet", [{"c": 1, "at": START, "x.y": "a"}])
    table = {"kind": "events", "path": "s.parquet", "time": "at", "encoders": {"x.y": "number"}}
    value = {
        "data": {"entity": "c", "tables": {"s.v1": table}},
        "target": {"table": "s.v1", "column": "c", "class_names": ["1"], "window_days": 1},
    }
    scenario = scenario_at(tmp_path, value)
    with pytest.raises(DataError) as caught:
        check_tables(scenario)
    line = scenario.origin.text.splitlines().index("        x.y: number") + 1
    assert caught.value.problems[0].location.endswith(f":{line}")


# ── joins ───────────────────────────────────────────────────────────────────────────────────────


def test_join_rates_name_the_most_frequent_keys_without_a_row(place):
    rows = [{**SALES[0], "product": code} for code in ("p1", "zz", "zz", "yy", None)]
    write(place / "sales.parquet", sales_frame(rows))
    (rate,) = join_rates(scenario_at(place, shop()))
    assert (rate.events, rate.matched, rate.unmatched_keys) == (5, 1, ("zz", "null", "yy"))


def test_a_join_keeps_the_order_and_number_of_the_events(place):
    rows = [
        {**SALES[0], "product": code, "price": float(i)} for i, code in enumerate(["p3", "zz", None, "p1"])
    ]
    write(place / "sales.parquet", sales_frame(rows))
    frame = scan_events(scenario_at(place, shop()), "sales").collect()
    assert frame["price"].to_list() == [0.0, 1.0, 2.0, 3.0]
    assert frame["products.department"].to_list() == ["Hat", None, None, "Dress"]
    assert frame.schema["time"] == pl.Datetime("us")


@pytest.mark.parametrize(
    ("where", "same"),
    [
        ("products.cost > 3", '"products.cost" > 3'),
        ("my_products.cost > 3", "my_products.cost > 3"),
        ("shop = 'products.cost'", "shop = 'products.cost'"),
        (
            "shop = 'it''s products.cost' and products.cost > 1",
            "shop = 'it''s products.cost' and \"products.cost\" > 1",
        ),
        ('"products.cost" > products.cost', '"products.cost" > "products.cost"'),
    ],
)
def test_joined_columns_need_no_quotes(place, where, same):
    assert str(rule_expr(scenario_at(place, shop()), where)) == str(pl.sql_expr(same))
