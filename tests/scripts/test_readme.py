"""What the README shows runs."""

import re

import pytest
import yaml

from mlc.scenario import (
    EachEvent,
    ExamplesSection,
    LabelSpec,
    RandomDays,
    TargetSection,
    TopClasses,
)
from tests.support.places import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
GRAMMAR = README[README.index("### The grammar of labels") : README.index("### What the model sees")]
SHOWN = re.findall(r"```yaml\n(.*?)```", GRAMMAR, re.DOTALL)


def test_the_grammar_has_examples():
    assert len(SHOWN) >= 15


@pytest.mark.parametrize("shown", SHOWN, ids=[text.splitlines()[0].lstrip("# ") for text in SHOWN])
def test_each_example_of_the_grammar_makes_labels(mlc, demo, tmp_path, shown):
    scenario = yaml.safe_load((demo / "departments_28d.yaml").read_text())
    for table in scenario["data"]["tables"].values():
        table["path"] = str(demo / table["path"])
    given = yaml.safe_load(shown)
    if "examples" in given:
        scenario["examples"] = given["examples"]
        del scenario["target"]["true_probabilities"]
    else:
        scenario["target"] = given
        del scenario["examples"]
    scenario["target"]["allow_empty"] = True
    (tmp_path / "scenario.yaml").write_text(yaml.safe_dump(scenario))
    result = mlc("labels", "scenario.yaml")
    assert result.code == 0, result.err
    assert "all pairs of an entity and a cutoff" in result.out


WORDS = {
    f"{section.__name__} {word}"
    for section in (TargetSection, TopClasses, LabelSpec, ExamplesSection, EachEvent, RandomDays)
    for word in section.model_fields
}


@pytest.mark.parametrize(
    "word", sorted(WORDS - {"TargetSection allow_empty", "TargetSection true_probabilities"})
)
def test_each_word_of_the_grammar_stands_in_an_example(word):
    assert any(re.search(rf"\b{word.split()[1]}:", text) for text in SHOWN)


def test_the_smallest_scenario_of_the_readme_is_legal(mlc, tmp_path):
    """Its tables are not there: that is the only complaint."""
    (shown,) = re.findall(r"```yaml\n(# yaml-language-server.*?)```", README, re.DOTALL)
    (tmp_path / "scenario.yaml").write_text(shown)
    result = mlc("check", "scenario.yaml")
    assert result.code == 2
    assert len(result.err.splitlines()) == 3
    assert all("a file must be at" in line for line in result.err.splitlines())


def test_every_module_at_the_top_of_the_package_is_in_the_tree():
    modules = {path.stem for path in (ROOT / "mlc").glob("*") if path.suffix in ("", ".py")}
    missing = [
        name for name in sorted(modules) if name[:2] != "__" and not re.search(rf"  {name}[./]", README)
    ]
    assert missing == []
