"""Gates: whether the test split of a report reaches what the scenario asks for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlc.evaluation.metrics import ENOUGH, Difference, LabelScore, MeanScore
from mlc.scenario import GatesSection

_TOO_FEW = f"fewer than {ENOUGH} entities with a positive or with a negative"
_NONE = f"undefined: every label has {_TOO_FEW}"


@dataclass(frozen=True)
class Gate:
    """One gate, and how it went.

    Attributes:
        gate: What was asked, `macro AP >= 0.25`.
        passed: Whether it is so; an undefined number does not pass.
        value: The number that was judged; None where it is undefined.
        found: The value in words.
    """

    gate: str
    passed: bool
    value: float | None
    found: str


def judge(
    gates: GatesSection,
    means: MeanScore,
    labels: Sequence[LabelScore],
    differences: Mapping[str, Difference],
) -> list[Gate]:
    """Return each gate with its value, in the order of the section.

    Args:
        gates: What the scenario asks for.
        means: Macro means of the test split over the labels with enough entities.
        labels: The labels of the test split.
        differences: Baseline → model minus it in macro AP.

    Examples:
        >>> [gate] = judge(GatesSection(macro_ap=0.25), MeanScore(None, 0.2, 0.1, 3, 4), [], {})
        >>> gate.passed, gate.gate, gate.found
        (False, 'macro AP >= 0.25', '0.2000 over 3 of 4 labels')
    """
    judged = []
    for name, value, least in (
        ("AP", means.ap, gates.macro_ap),
        ("AUROC", means.auroc, gates.macro_auroc),
    ):
        if least is not None:
            passed = value is not None and value >= least
            judged.append(Gate(f"macro {name} >= {least:g}", passed, value, _macro(means, value)))
    if gates.macro_log_loss is not None:
        value, most = means.log_loss, gates.macro_log_loss
        passed = value is not None and value <= most
        judged.append(Gate(f"macro log-loss <= {most:g}", passed, value, _macro(means, value)))
    if gates.label_auroc_min is not None:
        judged.append(_worst_label(labels, gates.label_auroc_min))
    return judged + [_against(name, differences.get(name), means.labels) for name in gates.beats]


def _macro(means: MeanScore, value: float | None) -> str:
    return _NONE if value is None else f"{value:.4f} over {means.labels_defined} of {means.labels} labels"


def _worst_label(labels: Sequence[LabelScore], least: float) -> Gate:
    judged = {
        label.name: label.auroc for label in labels if label.not_judged is None and label.auroc is not None
    }
    gate = f"AUROC of each label >= {least:g}"
    if not judged:
        return Gate(gate, False, None, _NONE)
    worst = min(judged, key=lambda name: judged[name])
    below = sum(auroc < least for auroc in judged.values())
    rest = len(labels) - len(judged)
    words = f"{judged[worst]:.4f} ({worst})"
    words += f"; {below} of {len(judged)} below" if below else ""
    words += f"; {rest} not judged: {_TOO_FEW}" if rest else ""
    return Gate(gate, not below, judged[worst], words)


def _against(name: str, difference: Difference | None, labels: int) -> Gate:
    gate = f"better than {name} in macro AP"
    if difference is None:
        return Gate(gate, False, None, f"{name} is not in the report")
    if difference.value is None or difference.low is None or difference.high is None:
        return Gate(gate, False, None, _NONE)
    words = (
        f"{difference.value:+.4f} (95 % interval {difference.low:+.4f} to {difference.high:+.4f}) "
        f"over {difference.labels} of {labels} labels"
    )
    return Gate(gate, difference.low > 0, difference.value, words)
