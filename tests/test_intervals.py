"""Intervals and verdicts: they hold their estimates, and rest on labels that enough entities have."""

import json
import math
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlc.evaluation.gates import Gate, judge
from mlc.evaluation.metrics import (
    ENOUGH,
    label_differences,
    macro_differences,
    overall_scores,
    ratio_interval,
    score_labels,
    support,
)
from mlc.evaluation.outcomes import outcome
from mlc.evaluation.thresholds import Threshold
from mlc.report import Report
from mlc.scenario import GatesSection
from mlc.tables import SPLIT_TYPE, array_column
from scripts.bench import verdicts
from tests.support import reference_metrics as reference
from tests.support.effort import drawn
from tests.support.reports import as_markdown, as_text, built

relaxed = settings(deadline=None, max_examples=drawn(60))
SCORES = ("auroc", "ap", "log_loss")


@st.composite
def judged(draw: Any, most: int = 40) -> Any:
    """Scores of two models, targets and entities, of any support."""
    examples, labels = draw(st.integers(1, most)), draw(st.integers(1, 3))
    generator = np.random.default_rng(draw(st.integers(0, 10_000)))
    levels = draw(st.sampled_from([[0.5], [0.1, 0.5, 0.9], np.linspace(0, 1, 101)]))
    first, second = generator.choice(levels, size=(2, examples, labels)).astype(np.float32)
    weights = draw(st.sampled_from([[0.5, 0.5, 0.0], [0.9, 0.1, 0.0], [0.4, 0.4, 0.2], [0.0, 1.0, 0.0]]))
    targets = generator.choice(np.array([0, 1, 255], np.uint8), size=(examples, labels), p=weights)
    entities = generator.integers(0, draw(st.integers(1, 40)), examples)
    if draw(st.booleans()):
        first = np.where(targets == 1, 0.9, 0.1).astype(np.float32)  # every positive above every negative
    return first, second, targets, entities


@relaxed
@given(judged(most=14), st.integers(2, 4))
def test_differences_are_those_of_plain_loops_over_entities(drawn, enough):
    first, second, targets, entities = drawn
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(support, "ENOUGH", enough)
        macro = macro_differences(first, {"second": second}, targets, entities)["second"]
        labels = label_differences(first, second, targets, entities)
    for score in SCORES:
        matrices = first.tolist(), second.tolist()
        expected = reference.macro_difference(score, matrices, targets.tolist(), entities.tolist(), enough)
        assert ends(macro[score]) == approximately(expected)
        for k, label in enumerate(labels):
            columns = [matrix[:, [k]].tolist() for matrix in (first, second, targets)]
            alone = reference.macro_difference(score, columns[:2], columns[2], entities.tolist(), enough)
            if alone[0] is None:
                assert label[score].low is label[score].high is None
            else:
                assert ends(label[score]) == approximately(alone)


def ends(difference: Any) -> Any:
    return difference.value, difference.low, difference.high


def approximately(expected: Any) -> Any:
    return tuple(None if one is None else pytest.approx(one, abs=1e-6, rel=1e-5) for one in expected)


@relaxed
@given(judged())
def test_every_interval_of_scores_and_differences_holds_its_estimate(drawn):
    first, second, targets, entities = drawn
    names = [str(k) for k in range(targets.shape[1])]
    labels = score_labels(first, targets, names, entities)
    overall = overall_scores(first, targets, labels, entities)
    for one in (*labels, overall.macro, overall.micro, overall.weighted, overall.judged):
        for score in ("auroc", "ap"):
            assert_holds(getattr(one, score), getattr(one, f"{score}_interval"))
    macro = macro_differences(first, {"second": second}, targets, entities)["second"]
    for differences in (macro, *label_differences(first, second, targets, entities)):
        for difference in differences.values():
            both = (difference.low, difference.high)
            assert_holds(difference.value, None if difference.low is None else both)


def assert_holds(value: float | None, interval: Any) -> None:
    if interval is not None:
        assert value is not None
        assert interval[0] <= value <= interval[1]


