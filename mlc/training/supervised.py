"""`mlc train`: prepare, fit, predict every split, report.

Every rank runs all of it, rank zero writes.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytorch_lightning
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping

from mlc.errors import DataError, Terminated
from mlc.evaluation.held_out import HELD_OUT, HeldOut, PartScores
from mlc.events.baselines import check_boosting
from mlc.files.atomic import replacing
from mlc.models.custom_metrics import check_metrics
from mlc.models.ensemble import (
    REFIT,
    AnyNetwork,
    blank_copy,
    members_of,
    save_weights,
    score_batches,
)
from mlc.models.losses import Objective, positive_weights
from mlc.models.model import Model
from mlc.models.part import NETWORK, NetworkPart, Part
from mlc.models.reporting import wanted_metrics, write_page, write_report
from mlc.progress import stage
from mlc.report import Report
from mlc.run import Opening, RunFolder, fingerprint_of, finish_run, run_folder_for, start_run
from mlc.scenario import Bce, Scenario, TrainSection
from mlc.tables import (
    CUTOFF,
    MICROSECONDS_PER_DAY,
    SCORES,
    SPLIT,
    TARGETS,
    array_column,
    check_predictions,
    in_split,
    scores_of,
)
from mlc.task import Examples, Say
from mlc.training import learners
from mlc.training.beginning import check_beginning, check_tables_of
from mlc.training.counts import target_counts
from mlc.training.devices import check_devices
from mlc.training.divergence import DivergedError, naming
from mlc.training.fitting import make_trainer, read_checkpoint, run_trainer
from mlc.training.frozen import FrozenFoundation
from mlc.training.hedging import choose_hedge, keep_hedge
from mlc.training.learners import Learner
from mlc.training.loggers import check_loggers, log_scores, open_loggers
from mlc.training.module import Classifier, monitored
from mlc.training.ranks import is_rank_zero, own_run, rank_zero_first, shared_run
from mlc.training.resident import EventsOnDevice
from mlc.training.stopping import BestEpoch, EpochLines, Loaders, Stopping, UpTo

_CACHED = "foundation_cache.f32"  # what a frozen foundation makes of the events


@dataclass(frozen=True)
class Setting:
    """Where and how a training runs, apart from the scenario.

    Attributes:
        runs: Folder of all runs.
        opening: Start anew, go on, or start over.
    """

    runs: Path
    opening: Opening = "new"


def train(scenario: Scenario, setting: Setting, say: Say) -> Report | None:
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
        Terminated: The system did.
    """
    check_boosting(scenario)
    check_loggers(scenario)
    check_devices(scenario)
    with own_run(setting.runs, scenario, say), naming(scenario, "train"):
        return _train(scenario, setting, say)


def _train(scenario: Scenario, setting: Setting, say: Say) -> Report | None:
    """Train while no other process works on the run."""
    begun = time.monotonic()
    with rank_zero_first():
        learner = learners.learner_of(scenario, setting.runs, setting.opening, say)
        run = _begin(learner, setting)
    train, examples = learner.task.scenario.train, learner.examples
    untrained = learner.network(examples)
    trained = None if untrained is None else _trained(learner, untrained, run, setting, say)
    if not is_rank_zero():
        return None
    model, part_scores, held_out = _model(learner, trained)
    stage("report")
    model.save_parts(run)
    if held_out is not None:
        held_out.write(run / HELD_OUT)
    report = write_report(run, learner.task, examples, model, part_scores)
    finish_run(
        run,
        {
            "fingerprint": model.fingerprint(run),
            **learner.task.facts(examples),
            **learner.facts(),
            "seed": train.seed,
            "seconds": round(time.monotonic() - begun, 1),
            **({} if trained is None else trained.facts),
        },
    )
    loggers = open_loggers(learner.task.scenario, run) if trained is None else trained.trainer.loggers
    log_scores(loggers, report.test.macro, 0 if trained is None else trained.trainer.global_step)
    write_page(run)
    return report


@dataclass(frozen=True)
class _Trained:
    """A trained network.

    Attributes:
        network: With the weights of its best epoch.
        scores_NK: Its raw scores of all examples.
        trainer: What trained it.
        facts: What `run.json` should say of it.
    """

    network: AnyNetwork
    scores_NK: np.ndarray
    trainer: pytorch_lightning.Trainer
    facts: Mapping[str, Any]


