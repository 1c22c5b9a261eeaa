"""The bench of label queries: all ways make the same examples and targets, to the last cell."""

import json
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from scripts.bench import labels as bench

PARTS = 53  # files of 14 days


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("bench")
    bench.make_tables(place, 0.0005)
    return place


def answers(folder: Path, way: str, cutoffs: int, labels: int) -> list[pl.DataFrame]:
    """Examples and positives of all cutoffs, sorted."""
    case = bench.Case(cutoffs, labels)
    answer = bench.WAYS[way](folder, case)()
    both = [answer(index) for index in range(cutoffs)]
    frames = [
        pl.concat(pair[kind].with_columns(pl.lit(i).alias("cutoff")) for i, pair in enumerate(both))
        for kind in (0, 1)
    ]
    return [frame.with_columns(pl.selectors.integer().cast(pl.Int64)).sort(pl.all()) for frame in frames]


def test_the_tables_have_the_shape_of_the_original(folder):
    events = pl.read_parquet(folder / "transactions")
    assert events.height == 15_900
    assert events["t_dat"].is_sorted()
    assert events["t_dat"].dtype == pl.Date
    assert events["t_dat"].n_unique() == 734
    assert events["customer_id"].str.len_bytes().unique().to_list() == [64]
    assert len(list((folder / "transactions").iterdir())) == PARTS
    articles = pl.read_parquet(folder / "articles.parquet")
    assert [articles[c].n_unique() for c in ("product_type_name", "index_group_name")] == [250, 19]
    assert events.join(articles, on="article_id").height == events.height


def test_the_same_seed_makes_the_same_tables(folder, tmp_path):
    bench.make_tables(tmp_path, 0.0005)
    for name in ("transactions", "articles.parquet", "customers.parquet"):
        assert_frame_equal(pl.read_parquet(tmp_path / name), pl.read_parquet(folder / name))


@pytest.mark.parametrize(("cutoffs", "labels"), [(1, 19), (3, 250), (4, 19)])
def test_all_ways_make_the_same_result(folder, cutoffs, labels):
    pytest.importorskip("duckdb")
    first = answers(folder, "duckdb", cutoffs, labels)
    assert first[0].height > 100
    assert first[1].height > 100
    ways = ["mlc_pairs", "mlc_examples"] if cutoffs > 2 else ["mlc_pairs"]
    for way in ways:
        for frame, expected in zip(answers(folder, way, cutoffs, labels), first, strict=True):
            assert_frame_equal(frame, expected)


def test_the_function_per_customer_makes_the_same_result_for_its_sample(folder):
    pytest.importorskip("pandas")
    case = bench.Case(3, 19)
    sample, factor = bench.sample_of(folder, case)
    assert factor == 1.0  # few customers: all of them
    for frame, expected in zip(
        answers(folder, "pandas", 3, 19), answers(folder, "mlc_pairs", 3, 19), strict=True
    ):
        assert_frame_equal(frame, expected.filter(pl.col("entity_id").is_in(sample.implode())))


def test_a_store_within_a_memory_limit_is_the_same(folder):
    line = bench.limited(folder, "100kB")
    assert line["same"]
    assert line["table"] > 1_000_000
    assert 0 <= line["peak"] < 1_000_000_000


@pytest.mark.slow
def test_the_command_writes_every_way_and_ends_well(tmp_path, monkeypatch):
    pytest.importorskip("duckdb")
    out = tmp_path / "labels.json"
    arguments = ["--scale", "0.0005", "--folder", str(tmp_path), "--cases", "3x19", "--out", str(out)]
    ways = ["duckdb", "duckdb_table", "mlc_pairs", "mlc_examples"]
    monkeypatch.setattr("sys.argv", ["labels.py", *arguments, "--ways", *ways])
    assert bench.main() == 0
    store, targets = json.loads(out.read_text())["tables"]
    assert len(store["rows"]) == 4
    assert [row["by"] for row in targets["rows"]] == ways
    assert {row["same"] for row in targets["rows"]} == {"yes"}
