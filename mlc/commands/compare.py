"""`mlc compare`: two runs on the test examples that they share, label by label; nothing is trained."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import polars as pl

from mlc.drawing.text_tables import Row, aligned, escaped, markdown_table
from mlc.errors import RunError
from mlc.evaluation.metrics import (
    Difference,
    label_differences,
    macro_differences,
    overall_scores,
    score_labels,
)
from mlc.run import Run
from mlc.tables import CUTOFF, ENTITY_ID, SCORES, SPLIT, TARGETS, UNKNOWN, scores_of, targets_of

SCHEMA = "mlc/compare/1"

_KEYS = [ENTITY_ID, CUTOFF]
_SCORES = {"ap": "AP", "auroc": "AUROC", "log_loss": "log-loss"}
_REPLICATES = 400
_FEW_POSITIVES = (
    5  # with fewer, the intervals of AUROC call equal models different (scripts/bench_compare.py)
)

Outcome = Literal["better", "worse", "equal", "undecided", "undefined"]


@dataclass(frozen=True)
class _Side:
    """What one run says of its test examples.

    Attributes:
        name: How the run was called.
        names: Its K labels.
        table: A row an example: `entity_id`, `cutoff`, `targets`, `scores`.
    """

    name: str
    names: list[str]
    table: pl.DataFrame


def compare(first: Run, second: Run) -> dict[str, Any]:
    """The second run minus the first, on the test examples and labels of both.

    Args:
        first: A finished run.
        second: Another.

    Returns:
        What `json.dumps(…, allow_nan=False)` takes: `schema`, `first`, `second`, `examples`, `entities`,
        `macro` (score → `outcome`, both values, difference with its 95 % interval), `labels` (`name`,
        `support`, and the same for each score), `left_out` (sentences). The outcome says whether the second
        is better; `equal` means not told apart.

    Raises:
        RunError: The runs share no test example or no label.
    """
    same = first.folder.name == second.folder.name
    a, b = (_side(run, str(run.folder) if same else run.folder.name) for run in (first, second))
    common, left_out = _common_examples(a, b)
    names, dropped = _common_labels(a, b, common)
    places = [[side.names.index(name) for name in names] for side in (a, b)]
    columns = zip(places, ("", "_right"), strict=True)
    a_NK, b_NK = (scores_of(common, f"{SCORES}{suffix}")[:, place] for place, suffix in columns)
    targets_NK = _targets(common, *places)
    entities_N = common[ENTITY_ID].rank("dense").to_numpy()
    each = [score_labels(scores_NK, targets_NK, names) for scores_NK in (a_NK, b_NK)]
    means = [
        asdict(overall_scores(scores_NK, targets_NK, labels).macro)
        for scores_NK, labels in zip((a_NK, b_NK), each, strict=True)
    ]
    macro = macro_differences(b_NK, {"first": a_NK}, targets_NK, entities_N, replicates=_REPLICATES)["first"]
    differences = label_differences(b_NK, a_NK, targets_NK, entities_N, replicates=_REPLICATES)
    labels = [
        {
            "name": one.name,
            "support": one.support,
            **_scores((asdict(one), asdict(two)), _judged(found, one.support)),
        }
        for one, two, found in zip(*each, differences, strict=True)
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


def _side(run: Run, name: str) -> _Side:
    with run.reading("predictions.parquet") as path:
        names = json.loads(pl.read_parquet_metadata(path)["class_names"])
        predictions = pl.read_parquet(path, columns=[*_KEYS, SPLIT, SCORES])
    with run.reading("examples.parquet") as path:
        examples = pl.read_parquet(path, columns=[*_KEYS, SPLIT, TARGETS])
        test = [table.filter(pl.col(SPLIT) == "test").drop(SPLIT) for table in (examples, predictions)]
        table = test[0].join(test[1], on=_KEYS, validate="1:1", maintain_order="left")
    return _Side(name, names, table)


def _common_examples(a: _Side, b: _Side) -> tuple[pl.DataFrame, list[str]]:
    """A row a test example of both, what the second says under `_right`; and how many are not shared."""
    if a.table.schema[ENTITY_ID] != b.table.schema[ENTITY_ID]:
        types = " and ".join(f"{side.table.schema[ENTITY_ID]} in {side.name}" for side in (a, b))
        raise RunError(f"both runs must have entities of one type, however: they are {types}")
    common = a.table.join(b.table, on=_KEYS, validate="1:1", maintain_order="left")
    if common.is_empty():
        moments = " and ".join(f"{side.name} has {_moments(side)}" for side in (a, b))
        raise RunError(
            f"both runs must share test examples, however: no entity and cutoff is in both: {moments}; "
            f"train them with the same test_from and observed_until under examples"
        )
    rest = [
        f"{side.table.height - common.height:,} of {side.table.height:,} test examples only in {side.name}"
        for side in (a, b)
        if side.table.height > common.height
    ]
    return common, rest


def _moments(side: _Side) -> str:
    if side.table.is_empty():
        return "none"
    first, last = (f"{moment:%Y-%m-%d}" for moment in side.table[CUTOFF].sort().gather([0, -1]))
    span = first if first == last else f"{first} to {last}"
    return f"{side.table.height:,} at {span}"


def _common_labels(a: _Side, b: _Side, common: pl.DataFrame) -> tuple[list[str], list[str]]:
    """Labels of one name and one meaning in both, in the order of the first; and why others are left out."""
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
        raise RunError(f"both runs must share a label, however: they do not: {'; '.join(left_out)}")
    return names, left_out


def _targets(common: pl.DataFrame, first: Sequence[int], second: Sequence[int]) -> np.ndarray:
    """The targets of the shared labels; unknown where either run does not know."""
    one_NK, two_NK = targets_of(common)[:, first], common[f"{TARGETS}_right"].to_numpy()[:, second]
    known: np.ndarray = np.where(two_NK == UNKNOWN, UNKNOWN, one_NK)
    return known


def _scores(both: Sequence[Mapping[str, Any]], found: Mapping[str, Difference]) -> dict[str, Any]:
    """Score → outcome, both values, and the difference with its interval."""
    entries = {}
    for score in _SCORES:
        # As in the difference, a label is in all three scores or in none.
        one, two = ((each[score] if found[score].value is not None else None) for each in both)
        outcome = _outcome(found[score], -1 if score == "log_loss" else 1)
        entries[score] = {"outcome": outcome, "first": one, "second": two, **asdict(found[score])}
    return entries


def _judged(found: Mapping[str, Difference], support: int) -> Mapping[str, Difference]:
    """The differences of a label, without intervals where it has hardly a positive."""
    if support >= _FEW_POSITIVES:
        return found
    return {score: replace(one, low=None, high=None) for score, one in found.items()}


def _outcome(found: Difference, sign: int) -> Outcome:
    """Whether the second is better, by the interval; `sign` is -1 where low is good."""
    if found.value is None:
        return "undefined"
    if found.low is None or found.high is None:
        return "undecided"
    if found.low <= 0 <= found.high:
        return "equal"
    return "better" if sign * found.low > 0 else "worse"


def verdict(compared: Mapping[str, Any]) -> str:
    """Who is better in what, in a sentence or two."""
    words = {
        "better": "better than",
        "worse": "WORSE than",
        "equal": "equal to",
        "undecided": "not decided against",
        "undefined": "undefined against",
    }
    clauses = []
    for score, shown in _SCORES.items():
        entry = compared["macro"][score]
        clause = f"{words[entry['outcome']]} {compared['first']} in macro {shown}"
        if entry["value"] is not None:
            clause += f": {entry['second']:.4f} against {entry['first']:.4f}, {_difference(entry)}"
        clauses.append(clause)
    counted = _counted(compared)
    by_label = ", ".join(f"{len(names)} {outcome}" for outcome, names in counted.items() if names)
    return (
        f"{compared['second']} is {'; '.join(clauses)}. Labels by AP: {by_label}. "
        f"On {compared['examples']:,} shared test examples of {compared['entities']:,} entities."
    )


def _counted(compared: Mapping[str, Any]) -> dict[Outcome, list[str]]:
    """Outcome in AP → labels."""
    outcomes: tuple[Outcome, ...] = ("better", "worse", "equal", "undecided", "undefined")
    return {
        outcome: [label["name"] for label in compared["labels"] if label["ap"]["outcome"] == outcome]
        for outcome in outcomes
    }


def lines(compared: Mapping[str, Any], width: int = 110) -> list[str]:
    """The comparison for a terminal."""
    found = textwrap.wrap(verdict(compared), width)
    found += ["", f"{compared['second']} minus {compared['first']}, with 95 % intervals"]
    found += aligned(_rows(compared), width)
    for sentence in [*_notes(compared), *compared["left_out"]]:
        found += textwrap.wrap(sentence, width, initial_indent="  ", subsequent_indent="    ")
    return found


def markdown(compared: Mapping[str, Any]) -> str:
    """The comparison for a pull request."""
    header, *rows = _rows(compared)
    notes = [f"- {escaped(sentence)}" for sentence in [*_notes(compared), *compared["left_out"]]]
    return "\n".join([escaped(verdict(compared)), "", *markdown_table(header, rows), "", *notes])


def _rows(compared: Mapping[str, Any]) -> list[Row]:
    """Winners first, then losers, then the rest; each by the size of its difference in AP."""
    rows: list[Row] = [("label", "support", "by AP", *_SCORES.values())]
    order = list(_counted(compared))
    for label in sorted(
        compared["labels"],
        key=lambda label: (order.index(label["ap"]["outcome"]), -abs(label["ap"]["value"] or 0.0)),
    ):
        ranked, loss = (_difference(label[score], 3) for score in ("ap", "auroc")), label["log_loss"]["value"]
        counted = label["name"], f"{label['support']:,}", label["ap"]["outcome"]
        rows.append((*counted, *ranked, "-" if loss is None else f"{loss:+.4f}"))
    return rows


def _difference(entry: Mapping[str, Any], digits: int = 4) -> str:
    """The value with its interval, where there is one."""
    if entry["value"] is None:
        return "-"
    keys = ("value",) if entry["low"] is None else ("value", "low", "high")
    value, *ends = (f"{entry[key]:+.{digits}f}" for key in keys)
    return f"{value} [{', '.join(ends)}]" if ends else value


def _notes(compared: Mapping[str, Any]) -> list[str]:
    judged = sum(label["ap"]["low"] is not None for label in compared["labels"])
    chance = f"{0.05 * judged:.1f} of {judged} labels would be called better or worse by chance alone"
    few = f"undecided: fewer than {_FEW_POSITIVES} positives, or a single entity"
    undecided = [few] if _counted(compared)["undecided"] else []
    equal = f"equal means not told apart: the interval covers 0; {chance}"
    return [equal, *undecided, "a low log-loss is good"]
