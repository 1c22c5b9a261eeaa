"""Rows go through the real commands, from a demo to decisions on new rows."""

import json

import numpy as np
import polars as pl
import pytest

from tests.conftest import in_process


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder with generated comments and a finished run on them; read only."""
    folder = tmp_path_factory.mktemp("rows")
    for command in (
        ("demo", "comments", "--kind", "text", "--rows", "1200"),
        ("train", "comments/scenario.yaml"),
    ):
        done = in_process(*command, folder=folder)
        assert done.code == 0, done.err
    return folder


def test_a_training_on_texts_beats_prevalence_and_shows_its_worst_mistakes(project):
    report = json.loads((project / "runs/comments/report.json").read_text())
    assert report["comparison"]["ap"]["outcome"] == "better"
    assert report["splits"]["test"]["macro"]["ap"] > 0.5
    assert report["oracle"]["test"]["macro"]["ap"] > 0.6
    assert report["slices"][0]["by"] == "length of the text"
    mistakes = json.loads((project / "runs/comments/mistakes.json").read_text())
    assert set(mistakes) == {label["name"] for label in report["splits"]["test"]["labels"]}
    page = (project / "runs/comments/report.html").read_text()
    assert "Which of 8 topics does each comment have?" in page
    assert "Has it, and scores low" in page


def test_an_evaluation_gives_the_same_numbers_and_new_rows_need_no_labels(project, mlc, tmp_path):
    run = project / "runs" / "comments"
    evaluated = mlc("evaluate", run)
    assert evaluated.code == 0, evaluated.err
    assert "the same numbers as in training" in evaluated.err
    fresh = pl.read_csv(project / "comments/comments.csv").drop("topics").tail(50)
    fresh.write_csv(tmp_path / "fresh.csv")
    predicted = mlc("predict", run, "--table", tmp_path / "fresh.csv", "--out", tmp_path / "scores.csv")
    assert predicted.code == 0, predicted.err
    scores = pl.read_csv(tmp_path / "scores.csv")
    assert scores["entity_id"].to_list() == fresh["comment_id"].to_list()
    known = pl.read_parquet(run / "predictions.parquet")
    # Rows of training and validation were scored out of fold.
    both = scores.join(known.filter(pl.col("split") == "test"), on="entity_id")
    assert both.height > 3
    np.testing.assert_allclose(both["delivery"], both["scores"].arr.get(0), atol=1e-5)


def test_commands_that_need_events_say_so(project, mlc):
    embedded = mlc("embed", project / "runs" / "comments")
    assert embedded.code == 2
    assert "a model of rows, which has no entities" in embedded.err
    labelled = mlc("labels", project / "comments" / "scenario.yaml")
    assert labelled.code == 2
    assert "comments is of kind rows, and mlc labels needs a table of kind events" in labelled.err
    dated = mlc("predict", project / "runs" / "comments", "--as-of", "2026-01-01")
    assert dated.code == 2
    assert "a row has no cutoff" in dated.err


def test_a_smoke_run_on_a_table_takes_a_sample(mlc, tmp_path):
    assert mlc("demo", tmp_path / "patients", "--kind", "table", "--rows", "2500").code == 0
    smoked = mlc(
        "train", tmp_path / "patients" / "scenario.yaml", "--smoke", "--set", "baselines=[prevalence]"
    )
    assert smoked.code == 0, smoked.err
    assert "500 not in the sample (max_rows)" in smoked.err
