"""The quality bench: what a row of its table says, and where it moves the test."""

import copy
import json
from datetime import datetime

import pytest

from scripts import bench_quality
from scripts.bench_quality import Trained, earlier, outcome, row

NAME = "departments_28d"


@pytest.fixture
def run(trained):
    report = json.loads((trained / NAME / "report.json").read_text())
    return Trained(report, 10.0, datetime(2025, 10, 1))


def test_a_row_has_the_model_every_rival_and_the_differences_to_boosting(run):
    cells = [cell.strip() for cell in row("nano", [run]).strip("|").split("|")]
    assert len(cells) == bench_quality.HEADER.splitlines()[0].strip("|").count("|") + 1
    macro = run.report["splits"]["test"]["macro"]
    found = run.report["baselines"]["boosting"]["test"]["difference"]["ap"]
    assert cells[0] == f"{NAME}, nano"
    assert cells[4] == f"**{macro['auroc']:.3f} / {macro['ap']:.3f}**"
    assert cells[8] == "0.500 / 0.153"
    assert cells[10] == f"{found['value']:+.4f} [{found['low']:+.4f}, {found['high']:+.4f}]"


def test_a_row_of_several_runs_has_their_mean_and_half_their_range(run):
    other = copy.deepcopy(run)
    macro = other.report["splits"]["test"]["macro"]
    macro["auroc"], macro["ap"] = macro["auroc"] + 0.02, macro["ap"] - 0.01
    cells = row("nano", [run, other]).split("|")
    assert f"**{macro['auroc'] - 0.01:.3f} ± 0.010 / {macro['ap'] + 0.005:.3f} ± 0.005**" in cells[5]
    assert sum(map(int, cells[13].split(","))) == int(cells[4]) == 2


def test_an_interval_that_touches_0_is_no_difference():
    assert [outcome({"low": low, "high": 0.2}) for low in (-0.1, 0.0, 0.1)] == ["equal", "equal", "better"]
    assert outcome({"low": -0.2, "high": -0.1}) == "worse"


def test_an_earlier_test_ends_whole_windows_before(run, trained):
    assert "examples.observed_until=2025-08-06T00:00:00" in earlier(run, trained / NAME, 2)
