"""What the model of an event task looks at, and how large it is."""

from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from mlc.scenario.events.foundation import Tune
from mlc.scenario.fields import Count, FilePath, Section


class ModelSection(Section):
    """What the model looks at and how large it is."""

    preset: Literal["nano", "small", "base", "large"] = "small"
    """Width and depth of the network. `nano` is for smoke tests, `small` for most tables, `base` for many
    labels and entities, `large` for millions of examples on a GPU."""
    history: bool = True
    """Show the model counts, decayed counts, recency and cadence of the entity's events, per label."""
    attributes: bool = True
    """Show the model the columns of the entities tables."""
    calendar: bool = True
    """Day of the week and of the year at the cutoff. The day of the year counts only if the training cutoffs
    leave no 60 days of it out."""
    popularity: bool = False
    """Per label, among all entities at the cutoff: its share, its trend, and its season of a year ago."""
    memory: bool = False
    """Show the model all columns of the events, in a decayed sum with learned half-lives."""
    context: Literal["none", "gru", "transformer"] = "none"
    """Read the events in order, all columns and the time between them: with a recurrent network (`gru`) or
    attention (`transformer`)."""
    max_events: Count | None = None
    """How many of the newest events of an example enter memory, foundation and context, which bounds the
    peak memory. Default: 256 with a context, else all."""
    foundation: FilePath | None = None
    """The foundation to start from: the folder of a run of `mlc pretrain`, relative to this file, or its
    name. `auto` finds one of the same tables in the runs folder, or makes it first if the tables are long
    enough."""
    tune: Tune = "head"
    """How much of the foundation is trained: nothing (`head`) or everything (`all`). Everything at its
    own learning rate, `{foundation_learning_rate: 1.0e-4}`."""
    hedge: bool = True
    """Train an equal model without the foundation too, and let validation choose the weight of each."""
    members: Annotated[int, Field(ge=1, le=100)] = 1
    """How many networks are trained side by side; the score is their mean. Training and scoring take as many
    times longer."""
    blend: Literal["none", "boosting"] = "none"
    """`boosting` mixes the network with LightGBM (`pip install 'mlc[boost]'`), in log-odds, with the weight
    of the lowest log-loss on validation."""

    @property
    def sees_events(self) -> bool:
        """Whether the columns of the events enter the model."""
        return self.memory or self.foundation is not None or self.context != "none"

    @property
    def hedged(self) -> bool:
        """Whether networks with a foundation and without one are trained."""
        return self.hedge and self.foundation is not None

    @property
    def most_events(self) -> int | None:
        """How many of the newest events of an example enter the model; None for all."""
        if self.max_events is None and self.context != "none":
            return 256
        return self.max_events

    @model_validator(mode="after")
    def _sees_something(self) -> "ModelSection":
        if not (self.history or self.attributes or self.sees_events):
            raise PydanticCustomError(
                "blind",
                "history, attributes, memory and context are all off. Switch one of them on.",
            )
        if self.memory and self.foundation is not None:
            raise PydanticCustomError(
                "memory",
                "memory has no effect beside a foundation, which is the memory. Remove one of them.",
            )
        if self.max_events is not None and not self.sees_events:
            raise PydanticCustomError(
                "memory",
                "max_events has no effect without memory, foundation or context. Remove it.",
            )
        return self
