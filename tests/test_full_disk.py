"""A disk that is full at any write of any command: exit 2, the file is named, nothing is half-written."""

import errno
import itertools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlc.files import atomic
from tests.conftest import in_process
from tests.support.shop_tables import QUICK, snapshot, write_shop

FOUNDATION = (
    *(
        "--set",
        "pretrain.preset=nano",
        "--set",
        "pretrain.epochs=1",
        "--set",
        "pretrain.cutoffs_per_entity=1",
    ),
    *("--set", "name=base"),
)
COMMANDS = {
    "init": ("init", "sales.parquet", "items.parquet", "--out", "first.yaml"),
    "check": ("check", "shop.yaml", "--runs-dir", "new"),
    "labels": ("labels", "shop.yaml", "--out", "labels.parquet"),
    "thresholds": ("thresholds", "shop", "--policy", "max_f1", "--out", "chosen.yaml"),
    "predict": ("predict", "shop", "--out", "scores.csv"),
    "predict parquet": ("predict", "shop", "--out", "scores.parquet"),
    "embed": ("embed", "base", "--out", "vectors.parquet"),
    "evaluate": ("evaluate", "shop"),
}
FORMER = ("labels.parquet", "labels.html", "chosen.yaml", "scores.csv", "scores.parquet", "vectors.parquet")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A shop with a run, a foundation and an event store, and files of earlier commands."""
    folder = tmp_path_factory.mktemp("finished")
    write_shop(folder)
    for command in (("train", "shop.yaml", *QUICK), ("pretrain", "shop.yaml", *FOUNDATION)):
        result = in_process(*command, folder=folder)
        assert result.code == 0, result.err
    for name in FORMER:
        (folder / name).write_text("# Thresholds of the run shop" if name == "chosen.yaml" else "former")
    return folder


@contextmanager
def full_at(write: int) -> Iterator[list[Path]]:
    """Fill the disk just before this write, counted from 0, is complete; gives the files that were tried."""
    tried: list[Path] = []
    original = atomic._take_place

    def take_place(temporary: Path, path: Path) -> None:
        tried.append(path)
        if len(tried) == write + 1:
            raise OSError(errno.ENOSPC, "No space left on device", str(temporary))
        original(temporary, path)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(atomic, "_take_place", take_place)
        yield tried


def _named(path: Path) -> Path:
    """The file, or the folder that it was written in before it all would have appeared."""
    hidden = [index for index, part in enumerate(path.parts) if part.startswith(".")]
    return Path(*path.parts[: hidden[0]]) if hidden else path


@pytest.mark.parametrize("name", COMMANDS)
def test_at_whatever_write_the_disk_is_full_the_file_is_named_and_what_was_there_stays(
    finished, monkeypatch, mlc, name
):
    monkeypatch.chdir(finished)
    for write in itertools.count():
        before = snapshot(finished)
        with full_at(write) as tried:
            result = mlc(*COMMANDS[name])
        if len(tried) <= write:
            assert result.code == 0, result.err
            break
        assert result.code == 2, result.err
        assert str(_named(tried[-1])) in result.err
        assert "No space left on device" in result.err
        assert "Traceback" not in result.err
        after = snapshot(finished)
        assert not [file for file in after if "/." in f"/{file}"]
        assert str(tried[-1]) not in after or after[str(tried[-1])] == before[str(tried[-1])]
        assert {file: after[file] for file in before if file not in map(str, tried[:-1])} == {
            file: content for file, content in before.items() if file not in map(str, tried[:-1])
        }
    for path in (finished / "new", finished / "first.yaml"):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


@pytest.mark.slow
@pytest.mark.parametrize("write", [1, 3, 6, 9])
@pytest.mark.parametrize("verb", ["train", "pretrain"])
def test_a_training_on_a_full_disk_can_be_resumed(tmp_path, mlc, verb, write):
    write_shop(tmp_path)
    command = (verb, "shop.yaml", *(QUICK if verb == "train" else FOUNDATION))
    with full_at(write) as tried:
        result = mlc(*command)
    if len(tried) <= write:
        pytest.skip("it writes fewer files")
    assert result.code == 2, result.err
    assert "No space left on device" in result.err
    assert "Traceback" not in result.err
    assert not [file for file in snapshot(tmp_path) if "/." in f"/{file}"]
    begun = list(tmp_path.glob("runs/*/run.json"))
    result = mlc(*command, *(("--resume",) if begun else ()))
    assert result.code == 0, result.err
