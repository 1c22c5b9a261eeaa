"""`mlc labels`: the examples in three forms, prevalence over time, pairs, and what set a target."""

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlc.drawing.prevalence import prevalence_points
from mlc.errors import DataError
from mlc.events.preparing import prepare
from mlc.events.views.label_tables import label_pairs, spark
from mlc.events.views.tracing import trace, trace_positives
from mlc.tables import targets_of
from tests.support.event_scenarios import load_events
from tests.support.reference import joined, target
from tests.support.shop_tables import SCENARIO
from tests.support.shop_tables import write_shop as write_sales
from tests.support.small_tables import (
    PRODUCTS,
    anchors,
    as_events,
    few,
    folder,
    sales,
    scenario_at,
    shop,
    silent,
    write_shop,
)

GROUPS = {"Dress": ["Dress"], "Skirt or hat": ["Skirt", "Hat"], "Hat": ["Hat"]}


def matrix(path):
    return pl.read_parquet(path)["targets"].to_numpy()


@pytest.fixture
def shop_file(tmp_path):
    return write_sales(tmp_path / "shop")


# ── three forms ─────────────────────────────────────────────────────────────────────────────────


def test_array_wide_and_long_hold_the_same_targets(mlc, tmp_path, shop_file):
    for form in ("array", "wide", "long"):
        flags = [] if form == "array" else [f"--{form}"]
        assert mlc("labels", shop_file, "--out", f"{form}.parquet", *flags).code == 0
    targets_NK = matrix(tmp_path / "array.parquet")
    wide, long = (pl.read_parquet(tmp_path / f"{form}.parquet") for form in ("wide", "long"))
    assert wide.columns == ["entity_id", "cutoff", "split", "Dress", "Skirt", "Shorts"]
    assert (wide.select("Dress", "Skirt", "Shorts").to_numpy() == targets_NK).all()
    assert long.columns == ["entity_id", "cutoff", "split", "label", "target"]
    assert long.height == targets_NK.size
    turned = long.with_columns(pl.col("label").cast(pl.String)).pivot(
        "label", index=["entity_id", "cutoff", "split"], values="target"
    )
    assert turned.equals(wide)
    for form in ("wide", "long"):
        metadata = pl.read_parquet_metadata(tmp_path / f"{form}.parquet")
        assert json.loads(metadata["class_names"]) == ["Dress", "Skirt", "Shorts"]


def test_long_and_wide_together_are_refused(mlc, shop_file):
    result = mlc("labels", shop_file, "--long", "--wide")
    assert result.code == 2
    assert "--long and --wide exclude each other" in result.err


def test_a_label_called_as_our_own_column_is_refused_when_wide(mlc, tmp_path):
    path = write_sales(tmp_path / "shop", SCENARIO.replace("[Dress, Skirt, Shorts]", "{split: Dress}"))
    result = mlc("labels", path, "--wide")
    assert result.code == 2
    assert "--wide: no label may be called split" in result.err
    assert mlc("labels", path, "--long").code == 0


# ── over time, and pairs ────────────────────────────────────────────────────────────────────────


def test_the_spark_line_tells_prevalence_from_least_to_most(mlc, shop_file, tmp_path):
    result = mlc("labels", shop_file)
    prepared = prepare_at(shop_file, tmp_path)
    table = prepared.examples.table
    shares = [
        float(np.mean(targets_of(part)[:, 0] == 1))
        for _, part in sorted(table.group_by("cutoff"), key=lambda pair: pair[0])
    ]
    points = prevalence_points(prepared.examples.table)
    assert [point.prevalence[0] for point in points] == pytest.approx(shares)
    line = next(line for line in result.out.splitlines() if line.startswith("Dress") and "█" in line)
    assert line.split()[1] == spark(shares)
    assert line.endswith(f"{min(shares):.2%} to {max(shares):.2%}")


@pytest.mark.parametrize(
    ("values", "drawn"), [([], ""), ([0.0, 0.0], "▁▁"), ([0.5], "█"), ([0.0, 1.0], "▁█")]
)
def test_a_spark_line_begins_at_zero(values, drawn):
    assert spark(values) == drawn


