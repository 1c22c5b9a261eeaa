"""The words of a scenario: one model per section, one docstring per field.

The docstring under a field is at once the comment, the JSON schema's description and the entry in
docs/reference. Families (`Rule`, `Format`, `Encoder`, `Loss`, `Policy`) are unions on `kind`; the code that
acts on one is a `match` that ends in `assert_never`, so that a forgotten case is a type error.
"""

import glob
import os
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, model_validator
from pydantic_core import PydanticCustomError

from mlc.errors import Problem, did_you_mean, sentences
from mlc.errors.names import synonym_of
from mlc.scenario.fields import Count, FilePath, RunName, Section, distinct, expand_environment
from mlc.scenario.foundation import PretrainSection, Tune
from mlc.scenario.gates import Baseline, GatesSection
from mlc.scenario.origin import Keys, Origin, dotted
from mlc.scenario.sampling import ExamplesSection, RandomDays
from mlc.scenario.source_tables import Tables
from mlc.scenario.target import MOST_LABELS, TargetSection, TopClasses
from mlc.scenario.thresholds import POLICIES, ContactSection, ShortThresholds, Thresholds
from mlc.scenario.train import TrainSection

# ── model ───────────────────────────────────────────────────────────────────────────────────────


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


# ── the scenario ────────────────────────────────────────────────────────────────────────────────


