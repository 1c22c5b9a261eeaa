"""What a run must reach on its test split to pass `mlc evaluate --check`."""

import re
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from mlc.scenario.fields import Section, distinct

Baseline = Literal["prevalence", "frequency", "recency", "boosting", "linear", "trees"]

_NUMBER = r"[0-9]*\.?[0-9]+"


def _bound(sign: str) -> Callable[[object], object]:
    """Reads `">= 0.25"` as 0.25, and leaves numbers as they are."""

    def read(value: object) -> object:
        if not isinstance(value, str):
            return value
        match = re.fullmatch(rf"{sign} ?({_NUMBER})", value)
        if not match:
            raise PydanticCustomError(
                "bound", 'must be a number such as 0.25, or "{sign} 0.25"', {"sign": sign}
            )
        return float(match[1])

    return read


def _text(sign: str) -> type[str]:
    return Annotated[str, Field(pattern=f"^{sign} ?{_NUMBER}$")]  # type: ignore[return-value]


_Share = Annotated[float, Field(gt=0.0, le=1.0)]
_ShareAtLeast = Annotated[_Share, BeforeValidator(_bound(">="), json_schema_input_type=_Share | _text(">="))]
_Loss = Annotated[float, Field(gt=0.0, le=1e6)]
_LossAtMost = Annotated[_Loss, BeforeValidator(_bound("<="), json_schema_input_type=_Loss | _text("<="))]


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


_Baselines = Annotated[
    list[Baseline],
    BeforeValidator(_one_or_many, json_schema_input_type=Baseline | list[Baseline]),
    AfterValidator(distinct),
]


class GatesSection(Section):
    """What the test split must reach.

    Means are over labels that at least 10 entities have and 10 do not have there. A number that is undefined
    does not pass.
    """

    macro_ap: _ShareAtLeast | None = None
    """The least mean average precision of the labels: `">= 0.25"` or `0.25`."""
    macro_auroc: _ShareAtLeast | None = None
    """The least mean AUROC of the labels."""
    macro_log_loss: _LossAtMost | None = None
    """The most mean log-loss of the labels: `"<= 0.3"` or `0.3`."""
    label_auroc_min: _ShareAtLeast | None = None
    """AUROC of each label at least."""
    beats: _Baselines = Field(default=[])
    """Baselines to beat: the 95 % interval of model minus baseline in macro average precision must lie above
    0."""

    @model_validator(mode="after")
    def _asks_something(self) -> "GatesSection":
        if not self.model_dump(exclude_defaults=True):
            raise PydanticCustomError("blind", "there is no gate. Name one, or remove gates.")
        return self
