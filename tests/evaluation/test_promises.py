"""What a run says, against what is: volumes by `mlc predict`, the first sentence by other means."""

import re

import pytest

from mlc.run import RunFolder
from scripts.bench import promises
from scripts.bench.promises import GOAL, Kept, examined, outcomes, untrue

NAME = "departments_28d"


def test_predict_repeats_the_volumes_and_the_first_sentence_is_true_of_the_demo(trained, monkeypatch):
    monkeypatch.setattr(promises, "RESAMPLES", 60)
    kept = examined(RunFolder(trained / NAME), trained)
    assert (kept.labels, kept.repeated, kept.untrue) == (12, 12, [])
    assert kept.inside + kept.above <= kept.promised <= 12
    assert kept.row("demo")["volumes_repeated"] == "12 of 12"


def test_a_sentence_that_is_not_true_is_found_out(trained, monkeypatch):
    monkeypatch.setattr(promises, "RESAMPLES", 20)
    report = RunFolder(trained / NAME).read_json("report.json")
    other = "better" if report["comparison"]["ap"]["outcome"] != "better" else "worse"
    said = re.sub(
        r"^(\w+ (to|than)|No detectable difference from)", f"{other.capitalize()} than", report["verdict"]
    )
    said = re.sub(r"(macro AUROC: )[\d.]+", r"\g<1>0.999", said)
    found = " ".join(untrue(RunFolder(trained / NAME), {**report, "verdict": said}))
    assert "report.md has another sentence" in found
    assert f"not {other} than it" in found
    assert "AUROC is 0." in found


def test_an_end_next_to_zero_may_lie_on_its_other_side():
    assert outcomes("AP", 0.01, 0.03) == ["better than"] * 3
    assert outcomes("log-loss", 0.01, 0.03) == ["worse than"] * 3
    near = ["better than", "better than", "no detectable difference from", "equal to"]
    assert outcomes("AP", 0.001, 0.03) == near
    assert outcomes("AP", -0.001, 0.002)[0] == "equal to"


@pytest.mark.parametrize(("repeated", "wrong", "sound"), [(3, [], True), (2, [], False), (3, ["AP"], False)])
def test_a_run_is_sound_where_volumes_and_sentence_are_right(repeated, wrong, sound):
    assert Kept(3, 2, 1, 0, repeated, wrong).sound is sound


def test_the_goal_of_the_bench_is_a_section_of_a_scenario(demo, mlc):
    result = mlc("check", demo / f"{NAME}.yaml", "--set", GOAL, "--set", "target.allow_empty=true")
    assert result.code == 0, result.err
