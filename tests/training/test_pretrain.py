"""Pre-training, and what starts from it, through the real command line."""

import json
import math
import shutil
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from mlc.errors import RunError
from mlc.events.vocabulary import FIRST, FieldRows, Vocabulary
from mlc.models.ensemble import members_of
from mlc.models.foundation import load_foundation
from mlc.run import RunFolder
from mlc.scenario import load_scenario
from mlc.tables import ENTITY_ID, SPLIT, scores_of, targets_of
from mlc.training.pretraining import plan_time, pretrain
from tests.conftest import NANO, process
from tests.support.places import point_at
from tests.support.small_tables import silent

NAME = "departments_28d"
VALIDATION_FROM = "2025-08-06"
SMALL = ("pretrain.preset=nano", "pretrain.epochs=2", "pretrain.cutoffs_per_entity=2")
FLAGS = tuple(text for override in SMALL for text in ("--set", override))
AS_OF = "2025-09-03"


@pytest.fixture(scope="module")
def runs(demo, tmp_path_factory):
    """A runs folder with a foundation, `base`, and `tuned`, whose head alone was trained; read only."""
    folder = tmp_path_factory.mktemp("pretrained") / "runs"
    scenario = load_scenario(demo / f"{NAME}.yaml", [*SMALL, "name=base"], tables_suffice=True)
    pretrain(scenario, folder, "new", silent)
    return folder


@pytest.fixture(scope="module")
def tuned(demo, runs):
    """A run that started from `base`, and whose head alone was trained; read only."""
    from mlc.training.supervised import Setting, train

    overrides = [text for text in NANO if text != "--set"]
    train(
        load_scenario(demo / f"{NAME}.yaml", [*overrides, "name=tuned", "model.foundation=base"]),
        Setting(runs),
        silent,
    )
    return runs / "tuned"


def pretrained_with(demo, folder, *overrides):
    scenario = load_scenario(demo / f"{NAME}.yaml", [*SMALL, *overrides], tables_suffice=True)
    pretrain(scenario, folder, "new", silent)
    return folder / scenario.name


def test_a_foundation_is_a_run_like_any_other(runs):
    assert {path.name for path in (runs / "base").iterdir()} == {
        *("scenario.yaml", "resolved.yaml", "run.json", "vocabulary.json", "checkpoints"),
        *("beginning.json", "model.safetensors", "model.json", "report.json", "report.md", "log.jsonl"),
    }
    facts = json.loads((runs / "base" / "run.json").read_text())
    assert facts["until"] == f"{VALIDATION_FROM}T00:00:00"
    assert {"fingerprint", "vocabulary", "store", "seed", "epochs", "finished"} <= set(facts)
    assert RunFolder(runs / "base").finished


def test_its_report_has_each_field_and_horizon_and_beats_the_frequencies_somewhere(runs):
    report = json.loads((runs / "base" / "report.json").read_text())
    fields = {row["field"] for row in report["losses"] if row["kind"] == "next"}
    sets = {(row["field"], row["horizon_days"]) for row in report["losses"] if row["kind"] == "set"}
    assert {"articles.department", "transactions.price"} <= fields
    assert {("articles.department", days) for days in (7, 28, 91)} <= sets
    assert [row["field"] for row in report["losses"] if row["kind"] == "time"] == [None]
    assert any(row["loss"] < row["baseline"] for row in report["losses"])
    assert f"Nothing after {VALIDATION_FROM}T00:00:00 was seen" in (runs / "base" / "report.md").read_text()


def test_without_looking_a_loss_is_the_entropy_of_the_frequencies(runs):
    foundation = load_foundation(runs / "base")
    shares = foundation.prior[: foundation.spec.outputs][foundation.field_V == 0].sigmoid()
    entropy = -(shares * shares.log() + (1 - shares) * (1 - shares).log()).sum()
    assert foundation.tasks[0].kind == "set"
    torch.testing.assert_close(foundation.baseline_L[0], entropy, rtol=0.02, atol=0)  # half a count is added


