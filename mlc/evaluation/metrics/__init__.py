"""How good scores and decisions are, from saved tables.

By label, by example, overall, by difference. Shape suffixes: N examples, K labels, E entities, M known
examples of one label, P positives among them, G groups of tied scores. Undefined is None (NaN inside arrays),
never 0.
"""

from mlc.evaluation.metrics.decisions import (
    DecisionScore,
    MeanDecision,
    OverallDecision,
    overall_decisions,
    score_decisions,
)
from mlc.evaluation.metrics.differences import Difference, label_differences, macro_differences
from mlc.evaluation.metrics.intervals import Interval, ratio_interval
from mlc.evaluation.metrics.ranking import LabelScore, MeanScore, OverallScore, overall_scores, score_labels
from mlc.evaluation.metrics.rankings import ExampleScore, score_examples
from mlc.evaluation.metrics.support import ENOUGH, VERDICT_RULE, Support

__all__ = [
    "ENOUGH",
    "VERDICT_RULE",
    "DecisionScore",
    "Difference",
    "ExampleScore",
    "Interval",
    "LabelScore",
    "MeanDecision",
    "MeanScore",
    "OverallDecision",
    "OverallScore",
    "Support",
    "label_differences",
    "macro_differences",
    "overall_decisions",
    "overall_scores",
    "ratio_interval",
    "score_decisions",
    "score_examples",
    "score_labels",
]
