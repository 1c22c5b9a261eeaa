"""Batches of a device's memory: those of main memory to the last bit, and no waiting for the device."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import FunctionType, MethodType, SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mlc.events.label_names import LABEL
from mlc.events.popularity import Popularity
from mlc.events.vocabulary import FieldRows, Vocabulary, digest, fit_vocabulary
from mlc.models.branches import Gatherer
from mlc.models.reading import device as module
from mlc.models.reading.batch import Batch, Fields
from mlc.models.reading.batches import BatchBuilder, BatchPlan, ExampleBatches, Loader
from mlc.models.reading.device import (
    DeviceBatches,
    Moments,
    _Columns,
    _DeviceMemory,
    device_batches,
)
from mlc.scenario import load_scenario
from mlc.tables import UNKNOWN, microseconds
from mlc.training.resident import EventsOnDevice, free_memory
from mlc.training.supervised import Setting, train
from tests.conftest import NANO
from tests.support.small_tables import (
    CODES,
    DAYS,
    START,
    TICK,
    Built,
    Rows,
    anchors,
    build,
    builder_of,
    few,
    folder,
    sales,
    scenario_at,
    shop,
    silent,
    tensors_of,
    write,
    write_shop,
)

CPU, META = torch.device("cpu"), torch.device("meta")
ENOUGH = 1 << 40
LABELS = 3
PEOPLE: Rows = [
    {"customer": "ann", "age": 31.0, "city": "Rome", "motto": "Carpe diem"},
    {"customer": "bob", "age": None, "city": None, "motto": None},
    {"customer": "eve", "age": 5.0, "city": "Oslo", "motto": "carpe noctem"},
]


def built_at(place: Path, rows: Rows) -> Built:
    """Numbers, categories and texts: of events, of their products, and of customers."""
    write_shop(place, rows)
    products = pl.read_parquet(place / "products.parquet")
    named = products.with_columns(pl.Series("name", ["Red mug", "hat, RED", None, "Mug (blue)", "Red mug"]))
    write(place / "products.parquet", named)
    write(place / "people.parquet", PEOPLE)
    every: dict[str, Any] = {"kind": "category", "min_count": 1}
    value = shop()
    tables = value["data"]["tables"]
    tables["sales"]["encoders"] = {"shop": every, "price": "number", "product": "text"}
    tables["products"]["encoders"] = {"department": every, "cost": "number", "name": "text"}
    people = {"kind": "entities", "path": "people.parquet", "key": "customer"}
    tables["people"] = {**people, "encoders": {"age": "number", "city": every, "motto": "text"}}
    return build(scenario_at(place, value), place / "runs")


def without_texts(vocabulary: Vocabulary) -> Vocabulary:
    return Vocabulary(replace(vocabulary.attributes, texts=[]), replace(vocabulary.events, texts=[]))


def with_others(known: FieldRows, hash_rows: int) -> FieldRows:
    """Also columns that have left the tables, and shops that share so many rows."""
    categories = {"sales.gone": ["x"], **known.categories, "products.gone": []}
    rarer = {}
    if hash_rows and "sales.shop" in categories:
        categories["sales.shop"] = []
        rarer = {"sales.shop": sorted(map(digest, ("north", "south")))}
    return FieldRows(
        categories,
        ["sales.lost", *known.numbers],
        {"sales.shop": hash_rows} if rarer else {},
        rarer,
        [*known.texts, "products.lost"],
    )


def parts_of(batch: Batch) -> dict[str, torch.Tensor]:
    """All tensors of a batch by name, those of its texts too."""
    found = tensors_of(batch)
    for kind, inputs in batch.inputs.items():
        for name, fields in vars(inputs).items():
            if isinstance(fields, Fields) and fields.texts is not None:
                prefix = f"{kind.__name__}.{name}"
                found |= {f"{prefix}.{part}": tensor for part, tensor in vars(fields.texts).items()}
    return found


def assert_same(found: Batch, expected: Batch) -> None:
    tensors, wanted = parts_of(found), parts_of(expected)
    assert tensors.keys() == wanted.keys()
    for name, tensor in wanted.items():
        torch.testing.assert_close(tensors[name], tensor, atol=0, rtol=0, equal_nan=True, msg=name)


def resident_of(examples: ExampleBatches) -> DeviceBatches:
    found, _ = device_batches(examples, CPU, ENOUGH)
    assert found is not None
    return found


moments = st.builds(
    lambda days, offset: START + timedelta(days=days) + offset,
    st.integers(-3, DAYS + 3),
    st.sampled_from([timedelta(), TICK, -TICK, timedelta(hours=12), timedelta(hours=12) - TICK]),
)


@st.composite
def example_sets(draw: st.DrawFn, built: Built) -> ExampleBatches:
    """Any entities at any moments, of any model."""
    vocabulary = fit_vocabulary(
        built.store, START + timedelta(days=20), attributes=draw(st.booleans()), memory=draw(st.booleans())
    )
    if draw(st.booleans()):
        others = with_others(vocabulary.events, draw(st.sampled_from([0, 300, 100_000])))
        vocabulary = Vocabulary(with_others(vocabulary.attributes, 0), others)
    if draw(st.booleans()):
        vocabulary = without_texts(vocabulary)
    line, popularity = built.label_line, None
    if draw(st.booleans()):
        popularity = Popularity(line.time, line.columns[LABEL], [4] * LABELS)
    most = draw(st.sampled_from([None, 1, 5]))
    builder = builder_of(built, vocabulary, popularity, most)
    entities = len(built.store.entity_ids)
    drawn = draw(st.lists(st.tuples(st.integers(0, entities - 1), moments), min_size=1, max_size=12))
    cutoffs = np.array([microseconds(moment) for _, moment in drawn])
    random = np.random.default_rng(draw(st.integers(0, 9)))
    targets = random.choice([0, 1, UNKNOWN], (len(drawn), LABELS)).astype(np.uint8)
    rows = np.array([row for row, _ in drawn])
    examples = ExampleBatches(builder, rows, cutoffs, targets if draw(st.booleans()) else None)
    if draw(st.booleans()):
        examples.cached_NR = random.random((len(drawn), 4), dtype=np.float32)
    return examples


@few
@given(rows=sales(), data=st.data())
def test_batches_are_those_of_main_memory(rows, data):
    lost = {"customer": "lost", "day": None, "product": "p1", "price": 1.0, "shop": "north"}
    only_unlabelled = {**lost, "customer": "new", "day": START + timedelta(days=9), "product": CODES[-1]}
    with folder() as place, pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "_ROWS_AT_ONCE", data.draw(st.sampled_from([7, 1 << 22])))
        built = built_at(Path(place), [*anchors("ann"), *rows, lost, only_unlabelled])
        for _ in range(6):  # building is what takes time
            examples = data.draw(example_sets(built))
            positions = data.draw(st.lists(st.integers(0, len(examples) - 1), min_size=1, unique=True))
            index_B = np.array(positions)
            expected = examples[index_B]
            examples.resident = resident_of(examples)
            assert_same(examples[index_B], expected)


def example_batches_of(place: Path, texts: bool = True) -> ExampleBatches:
    built = built_at(place, [*anchors("ann"), *anchors("bob")])
    vocabulary = fit_vocabulary(built.store, built.cutoffs.fit_until, attributes=True, memory=True)
    vocabulary = vocabulary if texts else without_texts(vocabulary)
    line = built.label_line
    popularity = Popularity(line.time, line.columns[LABEL], [4] * LABELS)
    builder = builder_of(built, vocabulary, popularity)
    return ExampleBatches(builder, built.examples.rows, built.examples.cutoffs, None)


def test_all_batches_of_a_plan_come_in_its_order_and_by_no_thread(tmp_path, monkeypatch):
    examples = example_batches_of(tmp_path)
    plan = BatchPlan(np.arange(len(examples)), 5, seed=3)
    expected = list(Loader(examples, plan))
    examples.resident = resident_of(examples)
    monkeypatch.setattr("mlc.models.reading.batches.ahead", lambda _: 1 / 0)
    found = list(Loader(examples, plan))
    assert len(found) == len(expected) > 1
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other)


class _Watched(TorchDispatchMode):
    """No operation but a copy has tensors of two devices."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        assert len({tensor.device for tensor in tensors}) <= 1, func
        return func(*args, **(kwargs or {}))


