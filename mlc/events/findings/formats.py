"""Times that are text or numbers.

What they would have to be read with, found by trying.
"""

import polars as pl

from mlc.scenario import EventScenario
from mlc.sources import listed_readings, lost_values, readings, scan_table

_SAMPLE = 2_000


def time_hint(scenario: EventScenario, name: str) -> str:
    """Return a sentence with the `types:` line that reads a time column.

    It is empty where none does.
    """
    column = scenario.data.events[name].time
    frame = scan_table(scenario, name)
    sample = frame.select(pl.col(column).drop_nulls().unique(maintain_order=True).head(_SAMPLE)).collect()
    values = sample[column]
    matches = readings(values)
    if not matches:
        return ""
    example = f". Its values, such as {values.sort()[0]!r}, are read by {listed_readings(column, matches)}"
    if len(matches) > 1:
        return f"{example}; the values do not say which"
    missed, others = lost_values(frame, column, matches[0].kind)
    return example if not missed else f"{example}, except {missed:,}, such as {others[0]!r}"