@settings(deadline=None, max_examples=drawn(300))
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=30),
    st.booleans(),
    st.floats(0, 4),
)
def test_every_promised_range_holds_its_value(counts, new_as_well, drift):
    parts_E = np.array([min(pair) for pair in counts])
    wholes_E = np.array([max(pair) for pair in counts])
    interval = ratio_interval(parts_E, wholes_E, new_as_well=new_as_well, drift=drift)
    if wholes_E.any():
        assert_holds(float(parts_E.sum() / wholes_E.sum()), interval)
    else:
        assert interval is None


def test_thirty_positives_of_one_entity_count_as_one():
    scores = np.random.default_rng(0).random((130, 1))
    targets = np.repeat([1, 0], [30, 100]).astype(np.uint8)[:, None]
    one = np.concatenate([np.zeros(30, np.int64), np.arange(100)])
    [label] = score_labels(scores, targets, ["a"], one)
    assert (label.support, label.positive_entities, label.negative_entities) == (30, 1, 100)
    assert label.not_judged == "only 1 entity has a positive example"
    assert macro_differences(scores, {"b": 1 - scores}, targets, one)["b"]["ap"].value is None
    assert macro_differences(scores, {"b": 1 - scores}, targets, np.arange(130))["b"]["ap"].labels == 1


def test_too_few_negatives_are_no_better_than_too_few_positives():
    targets = np.repeat([1, 0], [100, ENOUGH - 1]).astype(np.uint8)[:, None]
    scores = np.random.default_rng(0).random(targets.shape)
    [label] = score_labels(scores, targets, ["a"])
    assert label.not_judged == f"only {ENOUGH - 1} entities have a negative example"
    assert macro_differences(scores, {"b": scores}, targets, np.arange(len(targets)))["b"]["ap"].value is None


def test_the_macro_interval_of_rare_labels_is_that_of_the_frequent_ones_alone():
    first, second, targets = verdicts.drawn(
        np.random.default_rng(3), verdicts.Setting("", [86, 40, *verdicts.rare(60)])
    )
    entities = np.arange(len(targets))
    whole = macro_differences(first, {"b": second}, targets, entities)["b"]
    alone = macro_differences(first[:, :2], {"b": second[:, :2]}, targets[:, :2], entities)["b"]
    assert whole == alone
    assert whole["ap"].labels == 2


@pytest.mark.parametrize("supports", [[86], [86, 1], [86, 86, 86, 1, 1, 1], [10] * 20])
def test_equally_good_models_are_told_apart_about_one_time_in_twenty(supports):
    """The full table is that of scripts/bench/verdicts.py; here a few draws of some of its cells."""
    draws = 40 if len(supports) > 10 else 150
    found = verdicts.told_apart(verdicts.Setting("", supports), draws)
    for share in (found[f"told_apart_{score}"] for score in verdicts.SCORES):
        assert share <= 0.05 + 3.5 * math.sqrt(0.05 * 0.95 / draws)


def test_without_a_label_that_enough_entities_have_there_is_no_verdict():
    found = verdicts.told_apart(verdicts.Setting("", [1, 3, 9]), 2)
    assert (found["verdicts"], found["judged"], found["told_apart_ap"]) == (0, 0, None)


def test_equal_needs_an_interval_within_the_margin():
    assert outcome("auroc", -0.005, 0.005) == "equal"
    assert outcome("auroc", -0.0051, 0.005) == "no_detectable_difference"
    assert outcome("log_loss", -0.0005, 0.0004) == "equal"
    assert outcome("log_loss", -0.002, 0.0004) == "no_detectable_difference"
    assert outcome("log_loss", -0.002, -0.0001) == "better"


# ── whole reports ───────────────────────────────────────────────────────────────────────────────


def rare_report(supports: Any, names: Any, entities: int = 200) -> dict[str, Any]:
    """A report on a test split with labels of these supports; the baseline is as good as the model."""
    rows = pl.DataFrame(
        {"entity_id": range(entities), "cutoff": datetime(2024, 9, 1), "split": "test"},
        schema={"entity_id": pl.Int64, "cutoff": pl.Datetime("us"), "split": SPLIT_TYPE},
    )
    first, second, targets = verdicts.drawn(
        np.random.default_rng(5), verdicts.Setting("", supports, entities)
    )
    model, baseline = (rows.with_columns(array_column("scores", one)) for one in (first, second))
    cuts = [Threshold(name, 0.5, "fixed") for name in names]
    examples = rows.with_columns(array_column("targets", targets))
    return built("x", names, examples, model, baselines={"recency": baseline}, thresholds=cuts)


