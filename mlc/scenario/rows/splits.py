"""Which rows are examples, and what each serves for: training, validation or test."""

from typing import Annotated

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from mlc.scenario.fields import Count, Moment, Section, Seed, Text

_Part = Annotated[float, Field(gt=0.0, lt=1.0)]


class SplitFiles(Section):
    """Files of the table, by name or pattern."""

    train: Text
    """Those of training: `train.csv`, `train-*.parquet`."""
    validation: Text | None = None
    """Those of validation. Default: a share of the training rows."""
    test: Text
    """Those of the test."""


class SplitSection(Section):
    """How rows are dealt out to training, validation and test.

    By default at random, so that each label has its share of positives in every split.
    """

    column: Text | None = None
    """The column that says it: `train`, `validation` (or `dev`, `valid`, `val`) and `test`. Rows with an
    empty value are left out."""
    files: SplitFiles | None = None
    """One file per split: `{train: train.csv, validation: dev.csv, test: test.csv}`, in the folder or
    pattern of the table's `path`."""
    validation_from: Moment | None = None
    """Split by the table's `time`: the first time of validation."""
    test_from: Moment | None = None
    """Split by the table's `time`: the first time of the test."""
    validation: _Part = 0.15
    """Share of the rows for validation."""
    test: _Part = 0.2
    """Share of the rows for the test."""
    group: Text | None = None
    """Rows with one value of this column go into one split: `family_id`."""
    seed: Seed = 0
    """Another seed draws another split."""

    @model_validator(mode="after")
    def _one_way(self) -> "SplitSection":
        given = {
            name for name, field in type(self).model_fields.items() if getattr(self, name) != field.default
        }
        by_time = sorted(given & {"validation_from", "test_from"})
        ways = [*(word for word in ("column", "files") if word in given), *by_time[:1]]
        if len(ways) > 1:
            rule = f"{' and '.join(ways)} exclude each other. Keep one of them."
            raise PydanticCustomError("split", "{rule}", {"rule": rule})
        if len(by_time) == 1:
            (there,) = by_time
            (absent,) = {"validation_from", "test_from"} - given
            rule = f"{there} needs {absent}. Add it."
            raise PydanticCustomError("split", "{rule}", {"rule": rule})
        idle = sorted(given & {"test", "group"}) if ways else []
        if idle:
            rule = f"{' and '.join(idle)} has no effect beside {ways[0]}. Remove it."
            raise PydanticCustomError("split", "{rule}", {"rule": rule})
        if self.validation + self.test >= 1.0:
            rule = (
                f"validation and test take {self.validation + self.test:g} of the rows. Leave some to train."
            )
            raise PydanticCustomError("split", "{rule}", {"rule": rule})
        return self


class RowExamples(Section):
    """Which rows are examples, and what each serves for."""

    split: SplitSection = SplitSection()
    """How rows are dealt out to training, validation and test."""
    max_rows: Count | None = None
    """Use a random sample of at most this many rows, for a quick trial."""
