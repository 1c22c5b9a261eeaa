"""What every scenario has: the base of `EventScenario` and `RowScenario`.

The docstring under a field is at once the comment, the JSON schema's description and the entry in
docs/reference. Families (`Rule`, `Format`, `Encoder`, `Loss`, `Policy`) are unions on `kind`; the code that
acts on one is a `match` that ends in `assert_never`, so that a forgotten case is a type error.
"""

import glob
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, model_validator
from pydantic_core import PydanticCustomError

from mlc.errors import Problem, did_you_mean, sentences
from mlc.errors.names import synonym_of
from mlc.scenario.fields import RunName, Section, Text, distinct, expand_environment
from mlc.scenario.gates import Baseline, GatesSection
from mlc.scenario.parsing.origin import Keys, Origin, dotted
from mlc.scenario.source_tables import Tables
from mlc.scenario.thresholds import POLICIES, ContactSection, ShortThresholds, Thresholds
from mlc.scenario.train import TrainSection


class Target(Section):
    """What every target has."""

    table: Text
    """The table that decides the targets."""

    @property
    def names(self) -> list[str] | None:
        """The labels; None where the tables give them."""
        raise NotImplementedError

    @property
    def value_columns(self) -> Sequence[str]:
        """The columns whose values are labels; a joined one is `dimension.column`."""
        raise NotImplementedError

    @property
    def truth(self) -> str | None:
        """The file of true probabilities, which generated data have."""
        raise NotImplementedError


_Option = bool | int | float | str | None


class MetricSection(Section):
    """A metric of torchmetrics."""

    name: str
    """A multilabel class of torchmetrics: `MultilabelHammingDistance`."""
    options: dict[str, _Option] = Field(default={})
    """Its arguments: `{beta: 2}`."""


def _metric_short_form(value: object) -> object:
    """Expand `Name` and `{name: Name, beta: 2}` to a name with options.

    The long form is `{name: Name, options: {beta: 2}}`.
    """
    if isinstance(value, str):
        return {"name": value}
    if isinstance(value, dict) and "name" in value and "options" not in value:
        options = {key: option for key, option in value.items() if key != "name"}
        return {"name": value["name"], "options": options}
    return value


Metric = Annotated[
    MetricSection,
    BeforeValidator(_metric_short_form, json_schema_input_type=str | MetricSection | dict[str, _Option]),
]


