"""History features against plain loops."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mlc.events.vocabulary import fit_vocabulary
from mlc.models.branches.history import (
    ENTITY_FEATURES,
    LABEL_FEATURES,
    HistoryInputs,
    entity_features,
    label_features,
)
from mlc.models.reading.batch import Batch
from mlc.models.reading.batches import BatchBuilder
from mlc.tables import microseconds
from tests.support import reference
from tests.support.small_tables import (
    DAYS,
    START,
    TICK,
    Built,
    anchors,
    as_events,
    build,
    builder_of,
    few,
    folder,
    label_rows,
    sales,
    sales_frame,
    scenario_at,
    shop,
    write,
    write_shop,
)

NAMES = ["Dress", "Skirt", "Hat"]


def builder_at(built: Built) -> BatchBuilder:
    vocabulary = fit_vocabulary(built.store, built.cutoffs.fit_until, attributes=True, memory=True)
    return builder_of(built, vocabulary)


def batch_of(built: Built, pairs: list[tuple[object, object]]) -> Batch:
    ids = built.store.entity_ids.to_list()
    rows = np.array([ids.index(entity) for entity, _ in pairs], dtype=np.int64)
    cutoffs = np.array([microseconds(cutoff) for _, cutoff in pairs], dtype=np.int64)  # type: ignore[arg-type]
    return builder_at(built).build(np.arange(len(pairs)), rows, cutoffs, None)


def features_of(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    history = batch.of(HistoryInputs)
    entity_BF = entity_features(history, len(NAMES))
    return label_features(history, len(NAMES), entity_BF), entity_BF


def assert_close(found: torch.Tensor, expected: list[float | None]) -> None:
    wanted = [float("nan") if value is None else value for value in expected]
    np.testing.assert_allclose(found.numpy(), wanted, rtol=2e-5, atol=2e-5)


cutoffs = st.builds(
    lambda days, beside: START + timedelta(days=days) + beside,
    st.integers(-1, DAYS + 200),
    st.sampled_from([timedelta(), timedelta(hours=12), timedelta(hours=7), timedelta(hours=9, minutes=1)]),
)


@few
@given(rows=sales(), visits=sales(most=10), chosen=st.lists(cutoffs, min_size=1, max_size=3))
def test_label_and_entity_features_equal_the_loop(rows, visits, chosen):
    anchor = [row for row in anchors("ann") if row["day"] < START + timedelta(days=25)]
    # The last anchors make windows of every split; the one in the middle leaves labels without history.
    rows = [*anchor[::4], *anchors("ann")[-30:], *rows]
    value = shop()
    value["data"]["tables"]["visits"] = {"kind": "events", "path": "visits.parquet", "time": "day"}
    visits = [{"customer": "new", "day": START, "product": None, "price": None, "shop": None}, *visits]
    with folder() as name:
        write_shop(Path(name), rows)
        write(Path(name) / "visits.parquet", sales_frame(visits))
        built = build(scenario_at(Path(name), value), Path(name) / "runs")
        entities = built.store.entity_ids.to_list()
        pairs = [(entity, cutoff) for cutoff in chosen for entity in entities]
        batch = batch_of(built, pairs)
    label_BKF, entity_BF = features_of(batch)
    assert label_BKF.shape == (len(pairs), len(NAMES), len(LABEL_FEATURES))
    assert entity_BF.shape == (len(pairs), len(ENTITY_FEATURES))
    everything, labelled = as_events([*rows, *visits]), label_rows(rows, NAMES)
    for example, (entity, cutoff) in enumerate(pairs):
        wanted = reference.entity_features(everything, labelled, entity, cutoff)
        assert_close(entity_BF[example], wanted)
        for label in range(len(NAMES)):
            wanted = reference.label_features(everything, labelled, entity, cutoff, label)
            assert_close(label_BKF[example, label], wanted)


@few
@given(rows=sales(most=60), chosen=st.lists(cutoffs, min_size=1, max_size=4))
def test_a_batch_of_many_equals_the_examples_one_by_one(rows, chosen):
    with folder() as name:
        write_shop(Path(name), anchors("ann") + rows)
        built = build(scenario_at(Path(name), shop()), Path(name) / "runs")
        pairs = [(entity, cutoff) for cutoff in chosen for entity in built.store.entity_ids.to_list()]
        together = features_of(batch_of(built, pairs))
        for example, pair in enumerate(pairs):
            for whole, one in zip(together, features_of(batch_of(built, [pair])), strict=True):
                torch.testing.assert_close(whole[example], one[0], rtol=1e-5, atol=1e-6, equal_nan=True)


def test_who_has_no_history_has_zero_counts_and_undefined_times(tmp_path):
    write_shop(tmp_path, anchors("ann"))
    built = build(scenario_at(tmp_path, shop()), tmp_path / "runs")
    label_BKF, entity_BF = features_of(batch_of(built, [("ann", START - TICK)]))
    undefined = [name in ("recency", "first seen", "mean gap", "recency over gap") for name in LABEL_FEATURES]
    assert torch.isnan(label_BKF[0, 0]).tolist() == undefined
    assert torch.nan_to_num(label_BKF).sum() == 0
    assert torch.nan_to_num(entity_BF).sum() == 0
    one, _ = features_of(batch_of(built, [("ann", START)]))
    features = dict(zip(LABEL_FEATURES, one[0, 0].tolist(), strict=True))
    assert features["recency"] == features["first seen"] == 0
    assert np.isnan(features["mean gap"])
    assert features["days"] == features["events"] == features["share of active days"] == 1


def test_no_examples_give_no_features(tmp_path):
    write_shop(tmp_path, anchors("ann"))
    built = build(scenario_at(tmp_path, shop()), tmp_path / "runs")
    label_BKF, entity_BF = features_of(batch_of(built, []))
    assert label_BKF.shape == (0, len(NAMES), len(LABEL_FEATURES))
    assert entity_BF.shape == (0, len(ENTITY_FEATURES))


@pytest.mark.parametrize(
    ("ago", "counts"), [(6, [1, 1, 1, 1]), (7, [0, 1, 1, 1]), (63, [0, 0, 0, 1]), (182, [0] * 4)]
)
def test_windows_are_open_on_the_left(tmp_path, ago, counts):
    rows = [{"customer": "bob", "day": START, "product": "p1", "price": 1.0, "shop": None}]
    write_shop(tmp_path, anchors("ann") + rows)
    built = build(scenario_at(tmp_path, shop()), tmp_path / "runs")
    label_BKF, _ = features_of(batch_of(built, [("bob", START + timedelta(days=ago))]))
    assert label_BKF[0, 0, :4].tolist() == counts
