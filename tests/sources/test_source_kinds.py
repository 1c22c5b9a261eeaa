"""The same rows from every kind of source give the same labels; databases tell no secrets."""

import importlib.util
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl
import pytest

from mlc.errors import DataError, ScenarioError
from mlc.events.store import open_store, store_fingerprint
from mlc.scenario import resolved, scenario_yaml
from mlc.sources import check_tables, scan_table
from mlc.sources.databases import forget_queries
from tests.sources.conftest import PASSWORD
from tests.support.event_scenarios import load_events
from tests.support.small_tables import (
    CODES,
    START,
    Rows,
    anchors,
    build,
    sales_frame,
    scenario_at,
    shop,
    silent,
    write_shop,
)

DAY = timedelta(days=1)
ROWS: Rows = anchors("ann") + [
    {"customer": who, "day": START + i * DAY / 3, "product": CODES[i % 6], "price": price, "shop": "north"}
    for i, (who, price) in enumerate([("bob", 0.5), ("eve", None), ("007", 3.0), (None, 3.5)] * 20)
]
FRAME = sales_frame(ROWS)


def sales(**fields: Any) -> dict[str, Any]:
    """The shop with other fields of its sales table; None takes a field away."""
    value = shop()
    table = {**value["data"]["tables"]["sales"], **fields}
    value["data"]["tables"]["sales"] = {name: field for name, field in table.items() if field is not None}
    return value


def refused(place: Path, value: dict[str, Any]) -> list[str]:
    """Every problem as `text of its line | field: rule`, found on loading or in the tables."""
    with pytest.raises((ScenarioError, DataError)) as caught:
        check_tables(scenario_at(place, value))
    lines = (place / "scenario.yaml").read_text().splitlines()
    found = []
    for problem in caught.value.problems:
        file, _, line = problem.location.rpartition(":")
        assert file == str(place / "scenario.yaml")
        found.append(f"{lines[int(line) - 1].strip()} | {problem.field}: {problem.rule}")
    return found


# ── every kind of source ────────────────────────────────────────────────────────────────────────


def write_sqlite(path: Path, frame: pl.DataFrame = FRAME) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TABLE IF EXISTS sales")
        connection.execute(
            "CREATE TABLE sales (customer TEXT, day TEXT, product TEXT, price REAL, shop TEXT)"
        )
        texts = frame.with_columns(pl.col("day").cast(pl.String))
        connection.executemany("INSERT INTO sales VALUES (?, ?, ?, ?, ?)", texts.rows())


def query(uri: str) -> dict[str, Any]:
    return {"path": None, "format": {"kind": "sql", "uri": uri, "query": "SELECT * FROM sales"}}


def as_parquet(place: Path, _: pytest.FixtureRequest) -> dict[str, Any]:
    FRAME.write_parquet(place / "s.parquet")
    return {"path": "s.parquet"}


def as_csv(place: Path, _: pytest.FixtureRequest) -> dict[str, Any]:
    FRAME.write_csv(place / "s.csv")
    return {"path": "s.csv", "types": {"customer": "text"}}


def as_arrow(place: Path, _: pytest.FixtureRequest) -> dict[str, Any]:
    (place / "many").mkdir()
    for part, ending in enumerate(("arrow", "feather", "ipc")):
        FRAME[part::3].write_ipc(place / "many" / f"{part}.{ending}")
    return {"path": "many"}


def as_arrow_url(place: Path, _: pytest.FixtureRequest) -> dict[str, Any]:
    FRAME.write_ipc(place / "s.arrow")
    return {"path": f"file://{place}/*.arrow"}


def as_ndjson(place: Path, _: pytest.FixtureRequest) -> dict[str, Any]:
    FRAME.write_ndjson(place / "s.jsonl")
    return {"path": "s.jsonl", "types": {"day": "datetime"}}


