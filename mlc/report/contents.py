"""What a report holds: every number of a run, and the verdict that rests on them.

`report.json` is the JSON of a `Report`: names and order of the fields are its keys. Where a class extends two
others, the fields of the second come first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from mlc.evaluation.gates import Gate
from mlc.evaluation.metrics import Difference, ExampleScore, LabelScore, OverallDecision, OverallScore
from mlc.evaluation.outcomes import Outcome, ScoreName
from mlc.evaluation.thresholds import NEVER, Estimate
from mlc.report.json_form import Json, absent_without, from_json, key, to_json
from mlc.task import FunnelStep

_CALIBRATED = absent_without("calibration")
JUDGED = "test"
"""The split that verdicts, comparisons and gates rest on."""


@dataclass(frozen=True)
class Compared:
    """The model against the best baseline in one score, over the judged labels.

    The split is the test.

    Attributes:
        outcome: What the interval of the difference shows.
        baseline: The best baseline in this score.
        model: Score of the model.
        baseline_score: Score of the baseline.
        value: Model minus baseline.
        low: Lower end of its 95 % interval.
        high: Upper end.
        labels: How many labels the scores are over.
    """

    outcome: Outcome
    baseline: str
    model: float
    baseline_score: float = field(metadata=key("rival"))
    value: float | None
    low: float | None
    high: float | None
    labels: int


@dataclass(frozen=True)
class LeftOut:
    """A label that no verdict rests on."""

    name: str
    why: str


@dataclass(frozen=True)
class JudgedLabels:
    """The labels that the verdict rests on, and why not on the others."""

    rule: str
    labels: Sequence[str]
    left_out: Sequence[LeftOut]


@dataclass(frozen=True)
class Trust:
    """The labels of the test split by how far one can rely on them."""

    rule: str
    trusted: Sequence[str]
    weak: Sequence[str]
    not_evaluable: Sequence[str]


# ── splits ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class LabelReport(LabelScore):
    """One label of a split: scores, threshold, and the decisions it gives.

    Attributes:
        threshold: In [0, 1]; null: no decisions for this label.
        threshold_policy: Where the threshold comes from.
        threshold_reachable: False: validation does not reach the goal of the policy.
        threshold_note: What to know before relying on it.
        threshold_estimate: What to expect of it, from validation.
        precision: Share of the yes that are positive; null without a yes.
        recall: Share of the positives that are yes; null without a positive.
        f1: Harmonic mean of the two, 0 where no yes is right; null without a positive.
        volume: Number of yes.
        calibration: What made the scores of the raw ones.
        log_loss_before: The log-loss of the raw scores.
        calibration_error_before: The calibration error of the raw scores.
    """

    threshold: float | None
    threshold_policy: str
    threshold_reachable: bool
    threshold_note: str | None
    threshold_estimate: Estimate | None
    precision: float | None
    recall: float | None
    f1: float | None
    volume: int
    calibration: Literal["none", "bias", "platt", "isotonic"] | None = field(
        default=None, metadata=absent_without("calibration")
    )
    log_loss_before: float | None = field(default=None, metadata=_CALIBRATED)
    calibration_error_before: float | None = field(default=None, metadata=_CALIBRATED)

    def threshold_text(self, form: str) -> str:
        """Return the threshold as people read it, its number in the format `form`."""
        if self.threshold is None:
            return NEVER
        text = "top k" if self.threshold_policy == "top_k" else format(self.threshold, form)
        return text if self.threshold_reachable else f"{text} (missed)"


@dataclass(frozen=True)
class MetricScore:
    """A metric that the scenario names.

    Attributes:
        name: The class in torchmetrics.
        options: Its arguments.
        value: A number, or a list of one per label that was counted; null where undefined.
        labels: How many labels were counted.
        undefined: Why there is no value.
    """

    name: str
    options: dict[str, object]
    value: float | Sequence[float | None] | None
    labels: int
    undefined: str | None


@dataclass(frozen=True)
class CutoffSpan:
    """The cutoffs of a split: none where the task has none.

    Attributes:
        number: How many different ones.
        first: ISO 8601, without a zone.
        last: ISO 8601, without a zone.
    """

    number: int
    first: str | None
    last: str | None


@dataclass(frozen=True, kw_only=True)
class SplitSize:
    """How much a split holds."""

    examples: int
    entities: int
    cutoffs: CutoffSpan


@dataclass(frozen=True, kw_only=True)
class SplitReport(OverallScore, SplitSize):
    """One split of the model."""

    decisions: OverallDecision
    per_example: ExampleScore
    labels: Sequence[LabelReport]
    metrics: Sequence[MetricScore] | None = field(default=None, metadata=absent_without("metrics"))


@dataclass(frozen=True)
class BaselineLabel:
    """One label of a split, scored by a baseline."""

    name: str
    auroc: float | None
    ap: float | None


@dataclass(frozen=True, kw_only=True)
class BaselineReport(OverallScore):
    """One split of a baseline.

    Attributes:
        difference: Model minus baseline over the judged labels; only of the test split.
    """

    labels: Sequence[BaselineLabel]
    difference: dict[ScoreName, Difference | None] | None = field(
        default=None, metadata=absent_without("difference")
    )


# ── parts of the test split ─────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class PartMeans:
    """Macro means over the labels that are defined in a part."""

    ap: float | None
    auroc: float | None
    log_loss: float | None
    labels_defined: int
    labels: int


@dataclass(frozen=True)
class PartReport:
    """A part of the test split."""

    examples: int
    positives: int
    macro: PartMeans


@dataclass(frozen=True)
class _Ends:
    first: str
    last: str


@dataclass(frozen=True)
class Period(PartReport, _Ends):
    """The examples at one cutoff, or at those of one period.

    Attributes:
        first: ISO 8601, without a zone.
        last: ISO 8601, without a zone.
    """


@dataclass(frozen=True)
class _Value:
    value: str


@dataclass(frozen=True)
class SlicePart(PartReport, _Value):
    """The examples with one value."""


@dataclass(frozen=True)
class Slice:
    """The test split by something that is known of its examples."""

    by: str
    parts: Sequence[SlicePart]


# ── the whole ───────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class Report:
    """Every number of a run. Undefined is null, never NaN and never 0.

    Attributes:
        comparison: What the verdict rests on; null where there is nothing to compare with.
        baselines: Name → split → scores.
        missing_baselines: Why a baseline is not there, a sentence each.
        oracle: The best possible scores, for generated tables.
        backtest: The test split cutoff by cutoff, where it has several.
    """

    schema: Literal["mlc/report/2"] = "mlc/report/2"
    scenario: str
    verdict: str
    comparison: dict[ScoreName, Compared | None]
    judged: JudgedLabels
    trust: Trust
    splits: dict[str, SplitReport]
    baselines: dict[str, dict[str, BaselineReport]]
    baseline_notes: Sequence[str]
    missing_baselines: Sequence[str]
    oracle: dict[str, BaselineReport] | None = field(default=None, metadata=absent_without("oracle"))
    backtest: Sequence[Period]
    slices: Sequence[Slice]
    funnel: Sequence[FunnelStep]
    warnings: Sequence[str]
    gates: Sequence[Gate] | None = field(default=None, metadata=absent_without("gates"))

    @property
    def test(self) -> SplitReport:
        """The split that everything is judged on."""
        return self.splits[JUDGED]

    def to_json(self) -> Json:
        """Return what `json.dumps(…, allow_nan=False)` takes."""
        report: Json = to_json(self)
        return report

    @classmethod
    def from_json(cls, stored: Json) -> "Report":
        """Return the report that `to_json` wrote.

        Raises:
            KeyError: A key is missing.
        """
        return from_json(cls, stored)
