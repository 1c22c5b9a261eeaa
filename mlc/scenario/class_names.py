"""The names of labels, and the values that each stands for."""

import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from mlc.scenario.fields import OneOrMany, Section, Text

MOST_LABELS = 60_000
"""Labels are numbered with 16 bits."""


def _visible(text: str) -> str:
    if not any(letter.isprintable() and not letter.isspace() for letter in text):
        raise PydanticCustomError("blank", "must have a visible character: empty and blank text is no label")
    return text


LabelName = Annotated[str, AfterValidator(_visible), Field(json_schema_extra={"minLength": 1})]
"""The name of a label, or a value of the column that it stands for."""


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise PydanticCustomError(
            "pattern", "this is no regular expression: {found}", {"found": str(error)}
        ) from None
    return text


class LabelValues(Section):
    """One label with several values."""

    values: OneOrMany | None = None
    """The values of the column that count as this label."""
    pattern: Annotated[Text, AfterValidator(_pattern)] | None = None
    """A regular expression; values that contain a match count: `^Dress` (Python's syntax)."""

    @model_validator(mode="after")
    def _means_something(self) -> "LabelValues":
        if self.values is None and self.pattern is None:
            raise PydanticCustomError("empty_label", "no values and no pattern. Add one of them.")
        return self


def _label_short_form(value: object) -> object:
    if value is None:
        raise PydanticCustomError("label", "must be a value or a list of values, not null. Quote it.")
    return value if isinstance(value, dict | LabelValues) else {"values": value}


def label_short_form(long_form: Any) -> BeforeValidator:
    """Return what reads `Dress` and `[Dress, Skirt]` as a label with these values."""
    forms = Text | Annotated[list[Text], Field(min_length=1)] | long_form
    return BeforeValidator(_label_short_form, json_schema_input_type=forms)


def class_names_shape(words: Iterable[str]) -> Callable[[object], str | None]:
    """Return what tells which form of `class_names` is meant.

    The forms are `list`, `top` and `groups`. A label may be called `top`, its values are then texts.

    Args:
        words: The fields of the form that takes the most frequent values.
    """

    def shape(value: object) -> str | None:
        if isinstance(value, list):
            return "list"
        if isinstance(value, Section):
            return "top"
        if not isinstance(value, dict):
            return None
        for word in words:
            given = value.get(word, [])
            if not isinstance(given, list | dict | LabelValues) and not (
                isinstance(given, str) and not given.isdigit()
            ):
                return "top"  # a quoted number too: to take it for the value of a label would hide a slip
        return "groups"

    return shape
