"""Branches: a new one is a class, and its place in the list; everything else follows."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import nn

from mlc.events.vocabulary import Vocabulary, fit_vocabulary
from mlc.models import branches, network
from mlc.models.branches import BRANCHES
from mlc.models.branches.branch import Branch, BranchSpec, Known, Sums
from mlc.models.branches.gathering import BranchInputs, Gather, Place
from mlc.models.ensemble import load_network, save_network
from mlc.models.network import Network, NetworkSpec
from mlc.models.reading.batch import Batch
from mlc.models.reading.batches import BatchBuilder, ExampleBatches
from mlc.models.reading.columns import field_sizes
from mlc.models.reading.device import device_batches
from mlc.scenario import ModelSection
from mlc.tables import MICROSECONDS_PER_DAY
from tests.support.small_tables import anchors, build, builder_of, scenario_at, shop, with_inputs, write_shop

if TYPE_CHECKING:
    from pathlib import Path

LABELS = 3


@dataclass
class AgeInputs(BranchInputs):
    """Days since the first day of the tables, and the newest label of each example."""

    days_B: torch.Tensor
    newest_B: torch.Tensor

    @classmethod
    def gatherer(cls, source: BatchBuilder, place: Place) -> Gather:
        past_of = place.line(source.inputs.label_line, 1)
        label_of = place.column(source.label_T, np.int64, LABELS)
        first = int(source.inputs.store.events.time.min())
        days_of = place.at_cutoffs(lambda cutoffs_B: (cutoffs_B - first) / MICROSECONDS_PER_DAY)

        def gather(chosen):
            newest, days_B = past_of(chosen), days_of(chosen)
            none_B = torch.full_like(chosen.row_B, -1)
            return cls(days_B, none_B.index_copy(0, newest.example_X, label_of(newest.index_X)))

        return gather


@dataclass(frozen=True)
class AgeSpec(BranchSpec):
    units: int


class AgeBranch(Branch):
    name = "age"
    inputs = (AgeInputs,)
    spec_type = AgeSpec
    longest: torch.Tensor

    def __init__(self, spec: AgeSpec, labels: int, width: int) -> None:
        super().__init__(spec, labels, width)
        self.layers = nn.Sequential(nn.Linear(2, spec.units), nn.GELU(), nn.Linear(spec.units, width))
        self.register_buffer("longest", torch.ones(()))

    @classmethod
    def spec_of(cls, known: Known) -> AgeSpec | None:
        return AgeSpec(5) if known.model.calendar else None

    def forward(self, batch: Batch, sums: Sums) -> Sums:
        own = batch.of(AgeInputs)
        seen_B2 = torch.stack([own.days_B.float() / self.longest, own.newest_B.float()], dim=1)
        return replace(sums, entity_BD=sums.entity_BD + self.layers(seen_B2))

    def fit(self, batches) -> None:
        self.longest.copy_(max(batch.of(AgeInputs).days_B.max() for batch in batches))


@pytest.fixture(autouse=True)
def with_age(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (branches, network):
        monkeypatch.setattr(module, "BRANCHES", (*BRANCHES, AgeBranch))


def examples_at(place: "Path") -> tuple[ExampleBatches, Vocabulary]:
    write_shop(place, [*anchors("ann"), *anchors("bob")[:20]])
    built = build(scenario_at(place, shop()), place / "runs")
    vocabulary = fit_vocabulary(built.store, built.cutoffs.fit_until, attributes=True, memory=True)
    builder = builder_of(built, vocabulary)
    return ExampleBatches(builder, built.examples.rows, built.examples.cutoffs, None), vocabulary


def network_of(vocabulary: Vocabulary, model: ModelSection) -> Network:
    sizes = field_sizes(vocabulary.attributes), field_sizes(vocabulary.events)
    return Network(NetworkSpec.of(model, LABELS, *sizes)).eval()


def test_a_new_branch_is_gathered_built_fitted_used_and_stored(tmp_path):
    examples, vocabulary = examples_at(tmp_path)
    batch = examples[np.arange(len(examples))]
    own = batch.of(AgeInputs)
    assert set(own.newest_B.tolist()) <= {-1, *range(LABELS)}
    net = network_of(vocabulary, ModelSection(memory=True))
    net.fit([batch], torch.ones(LABELS), torch.full((LABELS,), 2.0))
    branch = net.branch(AgeBranch)
    assert branch is not None
    assert branch.longest == own.days_B.max().float()
    with torch.no_grad():
        logits_BK = net(batch)
        later_BK = net(with_inputs(batch, replace(own, days_B=own.days_B + 30.0)))
    assert not torch.equal(logits_BK, later_BK)
    save_network(net, ["a", "b", "c"], tmp_path)
    again, _ = load_network(tmp_path)
    with torch.no_grad():
        assert torch.equal(again.eval()(batch), logits_BK)


def test_a_new_branch_is_gathered_on_a_device_as_in_main_memory(tmp_path):
    examples, _ = examples_at(tmp_path)
    index_B = np.arange(len(examples))[::-2].copy()
    expected = examples[index_B].of(AgeInputs)
    resident, _ = device_batches(examples, torch.device("cpu"), 1 << 40)
    assert resident is not None
    found = resident.batch(index_B, None).of(AgeInputs)
    assert torch.equal(found.days_B, expected.days_B)
    assert torch.equal(found.newest_B, expected.newest_B)


def test_a_branch_that_is_off_has_no_weights_and_no_place_in_the_model_file(tmp_path):
    _, vocabulary = examples_at(tmp_path)
    for on in (True, False):
        net = network_of(vocabulary, ModelSection(calendar=on))
        assert ("age" in net.spec.as_json()["branches"]) == on
        assert any(name.startswith("branches.age.") for name in net.state_dict()) == on
