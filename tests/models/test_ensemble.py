"""Several networks, a blend with boosting, weights trained on everything: what is scored with what."""

import sys
from datetime import datetime

import numpy as np
import polars as pl
import pytest
import torch
from scipy.special import expit

from mlc.commands.embed import embed
from mlc.commands.predict import Request, predict
from mlc.evaluation.calibration import calibrated
from mlc.events.preparing import prepare
from mlc.events.trained import stored_vocabulary
from mlc.models.blending import choose_weights
from mlc.models.boosting import Boosting
from mlc.models.branches.foundation import FoundationBranch
from mlc.models.branches.memory import MemoryBranch
from mlc.models.decisions import stored_calibration
from mlc.models.ensemble import (
    Ensemble,
    Hedge,
    blank_copy,
    load_network,
    make_network,
    members_of,
    save_network,
    score_batches,
)
from mlc.models.model import Model, mix
from mlc.models.network import Network
from mlc.run import RunFolder
from mlc.scenario import EventScenario
from mlc.tables import CUTOFF, ENTITY_ID, RAW_SCORES, SPLIT, array_column, scores_of
from mlc.training.supervised import Setting, train
from tests.conftest import NANO
from tests.support.event_scenarios import load_events
from tests.support.small_tables import batches_of, silent
from tests.training.test_module import SPEC, random_batch, started

NAME = "departments_28d"


def blended(network_NK: np.ndarray, boosted_NK: np.ndarray, weight: float) -> np.ndarray:
    return mix({"network": network_NK, "boosting": boosted_NK}, {"network": weight, "boosting": 1 - weight})


AS_OF = datetime(2025, 9, 3)
FLAGS = (
    *(flag for flag in NANO if flag != "--set"),
    *("model.members=2", "model.blend=boosting", "model.memory=true", "baselines=[boosting]"),
    *("train.learning_rate=0.01", "examples.train_cutoffs=4"),
)


@pytest.fixture(scope="module")
def runs(demo, tmp_path_factory):
    """Two runs of two networks and boosting: `first`, and `again`, which was also refitted; read only."""
    folder = tmp_path_factory.mktemp("ensembles") / "runs"
    for name, refit in (("first", "false"), ("again", "true")):
        given = load_events(demo / f"{NAME}.yaml", [*FLAGS, f"name={name}", f"train.refit={refit}"])
        train(given, Setting(folder), silent)
    return folder


@pytest.fixture(scope="module")
def examples(runs):
    """The examples of the runs, in batches."""
    run = RunFolder(runs / "first")
    prepared = prepare(EventScenario.of(run.scenario(), "this test"), runs, silent)
    return batches_of(prepared, stored_vocabulary(run))


def test_one_member_is_the_plain_network(tmp_path):
    torch.manual_seed(3)
    one = make_network(SPEC, 1)
    torch.manual_seed(3)
    plain = Network(SPEC)
    assert isinstance(one, Network)
    assert members_of(one) == [one]
    assert [name for name, _ in one.named_parameters()] == [name for name, _ in plain.named_parameters()]
    batch = random_batch(5)
    torch.testing.assert_close(one.eval()(batch), plain.eval()(batch), atol=0, rtol=0)
    save_network(one, ["a", "b", "c"], tmp_path)
    assert isinstance(load_network(tmp_path)[0], Network)


@pytest.mark.parametrize("scale", [1.0, 60.0])
def test_the_score_of_an_ensemble_is_the_mean_of_its_members_scores(scale):
    ensemble = Ensemble(SPEC, 3).eval()
    with torch.no_grad():
        for member in members_of(ensemble):
            member.out[-1].weight.mul_(scale)  # type: ignore[operator]
    batch = random_batch(7)
    _, together = score_batches(ensemble, [batch])
    each = [score_batches(member, [batch])[1] for member in members_of(ensemble)]
    np.testing.assert_allclose(together, np.mean(each, axis=0), atol=1e-6)
    assert np.abs(each[0] - each[1]).max() > 1e-4


def test_a_saved_ensemble_gives_the_same_scores(tmp_path):
    ensemble, batch = Ensemble(SPEC, 2), random_batch(6)
    save_network(ensemble, ["a", "b", "c"], tmp_path)
    again, names = load_network(tmp_path)
    assert (len(members_of(again)), names) == (2, ["a", "b", "c"])
    np.testing.assert_array_equal(score_batches(again, [batch])[1], score_batches(ensemble, [batch])[1])


