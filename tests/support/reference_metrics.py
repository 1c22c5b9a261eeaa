"""Slow, obviously right loops for metrics, thresholds and report. Read the definition, check the loop."""

import itertools
import math
from typing import Any

from scipy.stats import t as student


def known(scores: Any, targets: Any) -> Any:
    return [(float(s), int(t)) for s, t in zip(scores, targets, strict=True) if t != 255]


def auroc(scores: Any, targets: Any, weights: Any = None) -> Any:
    """The weighted share of (positive, negative) pairs in the right order; a tie is half right."""
    weights = [1] * len(scores) if weights is None else weights
    right = total = 0.0
    for s, t, w in zip(scores, targets, weights, strict=True):
        for other_s, other_t, other_w in zip(scores, targets, weights, strict=True):
            if t == 1 and other_t == 0:
                total += w * other_w
                right += w * other_w * (1.0 if s > other_s else 0.5 if s == other_s else 0.0)
    return right / total if total else None


def average_precision(scores: Any, targets: Any) -> Any:
    """Walk down the distinct scores; each step of recall counts with the precision reached."""
    positives = sum(t == 1 for t in targets)
    if not positives:
        return None
    total = recall = 0.0
    for cut in sorted(set(scores), reverse=True):
        chosen = [t for s, t in zip(scores, targets, strict=True) if s >= cut]
        total += (sum(chosen) / positives - recall) * sum(chosen) / len(chosen)
        recall = sum(chosen) / positives
    return total


def brier(scores: Any, targets: Any) -> Any:
    pairs = known(scores, targets)
    return sum((s - t) ** 2 for s, t in pairs) / len(pairs) if pairs else None


def log_loss(scores: Any, targets: Any, keep_away: float = 2.0**-23) -> Any:
    pairs = [(min(max(s, keep_away), 1 - keep_away), t) for s, t in known(scores, targets)]
    return -sum(math.log(s if t == 1 else 1 - s) for s, t in pairs) / len(pairs) if pairs else None


def f1(scores: Any, targets: Any, threshold: Any) -> Any:
    pairs = known(scores, targets)
    hits = sum(s >= threshold and t == 1 for s, t in pairs)
    yes, positives = sum(s >= threshold for s, _ in pairs), sum(t == 1 for _, t in pairs)
    return 2 * hits / (yes + positives) if positives else None


def best_f1(scores: Any, targets: Any) -> Any:
    """The highest F1 of all cuts, and the lowest score that is a yes at the highest such cut."""
    cuts = sorted({s for s, _ in known(scores, targets)}, reverse=True)
    best = max(f1(scores, targets, cut) for cut in cuts)
    return best, next(cut for cut in cuts if f1(scores, targets, cut) == best)


def macro_difference(score: str, matrices: Any, targets: Any, entities: Any, enough: int) -> Any:
    """Value, low and high of one matrix minus another, over the labels with enough entities.

    For AUROC each example's influence is DeLong's, for average precision what its removal changes, for the
    log-loss its distance from the mean. Those of an entity are added up.
    """
    everyone = sorted(set(entities))
    judged = []
    for label in range(len(targets[0]) if targets else 0):
        rows = [row for row in range(len(targets)) if targets[row][label] != 255]
        truth, owners = [targets[row][label] for row in rows], [entities[row] for row in rows]
        kinds = [{owner for owner, t in zip(owners, truth, strict=True) if t == kind} for kind in (1, 0)]
        if min(map(len, kinds)) >= enough:
            both = [[float(matrix[row][label]) for row in rows] for matrix in matrices]
            judged.append(([_influence(score, scores, truth, owners, kinds) for scores in both], kinds))
    if not judged:
        return None, None, None
    centers, values, each = [], [], []
    for side in (0, 1):
        parts = [pair[side] for pair, _ in judged]
        values.append(sum(part[0] for part in parts) / len(parts))
        centers.append(sum(part[0] - part[1] for part in parts) / len(parts))
        each.append([sum(part[2].get(one, 0.0) for part in parts) / len(parts) for one in everyone])
    expected = dict.fromkeys(everyone, 0.0)
    for (first, second), (positive, negative) in judged:
        squares = {one: (first[2].get(one, 0.0) - second[2].get(one, 0.0)) ** 2 for one in everyone}
        for group in (positive, negative - positive):
            for one in group:
                expected[one] += sum(squares[other] for other in group) / len(group)
    total, squared = sum(expected.values()), sum(value**2 for value in expected.values())
    freedom = max(total**2 / squared - 1, 1.0) if squared else 1.0
    changes = [one - other for one, other in zip(*each, strict=True)]
    if score == "ap" and any(changes) and all(0 < center < 1 for center in centers):
        logits = [math.log(center / (1 - center)) for center in centers]
        rates = [center * (1 - center) for center in centers]
        apart = logits[0] - logits[1]
        slope = (centers[0] - centers[1]) / apart if abs(apart) > 1e-12 else rates[0]
        changes = [slope * (a / rates[0] - b / rates[1]) for a, b in zip(*each, strict=True)]
    reach = student.ppf(0.975, freedom) * math.sqrt(sum(change**2 for change in changes))
    center, value = centers[0] - centers[1], values[0] - values[1]
    return value, min(value, center - reach), max(value, center + reach)


