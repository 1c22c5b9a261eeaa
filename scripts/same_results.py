"""Hold the results of one version of mlc against those of another: a change of structure changes none.

`make FOLDER` runs fixed scenarios and seeds with the mlc that Python finds and keeps what they write.
`compare BEFORE AFTER` reads two such folders: event stores byte by byte, tables and JSON value by value.

    git worktree add /tmp/before HEAD~1
    PYTHONPATH=/tmp/before python scripts/same_results.py make /tmp/results-before
    PYTHONPATH=$PWD python scripts/same_results.py make /tmp/results-after
    python scripts/same_results.py compare /tmp/results-before /tmp/results-after
"""

import argparse
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

TOLERANCE = 1e-6
"""Largest difference of two numbers that count as equal."""
_VARY = {
    *("started", "finished", "seconds", "peak_memory_mb", "command", "platform", "python", "versions", "mlc"),
    *("fingerprint", "vocabulary", "refit", "store", "run", "folder"),
}
"""Keys and columns of time, machine and version, and hashes of files that hold such."""
_NANO = ("model.preset=nano", "train.epochs=2", "target.allow_empty=true", "examples.train_cutoffs=6")
SCENARIOS: dict[str, Sequence[str]] = {
    "plain": ("baselines=[recency, frequency]",),
    "boosted": ("model.blend=boosting", "train.refit=true", "model.popularity=true"),
    "members": ("model.members=2", "model.memory=true", "calibration=isotonic", "baselines=[recency]"),
    "sequence": ("model.context=gru", "model.max_events=32", "thresholds=max_f1", "baselines=[prevalence]"),
    "foundation": ("model.foundation=auto", "pretrain.epochs=1", "baselines=[recency]"),
}
"""Name → overrides of the demo's scenario; together they reach every part of a model."""


def mlc(folder: Path, *arguments: object) -> str:
    """The standard output of one command, run in a folder.

    Raises:
        SystemExit: The command failed.
    """
    command = [sys.executable, "-m", "mlc", *map(str, arguments)]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}  # sums of several threads differ in their last digits
    done = subprocess.run(command, cwd=folder, env=one_thread, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}\n{done.stderr}")
    return done.stdout


def make(folder: Path) -> None:
    """Run every scenario, and what follows a training, into an empty folder."""
    folder.mkdir(parents=True)
    mlc(folder, "demo", "demo", "--customers", 400)
    scenario = "demo/departments_28d.yaml"
    mlc(folder, "labels", scenario, "--out", "examples.parquet")
    for name, overrides in SCENARIOS.items():
        given = [f"--set={text}" for text in (*_NANO, *overrides, f"name={name}")]
        mlc(folder, "train", scenario, *given)
        mlc(folder, "predict", name, "--out", f"{name}.parquet")
        (folder / f"{name}.evaluate.json").write_text(mlc(folder, "evaluate", name, "--json"))
        print(f"{name} is done", flush=True)


def differences(before: Path, after: Path) -> Iterator[str]:
    """What differs between two folders, one line for each file."""
    one, two = _compared(before), _compared(after)
    for name in sorted(one.keys() ^ two.keys()):
        yield f"{name}: only in {'the first' if name in one else 'the second'} folder"
    for name in sorted(one.keys() & two.keys()):
        difference = _difference(one[name], two[name])
        if difference:
            yield f"{name}: {difference}"


def _compared(folder: Path) -> dict[str, Path]:
    """The files with results, by their place; the folder of the event store is named after its tables."""
    files = {}
    for path in folder.rglob("*"):
        parts = list(path.relative_to(folder).parts)
        stored = parts[:2] == ["runs", "store"]
        if path.suffix in (".parquet", ".npy") or (path.suffix == ".json" and not stored):
            files["/".join(parts[:2] + parts[3:] if stored else parts)] = path
    return files


def _difference(before: Path, after: Path) -> str | None:
    if before.suffix == ".npy":
        return None if before.read_bytes() == after.read_bytes() else "other bytes"
    if before.suffix == ".json":
        return next(_unequal(json.loads(before.read_text()), json.loads(after.read_text())), None)
    one, two = pl.read_parquet(before), pl.read_parquet(after)
    if one.schema != two.schema or one.height != two.height:
        return "other columns or another number of rows"
    for column in sorted(set(one.columns) - _VARY):
        values = [
            frame[column].explode() if frame[column].dtype.is_nested() else frame[column]
            for frame in (one, two)
        ]
        is_float = values[0].dtype.is_float()
        far = (
            ((values[0] - values[1]).abs() > TOLERANCE).any() if is_float else not values[0].equals(values[1])
        )
        if far:
            return f"{column} differs"
    return None


def _unequal(one: Any, two: Any, where: str = "") -> Iterator[str]:
    """Where two JSON values differ by more than the tolerance."""
    if isinstance(one, dict) and isinstance(two, dict):
        for key in sorted((one.keys() | two.keys()) - _VARY):
            if key not in one or key not in two:
                yield f"{where}.{key} is in one of the two only"
            else:
                yield from _unequal(one[key], two[key], f"{where}.{key}")
    elif isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        for index, pair in enumerate(zip(one, two, strict=True)):
            yield from _unequal(*pair, f"{where}[{index}]")
    elif isinstance(one, float | int) and isinstance(two, float | int):
        if not math.isclose(one, two, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
            yield f"{where} was {one} and is {two}"
    elif one != two:
        yield f"{where} was {str(one)[:60]!r} and is {str(two)[:60]!r}"


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("make").add_argument("folder", type=Path)
    two = verbs.add_parser("compare")
    two.add_argument("before", type=Path)
    two.add_argument("after", type=Path)
    given = parser.parse_args()
    if given.verb == "make":
        make(given.folder)
        return
    lines = list(differences(given.before, given.after))
    print("\n".join(lines) or "equal")
    sys.exit(1 if lines else 0)


if __name__ == "__main__":
    main()
