"""Drawings for a page: axes, curves, heat maps, an entity's timeline.

Colours come from the page's style sheet (classes `colour-0`, `colour-1`, …), so that a drawing is right by
day and by night. Hovering shows the exact values; sizes are in pixels of a drawing scaled to its place.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from markupsafe import Markup

from mlc.drawing.page import element, joined

_EPOCH = datetime(1970, 1, 1)
_NAME = 26  # letters of a name beside a heat map
_LEGEND, _LEGEND_STEP = (0.0, 0.25, 0.5, 0.75, 1.0), 44  # shares below a heat map, pixels of each
LETTER = 6.8
"""Pixels of a letter, roughly."""


@dataclass(frozen=True)
class Axis:
    """An axis.

    Attributes:
        low: Its least value.
        high: Its largest value.
        ticks: Values with their texts.
    """

    low: float
    high: float
    ticks: Sequence[tuple[float, str]]

    def at(self, value: float) -> float:
        """Return where a value lies, 0 at the low end and 1 at the high end."""
        return (value - self.low) / (self.high - self.low)


def share_axis(highest: float) -> Axis:
    """Return an axis from 0 to a round number just above a share, in percent.

    Examples:
        >>> share_axis(0.043).ticks
        [(0.0, '0%'), (0.02, '2%'), (0.04, '4%'), (0.06, '6%')]
    """
    rough = max(highest, 1e-6) / 3
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    count = max(1, math.ceil(highest / step - 1e-9))
    values = [round(index * step, 12) for index in range(count + 1)]
    return Axis(0.0, values[-1], [(value, f"{100 * value:.6g}%") for value in values])


def number_axis(low: float, high: float) -> Axis:
    """Return an axis from a round number below to one above.

    Examples:
        >>> [text for _, text in number_axis(0.31, 0.52).ticks]
        ['0.3', '0.4', '0.5', '0.6']
    """
    rough = max(high - low, 1e-9 + 1e-3 * abs(high)) / 3
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    values = [round(index * step, 12) for index in range(first, max(last, first + 1) + 1)]
    return Axis(values[0], values[-1], [(value, f"{value:.6g}") for value in values])


def odds_axis(low: float, high: float) -> Axis:
    """Return an axis of probabilities by their log-odds.

    0.1 % and 1 % are as far apart as 99 % and 99.9 %.

    Args:
        low: Least log-odds.
        high: Largest log-odds.

    Examples:
        >>> [text for _, text in odds_axis(-5, 1).ticks]
        ['1%', '10%', '50%']
    """
    shares = (1e-5, 1e-4, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)
    places = [(math.log(share / (1 - share)), f"{100 * share:g}%") for share in shares]
    return Axis(low, max(high, low + 1e-6), [(at, text) for at, text in places if low <= at <= high])


def time_axis(first: datetime, last: datetime) -> Axis:
    """Return an axis of at least a day, with up to five ticks.

    They are at days, months or years.

    Examples:
        >>> [text for _, text in time_axis(datetime(2024, 1, 20), datetime(2024, 5, 2)).ticks]
        ['2024-02', '2024-03', '2024-04', '2024-05']
    """
    last = max(last, first + timedelta(days=1))
    days = (last - first) / timedelta(days=1)
    months = next((m for m in (1, 2, 3, 6, 12, 24, 60, 120, 240) if days <= m * 30.5 * 4.5), 1200)
    if days < 61:
        step = next(d for d in (1, 2, 7, 14) if days <= d * 4.5)
        start = datetime(first.year, first.month, first.day)
        dates = [start + timedelta(days=step * index) for index in range(6)]
        form = "%m-%d"
    else:
        start_month = (first.year * 12 + first.month - 1) // months * months
        counts = [start_month + months * index for index in range(7)]
        dates = [datetime(count // 12, count % 12 + 1, 1) for count in counts if count < 9999 * 12]
        form = "%Y" if months >= 12 else "%Y-%m"
    inside = [date for date in dates if first <= date <= last]
    return Axis(seconds(first), seconds(last), [(seconds(date), f"{date:{form}}") for date in inside])


def seconds(time: datetime) -> float:
    """Return a naive time as a number for an axis."""
    return (time - _EPOCH).total_seconds()


# ── curves ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Curve:
    """Points that belong together.

    Attributes:
        colour: Which of the page's colours.
        points: x and y of each, by rising x.
        notes: What hovering over each shows; without any, the points have no dots.
    """

    colour: int
    points: Sequence[tuple[float, float]]
    notes: Sequence[str] = ()


def curves(
    title: str, drawn: Sequence[Curve], x: Axis, y: Axis, size: tuple[int, int] = (300, 130)
) -> Markup:
    """Return curves with a dot at each point that has a note.

    Args:
        title: What is drawn, for those who do not see it.
        drawn: The curves.
        x: The axis below.
        y: The axis on the left.
        size: Width and height.
    """
    width, height = size
    left, right, top, bottom = 8 + LETTER * max(len(text) for _, text in y.ticks), width - 10, 8, height - 18

    def place(point: tuple[float, float]) -> tuple[float, float]:
        return left + x.at(point[0]) * (right - left), bottom - y.at(point[1]) * (bottom - top)

    parts = [
        joined(
            (
                element("line", class_="axis", x1=left, x2=right, y1=level, y2=level),
                element("text", text, x=left - 4, y=level + 3.5, text_anchor="end"),
            )
        )
        for value, text in y.ticks
        for level in [place((x.low, value))[1]]
    ]
    parts += [_tick_below(text, place((value, 0.0))[0], width, height - 4) for value, text in x.ticks]
    for curve in drawn:
        places = [place(point) for point in curve.points]
        line = " ".join(f"{across:.1f},{down:.1f}" for across, down in places)
        dots = (
            element("circle", element("title", note), class_="dot", cx=across, cy=down, r=2.5)
            for (across, down), note in zip(places if curve.notes else (), curve.notes, strict=True)
        )
        parts.append(
            element(
                "g", element("polyline", class_="curve", points=line), *dots, class_=f"colour-{curve.colour}"
            )
        )
    return drawing(title, width, height, parts)


def _tick_below(text: str, across: float, width: float, down: float) -> Markup:
    """A text below its place, moved to the left where it would leave the drawing."""
    half = LETTER * len(text) / 2
    inside = min(max(across, half), width - half)
    return element("text", text, x=inside, y=down, text_anchor="middle")


# ── heat maps ───────────────────────────────────────────────────────────────────────────────────


def heat_map(
    title: str, names: Sequence[str], shares: Sequence[Sequence[float]], notes: Sequence[Sequence[str]]
) -> Markup:
    """Return a square of shares in percent, its diagonal empty.

    The stronger the colour of a cell, the larger its share.

    Args:
        title: What is drawn, for those who do not see it.
        names: A name per row, and the same for the columns.
        shares: A row of shares in [0, 1] per name.
        notes: What hovering over each cell shows.
    """
    cell = 30 if len(names) <= 16 else 22
    short = [name if len(name) <= _NAME else name[: _NAME - 1] + "…" for name in names]
    left = 14 + LETTER * max(len(name) for name in short)
    top = 10 + LETTER * 0.75 * max(len(name) for name in short)
    side = cell * len(names)
    parts: list[Markup] = []
    for at, name in enumerate(short):
        middle = (at + 0.5) * cell
        place = f"translate({left + middle + 3:.0f} {top - 5:.0f}) rotate(-45)"
        parts.append(element("text", name, x=left - 6, y=top + middle + 3.5, text_anchor="end"))
        parts.append(element("text", name, transform=place))
    parts += [
        _cell(share, notes[i][j], left + j * cell, top + i * cell, cell)
        for i, row in enumerate(shares)
        for j, share in enumerate(row)
        if i != j
    ]
    parts.append(element("rect", class_="cell-frame", x=left, y=top, width=side, height=side))
    parts += _heat_legend(left, top + side + 10)
    width = left + max(side + 0.8 * top, len(_LEGEND) * _LEGEND_STEP)
    return drawing(title, width, top + side + 42, parts, class_="fixed")


def _cell(share: float, note: str, across: float, down: float, size: int) -> Markup:
    corner = {"x": across + 0.5, "y": down + 0.5, "width": size - 1, "height": size - 1}
    title = element("title", note)
    square = element("rect", title, class_="cell", fill_opacity=0.03 + 0.9 * share, **corner)
    if share < 0.005:
        return square
    centre = {"x": across + size / 2, "y": down + size / 2 + 3.5, "text_anchor": "middle"}
    number = element("text", f"{100 * share:.0f}", class_="strong", pointer_events="none", **centre)
    return joined([square, number])


def _heat_legend(left: float, top: float) -> list[Markup]:
    """Squares from 0 to 100 %, with their numbers."""
    parts = []
    for at, share in enumerate(_LEGEND):
        across = left + at * _LEGEND_STEP
        parts += [
            element(
                "rect", class_="cell", fill_opacity=0.03 + 0.9 * share, x=across, y=top, width=40, height=10
            ),
            element("text", f"{share:.0%}", x=across + 20, y=top + 22, text_anchor="middle"),
        ]
    return parts


# ── timelines ───────────────────────────────────────────────────────────────────────────────────


def timeline(
    title: str,
    x: Axis,
    cutoff: float,
    window: tuple[float, float],
    rows: Sequence[tuple[str, Sequence[float]]],
) -> Markup:
    """Return events as dots around a cutoff, the window as an area.

    The first row is in colour.

    Args:
        title: What is drawn, for those who do not see it.
        x: The axis of time.
        cutoff: Where history ends, on the axis.
        window: Where the window opens and closes.
        rows: Name of each row and its events.
    """
    width, step, top = 440, 22, 18
    left = 12 + LETTER * max(len(name) for name, _ in rows)
    bottom = top + step * len(rows)

    def across(value: float) -> float:
        return left + x.at(value) * (width - left - 10)

    opens, closes, now = across(window[0]), across(window[1]), across(cutoff)
    parts = [
        element("rect", class_="area", x=opens, y=top, width=closes - opens, height=bottom - top),
        element("line", class_="mark", x1=now, x2=now, y1=top - 4, y2=bottom),
        element("text", "cutoff", class_="strong", x=now - 4, y=top - 7, text_anchor="end"),
        element("text", "window", class_="strong", x=(opens + closes) / 2, y=top - 7, text_anchor="middle"),
    ]
    for at, (name, values) in enumerate(rows):
        middle = top + (at + 0.5) * step
        parts.append(element("line", class_="axis", x1=left, x2=width - 10, y1=middle, y2=middle))
        parts.append(element("text", name, x=left - 8, y=middle + 3.5, text_anchor="end"))
        kind = "other" if at else "dot"
        parts += [element("circle", class_=kind, cx=across(value), cy=middle, r=3.5) for value in values]
    parts += [_tick_below(text, across(value), width, bottom + 13) for value, text in x.ticks]
    return drawing(title, width, bottom + 18, parts, class_="colour-2")


def drawing(title: str, width: float, height: float, parts: Sequence[Markup], **attributes: object) -> Markup:
    """Return the parts as one drawing, scaled to its place.

    Args:
        title: What is drawn, for those who do not see it.
        width: Pixels.
        height: Pixels.
        parts: What it is made of.
        attributes: More of the element.
    """
    box = f"0 0 {width:.0f} {height:.0f}"
    size = {"width": round(width), "height": round(height)}
    return element("svg", *parts, viewBox=box, role="img", aria_label=title, **size, **attributes)
