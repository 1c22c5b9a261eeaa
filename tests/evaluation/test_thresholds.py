import contextlib
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlc.errors import DataError, MlcError, RunError, ScenarioError
from mlc.evaluation.metrics import score_decisions
from mlc.evaluation.thresholds import (
    Estimate,
    Expected,
    Threshold,
    Windows,
    choose_thresholds,
    decide,
    pick_pairs,
    replace_thresholds,
    thresholds_from_json,
    thresholds_to_json,
)
from mlc.evaluation.thresholds.drifting import Drift, beyond_chance, drifts
from mlc.scenario import (
    Auto,
    Cost,
    Fixed,
    MaxF1,
    MaxFBeta,
    PrecisionAtLeast,
    RecallAtLeast,
    Thresholds,
    TopK,
    TopN,
)
from tests.support import reference_metrics as reference
from tests.support.effort import drawn

relaxed = settings(deadline=None, max_examples=drawn(80))
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


def values(text: str) -> list[float | None]:
    return [threshold.value for threshold in replace_thresholds(text, STORED)]


def said(text: str) -> str:
    with pytest.raises(MlcError) as caught:
        replace_thresholds(text, STORED)
    return str(caught.value)


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
    assert "Did you mean Dress?" in str(caught.value)


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
    assert "is no threshold. Write stored, never, a number in [0, 1], or label=number" in said(text)


def test_all_problems_of_the_command_line_are_said_at_once():
    message = said("Dres=.3,Food=2,a=b=x,Dress=.1,Dress=.2,Men's Wear")
    assert len(message.splitlines()) == 5
    for part in (
        "'Dres' is no label. Did you mean Dress?",
        "'Food' needs a number in [0, 1], not '2'",
        "'a=b' needs a number in [0, 1], not 'x'",
        "'Dress' is there twice",
        'must be label=number, not "Men\'s Wear"',
    ):
        assert part in message


def test_an_unknown_label_with_a_comma_is_shown_whole():
    assert "'Food, Frsh' is no label. Did you mean Food, Fresh" in said("Food, Frsh=.3")


def test_an_unknown_label_without_a_number_does_not_hide_the_next_problem():
    message = said("Drss=abc,Dress=7")
    assert "must be label=number, not 'Drss=abc'" in message
    assert "'Dress' needs a number in [0, 1], not '7'" in message


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
        {"schema": "mlc/thresholds/3", "thresholds": [{"nam": "Dress"}]},
        {"schema": "mlc/thresholds/3", "thresholds": [{"name": "Dress", "value": 2.0, "policy": "fixed"}]},
        [],
    ],
)
def test_a_thresholds_file_changed_by_hand_is_refused(changed):
    with pytest.raises(RunError):
        thresholds_from_json(changed)


def chosen(policy: Any, scores: Any, targets: Any, **more: Any) -> Threshold:
    return choose_thresholds(Thresholds(default=policy), ["Dress"], scores, targets, **more)[0]


def cuts_of(scores: Any) -> Any:
    """Every set of examples that a cut can choose, from the fewest up, as a mask."""
    return [scores >= cut for cut in sorted(set(scores.tolist()), reverse=True)]


def calibrated_scores(examples: int = 4000, seed: int = 0) -> Any:
    generator = np.random.default_rng(seed)
    scores = (generator.random((examples, 1)) ** 4).astype(np.float32)
    return scores, (generator.random(scores.shape) < scores).astype(np.uint8)


def test_precision_at_least_takes_as_many_as_the_goal_allows():
    scores, targets = calibrated_scores()
    cut = chosen(PrecisionAtLeast(kind="precision_at_least", precision=0.6), scores, targets)
    s = np.sort(scores[:, 0].astype(np.float64))[::-1]
    volume = int(np.sum(np.cumsum(s) / np.arange(1, len(s) + 1) >= 0.6))
    assert decide(scores, [cut]).sum() == volume
    new_scores, new_targets = calibrated_scores(100_000, seed=1)
    assert new_targets[new_scores >= cut.value].mean() == pytest.approx(0.6, abs=0.02)
    assert cut.note is None


