"""Times that are text or numbers: what they would have to be read with, found by trying."""

import polars as pl

from mlc.scenario import Scenario
from mlc.sources import scan_table

_SAMPLE = 2_000
_FORMATS = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M:%S%z",
    "%Y/%m/%d",
    "%Y%m%d",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %I:%M:%S %p",
    "%d.%m.%Y",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%d-%m-%Y",
    "%d-%b-%Y",
    "%d %b %Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
)
_EPOCHS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_PLAUSIBLE = (315_532_800, 4_102_444_800)  # seconds since 1970: the years 1980 to 2099


def time_hint(scenario: Scenario, name: str) -> str:
    """What the time column of a table would be read with; empty where nothing usual fits."""
    column = scenario.data.events[name].time
    values = (
        scan_table(scenario, name)
        .select(pl.col(column).drop_nulls().unique(maintain_order=True).head(_SAMPLE))
        .collect()
    )
    sample = values[column]
    if not len(sample):
        return ""
    example = f"its values, such as {sample.sort()[0]!r}, "
    if sample.dtype.is_integer():
        units = [unit for unit, size in _EPOCHS.items() if _within(sample, size)]
        if units:
            return f"{example}look like time since 1970 in {units[0]}"
    elif not isinstance(sample.dtype, pl.String | pl.Categorical | pl.Enum):
        return ""
    shares = {fmt: share for fmt in _FORMATS if (share := _fitting(sample, fmt)) > 0.5}
    best = max(shares.values(), default=0.0)
    read = {fmt: _parsed(sample, fmt).cast(pl.Int64) for fmt, share in shares.items() if share == best}
    fitting = [
        fmt for at, fmt in enumerate(read) if not any(read[fmt].equals(r) for r in list(read.values())[:at])
    ]
    if not fitting:
        return ""
    found = f"{example}fit the format {' or '.join(fitting)}"
    if best < 1.0:
        other = sample.filter(_parsed(sample, fitting[0]).is_null())
        found += f" in {best:.1%} of a sample, however not {other[0]!r}"
    if len(fitting) > 1:
        return f"{found} (which of them, the values do not say)"
    kind = "datetime" if "%H" in fitting[0] or "%I" in fitting[0] else "date"
    return f'{found}: types: {{{column}: {{kind: {kind}, format: "{fitting[0]}"}}}}'


def _within(sample: pl.Series, size: int) -> bool:
    low, high = int(sample.min()) // size, int(sample.max()) // size  # type: ignore[arg-type]
    return low >= _PLAUSIBLE[0] and high <= _PLAUSIBLE[1]


def _fitting(sample: pl.Series, fmt: str) -> float:
    """Share of values that a format reads as a plausible moment."""
    years = _parsed(sample, fmt).dt.year()
    return float(((years >= 1000) & (years <= 9999)).fill_null(value=False).mean() or 0.0)  # type: ignore[arg-type]


def _parsed(sample: pl.Series, fmt: str) -> pl.Series:
    """The values as moments in UTC, null where the format does not fit."""
    text = sample.cast(pl.String).str.strip_chars()
    unit = pl.Datetime("us")
    try:
        if "%z" in fmt:
            return (
                text.str.to_datetime(fmt, strict=False, time_zone="UTC").dt.replace_time_zone(None).cast(unit)
            )
        if "%H" in fmt or "%I" in fmt:
            return text.str.to_datetime(fmt, strict=False).cast(unit)
        return text.str.to_date(fmt, strict=False).cast(unit)
    except pl.exceptions.PolarsError:
        return pl.Series([None] * len(text), dtype=unit)
