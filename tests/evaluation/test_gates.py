"""Gates: what passes, what does not, and what the command line makes of it."""

import json
import re
import shutil
from typing import Any

import pytest

from mlc.evaluation.gates import judge
from mlc.evaluation.metrics import Difference, LabelScore, MeanScore
from mlc.scenario import GatesSection
from tests.support.scenario_texts import problems_of, shortest

NAME = "departments_28d"


def given(
    macro: Any = (0.3, 0.7, 0.2), aurocs: Any = (0.6, None, 0.9), difference: Any = (0.1, 0.02, 0.2)
) -> tuple[Any, ...]:
    """Means, labels and differences of a test split."""
    ap, auroc, log_loss = macro
    labels = [_label(f"l{index}", value) for index, value in enumerate(aurocs)]
    value, low, high = difference
    return MeanScore(auroc, ap, log_loss, 2, 3), labels, {"recency": Difference(value, low, high, 2)}


def _label(name: str, auroc: float | None) -> LabelScore:
    why = None if auroc else "no positive example"
    return LabelScore(name, 9, 3, 0.3, auroc, None, None, None, None, why, not_judged=why)


@pytest.mark.parametrize(
    ("gates", "numbers", "passed", "value", "found"),
    [
        ({"macro_ap": 0.3}, {}, True, 0.3, "0.3000 over 2 of 3 labels"),
        ({"macro_ap": 0.31}, {}, False, 0.3, "0.3000 over 2 of 3 labels"),
        ({"macro_auroc": 0.7}, {"macro": (None, None, None)}, False, None, "undefined"),
        ({"macro_log_loss": 0.2}, {}, True, 0.2, "0.2000 over 2 of 3 labels"),
        ({"macro_log_loss": 0.19}, {}, False, 0.2, "0.2000 over 2 of 3 labels"),
        ({"label_auroc_min": 0.6}, {}, True, 0.6, "0.6000 (l0); 1 not judged: fewer than 10 entities"),
        ({"label_auroc_min": 0.7}, {}, False, 0.6, "0.6000 (l0); 1 of 2 below; 1 not judged: "),
        (
            {"label_auroc_min": 0.7},
            {"aurocs": (None,)},
            False,
            None,
            "undefined: every label has fewer than 10",
        ),
        (
            {"beats": ["recency"]},
            {},
            True,
            0.1,
            "+0.1000 (95 % interval +0.0200 to +0.2000) over 2 of 3 labels",
        ),
        (
            {"beats": ["recency"]},
            {"difference": (0.1, -0.02, 0.2)},
            False,
            0.1,
            "+0.1000 (95 % interval -0.0200",
        ),
        ({"beats": ["recency"]}, {"difference": (None, None, None)}, False, None, "undefined"),
        ({"beats": ["boosting"]}, {}, False, None, "boosting is not in the report"),
    ],
)
def test_a_gate_passes_or_fails_and_tells_its_value(gates, numbers, passed, value, found):
    [gate] = judge(GatesSection(**gates), *given(**numbers))
    assert (gate.passed, gate.value) == (passed, value)
    assert gate.found.startswith(found)


def test_a_baseline_to_beat_must_be_one_of_those_that_the_report_has(tmp_path):
    text = shortest(baselines="[recency]", gates="{beats: [recency, boosting]}")
    assert problems_of(tmp_path, text) == [
        "scenario.yaml:11: gates.beats: boosting is none of baselines. Add it there."
    ]


def test_gates_without_a_gate_are_refused(tmp_path):
    [problem] = problems_of(tmp_path, shortest(gates="{}"))
    assert problem.endswith("gates: there is no gate. Name one, or remove gates.")


def with_gates(trained, folder, text: str):
    """A copy of the run whose scenario has other gates."""
    shutil.copytree(trained / NAME, folder / NAME)
    (folder / "store").symlink_to(trained / "store")
    path = folder / NAME / "resolved.yaml"
    before = path.read_text()
    path.write_text(re.sub(r"^gates:.*?(?=^\S|\Z)", text, before, flags=re.DOTALL | re.MULTILINE))
    return "--runs-dir", folder