def _trained(
    learner: Learner, untrained: AnyNetwork, run: RunFolder, setting: Setting, say: Say
) -> _Trained | None:
    """Train the network and score all examples by it; None on any rank but the first."""
    train = learner.task.scenario.train
    classifier = _classifier(learner.examples, train, untrained)
    trainer, network, epochs = _fit(learner, classifier, run, setting, say)
    stage("scoring")
    scores_NK = _predict_all(learner, trainer, network, run)
    learner.batches.resident = None  # what follows is not done on the device
    if train.refit:  # now, while all ranks are here
        _refit(learner, network, epochs, run, say)
    if scores_NK is None:
        return None
    (run / _CACHED).unlink(missing_ok=True)  # what is mapped stays readable
    facts = {
        **({"refit": fingerprint_of(run / REFIT)} if train.refit else {}),
        "devices": trainer.world_size,
        "epochs": trainer.current_epoch,
        "parameters": sum(p.numel() for p in network.parameters()),
    }
    return _Trained(network, scores_NK, trainer, facts)


def _model(learner: Learner, trained: _Trained | None) -> tuple[Model, PartScores, HeldOut | None]:
    """Return the model, not yet calibrated, and the raw scores of its parts."""
    names = learner.examples.class_names
    parts: dict[str, Part] = {}
    by_part: dict[str, np.ndarray] = {}
    if trained is not None:
        parts[NETWORK], by_part[NETWORK] = NetworkPart(trained.network, names), trained.scores_NK
    parts |= learner.other_parts()
    stage("scoring")
    by_part |= {name: part.scores(learner.batches) for name, part in parts.items() if name != NETWORK}
    held_out = learner.held_out()
    part_scores = PartScores(by_part)
    if held_out is not None:
        part_scores = held_out.applied(learner.examples.table, by_part)
    return Model(names, parts, learner.weights(part_scores), learner.reader), part_scores, held_out


def _begin(learner: Learner, setting: Setting) -> RunFolder:
    """Make the examples, check what can be checked, and make the run folder."""
    first, scenario = is_rank_zero(), learner.task.scenario
    if first:
        run = run_folder_for(setting.runs, scenario, setting.opening)
    else:
        run = shared_run(setting.runs, scenario)
    resumed = first and setting.opening == "resume"
    if resumed:
        check_tables_of(run, scenario)
    examples = learner.examples
    check_metrics(wanted_metrics(scenario), len(examples.class_names))
    _check_labels(examples)
    if first:
        learner.task.oracle(examples)  # refuses a table of true probabilities before anything is trained
        beginning = dict(learner.beginning())
        if resumed:
            check_beginning(run, beginning)
        start_run(run, scenario, setting.opening, beginning)
        learner.begin(run)
    return run


def _fit(
    learner: Learner, classifier: Classifier, run: RunFolder, setting: Setting, say: Say
) -> tuple[pytorch_lightning.Trainer, AnyNetwork, list[int]]:
    """Train, and return the best network and the epochs of each kind."""
    scenario, examples, batches = learner.task.scenario, learner.examples, learner.batches
    monitor, mode = classifier.progress
    best = BestEpoch(run / "checkpoints", monitor, mode)
    stopping = Stopping(run / "checkpoints" / "last.ckpt", scenario.train.checkpoint_minutes)
    callbacks: list[Callback] = [
        best,
        # Undefined (no label has a positive) is not a reason to stop: the last weights are then as good as
        # any.
        EarlyStopping(monitor, mode=mode, patience=scenario.train.patience, check_finite=False),
        EpochLines(run / "log.jsonl", _shown(scenario.train), say),
        stopping,
        EventsOnDevice(batches, say),  # first, since a frozen foundation is given such batches
        FrozenFoundation(batches, run / _CACHED),
    ]
    trainer = _trainer(scenario.train, callbacks)
    trainer.loggers = open_loggers(scenario, run)
    loaders = Loaders(batches, examples.table[SPLIT].to_numpy(), scenario.train)
    stage("training")
    checkpoint = run.last_checkpoint if setting.opening == "resume" else None
    run_trainer(trainer, classifier, loaders, stopping, checkpoint)
    state = read_checkpoint(best.best_model_path or best.last_model_path)
    epochs = [state["epoch"] + 1]
    if classifier.kept is not None:
        epochs = state["state_dict"]["best_epochs_S"].tolist()
    say(f"best epoch {' and '.join(map(str, epochs))}")
    device = trainer.strategy.root_device
    network = _judged_network(classifier, state).to(device)
    positions = np.flatnonzero(in_split(examples.table, "validation"))
    choose_hedge(network, batches, positions, classifier.objective.to(device), trainer, say)
    return trainer, network, epochs


def _judged_network(classifier: Classifier, checkpoint: dict[str, Any]) -> AnyNetwork:
    """A network of its own with the weights of a checkpoint."""
    network = blank_copy(classifier.network)
    network.load_state_dict(classifier.judged_weights(checkpoint["state_dict"]))
    return network


