"""Which rows are for training, validation and test."""

import fnmatch
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import polars as pl

from mlc.errors import DataError, did_you_mean, sentences
from mlc.rows.row_labels import RowLabels
from mlc.scenario import RowScenario, SplitFiles
from mlc.sources import files_of, moment_expr
from mlc.sources.rows import ROW, ROW_FILE, ROW_ID

TRAIN, VALIDATION, TEST, NONE = 0, 1, 2, -1
"""Codes of the splits, in the order of `mlc.tables.SPLITS`; NONE is a row that is in none."""
_WORDS = {
    **dict.fromkeys(("train", "training", "fit"), TRAIN),
    **dict.fromkeys(("validation", "valid", "val", "dev", "development"), VALIDATION),
    **dict.fromkeys(("test", "testing", "eval", "holdout"), TEST),
}
_MOST_NAMED = 3


def split_codes(scenario: RowScenario, frame: pl.DataFrame, labels: RowLabels) -> np.ndarray:
    """Return the split of each row, int8, shape (N).

    It is one of `TRAIN`, `VALIDATION`, `TEST` and `NONE`.

    Where a column or files say nothing of validation, it is a share of the training rows.

    Args:
        scenario: Checked scenario.
        frame: The rows, from `scan_rows`.
        labels: Their labels, for the shares of each.

    Raises:
        DataError: A value of the column names no split, a file is in two splits, or a split is empty.
    """
    split = scenario.examples.split
    if split.column is not None:
        codes_N = _by_column(scenario, split.column, frame)
    elif split.files is not None:
        codes_N = _by_file(scenario, split.files, frame)
    elif split.test_from is not None and split.validation_from is not None:
        return _filled(scenario, _by_time(scenario, frame))
    else:
        codes_N = np.full(frame.height, TRAIN, dtype=np.int8)
        codes_N[_drawn(scenario, frame, labels, np.arange(frame.height), split.test)] = TEST
    if not (codes_N == VALIDATION).any():
        train_M = np.flatnonzero(codes_N == TRAIN)
        by_rows = split.column is not None or split.files is not None
        share = split.validation if by_rows else split.validation / (1.0 - split.test)
        codes_N[train_M[_drawn(scenario, frame, labels, train_M, share)]] = VALIDATION
    return _filled(scenario, codes_N)


def _filled(scenario: RowScenario, codes_N: np.ndarray) -> np.ndarray:
    for code, name in ((TRAIN, "training"), (VALIDATION, "validation"), (TEST, "the test")):
        if not (codes_N == code).any():
            rule = f"no row is for {name}. Change the split, or leave it out to split at random."
            raise DataError(scenario.problem("examples.split", rule))
    return codes_N


def _by_column(scenario: RowScenario, column: str, frame: pl.DataFrame) -> np.ndarray:
    words = frame[column].cast(pl.String).str.strip_chars().str.to_lowercase().fill_null("")
    unknown = words.filter(~words.is_in([*_WORDS, ""])).unique(maintain_order=True)
    if len(unknown):
        named = ", ".join(repr(word) for word in unknown.head(_MOST_NAMED))
        rule = f"{column} has {named}, which names no split"
        advice = "Write train, validation and test, or leave those rows out with where"
        raise DataError(scenario.problem("examples.split.column", sentences(rule, advice)))
    codes = words.replace_strict([*_WORDS, ""], [*_WORDS.values(), NONE], return_dtype=pl.Int8)
    return codes.to_numpy().copy()


def _by_file(scenario: RowScenario, split: SplitFiles, frame: pl.DataFrame) -> np.ndarray:
    files = files_of(scenario, scenario.target.table)
    patterns = {"train": split.train, "validation": split.validation, "test": split.test}
    codes = np.full(len(files), NONE, dtype=np.int8)
    problems = []
    for code, (name, pattern) in enumerate(patterns.items()):
        if pattern is None:
            continue
        matching = [place for place, file in enumerate(files) if fnmatch.fnmatch(file.name, pattern)]
        if not matching:
            hint = did_you_mean(pattern, [file.name for file in files])
            rule = sentences(f"no file of {scenario.target.table} is called {pattern}", hint)
            problems.append(scenario.problem(f"examples.split.files.{name}", rule))
        for place in matching:
            if codes[place] != NONE:
                rule = f"{files[place].name} is in two splits. Make the patterns tell them apart."
                problems.append(scenario.problem(f"examples.split.files.{name}", rule))
            codes[place] = code
    if problems:
        raise DataError(problems)
    places_N = frame[ROW_FILE].to_numpy()
    return np.asarray(codes[places_N])


def _by_time(scenario: RowScenario, frame: pl.DataFrame) -> np.ndarray:
    split, time = scenario.examples.split, scenario.table.time
    assert time is not None  # the scenario is checked
    assert split.validation_from is not None
    assert split.test_from is not None
    moments = frame.select(moment_expr(time, frame.schema[time]))[time]
    ends = [moment.replace(tzinfo=None) for moment in (split.validation_from, split.test_from)]
    codes_N = np.where(moments < ends[0], TRAIN, np.where(moments < ends[1], VALIDATION, TEST))
    return np.where(moments.is_null().to_numpy(), NONE, codes_N).astype(np.int8)


