"""Scenarios and tables that do not fit: one clear message a problem, exit code 2, nothing lost."""

import json

import polars as pl
import pytest

from tests.conftest import process
from tests.support.shop_tables import SCENARIO, shop_tables, snapshot, write_shop

TABLES = shop_tables()
SALES, ITEMS = TABLES["sales"], TABLES["items"]
VISITS = "    visits: {kind: events, path: visits.parquet, time: at}\n    items:"


def changed(old: str, new: str) -> str:
    assert SCENARIO.count(old) == 1, old
    return SCENARIO.replace(old, new)


@pytest.fixture
def refused(mlc, tmp_path):
    """Runs `check` and `labels` on a broken shop; gives the lines of the messages."""

    def run(scenario: str = SCENARIO, **tables: object) -> list[str]:
        path = write_shop(tmp_path, scenario, **tables)
        mlc("labels", write_shop(tmp_path / "sound"), "--out", "examples.parquet")
        before = snapshot(tmp_path)
        result = mlc("check", path)
        assert (result.code, result.out) == (2, ""), result.err
        labels = mlc("labels", path, "--out", "examples.parquet")
        assert (labels.code, labels.out) == (2, ""), labels.err
        after = snapshot(tmp_path)
        assert {name: after.get(name) for name in before} == before
        new = [name for name in after if name not in before]
        assert all(
            name.startswith("runs/store/") and "/." not in name for name in new
        )  # kept for the next try
        return result.err.replace(f"{tmp_path}/", "").splitlines()

    return run


COLUMNS = [
    (
        changed("time: at", "time: att"),
        "shop.yaml:5: data.tables.sales.time: sales has no column att.",
        "Did you mean at?",
    ),
    (
        changed("entity: customer", "entity: custmer"),
        "shop.yaml:3: data.entity: sales has no column custmer.",
        "Did you mean customer?",
    ),
    (
        changed("{items: item}", "{items: itm}"),
        "shop.yaml:5: data.tables.sales.joins.items: sales has no column itm.",
        "Did you mean item?",
    ),
    (
        changed("items.parquet, key: item", "items.parquet, key: itm"),
        "shop.yaml:6: data.tables.items.key: items has no column itm.",
        "Did you mean item?",
    ),
    (
        changed("key: customer}", "key: custmer}"),
        "shop.yaml:7: data.tables.customers.key: customers has no column custmer.",
        "Did you mean customer?",
    ),
    (
        changed("items.kind", "items.knd"),
        "shop.yaml:10: target.column: items has no column knd.",
        "Did you mean kind?",
    ),
    (
        changed("key: item}", "key: item, encoders: {kinds: category}}"),
        "shop.yaml:6: data.tables.items.encoders.kinds: items has no column kinds.",
        "Did you mean kind?",
    ),
    (
        changed("key: item}", "key: item, encoders: {kind: number}}"),
        "shop.yaml:6: data.tables.items.encoders.kind: must be a number,",
        "not String",
    ),
    (
        changed("items.kind", "price"),
        "shop.yaml:10: target.column: sales.price must be text,",
        "not Float64. Add types: {price: text} to sales",
    ),
    (
        changed("time: at", "time: at, where: prce > 3"),
        "shop.yaml:5: data.tables.sales.where: not true or false for every row: ",
        "prce",
    ),
    (
        changed("items.parquet", "itms.parquet"),
        "shop.yaml:6: data.tables.items.path: no such file: itms.parquet.",
        "Did you mean items.parquet",
    ),
]


@pytest.mark.parametrize(("scenario", "rule", "hint"), COLUMNS, ids=[rule for _, rule, _ in COLUMNS])
def test_a_wrong_name_or_type_is_told_with_its_line_and_what_to_do(refused, scenario, rule, hint):
    (line,) = refused(scenario)
    assert line.startswith(rule)
    assert hint in line


def test_problems_of_all_tables_and_of_the_target_are_told_at_once(refused):
    text = changed("time: at", "time: att").replace("items.kind", "items.knd")
    lines = refused(text.replace("key: customer}", "key: custmer}"))
    assert sorted(line.split(": ")[1] for line in lines) == [
        "data.tables.customers.key",
        "data.tables.sales.time",
        "target.column",
    ]


@pytest.mark.parametrize(
    "column", [pl.col("at").cast(pl.String), pl.col("at").dt.epoch("s"), pl.col("at").dt.time()]
)
def test_a_time_that_is_no_moment_is_refused(refused, column):
    (line,) = refused(sales=SALES.with_columns(column))
    assert "data.tables.sales.time: at is " in line
    assert "not a date or datetime; types: {at: datetime} reads ISO 8601" in line


