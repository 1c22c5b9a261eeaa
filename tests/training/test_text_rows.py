"""A training on texts with a pre-trained encoder, from a scenario to its report."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mlc.models.rows import trees
from mlc.run import RunFolder
from tests.support.tiny_transformer import WORDS, write_tiny

SCENARIO = """
name: {name}
data: {{tables: {{notes: {{kind: rows, path: notes.parquet, key: id, encoders: {{note: text}}}}}}}}
target: {{table: notes, columns: [first, second]}}
examples: {{split: {{column: split}}}}
model: {{preset: nano, text: {{encoder: tiny, max_tokens: 16, {text}}}{model}}}
train: {{epochs: 2, batch_size: 32}}
baselines: []
"""
ROWS = 240


@pytest.fixture
def notes(tmp_path, monkeypatch):
    """240 rows of up to 20 words in a folder of their own, and an encoder that knows them."""
    monkeypatch.setattr(trees, "_TREES", (15, 15))
    monkeypatch.chdir(tmp_path)
    write_tiny(Path("tiny"))
    drawn = np.random.default_rng(0)
    words = [drawn.choice(WORDS, size=drawn.integers(1, 21)) for _ in range(ROWS)]
    texts = [None, "", *(" ".join(each) for each in words[2:])]
    splits = np.array(["train", "train", "validation", "test"])[np.arange(ROWS) % 4].tolist()
    targets = {
        name: pl.Series([int(word in (text or "").split()) for text in texts])
        for name, word in (("first", "w0"), ("second", "w1"))
    }
    pl.DataFrame(
        {"id": [f"note {place}" for place in range(ROWS)], "note": texts, "split": splits, **targets}
    ).write_parquet("notes.parquet")


def write_scenario(text: str, model: str = "", name: str = "notes") -> str:
    Path(f"{name}.yaml").write_text(SCENARIO.format(name=name, text=text, model=model))
    return f"{name}.yaml"


def train(mlc, text: str, model: str = "", *options: str) -> RunFolder:
    outcome = mlc("train", write_scenario(text, model), *options)
    assert outcome.code == 0, outcome.err
    return RunFolder(Path("runs/notes"))


@pytest.mark.usefixtures("notes")
def test_a_frozen_encoder_is_read_by_all_parts_and_found_again(mlc):
    run = train(mlc, "tune: head")
    encoders = json.loads((run / "run.json").read_text())["encoders"]
    assert encoders["note"]["name"] == str(Path("tiny").resolve())
    assert len(encoders["note"]["digest"]) == 64
    features = json.loads((run / "linear.json").read_text())["features"]
    assert "vectors" in {feature["kind"] for feature in features}
    assert (run / "trees.json").exists()
    evaluated = mlc("evaluate", "notes")
    assert "the same numbers as in training" in evaluated.err
    write_tiny(Path("tiny"), seed=1)
    changed = mlc("evaluate", "notes")
    assert changed.code == 2
    assert "are not those that the model was trained with" in changed.err


@pytest.mark.usefixtures("notes")
def test_an_encoder_that_is_not_there_ends_at_its_field(mlc):
    Path("tiny/model.safetensors").unlink()
    outcome = mlc("train", write_scenario("tune: head"))
    assert outcome.code == 2
    assert "model.text.encoder" in outcome.err
    assert "has no weights" in outcome.err
    assert not Path("runs/notes/report.json").exists()


@pytest.mark.usefixtures("notes")
@pytest.mark.parametrize("tune", ["all", "lora"])
def test_a_trained_encoder_is_stored_with_the_run_and_needs_nothing_else(mlc, tune):
    run = train(mlc, f"tune: {tune}")
    assert "network" in run.read_json("parts.json")["weights"]
    Path("tiny").rename("gone")
    evaluated = mlc("evaluate", "notes")
    assert evaluated.code == 0, evaluated.err
    assert "the same numbers as in training" in evaluated.err
    assert mlc("export", "notes", "--out", "hf").code == 0
    assert Path("hf/model.safetensors").exists()
    again = mlc("export", "notes", "--out", "hf")
    assert (again.code, "exists already" in again.err) == (2, True)


@pytest.mark.usefixtures("notes")
def test_a_run_without_a_trained_encoder_is_not_exported(mlc):
    train(mlc, "tune: head")
    outcome = mlc("export", "notes", "--out", "hf")
    assert outcome.code == 2
    assert "Exported are networks that read one column of texts and nothing else" in outcome.err
    assert not Path("hf").exists()
