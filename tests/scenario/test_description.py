"""What a scenario predicts, in words."""

import pytest

from mlc.scenario import describe, load_scenario
from tests.support.scenario_texts import shortest, written

FIRST, LAST = "2020-09-01T00:00:00", "2020-09-22T00:00:00"
LABELS = ["Dress", "Skirt"]


@pytest.mark.parametrize(
    ("overrides", "question"),
    [
        ([], "Which of 2 products will each customer buy in the 21 days after"),
        (
            ["target.rule=new"],
            "customer buy for the first time in",
        ),
        (
            ["target.rule={kind: count_at_least, times: 3}"],
            "customer buy at least 3 times in the",
        ),
        (
            ["target.rule={kind: sum_at_least, column: price, amount: 50}"],
            "For which of 2 products will the price in each customer's sales add up to 50 or more in the",
        ),
        (
            ["target.rule={kind: lapsed, active_within_days: 60}"],
            "Which of 2 products will each customer no longer buy in the 21 days after",
        ),
        (["target.gap_days=7"], "customer buy in the 21 days that begin 7 days after 1 September 2020?"),
        (["target.window_days=[7, 21]"], "customer buy in the 7 to 21 days after 1 September 2020?"),
        (
            ["target.window=next_month", "target.window_days=null"],
            "buy in the calendar month that begins after 1 Sept",
        ),
    ],
)
def test_the_question_names_labels_entity_rule_window_and_date(tmp_path, overrides, question):
    scenario = load_scenario(written(tmp_path, shortest()), overrides)
    assert question in describe(scenario, LABELS, FIRST, FIRST).question


def test_several_cutoffs_are_a_span_and_a_task_without_one_names_no_date(tmp_path):
    scenario = load_scenario(written(tmp_path, shortest()))
    spanned = describe(scenario, LABELS, FIRST, LAST).question
    assert spanned.endswith("after each cutoff from 1 September 2020 to 22 September 2020?")
    assert describe(scenario, LABELS, None, None).question.endswith("in the 21 days after a cutoff?")


@pytest.mark.parametrize(
    ("names", "question"),
    [
        (("tailnum", "flights", "dest"), "destinations will each aircraft fly to in"),
        (("customer_id", "purchases", "articles.department"), "departments will each customer buy from in"),
        (("customer_id", "orders", "sku"), "skus will each customer buy in"),
        (("household_id", "transactions", "products.department"), "departments will each household buy from"),
        (
            ("card_id", "transactions", "categories.category"),
            "categories will each card's transactions include",
        ),
        (("user_id", "page_views", "page"), "pages will each user view in"),
        (("id", "events", "kind"), "kinds will each entity's events include in"),
    ],
)
def test_the_question_has_the_verb_that_the_names_of_the_tables_suggest(tmp_path, names, question):
    entity, table, column = names
    joined = column.rpartition(".")[0]
    lines = [
        f"name: shop\ndata:\n  entity: {entity}\n  tables:",
        f"    {table}: {{kind: events, path: events.parquet, time: day"
        + (f", joins: {{{joined}: key}}}}" if joined else "}"),
        *([f"    {joined}: {{kind: dimension, path: dimension.parquet, key: key}}"] if joined else []),
        f"target: {{table: {table}, column: {column}, class_names: [A, B], window_days: 7}}",
    ]
    path = tmp_path / "scenario.yaml"
    path.write_text("\n".join(lines), encoding="utf-8")
    asked = describe(load_scenario(path), ["A", "B"], None, None).question
    assert f"Which of 2 {question}" in asked
