"""What is wrong with a SQL expression, in the words of the one who typed it."""

import re
from collections.abc import Mapping

import polars as pl

from mlc.errors import did_you_mean

_NOT_SUPPORTED = re.compile(r"operator (\w+) is not currently supported")
_UNREADABLE = re.compile(r"unable to parse '|found unexpected token|sql parser error|array element")
_MISSING = re.compile(r'unable to find column "([^"]+)"')
_OPERATORS = re.compile(r"<<|>>|&&|\|\||\*\*|@>|<@|->>|->|::|[\^!~&|](?!=)")
_INSTEAD = {
    "&&": "write AND",
    "||": "write OR, or concat(…) for text",
    "&": "write AND",
    "|": "write OR",
    "!": "write NOT",
    "^": "write pow(a, b)",
    "**": "write pow(a, b)",
    "<<": "write a * pow(2, b)",
    ">>": "write a / pow(2, b)",
}
_BRACKETS = re.compile(r"\[(\w+)\]")


def said_of(error: Exception, expression: str, columns: Mapping[str, pl.DataType]) -> str:
    """What Polars says of an expression, and what to write instead.

    Args:
        error: What it raised.
        expression: As it is written in the scenario.
        columns: The columns that it may name.
    """
    message = str(error).strip()
    first = message.splitlines()[0] if message else type(error).__name__
    if missing := _MISSING.match(message):
        return _missing(missing[1], expression, columns)
    if "cannot compare 'date/datetime/time' to a string" in message:
        moment = re.search(r"'([0-9]{4}-[0-9]{2}-[0-9]{2})([ T][0-9:.]+)?'", expression)
        if moment is None:
            return "it compares a date with text; write date('2024-03-31')"
        kind = "timestamp" if moment[2] else "date"
        return f"it compares a date with text; write {kind}({moment[0].replace('T', ' ')})"
    if re.match(r"cannot compare string with numeric type", message):
        return "it compares a number with text; write numbers without quotes, text in single quotes"
    if match := re.match(r"filter predicate must be of type `Boolean`, got `(.+?)`", message):
        used = _operator(expression)
        return f"it gives {_kind(match[1])}, not true or false{f'; {used}' if used else ''}"
    if match := re.match(r"expected String type, got: (\w+)", message):
        return f"it treats {_kind(match[1])} as text"
    if _NOT_SUPPORTED.search(message) or _UNREADABLE.search(message):
        return _unreadable(expression, first)
    return _operator(expression) or first


def _kind(dtype: str) -> str:
    return "text" if dtype.startswith("Str") else "a number" if re.match(r"[IUFiuf]\w*\d", dtype) else dtype


def _missing(name: str, expression: str, columns: Mapping[str, pl.DataType]) -> str:
    """Return advice on a name that is no column.

    It is misspelt, of a joined table, or text in the wrong quotes.
    """
    joined = sorted(column for column in columns if column.rpartition(".")[2] == name and column != name)
    if joined:
        return f"there is no column {name}, did you mean {joined[0]}?"
    hint = did_you_mean(name, columns)
    if f'"{name}"' in expression and not hint.startswith("did you mean"):
        return f"there is no column {name}; write text in single quotes: '{name}'"
    return f"there is no column {name}, {hint}"


def _operator(expression: str) -> str:
    bare = re.sub(r"'[^']*'|\"[^\"]*\"", "", expression)
    used = _OPERATORS.search(bare)
    return f"{used[0]} is not read here; {_INSTEAD[used[0]]}" if used and used[0] in _INSTEAD else ""


def _unreadable(expression: str, first: str) -> str:
    bare = re.sub(r"'[^']*'|\"[^\"]*\"", "", expression)
    if used := _OPERATORS.search(bare):
        instead = _INSTEAD.get(used[0], "leave it out")
        return f"{used[0]} is not read here; {instead}"
    if re.search(r"\bin \[", bare, re.IGNORECASE):
        return "write in (…) with round brackets"
    if comma := re.search(r"\b([0-9]+),([0-9]+)\b", bare):
        return f"write decimals with a point: {comma[1]}.{comma[2]}"
    if bracket := _BRACKETS.search(bare):
        return f'names stand without brackets; write {bracket[1]}, or "…" around a name with spaces'
    if ";" in bare:
        return "leave the ; out"
    if "unable to parse" in first:
        first = "it cannot be read as SQL"
    return f"{first}; write names with spaces in double quotes, text in single quotes"
