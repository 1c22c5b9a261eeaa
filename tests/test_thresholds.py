import contextlib
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlc.errors import DataError, MlcError, RunError, ScenarioError
from mlc.scenario import Fixed, MaxF1, Thresholds
from mlc.thresholds import (
    Threshold,
    choose_thresholds,
    decide,
    replace_thresholds,
    thresholds_from_json,
    thresholds_to_json,
)
from tests import reference_metrics as reference

relaxed = settings(deadline=None, max_examples=80)
some_scores = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), st.floats(0.0, 1.0, width=32))
rows = st.lists(st.tuples(some_scores, st.sampled_from([0, 0, 1, 255])), max_size=30)
STORED = [
    Threshold("Dress", 0.2, "max_f1", "only 3 positive validation examples"),
    Threshold("Food, Fresh", 0.3, "max_f1"),
    Threshold("Men's Wear", 0.4, "fixed"),
    Threshold("a=b", 0.5, "fixed"),
    Threshold("Food", 0.6, "fixed"),
]


def column(pairs: Any) -> Any:
    scores = np.array([s for s, _ in pairs], np.float32).reshape(-1, 1)
    return scores, np.array([t for _, t in pairs], np.uint8).reshape(-1, 1)


def max_f1(scores: Any, targets: Any) -> Threshold:
    return choose_thresholds(Thresholds(default=MaxF1()), ["Dress"], scores, targets)[0]


def values(text: str) -> list[float]:
    return [threshold.value for threshold in replace_thresholds(text, STORED)]


def said(text: str) -> str:
    with pytest.raises(MlcError) as caught:
        replace_thresholds(text, STORED)
    return str(caught.value)


@relaxed
@given(rows)
def test_max_f1_is_the_best_of_all_cuts_and_the_highest_of_equal_ones(pairs):
    scores, targets = column(pairs)
    chosen = max_f1(scores, targets)
    s, t = scores[:, 0].tolist(), targets[:, 0].tolist()
    if 1 not in t:
        assert chosen.value == 0.5
        return
    best, lowest_yes = reference.best_f1(s, t)
    yes = decide(scores, [chosen])[:, 0]
    assert reference.f1(yes.tolist(), t, 1) == pytest.approx(best)
    known = [(score, decision) for score, decision, target in zip(s, yes, t, strict=True) if target != 255]
    assert min(score for score, decision in known if decision) == lowest_yes


@relaxed
@given(rows)
def test_the_cut_lies_in_the_middle_between_two_scores(pairs):
    scores, targets = column(pairs)
    if not np.any(targets == 1):
        return
    _, upper = reference.best_f1(scores[:, 0].tolist(), targets[:, 0].tolist())
    lower = max([float(s) for s, t in pairs if t != 255 and s < upper], default=0.0)
    assert max_f1(scores, targets).value == pytest.approx((upper + lower) / 2, rel=1e-6, abs=1e-44)


@relaxed
@given(st.lists(st.floats(0.0, 1.0, width=32), min_size=1, max_size=20), st.floats(0.0, 1.0))
def test_a_score_equal_to_its_threshold_is_a_yes_after_a_round_trip_through_json(scores, given_value):
    for value in [*scores, given_value]:
        stored = json.loads(json.dumps(thresholds_to_json([Threshold("Dress", value, "given")])))
        assert decide(np.array([[value]], np.float32), thresholds_from_json(stored)).item() == 1


@pytest.mark.parametrize("value", [0.7, 0.1, 0.3, 0.9, 1.0, 0.0])
def test_a_decimal_threshold_is_met_by_the_score_written_the_same(value):
    assert decide(np.array([[value]], np.float32), [Threshold("Dress", value, "fixed")]).item() == 1
    assert decide(np.array([[value]], np.float64), [Threshold("Dress", value, "fixed")]).item() == 1


def test_neighbouring_floats_are_still_told_apart():
    lower = np.float32(0.5)
    upper = np.nextafter(lower, np.float32(1))
    scores, targets = np.array([[upper], [lower]], np.float32), np.array([[1], [0]], np.uint8)
    assert decide(scores, [max_f1(scores, targets)])[:, 0].tolist() == [1, 0]


def test_decisions_are_bytes_of_the_same_shape_also_without_rows():
    decisions = decide(np.zeros((0, 5), np.float32), STORED)
    assert decisions.shape == (0, 5)
    assert decisions.dtype == np.uint8
    with pytest.raises(DataError):
        decide(np.zeros((3, 2), np.float32), STORED)


@pytest.mark.parametrize(
    ("targets", "value", "note"),
    [
        ([], 0.5, "no validation example: 0.5 used"),
        ([255], 0.5, "no validation example: 0.5 used"),
        ([0], 0.5, "no positive validation example: 0.5 used"),
        ([1], 0.2, "only 1 positive validation example"),
        ([1, 1], 0.2, "only 2 positive validation examples"),
        ([1] * 20, 0.2, None),
        ([1] * 10 + [0] * 10, 0.2, "only 10 positive validation examples"),  # constant scores: all are a yes
    ],
)
def test_too_little_evidence_is_noted(targets, value, note):
    chosen = max_f1(*column([(0.4, target) for target in targets]))
    assert (chosen.value, chosen.policy, chosen.note) == (value, "max_f1", note)