@pytest.mark.parametrize("members", [1, 2])
def test_the_logits_of_a_hedge_lie_between_both_kinds_and_outlast_a_file(tmp_path, members):
    hedge, batch = Hedge(started(), members).eval(), random_batch(6)
    hedge.weight.fill_(0.35)
    with torch.no_grad():
        expected = 0.35 * hedge.started(batch) + 0.65 * hedge.scratch(batch)
        torch.testing.assert_close(hedge(batch), expected, atol=1e-6, rtol=0)
    kinds = [member.branch(FoundationBranch) is not None for member in members_of(hedge)]
    assert kinds == [True] * members + [False] * members
    assert all(member.embedding is None for member in members_of(hedge)[members:])
    save_network(hedge, ["a", "b", "c"], tmp_path)
    again, _ = load_network(tmp_path)
    np.testing.assert_array_equal(score_batches(again, [batch])[1], score_batches(hedge, [batch])[1])
    assert blank_copy(hedge).state_dict().keys() == hedge.state_dict().keys()


# ── the blend ───────────────────────────────────────────────────────────────────────────────────


def test_a_blend_of_weight_one_is_the_network_and_of_weight_zero_boosting():
    one, two = np.random.default_rng(0).random((2, 9, 4), dtype=np.float32)
    np.testing.assert_allclose(blended(one, two, 1.0), one, atol=1e-6)
    np.testing.assert_allclose(blended(one, two, 0.0), two, atol=1e-6)
    between = blended(one, two, 0.3)
    assert ((np.minimum(one, two) <= between) & (between <= np.maximum(one, two))).all()


@pytest.mark.parametrize("shift", [0.0, 2.0])
def test_the_weight_is_that_of_the_lowest_log_loss_also_where_one_side_is_too_high(shift):
    generator = np.random.default_rng(1)
    signals = generator.normal(size=(2, 4000, 2))
    targets_NK = (generator.random((4000, 2)) < expit(signals.sum(axis=0) - 1)).astype(np.uint8)
    targets_NK[::7] = 255
    validation = pl.DataFrame({ENTITY_ID: np.arange(4000)}).with_columns(array_column("targets", targets_NK))

    def weight_of(first: np.ndarray, second: np.ndarray) -> float:
        parts = {"first": expit(first - 1 + shift), "second": expit(second - 1)}
        return choose_weights(["a", "b"], validation, parts)["first"]

    noise = generator.normal(size=(4000, 2))
    assert weight_of(2 * signals[0], 2 * signals[1]) == pytest.approx(0.5, abs=0.05)
    assert weight_of(signals.sum(axis=0), noise) > 0.95
    assert weight_of(noise, signals.sum(axis=0)) < 0.05
    nothing = validation.with_columns(array_column("targets", np.full_like(targets_NK, 255)))
    unknown = choose_weights(["a", "b"], nothing, {"first": expit(noise), "second": expit(noise)})
    assert unknown == {"first": 0.5, "second": 0.5}


def test_of_three_parts_those_with_own_knowledge_share_the_weight_and_noise_gets_none():
    generator = np.random.default_rng(2)
    signals, noise = generator.normal(size=(2, 4000, 2)), generator.normal(size=(4000, 2))
    targets_NK = (generator.random((4000, 2)) < expit(signals.sum(axis=0))).astype(np.uint8)
    held_out = pl.DataFrame({ENTITY_ID: np.arange(4000)}).with_columns(array_column("targets", targets_NK))
    parts = {"one": expit(2 * signals[0]), "noise": expit(noise), "two": expit(2 * signals[1])}
    weights = choose_weights(["a", "b"], held_out, parts)
    assert weights["noise"] < 0.05
    assert weights["one"] == pytest.approx(0.5, abs=0.05)
    assert sum(weights.values()) == pytest.approx(1.0)


def test_the_scores_of_a_run_are_those_of_the_blend_and_the_report_says_so(runs, examples):
    run = RunFolder(runs / "first")
    weight = Model.load(run).weights["network"]
    assert 0.0 < weight < 1.0
    network, _ = load_network(run.folder)
    boosted = Boosting.load(run).scores(examples)
    raw = scores_of(pl.read_parquet(run / "predictions.parquet"), RAW_SCORES)
    _, own = score_batches(network, examples.in_order())
    np.testing.assert_allclose(raw, blended(own, boosted, weight), atol=1e-6)
    report = run.read_json("report.json")
    note = f"the model is a blend: in logits {weight:.3f} of the network"
    assert any(found.startswith(note) for found in report["baseline_notes"])
    for name in ("report.md", "MODEL_CARD.md", "report.html"):
        assert note in (run / name).read_text()
    assert report["baselines"]["boosting"]["test"]["macro"]["ap"] != report["splits"]["test"]["macro"]["ap"]


