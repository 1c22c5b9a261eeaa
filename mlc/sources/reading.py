"""A table of the scenario as a Polars query.

Files found, format read, columns as the scenario wants them. To add a source: a config class in
`mlc.scenario`, a `case` in `_scan`, `_require`, `source_state`, a test.
"""

import glob
import importlib.util
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import assert_never

import polars as pl

from mlc.errors import DataError, did_you_mean, sentences
from mlc.scenario import (
    AnyTable,
    Arrow,
    Csv,
    Delta,
    Format,
    Iceberg,
    Ndjson,
    Parquet,
    Scenario,
    Sql,
    database_of,
    expand_environment,
    without_secrets,
)
from mlc.sources.columns import computed_columns, converted
from mlc.sources.databases import content_of, read_query
from mlc.sources.files.faults import READ_ERRORS, first_line, shown_path, source_fault
from mlc.sources.files.partitions import dtype_of, fixed_folder, folder_columns
from mlc.sources.files.shapes import INFERRED_ROWS, scan_columnar, scan_json_lines
from mlc.sources.files.text_files import read_csv, scan_texts

_TEXTS = (".csv", ".tsv", ".txt")
_ENDINGS: dict[str, Format] = {
    **dict.fromkeys((".parquet", ".pq"), Parquet()),
    **dict.fromkeys((*_TEXTS, ".gz"), Csv()),
    ".tsv": Csv(separator="\t"),
    **dict.fromkeys((".arrow", ".feather", ".ipc"), Arrow()),
    **dict.fromkeys((".ndjson", ".jsonl"), Ndjson()),
}
POLARS_ERRORS = (pl.exceptions.PolarsError, OSError)
"""What Polars raises for files and expressions that do not fit."""


# ── files ───────────────────────────────────────────────────────────────────────────────────────


def files_of(scenario: Scenario, name: str) -> list[Path]:
    """The files of a table, sorted.

    A cloud URL and the folder of a lake table are returned as they are.

    Returns:
        Nothing for a table that a database holds.

    Raises:
        DataError: There is no such file.
    """
    table = scenario.data.tables[name]
    if table.path is None:
        return []
    path = scenario.path(table.path)
    lake = isinstance(table.format, Delta | Iceberg)
    if "://" in table.path or (lake and path.exists()):
        return [path]
    if path.is_dir():
        files = sorted(_files_below(path))
    elif path.is_file():
        files = [path]
    else:
        paths = glob.glob(scenario.pattern(table.path), recursive=True)  # noqa: PTH207
        files = sorted(path.parent.resolve() / path.name for path in map(Path, paths))
        folders = [file for file in files if file.suffix.lower() in _ENDINGS and file.is_dir()]
        files = [file for file in files if not file.is_dir()]  # a broken link stays, to be named
        files = sorted({*files, *(below for folder in folders for below in _files_below(folder))})
    if not files:
        rule = sentences(f"no such file: {path}", _nearby(scenario, path))
        raise DataError(scenario.problem(("data", "tables", name, "path"), rule))
    return files


def _files_below(folder: Path) -> Iterator[Path]:
    """The files of a folder that have an ending of ours.

    A link counts even where it leads nowhere.
    """
    for path in folder.rglob("*"):
        if path.suffix.lower() in _ENDINGS and not path.is_dir() and not _hidden(path, folder):
            yield path


def _nearby(scenario: Scenario, path: Path) -> str:
    """What lies where a file was looked for, without the files of the other tables."""
    if path.is_dir():
        return f"the folder has no file that ends in {', '.join(_ENDINGS)}"
    if not path.parent.is_dir():
        return f"there is no folder {path.parent}"
    taken = {scenario.path(table.path) for table in scenario.data.tables.values() if table.path}
    beside = [p.name for p in path.parent.iterdir() if p not in taken and not _hidden(p, path.parent)]
    files = [name for name in beside if Path(name).suffix.lower() in _ENDINGS]
    return did_you_mean(path.name, files) if files else f"no other table lies in {path.parent}"


def _hidden(path: Path, folder: Path) -> bool:
    """Temporary files of writers begin with a dot or an underscore."""
    return any(part[0] in "._" for part in path.relative_to(folder).parts)


