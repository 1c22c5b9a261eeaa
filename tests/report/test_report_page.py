"""report.html: well formed, alone, small, true; and alive in a real browser, where there is one."""

import importlib
import json
import re
from datetime import datetime
from typing import Any
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlc.evaluation.calibration import Calibrator
from mlc.evaluation.metrics import LabelScore
from mlc.evaluation.thresholds import Threshold
from mlc.report import PageInputs, Report, report_page, report_schema
from mlc.report.page.scored import Scored
from mlc.report.trust import trust
from mlc.run import RunFolder
from mlc.scenario import load_scenario
from mlc.tables import array_column
from mlc.task import FunnelStep
from tests.support.browser import clipped, hard_to_read
from tests.support.reports import built

jsonschema: Any = importlib.import_module("jsonschema")  # it has no types
MADE = {"fingerprint": "0123456789ab", "versions": {"torch": "2.5"}, "command": ["train", "<b>"]}
LOG = [{"epoch": 1, "train_loss": 0.5, "validation_loss": 0.6, "validation_macro_ap": 0.2}]
QUESTION = "Which of 3 <things> will each customer buy?"
NAMES = ["<b>&\"bold'", "</script><script>alert(1)</script>", "Shorts"]


def tables(names, examples=120, cutoffs=3, seed=7):
    """Random examples over several cutoffs of each split, and predictions that know a little."""
    draw = np.random.default_rng(seed)
    rows = [
        {"entity_id": entity, "cutoff": datetime(2018 + at, 1 + month, 1), "split": split}
        for at, split in enumerate(("train", "validation", "test"))
        for month in range(cutoffs)
        for entity in range(examples)
    ]
    frame = pl.DataFrame(rows)
    scores_NK = draw.uniform(0.01, 0.99, (len(rows), len(names))).astype(np.float32)
    targets_NK = (draw.uniform(size=scores_NK.shape) < scores_NK).astype(np.uint8)
    targets_NK[draw.uniform(size=scores_NK.shape) < 0.05] = 255
    predictions = frame.with_columns(
        array_column("scores", scores_NK), array_column("raw_scores", np.sqrt(scores_NK))
    )
    return frame.with_columns(array_column("targets", targets_NK)), predictions


def page_of(report, examples, predictions, made=None, log=()):
    return report_page(
        PageInputs(
            report=Report.from_json(report),
            question=QUESTION,
            examples=examples,
            predictions=predictions,
            made=made or {},
            log=log,
            scenario="name: <shop>",
        )
    )


def made_page(names, **sizes):
    """The report of random tables, and its page."""
    examples, predictions = tables(names, **sizes)
    half = pl.Series(np.arange(examples.height) % 2).replace_strict(
        [0, 1], ["<even>", "odd"], return_dtype=pl.Enum(["<even>", "odd"])
    )
    report = built(
        "shop",
        names,
        examples,
        predictions,
        baselines={
            "chance": predictions.with_columns(array_column("scores", np.full((len(half), len(names)), 0.5)))
        },
        thresholds=[Threshold(name, 0.5, "fixed") for name in names],
        calibrators=[Calibrator(name, "platt") for name in names],
        slices={"half": half},
        funnel=[FunnelStep("all", 0, examples.height)],
    )
    page = page_of(report, examples, predictions, made=MADE, log=LOG)
    return report, page, examples, predictions


@pytest.fixture(scope="module")
def drawn():
    return made_page(NAMES)


def tree(page):
    return ElementTree.fromstring(page.removeprefix("<!doctype html>\n"))


def words(node):
    return "".join(node.itertext())


# ── the file ────────────────────────────────────────────────────────────────────────────────────


def test_strange_names_are_shown_as_they_are_and_only_our_script_runs(drawn):
    _, page, _, _ = drawn
    found = tree(page)
    assert len(list(found.iter("script"))) == 1
    assert not list(found.iter("b"))
    labels = next(table for table in found.iter("table") if table.get("class") == "sortable")
    assert [words(next(row.iter("td"))) for row in labels.find("tbody")] == NAMES
    assert not re.search(r"https?://|src=|url\(", page)


