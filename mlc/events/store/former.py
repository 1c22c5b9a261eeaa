"""An older store of the same tables, from before files were added to them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import polars as pl

from mlc.events.store.event_store import EventStore, opened_store
from mlc.events.store.fields import Distinct
from mlc.scenario import EventScenario, resolved
from mlc.sources import files_of, source_state

FORMAT = 4  # raise when the layout of the store's folder or the rules for its values change


@dataclass(frozen=True)
class TableSource:
    """What an events table was when a store was made of it.

    Attributes:
        states: Of each file, see `sources.source_state`.
        schema: Column → dtype.
        distinct: What was counted of it.
    """

    states: Sequence[str]
    schema: Mapping[str, str]
    distinct: Distinct

    def as_json(self) -> dict[str, Any]:
        """For `store.json`; without the times, which stand there already."""
        value = asdict(self)
        value["distinct"] = {"rows": self.distinct.rows, "values": dict(self.distinct.values)}
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "TableSource":
        """What `as_json` gave."""
        counted = value["distinct"]
        bounds = {column: (least, most) for column, (least, most) in counted["values"].items()}
        return cls(value["states"], value["schema"], Distinct(counted["rows"], bounds))


@dataclass(frozen=True)
class Former:
    """An older store, and the files that came since, all of them after its own.

    Attributes:
        store: The older store.
        sources: Events table → what it was.
        files: Events table → its files of then.
        added: Events table → the files that came since.
    """

    store: EventStore
    sources: Mapping[str, TableSource]
    files: Mapping[str, Sequence[Path]]
    added: Mapping[str, Sequence[Path]]


def section_digest(scenario: EventScenario) -> str:
    """Changes with all that a store depends on except the tables' rows.

    Stores of one digest can go on. The order of the entities is that of a hash that another Polars may
    compute otherwise.
    """
    return blake2b(f"{pl.__version__}:{data_section(scenario)}".encode(), digest_size=10).hexdigest()


def data_section(scenario: EventScenario) -> str:
    """The part of the scenario that decides what is in a store."""
    section = resolved(scenario)["data"]
    del section["memory_limit"]
    return f"{FORMAT}:{json.dumps(section)}"


def find_former(scenario: EventScenario, stores: Path) -> Former | None:
    """The store of the most files that lacks only files which come after its own.

    Dimensions and entities tables may have changed in any way.

    Args:
        scenario: Checked scenario.
        stores: The folder of all stores.
    """
    states = {name: list(source_state(scenario, name)) for name in scenario.data.events}
    candidate = max(_candidates(scenario, stores, states), key=lambda pair: _files(pair[1]), default=None)
    if candidate is None:
        return None
    folder, sources = candidate
    files = {name: files_of(scenario, name) for name in states}
    known = {name: len(source.states) for name, source in sources.items()}
    return Former(
        store=opened_store(folder),
        sources=sources,
        files={name: files[name][: known[name]] for name in files},
        added={name: files[name][known[name] :] for name in files},
    )


def _files(sources: Mapping[str, TableSource]) -> int:
    return sum(len(source.states) for source in sources.values())


def _candidates(
    scenario: EventScenario, stores: Path, states: Mapping[str, list[str]]
) -> Iterator[tuple[Path, dict[str, TableSource]]]:
    section = section_digest(scenario)
    for file in sorted(stores.glob("[!.]*/store.json")):
        described = json.loads(file.read_text())
        if described.get("section") == section:
            sources = {name: TableSource.from_json(value) for name, value in described["sources"].items()}
            if all(states[name][: len(s.states)] == list(s.states) for name, s in sources.items()):
                yield file.parent, sources
