"""Ids beyond 63 bits through the whole command line: the same ones come back."""

import csv
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.conftest import in_process
from tests.support.shop_tables import QUICK, SCENARIO, shop_tables, write_shop

SMALL = (*QUICK, "--set", "baselines=[recency]", "--set", "model.memory=true")


def run(folder: Path, *arguments: Any) -> str:
    """One command that must end well; all that it printed."""
    ended = in_process(*arguments, folder=folder)
    assert ended.code == 0, ended.err
    return ended.out + ended.err


@pytest.mark.parametrize(
    ("dtype", "first", "written"),
    [(pl.UInt64, 2**64 - 100, pl.UInt64), (pl.Int128, 2**100, pl.String)],
)
def test_wide_ids_come_back_from_every_command(tmp_path, dtype, first, written):
    tables = shop_tables()
    for name in ("sales", "customers"):
        number = pl.col("customer").str.slice(1).cast(dtype) + pl.lit(first, dtype)
        tables[name] = tables[name].with_columns(number.alias("customer"))
    ids = {str(one) for one in tables["sales"]["customer"].unique()}
    write_shop(tmp_path, SCENARIO, **tables)
    run(tmp_path, "train", "shop.yaml", *SMALL)
    run(tmp_path, "evaluate", "shop")
    for file, more in (("a.parquet", ()), ("long.parquet", ("--long",)), ("a.csv", ())):
        run(tmp_path, "predict", "shop", "--out", file, *more)
    run(tmp_path, "embed", "shop", "--out", "vectors.parquet")
    frames = [pl.read_parquet(tmp_path / f"{name}.parquet") for name in ("a", "long", "vectors")]
    frames += [pl.read_parquet(tmp_path / "runs/shop/examples.parquet")]
    for frame in frames:
        column = frame["entity_id" if "entity_id" in frame.columns else "customer"]
        assert column.dtype == written
        assert set(column.cast(pl.String)) <= ids
    with (tmp_path / "a.csv").open() as file:
        found = {next(iter(row.values())) for row in csv.DictReader(file)}
    assert found == set(frames[0].to_series(0).cast(pl.String)) == ids
    assert "examples" in run(tmp_path, "labels", "shop.yaml")
