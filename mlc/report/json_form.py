"""Dataclasses as JSON: written, read back, and described by a schema."""

import re
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import Field, fields, is_dataclass
from functools import cache
from textwrap import dedent
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

Json = dict[str, Any]
T = TypeVar("T")

_KEY, _ABSENT = "json_key", "absent_without"
_SIMPLE: Mapping[object, Json] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer", "minimum": 0},
    float: {"type": "number"},
}


def key(name: str) -> dict[str, str]:
    """Return the metadata of a field whose key in JSON is not its name."""
    return {_KEY: name}


def absent_without(name: str) -> dict[str, str]:
    """Return metadata that drops a field from JSON if the field `name` is None."""
    return {_ABSENT: name}


def to_json(value: object) -> Any:
    """Return dataclasses, mappings and sequences as `json.loads` would give them.

    Examples:
        >>> from mlc.evaluation.metrics import Difference
        >>> to_json([Difference(0.1, None, None, 2)])
        [{'value': 0.1, 'low': None, 'high': None, 'labels': 2}]
    """
    if is_dataclass(value):
        return {_key(one): to_json(getattr(value, one.name)) for one in fields(value) if _present(value, one)}
    if isinstance(value, Mapping):
        return {key: to_json(one) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [to_json(one) for one in value]
    return value


def from_json(kind: type[T], stored: object) -> T:
    """Return what `to_json` made of a value of the type `kind`.

    Raises:
        KeyError: A key is missing.
        TypeError: An object or a list is expected, and something else is there.

    Examples:
        >>> from mlc.evaluation.metrics import Difference
        >>> from_json(Difference, {"value": 0.1, "low": None, "high": None, "labels": 2})
        Difference(value=0.1, low=None, high=None, labels=2)
    """
    read: T = _read(kind, stored)
    return read


def schema_of(kind: type) -> Json:
    """Return the JSON schema of a dataclass, described by its docstring.

    Examples:
        >>> from mlc.evaluation.metrics import Difference
        >>> schema_of(Difference)["properties"]["labels"]
        {'type': 'integer', 'minimum': 0, 'description': 'How many labels value and interval are over.'}
    """
    hints, sentences = _hints(kind), _sentences(kind)
    properties = {
        _key(one): _described(hints[one.name])
        | ({"description": sentences[one.name]} if one.name in sentences else {})
        for one in fields(kind)
    }
    return _object(properties, [_key(one) for one in fields(kind) if _ABSENT not in one.metadata])


def _key(one: "Field[Any]") -> str:
    return str(one.metadata.get(_KEY, one.name))


def _present(value: object, one: "Field[Any]") -> bool:
    return _ABSENT not in one.metadata or getattr(value, one.metadata[_ABSENT]) is not None


@cache
def _hints(kind: type) -> Mapping[str, Any]:
    return get_type_hints(kind)


def _read(kind: Any, stored: Any) -> Any:
    if is_dataclass(kind):
        hints = _hints(kind)  # type: ignore[arg-type]  # mypy takes what is a dataclass for an instance
        return kind(  # type: ignore[operator]
            **{
                one.name: _read(hints[one.name], stored[_key(one)])
                for one in fields(kind)
                if _ABSENT not in one.metadata or _key(one) in stored
            }
        )
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (types.UnionType, Union) and stored is not None:
        [inner] = [one for one in arguments if one is not types.NoneType] if len(arguments) == 2 else [object]
        return _read(inner, stored)
    if origin is dict and stored is not None:
        return {key: _read(arguments[1], one) for key, one in stored.items()}
    if origin is Sequence and stored is not None:
        return [_read(arguments[0], one) for one in stored]
    return tuple(stored) if origin is tuple and stored is not None else stored


# ── the schema ──────────────────────────────────────────────────────────────────────────────────


def _described(hint: Any) -> Json:
    if hint in _SIMPLE:
        return dict(_SIMPLE[hint])
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return {"const": arguments[0]} if len(arguments) == 1 else {"enum": list(arguments)}
    if origin in (types.UnionType, Union):
        return _any_of(arguments)
    if origin is Sequence:
        return {"type": "array", "items": _described(arguments[0])}
    if origin is tuple:
        return {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
    if origin is dict and arguments[1] is object:
        return {"type": "object"}
    if origin is dict:
        one = _described(arguments[1])
        if get_origin(arguments[0]) is Literal:
            return _object(dict.fromkeys(get_args(arguments[0]), one))
        return {"type": "object", "additionalProperties": one}
    return schema_of(hint)


def _any_of(arguments: Iterable[Any]) -> Json:
    kinds = [{"type": "null"} if one is types.NoneType else _described(one) for one in arguments]
    [*others, last] = kinds
    if len(others) == 1 and others[0].keys() == {"type"} == last.keys():
        return {"type": [others[0]["type"], last["type"]]}
    return {"anyOf": kinds}


def _object(properties: Json, required: Iterable[str] | None = None) -> Json:
    needed = list(properties if required is None else required)
    return {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}


def _sentences(kind: type) -> dict[str, str]:
    """Return the texts on the attributes of a dataclass and those it extends."""
    sentences: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        text = dedent((one.__doc__ or "").partition("Attributes:\n")[2]).strip()
        entries = re.findall(r"^(\w+): (.*(?:\n +.*)*)", text, re.MULTILINE)
        sentences |= {name: " ".join(sentence.split()) for name, sentence in entries}
    return sentences