def test_the_first_screen_has_question_verdict_baselines_gains_and_which_labels_to_trust(drawn):
    report, page, examples, predictions = drawn
    found = tree(page)
    header = found.find("body/header")
    assert words(header.find("h1")) == QUESTION
    assert re.search(
        r"the best baseline, chance: macro average precision 0\.\d+ against 0\.\d+", words(header)
    )
    first = found.find("body/main/section")
    for entry in (report["splits"]["test"], report["baselines"]["chance"]["test"]):
        assert f"{entry['judged']['ap']:.3f}" in words(first)
    assert report["trust"]["rule"] in words(first)
    options = {words(option): option.get("data-gains").split(" ") for option in first.iter("option")}
    assert list(options) == ["all labels together", *NAMES]
    rows = (examples["split"] == "test").to_numpy()
    targets, scores = (
        table[column].to_numpy()[rows, 2]
        for table, column in ((examples, "targets"), (predictions, "scores"))
    )
    known = targets != 255
    order = np.argsort(-scores[known], kind="stable")
    tenth = (targets[known][order][: round(known.sum() / 10)] == 1).sum() / (targets == 1).sum()
    assert float(options["Shorts"][4]) == pytest.approx(tenth, abs=1e-4)


def test_the_numbers_of_the_label_table_are_those_of_the_report(drawn):
    report, page, _, _ = drawn
    table = next(table for table in tree(page).iter("table") if table.get("class") == "sortable")
    for row, label in zip(table.find("tbody"), report["splits"]["test"]["labels"], strict=True):
        cells = [words(cell) for cell in row]
        assert cells[1] == str(label["support"])
        assert cells[3] == f"{label['auroc']:.3f}"
        assert cells[6:8] == ["0.500", f"{label['precision']:.3f}"]


@pytest.mark.slow
def test_a_page_of_250_labels_stays_below_5_mb():
    _, page, _, _ = made_page([f"label {k}" for k in range(250)], examples=200, cutoffs=8)
    assert len(page.encode()) < 5_000_000
    assert page.count('class="label"') == 200
    assert "The first 200 of 250 labels." in page


def test_undefined_labels_and_a_single_cutoff_are_drawn_too():
    examples, predictions = tables(["Dress", "Skirt"], cutoffs=1)
    targets_NK = examples["targets"].to_numpy().copy()
    targets_NK[:, 0] = 0
    targets_NK[:, 1] = 255
    examples = examples.with_columns(array_column("targets", targets_NK))
    cuts = [Threshold("Dress", 0.0, "top_k", top_k=1), Threshold("Skirt", None, "never")]
    report = built("shop", ["Dress", "Skirt"], examples, predictions, baselines={}, thresholds=cuts)
    page = page_of(report, examples, predictions)
    assert report["trust"]["not_evaluable"] == ["Dress", "Skirt"]
    assert report["backtest"] == []
    assert "Over the test cutoffs" not in page
    tree(page)


def test_a_page_of_a_task_without_cutoffs_has_no_time():
    examples, predictions = tables(["Dress", "Skirt"], cutoffs=1)
    own = pl.concat_str("entity_id", "split", separator="-").alias("entity_id")
    examples, predictions = (table.with_columns(own).drop("cutoff") for table in (examples, predictions))
    thresholds = [Threshold(name, 0.5, "fixed") for name in ("Dress", "Skirt")]
    report = built("shop", ["Dress", "Skirt"], examples, predictions, baselines={}, thresholds=thresholds)
    page = page_of(report, examples, predictions)
    assert "over time" not in page
    assert "cutoff" not in words(tree(page).find("body/main"))
    assert page.count('class="label"') == 2


def test_a_label_without_decisions_is_marked_in_the_table_and_starts_the_slider_at_never():
    examples, predictions = tables(["Dress", "Skirt"])
    cuts = [
        Threshold("Dress", None, "precision_at_least", "precision 0.9 cannot be reached", reachable=False),
        Threshold("Skirt", 0.25, "recall_at_least", "recall 0.9 cannot be reached", reachable=False),
    ]
    report = built("shop", ["Dress", "Skirt"], examples, predictions, baselines={}, thresholds=cuts)
    page = page_of(report, examples, predictions)
    table = next(table for table in tree(page).iter("table") if table.get("class") == "sortable")
    rows = {cells[0]: cells for cells in (list(map(words, row)) for row in table.iter("tr"))}
    assert rows["Dress"][6] == "never"
    assert rows["Skirt"][6] == "0.250 (missed)"
    thresholds = page.split('data-thresholds="')[1].split('"')[0]
    assert thresholds.endswith(" never")
    assert "inf" not in thresholds


