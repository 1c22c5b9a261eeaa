"""Connections that can only read.

One SELECT, no other file, no extension, a time limit, a memory limit.
"""

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

_PATIENCE = 20  # seconds until a server that does not answer is given up
_GLANCE = 0.1  # seconds between two looks at a running query
_ONE_SELECT = "it must be one SELECT statement"
_PURE_ENOUGH = frozenset(["random", "clock_timestamp", "timeofday", "gen_random_uuid", "setseed"])
"""Functions of PostgreSQL that are volatile and touch nothing."""


class QueryRefusedError(Exception):
    """A query that would do more than read the tables of its database."""


# ── opening ─────────────────────────────────────────────────────────────────────────────────────


def open_sqlite(file: Path) -> Any:
    """Open a SQLite file such that a query can read its tables and do nothing else."""
    import sqlite3

    # In WAL mode even a reader leaves files behind, unless it is promised that nobody is writing.
    writing = file.with_name(f"{file.name}-wal").exists()
    mode = "mode=ro" if writing else "mode=ro&immutable=1"
    connection = sqlite3.connect(f"file:{quote(str(file))}?{mode}", uri=True, check_same_thread=False)
    allowed = {
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_RECURSIVE,
    }

    def authorize(action: int, _: str | None, name: str | None, *__: str | None) -> int:
        loads = action == sqlite3.SQLITE_FUNCTION and str(name).lower() == "load_extension"
        return sqlite3.SQLITE_OK if action in allowed and not loads else sqlite3.SQLITE_DENY

    connection.set_authorizer(authorize)
    return connection


def open_duckdb(file: Path) -> Any:
    """Open a DuckDB file without a way to other files, the network or extensions."""
    import duckdb

    connection = duckdb.connect(
        str(file),
        read_only=True,
        config={
            "enable_external_access": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
            "allow_unsigned_extensions": "false",
            "temp_directory": "",
        },
    )
    connection.execute("SET python_enable_replacements = false")
    connection.execute("SET lock_configuration = true")
    return connection


def open_postgres(uri: str, seconds: int) -> Any:
    """Connect to PostgreSQL for one transaction that can only read.

    The user cannot read files.
    """
    import psycopg

    connection = psycopg.connect(uri, connect_timeout=_PATIENCE)
    connection.read_only = True
    connection.execute("SELECT set_config('statement_timeout', %s, false)", [str(seconds * 1000)])
    role = "SELECT rolsuper AND pg_has_role('pg_read_all_data', 'member') FROM pg_roles WHERE rolname = user"
    try:
        powerful = connection.execute(role).fetchone()
    except psycopg.Error:  # before version 14 there is no such role
        connection.rollback()
        powerful = None
    if powerful and powerful[0]:
        connection.execute("SET ROLE pg_read_all_data")
    connection.commit()
    return connection


# ── judging ─────────────────────────────────────────────────────────────────────────────────────


def check_duckdb(connection: Any, query: str) -> None:
    """Refuse all but one SELECT, as DuckDB's own parser sees it.

    Raises:
        QueryRefusedError: The query is something else.
    """
    import duckdb

    kinds = [statement.type for statement in connection.extract_statements(query)]
    if kinds != [duckdb.StatementType.SELECT]:
        names = ", ".join(kind.name for kind in kinds) or "empty"
        raise QueryRefusedError(f"{_ONE_SELECT}, but it is {names}")


def check_postgres(connection: Any, query: str) -> None:
    """Refuse functions that may do more than read, as the server's catalog says.

    Any word of the query counts, wherever it stands: nothing then depends on reading SQL as the server does.

    Raises:
        QueryRefusedError: The query holds such a name.
    """
    if re.search(r'U&"', query, re.IGNORECASE):
        raise QueryRefusedError('it must not write names as U&"…". Write their letters')
    words = {word.lower() for word in re.findall(r"\w+", query)} - _PURE_ENOUGH
    rows = connection.execute(
        "SELECT proname FROM pg_proc WHERE provolatile = 'v' AND lower(proname) = ANY(%s) ORDER BY 1 LIMIT 1",
        [sorted(words)],
    ).fetchall()
    if rows:
        what = f"it names {rows[0][0]}, a function that PostgreSQL calls volatile: it may do more than read"
        raise QueryRefusedError(f"{what}. Leave it out, or declare a function of your own STABLE")


# ── limits ──────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def limited(seconds: int, interrupt: Callable[[], None]) -> Iterator[None]:
    """Interrupt what takes too long, or more than half of the machine's memory.

    Args:
        seconds: How long it may take.
        interrupt: Stops it, called from another thread.

    Raises:
        QueryRefusedError: It was interrupted.
    """
    reasons: list[str] = []
    over = threading.Event()
    end, most = time.monotonic() + seconds, _resident() + _half_of_memory()

    def watch() -> None:
        while not over.wait(_GLANCE):
            if time.monotonic() > end:
                mend = "Read less, or set timeout_seconds"
                reasons[:] = [f"it took longer than {seconds:,} seconds and was stopped. {mend}"]
            elif _resident() > most:
                reasons[:] = ["its rows take more than half of the memory. Read fewer rows or columns"]
            if reasons:
                interrupt()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    except Exception as error:
        if reasons:
            raise QueryRefusedError(reasons[0]) from error
        raise
    finally:
        over.set()
        watcher.join()


def _half_of_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _resident() -> int:
    """Bytes of memory that this process uses; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
