"""Files that cannot be read: one error that names the file, what is wrong and what to do; never a trace."""

import gzip
import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mlc.errors import DataError
from mlc.scenario import load_scenario
from mlc.sources import file_problems, reading, scan_table
from mlc.sources.files.contents import sources_of
from tests.conftest import Command
from tests.support.shop_tables import SCENARIO, shop_tables, write_shop

SALES = shop_tables()["sales"]
CSV = SALES.write_csv().encode()
LINES = CSV.splitlines(keepends=True)
NDJSON = SALES.write_ndjson().encode()

ODD_NAMES = (
    "[s]",
    "*",
    "?",
    "{s}",
    "two words",
    "it's",
    '"s"',
    "#s",
    "50%20",
    "a\nb",
    "ünï🎁",
    "-s",
    "~s",
    "a&b",
)


def changed(old: str, new: str) -> str:
    """The scenario with one part of it written in another way."""
    assert SCENARIO.count(old) == 1, old
    return SCENARIO.replace(old, new)


def parquet(frame: pl.DataFrame = SALES) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="snappy")
    return buffer.getvalue()


def arrow(frame: pl.DataFrame = SALES) -> bytes:
    buffer = io.BytesIO()
    frame.write_ipc(buffer)
    return buffer.getvalue()


def zipped(member: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(member, CSV)
    return buffer.getvalue()


SAS = b"\x00" * 12 + b"\xc2\xea\x81\x60\xb3\x14\x11\xcf\xbd\x92\x08\x00\x09\xc7\x31\x8c" + b"\x00" * 900
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 900
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n"
JSON = json.dumps([{"a": 1}, {"a": 2}]).encode()
SHEET = zipped("xl/workbook.xml")


def with_line(at: int, line: bytes) -> bytes:
    """The CSV with another line, which becomes line `at`."""
    return b"".join([*LINES[: at - 1], line + b"\n", *LINES[at - 1 :]])


def long_with(line: bytes) -> bytes:
    """A CSV too long for its types to be inferred from all its lines, and one more line."""
    return LINES[0] + b"".join(LINES[1:] * 3) + line + b"\n"


DAY = b"2024-01-05T00:00:00.000000"
LAST = 3 * len(SALES) + 2
BROKEN: dict[str, tuple[str, bytes, str]] = {
    # what it is: name of the file, content, what the message must say
    "Excel": ("sales.xlsx", SHEET, "it is an Excel workbook (.xlsx), not a Parquet file. Save its sheet"),
    "Excel called CSV": ("sales.csv", SHEET, "it is an Excel workbook (.xlsx), not a CSV file"),
    "old Excel": ("sales.xls", OLE, "it is an Excel workbook (.xls)"),
    "ZIP": ("sales.csv", zipped("sales.csv"), "it is a ZIP archive, not a CSV file. Unpack it"),
    "SAS": ("sales.sas7bdat", SAS, "it is a SAS table"),
    "pickle": ("sales.pkl", b"\x80\x04\x95" + b"x" * 99, "it is a Python pickle"),
    "JSON": ("sales.json", JSON, "it is a JSON array, not a Parquet file"),
    "JSON called NDJSON": ("sales.ndjson", JSON, "it is a JSON array, not an NDJSON file"),
    "web page": ("sales.csv", b"<!DOCTYPE html><html><body>login</body></html>", "it is a web page"),
    "Git LFS": ("sales.parquet", LFS, "it is a Git LFS pointer, not a Parquet file. Run git lfs pull"),
    "SQLite": ("sales.db", b"SQLite format 3\x00" + b"\x00" * 99, "it is an SQLite database"),
    "Parquet called CSV": ("sales.csv", parquet(), "it is a Parquet file, not a CSV file. Write format"),
    "CSV called Parquet": ("sales.parquet", CSV, "it is not a Parquet file"),
    "Arrow called Parquet": ("sales.parquet", arrow(), "it is an Arrow file, not a Parquet file. Write"),
    "packed Parquet": ("sales.parquet", gzip.compress(parquet()), "it is a gzip archive, not a Parquet file"),
    "UTF-16": ("sales.csv", CSV.decode().encode("utf-16"), "it is UTF-16 text, not a CSV file. Write format"),
    "UTF-16 without a mark": ("sales.csv", CSV.decode().encode("utf-16-le"), "it is UTF-16 text"),
    "empty Parquet": ("sales.parquet", b"", "it is empty"),
    "cut Parquet": ("sales.parquet", parquet()[:-99], "it is damaged or incomplete"),
    "holed Parquet": ("sales.parquet", parquet()[:4] + b"\xff" * 600 + parquet()[604:], "it is damaged"),
    "cut Arrow": ("sales.arrow", arrow()[:-50], "it is damaged or incomplete"),
    "cut gzip": ("sales.csv.gz", gzip.compress(CSV)[:-30], "it is damaged or incomplete"),
    "Latin-1": ("sales.csv", with_line(8, b"caf\xe9," + DAY + b",3,4"), "line 8: the byte 0xE9 is not UTF-8"),
    "long line": ("sales.csv", with_line(10, b"c01," + DAY + b",3,4,5,6"), "line 10: it has 6 values, the"),
    "open quote": ("sales.csv", with_line(10, b'"c01,' + DAY + b',3,4'), "line 10: a quote opens here and"),
    "half quote": ("sales.csv", with_line(10, b'"c01"x,' + DAY + b',3,4'), "line 10: a closing quote is"),
    "late text": ("sales.csv", long_with(b"c01," + DAY + b",3,dear"), f"line {LAST}: price is 'dear'"),
    "late time": ("sales.csv", long_with(b"c01,yesterday,3,4"), f"line {LAST}: at is 'yesterday'"),
    "no JSON": ("sales.ndjson", NDJSON + b"{oops\n", f"line {len(SALES) + 1}: it is not a JSON object"),
    "JSON list": ("sales.ndjson", NDJSON + b"[1, 2]\n", f"line {len(SALES) + 1}: it is '[1, 2]', not an"),
}  # fmt: skip


def message(mlc: Command, *arguments: object) -> str:
    """The error of a command that must be refused, and must not be called an internal one."""
    result = mlc(*arguments)
    assert result.code == 2, result.err
    assert "Traceback" not in result.err
    return result.err


@pytest.mark.parametrize("case", BROKEN)
def test_check_names_the_broken_file_what_is_wrong_and_what_to_do(mlc, tmp_path, case):
    file, content, wanted = BROKEN[case]
    path = write_shop(tmp_path, changed("sales.parquet", file), sales=None)
    (tmp_path / file).write_bytes(content)
    told = message(mlc, "check", path)
    assert f"shop.yaml:5: data.tables.sales.path: {file}: {wanted}" in told


@pytest.mark.parametrize("case", ["Excel", "Latin-1", "cut Parquet", "open quote"])
@pytest.mark.parametrize("command", ["labels", "train", "init"])
def test_every_command_that_reads_tables_names_the_broken_file(mlc, tmp_path, case, command):
    file, content, wanted = BROKEN[case]
    path = write_shop(tmp_path, changed("sales.parquet", file), sales=None)
    (tmp_path / file).write_bytes(content)
    smoke = ["--smoke"] if command == "train" else []
    told = message(mlc, command, tmp_path / file if command == "init" else path, *smoke)
    assert f"{file}: {wanted}" in told
    assert not (tmp_path / "examples.parquet").exists()


@pytest.mark.parametrize("case", ["Parquet called CSV", "Latin-1", "long line", "late text", "open quote"])
def test_the_file_that_is_to_blame_is_named_and_not_the_first_of_the_glob(mlc, tmp_path, case):
    _, content, wanted = BROKEN[case]
    path = write_shop(tmp_path, changed("sales.parquet", "in/*.csv"), sales=None)
    (tmp_path / "in").mkdir()
    for name in ("a", "c"):
        (tmp_path / "in" / f"{name}.csv").write_bytes(LINES[0] + b"".join(LINES[1:] * 3))
    (tmp_path / "in" / "b.csv").write_bytes(content)
    assert f"in/b.csv: {wanted}" in message(mlc, "check", path)


def test_a_folder_of_two_formats_is_refused_with_a_file_of_the_other(mlc, tmp_path):
    path = write_shop(tmp_path, changed("sales.parquet", "in"), sales=None)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_bytes(CSV)
    (tmp_path / "in" / "b.parquet").write_bytes(parquet())
    (tmp_path / "in" / "c.ndjson").write_bytes(NDJSON)
    told = message(mlc, "check", path)
    assert "in/b.parquet: it is a Parquet file, not a CSV file" in told
    (tmp_path / "in" / "b.parquet").unlink()
    told = message(mlc, "check", path)
    assert (
        "in/c.ndjson: its format differs from that of in/a.csv. Read those of one format, such as in/*.csv"
        in told
    )


@pytest.mark.parametrize("where", ["in", "in/*.parquet", "in/b.parquet"])
def test_a_link_that_leads_nowhere_is_named(mlc, tmp_path, where):
    path = write_shop(tmp_path, changed("sales.parquet", where), sales=None)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.parquet").write_bytes(parquet())
    (tmp_path / "in" / "b.parquet").symlink_to("gone.parquet")
    assert "in/b.parquet: it is a link to gone.parquet, which does not exist" in message(mlc, "check", path)


def test_a_file_that_may_not_be_read_is_named(mlc, tmp_path, monkeypatch):
    path, opened = write_shop(tmp_path), Path.open

    def refuse(self: Path, *args: Any, **kwargs: Any) -> Any:  # permissions do not bind the superuser
        if self.name == "sales.parquet":
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    assert "sales.path: sales.parquet: it cannot be read: Permission denied" in message(mlc, "check", path)


def test_folders_called_like_files_are_read_as_folders(mlc, tmp_path):
    path = write_shop(tmp_path, changed("sales.parquet", "in/*.parquet"), sales=None)
    for part in range(2):
        (tmp_path / "in" / f"day{part}.parquet").mkdir(parents=True)
        content = parquet(SALES[part::2])
        (tmp_path / "in" / f"day{part}.parquet" / "part-0.parquet").write_bytes(content)
        (tmp_path / "in" / f"day{part}.parquet" / "_SUCCESS").touch()
    assert mlc("check", path).code == 0


@pytest.mark.parametrize("stem", ODD_NAMES)
@pytest.mark.parametrize("ending", ["parquet", "csv", "arrow", "ndjson"])
def test_any_character_may_stand_in_the_name_of_a_file(tmp_path, stem, ending):
    content = {"parquet": parquet(), "csv": CSV, "arrow": arrow(), "ndjson": NDJSON}[ending]
    (tmp_path / f"{stem}.{ending}").write_bytes(content)
    (tmp_path / f"s.{ending}").write_bytes(content)  # what a name that is taken for a pattern would match
    text = changed("sales.parquet", json.dumps(f"{stem}.{ending}"))
    scenario = load_scenario(write_shop(tmp_path, text))
    assert scan_table(scenario, "sales").collect().height == len(SALES)
    assert file_problems(scenario, "sales") == []


def test_a_file_that_changes_while_it_is_read_is_named_as_such(tmp_path):
    scenario = load_scenario(write_shop(tmp_path))

    def read() -> None:
        os.utime(tmp_path / "sales.parquet", (2**32, 2**32))
        raise pl.exceptions.ComputeError("parquet: File out of specification")

    with pytest.raises(DataError) as caught, reading(scenario):
        read()
    assert "sales.parquet: it changed while it was read. Run the command again" in str(caught.value)


def test_a_file_that_goes_while_it_is_read_is_named(tmp_path):
    scenario = load_scenario(write_shop(tmp_path))
    frame = scan_table(scenario, "sales")
    (tmp_path / "sales.parquet").unlink()
    with pytest.raises(DataError) as caught, reading(scenario):
        frame.collect()
    assert f"sales.path: no such file: {tmp_path}/sales.parquet" in str(caught.value)


def test_a_full_disk_is_not_taken_for_a_damaged_table(tmp_path):
    with pytest.raises(OSError, match="No space"), reading(load_scenario(write_shop(tmp_path))):
        raise OSError(28, "No space left on device")


# ── values that fail only when they are read ────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("time: at", "time: at, where: CAST(customer AS INT) > 0", "where"),
        ("time: at", "time: at, computed: {n: CAST(customer AS INT)}", "computed.n"),
        ("time: at", "time: at, computed: {n: date(customer)}", "computed.n"),
    ],
)
def test_an_expression_that_fails_on_some_row_is_named_with_its_field(mlc, tmp_path, old, new, field):
    told = message(mlc, "check", write_shop(tmp_path, changed(old, new)))
    assert f"shop.yaml:5: data.tables.sales.{field}: sales.parquet: the " in told
    assert "fails on some row. Guard it with CASE or TRY_CAST" in told


