"""The context encoder against plain loops over examples; what it may and may not depend on."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

import mlc.models.branches.sequences as module
from mlc.models.branches.calendar import CalendarInputs, calendar
from mlc.models.branches.context import ContextBranch, ContextSpec, with_times
from mlc.models.branches.events import EventInputs
from mlc.models.branches.sequences import (
    HEAD,
    AttentionLayer,
    Recurrent,
    Sequences,
    Transformer,
    attention,
)
from mlc.models.ensemble import load_network, save_network
from mlc.models.network import Network
from mlc.models.reading.batch import Batch, Fields
from mlc.tables import microseconds
from tests.conftest import NANO
from tests.support.effort import drawn
from tests.support.small_tables import joined_batches, with_inputs
from tests.training.test_module import (
    EVENTS,
    LABELS,
    changed,
    chosen_rows,
    network,
    one_example,
    random_batch,
)

KINDS = ("gru", "transformer")
lengths = st.lists(st.integers(0, 9), min_size=1, max_size=7)
many = settings(deadline=None, max_examples=drawn(30))


def spec_of(kind: str, width: int = 32, layers: int = 2) -> ContextSpec:
    return ContextSpec(kind, width, layers, 0.1, EVENTS)  # type: ignore[arg-type]


def with_context(kind: str) -> Network:
    return network(changed(context=spec_of(kind)))


def packed(events: list[int], width: int) -> tuple[torch.Tensor, Sequences, list[torch.Tensor]]:
    """Random tokens, whose they are, and the tokens of each example by themselves."""
    examples = len(events)
    example_M = torch.arange(examples).repeat_interleave(torch.tensor(events))
    token_XD = torch.randn(examples + len(example_M), width, dtype=torch.double, requires_grad=True)
    alone = [torch.cat([token_XD[i : i + 1], token_XD[examples:][example_M == i]]) for i in range(examples)]
    return token_XD, Sequences.of(example_M, examples), alone


def assert_equal_with_gradients(
    found: torch.Tensor, expected: torch.Tensor, parameters: list[torch.Tensor]
) -> None:
    torch.testing.assert_close(found, expected)
    weight = torch.randn_like(found)
    gradients = (
        torch.autograd.grad((vectors * weight).sum(), parameters, allow_unused=True)
        for vectors in (found, expected)
    )
    for ours, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, plain)


@many
@given(lengths, st.integers(1, 2))
def test_the_packed_gru_is_torchs_gru_on_each_example(events, layers):
    torch.manual_seed(0)
    recurrent = Recurrent(5, layers).double()
    token_XD, sequences, alone = packed(events, 5)
    expected = recurrent.norm(torch.stack([recurrent.gru(tokens)[0][-1] for tokens in alone]))
    assert_equal_with_gradients(recurrent(token_XD, sequences), expected, [token_XD, *recurrent.parameters()])


def attended(layer: AttentionLayer, token_XD: torch.Tensor) -> torch.Tensor:
    """A layer on one sequence, head by head, softmax written out."""
    normed = layer.norm(token_XD)
    query, both = layer.query(normed), layer.key_and_value(normed)
    width = token_XD.shape[1]
    heads = []
    for begin in range(0, width, HEAD):
        of_head = slice(begin, begin + HEAD)
        key, value = both[:, :width][:, of_head], both[:, width:][:, of_head]
        heads.append(torch.softmax(query[:, of_head] @ key.T / HEAD**0.5, dim=1) @ value)
    between = token_XD + layer.out(torch.cat(heads, dim=1))
    return between + layer.mlp(between)


@many
@given(lengths, st.integers(1, 2))
def test_the_packed_transformer_is_attention_on_each_example(events, layers):
    torch.manual_seed(0)
    transformer = Transformer(2 * HEAD, layers).double()
    token_XD, sequences, alone = packed(events, 2 * HEAD)
    expected = []
    for tokens in alone:
        for layer in transformer.layers:
            tokens = attended(layer, tokens)  # type: ignore[arg-type]
        expected.append(transformer.norm(tokens[0]))
    assert_equal_with_gradients(
        transformer(token_XD, sequences), torch.stack(expected), [token_XD, *transformer.parameters()]
    )


def ragged_attention(device: str, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    asked_B = torch.tensor([1, 2, 2, 5, 9, 30])
    asking_B = torch.tensor([1, 2, 1, 5, 9, 30])
    parts = (
        torch.randn(int(count.sum()), 2, HEAD, generator=generator) for count in (asking_B, asked_B, asked_B)
    )
    return (*(part.to(device, dtype) for part in parts), asking_B.to(device), asked_B.to(device))


def test_attention_without_padding_is_asked_for_what_the_blocks_compute(monkeypatch):
    """The kernel itself runs on GPUs alone: here a loop stands for it, after its documentation."""

    def loop(query, key, value, ends_query, ends_key, most_query, most_key):
        assert most_query == ends_query.diff().max()
        assert most_key == ends_key.diff().max()
        assert ends_query.dtype == ends_key.dtype == torch.int32
        found = []
        for i in range(len(ends_query) - 1):
            asking, asked = slice(*ends_query[i : i + 2]), slice(*ends_key[i : i + 2])
            parts = (part.transpose(0, 1) for part in (query[asking], key[asked], value[asked]))
            found.append(functional.scaled_dot_product_attention(*parts).transpose(0, 1))
        return torch.cat(found)

    monkeypatch.setattr(module, "attention_kernel", lambda: loop)
    inputs = ragged_attention("cpu", torch.float32)
    torch.testing.assert_close(module._without_padding(*inputs), attention(*inputs))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.skipif(find_spec("torch.nn.attention.varlen") is None, reason="needs torch 2.10")
def test_attention_on_a_gpu_gives_the_same_with_and_without_padding():
    inputs = ragged_attention("cuda", torch.bfloat16)
    torch.testing.assert_close(
        module._without_padding(*inputs),
        module._in_blocks(*inputs),
        atol=2e-2,
        rtol=2e-2,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_an_example_gives_the_same_in_any_company_and_order(kind):
    batch, net = random_batch(12), with_context(kind)
    with torch.no_grad():
        together = net(batch)
        alone = torch.cat([net(one_example(batch, which)) for which in range(12)])
        one_fewer = net(without_the_longest(batch))
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    longest = int(torch.bincount(batch.of(EventInputs).example_M).argmax())
    torch.testing.assert_close(torch.cat([together[:longest], together[longest + 1 :]]), one_fewer)


def without_the_longest(batch: Batch) -> Batch:
    """The same batch with one example fewer, so that blocks are padded to another length."""
    longest = int(torch.bincount(batch.of(EventInputs).example_M).argmax())
    kept = [one_example(batch, which) for which in range(len(batch)) if which != longest]
    return joined_batches(kept)


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_the_events_is_seen(kind):
    batch = random_batch(8)
    context = ContextBranch(spec_of(kind), LABELS, 16).eval()
    backwards = torch.arange(len(batch.of(EventInputs).example_M)).flip(0)
    events = batch.of(EventInputs)
    shuffled = with_inputs(batch, replace(events, fields_M=chosen_rows(events.fields_M, backwards)))
    with torch.no_grad():
        assert not torch.allclose(context.vectors(batch), context.vectors(shuffled))


@pytest.mark.parametrize("kind", KINDS)
def test_an_example_without_events_has_the_vector_of_the_first_token(kind):
    batch = random_batch(6)
    assert (batch.of(EventInputs).example_M != 0).all()
    context = ContextBranch(spec_of(kind), LABELS, 16).eval()
    with torch.no_grad():
        expected = context.encoder(context.first[None], Sequences.of(torch.zeros(0, dtype=torch.int64), 1))
        torch.testing.assert_close(context.vectors(batch)[:1], expected)
        none = context.vectors(one_example(batch, 0))
    torch.testing.assert_close(none, expected)
    assert none.abs().sum() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_the_same_bit_by_bit(kind):
    batch, net = random_batch(200), with_context(kind)
    gradients = []
    for _ in range(3):
        net.zero_grad()
        net(batch).square().sum().backward()
        context = net.branch(ContextBranch)
        assert context is not None
        gradients.append([p.grad.clone() for p in context.parameters() if p.grad is not None])
    for first, *others in zip(*gradients, strict=True):
        assert all(torch.equal(first, other) for other in others)


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_of_sixteen_bits_change_little(kind):
    batch, net = random_batch(20), with_context(kind)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = net(batch)
        logits.float().sum().backward()
    torch.testing.assert_close(logits.float(), net(batch), atol=0.1, rtol=0.1)
    context = net.branch(ContextBranch)
    assert context is not None
    assert all(parameter.grad is not None for parameter in context.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_the_context_comes_back_from_disk(kind, tmp_path):
    net = with_context(kind)
    save_network(net, ["a", "b", "c"], tmp_path)
    loaded, _ = load_network(tmp_path)
    batch = random_batch(5)
    with torch.no_grad():
        torch.testing.assert_close(loaded.eval()(batch), net(batch), atol=0, rtol=0)


def test_times_are_ages_pauses_and_days_of_the_week():
    cutoff = datetime(2025, 3, 5, 12)
    moments = [
        [],
        [datetime(2025, 3, 3), datetime(2025, 3, 3), datetime(2025, 3, 5, 6)],
        [datetime(2020, 1, 1)],
    ]
    example_M = torch.tensor([1, 1, 1, 2])
    ages = [(cutoff - moment) / timedelta(days=1) for row in moments for moment in row]
    fields_M = Fields(torch.zeros(4, 0, dtype=torch.int64), torch.zeros(4, 1))
    batch = with_inputs(
        random_batch(3),
        CalendarInputs(torch.from_numpy(calendar(torch.full((3,), microseconds(cutoff)).numpy()))),
        EventInputs(example_M, torch.tensor(ages), fields_M),
    )
    found = with_times(batch, Sequences.of(example_M, 3)).numbers_XF
    torch.testing.assert_close(found[:, 1], torch.tensor(ages).log1p())
    pauses = torch.tensor([torch.nan, 0.0, 2.25, torch.nan])
    torch.testing.assert_close(found[:, 2], pauses.log1p(), equal_nan=True)
    at_events = calendar(torch.tensor([microseconds(m) for row in moments for m in row]).numpy())
    torch.testing.assert_close(found[:, 3:], torch.from_numpy(at_events)[:, [2, 5]], atol=2e-3, rtol=0)


@pytest.mark.parametrize(("kind", "more"), [("gru", ()), ("transformer", ("--set", "model.max_events=5"))])
def test_a_scenario_with_a_context_is_trained_and_judged_again(mlc, demo, kind, more):
    more = (
        *more,
        "--set",
        f"model.context={kind}",
        "--set",
        "train.epochs=1",
        "--set",
        "model.history=false",
    )
    trained = mlc("train", demo / "departments_28d.yaml", *NANO, *more)
    assert trained.code == 0, trained.err
    described = json.loads(Path("runs/departments_28d/model.json").read_text(encoding="utf-8"))
    assert described["network"]["branches"]["context"]["kind"] == kind
    again = mlc("evaluate", "departments_28d")
    assert again.code == 0, again.err
    assert mlc("predict", "departments_28d", "--out", "scores.parquet").code == 0
