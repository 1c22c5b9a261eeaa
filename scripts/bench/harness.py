"""What every benchmark shares: arguments, the facts of a measurement, and where its rows go.

A benchmark is run from the root of the repository, as a module:

    python -m scripts.bench.quality --seeds 3 --out docs/results/quality.json

It adds rows to the tables of a record. The record prints the tables as Markdown; with `--out` it writes a
JSON file after each row, so that a benchmark that is stopped leaves what it has. `scripts/docs_results.py`
makes pages of these files.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from scripts.docs_results import table

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("torch", "pytorch-lightning", "polars", "numpy", "scipy", "scikit-learn", "lightgbm", "duckdb")


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options of every benchmark; its help begins with the module's first line."""
    made = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    made.add_argument("--out", type=Path, metavar="FILE", help="write JSON, such as docs/results/NAME.json")
    return made


class Record:
    """Rows of a measurement, printed at the end and written as they come.

    Args:
        out: JSON file to write, or None.
        title: Of the page that is made of it.
        lead: What the figures mean, in a few sentences.
        note: Conditions that its reader should know, or nothing.
    """

    def __init__(self, out: Path | None, title: str, lead: str, note: str = "") -> None:
        self.out, self.note = out, note
        self._head = {"title": title, "lead": lead, **circumstances()}
        self._tables: dict[str, list[dict[str, Any]]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Print the tables; a benchmark that failed prints what it has."""
        for title, rows in self._tables.items():
            print(f"\n{title}\n", *table(rows), sep="\n")
        if kind is None:
            self._write(complete=True)

    def add(self, table_title: str, row: dict[str, Any]) -> None:
        """Add a row: name of a column → cell, see `scripts/docs_results.py` for what a cell may be."""
        self._tables.setdefault(table_title, []).append(row)
        print(f"{table_title}: {json.dumps(row, ensure_ascii=False)}", file=sys.stderr, flush=True)
        self._write(complete=False)

    def _write(self, *, complete: bool) -> None:
        if self.out is None:
            return
        notes = [self.note, "" if complete else "The benchmark was stopped before its end."]
        result = {
            **self._head,
            **({"note": " ".join(filter(None, notes))} if any(notes) else {}),
            "tables": [{"title": title, "rows": rows} for title, rows in self._tables.items()],
        }
        self.out.parent.mkdir(parents=True, exist_ok=True)
        self.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def circumstances() -> dict[str, Any]:
    """Return what a measurement was made with: command, commit, date, versions, machine."""
    git = ("git", "-C", str(ROOT))
    commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout
    return {
        "command": command(),
        "commit": commit.strip(),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "versions": {"python": platform.python_version(), **_versions()},
        "machine": f"{os.cpu_count()} cores, {_processor()}",
    }


def command() -> str:
    """Return the command line as one would type it, without `--out`."""
    words = iter(sys.argv[1:])
    given = [
        word for word in words if not (word == "--out" and next(words, "")) and not word.startswith("--out=")
    ]
    data = ["MLC_DATA=…"] if "MLC_DATA" in os.environ else []
    return " ".join([*data, "python", "-m", f"scripts.bench.{Path(sys.argv[0]).stem}", *given])


def _versions() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
