"""`mlc pretrain`: a foundation model from the tables alone, in a run folder of its own."""

import json
import logging
import time
import warnings
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint
from torch.utils.data import DataLoader

from mlc.atomic import write_text
from mlc.batch import FutureBatch
from mlc.cutoffs import choose_cutoffs, naive
from mlc.errors import DataError
from mlc.futures import FutureBatches, Outputs, RandomCutoffs, choose_outputs
from mlc.ingest import EventStore, open_store
from mlc.pretraining import MONITOR, Foundation, FoundationSpec, Pretrainer, added_up, save_foundation
from mlc.report import foundation_markdown
from mlc.run import Opening, Run, fingerprint_of, finish_run, open_run, start_run
from mlc.scenario import PretrainSection, Scenario
from mlc.sources import check_tables, observed_span
from mlc.steps.labels import Say, reading_rows
from mlc.tables import microseconds
from mlc.vocabulary import Vocabulary, fit_vocabulary

_SAMPLE_BATCHES = 16
_LEAST_SHARE = 3  # a third of the time is the longest horizon, and so the longest validation


@dataclass(frozen=True)
class Plan:
    """What is seen when.

    Attributes:
        until: Nothing after this moment is seen at all.
        validation_from: Nothing after this moment is trained on.
        horizons_days: Horizons that fit into the time after it.
        first: Time of the first event.
    """

    until: datetime
    validation_from: datetime
    horizons_days: list[int]
    first: datetime


@dataclass(frozen=True)
class Learning:
    """Batches of both parts of the time.

    Attributes:
        training: Batches that see nothing after the start of the validation.
        validation: Batches that see all up to `until`.
        cutoffs: Random cutoffs of training.
        validation_pairs: Entity rows and cutoffs of the validation batches.
    """

    training: FutureBatches
    validation: FutureBatches
    cutoffs: RandomCutoffs
    validation_pairs: list[np.ndarray]


def pretrain(scenario: Scenario, runs: Path, opening: Opening, say: Say) -> dict[str, Any]:
    """Pre-train a foundation model and write its run folder.

    Args:
        scenario: Checked scenario, which may have no target.
        runs: Folder of all runs.
        opening: Start anew, go on, or start over.
        say: Receives progress in lines.

    Returns:
        The report.

    Raises:
        MlcError: The tables do not fit, or the run folder is taken.
        KeyboardInterrupt: The user stopped; `--resume` goes on.
    """
    begun = time.monotonic()
    section = scenario.pretrain
    run = open_run(runs, scenario, opening)
    check_tables(scenario)
    with reading_rows(scenario):
        store = open_store(scenario, runs, say)
        plan = plan_time(scenario, store)
    say(f"sees events up to {plan.until:%Y-%m-%d %H:%M}, trains up to {plan.validation_from:%Y-%m-%d %H:%M}")
    if not scenario.has_target and scenario.pretrain.until is None:
        say("warning: it sees the tables to their end, so no scenario on them can start from it; see --until")
    vocabulary = fit_vocabulary(store, plan.validation_from, attributes=False, memory=True)
    if not vocabulary.events.categories and not vocabulary.events.numbers:
        rule = "an events table must have a column that a model can see, however: none has; check encoders"
        raise DataError(scenario.problem("data.tables", rule))
    outputs = choose_outputs(store, vocabulary.events, microseconds(plan.validation_from), section.values)
    start_run(run, scenario, opening)
    run.write_json("vocabulary.json", vocabulary.as_json())
    learning = _learning(store, vocabulary, outputs, plan, section)
    pytorch_lightning.seed_everything(section.seed, verbose=False)
    foundation = _fitted(vocabulary, outputs, plan, section, learning)
    epochs = _fit(foundation, learning, section, run, opening, say)
    save_foundation(foundation, run.folder)
    report = _report(scenario, plan, vocabulary, foundation, learning, epochs)
    write_text(run / "report.md", foundation_markdown(report))
    run.write_json("report.json", report)
    finish_run(
        run,
        {
            "fingerprint": fingerprint_of(run / "model.safetensors"),
            "vocabulary": fingerprint_of(run / "vocabulary.json"),
            "store": store.fingerprint,
            "until": plan.until.isoformat(),
            "seed": section.seed,
            "epochs": epochs,
            "seconds": round(time.monotonic() - begun, 1),
            "parameters": sum(p.numel() for p in foundation.parameters()),
        },
    )
    return report


