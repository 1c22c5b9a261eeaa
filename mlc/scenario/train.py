"""How a model is trained: what is minimised, on what, how long, and where."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from mlc.scenario.fields import (
    Count,
    Exponent,
    Factor,
    LearningRate,
    Section,
    Seed,
    Text,
    WeightDecay,
    distinct,
    kind_from_text,
)
from mlc.scenario.parsing.origin import Keys


def _number_balanced_or_labels(value: object) -> str | None:
    if isinstance(value, dict):
        return "labels"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "number"
    return "balanced" if value == "balanced" else None


PosWeight = Annotated[
    Annotated[Factor, Tag("number")]
    | Annotated[Literal["balanced"], Tag("balanced")]
    | Annotated[dict[Text, Factor], Tag("labels")],
    Discriminator(
        _number_balanced_or_labels,
        custom_error_type="pos_weight",
        custom_error_message="must be a number, balanced, or a mapping of labels to numbers",
    ),
]


class Bce(Section):
    """Binary cross-entropy of each label; keeps the scores calibrated."""

    kind: Literal["bce"] = "bce"
    pos_weight: PosWeight = 1.0
    """How much more a positive target counts than a negative one. A number, `balanced` (as much as all
    negatives of its label together), or `{Dress: 3}`, others 1. Scores are then too high by design."""


class Focal(Section):
    """Focal loss: well-scored examples weigh less.

    The scores are no longer calibrated.
    """

    kind: Literal["focal"]
    gamma: Exponent = 2.0
    """How much less well-scored examples weigh; 0 is binary cross-entropy."""


class Asymmetric(Section):
    """Asymmetric loss: well-scored negatives weigh less than positives.

    Scores are not calibrated.
    """

    kind: Literal["asymmetric"]
    gamma_negative: Exponent = 4.0
    """How much less a negative target weighs the lower its score."""
    gamma_positive: Exponent = 1.0
    """How much less a positive target weighs the higher its score."""
    clip: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.05
    """By how much scores of negatives are lowered first, so that very low ones count for nothing."""


Loss = Annotated[Bce | Focal | Asymmetric, Discriminator("kind")]


def _number_or_share(value: object) -> str | None:
    """`1` is one batch, `1.0` is all of them."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return "number" if isinstance(value, int) else "share"


Batches = Annotated[
    Annotated[Count, Tag("number")] | Annotated[float, Field(gt=0.0, le=1.0), Tag("share")],
    Discriminator(
        _number_or_share,
        custom_error_type="batches",
        custom_error_message="must be a number of batches, such as 100, or a share of them, such as 0.1",
    ),
]