# ── what is drawn ───────────────────────────────────────────────────────────────────────────────


@given(
    st.integers(1, 30).flatmap(
        lambda n: st.tuples(
            arrays(np.float32, n, elements=st.sampled_from([0.0, 0.25, 0.5, 1.0])),
            arrays(np.uint8, n, elements=st.sampled_from([0, 1, 255])),
        )
    )
)
def test_counts_at_a_cut_are_those_of_a_plain_loop(scored):
    scores_N, targets_N = scored
    cuts_C = np.array([1.0, 0.5, 0.3, 0.0], np.float32)
    yes_C, hits_C = Scored.of(scores_N, scores_N, targets_N).counts(cuts_C)
    known = [(s, t) for s, t in zip(scores_N, targets_N, strict=True) if t != 255]
    assert yes_C.tolist() == [sum(s >= cut for s, _ in known) for cut in cuts_C]
    assert hits_C.tolist() == [sum(s >= cut and t == 1 for s, t in known) for cut in cuts_C]


def test_equal_scores_gain_nothing_over_chance_whatever_the_order_of_the_rows():
    targets_N = np.array([1, 1, 0, 0, 0, 0, 0, 0, 0, 0], np.uint8)
    scores_N, shares = np.full(10, 0.3, np.float32), np.array([0.0, 0.1, 0.5, 1.0])
    for order in (slice(None), slice(None, None, -1)):
        assert Scored.of(scores_N, scores_N, targets_N[order]).gains(shares).tolist() == shares.tolist()
    better_N = scores_N + targets_N.astype(np.float32) / 2
    assert Scored.of(better_N, better_N, targets_N).gains(shares).tolist() == [0.0, 0.5, 1.0, 1.0]


def test_parts_of_the_test_add_up_to_it(drawn):
    report, _, examples, _ = drawn
    test = examples.filter(pl.col("split") == "test")
    positives = int((test["targets"].to_numpy() == 1).sum())
    for parts in (report["backtest"], report["slices"][0]["parts"]):
        assert sum(part["examples"] for part in parts) == test.height
        assert sum(part["positives"] for part in parts) == positives
    assert [part["first"][:7] for part in report["backtest"]] == ["2020-01", "2020-02", "2020-03"]


def test_a_part_is_scored_as_if_it_were_the_whole_test(drawn):
    report, _, examples, predictions = drawn
    last = (pl.col("split") != "test") | (pl.col("cutoff") == datetime(2020, 3, 1))
    cuts = [Threshold(name, 0.5, "fixed") for name in NAMES]
    alone = built(
        "shop", NAMES, examples.filter(last), predictions.filter(last), baselines={}, thresholds=cuts
    )
    for score in ("ap", "auroc", "log_loss"):
        assert report["backtest"][-1]["macro"][score] == alone["splits"]["test"]["macro"][score]


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({}, "trusted"),
        ({"positive_entities": 29}, "weak"),
        ({"not_judged": "only 9 entities have a positive example"}, "not_evaluable"),
        ({"auroc_interval": [0.6, 0.9]}, "weak"),
        ({"ap_interval": [0.3, 0.9]}, "weak"),
        ({"auroc_interval": None}, "weak"),
    ],
)
def test_a_label_is_trusted_by_its_support_and_intervals(changed, kind):
    sure = {"auroc_interval": [0.61, 0.9], "ap_interval": [0.5, 0.9]}
    label: Any = {"name": "Dress", "positive_entities": 40, "prevalence": 0.4, **sure, **changed}
    rest: Any = dict.fromkeys(
        ("examples", "support", "auroc", "ap", "lift", "brier", "log_loss", "undefined")
    )
    assert getattr(trust([LabelScore(**rest, **label)]), kind) == ["Dress"]


