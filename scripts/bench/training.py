"""How fast training and scoring are, where the time goes, and how it grows; on generated tables.

    python -m scripts.bench.training                     # every part
    python -m scripts.bench.training presets profile     # also: ratios, labels, customers, gru, memory
    python -m scripts.bench.training --threads 2 --customers 50000

Rates are per second of the clock, and per second of one core: the sum of what all threads worked, which
another job on the same machine disturbs less. Ratios are of two ways to compute the same in one run. An
event is a row of the history of an example, as often as it is seen. `gru` compares with
pytorch-lifestream if that is installed.
"""

import argparse
import contextlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
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
from mlc.events.task import Inputs
from mlc.events.vocabulary import fit_vocabulary
from mlc.models.branches.branch import BranchSpec
from mlc.models.branches.context import ContextSpec
from mlc.models.branches.events import EventInputs
from mlc.models.branches.history import HistoryBranch, HistoryInputs, label_features
from mlc.models.ensemble import members_of, score_batches
from mlc.models.network import Network
from mlc.models.reading.batch import Batch
from mlc.models.reading.batches import BatchPlan, ExampleBatches, Loader
from mlc.models.reading.events import EventReader
from mlc.run import peak_memory_mb
from mlc.scenario import EventScenario, load_scenario
from mlc.tables import SPLIT
from mlc.training.event_learner import fitted_network
from mlc.training.module import Classifier
from scripts.bench.harness import ROOT, Record, parser

Row = dict[str, Any]
LEAD = (
    "On generated tables with 12 labels. Rates are millions of events per second of the clock, and per core: "
    "the sum of what all threads worked. An event is a row of the history of an example, "
    "as often as it is seen."
)
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

    scenario: EventScenario
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

    def rates(self, what: str) -> Row:
        """Return millions of events by the clock and per core, and examples by the clock."""
        return {
            f"{what}_events": round(self.events / self.wall / 1e6, 2),
            f"{what}_examples": round(self.examples / self.wall),
            f"{what}_events_per_core": round(self.events / self.core / 1e6, 3),
        }


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
    command_line = parser(__doc__)
    command_line.add_argument("parts", nargs="*", metavar="PART", help="default: all")
    command_line.add_argument("--customers", type=int, default=20_000)
    command_line.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    command_line.add_argument("--steps", type=int, default=40, help="batches that are timed")
    command_line.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = command_line.parse_args()
    if arguments.one:
        return one_part(arguments)
    options = [f"--{name}={getattr(arguments, name)}" for name in ("customers", "threads", "steps")]
    threads = "1 thread" if arguments.threads == 1 else f"{arguments.threads} threads"
    lead = f"{LEAD} {threads}, {arguments.customers:,} customers."
    with Record(arguments.out, "Speed of training and scoring", lead) as record:
        for part in arguments.parts or PARTS:  # each in a process of its own, for its peak memory
            module = [sys.executable, "-m", "scripts.bench.training", part, "--one", *options]
            done = subprocess.run(module, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True)
            for line in done.stdout.splitlines():
                if line.startswith("{"):
                    record.add(TITLES[part], json.loads(line))
    return 0


def one_part(arguments: argparse.Namespace) -> int:
    """Print the rows of one part as JSON, a line per row."""
    torch.set_num_threads(arguments.threads)
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        for row in PARTS[arguments.parts[0]](arguments.customers, arguments.steps):
            print(json.dumps(row), flush=True)
    return 0


def task(customers: int, *overrides: str) -> Task:
    """The generated scenario with some fields changed."""
    folder = Path(f"demo{customers}")
    if not folder.exists():
        write_demo(folder, customers, 7)
    begun = time.perf_counter()
    scenario = EventScenario.of(
        load_scenario(folder / "departments_28d.yaml", list(overrides)), "this benchmark"
    )
    prepared = prepare(scenario, Path("runs"), lambda _: None)
    vocabulary = fit_vocabulary(
        prepared.store, prepared.cutoffs.fit_until, scenario.model.attributes, scenario.model.sees_events
    )
    examples = EventReader(vocabulary, prepared.scenario.model.most_events).batches(Inputs.of(prepared))
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
    module: LightningModule, loader: Any, steps: int, scenario: EventScenario, stopwatch: Stopwatch
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


def presets(customers: int, steps: int) -> Iterator[Row]:
    """Events and examples a second of each preset, in training and scoring, and of the loader alone."""
    for preset in ("nano", "small", "base", "large"):
        given = task(customers, f"model.preset={preset}")
        yield {
            "preset": preset,
            **training(given, steps).rates("trained"),
            **scoring(given, steps).rates("scored"),
        }
    alone = timed((given.examples[index_B] for index_B in islice(given.plan(), steps)), list)
    yield {"preset": "the loader alone", **alone.rates("trained")}


def shares(customers: int, steps: int) -> Iterator[Row]:
    """Where the time of the default preset goes."""
    given = task(customers)
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        training(given, steps)
    seconds: Counter[str] = Counter()
    for event in recorded.key_averages():
        if event.key.startswith("aten::"):
            kind = next((k for k, words in KINDS.items() if any(w in event.key for w in words)), "the rest")
            seconds[kind] += event.self_cpu_time_total
    for kind, value in seconds.most_common():
        yield {"part_of_a_step": kind, "share": round(value / seconds.total(), 2)}


