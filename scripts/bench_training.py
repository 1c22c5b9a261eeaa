"""How fast training and scoring are, where the time goes, and how it grows; on generated tables.

    python scripts/bench_training.py                     # every part
    python scripts/bench_training.py presets profile     # also: ratios, labels, customers, gru, memory
    python scripts/bench_training.py --threads 2 --customers 50000

Rates are per second of the clock, and per second of one core: the sum of what all threads worked, which
another job on the same machine disturbs less. Ratios are of two ways to compute the same in one run. An
event is a row of the history of an example, as often as it is seen. The rival of `gru` is measured where
pytorch-lifestream is installed.
"""

import argparse
import contextlib
import logging
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning
import torch
import torchmetrics
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback
from torch.profiler import ProfilerActivity, profile

from mlc.demo import write_demo
from mlc.events.preparing import prepare
from mlc.events.vocabulary import fit_vocabulary
from mlc.models.batch import Batch
from mlc.models.batches import BatchPlan, ExampleBatches, Loader, example_batches
from mlc.models.branches.events import EventInputs
from mlc.models.branches.history import HistoryInputs, label_features
from mlc.models.ensemble import members_of, score_batches
from mlc.models.network import Network
from mlc.run import peak_memory_mb
from mlc.scenario import Scenario, load_scenario
from mlc.tables import SPLIT
from mlc.training.event_learner import fitted_network
from mlc.training.module import Classifier

WARM_UP = 5
KINDS = {
    "matrix products": ("mm", "addmm", "bmm", "linear"),
    "activations": ("gelu", "sigmoid", "bernoulli", "dropout"),
    "layer norm": ("layer_norm",),
    "history: sums by group": ("index_add", "scatter", "exp2", "index_fill", "nonzero"),
    "optimiser and clipping": ("adamw", "foreach", "vector_norm"),
    "gather, copy, fill": ("index", "copy", "cat", "fill", "zero", "empty", "embedding"),
}


@dataclass
class Task:
    """A scenario, ready to train."""

    scenario: Scenario
    examples: ExampleBatches
    network: Network
    train_positions: np.ndarray
    prepare_seconds: float

    def plan(self) -> BatchPlan:
        """Training batches."""
        return BatchPlan(self.train_positions, self.scenario.train.batch_size, seed=7)


@dataclass
class Spent:
    """What some batches took.

    Attributes:
        wall: Seconds of the clock.
        core: Seconds of all threads together.
    """

    wall: float = 0.0
    core: float = 0.0
    events: float = 0.0
    examples: int = 0
    steps: int = 0

    def rates(self) -> str:
        """Cells of a table: events and examples by the clock, events a core."""
        return (
            f"{self.events / self.wall / 1e6:.2f} M | {self.examples / self.wall:,.0f} | "
            f"{self.events / self.core / 1e6:.2f} M"
        )


@dataclass
class Stopwatch(Callback):
    """Times the steps of a training after the first few, loader and Lightning included.

    Attributes:
        sizes: Events and examples of a batch.
    """

    sizes: Callable[[Any], tuple[float, int]] = lambda batch: (
        float(batch.of(HistoryInputs).events_B.sum()),
        len(batch),
    )
    spent: Spent = field(default_factory=Spent)
    _begun: tuple[float, float] = (0.0, 0.0)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Begin after the warm-up."""
        del trainer, pl_module, batch
        if batch_idx == WARM_UP:
            self._begun = (time.perf_counter(), time.process_time())

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: Batch, batch_idx: int
    ) -> None:
        """Count a batch."""
        del trainer, pl_module, outputs
        if batch_idx >= WARM_UP:
            self.spent.wall = time.perf_counter() - self._begun[0]
            self.spent.core = time.process_time() - self._begun[1]
            events, examples = self.sizes(batch)
            self.spent.events += events
            self.spent.examples += examples
            self.spent.steps += 1


def main() -> int:
    """Run the command line of this script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help="default: all")
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--steps", type=int, default=40, help="batches that are timed")
    arguments = parser.parse_args()
    if len(arguments.parts) != 1:  # each in a process of its own, for its peak memory
        print(f"torch {torch.__version__}, {arguments.threads} threads, {arguments.customers:,} customers\n")
        options = [f"--{name}={getattr(arguments, name)}" for name in ("customers", "threads", "steps")]
        for part in arguments.parts or PARTS:
            subprocess.run([sys.executable, __file__, part, *options], check=True)
        return 0
    torch.set_num_threads(arguments.threads)
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        for line in PARTS[arguments.parts[0]](arguments.customers, arguments.steps):
            print(line, flush=True)
    print()
    return 0