def as_delta(place: Path, _: pytest.FixtureRequest) -> dict[str, Any]:
    FRAME.write_delta(str(place / "s"))
    return {"path": "s", "format": "delta"}


def iceberg_table(place: Path, frame: pl.DataFrame = FRAME) -> str:
    """Write an Iceberg table; returns its newest metadata file."""
    catalog_module = pytest.importorskip("pyiceberg.catalog.sql")
    catalog = catalog_module.SqlCatalog("c", uri=f"sqlite:///{place}/c.db", warehouse=f"file://{place}/house")
    catalog.create_namespace_if_not_exists("n")
    rows = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    table = catalog.create_table_if_not_exists("n.sales", schema=rows.schema)
    table.append(rows)
    catalog.engine.dispose()
    return str(table.metadata_location).removeprefix("file://")


def as_iceberg(place: Path, _: pytest.FixtureRequest) -> dict[str, Any]:
    return {"path": iceberg_table(place), "format": "iceberg"}


def as_sqlite(place: Path, _: pytest.FixtureRequest) -> dict[str, Any]:
    write_sqlite(place / "shop.db")
    return {**query("sqlite:///shop.db"), "types": {"day": "datetime"}}


def as_duckdb(place: Path, _: pytest.FixtureRequest) -> dict[str, Any]:
    duckdb = pytest.importorskip("duckdb")
    FRAME.write_parquet(place / "s.parquet")
    with duckdb.connect(str(place / "shop.duckdb")) as connection:
        connection.execute(f"CREATE TABLE sales AS FROM '{place}/s.parquet'")
    return query(f"duckdb:///{place}/shop.duckdb")


def as_postgres(_: Path, request: pytest.FixtureRequest) -> dict[str, Any]:
    psycopg = pytest.importorskip("psycopg")
    uri = request.getfixturevalue("postgres")
    with psycopg.connect(uri.replace("${MLC_TEST_PASSWORD}", quote(PASSWORD, safe=""))) as connection:
        connection.execute(
            "CREATE TABLE sales (customer text, day timestamp, product text, price float8, shop text)"
        )
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO sales VALUES (%s, %s, %s, %s, %s)", FRAME.rows())
    return query(uri)


KINDS: list[Callable[[Path, pytest.FixtureRequest], dict[str, Any]]] = [
    as_csv, as_arrow, as_arrow_url, as_ndjson, as_delta, as_iceberg, as_sqlite, as_duckdb, as_postgres,
]  # fmt: skip


@pytest.mark.parametrize("written", KINDS, ids=lambda written: written.__name__)
def test_the_same_rows_from_every_kind_of_source_give_the_same_labels(tmp_path, request, written):
    write_shop(tmp_path, ROWS)
    wanted = build(scenario_at(tmp_path, shop()), tmp_path / "runs")
    found = build(scenario_at(tmp_path, sales(**written(tmp_path, request))), tmp_path / "other")
    assert found.examples.table.equals(wanted.examples.table)
    assert {"007", "ann", "bob", "eve"} <= set(found.examples.table["entity_id"])
    assert found.store.counts == wanted.store.counts
    again = load_events(tmp_path / "scenario.yaml")
    forget_queries()
    assert store_fingerprint(again) == found.store.fingerprint


def test_compressed_text_files_are_read_by_the_ending_before_the_last(tmp_path):
    import gzip

    write_shop(tmp_path, ROWS)
    (tmp_path / "s.ndjson.gz").write_bytes(gzip.compress(FRAME.write_ndjson().encode()))
    (tmp_path / "s.csv.gz").write_bytes(gzip.compress(FRAME.write_csv().encode()))
    for path in ("s.ndjson.gz", "s.csv.gz"):
        assert scan_table(scenario_at(tmp_path, sales(path=path)), "sales").collect().height == len(ROWS)


