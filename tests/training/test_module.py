"""The network: what it may and may not depend on, and that its weights come back."""

import itertools
import json
from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from mlc.models.branches.attributes import AttributeInputs, AttributesSpec
from mlc.models.branches.branch import BranchSpec
from mlc.models.branches.calendar import CALENDAR, CalendarInputs, calendar, known_calendar
from mlc.models.branches.events import EventInputs
from mlc.models.branches.foundation import (
    CADENCE_HALF_LIVES_DAYS,
    FoundationBranchSpec,
    LabelPredictions,
    ValueCadence,
)
from mlc.models.branches.history import HistoryBranch, HistoryInputs
from mlc.models.branches.memory import DecayedMemory, MemorySpec
from mlc.models.branches.popularity import POPULARITY, PopularityInputs
from mlc.models.encoders import PiecewiseLinear, quantile_edges
from mlc.models.ensemble import load_network, save_network
from mlc.models.network import Network, NetworkSpec
from mlc.models.reading.batch import BUCKETS, Batch, Fields, FieldSizes, Packed, Texts
from mlc.training.module import DefinedMeans, learning_rate_factor
from tests.support.effort import drawn
from tests.support.small_tables import with_inputs

LABELS = 3
ATTRIBUTES, EVENTS = FieldSizes([4, 5], 2), FieldSizes([6, 3], 1)
SPEC = NetworkSpec(
    LABELS,
    16,
    1,
    0.2,
    {
        "history": BranchSpec(),
        "attributes": AttributesSpec(ATTRIBUTES),
        "calendar": BranchSpec(),
        "popularity": BranchSpec(),
        "memory": MemorySpec(EVENTS),
    },
)
FOUNDATION = FoundationBranchSpec(EVENTS, 8, 12, horizons=2, predicted=[(0, 0), (2, 1), (2, 2)])


def changed(spec: NetworkSpec = SPEC, **branches: BranchSpec | None) -> NetworkSpec:
    """The spec with other branches; None turns one off."""
    given = {**spec.branches, **branches}
    return replace(spec, branches={name: branch for name, branch in given.items() if branch is not None})


def started(foundation: FoundationBranchSpec = FOUNDATION, spec: NetworkSpec = SPEC) -> NetworkSpec:
    """The spec with a foundation in place of the memory."""
    return changed(spec, memory=None, foundation=foundation)


TEXTS = changed(
    attributes=AttributesSpec(replace(ATTRIBUTES, texts=1)), memory=MemorySpec(replace(EVENTS, texts=2))
)
TEXTS_STARTED = started(replace(FOUNDATION, sizes=replace(EVENTS, texts=2)), TEXTS)
RAGGED = ("T", "S", "M")
_Rows = TypeVar("_Rows", torch.Tensor, Fields)


def random_batch(examples: int, seed: int = 0) -> Batch:
    """Examples with ragged histories; the first has none at all."""
    generator = np.random.default_rng(seed)

    def ragged(longest: int) -> tuple[torch.Tensor, torch.Tensor]:
        lengths = generator.integers(0, longest, examples)
        lengths[0] = 0
        example = np.repeat(np.arange(examples), lengths)
        return torch.from_numpy(example), torch.from_numpy(
            generator.uniform(0, 300, len(example)).astype(np.float32)
        )

    example_T, age_T = ragged(9)
    example_S, age_S = ragged(7)
    example_M, age_M = ragged(12)

    def codes(rows: int, sizes: list[int]) -> torch.Tensor:
        return torch.stack([torch.from_numpy(generator.integers(0, size, rows)) for size in sizes], dim=1)

    def numbers(*shape: int) -> torch.Tensor:
        values = generator.normal(size=shape).astype(np.float32)
        values[generator.random(shape) < 0.2] = np.nan
        return torch.from_numpy(values)

    def fields_of(rows: int, sizes: FieldSizes) -> Fields:
        return Fields(codes(rows, sizes.categories), numbers(rows, sizes.numbers))

    targets_BK = torch.from_numpy(generator.integers(0, 2, (examples, LABELS)).astype(np.uint8))
    inputs = (
        CalendarInputs(torch.from_numpy(generator.normal(size=(examples, CALENDAR)).astype(np.float32))),
        PopularityInputs(numbers(examples, LABELS, POPULARITY)),
        HistoryInputs(
            label_T=torch.from_numpy(generator.integers(0, LABELS, len(example_T))),
            example_T=example_T,
            age_T=age_T,
            first_T=torch.from_numpy(generator.integers(0, 2, len(example_T)).astype(np.float32)),
            example_S=example_S,
            age_S=age_S,
            events_B=torch.bincount(example_S, minlength=examples).float(),
        ),
        AttributeInputs(fields_of(examples, ATTRIBUTES)),
        EventInputs(example_M, age_M, fields_of(len(example_M), EVENTS)),
    )
    return with_inputs(Batch(torch.arange(examples), targets_BK), *inputs)


