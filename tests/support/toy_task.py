"""A second task, as different from events as can be: rows of numbers in, two labels out, no time.

It trains, evaluates, predicts, compares and reports through the real commands; `join` is the only place where
they learn of it, as a new task would be one more case in `mlc.models.tasks` and `mlc.training.learners`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import pytorch_lightning
import torch

from mlc.evaluation.held_out import HeldOut, PartScores
from mlc.models import tasks
from mlc.models.branches.attributes import AttributeInputs, AttributesSpec
from mlc.models.ensemble import AnyNetwork
from mlc.models.network import Network, NetworkSpec
from mlc.models.part import NETWORK, Part
from mlc.models.reading.batch import Batch, Fields, FieldSizes
from mlc.models.reading.batches import ExampleBatches
from mlc.run import RunFolder
from mlc.scenario import Scenario
from mlc.sources import sources_of
from mlc.tables import (
    ENTITY_ID,
    SCORES,
    SPLIT,
    TARGETS,
    UNKNOWN,
    array_column,
    in_split,
    targets_of,
    with_class_names,
)
from mlc.task import Baselines, Checked, Examples, Finding, FunnelStep
from mlc.training import learners
from mlc.training.beginning import versions
from mlc.training.counts import target_counts

NAMES = ("high", "low")
SPLITS = pl.Enum(["train", "validation", "test"])


@dataclass(frozen=True)
class ToyExamples:
    """The rows with their targets; see `mlc.task.Examples`."""

    scenario: Scenario
    table: pl.DataFrame
    numbers_NF: np.ndarray
    funnel: Sequence[FunnelStep]
    class_names: Sequence[str] = NAMES

    def for_refit(self) -> "ToyExamples":
        return replace(self, table=self.table.with_columns(pl.lit("train", SPLITS).alias(SPLIT)))


@dataclass(frozen=True)
class ToyInputs:
    """Numbers, and the targets where they are known."""

    numbers_NF: np.ndarray
    targets_NK: np.ndarray | None


class ToyTask:
    """Rows of `numbers.csv`: `who`, `a`, `b`, `part`, `high`, `low`; see `mlc.task.Task`."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario

    def _rows(self) -> pl.DataFrame:
        return pl.read_csv(self.scenario.path("numbers.csv")).sort("who")

    def prepare(self) -> ToyExamples:
        rows = self._rows()
        kept = rows.filter(pl.col("part").is_not_null())
        targets_NK = kept.select(NAMES).fill_null(UNKNOWN).to_numpy().astype(np.uint8)
        table = kept.select(pl.col("who").alias(ENTITY_ID), pl.col("part").cast(SPLITS).alias(SPLIT))
        left_out = FunnelStep("no part", len(rows) - len(kept), len(kept))
        return ToyExamples(
            self.scenario,
            table.with_columns(array_column(TARGETS, targets_NK)),
            kept.select("a", "b").to_numpy().astype(np.float32),
            [FunnelStep("all rows", 0, len(rows)), left_out],
        )

    def inputs(self, examples: ToyExamples) -> ToyInputs:
        return ToyInputs(examples.numbers_NF, targets_of(examples.table))

    def inputs_at(self, moment: datetime | None) -> tuple[pl.DataFrame, ToyInputs]:
        assert moment is None
        rows = self._rows()
        keys = rows.select(pl.col("who").alias(ENTITY_ID))
        return keys, ToyInputs(rows.select("a", "b").to_numpy().astype(np.float32), None)

    def actuals(self, keys: pl.DataFrame) -> pl.DataFrame:
        rows = self._rows().rename({"who": ENTITY_ID})
        joined = keys.join(rows, on=ENTITY_ID, how="left", maintain_order="left").select(NAMES)
        targets_NK = joined.fill_null(UNKNOWN).to_numpy().astype(np.uint8)
        return keys.with_columns(array_column(TARGETS, targets_NK))

    def baselines(self, examples: ToyExamples, parts: Collection[str]) -> Baselines:
        assert set(parts) <= {NETWORK, "sigmoid"}
        targets_NK = targets_of(examples.table)
        share_K = (targets_NK[in_split(examples.table, "train")] == 1).mean(axis=0)
        scores_NK = np.broadcast_to(share_K, targets_NK.shape).astype(np.float32)
        table = examples.table.drop(TARGETS).with_columns(array_column(SCORES, scores_NK))
        return Baselines({"prevalence": table})

    def slices(self, examples: ToyExamples) -> Mapping[str, pl.Series]:
        signs = np.where(examples.numbers_NF[:, 0] > 0, "positive", "negative")
        return {"sign of a": pl.Series(signs, dtype=pl.Enum(["negative", "positive"]))}

    def shown(self, examples: ToyExamples) -> pl.Series:
        return pl.Series([f"a is {a:.2f}" for a in examples.numbers_NF[:, 0]])

    def oracle(self, _: ToyExamples) -> None:
        return None

    def periods(self, _: pl.DataFrame) -> None:
        return None

    def limits(self, _: ToyExamples) -> Sequence[str]:
        return []

    def facts(self, examples: ToyExamples) -> Mapping[str, Any]:
        return {"rows": examples.table.height}

    def check(self) -> Checked:
        return Checked([], [Finding("note", "rows", "there is no time")], NAMES)


class ToyReader:
    """See `mlc.models.tasks.Reader`; there is nothing to learn, so that it knows nothing."""

    def batches(self, inputs: ToyInputs) -> ExampleBatches:
        rows_N = np.arange(len(inputs.numbers_NF))
        builder: Any = ToyBuilder(inputs.numbers_NF)  # only boosting and a GPU ask it for more
        return ExampleBatches(builder, rows_N, rows_N, inputs.targets_NK)


