"""Files that are no scenario, several problems at once, and files changed at random."""

import re
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlc.errors import ScenarioError
from mlc.scenario import scenario_yaml
from tests.support.effort import drawn
from tests.support.event_scenarios import load_events
from tests.support.scenario_texts import FULL, SHORTEST, problems_of, shared, written


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "",
            "scenario.yaml:1: a scenario is a mapping with data: and target:, and this is an empty file.",
        ),
        (
            "- a",
            "scenario.yaml:1: a scenario is a mapping with data: and target:, and this is a list.",
        ),
        (
            "hello",
            "scenario.yaml:1: a scenario is a mapping with data: and target:, and this is text.",
        ),
        (
            "12",
            "scenario.yaml:1: a scenario is a mapping with data: and target:, and this is a single value.",
        ),
        (
            b"PAR1\xff\xfe\x00",
            "scenario.yaml: this is no YAML file: it is a table. mlc init writes a scenario that names it.",
        ),
        ("a: \x07", "scenario.yaml:1: this is not YAML: it has the character #x0007. Remove it."),
        (
            "a:\n\tb: 1",
            "scenario.yaml:2: a value or an indentation begins with a tab; use spaces",
        ),
        (
            "a: {b",
            "scenario.yaml:1: this is not YAML: expected ',' or '}', but the text ends here. "
            "Close what is open.",
        ),
        (
            "a: 1\n---\nb: 1",
            "scenario.yaml:2: this is not YAML: expected a single document in the stream, but found "
            "another document",
        ),
        ("a: *b", "scenario.yaml:1: quote a value that begins with *: '*b'"),
        ("[" * 5000, "scenario.yaml:1: this is not YAML: it is nested hundreds of levels deep"),
        (
            b"#" * 10_000_001,
            "scenario.yaml: this is no YAML file: it has 10 MB. Name a YAML file.",
        ),
    ],
)
def test_what_is_no_scenario_at_all_is_told_in_one_line(tmp_path, text, problem):
    assert problems_of(tmp_path, text) == [problem]


def test_a_missing_file_and_a_folder_name_the_yaml_files_beside_or_in_them(tmp_path):
    written(tmp_path, SHORTEST, "departments.yaml")
    for path, end in (
        (
            tmp_path / "department.yaml",
            "no such file. Did you mean departments.yaml?",
        ),
        (tmp_path, "it is a folder. Name a YAML file in it: departments.yaml"),
        (tmp_path / "no" / "x.yaml", "There is no YAML file in that folder."),
        (tmp_path / "departments.yaml" / "x", "Not a directory. Choose another, or mend its permissions."),
    ):
        with pytest.raises(ScenarioError) as caught:
            load_events(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert str(caught.value).endswith(end)


def test_aliases_of_aliases_that_stand_for_billions_are_refused_at_once(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    start = time.perf_counter()
    (problem,) = problems_of(tmp_path, "\n".join(lines))
    assert "more than 100000 values" in problem
    assert time.perf_counter() - start < 5


def test_a_plain_alias_is_welcome(tmp_path):
    text = SHORTEST.replace("[Dress, Skirt]", "&names [Dress, Skirt]").replace(
        "day}", "day, encoders: &e {x: number}}"
    )
    assert load_events(written(tmp_path, text)).target.class_names == ["Dress", "Skirt"]


# ── all at once, in order ───────────────────────────────────────────────────────────────────────


def test_all_problems_come_at_once_by_file_and_line_each_once_and_overrides_last(tmp_path):
    tables = "entity: customer\nentity: shop\ntables:\n  sales: {kind: events, path: p, tim: day}\n"
    text = shared(tmp_path, tables) + "train: {epochs: 0, epohcs: 1}\nthresholds: {Dres: .4}\ntrain: {}\n"
    assert [line.partition(", ")[0] for line in problems_of(tmp_path, text, "model.x=1", "nonsense")] == [
        "scenario.yaml:7: train.epochs: must be at least 1",
        "scenario.yaml:7: train.epohcs: unknown field",
        "scenario.yaml:8: thresholds.Dres: Dres is none of class_names. Did you mean Dress?",
        "scenario.yaml:9: train: this field is in line 7 already. Remove one of them.",
        "shop/tables.yaml:2: data.entity: this field is in line 1 already. Remove one of them.",
        "shop/tables.yaml:4: data.tables.sales.time: this field is required",
        "shop/tables.yaml:4: data.tables.sales.tim: unknown field",
        "--set nonsense: must be section.field=value",
        "--set model.x=1: model.x: unknown field",
    ]


@pytest.mark.parametrize(
    ("tables", "problem"),
    [
        (
            None,
            "scenario.yaml:1: data: shop/tables.yml: no such file. Did you mean tables.yaml?",
        ),
        (
            "a: [",
            "shop/tables.yaml:1: data: this is not YAML: expected a value, but the text ends here. "
            "Close what is open.",
        ),
        ("- a", "shop/tables.yaml:1: data: must be a mapping, not a list"),
        ("other.yaml", "shop/tables.yaml:1: data: must be a mapping, not 'other.yaml'"),
    ],
)
def test_a_shared_data_file_that_cannot_be_read_does_not_hide_the_other_problems(tmp_path, tables, problem):
    text = shared(tmp_path, tables) + "train: {epochs: 0}\n"
    text = text if tables else text.replace("tables.yaml", "tables.yml")
    epochs = "scenario.yaml:7: train.epochs: must be at least 1, not 0"
    assert sorted(problems_of(tmp_path, text)) == sorted([problem, epochs])


# ── anything at all ─────────────────────────────────────────────────────────────────────────────

PIECES = st.sampled_from(
    [
        "",
        "x",
        "- a",
        "kind: events",
        "  top: 3",
        "epochs: true",
        "? [a]",
        "a: &a *a",
        "<<: {a: 1}",
        "null: 1",
        "{",
        "\t",
        "thresholds: " + "9" * 400,
        "examples: {test_from: 0001-01-01 00:00:00+14:00, validation_from: 2020-01-01}",
        "!!x y",
        "name: .nan",
        'data: "a\\0b"',
        "data: .",
        "train: {limit_train_batches: 1e400}",
        "2020-99-99",
        "\u2028",
        "é\x85: 1",
    ]
)


@settings(deadline=None, max_examples=drawn(300), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_scenario_changed_at_random_loads_or_is_refused_and_never_crashes(tmp_path, data):
    lines = data.draw(st.sampled_from([SHORTEST, FULL])).splitlines()
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.sampled_from(["delete", "double", "replace", "cut", "value", "junk"])):
            case "delete":
                lines[at : at + 1] = [] if len(lines) > 1 else [""]
            case "double":
                lines.insert(at, lines[data.draw(st.integers(0, len(lines) - 1))])
            case "replace":
                lines[at] = data.draw(PIECES | st.text(max_size=12))
            case "cut":
                lines[at] = lines[at][: data.draw(st.integers(0, len(lines[at])))]
            case "value":
                lines[at] = lines[at].partition(":")[0] + ": " + data.draw(PIECES)
            case _:
                lines[at] += data.draw(PIECES | st.text(max_size=4))
    content = "\n".join(lines).encode(errors="replace") + data.draw(st.binary(max_size=2))
    path = written(tmp_path, content)
    try:
        scenario_yaml(load_events(path))
        problems = []
    except ScenarioError as error:
        problems = list(error.problems)
    for problem in problems:
        line = re.fullmatch(re.escape(str(path)) + r":(\d+)", problem.location)
        if line:
            assert 1 <= int(line[1]) <= max(1, len(path.read_text("utf-8").splitlines()))
