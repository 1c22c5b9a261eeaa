"""`mlc check`: findings of joins and tables, how they are printed, and those of the real tables."""

import json
import os
from pathlib import Path

import polars as pl
import pytest

from tests.support.large_shop import (
    ITEMS,
    OWN_LABEL,
    PEOPLE,
    QUIET,
    SALES,
    changed,
    findings_of,
    only,
    write_shop,
)
from tests.support.places import ROOT
from tests.support.shop_tables import SCENARIO


@pytest.fixture
def found(mlc, tmp_path):
    """Checks the shop, changed; gives its findings."""
    return lambda scenario=SCENARIO, *flags, **tables: findings_of(mlc, tmp_path, scenario, *flags, **tables)


def with_text_items(sales_key: pl.Expr, items_key: pl.Expr) -> dict[str, pl.DataFrame]:
    """The shop with keys of items as text, written in one way by each table."""
    return {
        "sales": SALES.with_columns(sales_key.alias("item")),
        "items": ITEMS.with_columns(items_key.alias("item")),
    }


# ── a sound shop ────────────────────────────────────────────────────────────────────────────────


def test_a_sound_shop_has_no_warning_and_only_the_notes_that_are_true_of_it(mlc, tmp_path, found):
    assert found() == []
    printed = mlc("check", write_shop(tmp_path)).out
    assert printed.startswith(f"{tmp_path}/shop.yaml: no errors, 0 warnings, 3 notes\n")
    assert all(f"note: {sentence}" in printed for sentence in QUIET - {OWN_LABEL})


def test_targets_that_do_not_fit_into_the_memory_limit_are_a_warning(found):
    assert found(changed("  entity: customer\n", "  entity: customer\n  memory_limit: 8GB\n")) == []
    told = only(found(changed("  entity: customer\n", "  entity: customer\n  memory_limit: 100kB\n")))
    assert told.startswith("warning: targets and scores take about ")
    assert "of a limit of 0.0001 GB → take fewer examples.train_cutoffs" in told


def test_findings_stand_worst_first_each_with_what_to_do_and_its_place(mlc, tmp_path):
    sales = SALES.with_columns(pl.lit(None, pl.Int32).alias("empty"))
    lines = mlc("check", write_shop(tmp_path, sales=sales)).out.replace(f"{tmp_path}/", "").splitlines()
    told = [line for line in lines if line.startswith(("warning:", "note:"))]
    assert told[0] == "warning: empty of sales has no value in any row"
    assert [line.split(":")[0] for line in told] == ["warning", "note", "note", "note"]
    advice = lines[lines.index(told[0]) + 1]
    assert advice.startswith("  → mend the source")
    assert advice.endswith("(shop.yaml:5: data.tables.sales)")


def test_strict_ends_with_1_when_there_is_a_warning_and_0_when_there_is_none(mlc, tmp_path):
    path = write_shop(tmp_path)
    assert mlc("check", path, "--strict").code == 0
    path = write_shop(tmp_path, sales=SALES.with_columns(pl.lit(None, pl.Int32).alias("empty")))
    assert mlc("check", path).code == 0
    assert mlc("check", path, "--strict").code == 1
    assert mlc("check", path, "--strict", "--json").code == 1


def test_warnings_are_told_beside_errors(mlc, tmp_path):
    sales = SALES.with_columns(pl.lit(None, pl.Int32).alias("empty"))
    path = write_shop(tmp_path, changed("[Dress", "[Drss"), sales=sales)
    result = mlc("check", path)
    assert (result.code, result.out) == (2, "")
    assert "'Drss' never occurs" in result.err.splitlines()[0]
    assert "warning: empty of sales has no value in any row; mend the source" in result.err
    told = json.loads(mlc("check", path, "--json").out)
    assert (told["ok"], len(told["problems"])) == (False, 1)
    assert [finding["severity"] for finding in told["findings"][:3]] == ["error", "warning", "note"]
    assert told["findings"][0]["found"] == told["problems"][0]["rule"]
    assert "empty of sales" in told["findings"][1]["found"]


def test_sizes_and_interval_widths_are_in_the_json(mlc, tmp_path):
    told = json.loads(mlc("check", write_shop(tmp_path), "--json").out)
    assert set(told["memory_mb"]) == {"events", "targets", "scores"}
    assert told["training_minutes"] >= 0
    assert [len(widths) for widths in told["auroc_half_widths"].values()] == [3, 3, 3]
    nano = json.loads(mlc("check", write_shop(tmp_path), "--json", "--set", "model.preset=nano").out)
    assert nano["training_minutes"] is None


# ── joins ───────────────────────────────────────────────────────────────────────────────────────

ITEM = pl.col("item").cast(pl.String)
SOME = pl.col("item") < 15  # half of the items are written unlike in the other table