def with_texts(batch: Batch, attributes: int = 1, events: int = 2) -> Batch:
    """The batch with nine texts of up to four parts, the first of none, in text fields."""
    generator = torch.Generator().manual_seed(3)

    def texts(there: Fields, fields: int) -> Fields:
        starts = torch.tensor([0, 0, 3, 4, 8, 8, 9, 11, 14])
        buckets = torch.randint(0, fields * BUCKETS, (15,), generator=generator)
        places = torch.randint(0, 9, (len(there.numbers_XF), fields), generator=generator)
        return replace(there, texts=Texts(places, starts, buckets))

    about, seen = batch.of(AttributeInputs), batch.of(EventInputs)
    return with_inputs(
        batch,
        AttributeInputs(texts(about.fields_B, attributes)),
        replace(seen, fields_M=texts(seen.fields_M, events)),
    )


def chosen_rows(value: _Rows, which: torch.Tensor) -> _Rows:
    """Some rows of what has a row for each entity or event."""
    if isinstance(value, torch.Tensor):
        return value[which]
    texts = value.texts and replace(value.texts, places_XF=value.texts.places_XF[which])
    return Fields(value.categories_XF[which], value.numbers_XF[which], texts)


def one_example(batch: Batch, which: int) -> Batch:
    """A batch of its own."""
    own = batch.index_B == which

    def chosen(inputs: Packed) -> Packed:
        rows = {}
        for name, value in vars(inputs).items():
            axis = name.rsplit("_", 1)[-1]
            kept = getattr(inputs, f"example_{axis}") == which if axis in RAGGED else own
            rows[name] = (
                torch.zeros(int(kept.sum()), dtype=torch.int64)
                if name.startswith("example")
                else chosen_rows(value, kept)
            )
        return type(inputs)(**rows)

    inputs = {kind: chosen(inputs) for kind, inputs in batch.inputs.items()}
    return Batch(batch.index_B[own], batch.targets_BK[own], inputs)


def network(spec: NetworkSpec = SPEC, seed: int = 0) -> Network:
    torch.manual_seed(seed)
    made = Network(spec)
    with torch.no_grad():
        made.label_vector.normal_()
    made.fit([random_batch(64, 9)], torch.tensor([5, 20, 0]), torch.tensor([64, 64, 64]))
    return made.eval()


