"""The examples as people want to see them: prevalence over time, pairs of labels, wide and long tables."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from mlc.errors import MlcError
from mlc.examples import Examples
from mlc.tables import CUTOFF, ENTITY_ID, MICROSECONDS_PER_DAY, SPLIT, TARGETS, UNKNOWN, targets_of

_BARS = "▁▂▃▄▅▆▇█"
_LONGEST_NAME = 40
_MOST_PERIODS = 60
_FEWEST_TOGETHER = 5


# ── prevalence per cutoff ───────────────────────────────────────────────────────────────────────


def periods(examples: Examples) -> pl.Series:
    """The cutoff of each example; of many cutoffs, the first day of one of 60 equally long periods."""
    cutoffs = examples.table[CUTOFF]
    if cutoffs.n_unique() <= _MOST_PERIODS:
        return cutoffs
    days_N = examples.cutoffs // MICROSECONDS_PER_DAY
    width = (days_N.max() - days_N.min()) // _MOST_PERIODS + 1
    starts_N = days_N - (days_N - days_N.min()) % width
    return pl.Series(CUTOFF, starts_N * MICROSECONDS_PER_DAY).cast(pl.Datetime("us"))


def prevalence_per_cutoff(examples: Examples) -> np.ndarray:
    """Share of positives among known targets, by rising cutoff or period; NaN where none is known.

    Returns:
        float64, shape (C cutoffs, K labels).
    """
    cutoffs_N = periods(examples).cast(pl.Int64).to_numpy()
    targets_NK = targets_of(examples.table)
    rows = []
    for cutoff in np.unique(cutoffs_N):
        chosen = targets_NK[cutoffs_N == cutoff]
        known = (chosen != UNKNOWN).sum(axis=0)
        rows.append(np.where(known > 0, (chosen == 1).sum(axis=0) / np.maximum(known, 1), np.nan))
    return np.stack(rows)


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
    """A line a label: prevalence over the cutoffs, its least and its most."""
    prevalence_CK = prevalence_per_cutoff(examples)
    cutoffs = examples.table[CUTOFF].unique().sort()
    parts = (
        f"each of {len(cutoffs)} cutoffs"
        if len(cutoffs) == len(prevalence_CK)
        else (f"{len(cutoffs):,} cutoffs in {len(prevalence_CK)} periods")
    )
    yield f"prevalence at {parts}, {cutoffs[0]:%Y-%m-%d} to {cutoffs[-1]:%Y-%m-%d}"
    names = examples.labels.names
    width = _name_width(names)
    for index, name in enumerate(names):
        values = prevalence_CK[:, index].tolist()
        known = [value for value in values if value == value]
        span = f"{min(known):.2%} to {max(known):.2%}" if known else "unknown"
        yield f"{_shown(name, width):<{width}}  {spark(values)}  {span}"


def _name_width(names: Sequence[str]) -> int:
    return min(_LONGEST_NAME, max(len(name) for name in names))


def _shown(name: str, width: int) -> str:
    return name if len(name) <= width else name[: width - 1] + "…"


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
        yield f"{pair.first} & {pair.second}: {pair.together:,}, {pair.lift:.1f} times"


# ── wide and long ───────────────────────────────────────────────────────────────────────────────


def wide(examples: Examples) -> pl.DataFrame:
    """A column a label, 0 or 1, null where unknown.

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
    """A row an (entity, cutoff, label): `label`, and `target` 0 or 1, null where unknown."""
    names = list(examples.labels.names)
    count = examples.table.height
    labels = np.tile(np.arange(len(names), dtype=np.uint32), count)
    return examples.table.drop(TARGETS)[np.repeat(np.arange(count), len(names))].with_columns(
        pl.Series("label", labels).replace_strict(
            pl.Series(range(len(names)), dtype=pl.UInt32), pl.Series(names), return_dtype=pl.Enum(names)
        ),
        pl.Series("target", targets_of(examples.table).reshape(-1)).replace(UNKNOWN, None),
    )
