"""What the test examples are told apart by in the report.

History, cold start, attributes of the scenario.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import polars as pl

from mlc.errors import DataError, did_you_mean, sentences
from mlc.events.preparing import Prepared
from mlc.events.store import EventStore
from mlc.scenario import EventScenario
from mlc.tables import ENTITY_ID, SPLIT

_HISTORY = ((1, "none"), (3, "1-2 events"), (10, "3-9 events"), (30, "10-29 events"), (100, "30-99 events"))
_LONG = "100 events and more"
_MOST_VALUES = 8
_MISSING, _OTHERS = "(missing)", "(others)"


def check_slices(scenario: EventScenario, store: EventStore) -> None:
    """Each column of `slices` must be an attribute.

    Raises:
        DataError: One is not, or is ignored.
    """
    known = [field.name for field in store.entity_fields]
    problems = [
        scenario.problem(
            f"slices.{at}",
            sentences(f"{name} is no column of an entities table that the model may see", _hint(name, known)),
        )
        for at, name in enumerate(scenario.slices)
        if name not in known
    ]
    if problems:
        raise DataError(problems)


def _hint(name: str, known: Sequence[str]) -> str:
    """The attribute that is meant; its table may have been left out."""
    owned = [one for one in known if one.rpartition(".")[2] == name]
    return f"did you mean {owned[0]}?" if owned else did_you_mean(name, known)


def slices_of(prepared: Prepared) -> dict[str, pl.Series]:
    """The value of each example, Enum in the order to show, by what tells them apart.

    Raises:
        DataError: As `check_slices`, which `mlc train` asks before it trains.
    """
    examples, store = prepared.examples, prepared.store
    check_slices(prepared.scenario, store)
    rows = examples.rows
    lengths_N = store.events.ends(rows, examples.cutoffs) - store.events.offsets[rows]
    history = [name for _, name in _HISTORY] + [_LONG]
    codes_N = np.searchsorted([bound for bound, _ in _HISTORY], lengths_N, side="right")
    trained = examples.table.filter(pl.col(SPLIT) == "train")[ENTITY_ID].unique()
    known_N = examples.table[ENTITY_ID].is_in(trained.implode()).to_numpy().astype(np.int64)
    slices = {
        "history length": _enum(codes_N, history),
        "cold start": _enum(known_N, ["entity new since training", "entity also in training"]),
    }
    return slices | {name: _attribute(store, name, rows) for name in prepared.scenario.slices}


def _attribute(store: EventStore, name: str, rows: np.ndarray) -> pl.Series:
    """The most frequent values of a category, or the quarters of a number."""
    field = next(field for field in store.entity_fields if field.name == name)
    values_N = store.field_column(field)[rows]
    if field.kind != "number":
        counts = np.bincount(values_N)
        counts[0] = 0  # code 0 is missing
        frequent = [
            code for code in np.argsort(-counts, kind="stable")[:_MOST_VALUES].tolist() if counts[code]
        ]
        names = store.values(name)
        places = np.full(len(counts), len(frequent))
        places[frequent] = np.arange(len(frequent))
        places[0] = len(frequent) + 1
        return _enum(places[values_N], [*(names[code - 1] for code in frequent), _OTHERS, _MISSING])
    known = values_N[~np.isnan(values_N)]
    edges = np.unique(np.quantile(known, [0.25, 0.5, 0.75])) if len(known) else np.array([])
    codes_N = np.where(np.isnan(values_N), len(edges) + 1, np.searchsorted(edges, values_N, side="left"))
    ends = [f"{edge:.6g}" for edge in edges.tolist()]
    between = [f"above {low}, to {high}" for low, high in pairwise(ends)]
    named = [f"to {ends[0]}", *between, f"above {ends[-1]}"] if ends else ["known"]
    return _enum(codes_N, [*named, _MISSING])


def _enum(codes_N: np.ndarray, names: Sequence[str]) -> pl.Series:
    """Codes by name; a value that is called as one of ours is counted there."""
    distinct = list(dict.fromkeys(names))
    return pl.Series(codes_N.astype(np.uint32)).replace_strict(
        pl.Series(range(len(names)), dtype=pl.UInt32), pl.Series(names), return_dtype=pl.Enum(distinct)
    )
