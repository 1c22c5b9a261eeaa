"""Joins that miss: how many events, which keys, and why the keys differ."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import polars as pl

from mlc.errors import Problem, sentences
from mlc.events.findings.finding import Subject
from mlc.scenario import EventScenario
from mlc.sources import JoinRate, join_columns, scan_table
from mlc.task import Finding

EVENTS = "mlc:events"  # no column of a table is called so
_KEY = "mlc:key"
_OTHER = "mlc:other"
_MANY = 0.01  # a share of unmatched events that is a warning whatever the cause
_SOME = 0.001  # where the cause is known and can be mended

_MENDS = {
    "white space around": lambda key: key.str.strip_chars(),
    "upper and lower case": lambda key: key.str.to_lowercase(),
    "a decimal end (.0)": lambda key: key.str.replace(r"\.0+$", ""),
    "leading zeros": lambda key: key.str.replace(r"^(\s*)0+([0-9A-Za-z])", "${1}${2}"),
}
"""What makes keys differ → the key without it."""


@dataclass(frozen=True)
class Cause:
    """What makes keys differ.

    Attributes:
        names: Keys of `_MENDS`, none too many.
        events: How many events match without that difference.
        example: Two keys that are then the same.
    """

    names: Sequence[str]
    events: int
    example: tuple[str, str]

    @property
    def found(self) -> str:
        """The cause as the end of a sentence."""
        left, right = self.example
        return (
            f"{self.events:,} of these would match but for {' and '.join(self.names)} ({left!r}, {right!r})"
        )


def likely_cause(lost: pl.DataFrame, known: pl.DataFrame) -> Cause | None:
    """The fewest differences without which most of the lost keys match.

    Args:
        lost: Key columns that found no partner, then `EVENTS`, the number of rows with that key.
        known: As many key columns of the other table.

    Examples:
        >>> lost = pl.DataFrame({"item": ["7", "9"], EVENTS: [3, 1]})
        >>> likely_cause(lost, pl.DataFrame({"key": ["007", "8"]})).found
        "3 of these would match but for leading zeros ('7', '007')"
    """

    def matched(names: Sequence[str]) -> pl.DataFrame:
        left, right = (
            frame.with_columns(_normal(frame.columns[:width], names).alias(_KEY)) for frame in (lost, known)
        )
        rows = (
            right.select(_KEY, _shown(known.columns).alias(_OTHER))
            .sort(_OTHER)
            .unique(_KEY, keep="first", maintain_order=True)
        )
        return left.join(rows, on=_KEY, how="inner")

    width = len(known.columns)
    names = list(_MENDS)
    gained = int(matched(names)[EVENTS].sum())
    if not gained:
        return None
    for name in _MENDS:
        fewer = [other for other in names if other != name]
        if int(matched(fewer)[EVENTS].sum()) == gained:
            names = fewer
    best = matched(names).with_columns(_shown(lost.columns[:width]))
    example = best.sort([EVENTS, "shown"], descending=[True, False]).select("shown", _OTHER).row(0)
    return Cause(names, gained, example)


def _normal(columns: Sequence[str], names: Sequence[str]) -> pl.Expr:
    """Key columns as one text, without the named differences."""
    texts = [pl.col(column).cast(pl.String) for column in columns]
    return pl.concat_str(
        [reduce(lambda key, name: _MENDS[name](key), names, text) for text in texts], separator="\x1f"
    )


def _shown(columns: Sequence[str]) -> pl.Expr:
    return pl.concat_str([pl.col(column).cast(pl.String) for column in columns], separator="/").alias("shown")


def join_findings(scenario: EventScenario, rates: Sequence[JoinRate]) -> Iterator[Finding]:
    """Events without a row in a dimension; those without any key apart.

    Args:
        scenario: Checked scenario.
        rates: From `sources.join_rates`.
    """
    say = Subject(scenario, "joins")
    for rate in rates:
        if rate.matched == rate.events:
            continue
        field = ("data", "tables", rate.table, "joins", rate.dimension)
        lost, nulls = _lost_keys(scenario, rate)
        if nulls:
            yield say(
                "warning" if nulls > _MANY * rate.events else "note",
                field,
                f"{nulls:,} of {rate.events:,} events in {rate.table} have no key of {rate.dimension}",
                "nothing, where that is right; their columns of the dimension are missing",
            )
        if not rate.matched or not lost.height:  # the first is an error: see `unmatched_problems`
            continue
        events = int(lost[EVENTS].sum())
        keys = lost.head(5).select(_shown(lost.columns[:-1])).to_series().to_list()
        cause = likely_cause(lost, _known_keys(scenario, rate))
        mendable = cause.events if cause else 0
        message = (
            f"{events:,} of {rate.events:,} events in {rate.table} have no row in {rate.dimension}: "
            f"{lost.height:,} keys, such as {', '.join(map(repr, keys))}"
        )
        yield say(
            "warning" if events > _MANY * rate.events or mendable > _SOME * rate.events else "note",
            field,
            f"{message}; {cause.found}" if cause else message,
            "write the keys alike in both tables, and add missing rows to " + rate.dimension
            if cause
            else f"add the missing rows to {rate.dimension}; until then these events have no value there",
        )


def unmatched_problems(scenario: EventScenario, rates: Sequence[JoinRate]) -> Iterator[Problem]:
    """Joins that match nothing: they explain most labels that are never seen."""
    for rate in rates:
        if not rate.events or rate.matched:
            continue
        lost, _ = _lost_keys(scenario, rate)
        cause = likely_cause(lost, _known_keys(scenario, rate))
        keys = ", ".join(rate.unmatched_keys)
        rule = f"none of {rate.events:,} events has a row in {rate.dimension} (first keys: {keys})"
        if cause:
            rule = sentences(rule, cause.found, "write the keys alike in both tables")
        yield scenario.problem(("data", "tables", rate.table, "joins", rate.dimension), rule)


def type_hint(scenario: EventScenario, table: str, dimension: str) -> str:
    """For keys of two types: how many events match when both are text.

    It is empty where it cannot be tried.
    """
    rate = JoinRate(table, dimension, 0, 0, ())
    columns = scenario.data.events[table].joins[dimension]
    counts = scan_table(scenario, table).group_by(columns).len(name=EVENTS).collect()
    known = _known_keys(scenario, rate)
    same = counts.with_columns(_normal(columns, []).alias(_KEY)).join(
        known.select(_normal(known.columns, []).alias(_KEY)).unique(), on=_KEY, how="left", coalesce=False
    )
    hit = same[f"{_KEY}_right"].is_not_null()
    matched, total = int(same.filter(hit)[EVENTS].sum()), int(counts[EVENTS].sum())
    cause = likely_cause(same.filter(~hit).select(*columns, EVENTS), known)
    types = [
        f"types: {{{column}: text}} in {name}"
        for name, frame in ((table, counts.drop(EVENTS)), (dimension, known))
        for column in frame.columns
        if not isinstance(frame[column].dtype, pl.String | pl.Categorical | pl.Enum)
    ]
    hint = f"As text ({', '.join(types)}) {matched:,} of {total:,} events match"
    return f"{hint}; {cause.found.replace('of these', 'of the others')}" if cause else hint


def _lost_keys(scenario: EventScenario, rate: JoinRate) -> tuple[pl.DataFrame, int]:
    """Keys of events that the dimension does not have, most frequent first.

    Events without a whole key.
    """
    table = scenario.data.events[rate.table]
    columns = table.joins[rate.dimension]
    counts = scan_table(scenario, rate.table).group_by(columns).len(name=EVENTS).collect()
    known = _known_keys(scenario, rate).select(
        pl.col(key).cast(counts[column].dtype, strict=False)
        for column, key in join_columns(table, rate.dimension, scenario.data.dimensions[rate.dimension])
    )
    whole = counts.drop_nulls(columns)
    lost = whole.join(known, left_on=columns, right_on=known.columns, how="anti")
    nulls = int(counts[EVENTS].sum()) - int(whole[EVENTS].sum())
    return lost.sort([EVENTS, *columns], descending=[True] + [False] * len(columns)), nulls


def _known_keys(scenario: EventScenario, rate: JoinRate) -> pl.DataFrame:
    keys = scenario.data.dimensions[rate.dimension].key
    return scan_table(scenario, rate.dimension).select(keys).drop_nulls().unique().collect()
