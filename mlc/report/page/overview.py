"""What the reader of a page sees first.

The model between its baselines, and what its ranking gains.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from mlc.drawing.bars import Bar, bars
from mlc.drawing.page import element
from mlc.drawing.sections import Section
from mlc.drawing.svg import Curve, curves, share_axis
from mlc.evaluation.metrics.wording import judged_text, left_out_rows
from mlc.report.cells import count_text, scored_sides, size_text
from mlc.report.contents import JUDGED, Report
from mlc.report.page.scored import Scored, ScoredSplit

_WHOLE = share_axis(1.0)
_SHARES = np.linspace(0, 1, 41)
_SIZE = (350, 190)
_AXES = "Across: share of the examples, highest scores first. Up: share of the positives."
_MODEL, _BASELINE, _BEST = 0, 3, 2


def overview(report: Report, test: ScoredSplit, most: int) -> Section:
    """Return the first section of a page.

    Args:
        report: The numbers.
        test: Scores and targets of the test split.
        most: How many labels the gains can be shown of.
    """
    charts = element(
        "div", *_baselines_figure(report), _gains_figure(report, test, most), class_="grid large"
    )
    return Section("At a glance", f"Judged on {size_text(report.test)}.", [charts, *_trust(report)])


def _baselines_figure(report: Report) -> list[Markup]:
    """Return macro AP of the model, its baselines and the best possible scores."""
    colours = {"model": _MODEL, "best possible": _BEST}
    sides = scored_sides(report, JUDGED)
    rows = [
        Bar(
            name,
            entry.headline.ap,
            colours.get(name, _BASELINE),
            entry.headline.ap_interval if name == "model" else None,
        )
        for name, entry in sides
        if entry.headline.ap is not None
    ]
    if not rows:
        return []
    caption = (
        f"Mean over labels of the average precision, {judged_text(report.test)}: 1 is perfect, and "
        "the share of positives is what chance gives. The line is the model's 95\u00a0% interval."
    )
    return [
        element(
            "figure",
            element("h3", "The model and what it is compared with"),
            bars("average precision of the model and its baselines", rows),
            element("p", caption, class_="faint"),
        )
    ]


def _gains_figure(report: Report, test: ScoredSplit, most: int) -> Markup:
    """Cumulative gains of all labels together, or of the one that is chosen."""
    labels = report.test.labels[:most]
    scored = [
        ("all labels together", test.pooled()),
        *((label.name, test.label(k)) for k, label in enumerate(labels)),
    ]
    drawn = [(name, one) for name, one in scored if one.positives]
    if not drawn:
        return Markup()
    options = (
        element("option", name, data_gains=" ".join(f"{gain:.4f}" for gain in one.gains(_SHARES).tolist()))
        for name, one in drawn
    )
    first = drawn[0][1]
    points = list(zip(_SHARES.tolist(), first.gains(_SHARES).tolist(), strict=True))
    chart = curves(
        "share of the positives reached, by share of examples with the highest scores",
        [Curve(3, [(0.0, 0.0), (1.0, 1.0)]), Curve(0, points)],
        _WHOLE,
        _WHOLE,
        _SIZE,
    )
    select = element("select", *options, id="gains-label", autocomplete="off")
    return element(
        "figure",
        element("h3", element("label", "Who is reached first: ", select)),
        chart,
        _key(),
        element(
            "p",
            _AXES,
            class_="faint",
        ),
        element("p", _gains_sentence(first), id="gains-text", class_="faint", aria_live="polite"),
        id="gains",
    )


def _key() -> Markup:
    names = ((0, "by score"), (3, "by chance"))
    keys = (element("span", element("i"), name, class_=f"key colour-{at}") for at, name in names)
    return element("p", *keys, class_="legend")


def _gains_sentence(scored: Scored) -> str:
    tenth, fifth = (f"{gain:.0%}" for gain in scored.gains(np.array([0.1, 0.2])).tolist())
    return f"The 10% with the highest scores hold {tenth} of the positives, the first 20% hold {fifth}."


# ── which labels to rely on ─────────────────────────────────────────────────────────────────────


def _trust(report: Report) -> list[Markup]:
    trust = report.trust
    cards = [
        _card(title, names)
        for title, names in (
            ("Labels that can be trusted", trust.trusted),
            ("Weak labels", trust.weak),
            ("Labels that cannot be judged", trust.not_evaluable),
        )
        if names
    ]
    reasons = left_out_rows((label.name, label.not_judged) for label in report.test.labels)
    why = (element("p", f"Not judged, {sentence}.", class_="faint") for sentence in reasons)
    rule = element(
        "details", element("summary", "What makes a label trusted or weak"), element("p", trust.rule), *why
    )
    return [element("div", *cards, class_="cards"), rule]


def _card(title: str, names: Sequence[str], most: int = 12) -> Markup:
    listed: list[Any] = [" · ".join(names[:most])]
    if len(names) > most:
        rest = element(
            "details", element("summary", f"and {len(names) - most} more"), " · ".join(names[most:])
        )
        listed.append(rest)
    number = element("p", count_text(len(names)), class_="large-number")
    return element("figure", element("h3", title), number, element("div", *listed, class_="faint"))
