"""How a training on rows begins, and the parts that it trains."""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from hashlib import blake2b
from itertools import islice
from typing import Any

import numpy as np
import polars as pl
import pytorch_lightning

from mlc.errors import DataError
from mlc.evaluation.calibration import entity_folds
from mlc.evaluation.held_out import HeldOut, PartScores
from mlc.events.baselines import BOOSTING, boosting_installed
from mlc.models.blending import mix_weights
from mlc.models.branches.attributes import AttributesSpec
from mlc.models.branches.branch import BranchSpec
from mlc.models.branches.vectors import VectorsSpec
from mlc.models.ensemble import AnyNetwork, make_network, members_of
from mlc.models.network import SIZES, NetworkSpec
from mlc.models.part import NETWORK, Part
from mlc.models.reading.batches import BatchPlan, ExampleBatches
from mlc.models.rows.boosting import fit_row_boosting
from mlc.models.rows.cross_fitting import FOLDS, Folds
from mlc.models.rows.encoders import frozen_encoders
from mlc.models.rows.linear import fit_linear
from mlc.models.rows.reading import RowBuilder, RowReader
from mlc.models.rows.trained import TrainedInput, trained_inputs
from mlc.models.rows.trees import fit_trees
from mlc.progress import stage
from mlc.rows.preparing import PreparedRows
from mlc.rows.task import RowTask
from mlc.run import RunFolder
from mlc.scenario import RowScenario
from mlc.tables import ENTITY_ID, SPLIT, TARGETS, in_split, with_class_names
from mlc.task import Examples, Say
from mlc.training.beginning import Beginning, table_contents, versions
from mlc.training.counts import target_counts

LINEAR, TREES = "linear", "trees"
_FEW_TO_JUDGE = 3_000
"""With fewer validation rows, all rows of training and validation are scored out of fold."""
_MOST_OUT_OF_FOLD = 50_000
"""Rows of training and validation; with more, validation alone judges, however small it is."""
_SAMPLE_BATCHES = 16
_SAMPLE_BATCH = 512


