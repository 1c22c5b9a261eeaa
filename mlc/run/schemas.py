"""The schemas of the files of a run."""

from collections.abc import Mapping
from typing import Any, TypeVar

Stored = TypeVar("Stored", bound=Mapping[str, Any])


def of_schema(stored: Stored, schema: str) -> Stored:
    """Return what a file of a run holds, if it is of a schema.

    Args:
        stored: What it holds, with `schema`.
        schema: The one that this version reads.

    Raises:
        ValueError: Another version wrote it.

    Examples:
        >>> of_schema({"schema": "mlc/trees/1", "rows": 9}, "mlc/trees/1")["rows"]
        9
    """
    if stored["schema"] != schema:
        raise ValueError(f"its schema is {stored['schema']}, not {schema}")
    return stored
