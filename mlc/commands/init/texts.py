"""How the CSV files of a table are written, for `mlc init`."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from mlc.errors import DataError
from mlc.scenario import Csv, Scenario
from mlc.sources import (
    POLARS_ERRORS,
    files_of,
    format_of,
    letters,
    likely_separator,
    number_text,
    peek,
    scan_table,
)

_SAMPLE_ROWS = 50_000
_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}


def text_format(scenario: Scenario, name: str) -> dict[str, Any]:
    """Return the `format` of CSV tables with another separator than their ending has."""
    try:
        files = files_of(scenario, name)
        csv = format_of(scenario.data.tables[name], files)
        if not isinstance(csv, Csv):
            return {}
        filled = [file for file in files if file.is_file() and peek(file).has_rows]
        separator = likely_separator(peek(filled[0]), csv.separator) if filled else None
    except (DataError, OSError, EOFError):
        return {}  # reported where the table is read
    return {"format": {"kind": "csv", "separator": separator}} if separator else {}


def text_types(scenario: Scenario, name: str) -> dict[str, Any]:
    """Return the `types` of columns whose text says more than it would be read as."""
    try:
        if not isinstance(format_of(scenario.data.tables[name], files_of(scenario, name)), Csv):
            return {}
        frame = scan_table(scenario, name)
        schema = frame.collect_schema()
        whole = [column for column, dtype in schema.items() if dtype.is_integer()]
        types: dict[str, Any] = {}
        if whole:
            zeros = letters(scenario, name, whole).select(pl.col(whole).str.contains("^[-+]?0[0-9]").any())
            row = zeros.collect(engine="streaming").row(0, named=True)
            types |= {column: "text" for column, some in row.items() if some}
        texts = [column for column, dtype in schema.items() if dtype == pl.String]
        sample = frame.select(texts).head(_SAMPLE_ROWS).collect()
    except (DataError, *POLARS_ERRORS, EOFError):
        return {}
    for column in texts:
        written = number_text(sample[column].unique(maintain_order=True).head(2_000))
        if written is not None and len(written.kinds) == 1 and not written.plain and not written.others:
            types[column] = written.kinds[0].model_dump(exclude_defaults=True) | {"kind": "number"}
    return {"types": types} if types else {}


def keep_matching(tables: dict[str, dict[str, Any]], scenario: Scenario) -> None:
    """Keep a column numeric if it is numeric in another table, so that they match.

    Args:
        tables: Name → table as YAML; its `types` are changed.
        scenario: The same tables.
    """
    for name, table in tables.items():
        for column in [column for column, kind in table.get("types", {}).items() if kind == "text"]:
            for other in tables.keys() - {name}:
                try:
                    dtype = scan_table(scenario, other).collect_schema().get(column)
                except (DataError, *POLARS_ERRORS):
                    continue  # reported where the table is read
                if dtype is not None and dtype.is_integer():
                    table["types"].pop(column, None)


def text_lines(fields: Mapping[str, Any]) -> Iterator[str]:
    """Give the lines of a scenario for what `text_format` and `text_types` found."""
    if "format" in fields:
        yield f"format: {_flow(fields['format'])}   # as the header is separated"
    types = fields.get("types")
    if types:
        zeros = [column for column, kind in types.items() if kind == "text"]
        reasons = ["some texts begin with 0"] if zeros else []
        reasons += ["values as they are written"] if len(zeros) < len(types) else []
        yield f"types: {_flow(types)}   # {', '.join(reasons)}"


def _flow(value: object) -> str:
    """Write a value on one line of YAML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_flow(name)}: {_flow(part)}" for name, part in value.items()) + "}"
    text = str(value)
    plain = re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", text) and text.lower() not in _WORDS
    return text if plain else json.dumps(text, ensure_ascii=False)
