"""Moments written as text or as a number of seconds since 1970.

Text that names its offset from UTC is read as that moment in UTC. A column either names offsets in all values
or in none.
"""

import polars as pl

_ISO = r"^\s*(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)"
_OFFSET = rf"{_ISO}\s*(?:[Zz]|UTC|GMT|[+-]\d{{2}}(?::?\d{{2}})?)\s*$"
_NAIVE = [f"%Y-%m-%d{between}{time}" for between in "T " for time in ("%H:%M:%S%.f", "%H:%M")]
_ZONED = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z")
_UNITS = {"s": 10**6, "ms": 10**3, "us": 1}
_MOST = 2**63 - 1


def names_offsets(frame: pl.LazyFrame, column: str) -> bool:
    """Return whether the first text of a column names an offset from UTC.

    `+02:00`, `Z` or `UTC`.
    """
    first = frame.select(pl.col(column).drop_nulls().head(1)).collect(engine="streaming")
    return bool(first.height) and bool(first[column].cast(pl.String).str.contains(_OFFSET).item())


def iso_expr(text: pl.Expr, offsets: bool) -> pl.Expr:
    """Return the moments of ISO text, null where it is anything else.

    Args:
        text: Such as `2024-03-31 18:30:00.5`, with `T` or a space, with seconds or without, or a day alone.
        offsets: Whether each text also ends in an offset: `+02:00`, `+0200`, `+02`, `Z`, ` UTC`. The result
            is then in UTC.
    """
    if not offsets:
        days = text.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us"))
        return pl.coalesce(
            *[text.str.to_datetime(form, time_unit="us", strict=False) for form in _NAIVE], days
        )
    plain = pl.when(text.str.contains(_OFFSET)).then(
        text.str.strip_chars()
        .str.replace(_ISO, "${1}T${2}")
        .str.replace(r"\s*(?:[Zz]|UTC|GMT)$", "+00:00")
        .str.replace(r"\s+([+-])", "${1}")
    )
    return pl.coalesce(*[plain.str.to_datetime(form, time_unit="us", strict=False) for form in _ZONED])


def epoch_expr(value: pl.Expr, dtype: pl.DataType, unit: str) -> pl.Expr:
    """Return numbers, or text with numbers, of some unit since 1970 as moments in UTC.

    Args:
        value: The numbers.
        dtype: Their type.
        unit: `s`, `ms`, `us` or `ns`.
    """
    if not dtype.is_numeric():
        value = value.cast(pl.String, strict=False).str.strip_chars()
        whole = value.cast(pl.Int64, strict=False)
        return pl.coalesce(
            epoch_expr(whole, pl.Int64(), unit),
            epoch_expr(value.cast(pl.Float64, strict=False), pl.Float64(), unit),
        )
    if unit == "ns":
        ticks = (
            (value / 1000).floor() if not dtype.is_integer() else value.cast(pl.Int64, strict=False) // 1000
        )
    else:
        size = _UNITS[unit]
        ticks = pl.when(value.abs() <= _MOST // size).then(value) * size
    ticks = ticks if dtype.is_integer() else ticks.round()
    return ticks.cast(pl.Int64, strict=False).cast(pl.Datetime("us", "UTC"))
