"""Text that cannot break a terminal or Markdown, and tables in Markdown."""

import re
from collections.abc import Sequence

Row = tuple[str, ...]


_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What moves the cursor, changes colours or turns the direction of writing; not tab and line feed."""


def visible(text: str) -> str:
    r"""Return text whose control characters are written out, as in JSON.

    Examples:
        >>> print(visible("\x1b[31mred"))
        \u001b[31mred
    """
    return _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def one_line(text: str) -> str:
    """Return text without line breaks, runs of blanks and control characters."""
    return visible(" ".join(text.split()))


def escaped(text: str) -> str:
    r"""Return text that Markdown shows as it is, also inside a table.

    Examples:
        >>> print(escaped("a|b *c*"))
        a\|b \*c\*
    """
    marks = r"[\\|*`<\[~]|(?<!\w)_|_(?!\w)|&(?=#?\w+;)"
    return re.sub(rf"({marks})", r"\\\1", one_line(text))


def markdown_table(header: Row, rows: Sequence[Row]) -> list[str]:
    """Return a table in Markdown: names on the left, numbers on the right.

    Examples:
        >>> markdown_table(("label", "AP"), [("Dress", ".3")])
        ['| label | AP |', '| --- | ---: |', '| Dress | .3 |']
    """
    rule = ("---", *["---:"] * (len(header) - 1))
    return [f"| {' | '.join(row)} |" for row in [header, rule, *(tuple(map(escaped, row)) for row in rows)]]