@pytest.mark.parametrize("table", ["customers", "visits"])
def test_entity_ids_of_two_types_are_refused(refused, table):
    rows = (SALES.drop("item") if table == "visits" else TABLES[table]).with_row_index()
    numbered = rows.drop("customer").rename({"index": "customer"})
    (line,) = refused(changed("    items:", VISITS), **{"visits": SALES.drop("item"), table: numbered})
    assert line.startswith("shop.yaml:3: data.entity: entity ids are of two types: ")
    assert "sales.customer is text" in line
    assert f"{table}.customer is integer" in line


def test_rows_without_an_entity_are_dropped_and_counted(mlc, tmp_path):
    some = pl.when(pl.int_range(pl.len()) % 10 > 0).then("customer").alias("customer")
    path = write_shop(tmp_path, sales=SALES.with_columns(some))
    told = "warning: 400 of 4,000 rows in sales have no entity and are left out"
    assert told in mlc("check", path).out
    assert told in mlc("labels", path).err


@pytest.mark.parametrize(
    "sales",
    [
        SALES.with_columns(pl.lit(None, pl.String).alias("customer")),
        SALES.with_columns(pl.lit(None, pl.Datetime).alias("at")),
        SALES[:0],
    ],
    ids=["without entities", "without times", "without rows"],
)
def test_a_table_without_any_event_is_refused(refused, sales):
    assert any("sales has no " in line for line in refused(sales=sales))


def test_a_where_that_leaves_no_row_is_refused(refused):
    assert any("sales has no " in line for line in refused(changed("time: at", "time: at, where: price < 0")))


def test_doubled_keys_and_labels_that_never_occur_are_told_at_once(mlc, tmp_path):
    items = pl.concat([ITEMS, ITEMS[:3]])
    path = write_shop(tmp_path, changed("[Dress, Skirt", "[Drss, Skrt"), items=items)
    lines = mlc("check", path).err.replace(f"{tmp_path}/", "").splitlines()
    assert lines[0].startswith("shop.yaml:6: data.tables.items.key: 3 of the keys of items")
    assert lines[1].endswith("'Drss' never occurs in items.kind. Did you mean Dress?")
    assert lines[2].startswith("shop.yaml:11: target.class_names.1: 'Skrt' never occurs in items.kind")
    assert len(lines) == 3


def test_labels_that_never_occur_and_windows_that_do_not_fit_are_told_at_once(mlc, tmp_path):
    path = write_shop(tmp_path, changed("[Dress", "[Drss").replace("window_days: 21", "window_days: 500"))
    told = mlc("check", path).err
    assert "'Drss' never occurs" in told
    assert "a complete window of 500 days" in told


def test_a_group_with_a_value_that_never_occurs_is_refused(refused):
    (line,) = refused(changed("[Dress, Skirt, Shorts]", "{A: [Drss, Skirt], B: [Shorts]}"))
    assert "target.class_names.A" in line
    assert line.endswith("'Drss' never occurs in items.kind. Did you mean Dress?")


def test_a_join_that_matches_nothing_is_named_as_the_reason(mlc, tmp_path):
    path = write_shop(tmp_path, items=ITEMS.with_columns(pl.col("item") + 100))
    told = mlc("check", path).err
    assert "data.tables.sales.joins.items: none of 4,000 events has a row" in told


@pytest.mark.parametrize(
    ("scenario", "told"),
    [
        (changed("window_days: 21", "window_days: 500"), "a complete window of 500 days"),
        (SCENARIO + "examples: {test_from: 2030-01-01}\n", "examples.test_from"),
        (SCENARIO + "examples: {observed_until: 2020-01-01}\n", "must lie after the first event"),
        (SCENARIO + "examples: {min_history_events: 9999}\n", "with fewer than 9999 events"),
        (
            changed("window_days: 21", "window_days: 21\n  rule: {kind: count_at_least, times: 99}"),
            "all targets in training are negative. Widen the window",
        ),
        (
            changed("window_days: 21", "window_days: 21\n  rule: {kind: exists, where: price < 0}"),
            "no event has a value in items.kind. Check where",
        ),
    ],
    ids=["long window", "late test", "early end", "no history", "all negative", "rule leaves nothing"],
)
def test_examples_that_cannot_be_are_refused(refused, scenario, told):
    assert told in "\n".join(refused(scenario))


# ── files that are not what they should be ──────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"- a\n- b\n", "a scenario is a mapping with data: and target:, and this is a list."),
        (b"", "this is an empty file"),
        (b"\xff\xfe\x00junk" * 50, "it is UTF-16. Save it as UTF-8."),
        (b"a: [1\n", "x.yaml:1: the [ that begins here is never closed"),
    ],
)
def test_a_file_that_is_no_scenario_is_refused(mlc, tmp_path, content, told):
    (tmp_path / "x.yaml").write_bytes(content)
    for command in ("check", "labels", "train"):
        result = mlc(command, "x.yaml")
        assert (result.code, result.out) == (2, "")
        assert result.err.startswith("x.yaml")
        assert told in result.err


