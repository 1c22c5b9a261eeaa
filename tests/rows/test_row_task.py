"""Tables of rows become examples with targets, in whatever form their labels are written."""

import numpy as np
import polars as pl
import pytest

from mlc.errors import DataError
from mlc.rows.columns import default_encoder
from mlc.rows.inputs import RowColumns
from mlc.rows.task import RowTask
from mlc.tables import ENTITY_ID, TARGETS, targets_of
from tests.support.row_tables import load_rows, prepared_rows

ROWS = 60
NAMES = ["joy", "anger"]


def table_of(labels: list[object], **more: list[object]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "comment_id": list(range(ROWS)),
            "text": [f"what a day this was, number {row}" for row in range(ROWS)],
            "labels": labels,
            **more,
        },
        strict=False,
    )


def cycle(*values: object) -> list[object]:
    return [values[row % len(values)] for row in range(ROWS)]


def targets(prepared) -> dict[int, list[int]]:
    return dict(zip(prepared.table[ENTITY_ID], prepared.table[TARGETS].to_list(), strict=True))


@pytest.mark.parametrize(
    ("labels", "overrides"),
    [
        (cycle(["joy"], ["anger", "joy"], []), ["target.separator=null"]),
        (cycle("joy", "anger, joy", ""), []),
        (cycle('["joy"]', '["anger", "joy"]', "[]"), ["target.separator=null"]),
        (cycle("['joy']", "['anger', 'joy']", "[]"), ["target.separator=null"]),
    ],
)
def test_every_form_of_labels_gives_the_same_targets(tmp_path, labels, overrides):
    prepared = prepared_rows(tmp_path, table_of(labels), *overrides)
    assert list(prepared.class_names) == NAMES
    found = targets(prepared)
    assert [found[0], found[1], found[2]] == [[1, 0], [1, 1], [0, 0]]


@pytest.mark.parametrize(
    ("joy", "anger"),
    [
        (cycle(1, 1, 0, None), cycle(0, 1, 0, 1)),
        (cycle(1.0, 1.0, 0.0, None), cycle(0.0, 1.0, 0.0, 1.0)),
        (cycle(True, True, False, None), cycle(False, True, False, True)),
    ],
)
def test_columns_of_0_and_1_give_targets_and_null_is_unknown(tmp_path, joy, anger):
    table = table_of([""] * ROWS, dx_joy=joy, dx_anger=anger)
    columns = "target={table: rows, columns: {prefix: dx_}}"
    prepared = prepared_rows(tmp_path, table, columns)
    assert sorted(prepared.class_names) == sorted(NAMES)
    joy_first = [list(prepared.class_names).index(name) for name in NAMES]
    found = {key: [values[k] for k in joy_first] for key, values in targets(prepared).items()}
    assert [found[0], found[1], found[2], found[3]] == [[1, 0], [1, 1], [0, 0], [255, 1]]
    listed = prepared_rows(tmp_path, table, "target={table: rows, columns: [dx_joy, dx_anger]}")
    assert list(listed.class_names) == ["dx_joy", "dx_anger"]
    assert targets(listed) == found


LONG = "target={table: rows, column: tags.tag, class_names: [joy, anger]}"


def test_labels_may_stand_in_a_table_of_their_own(tmp_path):
    long = pl.DataFrame({"comment_id": [0, 1, 1, 3], "tag": ["joy", "joy", "anger", "joy"]})
    more = [{"comment_id": row, "tag": "joy" if row % 2 else "anger"} for row in range(4, ROWS)]
    pl.concat([long, pl.DataFrame(more)]).write_csv(tmp_path / "tags.csv")
    tables = (
        "data.tables={rows: {kind: rows, path: rows.parquet, key: comment_id}, "
        "tags: {kind: labels, path: tags.csv, key: comment_id}}"
    )
    prepared = prepared_rows(
        tmp_path,
        table_of([""] * ROWS),
        tables,
        LONG,
    )
    found = targets(prepared)
    assert [found[0], found[1], found[2], found[3]] == [[1, 0], [1, 1], [0, 0], [1, 0]]


def test_an_empty_value_means_none_of_the_labels_or_unknown(tmp_path):
    table = table_of(cycle("joy", "anger", None))
    assert targets(prepared_rows(tmp_path, table))[2] == [0, 0]
    assert targets(prepared_rows(tmp_path, table, "target.empty=unknown"))[2] == [255, 255]


