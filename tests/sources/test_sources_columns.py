"""Columns are converted, chosen and computed as the scenario says, and none of them looks at other rows."""

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlc.errors import DataError
from mlc.events.store import open_store
from mlc.scenario import EventScenario
from mlc.scenario.row_sql import ROW_FUNCTIONS, row_sql
from mlc.sources import check_tables, conversion_problems, scan_events, scan_table
from tests.sources.test_source_kinds import refused, sales
from tests.support.small_tables import (
    anchors,
    build,
    few,
    folder,
    sales_frame,
    scenario_at,
    shop,
    silent,
    utc,
    write,
    write_shop,
)

SALES = anchors("ann")


@pytest.fixture
def place(tmp_path):
    write_shop(tmp_path, SALES)
    return tmp_path


# ── types ───────────────────────────────────────────────────────────────────────────────────────


def typed(place: Path, frame: pl.DataFrame, types: dict[str, Any]) -> EventScenario:
    """The shop with columns of its own beside those of the sales, as Parquet."""
    rows = sales_frame([SALES[0]] * frame.height)
    write(place / "s.parquet", pl.concat([rows, frame], how="horizontal"))
    return scenario_at(place, sales(path="s.parquet", types=types))


def test_an_id_in_a_csv_keeps_its_zeros(place):
    (place / "s.csv").write_text("customer,day,product\n007,2024-03-04,p1\n8,2024-03-05,p2\n")
    value = sales(path="s.csv", types={"customer": "text"})
    assert scan_table(scenario_at(place, value), "sales").collect()["customer"].to_list() == ["007", "8"]
    (place / "s.csv").write_text("customer,day,product\n007,04/03/2024,p1\n8,05/03/2024,p2\n")
    value = sales(path="s.csv", types={"customer": "text", "day": {"kind": "date", "format": "%d/%m/%Y"}})
    scenario = scenario_at(place, value)
    check_tables(scenario)
    events = scan_events(scenario, "sales").collect()
    assert events["entity_id"].to_list() == ["007", "8"]
    assert events["time"].to_list() == [datetime(2024, 3, 4), datetime(2024, 3, 5)]


MOMENT = datetime(2024, 3, 4, 18, 30)


@pytest.mark.parametrize(
    ("kind", "values", "wanted"),
    [
        ("text", [1, None, 20], ["1", None, "20"]),
        ("text", [date(2024, 3, 4)], ["2024-03-04"]),
        ("text", [True, False], ["true", "false"]),
        ("integer", ["7", " 8", None], [7, 8, None]),
        ("integer", [7.0, None, -8.0], [7, None, -8]),
        ("integer", [True, False], [1, 0]),
        ("number", ["7", " 8.5", "1e3"], [7.0, 8.5, 1000.0]),
        ("number", [7, None], [7.0, None]),
        ("boolean", ["True", "n", None, " YES", "0"], [True, False, None, True, False]),
        ("boolean", [1, 0, None], [True, False, None]),
        ("boolean", [True], [True]),
        ("date", ["2024-03-04", None], [date(2024, 3, 4), None]),
        ("date", [MOMENT], [date(2024, 3, 4)]),
        ({"kind": "date", "format": "%Y%m%d"}, [20240304, None], [date(2024, 3, 4), None]),
        ("datetime", ["2024-03-04 18:30", "2024-03-04T18:30:00", "2024-03-04 18:30:00.000"], [MOMENT] * 3),
        ("datetime", ["2024-03-04", None], [datetime(2024, 3, 4), None]),
        ("datetime", [MOMENT], [MOMENT]),
        ("datetime", [date(2024, 3, 4)], [datetime(2024, 3, 4)]),
        ({"kind": "datetime", "format": "%d/%m/%Y %H:%M"}, ["04/03/2024 18:30"], [MOMENT]),
        ("datetime", ["2024-03-04 20:30:00+02:00", "2024-03-04T18:30Z"], [utc(MOMENT)] * 2),
        (
            "datetime",
            [None, "2024-03-04 13:00:00.0-0530", "2024-03-04 18:30 UTC"],
            [None, *[utc(MOMENT)] * 2],
        ),
        ({"kind": "datetime", "unit": "s"}, [1709577000, None], [utc(MOMENT), None]),
        ({"kind": "datetime", "unit": "ms"}, ["1709577000000"], [utc(MOMENT)]),
        ({"kind": "datetime", "unit": "ns"}, [1709577000_000000000], [utc(MOMENT)]),
        ({"kind": "datetime", "unit": "s"}, ["1709577000.5"], [utc(MOMENT) + timedelta(seconds=0.5)]),
    ],
)
def test_values_are_converted_to_the_type_that_the_scenario_names(place, kind, values, wanted):
    scenario = typed(place, pl.DataFrame({"x": values}), {"x": kind})
    check_tables(scenario)
    assert not list(conversion_problems(scenario))
    assert scan_table(scenario, "sales").collect()["x"].to_list() == wanted