class Scenario(Section):
    """One question: which of these K things will each entity do in the next N days?"""

    name: RunName
    """Name of the run's folder: letters, digits, `.`, `_`, `-`. Default: the file's name, or its folder's if
    the file is called `scenario.yaml`."""
    data: Tables
    """The tables, or the path of a YAML file that holds this section."""
    target: TargetSection
    """What is predicted."""
    examples: ExamplesSection = ExamplesSection()
    """Which entities are examples, and at which cutoffs."""
    model: ModelSection = ModelSection()
    """What the model looks at."""
    train: TrainSection = TrainSection()
    """How it is trained."""
    pretrain: PretrainSection = PretrainSection()
    """How `mlc pretrain` makes a foundation model; `mlc train` ignores it."""
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
    """Columns of entities tables for whose values the report shows scores: `[customers.club]`."""

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
        sections = vars(self)
        if "data" in sections:
            yield from self._tables_contradictions()
        if "target" in sections:
            if "data" in sections:
                yield from self._target_contradictions()
            yield from self._labels_contradictions()
            yield from self._examples_contradictions()
            yield from self._thresholds_contradictions()
            yield from self._contact_contradictions()
            yield from self._train_labels_contradictions()
        yield from self._train_contradictions()
        yield from self._gates_contradictions()

    def _tables_contradictions(self) -> Iterator[Problem]:
        tables = self.data
        if not tables.events:
            yield self.problem("data.tables", "no table is of kind events. Add one.")
        for name, events in tables.events.items():
            for dimension, columns in events.joins.items():
                field = ("data", "tables", name, "joins", dimension)
                if dimension not in tables.dimensions:
                    hint = did_you_mean(dimension, tables.dimensions)
                    rule = sentences(f"{dimension} is no table of kind dimension", hint)
                    yield self.problem(field, rule)
                elif len(columns) != len(tables.dimensions[dimension].key):
                    keys = ", ".join(tables.dimensions[dimension].key)
                    rule = f"{', '.join(columns)} for the key {keys}. Name one column for each key column."
                    yield self.problem(field, rule)
        joined = {dimension for events in tables.events.values() for dimension in events.joins}
        for name in tables.dimensions:
            if name not in joined:
                rule = "no events table joins this table. Add it to joins, or remove it."
                yield self.problem(("data", "tables", name), rule)

    def _target_contradictions(self) -> Iterator[Problem]:
        tables, target = self.data, self.target
        if target.table not in tables.events:
            hint = did_you_mean(target.table, tables.events)
            rule = sentences(f"{target.table} is no table of kind events", hint)
            yield self.problem("target.table", rule)
            return
        joins = tables.events[target.table].joins
        for column, field in target.columns_used().items():
            dimension = column.split(".", 1)[0]
            if "." in column and dimension not in joins:
                if dimension == target.table:
                    rule = f"columns of {dimension} stand without its name; write {column.split('.', 1)[1]}"
                    yield self.problem(field, rule)
                    continue
                hint = did_you_mean(dimension, joins) if joins else f"add joins: {{{dimension}: …}} to it"
                rule = sentences(f"{dimension} is not joined to {target.table}", hint)
                yield self.problem(field, rule)

    def _labels_contradictions(self) -> Iterator[Problem]:
        target = self.target
        names = target.names
        count = len(names) if names is not None else 0
        if isinstance(target.class_names, TopClasses):
            count = target.class_names.top * len(target.windows)
        if count > MOST_LABELS:
            rule = f"at most {MOST_LABELS} labels, one for each name and window, but these are {count}."
            yield self.problem("target.class_names", f"{rule} Use fewer names or fewer windows.")
        if names is not None and len(set(names)) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            rule = f"two labels are called {', '.join(twice)}. Rename one."
            yield self.problem("target.class_names", rule)
        specs = target.specs or {}
        if (
            isinstance(target.window_days, list)
            and specs
            and all(spec.window_days for spec in specs.values())
        ):
            rule = "has no effect: every label has a window_days of its own; remove one of them"
            yield self.problem("target.window_days", rule)
        for name, spec in specs.items():
            if target.window is not None and spec.window_days is not None:
                rule = f"has no effect: target.window is {target.window} for every label; remove one of them"
                yield self.problem(("target", "class_names", name, "window_days"), rule)
        if target.true_probabilities and names is None:
            rule = "needs the list of class_names, not {top: K}. List them, or remove this."
            yield self.problem("target.true_probabilities", rule)

    def _examples_contradictions(self) -> Iterator[Problem]:
        examples = self.examples
        chosen = "cutoffs" if examples.cutoffs else "at" if examples.at else None
        if chosen is None and self.target.window is not None:
            chosen = "target.window"
        if chosen and examples.every_days:
            rule = f"has no effect: {chosen} says which cutoffs there are; remove one of them"
            yield self.problem("examples.every_days", rule)
        if examples.cutoffs and examples.at:
            yield self.problem("examples.at", "has no effect: the cutoffs are given; remove one of them")
        yield from self._own_cutoffs_contradictions()
        yield from self._moments_contradictions()

    def _own_cutoffs_contradictions(self) -> Iterator[Problem]:
        at = self.examples.at
        if "data" not in vars(self) or at is None or isinstance(at, RandomDays) or at.table is None:
            return
        if at.table not in self.data.events:
            hint = did_you_mean(at.table, self.data.events)
            rule = sentences(f"{at.table} is no table of kind events", hint)
            yield self.problem("examples.at.table", rule)

    def _moments_contradictions(self) -> Iterator[Problem]:
        """Refuse cutoffs whose window ends too late.

        A validation window ends before the test, a test window before the end.
        """
        words = ("validation_from", "test_from", "observed_until")
        moments = {word: moment for word in words if (moment := getattr(self.examples, word))}
        if len({moment.tzinfo is None for moment in moments.values()}) > 1:
            naive = [word for word in moments if moments[word].tzinfo is None]
            without = ", ".join(naive)
            rule = f"{without} without a time zone, and others with one. Add one, such as Z."
            yield self.problem(("examples", naive[-1]), rule)
            return
        if self.target.window is not None:
            return  # how long a calendar period is depends on the cutoff
        for first, then in zip(list(moments), list(moments)[1:], strict=False):
            # In the test, a label whose own window is not complete is unknown.
            days = self.target.shortest_days if first == "test_from" else self.target.longest_days
            reach = timedelta(days=self.target.gap_days + days)
            # A difference, since a sum could pass the last year that a datetime can hold.
            short = reach - (moments[then] - moments[first])
            if short > timedelta():
                rule = (
                    f"must lie at least {reach.days} days (gap and window) before {then}, but "
                    f"{moments[first]:%Y-%m-%d} and {moments[then]:%Y-%m-%d} do not. "
                    f"Move it back by {-(-short // timedelta(days=1))} days."
                )
                yield self.problem(("examples", first), rule)

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

    def _train_contradictions(self) -> Iterator[Problem]:
        train = vars(self).get("train", TrainSection())
        if train.strategy == "fsdp":
            if train.accelerator not in ("auto", "gpu"):
                rule = f"fsdp needs GPUs, and accelerator is {train.accelerator}. Use ddp."
                yield self.problem("train.strategy", rule)
            if train.ema_decay is not None:
                rule = "needs all weights on each device, which fsdp has not. Use ddp, or remove this."
                yield self.problem("train.ema_decay", rule)
            model = vars(self).get("model", ModelSection())
            for field, several in (("model.members", model.members > 1), ("model.hedge", model.hedged)):
                if several:
                    rule = "several networks need ddp, and train.strategy is fsdp. Change one of them."
                    yield self.problem(field, rule)
        examples = vars(self).get("examples", ExamplesSection())
        if train.half_life_days is not None and examples.train_cutoffs == 1 and not examples.at:
            rule = "has no effect: there is one training cutoff; raise examples.train_cutoffs, or remove this"
            yield self.problem("train.half_life_days", rule)

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
