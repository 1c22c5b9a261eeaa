"""A task without events and without time goes through every command that knows tasks by their protocol."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mlc.commands.thresholds import thresholds
from mlc.models import tasks
from mlc.run import RunFolder, fingerprint_of
from mlc.tables import CUTOFF, RAW_SCORES, TARGETS, scores_of
from mlc.training import learners
from tests.support.toy_task import Sigmoid, SigmoidLearner, join, write_toy


@pytest.fixture
def toy(tmp_path, monkeypatch):
    write_toy(tmp_path)
    monkeypatch.chdir(tmp_path)
    join(monkeypatch)
    return tmp_path


@pytest.mark.usefixtures("toy")
def test_a_model_without_a_network_trains_evaluates_predicts_and_chooses_thresholds(mlc, monkeypatch):
    monkeypatch.setattr(learners, "learner_of", lambda scenario, *_: SigmoidLearner(scenario))
    loaded = lambda run, name, **_: Sigmoid(run.read_json(f"{name}.json")["slope"])  # noqa: E731
    monkeypatch.setattr(tasks, "part_of", loaded)
    trained = mlc("train", "short.yaml")
    assert trained.code == 0, trained.err
    run = RunFolder(Path("runs/short"))
    assert run.read_json("parts.json")["weights"] == {"sigmoid": 1.0}
    assert run.facts["fingerprint"] == fingerprint_of(run / "sigmoid.json")
    assert not {"epochs", "devices", "parameters"} & set(run.facts)
    notes = run.read_json("report.json")["baseline_notes"]
    assert notes[0] == "sigmoid: of slope 9"
    assert notes[1].startswith("the scores of 594 examples of train and validation are out of fold")

    predictions = pl.read_parquet(run / "predictions.parquet")
    raw_NK, a_N = scores_of(predictions, RAW_SCORES), pl.read_csv("numbers.csv")["a"][:-10].to_numpy()
    slope_N = np.where(predictions["split"] != "test", 2.0, 9.0)
    assert raw_NK[:, 0] == pytest.approx(1 / (1 + np.exp(-slope_N * a_N)), abs=1e-5)

    evaluated = mlc("evaluate", "short")
    assert evaluated.code == 0, evaluated.err
    assert "the same numbers as in training" in evaluated.err
    assert mlc("predict", "short", "--out", "scores.parquet").code == 0
    stored = [one["value"] for one in run.read_json("thresholds.json")["thresholds"]]
    assert [one.value for one in thresholds(run, None, [])] == stored


@pytest.mark.usefixtures("toy")
def test_a_task_of_another_kind_trains_evaluates_predicts_compares_and_reports(mlc):
    for name in ("short", "long"):
        trained = mlc("train", f"{name}.yaml")
        assert trained.code == 0, trained.err

    report = json.loads(Path("runs/long/report.json").read_text())
    assert report["splits"]["test"]["macro"]["auroc"] > 0.85
    assert report["comparison"]["ap"]["outcome"] == "better"
    assert report["comparison"]["ap"]["baseline"] == "prevalence"
    assert report["backtest"] == []
    assert [one["by"] for one in report["slices"]] == ["sign of a"]
    assert report["funnel"][-1] == {"reason": "no part", "removed": 10, "kept": 890}
    page = Path("runs/long/report.html").read_text()
    assert "sign of a" in page
    assert "Has it, and scores low" in page
    assert "a is -" in page
    assert "Over the test cutoffs" not in page
    assert "sign of a" in Path("runs/long/report.md").read_text()

    evaluated = mlc("evaluate", "long")
    assert evaluated.code == 0, evaluated.err
    assert "the same numbers as in training" in evaluated.err

    predicted = mlc("predict", "long", "--out", "scores.parquet")
    assert predicted.code == 0, predicted.err
    scores = pl.read_parquet("scores.parquet")
    assert scores.columns == ["entity_id", "run", "high", "low", "high: decision", "low: decision"]
    assert scores.height == 900
    numbers = pl.read_csv("numbers.csv").sort("who")
    both = scores.hstack(numbers.select("a", "b"))
    assert both.select(pl.corr("high", "a")).item() > 0.8
    assert both.select(pl.corr("low", "b")).item() < -0.8

    compared = mlc("compare", "short", "long", "--json")
    assert compared.code == 0, compared.err
    assert json.loads(compared.out)["examples"] == 296

    chosen = mlc("thresholds", "long", "--policy", "max_f1")
    assert chosen.code == 0, chosen.err
    listed = mlc("runs", "--json")
    assert {run["state"] for run in json.loads(listed.out)} == {"finished"}


def test_a_task_without_time_has_no_cutoff_anywhere_and_knows_what_became_of_a_prediction(toy, mlc):
    assert mlc("train", "short.yaml").code == 0
    for file in ("examples.parquet", "predictions.parquet"):
        assert CUTOFF not in pl.read_parquet_schema(f"runs/short/{file}")
    task = tasks.trained_task(RunFolder(toy / "runs" / "short"), lambda _: None, ["high", "low"])
    keys = pl.DataFrame({"entity_id": [3, 900]})
    became = pl.read_csv("numbers.csv").filter(pl.col("who") == 3).select("high", "low").row(0)
    assert task.actuals(keys)[TARGETS].to_list() == [list(became), [255, 255]]
