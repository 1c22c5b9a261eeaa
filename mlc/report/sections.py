"""The sections of a report, laid out once for page, terminal, Markdown and card."""

from collections.abc import Sequence

from mlc.drawing.sections import Notes, Section, Table
from mlc.drawing.text_tables import Row
from mlc.evaluation.metrics import VERDICT_RULE, Difference
from mlc.evaluation.metrics.wording import judged_text, left_out_rows, macro_text
from mlc.evaluation.outcomes import ScoreName
from mlc.report.cells import (
    count_text,
    difference_text,
    number_text,
    range_text,
    score_text,
    scored_sides,
    size_text,
)
from mlc.report.contents import (
    JUDGED,
    BaselineReport,
    MetricScore,
    PartReport,
    Period,
    Report,
    SplitReport,
)
from mlc.report.trust import trust_words

_MOST_NAMED = 12
_TERMS = {
    "positives": "Examples that have the label.",
    "prevalence": "Share of the examples that have the label.",
    "AUROC": "How often an example with the label scores above one without: 0.5 is chance, 1 is perfect.",
    "AP": "Average precision: the share that is right among the highest scores, averaged over all depths.",
    "AP/prevalence": "How many times better than random order.",
    "threshold": "A score from here on is decided yes; chosen on validation.",
    "precision": "Share of the yes that have the label.",
    "recall": "Share of those with the label that are decided yes.",
    "trust": "How far the figures of the label can be relied on.",
    "macro AP": "Average precision, averaged over the labels.",
    "macro AUROC": "AUROC, averaged over the labels.",
    "log-loss": "How far the probabilities are off; low is good.",
}
"""What technical words mean, for the headings of a page."""
_PART_HEADER = ("examples", "positives", "macro AP", "macro AUROC", "macro log-loss", "labels defined")
_PART_OPTIONAL = (6, 5, 2)


def report_sections(report: Report, split: str = JUDGED) -> list[Section]:
    """Return what follows the verdict, in order; what is empty is left out.

    Args:
        report: Of `build_report`, or read back from `report.json`.
        split: Whose labels to show. Differences to baselines are always those of the test split.
    """
    entry, title = report.splits[split], split.capitalize()
    others = [name for name in reversed(report.splits) if name != split]
    sections = [
        gates(report),
        against_baselines(report, split),
        labels(report, split),
        *([trusted_labels(report)] if split == JUDGED else []),
        log_losses(report, split),
        baseline_notes(report),
        not_judged(entry, title),
        intervals(entry, title),
        promises(entry, title),
        calibration(entry, title),
        all_labels(entry, title),
        other_means(report, split, f"{title}: other means"),
        *(
            other_means(report, name, f"{name.capitalize()}: {size_text(report.splits[name])}")
            for name in others
        ),
        *([by_cutoff(report), by_slice(report)] if split == JUDGED else []),
        funnel(report),
        warnings(report),
    ]
    return [section for section in sections if not section.empty]


# ── the model and its baselines ─────────────────────────────────────────────────────────────────


def gates(report: Report) -> Section:
    """Return what the test split must reach, and whether it does."""
    rows = [(gate.gate, gate.found, "passed" if gate.passed else "FAILED") for gate in report.gates or ()]
    return Section("Gates", content=[Table(("gate", "found", ""), rows, texts=2)])


def against_baselines(report: Report, split: str) -> Section:
    """Return macro scores of the model between its baselines."""
    rows: list[Row] = []
    for name, entry in scored_sides(report, split):
        mean = entry.headline
        scores = (score_text(mean.ap), score_text(mean.auroc), number_text(mean.log_loss, ".4f"))
        differences = (difference_text(_difference(entry, score)) for score in ("ap", "auroc"))
        rows.append((name, *scores, *differences))
    header = ("", "macro AP", "macro AUROC", "log-loss", "model minus it: AP", "model minus it: AUROC")
    size, over = size_text(report.splits[split]), judged_text(report.splits[split])
    table = Table(header, rows, optional=(5, 3, 2), terms=_TERMS)
    return Section("Against the baselines", f"{split.capitalize()}: {size}; means {over}.", [table])


def log_losses(report: Report, split: str) -> Section:
    """Return the log-loss of the model and of baselines that give probabilities."""
    rows = [
        (name, number_text(loss, ".4f"), difference_text(_difference(entry, "log_loss"), 4))
        for name, entry in scored_sides(report, split)
        if (loss := entry.headline.log_loss) is not None
    ]
    table = Table(("", "macro log-loss", "model minus it"), rows)
    return Section("Log-loss", f"{split.capitalize()}: log-loss of the probabilities, low is good.", [table])


def _difference(entry: SplitReport | BaselineReport, score: ScoreName) -> Difference | None:
    return (entry.difference or {}).get(score) if isinstance(entry, BaselineReport) else None


