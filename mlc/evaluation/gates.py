"""Gates: whether the test split of a report reaches what the scenario asks for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlc.evaluation.metrics import ENOUGH
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


def judge(gates: GatesSection, report: Mapping[str, Any]) -> list[Gate]:
    """Each gate with its value, in the order of the section, over the labels with enough entities.

    Args:
        gates: What the scenario asks for.
        report: Of `build_report`.

    Examples:
        >>> means = {"ap": 0.2, "auroc": None, "log_loss": 0.1, "labels_defined": 3, "labels": 4}
        >>> report = {"splits": {"test": {"judged": means, "labels": []}}, "baselines": {}}
        >>> [gate] = judge(GatesSection(macro_ap=0.25), report)
        >>> gate.passed, gate.gate, gate.found
        (False, 'macro AP >= 0.25', '0.2000 over 3 of 4 labels')
    """
    test, found = report["splits"]["test"], []
    for name, shown in (("ap", "AP"), ("auroc", "AUROC")):
        least = getattr(gates, f"macro_{name}")
        if least is not None:
            value = test["judged"][name]
            passed = value is not None and value >= least
            found.append(Gate(f"macro {shown} >= {least:g}", passed, value, _macro(test, value)))
    if gates.macro_log_loss is not None:
        value, most = test["judged"]["log_loss"], gates.macro_log_loss
        passed = value is not None and value <= most
        found.append(Gate(f"macro log-loss <= {most:g}", passed, value, _macro(test, value)))
    if gates.label_auroc_min is not None:
        found.append(_worst_label(test, gates.label_auroc_min))
    return found + [
        _against(name, report["baselines"].get(name), test["judged"]["labels"]) for name in gates.beats
    ]


def _macro(test: Mapping[str, Any], value: float | None) -> str:
    counted = f"{test['judged']['labels_defined']} of {test['judged']['labels']} labels"
    return _NONE if value is None else f"{value:.4f} over {counted}"


def _worst_label(test: Mapping[str, Any], least: float) -> Gate:
    judged = [label for label in test["labels"] if label["not_judged"] is None]
    asked = f"AUROC of each label >= {least:g}"
    if not judged:
        return Gate(asked, False, None, _NONE)
    worst = min(judged, key=lambda label: label["auroc"])
    below = sum(label["auroc"] < least for label in judged)
    rest = len(test["labels"]) - len(judged)
    found = f"{worst['auroc']:.4f} ({worst['name']})"
    found += f"; {below} of {len(judged)} below" if below else ""
    found += f"; {rest} not judged: {_TOO_FEW}" if rest else ""
    return Gate(asked, not below, worst["auroc"], found)


def _against(name: str, baseline: Mapping[str, Any] | None, labels: int) -> Gate:
    asked = f"better than {name} in macro AP"
    if baseline is None:
        return Gate(asked, False, None, f"{name} is not in the report")
    difference = baseline["test"]["difference"]["ap"]
    if difference["value"] is None:
        return Gate(asked, False, None, _NONE)
    found = (
        f"{difference['value']:+.4f} (95 % interval {difference['low']:+.4f} to {difference['high']:+.4f}) "
        f"over {difference['labels']} of {labels} labels"
    )
    return Gate(asked, difference["low"] > 0, difference["value"], found)
