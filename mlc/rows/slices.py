"""What the report tells test rows apart by.

Length of the text, columns of the scenario.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from mlc.errors import DataError, did_you_mean, sentences
from mlc.rows.preparing import PreparedRows

_LENGTHS = ((1, "no word"), (10, "1-9 words"), (30, "10-29 words"), (100, "30-99 words"))
_LONG = "100 words and more"
_MOST_VALUES = 8
_MISSING, _OTHERS = "(missing)", "(others)"


def slices_of(prepared: PreparedRows) -> dict[str, pl.Series]:
    """Return the value of each row by what tells rows apart.

    Values are Enum, in the order to show.

    Raises:
        DataError: A column of `slices` is not there.
    """
    slices: dict[str, pl.Series] = {}
    if prepared.columns.texts:
        texts = [
            prepared.frame[name].fill_null("").str.count_matches(r"\S+") for name in prepared.columns.texts
        ]
        words_N = np.sum([one.to_numpy() for one in texts], axis=0)
        names = [name for _, name in _LENGTHS] + [_LONG]
        codes_N = np.searchsorted([bound for bound, _ in _LENGTHS], words_N, side="right")
        slices["length of the text"] = pl.Series([names[code] for code in codes_N], dtype=pl.Enum(names))
    check_slices(prepared)
    for name in prepared.scenario.slices:
        slices[name] = _values(prepared.rows[name].cast(pl.String).fill_null(_MISSING))
    return slices


def check_slices(prepared: PreparedRows) -> None:
    """Refuse columns of `slices` that are not there.

    Raises:
        DataError: One is not.
    """
    known: Sequence[str] = prepared.rows.columns
    problems = [
        prepared.scenario.problem(
            f"slices.{place}", sentences(f"there is no column {name}", did_you_mean(name, known))
        )
        for place, name in enumerate(prepared.scenario.slices)
        if name not in known
    ]
    if problems:
        raise DataError(problems)


def _values(texts: pl.Series) -> pl.Series:
    """The most frequent values as they are, the rest as one."""
    counted = texts.value_counts(sort=True)
    most = counted.sort(["count", texts.name], descending=[True, False])[texts.name].to_list()
    shown = [value for value in most if value != _MISSING][:_MOST_VALUES]
    names = [*shown, _OTHERS, _MISSING]
    return pl.Series([value if value in names else _OTHERS for value in texts], dtype=pl.Enum(names))
