"""Where a score becomes a decision: cuts chosen on the validation examples, replaced by hand, applied.

Scores and thresholds meet as float32, the type that scores are stored in: a score written as 0.7 is a yes at
the threshold 0.7, although the two differ as float64.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, assert_never

import numpy as np
import numpy.typing as npt

from mlc.errors import DataError, MlcError, Problem, RunError, ScenarioError, did_you_mean
from mlc.scenario import Fixed, MaxF1, Policy, Thresholds
from mlc.tables import UNKNOWN

Matrix = npt.NDArray[Any]

SCHEMA = "mlc/thresholds/1"

_WITHOUT_EVIDENCE = 0.5
_FEW_POSITIVES = 20  # with fewer, the F1 that a cut promises on validation is rarely kept


@dataclass(frozen=True)
class Threshold:
    """The cut of one label.

    Attributes:
        name: The label.
        value: In [0, 1]; the decision is yes where `score >= value`.
        policy: Where the value comes from: a kind of `thresholds`, or `given` on the command line.
        note: What to know before relying on it, or None.
    """

    name: str
    value: float
    policy: str
    note: str | None = None


def choose_thresholds(
    thresholds: Thresholds, class_names: Sequence[str], scores_NK: Matrix, targets_NK: Matrix
) -> list[Threshold]:
    """The cut of each label by its policy, from the validation examples alone.

    Args:
        thresholds: The scenario's section.
        class_names: The K names, in column order.
        scores_NK: Probabilities in [0, 1] of the validation examples, shape (N examples, K labels).
        targets_NK: 0, 1 or 255 (unknown, left out), uint8, same shape.

    Returns:
        One entry a label, in order.

    Raises:
        DataError: Shapes differ, or a score is NaN or outside [0, 1].
        ScenarioError: `per_label` names labels that are not in `class_names`.

    Examples:
        >>> scores, targets = np.array([[0.75], [0.5], [0.1]]), np.array([[1], [0], [0]], np.uint8)
        >>> choose_thresholds(Thresholds(), ["Dress"], scores, targets)
        [Threshold(name='Dress', value=0.625, policy='max_f1', note='only 1 positive validation example')]
    """
    if scores_NK.shape != targets_NK.shape or scores_NK.shape[1:] != (len(class_names),):
        raise DataError(
            f"scores and targets must have the shape (examples, {len(class_names)}), however: "
            f"{scores_NK.shape} and {targets_NK.shape}"
        )
    if not bool(np.all((scores_NK >= 0.0) & (scores_NK <= 1.0))):
        raise DataError("scores must be probabilities in [0, 1], however: some are outside or NaN")
    unknown = [
        Problem(
            f"must be a label, however: it is not; {did_you_mean(name, class_names)}", f"thresholds.{name}"
        )
        for name in thresholds.per_label
        if name not in class_names
    ]
    if unknown:
        raise ScenarioError(unknown)
    return [
        _choose(name, thresholds.per_label.get(name, thresholds.default), scores_NK[:, k], targets_NK[:, k])
        for k, name in enumerate(class_names)
    ]


def replace_thresholds(text: str, stored: Sequence[Threshold]) -> list[Threshold]:
    """The thresholds that `--threshold` asks for.

    Args:
        text: `stored`; or one number for all labels, `0.4`; or `Dress=.3,Skirt=.5`, where labels that are not
            named keep what is stored. Label names may hold commas, `=` and quotes.
        stored: The run's thresholds, one a label.

    Returns:
        One entry a label, in the order of `stored`.

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
        value = _probability(text)
        if value is None:
            rule = "must be stored, a number in [0, 1], or label=number,label=number"
            raise MlcError(Problem(f"{rule}, however: {text!r}", "--threshold"))
        values = dict.fromkeys(names, value)
    return [
        replace(threshold, value=values[threshold.name], policy="given", note=None)
        if threshold.name in values
        else threshold
        for threshold in stored
    ]


def decide(scores_NK: Matrix, thresholds: Sequence[Threshold]) -> npt.NDArray[np.uint8]:
    """1 where `score >= threshold`, else 0.

    Args:
        scores_NK: Probabilities in [0, 1], shape (N examples, K labels).
        thresholds: One a label, in column order.

    Returns:
        The decisions, same shape. A score equal to its threshold is a yes.

    Raises:
        DataError: The number of thresholds is not K.

    Examples:
        >>> decide(np.array([[0.7], [0.69]], np.float32), [Threshold("Dress", 0.7, "fixed")]).tolist()
        [[1], [0]]
    """
    if scores_NK.ndim != 2 or scores_NK.shape[1] != len(thresholds):
        raise DataError(f"scores must have {len(thresholds)} labels, however: shape {scores_NK.shape}")
    cuts_K = np.array([threshold.value for threshold in thresholds], np.float32)
    return (scores_NK.astype(np.float32, copy=False) >= cuts_K).astype(np.uint8)


