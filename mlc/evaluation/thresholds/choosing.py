"""Thresholds chosen on validation, each by the policy of its label."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from mlc.errors import Problem, ScenarioError, did_you_mean, sentences
from mlc.evaluation.calibration import entity_folds
from mlc.evaluation.thresholds.curves import Column, Matrix
from mlc.evaluation.thresholds.deciding import Threshold, places
from mlc.evaluation.thresholds.drifting import Drift, Windows, drifts
from mlc.evaluation.thresholds.floors import floors_of
from mlc.evaluation.thresholds.judging import judged
from mlc.evaluation.thresholds.policies import choose
from mlc.scenario import Auto, Policy, Thresholds, TopK
from mlc.tables import check_scores_of_labels


def choose_thresholds(
    thresholds: Thresholds,
    class_names: Sequence[str],
    scores_NK: Matrix,
    targets_NK: Matrix,
    entities_N: Matrix | None = None,
    *,
    cutoffs: int = 1,
    windows: Windows | None = None,
) -> list[Threshold]:
    """Choose the threshold of each label by its policy, from validation alone.

    Args:
        thresholds: The scenario's section.
        class_names: The K names, in column order.
        scores_NK: Probabilities in [0, 1] of the validation examples, calibrated out of fold, shape
            (N examples, K labels).
        targets_NK: 0, 1 or 255 (unknown, left out), uint8, same shape.
        entities_N: The entity of each example. Default: each is one.
        cutoffs: Number of cutoffs of the examples; `top_n` counts for one.
        windows: Examples of several windows, for ranges that know how much figures change from one to the
            next. Default: they know chance alone.

    Returns:
        One threshold per label, in order.

    Raises:
        DataError: Shapes differ, or a score is NaN or outside [0, 1].
        ScenarioError: `per_label` names labels that are not in `class_names`.

    Examples:
        >>> from mlc.scenario import MaxF1
        >>> scores, targets = np.array([[0.75], [0.5], [0.1]]), np.array([[1], [0], [0]], np.uint8)
        >>> threshold = choose_thresholds(Thresholds(default=MaxF1()), ["Dress"], scores, targets)[0]
        >>> threshold.value, threshold.policy, threshold.note
        (0.625, 'max_f1', 'only 1 positive validation example')
    """
    check_scores_of_labels(scores_NK, targets_NK, len(class_names))
    problems = [*_unknown_labels(thresholds, class_names)]
    if problems:
        raise ScenarioError(problems)
    entities_N = np.arange(len(targets_NK)) if entities_N is None else entities_N
    policies = [thresholds.per_label.get(name, thresholds.default) for name in class_names]
    columns = _with_floors(_columns(policies, scores_NK, targets_NK, entities_N, cutoffs), policies)
    choices = [choose(policy, column) for policy, column in zip(policies, columns, strict=True)]
    chosen = [
        Threshold(
            name, choice.value, policy.kind, choice.note, policy.k if isinstance(policy, TopK) else None
        )
        for name, policy, choice in zip(class_names, policies, choices, strict=True)
    ]
    changes = drifts(chosen, windows) if windows else [Drift()] * len(chosen)
    return [
        judged(threshold, policy, column, reached=choice.reached, drift=drift)
        for threshold, policy, column, choice, drift in zip(
            chosen, policies, columns, choices, changes, strict=True
        )
    ]


def _unknown_labels(thresholds: Thresholds, class_names: Sequence[str]) -> Iterator[Problem]:
    for name in thresholds.per_label:
        if name not in class_names:
            rule = sentences("no such label", did_you_mean(name, class_names))
            yield Problem(rule, f"thresholds.{name}")


def _columns(
    policies: Sequence[Policy], scores_NK: Matrix, targets_NK: Matrix, entities_N: Matrix, cutoffs: int
) -> list[Column]:
    """The known examples of each label.

    Their places among the labels where a policy asks for them.
    """
    _, codes_N = np.unique(entities_N, return_inverse=True)
    folds_N = entity_folds(entities_N)
    scores_NK = scores_NK.astype(np.float32, copy=False)
    places_NK = places(scores_NK) if any(isinstance(policy, TopK) for policy in policies) else None
    columns = []
    for label in range(len(policies)):
        of_label = scores_NK[:, label], targets_NK[:, label], codes_N, folds_N
        ranks_N = None if places_NK is None else places_NK[:, label]
        columns.append(Column(*of_label, ranks_N, cutoffs).known_and_sorted())
    return columns


def _with_floors(columns: Sequence[Column], policies: Sequence[Policy]) -> list[Column]:
    """Return the columns, those of `auto` with the lowest threshold they may have."""
    members: dict[float, list[int]] = {}
    for label, policy in enumerate(policies):
        if isinstance(policy, Auto):
            members.setdefault(policy.beta, []).append(label)
    known = list(columns)
    for beta, labels in members.items():
        parts = ((known[at].scores_M, known[at].targets_M, known[at].folds_M) for at in labels)
        floors = floors_of(parts, beta)
        for at in labels:
            known[at] = replace(known[at], floors=floors)
    return known
