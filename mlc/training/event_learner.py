"""How a training on events begins, and what it trains beside the network."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning

from mlc.errors import DataError
from mlc.evaluation.held_out import PartScores
from mlc.events.baselines import BOOSTING, blends, boosting_installed
from mlc.events.preparing import Prepared, write_examples
from mlc.events.slices import check_slices
from mlc.events.task import EventTask
from mlc.events.vocabulary import Vocabulary, fit_vocabulary
from mlc.models.blending import mix_weights
from mlc.models.boosting import Boosting, fit_boosting
from mlc.models.ensemble import AnyNetwork, make_model, members_of
from mlc.models.network import NetworkSpec
from mlc.models.part import NETWORK, Part
from mlc.models.reading.batches import BatchPlan, ExampleBatches
from mlc.models.reading.columns import field_sizes
from mlc.models.reading.events import EventReader
from mlc.models.starts import Start
from mlc.progress import stage
from mlc.run import Opening, RunFolder
from mlc.scenario import EventScenario
from mlc.tables import in_split
from mlc.task import Examples, Say
from mlc.training.beginning import Beginning, beginning_of
from mlc.training.counts import target_counts
from mlc.training.starting import begin_from, branch_spec, open_foundation, with_foundation

_SAMPLE_BATCHES = 16
_SAMPLE_BATCH = 512


class EventLearner:
    """The learner of event tasks; see `mlc.training.learners.Learner`.

    Args:
        scenario: Checked scenario.
        runs: Folder of all runs.
        opening: Whether the run is new, goes on or starts over.
        say: Receives progress in lines.

    Raises:
        RunError: The scenario starts from a foundation, and none is there or can be made.
    """

    def __init__(self, scenario: EventScenario, runs: Path, opening: Opening, say: Say) -> None:
        self.runs, self.say = runs, say
        self.task = EventTask(with_foundation(scenario, runs, opening, say), runs, say)

    @cached_property
    def examples(self) -> Prepared:
        """See `Learner`."""
        prepared = self.task.prepare()
        check_slices(prepared.scenario, prepared.store)
        return prepared

    @cached_property
    def start(self) -> Start | None:
        """The foundation that the network starts from; None without one."""
        prepared = self.examples
        until = prepared.cutoffs.fit_until
        return open_foundation(prepared.scenario, self.runs, until, prepared.store, self.say)

    @cached_property
    def reader(self) -> EventReader:
        """See `Learner`."""
        prepared, model, start = self.examples, self.examples.scenario.model, self.start
        until = prepared.cutoffs.fit_until
        vocabulary = fit_vocabulary(prepared.store, until, model.attributes, model.sees_events)
        if start is not None:
            vocabulary = replace(vocabulary, events=start.events)
        return EventReader(vocabulary, model.most_events)

    @cached_property
    def batches(self) -> ExampleBatches:
        """See `Learner`."""
        return self.reader.batches(self.task.inputs(self.examples))

    def beginning(self) -> Beginning:
        """See `Learner`."""
        prepared, vocabulary = self.examples, self.reader.vocabulary
        foundation = self.start.facts["fingerprint"] if self.start else None
        return beginning_of(prepared.scenario, prepared.store, vocabulary, prepared, foundation)

    def begin(self, run: RunFolder) -> None:
        """See `Learner`."""
        prepared = self.examples
        write_examples(prepared.examples, run / "examples.parquet", prepared.store.fingerprint)
        run.write_json("vocabulary.json", self.reader.vocabulary.as_json())

    def network(self, examples: Examples) -> AnyNetwork:
        """See `Learner`."""
        assert isinstance(examples, Prepared)
        return fitted_network(examples, self.reader.vocabulary, self.batches, self.start)

    def other_parts(self) -> Mapping[str, Part]:
        """See `Learner`: boosting, where it is wanted and can run."""
        scenario = self.examples.scenario
        wanted = scenario.baselines is None or BOOSTING in scenario.baselines or blends(scenario)
        if not wanted or not boosting_installed():
            return {}
        boosting = fitted_boosting(self.examples, self.batches, self.say)
        return {} if boosting is None else {BOOSTING: boosting}

    def held_out(self) -> None:
        """See `Learner`: cutoffs lie in order, and validation comes after training."""

    def weights(self, part_scores: PartScores) -> Mapping[str, float]:
        """See `Learner`.

        Raises:
            DataError: The scenario wants a blend, and there is no boosting, for want of a known target.
        """
        prepared, mixed = self.examples, [NETWORK]
        if blends(prepared.scenario):
            if BOOSTING not in part_scores.by_part:
                rule = "boosting needs a known target in training, and there is none. Set it to none."
                raise DataError(prepared.scenario.problem("model.blend", rule))
            mixed.append(BOOSTING)
        return mix_weights(prepared, part_scores, mixed)

    def facts(self) -> Mapping[str, Any]:
        """See `Learner`."""
        return {"foundation": self.start.facts} if self.start else {}


def fitted_boosting(prepared: Prepared, batches: ExampleBatches, say: Say) -> Boosting | None:
    """Train boosting; None where training has no known target."""
    train, validation = (np.flatnonzero(in_split(prepared.table, split)) for split in ("train", "validation"))
    stage("boosting")
    boosting = fit_boosting(batches, train, validation, prepared.scenario.train.seed)
    if boosting is not None:
        say(boosting.described())
    return boosting


def fitted_network(
    prepared: Prepared, vocabulary: Vocabulary, examples: ExampleBatches, start: Start | None = None
) -> AnyNetwork:
    """Return the untrained network, with bins and priors from training examples.

    With `start`, its memory is that of a foundation model. Its first weights depend on the seed alone, and
    those of the first of several members are those of a network alone.
    """
    scenario, labels = prepared.scenario, prepared.examples.labels
    spec = NetworkSpec.of(
        scenario.model,
        len(labels.names),
        field_sizes(vocabulary.attributes),
        field_sizes(vocabulary.events),
        branch_spec(start, scenario, labels) if start else None,
    )
    pytorch_lightning.seed_everything(scenario.train.seed, verbose=False)
    network = make_model(spec, scenario.model.members, hedge=scenario.model.hedged)
    positions = np.flatnonzero(in_split(prepared.table, "train"))
    plan = BatchPlan(positions, _SAMPLE_BATCH, seed=scenario.train.seed)
    sample = list(islice(examples.planned(plan), _SAMPLE_BATCHES))
    for member in members_of(network):
        if start is not None:
            begin_from(member, start, scenario, labels)
        member.fit(sample, *target_counts(prepared, "train"))
    return network
