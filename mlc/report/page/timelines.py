"""What changes over time: scores by cutoff, and training by epoch."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from markupsafe import Markup

from mlc.drawing.page import element, legend
from mlc.drawing.sections import Section
from mlc.drawing.svg import Axis, Curve, curves, number_axis, seconds, time_axis
from mlc.report import sections
from mlc.report.contents import Report


def scores_over_cutoffs(report: Report) -> Section:
    """Return the scores over the cutoffs, drawn above their table.

    Empty for one cutoff.
    """
    section, periods = sections.by_cutoff(report), report.backtest
    if not periods:
        return section
    times = [datetime.fromisoformat(period.first) for period in periods]
    lines, highest = [], 0.0
    for colour, (name, scores) in enumerate(
        (
            ("macro AP", [period.macro.ap for period in periods]),
            ("macro AUROC", [period.macro.auroc for period in periods]),
        )
    ):
        defined = [(time, value) for time, value in zip(times, scores, strict=True) if value is not None]
        points = [(seconds(time), value) for time, value in defined]
        lines.append(
            Curve(colour, points, [f"{name} {time:%Y-%m-%d}: {value:.3f}" for time, value in defined])
        )
        highest = max([highest, *(value for _, value in points)])
    x, y = time_axis(times[0], times[-1]), number_axis(0, highest)
    chart = curves("scores over the test cutoffs", lines, x, y, (350, 150))
    figure = element(
        "div", element("figure", chart, legend(["macro AP", "macro AUROC"])), class_="grid large"
    )
    return Section(section.title, section.lead, [figure, *section.content])


def training_curves(log: Sequence[Mapping[str, float]]) -> Section:
    """Return losses and scores of each epoch; empty without any.

    Args:
        log: A mapping per epoch: `epoch`, losses and scores.
    """
    groups = {
        "Loss": {"train_loss": "training", "validation_loss": "validation"},
        "On validation": {"validation_macro_ap": "macro AP", "validation_macro_auroc": "macro AUROC"},
    }
    charts = [_log_chart(title, names, log) for title, names in groups.items()]
    drawn = [chart for chart in charts if chart is not None]
    if not drawn:
        return Section("Training")
    epochs = "1 epoch" if len(log) == 1 else f"{len(log):,} epochs"
    lead = f"{epochs}; the weights are those that did best on validation."
    return Section("Training", lead, [element("div", *drawn, class_="grid large")])


def _log_chart(title: str, names: Mapping[str, str], log: Sequence[Mapping[str, float]]) -> Markup | None:
    lines, values = [], []
    for colour, (name, called) in enumerate(names.items()):
        points = [(line["epoch"], line[name]) for line in log if name in line]
        values += [value for _, value in points]
        lines.append(
            Curve(colour, points, [f"epoch {epoch}: {called} {value:.4f}" for epoch, value in points])
        )
    if not values:
        return None
    x, y = _epochs(log), number_axis(min(values), max(values))
    chart = curves(f"{title} over the epochs", lines, x, y, (350, 150))
    return element("figure", element("h3", title), chart, legend(list(names.values())))


def _epochs(log: Sequence[Mapping[str, float]]) -> Axis:
    """Whole epochs from the first to the last, with up to six ticks."""
    first, last = (int(end(line["epoch"] for line in log)) for end in (min, max))
    step = max(1, -(-(last - first) // 5))
    ticks = [(float(epoch), f"{epoch}") for epoch in range(first, last + 1, step)]
    return Axis(first, max(last, first + 1), ticks)
