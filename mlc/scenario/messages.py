"""Pydantic's findings in plain words: the rule, the value, what to do."""

import re
import types
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError
from pydantic_core import ErrorDetails

from mlc.errors import Problem, did_you_mean, sentences
from mlc.errors.names import nearest, similarity, synonym_of
from mlc.scenario.events.scenario import EventScenario
from mlc.scenario.field_paths import bare, free, members, paths_of
from mlc.scenario.hints import hint
from mlc.scenario.parsing.origin import Keys, Origin, dotted
from mlc.scenario.rows.scenario import RowScenario
from mlc.scenario.scenario import Scenario
from mlc.scenario.thresholds import Thresholds

_NUMBER_RULES = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("greater than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}
_SURE = 0.8
"""How alike a field here must be, to be preferred to another tool's name for one elsewhere."""
_KIND_RULES = {
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "string_pattern_mismatch": "must be letters, digits, '.', '_' or '-', and begin with a letter or digit",
}


@dataclass(frozen=True)
class _Given:
    """What a scenario was made of.

    Attributes:
        kind: The class that it should be.
        value: What the file holds.
    """

    kind: type[Scenario]
    value: object


def translate(
    error: ValidationError, kind: type[Scenario], value: object, origin: Origin
) -> Iterator[Problem]:
    """Pydantic's findings as problems with the fields and lines of the file.

    Args:
        error: What Pydantic found.
        kind: The class that the scenario should be.
        value: What it was given.
        origin: Where that was written.
    """
    whole = _Given(kind, value)
    for item in error.errors(include_url=False):
        keys, _ = _walk(item["loc"], whole)
        if item["type"] == "missing" or (item["type"] == "table" and keys[-1:] != item["loc"][-1:]):
            keys = (*keys, item["loc"][-1])
        yield Problem(_rule(item, whole), dotted(keys), origin.place(keys))


def shown(value: object) -> str:
    """A value as it is written in YAML, short enough for one line."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case datetime():
            return value.isoformat(" ")
        case date():
            return value.isoformat()
        case dict() | BaseModel():
            return "a mapping"
        case list():
            return "a list" if value else "an empty list"
        case str():
            text = repr(value)
        case _:
            text = str(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _rule(item: ErrorDetails, whole: _Given) -> str:
    kind, context, given = item["type"], item.get("ctx", {}), item["input"]
    field = next((str(step) for step in reversed(item["loc"]) if isinstance(step, str)), "")
    advice = hint(
        kind, given, field, share=kind in _NUMBER_RULES and context.get(_NUMBER_RULES[kind][1]) == 1
    )
    match kind:
        case "extra_forbidden":
            return _unknown_field(whole.kind, str(item["loc"][-1]), *_walk(item["loc"][:-1], whole))
        case "missing":
            return "this field is required"
        case "union_tag_not_found":
            return _without_kind(given, _tags(_walk(item["loc"], whole)[1]))
        case "union_tag_invalid":
            known = _tags(_walk(item["loc"], whole)[1])
            return f"unknown kind {context['tag']}, {did_you_mean(str(context['tag']), known)}"
        case "string_type":
            return sentences(f"must be text, not {shown(given)}", advice)
        case "string_too_short" | "too_short":
            return "must not be empty"
        case "string_too_long":
            return f"must be {context['max_length']} character long, not {shown(given)}"
        case "literal_error":
            words = context["expected"].replace(chr(39), "")
            return sentences(f"must be {words}, not {shown(given)}", advice or _near_word(given, context))
        case _ if item["msg"].endswith((".", "?")):  # whole sentences of our own
            return item["msg"]
        case _ if kind in _NUMBER_RULES:
            words, bound = _NUMBER_RULES[kind]
            return sentences(f"must be {words} {_figure(context[bound])}, not {shown(given)}", advice)
        case _:
            return sentences(f"{_KIND_RULES.get(kind, item['msg'])}, not {shown(given)}", advice)


def _figure(bound: float) -> str:
    """A bound as one would type it: 4294967296, 1e-09, 0.5."""
    return str(int(bound)) if float(bound).is_integer() else f"{bound:g}"


def _near_word(given: object, context: dict[str, Any]) -> str:
    """The nearest of the words that a field takes."""
    near = nearest(str(given), re.findall(r"'([^']+)'", context["expected"]))
    return f"did you mean {near[0]}?" if len(near) == 1 else ""


def _without_kind(given: object, known: Sequence[str]) -> str:
    """Return the problem of a family without `kind`: an unknown short form, or none."""
    if isinstance(given, dict) and len(given) == 1:
        (name,) = map(str, given)
        hint_ = did_you_mean(name, known)
        if hint_.startswith("did you mean"):
            return f"unknown kind {name}, {hint_}"
    return f"kind is missing. Add kind: {' or '.join(known)}."


def _unknown_field(kind: type[Scenario], name: str, keys: Keys, shape: object) -> str:
    """What is near the name here, or where else in a scenario there is such a field."""
    other, about, reason = _OTHER[kind]
    path = (*free(keys), name)
    if path in paths_of(other) and path not in paths_of(kind):  # no member of a family here has it
        return f"{name} belongs to a target on {about}: {reason}. Remove it."
    if shape is Thresholds:
        return "unknown field; where default or per_label is written, labels stand below per_label"
    known = [field for model in _models(shape) for field in model.model_fields]
    glued = re.fullmatch(r"([\w-]+):(.+)", name)
    if glued and glued[1] in known:
        return f"unknown field; put a space after the colon: {glued[1]}: {glued[2]}"
    here = synonym_of(name, known)
    if here is None and (elsewhere := _elsewhere(kind, name, keys)):
        return f"unknown field; it belongs to {elsewhere}"
    near = [here] if here else nearest(name, known)
    if here is None and max((similarity(name, one) for one in near), default=0.0) < _SURE:
        every = sorted({path[-1] for path in paths_of(kind)})
        meant = synonym_of(name, every) or next(
            (one for one in nearest(name, every) if similarity(name, one) >= _SURE), None
        )
        if meant is not None and (elsewhere := _elsewhere(kind, meant, keys)):
            return f"unknown field, did you mean {meant}? It belongs to {elsewhere}"
    return f"unknown field, {did_you_mean(name, near or known)}"


def _elsewhere(kind: type[Scenario], name: str, keys: Keys) -> str:
    """The sections that have a field of this name, those near `keys` first.

    It is empty where none has.
    """
    owners = [path[:-1] for path in paths_of(kind) if path[-1] == name and path[:-1] != keys]
    if not owners:
        return ""

    def distance(owner: tuple[str, ...]) -> tuple[int, int]:
        shared = next((i for i, (a, b) in enumerate(zip(owner, keys, strict=False)) if a != b), None)
        shared = min(len(owner), len(keys)) if shared is None else shared
        return -shared, len(owner)

    best = min(owners, key=distance)
    return ".".join(best) if best else "the top of the file"


# ── where in the models a finding is ────────────────────────────────────────────────────────────


def _walk(location: Iterable[str | int], whole: _Given) -> tuple[Keys, object]:
    """Follow a location through the models and the file at once.

    Pydantic's locations hold tags of unions, and fields that a short form does not spell out. Neither is
    in the file; only the models tell a tag from a label of the same name.

    Returns:
        The part of the location that is in the file, and the type that stands at its end.
    """
    keys: list[str | int] = []
    shape: object = whole.kind
    value = whole.value
    for step in location:
        shape = _without_none(shape)
        if get_origin(shape) in (Union, types.UnionType):
            shape = next((member for member in members(shape) if _tag(member) == step), None)
            continue
        if isinstance(shape, type) and issubclass(shape, BaseModel):
            field = shape.model_fields.get(str(step))
            shape = field.annotation if field else None
        elif get_origin(shape) in (dict, list):
            shape = get_args(shape)[-1]
        below = dict(enumerate(value)) if isinstance(value, list) else value
        if isinstance(below, dict) and step in below:
            keys.append(step)
            value = below[step]
    return tuple(keys), _without_none(shape)


def _without_none(shape: object) -> object:
    """The type itself where it is optional; unions of several stay."""
    real = [member for member in members(shape) if member is not type(None)]
    return _without_none(real[0]) if len(real) == 1 and bare(real[0]) is not shape else bare(shape)


def _tag(shape: object) -> str | None:
    """What tells a member of a union: its `Tag`, or the value of its field `kind`."""
    for mark in getattr(shape, "__metadata__", ()):
        if isinstance(mark, Tag):
            return mark.tag
    shape = bare(shape)
    if isinstance(shape, type) and issubclass(shape, BaseModel) and "kind" in shape.model_fields:
        annotation = shape.model_fields["kind"].annotation
        if get_origin(annotation) is Literal:
            return str(get_args(annotation)[0])
    return None


def _tags(shape: object) -> list[str]:
    return [tag for member in members(shape) if (tag := _tag(member))]


def _models(shape: object) -> list[type[BaseModel]]:
    shapes = (bare(member) for member in members(_without_none(shape)))
    return [member for member in shapes if isinstance(member, type) and issubclass(member, BaseModel)]


_OTHER: dict[type[Scenario], tuple[type[Scenario], str, str]] = {
    EventScenario: (RowScenario, "rows", "target.table is a table of events"),
    RowScenario: (EventScenario, "events", "target.table is of kind rows, and a row has no cutoff"),
}
