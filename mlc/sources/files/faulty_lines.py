"""The first line of a text file that does not fit the others.

It is looked for after a library has refused the file.
"""

import csv
import gzip
import io
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from mlc.scenario import Csv

_UNPARSED = re.compile(r"could not parse `(.*?)` as dtype `(\w+)[^`]*` at column '(.*?)' \(column", re.DOTALL)
_TYPES = {"i": "a whole number", "u": "a whole number", "f": "a number", "d": "a date or datetime"}
_LONGEST = 60  # characters of a value that a message shows


@dataclass(frozen=True)
class FaultyLine:
    """Where a text file breaks, why, and what to do."""

    line: int
    what: str
    mend: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.what}. {self.mend}"


def shortened(value: str) -> str:
    """A value as a message shows it: quoted, on one line, not endless."""
    return repr(value if len(value) <= _LONGEST else value[: _LONGEST - 1] + "…")


def faulty_csv_line(path: Path, kind: Csv, message: str) -> FaultyLine | None:
    """Find the line of a CSV that a library complains of.

    It is None where every line looks right.

    Args:
        path: The file, plain or packed with gzip.
        kind: How it is written.
        message: What the library said.
    """
    if kind.encoding == "utf-8":
        fault = _undecodable(path)
        if fault is not None:
            mend = f"Write format: {{kind: csv, encoding: {_encoding_of(path)}}}"
            return FaultyLine(*fault, mend)
    csv.field_size_limit(sys.maxsize)
    with _opened(path) as file:
        encoding = "utf-8-sig" if kind.encoding == "utf-8" else kind.encoding
        text = io.TextIOWrapper(file, encoding, newline="")
        rows = csv.reader(text, delimiter=kind.separator, strict=True)
        before = 0  # lines of the records read so far
        try:
            header = next(rows, [])
            before = rows.line_num
            for row in rows:
                faulty = _faulty_record(row, header, message, before + 1)
                if faulty is not None:
                    return faulty
                before = rows.line_num
        except csv.Error as error:
            if "end of data" in str(error):
                what, mend = "a quote opens here and never closes", "Close it, or write it twice"
            else:
                what = "a closing quote is followed by more text"
                mend = 'Write a quote within quotes twice: "say ""hi"""'
            return FaultyLine(before + 1, what, mend)
    return None


def _faulty_record(row: list[str], header: list[str], message: str, line: int) -> FaultyLine | None:
    if len(row) > len(header):
        what = f"it has {len(row)} values, the header has {len(header)}"
        return FaultyLine(line, what, "Mend the line; put a value that holds the separator in quotes")
    unparsed = _UNPARSED.search(message)
    if unparsed is not None and unparsed[3] in header[: len(row)]:
        value, column = row[header.index(unparsed[3])], unparsed[3]
        if value == unparsed[1].strip('"'):
            kind = _TYPES.get(unparsed[2][0], unparsed[2])
            what = f"{column} is {shortened(value)}, which is not {kind} as in the lines before"
            return FaultyLine(line, what, f"Mend the line, or write types: {{{column}: text}}")
    if "malformed" in message and any('"' in value for value in row):
        column = next(name for name, value in zip(header, row, strict=False) if '"' in value)
        what = f"{column} holds a quote but is not quoted"
        return FaultyLine(line, what, 'Write it in quotes, and its own quotes twice: "say ""hi"""')
    return None


def faulty_json_line(path: Path) -> FaultyLine | None:
    """Find the first line that is not one JSON object; None where every line is."""
    fault = _undecodable(path)
    if fault is not None:
        return FaultyLine(*fault, "Write the file as UTF-8")
    with _opened(path) as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except ValueError as error:
                what = f"it is not a JSON object ({str(error).partition(':')[0].lower()})"
                return FaultyLine(number, what, "Write each object on one line of its own")
            if not isinstance(value, dict):
                what = f"it is {shortened(line.decode().strip())}, not an object"
                return FaultyLine(number, what, "Write each row as {column: value}")
    return None


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not packed:
            yield file
            return
        with gzip.open(file) as unpacked:
            yield cast(BinaryIO, unpacked)


def _undecodable(path: Path) -> tuple[int, str] | None:
    """The first line that is not UTF-8, and its byte that is not."""
    with _opened(path) as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return number, f"the byte 0x{line[error.start]:02X} is not UTF-8 text"
    return None


def _encoding_of(path: Path) -> str:
    """Windows-1252 has letters where Latin-1 has control characters."""
    with _opened(path) as file:
        return "cp1252" if any(0x80 <= byte < 0xA0 for line in file for byte in line) else "latin-1"