@pytest.mark.parametrize(
    ("kind", "values", "found"),
    [
        ("integer", ["7", "x", "1.5", "", "x"], "4 values of x are not integer ('x', '1.5', '')"),
        ("integer", [7.0, 1.5, float("nan")], "2 values of x are not integer (1.5, nan)"),
        ("number", ["1,5", "2"], "1 value of x is not number ('1,5')"),
        ("boolean", ["maybe", "yes"], "1 value of x is not boolean ('maybe')"),
        ("boolean", [0, 1, 2], "1 value of x is not boolean (2)"),
        ("date", [20240304], '(20240304). All values are read by types: {x: {kind: date, format: "%Y%m%d"}}'),
        (
            "integer",
            [2**63],
            f"({2**63}). They are beyond 64 bits: write types: {{x: text}}",
        ),
        ("datetime", ["31.03.2024"], 'All values are read by types: {x: {kind: date, format: "%d.%m.%Y"}}'),
        ("date", [1711909800], "(1711909800). All values are read by types: {x: {kind: datetime, unit: s}}"),
        (
            "datetime",
            ["2024-03-04 10:00:00", "2024-03-04 10:00:00Z"],
            "is without an offset from UTC and these are with",
        ),
        (
            "datetime",
            ["2024-03-04 10:00:00Z", "2024-03-04"],
            "is with an offset from UTC and these are without",
        ),
        ("datetime", ["2024-02-30"], "1 value of x is not datetime ('2024-02-30'). Add a format, such as"),
        ({"kind": "date", "format": "%d/%m/%Y"}, ["03/31/2024"], "('03/31/2024'). Choose another type, or"),
    ],
)
def test_values_that_cannot_be_converted_are_counted_and_shown_before_the_store_is_built(
    place, kind, values, found
):
    scenario = typed(place, pl.DataFrame({"x": values}, strict=False), {"x": kind})
    check_tables(scenario)
    with pytest.raises(DataError) as caught:
        open_store(scenario, place / "runs", silent)
    (problem,) = caught.value.problems
    assert problem.field == "data.tables.sales.types.x"
    assert found in problem.rule


def test_a_type_of_a_column_that_is_not_there_is_refused(place):
    (found,) = refused(place, sales(types={"prise": "number"}))
    assert found.startswith("prise: number | data.tables.sales.types.prise: sales has no column prise. ")
    assert found.endswith("Did you mean price?")
    (found,) = refused(place, sales(types={"price": "decimal"}))
    assert "data.tables.sales.types.price: unknown kind decimal, did you mean number?" in found
    (found,) = refused(place, sales(types={"price": {"kind": "number", "format": "%d"}}))
    assert "data.tables.sales.types.price.format: unknown field" in found


# ── columns ─────────────────────────────────────────────────────────────────────────────────────


def test_only_the_chosen_columns_are_read(place):
    value = sales(columns=["product", "day", "customer"])
    scenario = scenario_at(place, value)
    assert list(check_tables(scenario)["sales"].columns) == ["customer", "day", "product"]
    assert scan_table(scenario, "sales").collect().columns == ["customer", "day", "product"]
    scenario = scenario_at(place, sales(leave_out=["shop"]))
    assert "shop" not in check_tables(scenario)["sales"].columns
    store = open_store(scenario, place / "runs", silent)
    assert "sales.shop" not in [field.name for field in store.event_fields]
    assert "sales.price" in [field.name for field in store.event_fields]


