"""The Python API: the same numbers as the command line, with frames in and frames out."""

import logging
import subprocess
import sys
from datetime import date

import polars as pl
import pytest
import yaml

import mlc
from mlc.errors import MlcError
from tests.support.shop_tables import SCENARIO, shop_tables, snapshot, write_shop

QUICK = {"model.preset": "nano", "train.epochs": 1, "train.accelerator": "cpu", "baselines": ["recency"]}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder with the tables of a shop and a run of it; read only."""
    folder = tmp_path_factory.mktemp("api")
    path = write_shop(folder)
    mlc.train(mlc.load_scenario(path, QUICK), folder / "runs")
    return folder


@pytest.fixture
def run(project):
    return mlc.open_run("shop", project / "runs")


def test_importing_it_is_quick_and_loads_nothing():
    code = (
        "import time; begun = time.process_time(); import mlc; spent = time.process_time() - begun\n"
        "import sys; heavy = {'torch', 'polars', 'pydantic', 'numpy'} & sys.modules.keys()\n"
        "print(sorted(heavy), spent < 0.1)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[] True\n"


def test_an_unknown_name_is_no_attribute():
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        mlc.trian  # noqa: B018


def test_a_scenario_is_a_file_or_a_mapping_with_overrides_of_both_kinds(project, monkeypatch):
    monkeypatch.chdir(project)
    given = yaml.safe_load(SCENARIO)
    loaded = mlc.load_scenario(given, {"train.epochs": 3, "target.class_names": ["Dress", "Skirt"]})
    assert loaded.train.epochs == 3
    again = mlc.load_scenario("shop.yaml", ["train.epochs=3", "target.class_names=[Dress, Skirt]"])
    assert again.model_dump() == loaded.model_dump()
    with pytest.raises(mlc.MlcError, match="did you mean window_days"):
        mlc.load_scenario({**given, "target": {**given["target"], "windw_days": 3}})


def test_check_finds_what_the_command_finds(project):
    checked = mlc.check(mlc.load_scenario(project / "shop.yaml"), project / "runs")
    assert not checked.problems
    assert checked.class_names == ["Dress", "Skirt", "Shorts"]


def test_labels_are_a_frame_with_one_column_per_label(project):
    scenario = mlc.load_scenario(project / "shop.yaml")
    table = mlc.labels(scenario, project / "runs")
    assert table.columns == ["entity_id", "cutoff", "split", "Dress", "Skirt", "Shorts"]
    assert mlc.labels(scenario, project / "runs", "long").height == 3 * table.height


def test_a_run_has_report_scorecard_predictions_and_thresholds(run):
    assert run.report["scenario"] == "shop"
    assert run.scorecard["name"].to_list() == ["Dress", "Skirt", "Shorts"]
    assert run.scorecard["ap"].to_list() == [label["ap"] for label in run.report["splits"]["test"]["labels"]]
    assert run.predictions.columns == ["entity_id", "cutoff", "split", "Dress", "Skirt", "Shorts"]
    assert list(run.thresholds) == ["Dress", "Skirt", "Shorts"]
    assert "runs/shop" in repr(run)
    assert "<table" in run._repr_html_()
    assert run.report["verdict"] in run._repr_html_()


def test_predict_says_what_the_command_says(run, mlc):
    assert mlc("predict", run.folder, "--as-of", "2024-06-01", "--out", "scores.parquet").code == 0
    expected = pl.read_parquet("scores.parquet")
    for as_of in ("2024-06-01", date(2024, 6, 1)):
        assert run.predict(as_of).equals(expected)
    some = run.predict("2024-06-01", entities=["c07", "c03"], threshold="0.4")
    assert some["entity_id"].sort().to_list() == ["c03", "c07"]
    with pytest.raises(MlcError, match=r"entities: 1 have no history at the cutoff: c7x\. Did you mean c"):
        run.predict(entities=["c07", "c7x"])


def test_frames_take_the_place_of_tables_and_nothing_is_left_of_them(run, project, caplog, monkeypatch):
    sales = shop_tables()["sales"]
    few = sales.filter(pl.col("customer").is_in(["c01", "c02"]))
    before = snapshot(project / "runs")
    with caplog.at_level(logging.INFO, "mlc"):
        first = run.predict(tables={"sales": few})
    assert first["entity_id"].sort().to_list() == ["c01", "c02"]
    assert any("events: sales" in line for line in caplog.messages)
    made = snapshot(project / "runs")
    assert all(name.startswith("store/") for name in made.keys() - before.keys())
    caplog.clear()
    with caplog.at_level(logging.INFO, "mlc"):
        assert run.predict(tables={"sales": few}).equals(first)
    assert not any("events: sales" in line for line in caplog.messages)  # the same store
    few.write_parquet(project / "few.parquet")
    assert run.predict(tables={"sales": project / "few.parquet"}).equals(first)
    monkeypatch.chdir(project)
    assert mlc.open_run("shop").predict(tables={"sales": few}).equals(first)
    with pytest.raises(mlc.MlcError, match="there is no table sale, did you mean sales"):
        run.predict(tables={"sale": few})


def test_columns_that_are_missing_or_new_are_warned_of(run, caplog):
    customers = shop_tables()["customers"]
    run.predict(tables={"customers": customers.with_columns(tier=pl.lit("gold")).drop("region")})
    warned = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert any("customers.region, the tables no longer do" in line for line in warned)
    assert mlc.open_run(run.folder).thresholds == run.thresholds
    with pytest.raises(mlc.MlcError, match=r"^tables: data\.tables\.sales\.time: sales .* column at"):
        run.predict(tables={"sales": shop_tables()["sales"].drop("at")})


def test_a_model_without_memory_does_not_embed(run):
    with pytest.raises(mlc.MlcError, match="no memory, which the vectors come from"):
        run.embed()


def test_a_run_that_does_not_exist_is_an_error_of_mlc(project):
    with pytest.raises(mlc.MlcError, match="Did you mean shop"):
        mlc.open_run("shup", project / "runs")


def test_frames_of_pandas_give_frames_of_pandas(run):
    pandas = pytest.importorskip("pandas")
    sales = shop_tables()["sales"]
    given = pandas.DataFrame({name: sales[name].to_list() for name in sales.columns})
    frame = run.predict(tables={"sales": given})
    assert isinstance(frame, pandas.DataFrame)
    assert pl.DataFrame(frame.to_dict("list"), schema=run.predict().schema).equals(run.predict())


def test_missing_values_of_pandas_become_null():
    pandas = pytest.importorskip("pandas")
    from mlc.commands.api.frames import as_polars

    frame = pandas.DataFrame(
        {
            "text": ["a", None],
            "float": [1.5, float("nan")],
            "whole": pandas.array([1, None], dtype="Int64"),
            "time": pandas.to_datetime(["2024-01-01", None]),
            "kind": pandas.Categorical(["x", None]),
        }
    )
    polars = as_polars(frame)
    assert polars.null_count().row(0) == (1, 1, 1, 1, 1)
    assert [str(dtype) for dtype in polars.dtypes[:3]] == ["String", "Float64", "Int64"]
    assert polars["time"].dtype.is_temporal()
