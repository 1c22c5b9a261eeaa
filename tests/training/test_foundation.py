"""Training that starts from a foundation, through the real command line."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from mlc.errors import RunError
from mlc.events.vocabulary import FIRST, FieldRows, Vocabulary
from mlc.models.branches.events import EventInputs
from mlc.models.branches.foundation import FoundationBranch
from mlc.models.ensemble import members_of
from mlc.run import RunFolder
from mlc.scenario import EventScenario
from mlc.tables import SPLIT, scores_of, targets_of
from tests.conftest import NANO
from tests.support.event_scenarios import load_events
from tests.support.small_tables import batches_of, silent
from tests.training.conftest import FLAGS, NAME

AS_OF = "2025-09-03"


def test_training_the_head_alone_leaves_the_foundation_as_it_was(runs, tuned):
    before, after = load_file(runs / "base" / "model.safetensors"), load_file(tuned / "model.safetensors")
    encoder = {name: tensor for name, tensor in before.items() if name.startswith("encoder.")}
    assert encoder
    for name, tensor in encoder.items():
        assert torch.equal(after[f"started.branches.foundation.{name}"], tensor), name


def test_the_weight_of_a_hedge_has_the_lowest_validation_loss_and_the_report_tells_it(runs, tuned):
    from mlc.events.preparing import prepare
    from mlc.events.trained import stored_vocabulary
    from mlc.models.ensemble import Hedge
    from mlc.models.part import NetworkPart

    run = RunFolder(tuned)
    prepared = prepare(EventScenario.of(run.scenario(), "this test"), runs, silent)
    validation = np.flatnonzero((prepared.examples.table[SPLIT] == "validation").to_numpy())
    batch = batches_of(prepared, stored_vocabulary(run))[validation]
    network = NetworkPart.load(run).network.eval()
    assert isinstance(network, Hedge)
    with torch.no_grad():
        started, scratch = network.started(batch).double(), network.scratch(batch).double()
    targets = targets_of(prepared.examples.table)[validation]
    known = list(zip(*np.nonzero(targets < 2), strict=True))

    def loss(weight: float) -> float:
        scores = torch.sigmoid(weight * started + (1 - weight) * scratch).numpy()
        return sum(-math.log(scores[cell] if targets[cell] else 1 - scores[cell]) for cell in known)

    best = min((step / 20 for step in range(21)), key=loss)
    assert network.weight.item() == pytest.approx(best)
    assert (
        f"a hedge: in logits {network.weight.item():.2f} of what starts from"
        in (run / "report.md").read_text()
    )


def test_a_frozen_foundation_is_asked_once_and_says_the_same(demo, runs, tuned, tmp_path, monkeypatch):
    """The log, the scores and the report of a training that asks it again in every step."""
    from mlc.models.network import Network
    from mlc.training.supervised import Setting, train

    shutil.copytree(runs / "base", tmp_path / "base")
    overrides = [text for text in NANO if text != "--set"]
    monkeypatch.setattr(Network, "frozen", property(lambda _: False))
    train(
        load_events(demo / f"{NAME}.yaml", [*overrides, "name=tuned", "model.foundation=base"]),
        Setting(tmp_path),
        silent,
    )
    both = (tuned, tmp_path / "tuned")
    for line, other in zip(*((run / "log.jsonl").read_text().splitlines() for run in both), strict=True):
        expected, found = json.loads(line), json.loads(other)
        expected.pop("seconds")
        assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-4)
    scores, others = (scores_of(pl.read_parquet(run / "predictions.parquet")) for run in both)
    np.testing.assert_allclose(scores, others, atol=1e-4)
    reports = [json.loads((run / "report.json").read_text())["splits"]["test"]["macro"] for run in both]
    for name in ("auroc", "ap", "log_loss"):
        assert reports[0][name] == pytest.approx(reports[1][name], abs=1e-3)
    assert not (tuned / "foundation_cache.f32").exists()


def test_a_frozen_foundation_is_asked_the_same_on_the_device_that_trains(
    demo, runs, tuned, tmp_path, monkeypatch
):
    """What is cached, the weights and the scores are those of batches of main memory."""
    from mlc.models.reading.device import DeviceBatches
    from mlc.training.supervised import Setting, train

    events = []
    batch = DeviceBatches.batch

    def counted(self, index_B, cached_BR):
        built = batch(self, index_B, cached_BR)
        events.append(EventInputs in built.inputs)
        return built

    shutil.copytree(runs / "base", tmp_path / "base")
    overrides = [text for text in NANO if text != "--set"]
    monkeypatch.setattr(DeviceBatches, "batch", counted)
    monkeypatch.setattr("mlc.training.resident.free_memory", lambda _: 1 << 40)
    train(
        load_events(demo / f"{NAME}.yaml", [*overrides, "name=tuned", "model.foundation=base"]),
        Setting(tmp_path),
        silent,
    )
    asked = sum(events)
    assert asked
    assert events == [*[True] * asked, *[False] * (len(events) - asked)]
    for file in ("model.safetensors", "predictions.parquet"):
        assert (tuned / file).read_bytes() == (tmp_path / "tuned" / file).read_bytes()


def test_a_batch_with_what_is_cached_has_no_events_and_the_same_logits(runs, tuned):
    from mlc.events.preparing import prepare
    from mlc.events.trained import stored_vocabulary
    from mlc.models.ensemble import members_of
    from mlc.models.part import NetworkPart

    run = RunFolder(tuned)
    prepared = prepare(EventScenario.of(run.scenario(), "this test"), runs, silent)
    examples = batches_of(prepared, stored_vocabulary(run))
    network = members_of(NetworkPart.load(run).network.eval())[0]
    index_B = np.random.default_rng(1).permutation(len(examples))[:40]
    with torch.no_grad():
        plain = network(examples[index_B])
        foundation = network.branch(FoundationBranch)
        assert foundation is not None
        examples.cached_NR = np.concatenate([foundation.to_cache(b).numpy() for b in examples.in_order()])
        batch = examples[index_B]
        assert EventInputs not in batch.inputs
        torch.testing.assert_close(network(batch), plain, atol=1e-5, rtol=0)


@pytest.mark.parametrize("tune", ["all", "{foundation_learning_rate: 1.0e-4}"])
def test_training_all_changes_the_foundation(demo, runs, mlc, tune):
    flags = (
        *NANO,
        "--set",
        "train.epochs=1",
        "--set",
        "name=whole",
        "--set",
        "model.foundation=base",
        "--set",
        f"model.tune={tune}",
        "--set",
        "model.hedge=false",
    )
    shutil.copytree(runs / "base", "runs/base")
    assert mlc("train", demo / f"{NAME}.yaml", *flags, "--overwrite").code == 0
    before, after = load_file(runs / "base" / "model.safetensors"), load_file("runs/whole/model.safetensors")
    moved = (after["branches.foundation.encoder.inner.weight"] - before["encoder.inner.weight"]).abs().max()
    assert 0 < moved < (0.003 if "rate" in tune else 1)


def test_the_whole_path_needs_the_foundation_in_training_only(demo, mlc, tmp_path):
    assert mlc("pretrain", demo / f"{NAME}.yaml", *FLAGS).code == 0
    foundation = f"model.foundation={tmp_path / 'runs' / NAME}-foundation"
    assert mlc("train", demo / f"{NAME}.yaml", *NANO, "--set", foundation).code == 0
    facts = json.loads((tmp_path / f"runs/{NAME}/run.json").read_text())["foundation"]
    assert facts["name"] == f"{NAME}-foundation"
    shutil.rmtree(tmp_path / f"runs/{NAME}-foundation")
    assert "the same numbers as in training" in mlc("evaluate", NAME).err
    assert mlc("predict", NAME, "--as-of", AS_OF).code == 0
    assert mlc("embed", NAME, "--as-of", AS_OF).code == 0
    assert pl.read_parquet("vectors.parquet").columns == ["entity_id", "cutoff", "vector"]


def test_before_its_training_a_network_says_what_the_foundation_predicts(demo, runs):
    from mlc.events.preparing import prepare
    from mlc.training.event_learner import fitted_network
    from mlc.training.starting import open_foundation

    overrides = ["model.preset=nano", "target.allow_empty=true", "model.foundation=base"]
    prepared = prepare(load_events(demo / f"{NAME}.yaml", overrides), runs, silent)
    fit_until = prepared.cutoffs.fit_until
    start = open_foundation(prepared.scenario, runs, fit_until, prepared.store, silent)
    assert start is not None
    examples = batches_of(prepared, Vocabulary(FieldRows({}, []), start.events))
    vocabulary = Vocabulary(FieldRows({}, []), start.events)
    network, _ = members_of(fitted_network(prepared, vocabulary, examples, start).eval())
    batch = examples[np.arange(50)]
    model, (field, label) = start.model.eval(), ("articles.department", "Kids")
    assert model.cadence is not None
    names, rows = list(start.events.categories), list(start.events.categories[field])
    row = sum(start.events.sizes[: names.index(field)]) + FIRST + rows.index(label)
    value = int(model.output_R[row])
    with torch.no_grad():
        cadence_B = model.cadence(batch, model.output_R, model.field_V)[:, value, 1]  # 28 days
        predicted_B = cadence_B + model.heads(model.vectors(batch))[:, model.spec.outputs + value]
        kids = prepared.examples.labels.names.index(label)
        bias = network(batch)[:, kids] - network.prior_K[kids] - predicted_B
    torch.testing.assert_close(bias, bias[:1].expand(50), atol=1e-4, rtol=0)


def test_new_columns_and_unseen_values_survive(demo, runs, mlc, tmp_path):
    folder = tmp_path / "grown"
    shutil.copytree(demo, folder)
    articles = pl.read_parquet(folder / "data/articles.parquet")
    new = pl.Series("fabric", ["wool", "silk"] * articles.height)[: articles.height]
    category = pl.when(pl.int_range(pl.len()) % 7 == 0).then(pl.lit("Never Seen")).otherwise("category")
    grown = articles.with_columns(new, category.alias("category")).drop("price_band")
    grown.write_parquet(folder / "data/articles.parquet")
    flags = (*NANO, "--set", f"model.foundation={runs / 'base'}")
    result = mlc("train", folder / f"{NAME}.yaml", *flags)
    assert result.code == 0, result.err
    assert "does not know articles.fabric" in result.err
    assert "knows articles.price_band, the tables do not" in result.err
    assert "the same numbers as in training" in mlc("evaluate", NAME).err


def test_one_foundation_serves_other_targets(demo, runs, mlc):
    flags = (*NANO, "--set", f"model.foundation={runs / 'base'}", "--set", "target.window_days=21")
    labels = "{Wear: {pattern: Wear$}, Food: ['Food, Fresh', Pantry]}"
    truth = ("--set", "target.true_probabilities=null")
    result = mlc("train", demo / f"{NAME}.yaml", *flags, *truth, "--set", f"target.class_names={labels}")
    assert result.code == 0, result.err


def test_a_foundation_is_made_where_none_fits_and_found_where_one_does(demo, mlc, tmp_path):
    flags = (*NANO, *FLAGS, "--set", "model.foundation=auto")
    first = mlc("train", demo / f"{NAME}.yaml", *flags)
    assert first.code == 0, first.err
    made = tmp_path / f"runs/{NAME}-foundation"
    assert f"starts from runs/{made.name}" in first.err
    before = (made / "run.json").read_text()
    shorter = ("name=shorter", "target.window_days=21", "target.true_probabilities=null")
    again = mlc("train", demo / f"{NAME}.yaml", *flags, *(f for text in shorter for f in ("--set", text)))
    assert again.code == 0, again.err
    assert (made / "run.json").read_text() == before
    shortened = EventScenario.of(RunFolder(tmp_path / "runs/shorter").scenario(), "this test")
    assert shortened.model.foundation == made.name
    # One that has seen too much does not fit, and is not replaced either.
    refused = mlc("train", demo / f"{NAME}.yaml", *flags, "--set", "examples.validation_from=2025-07-09")
    assert refused.code == 2
    assert f"runs/{made.name}: a finished run of another scenario" in refused.err


def test_without_time_for_a_foundation_auto_trains_without_one_and_says_why(demo, mlc):
    flags = (*NANO, "--set", "model.foundation=auto", "--set", "pretrain.horizons_days=[400]")
    result = mlc("train", demo / f"{NAME}.yaml", *flags)
    assert result.code == 0, result.err
    assert "trains without a foundation, for none can be made" in result.err
    assert "the shortest, 400 days, is more than a third of the time" in result.err
    assert [path.name for path in Path("runs").iterdir() if path.name != "store"] == [NAME]


def test_a_smoke_run_makes_no_foundation_by_the_way(demo, mlc):
    result = mlc("train", demo / f"{NAME}.yaml", "--smoke", "--set", "model.foundation=auto")
    assert result.code == 0, result.err
    assert not list(Path("runs").glob("*-foundation"))


def test_a_foundation_that_is_not_there_is_told_with_its_line_before_tables_are_read(demo, mlc):
    result = mlc("train", demo / f"{NAME}.yaml", "--set", "model.foundation=gone")
    assert result.code == 2
    assert "model.foundation: no run gone in runs. " in result.err
    assert "events" not in result.err


def test_torchrun_makes_no_foundation_by_the_way(demo, tmp_path, monkeypatch):
    from mlc.training.starting import with_foundation

    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    scenario = load_events(demo / f"{NAME}.yaml", ["model.foundation=auto"])
    with pytest.raises(RunError, match=r"model\.foundation: no run of mlc pretrain fits"):
        with_foundation(scenario, tmp_path, "new", silent)


def test_a_foundation_that_has_seen_the_validation_is_refused(demo, mlc):
    assert mlc("pretrain", demo / f"{NAME}.yaml", *FLAGS, "--until", "2025-08-20").code == 0
    flags = (*NANO, "--set", f"model.foundation={NAME}-foundation")
    result = mlc("train", demo / f"{NAME}.yaml", *flags)
    assert result.code == 2
    assert "after the first validation cutoff, 2025-08-06 00:00. Run mlc pretrain with --until " in result.err
    assert "it has seen events up to 2025-08-20 00:00, after the first validation cutoff" in result.err


def test_a_foundation_whose_vocabulary_is_another_is_refused(demo, runs, mlc, tmp_path):
    shutil.copytree(runs / "base", tmp_path / "runs" / "broken")
    vocabulary = tmp_path / "runs/broken/vocabulary.json"
    vocabulary.write_text(vocabulary.read_text().replace("Pantry", "Kitchen"))
    result = mlc("train", demo / f"{NAME}.yaml", *NANO, "--set", "model.foundation=broken")
    assert result.code == 2
    assert "vocabulary.json" in result.err
    assert "fingerprint" in result.err


@pytest.mark.parametrize(
    ("overrides", "rule"),
    [
        (("model.foundation=base", "model.memory=true"), "memory has no effect"),
        (("model.tune={trunk_learning_rate: 1.0e-4}",), "did you mean foundation_learning_rate?"),
        (("model.tune=some",), "must be all, head, or a mapping with foundation_learning_rate"),
    ],
)
def test_options_that_make_no_sense_together_are_refused(demo, mlc, overrides, rule):
    flags = [text for override in overrides for text in ("--set", override)]
    result = mlc("train", demo / f"{NAME}.yaml", *flags)
    assert result.code == 2
    assert rule in result.err


def test_a_scenario_is_no_foundation_and_a_foundation_no_classifier(demo, runs, trained, mlc):
    flags = (*NANO, "--set", f"model.foundation={trained / NAME}")
    assert "no foundation, but a run of mlc train" in mlc("train", demo / f"{NAME}.yaml", *flags).err
    for command in ("predict", "evaluate"):
        assert "a foundation model, which has no labels" in mlc(command, "base", "--runs-dir", runs).err
    result = mlc("embed", NAME, "--runs-dir", trained)
    assert result.code == 2
    assert "Train with model.memory: true or with a model.foundation" in result.err
