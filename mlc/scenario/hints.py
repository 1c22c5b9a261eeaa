"""What a wrong value probably meant, and what to write instead.

Advice for messages about a scenario.
"""

import re

_DURATION = re.compile(r"([0-9]+) ?(d|days?|w|weeks?|mo|months?|y|years?|h|hours?)", re.IGNORECASE)
_DAYS = {"d": 1, "w": 7, "m": 30, "y": 365}
_PERCENT = re.compile(r"([0-9]+(?:[.,][0-9]+)?) ?%")
_DAY_FIRST = re.compile(r"([0-9]{1,2})[./]([0-9]{1,2})[./]([0-9]{4})")
_YEAR_FIRST = re.compile(r"([0-9]{4})[./]?([0-9]{2})[./]?([0-9]{2})")
_TRUE, _FALSE = ("yes", "on", "y", "1", "true"), ("no", "off", "n", "0", "false")
_BY_FIELD = {
    "window": "for days, use window_days",
    "foundation": "write the name of a run, or auto",
    "format": "write csv, parquet, …, or a mapping with kind",
}


def hint(kind: str, given: object, field: str, *, share: bool = False) -> str:
    """What to write instead of a value that a field does not take.

    It is empty where nobody knows.

    Args:
        kind: What Pydantic found, such as `int_type`.
        given: The value.
        field: Name of the field.
        share: Whether the field is a share from 0 to 1.

    Examples:
        >>> hint("int_type", "3 weeks", "window_days")
        'write 21'
        >>> hint("float_type", "80%", "precision", share=True)
        'write 0.8'
    """
    if field in _BY_FIELD and kind in ("literal_error", "string_type", "model_type", "model_attributes_type"):
        return _BY_FIELD[field]
    match kind:
        case "bool_type":
            return _boolean(given)
        case "int_type" | "float_type" | "int_from_float":
            return _number(kind, given)
        case "less_than_equal" | "less_than" if (
            share and isinstance(given, int | float) and 2 <= given <= 100
        ):
            return f"write {given / 100:g} for {given:g} %"
        case "string_type":
            if isinstance(given, list) and len(given) == 1:
                return f"write it without brackets: {given[0]}"
            return (
                ""
                if isinstance(given, dict | list)
                else "quote it, or remove it"
                if given is None
                else "quote it"
            )
        case "class_names" if isinstance(given, str):
            return f"write [{str(given).strip('[]')}]"
        case "list_type" if given is not None and not isinstance(given, dict):
            return f"write [{str(given).strip('[]')}]"
        case "moment":
            return _moment(given)
        case "model_type" | "model_attributes_type" | "dict_type" if isinstance(given, str):
            glued = re.match(r"([A-Za-z_][\w.-]*):(\S.*)", given)
            return f"put a space after the colon: {glued[1]}: {glued[2]}" if glued else ""
        case _:
            return ""


def _boolean(given: object) -> str:
    text = str(given).lower()
    return "write true" if text in _TRUE else "write false" if text in _FALSE else ""


def _number(kind: str, given: object) -> str:
    """Read numbers in quotes, durations, percentages, decimal commas, thousands."""
    if isinstance(given, list) and len(given) == 1:
        return f"write it without brackets: {given[0]}"
    if not isinstance(given, str):
        return ""
    text = given.strip()
    if duration := _DURATION.fullmatch(text):
        hours = duration[2].lower().startswith("h")
        return "" if hours else f"write {int(duration[1]) * _DAYS[duration[2][0].lower()]}"
    if kind == "float_type" and (percent := _PERCENT.fullmatch(text)):
        return f"write {float(percent[1].replace(',', '.')) / 100:g}"
    if re.fullmatch(r"[0-9]{1,3}([_,' ][0-9]{3})+", text):
        return f"write {re.sub('[^0-9]', '', text)}"
    if kind == "float_type" and re.fullmatch(r"[0-9]+,[0-9]+", text):
        return f"write {text.replace(',', '.')}"
    return "remove the quotes" if _is_number(text) else ""


def _is_number(text: str) -> bool:
    try:
        return bool(float(text) + 1)
    except ValueError:
        return False


def _moment(given: object) -> str:
    text = str(given).strip()
    if day := _DAY_FIRST.fullmatch(text):
        first, second, year = day.groups()
        month, number = (second, first) if "." in text or int(second) <= 12 < int(first) else (first, second)
        if int(first) <= 12 and int(second) <= 12 and "/" in text:
            either = f"{year}-{int(first):02}-{int(second):02} or {year}-{int(second):02}-{int(first):02}"
            return f"write year, month and day: {either}"
        return f"write {year}-{int(month):02}-{int(number):02}"
    if year_first := _YEAR_FIRST.fullmatch(text):
        return f"write {'-'.join(year_first.groups())}"
    return ""
