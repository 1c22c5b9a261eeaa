"""The report as a page: one HTML file for people, from the numbers and the tables of a run."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from markupsafe import Markup

from mlc.drawing.page import element, joined, legend, page, scrolling
from mlc.drawing.prevalence import prevalence_chart, prevalence_points
from mlc.drawing.sections import Block, Section, Table
from mlc.drawing.svg import Curve, curves, heat_map, number_axis, seconds, time_axis
from mlc.drawing.text_tables import Row
from mlc.evaluation.metrics import VERDICT_RULE
from mlc.evaluation.metrics.wording import judged_text, left_out_rows, macro_text
from mlc.report import sections
from mlc.report.cells import count_text, score_text, size_text
from mlc.report.contents import JUDGED, Report, SplitReport
from mlc.report.panels import Scored, label_panel
from mlc.tables import CUTOFF, RAW_SCORES, SCORES, UNKNOWN, in_split, scores_of, split_names, targets_of

Matrix = npt.NDArray[Any]

_MOST_PANELS = 200
_MOST_TOGETHER = 40
_MOST_PAIRS = 15
_FEWEST_EXPECTED = 5  # pairs, for a comparison with what was expected


def report_page(
    report: Report,
    examples: pl.DataFrame,
    predictions: pl.DataFrame,
    *,
    made: Mapping[str, Any],
    log: Sequence[Mapping[str, float]],
    scenario: str,
) -> str:
    """Return one HTML file that loads nothing.

    Args:
        report: Of `build_report`, or read back from `report.json`.
        examples: Key, `split` and `targets`.
        predictions: `scores` and `raw_scores` of the examples, in their order.
        made: `run.json`: fingerprints, versions, times.
        log: A mapping per epoch: `epoch`, losses and scores.
        scenario: The scenario as it was given.
    """
    test, scored = report.test, _Part.of(examples, predictions, JUDGED)
    parts = [
        _at_a_glance(report),
        sections.gates(report),
        sections.labels(test, "Test"),
        _panels(report, examples, _Part.of(examples, predictions, "validation"), scored),
        sections.against_baselines(report, JUDGED),
        sections.log_losses(report, JUDGED),
        sections.baseline_notes(report),
        sections.intervals(test, "Test"),
        sections.promises(test, "Test"),
        sections.calibration(test, "Test"),
        *_together(report, scored),
        _by_cutoff(report),
        sections.by_slice(report),
        *_training(log),
        _examples(report),
        sections.warnings(report),
        _made(made, scenario),
    ]
    script = files("mlc.report").joinpath("explore.js").read_text(encoding="utf-8")
    begun, colon, rest = report.verdict.partition(":")
    lead = joined([element("strong", begun), colon, rest])
    return page(report.scenario, lead, [part for part in parts if not part.empty], script)


class _Part:
    """Scores and targets of one split."""

    def __init__(self, scores_NK: Matrix, raw_NK: Matrix, targets_NK: Matrix) -> None:
        self.scores_NK, self.raw_NK, self.targets_NK = scores_NK, raw_NK, targets_NK

    @classmethod
    def of(cls, examples: pl.DataFrame, predictions: pl.DataFrame, split: str) -> "_Part":
        rows = in_split(examples, split)
        scores_NK, raw_NK = (scores_of(predictions, column)[rows] for column in (SCORES, RAW_SCORES))
        return cls(scores_NK, raw_NK, targets_of(examples)[rows])

    def label(self, k: int) -> Scored:
        return Scored.of(self.scores_NK[:, k], self.raw_NK[:, k], self.targets_NK[:, k])


# ── what matters most ───────────────────────────────────────────────────────────────────────────


def _at_a_glance(report: Report) -> Section:
    test, trust, mean = report.test, report.trust, report.test.headline
    cards = [
        _card(title, score_text(value), f"{_interval_words(macro_text(value, ends))}, {judged_text(test)}")
        for title, value, ends in (
            ("Macro AUROC", mean.auroc, mean.auroc_interval),
            ("Macro average precision", mean.ap, mean.ap_interval),
        )
    ]
    kinds = [
        _card(title, count_text(len(names)), _listed(names))
        for title, names in (
            ("Labels that can be trusted", trust.trusted),
            ("Weak labels", trust.weak),
            ("Labels not evaluable", trust.not_evaluable),
        )
    ]
    rows = element("div", *cards, class_="cards"), element("div", *kinds, class_="cards")
    rule = element("p", trust.rule, class_="faint")
    return Section("At a glance", f"Test: {size_text(test)}.", [*rows, rule, *_left_out(test)])


def _left_out(test: SplitReport) -> list[Markup]:
    """The labels that no verdict rests on, by reason."""
    rows = left_out_rows((label.name, label.not_judged) for label in test.labels)
    reasons = [element("p", sentence, class_="faint") for sentence in rows]
    summary = element("summary", f"Labels not judged. {VERDICT_RULE}")
    return [element("details", summary, *reasons)] if reasons else []


def _interval_words(text: str) -> str:
    within = text.partition("(")[2].removesuffix(")")
    return within if within.startswith("no") or not within else f"95 % interval {within}"


def _card(title: str, number: str, text: object) -> Markup:
    large = element("p", number, class_="large-number")
    return element("figure", element("h3", title), large, element("p", text, class_="faint"))


def _listed(names: Sequence[str], most: int = 12) -> object:
    if len(names) <= most:
        return " · ".join(names) or "none"
    rest = element("details", element("summary", f"and {len(names) - most} more"), " · ".join(names[most:]))
    return joined([" · ".join(names[:most]), rest])


# ── labels ──────────────────────────────────────────────────────────────────────────────────────


def _panels(report: Report, examples: pl.DataFrame, validation: _Part, test: _Part) -> Section:
    labels = report.test.labels
    some = f" The first {_MOST_PANELS} of {len(labels):,} labels." if len(labels) > _MOST_PANELS else ""
    prevalences = _prevalences(examples, min(len(labels), _MOST_PANELS))
    panels = (
        label_panel(label, validation.label(k), test.label(k), prevalence)
        for k, (label, prevalence) in enumerate(zip(labels[:_MOST_PANELS], prevalences, strict=True))
    )
    own = element(
        "div",
        element("h3", "Your thresholds"),
        element(
            "textarea",
            id="thresholds-yaml",
            readonly="",
            aria_label="thresholds as YAML",
            placeholder="Move a threshold above: the YAML for the scenario appears here.",
        ),
        element("button", "Copy YAML", id="copy-thresholds", type="button", class_="action"),
        class_="own",
    )
    return Section(
        "Label by label",
        "Curves are of the test split. Thresholds are tried out on validation, where one may choose, next to "
        f"what the test would have given; for mlc predict --threshold and for the scenario.{some}",
        [*panels, own],
    )


def _prevalences(examples: pl.DataFrame, labels: int) -> list[Markup]:
    """A drawing of the prevalence over time for each of the first labels; empty without cutoffs."""
    if CUTOFF not in examples.columns:
        return [Markup()] * labels
    points = prevalence_points(examples)
    cutoffs = [point.cutoff for point in points]
    x, key = time_axis(min(cutoffs), max(cutoffs)), legend(split_names(examples))
    return [prevalence_chart("Prevalence over time", k, points, x, key) for k in range(labels)]


# ── labels that come together ───────────────────────────────────────────────────────────────────


def _together(report: Report, test: _Part) -> list[Section]:
    every = [label.name for label in report.test.labels]
    positive_NK = test.targets_NK == 1
    frequent = np.sort(np.argsort(-positive_NK.sum(axis=0), kind="stable")[:_MOST_TOGETHER])
    names = [every[k] for k in frequent.tolist()]
    if len(names) < 2:
        return []
    positive_NK = positive_NK[:, frequent].astype(np.float32)
    known_NK = test.targets_NK[:, frequent] != UNKNOWN
    scores_NK = np.where(known_NK, test.scores_NK[:, frequent], 0).astype(np.float32)
    both_KK = positive_NK.T @ positive_NK
    expected_KK = scores_NK.T @ scores_NK
    spread_KK = np.sqrt(np.maximum(expected_KK - (scores_NK**2).T @ (scores_NK**2), 1e-9))
    share_KK = both_KK / np.maximum(np.diag(both_KK), 1)[:, None]
    notes = [
        [
            f"{one} and {other}: {both_KK[i, j]:,.0f} have both ({share_KK[i, j]:.1%} of those with {one}); "
            f"expected from the scores: {expected_KK[i, j]:,.0f}"
            for j, other in enumerate(names)
        ]
        for i, one in enumerate(names)
    ]
    away_KK = np.triu(np.where(expected_KK >= _FEWEST_EXPECTED, (both_KK - expected_KK) / spread_KK, 0), k=1)
    order = np.argsort(-np.abs(away_KK), axis=None, kind="stable")[:_MOST_PAIRS]
    pairs = [
        (
            f"{names[i]} & {names[j]}",
            f"{both_KK[i, j]:,.0f}",
            f"{expected_KK[i, j]:,.0f}",
            f"{both_KK[i, j] / expected_KK[i, j]:.2f}",
            f"{away_KK[i, j]:+.1f}",
        )
        for i, j in zip(*np.unravel_index(order, away_KK.shape), strict=True)
        if away_KK[i, j]
    ]
    some = f" The {_MOST_TOGETHER} most frequent labels." if len(names) < len(every) else ""
    missed: list[Block] = [
        element("h3", "What the scores miss of it"),
        element(
            "p",
            "Expected: the scores of two labels multiplied, added up over the examples. Far more examples "
            "with both mean that the labels share a cause that the model does not see. Distance in standard "
            "deviations.",
            class_="lead",
        ),
        Table(("", "examples with both", "expected", "times as many", "distance"), pairs, sortable=True),
    ]
    return [
        Section(
            "Labels that come together",
            "Of the test examples with the label of the row, the share in percent that also has the label of "
            "the column." + some,
            [
                scrolling(heat_map("labels that come together", names, share_KK.tolist(), notes)),
                *(missed if pairs else []),
            ],
        )
    ]


# ── parts of the test ───────────────────────────────────────────────────────────────────────────


def _by_cutoff(report: Report) -> Section:
    """The scores at one cutoff after the other, drawn above their table."""
    section, periods = sections.by_cutoff(report), report.backtest
    if not periods:
        return section
    times = [datetime.fromisoformat(period.first) for period in periods]
    lines, highest = [], 0.0
    for colour, (name, scores) in enumerate(
        (
            ("macro AP", [period.macro.ap for period in periods]),
            ("macro AUROC", [period.macro.auroc for period in periods]),
        )
    ):
        defined = [(time, value) for time, value in zip(times, scores, strict=True) if value is not None]
        points = [(seconds(time), value) for time, value in defined]
        lines.append(
            Curve(colour, points, [f"{name} {time:%Y-%m-%d}: {value:.3f}" for time, value in defined])
        )
        highest = max([highest, *(value for _, value in points)])
    x, y = time_axis(times[0], times[-1]), number_axis(0, highest)
    chart = curves("scores over the test cutoffs", lines, x, y, (600, 160))
    figure = element("figure", chart, legend(["macro AP", "macro AUROC"]))
    return Section(section.title, section.lead, [figure, *section.content])


# ── how it was made ─────────────────────────────────────────────────────────────────────────────


def _training(log: Sequence[Mapping[str, float]]) -> list[Section]:
    groups = {
        "Loss": {"train_loss": "training", "validation_loss": "validation"},
        "On validation": {"validation_macro_ap": "macro AP", "validation_macro_auroc": "macro AUROC"},
    }
    charts = [_log_chart(title, names, log) for title, names in groups.items()]
    drawn = [chart for chart in charts if chart is not None]
    if not drawn:
        return []
    lead = f"{len(log)} epochs; the weights are those that did best on validation."
    return [Section("Training", lead, [element("div", *drawn, class_="grid large")])]


def _log_chart(title: str, names: Mapping[str, str], log: Sequence[Mapping[str, float]]) -> Markup | None:
    lines, values = [], []
    for colour, (name, called) in enumerate(names.items()):
        points = [(line["epoch"], line[name]) for line in log if name in line]
        values += [value for _, value in points]
        lines.append(
            Curve(colour, points, [f"epoch {epoch}: {called} {value:.4f}" for epoch, value in points])
        )
    if not values:
        return None
    x, y = number_axis(0, max(line["epoch"] for line in log)), number_axis(min(values), max(values))
    chart = curves(f"{title} over the epochs", lines, x, y, (420, 180))
    return element("figure", element("h3", title), chart, legend(list(names.values())))


def _examples(report: Report) -> Section:
    funnel = sections.funnel(report)
    splits = [(name, size_text(entry)) for name, entry in report.splits.items()]
    content = [*funnel.content, element("h3", "Splits"), Table(("", ""), splits, texts=2)]
    return Section(funnel.title, "What was left out on the way to the examples, and why.", content)


def _made(made: Mapping[str, Any], scenario: str) -> Section:
    rows: list[Row] = []
    for name, value in made.items():
        if isinstance(value, Mapping):
            rows += [(f"{name}: {key}", str(one)) for key, one in value.items()]
        else:
            rows.append((name.replace("_", " "), " ".join(value) if isinstance(value, list) else str(value)))
    given = element("details", element("summary", "The scenario"), element("pre", scenario))
    return Section(
        "How it was made", "Fingerprints, versions and times.", [Table(("", ""), rows, texts=2), given]
    )
