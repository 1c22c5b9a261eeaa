"""Problems, the error tree, and hints."""

import pytest

from mlc.errors import DataError, MlcError, Problem, RunError, ScenarioError, did_you_mean


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("rule"), "rule"),
        (Problem("rule", "a.b"), "a.b: rule"),
        (Problem("rule", location="x.yaml:3"), "x.yaml:3: rule"),
        (Problem("rule", "a.b", "x.yaml:3"), "x.yaml:3: a.b: rule"),
    ],
)
def test_a_problem_reads_place_field_rule_and_leaves_out_what_is_empty(problem, text):
    assert str(problem) == text


def test_an_error_can_be_made_of_text_one_problem_or_many():
    problem = Problem("rule", "a.b")
    assert list(MlcError("rule").problems) == [Problem("rule")]
    assert list(MlcError(problem).problems) == [problem]
    assert list(MlcError(iter([problem, problem])).problems) == [problem, problem]


def test_the_message_has_one_line_a_problem():
    error = ScenarioError([Problem("one", "a"), Problem("two", "b")])
    assert str(error) == "a: one\nb: two"


@pytest.mark.parametrize("kind", [ScenarioError, DataError, RunError])
def test_whatever_a_user_can_mend_is_one_kind_of_error(kind):
    with pytest.raises(MlcError, match="mend me"):
        raise kind("mend me")


@pytest.mark.parametrize(
    ("wrong", "known", "hint"),
    [
        ("windw", ["window", "column"], "did you mean window?"),
        ("WINDOW", ["window", "column"], "did you mean window?"),
        ("dress", ["Dress", "Skirt"], "did you mean Dress?"),
        ("zzz", ["window", "column"], "known: column, window"),
        ("zzz", ["b", "a", "b"], "known: a, b"),
        ("zzz", [], "there is none"),
        ("", ["a"], "known: a"),
        ("zzz", list("abcdefg"), "known: a, b, c, d, e, f, …"),
    ],
)
def test_a_hint_names_the_nearest_or_lists_the_first_few(wrong, known, hint):
    assert did_you_mean(wrong, known) == hint


def test_a_hint_lists_as_many_names_as_asked():
    assert did_you_mean("zzz", list("abc"), otherwise=2) == "known: a, b, …"
