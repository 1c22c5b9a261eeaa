"""Code blocks of Markdown pages, with what a comment before each says about testing it.

A comment right before a block tells the tests how to treat it:

    <!-- test: skip: REASON -->   do not run it
    <!-- test: exit 1 -->         its commands end with this code
    <!-- test: output -->         each of its lines is in the output of the commands before it

A comment anywhere tells what the page starts from: `<!-- test: setup: NAME -->`.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

_FENCE = re.compile(
    r"(?:^ *<!-- test: (?!setup)(?P<directive>[^\n]*?) -->\n)?"
    r"^(?P<indent> *)```(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^(?P=indent)```$",
    re.DOTALL | re.MULTILINE,
)
_SETUP = re.compile(r"^<!-- test: setup: (\w+) -->$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced code block.

    Attributes:
        language: The word after the fence.
        title: Name of the file that the block shows, if it has one.
        directive: What the comment before it says, or nothing.
        text: Its lines.
        line: Where it begins.
    """

    language: str
    title: str | None
    directive: str
    text: str
    line: int

    @property
    def skipped(self) -> bool:
        """Whether the block cannot run in a test."""
        return self.directive.startswith("skip: ")


def blocks_of(page: Path) -> list[Block]:
    """Return the code blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            match["language"],
            match["title"],
            match["directive"] or "",
            dedent(match["text"]),
            text.count("\n", 0, match.start("text")) + 1,
        )
        for match in _FENCE.finditer(text)
    ]


def setup_of(page: Path) -> str:
    """Return what the page starts from: `empty` unless it says otherwise."""
    match = _SETUP.search(page.read_text(encoding="utf-8"))
    return match[1] if match else "empty"
