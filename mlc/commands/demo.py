"""`mlc demo`: generated tables with known true probabilities, and scenarios."""

from collections.abc import Callable
from pathlib import Path

from mlc.atomic import write_text
from mlc.commands.schema import schema
from mlc.demo import write_demo
from mlc.progress import stage


def demo(folder: Path, customers: int, seed: int, say: Callable[[str], None]) -> list[Path]:
    """Write a demo project, and the schema that its scenarios name for editors.

    Args:
        folder: Where to.
        customers: How many customers.
        seed: Another seed gives other customers.
        say: Receives progress in lines.

    Returns:
        The scenarios.
    """
    stage("simulating customers")
    paths = list(write_demo(folder, customers, seed, say))
    write_text(folder / "schema.json", schema())
    return paths