@pytest.mark.parametrize("path", ["junk.arrow", "junk.ndjson"])
def test_junk_in_a_new_format_is_a_problem_of_the_path(tmp_path, path):
    write_shop(tmp_path, ROWS)
    (tmp_path / path).write_bytes(b"junk\n\xff")
    what = "it is not an Arrow file" if path.endswith("arrow") else "line 2: the byte 0xFF is not UTF-8 text"
    (found,) = refused(tmp_path, sales(path=path))
    assert f"data.tables.sales.path: {path}: {what}" in found


@pytest.mark.parametrize(("kind", "name"), [("delta", "a Delta table"), ("iceberg", "an Iceberg table")])
def test_a_folder_that_is_no_lake_table_is_refused(tmp_path, kind, name):
    pytest.importorskip({"delta": "deltalake", "iceberg": "pyiceberg"}[kind])
    write_shop(tmp_path, ROWS)
    (tmp_path / "empty").mkdir()
    (found,) = refused(tmp_path, sales(path="empty", format=kind))
    assert found.startswith(f"path: empty | data.tables.sales.path: empty: it cannot be read as {name} (")
    (found,) = refused(tmp_path, sales(path="nowhere", format=kind))
    assert "no such file: " in found


@pytest.mark.parametrize(
    ("fields", "package", "extra"),
    [
        ({"path": "x", "format": "delta"}, "deltalake", "delta"),
        ({"path": "x", "format": "iceberg"}, "pyiceberg", "iceberg"),
        (query("duckdb:////x"), "duckdb", "duckdb"),
        (query("postgresql://me@localhost/x"), "psycopg", "postgres"),
    ],
)
def test_a_package_that_is_missing_is_said_with_what_to_install(
    tmp_path, monkeypatch, fields, package, extra
):
    write_shop(tmp_path, ROWS)
    (tmp_path / "x").mkdir()
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == package else find_spec(name)
    )
    (found,) = refused(tmp_path, sales(**fields))
    assert found.endswith(
        f"data.tables.sales.format: needs the package {package}, which is not installed. Install it: "
        f"pip install 'mlc[{extra}]'"
    )


# ── databases ───────────────────────────────────────────────────────────────────────────────────


def test_the_store_is_built_anew_when_the_rows_of_a_query_change_and_not_when_their_order_does(tmp_path):
    write_shop(tmp_path, ROWS)
    fields = as_sqlite(tmp_path, None)  # type: ignore[arg-type]
    scenario = scenario_at(tmp_path, sales(**fields))
    first = open_store(scenario, tmp_path / "runs", silent)
    write_sqlite(tmp_path / "shop.db", FRAME.reverse())
    forget_queries()
    assert store_fingerprint(scenario) == first.fingerprint
    write_sqlite(tmp_path / "shop.db", FRAME.with_columns(pl.col("price") + 1))
    check_tables(scenario)
    assert store_fingerprint(scenario) == first.fingerprint  # a command sees the same rows from first to last
    forget_queries()
    assert store_fingerprint(scenario) != first.fingerprint
    write_sqlite(tmp_path / "shop.db", pl.concat([FRAME, FRAME[:1]]))
    forget_queries()
    assert store_fingerprint(scenario) != first.fingerprint
    assert open_store(scenario, tmp_path / "runs", silent).counts["sales"].events == (
        first.counts["sales"].events + 1
    )


@pytest.mark.parametrize("kind", ["delta", "iceberg"])
def test_the_store_is_built_anew_when_a_lake_table_has_a_new_version(tmp_path, request, kind):
    pytest.importorskip({"delta": "deltalake", "iceberg": "pyiceberg"}[kind])
    write_shop(tmp_path, ROWS)
    fields = {"delta": as_delta, "iceberg": as_iceberg}[kind](tmp_path, request)
    before = store_fingerprint(scenario_at(tmp_path, sales(**fields)))
    if kind == "delta":
        FRAME[:1].write_delta(str(tmp_path / "s"), mode="append")
    else:
        fields["path"] = iceberg_table(tmp_path, FRAME[:1])
    scenario = scenario_at(tmp_path, sales(**fields))
    assert store_fingerprint(scenario) != before
    assert scan_table(scenario, "sales").collect().height == len(ROWS) + 1


