"""Where a training writes its curves."""

import csv
import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from mlc.errors import ScenarioError
from mlc.evaluation.metrics import MeanScore
from mlc.run import RunFolder
from mlc.scenario import Scenario, load_scenario
from mlc.training import loggers as step
from tests.support.scenario_texts import shortest, written

NAME = "departments_28d"
SCORES = MeanScore(auroc=0.7, ap=0.25, log_loss=None, labels_defined=3, labels=3)


def scenario(folder: Path, loggers: str) -> Scenario:
    return load_scenario(written(folder, shortest(train=f"{{loggers: {loggers}}}")))


def test_a_run_writes_the_epochs_of_its_log_and_the_scores_of_its_report_as_csv(trained):
    run = trained / NAME
    with (run / "logs" / "csv" / "version_0" / "metrics.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    losses = [float(row["validation_loss"]) for row in rows if row["validation_loss"]]
    logged = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert losses == pytest.approx([line["validation_loss"] for line in logged], abs=1e-6)
    macro = json.loads((run / "report.json").read_text())["splits"]["test"]["macro"]
    assert float(rows[-1]["test_macro_ap"]) == macro["ap"]


def test_no_logger_writes_nothing(tmp_path):
    assert step.open_loggers(scenario(tmp_path, "[]"), RunFolder(tmp_path)) == []
    assert not (tmp_path / "logs").exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_reads_the_scores(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    loggers = step.open_loggers(scenario(tmp_path, "[tensorboard]"), RunFolder(tmp_path))
    step.log_scores(loggers, SCORES, steps=12)
    found = EventAccumulator(str(tmp_path / "logs" / "tensorboard" / "version_0"))
    found.Reload()
    [event] = found.Scalars("test_macro_ap")
    assert (event.step, event.value) == (12, 0.25)
    assert "test_macro_log_loss" not in found.Tags()["scalars"]


@pytest.mark.parametrize("name", ["tensorboard", "mlflow", "wandb"])
def test_a_logger_that_is_not_installed_is_refused_with_the_line_that_installs_it(
    mlc, demo, monkeypatch, name
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:1")
    monkeypatch.setattr(step, "find_spec", lambda asked: None if asked == name else find_spec(asked))
    result = mlc("train", demo / "departments_28d.yaml", "--set", f"train.loggers=[csv, {name}]")
    assert result.code == 2
    assert f"train.loggers: {name} is not installed. Install it: pip install 'mlc[{name}]'" in result.err


def test_mlflow_must_be_told_where_to_write(mlc, demo, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(step, "find_spec", lambda _: True)
    result = mlc("train", demo / "departments_28d.yaml", "--set", "train.loggers=[mlflow]")
    assert result.code == 2
    assert "MLFLOW_TRACKING_URI is not set" in result.err


def test_a_logger_that_cannot_write_is_an_error_of_the_scenario(tmp_path):
    (tmp_path / "logs").write_text("a file where the folder should be")
    with pytest.raises(ScenarioError, match="csv cannot write: "):
        step.open_loggers(scenario(tmp_path, "[csv]"), RunFolder(tmp_path))