def test_the_order_of_labels_and_rows_in_the_file_changes_nothing(tmp_path):
    first = prepared_rows(tmp_path, table_of(cycle("joy,anger", "joy", "anger", "")))
    other = table_of(cycle("anger,joy", "joy", "anger", "")).reverse()
    second = prepared_rows(tmp_path, other)
    assert first.table.equals(second.table)
    assert first.frame.equals(second.frame)
    assert first.class_names == second.class_names


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ("{top: 1}", ["joy"]),
        ("{min_support: 12}", ["joy"]),
        ("[anger, joy]", ["anger", "joy"]),
        ("{Mood: [anger, joy]}", ["Mood"]),
        ("{Mood: {pattern: ^j}}", ["Mood"]),
    ],
)
def test_class_names_may_be_listed_counted_or_grouped(tmp_path, classes, expected):
    table = table_of(cycle("joy", "joy", "joy", "anger", "", ""))
    prepared = prepared_rows(tmp_path, table, f"target.class_names={classes}")
    assert list(prepared.class_names) == expected


@pytest.mark.parametrize(
    ("labels", "overrides", "message"),
    [
        (
            cycle("joy", "anger"),
            ["target.class_names=[joy, angr]"],
            "'angr' never occurs in labels. Did you mean anger",
        ),
        (cycle(0.5, 1.5), ["target.separator=null"], "is a number with decimals"),
        (cycle(1, 0), ["target.separator=null"], "which says yes or no to one label"),
        (cycle("[1, 0]", "[0, 1]"), ["target.separator=null"], "vectors of 0 and 1"),
        (cycle("['joy' 'anger']", "['joy']"), ["target.separator=null"], "is no list of names"),
        (cycle("", None), [], "no row has a label"),
    ],
)
def test_labels_that_say_nothing_are_one_clear_error(tmp_path, labels, overrides, message):
    with pytest.raises(DataError, match=message):
        prepared_rows(tmp_path, table_of(labels), *overrides)


def test_class_ids_in_a_column_of_0_and_1_are_an_error_that_names_value_column_and_row(tmp_path):
    table = table_of([""] * ROWS, joy=cycle(0, 1, 2))
    with pytest.raises(DataError, match=r"row 3 of rows has 2 as joy.*write target.column: joy"):
        prepared_rows(tmp_path, table, "target={table: rows, columns: [joy]}")


def test_a_key_that_is_there_twice_is_an_error_that_names_it(tmp_path):
    table = table_of(cycle("joy", "anger")).with_columns(
        pl.Series("comment_id", [7, 7, *range(100, 98 + ROWS)])
    )
    with pytest.raises(DataError, match=r"1 keys are there more than once \(7\)"):
        prepared_rows(tmp_path, table)


def test_a_label_without_a_positive_in_training_is_an_error_unless_allowed(tmp_path):
    table = table_of(
        ["joy", "anger", *["joy"] * (ROWS - 2)], part=["train", "test", *cycle("train", "dev", "test")[2:]]
    )
    split = "examples.split={column: part}"
    with pytest.raises(DataError, match="no positive target in training for anger"):
        prepared_rows(tmp_path, table, split, "target.class_names=[joy, anger]")
    allowed = prepared_rows(
        tmp_path, table, split, "target.class_names=[joy, anger]", "target.allow_empty=true"
    )
    assert list(allowed.class_names) == NAMES


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("target.column=lables", r"target\.column: rows has no column lables. Did you mean labels\?"),
        ("target={table: rows, columns: [joi]}", r"target\.columns\.0: rows has no column joi"),
        ("examples.split={column: prt}", r"examples\.split\.column: rows has no column prt"),
        ("examples.split={group: autor}", r"examples\.split\.group: rows has no column autor"),
        ("data.tables.rows.encoders={labels: category}", "labels holds the labels, and the model must not"),
    ],
)
def test_a_column_that_is_misspelt_or_tells_the_labels_is_one_clear_error(tmp_path, override, message):
    with pytest.raises(DataError, match=message):
        prepared_rows(tmp_path, table_of(cycle("joy", "anger"), author=cycle("a", "b")), override)


# ── columns ─────────────────────────────────────────────────────────────────────────────────────


def test_columns_enter_the_model_by_type_and_values(tmp_path):
    table = table_of(
        cycle("joy", "anger"),
        shade=cycle("red", "blue"),
        price=[row / 7 for row in range(ROWS)],
        code=[f"x{row}" for row in range(ROWS)],
        size=cycle(1, 2, 3),
        photo=[f"p{row}.png" for row in range(ROWS)],
    )
    columns = prepared_rows(tmp_path, table).columns
    assert columns == RowColumns(
        texts=["text"],
        categories=["shade", "size"],
        numbers=["price"],
        images={"photo": "error"},
        min_counts={"shade": 2, "size": 2},
    )
    given = prepared_rows(
        tmp_path, table, "data.tables.rows.encoders={size: number, code: category, photo: ignore}"
    )
    assert given.columns.numbers == ["price", "size"]
    assert "code" in given.columns.categories
    assert given.columns.images == {}