def test_what_comes_from_the_environment_is_written_nowhere(tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP_NAME", "top-secret")
    write_shop(tmp_path, ROWS)
    write_sqlite(tmp_path / "top-secret.db")
    fields = {**query("sqlite:///${SHOP_NAME}.db"), "types": {"day": "datetime"}}
    scenario = scenario_at(tmp_path, sales(**fields))
    check_tables(scenario)
    text = scenario_yaml(scenario)
    assert f"sqlite:///{tmp_path}/${{SHOP_NAME}}.db" in text
    assert "top-secret" not in text
    elsewhere = tmp_path / "elsewhere" / "resolved.yaml"
    elsewhere.parent.mkdir()
    elsewhere.write_text(text)
    again = load_events(elsewhere)
    assert scan_table(again, "sales").collect().height == len(ROWS)
    assert store_fingerprint(again) == store_fingerprint(scenario)
    assert resolved(again) == resolved(scenario)
    (tmp_path / "top-secret.db").unlink()
    forget_queries()
    (found,) = refused(tmp_path, sales(**fields))
    assert f"format.uri: no database at {tmp_path}/${{SHOP_NAME}}.db" in found
    assert "top-secret" not in found


def test_a_server_that_refuses_us_is_told_without_the_password(tmp_path, postgres, monkeypatch):
    pytest.importorskip("psycopg")
    write_shop(tmp_path, ROWS)
    scenario = scenario_at(tmp_path, sales(**query(postgres)))
    assert PASSWORD not in str(resolved(scenario))
    (found,) = refused(
        tmp_path, sales(path=None, format={"kind": "sql", "uri": postgres, "query": "SELEC 1"})
    )
    assert found.startswith(
        "query: SELEC 1 | data.tables.sales.format.query: the database does not answer it"
    )
    assert "syntax error" in found
    monkeypatch.setenv("MLC_TEST_PASSWORD", "another-secret")
    (found,) = refused(tmp_path, sales(**query(postgres)))
    assert "format.uri: the database does not answer: " in found
    assert "password authentication failed" in found
    monkeypatch.setenv("MLC_TEST_PASSWORD", "not%zzgood")
    (found,) = refused(tmp_path, sales(**query(postgres)))
    assert "not%zzgood" not in found
    assert "percent-encoded" in found
    monkeypatch.setenv("MLC_TEST_PASSWORD", quote(PASSWORD, safe=""))
    removing = "WITH gone AS (DELETE FROM pg_class RETURNING *) SELECT * FROM gone"
    made = {"kind": "sql", "uri": postgres, "query": removing}
    (found,) = refused(tmp_path, sales(path=None, format=made))
    assert "must not contain data-modifying statements" in found


@pytest.mark.parametrize("uri", ["sqlite:///shop.db", "duckdb:///shop.duckdb"])
def test_a_query_can_write_nothing(tmp_path, request, uri):
    write_shop(tmp_path, ROWS)
    (as_sqlite if uri.startswith("sqlite") else as_duckdb)(tmp_path, request)
    fields = {"path": None, "format": {"kind": "sql", "uri": uri, "query": "DELETE FROM sales RETURNING *"}}
    (found,) = refused(tmp_path, sales(**fields))
    assert (
        "DELETE statements are not valid" if uri.startswith("sqlite") else "it must be one SELECT statement"
    ) in found


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        (
            "shop.db",
            "must be the address of a database, but this has no scheme. Write for example sqlite:",
        ),
        ("sqlit:///shop.db", "but this begins with sqlit://. Did you mean sqlite?"),
        (
            "sqlite://shop.db",
            "two slashes instead of three, or four for an absolute path. Write sqlite:///….",
        ),
        ("duckdb:///", "no file is named. Write for example duckdb:///shop.db."),
        ("postgresql://me:s3cret@host/db", "this is a password in clear text. Write ${NAME}"),
        ("postgresql://me:${HOME}x@host/db", "this is a password in clear text. Write ${NAME}"),
        ("postgresql://host/db?user=me&password=x", "this is a password in clear text"),
        ("postgresql://me:${NOT_THERE}@host/db", "the environment variable NOT_THERE is not set."),
    ],
)
def test_a_wrong_address_is_refused_before_anything_is_read(tmp_path, uri, problem):
    write_shop(tmp_path, ROWS)
    (found,) = refused(tmp_path, sales(**query(uri)))
    assert "uri: " in found
    assert "| data.tables.sales.format.uri: " in found
    assert problem in found
    assert "s3cret" not in found.partition("|")[2]