def test_a_goal_that_cannot_be_reached_says_what_can():
    scores, targets = calibrated_scores()
    scores, targets = scores * np.float32(0.5), targets * (np.arange(len(targets))[:, None] % 2 == 0)
    goal = PrecisionAtLeast(kind="precision_at_least", precision=0.8, when_unreachable="best")
    cut = chosen(goal, scores, targets)
    assert cut.note is not None
    assert cut.note.startswith("precision 0.8 cannot be reached: best is 0.")
    assert decide(scores, [cut]).sum() == 10


def test_a_goal_that_is_missed_out_of_fold_is_noted():
    scores, targets = calibrated_scores()
    fewer = targets * (np.arange(len(targets))[:, None] % 4 == 0)
    cut = chosen(PrecisionAtLeast(kind="precision_at_least", precision=0.8), scores, fewer)
    assert cut.note is not None
    assert cut.note.startswith("precision 0.8 cannot be reached: best is 0.171 at 432 examples")
    assert (cut.value, cut.reachable) == (None, False)


def test_recall_at_least_takes_as_few_as_the_goal_allows():
    scores, targets = calibrated_scores()
    cut = chosen(RecallAtLeast(kind="recall_at_least", recall=0.7), scores, targets)
    s = np.sort(scores[:, 0].astype(np.float64))[::-1]
    assert decide(scores, [cut]).sum() == np.searchsorted(np.cumsum(s), 0.7 * s.sum()) + 1
    assert targets[scores >= cut.value].sum() / targets.sum() == pytest.approx(0.7, abs=0.05)


@pytest.mark.parametrize(("cutoffs", "volume"), [(1, 50), (3, 150)])
def test_top_n_counts_for_one_cutoff(cutoffs, volume):
    scores, targets = calibrated_scores(999)
    cut = chosen(TopN(kind="top_n", n=50), scores, targets, cutoffs=cutoffs)
    assert decide(scores, [cut]).sum() == volume
    assert cut.estimate is not None
    assert cut.estimate.yes is not None
    assert cut.estimate.yes.low < volume / 999 < cut.estimate.yes.high


def test_top_n_says_what_stands_in_its_way():
    scores, targets = calibrated_scores(30)
    assert chosen(TopN(kind="top_n", n=50), scores, targets).note == "there are only 30 examples"
    constant = np.full_like(scores, 0.5)
    assert (
        chosen(TopN(kind="top_n", n=5), constant, targets).note == "30 examples have the same highest score"
    )


def test_top_k_is_yes_for_the_highest_labels_of_each_example():
    scores = np.array([[0.9, 0.5, 0.1], [0.2, 0.2, 0.1]], np.float32)
    cuts = choose_thresholds(
        Thresholds(default=TopK(kind="top_k", k=1), per_label={"b": TopK(kind="top_k", k=2)}),
        ["a", "b", "c"],
        scores,
        np.array([[1, 0, 0], [0, 1, 0]], np.uint8),
    )
    assert decide(scores, cuts).tolist() == [[1, 1, 0], [1, 1, 0]]
    assert cuts[0].estimate is not None
    assert cuts[0].estimate.precision is not None
    assert cuts[0].estimate.precision.value == 0.5


def test_cost_is_the_cut_of_lowest_expected_cost():
    scores, targets = calibrated_scores()
    cut = chosen(Cost(kind="cost", false_positive=1.0, false_negative=3.0), scores, targets)
    assert cut.value == 0.25
    s = scores[:, 0]
    costs = {at: ((s >= at) * (1 - s)).sum() + 3 * ((s < at) * s).sum() for at in (0.15, 0.25, 0.35)}
    assert min(costs, key=lambda at: costs[at]) == 0.25


def test_the_estimate_of_a_given_cut_is_what_it_gives():
    scores, targets = calibrated_scores()
    estimate = chosen(Fixed(kind="fixed", value=0.4), scores, targets).estimate
    assert estimate is not None
    yes, positive = scores[:, 0] >= np.float32(0.4), targets[:, 0] == 1
    for found, expected in (
        (estimate.precision, positive[yes].mean()),
        (estimate.recall, yes[positive].mean()),
        (estimate.f1, 2 * (yes & positive).sum() / (yes.sum() + positive.sum())),
        (estimate.yes, yes.mean()),
    ):
        assert found is not None
        assert found.value == pytest.approx(expected)
        assert found.low < found.value < found.high


