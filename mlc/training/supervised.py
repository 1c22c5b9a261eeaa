"""`mlc train`: prepare, fit, predict every split, report; every rank runs all of it, rank zero writes."""

import math
import time
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytorch_lightning
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, TQDMProgressBar

from mlc.atomic import replacing
from mlc.errors import DataError, Terminated
from mlc.events.baselines import BOOSTING, check_boosting
from mlc.events.preparing import Prepared, Say, prepare, write_examples
from mlc.events.slices import check_slices
from mlc.events.vocabulary import Vocabulary, fit_vocabulary
from mlc.models.baselines import fitted_boosting
from mlc.models.batches import BatchPlan, ExampleBatches, example_batches
from mlc.models.blending import fitted_blend
from mlc.models.boosting import boosting_scores
from mlc.models.columns import field_sizes
from mlc.models.custom_metrics import check_metrics
from mlc.models.ensemble import (
    REFIT,
    WEIGHTS,
    AnyNetwork,
    blank_copy,
    make_model,
    members_of,
    save_weights,
    score_batches,
)
from mlc.models.losses import Objective, positive_weights
from mlc.models.model import NETWORK, Model, Part, mix_weights
from mlc.models.network import NetworkSpec
from mlc.models.reporting import wanted_metrics, write_page, write_report
from mlc.models.trained import Start
from mlc.report import Report
from mlc.run import Opening, RunFolder, fingerprint_of, finish_run, run_folder_for, start_run
from mlc.scenario import Bce, Scenario, TrainSection
from mlc.tables import (
    MICROSECONDS_PER_DAY,
    SCORES,
    SPLIT,
    TARGETS,
    UNKNOWN,
    array_column,
    check_predictions,
    scores_of,
    targets_of,
)
from mlc.training.beginning import beginning_of, check_beginning, check_tables_of
from mlc.training.devices import check_devices
from mlc.training.divergence import DivergedError, naming
from mlc.training.fitting import make_trainer, read_checkpoint, run_trainer
from mlc.training.frozen import FrozenMemory
from mlc.training.hedging import choose_hedge, keep_hedge
from mlc.training.loggers import check_loggers, log_scores, open_loggers
from mlc.training.module import Classifier, monitored
from mlc.training.ranks import is_rank_zero, own_run, rank_zero_first, shared_run
from mlc.training.refit import UpTo, all_for_training
from mlc.training.resident import EventsOnDevice
from mlc.training.starting import begin_from, open_foundation, trunk_spec, with_foundation
from mlc.training.stopping import BestEpoch, EpochLines, Loaders, Stopping

_SAMPLE_BATCHES = 16
_REMEMBERED = "remembered.f32"


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
        scenario = with_foundation(scenario, setting.runs, setting.opening, say)
        run, prepared, vocabulary, start = _prepare(scenario, setting, say)
    examples = example_batches(prepared, vocabulary)
    classifier = _classifier(prepared, fitted_network(prepared, vocabulary, examples, start))
    trainer, network, epochs = _fit(prepared, classifier, examples, run, setting, say)
    raw = _predict_all(prepared, examples, trainer, network, run)
    examples.resident = None  # what follows is not done on the device
    if scenario.train.refit:  # now, while all ranks are here
        whole = all_for_training(prepared)
        again = fitted_network(whole, vocabulary, examples, start)
        keep_hedge(again, network)
        _refit(whole, again, examples, epochs, run, setting, say)
    if raw is None:
        return None
    (run / _REMEMBERED).unlink(missing_ok=True)  # what is mapped stays readable
    model, part_scores = _with_boosting(prepared, vocabulary, network, raw, examples, say)
    model.save_parts(run)
    report = write_report(run, prepared, model, part_scores)
    finish_run(
        run,
        {
            "fingerprint": fingerprint_of(run / WEIGHTS),
            **({"refit": fingerprint_of(run / REFIT)} if scenario.train.refit else {}),
            "store": prepared.store.fingerprint,
            "fit_until": prepared.cutoffs.fit_until.isoformat(),
            **({"foundation": start.facts} if start else {}),
            "observed_until": prepared.cutoffs.observed_until.isoformat(),
            "seed": scenario.train.seed,
            "devices": trainer.world_size,
            "epochs": trainer.current_epoch,
            "seconds": round(time.monotonic() - begun, 1),
            "parameters": sum(p.numel() for p in network.parameters()),
        },
    )
    log_scores(trainer.loggers, report.test.macro, trainer.global_step)
    write_page(run)
    return report


