"""What is predicted of rows: where their labels stand, and which of them count."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from mlc.scenario.class_names import MOST_LABELS, LabelName, LabelValues, class_names_shape, label_short_form
from mlc.scenario.fields import Count, FilePath, Section, Text, distinct
from mlc.scenario.scenario import Target


class FrequentClasses(Section):
    """The most frequent labels of the training rows."""

    top: Annotated[int, Field(ge=1, le=MOST_LABELS)] | None = None
    """How many of the most frequent values become labels. Default: all."""
    min_support: Count = 1
    """Leave out values that fewer rows than this have in training."""


Label = Annotated[LabelValues, label_short_form(LabelValues)]
ClassNames = Annotated[
    Annotated[list[LabelName], Field(min_length=1), AfterValidator(distinct), Tag("list")]
    | Annotated[FrequentClasses, Tag("top")]
    | Annotated[dict[LabelName, Label], Field(min_length=1), Tag("groups")],
    Discriminator(
        class_names_shape(FrequentClasses.model_fields),
        custom_error_type="class_names",
        custom_error_message=(
            "must be a list of names, {top: 25}, {min_support: 10}, or a mapping of label to values"
        ),
    ),
]


class ColumnPrefix(Section):
    """All columns whose name begins so."""

    prefix: Text
    """What their names begin with; the rest of each name is the label."""


def _list_or_prefix(value: object) -> str | None:
    if isinstance(value, list):
        return "list"
    return "prefix" if isinstance(value, dict | ColumnPrefix) else None


LabelColumns = Annotated[
    Annotated[list[LabelName], Field(min_length=1), AfterValidator(distinct), Tag("list")]
    | Annotated[ColumnPrefix, Tag("prefix")],
    Discriminator(
        _list_or_prefix,
        custom_error_type="label_columns",
        custom_error_message="must be a list of columns, or {prefix: dx_}",
    ),
]


class RowTarget(Target):
    """What is predicted of each row.

    `column` holds its labels, or `columns` has one column per label.
    """

    table: Text
    """The table of kind `rows` that is classified."""
    column: Text | None = None
    """The column with the labels of a row: a list, a text with `separator`, or a JSON list of texts. Of a
    joined dimension or a table of kind `labels` it is `tags.tag`."""
    columns: LabelColumns | None = None
    """One column of 0 and 1, or false and true, per label: `[asthma, diabetes]`, or `{prefix: dx_}`. Null is
    unknown."""
    separator: Text | None = None
    """The text between several labels in one text: `|` for `cat|dog`. Default: the text is one label, or a
    JSON list."""
    empty: Literal["none", "unknown"] = "none"
    """What an empty value of `column` means: the row has none of the labels, or nobody knows them. An
    unknown target is left out of training and figures."""
    class_names: ClassNames = FrequentClasses()
    """The labels: a list of values, `{top: 25}`, `{min_support: 10}`, or a mapping of label to values.
    Default: all values of the training rows."""
    allow_empty: bool = False
    """Allow labels without a positive example in training."""
    true_probabilities: FilePath | None = None
    """For generated data: a Parquet file with the key and one column of true probabilities per label. The
    report then shows the best score that any model could reach."""

    @model_validator(mode="after")
    def _one_place_of_labels(self) -> "RowTarget":
        if (self.column is None) == (self.columns is None):
            what = "there is neither" if self.column is None else "there are both"
            raise PydanticCustomError("labels", "{what}. Write column or columns.", {"what": what})
        if self.columns is not None and self.separator is not None:
            raise PydanticCustomError("labels", "separator has no effect on columns. Remove it.")
        if self.columns is not None and self.class_names != FrequentClasses():
            raise PydanticCustomError(
                "labels", "class_names has no effect, since columns names the labels. Remove it."
            )
        return self

    @property
    def specs(self) -> Mapping[str, LabelValues] | None:
        """Label → what it stands for; None where the tables give the labels."""
        match self.class_names:
            case FrequentClasses():
                return None
            case list(names):
                return {name: LabelValues(values=[name]) for name in names}
            case groups:
                return groups

    @property
    def names(self) -> list[str] | None:
        """The labels; None where the tables give them."""
        if self.columns is not None:
            return self.columns if isinstance(self.columns, list) else None
        return None if self.specs is None else list(self.specs)

    @property
    def value_columns(self) -> Sequence[str]:
        """See `Target`."""
        return [] if self.column is None else [self.column]

    @property
    def truth(self) -> str | None:
        """See `Target`."""
        return self.true_probabilities
