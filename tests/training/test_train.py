"""The whole path through the real command line: train, evaluate, predict, on one process and on two."""

import json
import os
import shutil
import time
from datetime import datetime

import numpy as np
import polars as pl
import pytest

from mlc.run import RunFolder
from mlc.scenario import load_scenario
from mlc.tables import CUTOFF, ENTITY_ID, SPLIT, scores_of
from tests.conftest import GATES, NANO, process, started
from tests.support.places import point_at

NAME = "departments_28d"
TEST_CUTOFF = "2025-09-03"
SHORT = ("--set", "baselines=[recency]", "--set", "examples.train_cutoffs=12")


def predictions_of(run):
    return pl.read_parquet(run / "predictions.parquet")


def test_a_run_leaves_every_file_of_the_design(trained):
    found = {path.name for path in (trained / NAME).iterdir()}
    assert found == {
        *("scenario.yaml", "resolved.yaml", "run.json", "examples.parquet", "vocabulary.json", "checkpoints"),
        *("model.safetensors", "model.json", "predictions.parquet", "calibration.json", "thresholds.json"),
        *("boosting.json", "parts.json", "beginning.json"),
        *("report.json", "report.md", "report.html", "MODEL_CARD.md", "log.jsonl", "logs"),
    }
    assert {path.name for path in (trained / NAME / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}


def test_every_file_of_a_run_and_of_the_store_has_the_mode_that_the_umask_gives(trained):
    umask = os.umask(0o077)
    os.umask(umask)
    wrong = [
        f"{path.relative_to(trained)}: {path.stat().st_mode & 0o777:o}"
        for path in trained.rglob("*")
        if path.stat().st_mode & 0o777 != (0o777 if path.is_dir() else 0o666) & ~umask
    ]
    assert not wrong


def test_the_report_has_the_promised_fields_and_the_oracle_of_generated_tables(trained):
    report = json.loads((trained / NAME / "report.json").read_text())
    assert report["schema"] == "mlc/report/2"
    test = report["splits"]["test"]
    assert set(test["macro"]) >= {"auroc", "ap", "log_loss", "labels_defined", "labels"}
    assert set(report["baselines"]) == {"prevalence", "frequency", "recency", "boosting"}
    assert report["oracle"]["test"]["macro"]["auroc"] > test["macro"]["auroc"] > 0.5
    assert report["baselines"]["prevalence"]["test"]["macro"]["auroc"] == 0.5


def test_run_json_says_versions_fingerprints_seed_time_and_memory(trained):
    facts = json.loads((trained / NAME / "run.json").read_text())
    assert {"fingerprint", "store", "seed", "seconds", "peak_memory_mb", "versions", "epochs"} <= set(facts)


def test_every_example_has_exactly_one_prediction(trained):
    predictions, examples = (
        predictions_of(trained / NAME),
        pl.read_parquet(trained / NAME / "examples.parquet"),
    )
    assert predictions.select(ENTITY_ID, CUTOFF, SPLIT).equals(examples.select(ENTITY_ID, CUTOFF, SPLIT))
    assert predictions.select(ENTITY_ID, CUTOFF).is_duplicated().sum() == 0


def test_checkpoints_and_weights_load_without_pickled_code(trained):
    import torch

    for name in ("best", "last"):
        torch.load(trained / NAME / "checkpoints" / f"{name}.ckpt", weights_only=True)


def test_evaluate_repeats_the_numbers_of_the_training(trained, mlc):
    result = mlc("evaluate", NAME, "--runs-dir", trained, "--json")
    assert result.code == 0
    assert json.loads(result.out) == json.loads((trained / NAME / "report.json").read_text())
    assert "the same numbers as in training" in result.err


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_evaluate_shows_the_split_that_is_asked_for(trained, mlc, split):
    result = mlc("evaluate", NAME, "--runs-dir", trained, "--split", split)
    assert f"\n{split.capitalize()}: each label at its threshold" in result.out


def test_predict_at_the_test_cutoff_gives_the_scores_and_decisions_of_the_report(trained, mlc, tmp_path):
    result = mlc("predict", NAME, "--runs-dir", trained, "--as-of", TEST_CUTOFF, "--out", "scores.parquet")
    assert result.code == 0
    scores = pl.read_parquet(tmp_path / "scores.parquet")
    report = json.loads((trained / NAME / "report.json").read_text())
    names = [label["name"] for label in report["splits"]["test"]["labels"]]
    test = predictions_of(trained / NAME).filter(pl.col(SPLIT) == "test")
    both = test.join(scores, on=[ENTITY_ID, CUTOFF], how="full", validate="1:1")
    assert both.height == test.height == scores.height
    np.testing.assert_allclose(both.select(names).to_numpy(), scores_of(both), atol=1e-6)
    volumes = [int(scores[f"{name}: decision"].sum()) for name in names]
    assert volumes == [label["volume"] for label in report["splits"]["test"]["labels"]]
    fingerprint = json.loads((trained / NAME / "run.json").read_text())["fingerprint"]
    assert scores["run"].unique().to_list() == [fingerprint]


def test_long_and_wide_scores_and_csv_agree(trained, mlc, tmp_path):
    for out, *flags in (("wide.parquet",), ("wide.csv",), ("long.parquet", "--long")):
        flags += ["--runs-dir", trained, "--threshold", "Food, Fresh=.3,Men's Wear=.5"]
        assert mlc("predict", NAME, "--out", out, *flags).code == 0
    wide, long = pl.read_parquet(tmp_path / "wide.parquet"), pl.read_parquet(tmp_path / "long.parquet")
    written = pl.read_csv(tmp_path / "wide.csv")
    names = long["label"].unique(maintain_order=True).to_list()
    np.testing.assert_array_equal(long["score"].to_numpy().reshape(-1, 12), wide.select(names).to_numpy())
    np.testing.assert_allclose(written.select(names).to_numpy(), wide.select(names).to_numpy(), rtol=1e-6)
    fresh = long.filter(pl.col("label") == "Food, Fresh")
    assert fresh["threshold"].unique().to_list() == [0.3]
    assert fresh["decision"].to_list() == [score >= np.float32(0.3) for score in fresh["score"]]


def test_events_after_the_cutoff_change_no_score(trained, demo, mlc, tmp_path):
    """The tables get a thousand purchases after the cutoff; the same model gives the same scores."""
    folder = tmp_path / "changed"
    shutil.copytree(demo, folder)
    part = folder / "data" / "transactions" / "part-00000.parquet"
    events = pl.read_parquet(part)
    cutoff = datetime.fromisoformat(TEST_CUTOFF)
    noise = events.sample(1000, seed=1).with_columns(pl.lit(cutoff).dt.offset_by("1s").alias("bought_at"))
    pl.concat([events.filter(pl.col("bought_at") <= cutoff), noise]).write_parquet(part)
    runs = tmp_path / "runs"
    shutil.copytree(trained / NAME, runs / NAME)
    point_at(runs / NAME, folder)
    flags = ("--as-of", TEST_CUTOFF, "--runs-dir")
    assert mlc("predict", NAME, *flags, trained, "--out", "before.parquet").code == 0
    assert mlc("predict", NAME, *flags, runs, "--out", "after.parquet").code == 0
    before, after = pl.read_parquet(tmp_path / "before.parquet"), pl.read_parquet(tmp_path / "after.parquet")
    labels = [name for name, dtype in before.schema.items() if dtype == pl.Float32]
    both = before.join(after, on=ENTITY_ID, how="full", validate="1:1")
    assert both.height == before.height
    for label in labels:
        np.testing.assert_allclose(both[label].to_numpy(), both[f"{label}_right"].to_numpy(), atol=1e-6)


def test_two_processes_and_one_agree(demo, mlc, tmp_path):
    alike = (
        *("--set", "model.preset=nano", "--set", "target.allow_empty=true", "--set", "train.epochs=1"),
        *("--set", "train.limit_train_batches=1", *SHORT),
    )
    scenario = demo / f"{NAME}.yaml"
    alone = mlc("train", scenario, *alike, "--set", "name=one", "--set", "train.batch_size=256")
    assert alone.code == 0, alone.err
    flags = ("--set", "name=two", "--set", "train.batch_size=128", "--devices", 2)
    both = process("train", scenario, *alike, *flags, folder=tmp_path)
    assert both.code == 0, both.err
    one, two = predictions_of(tmp_path / "runs/one"), predictions_of(tmp_path / "runs/two")
    assert two.select(ENTITY_ID, CUTOFF, SPLIT).equals(one.select(ENTITY_ID, CUTOFF, SPLIT))
    assert json.loads((tmp_path / "runs/two/run.json").read_text())["devices"] == 2
    assert not (tmp_path / "runs/two/parts").exists()
    # Dropout differs between ranks, so the trained weights do; the scores of given weights must not.
    assert "the same numbers as in training" in mlc("evaluate", "two").err
    assert mlc("predict", "two", "--as-of", TEST_CUTOFF).code == 0
    scores = pl.read_parquet(tmp_path / "scores.parquet")
    names = json.loads((tmp_path / "runs/two/model.json").read_text())["class_names"]
    together = two.filter(pl.col(SPLIT) == "test").join(scores, on=[ENTITY_ID, CUTOFF], validate="1:1")
    np.testing.assert_allclose(together.select(names).to_numpy(), scores_of(together), atol=1e-6)


def test_a_killed_training_goes_on_from_its_last_checkpoint(demo, mlc, tmp_path):
    flags = ["--set", "model.preset=nano", "--set", "train.epochs=6", "--set", "train.patience=6", *SHORT]
    command = ("train", demo / f"{NAME}.yaml", *flags, "--set", "target.allow_empty=true")
    run = RunFolder(tmp_path / "runs" / NAME)
    with started(*command, folder=tmp_path) as training:
        for _ in range(600):
            if run.last_checkpoint:
                break
            time.sleep(0.1)
        training.kill()
    assert run.last_checkpoint
    assert not run.finished
    before = (run / "log.jsonl").read_text().splitlines()
    resumed = mlc(*command, "--resume")
    assert resumed.code == 0, resumed.err
    epochs = [json.loads(line)["epoch"] for line in (run / "log.jsonl").read_text().splitlines()]
    assert epochs[len(before) :][0] > 1
    assert epochs[-1] == 6
    assert run.finished


def test_the_resolved_scenario_of_a_run_gives_the_same_scenario(trained, demo):
    flags = [flag for flag in (*NANO, "baselines=null", GATES) if flag != "--set"]
    given = load_scenario(demo / f"{NAME}.yaml", flags)
    resolved = load_scenario(trained / NAME / "resolved.yaml")
    assert resolved.model_dump(exclude={"data", "target"}) == given.model_dump(exclude={"data", "target"})


def test_smoke_is_the_whole_path_in_a_run_of_its_own(demo, mlc, tmp_path):
    for _ in range(2):  # a second smoke run takes the place of the first
        result = mlc("train", demo / f"{NAME}.yaml", "--smoke")
        assert result.code == 0, result.err
    assert RunFolder(tmp_path / "runs" / f"{NAME}-smoke").finished
    assert [path.name for path in (tmp_path / "runs").iterdir() if path.name != "store"] == [f"{NAME}-smoke"]
