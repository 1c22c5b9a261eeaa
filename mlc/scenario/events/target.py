"""What is predicted: labels, rule and window of a scenario."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from mlc.scenario.class_names import MOST_LABELS, LabelName, LabelValues, class_names_shape, label_short_form
from mlc.scenario.fields import (
    MOST_WINDOWS,
    Count,
    Days,
    FilePath,
    OneOrMany,
    Section,
    Text,
    distinct,
    kind_from_text,
)
from mlc.scenario.scenario import Target
from mlc.scenario.source_tables import RowSql


class RuleSection(Section):
    """What every rule has."""

    where: RowSql | None = None
    """A SQL expression; only events for which it is true count. Joined columns are `articles.price`."""


class Exists(RuleSection):
    """The target is 1 when at least one event with the label lies in the window."""

    kind: Literal["exists"] = "exists"


class CountAtLeast(RuleSection):
    """The target is 1 when at least `times` events with the label lie in the window."""

    kind: Literal["count_at_least"]
    times: Count
    """How many events make the target 1."""


class SumAtLeast(RuleSection):
    """The target is 1 when the label's events in the window add up to `amount`."""

    kind: Literal["sum_at_least"]
    column: Text
    """The column that is summed; nulls add nothing. A joined one is `dimension.column`."""
    amount: Annotated[float, Field(gt=0.0, le=1e18)]
    """The sum that makes the target 1."""


class New(RuleSection):
    """The target is 1 when the label is in the window and not in the history."""

    kind: Literal["new"]


class Lapsed(RuleSection):
    """The target is 1 when the label was in recent history and is not in the window."""

    kind: Literal["lapsed"]
    active_within_days: Days
    """Days of recent history: `(cutoff - active_within_days, cutoff]`."""


Rule = Annotated[Exists | CountAtLeast | SumAtLeast | New | Lapsed, Discriminator("kind")]


class TopClasses(Section):
    """The most frequent values of the column in the training period."""

    top: Annotated[int, Field(ge=1, le=MOST_LABELS)]
    """How many values become labels."""
    min_support: Count = 1
    """Leave out values with fewer events than this in the training period."""


class LabelSpec(LabelValues):
    """One label with several values, or a condition or window of its own."""

    where: RowSql | None = None
    """A SQL expression; only events for which it is true count for this label."""
    window_days: Days | None = None
    """A window for this label alone."""


Label = Annotated[LabelSpec, label_short_form(LabelSpec)]
ClassNames = Annotated[
    Annotated[list[LabelName], Field(min_length=1), AfterValidator(distinct), Tag("list")]
    | Annotated[TopClasses, Tag("top")]
    | Annotated[dict[LabelName, Label], Field(min_length=1), Tag("groups")],
    Discriminator(
        class_names_shape(TopClasses.model_fields),
        custom_error_type="class_names",
        custom_error_message="must be a list of names, {top: 25}, or a mapping of label to values",
    ),
]


def _rising(days: list[int]) -> list[int]:
    if len(set(days)) < len(days):
        raise PydanticCustomError("twice", "a window is there twice. Remove one.")
    return sorted(days)


def _one_or_several(value: object) -> str:
    return "several" if isinstance(value, list) else "one"


Windows = Annotated[
    Annotated[Days, Tag("one")]
    | Annotated[
        list[Days], Field(min_length=1, max_length=MOST_WINDOWS), AfterValidator(_rising), Tag("several")
    ],
    Discriminator(_one_or_several),
]


Calendar = Literal["next_week", "next_month"]
_LONGEST = {"next_week": 7, "next_month": 31}


