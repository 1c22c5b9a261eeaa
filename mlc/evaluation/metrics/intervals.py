"""How far a figure may be from what endless data would give.

From the influence of each entity, in one sort. The influence of an example is the derivative of the figure by
that example's weight. Summed over an entity's examples and squared, the influences give the variance
(infinitesimal jackknife), which respects that an entity counts with several cutoffs. The interval is built on
the logit scale, where it stays within 0 and 1, with Student's t for few positives. For AUROC with one example
an entity this is DeLong's variance. A bootstrap comes to the same intervals at a hundred times the cost;
`scripts/bench/coverage.py` measures them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit, stdtrit

from mlc.evaluation.metrics.support import Support

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Matrix = npt.NDArray[Any]

Interval = tuple[float, float] | None
"""Lower and upper end, both inclusive; None where nothing can be said."""

_TAIL = 0.975
_ENOUGH = 50  # with fewer positives, their own spread says too little of the variance of AUROC
_BISECTIONS = 50
_NORMAL = 1.959964
_NO_SPREAD = 1e-12


@dataclass(frozen=True)
class TieGroups:
    """Known examples of one label, from the highest score down, grouped by score.

    Attributes:
        group_M: The group of each example, in the order of the examples.
        positives_G: Positives in each group.
        sizes_G: Examples in each group.
    """

    group_M: npt.NDArray[np.int32]
    positives_G: Floats
    sizes_G: Floats

    @classmethod
    def of(cls, scores_M: Matrix, targets_M: Matrix) -> "TieGroups":
        """Sort once.

        Args:
            scores_M: Scores without NaN.
            targets_M: 0 or 1.
        """
        order_M = np.argsort(-scores_M)
        sorted_M = scores_M[order_M]
        new_M = np.ones(len(sorted_M), bool)
        new_M[1:] = sorted_M[1:] != sorted_M[:-1]
        group_M = np.empty(len(sorted_M), np.int32)
        group_M[order_M] = np.cumsum(new_M, dtype=np.int32) - 1
        starts_G = np.flatnonzero(new_M)
        sizes_G = np.diff(starts_G, append=len(sorted_M)).astype(np.float64)
        hits_G = (
            np.add.reduceat(targets_M[order_M].astype(np.float64), starts_G) if len(starts_G) else sizes_G
        )
        return cls(group_M, hits_G, sizes_G)

    def hits_among_first(self, count: int) -> float:
        """Return the positives among this many highest scores.

        Where ties are split, it is the number expected.
        """
        ends_G = np.cumsum(self.sizes_G)
        whole = int(np.searchsorted(ends_G, count, side="right"))
        hits = float(np.sum(self.positives_G[:whole]))
        if whole == len(ends_G):
            return hits
        rest = count - (ends_G[whole - 1] if whole else 0.0)
        return hits + float(rest * self.positives_G[whole] / self.sizes_G[whole])


@dataclass(frozen=True)
class Influence:
    """A figure and what each entity adds to it.

    Attributes:
        value: The figure on the examples.
        bias: How much too high it is expected to be.
        each_E: The influence of each entity, with the correction for few positives and negatives.
        freedom: Degrees of freedom of Student's t: those of the entities with a positive or with a negative,
            whichever are fewer.
    """

    value: float
    bias: float
    each_E: Floats
    freedom: float

    def plus(self, other: "Influence") -> "Influence":
        """The sum of two figures over the same entities.

        It keeps the degrees of freedom of the first.
        """
        each_E = self.each_E + other.each_E
        return Influence(self.value + other.value, self.bias + other.bias, each_E, self.freedom)

    def times(self, factor: float) -> "Influence":
        """The figure and its influences, multiplied."""
        return Influence(self.value * factor, self.bias * factor, self.each_E * factor, self.freedom)

    def interval(self) -> Interval:
        """Return the 95 % interval, or None if it cannot be estimated.

        That is with a single entity, positive or negative, or if all is separated.
        """
        ends = logit_interval(self.value - self.bias, self.each_E, self.freedom)
        return None if ends is None else around(self.value, ends)


def around(value: float, ends: tuple[float, float]) -> tuple[float, float]:
    """Widen an interval to its estimate.

    Bias correction or rounding may have left the estimate outside. Every interval of the package passes
    through here. It only ever becomes wider, so that it holds the truth at least as often as before.

    Examples:
        >>> around(0.0, (5.6e-17, 0.4))
        (0.0, 0.4)
    """
    return min(ends[0], value), max(ends[1], value)


def auroc_influence(ties: TieGroups, targets_M: Matrix, codes_M: Integers, entities: int) -> Influence:
    """AUROC and the influence of each entity on it.

    Args:
        ties: Of the scores and these targets, with a positive and a negative.
        targets_M: 0 or 1.
        codes_M: The entity of each example, in [0, entities).
        entities: How many there are.

    Source: DeLong, DeLong and Clarke-Pearson (1988), Comparing the areas under two or more correlated ROC
    curves; with several examples an entity: Obuchowski (1997), Nonparametric analysis of clustered
    ROC curve data.
    """
    positives_G, negatives_G = ties.positives_G, ties.sizes_G - ties.positives_G
    positives, negatives = float(positives_G.sum()), float(negatives_G.sum())
    above_G = (np.cumsum(positives_G) - 0.5 * positives_G) / positives
    below_G = 1.0 - (np.cumsum(negatives_G) - 0.5 * negatives_G) / negatives
    value = float(np.sum(positives_G * below_G) / positives)
    support = Support.of(targets_M, codes_M, entities)
    of_positive_G = (below_G - value) / positives * _few(support.positives)
    of_negative_G = (above_G - value) / negatives * _few(support.negatives)
    each_M = np.where(targets_M == 1, of_positive_G[ties.group_M], of_negative_G[ties.group_M])
    return Influence(value, 0.0, _by_entity(each_M, codes_M, entities), support.freedom)


def ap_influence(ties: TieGroups, targets_M: Matrix, codes_M: Integers, entities: int) -> Influence:
    """Average precision and the influence of each entity on it.

    Arguments as for `auroc_influence`. Each positive counts itself among the positives down to its score, so
    that the average is too high where positives are rare; `bias` is that part, and the interval is around the
    value without it.

    Source: the derivative of the weighted average precision of scikit-learn by the weights; Efron (1982),
    The jackknife, the bootstrap and other resampling plans, chapter 6.
    """
    positives_G, through_G = ties.positives_G, np.cumsum(ties.sizes_G)
    positives = float(positives_G.sum())
    precision_G = np.cumsum(positives_G) / through_G
    value = float(np.sum(positives_G * precision_G) / positives)
    gained_G = np.cumsum((positives_G / through_G)[::-1])[::-1]
    diluted_G = np.cumsum((positives_G * precision_G / through_G)[::-1])[::-1]
    of_positive_G = (precision_G - value + gained_G - diluted_G) / positives
    each_M = np.where(targets_M == 1, of_positive_G[ties.group_M], -diluted_G[ties.group_M] / positives)
    bias = float(np.sum(positives_G * (1.0 - precision_G) / through_G) / positives)
    support = Support.of(targets_M, codes_M, entities)
    return Influence(value, bias, _by_entity(each_M, codes_M, entities), support.freedom)


def ap_jackknife(ties: TieGroups, targets_M: Matrix, codes_M: Integers, entities: int) -> Influence:
    """Return average precision, and what it loses without each example.

    The loss replaces the derivative. Arguments and bias as for `ap_influence`. For paired differences of
    frequent labels the derivative makes the variance a little too small, this one does not.

    Source: Efron (1982), The jackknife, the bootstrap and other resampling plans, chapter 3.
    """
    exact = ap_influence(ties, targets_M, codes_M, entities)
    positives_G, through_G = ties.positives_G, np.cumsum(ties.sizes_G)
    hits_G, positives = np.cumsum(positives_G), float(positives_G.sum())
    whole_G = positives_G * hits_G / through_G
    before_G = np.cumsum(whole_G) - whole_G
    rest_G = np.maximum(through_G - 1.0, 1.0)
    without_negative_G = positives_G * hits_G / rest_G
    later_G = positives_G * (hits_G - 1.0) / rest_G
    without_positive_G = (positives_G - 1.0) * (hits_G - 1.0) / rest_G + _after(later_G)
    left_M = np.where(
        targets_M == 1,
        ((before_G + without_positive_G) / max(positives - 1.0, 1.0))[ties.group_M],
        ((before_G + without_negative_G + _after(without_negative_G)) / positives)[ties.group_M],
    )
    each_E = _by_entity(np.mean(left_M) - left_M, codes_M, entities)
    return Influence(exact.value, exact.bias, each_E, exact.freedom)


def loss_influence(losses_M: Floats, codes_M: Integers, entities: int) -> Influence:
    """Mean loss and the influence of each entity on it.

    Arguments as for `auroc_influence`.
    """
    value = float(np.mean(losses_M))
    each_E = _by_entity((losses_M - value) / len(losses_M), codes_M, entities)
    return Influence(value, 0.0, each_E, len(losses_M) - 1)


def mean_influence(parts: "list[Influence]", weights: "list[float]") -> Influence:
    """A weighted mean over labels, with the influence of each entity on it.

    Args:
        parts: One per label, over the same entities.
        weights: Of the labels, fixed; they need not add up to 1.

    Source: degrees of freedom by Satterthwaite (1946), An approximate distribution of estimates of variance
    components: a rare label that brings most of the variance also brings its few degrees.
    """
    shares = np.array(weights) / np.sum(weights)
    each_E = np.zeros_like(parts[0].each_E)
    for part, share in zip(parts, shares, strict=True):
        each_E += share * part.each_E
    value, bias = (
        float(np.sum(shares * [getattr(part, name) for part in parts])) for name in ("value", "bias")
    )
    variances = np.array(
        [share**2 * np.sum(part.each_E**2) for part, share in zip(parts, shares, strict=True)]
    )
    freedoms = np.array([max(part.freedom, 1e-9) for part in parts])
    total = float(variances.sum())
    freedom = total**2 / float(np.sum(variances**2 / freedoms)) if total > 0.0 else 0.0
    return Influence(value, bias, each_E, freedom)


def auroc_interval(auroc: Influence, positives: int, negatives: int) -> Interval:
    """Return the 95 % interval of AUROC, also for few positives.

    It holds too for positives that are all above all
    negatives.

    Args:
        auroc: Of `auroc_influence`.
        positives: How many entities have a positive example.
        negatives: How many have a negative one.

    Returns:
        With 50 of each DeLong's, on the logit scale. With fewer, the values from which the one found lies
        less than 1.96 deviations away, the variance being a model's at that value, or DeLong's where that is
        larger. None with a single entity, or with constant scores.

    Source: Newcombe (2006), Confidence intervals for an effect size measure based on the Mann-Whitney
    statistic, part 2, method 5.
    """
    variance = float(np.sum(auroc.each_E**2))
    if len(auroc.each_E) < 2 or (variance < _NO_SPREAD**2 and 0.0 < auroc.value < 1.0):
        return None
    if min(positives, negatives) >= _ENOUGH and variance > 0.0:
        return auroc.interval()
    pairs, half = positives * negatives, (positives + negatives) / 2 - 1

    def modelled(value: float) -> float:
        return value * (1 - value) / pairs * (1 + half * ((1 - value) / (2 - value) + value / (1 + value)))

    larger = max(1.0, variance / modelled(auroc.value)) if 0.0 < auroc.value < 1.0 else 1.0
    ends = []
    for limit in (0.0, 1.0):
        inside, outside = auroc.value, limit
        for _ in range(_BISECTIONS):
            middle = (inside + outside) / 2
            near = abs(auroc.value - middle) <= _NORMAL * float(np.sqrt(larger * modelled(middle)))
            inside, outside = (middle, outside) if near else (inside, middle)
        ends.append(inside)
    return around(auroc.value, (ends[0], ends[1]))


def mean_interval(parts: "list[Influence]", intervals: "list[Interval]", weights: "list[float]") -> Interval:
    """The 95 % interval of a weighted mean over labels, from that of each label.

    The distance to each end is the square root of a sum of squares, as for variances, of the distances that
    the labels have to their own ends; labels go together as their influences do. A rare label's lopsided
    interval so makes that of the mean lopsided, where a single variance would make it too narrow.

    Args:
        parts: One per label, over the same entities.
        intervals: Of these labels. One without is taken as certain, such as constant scores.
        weights: Of the labels, fixed; they need not add up to 1.

    Returns:
        None where no label has an interval.

    Source: Zou and Donner (2008), Construction of confidence limits about effect measures: a general
    approach.
    """
    shares = np.array(weights) / np.sum(weights)
    value = float(np.sum(shares * [part.value for part in parts]))
    ends = []
    for side in (0, 1):
        each_E, alone = np.zeros_like(parts[0].each_E), 0.0
        for part, interval, share in zip(parts, intervals, shares, strict=True):
            distance = 0.0 if interval is None else share * (interval[side] - part.value)
            spread = float(np.sqrt(np.sum(part.each_E**2)))
            if spread > _NO_SPREAD:
                each_E += distance / spread * part.each_E
            else:  # all positives above all negatives: what the interval says comes from no example
                alone += distance**2
        reach = float(np.sqrt(np.sum(each_E**2) + alone))
        ends.append(value + reach if side else value - reach)
    return around(value, (max(0.0, ends[0]), min(1.0, ends[1]))) if any(intervals) else None


def logit_interval(center: float, each_E: Floats, freedom: float) -> Interval:
    """The 95 % interval of a figure in (0, 1) from the influences of the entities.

    Args:
        center: The figure.
        each_E: Its derivative by the weight of each entity.
        freedom: Degrees of freedom of Student's t.

    Returns:
        None where the influences say nothing of the spread.

    Examples:
        >>> low, high = logit_interval(0.5, np.array([0.1, -0.1]), 10)
        >>> round(low, 2), round(high, 2)
        (0.22, 0.78)
    """
    spread = float(np.sqrt(np.sum(each_E**2)))
    if freedom < 1 or np.count_nonzero(each_E) < 2 or spread < _NO_SPREAD or not 0.0 < center < 1.0:
        return None
    reach = float(stdtrit(freedom, _TAIL)) * spread / (center * (1.0 - center))
    low, high = expit(logit(center) + np.array([-reach, reach]))
    return float(low), float(high)


def difference_interval(
    model: Influence, baseline: Influence, freedom: float, *, skewed: bool
) -> tuple[float, float]:
    """The 95 % interval of model minus baseline, paired by entity.

    Where the figures are skewed, their logits are compared, and the result is brought back by the slope
    between the two: the average precision of a few positives is far from normal, its logit is less so.

    Args:
        model: The model's figure.
        baseline: The baseline's, over the same entities.
        freedom: Degrees of freedom of Student's t, as of `freedom_of`.
        skewed: Whether to compare logits, as for average precision.

    Examples:
        >>> each_E = np.array([0.1, -0.1, 0.1, -0.1])
        >>> model, baseline = Influence(0.6, 0.0, each_E, 3), Influence(0.5, 0.0, -each_E, 3)
        >>> [round(end, 2) for end in difference_interval(model, baseline, 3, skewed=False)]
        [-1.17, 1.37]
    """
    centers = model.value - model.bias, baseline.value - baseline.bias
    center, each_E = centers[0] - centers[1], model.each_E - baseline.each_E
    if skewed and np.any(each_E) and all(0.0 < one < 1.0 for one in centers):
        rates = [one * (1.0 - one) for one in centers]
        logits = float(logit(centers[0]) - logit(centers[1]))
        slope = center / logits if abs(logits) > _NO_SPREAD else rates[0]
        each_E = slope * (model.each_E / rates[0] - baseline.each_E / rates[1])
    reach = float(stdtrit(freedom, _TAIL)) * float(np.sqrt(np.sum(each_E**2)))
    return around(model.value - baseline.value, (center - reach, center + reach))


def freedom_of(variance_E: Floats) -> float:
    """Degrees of freedom of a sum of squared influences.

    One less than the entities that matter.

    Args:
        variance_E: What the square of each influence is expected to be, up to a factor: the mean over
            entities of the same kind.

    Examples:
        >>> freedom_of(np.array([5.0, 5.0, 5.0, 0.0])), freedom_of(np.zeros(3))
        (2.0, 1.0)

    Source: Satterthwaite (1946), An approximate distribution of estimates of variance components; over
    entities, so that labels of the same entities do not count twice.
    """
    squares = float(np.sum(variance_E**2))
    return max(float(np.sum(variance_E)) ** 2 / squares - 1.0, 1.0) if squares > 0.0 else 1.0


def ratio_interval(
    parts_E: Matrix, wholes_E: Matrix, *, new_as_well: bool = False, drift: float = 0.0
) -> Interval:
    """Return the 95 % interval of a share, `sum(parts) / sum(wholes)`.

    An entity may add several to both.

    Args:
        parts_E: What each entity adds to the part: right decisions, for precision.
        wholes_E: What it adds to the whole: decisions.
        new_as_well: Not where the true share lies, but the share among as many new entities.
        drift: Variance by which the log-odds of the true share may have changed until then.

    Returns:
        Wilson's interval, with as many trials as a share of this variance has; None where the whole is 0.

    Examples:
        >>> low, high = ratio_interval(np.ones(8), np.ones(8))
        >>> round(low, 3), high
        (0.589, 1.0)
        >>> hits = np.arange(100) % 2
        >>> [round(end, 2) for end in ratio_interval(hits, np.ones(100), drift=0.25)]
        [0.26, 0.74]

    Source: Wilson (1927), Probable inference; effective trials: Korn and Graubard (1998), Confidence
    intervals for proportions with small expected number of positive counts.
    """
    whole = float(np.sum(wholes_E))
    if whole <= 0.0:
        return None
    share = float(np.sum(parts_E)) / whole
    variance = float(np.sum((parts_E - share * wholes_E) ** 2)) / whole**2
    trials = share * (1.0 - share) / variance if variance > 0.0 else float(np.count_nonzero(wholes_E))
    trials /= 2.0 if new_as_well else 1.0
    z = float(stdtrit(max(trials - 1.0, 1.0), _TAIL))
    trials /= 1.0 + drift * share * (1.0 - share) * trials
    center = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    reach = z / (1 + z**2 / trials) * float(np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2)))
    return around(share, (max(0.0, center - reach), min(1.0, center + reach)))


def _few(count: float) -> float:
    """Makes a variance that divides by n one that divides by n - 1."""
    return float(np.sqrt(count / (count - 1.0))) if count > 1 else 1.0


def _after(values_G: Floats) -> Floats:
    """The sum of the values after each group."""
    sums_G: Floats = np.cumsum(values_G[::-1])[::-1] - values_G
    return sums_G


def _by_entity(each_M: Floats, codes_M: Integers, entities: int) -> Floats:
    sums_E: Floats = np.bincount(codes_M, weights=each_M, minlength=entities).astype(np.float64, copy=False)
    return sums_E