def test_the_host_never_waits_for_the_device_and_mixes_no_tensors(tmp_path):
    """Tensors of the device "meta" have no values: what looks at one fails."""
    examples = example_batches_of(tmp_path, texts=False)
    there = DeviceBatches(examples, Moments(examples.rows_N, examples.cutoffs_N), META)
    index_B = np.arange(len(examples))[::-2].copy()
    for cached_BR in (None, np.zeros((len(index_B), 4), np.float32)):
        with _Watched():
            found = parts_of(there.batch(index_B, cached_BR))
        expected = parts_of(resident_of(examples).batch(index_B, cached_BR))
        assert {tensor.device for tensor in found.values()} == {META}
        assert {n: (t.shape, t.dtype) for n, t in found.items()} == {
            n: (t.shape, t.dtype) for n, t in expected.items()
        }


def event_builder(examples: ExampleBatches) -> BatchBuilder:
    """The builder of examples of events."""
    assert isinstance(examples.builder, BatchBuilder)
    return examples.builder


def bytes_of(thing: object) -> int:
    """Of all tensors that hang on an object, on what its methods are of, and on what its functions know."""
    if isinstance(thing, torch.Tensor):
        return thing.nbytes
    if isinstance(thing, dict):
        return sum(map(bytes_of, thing.values()))
    if isinstance(thing, tuple):
        return sum(map(bytes_of, thing))
    if isinstance(thing, FunctionType):
        return sum(bytes_of(cell.cell_contents) for cell in thing.__closure__ or ())
    if isinstance(thing, MethodType):
        return bytes_of(thing.__self__)
    ours = type(thing).__module__ in (module.__name__, Gatherer.__module__)
    return bytes_of(vars(thing)) if ours else 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("texts", [False, True])
