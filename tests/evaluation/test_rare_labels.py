"""`auto` and `max_f1` where positives are rare: few decisions, and no label that spoils the others."""

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlc.evaluation.thresholds import (
    Threshold,
    choose_thresholds,
    decide,
)
from mlc.evaluation.thresholds.floors import floors_of
from mlc.scenario import (
    Auto,
    MaxF1,
    MaxFBeta,
    Thresholds,
)
from tests.support.effort import drawn

relaxed = settings(deadline=None, max_examples=drawn(80))
some_scores = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), st.floats(0.0, 1.0, width=32))
rows = st.lists(st.tuples(some_scores, st.sampled_from([0, 0, 1, 255])), max_size=30)


def column(pairs: Any) -> Any:
    scores = np.array([s for s, _ in pairs], np.float32).reshape(-1, 1)
    return scores, np.array([t for _, t in pairs], np.uint8).reshape(-1, 1)


def chosen(policy: Any, scores: Any, targets: Any, **more: Any) -> Threshold:
    return choose_thresholds(Thresholds(default=policy), ["Dress"], scores, targets, **more)[0]


def best_by_loop(pairs: Any, beta: float, weighed: bool) -> Any:
    """The scores that are a yes at the best affordable cut, by plain loops; None for no decisions."""
    known = [(float(np.float32(score)), target) for score, target in pairs if target != 255]
    positives, total = sum(t for _, t in known), sum(s for s, _ in known)
    share = positives / (positives + 200) if weighed else 1.0
    scale = (positives + 1) / (total + 1)
    every = share * positives + (1 - share) * scale * total
    cuts = sorted({score for score, _ in known}, reverse=True)
    affordable = [cut for cut in cuts if sum(s >= cut for s, _ in known) <= (1 + beta**2) * positives + 3]
    if not affordable:
        affordable = cuts[:1] if sum(s >= cuts[0] for s, _ in known) <= 10 * positives else []
    best, chosen = -1.0, None
    for cut in affordable:
        passed = [(s, t) for s, t in known if s >= cut]
        hits = share * sum(t for _, t in passed) + (1 - share) * scale * sum(s for s, _ in passed)
        f_beta = (1 + beta**2) * hits / (len(passed) + beta**2 * every)
        if f_beta > best + 1e-12:
            best, chosen = f_beta, [s for s, _ in passed]
    return best, chosen


def middle_below(scores: Any, score: float) -> float:
    """Midway to the next lower score."""
    return (score + max([s for s in scores.tolist() if s < score], default=0.0)) / 2


def floor_by_loop(scores: Any, targets: Any, beta: float) -> float:
    """Half of the best single cut among scores with the last 16 bits cleared, by plain loops."""
    positives, best, single = int((targets == 1).sum()), 0.0, 0.0
    cleared = [struct.unpack("<f", b"\0\0" + struct.pack("<f", s)[2:])[0] for s in scores.tolist()]
    for cut in sorted(set(cleared), reverse=False):
        passed = [t for s, t in zip(cleared, targets.tolist(), strict=True) if s >= cut]
        f_beta = sum(passed) / (len(passed) + beta**2 * positives)
        if f_beta >= max(best - 1e-12, 1e-12):
            best, single = f_beta, cut
    return single / 2


few_or_many = st.one_of(
    rows,
    st.lists(st.tuples(some_scores, st.sampled_from([0] * 30 + [1, 255])), min_size=30, max_size=120),
)


