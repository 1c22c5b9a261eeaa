"""Where the fields of a scenario were written."""

from dataclasses import dataclass
from pathlib import Path

Keys = tuple[str | int, ...]
"""Path of a field: `("target", "class_names", 3)`."""

Places = dict[Keys, str]
"""Path of a field → `file:line`, or `--set key=value`."""


@dataclass(frozen=True)
class Origin:
    """Where the fields of a scenario were written.

    Attributes:
        path: The scenario file.
        text: Its text, as given.
        places: Path of keys → `file:line`, or `--set key=value`.
        base: The folder that the paths of the tables are relative to, absolute.
    """

    path: Path
    text: str
    places: Places
    base: Path

    def place(self, keys: Keys) -> str:
        """`file:line` of the field, or of the nearest mapping around it."""
        while keys and keys not in self.places:
            keys = keys[:-1]
        return self.places.get(keys, str(self.path))


def dotted(keys: Keys) -> str:
    """The path of a field as people write it.

    Examples:
        >>> dotted(("target", "class_names", 3))
        'target.class_names.3'
    """
    return ".".join(str(key) for key in keys)
