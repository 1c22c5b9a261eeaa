"""Tables of a scenario as Polars queries.

Found, checked as a whole, filtered, joined.
"""

from mlc.sources.checks import check_tables
from mlc.sources.columns import converted_expr, offsets_of
from mlc.sources.counts import JoinRate, conversion_problems, duplicate_keys, join_rates, null_counts
from mlc.sources.events import (
    entity_type,
    join_columns,
    key_expr,
    observed_span,
    rule_expr,
    scan_events,
)
from mlc.sources.failures import file_problems, reading
from mlc.sources.files.contents import Source, sources_of
from mlc.sources.files.peek import likely_separator, peek
from mlc.sources.files.text_files import first_row, format_text
from mlc.sources.formats import Reading, listed_readings, lost_values, read_time, readings
from mlc.sources.lettering import (
    LostText,
    letters,
    lost_text_problems,
    lost_texts,
    named_columns,
    types_advice,
)
from mlc.sources.missing import TableSchema
from mlc.sources.numbers import NumberText, number_text, written_number
from mlc.sources.reading import POLARS_ERRORS, files_of, format_of, scan_table, source_state
from mlc.sources.values import (
    INVISIBLE,
    LARGEST,
    id_expr,
    is_blank,
    may_be_unusable,
    moment_expr,
    number_expr,
    text_expr,
    visible_expr,
)

__all__ = [
    "INVISIBLE",
    "LARGEST",
    "POLARS_ERRORS",
    "JoinRate",
    "LostText",
    "NumberText",
    "Reading",
    "Source",
    "TableSchema",
    "check_tables",
    "conversion_problems",
    "converted_expr",
    "duplicate_keys",
    "entity_type",
    "file_problems",
    "files_of",
    "first_row",
    "format_of",
    "format_text",
    "id_expr",
    "is_blank",
    "join_columns",
    "join_rates",
    "key_expr",
    "letters",
    "likely_separator",
    "listed_readings",
    "lost_text_problems",
    "lost_texts",
    "lost_values",
    "may_be_unusable",
    "moment_expr",
    "named_columns",
    "null_counts",
    "number_expr",
    "number_text",
    "observed_span",
    "offsets_of",
    "peek",
    "read_time",
    "reading",
    "readings",
    "rule_expr",
    "scan_events",
    "scan_table",
    "source_state",
    "sources_of",
    "text_expr",
    "types_advice",
    "visible_expr",
    "written_number",
]
