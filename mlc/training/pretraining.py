"""`mlc pretrain`: a foundation model from the tables alone, in its own folder."""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import EarlyStopping

from mlc.errors import DataError
from mlc.events.cutoffs import choose_cutoffs, naive
from mlc.events.store import EventStore, open_store
from mlc.events.vocabulary import Vocabulary, fit_vocabulary
from mlc.files.atomic import write_text
from mlc.models.foundation import Foundation, FoundationSpec, added_up, save_foundation
from mlc.models.futures import FixedFutures, FutureBatches, Outputs, RandomCutoffs, choose_outputs
from mlc.models.reading.batch import FutureBatch
from mlc.models.reading.batches import BatchPlan, Loader
from mlc.models.reading.columns import field_sizes
from mlc.progress import stage
from mlc.report import foundation_markdown
from mlc.run import Opening, RunFolder, fingerprint_of, finish_run, run_folder_for, start_run
from mlc.scenario import EventScenario, PretrainSection
from mlc.sources import check_tables, observed_span, reading
from mlc.tables import microseconds
from mlc.task import Say
from mlc.training.beginning import beginning_of, check_beginning, check_tables_of
from mlc.training.devices import check_devices
from mlc.training.divergence import naming
from mlc.training.fitting import make_trainer, read_checkpoint, run_trainer
from mlc.training.pretrainer import MONITOR, Pretrainer
from mlc.training.ranks import is_rank_zero, own_run, rank_zero_first, shared_run
from mlc.training.stopping import BestEpoch, EpochLines, ResumableLoaders, Stopping

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
        validation: Examples that see all up to `until`.
        cutoffs: Random cutoffs of training.
    """

    training: FutureBatches
    validation: FixedFutures
    cutoffs: RandomCutoffs


def pretrain(scenario: EventScenario, runs: Path, opening: Opening, say: Say) -> dict[str, Any] | None:
    """Pre-train a foundation model and write its run folder.

    Args:
        scenario: Checked scenario, which may have no target.
        runs: Folder of all runs.
        opening: Start anew, go on, or start over.
        say: Receives progress in lines.

    Returns:
        The report, or None on any rank but the first.

    Raises:
        MlcError: The tables do not fit, or the run folder is taken.
        KeyboardInterrupt: The user stopped; `--resume` goes on.
        Terminated: The system did.
    """
    check_devices(scenario)
    with own_run(runs, scenario, say), naming(scenario, "pretrain"):
        return _pretrain(scenario, runs, opening, say)


def _pretrain(scenario: EventScenario, runs: Path, opening: Opening, say: Say) -> dict[str, Any] | None:
    """Pre-train while no other process works on the run."""
    begun = time.monotonic()
    section = scenario.pretrain
    with rank_zero_first():
        run, plan, store, vocabulary = _prepare(scenario, runs, opening, say)
    outputs = choose_outputs(store, vocabulary.events, microseconds(plan.validation_from), section.values)
    learning = _learning(store, vocabulary, outputs, plan, section)
    pytorch_lightning.seed_everything(section.seed, verbose=False)
    foundation = _fitted(vocabulary, outputs, plan, section, learning)
    trainer = _fit(foundation, learning, scenario, run, opening, say)
    if not trainer.is_global_zero:
        return None
    stage("report")
    save_foundation(foundation, run.folder)
    report = _report(scenario, plan, vocabulary, foundation, learning, trainer.current_epoch)
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
            "devices": trainer.world_size,
            "epochs": trainer.current_epoch,
            "seconds": round(time.monotonic() - begun, 1),
            "parameters": sum(p.numel() for p in foundation.parameters()),
        },
    )
    return report


def _prepare(
    scenario: EventScenario, runs: Path, opening: Opening, say: Say
) -> tuple[RunFolder, Plan, EventStore, Vocabulary]:
    """All that comes before the training; rank zero writes."""
    first = is_rank_zero()
    run = run_folder_for(runs, scenario, opening) if first else shared_run(runs, scenario)
    resumed = first and opening == "resume"
    if resumed:
        check_tables_of(run, scenario)
    stage("reading tables")
    check_tables(scenario)
    with reading(scenario):
        store = open_store(scenario, runs, say)
        plan = plan_time(scenario, store)
    say(f"sees events up to {plan.until:%Y-%m-%d %H:%M}, trains up to {plan.validation_from:%Y-%m-%d %H:%M}")
    if not scenario.has_target and scenario.pretrain.until is None:
        say("warning: it sees the tables to their end, so no scenario on them can start from it; see --until")
    vocabulary = fit_vocabulary(store, plan.validation_from, attributes=False, memory=True)
    if not vocabulary.events.categories and not vocabulary.events.numbers:
        rule = "no events table has a column that a model can see. Check encoders."
        raise DataError(scenario.problem("data.tables", rule))
    if first:
        beginning = beginning_of(scenario, store, vocabulary)
        if resumed:
            check_beginning(run, beginning)
        start_run(run, scenario, opening, beginning, "foundation")
        run.write_json("vocabulary.json", vocabulary.as_json())
    return run, plan, store, vocabulary


def plan_time(scenario: EventScenario, store: EventStore) -> Plan:
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
            f"the shortest, {shortest} days, is more than a third of the time from {first:%Y-%m-%d} to "
            f"{until:%Y-%m-%d}. Shorten it, or choose a later pretrain.until."
        )
        raise DataError(scenario.problem("pretrain.horizons_days", rule))
    return Plan(until, until - timedelta(days=horizons[-1]), horizons, first)


def _learning(
    store: EventStore, vocabulary: Vocabulary, outputs: Outputs, plan: Plan, section: PretrainSection
) -> Learning:
    """Cutoffs leave room for the shortest horizon.

    Longer ones count where they are complete.
    """
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
    return Learning(
        FutureBatches(store, vocabulary, outputs, longest, middle),
        FixedFutures(
            FutureBatches(store, vocabulary, outputs, longest, end),
            np.concatenate([at_start, *later], axis=1),
        ),
        cutoffs,
    )


def _fitted(
    vocabulary: Vocabulary, outputs: Outputs, plan: Plan, section: PretrainSection, learning: Learning
) -> Foundation:
    """Return the untrained foundation, with bins and frequencies from training."""
    sizes = field_sizes(vocabulary.events)
    spec = FoundationSpec.of(section, sizes, plan.horizons_days, len(outputs.field_V))
    foundation = Foundation(spec)
    sample = [learning.training[pairs] for pairs in islice(learning.cutoffs, _SAMPLE_BATCHES)]
    foundation.fit(torch.from_numpy(outputs.output_R), torch.from_numpy(outputs.field_V), sample)
    return foundation


class _FutureLoaders(ResumableLoaders):
    """Each rank has its share of the cutoffs."""

    def __init__(self, learning: Learning, batch_size: int) -> None:
        super().__init__()
        self.learning, self.batch_size = learning, batch_size

    def training(self) -> Loader:
        """Random cutoffs, new in each epoch."""
        assert self.trainer is not None
        cutoffs = self.learning.cutoffs.share(self.trainer.global_rank, self.trainer.world_size)
        return Loader(self.learning.training, cutoffs)

    def val_dataloader(self) -> Loader:
        """The same cutoffs in each epoch."""
        assert self.trainer is not None
        examples, world = len(self.learning.validation), self.trainer.world_size
        if examples < world:
            raise DataError(
                f"too few validation examples for {world} devices: {examples}. Use fewer devices."
            )
        batch_size = min(self.batch_size, examples // world)
        plan = BatchPlan(np.arange(examples), batch_size, None, self.trainer.global_rank, world)
        return Loader(self.learning.validation, plan)


def _fit(
    foundation: Foundation,
    learning: Learning,
    scenario: EventScenario,
    run: RunFolder,
    opening: Opening,
    say: Say,
) -> Trainer:
    """Train, and load the best weights."""
    section, hardware = scenario.pretrain, scenario.train.model_copy(update={"strategy": "auto"})
    pretrainer = Pretrainer(foundation, section)
    checkpoints = BestEpoch(run / "checkpoints", MONITOR)
    stopping = Stopping(run / "checkpoints" / "last.ckpt", hardware.checkpoint_minutes)
    titles = {
        "train_loss": "loss over that of the frequencies: training",
        MONITOR: "validation",
    }
    trainer = make_trainer(
        hardware,
        [
            checkpoints,
            EarlyStopping(MONITOR, patience=section.patience),
            EpochLines(run / "log.jsonl", titles, say),
            stopping,
        ],
        max_epochs=section.epochs,
        gradient_clip_val=1.0,
    )
    stage("pre-training")
    loaders = _FutureLoaders(learning, section.batch_size)
    run_trainer(trainer, pretrainer, loaders, stopping, run.last_checkpoint if opening == "resume" else None)
    best = read_checkpoint(checkpoints.best_model_path or checkpoints.last_model_path)
    pretrainer.load_state_dict(best["state_dict"])
    say(f"best epoch {best['epoch'] + 1}")
    return trainer


@torch.no_grad()
def _report(
    scenario: EventScenario,
    plan: Plan,
    vocabulary: Vocabulary,
    foundation: Foundation,
    learning: Learning,
    epochs: int,
) -> dict[str, Any]:
    """Return the validation loss of each field and horizon, and that of frequencies."""
    foundation.cpu().eval()
    order = BatchPlan(np.arange(len(learning.validation)), scenario.pretrain.batch_size)
    batches: list[FutureBatch] = list(learning.validation.planned(order))
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
