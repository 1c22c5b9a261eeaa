"""Every field of a scenario, found by walking its models, and extreme values for each."""

import copy
import types
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import numpy as np
import polars as pl
import yaml
from pydantic import BaseModel

from mlc.scenario import EventScenario

Keys = tuple[str | int, ...]

BASE: dict[str, Any] = {
    "name": "tiny",
    "data": {
        "entity": "customer",
        "tables": {
            "sales": {
                "kind": "events",
                "path": "sales.csv",
                "time": "at",
                "joins": {"items": "item"},
                "encoders": {"price": "number", "shop": "category"},
            },
            "items": {"kind": "dimension", "path": "items.csv", "key": "item"},
            "customers": {"kind": "entities", "path": "customers.csv", "key": "customer"},
        },
    },
    "target": {
        "table": "sales",
        "column": "items.kind",
        "class_names": ["Dress", "Skirt"],
        "window_days": 7,
        "allow_empty": True,
    },
    "examples": {"train_cutoffs": 3},
    "model": {"preset": "nano", "memory": True},
    "train": {"epochs": 1, "batch_size": 64, "accelerator": "cpu"},
    "pretrain": {"epochs": 1, "preset": "nano", "horizons_days": [7], "cutoffs_per_entity": 1},
    "baselines": ["recency"],
}
"""A scenario that trains in about a second."""

REQUIRED: dict[str, Any] = {
    "path": "sales.csv",
    "time": "at",
    "key": "customer",
    "uri": "sqlite:///none.db",
    "query": "SELECT 1",
    "table": "sales",
    "column": "items.kind",
    "class_names": ["Dress", "Skirt"],
    "times": 1,
    "amount": 1.0,
    "active_within_days": 7,
    "top": 2,
    "foundation_learning_rate": 1e-3,
    "value": 0.5,
    "beta": 1.0,
    "precision": 0.5,
    "recall": 0.5,
    "n": 2,
    "k": 1,
    "false_positive": 1.0,
    "false_negative": 1.0,
    "name": "MultilabelHammingDistance",
    "entity": "customer",
    "tables": {},
    "data": {},
    "target": {},
}
"""A value for each field that a model requires; a new one needs a new line here."""

NAMES: dict[str, str] = {
    **dict.fromkeys(("class_names", "per_label", "value", "label_weights", "pos_weight"), "Dress"),
    **dict.fromkeys(("types", "encoders"), "price"),
    "computed": "spend",
    "joins": "items",
    "options": "threshold",
}
"""The name that stands below a mapping whose names are free."""

TABLES = {"events": "sales", "dimension": "items", "entities": "customers"}

NUMBERS: list[Any] = [
    *(0, -0.0, 1, -1, 2, 0.5, 1.0, 1.5, 5e-324, 1e-30, 1e-9, 1e-3, 0.999999, 10, 80, 1000, 100_000),
    *(10**6, 10**7, 10**9, 2**31, 2**32, 2**53, 2**63, 2**64, 2**200, 1e9, 1e18, 1e38, 1e39, 1e308),
    *(float("nan"), float("inf"), float("-inf"), True, False, "80%", "1", "x", None, [1], {"a": 1}),
]
MOMENTS: list[Any] = [
    *(date(1, 1, 1), date(9999, 12, 31), date(1677, 9, 21), date(2262, 4, 12), date(1970, 1, 1)),
    *(
        date(1000, 1, 1),
        date(9000, 12, 31),
        date(2024, 2, 20),
        date(2024, 3, 1),
        datetime(2024, 3, 1, 23, 59, 59, 999_999),
    ),
    *(
        "2024-03-01T00:00:00+14:00",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:00:00-14:00",
        20240301,
        True,
        "31.12.2024",
    ),
]
TEXTS: list[Any] = [
    "",
    " ",
    "x" * 10_000,
    "no such",
    "a\0b",
    "\ud83d\ude00",
    "../x",
    "'",
    5,
    None,
    True,
    ["x"],
    [],
]


@dataclass(frozen=True)
class Spot:
    """A field, or an item of it, and the sections that it needs around it.

    Attributes:
        keys: Where it is.
        values: Extreme values, and some of the wrong kind.
        around: Path of a section → what to put there first.
    """

    keys: Keys
    values: tuple[Any, ...]
    around: tuple[tuple[Keys, Any], ...]

    @property
    def name(self) -> str:
        """Dotted."""
        return ".".join(map(str, self.keys))

    def scenario(self, value: Any) -> dict[str, Any]:
        """A scenario with this value there."""
        result = copy.deepcopy(BASE)
        for keys, section in self.around:
            put(result, keys, copy.deepcopy(section))
        put(result, self.keys, value)
        return result


