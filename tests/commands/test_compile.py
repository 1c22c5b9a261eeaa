"""`mlc compile`: the task in words and the plans, without building a store or a target."""

import re

import pytest

from tests.support.shop_tables import SCENARIO, write_shop


@pytest.fixture
def compiled(mlc, tmp_path):
    """Compiles the shop with changes to its scenario; returns what is printed."""

    def run(scenario=SCENARIO, *flags, **changed):
        result = mlc("compile", write_shop(tmp_path / "shop", scenario, **changed), *flags)
        assert result.code == 0, result.err
        return result.out

    return run


def test_the_picture_tells_entity_history_cutoffs_window_rule_joins_and_labels(compiled):
    text = compiled()
    for said in (
        "shop: which of 3 labels will each customer have in 21 days?",
        "├─ entity    customer\n│            attributes from customers by customer\n",
        "├─ events    sales at at (decides the labels)\n│               └─ items where item = items.item\n",
        "├─ history   time <= cutoff",
        "├─ cutoffs   train ",
        "├─ window    21 days, begins at the cutoff; open on the left, closed on the right",
        "├─ rule      exists: The target is 1 when at least one event with the label lies in the window.",
        "└─ labels    3 by items.kind of sales\n             Dress\n             Skirt\n",
    ):
        assert said in text


def test_the_cutoffs_are_those_of_labels(mlc, compiled, tmp_path):
    text = compiled()
    listed = mlc("labels", tmp_path / "shop" / "shop.yaml").out
    for split, count, first, last in re.findall(r"(\w+): (\d+) cutoffs, (\S+) to (\S+)", listed):
        moments = first if first == last else rf"{first} … {last}"
        assert re.search(rf"{split} +{count}  {moments}", text)


def test_the_plans_of_the_label_query_and_of_every_table_are_shown_on_request(compiled):
    assert "──" not in compiled().replace("├─", "").replace("└─", "")
    text = compiled(SCENARIO, "--full")
    titles = re.findall(r"^── (.*) ──$", text, re.MULTILINE)
    assert titles == [
        "value query: how often each value occurs",
        "label query: the events that count, with their label",
        "store: events of sales",
        "store: who is in sales",
        "store: rows of items",
        "store: rows of customers",
    ]
    assert text.count("Parquet SCAN") >= 8
    query = text.split("── store")[0]
    assert 'col("kind").alias("items.kind")' in query
    assert re.search(r"PROJECT \d/4 COLUMNS", query)  # the optimiser reads only what it needs


def test_gap_rule_groups_and_limits_are_told(compiled):
    scenario = SCENARIO.replace("[Dress, Skirt, Shorts]", "{Legs: [Skirt, Shorts], Dress: Dress}") + (
        "  gap_days: 3\n"
        "  rule: {kind: count_at_least, times: 2, where: price > 5}\n"
        "examples: {active_within_days: 90, min_history_events: 2, holdout_entities: 0.1}\n"
    )
    text = compiled(scenario)
    for said in (
        "history │ gap 3 days ╎▓ window 21 days ▓│",
        "begins 3 days after the cutoff",
        "count_at_least",
        "times: 2",
        "price > 5",
        "Legs: any of Skirt, Shorts",
        "needs 2 events or more",
        "and one in the last 90 days",
        "10% of the entities are for validation and test alone",
    ):
        assert said in text


def test_a_field_can_be_overridden(compiled):
    assert "window    7 days" in compiled(SCENARIO, "--set", "target.window_days=7")


def test_nothing_is_built(compiled, tmp_path):
    compiled()
    assert not (tmp_path / "runs").exists()


def test_a_label_that_never_occurs_is_told_as_everywhere(mlc, tmp_path):
    result = mlc("compile", write_shop(tmp_path / "shop", SCENARIO.replace("Dress", "Dres")))
    assert result.code == 2
    assert "Did you mean Dress?" in result.err


def test_tables_without_an_event_are_told(mlc, tmp_path):
    from tests.support.shop_tables import shop_tables

    sales = shop_tables()["sales"].clear()
    result = mlc("compile", write_shop(tmp_path / "shop", sales=sales))
    assert result.code == 2
    assert "sales has no " in result.err


def test_many_labels_are_all_named_on_request(mlc, demo):
    short = mlc("compile", demo / "departments_28d.yaml").out
    full = mlc("compile", demo / "departments_28d.yaml", "--full").out
    assert short.splitlines()[-1].strip() == "… and 4 more; --full shows all"
    assert len(short.splitlines()) <= 40
    assert "more; --full" not in full
    assert full.startswith(short[: short.index("… and 4")].rstrip())
