"""The progress of a command on a terminal: one line below all messages."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from mlc.progress import shown_on

_BAR = 12  # columns: the line fits 60
_PER_SECOND = 5


class BottomLine:
    """Stage, steps and time left; it is drawn again a few times per second.

    Args:
        stage: The first stage.
    """

    def __init__(self, stage: str) -> None:
        self._spinner = Spinner("line")
        self.stage(stage)

    def stage(self, name: str) -> None:
        """See `mlc.progress.Display`."""
        self._begun, self._first = time.monotonic(), 0
        self._name, self._steps = name, (0, 0, "")

    def advance(self, done: int, total: int, note: str) -> None:
        """See `mlc.progress.Display`."""
        if not self._steps[1]:  # the time left is that of the steps from here on
            self._begun, self._first = time.monotonic(), done
        self._steps = done, total, note

    def __rich__(self) -> Table:
        """Return the line as it is now."""
        done, total, note = self._steps
        seconds = time.monotonic() - self._begun
        cells: list[RenderableType] = [self._spinner, Text(self._name)]
        when = f"{timedelta(seconds=int(seconds))}"
        if total:
            cells += [Text(note), ProgressBar(total, done, width=_BAR)]
            steps = done - self._first
            when = f"{timedelta(seconds=int(seconds / steps * (total - done)))} left" if steps > 0 else ""
        line = Table.grid(padding=(0, 1))
        for _ in range(len(cells) + 1):
            line.add_column(no_wrap=True)
        line.add_row(*cells, Text(when))
        return line


@contextmanager
def on_terminal(stage: str) -> Iterator[None]:
    """Show the stages of the block, below what it writes to standard error."""
    line = BottomLine(stage)
    console = Console(stderr=True)
    live = Live(line, console=console, refresh_per_second=_PER_SECOND, transient=True, redirect_stdout=False)
    with live, shown_on(line):
        console.show_cursor()  # a process that is killed could not give it back
        yield