def put(value: Any, keys: Keys, new: Any) -> None:
    """Set what is below some keys."""
    for key, then in pairwise(keys):
        if not isinstance(
            value[key] if isinstance(key, int) else value.get(key), dict if isinstance(then, str) else list
        ):
            value[key] = {} if isinstance(then, str) else [{}]
        value = value[key]
    if isinstance(value, list):
        value[:] = [new]
    else:
        value[keys[-1]] = new


def spots() -> Iterator[Spot]:
    """Every field of every model that a scenario of events can hold."""
    for name, field in EventScenario.model_fields.items():
        yield from _walk(field.annotation, (name,), (), frozenset())


def _walk(
    shape: Any, keys: Keys, around: tuple[tuple[Keys, Any], ...], seen: frozenset[Any]
) -> Iterator[Spot]:
    origin, inner = get_origin(shape), get_args(shape)
    if origin is Annotated:
        yield from _walk(inner[0], keys, around, seen)
    elif origin in (Union, types.UnionType):
        for member in inner:
            yield from _walk(member, keys, around, seen)
    elif origin is list:
        item = next(iter(_walk(inner[0], keys, around, seen)))
        long = [[value] * 2000 for value in ("Dress", 7, date(2024, 3, 1))]
        yield Spot(keys, ([], *([value] for value in item.values), *long), around)
        model = get_args(inner[0])[0] if get_origin(inner[0]) is Annotated else inner[0]
        if isinstance(model, type) and issubclass(model, BaseModel):
            yield from _walk(model, (*keys, 0), (*around, (keys, [{}])), seen)
    elif origin is dict:
        yield Spot(keys, ({}, [], {"x": None}, {"": 1}, {"no such": 1}), around)
        if keys[-1] == "tables":
            for member in get_args(get_args(inner[1])[0]):
                kind = get_args(member.model_fields["kind"].annotation)[0]
                if kind in TABLES:  # others belong to rows
                    yield from _walk(member, (*keys, TABLES[kind]), around, seen)
        else:
            yield from _walk(inner[1], (*keys, NAMES[str(keys[-1])]), around, seen)
    elif origin is Literal:
        yield Spot(keys, (*inner, 0, None, "x", True), around)
    elif isinstance(shape, type) and issubclass(shape, BaseModel):
        yield from _fields(shape, keys, around, seen)
    elif shape in (int, float):
        yield Spot(keys, tuple(NUMBERS), around)
    elif shape is bool:
        yield Spot(keys, (True, False, 0, 1, "yes", None), around)
    elif shape is datetime:
        yield Spot(keys, tuple(MOMENTS), around)
    elif shape is str:
        yield Spot(keys, tuple(TEXTS), around)
    elif shape is not type(None):
        raise AssertionError(f"a kind of field that this test does not know: {keys}: {shape}")


def _fields(
    model: type[BaseModel], keys: Keys, around: tuple[tuple[Keys, Any], ...], seen: frozenset[Any]
) -> Iterator[Spot]:
    if model in seen:
        return
    section = {
        name: (get_args(field.annotation)[0] if name == "kind" else REQUIRED[name])
        for name, field in model.model_fields.items()
        if field.is_required() or name == "kind"
    }
    if _in(BASE, keys):
        kept = {key: value for key, value in _in(BASE, keys).items() if key in model.model_fields}
        section = {**section, **kept, **({"kind": section["kind"]} if "kind" in section else {})}
    for name, field in model.model_fields.items():
        if name != "kind":
            yield from _walk(field.annotation, (*keys, name), (*around, (keys, section)), seen | {model})


def _in(value: Any, keys: Keys) -> dict[str, Any]:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def write_tables(folder: Path) -> None:
    """Twenty customers who buy two kinds of things for three months."""
    rng = np.random.default_rng(7)
    rows = 300
    pl.DataFrame(
        {
            "customer": [f"c{row:02d}" for row in rng.integers(0, 20, rows)],
            "at": [date(2024, 1, 1) + timedelta(days=int(day)) for day in np.sort(rng.integers(0, 90, rows))],
            "item": rng.integers(0, 6, rows),
            "price": rng.uniform(1, 50, rows).round(2),
            "shop": [f"s{row}" for row in rng.integers(0, 3, rows)],
        }
    ).write_csv(folder / "sales.csv")
    pl.DataFrame({"item": range(6), "kind": ["Dress", "Skirt", "Hat"] * 2}).write_csv(folder / "items.csv")
    pl.DataFrame({"customer": [f"c{row:02d}" for row in range(20)], "region": ["N", "S"] * 10}).write_csv(
        folder / "customers.csv"
    )


def written(folder: Path, value: dict[str, Any]) -> Path:
    """The scenario as a file."""
    path = folder / "tiny.yaml"
    path.write_text(
        yaml.safe_dump(value, sort_keys=False, allow_unicode=True), encoding="utf-8", errors="surrogatepass"
    )
    return path
