"""`mlc init`: a first scenario from tables, with the reasons as comments."""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from mlc.atomic import write_text
from mlc.commands.init.finding import find_tables
from mlc.commands.init.guess import Guess, Seen, guess_tables, look_at
from mlc.commands.init.propose import Proposal, propose
from mlc.commands.init.texts import text_lines
from mlc.errors import MlcError
from mlc.progress import stage
from mlc.scenario import default_name, load_scenario

_MOST_LABELS = 12
_WORDS = {"null", "true", "false", "yes", "no", "on", "off"}


def init(tables: Sequence[Path], entity: str | None, out: Path) -> str:
    """Guess a scenario and write it.

    Args:
        tables: Files, folders or globs; a folder or glob may hold several tables.
        entity: The entity's column; guessed where None.
        out: The file to write; must not exist.

    Returns:
        The text that was written.

    Raises:
        MlcError: The file exists, a table cannot be read, or the tables give nothing to predict.
    """
    if out.exists():
        raise MlcError(f"--out {out}: is there already. Choose another name, or remove it.")
    stage("reading tables")
    seen = look_at(find_tables(tables))
    guess = guess_tables(seen, entity)
    proposals = propose(guess, seen, _data(guess, seen))
    text = "\n".join(_lines(guess, seen, proposals, out)) + "\n"
    write_text(out, text)
    load_scenario(out)
    return text


def _data(guess: Guess, seen: Mapping[str, Seen]) -> dict[str, Any]:
    """The data section, with absolute paths."""
    tables: dict[str, Any] = {}
    for name in _order(guess):
        tables[name] = {"path": str(seen[name].path.absolute()), **seen[name].written}
        if name in guess.events:
            joins = {join.dimension: join.column for join in guess.events[name]}
            tables[name] |= {"kind": "events", "time": seen[name].time, "joins": joins}
        elif name in guess.entities:
            tables[name] |= {"kind": "entities", "key": guess.entities[name][0]}
        else:
            tables[name] |= {"kind": "dimension", "key": guess.dimensions[name]}
    return {"entity": guess.entity, "tables": tables}


def _order(guess: Guess) -> list[str]:
    return [*guess.events, *guess.dimensions, *guess.entities]


# ── the file ────────────────────────────────────────────────────────────────────────────────────


def _lines(guess: Guess, seen: Mapping[str, Seen], proposals: list[Proposal], out: Path) -> Iterator[str]:
    yield "# A first scenario, guessed by mlc init from the tables. Read it, change what is wrong, then run:"
    yield f"#   mlc check {out.name}"
    yield f"name: {_name(out, proposals[0])}"
    yield "data:"
    yield from _entity_lines(guess, seen)
    yield "  tables:"
    for name in _order(guess):
        yield f"    {name}:"
        yield from (f"      {line}" for line in _table_lines(guess, seen, name, out))
    for remark in guess.remarks:
        yield f"  # {_one_line(remark)}"
    yield from _target_lines(proposals)
    yield from _examples_lines(proposals[0])
    yield "model:"
    yield "  foundation: auto   # first learns from all events, once for these tables; faster without"


def _entity_lines(guess: Guess, seen: Mapping[str, Seen]) -> Iterator[str]:
    table = seen[next(iter(guess.events))]
    column = table.columns[guess.entity]
    yield (
        f"  entity: {_scalar(guess.entity)}   "
        f"# {column.distinct:,} different ones in {table.rows:,} rows of {table.name}"
    )
    if column.nulls:
        yield f"  # {column.nulls:,} rows of {table.name} have no {guess.entity} and are left out"
    if guess.other_entities:
        others = [f"{c.column} ({c.distinct:,} in {c.table})" for c in guess.other_entities[:3]]
        yield f"  # or, with --entity: {_one_line(', '.join(others))}"


def _table_lines(guess: Guess, seen: Mapping[str, Seen], name: str, out: Path) -> Iterator[str]:
    table = seen[name]
    path = f"path: {_scalar(_relative(table.path, out))}"
    if name in guess.entities:
        key, matched = guess.entities[name]
        total = seen[next(iter(guess.events))].columns[guess.entity].distinct
        yield f"kind: entities   # {table.rows:,} rows, each with another {_one_line(key)}"
        yield path
        yield from text_lines(table.written)
        yield f"key: {_scalar(key)}   # {matched:,} of {total:,} entities have a row"
        return
    if name in guess.dimensions:
        key = guess.dimensions[name]
        yield f"kind: dimension   # {table.rows:,} rows, each with another {_one_line(key)}"
        yield path
        yield from text_lines(table.written)
        yield f"key: {_scalar(key)}"
        return
    yield f"kind: events   # {table.rows:,} rows, with a time, {_one_line(guess.entity)} stands several times"
    yield path
    yield from text_lines(table.written)
    times = [c.name for c in table.columns.values() if c.is_time and c.name != table.time]
    others = f"   # or: {_one_line(', '.join(times))}" if times else ""
    yield f"time: {_scalar(table.time or '')}{others}"
    yield from _doubtful_times(table)
    for column in _returns(table):
        yield f"# where: {column[0]} > 0   # {column[1]:,} rows are below 0: returns?"
    if guess.events[name]:
        yield "joins:"
    for join in guess.events[name]:
        how = f", by values: its key is {join.key}" if join.by_values else ""
        told = f"{join.matched:,} of {table.rows:,} events match{how}"
        yield f"  {join.dimension}: {_scalar(join.column)}   # {_one_line(told)}"