class Dense(HistoryBranch):
    """Features and first layer of every (example, label), seen or not: the plain way."""

    def label_vectors(self, history: HistoryInputs, entity_BF: torch.Tensor) -> torch.Tensor:
        """All of them."""
        return self.label_numbers(label_features(history, self.labels, entity_BF))  # type: ignore[no-any-return]


def ratios(customers: int, steps: int) -> Iterator[Row]:
    """Core seconds of training in another way over those of the default, for few and for many labels."""
    for labels in (12, 100):
        changes = many_labels(labels) if labels != 12 else ()
        given = task(customers, *changes)
        dense = Network(given.network.spec)
        dense.branches["history"] = Dense(BranchSpec(), labels, given.network.spec.width)
        dense.load_state_dict(given.network.state_dict())
        batch = given.examples[next(iter(given.plan()))]
        history = batch.of(HistoryInputs)
        share = len(torch.unique(history.example_T * labels + history.label_T)) / (len(batch) * labels)
        sixteen = replace(given, scenario=task(customers, *changes, "train.precision=bf16-mixed").scenario)
        quotients = [
            (training(given, steps, dense).core / usual, training(sixteen, steps).core / usual)
            for usual in (training(given, steps).core for _ in range(3))
        ]
        plain, half = np.median(quotients, axis=0)
        yield {
            "labels": labels,
            "share_with_history": round(share, 2),
            "all_in_the_first_layer": round(float(plain), 2),
            "bf16-mixed": round(float(half), 2),
        }


def labels(customers: int, steps: int) -> Iterator[Row]:
    """How the cost of a step grows with the number of labels."""
    for count in (10, 30, 100, 300, 1000):
        given = task(customers, *many_labels(count))
        spent = training(given, max(5, steps // 4))
        cells = spent.examples * count
        yield {
            "labels": count,
            "batch_size": given.scenario.train.batch_size,
            "core_ms_per_step": round(spent.core / spent.steps * 1e3),
            "core_us_per_example_and_label": round(spent.core / cells * 1e6, 1),
            "peak_mib": peak_memory_mb(),
        }


def customers(most: int, steps: int) -> Iterator[Row]:
    """How the cost of an epoch grows with the number of customers."""
    for count in (1_000, 10_000, 100_000):
        if count <= max(most, 10_000) * 5:
            given = task(count)
            spent = training(given, min(steps, len(given.plan()) - WARM_UP - 1))
            a_step = spent.core / spent.steps
            yield {
                "customers": count,
                "training_examples": len(given.train_positions),
                "prepare_seconds": round(given.prepare_seconds, 1),
                "core_ms_per_step": round(a_step * 1e3),
                "core_seconds_per_epoch": round(a_step * len(given.plan()), 1),
                "peak_mib": peak_memory_mb(),
            }


def gru(customers: int, steps: int) -> Iterator[Row]:
    """Our context against the same GRU in pytorch-lifestream: its loader, its padding, its module."""
    alone = ("model.context=gru", "model.history=false", "model.attributes=false", "model.calendar=false")
    for preset in ("small", "base"):
        given = task(customers, *alone, f"model.preset={preset}")
        context = given.network.spec.branches["context"]
        assert isinstance(context, ContextSpec)
        width = context.width
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
        row: Row = {"width": width, "mlc": per_core(ours)}
        if theirs:
            row["pytorch_lifestream"] = per_core(theirs)
            for of, name in (("core", "ratio"), ("wall", "ratio_by_the_clock")):
                pairs = zip(ours, theirs, strict=True)
                ratios = [
                    (one.events / getattr(one, of)) / (other.events / getattr(other, of))
                    for one, other in pairs
                ]
                row[name] = round(float(np.median(ratios)), 1)
        yield row | {"share_of_our_recurrence": round(recurrence_share(given, steps), 2)}


def per_core(spent: Sequence[Spent]) -> float:
    """Return the median of millions of events per core second."""
    return round(float(np.median([one.events / one.core for one in spent])) / 1e6, 3)


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
    context = given.network.spec.branches["context"]
    assert isinstance(context, ContextSpec)
    sizes = context.sizes
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
        head=torch.nn.Linear(width, given.network.spec.labels),
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


def memory(customers: int, steps: int) -> Iterator[Row]:
    """Peak memory of a training with a GRU, by how many events of each example it reads."""
    for most in (16, 64, 256, 1_000_000):  # rising, since a peak stays
        given = task(customers, "model.context=gru", f"model.max_events={most}")
        training(given, min(steps, 10))
        yield {"max_events": most, "peak_mib": peak_memory_mb()}


PARTS = {
    "presets": presets,
    "profile": shares,
    "ratios": ratios,
    "labels": labels,
    "customers": customers,
    "gru": gru,
    "memory": memory,
}
TITLES = {
    "presets": "Presets",
    "profile": "Where a training step goes",
    "ratios": "Core seconds as a ratio to the default",
    "labels": "Cost by number of labels",
    "customers": "Cost by number of customers",
    "gru": "The same GRU in pytorch-lifestream",
    "memory": "Peak memory with a GRU",
}


if __name__ == "__main__":
    sys.exit(main())
