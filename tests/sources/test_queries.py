"""Queries read the tables of their database and touch nothing else, whatever they ask for."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from mlc.errors import DataError
from mlc.scenario import Sql
from mlc.sources import guards
from mlc.sources.databases import forget_queries, read_query
from tests.sources.conftest import PASSWORD

FILES = ("/etc/passwd", "PLACE/secret.csv")
DUCKDB = {
    "writes a CSV": "COPY sales TO 'PLACE/new.csv'",
    "writes a CSV of a query": "COPY (SELECT * FROM sales) TO 'PLACE/new.csv'",
    "exports": "EXPORT DATABASE 'PLACE/new'",
    "imports": "IMPORT DATABASE 'PLACE/new'",
    "reads a CSV": "SELECT * FROM read_csv('PLACE/secret.csv')",
    "reads a text": "SELECT * FROM read_text('/etc/passwd')",
    "reads bytes": "SELECT * FROM read_blob('/etc/passwd')",
    "reads a path": "SELECT * FROM 'PLACE/secret.csv'",
    "reads Parquet": "SELECT * FROM parquet_scan('PLACE/*.parquet')",
    "reads JSON": "SELECT * FROM read_json_auto('PLACE/x.json')",
    "lists files": "SELECT * FROM glob('/*')",
    "sniffs": "SELECT * FROM sniff_csv('PLACE/secret.csv')",
    "attaches": "ATTACH 'PLACE/other.duckdb' AS other",
    "attaches memory": "ATTACH ':memory:' AS other",
    "installs": "INSTALL httpfs",
    "loads": "LOAD httpfs",
    "loads a file": "LOAD 'PLACE/evil.duckdb_extension'",
    "loads by itself": "SELECT * FROM sqlite_scan('PLACE/x.db', 't')",
    "reads the network": "SELECT * FROM 'https://example.invalid/x.csv'",
    "sets": "SET enable_external_access = true",
    "resets": "RESET enable_external_access",
    "sets by pragma": "PRAGMA enable_external_access = true",
    "changes": "UPDATE sales SET a = 2",
    "inserts": "INSERT INTO sales VALUES (2)",
    "inserts with a name": "WITH x AS (SELECT 1) INSERT INTO sales SELECT * FROM x",
    "deletes and returns": "DELETE FROM sales RETURNING *",
    "creates": "CREATE TABLE t AS SELECT 1",
    "creates for a while": "CREATE TEMP TABLE t AS SELECT 1",
    "makes a macro": "CREATE TEMP MACRO f() AS 1",
    "keeps a secret": "CREATE SECRET s (TYPE s3)",
    "two statements": "SELECT * FROM sales; SELECT 1",
    "a write behind a read": "SELECT * FROM sales; COPY sales TO 'PLACE/new.csv'",
    "a write within a query": "SELECT * FROM query('COPY sales TO ''PLACE/new.csv''')",
    "reads our variables": "SELECT * FROM source",
    "explains and runs": "EXPLAIN ANALYZE SELECT * FROM sales",
    "calls": "CALL pragma_version()",
    "checkpoints": "CHECKPOINT",
    "nothing": "-- nothing",
}
SQLITE = {
    "attaches": "ATTACH 'PLACE/new.db' AS other",
    "attaches another": "ATTACH 'PLACE/other.db' AS other",
    "copies itself": "VACUUM INTO 'PLACE/new.db'",
    "vacuums": "VACUUM",
    "writable schema": "PRAGMA writable_schema = 1",
    "journal": "PRAGMA journal_mode = WAL",
    "reads a pragma": "PRAGMA database_list",
    "reads a pragma as a table": "SELECT * FROM pragma_database_list",
    "changes": "UPDATE sales SET a = 2",
    "inserts": "INSERT INTO sales VALUES (2)",
    "inserts with a name": "WITH x AS (SELECT 1) INSERT INTO sales SELECT * FROM x",
    "deletes and returns": "DELETE FROM sales RETURNING *",
    "creates": "CREATE TABLE t AS SELECT 1",
    "creates for a while": "CREATE TEMP TABLE t AS SELECT 1",
    "creates a virtual table": "CREATE VIRTUAL TABLE t USING fts5(a)",
    "loads": "SELECT load_extension('PLACE/evil.so')",
    "loads in capitals": "SELECT LOAD_EXTENSION('PLACE/evil.so')",
    "reads a file": "SELECT readfile('/etc/passwd')",
    "writes a file": "SELECT writefile('PLACE/new.txt', 'x')",
    "edits": "SELECT edit('x', 'touch PLACE/new.txt')",
    "two statements": "SELECT 1; SELECT 2",
    "a write behind a read": "SELECT 1; DELETE FROM sales",
    "begins": "BEGIN IMMEDIATE",
    "reindexes": "REINDEX",
    "nothing": "-- nothing",
}
POSTGRES = {
    "changes": "UPDATE orders SET a = 2",
    "inserts": "INSERT INTO orders VALUES (2)",
    "inserts and returns": "INSERT INTO orders VALUES (2) RETURNING a",
    "writes within a name": "WITH x AS (INSERT INTO orders VALUES (2) RETURNING a) SELECT * FROM x",
    "deletes within a name": "WITH x AS (DELETE FROM orders RETURNING a) SELECT * FROM x",
    "creates": "CREATE TABLE t (a int)",
    "creates for a while": "CREATE TEMP TABLE t AS SELECT 1",
    "selects into": "SELECT * INTO t FROM orders",
    "locks": "SELECT * FROM orders FOR UPDATE",
    "two statements": "SELECT 1; SELECT 2",
    "ends the transaction": "SELECT 1; COMMIT; DELETE FROM orders",
    "becomes writable": "SET TRANSACTION READ WRITE",
    "becomes writable by a function": "SELECT set_config('transaction_read_only', 'off', false)",
    "copies to a file": "COPY orders TO 'PLACE/new.csv'",
    "copies to a program": "COPY orders TO PROGRAM 'touch PLACE/new.csv'",
    "copies from a program": "COPY orders FROM PROGRAM 'id'",
    "copies out": "COPY orders TO STDOUT",
    "reads a file": "SELECT pg_read_file('/etc/passwd')",
    "reads a file by another name": "SELECT U&\"pg_read\\005ffile\"('/etc/passwd')",
    "reads a file in quotes": "SELECT \"pg_read_file\" ('/etc/passwd')",
    "reads a file behind a comment": "SELECT pg_read_file/* */('/etc/passwd')",
    "reads bytes": "SELECT pg_read_binary_file('/etc/passwd')",
    "lists files": "SELECT pg_ls_dir('/etc')",
    "imports": "SELECT lo_import('/etc/passwd')",
    "exports": "SELECT lo_export(1, 'PLACE/new.txt')",
    "counts up": "SELECT nextval('numbers')",
    "runs a text": "SELECT query_to_xml('DELETE FROM orders', true, true, '')",
    "reads through a text": "SELECT query_to_xml('SELECT pg_read_file(''/etc/passwd'')', true, true, '')",
    "ends others": "SELECT pg_terminate_backend(1)",
    "reloads": "SELECT pg_reload_conf()",
    "does": "DO $$ BEGIN DELETE FROM orders; END $$",
    "listens": "LISTEN x",
    "loads": "LOAD 'PLACE/evil.so'",
    "a function of its own": "SELECT sneaky()",
    "explains and runs": "EXPLAIN ANALYZE SELECT 1",
    "nothing": "-- nothing",
}


def tree(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def refused(uri: str, query: str, place: Path, seconds: int = 600) -> str:
    """What is said of a query that must be refused, and must leave every file as it was."""
    forget_queries()
    before = tree(place)
    source = Sql(kind="sql", uri=uri, query=query.replace("PLACE", str(place)), timeout_seconds=seconds)
    with pytest.raises(DataError) as caught:
        read_query(source, place)
    assert tree(place) == before
    (problem,) = caught.value.problems
    assert problem.field == "query"
    assert "root:" not in problem.rule
    return problem.rule


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with files that no query may read."""
    (tmp_path / "secret.csv").write_text("a\nsecret\n")
    (tmp_path / "x.json").write_text('{"a": 1}')
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE t (a)")
    return tmp_path


