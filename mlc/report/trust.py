"""Which labels can be trusted, by support and intervals on the test split."""

from collections.abc import Sequence

from mlc.evaluation.metrics import ENOUGH, LabelScore
from mlc.report.contents import Trust

_MANY = 30  # entities with a positive, for trust
_LEAST_AUROC = 0.6

TRUST_RULE = (
    f"Trusted: at least {_MANY} entities with a positive in the test split, the 95 % interval of AUROC above "
    f"{_LEAST_AUROC} and that of AP above the prevalence. Not evaluable: fewer than {ENOUGH} entities with a "
    "positive, or with a negative, there. Weak: all others."
)


def trust(labels: Sequence[LabelScore]) -> Trust:
    """Return the labels of the test split by how far one can rely on them.

    Examples:
        >>> from mlc.evaluation.metrics import LabelScore
        >>> label = LabelScore("Dress", 0, 0, *[None] * 6, "no example", not_judged="no example")
        >>> trust([label]).not_evaluable
        ['Dress']
    """
    kinds: dict[str, list[str]] = {"trusted": [], "weak": [], "not_evaluable": []}
    for label in labels:
        kinds[_kind(label)].append(label.name)
    return Trust(rule=TRUST_RULE, **kinds)


def trust_words(trust: Trust) -> dict[str, str]:
    """Return the class of each label in a word or two."""
    kinds = (("trusted", trust.trusted), ("weak", trust.weak), ("not evaluable", trust.not_evaluable))
    return {name: word for word, names in kinds for name in names}


def _kind(label: LabelScore) -> str:
    if label.not_judged:
        return "not_evaluable"
    auroc, ap, prevalence = label.auroc_interval, label.ap_interval, label.prevalence or 0.0
    sure = auroc is not None and auroc[0] > _LEAST_AUROC and ap is not None and ap[0] > prevalence
    return "trusted" if sure and label.positive_entities >= _MANY else "weak"