def test_predict_with_a_blend_gives_the_scores_of_the_report(runs):
    predicted = predict(RunFolder(runs / "first"), Request(AS_OF), silent).predictions
    told = pl.read_parquet(runs / "first" / "predictions.parquet").filter(pl.col(SPLIT) == "test")
    both = told.join(predicted, on=[ENTITY_ID, CUTOFF], validate="1:1")
    assert both.height == told.height == predicted.height
    np.testing.assert_allclose(scores_of(both), scores_of(both, "scores_right"), atol=1e-6)


@pytest.mark.parametrize("name", ["first", "again"])
def test_evaluate_repeats_the_numbers_of_the_training(runs, mlc, name):
    result = mlc("evaluate", name, "--runs-dir", runs)
    assert result.code == 0, result.err
    assert "the same numbers as in training" in result.err


@pytest.mark.parametrize("command", ["check", "train", "predict", "evaluate"])
def test_without_lightgbm_a_blend_is_an_error_before_anything_is_done(runs, demo, mlc, monkeypatch, command):
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    given = (demo / f"{NAME}.yaml", "--set", "model.blend=boosting")
    result = mlc(command, *(("first", "--runs-dir", runs) if command in ("predict", "evaluate") else given))
    assert result.code == 2
    assert "model.blend: boosting needs the package lightgbm, which is not installed" in result.err
    assert "pip install 'mlc[boost]'" in result.err
    assert "epoch" not in result.err


def test_the_vectors_of_an_ensemble_are_those_of_its_first_network(runs, examples):
    network, _ = load_network(runs / "first")
    first, second = members_of(network)
    vectors = embed(RunFolder(runs / "first"), AS_OF, silent)["vector"].to_numpy()
    test = list(examples.in_order())[-1]
    memories = [member.eval().branch(MemoryBranch) for member in (first, second)]
    with torch.inference_mode():
        own, other = (memory.vectors(test)[-1].numpy() for memory in memories if memory is not None)
    np.testing.assert_allclose(vectors[-1], own, atol=1e-6)
    assert np.abs(own - other).max() > 1e-3


# ── the refit ───────────────────────────────────────────────────────────────────────────────────


def test_the_report_knows_nothing_of_the_refit_but_says_that_it_does_not(runs):
    first, again = (RunFolder(runs / name).read_json("report.json") for name in ("first", "again"))
    (said,) = set(again["warnings"]) - set(first["warnings"])
    assert said.startswith("mlc predict scores with weights that were trained once more on all examples")
    alike = ({**report, "warnings": None, "scenario": None, "verdict": None} for report in (first, again))
    assert next(alike) == next(alike)
    assert said in (runs / "again" / "MODEL_CARD.md").read_text()
    names = ("model.safetensors", "calibration.json", "thresholds.json", "boosting.json", "parts.json")
    for name in names:
        assert (runs / "first" / name).read_bytes() == (runs / "again" / name).read_bytes()
    assert not (runs / "first" / "refit.safetensors").exists()
    assert set(RunFolder(runs / "again").read_json("run.json")) - set(
        RunFolder(runs / "first").read_json("run.json")
    ) == {"refit"}


def test_predict_uses_the_refitted_weights_and_says_so(runs, examples):
    run, said = RunFolder(runs / "again"), list[str]()
    predicted = predict(run, Request(AS_OF), said.append).predictions
    assert (
        "scores are of the refitted weights; report, calibration and thresholds are of the first ones" in said
    )
    network, _ = load_network(run.folder, "refit.safetensors")
    boosted = Boosting.load(run).scores(examples)
    weight = Model.load(run).weights["network"]
    _, own = score_batches(network, examples.in_order())
    keys = pl.read_parquet(run / "examples.parquet").drop("targets")
    scores_NK = calibrated(blended(own, boosted, weight), stored_calibration(run))
    both = keys.with_columns(array_column("scores", scores_NK)).join(
        predicted, on=[ENTITY_ID, CUTOFF], validate="1:1"
    )
    assert both.height == predicted.height
    np.testing.assert_allclose(scores_of(both), scores_of(both, "scores_right"), atol=1e-6)
    before = predict(RunFolder(runs / "first"), Request(AS_OF), silent).predictions
    assert np.abs(scores_of(predicted) - scores_of(before)).max() > 1e-3


def test_the_refit_sees_every_example_once_and_the_first_training_none_of_the_test(runs):
    prepared = prepare(EventScenario.of(RunFolder(runs / "again").scenario(), "this test"), runs, silent)
    table, whole = prepared.examples.table, prepared.for_refit().table
    assert whole[SPLIT].unique().to_list() == ["train"]
    assert whole.drop(SPLIT).equals(table.drop(SPLIT))
    assert set(table[SPLIT].unique()) == {"train", "validation", "test"}
