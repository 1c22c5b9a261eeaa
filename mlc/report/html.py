"""The report as a page: one HTML file for people, from the dict and the tables of a run."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from markupsafe import Markup

from mlc.drawing.page import Section, element, joined, legend, page, scrolling, share_bar, table
from mlc.drawing.prevalence import prevalence_chart, prevalence_points
from mlc.drawing.svg import Curve, curves, heat_map, number_axis, seconds, time_axis
from mlc.evaluation.metrics import VERDICT_RULE
from mlc.evaluation.metrics.wording import judged_text, left_out_rows, macro_text, mean_of
from mlc.evaluation.thresholds import label_cut_text
from mlc.report.cells import (
    competitors,
    count_text,
    described,
    difference_text,
    number_text,
    range_text,
    score_text,
)
from mlc.report.panels import Scored, label_panel
from mlc.tables import RAW_SCORES, SCORES, SPLIT, SPLITS, UNKNOWN, Split, scores_of, targets_of

Matrix = npt.NDArray[Any]

_MOST_PANELS = 200
_MOST_TOGETHER = 40
_MOST_PAIRS = 15
_FEWEST_EXPECTED = 5  # pairs, for a comparison with what was expected


def report_page(
    report: Mapping[str, Any],
    examples: pl.DataFrame,
    predictions: pl.DataFrame,
    *,
    made: Mapping[str, Any],
    log: Sequence[Mapping[str, float]],
    scenario: str,
) -> str:
    """One file that loads nothing.

    Args:
        report: Of `build_report`, or read back from `report.json`.
        examples: `entity_id`, `cutoff`, `split`, `targets`.
        predictions: `scores` and `raw_scores` of the examples, in their order.
        made: `run.json`: fingerprints, versions, times.
        log: A mapping an epoch: `epoch`, losses and scores.
        scenario: The scenario as it was given.
    """
    test = _Part.of(examples, predictions, "test")
    sections = [
        _at_a_glance(report),
        _labels(report),
        _panels(report, examples, _Part.of(examples, predictions, "validation"), test),
        _rivals(report),
        *_together(report, test),
        *_backtest(report),
        *_slices(report),
        *_training(log),
        _funnel(report),
        *_warnings(report),
        _made(made, scenario),
    ]
    script = files("mlc.report").joinpath("explore.js").read_text(encoding="utf-8")
    begun, colon, rest = report["verdict"].partition(":")
    return page(report["scenario"], joined([element("strong", begun), colon, rest]), sections, script)


class _Part:
    """Scores and targets of one split."""

    def __init__(self, scores_NK: Matrix, raw_NK: Matrix, targets_NK: Matrix) -> None:
        self.scores_NK, self.raw_NK, self.targets_NK = scores_NK, raw_NK, targets_NK

    @classmethod
    def of(cls, examples: pl.DataFrame, predictions: pl.DataFrame, split: Split) -> "_Part":
        rows = (examples[SPLIT] == split).to_numpy()
        scores_NK, raw_NK = (scores_of(predictions, column)[rows] for column in (SCORES, RAW_SCORES))
        return cls(scores_NK, raw_NK, targets_of(examples)[rows])

    def label(self, k: int) -> Scored:
        return Scored.of(self.scores_NK[:, k], self.raw_NK[:, k], self.targets_NK[:, k])


# ── what matters most ───────────────────────────────────────────────────────────────────────────


def _at_a_glance(report: Mapping[str, Any]) -> Section:
    test, trust = report["splits"]["test"], report["trust"]
    cards = [
        _card(title, score_text(mean_of(test)[score]), f"{_interval_words(test, score)}, {judged_text(test)}")
        for score, title in (("auroc", "Macro AUROC"), ("ap", "Macro average precision"))
    ]
    kinds = [
        _card(title, count_text(len(trust[kind])), _listed(trust[kind]))
        for kind, title in (
            ("trusted", "Labels that can be trusted"),
            ("weak", "Weak labels"),
            ("not_evaluable", "Labels not evaluable"),
        )
    ]
    rows = element("div", *cards, class_="cards"), element("div", *kinds, class_="cards")
    rule = element("p", trust["rule"], class_="faint")
    return Section("At a glance", f"Test: {described(test)}.", [*rows, rule, *_left_out(test)])


def _left_out(test: Mapping[str, Any]) -> list[Markup]:
    """The labels that no verdict rests on, by reason."""
    reasons = [element("p", sentence, class_="faint") for sentence in left_out_rows(test["labels"])]
    summary = element("summary", f"Labels not judged. {VERDICT_RULE}")
    return [element("details", summary, *reasons)] if reasons else []


def _interval_words(test: Mapping[str, Any], score: str) -> str:
    within = macro_text(test, score).partition("(")[2].removesuffix(")")
    return within if within.startswith("no") or not within else f"95 % interval {within}"


def _card(title: str, number: str, said: object) -> Markup:
    shown = element("p", number, class_="large-number")
    return element("figure", element("h3", title), shown, element("p", said, class_="faint"))


def _listed(names: Sequence[str], most: int = 12) -> object:
    if len(names) <= most:
        return " · ".join(names) or "none"
    rest = element("details", element("summary", f"and {len(names) - most} more"), " · ".join(names[most:]))
    return joined([" · ".join(names[:most]), rest])


# ── labels ──────────────────────────────────────────────────────────────────────────────────────


def _labels(report: Mapping[str, Any]) -> Section:
    head = [
        *("label", "support", "prevalence", "AUROC", "95 %", "AP", "95 %", "AP/prevalence"),
        *("threshold", "yes", "precision", "promised", "recall", "promised", "kept", "F1"),
        *("calibration error before", "after"),
    ]
    rows = [_label_row(label) for label in report["splits"]["test"]["labels"]]
    return Section(
        "Labels",
        "The test split; a click on a heading sorts. Each threshold was chosen on validation, with a 95 % "
        "range of precision and recall to expect; kept where neither is below its range on the test.",
        [table(head, rows, class_="sortable")],
    )


def _label_row(label: Mapping[str, Any]) -> list[str]:
    return [
        label["name"],
        count_text(label["support"]),
        "-" if label["prevalence"] is None else f"{label['prevalence']:.2%}",
        score_text(label["auroc"]),
        range_text(label["auroc_interval"]),
        score_text(label["ap"]),
        range_text(label["ap_interval"]),
        number_text(label["lift"], ".1f"),
        label_cut_text(label, ".4g"),
        count_text(label["volume"]),
        *_promises(label),
        score_text(label["f1"]),
        number_text(label.get("calibration_error_before"), ".4f"),
        number_text(label["calibration_error"], ".4f"),
    ]


def _promises(label: Mapping[str, Any]) -> list[str]:
    """Precision and recall, each with the range that was promised, and whether the test kept them."""
    estimate = label["threshold_estimate"] or {}
    cells, kept = [], []
    for name in ("precision", "recall"):
        promised = estimate.get(name)
        cells += [score_text(label[name]), range_text(promised and (promised["low"], promised["high"]))]
        if promised and label[name] is not None and label["threshold"] is not None:
            kept.append(label[name] >= promised["low"])
    return [*cells, ("yes" if all(kept) else "no") if kept else "-"]


def _panels(report: Mapping[str, Any], examples: pl.DataFrame, validation: _Part, test: _Part) -> Section:
    labels = report["splits"]["test"]["labels"]
    some = f" The first {_MOST_PANELS} of {len(labels):,} labels." if len(labels) > _MOST_PANELS else ""
    points = prevalence_points(examples)
    cutoffs = [point.cutoff for point in points]
    x = time_axis(min(cutoffs), max(cutoffs))
    panels = (
        label_panel(
            label,
            validation.label(k),
            test.label(k),
            prevalence_chart("Prevalence over time", k, points, x, legend(SPLITS)),
        )
        for k, label in enumerate(labels[:_MOST_PANELS])
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
        "Curves are of the test split. Cuts are tried out on validation, where one may choose, next to what "
        f"the test would have given; for mlc predict --threshold and for the scenario.{some}",
        [*panels, own],
    )


# ── rivals ──────────────────────────────────────────────────────────────────────────────────────


def _rivals(report: Mapping[str, Any]) -> Section:
    rows = []
    for name, entry in competitors(report, "test"):
        cells = []
        for score, digits in (("ap", 3), ("auroc", 3), ("log_loss", 4)):
            cells.append(number_text(mean_of(entry)[score], f".{digits}f"))
            cells.append(difference_text(entry.get("difference", {}).get(score), digits))
        rows.append([name, *cells])
    head = [
        "",
        "macro AP",
        "model minus it",
        "macro AUROC",
        "model minus it",
        "macro log-loss",
        "model minus it",
    ]
    notes = [*report["baseline_notes"], *report["missing_baselines"]]
    return Section(
        "Against the baselines",
        f"Means {judged_text(report['splits']['test'])}, and differences over the same labels and test "
        "examples, with 95 % intervals; a low log-loss is good.",
        [table(head, rows), *(element("p", note, class_="faint") for note in notes)],
    )


# ── labels that come together ───────────────────────────────────────────────────────────────────


def _together(report: Mapping[str, Any], test: _Part) -> list[Section]:
    every = [label["name"] for label in report["splits"]["test"]["labels"]]
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
            f"the scores let expect {expected_KK[i, j]:,.0f}"
            for j, other in enumerate(names)
        ]
        for i, one in enumerate(names)
    ]
    away_KK = np.triu(np.where(expected_KK >= _FEWEST_EXPECTED, (both_KK - expected_KK) / spread_KK, 0), k=1)
    order = np.argsort(-np.abs(away_KK), axis=None, kind="stable")[:_MOST_PAIRS]
    pairs = [
        [
            f"{names[i]} & {names[j]}",
            f"{both_KK[i, j]:,.0f}",
            f"{expected_KK[i, j]:,.0f}",
            f"{both_KK[i, j] / expected_KK[i, j]:.2f}",
            f"{away_KK[i, j]:+.1f}",
        ]
        for i, j in zip(*np.unravel_index(order, away_KK.shape), strict=True)
        if away_KK[i, j]
    ]
    some = f" The {_MOST_TOGETHER} most frequent labels." if len(names) < len(every) else ""
    missed = [
        element("h3", "What the scores miss of it"),
        element(
            "p",
            "The scores of two labels, multiplied, let expect so many examples with both. Far more say that "
            "the labels share a cause the model does not see. Distance in standard deviations.",
            class_="lead",
        ),
        table(["", "examples with both", "expected", "times as many", "distance"], pairs, class_="sortable"),
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


def _backtest(report: Mapping[str, Any]) -> list[Section]:
    periods = report["backtest"]
    if not periods:
        return []
    moments = [datetime.fromisoformat(period["first"]) for period in periods]
    x, lines, highest = time_axis(moments[0], moments[-1]), [], 0.0
    for colour, (score, name) in enumerate((("ap", "macro AP"), ("auroc", "macro AUROC"))):
        defined = [(moment, p["macro"][score]) for moment, p in zip(moments, periods, strict=True)]
        points = [(seconds(moment), value) for moment, value in defined if value is not None]
        notes = [f"{name} {moment:%Y-%m-%d}: {value:.3f}" for moment, value in defined if value is not None]
        lines.append(Curve(colour, points, notes))
        highest = max([highest, *(value for _, value in points)])
    chart = curves("scores over the test cutoffs", lines, x, number_axis(0, highest), (600, 160))
    rows = [[_moments(period), *_part_cells(period)] for period in periods]
    return [
        Section(
            "Over the test cutoffs",
            "The same model at one cutoff after the other: does it hold?",
            [
                element("figure", chart, legend(["macro AP", "macro AUROC"])),
                table(["cutoff", *_PART_HEAD], rows),
            ],
        )
    ]


def _moments(period: Mapping[str, Any]) -> str:
    first, last = (str(period[end]).removesuffix("T00:00:00") for end in ("first", "last"))
    return first if first == last else f"{first} to {last}"


_PART_HEAD = ("examples", "positives", "macro AP", "macro AUROC", "macro log-loss", "labels defined")


def _part_cells(part: Mapping[str, Any]) -> list[str]:
    macro = part["macro"]
    scores = score_text(macro["ap"]), score_text(macro["auroc"]), number_text(macro["log_loss"], ".4f")
    defined = f"{macro['labels_defined']} of {macro['labels']}"
    return [count_text(part["examples"]), count_text(part["positives"]), *scores, defined]


def _slices(report: Mapping[str, Any]) -> list[Section]:
    tables = []
    for one in report["slices"]:
        rows = [[part["value"], *_part_cells(part)] for part in one["parts"]]
        tables.append(table([one["by"], *_PART_HEAD], rows))
    lead = (
        "Test examples told apart by what is known of them. AP rises with the prevalence: compare AUROC "
        "across rows. Columns of entities tables are added by slices: in the scenario."
    )
    return [Section("For whom", lead, tables)] if tables else []


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


def _funnel(report: Mapping[str, Any]) -> Section:
    steps = report["funnel"]
    whole = max([1, *(step["kept"] for step in steps[:1])])
    rows = [
        [
            step["reason"],
            f"-{step['removed']:,}" if step["removed"] else "",
            count_text(step["kept"]),
            share_bar(step["kept"] / whole),
        ]
        for step in steps
    ]
    splits = [[split, described(entry)] for split, entry in report["splits"].items()]
    content = [
        table(["", "left out", "kept", ""], rows),
        element("h3", "Splits"),
        table(["", ""], splits, texts=2),
    ]
    return Section("Examples", "An example is an entity at a cutoff. What was left out, and why.", content)


def _warnings(report: Mapping[str, Any]) -> list[Section]:
    found = [element("li", warning) for warning in report["warnings"]]
    return (
        [Section("Warnings", "What limits how the numbers may be read.", [element("ul", *found)])]
        if found
        else []
    )


def _made(made: Mapping[str, Any], scenario: str) -> Section:
    rows = []
    for name, value in made.items():
        if isinstance(value, Mapping):
            rows += [[f"{name}: {key}", str(one)] for key, one in value.items()]
        else:
            rows.append([name.replace("_", " "), " ".join(value) if isinstance(value, list) else str(value)])
    shown = element("details", element("summary", "The scenario"), element("pre", scenario))
    return Section(
        "How it was made", "Fingerprints, versions and times.", [table(["", ""], rows, texts=2), shown]
    )
