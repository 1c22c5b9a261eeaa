"""The model card says what report and scenario say."""

import json

import pytest

from mlc.report import Report, description_of
from mlc.report.card import model_card
from mlc.run import RunFolder

NAME = "departments_28d"


@pytest.fixture
def run(trained):
    return RunFolder(trained / NAME)


def card_of(run, report):
    typed = Report.from_json(report)
    return model_card(typed, description_of(run.scenario(), typed))


def test_the_card_of_a_run_is_made_of_its_report_and_scenario(run):
    card = (run / "MODEL_CARD.md").read_text()
    report = json.loads((run / "report.json").read_text())
    assert card == card_of(run, report)
    for label in report["splits"]["test"]["labels"]:
        shown = (
            f"| {label['name']} | {label['support']:,} | {label['prevalence']:.2%} | {label['auroc']:.3f} |"
        )
        assert shown in card
        low, high = label["auroc_interval"]
        assert f"| {label['name']} | {low:.3f}-{high:.3f} |" in card
    macro = report["splits"]["test"]["judged"]
    assert f"| model | {macro['ap']:.3f} | {macro['auroc']:.3f} |" in card
    assert f"macro AUROC {macro['auroc']:.3f} (" in card
    assert report["verdict"].split(":")[0] in card
    for told in ("Window: 28 days", "Rule exists", "events at bought_at", "passed", "mlc predict"):
        assert told in card


def test_undefined_numbers_are_dashes_with_their_reason_among_the_limits(run):
    report = run.read_json("report.json")
    label = report["splits"]["test"]["labels"][0]
    label |= {"auroc": None, "ap": None, "auroc_interval": None, "ap_interval": None, "lift": None}
    label |= {
        "support": 0,
        "undefined": "no positive",
        "not_judged": "no positive",
        "precision": None,
        "recall": None,
    }
    card = card_of(run, report)
    assert f"- Not judged, no positive: {label['name']}." in card
    assert f"| {label['name']} | 0 | {label['prevalence']:.2%} | - | - | - |" in card
    assert "None" not in card


def test_names_cannot_break_the_markdown(run):
    report = run.read_json("report.json")
    report["splits"]["test"]["labels"][0]["name"] = "a|b\n# <script>"
    card = card_of(run, report)
    assert "| a\\|b # \\<script> |" in card
    assert "\n# <script>" not in card
