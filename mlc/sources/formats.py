"""The `types:` line that reads times written as text or numbers, by trying."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import polars as pl

from mlc.scenario import (
    ColumnType,
    DatetimeType,
    DateType,
    IntegerType,
    NumberType,
    Scenario,
    TextType,
)
from mlc.sources.columns import converted_expr, offsets_of
from mlc.sources.numbers import number_text
from mlc.sources.reading import POLARS_ERRORS, scan_typed
from mlc.sources.times import names_offsets
from mlc.sources.values import moment_expr

_DAYS = (
    *(f"%Y{mark}%m{mark}%d" for mark in ("-", "/", ".", "")),
    *(f"%d{mark}%m{mark}%{year}" for year in "Yy" for mark in "/.-"),
    *(f"%m{mark}%d{mark}%{year}" for year in "Yy" for mark in "/-"),
    *("%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%a, %d %b %Y"),
)
_CLOCKS = ("%H:%M", "%H:%M:%S", "%H:%M:%S%.f", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p", "%I:%M:%S%p", "%H%M%S")
_ZONED_CLOCKS = [f"{clock}{zone}" for clock in _CLOCKS[:3] for zone in ("%#z", " %#z")]
_FORMATS = (
    *_DAYS,
    *(f"{day}{between}{clock}" for day in _DAYS for between in (" ", "T", ", ") for clock in _CLOCKS),
    *(f"{day}{between}{clock}" for day in _DAYS for between in " T" for clock in _ZONED_CLOCKS),
    *("%Y%m%d%H%M%S", "%Y%m%d%H%M"),
    "%a %b %d %H:%M:%S %Y",
)
_PLAUSIBLE = (1980, 2099)  # years of numbers, which could be anything else
_FIRST_LOOK = 20  # values with which a format is tried first
_SAMPLE = 2_000
_LONGEST = 50  # characters of a moment


@dataclass(frozen=True)
class Reading:
    """A type that reads values as moments.

    Attributes:
        kind: The type.
        share: Which share of the values that were tried it reads.
        other: A value that it does not read; None where it reads all.
    """

    kind: DateType | DatetimeType
    share: float
    other: object = None

    @property
    def yaml(self) -> str:
        """The type as in a scenario.

        Examples:
            >>> Reading(DatetimeType(kind="datetime", format="%d.%m.%Y %H:%M"), 1.0).yaml
            '{kind: datetime, format: "%d.%m.%Y %H:%M"}'
        """
        if isinstance(self.kind, DatetimeType) and self.kind.unit is not None:
            return f"{{kind: datetime, unit: {self.kind.unit}}}"
        if self.kind.format is not None:
            return f'{{kind: {self.kind.kind}, format: "{self.kind.format}"}}'
        return self.kind.kind


def readings(values: pl.Series) -> list[Reading]:
    """Return the types that read most of the values as plausible moments.

    The same moments once.

    Args:
        values: Text or numbers, without nulls.
    """
    pairs: list[tuple[Reading, pl.Series]] = []
    text = values.head(_FIRST_LOOK).cast(pl.String)
    if not (text.str.contains(r"\d") & (text.str.len_chars() <= _LONGEST)).any():
        return []
    for kind in _kinds(values):
        if len(values) > _FIRST_LOOK and _share(_read(values.head(_FIRST_LOOK), kind)) <= 0.5:
            continue
        moments = _read(values, kind)
        share = _share(moments)
        if share > 0.5 and not any(moments.equals(other) for _, other in pairs):
            missed = values.filter(moments.is_null())
            pairs.append((Reading(kind, share, missed[0] if len(missed) else None), moments))
    best = max((reading.share for reading, _ in pairs), default=0.0)
    return [reading for reading, _ in pairs if reading.share == best]


def _kinds(values: pl.Series) -> Iterator[DateType | DatetimeType]:
    """Every type that could read such values, the plainest first."""
    if not isinstance(values.dtype, pl.String | pl.Categorical | pl.Enum) and not values.dtype.is_numeric():
        return
    if not values.dtype.is_float():
        yield DateType(kind="date")
        yield DatetimeType(kind="datetime")
    if values.dtype.is_integer():
        yield DateType(kind="date", format="%Y%m%d")
    numbers = values.dtype.is_numeric() or values.str.contains(r"^\s*\d+(\.\d+)?\s*$").all()
    for unit in ("s", "ms", "us", "ns") if numbers else ():
        yield DatetimeType(kind="datetime", unit=unit)
    for form in () if values.dtype.is_numeric() else _FORMATS:
        if "%H" in form or "%I" in form:
            yield DatetimeType(kind="datetime", format=form)
        else:
            yield DateType(kind="date", format=form)


def _read(values: pl.Series, kind: DateType | DatetimeType) -> pl.Series:
    """Return the times that a type makes of values, null if not plausible."""
    frame = values.alias("value").to_frame()
    try:
        offsets = isinstance(kind, DatetimeType) and names_offsets(frame.lazy(), "value")
        read = frame.select(converted_expr("value", values.dtype, kind, offsets))
        moments = read.select(moment_expr("value", read.schema["value"]))["value"]
    except pl.exceptions.PolarsError:
        return pl.Series([None] * len(values), dtype=pl.Datetime("us"))
    number = values.dtype.is_numeric() or (isinstance(kind, DatetimeType) and kind.unit is not None)
    first, last = _PLAUSIBLE if number else (1678, 2261)
    return moments.set(~moments.dt.year().is_between(first, last), None)


def _share(moments: pl.Series) -> float:
    return 1 - moments.null_count() / len(moments) if len(moments) else 0.0


def read_time(frame: pl.LazyFrame, column: str) -> list[Reading]:
    """Return the types that read all values of a column as moments.

    They read a sample in different ways.
    """
    sample = frame.select(pl.col(column).drop_nulls().unique(maintain_order=True).head(_SAMPLE)).collect()
    candidates = readings(sample[column])
    return [one for one in candidates if not lost_values(frame, column, one.kind)[0]]


def listed_readings(column: str, choices: Sequence[Reading]) -> str:
    """Return the `types:` lines of some readings, one after another."""
    return " or ".join(f"types: {{{column}: {reading.yaml}}}" for reading in choices)


# ── values that do not convert ──────────────────────────────────────────────────────────────────


def lost_values(frame: pl.LazyFrame, column: str, kind: ColumnType) -> tuple[int, list[object]]:
    """Return how many values a type cannot hold, and the first three different ones."""
    after = converted_expr(column, frame.collect_schema()[column], kind, offsets_of(frame, column, kind))
    lost = frame.select(pl.col(column).filter(pl.col(column).is_not_null() & after.is_null()))
    number, examples = (
        lost.select(pl.len(), pl.col(column).unique(maintain_order=True).head(3).implode())
        .collect(engine="streaming")
        .row(0)
    )
    return int(number), list(examples)


def names_mend(scenario: Scenario, name: str, column: str) -> str:
    """Say which type turns a column into names.

    Whole numbers or text, tried on all its values.

    Args:
        scenario: With the table.
        name: A table.
        column: Of it, neither text nor whole numbers.
    """
    if column in scenario.data.tables[name].computed:
        return "compute it as text: CAST(... AS VARCHAR)"
    frame = scan_typed(scenario, name)
    dtype = frame.collect_schema()[column]
    kinds: list[ColumnType] = [TextType(kind="text")]
    if dtype.is_float() or dtype.is_decimal():  # 1.0 would be the text 1.0
        kinds.insert(0, IntegerType(kind="integer"))
    for kind in () if dtype.is_nested() else kinds:
        with suppress(*POLARS_ERRORS):  # no such conversion
            if not lost_values(frame, column, kind)[0]:
                return f"add types: {{{column}: {kind.kind}}} to {name}"
    return "write it as text in the source"


def conversion_mend(frame: pl.LazyFrame, column: str, kind: ColumnType, examples: Sequence[object]) -> str:
    """Say what to do about values that a type cannot hold.

    The examples are from `lost_values`.
    """
    if isinstance(kind, IntegerType) and all(re.fullmatch(r"\s*-?\d+\s*", str(one)) for one in examples):
        return f"they are beyond 64 bits: write types: {{{column}: text}}"
    if isinstance(kind, NumberType | IntegerType):
        text = pl.col(column).cast(pl.String, strict=False).drop_nulls()
        sample = frame.select(text.unique(maintain_order=True).head(_SAMPLE)).collect(engine="streaming")
        written = number_text(sample.to_series())
        if written is not None and not written.plain:
            return f"they look like numbers with {written.written}: add {written.types(column)}"
    if not isinstance(kind, DateType | DatetimeType) or kind.format is not None:
        return "choose another type, or mend them in the source"
    if isinstance(kind, DatetimeType) and kind.unit is None:
        offset = offsets_of(frame, column, kind)
        if names_offsets(pl.LazyFrame({column: examples[:1]}, strict=False), column) != offset:
            others, these = ("with", "without") if offset else ("without", "with")
            return (
                f"the first value is {others} an offset from UTC and these are {these}: "
                "write all with one or all without in the source"
            )
    values = frame.select(pl.col(column).drop_nulls().unique(maintain_order=True).head(_SAMPLE)).collect()
    choices = [
        reading for reading in readings(values[column]) if not lost_values(frame, column, reading.kind)[0]
    ]
    if choices:
        return f"all values are read by {listed_readings(column, choices)}"
    return f'add a format, such as {{kind: {kind.kind}, format: "%d/%m/%Y"}}'
