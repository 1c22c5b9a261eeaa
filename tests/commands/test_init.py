"""`mlc init`: a first scenario from tables that `mlc check` accepts, with the reasons."""

import os
import re
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.support.event_scenarios import load_events
from tests.support.shop_tables import shop_tables

pytestmark = pytest.mark.slow

DATA = os.environ.get("MLC_DATA", "/nonexistent")


def write_tables(folder, **changed):
    """The shop's tables as files; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, table in {**shop_tables(), **changed}.items():
        paths.append(folder / f"{name}.parquet")
        table.write_parquet(paths[-1])
    return paths


def test_the_demo_tables_give_a_scenario_that_check_accepts(mlc, demo, tmp_path):
    tables = [demo / "data" / name for name in ("transactions", "articles.parquet", "customers.parquet")]
    result = mlc("init", *tables, "--out", "shop/first.yaml")
    assert result.code == 0, result.err
    assert result.out == (tmp_path / "shop" / "first.yaml").read_text()
    scenario = load_events(tmp_path / "shop" / "first.yaml")
    assert scenario.name == "first"
    assert scenario.data.entity == "customer_id"
    assert list(scenario.data.events) == ["transactions"]
    assert scenario.data.events["transactions"].joins == {"articles": ["article_id"]}
    assert list(scenario.data.entities) == ["customers"]
    assert scenario.target.window_days == 28
    assert scenario.model.foundation == "auto"
    checked = mlc("check", "shop/first.yaml")
    assert checked.code == 0, checked.err


@pytest.mark.real
@pytest.mark.skipif(not Path(DATA).is_dir(), reason="$MLC_DATA is not the folder of the real tables")
@pytest.mark.parametrize(
    ("name", "entity", "column", "until"),
    [
        ("purchase_cards", "card_id", "categories.category", "2017-11-30"),
        ("nycflights13", "tailnum", "dest", None),
        ("online_retail", "customer_id", "products.category", None),
        ("completejourney", "household_id", "products.product_category", None),
    ],
)
def test_the_real_tables_give_a_scenario_that_check_accepts(mlc, tmp_path, name, entity, column, until):
    result = mlc("init", *sorted((Path(DATA) / name).glob("*.parquet")))
    assert result.code == 0, result.err
    scenario = load_events(tmp_path / "scenario.yaml")
    assert scenario.data.entity == entity
    assert scenario.target.column == [column]
    assert isinstance(scenario.target.class_names, list)
    assert len(scenario.target.class_names) == 12
    assert scenario.examples.observed_until == (until and datetime.fromisoformat(until))
    checked = mlc("check", "scenario.yaml")
    assert checked.code == 0, checked.err


def test_a_table_of_events_one_of_things_and_one_of_customers_are_told_apart(mlc, tmp_path):
    result = mlc("init", *write_tables(tmp_path / "data"))
    assert result.code == 0, result.err
    scenario = load_events(tmp_path / "scenario.yaml")
    assert {name: table.kind for name, table in scenario.data.tables.items()} == {
        "sales": "events",
        "items": "dimension",
        "customers": "entities",
    }
    assert scenario.target.column == ["items.kind"]
    assert sorted(scenario.target.class_names) == ["Dress", "Shorts", "Skirt"]
    assert mlc("check", "scenario.yaml").code == 0


def test_paths_are_relative_to_the_file_that_is_written(mlc, tmp_path):
    write_tables(tmp_path / "data")
    assert mlc("init", "data/sales.parquet", "data/items.parquet", "--out", "a/b.yaml").code == 0
    assert "path: ../data/sales.parquet" in (tmp_path / "a" / "b.yaml").read_text()


def test_a_file_that_exists_is_never_overwritten(mlc, tmp_path):
    (tmp_path / "scenario.yaml").write_text("mine")
    result = mlc("init", *write_tables(tmp_path / "data"))
    assert result.code == 2
    assert "--out scenario.yaml: is there already" in result.err
    assert (tmp_path / "scenario.yaml").read_text() == "mine"


def test_every_choice_says_why_with_counts(mlc, tmp_path):
    sales = shop_tables()["sales"].with_columns(
        item=pl.when(pl.int_range(pl.len()) < 100).then(999).otherwise("item")
    )
    text = mlc("init", *write_tables(tmp_path / "data", sales=sales)).out
    for said in (
        "80 different ones in 4,000 rows of sales",
        "3,900 of 4,000 events match",
        "80 of 80 entities have a row",
        "four weeks; the tables cover 200 days",
    ):
        assert said in text


def test_the_positives_it_tells_are_those_that_labels_counts(mlc, tmp_path):
    text = mlc("init", *write_tables(tmp_path / "data")).out
    listed = mlc("labels", "scenario.yaml").out
    for name, positives in re.findall(r"- (\w+)   # ([\d,]+) \(", text):
        row = next(line for line in listed.splitlines() if re.match(rf"{name} +[\d,]+ ", line))
        assert re.findall(r"([\d,]+) +[\d.]+%", row)[2] == positives


def test_tables_as_csv_work_too(mlc, tmp_path):
    paths = []
    for name, table in shop_tables().items():
        paths.append(tmp_path / f"{name}.csv")
        table.write_csv(paths[-1])
    result = mlc("init", *paths)
    assert result.code == 0, result.err
    assert mlc("check", "scenario.yaml").code == 0


def test_the_entity_can_be_named(mlc, tmp_path):
    sales = shop_tables()["sales"].with_columns(region=pl.col("item") % 12)
    paths = write_tables(tmp_path / "data", sales=sales)
    assert mlc("init", *paths, "--entity", "region").code == 0
    assert load_events(tmp_path / "scenario.yaml").data.entity == "region"


def test_an_entity_that_is_no_column_is_told_with_the_nearest(mlc, tmp_path):
    result = mlc("init", *write_tables(tmp_path / "data"), "--entity", "custmer")
    assert result.code == 2
    assert "Did you mean customer?" in result.err
    assert not (tmp_path / "scenario.yaml").exists()


def test_tables_without_a_time_are_told_with_their_columns(mlc, tmp_path):
    sales = shop_tables()["sales"].with_columns(pl.lit("soon").alias("at"))
    result = mlc("init", *write_tables(tmp_path / "data", sales=sales))
    assert result.code == 2
    assert (
        "no table has a column of dates or datetimes: sales has customer (String), at (String)" in result.err
    )


def test_missing_files_are_all_told_at_once(mlc):
    result = mlc("init", "no.parquet", "nor.csv")
    assert result.code == 2
    assert result.err.count("no such file: ") == 2


def test_a_table_that_fits_nowhere_is_left_out_with_the_reason(mlc, tmp_path):
    stray = pl.DataFrame({"planet": ["Mars", "Mars", "Venus"], "moons": [2, 2, 0]})
    text = mlc("init", *write_tables(tmp_path / "data", stray=stray)).out
    assert "# stray.parquet is left out: no column names each row once" in text


def test_doubled_keys_are_told_as_the_reason_why_a_table_is_not_joined(mlc, tmp_path):
    items = shop_tables()["items"]
    paths = write_tables(tmp_path / "data", items=pl.concat([items, items.head(2)]))
    assert "no column names each row once (item has 30 values in 32 rows)" in mlc("init", *paths).out


@pytest.mark.parametrize(
    "changed",
    [
        lambda sales: sales.with_columns(pl.col("at").cast(pl.Date)),
        lambda sales: sales.with_columns(pl.col("at").dt.replace_time_zone("UTC")),
        lambda sales: sales.with_columns(pl.col("customer").cast(pl.Categorical)),
        lambda sales: sales.with_columns(tags=pl.concat_list("item", "item"), row=pl.struct("item")),
        lambda sales: pl.concat([sales, sales.head(50).with_columns(pl.lit(None).alias("customer"))]),
    ],
    ids=["dates", "with a zone", "categorical entity", "nested columns", "rows without an entity"],
)
def test_check_accepts_what_is_guessed_from_other_types(mlc, tmp_path, changed):
    paths = write_tables(tmp_path / "data", sales=changed(shop_tables()["sales"]))
    result = mlc("init", *paths)
    assert result.code == 0, result.err
    assert load_events(tmp_path / "scenario.yaml").target.column == ["items.kind"]
    assert mlc("check", "scenario.yaml").code == 0


def test_keys_that_hardly_match_are_not_joined(mlc, tmp_path):
    items = shop_tables()["items"].with_columns(pl.col("item") + 25)
    sales = shop_tables()["sales"].with_columns(
        colour=(pl.col("item") % 3).replace_strict({0: "red", 1: "blue", 2: "green"})
    )
    text = mlc("init", *write_tables(tmp_path / "data", items=items, sales=sales)).out
    assert re.search(r"# sales.item and items.item are not joined: only \d+ of 4,000 events match", text)
    assert mlc("check", "scenario.yaml").code == 0


def test_short_tables_get_a_window_that_fits_three_times(mlc, tmp_path):
    sales = shop_tables()["sales"].filter(pl.col("at") < datetime(2024, 2, 10))
    result = mlc("init", *write_tables(tmp_path / "data", sales=sales))
    assert result.code == 0, result.err
    assert load_events(tmp_path / "scenario.yaml").target.window_days == 7
    assert mlc("check", "scenario.yaml").code == 0


def test_a_tail_after_a_hole_is_not_taken_for_complete(mlc, tmp_path):
    hole = pl.col("at").dt.date().is_between(date(2024, 6, 20), date(2024, 7, 10))
    sales = shop_tables()["sales"].filter(~hole)
    text = mlc("init", *write_tables(tmp_path / "data", sales=sales)).out
    assert "observed_until: 2024-06-20   # sales ends on 2024-07-18, but after 2024-06-19" in text
    assert mlc("check", "scenario.yaml").code == 0


def test_a_column_that_says_who_someone_is_is_not_proposed(mlc, tmp_path):
    sales = shop_tables()["sales"].join(shop_tables()["customers"], on="customer")
    text = mlc("init", *write_tables(tmp_path / "data", sales=sales)).out
    assert "region" not in text.split("target:")[1]


@pytest.mark.parametrize("value", ["No", "12", "a: b", "- x", 'say "hi"', "Ünï", "#1", "a\nb", "1e3", "on"])
def test_names_that_yaml_would_read_otherwise_are_quoted(mlc, tmp_path, value):
    items = shop_tables()["items"].with_columns(pl.col("kind").replace({"Dress": value}))
    assert mlc("init", *write_tables(tmp_path / "data", items=items)).code == 0
    assert value in load_events(tmp_path / "scenario.yaml").target.class_names


def test_tables_too_short_for_three_windows_are_refused(mlc, tmp_path):
    sales = shop_tables()["sales"].with_columns(
        at=datetime(2024, 1, 1) + pl.duration(days=pl.col("item") % 3)
    )
    result = mlc("init", *write_tables(tmp_path / "data", sales=sales))
    assert result.code == 2
    assert "sales reaches from 2024-01-01 to 2024-01-03" in result.err


def test_a_far_away_date_does_not_decide_where_the_tables_end(mlc, tmp_path):
    sales = shop_tables()["sales"]
    typo = sales.head(1).with_columns(at=pl.lit(datetime(2042, 1, 1)))
    text = mlc("init", *write_tables(tmp_path / "data", sales=pl.concat([sales, typo]))).out
    last = datetime(2024, 1, 1) + timedelta(days=200)
    assert f"observed_until: {last:%Y-%m-%d}" in text


def test_a_folder_and_a_quoted_glob_give_a_table_per_file(mlc, tmp_path):
    write_tables(tmp_path / "data")
    for given, out in (("data", "a.yaml"), ("data/*.parquet", "b.yaml"), ("data/*", "c.yaml")):
        result = mlc("init", given, "--out", out)
        assert result.code == 0, result.err
        tables = load_events(tmp_path / out).data.tables
        assert {name: Path(table.path or "").name for name, table in tables.items()} == {
            name: f"{name}.parquet" for name in ("sales", "items", "customers")
        }
        assert mlc("check", out).code == 0


def test_files_that_differ_in_a_number_are_one_table_beside_others(mlc, tmp_path):
    write_tables(tmp_path / "data")
    (tmp_path / "data/sales.parquet").unlink()
    sales = shop_tables()["sales"]
    for month in range(3):
        part = sales.filter(pl.int_range(pl.len()) % 3 == month)
        part.write_parquet(tmp_path / f"data/sales_2024-0{month + 1}.parquet")
    result = mlc("init", "data")
    assert result.code == 0, result.err
    scenario = load_events(tmp_path / "scenario.yaml")
    assert sorted(scenario.data.tables) == ["customers", "items", "sales"]
    assert "4,000 rows of sales" in result.out
    assert mlc("check", "scenario.yaml").code == 0


def test_a_folder_of_folders_gives_a_table_per_folder(mlc, tmp_path):
    sales = shop_tables()["sales"]
    for year in (2023, 2024):
        (tmp_path / f"lake/sales/year={year}").mkdir(parents=True)
        sales.filter(pl.int_range(pl.len()) % 2 == year % 2).write_parquet(
            tmp_path / f"lake/sales/year={year}/part-0.parquet"
        )
    shop_tables()["items"].write_parquet(tmp_path / "lake/items.parquet")
    result = mlc("init", "lake")
    assert result.code == 0, result.err
    tables = load_events(tmp_path / "scenario.yaml").data.tables
    assert {name: Path(table.path or "").name for name, table in tables.items()} == {
        "sales": "sales",
        "items": "items.parquet",
    }


def test_files_that_cannot_be_read_together_are_refused_by_name(mlc, tmp_path):
    write_tables(tmp_path / "data")
    (tmp_path / "data/broken.parquet").write_bytes(b"PAR1")
    result = mlc("init", "data")
    assert result.code == 2, result.err
    assert "broken.parquet" in result.err
    assert not (tmp_path / "scenario.yaml").exists()
    (tmp_path / "empty").mkdir()
    assert mlc("init", "empty").code == mlc("init", "no/*.csv").code == 2


@pytest.mark.parametrize(("file", "name"), [("scenario.yaml", "my-shop"), ("next week.yaml", "next-week")])
def test_a_file_called_scenario_takes_the_name_of_its_folder(mlc, tmp_path, file, name):
    paths = write_tables(tmp_path / "data")
    out = tmp_path / "my shop" / file
    assert mlc("init", *paths, "--out", out).code == 0
    assert load_events(out).name == name
    out.write_text("\n".join(line for line in out.read_text().splitlines() if not line.startswith("name:")))
    assert load_events(out).name == name
    assert load_events(out, ["name=other"]).name == "other"


def test_a_readable_name_is_chosen_over_the_code_that_means_the_same_and_the_file_says_so(mlc, tmp_path):
    items = shop_tables()["items"].with_columns(
        kind_no=pl.col("kind").replace_strict({"Dress": 11, "Skirt": 12, "Shorts": 13})
    )
    items = items.rename({"kind": "kind_name"})
    text = mlc("init", *write_tables(tmp_path / "data", items=items)).out
    assert load_events(tmp_path / "scenario.yaml").target.column == ["items.kind_name"]
    assert "chosen since people read it: items.kind_no has the same labels as codes" in text


def test_two_dimensions_of_the_same_key_are_joined_and_the_file_says_so(mlc, tmp_path):
    texts = shop_tables()["items"].select("item", note=pl.format("note {}", pl.col("item") % 7))
    paths = write_tables(tmp_path / "data", notes=texts)
    text = mlc("init", *paths).out
    assert re.search(r"# sales.item joins (items and notes|notes and items): each gives its own", text)
    assert mlc("check", "scenario.yaml").code == 0


def test_a_dimension_of_a_dimension_is_left_out_with_what_to_do(mlc, tmp_path):
    kinds = pl.DataFrame({"kind": ["Dress", "Skirt", "Shorts"], "department": ["A", "B", "B"]})
    text = mlc("init", *write_tables(tmp_path / "data", kinds=kinds)).out
    assert "kinds.parquet is left out: its key kind is a column of items" in text
