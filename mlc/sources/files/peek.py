"""The first lines of a CSV file, read before Polars: its text and separator."""

import csv
import gzip
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
"""Separators that are tried → their name in a message."""

_BYTES = 1 << 16
_MOST_RECORDS = 100
_GZIP = b"\x1f\x8b"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Peek:
    """The first lines of a file.

    Attributes:
        text: Its first characters; not more than whole lines where the file is longer.
        whole: Whether that is all of the file.
        utf16: Whether the bytes look like UTF-16.
    """

    text: str
    whole: bool
    utf16: bool = False

    def records(self, separator: str) -> list[list[str]]:
        """Return the first records that are not blank, the header first."""
        reader = csv.reader(io.StringIO(self.text, newline=""), delimiter=separator)
        records: list[list[str]] = []
        try:
            for record in reader:
                if any(value.strip() for value in record):
                    records.append(record)
                if len(records) > _MOST_RECORDS:
                    break
        except csv.Error:
            return []
        if not self.whole and records and len(records) <= _MOST_RECORDS:
            records.pop()  # cut off within a quoted value, perhaps
        return records

    @property
    def has_header(self) -> bool:
        """Whether there is any line that is not blank."""
        return bool(self.text.strip())

    @property
    def has_rows(self) -> bool:
        """Whether a line that is not blank follows the header."""
        return not self.whole or len(self.records(",")) > 1


def peek(file: Path) -> Peek:
    """Return the first lines of a local file, decompressed where it is gzip."""
    status = file.stat()
    return _peek(file, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _peek(file: Path, size: int, changed: int) -> Peek:
    """Read the first lines; size and time make a changed file another one."""
    del size, changed
    with file.open("rb") as raw:
        packed = raw.read(2) == _GZIP
    with gzip.open(file, "rb") if packed else file.open("rb") as stream:
        content = stream.read(_BYTES)
        whole = not stream.read(1)
    nulls = content.count(b"\0")
    if content.startswith(_UTF_16) or (content and nulls > len(content) // 4):
        return Peek("", whole, utf16=True)
    text = content.decode("utf-8-sig", errors="replace")
    return Peek(text if whole else text[: text.rfind("\n") + 1] or text, whole)


def likely_separator(start: Peek, separator: str) -> str | None:
    r"""Return the separator that a file seems to have; None where the given one fits.

    Args:
        start: The first lines.
        separator: The one that the scenario gives.

    Examples:
        >>> likely_separator(Peek("cust;amount\nann;3,14\n", whole=True), ",")
        ';'
        >>> likely_separator(Peek("cust,amount\nann,3;14\n", whole=True), ",")
    """
    own = start.records(separator)
    if not own:
        return None
    for other in SEPARATORS:
        records = start.records(other) if other != separator else []
        if len(records) < 2 and len(own) > 1:
            continue
        width = len(records[0]) if records else 0
        if width > len(own[0]) and _even(records) and _doubtful(own, other):
            return other
    return None


def _even(records: Sequence[Sequence[str]]) -> bool:
    return all(len(record) == len(records[0]) for record in records)


def _doubtful(own: Sequence[Sequence[str]], other: str) -> bool:
    """Tell whether records may be read with a wrong separator.

    One column, ragged, or joined names.
    """
    return len(own[0]) == 1 or not _even(own) or other in own[0][0]
