"""What the fields of a scenario are made of.

Text, paths, days, moments, and short forms of families.
"""

import os
import re
from datetime import UTC, date, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError


class Section(BaseModel):
    """A mapping of the scenario file.

    Unknown keys and values of the wrong type are errors.
    """

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        use_attribute_docstrings=True,
        validate_default=True,
        allow_inf_nan=False,
    )


def kind_from_text(value: object) -> object:
    """`exists` is short for `{kind: exists}`."""
    return {"kind": value} if isinstance(value, str) else value


def expand_environment(path: str) -> str:
    """Replace `${NAME}` by the environment variable of that name."""

    def replace(match: re.Match[str]) -> str:
        value = os.environ.get(match[1])
        if value is None:
            raise PydanticCustomError(
                "environment",
                "the environment variable {name} is not set. Export {name}=….",
                {"name": match[1]},
            )
        return value

    return re.sub(r"\$\{(\w+)\}", replace, path)


ADDRESSES: set[str] = set()
"""The addresses of databases and cloud files that were read, `${NAME}` as it is written."""


_LONGEST_PART = 255  # bytes of a file's or folder's name: what the file systems in use allow


def _file_path(text: str) -> str:
    """Check a path as its variables are now; they stay in it as they are written."""
    expanded = expand_environment(text)
    if "\0" in expanded:
        raise PydanticCustomError("path", "must have no NUL character")
    if max(len(os.fsencode(part)) for part in expanded.split("/")) > _LONGEST_PART:
        raise PydanticCustomError("path", f"must have at most {_LONGEST_PART} bytes between two slashes")
    if "://" in text:
        ADDRESSES.add(text)
    return expanded if "://" in expanded and "://" not in text else text


def _list_from_text(value: object) -> object:
    return [value] if isinstance(value, str) else value


def distinct(names: list[str]) -> list[str]:
    """Refuse a list that names one thing twice."""
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise PydanticCustomError(
            "twice",
            "{twice} is there twice. Remove one.",
            {"twice": ", ".join(twice)},
        )
    return names


MOMENT_PATTERN = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?( ?(Z|[-+][0-9]{2}:[0-9]{2}))?)?"
)
"""A date, or a date with a time and perhaps a zone, by ISO 8601."""


def read_moment(text: str) -> date | datetime:
    """The date or datetime that a text of `MOMENT_PATTERN` stands for.

    Raises:
        ValueError: There is no such day or time.
    """
    if len(text) == len("2024-03-31"):
        return date.fromisoformat(text)
    return datetime.fromisoformat(text.upper().replace(" ", "T", 1).replace(" ", ""))


def as_moment(value: date | datetime) -> datetime:
    """A date is its midnight, without a zone; a moment with a zone is turned into UTC.

    Examples:
        >>> as_moment(date(2024, 3, 31))
        datetime.datetime(2024, 3, 31, 0, 0)
    """
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day)
    return value if value.tzinfo is None else value.astimezone(UTC)


FIRST_YEAR, LAST_YEAR = 1000, 8999
"""Centuries away from both ends of the calendar: windows before and after a moment must be dates too."""


def _moment(value: object) -> datetime:
    try:
        if isinstance(value, str) and re.fullmatch(MOMENT_PATTERN, value):
            value = read_moment(value)
        if isinstance(value, date) and FIRST_YEAR <= value.year <= LAST_YEAR:
            return as_moment(value)
    except (ValueError, OverflowError):
        pass  # no such day: the same message as for anything else that is not a date
    if isinstance(value, date):
        raise PydanticCustomError("moment", "must be a date in the years 1000 to 8999")
    raise PydanticCustomError("moment", "must be a date such as 2024-03-31 or 2024-03-31T18:00:00")


MEMORY_PATTERN = r"[1-9][0-9]*(\.[0-9]+)? ?[kMGT]B"
"""A size of memory, such as `8GB`."""


def memory_bytes(text: str) -> int:
    """How many bytes a text of `MEMORY_PATTERN` stands for.

    Examples:
        >>> memory_bytes("1.5GB")
        1500000000
    """
    return int(float(text[:-2]) * 1000 ** (" kMGT".index(text[-2])))


def _memory_size(text: str) -> str:
    if re.fullmatch(MEMORY_PATTERN, text):
        return text
    raise PydanticCustomError("memory_size", "must be a size of memory such as 8GB or 500MB")


_LONGEST_NAME = 200
"""Characters: file systems allow 255, and a suffix is added to some names."""


def _run_name(name: str) -> str:
    """Return a run's name, refusing one that means something else in the runs folder."""
    lower, reason = name.lower(), None
    if lower == "store":
        reason = f"{name} is the folder of the event stores"
    elif lower.endswith(".previous"):
        reason = "a name that ends in .previous is that of a former run"
    elif len(name) > _LONGEST_NAME:
        reason = f"a name of {len(name)} characters is too long for a folder"
    if reason:
        raise PydanticCustomError("name", "{reason}. Choose another name.", {"reason": reason})
    return name


RunName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$"), AfterValidator(_run_name)]
Text = Annotated[str, Field(min_length=1)]
FilePath = Annotated[str, Field(min_length=1), AfterValidator(_file_path)]
Days = Annotated[int, Field(ge=1, le=36_500)]  # a century; more would overflow dates
MOST_WINDOWS = 100
"""Lengths of windows in one list."""
Count = Annotated[int, Field(ge=1, le=10**9)]
"""How many of something: more than a billion is a slip, and more than 2**63 no table can hold."""
Factor = Annotated[float, Field(ge=1e-6, le=1e6)]
"""A weight, rate or ratio whose square still fits into a 32-bit float."""
LearningRate = Annotated[float, Field(ge=1e-9, le=1.0)]
WeightDecay = Annotated[float, Field(ge=0.0, le=1.0)]
Exponent = Annotated[float, Field(ge=0.0, le=100.0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
MemorySize = Annotated[
    str, AfterValidator(_memory_size), Field(json_schema_extra={"pattern": f"^{MEMORY_PATTERN}$"})
]
_MomentText = Annotated[str, Field(pattern=f"^{MOMENT_PATTERN}$")]
Moment = Annotated[datetime, BeforeValidator(_moment, json_schema_input_type=_MomentText)]
OneOrMany = Annotated[
    list[Text],
    BeforeValidator(
        _list_from_text, json_schema_input_type=Text | Annotated[list[Text], Field(min_length=1)]
    ),
    AfterValidator(distinct),
    Field(min_length=1),
]
