"""The report as a page: one HTML file from the numbers and tables of a run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import polars as pl
from markupsafe import Markup

from mlc.drawing.page import element, html_table, legend, page
from mlc.drawing.prevalence import prevalence_chart, prevalence_points, splits_of
from mlc.drawing.sections import Block, Section, Table
from mlc.drawing.svg import time_axis
from mlc.drawing.text_tables import Row
from mlc.report import sections
from mlc.report.cells import size_text
from mlc.report.contents import JUDGED, Report
from mlc.report.mistakes import Mistake
from mlc.report.page.cards import LabelInputs, label_card
from mlc.report.page.overview import overview
from mlc.report.page.scored import ScoredSplit
from mlc.report.page.timelines import scores_over_cutoffs, training_curves
from mlc.report.page.together import labels_together
from mlc.report.trust import trust_words
from mlc.report.verdict import headline
from mlc.tables import CUTOFF

_MOST_CARDS = 200
_FACTS = {
    "mlc": "version of mlc",
    "store": "event store",
    "fit_until": "learned from events until",
    "peak_memory_mb": "peak memory, MB",
}
"""Names in `run.json` → names on the page, where they differ."""


@dataclass(frozen=True, kw_only=True)
class PageInputs:
    """What a page is made of.

    Attributes:
        report: The numbers.
        question: What is predicted for whom and when, in words.
        examples: Key, `split` and `targets`.
        predictions: `scores` and `raw_scores` of the examples, in their order.
        made: `run.json`: fingerprints, versions, times.
        log: A mapping per epoch: `epoch`, losses and scores.
        scenario: The scenario as it was given.
        mistakes: Label → its worst mistakes; empty where examples cannot be shown.
    """

    report: Report
    question: str
    examples: pl.DataFrame
    predictions: pl.DataFrame
    made: Mapping[str, Any]
    log: Sequence[Mapping[str, float]]
    scenario: str
    mistakes: Mapping[str, Sequence[Mistake]] = field(default_factory=dict)


def report_page(inputs: PageInputs) -> str:
    """Return one HTML file that loads nothing."""
    report = inputs.report
    test = ScoredSplit.of(inputs.examples, inputs.predictions, JUDGED)
    parts = [
        overview(report, test, _MOST_CARDS),
        sections.gates(report),
        sections.labels(report, JUDGED),
        _cards(inputs, test),
        _baselines(report),
        labels_together([label.name for label in report.test.labels], test),
        scores_over_cutoffs(report),
        sections.by_slice(report),
        training_curves(inputs.log),
        _examples(report),
        sections.warnings(report),
        _made(inputs.made, inputs.scenario),
    ]
    script = files("mlc.report.page").joinpath("explore.js").read_text(encoding="utf-8")
    parts = [part for part in parts if not part.empty]
    return page(inputs.question, headline(report), parts, script, above=report.scenario)


def _baselines(report: Report) -> Section:
    """Scores of the model and its baselines, and what the baselines are."""
    scores, losses = sections.against_baselines(report, JUDGED), sections.log_losses(report, JUDGED)
    notes = sections.baseline_notes(report)
    more = ((losses, "Log-loss of the probabilities: low is good"), (notes, "What the baselines are"))
    content = [
        block for part, title in more if not part.empty for block in (element("h3", title), *part.content)
    ]
    return Section(scores.title, scores.lead, [*scores.content, *content])


def _cards(inputs: PageInputs, test: ScoredSplit) -> Section:
    labels, trust = inputs.report.test.labels, trust_words(inputs.report.trust)
    validation = ScoredSplit.of(inputs.examples, inputs.predictions, "validation")
    some = f" The first {_MOST_CARDS} of {len(labels):,} labels." if len(labels) > _MOST_CARDS else ""
    cards = (
        label_card(
            LabelInputs(
                label,
                trust[label.name],
                validation.label(k),
                test.label(k),
                prevalence,
                inputs.mistakes.get(label.name, ()),
            )
        )
        for k, (label, prevalence) in enumerate(
            zip(labels[:_MOST_CARDS], _prevalences(inputs.examples), strict=False)
        )
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
        "For each label: whom its scores reach first, how far its probabilities hold, and what its threshold "
        f"decides. Grey is chance.{some}",
        [element("div", *cards, class_="labels"), own],
    )


def _prevalences(examples: pl.DataFrame) -> Iterator[Markup]:
    """A drawing of the prevalence over time for each label; empty without cutoffs."""
    if CUTOFF not in examples.columns:
        while True:
            yield Markup()
    points = prevalence_points(examples)
    cutoffs = [point.cutoff for point in points]
    x, key = time_axis(min(cutoffs), max(cutoffs)), legend(splits_of(points))
    for k in range(len(points[0].known_K)):
        yield prevalence_chart("Share of examples with it over time", k, points, x, key)


def _examples(report: Report) -> Section:
    funnel = sections.funnel(report)
    splits = [(name, size_text(entry)) for name, entry in report.splits.items()]
    content = [*funnel.content, element("h3", "Splits"), Table(("", ""), splits, texts=2)]
    return Section(funnel.title, "What was left out on the way to the examples, and why.", content)


def _fact(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) and value >= 10_000 else str(value)


def _made(made: Mapping[str, Any], scenario: str) -> Section:
    facts: list[Row] = []
    details: list[Row] = []
    for name, value in made.items():
        if isinstance(value, Mapping):
            details += [(f"{name}: {key}", str(one)) for key, one in value.items()]
        else:
            facts.append((_FACTS.get(name, name.replace("_", " ")), _fact(value)))
    folded = (
        element("details", element("summary", title), content, class_="screen")
        for title, content in (
            ("Versions and settings", html_table(Table(("", ""), details, texts=2))),
            ("The scenario", element("pre", scenario)),
        )
    )
    content: list[Block] = [Table(("", ""), facts, texts=2), *folded]
    return Section("How it was made", "Fingerprints, versions and times.", content)
