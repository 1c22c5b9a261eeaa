"""What a step of training does: normalisation over batches, weights, averages, what is monitored."""

import json
import socket
import warnings
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import pytorch_lightning
import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.callbacks import Callback
from sklearn.metrics import average_precision_score
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader

from mlc.errors import ScenarioError
from mlc.models.ensemble import Hedge, make_network, members_of
from mlc.models.network import Network, NetworkSpec
from mlc.models.reading.batch import Batch
from mlc.scenario import TrainSection, load_scenario
from mlc.training.module import PROGRESS, Classifier, monitored
from tests.conftest import NANO, Command, python
from tests.support.small_tables import joined_batches
from tests.training.test_module import SPEC, random_batch, started

NAME = "departments_28d"
STILL = replace(SPEC, dropout=0.0)


def part(seed: int, unknown: float) -> Batch:
    """Six examples, some of whose targets are not known."""
    batch = random_batch(6, seed)
    generator = torch.Generator().manual_seed(seed)
    batch.targets_BK[torch.rand(batch.targets_BK.shape, generator=generator) < unknown] = 255
    return batch


def loader(batches: list[Batch]) -> DataLoader[Batch]:
    """A list has a length and positions, which is all that a loader asks of a dataset."""
    return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]


def quiet_trainer(epochs: int, **more: Any) -> pytorch_lightning.Trainer:
    """Trains on a CPU, says and writes nothing."""
    return pytorch_lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **more,
    )


