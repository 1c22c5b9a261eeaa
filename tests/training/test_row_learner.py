"""A training on rows from a scenario to its report: parts, their mix, and what is held out."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mlc.evaluation.held_out import HeldOut
from mlc.models.model import Model
from mlc.models.rows import boosting, trees
from mlc.run import RunFolder
from mlc.tables import RAW_SCORES, scores_of
from tests.support.row_inputs import NAMES, row_inputs

SCENARIO = """
name: {name}
data: {{tables: {{things: {{kind: rows, path: things.parquet, key: id, encoders: {encoders}}}}}}}
target: {{table: things, columns: [warm, blue, old]}}
examples: {{split: {{column: split}}}}
model: {model}
train: {{epochs: 3, batch_size: 64, learning_rate: 0.02}}
"""
ALL = "{note: text, era: category, heat: number}"
TABLE = "{note: ignore, era: category, heat: number}"


@pytest.fixture
def things(tmp_path, monkeypatch):
    """600 rows in a folder of their own; few trees, so that tests are quick."""
    monkeypatch.setattr(trees, "_TREES", (15, 15))
    monkeypatch.setattr(boosting, "_TREES", 15)
    monkeypatch.chdir(tmp_path)
    inputs = row_inputs()
    assert inputs.targets_NK is not None
    targets = dict(zip(NAMES, inputs.targets_NK.T, strict=True))
    splits = np.array(["train", "train", "validation", "test"])[np.arange(600) % 4].tolist()
    ids = [f"thing {place}" for place in range(600)]
    frame = inputs.frame.with_columns(id=pl.Series(ids), split=pl.Series(splits), **targets)
    frame.write_parquet("things.parquet")


def trained(mlc, encoders: str = ALL, model: str = "{}", *options: str, name: str = "things") -> RunFolder:
    Path(f"{name}.yaml").write_text(SCENARIO.format(name=name, encoders=encoders, model=model))
    outcome = mlc("train", f"{name}.yaml", *options)
    assert outcome.code == 0, outcome.err
    return RunFolder(Path("runs") / name)


@pytest.mark.usefixtures("things")
def test_a_small_table_is_judged_out_of_fold_and_evaluated_and_predicted_the_same(mlc):
    run = trained(mlc)
    weights = run.read_json("parts.json")["weights"]
    assert set(weights) == {"linear", "trees", "boosting"}
    assert weights["linear"] > 0.3  # it alone sees words, one of the three labels
    assert weights["boosting"] is None
    held_out = HeldOut.read(run / "held_out.parquet")
    assert held_out.keys.height == 450
    assert set(held_out.by_part) == {"linear", "trees", "boosting"}
    report = run.read_json("report.json")
    assert report["splits"]["test"]["macro"]["ap"] > 0.8
    assert set(report["baselines"]) >= {"prevalence", "trees", "boosting"}

    # Predictions of training and validation are those of parts that had not learned from the rows.
    predictions = pl.read_parquet(run / "predictions.parquet")
    model = Model.load(run)
    expected = held_out.applied(predictions, held_out_part_scores(model))
    np.testing.assert_allclose(scores_of(predictions, RAW_SCORES), model.mixed(expected.by_part), atol=1e-6)

    evaluated = mlc("evaluate", "things")
    assert evaluated.code == 0, evaluated.err
    assert "the same numbers as in training" in evaluated.err
    assert mlc("predict", "things", "--out", "scores.parquet").code == 0
    scores = pl.read_parquet("scores.parquet")
    assert scores.height == 600


def held_out_part_scores(model: Model) -> dict[str, np.ndarray]:
    """The scores of the parts for all rows, in the order of the predictions."""
    from mlc.models import tasks

    run = RunFolder(Path("runs/things"))
    task = tasks.trained_task(run, lambda _: None, model.class_names)
    return model.part_scores(model.batches(task.inputs(task.prepare())), baselines=True)


@pytest.mark.usefixtures("things")
def test_two_trainings_give_the_same_scores_and_another_seed_gives_others(mlc):
    first = trained(mlc, name="first")
    second = trained(mlc, name="second")
    third = trained(mlc, ALL, "{}", "--set", "train.seed=8", name="third")
    scores = [scores_of(pl.read_parquet(run / "predictions.parquet")) for run in (first, second, third)]
    np.testing.assert_array_equal(scores[0], scores[1])
    assert np.abs(scores[0] - scores[2]).max() > 1e-4


@pytest.mark.usefixtures("things")
def test_words_alone_are_a_model_of_one_part(mlc):
    run = trained(mlc, "{note: text, era: ignore, heat: ignore}")
    assert run.read_json("parts.json")["weights"] == {"linear": 1.0}
    report = run.read_json("report.json")
    assert "linear" not in report["baselines"]
    assert any(note.startswith("linear: a support vector machine") for note in report["baseline_notes"])
    assert not (run / "trees.safetensors").exists()


@pytest.mark.usefixtures("things")
def test_a_network_that_is_named_is_trained_and_validation_alone_judges(mlc):
    run = trained(mlc, TABLE, "{parts: [trees, network], preset: nano}")
    weights = run.read_json("parts.json")["weights"]
    assert list(weights) == ["network", "linear", "trees", "boosting"]
    assert weights["linear"] is None
    assert (weights["network"] or 0) + (weights["trees"] or 0) == pytest.approx(1.0)
    assert not (run / "held_out.parquet").exists()
    assert json.loads((run / "log.jsonl").read_text().splitlines()[0])["epoch"] == 1


def test_pictures_are_read_by_a_small_network_that_is_trained(mlc, tmp_path, monkeypatch):
    image = pytest.importorskip("PIL.Image")
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(0)
    lit = noise.random(120) < 0.5
    for place, bright in enumerate(lit):
        pixels = noise.integers(0, 60, (16, 16, 3)).astype(np.uint8) + np.uint8(150) * bright
        image.fromarray(pixels).save(f"{place}.png")
    splits = np.array(["train", "train", "validation", "test"])[np.arange(120) % 4].tolist()
    files = [f"{place}.png" for place in range(120)]
    pl.DataFrame({"file": files, "lit": lit.astype(int), "split": splits}).write_parquet("things.parquet")
    text = SCENARIO.format(name="pictures", encoders="{file: image}", model="{image: {size: 16}}")
    Path("pictures.yaml").write_text(
        text.replace("key: id, ", "").replace("[warm, blue, old]", "[lit]").replace("size: 64", "size: 16")
    )
    outcome = mlc("train", "pictures.yaml")
    assert outcome.code == 0, outcome.err
    run = RunFolder(Path("runs/pictures"))
    assert run.read_json("parts.json")["weights"] == {"network": 1.0}
    assert run.read_json("report.json")["splits"]["test"]["macro"]["ap"] > 0.95
    evaluated = mlc("evaluate", "pictures")
    assert "the same numbers as in training" in evaluated.err


@pytest.mark.usefixtures("things")
def test_a_network_without_anything_to_read_is_refused_at_the_field(mlc):
    Path("words.yaml").write_text(
        SCENARIO.format(
            name="words", encoders="{note: text, era: ignore, heat: ignore}", model="{parts: [network]}"
        )
    )
    outcome = mlc("train", "words.yaml")
    assert outcome.code == 2
    assert "words.yaml:6: model.parts: the network reads numbers, categories" in outcome.err


@pytest.mark.usefixtures("things")
def test_a_fifth_of_the_targets_unknown_changes_the_figures_little(mlc):
    whole = trained(mlc).read_json("report.json")["splits"]["test"]["macro"]["ap"]
    table, hidden = pl.read_parquet("things.parquet"), np.random.default_rng(3)
    training = pl.col("split") != "test"
    table.with_columns(
        pl.when(training & pl.Series(hidden.random(600) < 0.2)).then(None).otherwise(pl.col(name)).alias(name)
        for name in NAMES
    ).write_parquet("things.parquet")
    masked = trained(mlc, ALL, "{}", "--overwrite").read_json("report.json")["splits"]["test"]["macro"]["ap"]
    assert masked == pytest.approx(whole, abs=0.03)
