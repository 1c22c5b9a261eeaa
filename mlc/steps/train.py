"""`mlc train`: prepare, fit, predict every split, report; every rank runs all of it, rank zero writes."""

import inspect
import json
import logging
import os
import time
import warnings
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytorch_lightning
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.strategies import DDPStrategy, Strategy
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from mlc.atomic import replacing, write_text
from mlc.baselines import check_boosting
from mlc.batch import Batch
from mlc.batches import EVALUATION_BATCH, BatchBuilder, BatchPlan, ExampleBatches, loader
from mlc.custom_metrics import check_metrics
from mlc.errors import DataError
from mlc.module import MONITOR, Classifier, Network, NetworkSpec, save_network, score_batches
from mlc.run import Opening, Run, fingerprint_of, finish_run, open_run, start_run
from mlc.scenario import Scenario, TrainSection
from mlc.steps.labels import Prepared, Say, prepare, write_examples
from mlc.steps.reporting import wanted_metrics, write_page, write_report
from mlc.steps.rivals import fitted_boosting, make_rivals
from mlc.steps.slices import check_slices
from mlc.tables import (
    SCORES,
    SPLIT,
    TARGETS,
    UNKNOWN,
    array_column,
    check_predictions,
    targets_of,
)
from mlc.vocabulary import Vocabulary, fit_vocabulary

_SAMPLE_BATCHES = 16


@dataclass(frozen=True)
class Setting:
    """Where and how a training runs, apart from the scenario.

    Attributes:
        runs: Folder of all runs.
        opening: Start anew, go on, or start over.
        interactive: Whether a progress bar makes sense.
    """

    runs: Path
    opening: Opening = "new"
    interactive: bool = False


def is_rank_zero() -> bool:
    """Whether this process is the one that writes and prints."""
    return int(os.environ.get("LOCAL_RANK", "0")) == 0 and int(os.environ.get("NODE_RANK", "0")) == 0


def train(scenario: Scenario, setting: Setting, say: Say) -> dict[str, Any] | None:
    """Train a scenario and write its run folder.

    Args:
        scenario: Checked scenario.
        setting: Where and how.
        say: Receives progress in lines.

    Returns:
        The report, or None on any rank but the first.

    Raises:
        MlcError: The tables do not fit, or the run folder is taken.
        KeyboardInterrupt: The user stopped the training; `--resume` goes on.
    """
    begun = time.monotonic()
    check_boosting(scenario)
    first = is_rank_zero()
    # Another rank finds the folder as rank zero has just made it.
    run = open_run(setting.runs, scenario, setting.opening) if first else Run(setting.runs / scenario.name)
    prepared = prepare(scenario, setting.runs, say)
    check_metrics(wanted_metrics(scenario), len(prepared.examples.labels.names))
    check_slices(scenario, prepared.store)
    vocabulary = fit_vocabulary(
        prepared.store, prepared.cutoffs.fit_until, scenario.model.attributes, scenario.model.memory
    )
    if first:
        start_run(run, scenario, setting.opening)
        write_examples(prepared.examples, run / "examples.parquet", prepared.store.fingerprint)
        run.write_json("vocabulary.json", vocabulary.as_json())
    examples = example_batches(prepared, vocabulary)
    trainer, classifier = _fit(prepared, vocabulary, examples, run, setting, say)
    raw = _predict_all(prepared, examples, trainer, classifier, run)
    if raw is None:
        return None
    save_network(classifier.network, prepared.examples.labels.names, run.folder)
    rivals = make_rivals(prepared, examples, fitted_boosting(run, prepared, examples, say))
    report = write_report(run, prepared, raw, rivals)
    finish_run(
        run,
        {
            "fingerprint": fingerprint_of(run / "model.safetensors"),
            "store": prepared.store.fingerprint,
            "fit_until": prepared.cutoffs.fit_until.isoformat(),
            "observed_until": prepared.cutoffs.observed_until.isoformat(),
            "seed": scenario.train.seed,
            "devices": trainer.world_size,
            "epochs": trainer.current_epoch,
            "seconds": round(time.monotonic() - begun, 1),
            "parameters": sum(p.numel() for p in classifier.network.parameters()),
        },
    )
    write_page(run)
    return report


