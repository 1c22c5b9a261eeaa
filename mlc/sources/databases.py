"""Queries on databases, run once per process and kept in memory.

So all of it sees the same rows.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from mlc.errors import DataError, Problem, did_you_mean, sentences
from mlc.scenario import Sql, database_file, database_of, expand_environment, without_secrets
from mlc.sources.guards import (
    QueryRefusedError,
    check_duckdb,
    check_postgres,
    limited,
    open_duckdb,
    open_postgres,
    open_sqlite,
)


@lru_cache(maxsize=32)
def read_query(source: Sql, base: Path) -> pl.DataFrame:
    """The rows of a query. Read once: `forget_queries` makes the next call read again.

    Args:
        source: Address and query.
        base: The folder that a relative path of an embedded database begins at.

    Raises:
        DataError: The database does not answer, or the query is wrong. Its field is `uri` or `query`.
    """
    with _connected(source, base) as connection:
        try:
            frame = _rows(source, connection)
        except Exception as error:  # each driver has its own
            rule = _said(error, source.uri)
            if not isinstance(error, QueryRefusedError):
                rule = f"the database does not answer it ({rule}). Check the query"
            raise DataError(Problem(rule, "query")) from None
    strange = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.Object)]
    if strange:
        rule = f"{', '.join(strange)} of no plain type. Cast to text in the query."
        raise DataError(Problem(rule, "query"))
    # A column without values has no type. Categories are hashed by code, and codes go by order of appearance.
    return frame.with_columns(pl.col(pl.Null, pl.Categorical, pl.Enum).cast(pl.String))


def forget_queries() -> None:
    """Let every query be run again: what a database holds changes."""
    read_query.cache_clear()


def content_of(source: Sql, base: Path) -> str:
    """A text that changes with the rows of a query, not with their order."""
    frame = read_query(source, base)
    return f"{frame.schema}:{frame.height}:{frame.hash_rows(seed=0).sum() if frame.width else 0}"


@contextmanager
def _connected(source: Sql, base: Path) -> Iterator[Any]:
    """An open connection that can only read, closed at the end."""
    uri = source.uri
    database = database_of(uri)
    file = database_file(uri, base)
    if database != "postgresql" and not file.is_file():
        beside = [path.name for path in file.parent.iterdir()] if file.parent.is_dir() else []
        hint = did_you_mean(file.name, beside) if beside else "its folder does not exist or is empty"
        rule = without_secrets(sentences(f"no database at {file}", hint), uri)
        raise DataError(Problem(rule, "uri"))
    try:
        connection = _connect(database, expand_environment(uri), file, source.timeout_seconds)
    except Exception as error:  # each driver has its own
        rule = f"the database does not answer: {_said(error, uri)}"
        raise DataError(Problem(rule, "uri")) from None
    with closing(connection):
        yield connection


def _connect(database: str, uri: str, file: Path, seconds: int) -> Any:
    match database:
        case "sqlite":
            return open_sqlite(file)
        case "duckdb":
            return open_duckdb(file)
        case _:
            return open_postgres(uri, seconds)


def _rows(source: Sql, connection: Any) -> pl.DataFrame:
    """The rows of a query that is judged first, within its limits of time and memory."""
    seconds = source.timeout_seconds
    match database_of(source.uri):
        case "duckdb":
            check_duckdb(connection, source.query)
            with limited(seconds, connection.interrupt):  # which does not reach the cursors of a connection
                return pl.DataFrame(connection.sql(source.query).to_arrow_table())
        case "postgresql":
            check_postgres(connection, source.query)
            # The server declares a cursor for one SELECT and nothing else.
            with closing(connection.cursor(name="mlc")) as cursor, limited(seconds, connection.cancel):
                return pl.read_database(source.query, cursor, infer_schema_length=None)
        case _:
            with limited(seconds, connection.interrupt):
                return pl.read_database(source.query, connection, infer_schema_length=None)


def _said(error: Exception, uri: str) -> str:
    """What a driver says, on one line and without secrets."""
    return " ".join(without_secrets(str(error), uri).split()) or type(error).__name__
