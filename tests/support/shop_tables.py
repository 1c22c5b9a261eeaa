"""A shop of 80 customers as small files, each part of which a test may break."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

START, DAYS, CUSTOMERS = datetime(2024, 1, 1), 200, 80
KINDS = ("Dress", "Skirt", "Shorts")
SCENARIO = """\
name: shop
data:
  entity: customer
  tables:
    sales: {kind: events, path: sales.parquet, time: at, joins: {items: item}}
    items: {kind: dimension, path: items.parquet, key: item}
    customers: {kind: entities, path: customers.parquet, key: customer}
target:
  table: sales
  column: items.kind
  class_names: [Dress, Skirt, Shorts]
  window_days: 21
"""
QUICK = ("--set", "model.preset=nano", "--set", "train.epochs=1", "--set", "train.batch_size=64")
"""Flags for a training of a few seconds."""


def shop_tables(kinds: tuple[str, ...] = KINDS) -> dict[str, pl.DataFrame]:
    """Four thousand sales of 30 items of these kinds."""
    rng = np.random.default_rng(7)
    sales, items = 4_000, 30
    days = np.sort(rng.integers(0, DAYS, sales))
    return {
        "sales": pl.DataFrame(
            {
                "customer": [f"c{row:02d}" for row in rng.integers(0, CUSTOMERS, sales)],
                "at": [START + timedelta(days=int(day)) for day in days],
                "item": rng.integers(0, items, sales),
                "price": rng.uniform(1, 50, sales).round(2),
            }
        ),
        "items": pl.DataFrame(
            {"item": range(items), "kind": [kinds[item % len(kinds)] for item in range(items)]}
        ),
        "customers": pl.DataFrame(
            {
                "customer": [f"c{row:02d}" for row in range(CUSTOMERS)],
                "region": [("North", "South")[row % 2] for row in range(CUSTOMERS)],
            }
        ),
    }


def write_shop(folder: Path, scenario: str = SCENARIO, **changed: Any) -> Path:
    """Write tables and scenario into a folder; a changed table is a frame, or bytes, or None to leave it out.

    Returns:
        The scenario's path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in {**shop_tables(), **changed}.items():
        if isinstance(table, pl.DataFrame):
            table.write_parquet(folder / f"{name}.parquet")
        elif table is not None:
            (folder / f"{name}.parquet").write_bytes(table)
    path = folder / "shop.yaml"
    path.write_text(scenario, encoding="utf-8")
    return path


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below a folder and its bytes, hidden ones too."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