def test_times_lists_and_identifiers_are_left_out():
    assert default_encoder(pl.Series(range(100))).kind == "ignore"
    assert default_encoder(pl.Series([[1], [2]])).kind == "ignore"
    assert default_encoder(pl.Series([f"id{row}" for row in range(100)])).kind == "ignore"
    assert default_encoder(pl.Series([None, None], dtype=pl.String)).kind == "ignore"


def test_infinite_numbers_and_blank_texts_are_missing(tmp_path):
    table = table_of(cycle("joy", "anger"), price=cycle(1.5, float("inf"), float("nan"), None))
    blank = table.with_columns(pl.Series("text", ["  ", *table["text"][1:]]))
    frame = prepared_rows(tmp_path, blank).frame
    assert frame["price"].null_count() == 3 * ROWS // 4
    assert frame["text"].null_count() == 1


def test_columns_of_dimensions_are_read_by_the_name_of_their_table(tmp_path):
    pl.DataFrame({"ward": [1, 2], "beds": [10.5, 20.5]}).write_csv(tmp_path / "wards.csv")
    tables = (
        "data.tables={rows: {kind: rows, path: rows.parquet, key: comment_id, joins: {wards: ward}}, "
        "wards: {kind: dimension, path: wards.csv, key: ward}}"
    )
    prepared = prepared_rows(tmp_path, table_of(cycle("joy", "anger"), ward=cycle(1, 2, 3)), tables)
    assert "wards.beds" in prepared.columns.numbers
    assert prepared.frame["wards.beds"].n_unique() == 3


# ── scoring and actuals ─────────────────────────────────────────────────────────────────────────


def test_rows_to_score_keep_their_order_and_need_no_labels(tmp_path):
    prepared = prepared_rows(tmp_path, table_of(cycle("joy", "anger")))
    fresh = table_of(cycle("joy", "anger")).drop("labels").reverse()
    fresh.write_parquet(tmp_path / "fresh.parquet")
    scenario = load_rows(tmp_path, "data.tables.rows.path=fresh.parquet")
    keys, inputs = RowTask(scenario, lambda _: None, NAMES, prepared.columns).inputs_at(None)
    assert keys[ENTITY_ID].to_list() == fresh["comment_id"].to_list()
    assert inputs.frame["text"].to_list() == fresh["text"].to_list()
    assert inputs.labels == 2


def test_a_column_that_is_gone_is_missing_with_a_warning_and_so_is_the_key(tmp_path):
    prepared = prepared_rows(tmp_path, table_of(cycle("joy", "anger"), price=cycle(1.5, 2.5)))
    pl.DataFrame({"text": ["so it goes"]}).write_csv(tmp_path / "fresh.csv")
    scenario = load_rows(tmp_path, "data.tables.rows.path=fresh.csv")
    said: list[str] = []
    keys, inputs = RowTask(scenario, said.append, NAMES, prepared.columns).inputs_at(None)
    assert keys[ENTITY_ID].to_list() == [1]
    assert inputs.frame.row(0) == ("so it goes", None)
    assert any("the model knows price" in line for line in said)
    assert any("no column comment_id" in line for line in said)


def test_a_row_has_no_cutoff(tmp_path):
    from datetime import datetime

    table_of(cycle("joy", "anger")).write_parquet(tmp_path / "rows.parquet")
    with pytest.raises(DataError, match="--as-of: a row has no cutoff"):
        RowTask(load_rows(tmp_path), lambda _: None, NAMES).inputs_at(datetime(2026, 1, 1))


def test_actuals_are_the_targets_of_the_rows_that_the_table_has(tmp_path):
    prepared = prepared_rows(tmp_path, table_of(cycle("joy", "anger,joy", "")))
    task = RowTask(load_rows(tmp_path), lambda _: None, NAMES)
    keys = pl.DataFrame({ENTITY_ID: [1, 0, 99]})
    assert task.actuals(keys)[TARGETS].to_list() == [[1, 1], [1, 0], [255, 255]]
    again = task.actuals(prepared.table.select(ENTITY_ID))
    assert np.array_equal(targets_of(again), targets_of(prepared.table))


def test_the_true_probabilities_come_by_key(tmp_path):
    table = table_of(cycle("joy", "anger"))
    truth = table.select("comment_id", joy=pl.col("comment_id") / 100, anger=pl.lit(0.5)).reverse()
    truth.write_parquet(tmp_path / "truth.parquet")
    overrides = ("target.class_names=[joy, anger]", "target.true_probabilities=truth.parquet")
    prepared = prepared_rows(tmp_path, table, *overrides)
    oracle = RowTask(load_rows(tmp_path, *overrides), lambda _: None).oracle(prepared)
    assert oracle is not None
    np.testing.assert_allclose(
        [scores[0] for scores in oracle["scores"].to_list()], oracle[ENTITY_ID].to_numpy() / 100, atol=1e-6
    )