def test_gates_that_pass_stand_in_the_report_and_the_check_ends_with_zero(trained, mlc):
    result = mlc("evaluate", NAME, "--runs-dir", trained, "--check", "--json")
    assert result.code == 0, result.err
    gates = json.loads(result.out)["gates"]
    assert gates == json.loads((trained / NAME / "report.json").read_text())["gates"]
    assert [gate["passed"] for gate in gates] == [True, True]
    assert "passed: macro AP >= 0.2: 0." in result.err
    assert "| better than prevalence in macro AP |" in (trained / NAME / "report.md").read_text()


def test_a_gate_that_fails_is_told_and_ends_with_one_only_where_asked(trained, mlc, tmp_path):
    flags = with_gates(trained, tmp_path / "runs", "gates: {macro_ap: 0.99, beats: prevalence}\n")
    checked = mlc("evaluate", NAME, *flags, "--check")
    assert checked.code == 1
    assert "FAILED: macro AP >= 0.99: 0." in checked.err
    assert "passed: better than prevalence in macro AP: +0." in checked.err
    assert "the same numbers as in training" in checked.err
    assert mlc("evaluate", NAME, *flags).code == 0


def test_gates_can_be_given_as_a_file_a_scenario_or_inline_without_touching_the_run(trained, mlc, tmp_path):
    before = (trained / NAME / "resolved.yaml").read_bytes()
    (tmp_path / "gates.yaml").write_text("macro_ap: 0.99\n")
    (tmp_path / "scenario.yaml").write_text("name: other\ngates:\n  macro_ap: 0.99\n")
    for given in ("gates.yaml", "scenario.yaml", "{macro_ap: 0.99}"):
        result = mlc("evaluate", NAME, "--runs-dir", trained, "--gates", given)
        assert result.code == 1, result.err
        assert "FAILED: macro AP >= 0.99: 0." in result.err
        assert "better than" not in result.err.split("FAILED")[1]
    assert mlc("evaluate", NAME, "--runs-dir", trained, "--check", "--gates", "{macro_ap: 0.01}").code == 0
    assert (trained / NAME / "resolved.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("given", "text", "problem"),
    [
        (
            "gates.yaml",
            "macro_ap: 0.1\nmacro_app: 0.9\n",
            "gates.yaml:2: gates.macro_app: unknown field",
        ),
        ("s.yaml", "a: 1\ngates:\n  beats: luck\n", "s.yaml:3: gates.beats"),
        ("gates.yaml", "beats: boosting\nmacro_ap: .1\n", ""),
        ("gates.yaml", "", "gates.yaml: gates: there is no gate"),
        ("gates.yaml", "gates:\n", "gates.yaml: gates: there is no gate"),
        ("gates.yaml", "- 1\n", "gates.yaml:1: gates: must be a mapping"),
        ("missing.yaml", None, "missing.yaml: --gates: no such file"),
        ("{macro_ap: 7}", None, "--gates: gates.macro_ap: must be at most 1"),
        ("{macro_ap", None, "--gates: "),
    ],
)
def test_gates_that_break_a_rule_are_refused_where_they_were_written(
    trained, mlc, tmp_path, given, text, problem
):
    if text is not None:
        (tmp_path / given).write_text(text)
    result = mlc("evaluate", NAME, "--runs-dir", trained, "--gates", given)
    if not problem:  # a baseline of the run
        assert result.code in (0, 1)
        return
    assert result.code == 2, result.err
    assert result.err.startswith(problem)


def test_a_check_without_gates_says_how_to_give_them(trained, mlc, tmp_path):
    flags = with_gates(trained, tmp_path / "runs", "")
    result = mlc("evaluate", NAME, *flags, "--check")
    assert result.code == 2
    assert "--gates '{macro_ap: 0.25, beats: recency}'" in result.err
    assert "resolved.yaml" not in result.err
