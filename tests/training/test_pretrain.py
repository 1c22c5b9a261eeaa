"""Pre-training: the foundation, its report and its weights."""

import json
import shutil
from datetime import datetime
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from mlc.errors import RunError
from mlc.events.vocabulary import Vocabulary
from mlc.models.foundation import load_foundation
from mlc.run import RunFolder
from mlc.tables import ENTITY_ID
from mlc.training.pretraining import plan_time, pretrain
from tests.conftest import NANO, process
from tests.support.event_scenarios import load_events
from tests.support.places import point_at
from tests.support.small_tables import silent
from tests.training.conftest import FLAGS, NAME, SMALL

VALIDATION_FROM = "2025-08-06"
AS_OF = "2025-09-03"


def pretrained_with(demo, folder, *overrides):
    scenario = load_events(demo / f"{NAME}.yaml", [*SMALL, *overrides], tables_suffice=True)
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
    scenario = load_events(demo / f"{NAME}.yaml", [*SMALL, "name=stopped"], tables_suffice=True)

    def stop(line: str) -> None:
        if line.startswith("epoch 1"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(scenario, tmp_path, "new", stop)
    assert not RunFolder(tmp_path / "stopped").finished
    with pytest.raises(RunError, match="Add --resume to go on"):
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
    assert result.out.count(f"{NAME}-foundation: learned to predict") == 1
    assert json.loads((run / "run.json").read_text())["devices"] == 2
    found = [json.loads(line)["validation_loss"] for line in (run / "log.jsonl").read_text().splitlines()]
    assert len(found) == 2
    assert json.loads((run / "report.json").read_text())["objective"] == pytest.approx(min(found), abs=2e-5)
    flags = (*NANO, "--set", "train.epochs=1", "--set", f"model.foundation={run}", "--devices", 2)
    trained = process("train", demo / f"{NAME}.yaml", *flags, folder=tmp_path)
    assert trained.code == 0, trained.err
    assert "the same numbers as in training" in mlc("evaluate", NAME).err
    assert not list((tmp_path / "runs" / NAME).glob("foundation_cache*"))


def test_the_gradient_over_ranks_is_that_of_all_their_examples(demo, runs, tmp_path, monkeypatch):
    """Each loss counts as often as everywhere, however unequal the shares; DDP then takes the mean."""
    from mlc.events.store import open_store
    from mlc.models.futures import FutureBatches, choose_outputs
    from mlc.tables import microseconds
    from mlc.training.pretrainer import Pretrainer

    scenario = load_events(demo / f"{NAME}.yaml")
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
        assert f"{name}-foundation: learned to predict" in result.out
        assert "warning: it sees the tables to their end" in result.err
    until = json.loads((tmp_path / "runs/bare-foundation/run.json").read_text())["until"]
    store = RunFolder(tmp_path / "runs/bare-foundation").scenario()
    assert not store.has_target
    events = pl.read_parquet(demo / "data/transactions/*.parquet")
    assert datetime.fromisoformat(until) == events["bought_at"].max()


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

    scenario = load_events(demo / f"{NAME}.yaml", ["pretrain.horizons_days=[400, 7, 28]"])
    plan = plan_time(scenario, open_store(scenario, tmp_path, silent))
    assert plan.horizons_days == [7, 28]
    assert (plan.until - plan.validation_from).days == 28
