"""Which labels can be trusted: by their support and intervals on the test split, and a rule one can read."""

from collections.abc import Mapping, Sequence
from typing import Any

from mlc.evaluation.metrics import ENOUGH

_MANY = 30  # entities with a positive, for trust
_LEAST_AUROC = 0.6

TRUST_RULE = (
    f"Trusted: at least {_MANY} entities with a positive in the test split, the 95 % interval of AUROC above "
    f"{_LEAST_AUROC} and that of AP above the prevalence. Not evaluable: fewer than {ENOUGH} entities with a "
    "positive, or with a negative, there. Weak: all others."
)


def trust(labels: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The labels of the test split by how far one can rely on them.

    Args:
        labels: The rows of the report's test split.

    Returns:
        `rule` in words, and the names under `trusted`, `weak` and `not_evaluable`.

    Examples:
        >>> label = {"name": "Dress", "positive_entities": 40, "not_judged": None, "prevalence": 4 / 9}
        >>> sure = {"auroc_interval": [0.7, 0.8], "ap_interval": [0.5, 0.6]}
        >>> trust([label | sure, label | {"not_judged": "no example"}])["not_evaluable"]
        ['Dress']
    """
    found: dict[str, Any] = {"rule": TRUST_RULE, "trusted": [], "weak": [], "not_evaluable": []}
    for label in labels:
        found[_kind(label)].append(label["name"])
    return found


def _kind(label: Mapping[str, Any]) -> str:
    if label["not_judged"]:
        return "not_evaluable"
    auroc, ap = label["auroc_interval"], label["ap_interval"]
    sure = auroc is not None and auroc[0] > _LEAST_AUROC and ap is not None and ap[0] > label["prevalence"]
    return "trusted" if sure and label["positive_entities"] >= _MANY else "weak"