def plan_time(scenario: Scenario, store: EventStore) -> Plan:
    """Until when events are seen, and from when they are kept for validation.

    The validation is as long as the longest horizon.

    Raises:
        DataError: There is too little time.
    """
    first = min(counts.first for counts in store.counts.values())
    last = max(counts.last for counts in store.counts.values())
    until = naive(scenario.pretrain.until)
    if until is None and scenario.has_target:
        until = choose_cutoffs(scenario, *observed_span(scenario)).fit_until
    until = min(until or last, last)
    days = (until - first) / timedelta(days=1)
    horizons = [horizon for horizon in scenario.pretrain.horizons_days if horizon * _LEAST_SHARE <= days]
    if not horizons:
        shortest = scenario.pretrain.horizons_days[0]
        rule = (
            f"the shortest must be at most a third of the time, however: {shortest} days, and events are "
            f"seen from {first:%Y-%m-%d} to {until:%Y-%m-%d}; shorten it, or choose a later pretrain.until"
        )
        raise DataError(scenario.problem("pretrain.horizons_days", rule))
    return Plan(until, until - timedelta(days=horizons[-1]), horizons, first)


def _learning(
    store: EventStore, vocabulary: Vocabulary, outputs: Outputs, plan: Plan, section: PretrainSection
) -> Learning:
    """Cutoffs leave room for the shortest horizon; longer ones count where they are complete."""
    longest, shortest = plan.horizons_days[-1], timedelta(days=plan.horizons_days[0])
    start, middle, end = (microseconds(moment) for moment in (plan.first, plan.validation_from, plan.until))
    cutoffs = RandomCutoffs(
        store,
        start,
        microseconds(plan.validation_from - shortest),
        section.cutoffs_per_entity,
        section.batch_size,
        section.seed,
    )
    # For validation: everybody when it begins, when the longest horizon is complete, and once later.
    at_start = np.stack([cutoffs.rows, np.full(len(cutoffs.rows), middle)])
    later = RandomCutoffs(
        store, middle, microseconds(plan.until - shortest), 1, section.batch_size, section.seed
    )
    parts = np.array_split(at_start, max(1, at_start.shape[1] // section.batch_size), axis=1)
    return Learning(
        FutureBatches(store, vocabulary, outputs, longest, middle),
        FutureBatches(store, vocabulary, outputs, longest, end),
        cutoffs,
        [*parts, *later],
    )


def _fitted(
    vocabulary: Vocabulary, outputs: Outputs, plan: Plan, section: PretrainSection, learning: Learning
) -> Foundation:
    """The untrained foundation, with bins and marginal frequencies from training batches."""
    events = vocabulary.events
    fields = (events.sizes, len(events.numbers), len(events.texts))
    spec = FoundationSpec.of(section, fields, plan.horizons_days, len(outputs.field_V))
    foundation = Foundation(spec)
    sample = [learning.training[pairs] for pairs in islice(learning.cutoffs, _SAMPLE_BATCHES)]
    foundation.fit(torch.from_numpy(outputs.output_R), torch.from_numpy(outputs.field_V), sample)
    return foundation


class _EpochLines(Callback):
    """One line an epoch: on the screen, and as JSON in `log.jsonl`."""

    def __init__(self, path: Path, say: Say) -> None:
        self.path, self.say, self.begun = path, say, time.monotonic()

    def on_train_start(
        self, trainer: pytorch_lightning.Trainer, _: pytorch_lightning.LightningModule
    ) -> None:
        """An epoch that ended after the last checkpoint is trained again: its line goes."""
        if self.path.exists():
            lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
            write_text(self.path, "".join(lines[: trainer.current_epoch]))

    def on_train_epoch_end(
        self, trainer: pytorch_lightning.Trainer, _: pytorch_lightning.LightningModule
    ) -> None:
        losses = {name: round(float(value), 6) for name, value in trainer.callback_metrics.items()}
        seconds = round(time.monotonic() - self.begun, 1)
        line = {"epoch": trainer.current_epoch + 1, "seconds": seconds, **losses}
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
        told = f"training {losses['train_loss']:.4f}, validation {losses[MONITOR]:.4f}"
        self.say(f"epoch {line['epoch']}, loss over that of the frequencies: {told}, {seconds:.0f} s")


def _fit(
    foundation: Foundation, learning: Learning, section: PretrainSection, run: Run, opening: Opening, say: Say
) -> int:
    """Train, and load the best weights; returns how many epochs it took."""
    for name in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    pretrainer = Pretrainer(foundation, section)
    checkpoints = ModelCheckpoint(
        dirpath=run / "checkpoints",
        filename="best",
        monitor=MONITOR,
        save_last=True,
        enable_version_counter=False,
    )
    trainer = pytorch_lightning.Trainer(
        max_epochs=section.epochs,
        devices=1,
        gradient_clip_val=1.0,
        callbacks=[
            checkpoints,
            EarlyStopping(MONITOR, patience=section.patience),
            _EpochLines(run / "log.jsonl", say),
        ],
        logger=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    try:
        with warnings.catch_warnings():
            # Batches are built by vectorised gathers: workers would only copy them.
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty.*")
            warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # within Lightning, by torch 2.13
            trainer.fit(
                pretrainer,
                DataLoader(learning.training, batch_size=None, sampler=learning.cutoffs),
                DataLoader(learning.validation, batch_size=None, sampler=learning.validation_pairs),
                ckpt_path=run.last_checkpoint if opening == "resume" else None,
                weights_only=True,
            )
    except SystemExit:  # Lightning turns Ctrl-C into an exit
        if trainer.interrupted:
            raise KeyboardInterrupt from None
        raise
    best = torch.load(checkpoints.best_model_path or checkpoints.last_model_path, weights_only=True)
    pretrainer.load_state_dict(best["state_dict"])
    say(f"best epoch {best['epoch'] + 1}")
    return int(trainer.current_epoch)


@torch.no_grad()
def _report(
    scenario: Scenario,
    plan: Plan,
    vocabulary: Vocabulary,
    foundation: Foundation,
    learning: Learning,
    epochs: int,
) -> dict[str, Any]:
    """The loss of each field and horizon on validation, next to that of the marginal frequencies."""
    foundation.cpu().eval()
    batches: list[FutureBatch] = [learning.validation[pairs] for pairs in learning.validation_pairs]
    losses = [foundation(batch) for batch in batches]
    plain = [foundation.losses(batch, foundation.prior.expand(len(batch), -1)) for batch in batches]
    (sums_L, counts_L), (plain_L, _) = added_up(losses), added_up(plain)
    names = [*vocabulary.events.categories, *vocabulary.events.numbers]
    rows = [
        {
            "kind": task.kind,
            "field": names[task.field] if task.field >= 0 else None,
            "horizon_days": task.horizon_days or None,
            "loss": round(float(loss / count), 5),
            "baseline": round(float(marginal / count), 5),
        }
        for task, loss, marginal, count in zip(foundation.tasks, sums_L, plain_L, counts_L, strict=True)
        if count > 0
    ]
    return {
        "schema": "mlc/foundation-report/1",
        "name": scenario.name,
        "until": plan.until.isoformat(),
        "validation_from": plan.validation_from.isoformat(),
        "horizons_days": plan.horizons_days,
        "left_out_days": [d for d in scenario.pretrain.horizons_days if d not in plan.horizons_days],
        "validation_examples": sum(len(batch) for batch in batches),
        "epochs": epochs,
        "objective": round(float(foundation.objective(sums_L, counts_L)), 5),
        "losses": rows,
    }