def format_of(table: AnyTable, files: list[Path]) -> Format:
    """Return the format that the scenario names, or that of the first file's ending."""
    if table.format is not None:
        return table.format
    path = str(table.path)
    first = Path(expand_environment(path)) if "://" in path else files[0]
    ending = first.suffix.lower()
    if ending == ".gz":
        ending = Path(first.stem).suffix.lower() or ending
        return _ENDINGS.get(ending, Csv())
    return _ENDINGS.get(ending, Parquet())


def source_state(scenario: Scenario, name: str) -> Iterator[str]:
    """Yield texts that change when the rows of a table may have, one per file.

    Files: name, size and time of each, in the order of `files_of`. Lake tables: the version that their log
    tells. A query: its rows, in whatever order they come. Of other cloud URLs only the name is known.
    """
    table, files = scenario.data.tables[name], files_of(scenario, name)
    match format_of(table, files):
        case Sql() as source:
            yield content_of(source, scenario.origin.base)
        case Delta():
            from deltalake import DeltaTable

            delta = DeltaTable(_location(table, files))
            yield f"{delta.metadata().id}:{delta.version()}"
        case Iceberg():
            from pyiceberg.table import StaticTable

            iceberg = StaticTable.from_metadata(_location(table, files))
            yield f"{iceberg.metadata.table_uuid}:{iceberg.metadata.current_snapshot_id}"
        case Parquet() | Csv() | Arrow() | Ndjson():
            for file in files:
                status = file.stat() if file.exists() else None
                yield f"{file}:{status.st_size}:{status.st_mtime_ns}" if status else str(file)
        case unreachable:
            assert_never(unreachable)


def _location(table: AnyTable, files: list[Path]) -> str:
    """The path of a lake table; a `Path` would merge the slashes of a URL."""
    path = str(table.path)
    return expand_environment(path) if "://" in path else str(files[0])


# ── rows ────────────────────────────────────────────────────────────────────────────────────────


def scan_table(scenario: Scenario, name: str, files: Sequence[Path] | None = None) -> pl.LazyFrame:
    """Return the rows of a table for which its `where` is true.

    They have the table's own and computed columns.

    Args:
        scenario: Checked scenario.
        name: A table.
        files: Only these of its files; all by default.

    Raises:
        DataError: A file is missing, or is not in the format it should have.
    """
    table = scenario.data.tables[name]
    frame = computed_columns(table, scan_typed(scenario, name, files))
    return frame if table.where is None else frame.filter(pl.sql_expr(table.where))


def scan_typed(scenario: Scenario, name: str, files: Sequence[Path] | None = None) -> pl.LazyFrame:
    """All rows of a table, its columns chosen and converted.

    It is null where a value cannot be converted.
    """
    table = scenario.data.tables[name]
    return converted(table, chosen(table, scan_source(scenario, name, files)))


def chosen(table: AnyTable, frame: pl.LazyFrame) -> pl.LazyFrame:
    """Return the existing columns that the scenario wants, in the file's order."""
    if table.columns is not None:
        return frame.select(column for column in frame.collect_schema() if column in table.columns)
    return frame if table.leave_out is None else frame.drop(table.leave_out, strict=False)


def scan_source(scenario: Scenario, name: str, files: Sequence[Path] | None = None) -> pl.LazyFrame:
    """All rows and columns of a table as its source has them.

    Args:
        scenario: Checked scenario.
        name: A table.
        files: Only these of its files; all by default. A source without files has all its rows, or none.

    Raises:
        DataError: A file is missing or in another format, a package is missing, a database does not answer.
    """
    if files is not None and not files:
        return scan_source(scenario, name).head(0)
    table = scenario.data.tables[name]
    files = files_of(scenario, name) if files is None else list(files)
    kind = format_of(table, files)
    _require(scenario, name, kind)
    try:
        frame = _scan_folders(scenario, name, kind, files)
        frame.collect_schema()
    except DataError as error:
        if all(problem.location for problem in error.problems):
            raise
        fields = [(("data", "tables", name, problem.field), problem.rule) for problem in error.problems]
        raise DataError(scenario.problem(*pair) for pair in fields) from None
    except Exception as error:
        lake = isinstance(kind, Delta | Iceberg)  # their packages raise what they like
        if not isinstance(error, READ_ERRORS) and not lake:
            raise
        rule = source_rule(scenario, name, kind, files, error)
        raise DataError(scenario.problem(("data", "tables", name, "path"), rule)) from None
    return frame