def test_two_runs_with_one_seed_have_the_same_weights_and_another_seed_has_others(demo, runs, tmp_path):
    again = pretrained_with(demo, tmp_path, "name=again")
    other = pretrained_with(demo, tmp_path, "name=other", "pretrain.seed=8")
    weights = (runs / "base" / "model.safetensors").read_bytes()
    assert (again / "model.safetensors").read_bytes() == weights
    assert (other / "model.safetensors").read_bytes() != weights


def test_events_after_until_change_no_weight(demo, runs, tmp_path):
    folder = tmp_path / "changed"
    shutil.copytree(demo, folder)
    part = folder / "data" / "transactions" / "part-00000.parquet"
    events = pl.read_parquet(part)
    until = datetime.fromisoformat(VALIDATION_FROM)
    late = pl.col("bought_at") > until
    swapped = pl.col("article_id").shuffle(seed=1).over(late)
    events.with_columns(
        pl.when(late).then(swapped).otherwise("article_id").alias("article_id")
    ).write_parquet(part)
    changed = pretrained_with(folder, tmp_path / "runs", "name=changed")
    before, after = (load_file(run / "model.safetensors") for run in (runs / "base", changed))
    for name, tensor in before.items():
        torch.testing.assert_close(after[name], tensor, rtol=0, atol=0)