def _refit(learner: Learner, trained: AnyNetwork, epochs: list[int], run: RunFolder, say: Say) -> None:
    """Train the same once more, on all examples, for as many epochs as were best.

    Stopped, it starts over.
    """
    batches, examples = learner.batches, learner.examples.for_refit()
    stage("training again")
    say(f"refit: {max(epochs)} epoch{'' if max(epochs) == 1 else 's'} on all {len(batches):,} examples")
    network = learner.network(examples)
    assert network is not None  # there was one before
    keep_hedge(network, trained)
    # No label is judged any more.
    train = learner.task.scenario.train.model_copy(update={"monitor": "macro_ap"})
    classifier = _classifier(examples, train, network)
    path = run / "checkpoints" / "refit.ckpt"
    stopping = Stopping(path, math.inf)
    trainer = _trainer(
        train,
        [EventsOnDevice(batches, say), UpTo(epochs, path), stopping],
        limit_val_batches=0,
        enable_checkpointing=False,
    )
    run_trainer(trainer, classifier, Loaders(batches, examples.table[SPLIT].to_numpy(), train), stopping)
    batches.resident = None
    if stopping.terminated:  # in the last step
        raise Terminated
    if trainer.is_global_zero:
        save_weights(_judged_network(classifier, read_checkpoint(path)), run / REFIT)
        path.unlink()


def _classifier(examples: Examples, train: TrainSection, network: AnyNetwork) -> Classifier:
    """Return the untrained network, and what is minimised."""
    names = list(examples.class_names)
    positive_K = None
    if isinstance(train.loss, Bce):
        positive_K = positive_weights(train.loss.pos_weight, names, *target_counts(examples, "train"))
        for member in members_of(network):
            member.prior_K += positive_K.log()  # where the loss is least, before anything is learned
    objective = Objective(
        train.loss, torch.tensor([train.label_weights.get(name, 1.0) for name in names]), positive_K
    )
    label = None if train.monitored_label is None else names.index(train.monitored_label)
    return Classifier(network, train, objective, _example_weights(examples, train), label)


def _check_labels(examples: Examples) -> None:
    """Refuse labels of `train` that do not exist or that validation cannot judge.

    Raises:
        DataError: There is such a label.
    """
    scenario, names = examples.scenario, list(examples.class_names)
    unknown = list(scenario.unknown_train_labels(names))
    if unknown:
        raise DataError(unknown)
    if scenario.train.monitored_label is None:
        return
    label = names.index(scenario.train.monitored_label)
    positives, known = (int(counts[label]) for counts in target_counts(examples, "validation"))
    if not 0 < positives < known:
        rule = f"needs positives and negatives in validation: {positives} of {known} are positive"
        raise DataError(scenario.problem("train.monitor", f"{rule}. Monitor macro_ap."))


def _example_weights(examples: Examples, train: TrainSection) -> torch.Tensor | None:
    """Halved for each half-life before the newest training cutoff.

    It is None where all count alike.
    """
    if train.half_life_days is None:
        return None
    table = examples.table
    cutoffs_N = table[CUTOFF].cast(pl.Int64).to_numpy()
    newest = cutoffs_N[in_split(table, "train")].max()
    age_N = (newest - cutoffs_N) / MICROSECONDS_PER_DAY
    return torch.from_numpy(np.exp2(-age_N / train.half_life_days).astype(np.float32))


def _trainer(train: TrainSection, callbacks: list[Callback], **more: Any) -> pytorch_lightning.Trainer:
    return make_trainer(
        train,
        callbacks,
        max_epochs=train.epochs,
        precision=train.precision,
        gradient_clip_val=train.gradient_clip_val,
        accumulate_grad_batches=train.accumulate_grad_batches,
        limit_train_batches=train.limit_train_batches,
        **{"limit_val_batches": train.limit_val_batches, **more},
    )


def _shown(train: TrainSection) -> dict[str, str]:
    """What the screen tells of an epoch."""
    loss = "log_loss" if train.criterion == "log_loss" else "loss"
    names = {
        "train_loss": "training loss",
        f"validation_{loss}": f"validation {loss.replace('_', '-')}",
        "validation_macro_auroc": "macro AUROC",
        "validation_macro_ap": "macro AP",
    }
    names.setdefault(monitored(train)[0], train.criterion)
    return names


def _predict_all(
    learner: Learner, trainer: pytorch_lightning.Trainer, network: AnyNetwork, run: RunFolder
) -> np.ndarray | None:
    """Score every example once: each rank its share, merged and counted by rank zero.

    None on the others.
    """
    table = learner.examples.table
    rank, world = trainer.global_rank, trainer.world_size
    keys = table.drop(TARGETS)
    index, scores = score_batches(network, learner.batches.in_order(rank, world))
    every = trainer.strategy.reduce(torch.tensor(float(np.isnan(scores).sum())), reduce_op="sum")
    if every > 0:
        raise DivergedError(trainer.current_epoch)
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
    check_predictions(predictions, table)
    return scores_of(predictions)
