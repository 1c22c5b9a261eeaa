"""Bars: one number for each of a few things, the longest the best."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from mlc.drawing.page import element
from mlc.drawing.svg import LETTER, drawing

_WIDTH, _STEP, _THICK = 350, 24, 15
_LONGEST_NAME = 18


@dataclass(frozen=True)
class Bar:
    """One bar.

    Attributes:
        name: What it stands for.
        value: Its length; at least 0.
        colour: Which of the page's colours.
        ends: An interval, drawn as a line; None for none.
    """

    name: str
    value: float
    colour: int
    ends: tuple[float, float] | None = None


def bars(title: str, rows: Sequence[Bar]) -> Markup:
    """Return bars below each other, each with its name and its value in three digits.

    Args:
        title: What is drawn, for those who do not see it.
        rows: At least one bar.
    """
    names = [
        bar.name if len(bar.name) <= _LONGEST_NAME else f"{bar.name[: _LONGEST_NAME - 1]}…" for bar in rows
    ]
    left = 10 + LETTER * max(map(len, names))
    longest = max(max(bar.value, *(bar.ends or (0.0,))) for bar in rows) or 1.0
    scale = (_WIDTH - left - 48) / longest
    groups = [
        _bar(bar, name, left, 4 + at * _STEP, scale)
        for at, (bar, name) in enumerate(zip(rows, names, strict=True))
    ]
    return drawing(title, _WIDTH, 6 + len(rows) * _STEP, groups)


def _bar(bar: Bar, name: str, left: float, top: float, scale: float) -> Markup:
    middle, end = top + _THICK / 2, left + bar.value * scale
    parts = [
        element("title", f"{bar.name}: {bar.value:.3f}"),
        element("text", name, x=left - 8, y=middle + 3.5, text_anchor="end"),
        element("rect", class_="bar-value", x=left, y=top, width=end - left, height=_THICK, rx=2),
    ]
    if bar.ends is not None:
        low, high = (left + one * scale for one in bar.ends)
        parts.append(element("line", class_="mark", x1=low, x2=high, y1=middle, y2=middle))
        end = max(end, high)
    parts.append(element("text", f"{bar.value:.3f}", class_="strong", x=end + 6, y=middle + 3.5))
    return element("g", *parts, class_=f"colour-{bar.colour}")
