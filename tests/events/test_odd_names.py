"""Labels of any characters through the whole command line: the same ones come back."""

import csv
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from tests.conftest import in_process
from tests.support.shop_tables import QUICK, SCENARIO, shop_tables, write_shop

SMALL = (*QUICK, "--set", "baselines=[recency]", "--set", "model.memory=true")


def run(folder: Path, *arguments: Any) -> str:
    """One command that must end well; all that it printed."""
    ended = in_process(*arguments, folder=folder)
    assert ended.code == 0, ended.err
    return ended.out + ended.err


NAMES = ("a \"b\" 'c'", "line\nbreak\ttab", "nul\0bell\a", "\u202eright to left", "x" * 10_000)


def test_labels_with_any_characters_come_back_from_every_command(tmp_path):
    tables = shop_tables(kinds=NAMES)
    scenario = SCENARIO.replace("[Dress, Skirt, Shorts]", "{top: 5}")
    write_shop(tmp_path, scenario, **tables)
    said = run(tmp_path, "train", "shop.yaml", *SMALL)
    said += run(tmp_path, "thresholds", "shop", "--out", "own.yaml")
    said += run(tmp_path, "labels", "shop.yaml", "--examples", "2", "--html", "labels.html")
    raw = [line for line in said.splitlines() if set(line) & {"\0", "\a", "\t", "\u202e"}]
    assert raw == []
    run(tmp_path, "predict", "shop", "--threshold", "own.yaml", "--long", "--out", "long.parquet")
    assert set(pl.read_parquet(tmp_path / "long.parquet")["label"]) == set(NAMES)
    run(tmp_path, "predict", "shop", "--out", "wide.csv")
    with (tmp_path / "wide.csv").open(newline="") as file:
        header = next(csv.reader(file))
    assert {name for name in NAMES if any(name in column for column in header)} == set(NAMES)
    thresholds = yaml.safe_load((tmp_path / "own.yaml").read_text())
    assert set(NAMES) == set(thresholds["per_label"])
    for page in ("runs/shop/report.html", "labels.html"):
        text = (tmp_path / page).read_text()
        assert not set(text) & {"\0", "\a", "\u202e"}
