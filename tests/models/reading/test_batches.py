"""Batches: nothing of the future, nothing of others, each example in its place on every rank."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from mlc.events.vocabulary import fit_vocabulary
from mlc.models.branches.attributes import AttributeInputs
from mlc.models.branches.calendar import calendar
from mlc.models.branches.events import EventInputs
from mlc.models.branches.history import HistoryInputs
from mlc.models.reading.batch import Batch
from mlc.models.reading.batches import BatchBuilder, BatchPlan, ExampleBatches, Loader
from mlc.tables import MICROSECONDS_PER_DAY, UNKNOWN, microseconds, targets_of
from tests.support.small_tables import (
    DAYS,
    START,
    TICK,
    Built,
    anchors,
    build,
    builder_of,
    few,
    folder,
    many,
    sales,
    scenario_at,
    shop,
    tensors_of,
    write,
    write_shop,
)

CUTOFF = START + timedelta(days=20, hours=12)
PEOPLE = [{"customer": name, "age": age} for name, age in (("ann", 31.0), ("bob", None), ("eve", 5.0))]


def built_at(place: Path, rows: list[dict[str, object]]) -> Built:
    write_shop(place, rows)
    write(place / "people.parquet", PEOPLE)
    value = shop()
    value["data"]["tables"]["sales"]["encoders"] = {"shop": {"kind": "category", "min_count": 1}}
    value["data"]["tables"]["people"] = {"kind": "entities", "path": "people.parquet", "key": "customer"}
    value["data"]["tables"]["people"]["encoders"] = {"age": "number"}
    value["data"]["tables"]["products"]["encoders"] = {
        "department": {"kind": "category", "min_count": 1},
        "cost": "number",
    }
    return build(scenario_at(place, value), place / "runs")


def builder_at(built: Built, most_events: int | None = None) -> BatchBuilder:
    vocabulary = fit_vocabulary(built.store, CUTOFF, attributes=True, memory=True)
    return builder_of(built, vocabulary, most_events=most_events)


def batch_at(built: Built, entities: list[str], most_events: int | None = None) -> Batch:
    ids = built.store.entity_ids.to_list()
    rows = np.array([ids.index(entity) for entity in entities], dtype=np.int64)
    cutoffs = np.full(len(rows), microseconds(CUTOFF))
    return builder_at(built, most_events).build(np.arange(len(rows)), rows, cutoffs, None)


def canonical(batch: Batch) -> dict[str, list[object]]:
    """Every tensor as a list; events of one moment have no order of their own."""
    found = {}
    for letter in "TSM":
        parts = [
            tensor.double().reshape(len(tensor), -1)
            for name, tensor in tensors_of(batch).items()
            if name.endswith(f"_{letter}")
        ]
        found[letter] = sorted(str(row) for row in torch.cat(parts, dim=1).tolist())
    for name, tensor in tensors_of(batch).items():
        if not name.endswith(("_T", "_S", "_M")):
            found[name] = [str(row) for row in tensor.tolist()]
    return found  # type: ignore[return-value]


def entities_of(rows: list[dict[str, object]]) -> list[str]:
    return sorted({str(r["customer"]) for r in rows if r["customer"] is not None and r["day"] is not None})


@few
@given(rows=sales(), more=sales(most=30))
def test_events_after_the_cutoff_change_no_tensor(rows, more):
    rows = anchors("ann") + rows
    later = [
        {**row, "day": None if row["day"] is None else max(row["day"], CUTOFF + TICK), "shop": "new"}
        for row in more
    ]
    with folder() as one, folder() as two:
        before, after = built_at(Path(one), rows), built_at(Path(two), rows + later)
        entities = entities_of(rows)
        assert canonical(batch_at(before, entities)) == canonical(batch_at(after, entities))


def test_only_the_newest_events_enter_the_memory_and_all_enter_the_label_histories(tmp_path):
    built = built_at(tmp_path, anchors("ann") + anchors("bob")[:3])
    everything, bounded = (batch_at(built, ["bob", "ann"], most) for most in (None, 7))
    example_M = everything.of(EventInputs).example_M
    of_each = [torch.nonzero(example_M == example).flatten() for example in (0, 1)]
    assert [len(places) for places in of_each] == [3, 126]
    kept = torch.cat([places[-7:] for places in of_each])
    found = tensors_of(bounded)
    for name, tensor in tensors_of(everything).items():
        expected = tensor[kept] if name.endswith("_M") else tensor
        torch.testing.assert_close(found[name], expected, atol=0, rtol=0, equal_nan=True, msg=name)


@few
@given(rows=sales(), more=sales(customers=("stranger", "ann2"), most=30))
def test_events_of_other_entities_change_no_tensor(rows, more):
    rows = anchors("ann") + rows
    others = [{**row, "shop": "north"} for row in more]
    with folder() as one, folder() as two:
        before, after = built_at(Path(one), rows), built_at(Path(two), others + rows)
        entities = entities_of(rows)
        assert canonical(batch_at(before, entities)) == canonical(batch_at(after, entities))


@few
@given(rows=sales(), shuffle=st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_no_tensor(rows, shuffle):
    rows = anchors("ann") + rows
    mixed = list(rows)
    shuffle.shuffle(mixed)
    with folder() as one, folder() as two:
        entities = entities_of(rows)
        first, second = built_at(Path(one), rows), built_at(Path(two), mixed)
        assert canonical(batch_at(first, entities)) == canonical(batch_at(second, entities))


def test_shapes_and_types_are_those_of_the_docstring(tmp_path):
    built = built_at(tmp_path, anchors("ann") + anchors("bob"))
    batch = batch_at(built, ["ann", "bob"])
    assert len(batch) == 2
    events = 2 * 20 * 3 + 2 * 3  # two moments a day, three products
    history = batch.of(HistoryInputs)
    assert history.events_B.tolist() == [events, events]
    assert (
        history.label_T.shape
        == history.example_T.shape
        == history.age_T.shape
        == history.first_T.shape
        == (2 * events,)
    )
    assert history.example_S.shape == (2 * 21,)
    assert history.age_S.min() == 0.5
    assert history.first_T.sum() == 2 * 21 * 3
    tensors = tensors_of(batch)
    for name in ("categories_M", "numbers_M", "example_M"):
        assert tensors[name].shape[0] == 2 * events
    assert batch.targets_BK.tolist() == [[UNKNOWN] * 3] * 2
    assert batch.of(AttributeInputs).fields_B.texts is batch.of(EventInputs).fields_M.texts is None
    types = {name: tensor.dtype for name, tensor in tensors.items()}
    whole = {name for name, dtype in types.items() if dtype == torch.int64}
    assert whole == {
        "index_B", "label_T", "example_T", "example_S", "categories_B", "example_M", "categories_M",
    }  # fmt: skip
    assert types["targets_BK"] == torch.uint8
    assert set(types.values()) == {torch.int64, torch.uint8, torch.float32}
    moved = tensors_of(batch.to("cpu"))
    assert all(torch.equal(moved[name].nan_to_num(), tensor.nan_to_num()) for name, tensor in tensors.items())


def test_without_fields_there_are_no_events(tmp_path):
    built = built_at(tmp_path, anchors("ann"))
    vocabulary = fit_vocabulary(built.store, CUTOFF, attributes=False, memory=False)
    batch = builder_of(built, vocabulary).build(
        np.zeros(1, np.int64), np.zeros(1, np.int64), np.array([microseconds(CUTOFF)]), None
    )
    assert EventInputs not in batch.inputs
    assert batch.of(AttributeInputs).fields_B.categories_XF.shape == (1, 0)


def test_the_loader_gives_the_planned_examples_with_their_targets(tmp_path):
    built = built_at(tmp_path, anchors("ann") + anchors("bob"))
    table = built.examples.table
    targets_NK = targets_of(table)
    examples = ExampleBatches(builder_at(built), built.examples.rows, built.examples.cutoffs, targets_NK)
    assert len(examples) == table.height
    plan = BatchPlan(np.arange(table.height), 5, seed=3)
    batches = list(Loader(examples, plan))
    assert [batch.index_B.tolist() for batch in batches] == [positions.tolist() for positions in plan]
    for batch in batches:
        assert batch.targets_BK.tolist() == targets_NK[batch.index_B.numpy()].tolist()


def test_the_calendar_turns_with_the_week_and_the_year():
    days = np.array([0, 7, 3.5]) * MICROSECONDS_PER_DAY
    found = calendar(days.astype(np.int64))
    assert found.shape == (3, 6)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0, [2, 5]], found[1, [2, 5]], atol=1e-6)
    np.testing.assert_allclose(found[0, 5], -found[2, 5], atol=1e-6)
    np.testing.assert_allclose((found**2).sum(axis=1), 3.0, rtol=1e-6)


# ── plan ────────────────────────────────────────────────────────────────────────────────────────

numbers = st.integers(0, 60)
sizes = st.integers(1, 20)
worlds = st.integers(1, 6)


def shares(positions, size, seed, world, epoch=0):
    plans = [BatchPlan(positions, size, seed, rank, world) for rank in range(world)]
    for plan in plans:
        plan.set_epoch(epoch)
        assert len(plan) == len(list(plan))
    return [[batch.tolist() for batch in plan] for plan in plans]


@many
@given(numbers, sizes, worlds)
def test_evaluation_has_every_example_once_in_the_same_batches_for_any_world(count, size, world):
    positions = np.arange(count) * 3 + 1
    alone = shares(positions, size, None, 1)[0]
    assert [p for batch in alone for p in batch] == positions.tolist()
    spread = shares(positions, size, None, world)
    together = [spread[i % world][i // world] for i in range(len(alone))]
    assert together == alone
    assert sum(len(share) for share in spread) == len(alone)


@many
@given(numbers, sizes, worlds, st.integers(0, 2**32 - 1), st.integers(0, 3))
def test_training_has_every_example_once_and_equal_counts_on_every_rank(count, size, world, seed, epoch):
    count += world
    positions = np.arange(count) * 2
    spread = shares(positions, size, seed, world, epoch)
    assert len({len(share) for share in spread}) == 1
    used = [position for share in spread for batch in share for position in batch]
    assert sorted(used) == positions.tolist()
    lengths = {len(batch) for share in spread for batch in share}
    assert max(lengths) <= size
    assert max(lengths) - min(lengths) <= 1
    # The same global order for every rank: dealt back in turn, it is that of one rank alone.
    dealt = [spread[index % world][index // world] for index in range(sum(map(len, spread)))]
    alone = shares(positions, size, seed, 1, epoch)[0]
    assert [p for batch in dealt for p in batch] == [p for batch in alone for p in batch]


def test_each_epoch_has_another_order_and_the_same_seed_the_same():
    positions = np.arange(50)
    orders = [shares(positions, 50, 7, 1, epoch)[0][0] for epoch in (0, 1, 0)]
    assert orders[0] == orders[2] != orders[1]
    assert positions.tolist() == list(range(50))


def test_evaluation_of_fewer_examples_than_ranks_leaves_some_ranks_without():
    assert shares(np.arange(2), 1, None, 4) == [[[0]], [[1]], [], []]


def test_days_beyond_the_tables_are_no_problem(tmp_path):
    built = built_at(tmp_path, anchors("ann"))
    late = np.array([microseconds(START + timedelta(days=DAYS + 4000))])
    batch = builder_at(built).build(np.zeros(1, np.int64), np.zeros(1, np.int64), late, None)
    assert batch.of(HistoryInputs).age_T.min() >= 4000
