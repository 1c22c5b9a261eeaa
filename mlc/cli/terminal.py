"""Results on a terminal: sections that fit its width, with few colours.

Pipes, CI and `NO_COLOR` get plain lines without control characters.
"""

import os
import re
import sys
from collections.abc import Iterable
from typing import TextIO

from rich.console import Console
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from mlc.drawing.sections import Code, Notes, Section, Table
from mlc.drawing.text_tables import one_line, visible

_PIPE_WIDTH = 100
_LEAST_NAME = 8  # letters of a label that are always shown
_GAP = 2
_MEANINGS = (
    (re.compile(r"\b(WORSE|FAILED)\b"), "bold red"),
    (re.compile(r"\b(Better|passed|trusted)\b"), "green"),
    (re.compile(r"\b([Ww]arnings?|weak|not evaluable|missed|never)\b"), "yellow"),
)


def print_sections(sections: Iterable[Section], file: TextIO | None = None, width: int | None = None) -> None:
    """Print sections; drawings are left to pages.

    Args:
        sections: What to print.
        file: Where to; standard output by default.
        width: Columns; by default those of the terminal, and 100 where there is none.
    """
    console = _console(file or sys.stdout, width)
    for at, section in enumerate(sections):
        if at:
            console.print()
        if section.title:
            console.print(Text(one_line(section.title), style="bold"))
        if section.lead:
            console.print(_coloured(section.lead))
        for block in section.content:
            match block:
                case Table() if block.rows:
                    console.print(Padding(_grid(block, console.width - _GAP), (0, 0, 0, _GAP), expand=False))
                case Notes():
                    for sentence in block.sentences:
                        console.print(_coloured(sentence))
                case Code(text=text):
                    console.print(Text(visible(text)), soft_wrap=True)


def _console(file: TextIO, width: int | None) -> Console:
    plain = not file.isatty() or bool(os.environ.get("NO_COLOR"))
    if width is None and not file.isatty():
        width = _PIPE_WIDTH
    return Console(file=file, width=width, color_system=None if plain else "auto", highlight=False)


def _coloured(sentence: str) -> Text:
    text = Text(one_line(sentence))
    for pattern, style in _MEANINGS:
        text.highlight_regex(pattern, style)
    return text


def _grid(table: Table, width: int) -> Grid:
    """Leave out optional columns until a table fits, then shorten texts."""
    cells = [[_coloured(cell) for cell in row] for row in [table.header, *table.rows]]
    lengths = [max(len(row[at]) for row in cells) for at in range(len(table.header))]
    columns = list(range(len(lengths)))
    for at in table.optional:
        if sum(lengths[one] + _GAP for one in columns) - _GAP <= width:
            break
        columns.remove(at)
    grid = Grid(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
    for at in columns:
        text = at < table.texts
        grid.add_column(
            cells[0][at],
            justify="left" if text else "right",
            no_wrap=not text or table.texts == 1,
            min_width=min(_LEAST_NAME, lengths[at]) if text else lengths[at],
        )
    for row in cells[1:]:
        grid.add_row(*(row[at] for at in columns))
    return grid
