"""Two models on the examples that both have scored.

Which labels the second one wins or loses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from mlc.errors import RunError
from mlc.evaluation.metrics import (
    Difference,
    label_differences,
    macro_differences,
    overall_scores,
    score_labels,
)
from mlc.evaluation.outcomes import SCORE_NAMES, outcome
from mlc.tables import (
    CUTOFF,
    ENTITY_ID,
    SCORES,
    TARGETS,
    UNKNOWN,
    entity_codes,
    key_columns,
    scores_of,
    targets_of,
)

SCHEMA = "mlc/compare/2"

Outcome = Literal["better", "worse", "equal", "no_detectable_difference", "undecided", "undefined"]


@dataclass(frozen=True)
class Side:
    """One of the two models, and its test examples.

    Attributes:
        name: How it is called.
        names: Its K labels.
        table: One row per example: key, `targets`, `scores`.
    """

    name: str
    names: list[str]
    table: pl.DataFrame


def compare_sides(a: Side, b: Side) -> dict[str, Any]:
    """Compare two models on the examples and labels of both.

    Args:
        a: One side.
        b: The other; every difference is this one minus the first.

    Returns:
        What `json.dumps(…, allow_nan=False)` takes: `schema`, `first`, `second`, `examples`, `entities`,
        `macro` (score → `outcome`, both values, difference with its 95 % interval), `labels` (`name`,
        `support`, `not_judged` and the same for each score), `left_out` (sentences). The macro scores are
        over the labels that are judged. The outcome says whether the second is better; `equal` means that
        the interval lies within a margin, `undecided` that too few entities have the label.

    Raises:
        RunError: They share no example or no label.
    """
    common, left_out = _common_examples(a, b)
    names, dropped = _common_labels(a, b, common)
    places = [[side.names.index(name) for name in names] for side in (a, b)]
    columns = zip(places, ("", "_right"), strict=True)
    a_NK, b_NK = (scores_of(common, f"{SCORES}{suffix}")[:, place] for place, suffix in columns)
    targets_NK = _targets(common, *places)
    entities_N = entity_codes(common)
    each = [score_labels(scores_NK, targets_NK, names, entities_N) for scores_NK in (a_NK, b_NK)]
    means = [
        asdict(overall_scores(scores_NK, targets_NK, labels, entities_N).judged)
        for scores_NK, labels in zip((a_NK, b_NK), each, strict=True)
    ]
    macro = macro_differences(b_NK, {"first": a_NK}, targets_NK, entities_N)["first"]
    differences = label_differences(b_NK, a_NK, targets_NK, entities_N)
    labels = [
        {
            "name": one.name,
            "support": one.support,
            "not_judged": one.not_judged,
            **_scores((asdict(one), asdict(two)), difference),
        }
        for one, two, difference in zip(*each, differences, strict=True)
    ]
    return {
        "schema": SCHEMA,
        "first": a.name,
        "second": b.name,
        "examples": common.height,
        "entities": common[ENTITY_ID].n_unique(),
        "macro": {
            **_scores(means, macro),
            **{key: means[0][key] for key in ("labels_defined", "labels")},
        },
        "labels": labels,
        "left_out": [*left_out, *dropped],
    }


def _common_examples(a: Side, b: Side) -> tuple[pl.DataFrame, list[str]]:
    """Return one row per test example of both, and how many are not shared.

    What the second says is under `_right`.
    """
    if a.table.schema[ENTITY_ID] != b.table.schema[ENTITY_ID]:
        types = " and ".join(f"{side.table.schema[ENTITY_ID]} in {side.name}" for side in (a, b))
        raise RunError(f"the entities of the runs are of two types: {types}")
    keys = key_columns(a.table)
    if keys != key_columns(b.table):
        raise RunError("the runs are of different tasks: only one has cutoffs. Compare runs of one task.")
    common = a.table.join(b.table, on=keys, validate="1:1", maintain_order="left")
    if common.is_empty():
        shared = " and ".join(key.removesuffix("_id") for key in keys)
        moments = " and ".join(f"{side.name} has {_moments(side)}" for side in (a, b))
        raise RunError(
            f"the runs share no test example: no {shared} is in both: {moments}. "
            f"Train them with the same test_from and observed_until under examples."
        )
    rest = [
        f"{side.table.height - common.height:,} of {side.table.height:,} test examples only in {side.name}"
        for side in (a, b)
        if side.table.height > common.height
    ]
    return common, rest


def _moments(side: Side) -> str:
    if side.table.is_empty() or CUTOFF not in side.table.columns:
        return f"{side.table.height:,}" if side.table.height else "none"
    first, last = (f"{moment:%Y-%m-%d}" for moment in side.table[CUTOFF].sort().gather([0, -1]))
    span = first if first == last else f"{first} to {last}"
    return f"{side.table.height:,} at {span}"


def _common_labels(a: Side, b: Side, common: pl.DataFrame) -> tuple[list[str], list[str]]:
    """Return labels of one name and meaning in both, and why others are left out.

    They are in the order of the first.
    """
    left_out = [
        f"label {name}: only in {side.name}"
        for side, other in ((a, b), (b, a))
        for name in side.names
        if name not in other.names
    ]
    names, (first_NK, second_NK) = [], (targets_of(common), common[f"{TARGETS}_right"].to_numpy())
    for index, name in enumerate(a.names):
        if name not in b.names:
            continue
        first_N, second_N = first_NK[:, index], second_NK[:, b.names.index(name)]
        different = int(((first_N != second_N) & (first_N != UNKNOWN) & (second_N != UNKNOWN)).sum())
        if different:
            reason = f"its targets differ in {different:,} of {common.height:,} examples"
            left_out.append(f"label {name}: {reason} (another window, rule or table)")
        else:
            names.append(name)
    if not names:
        raise RunError(f"the runs share no label: {'; '.join(left_out)}")
    return names, left_out


def _targets(common: pl.DataFrame, first: Sequence[int], second: Sequence[int]) -> np.ndarray:
    """The targets of the shared labels; unknown where either run does not know."""
    one_NK, two_NK = targets_of(common)[:, first], common[f"{TARGETS}_right"].to_numpy()[:, second]
    known: np.ndarray = np.where(two_NK == UNKNOWN, UNKNOWN, one_NK)
    return known


def _scores(both: Sequence[Mapping[str, Any]], differences: Mapping[str, Difference]) -> dict[str, Any]:
    """Score → outcome, both values, and the difference with its interval."""
    entries: dict[str, Any] = {}
    for score in SCORE_NAMES:
        # As in the difference, a label is in all three scores or in none.
        one, two = ((each[score] if differences[score].value is not None else None) for each in both)
        word = _outcome(score, differences[score])
        entries[score] = {"outcome": word, "first": one, "second": two, **asdict(differences[score])}
    return entries


def _outcome(score: str, difference: Difference) -> Outcome:
    """Whether the second run is better."""
    return "undefined" if difference.value is None else outcome(score, difference.low, difference.high)