def task(customers: int, *overrides: str) -> Task:
    """The generated scenario with some fields changed."""
    folder = Path(f"demo{customers}")
    if not folder.exists():
        write_demo(folder, customers, 7)
    begun = time.perf_counter()
    scenario = load_scenario(folder / "departments_28d.yaml", list(overrides))
    prepared = prepare(scenario, Path("runs"), lambda _: None)
    vocabulary = fit_vocabulary(
        prepared.store, prepared.cutoffs.fit_until, scenario.model.attributes, scenario.model.sees_events
    )
    examples = example_batches(prepared, vocabulary)
    (network,) = members_of(fitted_network(prepared, vocabulary, examples))
    positions = np.flatnonzero((prepared.examples.table[SPLIT] == "train").to_numpy())
    return Task(scenario, examples, network, positions, time.perf_counter() - begun)


def many_labels(labels: int) -> tuple[str, ...]:
    """The most frequent articles as labels; batches of at most 65,536 (example, label)."""
    return (
        "target.column=articles.article_id",
        f"target.class_names={{top: {labels}}}",
        "target.true_probabilities=null",
        "target.allow_empty=true",
        f"train.batch_size={min(512, (1 << 16) // labels)}",
    )


def training(given: Task, steps: int, network: Network | None = None) -> Spent:
    """Some steps as `mlc train` does them."""
    classifier = Classifier(network or given.network, given.scenario.train)
    return fitting(classifier, Loader(given.examples, given.plan()), steps, given.scenario, Stopwatch())


def fitting(
    module: LightningModule, loader: Any, steps: int, scenario: Scenario, stopwatch: Stopwatch
) -> Spent:
    """Some steps of any module on any loader."""
    trainer = pytorch_lightning.Trainer(
        max_epochs=1,
        accelerator="cpu",
        precision=scenario.train.precision,
        gradient_clip_val=1.0,
        limit_train_batches=WARM_UP + steps,
        callbacks=[stopwatch],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, loader)
    return stopwatch.spent


def timed(batches: Iterator[Batch], work: Callable[[Iterator[Batch]], object]) -> Spent:
    """What some work takes on batches, their making included."""
    spent = Spent()

    def counted() -> Iterator[Batch]:
        for batch in batches:
            spent.events += float(batch.of(HistoryInputs).events_B.sum())
            spent.examples += len(batch)
            spent.steps += 1
            yield batch

    begun = time.perf_counter(), time.process_time()
    work(counted())
    spent.wall, spent.core = time.perf_counter() - begun[0], time.process_time() - begun[1]
    return spent


def scoring(given: Task, steps: int) -> Spent:
    """Scoring as `mlc predict` does it."""
    list(islice(given.examples.in_order(), 2))
    return timed(
        islice(given.examples.in_order(), steps), lambda batches: score_batches(given.network, batches)
    )


def presets(customers: int, steps: int) -> Iterator[str]:
    """Events and examples a second of each preset, in training and scoring, and of the loader alone."""
    yield "| preset | trained: events/s | examples/s | events/s a core | scored | examples/s | a core |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for preset in ("nano", "small", "base", "large"):
        given = task(customers, f"model.preset={preset}")
        yield f"| {preset} | {training(given, steps).rates()} | {scoring(given, steps).rates()} |"
    alone = timed((given.examples[index_B] for index_B in islice(given.plan(), steps)), list)
    yield f"| the loader alone | {alone.rates()} | | | |"


def shares(customers: int, steps: int) -> Iterator[str]:
    """Where the time of the default preset goes."""
    given = task(customers)
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        training(given, steps)
    seconds: Counter[str] = Counter()
    for event in recorded.key_averages():
        if event.key.startswith("aten::"):
            kind = next((k for k, words in KINDS.items() if any(w in event.key for w in words)), "the rest")
            seconds[kind] += event.self_cpu_time_total
    yield "| where a training step goes | share |"
    yield "|---|---:|"
    for kind, value in seconds.most_common():
        yield f"| {kind} | {value / seconds.total():.0%} |"