@pytest.mark.parametrize("spec", [SPEC, started(), TEXTS, TEXTS_STARTED])
def test_a_batch_gives_what_its_examples_give_one_by_one(spec):
    batch, net = with_texts(random_batch(12)), network(spec)
    with torch.no_grad():
        together = net(batch)
        alone = torch.cat([net(one_example(batch, which)) for which in range(12)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_what_is_computed_for_the_seen_labels_alone_is_what_all_of_them_give():
    batch, net = random_batch(12), network()
    history = net.branch(HistoryBranch)
    assert history is not None
    entity_BF, label_BKF = history.features(batch)
    with torch.no_grad():
        found = history.label_vectors(batch.of(HistoryInputs), entity_BF)
        torch.testing.assert_close(found, history.label_numbers(label_BKF), atol=1e-5, rtol=1e-5)


def test_the_order_of_the_events_changes_nothing():
    batch, net = random_batch(8), network()
    shuffled = batch
    for axis, kind in zip(RAGGED, (HistoryInputs, HistoryInputs, EventInputs), strict=True):
        inputs: HistoryInputs | EventInputs = shuffled.of(kind)
        order = torch.randperm(
            len(getattr(inputs, f"age_{axis}")), generator=torch.Generator().manual_seed(1)
        )
        names = [name for name in vars(inputs) if name.endswith(f"_{axis}")]
        rows: dict[str, Any] = {name: chosen_rows(getattr(inputs, name), order) for name in names}
        shuffled = with_inputs(shuffled, replace(inputs, **rows))
    with torch.no_grad():
        torch.testing.assert_close(net(batch), net(shuffled), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "spec",
    [
        changed(history=None),
        changed(popularity=None),
        changed(calendar=None),
        changed(attributes=None),
        changed(attributes=AttributesSpec(FieldSizes(numbers=2))),
        changed(memory=None),
        changed(memory=MemorySpec(FieldSizes(numbers=1))),
        changed(memory=MemorySpec(FieldSizes([6, 3]))),
        started(),
        started(replace(FOUNDATION, predicted=[])),
        changed(attributes=TEXTS.branches["attributes"]),
        changed(TEXTS_STARTED, attributes=AttributesSpec(ATTRIBUTES)),
        changed(memory=MemorySpec(FieldSizes(texts=2))),
        replace(SPEC, labels=3, depth=2, width=8),
    ],
)
def test_every_switch_can_be_off_and_all_weights_that_are_left_are_used(spec):
    net = network(spec).train()
    net(with_texts(random_batch(16))).square().mean().backward()
    unused = [name for name, parameter in net.named_parameters() if parameter.grad is None]
    assert unused == []


def test_what_is_off_is_not_looked_at():
    net, batch = network(changed(history=None, calendar=None)), random_batch(4)
    other = random_batch(4, seed=5)
    events_B = other.of(HistoryInputs).events_B
    history = replace(batch.of(HistoryInputs), events_B=events_B)
    beside = with_inputs(batch, other.of(CalendarInputs), history)
    with torch.no_grad():
        torch.testing.assert_close(net(batch), net(beside), atol=0, rtol=0)


@pytest.mark.parametrize(
    ("days", "known"),
    [
        (range(0, 365, 14), True),
        (range(300, 665, 14), True),  # around the turn of the year
        (range(0, 240, 14), False),
        ([*range(0, 150, 7), *range(220, 365, 7)], False),
        ([*range(0, 150, 7), *range(200, 365, 7)], True),
        ([5], False),
        ([], False),
    ],
)
def test_the_year_is_looked_at_only_where_training_knows_all_of_it(days, known):
    moments = np.array(days, dtype=np.int64) * 86_400_000_000
    calendar_NC = torch.from_numpy(calendar(moments)).reshape(-1, CALENDAR)
    assert known_calendar(calendar_NC).tolist() == ([1.0] * 6 if known else [0.0, 0.0, 1.0, 0.0, 0.0, 1.0])
    if not len(days):
        return
    net, batch = Network(SPEC).eval(), random_batch(8)
    sample = with_inputs(random_batch(len(days)), CalendarInputs(calendar_NC))
    net.fit([sample], torch.ones(LABELS), torch.full((LABELS,), 2.0))
    calendar_BC = batch.of(CalendarInputs).calendar_BC
    year, week = calendar_BC.clone(), calendar_BC.clone()
    year[:, [0, 1, 3, 4]] += 1.0
    week[:, [2, 5]] += 1.0
    with torch.no_grad():
        before, later, other = (net(with_inputs(batch, CalendarInputs(c))) for c in (calendar_BC, year, week))
    assert torch.equal(before, later) is not known
    assert not torch.equal(before, other)


def test_an_untrained_network_predicts_near_the_prevalence_of_each_label():
    net = network()
    torch.testing.assert_close(net.prior_K.sigmoid(), torch.tensor([5.5, 20.5, 0.5]) / 65)


@pytest.mark.parametrize("spec", [SPEC, started(), TEXTS])
def test_saved_weights_come_back_with_their_class_names(tmp_path, spec):
    net, batch = network(spec), with_texts(random_batch(6))
    save_network(net, ["Dress", "Men's Wear", "Ü, |"], tmp_path)
    again, names = load_network(tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(again.eval()(batch), net(batch), atol=0, rtol=0)
    assert names == ["Dress", "Men's Wear", "Ü, |"]
    assert json.loads((tmp_path / "model.json").read_text())["schema"] == "mlc/model/5"


def test_popularity_beyond_what_training_saw_counts_as_its_edge():
    net, batch = network(), random_batch(6)
    popularity_BKP = batch.of(PopularityInputs).popularity_BKP
    edge, beyond = (
        with_inputs(batch, PopularityInputs(torch.full_like(popularity_BKP, v))) for v in (90.0, 9e9)
    )
    with torch.no_grad():
        torch.testing.assert_close(net(edge), net(beyond), atol=0, rtol=0)


def test_a_model_of_another_version_is_refused(tmp_path):
    save_network(network(), ["a", "b", "c"], tmp_path)
    described = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps({**described, "schema": "mlc/model/1"}))
    with pytest.raises(ValueError, match="its schema is mlc/model/1, not mlc/model/5"):
        load_network(tmp_path)


def test_what_is_predicted_for_a_label_is_that_any_of_its_values_comes():
    predictions = LabelPredictions(FOUNDATION, LABELS)
    with torch.no_grad():
        predictions.usual_HV.normal_()
        vectors = torch.randn(5, 12)
        found = predictions(random_batch(5), vectors)  # an untrained cadence says nothing
        changed = predictions.heads(vectors).view(5, 2, 3)
    for example, horizon in itertools.product(range(5), range(2)):
        for label, values in enumerate(([0], [], [1, 2])):
            odds = []
            for logits in (predictions.usual_HV + changed[example], predictions.usual_HV):
                none = np.prod([1 - float(logits[horizon, value].sigmoid()) for value in values])
                odds.append(np.log((1 - none) / none) if values else 0.0)
            assert float(found[example, label, horizon]) == pytest.approx(odds[0] - odds[1], abs=1e-4)


def test_the_cadence_of_a_value_equals_a_plain_loop():
    cadence, batch = ValueCadence([6, 3], horizons=2), random_batch(6)
    events = batch.of(EventInputs)
    output_R = torch.tensor([-1, 0, 1, -1, 2, 2, -1, -1, 3])
    field_V = torch.tensor([0, 0, 0, 1])
    with torch.no_grad():
        cadence.outer.weight.normal_()
        found = cadence(batch, output_R, field_V)
        for example, value in itertools.product(range(6), range(4)):
            seen, total = torch.zeros(5), torch.zeros(5)
            for event in torch.nonzero(events.example_M == example).flatten().tolist():
                faded = torch.exp2(-events.age_M[event] / torch.tensor(CADENCE_HALF_LIVES_DAYS))
                total += faded
                for start, row in zip((0, 6), events.fields_M.categories_XF[event].tolist(), strict=True):
                    seen += faded * (output_R[start + row] == value)
            inner = cadence.inner(torch.log1p(torch.cat([seen, total]))) + cadence.field[field_V[value]]
            expected = cadence.outer(torch.nn.functional.gelu(inner))
            torch.testing.assert_close(found[example, value], expected, atol=1e-5, rtol=1e-5)


def test_a_batch_moves_whole():
    moved = with_texts(random_batch(3)).to("meta")
    attributes_B, fields_M = moved.of(AttributeInputs).fields_B, moved.of(EventInputs).fields_M
    wholes: list[Any] = [moved, *moved.inputs.values(), attributes_B, fields_M, fields_M.texts]
    parts = [getattr(whole, field.name) for whole in wholes for field in fields(whole)]
    assert {part.device.type for part in parts if isinstance(part, torch.Tensor)} == {"meta"}


@settings(deadline=None, max_examples=drawn(50))
@given(st.lists(st.one_of(st.floats(-50, 50, width=32), st.just(float("nan"))), min_size=1, max_size=30))
def test_piecewise_linear_encodings_equal_a_plain_loop(values):
    column = torch.tensor(values)[:, None]
    layer = PiecewiseLinear(1, 2, bins=4)
    layer.fit(column)
    edges = layer.edges[0].tolist()
    for value, encoded in zip(values, layer.encode(column).tolist(), strict=True):
        expected = []
        for low, high in itertools.pairwise(edges):
            if np.isnan(value) or value == 0:
                expected.append(0.0)
            else:
                expected.append(min(1.0, max(0.0, (value - low) / max(high - low, 1e-9))))
        expected += [float(value == 0), float(np.isnan(value))]
        np.testing.assert_allclose(encoded, expected, rtol=1e-4, atol=1e-4)


def test_bin_edges_rise_and_leave_out_zero_and_missing():
    edges = quantile_edges(torch.tensor([[0.0, 1.0], [0.0, 2.0], [5.0, float("nan")], [7.0, 3.0]]), bins=2)
    torch.testing.assert_close(edges, torch.tensor([[5.0, 6.0, 7.0], [1.0, 2.0, 3.0]]))


def test_a_feature_that_is_always_missing_has_edges_all_the_same():
    assert torch.isfinite(quantile_edges(torch.full((4, 1), float("nan")))).all()


def test_the_memory_halves_an_event_in_each_half_life():
    memory = DecayedMemory(FieldSizes([3]), 4, half_lives_days=(10.0,))
    memory.norm = torch.nn.Identity()  # type: ignore[assignment]
    memory.norm.weight = torch.ones(4)  # type: ignore[assignment]
    event = Fields(torch.tensor([[1]]), torch.zeros(1, 0))
    young, old = (
        with_inputs(random_batch(1), EventInputs(torch.tensor([0]), torch.tensor([age]), event))
        for age in (0.0, 20.0)
    )
    with torch.no_grad():
        fresh, faded = (torch.expm1(memory(one).abs()) for one in (young, old))
    torch.testing.assert_close(faded, fresh / 4, rtol=1e-4, atol=1e-6)


def test_means_in_the_loop_leave_out_undefined_labels_and_unknown_targets():
    generator = np.random.default_rng(0)
    scores = generator.random((40, 4)).astype(np.float32)
    targets = generator.integers(0, 2, (40, 4)).astype(np.uint8)
    targets[:, 1] = 0
    targets[:, 2] = 1
    targets[::3, 0] = 255
    metric = DefinedMeans()
    for part in (slice(0, 13), slice(13, 40)):
        metric.update(torch.from_numpy(scores[part]), torch.from_numpy(targets[part]))
    found = metric.compute()
    known = targets[:, 0] != 255
    pairs = [(targets[known, 0], scores[known, 0]), (targets[:, 3], scores[:, 3])]
    assert found["labels_defined"] == 2
    assert float(found["macro_auroc"]) == pytest.approx(
        np.mean([roc_auc_score(*pair) for pair in pairs]), abs=1e-6
    )
    expected = np.mean([average_precision_score(*pair) for pair in pairs])
    assert float(found["macro_ap"]) == pytest.approx(expected, abs=1e-6)


def test_means_are_nan_where_no_label_is_defined():
    metric = DefinedMeans()
    metric.update(torch.rand(3, 2), torch.zeros(3, 2, dtype=torch.uint8))
    assert np.isnan(float(metric.compute()["macro_ap"]))


def test_the_learning_rate_rises_then_falls_and_never_stops():
    factors = [learning_rate_factor(step, 200) for step in range(200)]
    assert np.argmax(factors) in (9, 10)
    assert max(factors) == 1.0
    assert min(factors) > 0
    assert factors[10:] == sorted(factors[10:], reverse=True)
