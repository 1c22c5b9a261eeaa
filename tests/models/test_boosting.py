"""Boosting sees what the history branch sees, always gives the same, and says when it cannot run."""

import json
import sys
from datetime import timedelta

import numpy as np
import pytest

from mlc.events.preparing import prepare
from mlc.events.vocabulary import fit_vocabulary
from mlc.models.boosting import COLUMNS, Boosting, feature_rows, fit_boosting
from mlc.models.branches.branch import BranchSpec
from mlc.models.branches.history import ENTITY_FEATURES, LABEL_FEATURES, HistoryBranch
from mlc.models.reading.batches import ExampleBatches
from mlc.run import RunFolder
from mlc.tables import SPLIT, microseconds
from tests.models.test_history import NAMES, builder_at
from tests.support import reference
from tests.support.event_scenarios import load_events
from tests.support.small_tables import (
    START,
    anchors,
    as_events,
    batches_of,
    build,
    label_rows,
    scenario_at,
    shop,
    silent,
    write_shop,
)

NAME = "departments_28d"


@pytest.fixture(scope="module")
def examples(demo, tmp_path_factory):
    """The demo's examples in batches, and the positions of training and validation."""
    scenario = load_events(demo / f"{NAME}.yaml")
    prepared = prepare(scenario, tmp_path_factory.mktemp("boosting"), silent)
    vocabulary = fit_vocabulary(prepared.store, prepared.cutoffs.fit_until, False, False)
    splits = prepared.examples.table[SPLIT].to_numpy()
    train, validation = (np.flatnonzero(splits == split) for split in ("train", "validation"))
    return (
        batches_of(prepared, vocabulary),
        train[::4],
        validation,
    )


@pytest.fixture(scope="module")
def fitted(examples):
    batches, train, validation = examples
    boosting = fit_boosting(batches, train, validation, seed=7)
    assert boosting is not None
    return boosting


