"""Tables that a run is used on in place of its own.

What `--data` and `--set data.…` say.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlc.errors import MlcError, Problem
from mlc.scenario import without_passwords


@dataclass(frozen=True)
class OtherTables:
    """What replaces the `data` section of a run's scenario, or fields of it.

    The columns stay the same.

    Attributes:
        file: A YAML file with a data section; its paths are relative to its own folder.
        overrides: `data.field=value` texts.

    Raises:
        MlcError: There is no such file, or a text names a field outside `data`.
    """

    file: Path | None = None
    overrides: Sequence[str] = ()

    def __post_init__(self) -> None:
        problems = [
            Problem(
                "a trained run can have other tables (data.…), not other settings. Train again for those.",
                "",
                f"--set {without_passwords(text)}",
            )
            for text in self.overrides
            if text.partition("=")[0].strip().partition(".")[0] != "data"
        ]
        if self.file is not None and not self.file.is_file():
            rule = "no such file. Name a YAML file that holds a data section: entity and tables."
            problems.append(Problem(rule, "", f"--data {self.file}"))
        if problems:
            raise MlcError(problems)

    @property
    def all_overrides(self) -> list[str]:
        """File and fields as overrides of a scenario."""
        file = [] if self.file is None else [f"data={json.dumps(str(self.file.absolute()))}"]
        return [*file, *self.overrides]


OWN_TABLES = OtherTables()
"""A run is used on the tables of its own scenario."""