def test_batches_of_a_gpu_are_those_of_main_memory(tmp_path, texts):
    examples = example_batches_of(tmp_path, texts)
    gpu = torch.device("cuda", torch.cuda.current_device())
    there, _ = device_batches(examples, gpu, free_memory(gpu) or 0)
    assert there is not None
    for index_B in BatchPlan(np.arange(len(examples)), 5, seed=3):
        torch.cuda.set_sync_debug_mode("default" if texts else "error")
        try:
            found = there.batch(index_B, None)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert {tensor.device for tensor in parts_of(found).values()} == {gpu}
        assert_same(found.to("cpu"), examples[index_B])


def test_what_takes_more_than_half_of_the_free_memory_stays_in_main_memory(tmp_path):
    examples = example_batches_of(tmp_path)
    found, needed = device_batches(examples, CPU, ENOUGH)
    assert found is not None
    assert needed == found.nbytes == bytes_of(found)
    assert needed > 5 * len(event_builder(examples).inputs.store.events.time)
    assert device_batches(examples, CPU, 2 * needed)[0] is not None
    assert device_batches(examples, CPU, 2 * needed - 1) == (None, needed)


def test_a_column_of_a_dimension_is_not_copied_to_each_event(tmp_path):
    examples = example_batches_of(tmp_path)
    there = _Columns(
        event_builder(examples).event_columns, _DeviceMemory(CPU, Moments(*(np.zeros(0, int),) * 2))
    )
    rows = len(event_builder(examples).inputs.store.dimensions["products.department"])
    assert {source: len(matrix) for source, (_, matrix) in there._categories._parts.items()} == {
        "": len(event_builder(examples).inputs.store.events.time),
        "products": rows,
    }
    assert there._joined.keys() == {"products"}


# ── training ────────────────────────────────────────────────────────────────────────────────────


def told_by(examples: ExampleBatches) -> list[str]:
    """What is said before a training on a CPU."""
    lines: list[str] = []
    trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=CPU))
    EventsOnDevice(examples, lines.append).setup(trainer, None, "fit")  # type: ignore[arg-type]
    return lines


def test_what_torch_keeps_for_later_is_free_too(monkeypatch):
    for name, found in (("mem_get_info", (100, 500)), ("memory_reserved", 30), ("memory_allocated", 10)):
        monkeypatch.setattr(torch.cuda, name, lambda _, found=found: found)
    assert free_memory(torch.device("cuda", 1)) == 120
    assert free_memory(CPU) is None


def test_on_a_cpu_batches_are_built_in_main_memory(tmp_path):
    examples = example_batches_of(tmp_path)
    assert told_by(examples) == []
    assert examples.resident is None


def test_the_user_is_told_what_lies_on_the_device_and_what_does_not_fit(tmp_path, monkeypatch):
    examples = example_batches_of(tmp_path)
    monkeypatch.setattr("mlc.models.reading.device._ROWS_AT_ONCE", 50)
    monkeypatch.setattr("mlc.training.resident.free_memory", lambda _: 1000)
    (line,) = told_by(examples)
    assert line.endswith("free GPU memory: batches are built in main memory, since this is more than half")
    assert examples.resident is None
    monkeypatch.setattr("mlc.training.resident.free_memory", lambda _: 3_000_000_000)
    (line,) = told_by(examples)
    assert line.endswith(" of 3.00 GB of free GPU memory: batches are built there")
    assert examples.resident is not None


def test_a_training_from_the_memory_of_a_device_is_the_same(demo, tmp_path, monkeypatch):
    """The first weights, those of the refit, and the scores, to the last bit."""
    options = [text for text in NANO if text != "--set"]
    options += ["model.memory=true", "model.popularity=true", "model.max_events=30", "train.refit=true"]
    options += ["train.epochs=1", "examples.train_cutoffs=3"]
    scenario = load_scenario(demo / "departments_28d.yaml", options)
    built: list[int] = []
    batch = DeviceBatches.batch

    def counted(self: DeviceBatches, index_B: np.ndarray, cached_BR: np.ndarray | None) -> Batch:
        built.append(len(index_B))
        return batch(self, index_B, cached_BR)

    def on_a_cpu(_prepared: object, batches: ExampleBatches, _say: object) -> None:
        assert batches.resident is None

    monkeypatch.setattr(DeviceBatches, "batch", counted)
    monkeypatch.setattr("mlc.training.event_learner.fitted_boosting", on_a_cpu)
    runs = []
    for name in ("main", "device"):
        train(scenario, Setting(tmp_path / name), silent)
        runs.append(tmp_path / name / scenario.name)
        assert bool(built) == (name == "device")
        monkeypatch.setattr("mlc.training.resident.free_memory", lambda _: ENOUGH)
    for file in ("model.safetensors", "refit.safetensors"):
        assert len({(run / file).read_bytes() for run in runs}) == 1
    one, other = (pl.read_parquet(run / "predictions.parquet") for run in runs)
    assert one.equals(other)
