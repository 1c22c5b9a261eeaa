"""How the columns of a table of rows enter the model."""

import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from mlc.rows.inputs import RowColumns
from mlc.scenario import (
    Category,
    ColumnPrefix,
    FreeText,
    Ignore,
    Image,
    Number,
    RowScenario,
)
from mlc.sources import LARGEST, text_expr
from mlc.sources.rows import ROW, ROW_FILE, ROW_ID

Encoder = Number | Category | FreeText | Image | Ignore

_FEW = 64
"""Whole numbers with more values than this are quantities."""
_MOST = 1_000
"""Texts with more values than this are no categories by default."""
_WORDS = 2.0
"""Texts of at least this many words on average are free text, unless they repeat."""
_SAMPLE = 20_000
_PICTURE = r"(?i)\.(png|jpe?g|gif|bmp|tiff?|webp)$"
_LEAST = 2


def row_columns(scenario: RowScenario, frame: pl.DataFrame) -> RowColumns:
    """Return how each column enters the model.

    By the encoders of the scenario, or else by type and values: texts of several words that hardly repeat
    are free text, booleans, other texts and whole numbers with few values are categories, other numbers are
    numbers. Left out are the key, labels, split, group, times, identifiers and lists.

    Args:
        scenario: Checked scenario.
        frame: Its rows, from `scan_rows`.
    """
    kinds: dict[str, Encoder] = {}
    left_out = set(not_inputs(scenario, frame.columns))
    for name in frame.columns:
        given = given_encoder(scenario, name)
        if given is not None:
            kinds[name] = given
        elif name not in left_out:
            kinds[name] = default_encoder(frame[name])
    chosen = {kind: [name for name, one in kinds.items() if isinstance(one, kind)] for kind in _KINDS}
    return RowColumns(
        texts=chosen[FreeText],
        categories=chosen[Category],
        numbers=chosen[Number],
        images={name: one.missing for name, one in kinds.items() if isinstance(one, Image)},
        min_counts={
            name: one.min_count if given_encoder(scenario, name) is not None else _LEAST
            for name, one in kinds.items()
            if isinstance(one, Category)
        },
    )


_KINDS = (FreeText, Category, Number)


def given_encoder(scenario: RowScenario, name: str) -> Encoder | None:
    """Return the encoder that the scenario gives for a column.

    A joined one is `dimension.column`.
    """
    owner, _, column = name.partition(".")
    if column and owner in scenario.table.joins:
        return scenario.data.dimensions[owner].encoders.get(column)
    return scenario.table.encoders.get(name)


def not_inputs(scenario: RowScenario, columns: list[str]) -> Iterator[str]:
    """Yield the columns that no model may read.

    They say which row it is, when it was made, what it serves for, or its labels.
    """
    table, target, split = scenario.table, scenario.target, scenario.examples.split
    yield from (ROW, ROW_ID, ROW_FILE)
    yield from (name for name in (table.key, table.time, split.column, split.group) if name is not None)
    yield from target.value_columns
    match target.columns:
        case None:
            pass
        case ColumnPrefix(prefix=prefix):
            yield from (name for name in columns if name.startswith(prefix))
        case names:
            yield from names
    for dimension in table.joins:
        yield from (f"{dimension}.{key}" for key in scenario.data.dimensions[dimension].key)


def default_encoder(values: pl.Series) -> Encoder:
    """Return how a column enters the model where the scenario does not say.

    Examples:
        >>> default_encoder(pl.Series([0.5, 1.5])).kind
        'number'
        >>> default_encoder(pl.Series(["so it goes", "and so on", "what a day it was"])).kind
        'text'
        >>> default_encoder(pl.Series(["red", "blue", "red", "red"])).kind
        'category'
    """
    dtype = values.dtype
    if dtype.is_numeric():
        if not dtype.is_integer():
            return Number()
        distinct = values.n_unique()
        return Category() if distinct <= _FEW else Ignore() if distinct == len(values) else Number()
    if dtype == pl.Boolean:
        return Category()
    if not isinstance(dtype, pl.String | pl.Categorical | pl.Enum):
        return Ignore()
    texts = values.cast(pl.String).drop_nulls().head(_SAMPLE)
    if not len(texts):
        return Ignore()
    distinct = texts.n_unique()
    if distinct > 1 and texts.str.contains(_PICTURE).mean() == 1.0:
        return Image()
    words = texts.str.count_matches(r"\S+").mean()
    if isinstance(words, float) and words >= _WORDS and 2 * distinct > len(texts):
        return FreeText()
    return Category() if distinct <= min(_MOST, max(_LEAST, len(texts) // 2)) else Ignore()


def model_frame(scenario: RowScenario, frame: pl.DataFrame, columns: RowColumns) -> pl.DataFrame:
    """Return the columns that a model reads, in the types of `RowInputs`.

    A column that is not there is missing everywhere.

    Args:
        scenario: Checked scenario.
        frame: Rows, from `scan_rows`.
        columns: How each column enters the model.
    """
    schema = frame.schema

    def read(name: str) -> pl.Expr:
        if name in columns.numbers:
            if name not in schema:
                return pl.lit(None, pl.Float64).alias(name)
            number = pl.col(name).cast(pl.Float64, strict=False)
            return pl.when(number.abs() <= LARGEST).then(number).alias(name)  # NaN is larger than any
        if name not in schema:
            return pl.lit(None, pl.String).alias(name)
        return text_expr(pl.col(name)).alias(name)

    read_frame = frame.select(read(name) for name in columns.names)
    return read_frame.with_columns(
        pl.Series(name, _absolute(scenario, name, read_frame[name]), dtype=pl.String)
        for name in columns.images
    )


def _absolute(scenario: RowScenario, name: str, paths: pl.Series) -> list[str | None]:
    encoder = given_encoder(scenario, name)
    folder = encoder.folder if isinstance(encoder, Image) and encoder.folder is not None else "."
    base = scenario.path(folder)
    return [None if path is None else str(base / _inside(path)) for path in paths]


def _inside(path: str) -> Path:
    """Return a path with the separators of this system."""
    return Path(re.sub(r"[\\/]+", "/", path)) if "\\" in path else Path(path)