@pytest.fixture
def sqlite(place: Path) -> str:
    with closing(sqlite3.connect(place / "shop.db")) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE sales (a)")
        connection.execute("INSERT INTO sales VALUES (1)")
    return "sqlite:///shop.db"


@pytest.fixture
def duckdb(place: Path) -> str:
    module = pytest.importorskip("duckdb")
    with module.connect(str(place / "shop.duckdb")) as connection:
        connection.execute("CREATE TABLE sales AS SELECT 1 AS a")
        connection.execute(f"CREATE VIEW outside AS SELECT * FROM read_csv('{place}/secret.csv')")
    return "duckdb:///shop.duckdb"


@pytest.fixture(scope="session")
def orders(postgres: str) -> str:
    psycopg = pytest.importorskip("psycopg")
    uri = postgres.replace("${MLC_TEST_PASSWORD}", quote(PASSWORD, safe=""))
    with psycopg.connect(uri) as connection:
        connection.execute("CREATE TABLE orders (a int)")
        connection.execute("INSERT INTO orders VALUES (1)")
        connection.execute("CREATE SEQUENCE numbers")
        connection.execute(
            "CREATE FUNCTION sneaky() RETURNS int LANGUAGE sql AS 'DELETE FROM orders RETURNING a'"
        )
    return postgres


