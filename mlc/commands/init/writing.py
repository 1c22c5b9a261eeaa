"""The scenario file that `mlc init` writes."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl

from mlc.commands.init.guess import Guess, Seen
from mlc.commands.init.propose import Proposal
from mlc.commands.init.target_lines import examples_lines, target_lines
from mlc.commands.init.texts import text_lines
from mlc.commands.init.yaml_text import one_line, scalar
from mlc.scenario import default_name


def scenario_lines(
    guess: Guess, profiles: Mapping[str, Seen], proposals: list[Proposal], out: Path
) -> Iterator[str]:
    """Write the file, with the reason for each guess as a comment.

    Args:
        guess: What the tables are.
        profiles: The tables.
        proposals: Targets, the best first.
        out: Where the file will be; paths are relative to it.
    """
    yield "# A first scenario, guessed by mlc init from the tables. Read it, change what is wrong, then run:"
    yield f"#   mlc check {out.name}"
    yield f"name: {_name(out, proposals[0])}"
    yield "data:"
    yield from _entity_lines(guess, profiles)
    yield "  tables:"
    for name in guess.order:
        yield f"    {name}:"
        yield from (f"      {line}" for line in _table_lines(guess, profiles, name, out))
    for remark in guess.remarks:
        yield f"  # {one_line(remark)}"
    yield from target_lines(proposals)
    yield from examples_lines(proposals[0])
    yield "model:"
    yield "  foundation: auto   # first learns from all events, once for these tables; faster without"


def _entity_lines(guess: Guess, profiles: Mapping[str, Seen]) -> Iterator[str]:
    table = profiles[next(iter(guess.events))]
    column = table.columns[guess.entity]
    yield (
        f"  entity: {scalar(guess.entity)}   "
        f"# {column.distinct:,} different ones in {table.rows:,} rows of {table.name}"
    )
    if column.nulls:
        yield f"  # {column.nulls:,} rows of {table.name} have no {guess.entity} and are left out"
    if guess.other_entities:
        others = [f"{c.column} ({c.distinct:,} in {c.table})" for c in guess.other_entities[:3]]
        yield f"  # or, with --entity: {one_line(', '.join(others))}"


def _table_lines(guess: Guess, profiles: Mapping[str, Seen], name: str, out: Path) -> Iterator[str]:
    table = profiles[name]
    path = f"path: {scalar(_relative(table.path, out))}"
    if name in guess.entities:
        key, matched = guess.entities[name]
        total = profiles[next(iter(guess.events))].columns[guess.entity].distinct
        yield f"kind: entities   # {table.rows:,} rows, each with another {one_line(key)}"
        yield path
        yield from text_lines(table.written)
        yield f"key: {scalar(key)}   # {matched:,} of {total:,} entities have a row"
        return
    if name in guess.dimensions:
        key = guess.dimensions[name]
        yield f"kind: dimension   # {table.rows:,} rows, each with another {one_line(key)}"
        yield path
        yield from text_lines(table.written)
        yield f"key: {scalar(key)}"
        return
    yield f"kind: events   # {table.rows:,} rows, with a time, {one_line(guess.entity)} repeats"
    yield path
    yield from text_lines(table.written)
    times = [c.name for c in table.columns.values() if c.is_time and c.name != table.time]
    others = f"   # or: {one_line(', '.join(times))}" if times else ""
    yield f"time: {scalar(table.time or '')}{others}"
    yield from _doubtful_times(table)
    for column in _returns(table):
        yield f"# where: {column[0]} > 0   # {column[1]:,} rows are below 0: returns?"
    if guess.events[name]:
        yield "joins:"
    for join in guess.events[name]:
        how = f", by values: its key is {join.key}" if join.by_values else ""
        comment = f"{join.matched:,} of {table.rows:,} events match{how}"
        yield f"  {join.dimension}: {scalar(join.column)}   # {one_line(comment)}"


def _doubtful_times(table: Seen) -> Iterator[str]:
    """Other types that read the same text as other moments."""
    for column, readings in table.times.items():
        for reading in readings[1:]:
            doubt = "the values do not say which"
            yield f"# or types: {{{one_line(column)}: {one_line(reading.yaml)}}}   # {doubt}"


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


def _relative(path: Path, out: Path) -> str:
    if "://" in str(path):
        return str(path)
    return Path(os.path.relpath(path.absolute(), out.absolute().parent)).as_posix()


def _name(out: Path, best: Proposal) -> str:
    """The name of the file or its folder; of what is predicted where both say nothing."""
    name = default_name(out)
    if name == "scenario":
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", best.column).strip("._-") or name
    return scalar(name)
