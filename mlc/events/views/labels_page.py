"""The labels as a page: what is left out, prevalence, what set a target."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

import numpy as np
from markupsafe import Markup

from mlc.drawing.page import element, legend, page, scrolling
from mlc.drawing.prevalence import Point, prevalence_chart, prevalence_points
from mlc.drawing.sections import Section, Table
from mlc.drawing.svg import heat_map, seconds, time_axis, timeline
from mlc.events.examples import Examples
from mlc.events.preparing import Prepared, SplitCounts, dropped_rows, funnel_line, split_counts
from mlc.events.views.tracing import Trace, timeline_text
from mlc.scenario import describe, noun
from mlc.tables import SPLIT, SPLITS, targets_of

_MOST_CHARTS = 200
_MOST_TOGETHER = 40
_HISTORY_WINDOWS = 4  # this many windows of history in a timeline


def labels_page(prepared: Prepared, traces: Sequence[tuple[str, Trace]] = ()) -> str:
    """Return the labels of a scenario as one HTML file.

    Args:
        prepared: The examples and what they were made of.
        traces: Label and trace of each example to show: from `trace_positives`.
    """
    scenario, examples = prepared.scenario, prepared.examples
    target, names = scenario.target, examples.labels.names
    days = " or ".join(str(days) for days in sorted(set(examples.labels.windows_days)))
    window = f"window {days} days" if target.window is None else target.window.replace("_", " ")
    gap = f" after a gap of {target.gap_days}" if target.gap_days else ""
    rule = (
        f"{len(names):,} labels of {', '.join(target.column)} in {target.table} · rule {target.rule.kind} · "
        f"{window}{gap}"
    )
    test = next(counts for counts in split_counts(prepared) if counts.split == "test")
    first, last = (None if end is None else end.isoformat() for end in (test.first, test.last))
    question = describe(scenario, names, first, last).question
    lead = (
        f"The answers that a model learns from and is judged by: {examples.table.height:,} examples, each a "
        f"{noun(scenario.data.entity)} at a cutoff. What happened up to the cutoff is known to the model; "
        "the labels say what came after."
    )
    points = prevalence_points(examples.table)
    parts = [
        _funnel(prepared, f"{rule} · {funnel_line(examples)}"),
        _splits(prepared),
        _over_time(names, points),
        _together(examples),
        *([_shown_examples(traces)] if traces else []),
    ]
    return page(question, lead, parts, above=f"Labels of {scenario.name}")


def _funnel(prepared: Prepared, lead: str) -> Section:
    steps = prepared.examples.funnel
    whole = max(steps[0].kept, 1)
    rows = [(step.reason, f"-{step.removed:,}" if step.removed else "", f"{step.kept:,}") for step in steps]
    shares = [step.kept / whole for step in steps]
    lines = dropped_rows(prepared.store)
    before = (element("p", f"Before that, {line}.", class_="lead") for line in lines)
    return Section(
        "What was left out, and why",
        lead,
        [Table(("", "left out", "kept"), rows, shares=shares), *before],
    )


def _splits(prepared: Prepared) -> Section:
    splits = split_counts(prepared)
    moments = "; ".join(f"{counts.split} {_cutoffs(counts)}" for counts in splits)
    head = ("label", *(text for counts in splits for text in (counts.split, "share")))
    rows = [("all examples", *(text for counts in splits for text in (f"{counts.examples:,}", "")))]
    for k, name in enumerate(prepared.examples.labels.names):
        cells = (_support(counts.positives[k], counts.known[k]) for counts in splits)
        rows.append((name, *(text for cell in cells for text in cell)))
    return Section(
        "Support and prevalence",
        f"Examples with the label, and their share of those where it is known. Cutoffs: {moments}.",
        [Table(head, rows)],
    )


def _cutoffs(counts: SplitCounts) -> str:
    first, last = f"{counts.first:%Y-%m-%d}", f"{counts.last:%Y-%m-%d}"
    return first if counts.cutoffs == 1 else f"{first} to {last} ({counts.cutoffs:,})"


def _support(positives: int, known: int) -> tuple[str, str]:
    return f"{positives:,}", f"{positives / known:.2%}" if known else "unknown"


# ── prevalence over time ────────────────────────────────────────────────────────────────────────


def _over_time(names: Sequence[str], points: Sequence[Point]) -> Section:
    cutoffs = [point.cutoff for point in points]
    x = time_axis(min(cutoffs), max(cutoffs))
    some = f" The first {_MOST_CHARTS} of {len(names):,} labels." if len(names) > _MOST_CHARTS else ""
    charts = (prevalence_chart(name, k, points, x) for k, name in enumerate(names[:_MOST_CHARTS]))
    return Section(
        "Prevalence over time",
        "The share of examples with the label: a dot for each cutoff, or for a stretch of time where there "
        "are many. Each label has an axis of its own, from 0." + some,
        [legend(SPLITS), element("div", *charts, class_="grid")],
    )


# ── what comes together ─────────────────────────────────────────────────────────────────────────


def _together(examples: Examples) -> Section:
    train = (examples.table[SPLIT] == "train").to_numpy()
    positive_NK = (targets_of(examples.table)[train] == 1).astype(np.float32)
    names = examples.labels.names
    frequent = np.sort(np.argsort(-positive_NK.sum(axis=0), kind="stable")[:_MOST_TOGETHER])
    positive_NK, names = positive_NK[:, frequent], [names[k] for k in frequent.tolist()]
    both_KK = positive_NK.T @ positive_NK
    share_KK = both_KK / np.maximum(np.diag(both_KK), 1)[:, None]
    notes = [
        [
            f"{both:,.0f} of {both_KK[i, i]:,.0f} with {one} have {other} too: {share_KK[i, j]:.1%}; "
            f"of all {both_KK[j, j] / max(len(positive_NK), 1):.1%}"
            for j, (other, both) in enumerate(zip(names, both_KK[i].tolist(), strict=True))
        ]
        for i, one in enumerate(names)
    ]
    drawing = heat_map("labels that come together", names, share_KK.tolist(), notes)
    some = f" The {_MOST_TOGETHER} most frequent labels." if len(names) < len(examples.labels.names) else ""
    return Section(
        "Labels that come together",
        "Of the training examples with the label of the row, the share in percent that also has the label "
        "of the column." + some,
        [scrolling(drawing)],
    )


# ── examples ────────────────────────────────────────────────────────────────────────────────────


def _shown_examples(traces: Sequence[tuple[str, Trace]]) -> Section:
    return Section(
        "Why a target is 1",
        "Random positives, each label as likely as the others. Filled dots are events with the label.",
        [element("div", *_example_cards(traces), class_="grid large")],
    )


def _example_cards(traces: Sequence[tuple[str, Trace]]) -> Iterator[Markup]:
    for label, trace in traces:
        first = trace.cutoff - _HISTORY_WINDOWS * max(trace.closes - trace.opens, timedelta(days=7))
        moments = [moment for moment in trace.moments if first <= moment.time <= trace.closes]
        rows = [
            (name, [seconds(moment.time) for moment in moments if (label in moment.labels) == is_label])
            for name, is_label in (("label", True), ("other", False))
        ]
        drawing = timeline(
            f"events of {trace.entity} around {trace.cutoff:%Y-%m-%d}",
            time_axis(first, trace.closes),
            seconds(trace.cutoff),
            (seconds(trace.opens), seconds(trace.closes)),
            rows,
        )
        text = element("pre", timeline_text(trace, history=3, label=label))
        yield element("figure", element("h3", f"{label} · {trace.entity}"), drawing, text)