def _drawn(
    scenario: RowScenario, frame: pl.DataFrame, labels: RowLabels, rows_M: np.ndarray, share: float
) -> np.ndarray:
    """Return the places in `rows_M` of the rows that are drawn, whole groups of them."""
    split = scenario.examples.split
    own = labels.of(rows_M)
    if split.group is None:
        units_M, order_U = np.arange(len(rows_M)), _order(frame[ROW_ID][rows_M], split.seed)
    else:
        groups = frame[split.group].cast(pl.String)[rows_M]
        alone = pl.format("row {}", frame[ROW][rows_M])
        groups = pl.select(pl.coalesce(groups, alone)).to_series()  # a row without a group is one of its own
        names = groups.unique().sort()
        units_M = groups.replace_strict(names, np.arange(len(names)), return_dtype=pl.Int64).to_numpy()
        order_U = _order(names, split.seed)
    sizes_U = np.bincount(units_M, minlength=len(order_U))
    return np.flatnonzero(stratified(units_M[own.rows_P], own.codes_P, sizes_U, order_U, share)[units_M])


def _order(keys: pl.Series, seed: int) -> np.ndarray:
    """Return the places of keys in an order that depends on them and the seed alone."""
    return np.argsort(digests(keys, seed), kind="stable")


def digests(keys: pl.Series, seed: int = 0) -> np.ndarray:
    """Return a number for each key, the same on every machine, uint64.

    Examples:
        >>> digests(pl.Series([7, 8])).tolist() == digests(pl.Series(["7", "8"])).tolist()
        True
    """
    salt = seed.to_bytes(8, "little")
    hashed = [
        blake2b(str(key).encode(), digest_size=8, salt=salt).digest()
        for key in keys.cast(pl.String).to_list()
    ]
    return np.frombuffer(b"".join(hashed), dtype=np.uint64)


def stratified(
    units_P: np.ndarray, labels_P: np.ndarray, sizes_U: np.ndarray, order_U: np.ndarray, share: float
) -> np.ndarray:
    """Draw a share of some units, so that of each label about the same share is drawn.

    The rarest label that is left comes first: its units are dealt out one by one to the side that still
    lacks most of its positives, or else most rows.

    Args:
        units_P: Unit of each pair of a unit and a label that one of its rows has.
        labels_P: The label of each pair.
        sizes_U: Rows of each unit.
        order_U: The order in which units are looked at, each once.
        share: How much of the rows is drawn.

    Returns:
        Whether each unit is drawn, bool.

    Source: Konstantinos Sechidis, Grigorios Tsoumakas, Ioannis Vlahavas (2011), On the stratification of
        multi-label data, algorithm 1, with two sides.

    Examples:
        >>> one, none = np.zeros(4, dtype=np.int64), np.zeros(0, dtype=np.int64)
        >>> stratified(np.arange(4), one, np.ones(4, dtype=np.int64), np.arange(4), 0.5).tolist()
        [True, False, True, False]
    """
    rank_U = np.empty(len(order_U), dtype=np.int64)
    rank_U[order_U] = np.arange(len(order_U))
    by_label, by_unit = _grouped(labels_P, units_P, rank_U), _grouped(units_P, labels_P, None)
    left = {label: sum(1 for _ in units) for label, units in by_label.items()}
    lacking = {label: [share * count, (1.0 - share) * count] for label, count in left.items()}
    rows = [share * float(sizes_U.sum()), (1.0 - share) * float(sizes_U.sum())]
    drawn_U = np.zeros(len(sizes_U), dtype=bool)
    dealt_U = np.zeros(len(sizes_U), dtype=bool)

    def deal(unit: int, side: int) -> None:
        drawn_U[unit], dealt_U[unit] = side == 0, True
        rows[side] -= float(sizes_U[unit])
        for label in by_unit.get(unit, ()):
            lacking[label][side] -= 1.0
            left[label] -= 1

    while any(left.values()):
        label = min((label for label, count in left.items() if count), key=lambda one: (left[one], one))
        for unit in by_label[label]:
            if not dealt_U[unit]:
                first, second = lacking[label]
                deal(unit, int(second > first or (second == first and rows[1] > rows[0])))
    for unit in order_U.tolist():
        if not dealt_U[unit]:
            deal(unit, int(rows[1] > rows[0]))
    return drawn_U


def _grouped(keys_P: np.ndarray, values_P: np.ndarray, rank: np.ndarray | None) -> dict[int, Sequence[int]]:
    """Return each key's different values, in the order of their rank if there is one."""
    grouped: dict[int, dict[int, None]] = {}
    order = np.arange(len(keys_P)) if rank is None else np.argsort(rank[values_P], kind="stable")
    for key, value in zip(keys_P[order].tolist(), values_P[order].tolist(), strict=True):
        grouped.setdefault(key, {})[value] = None
    return {key: list(values) for key, values in grouped.items()}