class Scenario(Section):
    """One question with K answers, each yes or no."""

    name: RunName
    """Name of the run's folder: letters, digits, `.`, `_`, `-`. Default: the file's name, or its folder's if
    the file is called `scenario.yaml`."""
    data: Tables
    """The tables, or the path of a YAML file that holds this section."""
    target: Target
    """What is predicted."""
    examples: Section = Section()
    """Which examples there are, and what each serves for."""
    model: Section = Section()
    """What the model looks at."""
    train: TrainSection = TrainSection()
    """How it is trained."""
    calibration: Literal["auto", "none", "bias", "platt", "isotonic"] = "auto"
    """How scores become probabilities, on the validation examples. `bias` shifts their log-odds, `platt` also
    stretches them, `isotonic` fits increasing steps. `auto` takes for each label the lowest
    log-loss on entities it was not fitted to."""
    thresholds: Annotated[Thresholds, ShortThresholds] = Thresholds()
    """From which score on the decision is yes: `0.5`, `max_f1`, `{precision_at_least: 0.8}`, `{Dress: 0.4}`,
    or `default` and `per_label`."""
    metrics: list[Metric] = Field(default=[])
    """More metrics for the report, multilabel classes of torchmetrics: `[MultilabelHammingDistance, {name:
    MultilabelFBetaScore, beta: 2}]`."""
    contact: ContactSection | None = None
    """A budget over all labels: `{per_entity: 2, total: 50000, value: {Dress: 3.0}}`."""
    baselines: Annotated[list[Baseline], AfterValidator(distinct)] | None = None
    """What the report compares the model with. Default: all; boosting only if LightGBM is installed (`pip
    install 'mlc[boost]'`)."""
    gates: GatesSection | None = None
    """What the test split must reach; the report shows it, `mlc evaluate --check` judges it."""

    slices: Annotated[list[str], AfterValidator(distinct)] = Field(default=[])
    """Columns for whose values the report shows scores."""

    _origin: Origin = PrivateAttr(default_factory=lambda: Origin(Path("scenario"), "", {}, Path.cwd()))

    @property
    def has_target(self) -> bool:
        """Whether there is a target: `mlc pretrain` needs none."""
        return "target" in vars(self)

    @property
    def origin(self) -> Origin:
        """Where the fields were written."""
        return self._origin

    def problem(self, field: str | Keys, rule: str) -> Problem:
        """A problem with a field, with its place in the file.

        Args:
            field: Dotted path, `target.class_names.3`; or its parts, where a name may contain a dot.
            rule: What is wrong and what to do.
        """
        if isinstance(field, str):
            field = tuple(int(key) if key.isdigit() else key for key in field.split("."))
        return Problem(rule, dotted(field), self._origin.place(field))

    def path(self, text: str) -> Path:
        """Return a path of the scenario, absolute and with its variables replaced.

        A cloud URL as it is.
        """
        if "://" in text:
            return Path(text)
        path = self._origin.base / expand_environment(text)
        # Only the folder is resolved: behind a link, the file's ending may say nothing about its format.
        return path.parent.resolve() / path.name

    def pattern(self, text: str) -> str:
        """Return a path of the scenario as a pattern.

        Brackets and stars of its folder are letters.
        """
        return os.path.join(glob.escape(str(self._origin.base)), expand_environment(text))  # noqa: PTH118

    def contradictions(self) -> Iterator[Problem]:
        """Fields that are right alone and wrong together.

        A section that could not be read may be absent: the others are checked against each other.
        """
        if "target" in vars(self):
            yield from self._thresholds_contradictions()
            yield from self._contact_contradictions()
            yield from self._train_labels_contradictions()
        yield from self._gates_contradictions()

    def foreign_baselines(self, names: Collection[str], kind: str) -> Iterator[Problem]:
        """Yield the baselines that only another task has.

        Args:
            names: Those of the other task.
            kind: What it is about.
        """
        for place, name in enumerate(vars(self).get("baselines") or ()):
            if name in names:
                yield self.problem(("baselines", place), f"{name} is a baseline of {kind} only. Remove it.")

    def joins_contradictions(self) -> Iterator[Problem]:
        """Yield joins that do not fit, and dimension tables that nothing joins."""
        tables, joined = self.data, set()
        for name, table in tables.joining.items():
            for dimension, columns in table.joins.items():
                joined.add(dimension)
                field = ("data", "tables", name, "joins", dimension)
                if dimension not in tables.dimensions:
                    hint = did_you_mean(dimension, tables.dimensions)
                    rule = sentences(f"{dimension} is no table of kind dimension", hint)
                    yield self.problem(field, rule)
                elif len(columns) != len(tables.dimensions[dimension].key):
                    keys = ", ".join(tables.dimensions[dimension].key)
                    rule = f"{', '.join(columns)} for the key {keys}. Name one column for each key column."
                    yield self.problem(field, rule)
        for name in tables.dimensions:
            if name not in joined:
                rule = "no table joins this table. Add it to joins, or remove it."
                yield self.problem(("data", "tables", name), rule)

    def not_joined(
        self, column: str, field: str, table: str, joins: Mapping[str, object]
    ) -> Iterator[Problem]:
        """Yield what is wrong with the table that a column of the target names.

        Args:
            column: `dimension.column`, or a column of the table itself.
            field: The field that names it.
            table: The table of the target.
            joins: Its joins.
        """
        dimension = column.split(".", 1)[0]
        if "." in column and dimension not in joins:
            if dimension == table:
                rule = f"columns of {dimension} stand without its name; write {column.split('.', 1)[1]}"
                yield self.problem(field, rule)
                return
            hint = did_you_mean(dimension, joins) if joins else f"add joins: {{{dimension}: …}} to it"
            yield self.problem(field, sentences(f"{dimension} is not joined to {table}", hint))

    def _thresholds_contradictions(self) -> Iterator[Problem]:
        class_names = self.target.names
        if class_names is None:
            return  # known only when the training period has been read
        for name in self.thresholds.per_label:
            if name not in class_names:
                keys: Keys = ("thresholds", "per_label", name)
                keys = keys if keys in self._origin.places else ("thresholds", name)
                hint = did_you_mean(name, class_names)
                policy = synonym_of(name, POLICIES)
                if policy is not None and not hint.startswith("did you mean"):
                    hint = f"did you mean the policy {policy}?"
                rule = sentences(f"{name} is none of class_names", hint)
                yield self.problem(keys, rule)

    def _contact_contradictions(self) -> Iterator[Problem]:
        names = self.target.names
        for name in self.contact.value if self.contact and names is not None else ():
            if names is not None and name not in names:
                rule = sentences(f"{name} is none of class_names", did_you_mean(name, names))
                yield self.problem(("contact", "value", name), rule)

    def _train_labels_contradictions(self) -> Iterator[Problem]:
        if "train" in vars(self) and self.target.names is not None:
            yield from self.unknown_train_labels(self.target.names)

    def unknown_train_labels(self, names: Sequence[str]) -> Iterator[Problem]:
        """Labels that `train` names and that do not exist."""
        for keys, name in self.train.labels_named():
            if name not in names:
                rule = sentences(f"{name} is none of class_names", did_you_mean(name, names))
                yield self.problem(("train", *keys), rule)

    def _gates_contradictions(self) -> Iterator[Problem]:
        if {"gates", "baselines"} - set(vars(self)) or self.gates is None or self.baselines is None:
            return
        for name in self.gates.beats:
            if name not in self.baselines:
                rule = f"{name} is none of baselines. Add it there."
                yield self.problem("gates.beats", rule)

    @model_validator(mode="before")
    @classmethod
    def _is_mapping(cls, value: object) -> object:
        if not isinstance(value, dict):
            kind = {list: "a list", str: "text", type(None): "an empty file"}.get(
                type(value), "a single value"
            )
            raise PydanticCustomError(
                "mapping",
                "a scenario is a mapping with data: and target:, and this is {kind}.",
                {"kind": kind},
            )
        return value