def baseline_notes(report: Report) -> Section:
    """Return what a reader should know of the baselines."""
    ranking = [
        name
        for name, entry in report.baselines.items()
        if entry[JUDGED].macro.log_loss is None and entry[JUDGED].macro.ap is not None
    ]
    reason = f"{' and '.join(ranking)}: scores that rank and are no probabilities, so without log-loss"
    notes = [*report.baseline_notes, *report.missing_baselines, *([reason] if ranking else [])]
    return Section("Baselines", content=[Notes(notes)])


def other_means(report: Report, split: str, title: str) -> Section:
    """Return macro, micro and weighted means of the model and its baselines."""
    rows: list[Row] = []
    for name, entry in scored_sides(report, split):
        means = (entry.macro, entry.micro, entry.weighted)
        rows.append((name, *(score_text(score) for mean in means for score in (mean.ap, mean.auroc))))
    header = ("", "macro AP", "macro AUROC", "micro AP", "micro AUROC", "weighted AP", "weighted AUROC")
    return Section(title, content=[Table(header, rows, optional=(5, 6, 3, 4))])


# ── label by label ──────────────────────────────────────────────────────────────────────────────


def labels(report: Report, split: str, most: int | None = None) -> Section:
    """Return scores, threshold, decisions and trust of each label.

    Args:
        report: The numbers.
        split: Whose; trust always rests on the test split.
        most: Show only as many of the most frequent labels.
    """
    every, trust = report.splits[split].labels, trust_words(report.trust)
    frequent = {label.name for label in sorted(every, key=lambda label: -label.support)[:most]}
    rows: list[Row] = [
        (
            label.name,
            count_text(label.support),
            number_text(label.prevalence, ".2%"),
            score_text(label.auroc),
            score_text(label.ap),
            number_text(label.lift, ".1f"),
            label.threshold_text(".3f"),
            score_text(label.precision),
            score_text(label.recall),
            trust.get(label.name, "-"),
        )
        for label in every
        if label.name in frequent
    ]
    header = ("label", "positives", "prevalence", "AUROC", "AP", "AP/prevalence", "threshold", "precision")
    table = Table((*header, "recall", "trust"), rows, sortable=True, optional=(2, 5, 3, 1, 6), terms=_TERMS)
    some = f", the {len(rows)} most frequent of {len(every):,}" if len(rows) < len(every) else ""
    return Section("Labels", f"{split.capitalize()}: each label at its threshold{some}.", [table])


def trusted_labels(report: Report) -> Section:
    """Return the labels by how far one can rely on them, and the rule."""
    trust = report.trust
    kinds = (("trusted", trust.trusted), ("weak", trust.weak), ("not evaluable", trust.not_evaluable))
    notes = [f"{word}, {len(names)}: {_some_of(names)}" for word, names in kinds if names]
    return Section("Labels that can be trusted", content=[Notes([*notes, trust.rule])])