def prepare_at(path: Path, tmp_path: Path):

    return prepare(load_events(path), tmp_path / "runs", silent)


def test_the_lift_of_a_pair_is_that_of_a_plain_count(shop_file, tmp_path):
    prepared = prepare_at(shop_file, tmp_path)
    train = prepared.examples.table.filter(pl.col("split") == "train")
    rows = targets_of(train).tolist()
    names = list(prepared.examples.labels.names)
    pairs = label_pairs(prepared.examples)
    assert len(pairs) == 3
    for pair in pairs:
        i, j = names.index(pair.first), names.index(pair.second)
        both = sum(row[i] == 1 and row[j] == 1 for row in rows)
        assert pair.together == both
        expected = both * len(rows) / (sum(row[i] == 1 for row in rows) * sum(row[j] == 1 for row in rows))
        assert pair.lift == pytest.approx(expected)


def test_labels_says_pairs_that_come_together(mlc, shop_file):
    assert re.search(r"Dress & Skirt: [\d,]+, \d\.\d times", mlc("labels", shop_file).out)


# ── what set a target ───────────────────────────────────────────────────────────────────────────


@given(
    rows=sales(),
    gap=st.sampled_from([0, 1, 3]),
    times=st.sampled_from([None, 1, 2, 3]),
    grouped=st.booleans(),
)
@few
def test_the_traced_labels_equal_the_targets_of_every_example(rows, gap, times, grouped):
    rows = anchors("ann") + rows
    rule = {"kind": "exists"} if times is None else {"kind": "count_at_least", "times": times}
    value = shop(target={"gap_days": gap, "rule": rule, **({"class_names": GROUPS} if grouped else {})})
    with folder() as name:
        write_shop(Path(name), rows)
        prepared = prepare(scenario_at(Path(name), value), Path(name) / "runs", silent)
        groups = GROUPS if grouped else {label: [label] for label in prepared.examples.labels.names}
        question = {"gap_days": gap, "window_days": 4, "times": times or 1, "column": "products.department"}
        events = joined(as_events(rows), PRODUCTS, "products", "product", "code")
        for entity, cutoff, split, targets in prepared.examples.table.rows():
            found = trace(prepared, entity, cutoff)
            assert list(found.targets.values()) == list(targets)
            assert found.split == split
            for label, values in groups.items():
                assert found.targets[label] == target(events, entity, cutoff, question, values)
                setters = [moment for moment in found.moments if label in moment.sets]
                assert len(setters) == found.targets[label]
                for moment in setters:  # without this moment and all later ones the target would be 0
                    before = [e for e in events if e["time"] is not None and e["time"] < moment.time]
                    upto = [e for e in events if e["time"] is not None and e["time"] <= moment.time]
                    assert target(before, entity, cutoff, question, values) == 0
                    assert target(upto, entity, cutoff, question, values) == 1


@given(
    rows=sales(),
    rule=st.sampled_from(
        [
            {"kind": "sum_at_least", "column": "price", "amount": 5},
            {"kind": "new"},
            {"kind": "lapsed", "active_within_days": 5},
        ]
    ),
    windows=st.sampled_from([4, [2, 4]]),
)
@few
def test_the_traced_labels_equal_the_targets_for_every_rule_and_window(rows, rule, windows):
    value = shop(target={"rule": rule, "window_days": windows, "allow_empty": True})
    with folder() as name:
        write_shop(Path(name), anchors("ann") + rows)
        try:
            prepared = prepare(scenario_at(Path(name), value), Path(name) / "runs", silent)
        except DataError:
            return  # no positive target in training: refused, as tests of bad tables show
        for entity, cutoff, _, targets in prepared.examples.table.rows():
            assert list(trace(prepared, entity, cutoff).targets.values()) == list(targets)


