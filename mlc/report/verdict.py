"""The verdict of a report: the model against the best baseline.

It is over the labels that allow to judge.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from mlc.evaluation.metrics import ENOUGH, VERDICT_RULE, Difference, LabelScore, MeanScore
from mlc.evaluation.outcomes import MARGINS, OUTCOME_WORDS, SCORE_NAMES, ScoreName, outcome
from mlc.report.cells import score_text
from mlc.report.contents import (
    JUDGED,
    BaselineReport,
    Compared,
    JudgedLabels,
    LeftOut,
    Report,
    SplitReport,
)

_MOST_NAMED = 3  # labels without a verdict, in the first line


def judged_labels(labels: Sequence[LabelScore]) -> JudgedLabels:
    """Return the labels that the verdict rests on, and why not on the others."""
    left_out = [LeftOut(label.name, label.not_judged) for label in labels if label.not_judged]
    return JudgedLabels(VERDICT_RULE, [label.name for label in labels if not label.not_judged], left_out)


def compare_scores(
    test: SplitReport, baselines: Mapping[str, Mapping[str, BaselineReport]]
) -> dict[ScoreName, Compared | None]:
    """Return the model against the best baseline in each score, None without one.

    Args:
        test: The test split of the model.
        baselines: Name → split → scores.
    """
    judged = {name: entry[JUDGED] for name, entry in baselines.items()}
    return {score: _compared(score, test.judged, judged) for score in SCORE_NAMES}


def _compared(score: ScoreName, model: MeanScore, baselines: Mapping[str, BaselineReport]) -> Compared | None:
    of_model = mean_score(model, score)
    of_baselines = {
        name: value
        for name, entry in baselines.items()
        if (value := mean_score(entry.judged, score)) is not None
    }
    if of_model is None or not of_baselines:
        return None
    sign = -1 if score == "log_loss" else 1  # a low loss is good
    best = max(of_baselines, key=lambda name: sign * of_baselines[name])
    difference = (baselines[best].difference or {})[score] or Difference(None, None, None, 0)
    return Compared(
        outcome(score, difference.low, difference.high),
        best,
        of_model,
        of_baselines[best],
        **asdict(difference),
    )


def mean_score(mean: MeanScore, score: ScoreName) -> float | None:
    """Return one score of a mean."""
    return {"ap": mean.ap, "auroc": mean.auroc, "log_loss": mean.log_loss}[score]


def headline(report: Report) -> str:
    """Return the verdict in one or two sentences, with few numbers.

    Args:
        report: Of `build_report`, or read back from `report.json`.
    """
    compared = report.comparison["ap"]
    if compared is None:
        return report.verdict
    margin = f", within ±{MARGINS['ap']:g}" if compared.outcome == "equal" else ""
    words = OUTCOME_WORDS[compared.outcome]
    sentences = [
        f"{words[0].upper()}{words[1:]} the best baseline, {compared.baseline}: macro average precision "
        f"{compared.model:.3f} against {compared.baseline_score:.3f}{margin}."
    ]
    for score in ("auroc", "log_loss"):
        other = report.comparison[score]
        if other is not None and other.outcome == "worse" != compared.outcome:
            sentences.append(f"WORSE than {other.baseline} in macro {SCORE_NAMES[score]}.")
    left_out = len(report.judged.left_out)
    if left_out and len(sentences) == 1:
        counted = "1 label is" if left_out == 1 else f"{left_out:,} labels are"
        sentences.append(f"{counted} not judged: too few entities have a positive or a negative.")
    return " ".join([*sentences, *map(not_compared, report.missing_baselines)])


def not_compared(missing: str) -> str:
    """Return the end of a verdict for a baseline that is missing."""
    return f"Not compared: {missing}."


def verdict_text(
    test: SplitReport, comparison: Mapping[ScoreName, Compared | None], judged: JudgedLabels
) -> str:
    """Return the first line of a report: is the model good, and better than what.

    Args:
        test: The test split of the model.
        comparison: Of `compare_scores`.
        judged: Of `judged_labels`.
    """
    macro = test.macro
    scores = f"macro AP {score_text(macro.ap)}, macro AUROC {score_text(macro.auroc)}"
    if not test.examples:
        return "No verdict: the test split has no example."
    if not macro.labels_defined:
        return (
            f"No verdict: none of the {macro.labels} labels has both a positive and a negative among the "
            f"{test.examples:,} test examples, so that neither AUROC nor average precision is defined."
        )
    if not judged.labels:
        return (
            f"No verdict: for none of the {macro.labels} labels do at least {ENOUGH} entities have a "
            f"positive and {ENOUGH} a negative test example. Over the {macro.labels_defined} labels with "
            f"both: {scores}."
        )
    if comparison["ap"] is None:
        return f"No verdict: there is no baseline to compare with. Test split: {scores}."
    compared = {score: one for score, one in comparison.items() if one is not None}
    before = [None, *(one.baseline for one in compared.values())]
    clauses = [_clause(score, compared[score], name) for score, name in zip(compared, before, strict=False)]
    over = f"Test split, {len(judged.labels)} of {macro.labels} labels judged{_left_out(judged)}."
    return f"{clauses[0][0].upper()}{'; '.join(clauses)[1:]}. {over}"


def _left_out(judged: JudgedLabels) -> str:
    """The labels that a verdict does not rest on, as the end of its sentence."""
    rest = judged.left_out
    named = ", ".join(f"{label.name} ({label.why})" for label in rest[:_MOST_NAMED])
    more = f" and {len(rest) - _MOST_NAMED:,} more" if len(rest) > _MOST_NAMED else ""
    return f"; not judged: {named}{more}" if rest else ""


def _clause(score: ScoreName, compared: Compared, before: str | None) -> str:
    """One part of the verdict; `before` is the baseline of the part before it."""
    digits = 4 if score == "log_loss" else 3
    scores = f"{compared.model:.{digits}f} against {compared.baseline_score:.{digits}f}"
    value, low, high = (f"{end:+.{digits}f}" for end in (compared.value, compared.low, compared.high))
    margin = f", within ±{MARGINS[score]:g}" if compared.outcome == "equal" else ""
    best = compared.baseline
    baseline = "it" if best == before else f"the best baseline, {best},"
    return (
        f"{OUTCOME_WORDS[compared.outcome]} {baseline} in macro {SCORE_NAMES[score]}: {scores}, "
        f"{value} (95 % interval {low} to {high}{margin})"
    )