class ToyBuilder:
    """Builds batches of which only the attributes branch of the network has something to read."""

    def __init__(self, numbers_NF: np.ndarray) -> None:
        self.numbers_NF = numbers_NF

    def build(
        self,
        index_B: np.ndarray,
        rows_B: np.ndarray,
        _: np.ndarray,
        targets_BK: np.ndarray | None,
        *__: object,
    ) -> Batch:
        if targets_BK is None:
            targets_BK = np.full((len(rows_B), len(NAMES)), UNKNOWN, dtype=np.uint8)
        numbers_BF = torch.from_numpy(self.numbers_NF[rows_B])
        fields = Fields(torch.zeros(len(rows_B), 0, dtype=torch.int64), numbers_BF)
        inputs: dict[Any, Any] = {AttributeInputs: AttributeInputs(fields)}
        return Batch(torch.from_numpy(index_B), torch.from_numpy(targets_BK), inputs)


class ToyLearner:
    """See `mlc.training.learners.Learner`."""

    def __init__(self, scenario: Scenario) -> None:
        self.task, self.reader = ToyTask(scenario), ToyReader()

    @cached_property
    def examples(self) -> ToyExamples:
        return self.task.prepare()

    @cached_property
    def batches(self) -> ExampleBatches:
        return self.reader.batches(self.task.inputs(self.examples))

    def beginning(self) -> Mapping[str, Any]:
        scenario = self.task.scenario
        tables = {
            name: [asdict(one) for one in sources_of(scenario, name, {})] for name in scenario.data.tables
        }
        return {"tables": tables, "versions": versions(), "vocabulary": "", "labels": list(NAMES)}

    def begin(self, run: RunFolder) -> None:
        self.examples.table.write_parquet(run / "examples.parquet", metadata=with_class_names(NAMES))

    def network(self, examples: Examples) -> AnyNetwork | None:
        pytorch_lightning.seed_everything(self.task.scenario.train.seed, verbose=False)
        attributes = AttributesSpec(FieldSizes(numbers=2))
        network = Network(NetworkSpec(len(NAMES), 16, 1, 0.0, {"attributes": attributes}))
        train = np.flatnonzero(in_split(examples.table, "train"))
        network.fit([self.batches[train]], *target_counts(examples, "train"))
        return network

    def other_parts(self) -> Mapping[str, Part]:
        return {}

    def held_out(self) -> HeldOut | None:
        return None

    def weights(self, part_scores: PartScores) -> Mapping[str, float]:
        return dict.fromkeys(part_scores.by_part, 1.0)

    def facts(self) -> Mapping[str, Any]:
        return {}


@dataclass(frozen=True)
class Sigmoid:
    """A part that was never trained: `high` rises with `a`, `low` falls with `b`."""

    slope: float
    file: str = "sigmoid.json"

    def scores(self, batches: ExampleBatches) -> np.ndarray:
        builder: Any = batches.builder
        scores_NK = 1 / (1 + np.exp(-self.slope * builder.numbers_NF * [1, -1]))
        return scores_NK.astype(np.float32)

    def save(self, run: RunFolder) -> None:
        run.write_json(self.file, {"slope": self.slope})

    def notes(self) -> list[str]:
        return [f"sigmoid: of slope {self.slope:g}"]


class SigmoidLearner(ToyLearner):
    """A model without a network; scores of training and validation are those of another slope."""

    def network(self, _: Examples) -> None:
        return None

    def other_parts(self) -> Mapping[str, Part]:
        return {"sigmoid": Sigmoid(9.0)}

    def held_out(self) -> HeldOut | None:
        table = self.examples.table
        before_N = ~in_split(table, "test")
        other_NK = Sigmoid(2.0).scores(self.batches)
        return HeldOut(table.select(ENTITY_ID).filter(before_N), {"sigmoid": other_NK[before_N]})


def join(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every scenario describe a toy task."""
    monkeypatch.setattr(tasks, "task_of", lambda scenario, *_: ToyTask(scenario))
    monkeypatch.setattr(tasks, "trained_task", lambda run, *_: ToyTask(run.scenario()))
    monkeypatch.setattr(tasks, "reader_of", lambda _: ToyReader())
    monkeypatch.setattr(learners, "learner_of", lambda scenario, *_: ToyLearner(scenario))


SCENARIO = """
name: {name}
data:
  entity: who
  tables:
    numbers: {{kind: events, path: numbers.csv, time: day}}
target: {{table: numbers, column: part, class_names: [high, low], window_days: 1}}
model: {{preset: nano}}
train: {{epochs: {epochs}, learning_rate: 0.02, batch_size: 64}}
"""


def write_toy(folder: Path, rows: int = 900) -> None:
    """Write `numbers.csv` and two scenarios, `short.yaml` and `long.yaml`, which differ in their epochs.

    `high` is likely where `a` is, `low` where `b` is not; the last ten rows are in no split.
    """
    noise = np.random.default_rng(5)
    a, b = noise.normal(size=(2, rows))
    likely = 1 / (1 + np.exp(-3 * np.stack([a, -b], axis=1)))
    high, low = (noise.random((rows, 2)) < likely).astype(int).T
    parts = np.array(["train", "validation", "test"])[np.arange(rows) % 3].tolist()
    frame = pl.DataFrame(
        {
            "who": np.arange(rows),
            "day": ["2024-01-01"] * rows,
            "a": a,
            "b": b,
            "part": [*parts[:-10], *[None] * 10],
            "high": high,
            "low": low,
        }
    )
    frame.write_csv(folder / "numbers.csv")
    for name, epochs in (("short", 1), ("long", 6)):
        (folder / f"{name}.yaml").write_text(SCENARIO.format(name=name, epochs=epochs))
