"""A project, or a run alone, that lies elsewhere than when it was trained."""

import shutil

import polars as pl
import pytest

from tests.conftest import in_process
from tests.support.shop_tables import write_shop

QUICK = (
    *("--set", "model.preset=nano", "--set", "train.epochs=1", "--set", "train.accelerator=cpu"),
    *("--set", "baselines=[recency]"),
)


@pytest.fixture(scope="module")
def trained_shop(tmp_path_factory):
    """A project with a run and its predictions; read only."""
    folder = tmp_path_factory.mktemp("project") / "shop"
    folder.mkdir()
    write_shop(folder)
    for command in (("train", "shop.yaml", *QUICK), ("predict", "shop", "--out", "before.parquet")):
        result = in_process(*command, folder=folder)
        assert result.code == 0, result.err
    return folder


def test_a_project_that_was_moved_predicts_and_evaluates_as_before(trained_shop, mlc, tmp_path):
    moved = tmp_path / "another place" / "shop"
    shutil.copytree(trained_shop, moved)
    (moved / "sales.parquet").touch()
    run = moved / "runs" / "shop"
    text = (run / "resolved.yaml").read_text()
    assert str(trained_shop) not in text
    assert "path: sales.parquet" in text
    (tmp_path / "elsewhere").mkdir()
    assert mlc("predict", run, "--out", "elsewhere/after.parquet").code == 0
    before = pl.read_parquet(trained_shop / "before.parquet")
    assert pl.read_parquet(tmp_path / "elsewhere" / "after.parquet").equals(before)
    evaluated = mlc("evaluate", run)
    assert evaluated.code == 0, evaluated.err
    assert "the same numbers as in training" in evaluated.err
    assert not (tmp_path / "runs").exists()  # its event store lies beside the run


def test_a_run_that_was_moved_without_its_project_finds_the_tables_where_they_were(
    trained_shop, mlc, tmp_path
):
    shutil.copytree(trained_shop / "runs" / "shop", tmp_path / "copy")
    assert mlc("predict", "copy", "--out", "after.parquet").code == 0
    assert pl.read_parquet("after.parquet").equals(pl.read_parquet(trained_shop / "before.parquet"))


def test_other_rows_in_the_moved_tables_are_still_noticed(trained_shop, mlc, tmp_path):
    shutil.copytree(trained_shop, tmp_path, dirs_exist_ok=True)
    sales = pl.read_parquet("sales.parquet")
    sales.head(sales.height - 1).write_parquet("sales.parquet")
    evaluated = mlc("evaluate", "shop")
    assert evaluated.code == 0, evaluated.err
    assert "the tables have changed since the training" in evaluated.err
