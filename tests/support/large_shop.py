"""A shop with enough customers to know an AUROC, and what `mlc check` finds in it when a part is changed."""

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl

from tests.conftest import Command
from tests.support.shop_tables import DAYS, SCENARIO, START, shop_tables
from tests.support.shop_tables import write_shop as write_small_shop


def large_shop() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Sales and customers of a shop with enough customers to know an AUROC: nothing is wrong with it."""
    rng = np.random.default_rng(11)
    days = np.sort(rng.integers(0, DAYS, SALES_ROWS))
    sales = pl.DataFrame(
        {
            "customer": [f"c{row:03d}" for row in rng.integers(0, CUSTOMERS, SALES_ROWS)],
            "at": [START + timedelta(days=int(day)) for day in days],
            "item": rng.integers(0, 30, SALES_ROWS),
            "price": rng.uniform(1, 50, SALES_ROWS),
        }
    )
    customers = {
        "customer": [f"c{row:03d}" for row in range(CUSTOMERS)],
        "region": ["North"] * 300 + ["South"] * 300,
    }
    return sales, pl.DataFrame(customers)


CUSTOMERS, SALES_ROWS = 600, 6_000
SALES, PEOPLE = large_shop()
ITEMS = shop_tables()["items"]
OWN_LABEL = "kind is target and history: the model sees its values up to the cutoff"
QUIET = {
    OWN_LABEL,
    "at of sales has dates without a time of day",
    "customers is taken as it is today for every cutoff: region",
    "items.kind is target and history: the model sees its values up to the cutoff",
}


def write_shop(folder: Path, scenario: str = SCENARIO, **tables: object) -> Path:
    """The large shop, some of its tables changed."""
    return write_small_shop(folder, scenario, **{"sales": SALES, "customers": PEOPLE, **tables})


def changed(old: str, new: str) -> str:
    """The scenario with one part written otherwise."""
    assert SCENARIO.count(old) == 1, old
    return SCENARIO.replace(old, new)


def findings_of(mlc: Command, folder: Path, scenario: str, *flags: object, **tables: object) -> list[str]:
    """`severity: found → advice` of every finding that the sound shop does not have, worst first."""
    told = json.loads(mlc("check", write_shop(folder, scenario, **tables), "--json", *flags).out)
    assert told["ok"], told
    for finding in told["findings"]:
        assert finding["location"].startswith(str(folder / "shop.yaml"))
        assert finding["advice"]
    return [
        f"{f['severity']}: {f['found']} → {f['advice']}" for f in told["findings"] if f["found"] not in QUIET
    ]


def only(findings: list[str]) -> str:
    """The one finding."""
    (finding,) = findings
    return finding
