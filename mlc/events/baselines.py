"""Baselines that only count, scored on the same examples from the same history.

None is trained; the one that is lives in `boosting`. A model that does not beat them has learned nothing that
counting does not know.
"""

import importlib.util
from collections.abc import Collection, Sequence

import numpy as np
import polars as pl

from mlc.errors import DataError
from mlc.events.examples import Examples
from mlc.events.label_names import LABEL
from mlc.events.timeline import Timeline, first_of_day
from mlc.scenario import EventScenario, Scenario
from mlc.tables import MICROSECONDS_PER_DAY, SCORES, TARGETS, array_column, in_split, known_shares, targets_of

HALF_LIFE_DAYS = 60.0
BOOSTING = "boosting"
INSTALL = "pip install 'mlc[boost]'"
BASELINES = ("prevalence", "frequency", "recency")
NO_PROBABILITIES = ("frequency", "recency")
"""Their scores put examples in order and say no more, so that they have no log-loss."""
_CHUNK = 100_000


def boosting_installed() -> bool:
    """Whether LightGBM is there."""
    return importlib.util.find_spec("lightgbm") is not None


def check_boosting(scenario: Scenario) -> None:
    """Refuse a scenario that names boosting where it cannot run.

    Raises:
        DataError: LightGBM is not installed.
    """
    named = {"baselines": BOOSTING in (scenario.baselines or ()), "model.blend": blends(scenario)}
    rule = f"boosting needs the package lightgbm, which is not installed. Install it: {INSTALL}"
    problems = [scenario.problem(field, rule) for field, wanted in named.items() if wanted]
    if problems and not boosting_installed():
        raise DataError(problems)


def blends(scenario: Scenario) -> bool:
    """Whether boosting is a part of the model."""
    return isinstance(scenario, EventScenario) and scenario.model.blend == BOOSTING


def missing_boosting(scenario: EventScenario, parts: Collection[str]) -> list[str]:
    """Return why boosting is missing from a model that wants it, or nothing."""
    wanted = scenario.baselines is None or BOOSTING in scenario.baselines
    if not wanted or BOOSTING in parts:
        return []
    if boosting_installed():
        return ["boosting, as a rule the strongest baseline, was not trained"]
    return [f"boosting, as a rule the strongest baseline, is not installed: {INSTALL}"]


def baseline_predictions(
    examples: Examples, label_line: Timeline, names: Sequence[str] = BASELINES
) -> dict[str, pl.DataFrame]:
    """Predictions of baselines, for all splits.

    prevalence: the label's share of positives in training, the same for everybody.
    frequency: n / (1 + n), n the number of days up to the cutoff on which the entity had the label.
    recency: the same with n the sum over those days of 2^(-age / 60 days).

    Args:
        examples: The examples with targets.
        label_line: Label events by entity, from `labels.label_line`.
        names: Which of `BASELINES`.

    Returns:
        Name → a predictions table in the order of the examples.
    """
    targets_NK = targets_of(examples.table)
    share_K = known_shares(targets_NK[in_split(examples.table, "train")])
    days_NK, decayed_NK = day_counts(examples, label_line)
    scores = {
        "prevalence": np.broadcast_to(share_K, targets_NK.shape),
        "frequency": days_NK / (1 + days_NK),
        "recency": decayed_NK / (1 + decayed_NK),
    }
    keys = examples.table.drop(TARGETS)
    return {name: keys.with_columns(array_column(SCORES, scores[name].astype(np.float32))) for name in names}


def day_counts(examples: Examples, label_line: Timeline) -> tuple[np.ndarray, np.ndarray]:
    """Return distinct days with each label up to the cutoff, plain and decayed.

    The half-life is 60 days.

    Returns:
        Two float64 matrices of shape (N examples, K labels).
    """
    labels = len(examples.labels.names)
    first_T = first_of_day(label_line, label_line.columns[LABEL])
    cutoffs_N = examples.cutoffs
    plain, decayed = np.zeros((2, len(examples.rows), labels))
    for start in range(0, len(examples.rows), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        example_T, index_T = label_line.history(examples.rows[chunk], cutoffs_N[chunk])
        is_first_T = first_T[index_T]
        example_T, index_T = example_T[is_first_T], index_T[is_first_T]
        age_T = (cutoffs_N[chunk][example_T] - label_line.time[index_T]) / MICROSECONDS_PER_DAY
        cells = example_T * labels + label_line.columns[LABEL][index_T]
        size = len(cutoffs_N[chunk]) * labels
        plain[chunk] = np.bincount(cells, minlength=size).reshape(-1, labels)
        decayed[chunk] = np.bincount(cells, 2.0 ** (-age_T / HALF_LIFE_DAYS), size).reshape(-1, labels)
    return plain, decayed
