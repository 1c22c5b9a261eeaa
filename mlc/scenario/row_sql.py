"""SQL expressions of a scenario look at one row at a time.

Other rows may be of the future. `price > avg(price)` compares an event with all events, those after the
cutoff included. Hence only functions that are known to look at one row are allowed, no window (`OVER`) and no
query (`SELECT`).
"""

import re

from pydantic_core import PydanticCustomError

from mlc.errors import did_you_mean, sentences

_WORD = re.compile(r"\w+")
ROW_FUNCTIONS = frozenset(
    _WORD.findall("""
        abs acos acosd asin asind atan atan2 atan2d atand cbrt ceil ceiling cos cosd cot cotd degrees div exp
        floor ln log log10 log1p log2 mod pi pow power radians round sign sin sind sqrt tan tand
        bit_length char_length character_length concat concat_ws ends_with initcap left length lower lpad
        ltrim normalize octet_length position regexp_like replace reverse right rpad rtrim split_part
        starts_with strpos strptime substr substring timestamp trim upper
        array_contains array_get array_length array_mean array_reverse array_sum array_to_string array_unique
        cast try_cast coalesce greatest if ifnull least nullif
        date date_part extract strftime bit_and bit_count bit_not bit_or bit_xor
    """)
)
"""Functions of Polars SQL whose value depends on one row alone."""

_PARTS = ("year", "quarter", "month", "week", "day", "hour", "minute", "second")
_KEYWORDS = frozenset(
    _WORD.findall("""
        and any all array as between case char decimal else end from ilike in interval is like not numeric or
        regexp rlike then varchar when
    """)
)  # what else may stand before a parenthesis
_OTHER_ROWS = frozenset(
    _WORD.findall("""
        approx_count_distinct array_agg avg columns corr count covar covar_pop covar_samp cume_dist dense_rank
        explode first first_value group_concat lag last last_value lead max mean median min mode nth_value
        ntile percent_rank quantile quantile_cont quantile_disc rank row_number std stddev stddev_pop
        stddev_samp stdev stdev_samp string_agg sum unnest var var_pop var_samp variance
    """)
)
_TEXTS_AND_COMMENTS = re.compile(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/", re.DOTALL)
_CALLS = re.compile(r'(?:"([^"]+)"|(?<![\w.])([A-Za-z_]\w*))\s*\(')
_CLAUSES = re.compile(r'"[^"]*"|\b(over|select)\b', re.IGNORECASE)


def row_sql(text: str) -> str:
    """Return a SQL expression, refusing one that looks at other rows than its own.

    Examples:
        >>> row_sql("quantity * round(unit_price, 1)")
        'quantity * round(unit_price, 1)'
    """
    bare = _TEXTS_AND_COMMENTS.sub(lambda match: "''" if match[0][0] == "'" else " ", text)
    clauses = [match[1].upper() for match in _CLAUSES.finditer(bare) if match[1]]
    calls = [(match[1] or match[2]).lower() for match in _CALLS.finditer(bare)]
    others = [f"{name}(…)" for name in calls if name in _OTHER_ROWS]
    unknown = [name for name in calls if name not in ROW_FUNCTIONS | _KEYWORDS]
    if clauses or others:
        what = (others or clauses)[0]
        _refuse(f"{what} looks at other rows, which may be of the future. Compute it in the source.")
    if unknown:
        hint = did_you_mean(unknown[0], ROW_FUNCTIONS, otherwise=4)
        if unknown[0] in _PARTS:
            hint = f"write extract({unknown[0]} from …)"
        _refuse(sentences(f"{unknown[0]}(…) is not known to do so", hint))
    return text


def _refuse(reason: str) -> None:
    raise PydanticCustomError("row_sql", "an expression sees one row at a time: {found}", {"found": reason})