class Dense(Network):
    """Features and first layer of every (example, label), seen or not: the plain way."""

    def _seen(self, batch: Batch, entity_BF: torch.Tensor) -> torch.Tensor:
        assert self.label_numbers is not None
        return self.label_numbers(label_features(batch.of(HistoryInputs), self.spec.labels, entity_BF))  # type: ignore[no-any-return]


def ratios(customers: int, steps: int) -> Iterator[str]:
    """Core seconds of training in another way over those of the default, for few and for many labels."""
    yield "| labels | (example, label) with history | all of them in the first layer | bf16-mixed |"
    yield "|---:|---:|---:|---:|"
    for labels in (12, 100):
        changes = many_labels(labels) if labels != 12 else ()
        given = task(customers, *changes)
        dense = Dense(given.network.spec)
        dense.load_state_dict(given.network.state_dict())
        batch = given.examples[next(iter(given.plan()))]
        history = batch.of(HistoryInputs)
        seen = len(torch.unique(history.example_T * labels + history.label_T)) / (len(batch) * labels)
        sixteen = replace(given, scenario=task(customers, *changes, "train.precision=bf16-mixed").scenario)
        quotients = [
            (training(given, steps, dense).core / usual, training(sixteen, steps).core / usual)
            for usual in (training(given, steps).core for _ in range(3))
        ]
        plain, half = np.median(quotients, axis=0)
        yield f"| {labels} | {seen:.0%} | {plain:.2f} | {half:.2f} |"


