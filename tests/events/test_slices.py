"""Slices: every test example in one part of each, and columns that are none are refused."""

import json

import polars as pl
import pytest

from mlc.events.preparing import prepare
from mlc.events.slices import slices_of
from tests.support.event_scenarios import load_events


@pytest.fixture(scope="module")
def prepared(demo, tmp_path_factory):
    scenario = load_events(
        demo / "departments_28d.yaml", ["slices=[customers.loyalty_tier, customers.region, customers.age]"]
    )
    return prepare(scenario, tmp_path_factory.mktemp("runs"), lambda _: None)


def test_history_length_is_the_number_of_events_up_to_the_cutoff(prepared, demo):
    examples = prepared.examples.table
    events = pl.read_parquet(demo / "data/transactions/*.parquet")
    found = slices_of(prepared)["history length"]
    for at in range(0, examples.height, max(1, examples.height // 50)):
        entity, cutoff = examples["entity_id"][at], examples["cutoff"][at]
        count = events.filter(pl.col("customer_id") == entity, pl.col("bought_at") <= cutoff).height
        bounds = [
            (1, 2, "1-2 events"),
            (3, 9, "3-9 events"),
            (10, 29, "10-29 events"),
            (30, 99, "30-99 events"),
        ]
        expected = [name for low, high, name in bounds if low <= count <= high] or ["100 events and more"]
        assert found[at] == expected[0]


def test_a_cold_start_is_an_entity_without_a_training_example(prepared):
    examples = prepared.examples.table
    trained = set(examples.filter(pl.col("split") == "train")["entity_id"])
    expected = [
        "entity also in training" if entity in trained else "entity new since training"
        for entity in examples["entity_id"]
    ]
    assert slices_of(prepared)["cold start"].to_list() == expected


def test_attributes_are_told_apart_by_value_and_numbers_by_quarters(prepared, demo):
    examples = prepared.examples.table
    customers = pl.read_parquet(demo / "data/customers.parquet").rename({"customer_id": "entity_id"})
    joined = examples.join(customers, on="entity_id", how="left", maintain_order="left")
    found = slices_of(prepared)
    for column in ("loyalty_tier", "region"):
        assert found[f"customers.{column}"].to_list() == joined[column].fill_null("(missing)").to_list()
    ages = pl.DataFrame({"part": found["customers.age"].cast(pl.String), "age": joined["age"]})
    for (part,), group in ages.group_by("part"):
        ends = [float(word.strip(",")) for word in part.replace("(missing)", "").split() if word[0].isdigit()]
        if not ends:
            assert group["age"].null_count() == group.height
            continue
        low = ends[0] if part.startswith("above") else float("-inf")
        high = ends[-1] if "to " in part else float("inf")
        assert group["age"].null_count() == 0
        assert ((group["age"] > low) & (group["age"] <= high)).all()


def test_an_unknown_column_is_refused_before_training(mlc, demo):
    result = mlc("train", demo / "departments_28d.yaml", "--set", "slices=[customers.regoin]")
    assert result.code == 2
    assert "slices.0: customers.regoin is no column of an entities table" in result.err
    assert not (demo / "runs").exists()


def test_the_report_has_the_slices_of_the_run(trained):
    report = json.loads((trained / "departments_28d/report.json").read_text())
    test = report["splits"]["test"]
    for one in report["slices"]:
        assert sum(part["examples"] for part in one["parts"]) == test["examples"]
        assert sum(part["positives"] for part in one["parts"]) == sum(
            row["support"] for row in test["labels"]
        )
