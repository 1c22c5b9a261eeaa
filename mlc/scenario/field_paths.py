"""The fields of a scenario by their dotted paths, and the types they may have."""

import types
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Annotated, Union, get_args, get_origin

from pydantic import BaseModel

from mlc.scenario.parsing.origin import Keys
from mlc.scenario.scenario import Scenario

_FREE = {"tables": "<table>", "class_names": "<label>", "per_label": "<label>", "encoders": "<column>"}


@cache
def paths_of(kind: type[Scenario]) -> list[tuple[str, ...]]:
    """Return every field of a kind of scenario with its sections."""
    return list(dict.fromkeys(_paths(kind)))


def free(keys: Keys) -> Keys:
    """Put what stands for any name in the place of the free names of a location."""
    before = ("", *map(str, keys))
    return tuple(_FREE.get(above, key) for above, key in zip(before, keys, strict=False))


def bare(shape: object) -> object:
    """Return a type without what annotates it."""
    return get_args(shape)[0] if get_origin(shape) is Annotated else shape


def members(shape: object) -> Sequence[object]:
    """Return the members of a union, or the type itself."""
    shape = bare(shape)
    return get_args(shape) if get_origin(shape) in (Union, types.UnionType) else (shape,)


def _paths(model: type[BaseModel], keys: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield every field of a scenario with its sections, `…` for a free name."""
    for name, field in model.model_fields.items():
        if name != "kind":
            yield (*keys, name)
            yield from _paths_below(field.annotation, (*keys, name))


def _paths_below(shape: object, keys: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for member in members(shape):
        inner = bare(member)
        if get_origin(inner) in (dict, list):
            name = _FREE.get(keys[-1], "…")
            yield from _paths_below(get_args(inner)[-1], (*keys, name) if get_origin(inner) is dict else keys)
        elif get_origin(inner) in (Union, types.UnionType):
            yield from _paths_below(inner, keys)
        elif isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _paths(inner, keys)