def intervals(value: Any, where: str = "") -> Iterator[tuple[str, float, float, float]]:
    """Every estimate of a report with its interval."""
    if isinstance(value, list):
        for index, part in enumerate(value):
            yield from intervals(part, f"{where}[{index}]")
    if isinstance(value, dict):
        if value.get("low") is not None:
            yield where, value["value"], value["low"], value["high"]
        for key, part in value.items():
            if key.endswith("_interval") and part is not None:
                yield f"{where}.{key}", value[key.removesuffix("_interval")], part[0], part[1]
            yield from intervals(part, f"{where}.{key}")


@pytest.mark.parametrize("supports", [[86, 40, 1, 2, 3] * 4, [1, 2, 3], [86, 40], [0, 200, 30]])
def test_every_interval_in_a_report_holds_its_estimate(supports):
    report = json.loads(json.dumps(rare_report(supports, [f"l{k}" for k in range(len(supports))])))
    found = list(intervals(report))
    assert found
    for where, value, low, high in found:
        assert low <= value <= high, where
    macro = report["splits"]["test"]["macro"]
    assert macro["ap_interval"] is not None
    assert macro["auroc_interval"] is not None


def test_a_verdict_names_the_labels_that_it_does_not_rest_on():
    report = rare_report([86, 40, 1], ["tea", "bread", "unicorn"])
    reason = "only 1 entity has a positive example"
    assert report["judged"]["labels"] == ["tea", "bread"]
    assert report["judged"]["left_out"] == [{"name": "unicorn", "why": reason}]
    assert report["verdict"].endswith(f"2 of 3 labels judged; not judged: unicorn ({reason}).")
    assert report["trust"]["not_evaluable"] == ["unicorn"]
    for text in (as_text(report, width=200), as_markdown(report)):
        assert f"{reason}: unicorn" in text
        assert "over 2 of 3 labels" in text
        assert "(-)" not in text
    test = report["splits"]["test"]
    for score in SCORES:
        compared = report["comparison"][score]
        assert compared["model"] == test["judged"][score]
        assert compared["value"] == pytest.approx(compared["model"] - compared["rival"])
        each = [label[score] for label in test["labels"] if label["name"] != "unicorn"]
        assert compared["model"] == pytest.approx(np.mean(each))


def gates_of(report: dict[str, Any], gates: GatesSection) -> list[Gate]:
    typed = Report.from_json(report)
    difference = (typed.baselines["recency"]["test"].difference or {})["ap"]
    assert difference is not None
    return judge(gates, typed.test.judged, typed.test.labels, {"recency": difference})


def test_a_report_of_rare_labels_alone_says_in_words_why_there_is_no_verdict():
    report = rare_report([1, 2, 9], ["a", "b", "c"])
    assert report["verdict"].startswith(
        "No verdict: for none of the 3 labels do at least 10 entities have a positive and 10 a negative"
    )
    text = as_text(report, width=200)
    assert "over 3 of 3 labels" in text
    assert "only 9 entities have a positive example: c" in text
    gates = gates_of(report, GatesSection(beats=["recency"], macro_ap=0.1, label_auroc_min=0.5))
    assert [gate.passed for gate in gates] == [False, False, False]
    assert {gate.found for gate in gates} == {
        "undefined: every label has fewer than 10 entities with a positive or with a negative"
    }


def test_gates_do_not_rest_on_a_label_of_one_positive():
    report = rare_report([86, 40, 1], ["tea", "bread", "unicorn"])
    for label in report["splits"]["test"]["labels"]:
        label["auroc"] = 0.1 if label["name"] == "unicorn" else 0.8
    gates = GatesSection(macro_ap=0.1, label_auroc_min=0.5, beats=["recency"])
    [macro, worst, beats] = gates_of(report, gates)
    assert macro.found.endswith("over 2 of 3 labels")
    assert worst.passed
    assert worst.found.startswith("0.8000 (tea); 1 not judged")
    assert beats.found.endswith("over 2 of 3 labels")


def test_the_rule_of_the_gates_section_names_the_same_number():
    assert f"at least {ENOUGH} entities have and {ENOUGH} do not have" in (GatesSection.__doc__ or "")