def test_a_rule_that_fails_on_some_event_is_named_with_its_line(mlc, tmp_path):
    rule = "window_days: 21\n  rule: {kind: exists, where: CAST(customer AS INT) > 0}"
    told = message(mlc, "check", write_shop(tmp_path, changed("window_days: 21", rule)))
    assert "shop.yaml:13: target.rule.where: sales.parquet: the condition fails on some event" in told


# ── encodings ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16"])
@pytest.mark.parametrize("packed", [False, True])
def test_text_in_other_encodings_is_read_letter_for_letter(tmp_path, encoding, packed):
    wanted = SALES.with_columns(pl.lit("café").alias("note"))
    content = wanted.write_csv().encode(encoding)
    file = "sales.csv.gz" if packed else "sales.csv"
    (tmp_path / file).write_bytes(gzip.compress(content) if packed else content)
    text = changed("path: sales.parquet", f"path: {file}, format: {{kind: csv, encoding: {encoding}}}")
    scenario = load_scenario(write_shop(tmp_path, text, sales=None))
    assert file_problems(scenario, "sales") == []
    assert scan_table(scenario, "sales").collect()["note"].unique().to_list() == ["café"]


def test_a_byte_that_an_encoding_does_not_have_is_named_with_its_line(mlc, tmp_path):
    text = changed("path: sales.parquet", "path: sales.csv, format: {kind: csv, encoding: cp1252}")
    path = write_shop(tmp_path, text, sales=None)
    (tmp_path / "sales.csv").write_bytes(with_line(8, b"caf\x81,2024-01-05,3,4"))
    assert "sales.csv: line 8: the byte 0x81 is not cp1252 text" in message(mlc, "check", path)