def test_an_estimate_does_not_believe_the_best_cut_of_noise():
    """Scores that say nothing: max_f1 finds a cut that looks good on its own examples, and only there."""
    generator = np.random.default_rng(0)
    promised, seen, prevalence = [], [], 0.02
    for _ in range(30):
        scores = generator.random((500, 1)).astype(np.float32)
        targets = (generator.random((500, 1)) < prevalence).astype(np.uint8)
        cut = chosen(MaxF1(), scores, targets)
        assert cut.estimate is not None
        if cut.estimate.f1 is not None:
            promised.append(cut.estimate.f1.value)
            seen.append(reference.f1(scores[:, 0], targets[:, 0], cut.value))
    assert np.mean(promised) < 0.7 * np.mean(seen)  # all yes gives 2 * .02 / 1.02 = .039


def test_the_range_of_an_estimate_holds_new_figures_about_as_often_as_it_says():
    held: list[bool] = []
    for seed in range(150):
        scores, targets = calibrated_scores(500, seed)
        new_scores, new_targets = calibrated_scores(500, 1000 + seed)
        cut = chosen(Auto(), scores, targets)
        assert cut.estimate is not None
        yes, positive = new_scores >= np.float32(cut.value), new_targets == 1
        for promise, given_value in (
            (cut.estimate.precision, positive[yes].mean()),
            (cut.estimate.recall, yes[positive].mean()),
            (cut.estimate.yes, yes.mean()),
        ):
            assert promise is not None
            held.append(bool(promise.low <= given_value <= promise.high))
    assert 0.92 <= np.mean(held) <= 0.99