def test_its_features_are_those_of_the_model_and_of_the_loop(tmp_path):
    rows = [
        *anchors("ann")[:40:3],
        *(
            {"customer": "bob", "day": START + timedelta(days=3 * n), "product": f"p{n % 4 + 1}"}
            for n in range(9)
        ),
    ]
    rows = [{"price": 1.0, "shop": None, **row} for row in rows]
    write_shop(tmp_path, rows + anchors("eve"))
    built = build(scenario_at(tmp_path, shop()), tmp_path / "runs")
    entities = built.store.entity_ids.to_list()
    pairs = [(entity, START + timedelta(days=days)) for days in (-1, 7, 30) for entity in entities]
    batch = builder_at(built).build(
        np.arange(len(pairs)),
        np.array([entities.index(entity) for entity, _ in pairs]),
        np.array([microseconds(cutoff) for _, cutoff in pairs]),
        None,
    )
    rows_RF = feature_rows(batch, len(NAMES))
    assert rows_RF.shape == (len(pairs) * len(NAMES), COLUMNS)
    entity_BF, label_BKF = HistoryBranch(BranchSpec(), len(NAMES), 8).features(batch)
    own, whole = len(LABEL_FEATURES), len(LABEL_FEATURES) + len(ENTITY_FEATURES)
    np.testing.assert_array_equal(rows_RF[:, :own], label_BKF.flatten(0, 1).numpy())
    np.testing.assert_array_equal(rows_RF[:: len(NAMES), own:whole], entity_BF.numpy())
    everything, labelled = as_events(rows + anchors("eve")), label_rows(rows + anchors("eve"), NAMES)
    for row, found in enumerate(rows_RF):
        (entity, cutoff), label = pairs[row // len(NAMES)], row % len(NAMES)
        wanted = [
            *reference.label_features(everything, labelled, entity, cutoff, label),
            *reference.entity_features(everything, labelled, entity, cutoff),
            float(label),
        ]
        np.testing.assert_allclose(found, np.array(wanted, np.float64), rtol=2e-5, atol=2e-5)


def test_on_the_demo_it_is_better_than_all_that_only_counts(trained):
    baselines = json.loads((trained / NAME / "report.json").read_text())["baselines"]
    macro = {name: entry["test"]["macro"] for name, entry in baselines.items()}
    for counting in ("prevalence", "frequency", "recency"):
        assert macro["boosting"]["ap"] > macro[counting]["ap"] + 0.03
        assert macro["boosting"]["auroc"] > macro[counting]["auroc"] + 0.03
    assert macro["boosting"]["log_loss"] < macro["prevalence"]["log_loss"] - 0.03
    assert macro["recency"]["log_loss"] is None


def test_the_same_seed_gives_the_same_trees_and_scores(examples, fitted, tmp_path):
    batches, train, validation = examples
    assert fit_boosting(batches, train, validation, seed=7) == fitted
    fitted.save(RunFolder(tmp_path))
    again = Boosting.load(RunFolder(tmp_path))
    np.testing.assert_array_equal(again.scores(batches), fitted.scores(batches))


def test_its_scores_are_calibrated_probabilities(examples, fitted):
    batches, train, _ = examples
    scores_NK = fitted.scores(batches)
    assert scores_NK.shape == batches.targets_NK.shape
    assert scores_NK.min() >= 0
    assert scores_NK.max() <= 1
    assert scores_NK[train].mean() == pytest.approx(batches.targets_NK[train].mean(), rel=0.02)


def test_unknown_targets_are_left_out(examples):
    batches, train, validation = examples
    targets_NK = batches.targets_NK.copy()
    # Label 0 is only known where it is positive: unknown taken for no would give a mean of 0.4.
    targets_NK[:, 0] = np.where(targets_NK[:, 0] == 1, 1, 255)
    masked = ExampleBatches(batches.builder, batches.rows_N, batches.cutoffs_N, targets_NK)
    boosting = fit_boosting(masked, train, validation, seed=7)
    assert boosting is not None
    assert boosting.scores(masked)[:, 0].mean() > 0.65
    nothing = ExampleBatches(
        batches.builder, batches.rows_N, batches.cutoffs_N, np.full_like(targets_NK, 255)
    )
    assert fit_boosting(nothing, train, validation, seed=7) is None


def test_without_a_validation_example_it_takes_a_fixed_number_of_trees(examples):
    batches, train, validation = examples
    boosting = fit_boosting(batches, train[:50], validation[:0], seed=7)
    assert boosting is not None
    assert np.isfinite(boosting.scores(batches)).all()


def test_of_too_many_rows_it_takes_a_random_sample_of_examples_and_says_so(examples):
    batches, train, validation = examples
    boosting = fit_boosting(batches, train, validation, seed=7, most_rows=12 * 300 + 5)
    assert boosting is not None
    assert (boosting.examples, boosting.of_examples) == (300, len(train))
    assert f"a random 300 of {len(train):,} training examples" in boosting.described()


@pytest.fixture
def no_lightgbm(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightgbm", None)


@pytest.mark.usefixtures("no_lightgbm")
@pytest.mark.parametrize("command", ["train", "check"])
def test_asked_for_by_name_and_not_installed_it_is_an_error_before_anything_is_trained(mlc, demo, command):
    result = mlc(command, demo / f"{NAME}.yaml", "--set", "baselines=[recency, boosting]")
    assert result.code == 2
    assert "baselines: boosting needs the package lightgbm, which is not installed" in result.err
    assert "pip install 'mlc[boost]'" in result.err
    assert "epoch" not in result.err


@pytest.mark.usefixtures("no_lightgbm")
def test_wanted_by_default_and_not_installed_the_verdict_says_so(mlc, trained):
    result = mlc("evaluate", NAME, "--runs-dir", trained)
    verdict = " ".join(result.out.split("\n\n")[1].split())
    assert "the best baseline, recency" in verdict
    missing = "boosting, as a rule the strongest baseline, is not installed: pip install 'mlc[boost]'"
    assert verdict.endswith(f"Not compared: {missing}.")


def test_only_the_baselines_that_are_wanted_are_in_the_report(mlc, demo, tmp_path):
    result = mlc("train", demo / f"{NAME}.yaml", "--smoke", "--set", "baselines=[frequency]")
    assert result.code == 0, result.err
    run = tmp_path / "runs" / f"{NAME}-smoke"
    report = json.loads((run / "report.json").read_text())
    assert set(report["baselines"]) == {"frequency"}
    assert report["missing_baselines"] == []
    assert not (run / "boosting.json").exists()


@pytest.mark.parametrize(
    ("baselines", "problem"),
    [("[boosting, boosting]", "is there twice"), ("[boost]", "boosting")],
)
def test_a_wrong_list_of_baselines_is_an_error(mlc, demo, baselines, problem):
    result = mlc("check", demo / f"{NAME}.yaml", "--set", f"baselines={baselines}")
    assert result.code == 2
    assert problem in result.err
