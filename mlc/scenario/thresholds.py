"""Where a score becomes a decision.

The policies, and the section that deals them out to the labels.
"""

from typing import Annotated, Literal, TypeGuard

from pydantic import BeforeValidator, Discriminator, Field

from mlc.scenario.fields import Section, Text, kind_from_text

_Share = Annotated[float, Field(ge=0.0, le=1.0)]
_PositiveShare = Annotated[float, Field(gt=0.0, le=1.0)]
_Beta = Annotated[float, Field(ge=0.01, le=100.0)]
_Money = Annotated[float, Field(ge=1e-9, le=1e12)]
_Count = Annotated[int, Field(ge=1, le=10**9)]
_WhenUnreachable = Literal["none", "best"]


class Auto(Section):
    """The highest expected F-beta with few decisions for rare labels.

    It allows at most 1 + beta² per positive, plus 3.
    """

    kind: Literal["auto"] = "auto"
    beta: _Beta = 1.0
    """How many times more recall matters than precision."""


class Fixed(Section):
    """A given threshold."""

    kind: Literal["fixed"]
    value: _Share
    """Decide yes where `score >= value`."""


class Never(Section):
    """No decisions for the label, whatever its scores."""

    kind: Literal["never"] = "never"


class MaxF1(Section):
    """The highest F1 on validation, with at most the decisions `auto` allows."""

    kind: Literal["max_f1"] = "max_f1"


class MaxFBeta(Section):
    """The highest F-beta on validation, with at most the decisions `auto` allows."""

    kind: Literal["max_fbeta"]
    beta: _Beta
    """How many times more recall matters than precision."""


class PrecisionAtLeast(Section):
    """The lowest threshold above which this share is expected to be positive.

    As many decisions as that precision allows.
    """

    kind: Literal["precision_at_least"]
    precision: _PositiveShare
    """The share."""
    when_unreachable: _WhenUnreachable = "none"
    """When validation does not reach the share: `none` gives no decisions, `best` the nearest threshold."""


class RecallAtLeast(Section):
    """The highest threshold above which this share of the positives is expected.

    As few decisions as that recall allows.
    """

    kind: Literal["recall_at_least"]
    recall: _PositiveShare
    """The share."""
    when_unreachable: _WhenUnreachable = "none"
    """When validation does not reach the share: `none` gives no decisions, `best` the nearest threshold."""


class TopN(Section):
    """The threshold that `n` entities passed at a validation cutoff.

    On another day it is more or fewer.
    """

    kind: Literal["top_n"]
    n: _Count
    """How many entities."""


class TopK(Section):
    """Yes if the label is among the `k` highest scores of its entity."""

    kind: Literal["top_k"]
    k: _Count
    """How many labels per entity."""


class Cost(Section):
    """The threshold with the lowest expected cost.

    It is `false_positive / (false_positive + false_negative)`.
    """

    kind: Literal["cost"]
    false_positive: _Money
    """What a yes costs where the target is 0."""
    false_negative: _Money
    """What a no costs where the target is 1, in the same unit."""


_MAIN_FIELDS = {
    "auto": "beta",
    "fixed": "value",
    "max_fbeta": "beta",
    "precision_at_least": "precision",
    "recall_at_least": "recall",
    "top_n": "n",
    "top_k": "k",
}
POLICIES = (*_MAIN_FIELDS, "max_f1", "cost", "never")
"""Every kind of policy."""
_GOALS = ("precision_at_least", "recall_at_least")


def _is_goal_with_choice(value: object) -> TypeGuard[dict[str, object]]:
    """Whether a value is `{precision_at_least: 0.8, when_unreachable: best}`."""
    return (
        isinstance(value, dict)
        and len(value) == 2
        and "when_unreachable" in value
        and any(kind in value for kind in _GOALS)
    )


def _policy_short_form(value: object) -> object:
    """Expand `0.4`, `max_f1` and `{precision_at_least: 0.8}` to mappings with a kind."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"kind": "fixed", "value": value}
    if _is_goal_with_choice(value):
        return {
            "kind": next(kind for kind in value if kind in _GOALS),
            **{_MAIN_FIELDS.get(name, name): given for name, given in value.items()},
        }
    if isinstance(value, dict) and len(value) == 1:
        ((kind, given),) = value.items()
        if kind == "cost" and isinstance(given, dict):
            return {"kind": kind, **given}
        if kind in _MAIN_FIELDS:
            return {"kind": kind, _MAIN_FIELDS[kind]: given}
    return kind_from_text(value)


_Union = Annotated[
    Auto | Fixed | Never | MaxF1 | MaxFBeta | PrecisionAtLeast | RecallAtLeast | TopN | TopK | Cost,
    Discriminator("kind"),
]
_Short = Annotated[
    dict[
        Literal[
            "auto",
            "fixed",
            "max_fbeta",
            "precision_at_least",
            "recall_at_least",
            "top_n",
            "top_k",
            "when_unreachable",
        ],
        Annotated[float, Field(ge=0.0, le=1e9)] | _WhenUnreachable,
    ],
    Field(min_length=1),
]
_Forms = _Union | _Share | Literal["auto", "max_f1", "never"] | _Short
Policy = Annotated[_Union, BeforeValidator(_policy_short_form, json_schema_input_type=_Forms)]


class Thresholds(Section):
    """Where a score becomes a decision."""

    default: Policy = Auto()
    """For every label that `per_label` does not name."""
    per_label: dict[Text, Policy] = Field(default={})
    """Label → policy: `{Dress: 0.4}`."""


class ContactSection(Section):
    """Which pairs of entity and label `mlc predict` picks within a budget.

    Labels without decisions (an unreachable goal, or `never`) are left out.
    """

    per_entity: _Count | None = None
    """At most this many labels per entity."""
    total: _Count | None = None
    """At most this many pairs in all."""
    value: dict[Text, Annotated[float, Field(ge=0.0, le=1e12)]] = Field(default={})
    """Label → what a hit is worth, 1 for others: `{Dress: 3.0}`. Pairs are picked by score times value."""


def _thresholds_short_form(value: object) -> object:
    """`0.5`, `max_f1` and `{top_n: 500}` are the default's.

    A mapping of labels is `per_label`.
    """
    if isinstance(value, str | int | float) or (isinstance(value, dict) and "kind" in value):
        return {"default": value}
    if _is_goal_with_choice(value):
        return {"default": value}
    if isinstance(value, dict) and len(value) == 1 and set(value) <= set(POLICIES):
        return {"default": value}
    if isinstance(value, dict) and not set(value) & set(Thresholds.model_fields):
        return {"per_label": value}
    return value


_ByLabel = Annotated[
    dict[Text, Policy],
    Field(json_schema_extra={"propertyNames": {"not": {"enum": ["default", "per_label", "kind"]}}}),
]
ShortThresholds = BeforeValidator(
    _thresholds_short_form, json_schema_input_type=Thresholds | Policy | _ByLabel
)