@pytest.mark.parametrize(
    ("sales_key", "items_key", "cause"),
    [
        (ITEM, pl.when(SOME).then(ITEM.str.zfill(4)).otherwise(ITEM), "leading zeros ('"),
        (pl.when(SOME).then(" " + ITEM + " ").otherwise(ITEM), ITEM, "white space around (' "),
        ("a" + ITEM, pl.when(SOME).then("A" + ITEM).otherwise("a" + ITEM), "upper and lower case ('a"),
        (pl.when(SOME).then(ITEM + ".0").otherwise(ITEM), ITEM, "a decimal end (.0) ('"),
        (
            pl.when(SOME).then(ITEM + " ").otherwise(ITEM),
            ITEM.str.zfill(2),
            "white space around and leading zeros ('",
        ),
    ],
    ids=["zeros", "space", "case", "decimal", "two at once"],
)
def test_keys_that_miss_are_told_with_the_cause_and_how_many_it_would_mend(
    found, sales_key, items_key, cause
):
    told = only(found(**with_text_items(sales_key, items_key)))
    assert told.startswith("warning: ")
    assert "of 6,000 events in sales have no row in items: " in told
    assert f"would match but for {cause}" in told
    assert "write the keys alike" in told


def test_keys_that_miss_without_a_usual_cause_are_told_with_examples(found):
    told = only(found(items=ITEMS.filter(pl.col("item") > 2)))
    assert told.startswith("warning: ")
    assert ": 3 keys, such as '" in told
    assert "would match" not in told
    assert "add the missing rows to items" in told


def test_a_few_keys_that_miss_are_a_note(found):
    rare = pl.when(pl.int_range(pl.len()) == 7).then(999).otherwise("item").alias("item")
    told = only(found(sales=SALES.with_columns(rare)))
    assert told.startswith("note: 1 of 6,000 events in sales have no row in items: 1 keys, such as '999'")


def test_events_without_a_key_are_counted_apart(found):
    keyed = pl.when(pl.int_range(pl.len()) % 10 > 0).then("item").alias("item")
    told = found(sales=SALES.with_columns(keyed), items=ITEMS.filter(pl.col("item") > 2))
    assert sum("600 of 6,000 events in sales have no key of items" in finding for finding in told) == 1
    assert sum("have no row in items: 3 keys" in finding for finding in told) == 1


def test_a_join_that_matches_nothing_is_an_error_with_its_cause(mlc, tmp_path):
    tables = with_text_items("k" + ITEM, "K" + ITEM)
    told = mlc("check", write_shop(tmp_path, SCENARIO, **tables)).err
    assert "none of 6,000 events has a row in items" in told
    assert "6,000 of these would match but for upper and lower case ('k" in told


def test_keys_of_two_types_are_an_error_that_says_what_matches_as_text(mlc, tmp_path):
    tables = with_text_items(pl.col("item"), pl.when(SOME).then(ITEM).otherwise("0" + ITEM))
    told = mlc("check", write_shop(tmp_path, SCENARIO, **tables)).err
    assert "are of two types, Int64 and String" in told
    assert "As text (types: {item: text} in sales) " in told
    assert "of 6,000 events match; " in told
    assert "of the others would match but for leading zeros" in told


# ── tables ──────────────────────────────────────────────────────────────────────────────────────


def test_rows_without_a_time_are_told(found):
    timed = pl.when(pl.int_range(pl.len()) % 10 > 0).then("at").alias("at")
    told = only(found(sales=SALES.with_columns(timed)))
    assert told.startswith("warning: 600 of 6,000 rows in sales have no time and are left out → fill at")


def test_rows_that_repeat_are_told_and_weigh_more_where_they_are_counted(found):
    sales = pl.concat([SALES, SALES[:100]])
    doubled = 6_100 - sales.unique().height
    assert only(found(sales=sales)).startswith(f"note: {doubled} of 6,100 rows in sales repeat another row")
    counting = changed("window_days: 21", "window_days: 21\n  rule: {kind: count_at_least, times: 2}")
    assert found(counting, sales=sales)[0].startswith(f"warning: {doubled} of 6,100 rows in sales repeat")


def test_a_few_numbers_below_zero_are_told_and_many_are_how_that_number_is(found):
    def sold(below):
        price = pl.when(pl.int_range(pl.len()) % 100 < below).then(-pl.col("price")).otherwise("price")
        return SALES.with_columns(price)

    told = only(found(sales=sold(2)))
    assert told.startswith("note: 120 of 6,000 rows in sales have a negative price → if these are returns")
    assert 'where: "price > 0"' in told
    assert found(sales=sold(30)) == []
    assert (
        found(SCENARIO.replace("path: sales.parquet", "path: sales.parquet, where: price > 0"), sales=sold(2))
        == []
    )


def test_a_number_that_is_a_name_is_told_where_it_enters_as_a_number(found):
    sales = SALES.with_columns((pl.int_range(pl.len()) % 2_000).alias("shop_code"))
    told = only(found(sales=sales))
    assert told.startswith(
        "note: shop_code of sales enters the model as a number, though its name is that of"
    )
    assert "encoders: {shop_code: category}" in told
    coded = SCENARIO.replace("path: sales.parquet", "path: sales.parquet, encoders: {shop_code: category}")
    assert found(coded, sales=sales) == []