def example_batches(prepared: Prepared, vocabulary: Vocabulary) -> ExampleBatches:
    """Batches of all examples of a scenario."""
    examples = prepared.examples
    builder = BatchBuilder(prepared.store, prepared.label_line, vocabulary, len(examples.labels.names))
    return ExampleBatches(builder, examples.rows, examples.cutoffs, targets_of(examples.table))


class _Loaders(pytorch_lightning.LightningDataModule):
    """Training and validation batches; made when the trainer knows which rank this is."""

    def __init__(self, examples: ExampleBatches, splits: np.ndarray, train: TrainSection) -> None:
        super().__init__()
        self.examples, self.splits, self.train_section = examples, splits, train

    def train_dataloader(self) -> DataLoader[Batch]:
        return self._loader("train", self.train_section.batch_size, self.train_section.seed)

    def val_dataloader(self) -> DataLoader[Batch]:
        return self._loader("validation", EVALUATION_BATCH, None)

    def _loader(self, split: str, batch_size: int, seed: int | None) -> DataLoader[Batch]:
        assert self.trainer is not None
        positions = np.flatnonzero(self.splits == split)
        world = self.trainer.world_size
        if len(positions) < world:
            raise DataError(
                f"{split} must have an example for each of {world} devices, however: {len(positions)}"
            )
        batch_size = min(batch_size, len(positions) // world)  # Lightning wants a batch for every rank
        return loader(
            self.examples,
            BatchPlan(positions, batch_size, seed, self.trainer.global_rank, world),
        )


class _EpochLines(Callback):
    """One line an epoch: on the screen, and as JSON in `log.jsonl`."""

    def __init__(self, path: Path, say: Say) -> None:
        self.path, self.say, self.begun = path, say, time.monotonic()

    def on_train_start(
        self, trainer: pytorch_lightning.Trainer, _: pytorch_lightning.LightningModule
    ) -> None:
        """An epoch that ended after the last checkpoint is trained again: its line goes."""
        if trainer.is_global_zero and self.path.exists():
            lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
            write_text(self.path, "".join(lines[: trainer.current_epoch]))

    def on_train_epoch_end(
        self, trainer: pytorch_lightning.Trainer, _: pytorch_lightning.LightningModule
    ) -> None:
        if not trainer.is_global_zero:
            return
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        line = {"epoch": trainer.current_epoch + 1, "seconds": round(time.monotonic() - self.begun, 1)}
        defined = {name: round(value, 6) for name, value in metrics.items() if np.isfinite(value)}
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({**line, **defined}) + "\n")
        shown = [f"epoch {line['epoch']}"]
        for name, label in (
            ("train_loss", "training loss"),
            ("validation_loss", "validation loss"),
            ("validation_macro_auroc", "macro AUROC"),
            (MONITOR, "macro AP"),
        ):
            shown.append(f"{label} {metrics[name]:.4f}" if name in defined else f"{label} undefined")
        self.say(f"{', '.join(shown)}, {line['seconds']:.0f} s")


def _fit(
    prepared: Prepared, vocabulary: Vocabulary, examples: ExampleBatches, run: Run, setting: Setting, say: Say
) -> tuple[pytorch_lightning.Trainer, Classifier]:
    """Train, and load the best weights."""
    scenario = prepared.scenario
    pytorch_lightning.seed_everything(scenario.train.seed, verbose=False)
    classifier = Classifier(fitted_network(prepared, vocabulary, examples), scenario.train)
    checkpoints = ModelCheckpoint(
        dirpath=run / "checkpoints",
        filename="best",
        monitor=MONITOR,
        mode="max",
        save_last=True,
        enable_version_counter=False,
    )
    trainer = _trainer(scenario.train, [checkpoints, *_callbacks(scenario.train, run, setting, say)], setting)
    splits = prepared.examples.table[SPLIT].to_numpy()
    try:
        with warnings.catch_warnings():
            # Batches are built by vectorised gathers: workers would only copy them.
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty.*")
            warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # within Lightning, by torch 2.13
            trainer.fit(
                classifier,
                datamodule=_Loaders(examples, splits, scenario.train),
                ckpt_path=run.last_checkpoint if setting.opening == "resume" else None,
                weights_only=True,
            )
    except SystemExit:  # Lightning turns Ctrl-C into an exit
        if trainer.interrupted:
            raise KeyboardInterrupt from None
        raise
    best = torch.load(checkpoints.best_model_path or checkpoints.last_model_path, weights_only=True)
    classifier.load_state_dict(best["state_dict"])
    say(f"best epoch {best['epoch'] + 1}")
    return trainer, classifier