def _number_or_auto(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return "number"
    return "auto" if value == "auto" else None


Devices = Annotated[
    Annotated[Annotated[int, Field(ge=1, le=4096)], Tag("number")] | Annotated[Literal["auto"], Tag("auto")],
    Discriminator(
        _number_or_auto,
        custom_error_type="devices",
        custom_error_message="must be auto or a whole number of devices",
    ),
]


_MONITOR_PATTERN = r"^(macro_ap|macro_auroc|log_loss|label:.+)$"


def _known_monitor(name: str) -> str:
    if not re.search(_MONITOR_PATTERN, name):
        raise PydanticCustomError("monitor", "must be macro_ap, macro_auroc, log_loss, or label: and a label")
    return name


Monitor = Annotated[
    str, AfterValidator(_known_monitor), Field(json_schema_extra={"pattern": _MONITOR_PATTERN})
]


LoggerName = Literal["csv", "tensorboard", "mlflow", "wandb"]


class TrainSection(Section):
    """How the model is trained. Most names are PyTorch Lightning's."""

    epochs: Annotated[int, Field(ge=1, le=100_000)] = 12
    """At most this many passes over the training examples."""
    monitor: Monitor | None = None
    """The validation score that decides early stopping and which weights are kept: `log_loss`, `macro_ap`,
    `macro_auroc`, or `label:Dress`. Default: `log_loss`; `macro_ap` if `loss` is not plain `bce`."""
    patience: Count = 5
    """Stop after this many epochs without a better `monitor`."""
    batch_size: Count = 512
    """Examples in a batch, on each device."""
    accumulate_grad_batches: Count = 1
    """Batches per step: one large batch at the memory of a small one."""
    learning_rate: LearningRate = 2.0e-3
    """Highest learning rate; it rises for a twentieth of the steps and falls along a cosine."""
    weight_decay: WeightDecay = 0.02
    """Decoupled weight decay (AdamW) on matrices."""
    loss: Annotated[
        Loss,
        BeforeValidator(kind_from_text, json_schema_input_type=Loss | Literal["bce", "focal", "asymmetric"]),
    ] = Bce()
    """What is minimised."""
    label_weights: dict[Text, Factor] = Field(default={})
    """How much a label counts in the loss: `{Dress: 2}`, others 1."""
    half_life_days: Factor | None = None
    """Examples count half as much for each this many days between their cutoff and the newest training
    cutoff. Default: all count alike."""
    ema_decay: Annotated[float, Field(gt=0.0, lt=1.0)] | None = 0.98
    """Decay per step of the moving average of the weights that is judged and kept. `null` judges the weights
    themselves, the default with `fsdp`."""
    refit: bool = False
    """Train once more on all examples, for as many epochs as were best; `mlc predict` then uses these
    weights. Report, calibration and thresholds keep the first ones."""
    gradient_clip_val: Factor | None = 1.0
    """Largest norm of the gradient of each network; `null` for no limit."""
    limit_train_batches: Batches | None = None
    """Use only this many training batches per epoch, or this share of them (0 to 1)."""
    limit_val_batches: Batches | None = None
    """Use only this many validation batches, or this share of them (0 to 1)."""
    accelerator: Literal["auto", "cpu", "gpu", "mps", "tpu"] = "auto"
    """Kind of device."""
    devices: Devices = "auto"
    """How many devices; `auto` is all GPUs, or one CPU process."""
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    """How devices share the work: `ddp` has the whole model on each, `fsdp` (GPUs only) a part of it."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed", "64-true"] = "32-true"
    """Number format of the computation."""
    checkpoint_minutes: Factor = 10.0
    """Minutes between two checkpoints within an epoch, the most that is trained again after a kill."""
    loggers: Annotated[list[LoggerName], AfterValidator(distinct)] = Field(default=["csv"])
    """Where the curves go besides `log.jsonl`. `csv` and `tensorboard` into `logs/` of the run, `mlflow` and
    `wandb` to where their environment variables point. All but csv are extras: `pip install
    'mlc[tensorboard]'`."""
    seed: Seed = 7
    """Seed of the initial weights, the order of the batches and the hold-out entities."""

    @model_validator(mode="before")
    @classmethod
    def _no_average_of_parts(cls, value: object) -> object:
        if isinstance(value, dict) and value.get("strategy") == "fsdp":
            return {"ema_decay": None, **value}
        return value

    @property
    def criterion(self) -> str:
        """What `monitor` names; without it, what the loss allows.

        Scores that it shifts have no log-loss.
        """
        if self.monitor is not None:
            return self.monitor
        return "log_loss" if self.loss == Bce() else "macro_ap"

    @property
    def monitored_label(self) -> str | None:
        """The label that `monitor` names, if it names one."""
        return self.criterion.removeprefix("label:") if self.criterion.startswith("label:") else None

    def labels_named(self) -> Iterator[tuple[Keys, str]]:
        """Return every label that this section names, with its place."""
        if self.monitored_label is not None:
            yield ("monitor",), self.monitored_label
        for name in self.label_weights:
            yield ("label_weights", name), name
        if isinstance(self.loss, Bce) and isinstance(self.loss.pos_weight, dict):
            for name in self.loss.pos_weight:
                yield ("loss", "pos_weight", name), name