def _some_of(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def not_judged(entry: SplitReport, title: str) -> Section:
    """Return the labels that no verdict rests on, by reason."""
    reasons = left_out_rows((label.name, label.not_judged) for label in entry.labels)
    notes = [*reasons, VERDICT_RULE] if reasons else []
    return Section(f"{title}: labels not judged", content=[Notes(notes)])


def intervals(entry: SplitReport, title: str) -> Section:
    """Return the intervals of each label, and its lift among the highest scores."""
    rows: list[Row] = []
    for label in entry.labels:
        lifts = (number_text(lift, ".1f") for lift in (label.lift_1, label.lift_5, label.lift_10))
        rows.append((label.name, range_text(label.auroc_interval), range_text(label.ap_interval), *lifts))
    table = Table(("label", "AUROC", "AP", "lift at 1 %", "at 5 %", "at 10 %"), rows, optional=(4, 3))
    return Section(f"{title}: 95 % intervals, and lift among the highest scores", content=[table])


def promises(entry: SplitReport, title: str) -> Section:
    """Return what each threshold gave, next to the range that validation promised."""
    rows: list[Row] = []
    for label in entry.labels:
        estimate = label.threshold_estimate
        if estimate is None or estimate.yes is None or not label.examples:
            continue
        cells: list[str] = []
        for value, promised in (
            (label.precision, estimate.precision),
            (label.recall, estimate.recall),
        ):
            cells += [score_text(value), range_text((promised.low, promised.high) if promised else None)]
        low, high = (round(end * label.examples) for end in (estimate.yes.low, estimate.yes.high))
        rows.append((label.name, *cells, count_text(label.volume), f"{low:,}-{high:,}"))
    header = ("label", "precision", "promised", "recall", "promised", "volume", "promised")
    return Section(
        f"{title}: what the thresholds gave, and 95 % range promised",
        content=[Table(header, rows, optional=(5, 6))],
    )


def calibration(entry: SplitReport, title: str) -> Section:
    """Return how good the probabilities were before and after calibration."""
    rows = [
        (
            label.name,
            label.calibration,
            *(
                number_text(value, ".4f")
                for value in (
                    label.log_loss_before,
                    label.log_loss,
                    label.calibration_error_before,
                    label.calibration_error,
                )
            ),
        )
        for label in entry.labels
        if label.calibration is not None
    ]
    header = ("label", "method", "log-loss before", "after", "error before", "after")
    table = Table(header, rows, optional=(1,))
    return Section(f"{title}: probabilities before and after calibration", content=[table])


# ── all labels together ─────────────────────────────────────────────────────────────────────────


def all_labels(entry: SplitReport, title: str) -> Section:
    """Return sentences on all labels and decisions at once."""
    ranked, decided = entry.per_example, entry.decisions
    if decided.hamming is None:
        return Section(f"{title}: all labels together")
    notes = [
        *_macro_sentences(entry),
        f"labels of an example, over the {ranked.examples:,} with a positive: "
        f"LRAP {score_text(ranked.lrap)}, coverage error {score_text(ranked.coverage_error)}, "
        f"ranking loss {score_text(ranked.ranking_loss)}",
    ]
    notes += [
        f"the {depth} highest: precision {score_text(precision)}, "
        f"recall {score_text(ranked.recall_at[depth])}, nDCG {score_text(ranked.ndcg_at[depth])}"
        for depth, precision in ranked.precision_at.items()
    ]
    notes += [
        f"decisions, {name}: precision {score_text(mean.precision)} ({mean.precision_labels} labels), "
        f"recall {score_text(mean.recall)} and F1 {score_text(mean.f1)} ({mean.recall_labels} labels)"
        for name, mean in (("macro", decided.macro), ("micro", decided.micro), ("weighted", decided.weighted))
    ]
    notes.append(
        f"decisions: Hamming loss {score_text(decided.hamming)}, subset accuracy "
        f"{score_text(decided.subset_accuracy)}, yes per example {score_text(decided.labels_predicted)} "
        f"where {score_text(decided.labels_true)} are positive, share without a yes "
        f"{score_text(decided.empty)}"
    )
    notes += map(_metric_sentence, entry.metrics or ())
    return Section(f"{title}: all labels together", content=[Notes(notes)])


def _metric_sentence(metric: MetricScore) -> str:
    options = "".join(f", {name} {value}" for name, value in metric.options.items())
    values = metric.value if isinstance(metric.value, Sequence) else [metric.value]
    text = metric.undefined or " ".join(map(score_text, values))
    return f"{metric.name}{options}: {text} ({metric.labels} labels)"


def _macro_sentences(entry: SplitReport) -> list[str]:
    """Return the macro means over judged labels, and over all defined ones if more."""
    mean, macro = entry.headline, entry.macro
    sentences = [
        f"macro AP {macro_text(mean.ap, mean.ap_interval)}, "
        f"macro AUROC {macro_text(mean.auroc, mean.auroc_interval)}, {judged_text(entry)}"
    ]
    if macro.labels_defined > mean.labels_defined:
        sentences.append(
            f"macro AP {score_text(macro.ap)}, macro AUROC {score_text(macro.auroc)} over the "
            f"{macro.labels_defined} labels with a positive and a negative"
        )
    return sentences


# ── parts of the test split, and what else to know ──────────────────────────────────────────────


def by_cutoff(report: Report) -> Section:
    """Return the scores at one cutoff after the other."""
    rows = [(_period_text(period), *_part_cells(period)) for period in report.backtest]
    return Section(
        "Over the test cutoffs",
        "The same model at one cutoff after the other: does it hold?",
        [Table(("cutoff", *_PART_HEADER), rows, optional=_PART_OPTIONAL)],
    )


def _period_text(period: Period) -> str:
    first, last = (end.removesuffix("T00:00:00") for end in (period.first, period.last))
    return first if first == last else f"{first} to {last}"


def by_slice(report: Report) -> Section:
    """Return the scores among the examples of which something is known."""
    tables = [
        Table(
            (one.by, *_PART_HEADER),
            [(part.value, *_part_cells(part)) for part in one.parts],
            optional=_PART_OPTIONAL,
        )
        for one in report.slices
    ]
    lead = (
        "Test examples by what is known of them. AP rises with the prevalence: compare AUROC "
        "across rows. Columns of entities tables that slices: in the scenario names are parts too."
    )
    return Section("For whom", lead, tables)


def _part_cells(part: PartReport) -> Row:
    macro = part.macro
    scores = score_text(macro.ap), score_text(macro.auroc), number_text(macro.log_loss, ".4f")
    defined = f"{macro.labels_defined} of {macro.labels}"
    return (count_text(part.examples), count_text(part.positives), *scores, defined)


def funnel(report: Report) -> Section:
    """Return what was left out on the way to the examples, and why."""
    rows = [(step.reason, count_text(step.removed), count_text(step.kept)) for step in report.funnel]
    whole = max([1, *(step.kept for step in report.funnel[:1])])
    shares = [step.kept / whole for step in report.funnel]
    return Section("Examples", content=[Table(("reason", "removed", "kept"), rows, shares=shares)])


def warnings(report: Report) -> Section:
    """Return what limits how the numbers may be read."""
    return Section("Warnings", content=[Notes(report.warnings)])