def shifting(seed, deviation, periods=14, size=4000):
    """Calibrated scores of one label; in each window the log-odds of the targets are shifted."""
    generator = np.random.default_rng(seed)
    scores = generator.beta(1, 6, periods * size).astype(np.float32)
    period_N = np.repeat(np.arange(periods), size)
    shift_N = np.repeat(generator.normal(0, deviation, periods // 2), 2 * size)
    targets = (generator.random(len(scores)) < 1 / (1 + np.exp(-shift_N) * (1 / scores - 1))).astype(np.uint8)
    return scores[:, None], targets[:, None], period_N


@pytest.mark.parametrize(("deviation", "widening"), [(0.0, (1.0, 1.3)), (0.3, (2.0, 8.0))])
def test_ranges_know_how_much_windows_differ_and_hold_in_the_next_one(deviation, widening):
    goal = PrecisionAtLeast(kind="precision_at_least", precision=0.3, when_unreachable="best")
    policy = Thresholds(default=goal)
    held, widths = [0, 0], [0.0, 0.0]
    for seed in range(40):
        scores, targets, period_N = shifting(seed, deviation)
        new, last = period_N == 0, period_N == 2
        past = period_N > 1
        windows = Windows(scores[past], targets[past], np.arange(past.sum()) % 4000, period_N[past] - 2)
        for way, known in enumerate((None, windows)):
            [cut] = choose_thresholds(policy, ["Dress"], scores[last], targets[last], windows=known)
            [given_new] = score_decisions(decide(scores[new], [cut]), targets[new], ["Dress"])
            assert cut.estimate
            assert cut.estimate.precision
            assert given_new.precision is not None
            promised = cut.estimate.precision
            held[way] += promised.low <= given_new.precision <= promised.high
            widths[way] += promised.high - promised.low
    assert widening[0] <= widths[1] / widths[0] <= widening[1]
    assert held[1] >= 35
    assert held[0] < 30 or not deviation


def test_windows_that_do_not_lie_a_window_apart_say_nothing():
    scores, targets, _ = shifting(1, 0.5, periods=2)
    policies = Thresholds(default=Auto())
    for periods in (np.zeros(len(scores), int), np.repeat([0, 1], 4000), np.repeat([0, 3], 4000)):
        windows = Windows(scores, targets, np.arange(len(scores)), periods)
        known = choose_thresholds(policies, ["a"], scores, targets, windows=windows)
        assert known == choose_thresholds(policies, ["a"], scores, targets)


def test_the_variance_beyond_chance_is_found_again():
    generator = np.random.default_rng(2)
    by_chance = generator.uniform(0.01, 0.2, 4000)
    changes = generator.normal(0, np.sqrt(by_chance + 0.09))
    cut = Threshold("a", 0.5, "fixed")
    assert beyond_chance(np.stack([changes**2, by_chance], axis=1)) == pytest.approx(0.09, rel=0.1)
    assert beyond_chance(np.stack([0.5 * by_chance, by_chance], axis=1)) == 0.0
    none = Windows(np.zeros((0, 1)), np.zeros((0, 1), np.uint8), np.zeros(0), np.zeros(0))
    assert drifts([cut], none) == [Drift()]


def test_an_entity_is_never_on_both_sides_of_a_fold():
    """Rows that repeat an entity may not promise more than the entities themselves."""
    scores, targets = calibrated_scores(200)
    once = chosen(MaxF1(), scores, targets).estimate
    repeated = np.repeat(np.arange(200), 5)
    again = chosen(MaxF1(), scores[repeated], targets[repeated], entities_N=repeated).estimate
    assert once is not None
    assert again is not None
    assert once.f1 is not None
    assert again.f1 is not None
    assert again.f1.value == pytest.approx(once.f1.value)
    assert again.f1.high - again.f1.low == pytest.approx(once.f1.high - once.f1.low, rel=1e-6)


def test_an_estimate_comes_back_from_json_as_it_was():
    estimate = Estimate(Expected(0.4, 0.3, 0.5), None, None, Expected(0.1, 0.0, 0.2))
    stored = [
        Threshold("Dress", 0.5, "auto", None, None, estimate),
        Threshold("Skirt", 0.0, "top_k", top_k=2),
    ]
    assert thresholds_from_json(json.loads(json.dumps(thresholds_to_json(stored)))) == stored


@relaxed
@given(
    rows,
    st.sampled_from(
        [
            Auto(),
            MaxF1(),
            MaxFBeta(kind="max_fbeta", beta=2.0),
            PrecisionAtLeast(kind="precision_at_least", precision=0.8),
            RecallAtLeast(kind="recall_at_least", recall=1.0),
            TopN(kind="top_n", n=3),
            TopK(kind="top_k", k=1),
            Cost(kind="cost", false_positive=1.0, false_negative=2.0),
            Fixed(kind="fixed", value=0.3),
        ]
    ),
)
def test_any_policy_on_any_examples_gives_a_cut_that_can_be_stored(pairs, policy):
    cut = chosen(policy, *column(pairs))
    assert cut.value is None or 0.0 <= cut.value <= 1.0
    stored = json.dumps(thresholds_to_json([cut]), allow_nan=False)
    assert thresholds_from_json(json.loads(stored)) == [cut]


@relaxed
@given(
    st.lists(st.lists(st.sampled_from([0.0, 0.1, 0.4, 0.9]), min_size=3, max_size=3), min_size=1, max_size=3),
    st.lists(st.sampled_from([0.0, 1.0, 5.0]), min_size=3, max_size=3),
    st.sampled_from([None, 1, 2]),
    st.sampled_from([None, 1, 3]),
)
def test_a_budget_gives_the_highest_value_of_all_choices(scores, values, per_entity, total):
    worth = np.array(scores) * values
    best = 0.0
    for bits in range(2**worth.size):
        mask = np.array([bits >> bit & 1 for bit in range(worth.size)], bool).reshape(worth.shape)
        fits = mask.sum(axis=1).max() <= (per_entity or 3) and mask.sum() <= (total or worth.size)
        best = max(best, worth[mask].sum()) if fits else best
    picked = pick_pairs(np.array(scores), np.array(values), per_entity=per_entity, total=total)
    assert picked.sum(axis=1).max() <= (per_entity or 3)
    assert picked.sum() <= (total or worth.size)
    assert worth[picked].sum() == pytest.approx(best)
