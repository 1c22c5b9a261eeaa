"""What a pre-training prints: gains in percent on one screen, every loss on request."""

import io

from mlc.cli.terminal import print_sections
from mlc.report import foundation_sections

HORIZONS = (7, 28)


def printed(columns, width=80, *, full=False):
    """Print the report of a foundation whose columns have these losses, where frequencies have 2."""
    losses = [
        {"kind": kind, "field": name, "horizon_days": days, "loss": loss, "baseline": 2.0}
        for name, loss in columns.items()
        for kind, days in (("set", 7), ("set", 28), ("next", None))
    ]
    losses.append({"kind": "time", "field": None, "horizon_days": None, "loss": 1.5, "baseline": 2.0})
    report = {
        "name": "shop-foundation",
        "until": "2026-03-31T00:00:00",
        "validation_from": "2026-03-03T00:00:00",
        "horizons_days": list(HORIZONS),
        "left_out_days": [],
        "validation_examples": 1234,
        "epochs": 3,
        "losses": losses,
    }
    file = io.StringIO()
    print_sections(foundation_sections(report, full=full), file, width)
    return file.getvalue()


def test_gains_are_in_percent_the_best_column_first_and_the_rest_is_named():
    text = printed({"price": 1.9, "kind": 1.0, "noise": 2.1})
    rows = [line.split() for line in text.splitlines() if line.startswith("  ")]
    assert rows[1:] == [
        ["kind", "50%", "50%", "50%"],
        ["time", "to", "the", "next", "moment", "-", "-", "25%"],
        ["price", "5%", "5%", "5%"],
    ]
    assert "No better than frequencies: noise." in text


def test_many_columns_stay_on_one_screen_and_full_shows_every_loss():
    columns = {f"column_{k}": 1.0 + k / 100 for k in range(30)}
    short, full = printed(columns), printed(columns, full=True)
    assert len(short.splitlines()) <= 25
    assert "And 19 more columns" in short
    assert "1.2900" not in short
    assert full.count("1.2900") == 3


def test_every_line_fits_60_columns():
    assert max(map(len, printed({"kind": 1.0}, 60, full=True).splitlines())) <= 60
