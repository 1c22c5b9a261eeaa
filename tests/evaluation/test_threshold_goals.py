"""Goals that validation does not reach, labels without decisions, and numbers that no policy can use."""

import json
from typing import Annotated, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mlc.errors import MlcError, RunError
from mlc.evaluation.thresholds import (
    Estimate,
    Expected,
    Threshold,
    choose_thresholds,
    decide,
    replace_thresholds,
    thresholds_from_json,
    thresholds_to_json,
)
from mlc.scenario import (
    Never,
    PrecisionAtLeast,
    RecallAtLeast,
    Thresholds,
    TopK,
)
from mlc.scenario.thresholds import ShortThresholds
from tests.support.effort import drawn

relaxed = settings(deadline=None, max_examples=drawn(80))
some_scores = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), st.floats(0.0, 1.0, width=32))
rows = st.lists(st.tuples(some_scores, st.sampled_from([0, 0, 1, 255])), max_size=30)
few_or_many = st.one_of(
    rows,
    st.lists(st.tuples(some_scores, st.sampled_from([0] * 30 + [1, 255])), min_size=30, max_size=120),
)


def column(pairs: Any) -> Any:
    scores = np.array([s for s, _ in pairs], np.float32).reshape(-1, 1)
    return scores, np.array([t for _, t in pairs], np.uint8).reshape(-1, 1)


def chosen(policy: Any, scores: Any, targets: Any, **more: Any) -> Threshold:
    return choose_thresholds(Thresholds(default=policy), ["Dress"], scores, targets, **more)[0]


def calibrated_scores(examples: int = 4000, seed: int = 0) -> Any:
    generator = np.random.default_rng(seed)
    scores = (generator.random((examples, 1)) ** 4).astype(np.float32)
    return scores, (generator.random(scores.shape) < scores).astype(np.uint8)


# ── goals that are not reached ──────────────────────────────────────────────────────────────────


def precision(goal: float, when: str = "none") -> PrecisionAtLeast:
    return PrecisionAtLeast.model_validate(
        {"kind": "precision_at_least", "precision": goal, "when_unreachable": when}
    )


def recall(goal: float, when: str = "none") -> RecallAtLeast:
    return RecallAtLeast.model_validate({"kind": "recall_at_least", "recall": goal, "when_unreachable": when})


def too_high(examples: int = 4000) -> Any:
    """Scores that promise twice as many positives as there are, and positives that the scores miss."""
    scores, targets = calibrated_scores(examples)
    generator = np.random.default_rng(3)
    missed = (generator.random(targets.shape) < 0.02).astype(np.uint8)
    return scores, np.maximum(targets * (generator.random(targets.shape) < 0.5), missed)


@pytest.mark.parametrize("policy", [precision(0.9), recall(0.999)])
def test_a_goal_that_is_not_reached_gives_no_decisions_not_even_at_a_score_of_one(policy):
    cut = chosen(policy, *too_high())
    assert (cut.value, cut.reachable, cut.misses, cut.text) == (None, False, True, "never")
    assert cut.note is not None
    assert cut.note.endswith("; no decisions")
    assert decide(np.array([[1.0], [0.5]], np.float32), [cut]).sum() == 0
    nothing = Expected(0.0, 0.0, 0.0)
    assert cut.estimate == Estimate(precision=None, recall=nothing, f1=nothing, yes=nothing)


@pytest.mark.parametrize(
    ("policy", "figure"), [(precision(0.9, "best"), "precision"), (recall(0.999, "best"), "recall")]
)
def test_the_best_that_can_be_reached_is_the_figure_of_the_estimate(policy, figure):
    scores, targets = too_high()
    cut = chosen(policy, scores, targets)
    assert cut.value is not None
    assert (cut.reachable, cut.misses) == (False, True)
    assert cut.estimate is not None
    assert cut.estimate.yes is not None
    yes = round(cut.estimate.yes.value * len(scores))
    assert f"best is {getattr(cut.estimate, figure).value:.3f} at {yes:,} examples" in str(cut.note)
    default = chosen(policy.model_copy(update={"when_unreachable": "none"}), scores, targets)
    assert str(default.note).split(";")[0] == str(cut.note).split(";")[0]


@relaxed
@given(few_or_many, st.sampled_from(["precision", "recall"]), st.sampled_from([0.05, 0.5, 0.9, 1.0]))
def test_a_goal_is_called_reached_only_where_its_own_estimate_allows_it(pairs, figure, goal):
    policy = precision(goal) if figure == "precision" else recall(goal)
    best = precision(goal, "best") if figure == "precision" else recall(goal, "best")
    cut, kept = chosen(policy, *column(pairs)), chosen(best, *column(pairs))
    assert cut.reachable == kept.reachable == (cut.value is not None)
    assert kept.value is not None
    if cut.reachable:
        assert cut == kept
        assert any(target == 1 for _, target in pairs)
        assert cut.estimate is not None
        expected = getattr(cut.estimate, figure)
        assert expected is None or expected.high >= goal or expected.value >= goal