def test_entities_without_attributes_are_told(found):
    told = only(found(customers=PEOPLE[:450]))
    assert told.startswith("note: 150 of 600 entities (25%) have no row in customers, such as 'c450'")
    upper = PEOPLE.with_columns(pl.col("customer").str.to_uppercase())
    told = only(found(customers=upper))
    assert told.startswith("warning: 600 of 600 entities (100%) have no row in customers")
    assert "600 of these would match but for upper and lower case ('c" in told


# ── the real tables ─────────────────────────────────────────────────────────────────────────────

DATA = os.environ.get("MLC_DATA", "/nonexistent")
REAL = {
    "purchase_cards": (
        "transactions has 23 events from 2014-05-02 to 2014-06-02",
        "transactions has 20 events from 2015-04-03 to 2015-04-30",
        "trans_date of transactions has dates without a time of day",
        "104 of 181,332 events in transactions have no key of categories",
        "5,071 of 181,332 rows in transactions have a negative amount",
        "labels with too few positives",
        "values of transactions.cost_centre_code differ from another only in upper and lower case",
    ),
    "nycflights13": (
        "2,512 of 336,776 rows in flights have no entity",
        "stand at exactly 00:00",
        "4 keys, such as 'SJU', 'BQN', 'STT', 'PSE'",
        "721 of 4,043 entities (18%) have no row in planes",
    ),
    "online_retail": (
        "133,361 of 531,285 rows in transactions have no entity",
        "5,231 of 531,285 rows in transactions repeat another row",
        "2 of these would match but for upper and lower case ('72803B', '72803b')",
        "invoice of transactions is text, and so no number for the model",
    ),
    "completejourney": (
        "222 of 75,000 events in transactions have no row in products",
        "1,576 of 2,377 entities (66%) have no row in demographics",
        "labels with too few positives",
    ),
}
KNOWN = (
    "is taken as it is today",
    "is target and history",
    "dates without a time of day",
    "no key of cost_centres",
)


@pytest.mark.real
@pytest.mark.skipif(not Path(DATA).is_dir(), reason="$MLC_DATA is not the folder of the real tables")
@pytest.mark.parametrize("name", REAL)
def test_the_real_traps_are_told_and_nothing_else(mlc, name):
    path = ROOT / "configs" / "public" / f"{name}.yaml"
    result = mlc("check", path, "--json")
    told = [finding["found"] for finding in json.loads(result.out)["findings"]]
    assert result.code == 0
    for trap in REAL[name]:
        assert sum(trap in sentence for sentence in told) == 1, trap
    assert [s for s in told if not any(part in s for part in (*REAL[name], *KNOWN))] == []


WALKED_INTO = (
    (
        "purchase_cards",
        "observed_until: 2017-11-30",
        "drop_all_negative: false",
        "transactions has 15 events from 2017-12-01 to 2018-01-02 (33 days), usually 5,438 in as many days; "
        "windows of train, validation reach into it",
    ),
    (
        "purchase_cards",
        "{top: 25}",
        "{top: 60}\n  allow_empty: true",
        "far rarer in the last year than before, among the events with a label: Legal Fee Other (0.52%",
    ),
    (
        "purchase_cards",
        "encoders: {merchant_code: category}",
        "",
        "merchant_code of transactions enters the model as a number",
    ),
    (
        "online_retail",
        "where: quantity > 0",
        "",
        "10,624 of 541,909 rows in transactions have a negative quantity",
    ),
    ("online_retail", "where: quantity > 0", "", "135,080 of 541,909 rows in transactions have no entity"),
    ("online_retail", "where: quantity > 0", "", "5,268 of 541,909 rows in transactions repeat another row"),
    (
        "online_retail",
        "column: products.category",
        "column: description\n  allow_empty: true",
        "'LUNCH BAG SUKI  DESIGN' (150 events) counts for no label, and differs from 'LUNCH",
    ),
)


@pytest.mark.real
@pytest.mark.skipif(not Path(DATA).is_dir(), reason="$MLC_DATA is not the folder of the real tables")
@pytest.mark.parametrize(("name", "old", "new", "trap"), WALKED_INTO, ids=[trap for *_, trap in WALKED_INTO])
def test_a_scenario_that_walks_into_a_real_trap_is_told(mlc, tmp_path, name, old, new, trap):
    text = (ROOT / "configs" / "public" / f"{name}.yaml").read_text()
    assert text.count(old) == 1
    text = text.replace(old, new)
    if "description" in new:
        text = text[: text.index("  class_names:")] + "  class_names: {top: 30}\n  window_days: 28\n"
    (tmp_path / "trap.yaml").write_text(text)
    told = json.loads(mlc("check", "trap.yaml", "--json").out)["findings"]
    assert sum(trap in finding["found"] for finding in told) == 1
