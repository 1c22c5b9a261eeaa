"""Tables of a scenario as Polars queries: found, checked as a whole, filtered, joined."""

from mlc.sources.checks import TableSchema, check_tables
from mlc.sources.counts import JoinRate, conversion_problems, duplicate_keys, join_rates, null_counts
from mlc.sources.events import (
    entity_expr,
    join_columns,
    key_expr,
    observed_span,
    rule_expr,
    scan_events,
    time_expr,
)
from mlc.sources.reading import POLARS_ERRORS, files_of, scan_table, source_state

__all__ = [
    "POLARS_ERRORS",
    "JoinRate",
    "TableSchema",
    "check_tables",
    "conversion_problems",
    "duplicate_keys",
    "entity_expr",
    "files_of",
    "join_columns",
    "join_rates",
    "key_expr",
    "null_counts",
    "observed_span",
    "rule_expr",
    "scan_events",
    "scan_table",
    "source_state",
    "time_expr",
]
