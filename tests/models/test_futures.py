"""Batches of pre-training: no future in the history, the future as it was, nothing after `until`."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from mlc.events.vocabulary import FIRST, OTHER, FieldRows, Vocabulary
from mlc.models.futures import FutureBatches, Outputs, RandomCutoffs, choose_outputs
from mlc.models.reading.batch import FutureBatch
from mlc.tables import MICROSECONDS_PER_DAY, microseconds
from tests.support.reference import joined
from tests.support.small_tables import (
    PRODUCTS,
    START,
    TICK,
    Built,
    Rows,
    anchors,
    as_events,
    build,
    few,
    folder,
    sales,
    scenario_at,
    shop,
    tensors_of,
    write_shop,
)

CUTOFF = START + timedelta(days=15)
UNTIL = START + timedelta(days=27, hours=12)
HORIZON_DAYS = 10
VALUES = {"sales.shop": ["north"], "products.department": ["Dress", "Hat", "Skirt"]}
KNOWN = Vocabulary(FieldRows({}, []), FieldRows(VALUES, ["sales.price"]))


def built_at(place: Path, rows: Rows) -> Built:
    write_shop(place, rows)
    value = shop()
    value["data"]["tables"]["sales"]["encoders"] = {"shop": "category", "price": "number"}
    return build(scenario_at(place, value), place / "runs")


def every_value() -> Outputs:
    """An output for each vocabulary row but that of the missing."""
    sizes = KNOWN.events.sizes
    rows = [[-1, *range(size - 1)] for size in sizes]
    return Outputs(
        np.array([*rows[0], *(row + sizes[0] - 1 if row >= 0 else -1 for row in rows[1])]),
        np.repeat([0, 1], np.array(sizes) - 1),
    )


def batch_at(built: Built, entities: list[str], until: datetime = UNTIL) -> FutureBatch:
    ids = built.store.entity_ids.to_list()
    rows = np.array([ids.index(entity) for entity in entities], dtype=np.int64)
    batches = FutureBatches(built.store, KNOWN, every_value(), HORIZON_DAYS, microseconds(until))
    return batches[np.stack([rows, np.full(len(rows), microseconds(CUTOFF))])]


def canonical(batch: FutureBatch) -> dict[str, list[str]]:
    """Every tensor as a list; events of one moment have no order of their own."""
    found: dict[str, list[str]] = {}
    for part, letters in ((batch.history, "TSM"), (batch, "X")):
        for letter in letters:
            there = tensors_of(part).items()
            columns = [x.double() for name, x in there if name.rsplit("_", 1)[-1].startswith(letter)]
            wide = [column[:, None] if column.ndim == 1 else column for column in columns]
            found[letter] = sorted(str(row) for row in torch.cat(wide, dim=1).tolist())
        for name, tensor in tensors_of(part).items():
            if name.endswith("_B") or name == "first_BV":
                found[name] = [str(row) for row in tensor.tolist()]
    return found


def entities_of(rows: Rows) -> list[str]:
    return sorted({str(row["customer"]) for row in rows if row["customer"] is not None and row["day"]})


@few
@given(rows=sales(), more=sales(most=30))
def test_events_after_the_cutoff_change_nothing_that_the_model_sees(rows, more):
    rows = anchors("ann") + rows
    later = [{**row, "day": row["day"] and max(row["day"], CUTOFF + TICK), "shop": "new"} for row in more]
    with folder() as one, folder() as two:
        before, after = (
            tensors_of(batch_at(built_at(Path(place), events), entities_of(rows)).history)
            for place, events in ((one, rows), (two, rows + later))
        )
    for name in before.keys() - {"label_T", "categories_M"}:  # their order within one moment is free
        torch.testing.assert_close(before[name], after[name], equal_nan=True)
    assert before["categories_M"].sum() == after["categories_M"].sum()


@few
@given(rows=sales(), more=sales(most=30))
def test_events_after_until_change_no_tensor_at_all(rows, more):
    rows = anchors("ann") + rows
    later = [{**row, "day": row["day"] and max(row["day"], UNTIL + TICK)} for row in more]
    kept = [row for row in rows if row["day"] is None or row["day"] <= UNTIL or row["customer"] == "ann"]
    with folder() as one, folder() as two:
        before, after = built_at(Path(one), kept), built_at(Path(two), kept + later)
        entities = entities_of(kept)
        assert canonical(batch_at(before, entities)) == canonical(batch_at(after, entities))


@few
@given(rows=sales(), shuffle=st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_no_tensor(rows, shuffle):
    rows = anchors("ann") + rows
    mixed = list(rows)
    shuffle.shuffle(mixed)
    with folder() as one, folder() as two:
        first, second = built_at(Path(one), rows), built_at(Path(two), mixed)
        entities = entities_of(rows)
        assert canonical(batch_at(first, entities)) == canonical(batch_at(second, entities))


@few
@given(rows=sales())
def test_the_future_equals_a_plain_loop(rows):
    rows = anchors("ann") + rows
    with folder() as place:
        entities = entities_of(rows)
        batch = batch_at(built_at(Path(place), rows), entities)
    events = joined(as_events(rows), PRODUCTS, "products", "product", "code")
    columns = {"sales.shop": "shop", "products.department": "products.department"}
    for index, entity in enumerate(entities):
        future = sorted(
            (event["time"], place)
            for place, event in enumerate(events)
            if event["entity"] == entity and event["time"] is not None and CUTOFF < event["time"] <= UNTIL
        )
        days = [(time - CUTOFF) / timedelta(days=1) for time, _ in future]
        np.testing.assert_allclose(batch.next_B[index], min(days, default=np.inf), rtol=1e-6)
        outputs = []
        for field, column in columns.items():
            names = [None, *VALUES[field]]  # the first output is that of all other values
            for name in names:
                fitting = [
                    day
                    for day, (_, place) in zip(days, future, strict=True)
                    if day <= HORIZON_DAYS
                    and events[place][column] is not None
                    and (
                        events[place][column] == name or (name is None and events[place][column] not in names)
                    )
                ]
                outputs.append(min(fitting, default=np.inf))
        np.testing.assert_allclose(batch.first_BV[index], outputs, rtol=1e-6)
        next_moment = [events[place] for time, place in future if time == future[0][0]]
        assert int((batch.example_X == index).sum()) == len(next_moment)
        prices = batch.numbers_XN[batch.example_X == index, 0]
        seen = sorted(prices.nan_to_num(-1.0).tolist())
        assert seen == sorted(-1.0 if event["price"] is None else event["price"] for event in next_moment)


def test_frequent_values_have_an_output_each_and_the_rest_share_some(tmp_path):
    built = built_at(tmp_path, anchors("ann") + anchors("bob")[:7])
    known = FieldRows({"products.department": ["Dress", "Hat", "Skirt"], "sales.shop": ["north"]}, [])
    outputs = choose_outputs(built.store, known, microseconds(UNTIL), 1)
    dress, hat, skirt = outputs.output_R[FIRST : FIRST + 3]
    assert dress == 0
    assert {hat, skirt} == {1, 2}
    assert outputs.output_R[[0, OTHER]].tolist() == [-1, -1]  # no other value is there
    assert outputs.field_V.tolist() == [0, 0, 0, 1]


def test_cutoffs_are_midnights_of_the_life_of_each_entity_new_in_each_epoch_the_same_for_a_seed(tmp_path):
    built = built_at(tmp_path, anchors("ann") + anchors("bob")[20:] + anchors("eve")[-2:])
    last = microseconds(CUTOFF)

    def drawn(epoch: int, seed: int = 1) -> np.ndarray:
        plan = RandomCutoffs(built.store, 0, last, 30, 8, seed)
        plan.set_epoch(epoch)
        batches = list(plan)
        assert len(batches) == len(plan)
        return np.concatenate(batches, axis=1)

    rows, cutoffs = drawn(0)
    born = np.asarray(built.store.events.time)[built.store.events.offsets[rows]]
    assert (cutoffs % MICROSECONDS_PER_DAY == 0).all()
    assert ((born <= cutoffs) & (cutoffs <= last)).all()
    assert cutoffs.max() == last
    assert set(built.store.entity_ids.gather(rows)) == {"ann", "bob"}  # eve comes later
    assert np.array_equal(drawn(0), drawn(0))
    assert not np.array_equal(drawn(0), drawn(1))
    assert not np.array_equal(drawn(0), drawn(0, seed=2))