def thresholds_to_json(thresholds: Sequence[Threshold]) -> dict[str, Any]:
    """What `thresholds.json` holds.

    Examples:
        >>> thresholds_to_json([Threshold("Dress", 0.7, "fixed")])["thresholds"]
        [{'name': 'Dress', 'value': 0.7, 'policy': 'fixed', 'note': None}]
    """
    return {"schema": SCHEMA, "thresholds": [asdict(threshold) for threshold in thresholds]}


def thresholds_from_json(stored: dict[str, Any]) -> list[Threshold]:
    """The thresholds of a `thresholds.json`.

    Raises:
        RunError: It was written by another version, or changed by hand.

    Examples:
        >>> thresholds_from_json(thresholds_to_json([Threshold("Dress", 0.7, "fixed")]))
        [Threshold(name='Dress', value=0.7, policy='fixed', note=None)]
    """
    try:
        if stored["schema"] != SCHEMA:
            raise RunError(f"thresholds.json must have the schema {SCHEMA}, however: {stored['schema']!r}")
        thresholds = [Threshold(**entry) for entry in stored["thresholds"]]
        if all(0.0 <= threshold.value <= 1.0 for threshold in thresholds):
            return thresholds
    except (KeyError, TypeError) as error:
        raise RunError(f"thresholds.json must be as written by mlc, however: {error!r}") from error
    raise RunError("thresholds.json must have values in [0, 1], however: some are outside")


def _choose(name: str, policy: Policy, scores_N: Matrix, targets_N: Matrix) -> Threshold:
    match policy:
        case Fixed(value=value):
            return Threshold(name, value, policy.kind)
        case MaxF1():
            return _max_f1(name, policy.kind, scores_N, targets_N)
        case _:
            assert_never(policy)


def _max_f1(name: str, kind: str, scores_N: Matrix, targets_N: Matrix) -> Threshold:
    """Midway between the last score that is a yes and the next lower one; of equal cuts the highest.

    Source: Lipton, Elkan and Naryanaswamy (2014), Optimal thresholding of classifiers to maximize F1 measure.
    """
    known_N = targets_N != UNKNOWN
    positives = int(np.sum(targets_N == 1))
    if not positives:
        found = "no positive validation example" if np.any(known_N) else "no validation example"
        return Threshold(name, _WITHOUT_EVIDENCE, kind, f"{found}: {_WITHOUT_EVIDENCE} used")
    scores_M = scores_N[known_N].astype(np.float32)
    order_M = np.argsort(-scores_M)
    scores_M = scores_M[order_M]
    hits_M = np.cumsum(targets_N[known_N][order_M])
    # A cut falls only after the last of tied scores. Equal fractions are equal floats; argmax takes the first
    lasts = np.append(np.flatnonzero(scores_M[1:] != scores_M[:-1]), len(scores_M) - 1)
    last = lasts[np.argmax(2 * hits_M[lasts] / (lasts + 1 + positives))]
    lower = scores_M[last + 1] if last + 1 < len(scores_M) else np.float32(0)
    cut = np.float32((float(scores_M[last]) + float(lower)) / 2)
    if cut <= lower:  # neighbouring floats have nothing between them
        cut = scores_M[last]
    plural = "" if positives == 1 else "s"
    note = f"only {positives} positive validation example{plural}" if positives < _FEW_POSITIVES else None
    # The shortest decimal that is this float32: 0.3, where float(cut) would be 0.30000001192092896.
    return Threshold(name, float(str(cut)), kind, note)


def _probability(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0.0 <= value <= 1.0 else None


def _assignments(text: str, names: Sequence[str]) -> dict[str, float]:
    """Parse `label=number,label=number`.

    Where the text goes on with a known label and `=`, that label is meant, the longest one first. What stands
    between two known labels is an unknown one: it ends at the first `=` that a number follows.
    """
    longest_first = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    known = re.compile(rf"\s*({longest_first})\s*=([^,]*)")
    before_known = re.compile(rf"(?=,\s*(?:{longest_first})\s*=)|$")
    unknown = re.compile(r"\s*(.*?)\s*=(\s*[-+]?[.\d][^,=]*)(?=,|$)", re.DOTALL)
    problems: list[str] = []
    values: dict[str, float] = {}
    while text:
        end = next(before_known.finditer(text)).start()
        match = known.match(text) or unknown.match(text, 0, end)
        if match is None:
            problems.append(f"must be label=number, however: {text[:end]!r}")
            text = text[end:].removeprefix(",")
            continue
        text = text[match.end() :].removeprefix(",")
        name, number = match[1], match[2].strip()
        value = _probability(number)
        if name not in names:
            problems.append(f"{name!r} must be a label, however: it is not; {did_you_mean(name, names)}")
        elif name in values:
            problems.append(f"{name!r} must be given once, however: twice")
        if value is None:
            problems.append(f"{name!r} must have a number in [0, 1], however: {number!r}")
        values.setdefault(name, 0.0 if value is None else value)
    if problems:
        raise MlcError(Problem(problem, "--threshold") for problem in problems)
    return values