def _with_boosting(
    prepared: Prepared,
    vocabulary: Vocabulary,
    network: AnyNetwork,
    network_NK: np.ndarray,
    examples: ExampleBatches,
    say: Say,
) -> tuple[Model, dict[str, np.ndarray]]:
    """The model, not yet calibrated, with boosting as a part or a baseline, and the scores of its parts."""
    parts: dict[str, Part] = {NETWORK: network}
    part_scores = {NETWORK: network_NK}
    boosting = fitted_boosting(prepared, examples, say)
    if boosting is not None:
        parts[BOOSTING] = boosting
        part_scores[BOOSTING] = boosting_scores(boosting, examples)
    weight = fitted_blend(prepared, network_NK, part_scores.get(BOOSTING))
    most_events = prepared.scenario.model.most_events
    names = prepared.examples.labels.names
    return Model(names, parts, mix_weights(weight), vocabulary, most_events=most_events), part_scores


def _prepare(
    scenario: Scenario, setting: Setting, say: Say
) -> tuple[RunFolder, Prepared, Vocabulary, Start | None]:
    """All that comes before the training."""
    first = is_rank_zero()
    run = (
        run_folder_for(setting.runs, scenario, setting.opening)
        if first
        else shared_run(setting.runs, scenario)
    )
    resumed = first and setting.opening == "resume"
    if resumed:
        check_tables_of(run, scenario)
    prepared = prepare(scenario, setting.runs, say)
    check_slices(scenario, prepared.store)
    check_metrics(wanted_metrics(scenario), len(prepared.examples.labels.names))
    _check_labels(prepared)
    fit_until = prepared.cutoffs.fit_until
    start = open_foundation(scenario, setting.runs, fit_until, prepared.store, say)
    model = scenario.model
    vocabulary = fit_vocabulary(prepared.store, fit_until, model.attributes, model.sees_events)
    if start is not None:
        vocabulary = replace(vocabulary, events=start.events)
    if first:
        foundation = start.facts["fingerprint"] if start else None
        beginning = beginning_of(scenario, prepared.store, vocabulary, prepared, foundation)
        if resumed:
            check_beginning(run, beginning)
        start_run(run, scenario, setting.opening, beginning)
        write_examples(prepared.examples, run / "examples.parquet", prepared.store.fingerprint)
        run.write_json("vocabulary.json", vocabulary.as_json())
    return run, prepared, vocabulary, start


def _fit(
    prepared: Prepared,
    classifier: Classifier,
    examples: ExampleBatches,
    run: RunFolder,
    setting: Setting,
    say: Say,
) -> tuple[pytorch_lightning.Trainer, AnyNetwork, list[int]]:
    """Train, and give the network with the best weights, and after how many epochs each kind had them."""
    scenario = prepared.scenario
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
        EventsOnDevice(examples, say),  # first, since a frozen memory is asked with such batches
        FrozenMemory(examples, run / _REMEMBERED),
    ]
    if setting.interactive:
        callbacks.append(TQDMProgressBar(refresh_rate=5))
    trainer = _trainer(scenario.train, callbacks, setting)
    trainer.loggers = open_loggers(scenario, run)
    loaders = Loaders(examples, prepared.examples.table[SPLIT].to_numpy(), scenario.train)
    checkpoint = run.last_checkpoint if setting.opening == "resume" else None
    run_trainer(trainer, classifier, loaders, stopping, checkpoint)
    state = read_checkpoint(best.best_model_path or best.last_model_path)
    epochs = [state["epoch"] + 1]
    if classifier.kept is not None:
        epochs = state["state_dict"]["best_epochs_S"].tolist()
    say(f"best epoch {' and '.join(map(str, epochs))}")
    device = trainer.strategy.root_device
    network = _judged_network(classifier, state).to(device)
    positions = np.flatnonzero((prepared.examples.table[SPLIT] == "validation").to_numpy())
    choose_hedge(network, examples, positions, classifier.objective.to(device), trainer, say)
    return trainer, network, epochs


def _judged_network(classifier: Classifier, checkpoint: dict[str, Any]) -> AnyNetwork:
    """A network of its own with the weights of a checkpoint."""
    network = blank_copy(classifier.network)
    network.load_state_dict(classifier.judged_weights(checkpoint["state_dict"]))
    return network


def _refit(
    whole: Prepared,
    network: AnyNetwork,
    examples: ExampleBatches,
    epochs: list[int],
    run: RunFolder,
    setting: Setting,
    say: Say,
) -> None:
    """Train the same once more, on all examples, for as many epochs as were best; stopped, it starts over."""
    say(f"refit: {max(epochs)} epoch{'' if max(epochs) == 1 else 's'} on all {len(examples):,} examples")
    classifier = _classifier(whole, network)
    path = run / "checkpoints" / "refit.ckpt"
    stopping = Stopping(path, math.inf)
    trainer = _trainer(
        whole.scenario.train,
        [EventsOnDevice(examples, say), UpTo(epochs, path), stopping],
        setting,
        limit_val_batches=0,
        enable_checkpointing=False,
    )
    loaders = Loaders(examples, whole.examples.table[SPLIT].to_numpy(), whole.scenario.train)
    run_trainer(trainer, classifier, loaders, stopping)
    examples.resident = None
    if stopping.terminated:  # in the last step
        raise Terminated
    if trainer.is_global_zero:
        save_weights(_judged_network(classifier, read_checkpoint(path)), run / REFIT)
        path.unlink()


