"""A card per label: what its scores are worth, and all else when opened."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from mlc.drawing.page import element, html_table
from mlc.drawing.sections import Table
from mlc.drawing.svg import Curve, curves, share_axis
from mlc.drawing.text_tables import Row
from mlc.evaluation.thresholds import Expected
from mlc.report.cells import count_text, number_text, range_text, score_text
from mlc.report.contents import LabelReport
from mlc.report.mistakes import Mistake
from mlc.report.page.label_charts import label_charts
from mlc.report.page.mistakes_list import mistakes_list
from mlc.report.page.scored import Scored
from mlc.report.page.slider import threshold_slider

_WHOLE = share_axis(1.0)
_SHARES = np.linspace(0, 1, 21)
_CAPTION = "Those with it who are reached (up), by share of examples taken, highest scores first (across)"


@dataclass(frozen=True)
class LabelInputs:
    """What the card of a label is made of.

    Attributes:
        label: Its row of the report's test split.
        trust: How far one can rely on it, in a word.
        validation: Its scores there; calibration and thresholds were chosen on these.
        test: Its scores there.
        prevalence: Drawing of its prevalence over time; empty where there is none.
        mistakes: The worst of the test; empty where examples cannot be shown.
    """

    label: LabelReport
    trust: str
    validation: Scored
    test: Scored
    prevalence: Markup
    mistakes: Sequence[Mistake] = ()


def label_card(inputs: LabelInputs) -> Markup:
    """Return the card of one label."""
    label, trust, validation, test = inputs.label, inputs.trust, inputs.validation, inputs.test
    badge = element("span", trust, class_=f"badge {trust.replace(' ', '-')}")
    grid = element("div", *label_charts(label, test), inputs.prevalence, class_="grid")
    numbers = html_table(Table(("", "on the test", "range"), _numbers(label), texts=1))
    more = element(
        "details",
        element(
            "summary",
            "Curves, all numbers and other thresholds",
            element("span", f" of {label.name}", class_="unseen"),
        ),
        grid,
        element("div", numbers, threshold_slider(label, validation, test), class_="beside"),
        *mistakes_list(inputs.mistakes),
    )
    return element(
        "article",
        element("h3", label.name, " ", badge),
        *gains_chart(label.name, test),
        *(element("p", sentence) for sentence in label_sentences(label, test)),
        more,
        class_="label",
    )


def gains_chart(name: str, test: Scored, size: tuple[int, int] = (300, 130)) -> list[Markup]:
    """Return a drawing of the positives reached, with its caption.

    Nothing without a positive.

    Args:
        name: Of the label.
        test: Its scores.
        size: Width and height in pixels.
    """
    if not test.positives:
        return []
    chance = Curve(3, [(0.0, 0.0), (1.0, 1.0)])
    points = list(zip(_SHARES.tolist(), test.gains(_SHARES).tolist(), strict=True))
    title = f"positives of {name} reached, by share of examples"
    drawing = curves(title, [chance, Curve(0, points)], _WHOLE, _WHOLE, size)
    return [drawing, element("p", _CAPTION, class_="caption")]


def label_sentences(label: LabelReport, test: Scored) -> list[str]:
    """Return what the scores of a label are worth, in plain words."""
    if not test.positives:
        return [f"None of {count_text(label.examples)} test examples has it."]
    sentences = [
        f"{count_text(label.support)} of {count_text(label.examples)} test examples have it "
        f"({_percent(label.prevalence)})."
    ]
    if label.lift_10 is not None:
        sentences.append(
            f"The tenth with the highest scores holds {_percent(float(test.gains(np.array([0.1]))[0]))} of "
            f"them, {label.lift_10:.1f} times as many as by chance."
        )
    predicted, actual = test.tenths()[-1]
    sentences.append(f"There it predicts {_percent(predicted)} on average, and {_percent(actual)} have it.")
    return [*sentences, _decision_sentence(label)]


def _decision_sentence(label: LabelReport) -> str:
    if label.threshold is None:
        return "It gets no decisions at any score."
    if not label.volume:
        return f"No test example reaches the threshold {label.threshold_text('.3g')}."
    decided = "1 is" if label.volume == 1 else f"{count_text(label.volume)} are"
    return (
        f"At the threshold {label.threshold_text('.3g')}, {decided} decided yes: "
        f"{_percent(label.precision)} of these have it, and {_percent(label.recall)} of those who have it "
        "are among them."
    )


def _percent(share: float | None) -> str:
    """A share in percent, small ones with two digits."""
    if share is None:
        return "an unknown share"
    return f"{share:.0%}" if share >= 0.1 else f"{100 * share:.2g}%"


def _numbers(label: LabelReport) -> Sequence[Row]:
    """Return every number of a label, with its interval or range if it has one."""
    estimate = label.threshold_estimate
    rows: list[Row] = [
        ("average precision", score_text(label.ap), _interval(label.ap_interval)),
        ("AUROC", score_text(label.auroc), _interval(label.auroc_interval)),
        ("log-loss", number_text(label.log_loss, ".4f"), _before(label.log_loss_before, label)),
        (
            "calibration error",
            number_text(label.calibration_error, ".4f"),
            _before(label.calibration_error_before, label),
        ),
        ("lift in the highest 1 %", number_text(label.lift_1, ".1f"), ""),
        ("lift in the highest 5 %", number_text(label.lift_5, ".1f"), ""),
        (
            "precision",
            score_text(label.precision),
            _expected(label.precision, estimate.precision if estimate else None),
        ),
        ("recall", score_text(label.recall), _expected(label.recall, estimate.recall if estimate else None)),
        ("F1", score_text(label.f1), ""),
    ]
    if estimate is not None and estimate.yes is not None:
        low, high = (round(end * label.examples) for end in (estimate.yes.low, estimate.yes.high))
        rows.append(("decided yes", count_text(label.volume), f"validation promised {low:,}-{high:,}"))
    return rows


def _interval(ends: tuple[float, float] | None) -> str:
    return "" if ends is None else f"95 % interval {range_text(ends)}"


def _before(value: float | None, label: LabelReport) -> str:
    if label.calibration in (None, "none"):
        return "not calibrated"
    return f"{number_text(value, '.4f')} before calibration ({label.calibration})"


def _expected(value: float | None, expected: Expected | None) -> str:
    if expected is None:
        return ""
    text = f"validation promised {range_text((expected.low, expected.high))}"
    return f"{text}; the test is below" if value is not None and value < expected.low else text
