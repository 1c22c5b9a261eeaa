"""The scenario of a task on rows, checked as a whole."""

from collections.abc import Iterator

from mlc.errors import Problem, did_you_mean, sentences
from mlc.scenario.class_names import MOST_LABELS
from mlc.scenario.rows.model import RowModel
from mlc.scenario.rows.splits import RowExamples
from mlc.scenario.rows.target import FrequentClasses, RowTarget
from mlc.scenario.scenario import Scenario
from mlc.scenario.source_tables import DimensionTable, LabelsTable, RowsTable, Tables


class RowScenario(Scenario):
    """One question: which of these K labels does each row have?"""

    data: Tables
    """The tables, or the path of a YAML file that holds this section."""
    target: RowTarget
    """What is predicted."""
    examples: RowExamples = RowExamples()
    """Which rows are examples, and how they are split."""
    model: RowModel = RowModel()
    """What the model consists of, and how it reads its inputs."""

    @property
    def table(self) -> RowsTable:
        """The table that is classified."""
        return self.data.rows[self.target.table]

    def contradictions(self) -> Iterator[Problem]:
        """See `Scenario.contradictions`."""
        sections = vars(self)
        if "data" in sections:
            yield from self._tables_contradictions()
            if "target" in sections and self.target.table not in self.data.rows:
                hint = did_you_mean(self.target.table, self.data.rows)
                rule = sentences(f"{self.target.table} is no table of kind rows", hint)
                yield self.problem("target.table", rule)
            elif "target" in sections:
                yield from self._target_contradictions()
                yield from self._split_contradictions()
        yield from self.foreign_baselines(("frequency", "recency"), "events")
        yield from super().contradictions()

    def _tables_contradictions(self) -> Iterator[Problem]:
        for name, table in self.data.tables.items():
            field = ("data", "tables", name, "kind")
            if not isinstance(table, RowsTable | DimensionTable | LabelsTable):
                rule = f"kind {table.kind} belongs to a target on events, and target.table is of kind rows"
                yield self.problem(field, f"{rule}. Remove this table.")
            elif isinstance(table, RowsTable) and name != self._rows_of_target(name):
                yield self.problem(
                    field, f"only target.table, {self.target.table}, may be of kind rows. Use dimension."
                )
            elif isinstance(table, LabelsTable) and "target" in vars(self) and not self._names_labels(name):
                yield self.problem(field, f"target.column does not name this table. Write column: {name}.…")
        yield from self.joins_contradictions()

    def _rows_of_target(self, name: str) -> str:
        """Return the table of rows that is classified; `name` where no target says which."""
        table = self.target.table if "target" in vars(self) else name
        return table if table in self.data.rows else name

    def _names_labels(self, name: str) -> bool:
        column = self.target.column
        return column is not None and column.split(".", 1)[0] == name

    def _target_contradictions(self) -> Iterator[Problem]:
        target, table = self.target, self.table
        if target.column is not None:
            joined = {**table.joins, **self.data.labels}
            yield from self.not_joined(target.column, "target.column", target.table, joined)
            if self._names_labels(target.column.split(".", 1)[0]) and "." in target.column:
                owner = target.column.split(".", 1)[0]
                if owner in self.data.labels and table.key is None:
                    rule = f"this field is required, since the labels in {owner} name the rows by it"
                    yield self.problem(("data", "tables", target.table, "key"), f"{rule}. Name the column.")
        names = target.names or []
        if len(names) > MOST_LABELS:
            rule = f"at most {MOST_LABELS:,} labels, and these are {len(names):,}. Use fewer."
            yield self.problem("target.class_names", rule)
        if (
            target.true_probabilities
            and target.columns is None
            and isinstance(target.class_names, FrequentClasses)
        ):
            rule = "needs the list of class_names, not the frequent ones. List them, or remove this."
            yield self.problem("target.true_probabilities", rule)

    def _split_contradictions(self) -> Iterator[Problem]:
        split = self.examples.split if "examples" in vars(self) else None
        if split is not None and split.test_from is not None and split.validation_from is not None:
            if self.table.time is None:
                hint = f"Add time: … to {self.target.table}."
                yield self.problem("examples.split.test_from", f"no column says when a row was made. {hint}")
            if (split.validation_from.tzinfo is None) != (split.test_from.tzinfo is None):
                rule = "one of validation_from and test_from has a time zone. Give both one, or none."
                yield self.problem("examples.split.test_from", rule)
            elif split.validation_from >= split.test_from:
                yield self.problem(
                    "examples.split.test_from", "must lie after validation_from. Move one of them."
                )