def _classifier(prepared: Prepared, network: AnyNetwork) -> Classifier:
    """The untrained network, and what is minimised."""
    train, names = prepared.scenario.train, list(prepared.examples.labels.names)
    positives_K, known_K = _counts(prepared, "train")
    positive_K = None
    if isinstance(train.loss, Bce):
        positive_K = positive_weights(train.loss.pos_weight, names, positives_K, known_K)
        for member in members_of(network):
            member.prior_K += positive_K.log()  # where the loss is least, before anything is learned
    objective = Objective(
        train.loss, torch.tensor([train.label_weights.get(name, 1.0) for name in names]), positive_K
    )
    label = None
    if train.monitored_label is not None:
        label = names.index(train.monitored_label)
    return Classifier(network, train, objective, _example_weights(prepared), label)


def _check_labels(prepared: Prepared) -> None:
    """Refuse labels of the `train` section that do not exist, or that validation cannot judge.

    Raises:
        DataError: There is such a label.
    """
    scenario, names = prepared.scenario, list(prepared.examples.labels.names)
    unknown = list(scenario.unknown_train_labels(names))
    if unknown:
        raise DataError(unknown)
    if scenario.train.monitored_label is None:
        return
    label = names.index(scenario.train.monitored_label)
    positives, known = (int(counts[label]) for counts in _counts(prepared, "validation"))
    if not 0 < positives < known:
        rule = f"needs positives and negatives in validation, however: {positives} of {known} are positive"
        raise DataError(scenario.problem("train.monitor", f"{rule}; monitor macro_ap"))


def _counts(prepared: Prepared, split: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Positive and known targets of each label, int64, shape (K)."""
    targets_NK = targets_of(prepared.examples.table.filter(pl.col(SPLIT) == split))
    known_K = (targets_NK != UNKNOWN).sum(axis=0)
    return torch.from_numpy((targets_NK == 1).sum(axis=0)), torch.from_numpy(known_K)


def _example_weights(prepared: Prepared) -> torch.Tensor | None:
    """Halved for each so many days before the newest training cutoff; None where all count alike."""
    half_life = prepared.scenario.train.half_life_days
    if half_life is None:
        return None
    cutoffs_N = prepared.examples.cutoffs
    newest = cutoffs_N[(prepared.examples.table[SPLIT] == "train").to_numpy()].max()
    age_N = (newest - cutoffs_N) / MICROSECONDS_PER_DAY
    return torch.from_numpy(np.exp2(-age_N / half_life).astype(np.float32))


def _trainer(
    train: TrainSection, callbacks: list[Callback], setting: Setting, **more: Any
) -> pytorch_lightning.Trainer:
    return make_trainer(
        train,
        callbacks,
        max_epochs=train.epochs,
        precision=train.precision,
        gradient_clip_val=train.gradient_clip_val,
        accumulate_grad_batches=train.accumulate_grad_batches,
        limit_train_batches=train.limit_train_batches,
        enable_progress_bar=setting.interactive,
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


def fitted_network(
    prepared: Prepared, vocabulary: Vocabulary, examples: ExampleBatches, start: Start | None = None
) -> AnyNetwork:
    """The network before its training, with bins and priors from the training examples.

    With `start`, its memory is that of a foundation model. Its first weights depend on the seed alone, and
    those of the first of several members are those of a network alone.
    """
    scenario, labels = prepared.scenario, prepared.examples.labels
    spec = NetworkSpec.of(
        scenario.model,
        len(labels.names),
        field_sizes(vocabulary.attributes),
        field_sizes(vocabulary.events),
        trunk_spec(start, scenario, labels) if start else None,
    )
    pytorch_lightning.seed_everything(scenario.train.seed, verbose=False)
    network = make_model(spec, scenario.model.members, hedge=scenario.model.hedged)
    positions = np.flatnonzero((prepared.examples.table[SPLIT] == "train").to_numpy())
    plan = BatchPlan(positions, 512, seed=scenario.train.seed)
    sample = list(islice(examples.planned(plan), _SAMPLE_BATCHES))
    for member in members_of(network):
        if start is not None and member.spec.trunk is not None:
            begin_from(member, start, scenario, labels)
        member.fit(sample, *_counts(prepared, "train"))
    return network


def _predict_all(
    prepared: Prepared,
    examples: ExampleBatches,
    trainer: pytorch_lightning.Trainer,
    network: AnyNetwork,
    run: RunFolder,
) -> np.ndarray | None:
    """Every example scored once: each rank its share, merged and counted by rank zero; None on the others."""
    rank, world = trainer.global_rank, trainer.world_size
    keys = prepared.examples.table.drop(TARGETS)
    index, scores = score_batches(network, examples.in_order(rank, world))
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
    check_predictions(predictions, prepared.examples.table)
    return scores_of(predictions)
