"""Scenarios on rows: their forms, and what they refuse."""

import pytest

from mlc.errors import ScenarioError
from mlc.scenario import (
    ColumnPrefix,
    EventScenario,
    FrequentClasses,
    RowScenario,
    Scenario,
    describe,
    load_scenario,
    portable_yaml,
)

COMMENTS = """
data:
  tables:
    comments: {kind: rows, path: comments.csv, key: comment_id, encoders: {text: text, author: ignore}}
target: {table: comments, column: labels, separator: ","}
"""
PATIENTS = """
data:
  tables:
    patients: {kind: rows, path: patients.parquet, key: patient_id, time: admitted, joins: {wards: ward_id}}
    wards: {kind: dimension, path: wards.csv, key: ward_id}
target: {table: patients, columns: {prefix: dx_}}
"""
LONG = """
data:
  tables:
    comments: {kind: rows, path: comments.csv, key: comment_id}
    tags: {kind: labels, path: tags.csv, key: comment_id}
target: {table: comments, column: tags.tag, class_names: {min_support: 10}}
"""


@pytest.fixture
def loaded(tmp_path):
    def load(text: str, *overrides: str) -> Scenario:
        (tmp_path / "scenario.yaml").write_text(text.lstrip("\n"))
        return load_scenario(tmp_path / "scenario.yaml", overrides)

    return load


@pytest.fixture
def problems(loaded):
    def messages(text: str, *overrides: str) -> list[str]:
        with pytest.raises(ScenarioError) as caught:
            loaded(text, *overrides)
        return [f"{problem.field}: {problem.rule}" for problem in caught.value.problems]

    return messages


def test_a_target_on_a_table_of_rows_makes_a_scenario_of_rows(loaded):
    for text in (COMMENTS, PATIENTS, LONG):
        assert isinstance(loaded(text), RowScenario)


def test_labels_may_come_from_every_place(loaded):
    assert loaded(COMMENTS).target.class_names == FrequentClasses()
    assert loaded(PATIENTS).target.columns == ColumnPrefix(prefix="dx_")
    assert loaded(LONG).target.class_names == FrequentClasses(min_support=10)
    listed = loaded(PATIENTS, "target.columns=[asthma, diabetes]")
    assert listed.target.names == ["asthma", "diabetes"]
    grouped = loaded(COMMENTS, "target.class_names={Bad: [rude, {}]}".replace(", {}", ""))
    assert grouped.target.names == ["Bad"]


def test_a_scenario_of_rows_can_be_read_again_from_what_it_writes(loaded):
    scenario = loaded(PATIENTS, "examples.split={validation_from: 2026-01-01, test_from: 2026-03-01}")
    assert loaded(portable_yaml(scenario)).model_dump() == scenario.model_dump()


def test_windows_cutoffs_and_entities_are_refused_with_the_reason(problems):
    reason = "target.table is of kind rows, and a row has no cutoff. Remove it."
    overrides = ("target.window_days=7", "examples.test_from=2024-01-01", "data.entity=author")
    assert set(problems(COMMENTS, *overrides)) == {
        f"target.window_days: window_days belongs to a target on events: {reason}",
        f"examples.test_from: test_from belongs to a target on events: {reason}",
        f"data.entity: entity belongs to a target on events: {reason}",
    }


def test_splits_of_rows_are_refused_in_a_scenario_of_events(problems):
    text = """
data: {entity: customer, tables: {sales: {kind: events, path: sales.csv, time: day}}}
target: {table: sales, column: product, class_names: [Dress], window_days: 7}
examples: {split: {column: part}}
"""
    assert problems(text) == [
        "examples.split: split belongs to a target on rows: target.table is a table of events. Remove it."
    ]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("target.columns=[a]", "target: there are both. Write column or columns."),
        (
            "examples.split={column: part, test_from: 2024-01-01, validation_from: 2023-01-01}",
            "examples.split: column and test_from exclude each other. Keep one of them.",
        ),
        (
            "examples.split={test_from: 2024-01-01}",
            "examples.split: test_from needs validation_from. Add it.",
        ),
        (
            "examples.split={validation: 0.5, test: 0.6}",
            "examples.split: validation and test take 1.1 of the rows. Leave some to train.",
        ),
        (
            "examples.split={test_from: 2024-01-01, validation_from: 2023-01-01}",
            "examples.split.test_from: no column says when a row was made. Add time: … to comments.",
        ),
        (
            "target.column=tags.tag",
            "target.column: tags is not joined to comments. Add joins: {tags: …} to it.",
        ),
        ("baselines=[recency]", "baselines.0: recency is a baseline of events only. Remove it."),
        (
            "target.table=coments",
            "target.table: coments is no table of kind rows. Did you mean comments?",
        ),
    ],
)
def test_each_contradiction_is_one_clear_problem(problems, override, expected):
    assert problems(COMMENTS, override) == [expected]


def test_labels_in_a_table_of_their_own_need_the_key_of_the_rows(problems):
    assert problems(LONG.replace(", key: comment_id}\n    tags", "}\n    tags")) == [
        "data.tables.comments.key: this field is required, since the labels in tags name the rows by it. "
        "Name the column."
    ]


def test_a_picture_is_refused_among_events(problems):
    text = """
data:
  entity: customer
  tables: {sales: {kind: events, path: sales.csv, time: day, encoders: {photo: image}}}
target: {table: sales, column: product, class_names: [Dress], window_days: 7}
"""
    assert problems(text) == [
        "data.tables.sales.encoders.photo: pictures are read of tables of kind rows only. Remove it."
    ]


def test_a_command_on_events_refuses_rows_with_the_reason(loaded):
    with pytest.raises(ScenarioError, match="comments is of kind rows, and mlc pretrain needs"):
        EventScenario.of(loaded(COMMENTS), "mlc pretrain")


def test_the_question_of_rows_is_asked_in_words(loaded):
    question = describe(loaded(COMMENTS), ["joy", "anger"], None, None).question
    assert question == "Which of 2 labels does each comment have?"