def test_each_label_has_its_own_policy_or_the_default():
    policies = Thresholds(default=MaxF1(), per_label={"Skirt": Fixed(kind="fixed", value=0.3)})
    scores, targets = np.array([[0.9, 0.9], [0.1, 0.1]], np.float32), np.array([[1, 1], [0, 0]], np.uint8)
    chosen = choose_thresholds(policies, ["Dress", "Skirt"], scores, targets)
    assert [(t.name, t.value, t.policy) for t in chosen] == [
        ("Dress", 0.5, "max_f1"),
        ("Skirt", 0.3, "fixed"),
    ]


def test_all_unknown_labels_of_per_label_are_named_at_once():
    fixed = Fixed(kind="fixed", value=0.3)
    policies = Thresholds(per_label={"Dres": fixed, "Skirtt": fixed})
    with pytest.raises(ScenarioError) as caught:
        choose_thresholds(policies, ["Dress", "Skirt"], np.zeros((1, 2)), np.zeros((1, 2), np.uint8))
    assert len(caught.value.problems) == 2
    assert "did you mean Dress?" in str(caught.value)


@pytest.mark.parametrize(
    "scores", [np.zeros((2, 1)), np.zeros(2), np.full((2, 2), np.nan), np.full((2, 2), 1.5)]
)
def test_scores_that_do_not_fit_are_refused(scores):
    with pytest.raises(DataError):
        choose_thresholds(Thresholds(), ["Dress", "Skirt"], scores, np.zeros((2, 2), np.uint8))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("stored", [0.2, 0.3, 0.4, 0.5, 0.6]),
        ("0.45", [0.45] * 5),
        (" 1 ", [1.0] * 5),
        ("Dress=.3", [0.3, 0.3, 0.4, 0.5, 0.6]),
        ("Food, Fresh=.7,Men's Wear=.9", [0.2, 0.7, 0.9, 0.5, 0.6]),
        ("Men's Wear = 0.9 , Food=1e-3", [0.2, 0.3, 0.9, 0.5, 0.001]),
        ("a=b=.1,Dress=0", [0.0, 0.3, 0.4, 0.1, 0.6]),
        ("Food=.1,Food, Fresh=.7", [0.2, 0.7, 0.4, 0.5, 0.1]),
    ],
)
def test_the_command_line_replaces_what_it_names_and_keeps_the_rest(text, expected):
    assert values(text) == expected


def test_a_replaced_threshold_says_that_it_was_given_and_the_others_stay():
    replaced = replace_thresholds("Dress=.3", STORED)
    assert replaced[0] == Threshold("Dress", 0.3, "given")
    assert replaced[1:] == STORED[1:]


@pytest.mark.parametrize("text", ["", "1.5", "nan", "-0.1", "inf", "abc", "Dress", "0,4"])
def test_one_value_that_is_no_probability_is_refused(text):
    assert "must be stored, a number in [0, 1], or label=number" in said(text)


def test_all_problems_of_the_command_line_are_said_at_once():
    message = said("Dres=.3,Food=2,a=b=x,Dress=.1,Dress=.2,Men's Wear")
    assert len(message.splitlines()) == 5
    for part in (
        "'Dres' must be a label, however: it is not; did you mean Dress?",
        "'Food' must have a number in [0, 1], however: '2'",
        "'a=b' must have a number in [0, 1], however: 'x'",
        "'Dress' must be given once",
        'must be label=number, however: "Men\'s Wear"',
    ):
        assert part in message


def test_an_unknown_label_with_a_comma_is_shown_whole():
    assert "'Food, Frsh' must be a label, however: it is not; did you mean Food, Fresh" in said(
        "Food, Frsh=.3"
    )


def test_an_unknown_label_without_a_number_does_not_hide_the_next_problem():
    message = said("Drss=abc,Dress=7")
    assert "must be label=number, however: 'Drss=abc'" in message
    assert "'Dress' must have a number in [0, 1], however: '7'" in message


@relaxed
@given(st.data())
def test_every_set_of_label_names_can_be_replaced(source):
    letters = st.text(alphabet="ab,='|1. ", min_size=1, max_size=6).map(str.strip).filter(bool)
    label_names = source.draw(st.lists(letters, min_size=1, max_size=4, unique=True))
    stored = [Threshold(name, 0.5, "max_f1") for name in label_names]
    name = source.draw(st.sampled_from(label_names))
    replaced = {t.name: t.value for t in replace_thresholds(f"{name}=.25", stored)}
    assert replaced == {**dict.fromkeys(label_names, 0.5), name: 0.25}


@relaxed
@given(st.text(alphabet="Dres=,.19 Food", max_size=25))
def test_any_text_ends_in_thresholds_or_in_an_error_of_the_user(text):
    with contextlib.suppress(MlcError):
        assert len(replace_thresholds(text, STORED)) == len(STORED)


def test_thresholds_come_back_from_json_as_they_were():
    assert thresholds_from_json(json.loads(json.dumps(thresholds_to_json(STORED)))) == STORED


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"schema": "mlc/thresholds/9", "thresholds": []},
        {"schema": "mlc/thresholds/2", "thresholds": [{"nam": "Dress"}]},
        {"schema": "mlc/thresholds/2", "thresholds": [{"name": "Dress", "value": 2.0, "policy": "fixed"}]},
        [],
    ],
)
def test_a_thresholds_file_changed_by_hand_is_refused(changed):
    with pytest.raises(RunError):
        thresholds_from_json(changed)
