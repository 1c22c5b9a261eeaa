"""How a foundation model is made, and what a training does with one."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from mlc.scenario.fields import (
    MOST_WINDOWS,
    Count,
    Days,
    LearningRate,
    Moment,
    Section,
    Seed,
    WeightDecay,
)

AUTO = "auto"
"""As `model.foundation`: find one, or make it."""


class FoundationRate(Section):
    """A learning rate for the foundation."""

    foundation_learning_rate: LearningRate
    """Highest learning rate of the foundation; `train.learning_rate` is that of everything else."""


def _word_or_rate(value: object) -> str | None:
    if isinstance(value, dict | FoundationRate):
        return "rate"
    return "word" if value in ("all", "head") else None


Tune = Annotated[
    Annotated[Literal["all", "head"], Tag("word")] | Annotated[FoundationRate, Tag("rate")],
    Discriminator(
        _word_or_rate,
        custom_error_type="tune",
        custom_error_message="must be all, head, or a mapping with foundation_learning_rate",
    ),
]


def _rising(days: list[int]) -> list[int]:
    return sorted(set(days))


class PretrainSection(Section):
    """How `mlc pretrain` makes a foundation model from the tables alone.

    `train` sets devices and checkpoints: `accelerator`, `devices`, `checkpoint_minutes`.
    """

    until: Moment | None = None
    """Nothing after this time is seen. Default: the first validation cutoff of the scenario, or the last
    event if the file holds tables alone."""
    horizons_days: Annotated[
        list[Days], Field(min_length=1, max_length=MOST_WINDOWS), AfterValidator(_rising)
    ] = Field(default=[7, 28, 91])
    """For how many days ahead the values of each category are predicted. Those longer than a third of the
    time are left out."""
    values: Count = 256
    """How many of the most frequent values of a field are predicted one by one; others share 32 outputs."""
    preset: Literal["nano", "small", "base"] = "small"
    """Length of the entity vectors: 32, 128 or 256."""
    cutoffs_per_entity: Annotated[int, Field(ge=1, le=1_000)] = 4
    """Random days per entity and epoch; each epoch draws others."""
    epochs: Annotated[int, Field(ge=1, le=100_000)] = 20
    """At most this many epochs."""
    patience: Count = 4
    """Stop after this many epochs without a better validation loss."""
    batch_size: Count = 256
    """Examples per step, on each device."""
    learning_rate: LearningRate = 2.0e-3
    """Highest learning rate; it rises for a twentieth of the steps and falls along a cosine."""
    weight_decay: WeightDecay = 0.02
    """Decoupled weight decay (AdamW) on matrices."""
    seed: Seed = 7
    """Seed of the initial weights and the cutoffs."""