# ── folders that hold columns ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", ["lake", "lake/*/*/*", "lake/**/*.ENDING"])
@pytest.mark.parametrize("ending", ["parquet", "csv", "arrow", "ndjson"])
def test_columns_are_read_from_folders_named_after_them(tmp_path, path, ending):
    write = {"parquet": parquet, "arrow": arrow}
    shops = {"year=2024/shop=North%20End": 0, "year=2025/shop=__HIVE_DEFAULT_PARTITION__": 1}
    for folder, part in shops.items():
        frame = SALES[part::2]
        content = write[ending](frame) if ending in write else getattr(frame, f"write_{ending}")().encode()
        (tmp_path / "lake" / folder).mkdir(parents=True)
        (tmp_path / "lake" / folder / f"part-0.{ending}").write_bytes(content)
    text = changed("sales.parquet", json.dumps(path.replace("ENDING", ending)))
    scenario = load_scenario(write_shop(tmp_path, text, sales=None))
    found = scan_table(scenario, "sales").collect()
    assert found.columns == [*SALES.columns, "year", "shop"]
    counts = found.group_by("year", "shop").len().sort("year").rows()
    assert counts == [(2024, "North End", 2_000), (2025, None, 2_000)]


def test_folders_above_the_path_of_a_table_are_no_columns(tmp_path):
    (tmp_path / "run=3").mkdir()
    scenario = load_scenario(write_shop(tmp_path / "run=3"))
    assert scan_table(scenario, "sales").collect_schema().names() == SALES.columns


def test_a_value_in_the_name_of_a_folder_keeps_its_zeros_where_types_say_text(tmp_path):
    (tmp_path / "lake" / "month=01").mkdir(parents=True)
    (tmp_path / "lake" / "month=01" / "a.parquet").write_bytes(parquet())
    text = changed("path: sales.parquet", "path: lake, types: {month: text}")
    scenario = load_scenario(write_shop(tmp_path, text, sales=None))
    assert scan_table(scenario, "sales").collect()["month"].unique().to_list() == ["01"]


def test_a_file_that_moves_to_another_folder_is_another_content(tmp_path):
    (tmp_path / "lake" / "month=1").mkdir(parents=True)
    (tmp_path / "lake" / "month=1" / "a.parquet").write_bytes(parquet())
    scenario = load_scenario(write_shop(tmp_path, changed("sales.parquet", "lake"), sales=None))
    (before,) = sources_of(scenario, "sales", {})
    assert [source.content for source in sources_of(scenario, "sales", {before.state: before.content})] == [
        before.content
    ]
    (tmp_path / "lake" / "month=1").rename(tmp_path / "lake" / "month=2")
    (after,) = sources_of(scenario, "sales", {})
    assert after.content != before.content
