"""What a file is by its first bytes, whatever its name says."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlc.scenario import Arrow, Csv, Format, Ndjson, Parquet

EMPTY = "it is empty. Remove it, or write it anew"
_HEAD = 512  # bytes that are enough to recognise a file
_WRITE_PARQUET = "Write it as Parquet or CSV first"


@dataclass(frozen=True)
class Signature:
    """A kind of file.

    Attributes:
        name: With its article: `an Excel workbook (.xlsx)`.
        mend: What makes it readable.
        kind: The format that reads it, if there is one.
    """

    name: str
    mend: str
    kind: str = ""


_FORMATS = {
    "parquet": Signature("a Parquet file", "Write format: parquet", "parquet"),
    "arrow": Signature("an Arrow file", "Write format: arrow", "arrow"),
}
_GZIP = Signature("a gzip archive", "Unpack it with gunzip", "gzip")
_ZSTD = Signature("a zstd archive", "Unpack it with zstd -d", "zstd")
_PICKLE = Signature("a Python pickle", "Write it as Parquet: pandas.read_pickle(…).to_parquet(…)")
_SAS = Signature("a SAS table", "Write it as Parquet: pandas.read_sas(…).to_parquet(…)")
_UTF16 = Signature("UTF-16 text", "Write format: {kind: csv, encoding: utf-16}", "utf-16")
_BEGINNINGS: Sequence[tuple[int, bytes, Signature]] = (
    (0, b"PAR1", _FORMATS["parquet"]),
    (0, b"PARE", Signature("an encrypted Parquet file", "Write it without encryption")),
    (0, b"ARROW1", _FORMATS["arrow"]),
    (0, b"FEA1", Signature("a Feather file of version 1", "Write it as Parquet: pandas.read_feather(…)")),
    (0, b"ORC", Signature("an ORC file", _WRITE_PARQUET)),
    (0, b"Obj\x01", Signature("an Avro file", "Write it as Parquet: polars.read_avro(…).write_parquet(…)")),
    (0, b"\xd0\xcf\x11\xe0", Signature("an Excel workbook (.xls)", "Save its sheet as CSV")),
    (0, b"\x1f\x8b", _GZIP),
    (0, b"\x28\xb5\x2f\xfd", _ZSTD),
    (0, b"BZh", Signature("a bzip2 archive", "Unpack it with bunzip2")),
    (0, b"\xfd7zXZ\x00", Signature("an xz archive", "Unpack it with unxz")),
    (0, b"7z\xbc\xaf\x27\x1c", Signature("a 7z archive", "Unpack it")),
    (0, b"Rar!", Signature("a RAR archive", "Unpack it")),
    (257, b"ustar", Signature("a tar archive", "Unpack it with tar -xf")),
    (
        0,
        b"SQLite format 3\x00",
        Signature("an SQLite database", "Write format: {kind: sql, uri: sqlite:///…}"),
    ),
    (8, b"DUCK", Signature("a DuckDB database", "Write format: {kind: sql, uri: duckdb:///…}")),
    (12, b"\xc2\xea\x81\x60\xb3\x14\x11\xcf\xbd\x92\x08\x00\x09\xc7\x31\x8c", _SAS),
    (0, b"HEADER RECORD*******LIBRARY", _SAS),
    (0, b"$FL2", Signature("an SPSS table", "Write it as Parquet or CSV in SPSS")),
    (
        0,
        b"<stata_dta>",
        Signature("a Stata table", "Write it as Parquet: pandas.read_stata(…)"),
    ),
    (0, b"RDX", Signature("an R data file", "Write it as Parquet or CSV in R")),
    (0, b"\x89HDF\r\n", Signature("an HDF5 file", "Write it as Parquet: pandas.read_hdf(…).to_parquet(…)")),
    (0, b"\x93NUMPY", Signature("a NumPy array", _WRITE_PARQUET)),
    *((0, bytes([0x80, version]), _PICKLE) for version in range(2, 6)),
    (0, b"\xff\xfe\x00\x00", Signature("UTF-32 text", "Write it as UTF-8")),
    (0, b"\xff\xfe", _UTF16),
    (0, b"\xfe\xff", _UTF16),
    (0, b"%PDF", Signature("a PDF document", _WRITE_PARQUET)),
    (0, b"version https://git-lfs", Signature("a Git LFS pointer", "Run git lfs pull")),
)
_WEB_PAGES = (b"<!doctype html", b"<html")


def signature_of(path: Path) -> Signature | None:
    """Say what a file is by its first bytes; None where they could be text.

    Raises:
        OSError: The file cannot be opened.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
        if head.startswith(b"PK\x03\x04"):
            file.seek(0)
            return _zipped(file.read(1 << 16))
    for offset, bytes_, signature in _BEGINNINGS:
        if head[offset : offset + len(bytes_)] == bytes_:
            return signature
    if head.count(0) * 4 > len(head) and not head.startswith(b"\x00" * 8):
        return _UTF16 if 0 in (head[0], head[1]) else None
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.lower().startswith(_WEB_PAGES):
        return Signature("a web page", "Download the table itself")
    if start.startswith(b"<?xml"):
        return Signature("an XML document", _WRITE_PARQUET)
    if start[:1] == b"[" and start[1:].lstrip()[:1] in (b"{", b"[", b"]"):
        mend = "Write one object per line: jq -c '.[]' FILE > FILE.ndjson"
        return Signature("a JSON array", mend)
    return None


def _zipped(head: bytes) -> Signature:
    if b"xl/" in head:
        return Signature("an Excel workbook (.xlsx)", "Save its sheet as CSV")
    if b"opendocument.spreadsheet" in head:
        return Signature("an OpenDocument spreadsheet (.ods)", "Save its sheet as CSV")
    return Signature("a ZIP archive", "Unpack it with unzip")


def file_fault(path: Path, kind: Format) -> str | None:
    """Say why a file cannot be one of a format, and what to do.

    It is None where its first bytes allow it.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8 text. Rename it"
    if path.is_symlink() and not path.exists():
        return f"it is a link to {os.readlink(path)}, which does not exist. Mend or remove the link"  # noqa: PTH115
    try:
        size = path.stat().st_size
        signature = signature_of(path)
    except OSError as error:
        return f"it cannot be read: {error.strerror or error}"
    if size == 0:  # an empty text file among others is a table without rows
        return EMPTY if isinstance(kind, Parquet | Arrow) else None
    if signature is None:
        if isinstance(kind, Parquet | Arrow):
            return f"it is not {_written(kind)} file. Write it anew, or name its format: csv or ndjson"
        return None
    if signature.kind in _allowed(kind):
        return None
    mend = signature.mend if not (signature is _UTF16 and isinstance(kind, Ndjson)) else "Write it as UTF-8"
    return f"it is {signature.name}, not {_written(kind)} file. {mend}"


def _allowed(kind: Format) -> Iterator[str]:
    yield kind.kind
    if isinstance(kind, Csv):
        yield kind.encoding
    if isinstance(kind, Csv | Ndjson):
        yield from ("gzip", "zstd")


def _written(kind: Format) -> str:
    return {"parquet": "a Parquet", "arrow": "an Arrow", "csv": "a CSV", "ndjson": "an NDJSON"}[kind.kind]
