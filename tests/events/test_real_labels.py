"""The label grammar on the four real sets: every cell recomputed by DuckDB, from the files."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from mlc.events.preparing import Prepared, prepare
from mlc.tables import UNKNOWN, targets_of
from tests.support.event_scenarios import load_events
from tests.support.places import ROOT
from tests.support.small_tables import silent

CONFIGS = ROOT / "configs" / "public"
DATA = os.environ.get("MLC_DATA", "/nonexistent")
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not Path(DATA).is_dir(), reason="$MLC_DATA is not the folder of the real tables"),
]


@dataclass(frozen=True)
class Real:
    """A real set in SQL, and in words of its scenario.

    Attributes:
        events: Entity, time, value, amount, and whether `where` holds, of every event of the target's table.
        amount: The column to add up …
        least: … to this; no sum of cents meets it exactly, since engines add in different orders.
        where: The condition of `events`.
        values: Two of the values.
        pattern: A regular expression that is found in some.
        others: Entity and time of the events of other tables.
    """

    events: str
    amount: str
    least: float
    where: str
    values: tuple[str, str]
    pattern: str
    others: str = "SELECT NULL, NULL WHERE false"


SETS = {
    "completejourney": Real(
        "SELECT household_id, transaction_timestamp, department, sales_value, "
        "brand = 'Private' AND quantity > 1 "
        "FROM 'transactions_sample.parquet' LEFT JOIN 'products.parquet' USING (product_id)",
        "sales_value",
        9.995,
        "products.brand = 'Private' and quantity > 1",
        ("PRODUCE", "MEAT"),
        "^MEAT|-PCKGD$",
        "SELECT household_id, redemption_date FROM 'coupon_redemptions.parquet'",
    ),
    "nycflights13": Real(
        "SELECT tailnum, dep_ts, dest, distance, tz < -5 OR carrier = 'B6' "
        "FROM 'flights.parquet' LEFT JOIN 'airports.parquet' ON dest = faa",
        "distance",
        3000,
        "airports.tz < -5 or carrier = 'B6'",
        ("LAX", "SFO"),
        "^M",
    ),
    "online_retail": Real(
        "SELECT customer_id, invoice_ts, category, unit_price, "
        "median_price > 2 AND country <> 'United Kingdom' "
        "FROM 'transactions.parquet' LEFT JOIN 'products.parquet' USING (stock_code) WHERE quantity > 0",
        "unit_price",
        10.0004,
        "products.median_price > 2 and country <> 'United Kingdom'",
        ("Bags", "Cards, wrap & stationery"),
        "& c",
    ),
    "purchase_cards": Real(
        "SELECT card_id, trans_date, category, amount, amount > 50 AND cost_centres.directorate IS NOT NULL "
        "FROM 'transactions.parquet' LEFT JOIN 'categories.parquet' USING (category_code) "
        "LEFT JOIN 'cost_centres.parquet' AS cost_centres USING (cost_centre_code)",
        "amount",
        250.005,
        "amount > 50 and cost_centres.directorate is not null",
        ("Mat'l Raw/Drct", "Books"),
        "^Equip|Fuel",
    ),
}


@dataclass(frozen=True)
class Label:
    """A label in SQL: which events count, and for how many days."""

    condition: str
    days: int


def cells(real: Real, prepared: Prepared, labels: list[Label]) -> tuple[list[Any], np.ndarray]:
    """The keys (entity, cutoff) in order and their targets, by queries over the files."""
    target, examples = prepared.scenario.target, prepared.scenario.examples
    rule: Any = target.rule
    sql = connection(real, prepared)
    sql.execute("CREATE TABLE counted (entity INTEGER, t TIMESTAMP, k INTEGER, days INTEGER, amount DOUBLE)")
    for k, label in enumerate(labels):
        met = f"({label.condition}) AND {'met' if rule.where else 'true'}"
        sql.execute(
            f"INSERT INTO counted SELECT entity, t, {k}, {label.days}, amount FROM events WHERE {met}"
        )
    sql.execute("CREATE TABLE cutoffs (cutoff TIMESTAMP)")
    sql.executemany("INSERT INTO cutoffs VALUES (?)", [[cutoff] for cutoff, _ in prepared.cutoffs.rows])
    sql.execute(
        "CREATE TABLE eligible AS "
        "SELECT entity, cutoff, row_number() OVER (ORDER BY entity, cutoff) - 1 AS n "
        "FROM every, cutoffs WHERE every.t <= cutoff "
        f"GROUP BY entity, cutoff HAVING count(*) >= {examples.min_history_events} "
        f"AND max(every.t) > cutoff - to_days({examples.active_within_days or 100_000})"
    )
    opens, pair = (
        f"cutoff + to_days({target.gap_days})",
        "SELECT entity, cutoff, k FROM counted, cutoffs WHERE",
    )
    window = f"{pair} t > {opens} AND t <= {opens} + to_days(days) GROUP BY entity, cutoff, k"
    past = f"{pair} t <= cutoff"
    positive = {
        "exists": lambda: window,
        "count_at_least": lambda: f"{window} HAVING count(*) >= {rule.times}",
        "sum_at_least": lambda: f"{window} HAVING sum(amount) >= {rule.amount}",
        "new": lambda: f"{window} EXCEPT {past}",
        "lapsed": lambda: f"{past} AND t > cutoff - to_days({rule.active_within_days}) EXCEPT {window}",
    }[rule.kind]()
    keys = sql.execute("SELECT name, cutoff FROM eligible JOIN entities USING (entity) ORDER BY n").fetchall()
    found = sql.execute(f"SELECT n, k FROM eligible JOIN ({positive}) USING (entity, cutoff)").fetchnumpy()
    targets_NK = np.zeros((len(keys), len(labels)), dtype=np.uint8)
    targets_NK[found["n"], found["k"]] = 1
    left_N = np.array(
        [prepared.cutoffs.observed_until - cutoff for _, cutoff in keys], dtype="timedelta64[us]"
    )
    reach_K = np.array([target.gap_days + label.days for label in labels], dtype="timedelta64[D]")
    targets_NK[left_N[:, None] < reach_K] = UNKNOWN
    return keys, targets_NK


def connection(real: Real, prepared: Prepared) -> Any:
    """A database with `events`, those that may count, `every` event, and the names of the `entities`."""
    sql = duckdb.connect()
    sql.execute("SET threads = 2")
    sql.execute(f"SET file_search_path = '{DATA}/{prepared.scenario.name}'")
    sql.execute("CREATE TABLE named (name VARCHAR, t TIMESTAMP, value VARCHAR, amount DOUBLE, met BOOLEAN)")
    sql.execute(f"INSERT INTO named {real.events}")
    sql.execute("CREATE TABLE others (name VARCHAR, t TIMESTAMP)")
    sql.execute(f"INSERT INTO others {real.others}")
    both = "(SELECT name, t FROM named UNION ALL SELECT name, t FROM others)"
    sql.execute(
        f"CREATE TABLE entities AS SELECT name, row_number() OVER (ORDER BY name) AS entity FROM {both} "
        "WHERE name IS NOT NULL AND t IS NOT NULL GROUP BY name"
    )
    for table, rows in (("events", "named"), ("every", both)):
        chosen = f"SELECT * EXCLUDE (name) FROM {rows} JOIN entities USING (name) WHERE t IS NOT NULL"
        sql.execute(f"CREATE TABLE {table} AS {chosen}")
    return sql


def same_cells(real: Real, prepared: Prepared, labels: list[Label]) -> np.ndarray:
    """Compare every cell; gives the targets."""
    table = prepared.examples.table
    ours = table.with_columns(table["entity_id"].cast(str)).sort("entity_id", "cutoff")
    keys, targets_NK = cells(real, prepared, labels)
    assert ours.select("entity_id", "cutoff").rows() == keys
    np.testing.assert_array_equal(targets_of(ours), targets_NK)
    assert (targets_NK == 1).sum() > 100
    return targets_NK


def own(value: str) -> str:
    """The condition of a label that stands for one value."""
    return "value = '" + value.replace("'", "''") + "'"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder where each set's event store is built once."""
    return tmp_path_factory.mktemp("real")


