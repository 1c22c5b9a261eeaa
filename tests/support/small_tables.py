"""Small tables and scenarios for tests: written, loaded, and drawn at random."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np
import polars as pl
import torch
import yaml
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from mlc.events.cutoffs import Cutoffs, choose_cutoffs
from mlc.events.examples import Examples, build_examples
from mlc.events.label_names import label_line, resolve_labels, value_counts
from mlc.events.popularity import Popularity
from mlc.events.preparing import Prepared
from mlc.events.store import EventStore, open_store
from mlc.events.task import Inputs
from mlc.events.timeline import Timeline
from mlc.events.vocabulary import Vocabulary
from mlc.models.reading.batch import Batch, Fields, Packed
from mlc.models.reading.batches import BatchBuilder, ExampleBatches
from mlc.models.reading.events import EventReader
from mlc.scenario import EventScenario
from mlc.sources import check_tables, observed_span
from tests.support.effort import drawn
from tests.support.event_scenarios import load_events
from tests.support.reference import joined

Rows = list[dict[str, Any]]
START = datetime(2024, 3, 4)
DAYS = 40
PRODUCTS: Rows = [
    {"code": "p1", "department": "Dress", "cost": 4},
    {"code": "p2", "department": "Skirt", "cost": 9},
    {"code": "p3", "department": "Hat", "cost": 5},
    {"code": "p4", "department": None, "cost": None},
    {"code": "p5", "department": "Dress", "cost": 1},
]
CODES = ["p1", "p2", "p3", "p4", "p5", "unknown"]

_PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)  # explaining takes minutes
_BUSY = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
few = settings(deadline=None, max_examples=drawn(12), phases=_PHASES, suppress_health_check=_BUSY)
some = settings(few, max_examples=drawn(30))
many = settings(few, max_examples=drawn(100))


def folder() -> AbstractContextManager[str]:
    """A folder for one Hypothesis example."""
    return TemporaryDirectory(prefix="mlc-test-")


# ── files ───────────────────────────────────────────────────────────────────────────────────────


def write(path: Path, rows: Rows | pl.DataFrame, schema: Mapping[str, Any] | None = None) -> Path:
    """Rows as Parquet or CSV, by the ending."""
    frame = (
        rows
        if isinstance(rows, pl.DataFrame)
        else pl.DataFrame(rows, schema=schema, infer_schema_length=None)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        frame.write_csv(path)
    else:
        frame.write_parquet(path)
    return path


def scenario_at(path: Path, value: Mapping[str, Any], text: str | None = None) -> EventScenario:
    """Write a scenario as `scenario.yaml` into a folder and load it."""
    file = path / "scenario.yaml"
    file.write_text(text or yaml.safe_dump(dict(value), sort_keys=False), encoding="utf-8")
    return load_events(file)


def silent(_: str) -> None:
    """Say nothing."""


# ── from scenario to examples, as `mlc labels` does ─────────────────────────────────────────────


@dataclass(frozen=True)
class Built:
    """All that the data wing makes of a scenario."""

    scenario: EventScenario
    store: EventStore
    cutoffs: Cutoffs
    examples: Examples
    label_line: Timeline

    def by_key(self) -> dict[tuple[Any, datetime], tuple[str, list[int]]]:
        """(entity, cutoff) → (split, targets)."""
        rows = self.examples.table.rows()
        found = {(entity, cutoff): (split, list(targets)) for entity, cutoff, split, targets in rows}
        assert len(found) == len(rows)
        return found


def build(scenario: EventScenario, runs: Path) -> Built:
    """Check, store, cutoffs, labels, examples."""
    check_tables(scenario)
    store = open_store(scenario, runs, silent)
    cutoffs = choose_cutoffs(scenario, *observed_span(scenario))
    labels = resolve_labels(scenario, value_counts(scenario, cutoffs.fit_until, store))
    line = label_line(scenario, labels, store)
    return Built(scenario, store, cutoffs, build_examples(scenario, store, cutoffs, labels, line), line)


def batches_of(prepared: Prepared, vocabulary: Vocabulary) -> ExampleBatches:
    """All examples of a scenario in batches, as a model of that vocabulary reads them."""
    return EventReader(vocabulary, prepared.scenario.model.most_events).batches(Inputs.of(prepared))


def label_rows(rows: Rows, names: list[str]) -> Rows:
    """The label events of the shop as the reference wants them."""
    return [
        {"entity": row["entity"], "time": row["time"], "label": names.index(row["products.department"])}
        for row in joined(as_events(rows), PRODUCTS, "products", "product", "code")
        if row["products.department"] in names
    ]


# ── a small shop ────────────────────────────────────────────────────────────────────────────────


def shop(**more: Any) -> dict[str, Any]:
    """A scenario on `sales`, `products` and `visits`; sections replace fields of the same name."""
    value: dict[str, Any] = {
        "data": {
            "entity": "customer",
            "tables": {
                "sales": {
                    "kind": "events",
                    "path": "sales.parquet",
                    "time": "day",
                    "joins": {"products": "product"},
                },
                "products": {"kind": "dimension", "path": "products.parquet", "key": "code"},
            },
        },
        "target": {
            "table": "sales",
            "column": "products.department",
            "class_names": ["Dress", "Skirt", "Hat"],
            "window_days": 4,
            "allow_empty": True,
        },
        "examples": {"every_days": 2, "train_cutoffs": 4},
    }
    for section, there in more.items():
        value[section] = {**value.get(section, {}), **there}
    return value


def anchors(customer: object) -> Rows:
    """Events that make every label known, give a history, and a positive in every window of the shop."""
    rows: Rows = []
    for half_days in range(2 * DAYS):
        for code in CODES[:3]:
            moment = START + timedelta(hours=12 * half_days)
            rows.append({"customer": customer, "day": moment, "product": code, "price": 9.0, "shop": "north"})
    return rows


TICK = timedelta(microseconds=1)


@st.composite
def sales(draw: st.DrawFn, customers: tuple[Any, ...] = ("ann", "bob", "eve"), most: int = 40) -> Rows:
    """Events, many of them at a midnight or noon, or one microsecond beside it."""
    offset = st.sampled_from(
        [timedelta(), TICK, -TICK, timedelta(hours=12), timedelta(hours=12) + TICK, timedelta(hours=7)]
    )
    event = st.fixed_dictionaries(
        {
            "customer": st.sampled_from([*customers, None]),
            "day": st.one_of(
                st.none(),
                *[st.builds(lambda d, o: START + timedelta(days=d) + o, st.integers(1, DAYS - 2), offset)]
                * 6,
            ),
            "product": st.sampled_from([*CODES, None]),
            "price": st.sampled_from([0.5, 3.0, 3.5, None]),
            "shop": st.sampled_from(["north", "south", None]),
        }
    )
    return draw(st.lists(event, max_size=most))


TIME_TYPES: dict[str, Callable[[pl.Expr], pl.Expr]] = {
    "date": lambda moment: moment.cast(pl.Date),
    "ms": lambda moment: moment.dt.cast_time_unit("ms"),
    "us": lambda moment: moment,
    "ns": lambda moment: moment.dt.cast_time_unit("ns"),
    "us Paris": lambda moment: moment.dt.replace_time_zone("UTC").dt.convert_time_zone("Europe/Paris"),
    "ns New York": lambda moment: (
        moment.dt.cast_time_unit("ns").dt.replace_time_zone("UTC").dt.convert_time_zone("America/New_York")
    ),
}


def rounded(moment: datetime | None, time_type: str) -> datetime | None:
    """What a moment is after it has been written in a type."""
    if moment is None:
        return None
    if time_type == "date":
        return datetime(moment.year, moment.month, moment.day)
    if time_type == "ms":
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    return moment


def sales_frame(rows: Rows, time_type: str = "us", entity: Any = pl.String) -> pl.DataFrame:
    """The events of the shop as a table."""
    schema = {
        "customer": entity,
        "day": pl.Datetime("us"),
        "product": pl.String,
        "price": pl.Float64,
        "shop": pl.String,
    }
    frame = pl.DataFrame([{name: row[name] for name in schema} for row in rows], schema=schema, orient="row")
    return frame.with_columns(TIME_TYPES[time_type](pl.col("day")))


def write_shop(path: Path, rows: Rows, time_type: str = "us", entity: Any = pl.String) -> None:
    """`sales.parquet` and `products.parquet`."""
    write(path / "products.parquet", PRODUCTS, {"code": pl.String, "department": pl.String, "cost": pl.Int64})
    write(path / "sales.parquet", sales_frame(rows, time_type, entity))


def as_events(rows: Rows, time_type: str = "us", entity: str = "customer", time: str = "day") -> Rows:
    """Rows as the reference wants them."""
    return [{**row, "entity": row[entity], "time": rounded(row[time], time_type)} for row in rows]


def utc(moment: datetime) -> datetime:
    """The same moment with the zone UTC."""
    return moment.replace(tzinfo=UTC)


def day(number: int) -> date:
    """A day of the shop."""
    return (START + timedelta(days=number)).date()


def tensors_of(packed: Packed) -> dict[str, torch.Tensor]:
    """The tensors of a batch and of its inputs by name, which is unique; without texts.

    Those of its fields end in the letter of their rows.
    """
    found: dict[str, torch.Tensor] = {}
    for field in fields(packed):
        value = getattr(packed, field.name)
        if field.name == "inputs":
            for inputs in value.values():
                found |= tensors_of(inputs)
        elif isinstance(value, Fields):
            found[f"categories_{field.name[-1]}"] = value.categories_XF
            found[f"numbers_{field.name[-1]}"] = value.numbers_XF
        elif isinstance(value, torch.Tensor):
            found[field.name] = value
    return found


def joined_batches(batches: list[Batch]) -> Batch:
    """One batch of the examples of several; without texts."""
    starts = np.cumsum([0, *(len(batch) for batch in batches)])

    def as_one(packed: Sequence[Packed]) -> Any:
        parts = {name: [getattr(one, name) for one in packed] for name in vars(packed[0])}
        if isinstance(packed[0], Fields):
            assert parts.pop("texts") == [None] * len(packed)
        made: dict[str, Any] = {}
        for name, values in parts.items():
            if name == "inputs":
                made[name] = {kind: as_one([one[kind] for one in values]) for kind in values[0]}
            elif isinstance(values[0], Fields):
                made[name] = as_one(values)
            else:
                shifts = starts if name.startswith("example_") else [0] * len(values)
                made[name] = torch.cat([value + int(at) for value, at in zip(values, shifts, strict=False)])
        return type(packed[0])(**made)

    return cast(Batch, as_one(batches))


def with_inputs(batch: Batch, *inputs: Packed) -> Batch:
    """The batch with these inputs in place of those of the same classes."""
    return replace(batch, inputs={**batch.inputs, **{type(given): given for given in inputs}})


def builder_of(
    built: Built,
    vocabulary: Vocabulary,
    popularity: Popularity | None = None,
    most_events: int | None = None,
) -> BatchBuilder:
    """Builds batches of any entities at any moments."""
    labels, rows_N, cutoffs_N = len(built.examples.labels.names), built.examples.rows, built.examples.cutoffs
    inputs = Inputs(built.store, built.label_line, labels, rows_N, cutoffs_N, None, popularity)
    return BatchBuilder(inputs, vocabulary, most_events)
