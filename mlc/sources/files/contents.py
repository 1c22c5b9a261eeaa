"""What the files of a table hold, whatever their names and times are."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlc.scenario import Arrow, Csv, Ndjson, Parquet, Scenario
from mlc.sources.files.partitions import fixed_folder, folder_values
from mlc.sources.reading import files_of, format_of, source_state


@dataclass(frozen=True)
class Source:
    """A part of a table: a file; the whole of it where a database or a lake holds it.

    Attributes:
        name: The path of the file; empty for a query.
        state: Changes when the content may have changed, see `source_state`.
        content: Changes with the content.
    """

    name: str
    state: str
    content: str


def sources_of(scenario: Scenario, name: str, known: Mapping[str, str]) -> Iterator[Source]:
    """The parts of a table, in the order in which they are read.

    Args:
        scenario: Checked scenario.
        name: A table.
        known: State → content, as far as it was found before: such a file is not read again.

    Raises:
        DataError: There is no such file.
    """
    table, files = scenario.data.tables[name], files_of(scenario, name)
    plain = isinstance(format_of(table, files), Parquet | Csv | Arrow | Ndjson)
    for index, state in enumerate(source_state(scenario, name)):
        file = files[index] if index < len(files) else None
        content = known.get(state)
        if content is None:
            content = _content(file) if plain and file is not None and file.is_file() else state
        if plain and file is not None and table.path is not None:
            held = str(folder_values(file, fixed_folder(scenario.path(table.path))) or "")
            content += "" if content.endswith(held) else held
        yield Source(str(file or ""), state, content)


def _content(file: Path) -> str:
    """Size and digest of a file."""
    with file.open("rb") as stream:
        return f"{file.stat().st_size}:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