class RowLearner:
    """The learner of tables of rows; see `mlc.training.learners.Learner`.

    Args:
        scenario: Checked scenario.
        say: Receives progress in lines.
    """

    def __init__(self, scenario: RowScenario, say: Say) -> None:
        self.task, self.say = RowTask(scenario, say), say
        self._held_out: dict[str, np.ndarray] = {}

    @cached_property
    def examples(self) -> PreparedRows:
        """See `Learner`."""
        return self.task.prepare()

    @cached_property
    def reader(self) -> RowReader:
        """See `Learner`."""
        examples, scenario = self.examples, self.task.scenario
        encoders = frozen_encoders(scenario, examples.columns)
        makers = [one.maker for one in self.trained]
        return RowReader.fit(self.task.inputs(examples), in_split(examples.table, "train"), encoders, makers)

    @cached_property
    def trained(self) -> list[TrainedInput]:
        """The branches of the network whose encoders are trained."""
        return trained_inputs(self.task.scenario, self.examples.columns)

    @cached_property
    def batches(self) -> ExampleBatches:
        """See `Learner`."""
        return self.reader.batches(self.task.inputs(self.examples))

    def beginning(self) -> Beginning:
        """See `Learner`."""
        examples = self.examples
        table = examples.table.with_columns(pl.col(ENTITY_ID).cast(pl.String), pl.col(SPLIT).cast(pl.String))
        rows = table.select(ENTITY_ID, SPLIT, pl.col(TARGETS).cast(pl.List(pl.UInt8)))
        return {
            "tables": table_contents(examples.scenario, {}),
            "versions": versions(),
            "vocabulary": _digest(json.dumps(self.reader.as_json())),
            "labels": list(examples.class_names),
            "examples": _digest(rows.write_ndjson()),
            "foundation": None,
        }

    def begin(self, run: RunFolder) -> None:
        """See `Learner`."""
        names = self.examples.class_names
        self.examples.table.write_parquet(run / "examples.parquet", metadata=with_class_names(names))
        self.reader.save(run)

    @cached_property
    def parts(self) -> list[str]:
        """The parts that may have a say.

        Those that the scenario names, or all that suit the inputs. A network alone has gained nothing on
        small tables, and reads words only through an encoder.
        """
        reader, named = self.reader, self.task.scenario.model.parts
        if named is not None:
            return list(named)
        dense = reader.has_dense
        read = {*reader.encoders, *(name for one in self.trained for name in one.columns)}
        all_read = read >= {*reader.columns.texts, *reader.columns.images}
        network = bool(self.trained) or (dense and all_read and not self._small)
        return [*[LINEAR] * self._has_sparse, *[TREES] * dense, *[NETWORK] * network]

    @property
    def _has_sparse(self) -> bool:
        """Whether there is anything that the linear part can read."""
        return bool(self.reader.columns.texts) or self.reader.has_dense

    @cached_property
    def _small(self) -> bool:
        """Whether validation alone is too small to judge by."""
        table, split = self.examples.table, self.task.scenario.examples.split
        judged = in_split(table, "validation").sum()
        both = judged + in_split(table, "train").sum()
        in_time = split.validation_from is not None  # a fold would learn from what came later
        return bool(judged < _FEW_TO_JUDGE and both <= _MOST_OUT_OF_FOLD and not in_time)

    @property
    def out_of_fold(self) -> bool:
        """Whether training and validation are both scored out of fold."""
        return self._small and NETWORK not in self.parts

    @cached_property
    def folds(self) -> Folds:
        """The rows that linear, trees and boosting are trained on."""
        table, split = self.examples.table, self.task.scenario.examples.split
        splits = ("train", "validation") if self.out_of_fold else ("train",)
        rows_M = np.flatnonzero(np.any([in_split(table, name) for name in splits], axis=0))
        keys = table[ENTITY_ID] if split.group is None else self.examples.rows[split.group]
        codes_M = keys.cast(pl.String).fill_null("").rank("dense").to_numpy()[rows_M]
        seed = self.task.scenario.train.seed
        return Folds(rows_M, entity_folds(codes_M, FOLDS, seed), every=self.out_of_fold)

    def network(self, examples: Examples) -> AnyNetwork | None:
        """See `Learner`.

        Raises:
            DataError: The scenario wants one, and no column is anything that it reads.
        """
        if NETWORK not in self.parts:
            return None
        scenario, builder = self.task.scenario, RowBuilder.of(self.batches)
        branches: dict[str, BranchSpec] = {}
        if self.reader.sizes:
            branches["attributes"] = AttributesSpec(self.reader.sizes)
        vectors = [self.reader.encoders[name].size for name in self.reader.vector_columns]
        if vectors:
            branches["vectors"] = VectorsSpec(vectors)
        branches |= {one.branch: one.spec for one in self.trained}
        if not branches:
            rule = "the network reads numbers, categories, and texts by an encoder, and there are none"
            raise DataError(scenario.problem("model.parts", f"{rule}. Leave it out, or set an encoder."))
        width, depth, dropout = SIZES[scenario.model.preset]
        spec = NetworkSpec(builder.inputs.labels, width, depth, dropout, branches)
        pytorch_lightning.seed_everything(scenario.train.seed, verbose=False)
        network = make_network(spec, scenario.model.members)
        positions = np.flatnonzero(in_split(examples.table, "train"))
        plan = BatchPlan(positions, _SAMPLE_BATCH, seed=scenario.train.seed)
        sample = list(islice(self.batches.planned(plan), _SAMPLE_BATCHES))
        for member in members_of(network):
            member.fit(sample, *target_counts(examples, "train"))
        for one in self.trained:
            if one.begin is not None:
                one.begin(members_of(network), builder, positions)
        return network

    def other_parts(self) -> Mapping[str, Part]:
        """See `Learner`: linear and trees too where they are baselines alone."""
        builder, seed = RowBuilder.of(self.batches), self.task.scenario.train.seed
        parts: dict[str, Part] = {}
        if self._wanted(LINEAR) and self._has_sparse:
            stage("linear")
            parts[LINEAR], self._held_out[LINEAR] = fit_linear(builder, self.folds, seed)
        if self._wanted(TREES) and self.reader.has_dense:
            stage("trees")
            parts[TREES], self._held_out[TREES] = fit_trees(builder, self.folds, seed)
        if self._wanted(BOOSTING) and self.reader.has_dense and boosting_installed():
            stage("boosting")
            parts[BOOSTING], self._held_out[BOOSTING] = fit_row_boosting(builder, self.folds, seed)
        for part in parts.values():
            self.say(part.notes()[0])
        return parts

    def _wanted(self, name: str) -> bool:
        baselines = self.task.scenario.baselines
        return name in self.parts or baselines is None or name in baselines

    def held_out(self) -> HeldOut | None:
        """See `Learner`."""
        if not self.out_of_fold:
            return None
        return HeldOut(self.examples.table.select(ENTITY_ID)[self.folds.rows_M], self._held_out)

    def weights(self, part_scores: PartScores) -> Mapping[str, float]:
        """See `Learner`.

        Raises:
            DataError: None of the parts that the scenario names can be trained on its columns.
        """
        candidates: Sequence[str] = [name for name in self.parts if name in part_scores.by_part]
        if not candidates:
            rule = f"{', '.join(self.parts)}: no column is anything that they read. Add linear."
            raise DataError(self.task.scenario.problem("model.parts", rule))
        return mix_weights(self.examples, part_scores, candidates, cautious=True)

    def facts(self) -> Mapping[str, Any]:
        """See `Learner`."""
        return {"encoders": {name: dict(each.as_json()) for name, each in self.reader.encoders.items()}}


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=10).hexdigest()
