"""What a threshold gives on entities without part in its choice.

It also says whether the threshold reaches its goal.
"""

from dataclasses import replace

import numpy as np

from mlc.evaluation.metrics import ratio_interval
from mlc.evaluation.thresholds.curves import Column, Matrix
from mlc.evaluation.thresholds.deciding import Estimate, Expected, Threshold, threshold_value
from mlc.evaluation.thresholds.drifting import Counts, Drift
from mlc.evaluation.thresholds.policies import choose
from mlc.scenario import Cost, Fixed, Never, Policy, PrecisionAtLeast, RecallAtLeast, TopK, TopN

_FEW_POSITIVES = 20  # with fewer, the F1 that a threshold promises on validation is rarely kept


def judged(threshold: Threshold, policy: Policy, column: Column, *, reached: bool, drift: Drift) -> Threshold:
    """Return a threshold with its estimate.

    It gets no decisions if it misses a goal that must be reached.
    """
    if threshold.value is None:
        return replace(threshold, estimate=_estimate_of_never(column))
    estimate = _estimate(policy, column, threshold.value, drift)
    if not isinstance(policy, PrecisionAtLeast | RecallAtLeast):
        return replace(threshold, note=threshold.note or _few(policy, column), estimate=estimate)
    missed = _missed(policy, column, estimate, reached=reached)
    if missed is None:
        return replace(threshold, note=_few(policy, column), estimate=estimate)
    if policy.when_unreachable == "best":
        return replace(threshold, note=f"{missed}; used all the same", estimate=estimate, reachable=False)
    return replace(
        threshold,
        value=None,
        note=f"{missed}; no decisions",
        estimate=_estimate_of_never(column),
        reachable=False,
    )


def _few(policy: Policy, column: Column) -> str | None:
    """Return a note if the threshold rests on too few positives."""
    positives = column.positives
    if isinstance(policy, Fixed | Never | Cost | TopK | TopN) or positives >= _FEW_POSITIVES:
        return None
    return f"only {positives} positive validation example{'' if positives == 1 else 's'}"


def _missed(
    policy: PrecisionAtLeast | RecallAtLeast, column: Column, estimate: Estimate | None, *, reached: bool
) -> str | None:
    """Why a goal counts as not reached, or None.

    It is reached where its threshold, judged on entities without part in the choice, gives at least the goal;
    or where the scores expect the goal and the range of that judgement does not exclude it.
    """
    name = "precision" if isinstance(policy, PrecisionAtLeast) else "recall"
    share = getattr(policy, name)
    goal = f"{name} {share:g}"
    if estimate is None:
        return f"{goal} cannot be judged: no validation example"
    expected: Expected | None = getattr(estimate, name)
    if not column.positives:
        return f"{goal} cannot be judged: no positive validation example"
    if expected is None or estimate.yes is None:
        return None if reached else f"{goal} cannot be judged: too few validation examples"
    if expected.value >= share or (reached and expected.high >= share):
        return None
    yes = round(estimate.yes.value * len(column.scores_M))
    return f"{goal} cannot be reached: best is {expected.value:.3f} at {yes:,} example{'s' * (yes != 1)}"


def _estimate_of_never(column: Column) -> Estimate | None:
    """No decisions: certain to find nothing."""
    if not len(column.scores_M):
        return None
    nothing = Expected(0.0, 0.0, 0.0)
    share = nothing if column.positives else None
    return Estimate(precision=None, recall=share, f1=share, yes=nothing)


def _estimate(policy: Policy, column: Column, value: float, drift: Drift) -> Estimate | None:
    """Return what the threshold gives if each fold is decided by that of the others."""
    if not len(column.scores_M):
        return None
    yes_M = np.zeros(len(column.scores_M), bool)
    fitted = not isinstance(policy, Fixed | Cost | TopK)
    for fold in np.unique(column.folds_M) if fitted else ():
        others = column.without(fold)
        threshold = choose(policy, others).value if len(others.scores_M) else value
        in_fold = column.folds_M == fold
        yes_M[in_fold] = column.scores_M[in_fold] >= np.float32(threshold_value(threshold))
    if not fitted:
        yes_M = column.scores_M >= np.float32(value)
    if isinstance(policy, TopK):
        assert column.places_M is not None
        yes_M &= column.places_M < policy.k
    counts = Counts.of(yes_M, column.targets_M == 1, column.codes_M)
    figures = {
        name: _expected(*shares, getattr(drift, name)) for name, shares in counts.parts_and_wholes().items()
    }
    if not counts.positives_E.any():
        figures["f1"] = None
    return Estimate(**figures)


def _expected(parts_E: Matrix, wholes_E: Matrix, drift: float) -> Expected | None:
    interval = ratio_interval(parts_E, wholes_E, new_as_well=True, drift=drift)
    return None if interval is None else Expected(float(parts_E.sum() / wholes_E.sum()), *interval)
