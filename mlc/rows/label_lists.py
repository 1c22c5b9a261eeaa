"""The labels of a row as they are written.

A list, a separated text, a list in a text, or one label.
"""

import ast
import io
import json
import math
import tokenize
from dataclasses import dataclass
from itertools import pairwise
from typing import NoReturn

import polars as pl

from mlc.errors import DataError, sentences
from mlc.scenario import RowScenario
from mlc.sources import text_expr

BITS = frozenset({"0", "1", "0.0", "1.0", "true", "false"})
"""How 0 and 1 may be written, in lower case."""
_LONGEST = 60
_LIST_TEXT = r"(?s)^\[.*\]$"
_DECIMAL = r"^-?\d+\.\d+(e[+-]?\d+)?$"


@dataclass(frozen=True)
class LabelColumn:
    """A column that holds the labels of rows.

    Attributes:
        scenario: The scenario, whose `target.column` names it.
        table: The table that it is in, for messages.
        values: Its values.
        numbers: The number of each value's row in the table, from 1.
    """

    scenario: RowScenario
    table: str
    values: pl.Series
    numbers: pl.Series

    def refuse(self, rule: str, *advice: str, field: str = "target.column") -> NoReturn:
        """Raise the one error of this column."""
        raise DataError(self.scenario.problem(field, sentences(rule, *advice)))

    def refuse_value(self, place: int, what: str, *advice: str) -> NoReturn:
        """Raise the error of a value, which is named with its row."""
        value = clipped(self.values[place])
        self.refuse(f"row {self.numbers[place]} of {self.table}: {value} {what}", *advice)


def clipped(value: object) -> str:
    """Return a value for a message, its beginning if it is long.

    Examples:
        >>> clipped("spam")
        "'spam'"
    """
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def label_lists(column: LabelColumn) -> pl.Series:
    """Return the labels of each row as a list of texts, null where its value is empty.

    Names are stripped of blanks around them; empty ones are left out. An unknown part of a vector of 0 and 1
    stays as null.

    Raises:
        DataError: A value is no list although the others are, or holds no names.
    """
    values, separator = column.values, column.scenario.target.separator
    if values.dtype.is_nested():
        return _stripped(values.cast(pl.List(pl.String)))
    written = text_expr(pl.col(values.name))
    texts = values.to_frame().select(written.str.strip_chars())[values.name]
    if values.dtype != pl.String:  # whole numbers, booleans, categories: one label
        return _nested(texts)
    filled = texts.drop_nulls()
    listed = filled.filter(filled.str.contains(_LIST_TEXT))
    mostly = len(listed) > 0 and 2 * len(listed) >= len(filled)
    if mostly and separator is None:
        return _stripped(_parsed(column, texts))
    if mostly and _list_of(listed[0]) is not None:
        rule = f"the values are lists written as text, such as {clipped(listed[0])}"
        column.refuse(rule, "remove separator: such lists are read as they are", field="target.separator")
    if separator is not None:
        return _stripped(texts.str.split(separator))
    return _nested(texts)


def _nested(texts: pl.Series) -> pl.Series:
    """One list per text, null where there is none."""
    return pl.select(pl.when(texts.is_not_null()).then(pl.concat_list(texts))).to_series()


def _stripped(lists: pl.Series) -> pl.Series:
    """The lists without blanks around names and without empty names.

    Null where nothing is left.
    """
    item = pl.element()
    named = item.is_null() | (item.str.strip_chars() != "")
    cleaned = lists.list.eval(item.filter(named).str.strip_chars())
    some = cleaned.list.drop_nulls().list.len() > 0
    return pl.select(pl.when(some).then(cleaned)).to_series()


def _parsed(column: LabelColumn, texts: pl.Series) -> pl.Series:
    """Lists written as text in JSON or in Python, each different text read once."""
    items: dict[str, list[str | None]] = {}
    for text in texts.drop_nulls().unique().to_list():
        values = _list_of(text)
        if values is None:
            place = texts.index_of(text)
            assert place is not None  # it is one of them
            advice = 'write it as JSON, ["a", "b"], or join the names with a character and set separator'
            column.refuse_value(place, "is no list of names", advice)
        items[text] = values
    read = pl.DataFrame(
        {"text": list(items), "items": list(items.values())},
        schema={"text": pl.String, "items": pl.List(pl.String)},
    )
    return pl.DataFrame({"text": texts}).join(read, on="text", how="left", maintain_order="left")["items"]


def _list_of(text: str) -> list[str | None] | None:
    """The names in a list as JSON or Python writes it; None where it is neither.

    Examples:
        >>> _list_of('["a", "b"]'), _list_of("['a', 'b']"), _list_of("[1, null]"), _list_of("['a' 'b']")
        (['a', 'b'], ['a', 'b'], ['1', None], None)
    """
    value: object
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        try:
            value = None if _joins_texts(text) else ast.literal_eval(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError, tokenize.TokenError):
            return None
    if not isinstance(value, list) or any(isinstance(one, list | dict | tuple | set) for one in value):
        return None
    return [_name(one) for one in value]


def _joins_texts(text: str) -> bool:
    """Whether texts are side by side, as NumPy prints them: `['a' 'b']`.

    Python would join them.
    """
    kinds = [token.type for token in tokenize.generate_tokens(io.StringIO(text).readline)]
    kinds = [kind for kind in kinds if kind not in (tokenize.NL, tokenize.NEWLINE)]
    return any(pair == (tokenize.STRING, tokenize.STRING) for pair in pairwise(kinds))


def _name(value: object) -> str | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


def bit_vectors(column: LabelColumn, lists: pl.Series) -> bool:
    """Return whether all lists are vectors of 0 and 1.

    They have one place for each of the listed class names.

    Raises:
        DataError: They are, and class_names does not say what the places mean; or they hold decimal numbers,
            which name nothing; or the column has a single 0 or 1 per row.
    """
    names = column.scenario.target.names
    items = lists.drop_nulls().explode()
    written = items.drop_nulls().unique().str.to_lowercase()
    bits = len(written) > 0 and set(written.head(len(BITS) + 2).to_list()) <= BITS | {"nan"}
    meant = names is not None and {name.lower() for name in names} <= BITS
    if bits and not meant:
        lengths = lists.drop_nulls().list.len().unique().sort().to_list()
        if lengths == [1]:
            name = column.values.name
            rule = f"{name} has only 0 and 1, which says yes or no to one label"
            column.refuse(rule, f"write columns: [{name}] in place of column: {name}")
        if isinstance(column.scenario.target.class_names, list) and names is not None:
            if lengths == [len(names)]:
                return True
            found = " or ".join(f"{length:,}" for length in lengths[:3])
            rule = f"{len(names):,} names, and the vectors of 0 and 1 in {column.values.name} have {found}"
            column.refuse(rule, "name one label for each place", field="target.class_names")
        rule = f"the values are vectors of 0 and 1, such as {clipped(column.values.drop_nulls()[0])}"
        column.refuse(rule, "list the labels in their order in class_names: [first, second, …]")
    decimal = items.drop_nulls().str.contains(_DECIMAL)
    if len(decimal) and decimal.any():
        example = items.drop_nulls().filter(decimal)[0]
        rule = f"{example} is a number with decimals, which is no name of a label"
        column.refuse(rule, "write names or whole numbers, or vectors of 0 and 1 and their class_names")
    return False
