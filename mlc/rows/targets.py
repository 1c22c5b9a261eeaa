"""From the labels that rows have to class names and targets."""

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mlc.errors import DataError, Problem, did_you_mean, sentences
from mlc.rows.row_labels import RowLabels
from mlc.scenario import ColumnPrefix, FrequentClasses, LabelValues, RowScenario
from mlc.tables import UNKNOWN


def class_values(
    scenario: RowScenario, labels: RowLabels, train_N: np.ndarray, trained: Sequence[str] | None = None
) -> dict[str, list[str]]:
    """Return the class names, each with the values that it stands for.

    In the order of the scenario's list, or else by falling frequency in training, then by name.

    Args:
        scenario: Checked scenario.
        labels: The labels of all rows.
        train_N: Which rows are of training, bool.
        trained: The labels that a model knows: they stay as they are, whatever the tables now hold.

    Raises:
        DataError: Names that never occur, all at once, each with the nearest ones; or no label is left.
    """
    target = scenario.target
    specs = target.specs
    if isinstance(target.columns, list):
        return {name: [name] for name in target.columns}
    if specs is not None:
        if trained is None and not target.allow_empty:
            problems = list(_unknown_values(scenario, specs, labels.values))
            if problems:
                raise DataError(problems)
        return {name: _values_of(spec, labels.values) for name, spec in specs.items()}
    if trained is not None:
        return {name: [name] for name in trained}
    counts = labels.counts(train_N)
    classes = target.class_names
    assert isinstance(classes, FrequentClasses)
    order = sorted(range(len(counts)), key=lambda code: (-counts[code], labels.values[code]))
    enough = [labels.values[code] for code in order if counts[code] >= classes.min_support]
    names = enough[: classes.top]
    if isinstance(target.columns, ColumnPrefix):  # a column is a label, also without a positive
        names = [labels.values[code] for code in order]
    if not names:
        rule = f"no value has {classes.min_support:,} training rows. Lower min_support."
        field = "target.class_names" if labels.values else "target.column"
        raise DataError(
            scenario.problem(field, rule if labels.values else "no row has a label. Check the column.")
        )
    return {name: [name] for name in names}


def _values_of(spec: LabelValues, known: Sequence[str]) -> list[str]:
    matches = [value for value in known if spec.pattern is not None and re.search(spec.pattern, value)]
    return list(dict.fromkeys([*(spec.values or ()), *matches]))


def _unknown_values(
    scenario: RowScenario, specs: Mapping[str, LabelValues], known: Sequence[str]
) -> Iterator[Problem]:
    occurring = set(known)
    for index, (name, spec) in enumerate(specs.items()):
        field = ("target", "class_names", index if isinstance(scenario.target.class_names, list) else name)
        for value in spec.values or ():
            if value not in occurring:
                rule = f"{value!r} never occurs in {scenario.target.column}"
                yield scenario.problem(field, sentences(rule, did_you_mean(value, known)))
        if spec.pattern is not None and not spec.values and not _values_of(spec, known):
            rule = f"no value of {scenario.target.column} has {spec.pattern}. Change the pattern."
            yield scenario.problem((*field, "pattern"), rule)


def target_matrix(
    scenario: RowScenario, labels: RowLabels, values: Mapping[str, Sequence[str]], rows: int
) -> np.ndarray:
    """Return the targets of rows, uint8, shape (N, K): 0, 1 or 255 (unknown).

    Of a label with several values it is 1 where the row has one of them, and unknown where it has none and
    one of them is unknown.

    Args:
        scenario: Says what an empty value of the label column means.
        labels: The labels of N rows.
        values: Class name → its values, K of them.
        rows: N.
    """
    codes = {value: code for code, value in enumerate(labels.values)}
    targets_NK = np.zeros((rows, len(values)), dtype=np.uint8)
    for k, some in enumerate(values.values()):
        own = np.array([codes[value] for value in some if value in codes], dtype=np.int64)
        targets_NK[labels.rows_U[np.isin(labels.codes_U, own)], k] = UNKNOWN
        targets_NK[labels.rows_P[np.isin(labels.codes_P, own)], k] = 1
    if scenario.target.columns is not None:
        gone = [k for k, name in enumerate(values) if name not in codes]
        targets_NK[:, gone] = UNKNOWN
        targets_NK[labels.empty_N] = UNKNOWN
    elif scenario.target.empty == "unknown":
        targets_NK[labels.empty_N] = UNKNOWN
    return targets_NK