def test_trace_draws_history_cutoff_gap_window_and_what_set_each_label(mlc, tmp_path):
    path = write_sales(tmp_path / "shop", SCENARIO + "  gap_days: 3\n")
    result = mlc("labels", path, "--trace", "c05", "--cutoff", "2024-05-01")
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert lines[0].startswith("c05 · cutoff 2024-05-01 · ")
    parts = [line.split()[0] for line in lines[1:-3]]
    assert list(dict.fromkeys(parts)) == ["history", "────────┼─", "gap", "window", "after"]
    assert "  ────────┼─ window opens after 2024-05-04" in lines
    assert "  ────────┼─ window closes with 2024-05-25" in lines
    assert not (tmp_path / "examples.parquet").exists()
    for name, target_line in zip(("Dress", "Skirt", "Shorts"), lines[-3:], strict=True):
        count = re.match(rf"  {name} +([01])  (\d+|no) event", target_line)
        assert count is not None
        setters = [line for line in lines if "→" in line and name in line.split("→")[1]]
        assert len(setters) == int(count[1])


def test_trace_takes_the_test_cutoff_unless_told_otherwise(mlc, shop_file):
    listed = mlc("labels", shop_file).out
    cutoff = re.search(r"test: 1 cutoff, (\S+)", listed)
    assert cutoff is not None
    shown = mlc("labels", shop_file, "--trace", "c05").out
    assert shown.startswith(f"c05 · cutoff {cutoff[1]} · test example")


def test_a_window_that_is_not_complete_has_no_targets(mlc, shop_file):
    result = mlc("labels", shop_file, "--trace", "c05", "--cutoff", "2024-07-15")
    assert "no example of this scenario" in result.out
    assert "Dress   ?  the window is not complete: the tables reach to 2024-07-18" in result.out


def test_an_unknown_entity_is_told_with_the_nearest(mlc, shop_file):
    result = mlc("labels", shop_file, "--trace", "c5")
    assert result.code == 2
    assert "--trace c5: the tables have no such entity. Did you mean c" in result.err


def test_an_entity_that_is_a_number_is_found_by_its_digits(mlc, tmp_path):
    from tests.support.shop_tables import shop_tables

    sales_table = shop_tables()["sales"].with_columns(pl.col("customer").str.slice(1).cast(pl.Int32))
    people = shop_tables()["customers"].with_columns(pl.col("customer").str.slice(1).cast(pl.Int32))
    path = write_sales(tmp_path / "shop", sales=sales_table, customers=people)
    assert mlc("labels", path, "--trace", "5").out.startswith("5 · cutoff")
    result = mlc("labels", path, "--trace", "c05")
    assert result.code == 2
    assert "the tables have no such entity" in result.err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--cutoff", "2024-05-01"), "--cutoff needs --trace"),
        (("--trace", "c05", "--cutoff", "May"), "--cutoff: not a date: May. Write 2024-03-31"),
        (("--out", "labels.csv"), "must end in .parquet"),
    ],
)
def test_flags_that_mean_nothing_are_refused(mlc, shop_file, flags, said):
    result = mlc("labels", shop_file, *flags)
    assert result.code == 2
    assert said in result.err


def test_the_former_name_of_trace_is_unknown_and_says_so(mlc, shop_file):
    result = mlc("labels", shop_file, "--explain", "c05")
    assert result.code == 2
    assert "--trace" in result.err


def test_examples_shows_random_positives_with_what_made_them(mlc, shop_file, tmp_path):
    result = mlc("labels", shop_file, "--examples", 7)
    heads = re.findall(r"^(c\d\d) · cutoff (\S+) · (\w+) example · (\w+)$", result.out, re.MULTILINE)
    assert len(heads) == 7
    assert len(re.findall(r"^  \w+ +1  \d+ events? in the window, set on ", result.out, re.MULTILINE)) == 7
    assert mlc("labels", shop_file, "--examples", 7).out == result.out
    prepared = prepare_at(shop_file, tmp_path)
    for label, found in trace_positives(prepared, 20):
        assert found.targets[label] == 1
        assert found.split is not None
