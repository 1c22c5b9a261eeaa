"""Pages: well formed, escaped, alone; and what `mlc labels` draws is what the examples say."""

import re
from datetime import datetime, timedelta
from xml.etree import ElementTree

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mlc.drawing.page import element, page
from mlc.drawing.sections import Section, Table
from mlc.drawing.svg import seconds, share_axis, time_axis
from tests.conftest import process
from tests.support.browser import clipped
from tests.support.shop_tables import SCENARIO, shop_tables
from tests.support.shop_tables import write_shop as write_sales

STRANGE = ("<b>&\"bold'", "</style><script>alert(1)</script>", "Shorts")
MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1))


def tree(text):
    """The page as a tree; a tag that is left open is an error."""
    assert text.startswith("<!doctype html>\n")
    return ElementTree.fromstring(text.removeprefix("<!doctype html>\n"))


def words(node):
    return "".join(node.itertext())


# ── the shell ───────────────────────────────────────────────────────────────────────────────────


@given(st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"])))
def test_any_text_comes_back_as_it_was(text):
    part = Section(text, text, [Table((text, ""), [(text, element("i", title=text))])])
    found = tree(page(text, text, [part]))
    assert [words(node) for node in found.iter() if node.tag in ("title", "h1", "h2", "td")][:4] == [text] * 4
    assert [node.attrib["title"] for node in found.iter("i")] == [text]


def test_a_page_may_load_and_run_nothing():
    shell = page("title", "lead", [Section("part", "lead")])
    assert "default-src 'none'; style-src 'unsafe-inline'" in shell
    assert not re.search(r"https?://|src=|href=.[^#]|url\(|<script", shell)


# ── axes ────────────────────────────────────────────────────────────────────────────────────────


@given(st.floats(0, 1))
@example(0.3)
def test_an_axis_of_shares_has_a_few_ticks_from_nothing_to_beyond_the_highest(highest):
    axis = share_axis(highest)
    values = [value for value, _ in axis.ticks]
    assert values[0] == axis.low == 0
    assert values[-1] == axis.high >= highest * (1 - 1e-6)
    assert 2 <= len(values) <= 5
    assert len({text for _, text in axis.ticks}) == len(values)


@given(MOMENTS, st.timedeltas(timedelta(), timedelta(days=30_000)))
def test_an_axis_of_time_has_a_few_ticks_within(first, length):
    axis = time_axis(first, first + length)
    values = [value for value, _ in axis.ticks]
    assert axis.low == seconds(first)
    assert axis.high >= seconds(first + length)
    assert len(values) <= 6
    assert values == sorted(set(values))
    assert all(axis.low <= value <= axis.high for value in values)
    assert len({text for _, text in axis.ticks}) == len(values)
    if length >= timedelta(days=2):
        assert values


# ── the labels ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def drawn(mlc, tmp_path):
    """A page of labels with strange names and two windows, and its examples."""
    scenario = SCENARIO.replace("[Dress, Skirt, Shorts]", "{top: 3}").replace("21", "[7, 21]")
    path = write_sales(tmp_path / "shop", scenario, **shop_tables(STRANGE))
    result = mlc("labels", path, "--examples", 4, "--set", "examples.every_days=7")
    assert result.code == 0, result.err
    assert result.out.endswith("examples.html\nexamples.parquet\n")
    table = pl.read_parquet(tmp_path / "examples.parquet")
    names = [f"{name} {days}d" for name in STRANGE for days in (7, 21)]
    return tree((tmp_path / "examples.html").read_text(encoding="utf-8")), table, names


def test_each_label_is_drawn_under_its_own_name(drawn):
    found, _, names = drawn
    headings = [words(node) for node in found.iter("h3")]
    assert sorted(headings[:6]) == sorted(names)
    assert len(headings) == 10
    assert all(any(heading.startswith(f"{name} · c") for name in names) for heading in headings[6:])
    assert not list(found.iter("b"))
    assert not list(found.iter("script"))


def test_each_dot_tells_the_prevalence_of_a_split_at_a_cutoff(drawn):
    found, examples, _ = drawn
    charts = [node for node in found.iter("figure") if words(node.find("h3")).endswith("d")]
    places = [text.removesuffix("d").rsplit(" ", 1) for text in (words(chart.find("h3")) for chart in charts)]
    assert len(places) == 6
    order = [words(node) for node in found.iter("td") if node.attrib["class"] == "text"]
    for chart in charts:
        k = [name for name in order if name[-1] == "d" and name[-2].isdigit()].index(words(chart.find("h3")))
        told = {words(node) for node in chart.iter("title")}
        expected = set()
        for (split, cutoff), rows in examples.group_by("split", "cutoff"):
            targets_N = rows["targets"].to_numpy()[:, k]
            positives, known = int((targets_N == 1).sum()), int((targets_N != 255).sum())
            if known:
                share = f"{positives / known:.2%}, {positives:,} of {known:,}"
                expected.add(f"{split} {cutoff:%Y-%m-%d}: {share}")
        assert told == expected
        assert len(told) == len(list(chart.iter("circle")))


def test_the_tables_tell_the_funnel_and_the_support(drawn):
    found, examples, _ = drawn
    funnel, support = found.findall(".//table")
    cells = [[words(cell) for cell in row.iter("td")] for row in funnel.iter("tr")]
    assert cells[-1][2] == f"{examples.height:,}"
    for row in list(support.iter("tr"))[2:]:
        name, *told = (words(cell) for cell in row.iter("td"))
        assert any(name.startswith(strange) for strange in STRANGE)
        assert int(told[0].replace(",", "")) > 0
    targets_NK = examples.filter(pl.col("split") == "test")["targets"].to_numpy()
    shown = [words(list(row.iter("td"))[5]) for row in list(support.iter("tr"))[2:]]
    assert shown == [f"{count:,}" for count in (targets_NK == 1).sum(axis=0)]


def test_each_cell_of_the_map_tells_who_has_both(drawn):
    found, examples, _ = drawn
    told = [words(node) for node in found.iter("title") if "have" in words(node)]
    positive_NK = examples.filter(pl.col("split") == "train")["targets"].to_numpy() == 1
    pairs = [
        f"{(positive_NK[:, i] & positive_NK[:, j]).sum():,} of {positive_NK[:, i].sum():,} with"
        for i in range(6)
        for j in range(6)
        if i != j
    ]
    assert [text[: len(pair)] for text, pair in zip(told, pairs, strict=True)] == pairs


def test_many_cutoffs_are_drawn_by_period_and_none_is_lost(mlc, tmp_path):
    own = SCENARIO + "examples: {at: {kind: each_event, where: price > 25}}\n"
    result = mlc("labels", write_sales(tmp_path / "shop", own))
    assert re.search(r"prevalence at \d{3} cutoffs in \d\d periods, ", result.out)
    examples = pl.read_parquet(tmp_path / "examples.parquet")
    found = tree((tmp_path / "examples.html").read_text(encoding="utf-8"))
    for k, chart in enumerate(found.iter("figure")):
        notes = [words(dot).split(": ")[1] for dot in chart.iter("circle")]
        counts = [[int(n) for n in note.split(", ")[1].replace(",", "").split(" of ")] for note in notes]
        assert 20 < len(counts) <= 62
        targets_N = examples["targets"].to_numpy()[:, k]
        assert [sum(column) for column in zip(*counts, strict=True)] == [
            (targets_N == 1).sum(),
            examples.height,
        ]


def test_the_page_has_a_place_of_its_own(mlc, tmp_path):
    path = write_sales(tmp_path / "shop")
    assert mlc("labels", path, "--out", "a/b.parquet", "--html", "c/d.html").code == 0
    assert (tmp_path / "c" / "d.html").exists()
    assert [found.name for found in (tmp_path / "a").iterdir()] == ["b.parquet"]
    result = mlc("labels", path, "--html", "page.txt")
    assert result.code == 2
    assert "--html page.txt: must end in .html, not in .txt" in result.err


def test_a_label_that_no_training_example_has_leaves_its_row_empty(mlc, tmp_path):
    rare = "{Dress: Dress, Never: {values: Dress, where: price > 50}}\n  allow_empty: true"
    path = write_sales(tmp_path / "shop", SCENARIO.replace("[Dress, Skirt, Shorts]", rare))
    assert mlc("labels", path).code == 0
    titles = [words(node) for node in tree((tmp_path / "examples.html").read_text()).iter("title")]
    assert any(title.startswith("0 of 0 with Never have Dress too: 0.0%") for title in titles)
    assert not any("nan" in title for title in titles)


@pytest.fixture(scope="module")
def labels_page(demo, tmp_path_factory):
    """The page of `mlc labels` on the demo."""
    folder = tmp_path_factory.mktemp("labels")
    scenario, page = demo / "departments_28d.yaml", folder / "labels.html"
    more = ("--set", "target.allow_empty=true", "--examples", "4", "--html", page)
    result = process("labels", scenario, *more, folder=folder)
    assert result.code == 0, result.err
    return page.read_text(encoding="utf-8")


def test_the_page_of_labels_begins_with_the_question_and_says_what_an_example_is(labels_page):
    header = tree(labels_page).find("body/header")
    assert words(header.find("h1")).startswith("Which of 12 departments will each customer buy from")
    assert "examples, each a customer at a cutoff." in words(header)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 768, 390])
def test_no_text_of_the_page_of_labels_is_clipped(opened, labels_page, width, scheme):
    shown = opened(labels_page, viewport={"width": width, "height": 900}, color_scheme=scheme)
    assert clipped(shown) == []
