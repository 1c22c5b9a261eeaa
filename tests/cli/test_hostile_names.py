"""Names with HTML, escape sequences, Markdown and formulas are shown as text, everywhere."""

import json
import re

import polars as pl
import pytest

from mlc.drawing.text_tables import escaped, visible
from tests.support.shop_tables import QUICK, SCENARIO, shop_tables, write_shop

NAMES = (
    "<script>alert(1)</script>",
    "\x1b[31mred\x1b[0m \x9b2J \u202etxt",
    "=1+1|*bold*\n# head ![x](javascript:y)",
)
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A folder with a run whose labels and customers have such names."""
    folder = tmp_path_factory.mktemp("hostile")
    tables = shop_tables(NAMES)
    for name in ("sales", "customers"):
        tables[name] = tables[name].with_columns(customer="@\x1b[1m<b>" + pl.col("customer"))
    text = SCENARIO.replace("[Dress, Skirt, Shorts]", json.dumps(NAMES))
    write_shop(folder, text, **tables)
    return folder


def commands():
    yield ("train", "shop.yaml", *QUICK)
    yield ("check", "shop.yaml")
    yield ("labels", "shop.yaml", "--examples", "2")
    yield ("evaluate", "shop")
    yield ("thresholds", "shop")
    yield ("compare", "shop", "shop")
    yield ("compare", "shop", "shop", "--md")
    yield ("predict", "shop", "--out", "scores.csv")
    yield ("predict", "shop", "--threshold", "\x1b[31mrde=.3")
    yield ("train", "shop.yaml", "--set", 'target.class_names=["\\x1b[31mrde"]', "--set", "name=other")
    yield ("check", "\x1b[31m.yaml")


def test_names_are_shown_as_text_on_terminals_and_pages_in_markdown_and_csv(shop, mlc, monkeypatch):
    monkeypatch.chdir(shop)
    for command in commands():
        result = mlc(*command)
        assert result.code in (0, 2), result.err
        assert not CONTROLS.search(result.out + result.err), (command, result)
        assert "Traceback" not in result.err
        if command[-1] == "scores.csv":
            assert "warning: scores.csv: a spreadsheet may take texts such as" in result.err
    for page in ("runs/shop/report.html", "examples.html"):
        html = (shop / page).read_text()
        assert "<script>alert" not in html
        assert "<b>c0" not in html
        assert "&lt;script&gt;alert(1)" in html
    for name in ("report.md", "MODEL_CARD.md"):
        text = (shop / "runs/shop" / name).read_text()
        assert not CONTROLS.search(text), name
        assert not re.search(r"(?<!\\)<script>", text), name
        assert not re.search(r"^# head", text, re.MULTILINE), name
        assert not re.search(r"(?<!\\)\*bold", text), name
    scores = pl.read_csv(shop / "scores.csv")
    assert set(NAMES) <= set(scores.columns)  # data is never changed
    assert scores["entity_id"].str.starts_with("@\x1b[1m<b>c").all()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a_b c_", r"a_b c\_"),
        ("_x_", r"\_x\_"),
        ("&lt;b&gt;", r"\&lt;b\&gt;"),
        ("R&D", "R&D"),
        ("~~gone~~", r"\~\~gone\~\~"),
        ("two\nlines", "two lines"),
    ],
)
def test_markdown_shows_a_name_letter_for_letter(text, shown):
    assert escaped(text) == shown


def test_what_is_printed_as_json_stays_the_same_json():
    value = {"name": "\x1b[31m\x9b\u202e"}
    assert json.loads(visible(json.dumps(value, ensure_ascii=False))) == value
