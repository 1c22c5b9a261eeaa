"""What the parts of a model read of events.

Batches, by the vocabulary of the training.
"""

from dataclasses import dataclass

from mlc.events.task import Inputs
from mlc.events.vocabulary import Vocabulary
from mlc.models.reading.batches import BatchBuilder, ExampleBatches


@dataclass(frozen=True)
class EventReader:
    """The reader of event tasks; see `mlc.models.tasks.Reader`.

    Attributes:
        vocabulary: Which columns and values the parts know.
        most_events: How many of the newest events of an example the network sees; None for all.
    """

    vocabulary: Vocabulary
    most_events: int | None = None

    def batches(self, inputs: Inputs) -> ExampleBatches:
        """Return the batches of some inputs."""
        builder = BatchBuilder(inputs, self.vocabulary, self.most_events)
        return ExampleBatches(builder, inputs.rows_N, inputs.cutoffs_N, inputs.targets_NK)
