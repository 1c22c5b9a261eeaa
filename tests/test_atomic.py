"""Files and folders appear whole or not at all."""

import errno
import os
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from mlc.errors import DataError, MlcError
from mlc.files.atomic import refusal, replacing, write_text


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_and_no_temporary_one_stays(tmp_path):
    write_text(tmp_path / "new" / "report.md", "whole")
    assert (tmp_path / "new" / "report.md").read_text() == "whole"
    assert names(tmp_path / "new") == ["report.md"]


def test_a_file_is_replaced_as_a_whole(tmp_path):
    (tmp_path / "report.md").write_text("before")
    with replacing(tmp_path / "report.md") as temporary:
        temporary.write_text("after")
        assert (tmp_path / "report.md").read_text() == "before"
    assert (tmp_path / "report.md").read_text() == "after"


def test_the_temporary_file_keeps_the_ending_and_is_hidden(tmp_path):
    with replacing(tmp_path / "scores.csv") as temporary:
        assert (temporary.suffix, temporary.name[0], temporary.parent) == (".csv", ".", tmp_path)
        temporary.touch()


def test_what_a_killed_process_was_writing_is_removed_by_the_next_that_writes_the_same(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from mlc.files.atomic import replacing\n"
        "with replacing(Path(sys.argv[1])) as temporary:\n"
        "    temporary.mkdir() if sys.argv[1].endswith('store') else temporary.touch()\n"
        "    os.kill(os.getpid(), 9)"
    )
    for name in ("report.md", "store"):
        subprocess.run([sys.executable, "-c", code, str(tmp_path / name)], check=False)
    left = names(tmp_path)
    assert len(left) == 2
    with replacing(tmp_path / "report.md") as mine:
        mine.touch()
        write_text(tmp_path / "report.txt", "another file")
        write_text(tmp_path / "report.md", "the same file, while this process still writes it")
        assert mine.exists()
    assert names(tmp_path) == [next(name for name in left if "store" in name), "report.md", "report.txt"]
    with replacing(tmp_path / "store") as temporary:
        temporary.mkdir()
    assert names(tmp_path) == ["report.md", "report.txt", "store"]


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_what_is_written_has_the_mode_that_the_umask_gives(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_text(tmp_path / "text", "whole")
        with replacing(tmp_path / "private") as temporary:
            temporary.touch(mode=0o600)  # as safetensors does
        with replacing(tmp_path / "folder") as temporary:
            (temporary / "inner").mkdir(parents=True)
            (temporary / "inner" / "file").touch(mode=0o600)
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.stat().st_mode & 0o777 for path in files] == [0o666 & ~umask] * 3


@pytest.mark.parametrize("error", [ValueError("ours"), KeyboardInterrupt(), OSError(errno.ENOSPC, "full")])
@pytest.mark.parametrize("folder", [False, True])
def test_what_was_there_stays_when_the_writing_fails(tmp_path, error, folder):
    there = tmp_path / "there"
    if folder:
        there.mkdir()
    (there / "inside" if folder else there).write_text("before")

    def write_half() -> None:
        with replacing(there) as temporary:
            if folder:
                temporary.mkdir()
            (temporary / "inside" if folder else temporary).write_text("half")
            raise error

    with pytest.raises((type(error), MlcError)):
        write_half()
    assert names(tmp_path) == ["there"]
    assert (there / "inside" if folder else there).read_text() == "before"


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "old").touch()
    with replacing(tmp_path / "store") as temporary:
        temporary.mkdir()
        (temporary / "new").touch()
    assert names(tmp_path) == ["store"]
    assert names(tmp_path / "store") == ["new"]


def test_a_file_never_takes_the_place_of_a_folder(tmp_path):
    (tmp_path / "d.csv").mkdir()
    (tmp_path / "d.csv" / "precious").write_text("p")
    with pytest.raises(MlcError, match=r"cannot be written: Is a directory\. What was there is unchanged"):
        write_text(tmp_path / "d.csv", "scores")
    assert names(tmp_path) == ["d.csv"]
    assert names(tmp_path / "d.csv") == ["precious"]


@pytest.mark.parametrize("name", ["", ".", "..", "/"])
def test_a_path_without_a_name_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MlcError, match="Add the name of a file"):
        write_text(tmp_path.__class__(name), "scores")


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("before")
    with pytest.raises(MlcError, match="cannot be written: "):
        write_text(tmp_path / "file" / "report.md", "text")
    assert (tmp_path / "file").read_text() == "before"


def test_an_error_that_no_disk_caused_is_left_as_it_is(tmp_path):
    with pytest.raises(DataError, match="ours"), replacing(tmp_path / "x"):
        raise DataError("ours")


def test_a_full_disk_is_seen_through_what_others_made_of_it(tmp_path):
    found = DataError("the rows are not as the first ones")
    found.__cause__ = pl.exceptions.ComputeError("parquet: underlying IO error: full (os error 28)")
    told = "cannot be written: No space left on device"
    with pytest.raises(MlcError, match=told), replacing(tmp_path / "x"):
        raise found


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux")  # noqa: PTH110
def test_every_library_that_writes_tells_of_a_full_disk_in_a_way_that_is_understood():
    writers = {
        "text": lambda file: file.write(b"x" * 100_000),
        "numpy": lambda file: np.save(file, np.zeros(100_000)),
        "polars": lambda _: pl.DataFrame({"a": range(100_000)}).write_parquet("/dev/full"),
        "csv": lambda _: pl.DataFrame({"a": range(100_000)}).write_csv("/dev/full"),
    }
    for name, write in writers.items():
        with open("/dev/full", "wb", buffering=0) as file, pytest.raises(Exception) as caught:  # noqa: PTH123, PT011
            write(file)
        assert refusal(caught.value), name