def test_a_stopped_pretraining_goes_on(demo, tmp_path):
    scenario = load_scenario(demo / f"{NAME}.yaml", [*SMALL, "name=stopped"], tables_suffice=True)

    def stop(line: str) -> None:
        if line.startswith("epoch 1"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(scenario, tmp_path, "new", stop)
    assert not RunFolder(tmp_path / "stopped").finished
    with pytest.raises(RunError, match="--resume goes on"):
        pretrain(scenario, tmp_path, "new", silent)
    report = pretrain(scenario, tmp_path, "resume", silent)
    assert report is not None
    epochs = [json.loads(line)["epoch"] for line in (tmp_path / "stopped/log.jsonl").read_text().splitlines()]
    assert (report["epochs"], epochs) == (2, [1, 2])


def test_two_processes_make_one_foundation_and_train_from_it(demo, mlc, tmp_path):
    """What both found on their shares of the examples is what one finds on all of them."""
    result = process("pretrain", demo / f"{NAME}.yaml", *FLAGS, "--devices", 2, folder=tmp_path)
    assert result.code == 0, result.err
    run = tmp_path / f"runs/{NAME}-foundation"
    assert result.out.count(f"# {NAME}-foundation") == 1
    assert json.loads((run / "run.json").read_text())["devices"] == 2
    found = [json.loads(line)["validation_loss"] for line in (run / "log.jsonl").read_text().splitlines()]
    assert len(found) == 2
    assert json.loads((run / "report.json").read_text())["objective"] == pytest.approx(min(found), abs=2e-5)
    flags = (*NANO, "--set", "train.epochs=1", "--set", f"model.foundation={run}", "--devices", 2)
    trained = process("train", demo / f"{NAME}.yaml", *flags, folder=tmp_path)
    assert trained.code == 0, trained.err
    assert "the same numbers as in training" in mlc("evaluate", NAME).err
    assert not list((tmp_path / "runs" / NAME).glob("remembered*"))


def test_the_gradient_over_ranks_is_that_of_all_their_examples(demo, runs, tmp_path, monkeypatch):
    """Each loss counts as often as everywhere, however unequal the shares; DDP then takes the mean."""
    from mlc.events.store import open_store
    from mlc.models.futures import FutureBatches, choose_outputs
    from mlc.tables import microseconds
    from mlc.training.pretrainer import Pretrainer

    scenario = load_scenario(demo / f"{NAME}.yaml")
    store = open_store(scenario, tmp_path, silent)
    vocabulary = RunFolder(runs / "base").read_json("vocabulary.json", Vocabulary.from_json)
    cutoff = microseconds(datetime.fromisoformat("2025-03-01"))
    outputs = choose_outputs(store, vocabulary.events, cutoff, 256)
    batches = FutureBatches(store, vocabulary, outputs, 91, cutoff + 40 * 86_400_000_000)
    pairs = np.stack([np.arange(60), np.full(60, cutoff)])
    parts = [batches[pairs[:, :17]], batches[pairs[:, 17:]]]
    pretrainer = Pretrainer(load_foundation(runs / "base").eval(), scenario.pretrain)
    told = sum(torch.cat(pretrainer.foundation(part)).detach() for part in parts)
    monkeypatch.setattr(Pretrainer, "trainer", SimpleNamespace(world_size=2))
    monkeypatch.setattr(Pretrainer, "seed_step", lambda *_: None)
    monkeypatch.setattr(Pretrainer, "over_ranks", lambda *_: told)
    weights = [weight for weight in pretrainer.parameters() if weight.requires_grad]
    shares = [torch.autograd.grad(pretrainer.training_step(part, 0), weights) for part in parts]
    objective = pretrainer.foundation.objective(*pretrainer.foundation(batches[pairs]))
    expected = torch.autograd.grad(objective, weights)
    for one, other, whole in zip(*shares, expected, strict=True):
        torch.testing.assert_close((one + other) / 2, whole, rtol=1e-3, atol=1e-6)


def test_tables_alone_are_enough_and_are_then_seen_to_their_end(demo, mlc, tmp_path):
    import yaml

    data = yaml.safe_load((demo / f"{NAME}.yaml").read_text())["data"]
    for name, value in (("bare", data), ("section", {"data": data})):
        file = demo / f"{name}.yaml"
        try:
            file.write_text(yaml.safe_dump(value))
            result = mlc("pretrain", file, *FLAGS)
        finally:
            file.unlink()
        assert result.code == 0, result.err
        assert f"# {name}-foundation" in result.out
        assert "warning: it sees the tables to their end" in result.err
    until = json.loads((tmp_path / "runs/bare-foundation/run.json").read_text())["until"]
    store = RunFolder(tmp_path / "runs/bare-foundation").scenario()
    assert not store.has_target
    events = pl.read_parquet(demo / "data/transactions/*.parquet")
    assert datetime.fromisoformat(until) == events["bought_at"].max()


def test_training_the_head_alone_leaves_the_trunk_as_it_was(runs, tuned):
    before, after = load_file(runs / "base" / "model.safetensors"), load_file(tuned / "model.safetensors")
    trunk = {
        name.removeprefix("trunk."): tensor for name, tensor in before.items() if name.startswith("trunk.")
    }
    assert trunk
    for name, tensor in trunk.items():
        assert torch.equal(after[f"started.memory.{name}"], tensor), name


def test_the_weight_of_a_hedge_has_the_lowest_validation_loss_and_the_report_tells_it(runs, tuned):
    from mlc.events.preparing import prepare
    from mlc.models.batches import example_batches
    from mlc.models.ensemble import Hedge
    from mlc.models.model import stored_network
    from mlc.models.trained import stored_vocabulary

    run = RunFolder(tuned)
    prepared = prepare(run.scenario(), runs, silent)
    validation = np.flatnonzero((prepared.examples.table[SPLIT] == "validation").to_numpy())
    batch = example_batches(prepared, stored_vocabulary(run))[validation]
    network = stored_network(run)[0].eval()
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


def test_a_frozen_memory_is_asked_once_and_says_the_same(demo, runs, tuned, tmp_path, monkeypatch):
    """The log, the scores and the report of a training that asks it again in every step."""
    from mlc.models.network import Network
    from mlc.training.supervised import Setting, train

    shutil.copytree(runs / "base", tmp_path / "base")
    overrides = [text for text in NANO if text != "--set"]
    monkeypatch.setattr(Network, "frozen", property(lambda _: False))
    train(
        load_scenario(demo / f"{NAME}.yaml", [*overrides, "name=tuned", "model.foundation=base"]),
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
    assert not (tuned / "remembered.f32").exists()


def test_a_frozen_memory_is_asked_the_same_on_the_device_that_trains(
    demo, runs, tuned, tmp_path, monkeypatch
):
    """What it remembers, the weights and the scores are those of batches of main memory."""
    from mlc.models.device_batches import DeviceBatches
    from mlc.training.supervised import Setting, train

    events = []
    batch = DeviceBatches.batch

    def counted(self, index_B, remembered_BR):
        built = batch(self, index_B, remembered_BR)
        events.append(len(built.example_M))
        return built

    shutil.copytree(runs / "base", tmp_path / "base")
    overrides = [text for text in NANO if text != "--set"]
    monkeypatch.setattr(DeviceBatches, "batch", counted)
    monkeypatch.setattr("mlc.training.resident.free_memory", lambda _: 1 << 40)
    train(
        load_scenario(demo / f"{NAME}.yaml", [*overrides, "name=tuned", "model.foundation=base"]),
        Setting(tmp_path),
        silent,
    )
    asked = sum(count > 0 for count in events)
    assert asked
    assert events == [*events[:asked], *[0] * (len(events) - asked)]
    for file in ("model.safetensors", "predictions.parquet"):
        assert (tuned / file).read_bytes() == (tmp_path / "tuned" / file).read_bytes()


def test_a_batch_with_what_is_remembered_has_no_events_and_the_same_logits(runs, tuned):
    from mlc.events.preparing import prepare
    from mlc.models.batches import example_batches
    from mlc.models.ensemble import members_of
    from mlc.models.model import stored_network
    from mlc.models.trained import stored_vocabulary

    run = RunFolder(tuned)
    prepared = prepare(run.scenario(), runs, silent)
    examples = example_batches(prepared, stored_vocabulary(run))
    network = members_of(stored_network(run)[0].eval())[0]
    index_B = np.random.default_rng(1).permutation(len(examples))[:40]
    with torch.no_grad():
        plain = network(examples[index_B])
        examples.remembered_NR = np.concatenate([network.remember(b).numpy() for b in examples.in_order()])
        batch = examples[index_B]
        assert not len(batch.example_M)
        torch.testing.assert_close(network(batch), plain, atol=1e-5, rtol=0)


@pytest.mark.parametrize("tune", ["all", "{trunk_learning_rate: 1.0e-4}"])
def test_training_all_changes_the_trunk(demo, runs, mlc, tune):
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
    moved = (after["memory.inner.weight"] - before["trunk.inner.weight"]).abs().max()
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


def test_before_its_training_a_network_says_what_the_foundation_foresees(demo, runs):
    from mlc.events.preparing import prepare
    from mlc.models.batches import example_batches
    from mlc.training.starting import open_foundation
    from mlc.training.supervised import fitted_network

    overrides = ["model.preset=nano", "target.allow_empty=true", "model.foundation=base"]
    prepared = prepare(load_scenario(demo / f"{NAME}.yaml", overrides), runs, silent)
    fit_until = prepared.cutoffs.fit_until
    start = open_foundation(prepared.scenario, runs, fit_until, prepared.store, silent)
    assert start is not None
    examples = example_batches(prepared, Vocabulary(FieldRows({}, []), start.events))
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
        foreseen_B = cadence_B + model.heads(model.vectors(batch))[:, model.spec.outputs + value]
        kids = prepared.examples.labels.names.index(label)
        bias = network(batch)[:, kids] - network.prior_K[kids] - foreseen_B
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
    assert RunFolder(tmp_path / "runs/shorter").scenario().model.foundation == made.name
    # One that has seen too much does not fit, and is not replaced either.
    refused = mlc("train", demo / f"{NAME}.yaml", *flags, "--set", "examples.validation_from=2025-07-09")
    assert refused.code == 2
    assert f"runs/{made.name}: must not exist, however: a finished run of another scenario" in refused.err


def test_without_time_for_a_foundation_auto_trains_without_one_and_says_why(demo, mlc):
    flags = (*NANO, "--set", "model.foundation=auto", "--set", "pretrain.horizons_days=[400]")
    result = mlc("train", demo / f"{NAME}.yaml", *flags)
    assert result.code == 0, result.err
    assert "trains without a foundation, for none can be made" in result.err
    assert "the shortest must be at most a third of the time, however: 400 days" in result.err
    assert [path.name for path in Path("runs").iterdir() if path.name != "store"] == [NAME]


def test_a_smoke_run_makes_no_foundation_by_the_way(demo, mlc):
    result = mlc("train", demo / f"{NAME}.yaml", "--smoke", "--set", "model.foundation=auto")
    assert result.code == 0, result.err
    assert not list(Path("runs").glob("*-foundation"))


def test_a_foundation_that_is_not_there_is_told_with_its_line_before_tables_are_read(demo, mlc):
    result = mlc("train", demo / f"{NAME}.yaml", "--set", "model.foundation=gone")
    assert result.code == 2
    assert "model.foundation: gone must be a run in runs, however: it is not" in result.err
    assert "events" not in result.err


def test_torchrun_makes_no_foundation_by_the_way(demo, tmp_path, monkeypatch):
    from mlc.training.starting import with_foundation

    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    scenario = load_scenario(demo / f"{NAME}.yaml", ["model.foundation=auto"])
    with pytest.raises(RunError, match=r"model\.foundation: must be there before torchrun starts"):
        with_foundation(scenario, tmp_path, "new", silent)


def test_a_foundation_that_has_seen_the_validation_is_refused(demo, mlc):
    assert mlc("pretrain", demo / f"{NAME}.yaml", *FLAGS, "--until", "2025-08-20").code == 0
    flags = (*NANO, "--set", f"model.foundation={NAME}-foundation")
    result = mlc("train", demo / f"{NAME}.yaml", *flags)
    assert result.code == 2
    assert "must have seen nothing after the first validation cutoff, 2025-08-06 00:00" in result.err
    assert "it has seen events up to 2025-08-20 00:00; run mlc pretrain with --until 2025-08-06" in result.err


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
        (("model.tune=some",), "must be all, head, or a mapping with trunk_learning_rate"),
    ],
)
def test_options_that_make_no_sense_together_are_refused(demo, mlc, overrides, rule):
    flags = [text for override in overrides for text in ("--set", override)]
    result = mlc("train", demo / f"{NAME}.yaml", *flags)
    assert result.code == 2
    assert rule in result.err


