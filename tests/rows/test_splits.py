"""Rows are dealt out to the splits: by column, files, time, group, or so that labels have their shares."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlc.errors import DataError
from mlc.rows.splits import digests, stratified
from mlc.tables import ENTITY_ID, SPLIT
from tests.support.row_tables import prepared_rows

ROWS = 200


def comments(rows: int = ROWS) -> pl.DataFrame:
    noise = np.random.default_rng(3)
    labels = [
        ",".join(name for name in ("joy", "anger", "rare") if noise.random() < p) for p in _shares(rows)
    ]
    return pl.DataFrame(
        {
            "comment_id": [f"c{row}" for row in range(rows)],
            "text": [f"these are the words of number {row}" for row in range(rows)],
            "labels": labels,
            "day": pl.date_range(pl.date(2026, 1, 1), pl.date(2026, 12, 31), eager=True).head(rows),
            "author": [f"a{row // 4}" for row in range(rows)],
        }
    )


def _shares(rows: int) -> list[float]:
    return [0.4 if row % 2 else 0.1 for row in range(rows)]


def split_of(prepared) -> dict[str, str]:
    return dict(zip(prepared.table[ENTITY_ID], prepared.table[SPLIT], strict=True))


@given(
    st.lists(st.lists(st.integers(0, 4), max_size=3), min_size=10, max_size=60),
    st.floats(0.1, 0.5),
    st.integers(0, 9),
)
def test_a_drawn_share_is_that_of_all_rows_and_of_each_label(rows, share, seed):
    units = np.array([row for row, labels in enumerate(rows) for _ in set(labels)], dtype=np.int64)
    labels = np.array([label for labels in rows for label in sorted(set(labels))], dtype=np.int64)
    order = np.random.default_rng(seed).permutation(len(rows))
    drawn = stratified(units, labels, np.ones(len(rows), dtype=np.int64), order, share)
    assert abs(int(drawn.sum()) - share * len(rows)) <= 5 + 1  # the number of labels, and one
    if len(labels):
        rarest = min(set(labels.tolist()), key=lambda label: (int((labels == label).sum()), label))
        own = units[labels == rarest]
        assert abs(int(drawn[own].sum()) - share * len(own)) <= 1


def test_the_split_at_random_depends_on_keys_and_seed_alone(tmp_path):
    first = split_of(prepared_rows(tmp_path, comments()))
    shuffled = comments().sample(fraction=1.0, shuffle=True, seed=5)
    assert split_of(prepared_rows(tmp_path, shuffled)) == first
    other = split_of(prepared_rows(tmp_path, comments(), "examples.split={seed: 1}"))
    assert other != first


def test_the_split_at_random_has_the_shares_that_the_scenario_wants(tmp_path):
    prepared = prepared_rows(tmp_path, comments(), "examples.split={validation: 0.2, test: 0.3}")
    counts = prepared.table[SPLIT].value_counts()
    sizes = dict(counts.iter_rows())
    assert abs(sizes["test"] - 0.3 * ROWS) <= 4
    assert abs(sizes["validation"] - 0.2 * ROWS) <= 4


def test_rows_of_one_group_are_in_one_split(tmp_path):
    prepared = prepared_rows(tmp_path, comments(), "examples.split={group: author}")
    together = (
        prepared.table.with_columns(prepared.rows["author"]).group_by("author").agg(pl.col(SPLIT).n_unique())
    )
    assert together[SPLIT].max() == 1


def test_words_for_splits_are_understood_and_empty_ones_leave_the_row_out(tmp_path):
    words = ["Train", " dev ", "TEST", None]
    table = comments().with_columns(pl.Series("part", [words[row % 4] for row in range(ROWS)]))
    prepared = prepared_rows(tmp_path, table, "examples.split={column: part}")
    assert prepared.table[SPLIT].value_counts().sort(SPLIT)["count"].to_list() == [50, 50, 50]
    assert prepared.funnel[-1].reason == "in no split"
    assert prepared.funnel[-1].removed == 50


def test_a_column_without_validation_gives_a_share_of_training_to_it(tmp_path):
    table = comments().with_columns(pl.Series("part", ["train", "train", "train", "test"] * (ROWS // 4)))
    prepared = prepared_rows(tmp_path, table, "examples.split={column: part, validation: 0.2}")
    sizes = dict(prepared.table[SPLIT].value_counts().iter_rows())
    assert sizes["test"] == 50
    assert abs(sizes["validation"] - 30) <= 4


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (["train", "tset"], "part has 'tset', which names no split. Write train, validation and test"),
        (["train", "dev"], "no row is for the test. Change the split"),
    ],
)
def test_a_word_that_names_no_split_and_a_split_without_rows_are_errors(tmp_path, parts, message):
    table = comments().with_columns(pl.Series("part", parts * (ROWS // 2)))
    with pytest.raises(DataError, match=message):
        prepared_rows(tmp_path, table, "examples.split={column: part}")


def test_rows_are_split_by_time(tmp_path):
    dates = "examples.split={validation_from: 2026-04-01, test_from: 2026-05-01}"
    prepared = prepared_rows(tmp_path, comments(), "data.tables.rows.time=day", dates)
    ends = (
        prepared.table.with_columns(prepared.rows["day"])
        .group_by(SPLIT)
        .agg(pl.col("day").min().alias("first"), pl.col("day").max().alias("last"))
    )
    found = {split: (str(first), str(last)) for split, first, last in ends.iter_rows()}
    assert found["train"] == ("2026-01-01", "2026-03-31")
    assert found["validation"] == ("2026-04-01", "2026-04-30")
    assert found["test"][0] == "2026-05-01"


def test_one_file_may_hold_each_split(tmp_path):
    table = comments()
    folder = tmp_path / "parts"
    folder.mkdir()
    for name, part in (("train", table[:100]), ("dev", table[100:140]), ("test", table[140:])):
        part.write_csv(folder / f"{name}.csv")
    files = "examples.split={files: {train: train.csv, validation: dev.csv, test: test.csv}}"
    prepared = prepared_rows(tmp_path, table, "data.tables.rows.path=parts", files)
    assert split_of(prepared)["c120"] == "validation"
    assert prepared.table[SPLIT].value_counts().sort(SPLIT)["count"].to_list() == [100, 40, 60]
    with pytest.raises(DataError, match=r"no file of rows is called tests\.csv. Did you mean test\.csv\?"):
        prepared_rows(tmp_path, table, "data.tables.rows.path=parts", files.replace("test.csv", "tests.csv"))


def test_a_digest_is_the_same_on_every_machine():
    assert digests(pl.Series(["Hauptstraße 7"]), 1).tolist() == [10467654379361811504]