def test_a_scenario_that_does_not_exist_is_told_with_its_neighbours(mlc, tmp_path):
    write_shop(tmp_path)
    for command in ("check", "labels", "train"):
        told = mlc(command, "shp.yaml")
        expected = "shp.yaml: no such file. Did you mean shop.yaml?\n"
        assert (told.code, told.err) == (2, expected)


def parquet_bytes(folder) -> bytes:
    SALES.write_parquet(folder / "whole.parquet", compression="snappy")
    content = (folder / "whole.parquet").read_bytes()
    (folder / "whole.parquet").unlink()
    return content


@pytest.mark.parametrize("damage", ["junk", "empty", "cut", "middle"])
def test_a_damaged_parquet_file_is_named(refused, tmp_path, damage):
    whole = parquet_bytes(tmp_path)
    content = {
        "junk": b"junk" * 300,
        "empty": b"",
        "cut": whole[:-100],
        "middle": whole[:4] + b"\xff" * 600 + whole[604:],
    }[damage]
    (line,) = refused(sales=content)
    assert line.startswith("shop.yaml:")
    assert "data.tables.sales.path: sales.parquet: it is " in line


CSV = SALES.write_csv().splitlines()


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        (
            [*CSV[:100], CSV[100] + ",7,8", *CSV[101:]],
            "sales.csv: line 101: it has 6 values, the header has 4",
        ),
        (
            [CSV[0], *CSV[1:] * 3, "c01,2024-01-05T00:00:00.000000,3,dear"],
            "sales.csv: line 12002: price is 'dear', which is not a number",
        ),
        (
            [CSV[0], *CSV[1:] * 3, "c01,yesterday,3,4"],
            "sales.csv: line 12002: at is 'yesterday', which is not a date or datetime",
        ),
        ([*CSV[:50], "c01,yesterday,3,4", *CSV[50:]], "at is String, not a date or datetime"),
    ],
    ids=["ragged", "late text", "late time", "early time"],
)
@pytest.mark.slow
def test_a_csv_with_a_line_unlike_the_others_is_refused(refused, tmp_path, rows, found):
    (tmp_path / "sales.csv").write_text("\n".join(rows) + "\n")
    lines = refused(changed("sales.parquet", "sales.csv"))
    assert any(found in line for line in lines)
    assert not any("infer_schema" in line for line in lines)


# ── what is odd but right ───────────────────────────────────────────────────────────────────────

ODD = ("Food, Fresh", "Men's Wear", 'The "Best"', "Kinder-Schühe", "🎁 Gifts", "two\nlines", "a=b", "cutoff")


def test_labels_of_any_text_are_counted_and_written(mlc, tmp_path):
    text = changed("[Dress, Skirt, Shorts]", json.dumps(ODD))
    path = write_shop(tmp_path, text, items=shop_tables(ODD)["items"])
    checked = mlc("check", path, "--json")
    assert (checked.code, json.loads(checked.out)["class_names"]) == (0, list(ODD))
    assert mlc("labels", path).code == 0
    assert pl.read_parquet("examples.parquet")["targets"].dtype == pl.Array(pl.UInt8, len(ODD))


# ── mlc check itself ────────────────────────────────────────────────────────────────────────────


def test_check_gives_its_problems_as_json_too(mlc, tmp_path):
    result = mlc("check", write_shop(tmp_path, changed("time: at", "time: att")), "--json")
    told = json.loads(result.out)
    assert (result.code, result.err, told["ok"]) == (2, "", False)
    (problem,) = told["problems"]
    assert problem["field"] == "data.tables.sales.time"
    assert problem["location"].endswith("shop.yaml:5")


def test_check_never_loads_the_model(tmp_path):
    path = write_shop(tmp_path)
    result = process("check", path, folder=tmp_path, PYTHONPROFILEIMPORTTIME="1", PYTHONWARNINGS="error")
    assert result.code == 0
    assert "mlc.events.targets" in result.err
    assert " torch" not in result.err
    assert [folder.name for folder in (tmp_path / "runs").iterdir()] == ["store"]


def test_a_label_named_as_in_the_tables_is_found_whatever_their_type(mlc, tmp_path):
    text = changed("items.kind", "item").replace("[Dress, Skirt, Shorts]", "['1', '2']")
    assert mlc("check", write_shop(tmp_path, text)).code == 0
