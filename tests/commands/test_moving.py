"""A project, or a run alone, that lies elsewhere than when it was trained."""

import re
import shutil

import polars as pl
import pytest
import yaml

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


def test_a_run_that_was_moved_without_its_project_asks_for_its_tables_and_takes_them(
    trained_shop, mlc, tmp_path
):
    shutil.copytree(trained_shop / "runs" / "shop", tmp_path / "lone" / "copy")
    lost = mlc("predict", "lone/copy", "--out", "after.parquet")
    assert lost.code == 2
    assert f"none of its tables is in {tmp_path.parent}" in lost.err
    assert "--data data.yaml" in lost.err
    for name in ("sales", "items", "customers"):
        shutil.copy(trained_shop / f"{name}.parquet", tmp_path)
    data = yaml.safe_load((trained_shop / "shop.yaml").read_text())["data"]
    (tmp_path / "data.yaml").write_text(yaml.safe_dump(data))
    predicted = mlc("predict", "lone/copy", "--data", "data.yaml", "--out", "after.parquet")
    assert predicted.code == 0, predicted.err
    assert pl.read_parquet("after.parquet").equals(pl.read_parquet(trained_shop / "before.parquet"))
    evaluated = mlc("evaluate", "lone/copy", "--data", "data.yaml")
    assert evaluated.code == 0, evaluated.err
    assert "the same numbers as in training" in evaluated.err  # a path alone is no changed table
    assert (tmp_path / "lone" / "store").is_dir()  # beside the run
    assert not (tmp_path / "runs").exists()


def test_a_run_holds_no_path_but_as_it_was_written(trained_shop):
    run = trained_shop / "runs" / "shop"
    for path in run.rglob("*"):
        if path.is_file() and "checkpoints" not in path.parts:  # Lightning's own, for --resume
            assert str(trained_shop).encode() not in path.read_bytes(), path


def test_a_field_of_the_data_can_be_replaced_and_nothing_else(trained_shop, mlc, tmp_path):
    customers = pl.read_parquet(trained_shop / "customers.parquet")
    customers.with_columns(pl.lit("gold").alias("tier")).write_parquet(tmp_path / "later.parquet")
    run = trained_shop / "runs" / "shop"
    given = f"data.tables.customers.path={tmp_path / 'later.parquet'}"
    predicted = mlc("predict", run, "--set", given)
    assert predicted.code == 0, predicted.err
    assert "warning: customers.tier is new since the training: the model does not read it" in predicted.err
    before = pl.read_parquet(trained_shop / "before.parquet")
    assert pl.read_parquet("scores.parquet").equals(before)
    over = mlc("predict", run, "--set", given, "--out", "later.parquet")
    assert f"--out later.parquet: is a table of the scenario (--set {given})" in over.err
    customers.drop("region").write_parquet(tmp_path / "later.parquet")
    without = mlc("predict", run, "--set", given)
    assert "the model knows customers.region, the tables no longer do: taken as missing" in without.err
    customers.drop("customer").write_parquet(tmp_path / "later.parquet")
    keyless = mlc("predict", run, "--set", given)
    assert (keyless.code, "customers has no column customer" in keyless.err) == (2, True), keyless.err
    other = mlc("predict", run, "--set", "train.epochs=3", "--data", "nowhere.yaml")
    assert other.code == 2
    assert "--set train.epochs=3: a trained run can have other tables" in other.err
    assert "--data nowhere.yaml: no such file" in other.err


def test_a_label_that_is_gone_is_a_warning_and_the_others_are_evaluated(trained_shop, mlc, tmp_path):
    items = pl.read_parquet(trained_shop / "items.parquet")
    items.with_columns(pl.col("kind").replace("Shorts", "Skirt")).write_parquet(tmp_path / "items.parquet")
    given = f"data.tables.items.path={tmp_path / 'items.parquet'}"
    evaluated = mlc("evaluate", trained_shop / "runs" / "shop", "--set", given)
    assert evaluated.code == 0, evaluated.err
    assert "warning: label Shorts: no event has 'Shorts' in items.kind any more" in evaluated.err
    assert "the tables have changed since the training" in evaluated.err


def test_a_variable_that_has_changed_takes_effect_and_is_reported(mlc, tmp_path, monkeypatch):
    write_shop(tmp_path / "then")
    shutil.copytree(tmp_path / "then", tmp_path / "now")
    scenario = (tmp_path / "then" / "shop.yaml").read_text()
    (tmp_path / "shop.yaml").write_text(re.sub(r"path: (\w+\.parquet)", r'path: "${SHOP}/\1"', scenario))
    monkeypatch.setenv("SHOP", "then")
    assert mlc("train", "shop.yaml", *QUICK).code == 0
    assert "${SHOP}/sales.parquet" in (tmp_path / "runs" / "shop" / "resolved.yaml").read_text()
    monkeypatch.setenv("SHOP", "now")
    evaluated = mlc("evaluate", "shop")
    assert "warning: ${SHOP} has changed since the training" in evaluated.err
    assert "the same numbers as in training" in evaluated.err
    sales = pl.read_parquet("now/sales.parquet")
    sales.head(100).write_parquet("now/sales.parquet")
    assert mlc("predict", "shop").code == 0
    assert pl.read_parquet("scores.parquet").height == sales.head(100)["customer"].n_unique()


def test_other_rows_in_the_moved_tables_are_still_noticed(trained_shop, mlc, tmp_path):
    shutil.copytree(trained_shop, tmp_path, dirs_exist_ok=True)
    sales = pl.read_parquet("sales.parquet")
    sales.head(sales.height - 1).write_parquet("sales.parquet")
    evaluated = mlc("evaluate", "shop")
    assert evaluated.code == 0, evaluated.err
    assert "the tables have changed since the training" in evaluated.err


def test_another_file_in_the_place_of_the_targets_table_is_scored(trained_shop, mlc, tmp_path):
    sales = pl.read_parquet(trained_shop / "sales.parquet")
    sales.write_parquet(tmp_path / "same.parquet")
    sales.write_csv(tmp_path / "same.csv")
    before = pl.read_parquet(trained_shop / "before.parquet")
    for name in ("same.parquet", "same.csv"):
        shutil.copytree(trained_shop, tmp_path / name.replace(".", "-"))
        run = tmp_path / name.replace(".", "-") / "runs" / "shop"
        scored = mlc("predict", run, "--table", tmp_path / name, "--out", "after.parquet")
        assert scored.code == 0, scored.err
        assert pl.read_parquet(tmp_path / "after.parquet").drop("run").equals(before.drop("run"))
    lost = mlc("predict", run, "--table", "nowhere.csv", "--out", "after.parquet")
    assert lost.code == 2
    assert "no such file" in lost.err