def fitted(
    batches: list[Batch],
    weights_N: torch.Tensor | None = None,
    spec: NetworkSpec = STILL,
    members: int = 1,
    **train: object,
) -> Classifier:
    """A network after one epoch of some batches."""
    torch.manual_seed(0)
    network = make_network(spec, members)
    for member in members_of(network):
        member.fit([random_batch(64, 9)], torch.tensor([5, 20, 9]), torch.tensor([64, 64, 64]))
    classifier = Classifier(network, TrainSection(epochs=1, **train), weights_N=weights_N)  # type: ignore[arg-type]
    trainer = quiet_trainer(
        1,
        precision="64-true",  # Adam divides by the size of a gradient, also of one that is rounding alone
        accumulate_grad_batches=classifier.train_section.accumulate_grad_batches,
        gradient_clip_val=classifier.train_section.gradient_clip_val,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(classifier, loader(batches))
    return classifier


def assert_same_weights(one: Classifier, two: Classifier) -> None:
    for (name, first), second in zip(one.network.named_parameters(), two.network.parameters(), strict=True):
        torch.testing.assert_close(first, second, atol=1e-8, rtol=1e-6, msg=name)


def moved(one: Classifier, two: Classifier) -> bool:
    pairs = zip(one.network.parameters(), two.network.parameters(), strict=True)
    return any(not torch.allclose(first, second, atol=1e-5) for first, second in pairs)


def test_accumulated_batches_are_one_batch_also_where_few_targets_are_known():
    parts = [part(1, 0.0), part(2, 0.9), part(3, 0.5)]
    assert_same_weights(fitted(parts, accumulate_grad_batches=3), fitted([joined_batches(parts)]))


def test_the_last_step_of_an_epoch_may_have_fewer_batches():
    parts = [part(seed, 0.2) for seed in range(5)]
    together = [joined_batches(parts[:2]), joined_batches(parts[2:4]), parts[4]]
    assert_same_weights(fitted(parts, accumulate_grad_batches=2), fitted(together))


def test_an_example_of_weight_zero_teaches_nothing():
    batch = part(1, 0.0)
    silent = replace(batch, targets_BK=batch.targets_BK.clone())
    silent.targets_BK[2:4] = 255
    weights_N = torch.ones(6)
    weights_N[2:4] = 0.0
    assert_same_weights(fitted([batch], weights_N), fitted([silent]))
    assert moved(fitted([batch], weights_N), fitted([batch]))


def test_the_moving_average_is_that_of_the_weights_after_each_step(monkeypatch):
    seen: list[torch.Tensor] = []
    update = AveragedModel.update_parameters

    def noted(average, network):
        seen.append(network.entity_to_label.weight.detach().clone())
        update(average, network)

    monkeypatch.setattr(AveragedModel, "update_parameters", noted)
    classifier = fitted([part(seed, 0.0) for seed in range(4)], ema_decay=0.15)
    expected = seen[0]
    for step, weight in enumerate(seen[1:], start=1):
        stays = min(0.15, (1 + step) / (10 + step))
        expected = stays * expected + (1 - stays) * weight
    kept = classifier.judged_weights(classifier.state_dict())
    assert set(kept) == set(classifier.network.state_dict())
    assert len(seen) == 4
    torch.testing.assert_close(kept["entity_to_label.weight"], expected, atol=1e-7, rtol=1e-5)
    assert not torch.equal(seen[-1], expected)


@pytest.mark.parametrize("more", [{"gradient_clip_val": 0.01}, {"ema_decay": 0.5}])
def test_a_member_of_an_ensemble_learns_what_it_would_learn_alone(more):
    batches = [part(seed, 0.2) for seed in range(4)]
    alone, several = (fitted(batches, None, SPEC, members, **more) for members in (1, 3))
    assert isinstance(alone.network, Network)
    first, second, _ = members_of(several.network)
    kept, expected = several.judged_weights(several.state_dict()), alone.judged_weights(alone.state_dict())
    for name, weight in expected.items():
        # The norm of the gradient is summed in another order.
        torch.testing.assert_close(kept[f"members.0.{name}"], weight, atol=1e-6, rtol=1e-5)
    assert not torch.equal(first.entity_to_label.weight, second.entity_to_label.weight)
    assert several.epoch_sums[1] == alone.epoch_sums[1]


class _Kinds(Callback):
    """Notes the weights of each kind of a hedge after each epoch, and how good they are by scikit-learn."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.noted: dict[str, list[tuple[float, dict[str, torch.Tensor]]]] = {
            kind: [] for kind in Hedge.KINDS
        }

    def on_validation_end(self, trainer: pytorch_lightning.Trainer, pl_module: LightningModule) -> None:
        del trainer
        assert isinstance(pl_module, Classifier)
        assert isinstance(pl_module.judged, Hedge)
        targets = self.batch.targets_BK.numpy()
        for kind in Hedge.KINDS:
            network = deepcopy(pl_module.judged.kind(kind)).eval()
            with torch.no_grad():
                scores = torch.sigmoid(network(self.batch)).numpy()
            ap = np.mean([average_precision_score(targets[:, k], scores[:, k]) for k in range(3)])
            self.noted[kind].append((float(ap), network.state_dict()))


def test_each_kind_of_a_hedge_keeps_the_weights_of_its_own_best_epoch():
    torch.manual_seed(0)
    network = Hedge(started(), 1)
    for member in members_of(network):
        member.fit([random_batch(64, 9)], torch.tensor([5, 20, 9]), torch.tensor([64, 64, 64]))
    classifier = Classifier(network, TrainSection(learning_rate=0.03, monitor="macro_ap"))
    validation = random_batch(80, 1)
    validation.targets_BK = torch.from_numpy(np.random.default_rng(0).integers(0, 2, (80, 3), dtype=np.uint8))
    kinds = _Kinds(validation)
    trainer = quiet_trainer(8, num_sanity_val_steps=0, callbacks=[kinds])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(classifier, loader([part(0, 0.0)] * 4), loader([validation]))
    found = classifier.best_epochs_S.tolist()
    assert classifier.kept is not None
    for kind, epoch in zip(Hedge.KINDS, found, strict=True):
        noted = kinds.noted[kind]
        assert noted[epoch - 1][0] == pytest.approx(max(ap for ap, _ in noted), abs=1e-6)
        for name, weights in classifier.kept.kind(kind).state_dict().items():
            torch.testing.assert_close(weights, noted[epoch - 1][1][name], atol=0, rtol=0)
    assert found[0] != found[1]
    assert classifier.progress == (PROGRESS, "max")
    assert trainer.callback_metrics[PROGRESS].item() == pytest.approx(
        sum(max(ap for ap, _ in kinds.noted[kind]) for kind in Hedge.KINDS), abs=1e-5
    )


def test_what_is_monitored_has_a_direction():
    assert monitored(TrainSection()) == ("validation_log_loss", "min")
    assert monitored(TrainSection(monitor="macro_ap")) == ("validation_macro_ap", "max")
    assert monitored(TrainSection(monitor="label:Dress")) == ("validation_label_ap", "max")


@pytest.mark.parametrize("loss", ["focal", {"kind": "bce", "pos_weight": "balanced"}])
def test_a_loss_that_shifts_the_scores_is_not_judged_by_their_log_loss(loss):
    assert TrainSection.model_validate({"loss": loss}).criterion == "macro_ap"
    assert TrainSection.model_validate({"loss": loss, "monitor": "log_loss"}).criterion == "log_loss"


def test_there_is_no_moving_average_of_weights_that_are_sharded():
    sharded = TrainSection.model_validate({"strategy": "fsdp"})
    assert sharded.ema_decay is None
    assert TrainSection.model_validate(sharded.model_dump(mode="json")) == sharded
    assert TrainSection().ema_decay is not None


def test_frozen_weights_are_not_averaged_and_there_once():
    network = Network(SPEC)
    network.entity_to_label.requires_grad_(False)
    averaged = Classifier(network, TrainSection()).judged
    assert isinstance(averaged, Network)
    assert averaged.entity_to_label.weight.data_ptr() == network.entity_to_label.weight.data_ptr()
    assert averaged.entity_vector.weight.data_ptr() != network.entity_vector.weight.data_ptr()


def test_decay_is_on_matrices_alone():
    classifier = fitted([part(1, 0.0)], weight_decay=0.3)
    matrices, vectors = classifier.trainer.optimizers[0].param_groups
    assert {p.ndim for p in matrices["params"]} == {2}
    assert {p.ndim for p in vectors["params"]} == {1}
    assert (matrices["weight_decay"], vectors["weight_decay"]) == (0.3, 0.0)


@pytest.mark.parametrize(
    ("override", "field", "found"),
    [
        ("train.monitor=label:Kiks", "train.monitor", "Did you mean Kids?"),
        ("train.monitor=map", "train.monitor", "must be macro_ap, macro_auroc, log_loss, or label:"),
        ("train.label_weights={Book: 2}", "train.label_weights.Book", "Did you mean Books?"),
        ("train.label_weights={Books: 0}", "train.label_weights.Books", "must be at least 1e-06"),
        ("train.loss={kind: bce, pos_weight: {Bok: 2}}", "train.loss.pos_weight.Bok", "is none of"),
        ("train.loss={kind: bce, pos_weight: often}", "train.loss.pos_weight", "must be a number, balanced"),
        ("train.loss={kind: focal, pos_weight: 2}", "train.loss.pos_weight", "unknown field"),
        ("train.half_life_days=0", "train.half_life_days", "must be at least 1e-06"),
        ("train.ema_decay=1", "train.ema_decay", "must be less than 1"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(demo, override, field, found):
    with pytest.raises(ScenarioError) as refused:
        load_scenario(demo / f"{NAME}.yaml", [override])
    (problem,) = refused.value.problems
    assert problem.field == field
    assert found in problem.rule


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        (["train.half_life_days=30", "examples.train_cutoffs=1"], "train.half_life_days"),
        (["train.strategy=fsdp", "train.accelerator=cpu"], "train.strategy"),
        (["train.strategy=fsdp", "train.ema_decay=0.9"], "train.ema_decay"),
        (["train.strategy=fsdp", "model.members=2"], "model.members"),
    ],
)
def test_options_that_contradict_each_other_are_refused(demo, overrides, field):
    with pytest.raises(ScenarioError) as refused:
        load_scenario(demo / f"{NAME}.yaml", overrides)
    assert [problem.field for problem in refused.value.problems] == [field]


def test_what_only_the_tables_can_tell_is_refused_before_the_training(demo, mlc: Command):
    top = ("--set", "target.class_names={top: 3}", "--set", "target.true_probabilities=null")
    result = mlc("train", demo / f"{NAME}.yaml", *NANO, *top, "--set", "train.monitor=label:Caviar")
    assert result.code == 2
    assert "train.monitor: Caviar is none of class_names" in result.err


def test_without_gpus_fsdp_is_refused(demo, mlc: Command):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    result = mlc("train", demo / f"{NAME}.yaml", *NANO, "--set", "train.strategy=fsdp", "--overwrite")
    assert result.code == 2
    assert "train.strategy: fsdp needs GPUs, and PyTorch finds none here. Use ddp or auto." in result.err


def log_of(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def test_the_monitored_value_decides_what_is_kept_and_when_to_stop(demo, mlc: Command, tmp_path):
    flags = ["--set", "train.epochs=6", "--set", "train.patience=1", "--set", "train.learning_rate=0.05"]
    loss = "train.loss={kind: asymmetric, gamma_negative: 2}"
    weights = ("train.label_weights={Books: 3}", "train.half_life_days=60", "train.monitor=label:Books", loss)
    options = [flag for override in weights for flag in ("--set", override)]
    result = mlc("train", demo / f"{NAME}.yaml", *NANO, *flags, *options)
    assert result.code == 0, result.err
    found = [line["validation_label_ap"] for line in log_of(tmp_path / "runs" / NAME)]
    assert f"best epoch {1 + int(np.argmax(found))}\n" in result.err
    assert "label:Books" in result.err
    # Patience is 1: all but the last epoch were the best so far; the last only where there may be no more.
    assert found[:-1] == sorted(found[:-1])
    assert found[-1] <= found[-2] or len(found) == 6
    report = json.loads((tmp_path / "runs" / NAME / "report.json").read_text())
    books = next(x for x in report["splits"]["validation"]["labels"] if x["name"] == "Books")
    assert books["ap"] == pytest.approx(max(found), abs=1e-5)


def test_weights_of_positives_raise_the_scores(demo, trained, mlc: Command, tmp_path):
    balanced = ("--set", "train.loss={kind: bce, pos_weight: balanced}")
    assert mlc("train", demo / f"{NAME}.yaml", *NANO, *balanced).code == 0
    higher, usual = (
        pl.read_parquet(runs / NAME / "predictions.parquet")["raw_scores"].to_numpy().mean(axis=0)
        for runs in (tmp_path / "runs", trained)
    )
    assert (higher > usual).all()
    assert higher.mean() > 0.3 > usual.mean()


def test_with_sixteen_bits_the_scores_are_nearly_the_same(demo, trained, mlc: Command, tmp_path):
    result = mlc("train", demo / f"{NAME}.yaml", *NANO, "--set", "train.precision=bf16-mixed")
    assert result.code == 0, result.err
    half, usual = (
        pl.read_parquet(runs / NAME / "predictions.parquet")["scores"].to_numpy()
        for runs in (tmp_path / "runs", trained)
    )
    assert 0 < np.abs(half - usual).mean() < 0.01


def test_two_nodes_of_torchrun_train_one_run(demo, tmp_path):
    """Each node is a process with its own torchrun; both see the same folder."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [
        *("-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"),
        *("--master-addr=127.0.0.1", f"--master-port={port}"),
    ]
    more = ("--set", "examples.train_cutoffs=3", "--set", "model.members=2", "--set", "train.refit=true")
    train = ("-m", "mlc", "train", demo / f"{NAME}.yaml", *NANO, *more)
    nodes = [python(*command, f"--node-rank={rank}", *train, folder=tmp_path) for rank in range(2)]
    printed = [node.communicate(timeout=300) for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], printed
    facts = json.loads((tmp_path / "runs" / NAME / "run.json").read_text())
    assert facts["devices"] == 2
    assert "Test: each label at its threshold" in printed[0][0]
    assert printed[1][0] == ""
    assert len(log_of(tmp_path / "runs" / NAME)) == 2
    assert (tmp_path / "runs" / NAME / "refit.safetensors").exists()
