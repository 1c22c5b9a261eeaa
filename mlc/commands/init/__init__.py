"""`mlc init`: a first scenario from tables, with the reasons as comments."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlc.commands.init.finding import find_tables
from mlc.commands.init.guess import Guess, Seen, guess_tables, look_at
from mlc.commands.init.propose import propose
from mlc.commands.init.writing import scenario_lines
from mlc.errors import MlcError
from mlc.files.atomic import write_text
from mlc.progress import stage
from mlc.scenario import load_scenario


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
    profiles = look_at(find_tables(tables))
    guess = guess_tables(profiles, entity)
    proposals = propose(guess, profiles, _data(guess, profiles))
    text = "\n".join(scenario_lines(guess, profiles, proposals, out)) + "\n"
    write_text(out, text)
    load_scenario(out)
    return text


def _data(guess: Guess, profiles: Mapping[str, Seen]) -> dict[str, Any]:
    """The data section, with absolute paths."""
    tables: dict[str, Any] = {}
    for name in guess.order:
        tables[name] = {"path": str(profiles[name].path.absolute()), **profiles[name].written}
        if name in guess.events:
            joins = {join.dimension: join.column for join in guess.events[name]}
            tables[name] |= {"kind": "events", "time": profiles[name].time, "joins": joins}
        elif name in guess.entities:
            tables[name] |= {"kind": "entities", "key": guess.entities[name][0]}
        else:
            tables[name] |= {"kind": "dimension", "key": guess.dimensions[name]}
    return {"entity": guess.entity, "tables": tables}