def test_columns_that_the_scenario_uses_cannot_be_left_out(place):
    value = sales(
        leave_out=["customer", "day", "product", "price", "shop"],
        encoders={"shop": "ignore"},
        types={"price": "number"},
        where="price > 3",
        computed={"dear": "price > 4"},
    )
    value["data"]["tables"]["products"]["leave_out"] = ["code", "department"]
    found = refused(place, value)
    removed = "Columns or leave_out removes it."
    for wanted in (
        f"time: day | data.tables.sales.time: sales has no column day. {removed}",
        f"data.entity: sales has no column customer. {removed}".replace("data.entity", "data.tables.sales"),
        f"products: product | data.tables.sales.joins.products: sales has no column product. {removed}",
        f"shop: ignore | data.tables.sales.encoders.shop: sales has no column shop. {removed}",
        f"price: number | data.tables.sales.types.price: sales has no column price. {removed}",
        "data.tables.sales.where: not true or false for every row: price: columns or leave_out removes it",
        "computed.dear: no expression on the columns of sales: price: columns or leave_out",
        f"key: code | data.tables.products.key: products has no column code. {removed}",
        f"target.column: products has no column department. {removed}",
    ):
        assert any(wanted in line for line in found), wanted
    assert len(found) == 9


def test_a_chosen_column_that_is_not_there_is_refused(place):
    (found,) = refused(place, sales(leave_out=["shop", "colour"]))
    assert found.startswith("- colour | data.tables.sales.leave_out.1: sales has no column colour. ")
    assert any(
        "columns.0: sales has no column dey. Did you mean day?" in line
        for line in refused(place, sales(columns=["dey", "customer", "product"]))
    )
    (found,) = refused(place, sales(columns=["day", "day"]))
    assert "day is there twice. Remove one." in found


# ── computed ────────────────────────────────────────────────────────────────────────────────────


def test_computed_columns_can_be_used_wherever_columns_can(place):
    value = sales(
        computed={
            "code": "upper(product)",
            "spend": "price * 2",
            "double": "spend + spend",
            "first": "left(product, 1) || '1'",
        },
        where="double > 3",
        joins={"products": "first"},
        encoders={"spend": "category", "code": "category"},
    )
    value["target"].update(
        column="code",
        class_names=["P1", "P2"],
        rule={"kind": "exists", "where": "spend > 17 and code <> 'P3'"},
    )
    scenario = scenario_at(place, value)
    built = build(scenario, place / "runs")
    frame = scan_events(scenario, "sales").collect()
    assert frame["double"].to_list() == [36.0] * len(SALES)
    assert set(frame["products.department"]) == {"Dress"}
    assert built.store.values("sales.code") == ["P1", "P2", "P3"]
    assert built.store.values("sales.spend") == ["18.0"]
    targets = {tuple(targets) for _, targets in built.by_key().values()}
    assert targets == {(1, 1)}


@pytest.mark.parametrize(
    ("computed", "problem"),
    [
        (
            {"x": "prise * 2"},
            "of sales: there is no column prise, did you mean price?",
        ),
        ({"x": "price *"}, "on the columns of sales: it cannot be read as SQL"),
        ({"x": "y + 1", "y": "price"}, "on the columns of sales: there is no column y, known: "),
        ({"price": "price + 1"}, "sales has a column price already. Choose another name."),
        ({"time": "day"}, "the name time is taken. Choose another."),
        ({"x": "product * 2"}, "on the columns of sales: "),
    ],
)
def test_a_wrong_computed_column_is_refused(place, computed, problem):
    (found,) = refused(place, sales(computed=computed))
    assert problem in found
    assert f"data.tables.sales.computed.{next(iter(computed))}: " in found