# ── the schema ──────────────────────────────────────────────────────────────────────────────────


def test_reports_follow_the_schema_and_nothing_else_does(drawn, trained, mlc):
    printed = mlc("schema", "--report")
    assert printed.code == 0, printed.err
    schema = json.loads(printed.out)
    assert schema == report_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    judge = jsonschema.Draft202012Validator(schema)
    real = json.loads((trained / "departments_28d/report.json").read_text())
    for report in (real, json.loads(json.dumps(drawn[0]))):
        judge.validate(report)
        for missing in set(report) - {"oracle", "gates"}:
            assert not judge.is_valid({name: value for name, value in report.items() if name != missing})
    real["splits"]["test"]["labels"][0]["auroc"] = "high"
    assert not judge.is_valid(real)


# ── in a browser ────────────────────────────────────────────────────────────────────────────────


def test_a_click_on_a_heading_sorts_and_a_second_one_turns_it_round(opened, drawn):
    report, page, _, _ = drawn
    shown = opened(page)
    rows = shown.locator("table.sortable").first.locator("tbody tr td:first-child")
    labels = report["splits"]["test"]["labels"]
    for head, key in (("AUROC", "auroc"), ("positives", "support")):
        button = shown.get_by_role("button", name=head, exact=True).first
        falling = [label["name"] for label in sorted(labels, key=lambda label: -label[key])]
        button.click()
        assert rows.all_text_contents() == falling
        button.click()
        assert rows.all_text_contents() == falling[::-1]


def test_a_slider_moves_to_the_stricter_side_shows_what_to_expect_and_writes_yaml(opened, drawn):
    _, page, examples, predictions = drawn
    shown = opened(page)
    shown.locator(".label summary").filter(has_text="Shorts").click()
    explorer = shown.locator(".explorer").nth(2)
    slider = explorer.locator("input")
    assert explorer.locator("output").text_content() == "0.5"
    slider.focus()
    slider.press("ArrowRight")
    cut = float(explorer.locator("output").text_content())
    assert cut > 0.5
    for at, split in enumerate(("validation", "test")):
        rows = (examples["split"] == split).to_numpy()
        target_N, score_N = (
            table[column].to_numpy()[rows, 2]
            for table, column in ((examples, "targets"), (predictions, "scores"))
        )
        yes_N, known_N = score_N >= np.float32(cut), target_N != 255
        yes, hits = int((yes_N & known_N).sum()), int((yes_N & (target_N == 1)).sum())
        told = explorer.locator("tbody tr").nth(at).locator("td").all_text_contents()
        assert told == [
            ("expected, from validation", "on the test")[at],
            str(yes),
            f"{100 * yes / known_N.sum():.1f}%",
            f"{100 * hits / yes:.1f}%",
            f"{100 * hits / (target_N == 1).sum():.1f}%",
        ]
    yaml = shown.locator("#thresholds-yaml").input_value()
    assert yaml == f'thresholds:\n  per_label:\n    "Shorts": {cut:g}\n'
    shown.get_by_role("button", name="Copy YAML").click()
    shown.get_by_role("button", name="Copied").wait_for()


def test_the_gains_are_those_of_the_label_that_is_chosen(opened, drawn):
    shown = opened(drawn[1])
    line, text = shown.locator("#gains .colour-0 polyline"), shown.locator("#gains-text")
    before, sentence = line.get_attribute("points"), text.text_content()
    shown.get_by_label("Who is reached first").select_option("Shorts")
    assert line.get_attribute("points") != before
    assert text.text_content() != sentence
    shown.get_by_label("Who is reached first").select_option("all labels together")
    assert text.text_content() == sentence


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 768, 390])
def test_no_text_of_the_page_is_clipped_at_any_width_by_day_or_by_night(opened, trained, width, scheme):
    page = (trained / "departments_28d/report.html").read_text(encoding="utf-8")
    shown = opened(page, viewport={"width": width, "height": 900}, color_scheme=scheme)
    assert clipped(shown) == []
    assert hard_to_read(shown) == []
    paper = shown.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(20, 23, 26)") == (scheme == "dark")