def labels(customers: int, steps: int) -> Iterator[str]:
    """How the cost of a step grows with the number of labels."""
    yield "| labels | batch | core ms a step | core µs an (example, label) | peak memory of the process |"
    yield "|---:|---:|---:|---:|---:|"
    for count in (10, 30, 100, 300, 1000):
        given = task(customers, *many_labels(count))
        spent = training(given, max(5, steps // 4))
        cells = spent.examples * count
        yield (
            f"| {count:,} | {given.scenario.train.batch_size} | {spent.core / spent.steps * 1e3:.0f} | "
            f"{spent.core / cells * 1e6:.1f} | {peak_memory_mb():,} MiB |"
        )


def customers(most: int, steps: int) -> Iterator[str]:
    """How the cost of an epoch grows with the number of customers."""
    yield "| customers | training examples | prepare s | core ms a step | core s an epoch | peak memory |"
    yield "|---:|---:|---:|---:|---:|---:|"
    for count in (1_000, 10_000, 100_000):
        if count <= max(most, 10_000) * 5:
            given = task(count)
            spent = training(given, min(steps, len(given.plan()) - WARM_UP - 1))
            a_step = spent.core / spent.steps
            yield (
                f"| {count:,} | {len(given.train_positions):,} | {given.prepare_seconds:.1f} | "
                f"{a_step * 1e3:.0f} | {a_step * len(given.plan()):.1f} | {peak_memory_mb():,} MiB |"
            )


def gru(customers: int, steps: int) -> Iterator[str]:
    """Our context against the same GRU in pytorch-lifestream: its loader, its padding, its module."""
    if find_spec("ptls") is None:
        yield "pytorch-lifestream is not installed (`pip install pytorch-lifestream`): only ours is measured."
        yield ""
    yield "| GRU | ours: events/s a core | theirs | ours over theirs | by the clock | our GRU's steps |"
    yield "|---:|---:|---:|---:|---:|---:|"
    alone = ("model.context=gru", "model.history=false", "model.attributes=false", "model.calendar=false")
    for preset in ("small", "base"):
        given = task(customers, *alone, f"model.preset={preset}")
        assert given.network.spec.context is not None
        width = given.network.spec.context.width
        ours, theirs = [], []
        for _ in range(3):  # in turns, since the machine is not always equally busy
            stopwatch = Stopwatch(
                sizes=lambda batch: (float(len(batch.of(EventInputs).example_M)), len(batch))
            )
            classifier = Classifier(given.network, given.scenario.train)
            loader = Loader(given.examples, given.plan())
            ours.append(fitting(classifier, loader, steps, given.scenario, stopwatch))
            if find_spec("ptls") is not None:
                theirs.append(lifestream(given, width, steps))
        a_core = np.median([spent.events / spent.core for spent in ours]) / 1e6
        share = recurrence_share(given, steps)
        if not theirs:
            yield f"| {width} | {a_core:.3f} M | | | | {share:.0%} |"
            continue
        rival = np.median([spent.events / spent.core for spent in theirs]) / 1e6
        core, wall = (
            np.median(
                [
                    (one.events / getattr(one, of)) / (other.events / getattr(other, of))
                    for one, other in zip(ours, theirs, strict=True)
                ]
            )
            for of in ("core", "wall")
        )
        yield f"| {width} | {a_core:.3f} M | {rival:.3f} M | {core:.1f} | {wall:.1f} | {share:.0%} |"


def recurrence_share(given: Task, steps: int) -> float:
    """The part of our training that the steps of the GRU take, forwards and backwards."""
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        training(given, min(steps, 10))
    events = recorded.key_averages()
    inside = sum(e.cpu_time_total for e in events if e.key in ("_Recurrence", "_RecurrenceBackward"))
    return float(inside / sum(e.self_cpu_time_total for e in events))


def lifestream(given: Task, width: int, steps: int) -> Spent:
    """Some steps of pytorch-lifestream, on the same events of the same examples, already in memory."""
    from ptls.frames import PtlsDataModule
    from ptls.frames.supervised import SeqToTargetDataset, SequenceToTarget
    from ptls.nn import RnnSeqEncoder, TrxEncoder

    batch_size = given.scenario.train.batch_size
    index_B = np.concatenate(list(islice(given.plan(), WARM_UP + steps)))
    spec = given.network.spec
    assert spec.context is not None
    sizes = spec.context.sizes
    rows = []
    for chunk in np.array_split(index_B, WARM_UP + steps):
        batch = given.examples[chunk]
        events = batch.of(EventInputs)
        counts = torch.bincount(events.example_M, minlength=len(batch)).tolist()
        columns = {f"category{place}": column for place, column in enumerate(events.fields_M.categories_XF.T)}
        numbers_XF = events.fields_M.numbers_XF.nan_to_num()
        columns |= {f"number{place}": column for place, column in enumerate(numbers_XF.T)}
        columns["event_time"] = -events.age_M
        parts = {name: torch.split(column.contiguous(), counts) for name, column in columns.items()}
        targets = batch.targets_BK.float()
        rows += [
            {**{name: part[place] for name, part in parts.items()}, "target": targets[place]}
            for place in range(len(batch))
            if counts[place]
        ]
    encoder = TrxEncoder(
        embeddings={
            f"category{place}": {"in": size, "out": 32} for place, size in enumerate(sizes.categories)
        },
        numeric_values={f"number{place}": "identity" for place in range(sizes.numbers)},
        linear_projection_size=width,
    )
    module = SequenceToTarget(
        seq_encoder=RnnSeqEncoder(trx_encoder=encoder, hidden_size=width, type="gru"),
        head=torch.nn.Linear(width, spec.labels),
        loss=torch.nn.BCEWithLogitsLoss(),
        metric_list=torchmetrics.MeanSquaredError(),
        optimizer_partial=partial(torch.optim.AdamW, lr=1e-3, fused=True),
        lr_scheduler_partial=partial(torch.optim.lr_scheduler.StepLR, step_size=1),
        train_update_n_steps=1 << 30,
    )
    loader = PtlsDataModule(
        SeqToTargetDataset(rows, target_col_name="target", target_dtype=torch.float32), batch_size
    )
    stopwatch = Stopwatch(sizes=lambda batch: (float(batch[0].seq_lens.sum()), len(batch[1])))
    return fitting(module, loader.train_dataloader(), steps, given.scenario, stopwatch)


def memory(customers: int, steps: int) -> Iterator[str]:
    """Peak memory of a training with a GRU, by how many events of each example it reads."""
    yield "| model.max_events | peak memory of the process |"
    yield "|---:|---:|"
    for most in (16, 64, 256, 1_000_000):  # rising, since a peak stays
        given = task(customers, "model.context=gru", f"model.max_events={most}")
        training(given, min(steps, 10))
        yield f"| {most:,} | {peak_memory_mb():,} MiB |"


PARTS = {
    "presets": presets,
    "profile": shares,
    "ratios": ratios,
    "labels": labels,
    "customers": customers,
    "gru": gru,
    "memory": memory,
}


if __name__ == "__main__":
    sys.exit(main())