# ── one row at a time ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("price > avg(price)", "avg(…) looks at other rows, which may be of the future"),
        ("price > AVG (price)", "avg(…) looks at other rows"),
        ('price > "avg"(price)', "avg(…) looks at other rows"),
        ("price > avg /* a mean */ (price)", "avg(…) looks at other rows"),
        ("price > avg -- a mean\n (price)", "avg(…) looks at other rows"),
        ("sum(price) over (partition by shop) > 3", "sum(…) looks at other rows"),
        ("price over (partition by shop) > 3", "OVER looks at other rows"),
        ("price > (select 3)", "SELECT looks at other rows"),
        ("lag(price) > 3", "lag(…) looks at other rows"),
        ("max(price) filter (where price > 3) > 2", "max(…) looks at other rows"),
        ("uper(shop) = 'NORTH'", "uper(…) is not known to do so. Did you mean upper"),
    ],
)
def test_an_expression_that_looks_at_other_rows_is_refused(place, expression, found):
    sees = f"an expression sees one row at a time: {found}"
    (problem,) = refused(place, sales(where=expression))
    assert f"data.tables.sales.where: {sees}" in problem
    (problem,) = refused(place, sales(computed={"x": expression}))
    assert f"data.tables.sales.computed.x: {sees}" in problem
    (problem,) = refused(place, shop(target={"rule": {"kind": "exists", "where": expression}}))
    assert f"target.rule.where: {sees}" in problem


@pytest.mark.parametrize(
    "expression",
    [
        "shop = 'avg(price) over (x)'",
        "price > 3 and (shop in ('a', 'b') or not (price between 1 and 2))",
        '"avg" > 3 and "select" = 4 and sum > 5',
        "case when (price > 3) then (1) else (2) end = 1",
        "cast(price as decimal(10, 2)) > 2 -- avg(price)",
        "shop = 'it''s (avg(x))' and day > '2024-01-01'::date",
        "products.cost > 3 and extract(year from day) = 2024",
    ],
)
def test_an_expression_on_one_row_is_let_through(expression):
    assert row_sql(expression) == expression


_ARGUMENTS = [
    "a", "a, a", "a, a, a", "s", "s, s", "s, s, s", "s, 1", "s, 3, 'x'", "s, 'a', 1", "l", "l, 1", "l, 'x'",
    "d", "'year', d", "d, '%Y'", "year from d", "a as text", "b, a, a", "s in s", "t",
]  # fmt: skip


def test_every_function_that_is_let_through_looks_at_one_row():
    frame = pl.DataFrame(
        {
            "a": [1, 5, 3],
            "s": ["2021-01-01", "ab", "c"],
            "l": [[1], [2, 3], []],
            "d": [MOMENT, datetime(2025, 1, 1), None],
            "b": [True, False, None],
            "t": ["2021-01-01"] * 3,
        }
    )
    tried = set()
    for function in sorted(ROW_FUNCTIONS):
        for arguments in _ARGUMENTS:
            if function in ("lpad", "rpad") and arguments != "s, 3, 'x'":
                continue  # the length is a number of characters: years have thousands of millions
            try:
                expression = pl.sql_expr(f"{function}({arguments})")
                together = frame.select(x=expression)["x"]
            except (pl.exceptions.PolarsError, TypeError):
                continue
            alone = pl.concat([frame[row : row + 1].select(x=expression)["x"] for row in range(3)])
            assert alone.equals(together), f"{function}({arguments})"
            tried.add(function)
    assert ROW_FUNCTIONS - tried <= {"pi", "strptime"}


@few
@given(prices=st.lists(st.none() | st.integers(-3, 3).map(float), min_size=1, max_size=20))
def test_computed_columns_equal_a_plain_loop(prices):
    rows = [{**SALES[0], "price": price} for price in prices]
    with folder() as name:
        write_shop(Path(name), rows)
        value = sales(computed={"twice": "price + price", "dear": "twice > 2"}, where="dear")
        frame = scan_table(scenario_at(Path(name), value), "sales").collect()
    assert frame["twice"].to_list() == [2 * price for price in prices if price is not None and price > 1]