def test_a_table_has_a_path_or_a_query_and_never_both(tmp_path):
    write_shop(tmp_path, ROWS)
    (found,) = refused(tmp_path, sales(**{**query("sqlite:///shop.db"), "path": "s.parquet"}))
    assert found == (
        "path: s.parquet | data.tables.sales.path: a table of format sql has no path. Remove path or format."
    )
    (found,) = refused(tmp_path, sales(path=None))
    assert (
        "data.tables.sales.path: this field is required. Name a file, or a database by format: {kind: "
        in found
    )
    found_both = refused(tmp_path, sales(format="sql"))
    assert [line.partition("| ")[2] for line in found_both] == [
        f"data.tables.sales.format.{field}: this field is required" for field in ("uri", "query")
    ]
    (found,) = refused(tmp_path, sales(columns=["day"], leave_out=["shop"]))
    assert found.startswith("leave_out: | data.tables.sales.leave_out: columns and leave_out exclude each")


def test_what_the_address_of_a_file_takes_from_the_environment_is_written_nowhere(tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP_TOKEN", "top-secret")
    write_shop(tmp_path, ROWS)
    address = f"file://{tmp_path}/${{SHOP_TOKEN}}.arrow"
    FRAME.write_ipc(tmp_path / "top-secret.arrow")
    scenario = scenario_at(tmp_path, sales(path=address))
    assert scan_table(scenario, "sales").collect().height == len(ROWS)
    assert "top-secret" not in scenario_yaml(scenario)
    (tmp_path / "top-secret.arrow").write_bytes(b"junk")
    (found,) = refused(tmp_path, sales(path=address))
    assert f"data.tables.sales.path: {address}: it cannot be read (" in found
    assert "top-secret" not in found


def test_a_password_on_the_command_line_is_not_shown(mlc, tmp_path):
    write_shop(tmp_path, ROWS)
    scenario_at(tmp_path, shop())
    source = '{kind: sql, uri: "postgresql://me:hunter2@host/shop", query: SELECT 1}'
    result = mlc("check", "scenario.yaml", "--set", f"data.tables.sales.format={source}")
    assert result.code == 2
    assert "this is a password in clear text" in result.err
    assert "postgresql://me:***@host/shop" in result.err
    assert "hunter2" not in result.err


def test_a_trace_of_an_internal_error_holds_no_secret(mlc, tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP_TOKEN", "top-secret")
    write_shop(tmp_path, ROWS)
    scenario_at(tmp_path, sales(**query("postgresql://me:${SHOP_TOKEN}@host/shop")))

    def fail(*_: object) -> None:
        raise RuntimeError("no answer from postgresql://me:top-secret@host/shop")

    monkeypatch.setattr("mlc.events.findings.checking.check_tables", fail)
    result = mlc("check", "scenario.yaml")
    assert result.code == 3
    assert "postgresql://me:${SHOP_TOKEN}@host/shop" in result.err
    assert "top-secret" not in result.err + "".join(p.read_text() for p in tmp_path.rglob("mlc-error.log"))