@pytest.mark.parametrize(
    ("targets", "reason"),
    [
        ([], "no validation example"),
        ([255], "no validation example"),
        ([0] * 50, "no positive validation example"),
    ],
)
def test_a_goal_that_cannot_be_judged_gives_no_decisions(targets, reason):
    for policy, name in ((precision(0.5), "precision"), (recall(0.5), "recall")):
        cut = chosen(policy, *column([(0.9, target) for target in targets]))
        assert (cut.value, cut.reachable) == (None, False)
        assert cut.note == f"{name} 0.5 cannot be judged: {reason}; no decisions"


def test_a_label_without_decisions_can_be_given_a_threshold_and_the_other_way_round():
    stored = [
        Threshold("Dress", None, "precision_at_least", "…", reachable=False),
        Threshold("Skirt", 0.3, "auto"),
    ]
    assert replace_thresholds("stored", stored) == stored
    assert replace_thresholds("0.4", stored)[0] == Threshold("Dress", 0.4, "given")
    assert replace_thresholds("Dress=.4", stored) == [Threshold("Dress", 0.4, "given"), stored[1]]
    assert replace_thresholds("Skirt=never", stored) == [stored[0], Threshold("Skirt", None, "given")]
    assert [cut.value for cut in replace_thresholds("never", stored)] == [None, None]
    with pytest.raises(MlcError, match="Did you mean Skirt"):
        replace_thresholds("Skrt=never", stored)


def test_labels_without_decisions_come_back_from_json_as_they_were():
    stored = [
        Threshold("Dress", None, "recall_at_least", "missed", reachable=False),
        Threshold("Skirt", None, "never"),
    ]
    assert thresholds_from_json(json.loads(json.dumps(thresholds_to_json(stored)))) == stored


def test_a_thresholds_file_of_an_earlier_version_says_what_to_do():
    with pytest.raises(RunError, match=r"mlc/thresholds/2.*Train the run again"):
        thresholds_from_json({"schema": "mlc/thresholds/2", "thresholds": []})


def test_never_is_a_policy_and_takes_no_place_from_top_k():
    scores = np.array([[1.0, 0.5], [0.2, 0.4]], np.float32)
    cuts = choose_thresholds(
        Thresholds(default=Never(), per_label={"b": TopK(kind="top_k", k=2)}),
        ["a", "b"],
        scores,
        np.array([[1, 0], [0, 1]], np.uint8),
    )
    assert decide(scores, cuts).tolist() == [[0, 1], [0, 1]]
    assert (cuts[0].value, cuts[0].note, cuts[0].misses, cuts[0].reachable) == (None, None, True, True)


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("never", Thresholds(default=Never())),
        ({"precision_at_least": 0.8}, Thresholds(default=precision(0.8))),
        ({"precision_at_least": 0.8, "when_unreachable": "best"}, Thresholds(default=precision(0.8, "best"))),
        (
            {"Dress": {"when_unreachable": "best", "recall_at_least": 0.8}},
            Thresholds(per_label={"Dress": recall(0.8, "best")}),
        ),
        ({"default": {"recall_at_least": 0.8, "when_unreachable": "none"}}, Thresholds(default=recall(0.8))),
    ],
)
def test_short_forms_also_say_what_happens_to_a_goal_that_is_not_reached(short, long):
    assert TypeAdapter(Annotated[Thresholds, ShortThresholds]).validate_python(short) == long


@pytest.mark.parametrize(
    "policy",
    [
        {"kind": "auto", "beta": 1e-9},
        {"kind": "auto", "beta": 1e9},
        {"kind": "max_fbeta", "beta": 0.001},
        {"kind": "cost", "false_positive": 1e300, "false_negative": 1.0},
        {"kind": "cost", "false_positive": 1.0, "false_negative": 1e-300},
        {"kind": "top_n", "n": 10**400},
        {"kind": "top_k", "k": 10**30},
        {"kind": "precision_at_least", "precision": 0.5, "when_unreachable": "always"},
    ],
)
def test_numbers_that_no_policy_can_use_are_refused(policy):
    with pytest.raises(ValidationError):
        TypeAdapter(Annotated[Thresholds, ShortThresholds]).validate_python({"default": policy})
