"""The examples as people want to see them.

Counts, prevalence over time, pairs, wide and long tables.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from mlc.drawing import label_counts
from mlc.drawing.label_counts import name_width, short_name
from mlc.drawing.prevalence import MOST_POINTS, prevalence_points
from mlc.drawing.text_tables import one_line
from mlc.errors import MlcError
from mlc.events.examples import Examples
from mlc.events.preparing import Prepared, SplitCounts
from mlc.tables import CUTOFF, ENTITY_ID, SPLIT, TARGETS, UNKNOWN, targets_of

_BARS = "▁▂▃▄▅▆▇█"
_MOST_PERIODS = 60
_FEWEST_TOGETHER = 5


# ── prevalence over time ────────────────────────────────────────────────────────────────────────


def spark(values: Sequence[float]) -> str:
    """Values as bars, from 0 to the largest; a dot where there is none.

    Examples:
        >>> spark([0.0, 0.1, 0.2, float("nan")])
        '▁▅█·'
    """
    top = max((value for value in values if value == value), default=0.0)
    return "".join(
        "·" if value != value else _BARS[int(value / top * (len(_BARS) - 1) + 0.5) if top else 0]
        for value in values
    )


def spark_lines(examples: Examples) -> Iterator[str]:
    """Write one line per label: prevalence over the cutoffs, its least and its most."""
    points = sorted(prevalence_points(examples.table), key=lambda point: point.cutoff)
    prevalence_CK = np.stack([point.prevalence for point in points])
    cutoffs = examples.table[CUTOFF].unique().sort()
    what = f"each of {len(cutoffs)} cutoffs"
    if len(cutoffs) > MOST_POINTS:
        what = f"{len(cutoffs):,} cutoffs in {len(points)} periods"
    yield f"prevalence at {what}, {cutoffs[0]:%Y-%m-%d} to {cutoffs[-1]:%Y-%m-%d}"
    names = examples.labels.names
    width = name_width(names)
    for index, name in enumerate(names):
        values = prevalence_CK[:, index].tolist()
        known = [value for value in values if value == value]
        span = f"{min(known):.2%} to {max(known):.2%}" if known else "unknown"
        yield f"{short_name(name, width):<{width}}  {spark(values)}  {span}"


# ── counts ──────────────────────────────────────────────────────────────────────────────────────


def count_lines(names: Sequence[str], splits: Sequence[SplitCounts]) -> Iterator[str]:
    """Write positives and prevalence of every label by split, one line per label."""
    sizes = {counts.split: counts.examples for counts in splits}
    return label_counts.count_lines(
        names, "examples", sizes, {counts.split: counts.positives for counts in splits}
    )


def funnel_lines(prepared: Prepared) -> Iterator[str]:
    """Write what each filter removed, then where the cutoffs of each split lie."""
    for step in prepared.examples.funnel:
        removed = f"-{step.removed:,}" if step.removed else ""
        yield f"{removed:>14} {step.kept:>14,}  {step.reason}"
    for split, (first, last) in prepared.cutoffs.spans.items():
        count = len(prepared.cutoffs.splits[split])
        what = f"{count} cutoff{'' if count == 1 else 's'}" if count else "the entities' own cutoffs"
        yield f"{split}: {what}, {first:%Y-%m-%d} to {last:%Y-%m-%d}"


# ── pairs of labels ─────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Pair:
    """Two labels of the same examples.

    Attributes:
        first: The label that comes first in the scenario.
        second: The other.
        together: Examples with both.
        lift: How many times as many as if they had nothing to do with each other.
    """

    first: str
    second: str
    together: int
    lift: float


def label_pairs(examples: Examples, most: int = 5) -> list[Pair]:
    """Pairs of labels that come together most, by lift; over the training examples.

    Only pairs with several examples count. An unknown target counts as not positive.
    """
    targets_NK = targets_of(examples.table)[(examples.table[SPLIT] == "train").to_numpy()]
    positive_NK = (targets_NK == 1).astype(np.float32)
    together_KK = positive_NK.T @ positive_NK
    counts_K = np.diag(together_KK)
    names = examples.labels.names
    pairs = [
        Pair(
            names[i],
            names[j],
            int(together_KK[i, j]),
            float(together_KK[i, j] * len(positive_NK) / (counts_K[i] * counts_K[j])),
        )
        for i, j in zip(*np.nonzero(np.triu(together_KK >= _FEWEST_TOGETHER, k=1)), strict=True)
    ]
    return sorted(pairs, key=lambda pair: (-pair.lift, pair.first, pair.second))[:most]


def pair_lines(examples: Examples) -> Iterator[str]:
    """The pairs, a line each; nothing where no two labels come together."""
    pairs = label_pairs(examples)
    if pairs:
        yield "labels that come together in training: examples with both, and how many times chance that is"
    for pair in pairs:
        yield f"{one_line(pair.first)} & {one_line(pair.second)}: {pair.together:,}, {pair.lift:.1f} times"


# ── wide and long ───────────────────────────────────────────────────────────────────────────────


def wide(examples: Examples) -> pl.DataFrame:
    """Return one column per label, 0 or 1, null where unknown.

    Raises:
        MlcError: A label is called as one of our columns.
    """
    names = examples.labels.names
    taken = [name for name in names if name in (ENTITY_ID, CUTOFF, SPLIT)]
    if taken:
        raise MlcError(
            f"--wide: no label may be called {', '.join(taken)}; use --long, or rename it in a group"
        )
    targets_NK = targets_of(examples.table)
    return examples.table.drop(TARGETS).with_columns(
        pl.Series(name, targets_NK[:, index]).replace(UNKNOWN, None) for index, name in enumerate(names)
    )


def long(examples: Examples) -> pl.DataFrame:
    """Return one row per (entity, cutoff, label).

    It has `label`, and `target` 0 or 1, null where unknown.
    """
    names = list(examples.labels.names)
    count = examples.table.height
    labels = np.tile(np.arange(len(names), dtype=np.uint32), count)
    return examples.table.drop(TARGETS)[np.repeat(np.arange(count), len(names))].with_columns(
        pl.Series("label", labels).replace_strict(
            pl.Series(range(len(names)), dtype=pl.UInt32), pl.Series(names), return_dtype=pl.Enum(names)
        ),
        pl.Series("target", targets_of(examples.table).reshape(-1)).replace(UNKNOWN, None),
    )