def _influence(score: str, scores: Any, targets: Any, entities: Any, kinds: Any) -> Any:
    """A figure, its bias, and entity → influence."""
    count, positives = len(targets), sum(targets)
    bias = 0.0
    if score == "auroc":
        value = auroc(scores, targets)
        each = []
        for s, t in zip(scores, targets, strict=True):
            others = [other for other, kind in zip(scores, targets, strict=True) if kind != t]
            won = sum((s > o) + 0.5 * (s == o) for o in others) / len(others)
            won = won if t == 1 else 1 - won
            size, group = (positives, kinds[0]) if t == 1 else (count - positives, kinds[1])
            few = math.sqrt(len(group) / (len(group) - 1)) if len(group) > 1 else 1.0
            each.append((won - value) / size * few)
    elif score == "ap":
        value = average_precision(scores, targets)
        left = [
            average_precision(scores[:row] + scores[row + 1 :], targets[:row] + targets[row + 1 :]) or 0.0
            for row in range(count)
        ]
        each = [sum(left) / count - one for one in left]
        for s, t in zip(scores, targets, strict=True):
            above = [kind for other, kind in zip(scores, targets, strict=True) if other >= s]
            bias += t * (1 - sum(above) / len(above)) / len(above) / positives
    else:
        losses = [log_loss([s], [t]) for s, t in zip(scores, targets, strict=True)]
        value = sum(losses) / count
        each = [(loss - value) / count for loss in losses]
    sums: dict[Any, float] = {}
    for entity, one in zip(entities, each, strict=True):
        sums[entity] = sums.get(entity, 0.0) + one
    return value, bias, sums


def hits_among_first(scores: Any, targets: Any, count: int) -> float:
    """Positives among the `count` highest scores; tied ones share what is left evenly."""
    left, hits = count, 0.0
    for score in sorted(set(scores), reverse=True):
        tied = [t for s, t in zip(scores, targets, strict=True) if s == score]
        taken = min(left, len(tied))
        hits += taken * sum(tied) / len(tied)
        left -= taken
    return hits


def calibration_error(scores: Any, targets: Any, groups: int = 10) -> float:
    """Groups of (nearly) equal size from the highest score down; tied scores count with their mean target."""
    mean_of = {
        score: sum(t for s, t in zip(scores, targets, strict=True) if s == score) / scores.count(score)
        for score in set(scores)
    }
    ordered, count = sorted(scores, reverse=True), len(scores)
    groups = min(groups, count)
    bounds = [round(group * count / groups) for group in range(groups + 1)]
    total = 0.0
    for low, high in itertools.pairwise(bounds):
        total += abs(sum(s - mean_of[s] for s in ordered[low:high]))
    return total / count


def hamming(decisions: Any, targets: Any) -> Any:
    cells = [
        (d, t) for row, truth in zip(decisions, targets, strict=True) for d, t in zip(row, truth, strict=True)
    ]
    known_cells = [(d, t) for d, t in cells if t != 255]
    return sum(d != t for d, t in known_cells) / len(known_cells) if known_cells else None
