"""`mlc demo`: generated tables with known true probabilities, and scenarios."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from mlc.commands.schema import schema
from mlc.demo import write_demo, write_rows_demo
from mlc.files.atomic import write_text
from mlc.progress import stage

Kind = Literal["shop", "text", "table", "image", "mix"]


def demo(folder: Path, kind: Kind, size: int, seed: int, say: Callable[[str], None]) -> list[Path]:
    """Write a demo project, and the schema that its scenarios name for editors.

    Args:
        folder: Where to.
        kind: What it is about.
        size: How many customers of the shop, or how many rows.
        seed: Another seed gives other data.
        say: Receives progress in lines.

    Returns:
        The scenarios.
    """
    if kind == "shop":
        stage("simulating customers")
        paths = write_demo(folder, size, seed, say)
    else:
        stage("generating rows")
        paths = write_rows_demo(folder, kind, size, seed, say)
    write_text(folder / "schema.json", schema())
    return paths
