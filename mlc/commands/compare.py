"""`mlc compare`: two runs on the test examples that they share, label by label; nothing is trained."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
import polars as pl

from mlc.drawing.text_tables import Row, aligned, escaped, markdown_table
from mlc.errors import RunError
from mlc.evaluation.metrics import (
    ENOUGH,
    MARGINS,
    VERDICT_RULE,
    Difference,
    label_differences,
    macro_differences,
    outcome,
    overall_scores,
    score_labels,
)
from mlc.evaluation.metrics.wording import left_out_rows
from mlc.run import RunFolder
from mlc.tables import CUTOFF, ENTITY_ID, SCORES, SPLIT, TARGETS, UNKNOWN, scores_of, targets_of

SCHEMA = "mlc/compare/2"

_KEYS = [ENTITY_ID, CUTOFF]
_SCORES = {"ap": "AP", "auroc": "AUROC", "log_loss": "log-loss"}

Outcome = Literal["better", "worse", "equal", "no_detectable_difference", "undecided", "undefined"]


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


def compare(first: RunFolder, second: RunFolder) -> dict[str, Any]:
    """The second run minus the first, on the test examples and labels of both.

    Args:
        first: A finished run.
        second: Another.

    Returns:
        What `json.dumps(…, allow_nan=False)` takes: `schema`, `first`, `second`, `examples`, `entities`,
        `macro` (score → `outcome`, both values, difference with its 95 % interval), `labels` (`name`,
        `support`, `not_judged` and the same for each score), `left_out` (sentences). The macro scores are
        over the labels that are judged. The outcome says whether the second is better; `equal` means that
        the interval lies within a margin, `undecided` that too few entities have the label.

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


def _side(run: RunFolder, name: str) -> _Side:
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
        said = _outcome(score, found[score])
        entries[score] = {"outcome": said, "first": one, "second": two, **asdict(found[score])}
    return entries


def _outcome(score: str, difference: Difference) -> Outcome:
    """Whether the second run is better."""
    return "undefined" if difference.value is None else outcome(score, difference.low, difference.high)


def verdict(compared: Mapping[str, Any]) -> str:
    """Who is better in what, in a sentence or two."""
    words = {
        "better": "is better than",
        "worse": "is WORSE than",
        "equal": "is equal to",
        "no_detectable_difference": "has no detectable difference from",
    }
    macro = compared["macro"]
    judged = f"{macro['labels_defined']} of {macro['labels']} labels judged"
    shared = (
        f"On {compared['examples']:,} shared test examples of {compared['entities']:,} entities; {judged}."
    )
    if not macro["labels_defined"]:
        return (
            f"No verdict on {compared['second']} against {compared['first']}: for none of the labels do at "
            f"least {ENOUGH} entities have a positive and {ENOUGH} a negative test example. {shared}"
        )
    clauses = []
    for score, shown in _SCORES.items():
        entry = macro[score]
        margin = f" within ±{MARGINS[score]:g}" if entry["outcome"] == "equal" else ""
        clauses.append(
            f"{words[entry['outcome']]} {compared['first']} in macro {shown}{margin}: "
            f"{entry['second']:.4f} against {entry['first']:.4f}, {_difference(entry)}"
        )
    counts = {outcome.replace("_", " "): len(names) for outcome, names in _counted(compared).items()}
    by_label = ", ".join(f"{count} {said}" for said, count in counts.items() if count)
    return f"{compared['second']} {'; '.join(clauses)}. Labels by AP: {by_label}. {shared}"


def _counted(compared: Mapping[str, Any]) -> dict[Outcome, list[str]]:
    """Outcome in AP → labels."""
    return {
        said: [label["name"] for label in compared["labels"] if label["ap"]["outcome"] == said]
        for said in get_args(Outcome)
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
        counted = label["name"], f"{label['support']:,}", label["ap"]["outcome"].replace("_", " ")
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
    judged = compared["macro"]["labels_defined"]
    margins = ", ".join(f"±{MARGINS[score]:g} in {shown}" for score, shown in _SCORES.items())
    left_out = left_out_rows(compared["labels"])
    return [
        f"{0.05 * judged:.1f} of {judged} labels would be called better or worse by chance alone",
        f"equal: the interval lies within {margins}; no detectable difference: it contains 0",
        "a low log-loss is good",
        *([VERDICT_RULE, *left_out] if left_out else []),
    ]
