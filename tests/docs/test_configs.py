"""The scenarios under configs/, and the examples of labels in the documentation."""

import os
import re
import shutil

import pytest
import yaml

from mlc.scenario import (
    EachEvent,
    ExamplesSection,
    LabelSpec,
    RandomDays,
    TargetSection,
    TopClasses,
    load_scenario,
)
from tests.support.markdown import blocks_of
from tests.support.places import ROOT

CONFIGS = ROOT / "configs"
GRAMMAR = sorted((CONFIGS / "grammar").glob("*.yaml"))
DEMO = [path for path in sorted((CONFIGS / "demo").glob("*.yaml")) if path.name != "tables.yaml"]
TEXTS = [path.read_text(encoding="utf-8") for path in GRAMMAR]
WORDS = {
    (section.__name__, word)
    for section in (TargetSection, TopClasses, LabelSpec, ExamplesSection, EachEvent, RandomDays)
    for word in section.model_fields
} - {("TargetSection", "allow_empty"), ("TargetSection", "true_probabilities")}


@pytest.fixture
def configs(demo, tmp_path):
    """A copy of configs/ beside a small demo."""
    (tmp_path / "demo").symlink_to(demo, target_is_directory=True)
    shutil.copytree(CONFIGS, tmp_path / "configs")
    return tmp_path / "configs"


@pytest.mark.parametrize("path", [*GRAMMAR, *DEMO], ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_each_scenario_on_the_demo_makes_labels(mlc, configs, path):
    scenario = configs / path.relative_to(CONFIGS)
    result = mlc("labels", scenario, "--set", "target.allow_empty=true")
    assert result.code == 0, result.err
    assert "all pairs of an entity and a cutoff" in result.out


@pytest.mark.parametrize("path", sorted((CONFIGS / "public").glob("*.yaml")), ids=lambda path: path.stem)
def test_each_public_scenario_loads(path, monkeypatch):
    monkeypatch.setenv("MLC_DATA", os.environ.get("MLC_DATA", "tables"))
    assert load_scenario(path).name == path.stem


@pytest.mark.parametrize(("section", "word"), sorted(WORDS))
def test_each_word_of_the_grammar_is_in_an_example(section, word):
    assert any(re.search(rf"\b{word}:", text) for text in TEXTS), section


def test_each_example_of_the_page_on_labels_is_a_file():
    files = [yaml.safe_load(text) for text in TEXTS]
    for block in blocks_of(ROOT / "docs/howto/labels.md"):
        if block.language != "yaml":
            continue
        ((section, shown),) = yaml.safe_load(block.text).items()
        assert any(file.get(section) == shown for file in files), block.text


def test_every_module_at_the_top_of_the_package_is_in_the_picture():
    picture = (ROOT / "docs/images/architecture.svg").read_text(encoding="utf-8")
    modules = {path.stem for path in (ROOT / "mlc").iterdir() if path.suffix in ("", ".py")}
    assert [name for name in sorted(modules) if name[:2] != "__" and name not in picture] == []
