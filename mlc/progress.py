"""What a command is working on: its stages, and how far it is.

The work reports here and does not know who listens; without a listener nothing happens, as with logging.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class Display(Protocol):
    """Shows the progress of a command."""

    def stage(self, name: str) -> None:
        """Show that a stage begins."""

    def advance(self, done: int, total: int, note: str) -> None:
        """Show how many steps of the stage are done."""


_display: ContextVar[Display | None] = ContextVar("display", default=None)


@contextmanager
def shown_on(display: Display) -> Iterator[None]:
    """Show progress on a display, for the length of the block."""
    token = _display.set(display)
    try:
        yield
    finally:
        _display.reset(token)


def stage(name: str) -> None:
    """Report that a stage begins, such as `reading tables`."""
    display = _display.get()
    if display is not None:
        display.stage(name)


def advance(done: int, total: int, note: str = "") -> None:
    """Report how many steps of the stage are done."""
    display = _display.get()
    if display is not None:
        display.advance(done, total, note)
