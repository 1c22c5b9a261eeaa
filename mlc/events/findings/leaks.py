"""What may reveal the future: attributes as of today, one that knows a label."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mlc.events.examples import Examples
from mlc.events.findings.finding import Subject, listed
from mlc.events.store import EventStore, Field
from mlc.scenario import EventScenario
from mlc.tables import SPLIT, UNKNOWN, targets_of
from mlc.task import Finding

_TOO_GOOD = 0.99
_SAMPLE = 50_000
_FEW_POSITIVES = 20
_FEW_ENTITIES = 5  # a rarer value knows its entities by heart
_BINS = 64


def leak_findings(scenario: EventScenario, store: EventStore, examples: Examples) -> Iterator[Finding]:
    """What a model could know that nobody knows at the cutoff."""
    if scenario.model.attributes and store.entity_fields:
        yield from _snapshot_findings(scenario, store)
        yield from _telling_findings(scenario, store, examples)
    yield from _history_findings(scenario)


def _snapshot_findings(scenario: EventScenario, store: EventStore) -> Iterator[Finding]:
    for name in scenario.data.entities:
        columns = [
            field.name.split(".", 1)[1] for field in store.entity_fields if field.name.startswith(f"{name}.")
        ]
        if columns:
            yield Subject(scenario, "leaks")(
                "note",
                ("data", "tables", name),
                f"{name} is taken as it is today for every cutoff: {listed(columns, 8)}",
                "a column that changes with what the entity does (a status, a total) tells the future: "
                "leave it out with encoders: {column: ignore}",
            )


def _history_findings(scenario: EventScenario) -> Iterator[Finding]:
    if scenario.model.history or scenario.model.sees_events:
        yield Subject(scenario, "leaks")(
            "note",
            "target.column",
            f"{', '.join(scenario.target.column)} is target and history: "
            "the model sees its values up to the cutoff",
            "nothing; only events after the cutoff are targets",
        )


@dataclass(frozen=True)
class _Sample:
    """Examples of one split.

    Attributes:
        rows: Entity row of each, shape (N).
        positive: Example and label of each positive target.
        unknown: Example and label of each unknown target.
        labels: Number of labels K.
    """

    rows: np.ndarray
    positive: tuple[np.ndarray, np.ndarray]
    unknown: tuple[np.ndarray, np.ndarray]
    labels: int

    def counts(self, codes_E: np.ndarray, codes: int) -> tuple[np.ndarray, np.ndarray]:
        """Count positives and negatives by code of entity and label.

        Both are int64, of shape (codes, K).
        """
        codes_N = codes_E[self.rows]
        positive_CK, unknown_CK = (
            np.bincount(codes_N[at] * self.labels + label, minlength=codes * self.labels).reshape(codes, -1)
            for at, label in (self.positive, self.unknown)
        )
        examples_C = np.bincount(codes_N, minlength=codes)
        return positive_CK, examples_C[:, None] - positive_CK - unknown_CK


def _sample(examples: Examples, split: str) -> _Sample:
    """At most this many examples of a split, evenly over all cutoffs."""
    at = np.flatnonzero((examples.table[SPLIT] == split).to_numpy())
    at = at[:: max(1, -(-len(at) // _SAMPLE))]
    targets_NK = targets_of(examples.table)[at]
    positive, unknown = (np.nonzero(targets_NK == value) for value in (1, UNKNOWN))
    return _Sample(
        examples.rows[at], (positive[0], positive[1]), (unknown[0], unknown[1]), targets_NK.shape[1]
    )


def _telling_findings(scenario: EventScenario, store: EventStore, examples: Examples) -> Iterator[Finding]:
    """Yield attributes that alone rank validation rows all but perfectly.

    They are fitted on training rows.
    """
    train, validation = _sample(examples, "train"), _sample(examples, "validation")
    for field in store.entity_fields:
        codes_E = _codes(store, field)
        codes = int(codes_E.max(initial=0)) + 1
        rates_CK = _rates(*train.counts(codes_E, codes))
        aurocs_K = grouped_aurocs(rates_CK, *validation.counts(codes_E, codes))
        telling = [
            f"{examples.labels.names[k]} ({aurocs_K[k]:.3f})"
            for k in np.flatnonzero(aurocs_K > _TOO_GOOD).tolist()
        ]
        if telling:
            table, column = field.name.split(".", 1)
            yield Subject(scenario, "leaks")(
                "warning",
                ("data", "tables", table, "encoders", column),
                f"{field.name} alone ranks validation rows with an AUROC above {_TOO_GOOD} for "
                f"{listed(telling)}: probably made from what it should predict",
                f"if it is not known at the cutoff, leave it out with encoders: {{{column}: ignore}}",
            )


def _codes(store: EventStore, field: Field) -> np.ndarray:
    """A code of each entity: its category unless rare, or the bin of its number.

    0 is missing.
    """
    values_E = np.asarray(store.attributes[field.name])
    if field.kind == "number":
        known = np.isfinite(values_E)
        if not known.any():
            return np.zeros(len(values_E), dtype=np.int64)
        edges = np.unique(np.quantile(values_E[known], np.linspace(0, 1, _BINS + 1)[1:-1]))
        # Each edge has a bin of its own: a number with few values, such as a flag, keeps them apart.
        bins = np.searchsorted(edges, values_E, "left") + np.searchsorted(edges, values_E, "right")
        return np.where(known, bins + 1, 0)
    counts = np.bincount(values_E)
    frequent = np.flatnonzero(counts >= _FEW_ENTITIES)
    codes = np.full(len(counts), len(frequent) + 1, dtype=np.int64)
    codes[frequent] = np.arange(1, len(frequent) + 1)
    codes[:1] = 0
    return np.asarray(codes[values_E])


def _rates(positive_CK: np.ndarray, negative_CK: np.ndarray) -> np.ndarray:
    """Share of positives by code, float64, shape (codes, K).

    Of few examples drawn to the label's share.
    """
    known_CK = positive_CK + negative_CK
    share_K = positive_CK.sum(axis=0) / np.maximum(known_CK.sum(axis=0), 1)
    return np.asarray((positive_CK + share_K) / (known_CK + 1))


def grouped_aurocs(rates_CK: np.ndarray, positive_CK: np.ndarray, negative_CK: np.ndarray) -> np.ndarray:
    """AUROC of each label when every example of a code scores the code's rate.

    Args:
        rates_CK: Scores, float64, shape (codes, K).
        positive_CK: Positives by code, same shape.
        negative_CK: Negatives by code, same shape.

    Returns:
        float64, shape (K); NaN with few positives or negatives.
    """
    aurocs_K = np.full(rates_CK.shape[1], np.nan)
    for k in range(len(aurocs_K)):
        positives, negatives = int(positive_CK[:, k].sum()), int(negative_CK[:, k].sum())
        if min(positives, negatives) < _FEW_POSITIVES:
            continue
        _, group = np.unique(rates_CK[:, k], return_inverse=True)
        positive_G = np.bincount(group, weights=positive_CK[:, k])
        negative_G = np.bincount(group, weights=negative_CK[:, k])
        below_G = np.cumsum(negative_G) - negative_G
        aurocs_K[k] = np.sum(positive_G * (below_G + negative_G / 2)) / (positives * negatives)
    return aurocs_K
