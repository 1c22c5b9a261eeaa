"""Metrics that a scenario names: multilabel classes of torchmetrics.

Each must give a number, or one per label. A class with a `threshold` gets the run's decisions, unless the
scenario gives one; others get the scores, over the labels that have a positive and a negative: for the rest
torchmetrics would count a zero.
"""

import inspect
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torchmetrics import Metric, classification

from mlc.errors import Problem, ScenarioError, did_you_mean, sentences
from mlc.report import MetricScore
from mlc.tables import UNKNOWN

_PREFIX = "Multilabel"


def check_metrics(wanted: Sequence[tuple[str, Mapping[str, Any]]], labels: int) -> None:
    """Refuse metrics that do not fit, before a training is spent on them.

    Args:
        wanted: Name and options of each.
        labels: How many the scenario has.

    Raises:
        ScenarioError: A name or option does not exist, or what comes out is not a number or one per label.

    Examples:
        >>> check_metrics([("MultilabelHammingDistance", {})], 12)
    """
    problems = []
    even_NK = np.indices((8, max(labels, 2))).sum(axis=0) % 2
    for place, (name, options) in enumerate(wanted):
        field = f"metrics.{place}"
        known = [metric for metric in dir(classification) if metric.startswith(_PREFIX)]
        if name not in known:
            rule = f"{name} is no multilabel class of torchmetrics"
            problems.append(Problem(sentences(rule, did_you_mean(name, known)), field))
            continue
        try:
            _value(name, options, even_NK * 0.8 + 0.1, even_NK, even_NK)
        except Exception as error:  # torchmetrics raises whatever it likes
            problems.append(Problem(f"torchmetrics refuses {name}: {error}", field))
    if labels < 2 and wanted:
        problems.append(
            Problem("torchmetrics needs two labels, and there is one. Leave metrics out.", "metrics")
        )
    if problems:
        raise ScenarioError(problems)


def custom_scores(
    wanted: Sequence[tuple[str, Mapping[str, Any]]],
    scores_NK: np.ndarray,
    decisions_NK: np.ndarray,
    targets_NK: np.ndarray,
) -> list[MetricScore]:
    """Return the metrics of one split.

    Args:
        wanted: Name and options of each, of `check_metrics`.
        scores_NK: Probabilities in [0, 1], shape (N examples, K labels).
        decisions_NK: 0 or 1, same shape.
        targets_NK: 0, 1 or 255 (unknown, left out), uint8, same shape.

    Examples:
        >>> scores, targets = np.array([[0.9, 0.2], [0.1, 0.6]]), np.array([[1, 0], [0, 1]], np.uint8)
        >>> custom_scores([("MultilabelAUROC", {})], scores, scores > 0.5, targets)[0].value
        1.0
    """
    metrics = []
    for name, options in wanted:
        counted_K = np.any(targets_NK != UNKNOWN, axis=0)
        if not _takes_decisions(name, options):
            counted_K = np.any(targets_NK == 1, axis=0) & np.any(targets_NK == 0, axis=0)
        labels = int(counted_K.sum())
        value, undefined = None, None
        if labels < 2:
            undefined = "fewer than two labels are defined"
        else:
            parts = (matrix[:, counted_K] for matrix in (scores_NK, decisions_NK, targets_NK))
            value = _value(name, options, *parts)
            undefined = "not a finite number" if value is None else None
        metrics.append(MetricScore(name, dict(options), value, labels, undefined))
    return metrics


def _takes_decisions(name: str, options: Mapping[str, Any]) -> bool:
    parameters = inspect.signature(getattr(classification, name).__init__).parameters
    return "threshold" in parameters and "threshold" not in options


def _value(
    name: str,
    options: Mapping[str, Any],
    scores_NK: np.ndarray,
    decisions_NK: np.ndarray,
    targets_NK: np.ndarray,
) -> float | list[float | None] | None:
    metric: Metric = getattr(classification, name)(
        **{"num_labels": targets_NK.shape[1], "ignore_index": UNKNOWN, **options}
    )
    given_NK = decisions_NK if _takes_decisions(name, options) else scores_NK
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metric.update(
            torch.from_numpy(given_NK.astype(np.float32)), torch.from_numpy(targets_NK.astype(np.int64))
        )
        result = metric.compute()
    if not isinstance(result, torch.Tensor) or result.ndim > 1:
        raise TypeError("it gives curves or tables, not a number or one per label")
    numbers = [value if math.isfinite(value) else None for value in result.reshape(-1).tolist()]
    return numbers if result.ndim else numbers[0]
