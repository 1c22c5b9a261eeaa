"""What a training is told by the kind of its task.

Examples, batches, the untrained network, other parts.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from mlc.evaluation.held_out import HeldOut, PartScores
from mlc.models.ensemble import AnyNetwork
from mlc.models.part import Part
from mlc.models.reading.batches import ExampleBatches
from mlc.models.tasks import Reader
from mlc.run import Opening, RunFolder
from mlc.scenario import EventScenario, RowScenario, Scenario
from mlc.task import AnyTask, Examples, Say


class Learner(Protocol):
    """Makes the parts of a model from the examples of one kind of task.

    Everything is made when it is first asked for. Every rank has a learner of its own.
    """

    @property
    def task(self) -> AnyTask:
        """The task, whose scenario has everything resolved that the training must know."""

    @property
    def examples(self) -> Examples:
        """The examples.

        Raises:
            DataError: The tables do not fit the scenario.
        """

    @property
    def reader(self) -> Reader[Any]:
        """What the parts read of inputs, fitted on the examples of training."""

    @property
    def batches(self) -> ExampleBatches:
        """The batches of all examples."""

    def beginning(self) -> Mapping[str, Any]:
        """Return what `--resume` must find unchanged, as JSON.

        See `mlc.training.beginning`.
        """

    def begin(self, run: RunFolder) -> None:
        """Write the examples and what the reader knows into a new run."""

    def network(self, examples: Examples) -> AnyNetwork | None:
        """Return the network before its training, fitted to examples.

        None for a model without one.

        Args:
            examples: Those of `examples`, or their refit.
        """

    def other_parts(self) -> Mapping[str, Part]:
        """Train the parts beside the network; none where the scenario wants none."""

    def held_out(self) -> HeldOut | None:
        """Return scores out of fold of the other parts, in a model without a network.

        None where validation alone judges: it is large enough, or there is a network, which has learned from
        all training examples.
        """

    def weights(self, part_scores: PartScores) -> Mapping[str, float]:
        """Choose the weight of each part on what was held out.

        A part without one is a baseline.
        """

    def facts(self) -> Mapping[str, Any]:
        """Return what `run.json` records beside the facts of the task."""


def learner_of(scenario: Scenario, runs: Path, opening: Opening, say: Say) -> Learner:
    """Return the learner for the task that a scenario describes.

    See `mlc.models.tasks`.

    Args:
        scenario: Checked scenario.
        runs: Folder of all runs.
        opening: Whether the run is new, goes on or starts over.
        say: Receives progress in lines.
    """
    match scenario:
        case RowScenario():
            from mlc.training.row_learner import RowLearner

            return RowLearner(scenario, say)
        case _:
            from mlc.training.event_learner import EventLearner

            return EventLearner(EventScenario.of(scenario, "mlc train"), runs, opening, say)
