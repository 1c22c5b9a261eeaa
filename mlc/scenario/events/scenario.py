"""The scenario of an event task, checked as a whole."""

from collections.abc import Iterator
from datetime import timedelta

from mlc.errors import Problem, ScenarioError, did_you_mean, sentences
from mlc.scenario.class_names import MOST_LABELS
from mlc.scenario.events.foundation import PretrainSection
from mlc.scenario.events.model import ModelSection
from mlc.scenario.events.sampling import ExamplesSection, RandomDays
from mlc.scenario.events.target import TargetSection, TopClasses
from mlc.scenario.scenario import Scenario
from mlc.scenario.source_tables import EventTables, Image, LabelsTable, RowsTable
from mlc.scenario.train import TrainSection


class EventScenario(Scenario):
    """One question: which of these K things will each entity do in the next N days?"""

    data: EventTables
    """The tables, or the path of a YAML file that holds this section."""
    target: TargetSection
    """What is predicted."""
    examples: ExamplesSection = ExamplesSection()
    """Which entities are examples, and at which cutoffs."""
    model: ModelSection = ModelSection()
    """What the model looks at."""
    pretrain: PretrainSection = PretrainSection()
    """How `mlc pretrain` makes a foundation model; `mlc train` ignores it."""

    @classmethod
    def of(cls, scenario: Scenario, what: str) -> "EventScenario":
        """Return a scenario of events as what it is.

        Args:
            scenario: Any scenario.
            what: What needs events: `mlc pretrain`.

        Raises:
            ScenarioError: Its target is on rows.
        """
        if isinstance(scenario, EventScenario):
            return scenario
        rule = f"{scenario.target.table} is of kind rows, and {what} needs a table of kind events. Name one."
        raise ScenarioError(scenario.problem("target.table", rule))

    def contradictions(self) -> Iterator[Problem]:
        """See `Scenario.contradictions`."""
        sections = vars(self)
        if "data" in sections:
            yield from self._tables_contradictions()
        if "target" in sections:
            if "data" in sections:
                yield from self._target_contradictions()
            yield from self._labels_contradictions()
            yield from self._examples_contradictions()
        yield from self._train_contradictions()
        yield from self.foreign_baselines(("linear", "trees"), "rows")
        yield from super().contradictions()

    def _tables_contradictions(self) -> Iterator[Problem]:
        tables = self.data
        if not tables.events:
            yield self.problem("data.tables", "no table is of kind events. Add one.")
        for name, table in tables.tables.items():
            if isinstance(table, RowsTable | LabelsTable):
                rule = f"kind {table.kind} belongs to a target on rows, and target.table is no such table"
                yield self.problem(("data", "tables", name, "kind"), f"{rule}. Remove this table.")
            for column, encoder in table.encoders.items():
                if isinstance(encoder, Image):
                    rule = "pictures are read of tables of kind rows only. Remove it."
                    yield self.problem(("data", "tables", name, "encoders", column), rule)
        yield from self.joins_contradictions()

    def _target_contradictions(self) -> Iterator[Problem]:
        tables, target = self.data, self.target
        if target.table not in tables.events:
            hint = did_you_mean(target.table, tables.events)
            rule = sentences(f"{target.table} is no table of kind events", hint)
            yield self.problem("target.table", rule)
            return
        for column, field in target.columns_used().items():
            yield from self.not_joined(column, field, target.table, tables.events[target.table].joins)

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
