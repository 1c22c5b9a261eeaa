"""A threshold, what to expect of it, and how it is applied, replaced and stored."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlc.errors import DataError, MlcError, Problem, RunError, did_you_mean, sentences

Matrix = npt.NDArray[Any]

SCHEMA = "mlc/thresholds/3"
NEVER = "never"
"""Stands where a threshold does: the label gets no decisions, whatever the score."""


@dataclass(frozen=True)
class Expected:
    """A figure that a threshold is expected to give on as many new examples.

    Attributes:
        value: On the validation examples, each decided by a threshold chosen without its entity.
        low: Lower end of the range that holds the new figure in 95 of 100 cases, inclusive.
        high: Upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """What a threshold is expected to give; None where undefined.

    `yes` is the share of decisions for yes.
    """

    precision: Expected | None
    recall: Expected | None
    f1: Expected | None
    yes: Expected | None


@dataclass(frozen=True)
class Threshold:
    """The threshold of one label.

    Attributes:
        name: The label.
        value: In [0, 1]; the decision is yes where `score >= value`. None: no decisions at any score.
        policy: Where the value comes from: a kind of `thresholds`, or `given` on the command line.
        note: What to know before relying on it, or None.
        top_k: Yes also needs one of the this many highest scores of the example; None for no such rule.
        estimate: What to expect of it; None where there was nothing to estimate from.
        reachable: False where the goal of the policy is not reached on the validation examples.
    """

    name: str
    value: float | None
    policy: str
    note: str | None = None
    top_k: int | None = None
    estimate: Estimate | None = None
    reachable: bool = True

    @property
    def text(self) -> str:
        """The threshold as people read it: `0.3412`, `top 2` or `never`."""
        return f"top {self.top_k}" if self.top_k else threshold_text(self.value)

    @property
    def misses(self) -> bool:
        """Whether the label has no decisions, or decisions that miss their goal."""
        return self.value is None or not self.reachable


def threshold_text(value: float | None) -> str:
    """A threshold as people read it.

    Examples:
        >>> threshold_text(0.25), threshold_text(None)
        ('0.25', 'never')
    """
    return NEVER if value is None else f"{value:.4g}"


def threshold_value(value: float | None) -> float:
    """The number that scores are compared with.

    Infinite for no decisions, so that a score of 1 is no yes.
    """
    return float("inf") if value is None else value


def replace_thresholds(text: str, stored: Sequence[Threshold]) -> list[Threshold]:
    """The thresholds that `--threshold` asks for.

    Args:
        text: `stored`; or one number for all labels, `0.4`; or `Dress=.3,Skirt=never`, where labels that are
            not named keep what is stored. Label names may hold commas, `=` and quotes.
        stored: The run's thresholds, one per label.

    Returns:
        One entry per label, in the order of `stored`.

    Raises:
        MlcError: Labels do not exist or are named twice, values are no numbers in [0, 1]; all at once.

    Examples:
        >>> stored = [Threshold("Food, Fresh", 0.2, "max_f1"), Threshold("Men's Wear", 0.5, "max_f1")]
        >>> [threshold.value for threshold in replace_thresholds("Food, Fresh=.3", stored)]
        [0.3, 0.5]
    """
    text = text.strip()
    if text == "stored":
        return list(stored)
    names = [threshold.name for threshold in stored]
    if "=" in text:
        values = _assignments(text, names)
    else:
        try:
            values = dict.fromkeys(names, _read_cut(text))
        except ValueError:
            forms = "stored, never, a number in [0, 1], or label=number,label=number"
            rule = f"{text!r} is no threshold. Write {forms}."
            raise MlcError(Problem(rule, "--threshold")) from None
    return [
        Threshold(threshold.name, values[threshold.name], "given") if threshold.name in values else threshold
        for threshold in stored
    ]


def decide(scores_NK: Matrix, thresholds: Sequence[Threshold]) -> npt.NDArray[np.uint8]:
    """Return 1 where `score >= threshold`, else 0.

    A label with `top_k` must also be among the highest of its row.

    Args:
        scores_NK: Probabilities in [0, 1], shape (N examples, K labels).
        thresholds: One per label, in column order.

    Returns:
        The decisions, same shape. A score equal to its threshold is a yes.

    Raises:
        DataError: The number of thresholds is not K.

    Examples:
        >>> decide(np.array([[0.7], [0.69]], np.float32), [Threshold("Dress", 0.7, "fixed")]).tolist()
        [[1], [0]]
    """
    if scores_NK.ndim != 2 or scores_NK.shape[1] != len(thresholds):
        raise DataError(f"scores of shape {scores_NK.shape} for {len(thresholds)} labels")
    thresholds_K = np.array([threshold_value(threshold.value) for threshold in thresholds], np.float32)
    scores_NK = scores_NK.astype(np.float32, copy=False)
    yes_NK = scores_NK >= thresholds_K
    tops = [threshold.top_k for threshold in thresholds]
    if any(tops):
        yes_NK &= places(scores_NK) < np.array([top or len(tops) for top in tops])
    return yes_NK.astype(np.uint8)