def _callbacks(train: TrainSection, run: Run, setting: Setting, say: Say) -> list[Callback]:
    callbacks: list[Callback] = [
        # Undefined (no label has a positive) is not a reason to stop: the last weights are then as good as
        # any.
        EarlyStopping(MONITOR, mode="max", patience=train.patience, check_finite=False),
        _EpochLines(run / "log.jsonl", say),
    ]
    return [*callbacks, TQDMProgressBar(refresh_rate=5)] if setting.interactive else callbacks


def _trainer(train: TrainSection, callbacks: list[Callback], setting: Setting) -> pytorch_lightning.Trainer:
    for name in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    devices = train.devices
    if devices == "auto" and (train.accelerator == "cpu" or not torch.cuda.is_available()):
        devices = 1
    strategy: Strategy | str = train.strategy
    if strategy == "ddp" or devices != 1:
        strategy = DDPStrategy(**_no_buffer_sync())
    return pytorch_lightning.Trainer(
        max_epochs=train.epochs,
        accelerator=train.accelerator,
        devices=devices,
        strategy=strategy,
        precision=train.precision,
        gradient_clip_val=train.gradient_clip_val,
        limit_train_batches=train.limit_train_batches,
        limit_val_batches=train.limit_val_batches,
        callbacks=callbacks,
        logger=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        enable_progress_bar=setting.interactive,
        enable_model_summary=False,
    )


def _no_buffer_sync() -> dict[str, Any]:
    """Buffers are fitted before training and never change.

    Synchronising them would make ranks wait for each other in validation, where they may have different
    numbers of batches. torch 2.13 renamed the option.
    """
    known = inspect.signature(DistributedDataParallel).parameters
    return {"forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers": False}


def fitted_network(prepared: Prepared, vocabulary: Vocabulary, examples: ExampleBatches) -> Network:
    """The untrained network, with bins and priors from the training examples."""
    scenario, labels = prepared.scenario, prepared.examples.labels
    spec = NetworkSpec.of(
        scenario.model,
        len(labels.names),
        (vocabulary.attributes.sizes, len(vocabulary.attributes.numbers)),
        (vocabulary.events.sizes, len(vocabulary.events.numbers)),
    )
    network = Network(spec)
    positions = np.flatnonzero((prepared.examples.table[SPLIT] == "train").to_numpy())
    plan = BatchPlan(positions, 512, seed=scenario.train.seed)
    sample = list(islice(examples.planned(plan), _SAMPLE_BATCHES))
    targets_NK = targets_of(prepared.examples.table)[positions]
    positives_K, known_K = (targets_NK == 1).sum(axis=0), (targets_NK != UNKNOWN).sum(axis=0)
    network.fit(sample, torch.from_numpy(positives_K), torch.from_numpy(known_K))
    return network


def _predict_all(
    prepared: Prepared,
    examples: ExampleBatches,
    trainer: pytorch_lightning.Trainer,
    classifier: Classifier,
    run: Run,
) -> pl.DataFrame | None:
    """Every example scored once: each rank its share, merged and counted by rank zero; None on the others."""
    rank, world = trainer.global_rank, trainer.world_size
    keys = prepared.examples.table.drop(TARGETS)
    index, scores = score_batches(
        classifier.network.to(trainer.strategy.root_device), examples.in_order(rank, world)
    )
    part = keys[index].with_columns(array_column(SCORES, scores), pl.Series("__index", index))
    if world > 1:
        with replacing(run / f"parts/{rank}.parquet") as temporary:
            part.write_parquet(temporary)
        trainer.strategy.barrier()
        if rank:
            return None
        part = pl.concat(pl.read_parquet(run / f"parts/{r}.parquet") for r in range(world))
        for r in range(world):
            (run / f"parts/{r}.parquet").unlink()
        (run / "parts").rmdir()
    predictions = part.sort("__index").drop("__index")
    check_predictions(predictions, prepared.examples.table)
    return predictions