def test_a_scenario_is_no_foundation_and_a_foundation_no_classifier(demo, runs, trained, mlc):
    flags = (*NANO, "--set", f"model.foundation={trained / NAME}")
    assert "must be a run of mlc pretrain" in mlc("train", demo / f"{NAME}.yaml", *flags).err
    for command in ("predict", "evaluate"):
        assert "it is a foundation model" in mlc(command, "base", "--runs-dir", runs).err
    result = mlc("embed", NAME, "--runs-dir", trained)
    assert result.code == 2
    assert "train with model.memory: true or with a model.foundation" in result.err


def test_events_after_the_cutoff_change_no_vector(demo, runs, mlc, tmp_path):
    folder = tmp_path / "changed"
    shutil.copytree(demo, folder)
    part = folder / "data" / "transactions" / "part-00000.parquet"
    events = pl.read_parquet(part).sample(fraction=1.0, shuffle=True, seed=3)
    cutoff = datetime.fromisoformat(AS_OF)
    noise = events.sample(1000, seed=1).with_columns(pl.lit(cutoff).dt.offset_by("1s").alias("bought_at"))
    pl.concat([events.filter(pl.col("bought_at") <= cutoff), noise]).write_parquet(part)
    other = tmp_path / "runs"
    shutil.copytree(runs / "base", other / "base")
    point_at(other / "base", folder)
    for place, out in ((runs, "before.parquet"), (other, "after.parquet")):
        assert mlc("embed", "base", "--as-of", AS_OF, "--runs-dir", place, "--out", out).code == 0
    before, after = pl.read_parquet("before.parquet"), pl.read_parquet("after.parquet")
    both = before.join(after, on=ENTITY_ID, how="full", validate="1:1")
    assert both.height == before.height == after.height
    assert before.schema["vector"] == pl.Array(pl.Float32, 32)
    np.testing.assert_allclose(both["vector"].to_numpy(), both["vector_right"].to_numpy(), atol=1e-4)


def test_horizons_longer_than_a_third_of_the_time_are_left_out(demo, tmp_path):
    from mlc.events.store import open_store

    scenario = load_scenario(demo / f"{NAME}.yaml", ["pretrain.horizons_days=[400, 7, 28]"])
    plan = plan_time(scenario, open_store(scenario, tmp_path, silent))
    assert plan.horizons_days == [7, 28]
    assert (plan.until - plan.validation_from).days == 28