def pick_pairs(
    scores_NK: Matrix, values_K: Matrix, *, per_entity: int | None, total: int | None
) -> npt.NDArray[np.bool_]:
    """The (entity, label) pairs of highest expected value that fit a budget.

    Args:
        scores_NK: Probabilities in [0, 1], one row per entity, shape (N entities, K labels).
        values_K: What a hit is worth, at least 0.
        per_entity: At most this many labels per entity; None for no such limit.
        total: At most this many pairs; None for no such limit.

    Returns:
        Which pairs, same shape. Of equal ones the first by row, then by column; none that is worth nothing.

    Examples:
        >>> scores = np.array([[0.9, 0.8], [0.7, 0.1]])
        >>> pick_pairs(scores, np.array([1.0, 1.0]), per_entity=1, total=2).tolist()
        [[True, False], [True, False]]

    Source: picking greedily is optimal on a matroid, and these two limits are one: Edmonds (1971), Matroids
    and the greedy algorithm.
    """
    worth_NK = scores_NK.astype(np.float64) * values_K
    picked_NK = worth_NK > 0.0
    if per_entity is not None:
        picked_NK &= places(worth_NK) < per_entity
    candidates = np.flatnonzero(picked_NK)
    if total is not None and len(candidates) > total:
        order = np.argsort(-worth_NK.reshape(-1)[candidates], kind="stable")
        picked_NK = np.zeros(worth_NK.shape, bool)
        picked_NK.reshape(-1)[candidates[order[:total]]] = True
    return picked_NK


def thresholds_to_json(thresholds: Sequence[Threshold]) -> dict[str, Any]:
    """What `thresholds.json` holds.

    Examples:
        >>> [entry] = thresholds_to_json([Threshold("Dress", 0.7, "fixed")])["thresholds"]
        >>> entry["value"], entry["policy"], entry["reachable"]
        (0.7, 'fixed', True)
    """
    return {"schema": SCHEMA, "thresholds": [asdict(threshold) for threshold in thresholds]}


def thresholds_from_json(stored: dict[str, Any]) -> list[Threshold]:
    """The thresholds of a `thresholds.json`.

    Raises:
        RunError: It was written by another version, or changed by hand.

    Examples:
        >>> thresholds_from_json(thresholds_to_json([Threshold("Dress", 0.7, "fixed")]))[0].value
        0.7
    """
    try:
        if stored["schema"] != SCHEMA:
            mismatch = f"has the schema {stored['schema']!r}, this version of mlc reads {SCHEMA}"
            raise RunError(f"thresholds.json {mismatch}. Train the run again.")
        thresholds = [
            Threshold(**{**entry, "estimate": _estimate_from_json(entry["estimate"])})
            for entry in stored["thresholds"]
        ]
        if all(threshold.value is None or 0.0 <= threshold.value <= 1.0 for threshold in thresholds):
            return thresholds
    except (KeyError, TypeError) as error:
        raise RunError(f"thresholds.json was changed by hand: {error!r}. Train the run again.") from error
    raise RunError("thresholds.json has values outside [0, 1]. Train the run again.")


def _estimate_from_json(stored: dict[str, Any] | None) -> Estimate | None:
    if stored is None:
        return None
    return Estimate(**{name: None if one is None else Expected(**one) for name, one in stored.items()})


def places(scores_NK: Matrix) -> Matrix:
    """How many labels of the example score higher, or as high and stand before it."""
    order_NK = np.argsort(-scores_NK, axis=1, kind="stable")
    places_NK = np.empty_like(order_NK)
    np.put_along_axis(places_NK, order_NK, np.arange(scores_NK.shape[1])[None, :], axis=1)
    return places_NK


def _read_cut(text: str) -> float | None:
    """A number in [0, 1], or None for `never`; anything else is a ValueError."""
    if text.strip() == NEVER:
        return None
    value = float(text)
    if 0.0 <= value <= 1.0:
        return value
    raise ValueError(text)


def _assignments(text: str, names: Sequence[str]) -> dict[str, float | None]:
    """Parse `label=number,label=number`; a number may also be `never`.

    Where the text goes on with a known label and `=`, that label is meant, the longest one first. What stands
    between two known labels is an unknown one: it ends at the first `=` that a number follows.
    """
    longest_first = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    known = re.compile(rf"\s*({longest_first})\s*=([^,]*)")
    before_known = re.compile(rf"(?=,\s*(?:{longest_first})\s*=)|$")
    unknown = re.compile(rf"\s*(.*?)\s*=(\s*(?:[-+]?[.\d]|{NEVER})[^,=]*)(?=,|$)", re.DOTALL)
    problems: list[str] = []
    values: dict[str, float | None] = {}
    while text:
        end = next(before_known.finditer(text)).start()
        match = known.match(text) or unknown.match(text, 0, end)
        if match is None:
            problems.append(f"must be label=number, not {text[:end]!r}")
            text = text[end:].removeprefix(",")
            continue
        text = text[match.end() :].removeprefix(",")
        name, number = match[1], match[2].strip()
        value = None
        try:
            value = _read_cut(number)
        except ValueError:
            problems.append(f"{name!r} needs a number in [0, 1], not {number!r}")
        if name not in names:
            problems.append(sentences(f"{name!r} is no label", did_you_mean(name, names)))
        elif name in values:
            problems.append(f"{name!r} is there twice")
        values.setdefault(name, value)
    if problems:
        raise MlcError(Problem(problem, "--threshold") for problem in problems)
    return values
