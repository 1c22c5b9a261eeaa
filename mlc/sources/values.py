"""The rules for single values: which numbers, texts, ids and times mean nothing.

Every reader of the tables asks here, so that training, prediction and `mlc check` agree.
"""

from collections.abc import Sequence
from datetime import datetime

import polars as pl

LARGEST = 1e37
"""A larger number, of either sign, is missing: sums and differences of these leave the range of 32 bits."""
FIRST_TIME, LAST_TIME = datetime(1678, 1, 1), datetime(2262, 1, 1)
"""Times before the first or from the last on are missing: years such as 1 and 9999 stand for no date."""
INVISIBLE = r"[\p{Cc}\p{Cf}\u{34f}\u{115f}\u{1160}\u{17b4}\u{17b5}\u{180b}-\u{180d}\u{2800}\u{3164}\u{ffa0}]"
"""Characters that leave no mark, as a regular expression: control characters, zero-width spaces, fillers."""
_BLANK = rf"^[\p{{Z}}{INVISIBLE}]*$"
_WIDE = (pl.UInt64, pl.Int128, pl.UInt128)


def number_expr(number: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Return the number, or null where it is infinite, NaN or beyond `LARGEST`.

    Args:
        number: Numbers.
        dtype: Their type.
    """
    if not may_be_unusable(dtype):
        return number
    # Polars counts NaN as larger than any number.
    return pl.when(number.cast(pl.Float64).abs() <= LARGEST).then(number)


def may_be_unusable(dtype: pl.DataType) -> bool:
    """Return whether `number_expr` can find a number of this type missing."""
    return dtype.is_float() or dtype.is_decimal() or dtype in (pl.Int128, pl.UInt128)


def text_expr(text: pl.Expr) -> pl.Expr:
    """Return a value as text, or null if it has no visible character."""
    text = text.cast(pl.String)
    return pl.when(~text.str.contains(_BLANK)).then(text)


def is_blank(text: pl.Expr) -> pl.Expr:
    """Return whether a text is empty or has only blank and invisible characters.

    Null stays null.
    """
    return text.cast(pl.String).str.contains(_BLANK)


def visible_expr(text: pl.Expr) -> pl.Expr:
    """Return what of a text is seen, in one Unicode form.

    Texts that look the same give the same.
    """
    return text.str.normalize("NFKC").str.replace_all(INVISIBLE, "").str.strip_chars()


def id_type(dtypes: Sequence[pl.DataType]) -> pl.DataType:
    """Return the type that holds the ids of all these columns.

    Whole numbers are Int64; UInt64 where all columns are unsigned and one of them needs it; text where they
    go beyond that or one of them is text.

    Examples:
        >>> id_type([pl.Int32(), pl.UInt8()]), id_type([pl.UInt64()]), id_type([pl.UInt64(), pl.Int64()])
        (Int64, UInt64, String)
    """
    if not all(dtype.is_integer() for dtype in dtypes):
        return pl.String()
    if not any(dtype in _WIDE for dtype in dtypes):
        return pl.Int64()
    unsigned = all(dtype.is_unsigned_integer() and dtype != pl.UInt128 for dtype in dtypes)
    return pl.UInt64() if unsigned else pl.String()


def id_expr(column: str, dtype: pl.DataType) -> pl.Expr:
    """Return the ids of a column in a type of `id_type`, null where there is none.

    An empty or blank text is no id; neither is a number that the type cannot hold.
    """
    if dtype.is_integer():
        return pl.col(column).cast(dtype, strict=False)
    return text_expr(pl.col(column))


def moment_expr(column: str, dtype: pl.DataType) -> pl.Expr:
    """Return a time column as naive datetime in microseconds.

    It is null outside the years 1678 to 2261. A date is its midnight, a zone is converted to UTC.
    """
    moment = pl.col(column)
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        moment = moment.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    if isinstance(dtype, pl.Date):
        inside = (moment >= FIRST_TIME.date()) & (moment < LAST_TIME.date())
        return pl.when(inside).then(moment).cast(pl.Datetime("us"))
    moment = moment.cast(pl.Datetime("us"), strict=False)
    return pl.when((moment >= FIRST_TIME) & (moment < LAST_TIME)).then(moment)