AIRPORTS = [
    f"an airport of the city of {name} with a long name, number {k}" for k, name in enumerate("ABCDEF" * 5)
]


@pytest.fixture(
    scope="module", params=["few labels", "30 labels with long names", "labels without a positive"]
)
def shaped(request):
    """Pages of several shapes: the text of the file, and its number of labels."""
    if request.param == "few labels":
        return made_page(["Dress", "Skirt"])[1], 2
    if request.param == "30 labels with long names":
        return made_page(AIRPORTS)[1], 30
    names = ["Dress", "Skirt", "Shorts"]
    examples, predictions = tables(names, cutoffs=1)
    targets_NK = examples["targets"].to_numpy().copy()
    targets_NK[:, 0] = 0
    targets_NK[:, 1] = 255
    examples = examples.with_columns(array_column("targets", targets_NK))
    rules = [Threshold("Dress", 0.0, "top_k", top_k=1), Threshold("Skirt", None, "never")]
    report = built(
        "shop",
        names,
        examples,
        predictions,
        baselines={},
        thresholds=[*rules, Threshold("Shorts", 0.5, "fixed")],
    )
    return page_of(report, examples, predictions, made=MADE, log=LOG), 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 768, 390])
def test_pages_of_all_shapes_are_whole_and_readable_at_any_width(opened, shaped, width, scheme):
    page, labels = shaped
    shown = opened(page, viewport={"width": width, "height": 900}, color_scheme=scheme)
    assert shown.locator("article.label").count() == labels
    assert clipped(shown) == []
    assert hard_to_read(shown) == []


def test_the_drawing_of_a_label_says_what_it_shows_and_a_label_without_positives_has_none(opened):
    examples, predictions = tables(["Dress", "Skirt"], cutoffs=1)
    targets_NK = examples["targets"].to_numpy().copy()
    targets_NK[:, 0] = 0
    examples = examples.with_columns(array_column("targets", targets_NK))
    cuts = [Threshold(name, 0.5, "fixed") for name in ("Dress", "Skirt")]
    report = built("shop", ["Dress", "Skirt"], examples, predictions, baselines={}, thresholds=cuts)
    cards = opened(page_of(report, examples, predictions)).locator("article.label")
    dress, skirt = cards.all()
    assert dress.locator("> svg, > .caption").count() == 0
    assert dress.locator("> p").all_text_contents() == ["None of 120 test examples has it."]
    assert "highest scores first" in skirt.locator("> svg + .caption").text_content()


def test_strange_and_long_names_fit_a_phone(opened):
    _, page, _, _ = made_page([*NAMES, "a very long name of a label " * 4, "x" * 80])
    assert clipped(opened(page, viewport={"width": 360, "height": 740})) == []


def test_the_yaml_of_the_page_is_a_scenario_section(opened, trained):
    page = (trained / "departments_28d/report.html").read_text(encoding="utf-8")
    shown = opened(page)
    shown.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    for slider in shown.locator(".explorer input").all():
        slider.press("End")
        slider.press("Home")  # one of the two moves it
    text = shown.locator("#thresholds-yaml").input_value()
    path = trained / "departments_28d/resolved.yaml"
    names = RunFolder(trained / "departments_28d").read_json("thresholds.json")["thresholds"]
    body = "{" + ", ".join(line.strip() for line in text.splitlines()[2:]) + "}"
    per_label = load_scenario(path, [f"thresholds={{per_label: {body}}}"]).thresholds.per_label
    assert len(per_label) == len(names)


def test_on_paper_20_labels_take_at_most_12_pages_in_dark_on_white(opened):
    _, page, _, _ = made_page([f"label {k}" for k in range(20)])
    shown = opened(page, viewport={"width": 1047, "height": 700}, color_scheme="dark")  # A4, landscape
    sheets = len(re.findall(rb"/Type\s*/Page\b", shown.pdf(format="A4", landscape=True)))
    assert sheets <= 12
    shown.emulate_media(media="print")
    shown.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert shown.evaluate("document.documentElement.scrollWidth") == 1047
    assert shown.locator("details:not([open]):not(.label details)").count() == 0
    assert shown.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
