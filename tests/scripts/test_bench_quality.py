"""The quality bench: what a row of its tables says, and where it moves the test."""

import copy
import json
from datetime import datetime

import pytest

from scripts.bench.quality import outcome, rows
from scripts.bench.trainings import Trained, earlier

NAME = "departments_28d"


@pytest.fixture
def run(trained):
    report = json.loads((trained / NAME / "report.json").read_text())
    return Trained(report, 10.0, datetime(2025, 10, 1))


def test_the_rows_have_the_model_every_baseline_and_the_differences_to_boosting(run):
    (_, auroc), (_, ap), (_, difference) = rows([run], "with a")
    macro = run.report["splits"]["test"]["macro"]
    interval = run.report["baselines"]["boosting"]["test"]["difference"]["ap"]
    assert auroc["scenario"] == "demo"
    assert (auroc["model_auroc"], ap["model_ap"]) == (round(macro["auroc"], 3), round(macro["ap"], 3))
    assert (auroc["prevalence_auroc"], ap["prevalence_ap"]) == (0.5, 0.153)
    assert difference["difference_ap"] == {key: round(interval[key], 4) for key in ("value", "low", "high")}
    assert difference["seconds"] == 10


def test_the_rows_of_several_runs_have_their_mean_and_half_their_range(run):
    other = copy.deepcopy(run)
    macro = other.report["splits"]["test"]["macro"]
    macro["auroc"], macro["ap"] = macro["auroc"] + 0.02, macro["ap"] - 0.01
    (_, auroc), (_, ap), (_, difference) = rows([run, other], "with a")
    assert auroc["model_auroc"] == {"value": round(macro["auroc"] - 0.01, 3), "spread": 0.01}
    assert ap["model_ap"] == {"value": round(macro["ap"] + 0.005, 3), "spread": 0.005}
    counted = ("runs_better_in_ap", "runs_not_told_apart", "runs_worse_in_ap")
    assert sum(difference[name] for name in counted) == auroc["runs"] == 2


def test_an_interval_that_touches_0_is_no_difference():
    lows = [outcome({"low": low, "high": 0.2}) for low in (-0.1, 0.0, 0.1)]
    assert lows == ["not told apart", "not told apart", "better"]
    assert outcome({"low": -0.2, "high": -0.1}) == "worse"


def test_an_earlier_test_ends_whole_windows_before(run, trained):
    assert "examples.observed_until=2025-08-06T00:00:00" in earlier(run, trained / NAME, 2)