class TargetSection(Target):
    """What is predicted, and for how many days."""

    table: Text
    """The events table that decides the targets."""
    column: OneOrMany
    """The column with the label's value; a joined one is `dimension.column`. A list if several columns can
    hold it. A column of lists gives each of its values."""
    separator: Text | None = None
    """The text between several values in one text: `|` for `comedy|drama`."""
    class_names: ClassNames
    """The labels: a list of values, `{top: 25}` for the most frequent in training, or a mapping of label to
    values. Examples: `{Lingerie: [Casual Lingerie, Expressive Lingerie]}`,
    `{Lingerie: {pattern: Lingerie$, where: "price > 5", window_days: 7}}`."""
    window_days: Windows | None = None
    """Length of the window in days, which is `(cutoff + gap, cutoff + gap + window]`. Several lengths, `[7,
    21]`, give each label once for each: `Dress 7d`, `Dress 21d`."""
    window: Calendar | None = None
    """A calendar period instead of `window_days`: the first week (from Monday) or month after the
    cutoff and the gap. The cutoffs are then the ends of such periods,
    unless `examples` states others."""
    gap_days: Annotated[int, Field(ge=0, le=36_500)] = 0
    """Days between the cutoff and the window, when decisions take time to carry out."""
    rule: Annotated[
        Rule, BeforeValidator(kind_from_text, json_schema_input_type=Rule | Literal["exists", "new"])
    ] = Exists()
    """How the events in the window make a target."""
    allow_empty: bool = False
    """Allow labels without a positive example in training."""
    true_probabilities: FilePath | None = None
    """For generated data: a Parquet file with entity, `cutoff` and one column of true probabilities per
    label. The report then shows the best score that any model could reach."""

    @model_validator(mode="after")
    def _one_kind_of_window(self) -> "TargetSection":
        if (self.window_days is None) == (self.window is None):
            what = "there is neither" if self.window is None else "there are both"
            raise PydanticCustomError("window", "{what}. Write window_days or window.", {"what": what})
        return self

    @property
    def specs(self) -> Mapping[str, LabelSpec] | None:
        """Label → what it stands for; None where the most frequent values are taken."""
        match self.class_names:
            case TopClasses():
                return None
            case list(names):
                return {name: LabelSpec(values=[name]) for name in names}
            case groups:
                return groups

    @property
    def windows(self) -> list[int]:
        """Window lengths in days, of labels that have none of their own.

        Of a calendar period at most.
        """
        match self.window_days:
            case None:
                return [_LONGEST[str(self.window)]]
            case int(days):
                return [days]
            case several:
                return several

    @property
    def names(self) -> list[str] | None:
        """The labels, one for each window; None where the most frequent values are taken."""
        if self.specs is None:
            return None
        return [name for base, spec in self.specs.items() for name, _ in self.heads(base, spec)]

    @property
    def value_columns(self) -> Sequence[str]:
        """See `Target`."""
        return self.column

    @property
    def truth(self) -> str | None:
        """See `Target`."""
        return self.true_probabilities

    def heads(self, base: str, spec: LabelSpec) -> list[tuple[str, int]]:
        """Name and window in days of each label that a class name gives."""
        if spec.window_days is not None:
            return [(base, spec.window_days)]
        if isinstance(self.window_days, list):
            return [(f"{base} {days}d", days) for days in self.window_days]
        return [(base, self.windows[0])]

    def _lengths(self) -> list[int]:
        own = [spec.window_days for spec in (self.specs or {}).values() if spec.window_days is not None]
        return [*own, *(self.windows if len(own) < len(self.specs or {}) or not own else [])]

    @property
    def longest_days(self) -> int:
        """Length of the longest window."""
        return max(self._lengths())

    @property
    def shortest_days(self) -> int:
        """Length of the shortest window."""
        return min(self._lengths())

    @property
    def gap(self) -> timedelta:
        """Time between cutoff and window."""
        return timedelta(days=self.gap_days)

    def columns_used(self) -> dict[str, str]:
        """Columns that labels and rule name → the field that names each."""
        used = dict.fromkeys(self.column, "target.column")
        if isinstance(self.rule, SumAtLeast):
            used[self.rule.column] = "target.rule.column"
        return used
