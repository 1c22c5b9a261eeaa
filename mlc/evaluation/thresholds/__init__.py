"""Where a score becomes a decision: thresholds, by the policy of each label.

They are chosen on the validation examples, or replaced by hand, and applied here. Scores and thresholds meet
as float32, the type that scores are stored in: a score written as 0.7 is a yes at the threshold 0.7, although
the two differ as float64.
"""

from mlc.evaluation.thresholds.choosing import choose_thresholds
from mlc.evaluation.thresholds.deciding import (
    NEVER,
    Estimate,
    Expected,
    Threshold,
    decide,
    pick_pairs,
    replace_thresholds,
    threshold_text,
    threshold_value,
    thresholds_from_json,
    thresholds_to_json,
)
from mlc.evaluation.thresholds.drifting import PERIODS_A_WINDOW, Windows
from mlc.evaluation.thresholds.wording import contact_lines, goals_missed, threshold_lines, volume_lines

__all__ = [
    "NEVER",
    "PERIODS_A_WINDOW",
    "Estimate",
    "Expected",
    "Threshold",
    "Windows",
    "choose_thresholds",
    "contact_lines",
    "decide",
    "goals_missed",
    "pick_pairs",
    "replace_thresholds",
    "threshold_lines",
    "threshold_text",
    "threshold_value",
    "thresholds_from_json",
    "thresholds_to_json",
    "volume_lines",
]