def _doubtful_times(table: Seen) -> Iterator[str]:
    """Other types that read the same text as other moments."""
    for column, found in table.times.items():
        for reading in found[1:]:
            doubt = "the values do not say which"
            yield f"# or types: {{{_one_line(column)}: {_one_line(reading.yaml)}}}   # {doubt}"


def _returns(table: Seen) -> list[tuple[str, int]]:
    """Quantities that are sometimes negative."""
    schema = table.frame.collect_schema()
    named = [
        c for c, dtype in schema.items() if dtype.is_numeric() and re.fullmatch(r"\w*(quantity|qty)\w*", c)
    ]
    if not named:
        return []
    row = table.frame.select((pl.col(c) < 0).sum() for c in named).collect(engine="streaming").row(0)
    return [(c, count) for c, count in zip(named, row, strict=True) if count]


def _target_lines(proposals: list[Proposal]) -> Iterator[str]:
    best = proposals[0]
    labels = best.labels[:_MOST_LABELS]
    yield "target:"
    yield f"  table: {best.table}"
    yield f"  column: {_scalar(best.column)}   # {len(best.labels)} values with enough support"
    if best.codes:
        codes = _one_line(", ".join(best.codes))
        yield f"  # chosen since people read it: {codes} has the same labels as codes"
    for other in proposals[1:5]:
        yield f"  # or {_one_line(other.column)} of {other.table}: {_shown(other)}"
    yield (
        f"  class_names:   # entities that have it in the last window, of {best.examples:,}; "
        "the most frequent in training first"
    )
    for label in labels:
        share = label.positives / max(1, best.examples)
        yield f"    - {_scalar(label.name)}   # {label.positives:,} ({share:.1%})"
    if len(best.labels) > len(labels):
        rest = [label.name for label in best.labels[_MOST_LABELS : _MOST_LABELS + 12]]
        yield f"  # further ones: {_one_line(', '.join(rest))}"
        yield f"  # or the most frequent ones: class_names: {{top: {min(25, len(best.labels))}}}"
    if best.skipped:
        yield f"  # left out, since they say little: {_one_line(', '.join(best.skipped))}"
    yield f"  window_days: {best.window_days}{_window_reason(best)}"


def _window_reason(best: Proposal) -> str:
    days = (best.span.complete - best.span.first).days + 1
    if best.window_days == 28:
        return f"   # four weeks; the tables cover {days:,} days, three windows are the least"
    return f"   # the tables cover only {days:,} days: training, validation and test take a window each"


def _shown(proposal: Proposal) -> str:
    names = [label.name for label in proposal.labels[:4]]
    more = f", … ({len(proposal.labels)} values)" if len(proposal.labels) > 4 else ""
    return _one_line(", ".join(names)) + more


def _examples_lines(best: Proposal) -> Iterator[str]:
    span = best.span
    until = span.observed_until
    if until is not None:
        yield "examples:"
        yield (
            f"  observed_until: {until}   # {best.table} ends on {span.last}, "
            f"but after {span.complete} days are missing or partial"
        )
    for first, last in span.gaps[:4]:
        yield f"# {best.table} has hardly an event from {first} to {last}"


# ── YAML ────────────────────────────────────────────────────────────────────────────────────────


def _relative(path: Path, out: Path) -> str:
    if "://" in str(path):
        return str(path)
    return Path(os.path.relpath(path.absolute(), out.absolute().parent)).as_posix()


def _name(out: Path, best: Proposal) -> str:
    """The name of the file or its folder; of what is predicted where both say nothing."""
    name = default_name(out)
    if name == "scenario":
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", best.column).strip("._-") or name
    return _scalar(name)


def _scalar(text: str) -> str:
    """A text as YAML: plain where it can only be read as that text, quoted elsewhere."""
    if re.fullmatch(r"(\.\./)*[A-Za-z_][\w./-]*( [\w./&-]+)*", text, re.ASCII) and text.lower() not in _WORDS:
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())


def _one_line(text: str) -> str:
    """A comment must not end before its line does."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
