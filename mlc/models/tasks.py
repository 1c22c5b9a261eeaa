"""The tasks that exist, and the parts that their models consist of.

To add a task: a class that follows `mlc.task.Task`, a reader of its inputs, a learner (see
`mlc.training.learners`), and one `case` in each function here and in `learner_of`. Nothing else knows which
task a scenario describes. To add a part: a class that follows `mlc.models.part.Part`, and one `case` in
`part_of`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from mlc.events.task import EventTask
from mlc.events.trained import scenario_as_trained, stored_vocabulary
from mlc.rows.inputs import RowColumns
from mlc.rows.task import RowTask
from mlc.run import RunFolder
from mlc.scenario import EventScenario, RowScenario, Scenario
from mlc.task import AnyTask, Say

if TYPE_CHECKING:
    from mlc.models.part import Part
    from mlc.models.reading.batches import ExampleBatches

I_contra = TypeVar("I_contra", contravariant=True)


class Reader(Protocol[I_contra]):
    """Makes of a task's inputs what the parts of a model read.

    What it knows was learned in training.
    """

    def batches(self, inputs: I_contra) -> "ExampleBatches":
        """Return the batches of some inputs."""


def task_of(scenario: Scenario, runs: Path, say: Say) -> AnyTask:
    """Return the task that a scenario describes.

    Args:
        scenario: Checked scenario.
        runs: Folder of all runs.
        say: Receives progress in lines.
    """
    match scenario:
        case EventScenario():
            return EventTask(scenario, runs, say)
        case RowScenario():
            return RowTask(scenario, say)
        case _:
            raise TypeError(type(scenario))


def trained_task(run: RunFolder, say: Say, class_names: Sequence[str] | None = None) -> AnyTask:
    """Return the task of a finished run, whose tables are read as in the training.

    Args:
        run: A finished run; the event store lies beside it.
        say: Receives progress in lines, and warnings of what the model does not know.
        class_names: The labels that the model scores; None for a foundation model, which has none.

    Raises:
        DataError: The tables no longer fit.
    """
    stored = run.scenario()
    if isinstance(stored, RowScenario):
        return RowTask(stored, say, class_names, run.read_json("columns.json", _columns))
    runs = run.folder.parent
    scenario = scenario_as_trained(run, stored_vocabulary(run), runs, say, class_names)
    return EventTask(scenario, runs, say, class_names)


def reader_of(run: RunFolder) -> Reader[Any]:
    """Return the reader of a finished run.

    Raises:
        RunError: A file is missing or damaged.
    """
    if run.kind == "model" and isinstance(run.scenario(), RowScenario):
        from mlc.models.rows.reading import RowReader  # loads torch, which a task does without
        from mlc.models.rows.trained import stored_makers

        return RowReader.load(run, stored_makers)
    from mlc.models.reading.events import EventReader

    # A foundation reads all events; a model with a limit was trained with it.
    most_events = (
        None if run.kind == "foundation" else EventScenario.of(run.scenario(), "its model").model.most_events
    )
    return EventReader(stored_vocabulary(run), most_events)


def _columns(stored: dict[str, Any]) -> RowColumns:
    """Return how a trained model reads the columns of rows."""
    return RowColumns.from_json(stored["columns"])


def part_of(run: RunFolder, name: str, *, refit: bool = False) -> "Part":
    """Return a part of the model of a finished run.

    Args:
        run: The run.
        name: As `parts.json` has it.
        refit: With the weights that were trained once more on all examples, where the part has such.

    Raises:
        RunError: A file is missing or damaged.
        DataError: The part needs a package that is not installed.
        ValueError: This version knows no such part.
    """
    match name:
        case "network":
            from mlc.models.part import NetworkPart

            return NetworkPart.load(run, refit=refit)
        case "boosting" if isinstance(run.scenario(), RowScenario):
            from mlc.models.rows.boosting import RowBoosting

            return RowBoosting.load(run)
        case "boosting":
            from mlc.models.boosting import Boosting

            return Boosting.load(run)
        case "linear":
            from mlc.models.rows.linear import Linear

            return Linear.load(run)
        case "trees":
            from mlc.models.rows.trees import Trees

            return Trees.load(run)
        case _:
            raise ValueError(f"{name} is no part of a model that this version knows")
