"""What the interval of a difference allows to say."""

from typing import Literal

Outcome = Literal["better", "worse", "equal", "no_detectable_difference", "undecided"]
ScoreName = Literal["ap", "auroc", "log_loss"]

SCORE_NAMES: dict[ScoreName, str] = {"ap": "AP", "auroc": "AUROC", "log_loss": "log-loss"}

OUTCOME_WORDS: dict[str, str] = {
    "better": "better than",
    "equal": "equal to",
    "worse": "WORSE than",
    "no_detectable_difference": "no detectable difference from",
    "undecided": "undecided against",
}
"""What stands between a model and what it is compared with."""

MARGINS = {"ap": 0.005, "auroc": 0.005, "log_loss": 0.0005}
"""Differences within ± these are too small to matter: "equal" needs an interval inside of them."""


def outcome(score: str, low: float | None, high: float | None) -> Outcome:
    """Say what a 95 % interval of model minus baseline shows.

    Args:
        score: `ap`, `auroc` or `log_loss`, of which a low value is good.
        low: Lower end; None where there is no interval.
        high: Upper end.

    Returns:
        `better` or `worse` where the interval leaves out 0; `equal` where it lies within the margin of the
        score; else `no_detectable_difference`. `undecided` without an interval.

    Examples:
        >>> outcome("ap", 0.001, 0.02), outcome("log_loss", 0.001, 0.02), outcome("ap", None, None)
        ('better', 'worse', 'undecided')
        >>> outcome("ap", -0.01, 0.02), outcome("ap", -0.001, 0.002)
        ('no_detectable_difference', 'equal')
    """
    if low is None or high is None:
        return "undecided"
    if low > 0 or high < 0:
        return "better" if (low > 0) == (score != "log_loss") else "worse"
    return "equal" if max(-low, high) <= MARGINS[score] else "no_detectable_difference"
