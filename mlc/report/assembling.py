"""A report from the saved tables of a run."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy.typing as npt
import polars as pl

from mlc.errors import DataError, Problem
from mlc.evaluation.calibration import Calibrator
from mlc.evaluation.gates import Gate, judge
from mlc.evaluation.metrics import (
    DecisionScore,
    Difference,
    LabelScore,
    OverallScore,
    macro_differences,
    overall_decisions,
    overall_scores,
    score_decisions,
    score_examples,
    score_labels,
)
from mlc.evaluation.outcomes import ScoreName
from mlc.evaluation.thresholds import Threshold, decide
from mlc.report.contents import (
    JUDGED,
    BaselineLabel,
    BaselineReport,
    CutoffSpan,
    LabelReport,
    MetricScore,
    Report,
    SplitReport,
)
from mlc.report.parts import backtest, sliced
from mlc.report.trust import trust
from mlc.report.verdict import compare_scores, judged_labels, not_compared, verdict_text
from mlc.scenario import GatesSection
from mlc.tables import (
    CUTOFF,
    ENTITY_ID,
    RAW_SCORES,
    SCORES,
    SPLIT,
    check_predictions,
    entity_codes,
    key_columns,
    scores_of,
    split_names,
    targets_of,
)
from mlc.task import FunnelStep

_FEW_ENTITIES = 100
ORACLE = "oracle"

Matrix = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class ReportInputs:
    """What a report is made of.

    Attributes:
        scenario: Its name.
        class_names: The K labels, in the order of targets and scores.
        examples: Key, `split` and `targets`.
        predictions: Key, `split` and `scores` of the same examples, in any order; with `calibrators` also
            `raw_scores`.
        thresholds: One per label, in order.
        baselines: Name → predictions of a baseline on the same examples.
        no_probabilities: Baselines whose scores only rank: they have no log-loss.
        baseline_notes: What a reader should know of the baselines.
        missing_baselines: Why a baseline is not there, a sentence each; the verdict ends with them.
        calibrators: What made the scores of the raw ones, one per label, in order; or none.
        oracle: True probabilities in the shape of predictions, for generated tables.
        slices: What tells examples apart → the value of each, Enum in the order to show.
        funnel: Each filter on the way to the examples.
        metrics: Split → the metrics that the scenario names.
        gates: What the test split must reach.
        warnings: What other steps want to be read here.
    """

    scenario: str
    class_names: Sequence[str]
    examples: pl.DataFrame
    predictions: pl.DataFrame
    thresholds: Sequence[Threshold]
    baselines: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    no_probabilities: Collection[str] = ()
    baseline_notes: Sequence[str] = ()
    missing_baselines: Sequence[str] = ()
    calibrators: Sequence[Calibrator] = ()
    oracle: pl.DataFrame | None = None
    slices: Mapping[str, pl.Series] = field(default_factory=dict)
    funnel: Sequence[FunnelStep] = ()
    metrics: Mapping[str, Sequence[MetricScore]] = field(default_factory=dict)
    gates: GatesSection | None = None
    warnings: Sequence[str] = ()


def build_report(inputs: ReportInputs) -> Report:
    """Return every number of a run, from its saved tables.

    Raises:
        DataError: Predictions do not have each example once, or are no probabilities;
            thresholds are not those of the labels.

    Examples:
        >>> import numpy as np
        >>> from mlc.tables import array_column
        >>> rows = pl.DataFrame({"entity_id": [1, 2], "split": ["test", "test"]})
        >>> report = build_report(
        ...     ReportInputs(
        ...         scenario="demo",
        ...         class_names=["Dress"],
        ...         examples=rows.with_columns(array_column("targets", np.array([[1], [0]], np.uint8))),
        ...         predictions=rows.with_columns(array_column("scores", np.array([[0.9], [0.1]]))),
        ...         thresholds=[Threshold("Dress", 0.5, "fixed")],
        ...     )
        ... )
        >>> report.judged.left_out
        [LeftOut(name='Dress', why='only 1 entity has a positive example')]
    """
    if [threshold.name for threshold in inputs.thresholds] != list(inputs.class_names):
        raise DataError("the thresholds are of other labels, or in another order")
    parts = {name: _Part.of(inputs, name) for name in dict.fromkeys([*split_names(inputs.examples), JUDGED])}
    splits = {name: _split_report(inputs, name, part) for name, part in parts.items()}
    baselines = _baseline_reports(inputs, parts, inputs.baselines)
    oracle = None if inputs.oracle is None else _baseline_reports(inputs, parts, {ORACLE: inputs.oracle})
    test = splits[JUDGED]
    comparison, judged = compare_scores(test, baselines), judged_labels(test.labels)
    return Report(
        scenario=inputs.scenario,
        verdict=" ".join(
            [verdict_text(test, comparison, judged), *map(not_compared, inputs.missing_baselines)]
        ),
        comparison=comparison,
        judged=judged,
        trust=trust(test.labels),
        splits=splits,
        baselines=baselines,
        baseline_notes=inputs.baseline_notes,
        missing_baselines=inputs.missing_baselines,
        oracle=None if oracle is None else oracle[ORACLE],
        backtest=backtest(parts[JUDGED].examples, parts[JUDGED].scores_NK, inputs.class_names),
        slices=sliced(parts[JUDGED].examples, parts[JUDGED].scores_NK, inputs.class_names, _slices(inputs)),
        funnel=inputs.funnel,
        warnings=[*inputs.warnings, *_own_warnings(test, inputs.thresholds)],
        gates=None if inputs.gates is None else _judged_gates(inputs.gates, test, baselines),
    )


# ── the model ───────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Part:
    """One split: its examples, and the scores of the model in their order."""

    name: str
    examples: pl.DataFrame
    targets_NK: Matrix
    entities_N: Matrix
    scores_NK: Matrix

    @classmethod
    def of(cls, inputs: ReportInputs, name: str) -> "_Part":
        examples = inputs.examples.filter(pl.col(SPLIT) == name)
        scores_NK = _scores("predictions", inputs.predictions, examples, name)
        return cls(name, examples, targets_of(examples), entity_codes(examples), scores_NK)

    def scored(self, scores_NK: Matrix, names: Sequence[str]) -> tuple[list[LabelScore], OverallScore]:
        """Each label, and the means over them."""
        labels = score_labels(scores_NK, self.targets_NK, names, self.entities_N)
        return labels, overall_scores(scores_NK, self.targets_NK, labels, self.entities_N)


def _scores(
    name: str, predictions: pl.DataFrame, examples: pl.DataFrame, split: str, column: str = SCORES
) -> Matrix:
    """The scores of one split, brought into the order of its examples by their keys."""
    rows = predictions.filter(pl.col(SPLIT) == split)
    try:
        check_predictions(rows, examples)
    except DataError as error:
        raise DataError(Problem(str(error), location=f"{name}, {split} split")) from error
    keys = key_columns(examples)
    joined = examples.select(keys).join(
        rows.select(*keys, column), on=keys, how="left", validate="1:1", maintain_order="left"
    )
    return scores_of(joined, column)


def _split_report(inputs: ReportInputs, name: str, part: _Part) -> SplitReport:
    """Return one split of the model: counts, means, and each label at its threshold."""
    labels, means = part.scored(part.scores_NK, inputs.class_names)
    decisions_NK = decide(part.scores_NK, inputs.thresholds)
    decided = score_decisions(decisions_NK, part.targets_NK, inputs.class_names)
    return SplitReport(
        **_size(part.examples),
        **vars(means),
        decisions=overall_decisions(decisions_NK, part.targets_NK, decided),
        per_example=score_examples(part.scores_NK, part.targets_NK),
        labels=[
            _label_report(*parts)
            for parts in zip(labels, inputs.thresholds, decided, _calibrations(inputs, part), strict=True)
        ],
        metrics=inputs.metrics.get(name),
    )


def _size(examples: pl.DataFrame) -> dict[str, Any]:
    """The fields of a `SplitSize`."""
    cutoffs = [] if CUTOFF not in examples.columns else examples[CUTOFF].unique().sort().to_list()
    first, last = (cutoffs[at].isoformat() if cutoffs else None for at in (0, -1))
    return {
        "examples": examples.height,
        "entities": examples[ENTITY_ID].n_unique(),
        "cutoffs": CutoffSpan(len(cutoffs), first, last),
    }


def _label_report(
    label: LabelScore, threshold: Threshold, decision: DecisionScore, calibration: Mapping[str, Any]
) -> LabelReport:
    return LabelReport(
        **vars(label),
        **{name: value for name, value in vars(decision).items() if name != "name"},
        **calibration,
        threshold=threshold.value,
        threshold_policy=threshold.policy,
        threshold_reachable=threshold.reachable,
        threshold_note=threshold.note,
        threshold_estimate=threshold.estimate,
    )


def _calibrations(inputs: ReportInputs, part: _Part) -> list[dict[str, Any]]:
    """For each label, how its scores were calibrated and how good they were before.

    There is nothing if none was.
    """
    if not inputs.calibrators:
        return [{} for _ in inputs.class_names]
    raw_NK = _scores("predictions", inputs.predictions, part.examples, part.name, RAW_SCORES)
    return [
        {
            "calibration": calibrator.method,
            "log_loss_before": label.log_loss,
            "calibration_error_before": label.calibration_error,
        }
        for calibrator, label in zip(
            inputs.calibrators, score_labels(raw_NK, part.targets_NK, inputs.class_names), strict=True
        )
    ]


# ── baselines ───────────────────────────────────────────────────────────────────────────────────


def _baseline_reports(
    inputs: ReportInputs, parts: Mapping[str, _Part], tables: Mapping[str, pl.DataFrame]
) -> dict[str, dict[str, BaselineReport]]:
    """Baseline → split → scores.

    Those of the test split with the difference of the model.
    """
    reports: dict[str, dict[str, BaselineReport]] = {name: {} for name in tables}
    for split, part in parts.items():
        scores = {name: _scores(name, table, part.examples, split) for name, table in tables.items()}
        differences = _differences(part, scores) if split == JUDGED else {}
        for name, scores_NK in scores.items():
            labels, means = part.scored(scores_NK, inputs.class_names)
            ranked = [BaselineLabel(label.name, label.auroc, label.ap) for label in labels]
            entry = BaselineReport(**vars(means), labels=ranked, difference=differences.get(name))
            reports[name][split] = _without_log_loss(entry) if name in inputs.no_probabilities else entry
    return reports


def _differences(part: _Part, scores: Mapping[str, Matrix]) -> dict[str, dict[ScoreName, Difference | None]]:
    differences = macro_differences(part.scores_NK, scores, part.targets_NK, part.entities_N)
    return {
        name: {"auroc": one["auroc"], "ap": one["ap"], "log_loss": one["log_loss"]}
        for name, one in differences.items()
    }


def _without_log_loss(entry: BaselineReport) -> BaselineReport:
    """The same entry of a baseline whose scores are no probabilities."""
    means = {mean.name: replace(getattr(entry, mean.name), log_loss=None) for mean in fields(OverallScore)}
    difference = entry.difference and {**entry.difference, "log_loss": None}
    return replace(entry, **means, difference=difference)


# ── the test split ──────────────────────────────────────────────────────────────────────────────


def _slices(inputs: ReportInputs) -> dict[str, pl.Series]:
    judged = inputs.examples[SPLIT] == JUDGED
    return {by: values.filter(judged) for by, values in inputs.slices.items()}


def _judged_gates(
    gates: GatesSection, test: SplitReport, baselines: Mapping[str, Mapping[str, BaselineReport]]
) -> list[Gate]:
    differences = {name: (entry[JUDGED].difference or {}).get("ap") for name, entry in baselines.items()}
    known = {name: one for name, one in differences.items() if one is not None}
    return judge(gates, test.judged, test.labels, known)


def _own_warnings(test: SplitReport, thresholds: Sequence[Threshold]) -> list[str]:
    entities, messages = test.entities, []
    if 0 < entities < _FEW_ENTITIES:
        counted = "only 1 entity" if entities == 1 else f"only {entities} entities"
        messages.append(f"the test split has {counted}: its intervals are rough")
    return messages + [f"threshold of {one.name}: {one.note}" for one in thresholds if one.note]
