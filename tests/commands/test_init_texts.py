"""`mlc init` reads CSV files as they are written, and writes down how."""

import polars as pl
import pytest

from mlc.scenario import Csv, NumberType
from tests.support.event_scenarios import load_events
from tests.support.shop_tables import shop_tables

pytestmark = pytest.mark.slow

SALES = shop_tables()["sales"]


def european(separator: str) -> bytes:
    text = SALES.write_csv(separator=separator, float_precision=2).replace(".", ",")
    return b"\xef\xbb\xbf" + text.replace("T00:00:00,000000", "").replace("\n", "\r\n").encode()


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_a_file_with_another_separator_and_decimal_commas_is_read_and_described(mlc, tmp_path, separator):
    (tmp_path / "sales.csv").write_bytes(european(separator))
    result = mlc("init", "sales.csv", "--entity", "customer")
    assert result.code == 0, result.err
    table = load_events(tmp_path / "scenario.yaml").data.events["sales"]
    assert table.format == Csv(separator=separator)
    assert table.types["price"] == NumberType(kind="number", decimal=",")
    checked = mlc("check", "scenario.yaml")
    assert checked.code == 0, checked.err
    assert "is text, and so no number" not in checked.out


def zeros(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("customer").str.replace("c", "0"))


def test_ids_that_begin_with_zero_stay_text_in_all_tables(mlc, tmp_path):
    for name in ("sales", "customers"):
        zeros(shop_tables()[name]).write_csv(tmp_path / f"{name}.csv")
    result = mlc("init", "sales.csv", "customers.csv", "--entity", "customer")
    assert result.code == 0, result.err
    assert result.out.count("types: {customer: text}   # some texts begin with 0") == 2
    assert list(load_events(tmp_path / "scenario.yaml").data.entities) == ["customers"]
    assert "is read as numbers" not in mlc("check", "scenario.yaml").out


def test_ids_that_another_table_has_as_numbers_still_match(mlc, tmp_path):
    zeros(SALES).write_csv(tmp_path / "sales.csv")
    people = zeros(shop_tables()["customers"]).with_columns(pl.col("customer").cast(pl.Int64))
    people.write_parquet(tmp_path / "customers.parquet")
    result = mlc("init", "sales.csv", "customers.parquet", "--entity", "customer")
    assert result.code == 0, result.err
    assert list(load_events(tmp_path / "scenario.yaml").data.entities) == ["customers"]