def _scan_folders(scenario: Scenario, name: str, kind: Format, files: list[Path]) -> pl.LazyFrame:
    """The rows of some files, with the columns that their folders hold.

    A column of the file goes first.
    """
    table, of = scenario.data.tables[name], files_of(scenario, name)
    if table.path is None or "://" in table.path or isinstance(kind, Delta | Iceberg):
        return _scan(scenario, name, kind, files, of)
    columns = folder_columns(of, fixed_folder(scenario.path(table.path)), list(table.types))
    if not columns:
        return _scan(scenario, name, kind, files, of)
    parts = []
    for _, together in groupby(files, key=lambda file: file.parent):
        folder = list(together)
        frame = _scan(scenario, name, kind, folder, of)
        there = frame.collect_schema()
        parts.append(
            frame.with_columns(
                pl.lit(values[folder[0]], dtype_of(values)).alias(column)
                for column, values in columns.items()
                if column not in there
            )
        )
    return pl.concat(parts)


def source_rule(scenario: Scenario, name: str, kind: Format, files: list[Path], error: BaseException) -> str:
    """Return which part of a table's source cannot be read, why, and what to do.

    Args:
        scenario: Checked scenario.
        name: A table.
        kind: Its format.
        files: The files that were read.
        error: What a library said.
    """
    path = str(scenario.data.tables[name].path)
    place = path if "://" in path else shown_path(files[0], scenario.origin.base)
    message = without_secrets(first_line(error), path)
    if isinstance(kind, Delta | Iceberg):
        what = "a Delta table" if isinstance(kind, Delta) else "an Iceberg table"
        return f"{place}: it cannot be read as {what} ({message}). Name the folder of such a table"
    if "://" in path:
        return f"{place}: it cannot be read ({message}). Check the address and the rights to read it"

    def alone(some: Sequence[Path] | None) -> pl.LazyFrame:
        return _scan(scenario, name, kind, list(some or ()), list(some or ()))

    file, fault = source_fault(files, kind, alone, error)
    return f"{shown_path(file, scenario.origin.base)}: {fault}"


def _require(scenario: Scenario, name: str, kind: Format) -> None:
    """Raise one clear error where the package that reads a format is not installed."""
    match kind:
        case Delta():
            package, extra = "deltalake", "delta"
        case Iceberg():
            package, extra = "pyiceberg", "iceberg"
        case Sql(uri=uri):
            database = database_of(uri)
            packages = {"duckdb": ("duckdb", "duckdb"), "postgresql": ("psycopg", "postgres")}
            package, extra = packages.get(database, ("sqlite3", ""))
        case Parquet() | Csv() | Arrow() | Ndjson():
            return
        case unreachable:
            assert_never(unreachable)
    if importlib.util.find_spec(package) is None:
        mend = f"pip install 'mlc[{extra}]'"
        rule = f"needs the package {package}, which is not installed. Install it: {mend}"
        raise DataError(scenario.problem(("data", "tables", name, "format"), rule))


def _scan(scenario: Scenario, name: str, kind: Format, files: list[Path], of: list[Path]) -> pl.LazyFrame:
    table = scenario.data.tables[name]
    # A `Path` would merge the slashes of a URL.
    cloud = "://" in str(table.path)
    paths = [expand_environment(str(table.path))] if cloud else [str(file) for file in files]
    match kind:
        case Parquet():
            return pl.scan_parquet(paths) if cloud else scan_columnar(files, kind, of)
        case Csv(encoding=encoding):
            if cloud or encoding != "utf-8":
                return read_csv(paths, kind, dict.fromkeys(table.types, pl.String()))
            return scan_texts(files, kind, list(table.types), of)  # types: read letter for letter
        case Arrow():
            return pl.scan_ipc(paths) if cloud else scan_columnar(files, kind, of)
        case Ndjson():
            if cloud:
                return pl.scan_ndjson(paths, infer_schema_length=INFERRED_ROWS)
            return scan_json_lines(files, list(table.types), of)
        case Delta():
            return pl.scan_delta(_location(table, files))
        case Iceberg():
            return pl.scan_iceberg(_location(table, files))
        case Sql() as source:
            try:
                return read_query(source, scenario.origin.base).lazy()
            except DataError as error:
                field = ("data", "tables", name, "format", error.problems[0].field)
                raise DataError(scenario.problem(field, error.problems[0].rule)) from None
        case unreachable:
            assert_never(unreachable)
