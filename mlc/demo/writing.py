"""The demo's folder: tables, truth and scenarios, all there or not at all."""

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from mlc.demo.rows import KINDS
from mlc.demo.scenarios import SCENARIOS
from mlc.demo.simulation import BLOCK, draw_world, simulate_block
from mlc.errors import RunError
from mlc.files.atomic import refusal

_VERSION = 1  # raise it with every change that makes other data from the same seed
_MARKER = "demo.json"
_UNFINISHED = ".unfinished-"
_FEWEST_ROWS = 100  # so that each split has some of each label
_SHARD = 25_000  # customers of one file: bounds memory


def _is_there(folder: Path, demo: Mapping[str, Any]) -> bool:
    """Whether the folder holds this very demo; an error where it holds anything else."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    if any(folder.glob(f"{_UNFINISHED}*")):
        raise RunError(f"{folder} holds an unfinished demo: delete it, unless another command is writing it")
    try:
        marker = json.loads((folder / _MARKER).read_text(encoding="utf-8"))
        text = f"{_described(marker)}, version {marker['version']}"
    except (OSError, ValueError, TypeError, LookupError):
        raise RunError(f"{folder} holds something that is not a demo: choose another folder") from None
    if marker != demo:
        raise RunError(f"{folder} holds another demo ({text}): choose another folder, or delete it")
    return True


def write_demo(
    folder: Path, customers: int = 4000, seed: int = 7, say: Callable[[str], None] = lambda _: None
) -> list[Path]:
    """Write tables, true probabilities and scenarios into a new folder.

    A demo of fewer customers and the same seed holds the first customers of a larger one. Memory is that of
    25,000 customers. Everything appears at the end, by rename, the marker `demo.json` last.

        data/transactions/part-*.parquet  customer_id, bought_at, article_id, quantity, price, channel
        data/articles.parquet             article_id, department, category, price_band, description, tags
        data/customers.parquet            customer_id, joined_on, age, region, loyalty_tier
        data/truth/part-*.parquet         customer_id, cutoff, and a Float32 column a department: P(at least
                                          one purchase in (cutoff, cutoff + 28 days]), for all CUTOFFS

    Args:
        folder: Made where missing. One that holds the same demo already is left as it is.
        customers: How many, at least 1; about 4 % of them never buy.
        seed: Of everything that is random, at least 0.
        say: Called with a sentence after every shard.

    Returns:
        The scenario files.

    Raises:
        RunError: The folder holds anything else or cannot be written, or a number is out of range.
    """
    _check("customers", customers, 1)
    _check("seed", seed, 0)
    marker = {"customers": customers, "seed": seed, "version": _VERSION}

    def write(unfinished: Path) -> None:
        _write_tables(unfinished / "data", customers, seed, say)
        for name, text in SCENARIOS.items():
            (unfinished / name).write_text(text, encoding="utf-8")

    _publish(folder, marker, write, say)
    return [folder / name for name in SCENARIOS]


def write_rows_demo(
    folder: Path, kind: str, rows: int = 4000, seed: int = 7, say: Callable[[str], None] = lambda _: None
) -> list[Path]:
    """Write generated rows, their true probabilities and a scenario into a new folder.

    Args:
        folder: As of `write_demo`.
        kind: One of `mlc.demo.rows.KINDS`.
        rows: How many rows, at least 100.
        seed: Of everything that is random, at least 0.
        say: Called with a sentence where the demo is there already.

    Returns:
        The scenario file.

    Raises:
        RunError: As of `write_demo`; or pictures are wanted and Pillow is not installed.
    """
    _check("rows", rows, _FEWEST_ROWS)
    _check("seed", seed, 0)
    marker = {"kind": kind, "rows": rows, "seed": seed, "version": _VERSION}
    _publish(folder, marker, lambda unfinished: KINDS[kind](rows, seed).write(unfinished), say)
    return [folder / "scenario.yaml"]


def _check(name: str, value: int, least: int) -> None:
    if value < least:
        raise RunError(f"{name} must be at least {least}, not {value}")


def _described(marker: Mapping[str, Any]) -> str:
    """What a demo holds, in a phrase."""
    if "kind" in marker:
        return f"{marker['kind']}, {marker['rows']:,} rows, seed {marker['seed']}"
    return f"{marker['customers']:,} customers, seed {marker['seed']}"


def _publish(
    folder: Path, marker: Mapping[str, Any], write: Callable[[Path], None], say: Callable[[str], None]
) -> None:
    """Write a demo into a folder.

    Everything appears at the end, by rename, the marker last.
    """
    if _is_there(folder, marker):
        say(f"{folder} holds this demo already: {_described(marker)}")
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=folder) as temporary:
            unfinished = Path(temporary)
            write(unfinished)
            for path in sorted(unfinished.iterdir()):
                path.replace(folder / path.name)
            (unfinished / _MARKER).write_text(json.dumps(marker) + "\n", encoding="utf-8")
            (unfinished / _MARKER).replace(folder / _MARKER)
    except (OSError, pl.exceptions.ComputeError) as error:  # Polars wraps a full disk
        reason = refusal(error)
        if reason is None:
            raise
        raise RunError(f"{folder}: the demo cannot be written: {reason}") from error


def _write_tables(data: Path, customers: int, seed: int, say: Callable[[str], None]) -> None:
    """All tables, a shard of customers at a time."""
    for name in ("transactions", "truth"):
        (data / name).mkdir(parents=True)
    world = draw_world(seed)
    world.articles.write_parquet(data / "articles.parquet")
    customer_tables: list[pl.DataFrame] = []
    for shard, first in enumerate(range(0, customers, _SHARD)):
        end = min(first + _SHARD, customers)
        blocks = [simulate_block(seed, world, start, end) for start in range(first, end, BLOCK)]
        customer_tables += [tables["customers"] for tables in blocks]
        for name in ("transactions", "truth"):
            shard_table = pl.concat([tables[name] for tables in blocks])
            shard_table.write_parquet(data / name / f"part-{shard:05d}.parquet")
        say(f"simulated {end:,} of {customers:,} customers")
    pl.concat(customer_tables).write_parquet(data / "customers.parquet")
