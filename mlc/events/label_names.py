"""Label queries: which events count, and for which of the K labels.

`label_query` is one lazy Polars query over the target's events table: the rows for which the rule's
`where` is true, a row for each (event, label). Labels are never columns. What the events in a window make of
a target is in `targets`.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from mlc.errors import DataError, Problem, did_you_mean, sentences
from mlc.events.store import EventStore, Field
from mlc.events.timeline import Timeline, pack
from mlc.scenario import EventScenario, LabelSpec, SumAtLeast, TopClasses
from mlc.sources import number_expr, rule_expr, scan_events, text_expr
from mlc.tables import ENTITY_ID, TIME, microseconds

LABEL = "label"
ROW = "row"
VALUE = "value"
AMOUNT = "amount"
EVENTS = "events"
_EVENT = "mlc:event"  # no column of a table is called so


@dataclass(frozen=True)
class Labels:
    """The K labels and what each stands for.

    Attributes:
        names: K names, in the order of the scenario (`{top: K}`: most frequent first).
        windows_days: Length of the window of each.
        values: One row a (value, label): `value` text, `label` UInt16. A value may belong to several labels.
        conditions: Label → SQL expression that its events must meet.
    """

    names: Sequence[str]
    windows_days: Sequence[int]
    values: pl.DataFrame
    conditions: Mapping[int, str]


def value_query(scenario: EventScenario, fit_until: datetime) -> pl.LazyFrame:
    """Return `value`, `events` in all and `fitted` events up to `fit_until`."""
    fitted = (pl.col(TIME) <= fit_until).sum().alias("fitted")
    return _valued(scenario).group_by(VALUE).agg(pl.len().alias(EVENTS), fitted)


def value_counts(
    scenario: EventScenario, fit_until: datetime, store: EventStore | None = None
) -> pl.DataFrame:
    """The result of `value_query`.

    From the codes of the store where these tell, without reading a file.
    """
    field = store and _stored_field(scenario, store)
    if not store or not field:
        return value_query(scenario, fit_until).collect(engine="streaming")
    code_T = store.field_column(field)
    values = store.values(field.name)
    fitted_T = code_T[store.events.time <= microseconds(fit_until)]
    columns = {
        name: np.bincount(codes, minlength=len(values) + 1)[1:]
        for name, codes in ((EVENTS, code_T), ("fitted", fitted_T))
    }
    return pl.DataFrame({VALUE: values, **columns}).filter(pl.col(EVENTS) > 0)


def resolve_labels(
    scenario: EventScenario, counts: pl.DataFrame, trained: Sequence[str] | None = None
) -> Labels:
    """The labels of a scenario: listed, grouped, or the most frequent in training.

    Args:
        scenario: Checked scenario.
        counts: From `value_counts`.
        trained: The labels that a model knows: they stay as they are, whatever the tables now hold.

    Raises:
        DataError: Class names that never occur, all at once, each with the nearest ones.
    """
    if trained is None and not counts.height:
        column = ", ".join(scenario.target.column)
        rule = f"no event has a value in {column}. Check where and joins."
        raise DataError(scenario.problem("target.column", rule))
    known = counts[VALUE].to_list()
    specs = scenario.target.specs or _frequent(scenario, counts, trained)
    if trained is None:
        problems = list(_unknown_values(scenario, specs, known))
        if problems:
            raise DataError(problems)
    names: list[str] = []
    windows: list[int] = []
    pairs: list[tuple[str, int]] = []
    conditions: dict[int, str] = {}
    for base, spec in specs.items():
        values = _values_of(spec, known)
        for name, days in scenario.target.heads(base, spec):
            pairs += [(value, len(names)) for value in values]
            if spec.where is not None:
                conditions[len(names)] = spec.where
            names.append(name)
            windows.append(days)
    frame = pl.DataFrame(pairs, schema={VALUE: pl.String, LABEL: pl.UInt16}, orient="row")
    return Labels(names, windows, frame, conditions)


def _frequent(
    scenario: EventScenario, counts: pl.DataFrame, trained: Sequence[str] | None
) -> Mapping[str, LabelSpec]:
    """The labels of `{top: K}`: the most frequent values, or those that a model knows."""
    target, classes = scenario.target, scenario.target.class_names
    assert isinstance(classes, TopClasses)
    if trained is not None:
        # Each value gave a name for each window: "Dress 7d", "Dress 21d".
        ending = f" {target.windows[0]}d" if isinstance(target.window_days, list) else ""
        values = [name.removesuffix(ending) for name in trained[:: len(target.windows)]]
    else:
        enough = counts.filter(pl.col("fitted") >= classes.min_support)
        ranked = enough.sort(["fitted", VALUE], descending=[True, False])
        values = ranked[VALUE].head(classes.top).to_list()
    if not values:
        rule = f"no value has {classes.min_support} events in training. Lower min_support."
        raise DataError(scenario.problem("target.class_names", rule))
    return {value: LabelSpec(values=[value]) for value in values}


def _values_of(spec: LabelSpec, known: Sequence[str]) -> list[str]:
    """Return the values of a label: those listed, and those that fit its pattern."""
    matches = [value for value in known if spec.pattern is not None and re.search(spec.pattern, value)]
    return list(dict.fromkeys([*(spec.values or ()), *sorted(matches)]))


def _unknown_values(
    scenario: EventScenario, specs: Mapping[str, LabelSpec], known: Sequence[str]
) -> Iterator[Problem]:
    occurring = set(known)
    column = ", ".join(scenario.target.column)
    for index, (name, spec) in enumerate(specs.items()):
        field = ("target", "class_names", index if isinstance(scenario.target.class_names, list) else name)
        for value in spec.values or ():
            if value not in occurring:
                plain = re.sub(r"^0+(?=[0-9])", "", value)
                hint = _pattern_hint(value, known) or did_you_mean(value, occurring)
                if plain != value and plain in occurring:
                    name = column.rsplit(".", 1)[-1]
                    hint = f"the column is read as numbers; add types: {{{name}: text}} to its table"
                yield scenario.problem(field, sentences(f"{value!r} never occurs in {column}", hint))
        if spec.pattern is not None and not spec.values and not _values_of(spec, known):
            rule = f"no value of {column} has {spec.pattern}"
            yield scenario.problem((*field, "pattern"), rule)


def _pattern_hint(value: str, known: Sequence[str]) -> str:
    """Return advice on values that never occur but match as regular expressions."""
    if re.escape(value) == value:
        return ""
    try:
        matches = any(re.search(value, one) for one in known)
    except re.error:
        return ""
    return (
        f"for a regular expression, use {{pattern: {json.dumps(value, ensure_ascii=False)}}}"
        if matches
        else ""
    )


# ── queries ─────────────────────────────────────────────────────────────────────────────────────


def label_query(scenario: EventScenario, labels: Labels) -> pl.LazyFrame:
    """Select the events that count: `entity_id`, `time`, `label`, maybe `amount`.

    There is an `amount` if the rule adds one up. An event gives one row for each label that one of its values
    belongs to, and no more.
    """
    frame = _valued(scenario).join(labels.values.lazy(), on=VALUE, how="inner", maintain_order="left")
    for label, where in labels.conditions.items():
        frame = frame.filter((pl.col(LABEL) != label) | rule_expr(scenario, where))
    if _several_values(scenario):  # a second value of the same label is not a second event
        frame = frame.unique([_EVENT, LABEL], keep="first", maintain_order=True)
    rule = scenario.target.rule
    amount = []
    if isinstance(rule, SumAtLeast):  # a missing number adds nothing
        number = number_expr(pl.col(rule.column), frame.collect_schema()[rule.column])
        amount = [number.cast(pl.Float64).fill_null(0.0).alias(AMOUNT)]
    return frame.select(ENTITY_ID, TIME, LABEL, *amount)


def _valued(scenario: EventScenario) -> pl.LazyFrame:
    """The events that count, a row for each value of the target's columns.

    Events without one are left out. All joined columns are there; Polars reads only those that are used.
    """
    frame = scan_events(scenario, scenario.target.table)
    where = scenario.target.rule.where
    if where is not None:
        frame = frame.filter(rule_expr(scenario, where))
    if _several_values(scenario):
        frame = frame.with_row_index(_EVENT)
    parts = [_one_column(scenario, frame, column) for column in scenario.target.column]
    return parts[0] if len(parts) == 1 else pl.concat(parts)


def _one_column(scenario: EventScenario, frame: pl.LazyFrame, column: str) -> pl.LazyFrame:
    value, dtype = pl.col(column), frame.collect_schema()[column]
    if dtype.is_nested():
        frame = frame.with_columns(value.cast(pl.List(pl.String)).alias(VALUE)).explode(VALUE)
    elif scenario.target.separator is not None:
        parts = value.cast(pl.String).str.split(scenario.target.separator)
        frame = frame.with_columns(parts.alias(VALUE)).explode(VALUE)
        frame = frame.with_columns(pl.col(VALUE).str.strip_chars())
    else:
        frame = frame.with_columns(value.cast(pl.String).alias(VALUE))
    return frame.with_columns(text_expr(pl.col(VALUE)).alias(VALUE)).filter(pl.col(VALUE).is_not_null())


def _several_values(scenario: EventScenario) -> bool:
    """Whether one event may have more than one value."""
    target = scenario.target
    if len(target.column) > 1 or target.separator is not None:
        return True
    return scan_events(scenario, target.table).collect_schema()[target.column[0]].is_nested()


def label_line(scenario: EventScenario, labels: Labels, store: EventStore) -> Timeline:
    """The label events by entity, by time.

    Column `label` UInt16, and `amount` where the rule needs it.
    """
    stored = _stored_line(scenario, labels, store)
    if stored is not None:
        return stored
    rows = pl.DataFrame({ENTITY_ID: store.entity_ids}).with_row_index(ROW).lazy()
    query = label_query(scenario, labels).join(rows, on=ENTITY_ID, how="inner")
    events = query.with_columns(pl.col(TIME).cast(pl.Int64)).drop(ENTITY_ID).collect(engine="streaming")
    columns = {name: events[name].to_numpy() for name in events.columns if name not in (ROW, TIME)}
    return pack(events[ROW].to_numpy(), events[TIME].to_numpy(), len(store.entity_ids), columns)


def _stored_field(scenario: EventScenario, store: EventStore) -> Field | None:
    """The category of the store that holds the values of the events that count.

    It is None where none does. One does when every event of its table counts, has one value, and no other
    table has rows of it.
    """
    target = scenario.target
    if target.rule.where is not None or _several_values(scenario):
        return None
    column = target.column[0]
    owner = column.split(".", 1)[0] if "." in column else ""
    if owner and sum(owner in table.joins for table in scenario.data.events.values()) > 1:
        return None  # events of another table have rows of this dimension too
    name = column if owner else f"{target.table}.{column}"
    return next((f for f in store.event_fields if f.name == name and f.kind == "category"), None)


def _stored_line(scenario: EventScenario, labels: Labels, store: EventStore) -> Timeline | None:
    """The same from the codes of the event store, without reading a file.

    It is None where these do not tell. They tell when each value has one label, and nothing but the value
    decides.
    """
    field = _stored_field(scenario, store)
    several = labels.values[VALUE].is_duplicated().any()
    if field is None or several or labels.conditions or isinstance(scenario.target.rule, SumAtLeast):
        return None
    label_of = dict(labels.values.iter_rows())
    known = len(labels.names)
    label_C = np.array([known, *(label_of.get(v, known) for v in store.values(field.name))], dtype=np.uint16)
    label_T = label_C[store.field_column(field)]
    places = np.flatnonzero(label_T < known)
    offsets = np.searchsorted(places, store.events.offsets)
    return Timeline(offsets, store.events.time[places], {LABEL: label_T[places]})