@relaxed
@given(few_or_many, st.sampled_from(["auto", "max_f1", "max_fbeta"]), st.sampled_from([0.5, 1.0, 2.0]))
def test_auto_and_max_f_are_the_best_of_all_cuts_that_the_positives_can_afford(pairs, kind, beta):
    scores, targets = column(pairs)
    known = targets[:, 0] != 255
    if not known.any() or (kind != "auto" and not np.any(targets == 1)):
        return
    beta = 1.0 if kind == "max_f1" else beta
    policy = {"auto": Auto(beta=beta), "max_f1": MaxF1()}.get(kind, MaxFBeta(kind="max_fbeta", beta=beta))
    cut = chosen(policy, scores, targets)
    _, expected = best_by_loop(pairs, beta, weighed=kind == "auto")
    floor = floor_by_loop(scores[known, 0], targets[known, 0], beta) if kind == "auto" else 0.0
    if expected is not None:
        lowest = max(floor, middle_below(scores[known, 0], min(expected)))
        expected = [score for score in scores[known, 0].tolist() if score >= lowest]
    yes = sorted(scores[known, 0][decide(scores, [cut])[known, 0] == 1].tolist())
    assert yes == sorted(expected or [])
    assert (cut.value is None) == (expected is None)
    if cut.value is not None and floor < cut.value:
        assert cut.value == pytest.approx(middle_below(scores[known, 0], yes[0]), rel=1e-6, abs=1e-44)


@relaxed
@given(st.lists(few_or_many, min_size=1, max_size=3), st.sampled_from([0.5, 1.0, 2.0]))
def test_no_cut_of_auto_is_below_half_of_the_best_cut_for_all_labels(labels, beta):
    parts = [column([pair for pair in pairs if pair[1] != 255]) for pairs in labels]
    columns = [(s[:, 0], t[:, 0], np.arange(len(s)) % 5) for s, t in parts]
    floors = floors_of(columns, beta)
    for left_out, floor in floors.items():
        scores = np.concatenate([s[folds != left_out] for s, _, folds in columns])
        targets = np.concatenate([t[folds != left_out] for _, t, folds in columns])
        assert floor == pytest.approx(floor_by_loop(scores, targets, beta), rel=1e-6)


def test_labels_whose_scores_say_nothing_do_not_spoil_the_others():
    generator = np.random.default_rng(5)
    targets = (generator.random((4000, 20)) < 0.05).astype(np.uint8)
    scores = np.where(np.arange(20) < 4, 0.9 * targets + 0.05, 0.05 + 0.001 * generator.random((4000, 20)))
    cuts = choose_thresholds(Thresholds(), [str(k) for k in range(20)], scores, targets)
    decided = decide(scores, cuts)
    assert decided[:, :4].tolist() == targets[:, :4].tolist()
    assert decided[:, 4:].sum() == 0
    alone = choose_thresholds(Thresholds(), ["4"], scores[:, 4:5], targets[:, 4:5])
    assert decide(scores[:, 4:5], alone).sum() > 0


def test_a_rare_label_does_not_flood():
    """One positive in 5,000, among the 200 highest: the best expected F1 would pass hundreds."""
    generator = np.random.default_rng(0)
    scores = generator.random((5000, 1)).astype(np.float32) * np.float32(0.9)
    targets = np.zeros((5000, 1), np.uint8)
    targets[np.argsort(-scores[:, 0])[150]] = 1
    for policy in (Auto(), MaxF1(), MaxFBeta(kind="max_fbeta", beta=1.0)):
        assert decide(scores, [chosen(policy, scores, targets)]).sum() <= 5


@pytest.mark.parametrize("score", [0.0, 0.3, 1.0])
def test_equal_scores_of_a_rare_label_are_no_decisions_rather_than_a_yes_for_all(score):
    scores, targets = np.full((5000, 1), score, np.float32), np.zeros((5000, 1), np.uint8)
    targets[:3] = 1
    for policy in (Auto(), MaxF1()):
        cut = chosen(policy, scores, targets)
        assert decide(np.ones((1, 1), np.float32), [cut]).item() == 0
        assert cut.note == "5,000 examples share the highest score, 3 positive: no decisions"


def test_a_label_without_positives_does_not_flood_at_one_half():
    scores = np.linspace(0.4, 1.0, 400, dtype=np.float32)[:, None]
    for policy in (Auto(), MaxF1()):
        assert decide(scores, [chosen(policy, scores, np.zeros((400, 1), np.uint8))]).sum() <= 3
