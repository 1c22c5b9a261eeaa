"""Scenarios of events, as what they are."""

from collections.abc import Sequence
from pathlib import Path

from mlc.scenario import EventScenario, load_scenario


def load_events(path: Path, overrides: Sequence[str] = (), *, tables_suffice: bool = False) -> EventScenario:
    """See `mlc.scenario.load_scenario`."""
    return EventScenario.of(load_scenario(path, overrides, tables_suffice=tables_suffice), "this test")
