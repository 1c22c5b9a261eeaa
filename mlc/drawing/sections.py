"""What a report is made of, whoever shows it.

Sections of tables, notes and drawings. A page shows all of it; Markdown and a terminal leave the drawings
out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from mlc.drawing.text_tables import Row, escaped, markdown_table


@dataclass(frozen=True)
class Table:
    """Rows below a heading per column.

    Attributes:
        header: A heading per column; empty texts where the cells speak for themselves.
        rows: A text per column.
        texts: How many columns from the left hold text; the others hold numbers.
        sortable: Whether a page lets its reader sort the rows.
        shares: For each row a share of a whole, which a page draws as a bar; or none.
        optional: Columns that a narrow terminal leaves out, the least needed first.
        terms: Heading → what it means, which a page shows on hovering.
    """

    header: Row
    rows: Sequence[Row]
    texts: int = 1
    sortable: bool = False
    shares: Sequence[float] = ()
    optional: Sequence[int] = ()
    terms: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Notes:
    """Sentences, one below the other."""

    sentences: Sequence[str]


@dataclass(frozen=True)
class Code:
    """Text to be typed or read as it is."""

    text: str


Block = Table | Notes | Code | Markup


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes:
        title: What it is called, also in the list of parts at the top of a page.
        lead: What it shows and how to read it.
        content: The thing itself.
    """

    title: str
    lead: str = ""
    content: Sequence[Block] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to show."""
        return not any(map(_filled, self.content))


def _filled(block: Block) -> bool:
    match block:
        case Table(rows=rows):
            return bool(rows)
        case Notes(sentences=sentences):
            return bool(sentences)
        case Code(text=text):
            return bool(text)
        case _:
            return bool(block)


def markdown_lines(sections: Iterable[Section]) -> list[str]:
    """Return sections in Markdown.

    Examples:
        >>> markdown_lines([Section("Warnings", content=[Notes(["few entities"])])])
        ['## Warnings', '', '- few entities', '']
    """
    lines: list[str] = []
    for section in sections:
        lines += [f"## {section.title}", ""]
        lines += [escaped(section.lead), ""] if section.lead else []
        for block in filter(_filled, section.content):
            match block:
                case Table():
                    lines += [*markdown_table(block.header, block.rows), ""]
                case Notes():
                    lines += [*(f"- {escaped(sentence)}" for sentence in block.sentences), ""]
                case Code(text=text):
                    lines += ["```bash", *text.splitlines(), "```", ""]
    return lines