@pytest.fixture
def labels_of(runs):
    """Builds the labels of a shipped scenario, some of its fields changed."""

    def built(name: str, **changed: Any) -> Prepared:
        changes = [f"{key.replace('__', '.')}={json.dumps(value)}" for key, value in changed.items()]
        scenario = load_events(CONFIGS / f"{name}.yaml", [*changes, "target.allow_empty=true"])
        return prepare(scenario, runs, silent)

    return built


def each_value(prepared: Prepared) -> list[Label]:
    """The labels of a scenario whose labels are values."""
    labels = prepared.examples.labels
    return [Label(own(name), days) for name, days in zip(labels.names, labels.windows_days, strict=True)]


CASES: dict[str, Any] = {
    "as_shipped": lambda _: {},
    "count_at_least": lambda _: {"target__rule": {"kind": "count_at_least", "times": 2}},
    "sum_at_least": lambda real: {
        "target__rule": {"kind": "sum_at_least", "column": real.amount, "amount": real.least}
    },
    "new": lambda _: {"target__rule": {"kind": "new"}},
    "lapsed": lambda _: {"target__rule": {"kind": "lapsed", "active_within_days": 45}},
    "where": lambda real: {"target__rule": {"kind": "exists", "where": real.where}},
    "new_where": lambda real: {"target__rule": {"kind": "new", "where": real.where}, "target__gap_days": 3},
    "gap": lambda _: {"target__gap_days": 7},
    "eligible": lambda _: {"examples__min_history_events": 5, "examples__active_within_days": 30},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", SETS)
def test_every_cell_is_that_of_the_query(labels_of, name, case):
    real = SETS[name]
    prepared = labels_of(name, **CASES[case](real))
    same_cells(real, prepared, each_value(prepared))


@pytest.mark.parametrize("name", [name for name in SETS if name != "online_retail"])
@pytest.mark.parametrize("case", ["as_shipped", "where"])
def test_the_most_frequent_values_are_those_of_the_query(labels_of, name, case):
    real = SETS[name]
    prepared = labels_of(name, **CASES[case](real))
    names = list(prepared.examples.labels.names)
    met = "met" if case == "where" else "true"
    found = connection(real, prepared).execute(
        f"SELECT value FROM events WHERE t <= ? AND value IS NOT NULL AND {met} "
        "GROUP BY value ORDER BY count(*) DESC, value LIMIT ?",
        [prepared.cutoffs.fit_until, len(names)],
    )
    assert [value for (value,) in found.fetchall()] == names


@pytest.mark.parametrize("name", SETS)
def test_two_windows_have_the_cells_of_the_query_and_the_longer_is_unknown_first(labels_of, name):
    real = SETS[name]
    values = list(real.values)
    test_from = labels_of(name, target__window_days=28).cutoffs.splits["test"][0]
    prepared = labels_of(
        name,
        target__class_names=values,
        target__window_days=[7, 28],
        examples__every_days=7,
        examples__test_from=f"{test_from:%Y-%m-%d}",
    )
    assert list(prepared.examples.labels.names) == [f"{v} {days}d" for v in values for days in (7, 28)]
    targets_NK = same_cells(real, prepared, [Label(own(v), days) for v in values for days in (7, 28)])
    unknown_K = (targets_NK == UNKNOWN).mean(axis=0)
    assert (unknown_K[0::2] == 0).all()
    assert (unknown_K[1::2] > 0.01).all()


@pytest.mark.parametrize("name", SETS)
def test_groups_with_patterns_conditions_and_own_windows_have_the_cells_of_the_query(labels_of, name):
    real = SETS[name]
    one, other = real.values
    groups = {
        "either": {"values": [one, other]},
        "found": {"pattern": real.pattern},
        "met": {"values": [one, other], "pattern": real.pattern, "where": real.where},
        "soon": {"values": [other], "window_days": 9},
    }
    prepared = labels_of(name, target__class_names=groups)
    either, found = f"{own(one)} OR {own(other)}", f"regexp_matches(value, '{real.pattern}')"
    days = prepared.scenario.target.windows[0]
    labels = [
        Label(either, days),
        Label(found, days),
        Label(f"({either} OR {found}) AND met", days),
        Label(own(other), 9),
    ]
    same_cells(real, prepared, labels)