@pytest.mark.parametrize("what", DUCKDB)
def test_a_duckdb_query_that_would_do_more_than_read_is_refused(place, duckdb, what):
    refused(duckdb, DUCKDB[what], place)


def test_a_view_of_a_duckdb_file_does_not_read_other_files_either(place, duckdb):
    assert "file system operations are disabled" in refused(duckdb, "SELECT * FROM outside", place)


@pytest.mark.parametrize("what", SQLITE)
def test_a_sqlite_query_that_would_do_more_than_read_is_refused(place, sqlite, what):
    refused(sqlite, SQLITE[what], place)


@pytest.mark.parametrize("what", POSTGRES)
def test_a_postgres_query_that_would_do_more_than_read_is_refused(place, orders, what):
    refused(orders, POSTGRES[what], place)
    forget_queries()
    assert read_query(Sql(kind="sql", uri=orders, query="SELECT a FROM orders"), place)["a"].to_list() == [1]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT a FROM sales",
        "select a from sales;",
        "-- first\n/* second */ SELECT a FROM sales -- last",
        "WITH s AS (SELECT a FROM sales) SELECT * FROM s",
        "WITH RECURSIVE n(a) AS (SELECT 1 UNION SELECT a FROM n) SELECT a FROM n",
        "VALUES (1)",
        "SELECT a, upper('x; DROP TABLE sales') AS b FROM sales",
    ],
)
@pytest.mark.parametrize("database", ["sqlite", "duckdb", "orders"])
def test_a_query_that_only_reads_is_answered_and_leaves_no_file(place, request, database, query):
    uri = request.getfixturevalue(database)
    before = tree(place)
    forget_queries()
    table = "orders" if database == "orders" else "sales"
    frame = read_query(Sql(kind="sql", uri=uri, query=query.replace("sales", table)), place)
    assert frame[:, 0].to_list() == [1]
    assert tree(place) == before


FOREVER = {
    "sqlite": "WITH RECURSIVE n(a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM n) SELECT max(a) FROM n",
    "duckdb": "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range * b.range % 7 = 3",
    "orders": "SELECT count(*) FROM generate_series(1, 1000000000000)",
}


@pytest.mark.parametrize("database", FOREVER)
def test_a_query_that_runs_for_ever_is_stopped(place, request, database):
    uri = request.getfixturevalue(database)
    began = time.monotonic()
    told = refused(uri, FOREVER[database], place, seconds=1)
    assert time.monotonic() - began < 20
    assert "timeout" in told


def test_a_query_whose_rows_fill_the_memory_is_stopped(place, sqlite, monkeypatch):
    monkeypatch.setattr(guards, "_half_of_memory", lambda: 50_000_000)
    endless = "WITH RECURSIVE n(a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM n) SELECT a, hex(a) FROM n"
    assert "more than half of the memory" in refused(sqlite, endless, place)


@pytest.mark.parametrize("seconds", [0, -1, 86_401, 10**30])
def test_a_time_limit_that_is_none_is_refused(seconds):
    with pytest.raises(ValueError, match="timeout_seconds"):
        Sql(kind="sql", uri="sqlite:///x.db", query="SELECT 1", timeout_seconds=seconds)
