"""Slow, obviously right loops for metrics, thresholds and report. Read the definition, check the loop."""

import itertools
import math
from typing import Any


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


def macro_difference(scores: Any, rival: Any, targets: Any, entities: Any, weights: Any) -> Any:
    """Macro AUROC, AP and log-loss: scores minus rival, when each entity stands there `weights` times."""
    rows = [row for row in range(len(targets)) for _ in range(weights[entities[row]])]
    differences = []
    for label in range(len(targets[0]) if targets else 0):
        picked = [row for row in rows if targets[row][label] != 255]
        truth = [targets[row][label] for row in picked]
        if len(set(truth)) < 2:
            continue
        ours, theirs = [scores[row][label] for row in picked], [rival[row][label] for row in picked]
        differences.append(
            (
                auroc(ours, truth) - auroc(theirs, truth),
                average_precision(ours, truth) - average_precision(theirs, truth),
                log_loss(ours, truth) - log_loss(theirs, truth),
            )
        )
    if not differences:
        return None
    return tuple(sum(column) / len(differences) for column in zip(*differences, strict=True))


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
