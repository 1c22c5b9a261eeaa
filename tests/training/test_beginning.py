"""A training goes on with what it began with, or not at all; and nobody else works on it meanwhile."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import polars as pl
import pytest
import torch

from mlc.errors import RunError
from mlc.files.lock import holder_of
from mlc.run import BEGINNING, RunFolder
from mlc.scenario import load_scenario
from mlc.sources import sources_of
from mlc.training.beginning import check_tables_of
from mlc.training.stopping import BestEpoch
from tests.conftest import in_process, started
from tests.support.shop_tables import SCENARIO, shop_tables, snapshot, write_shop

QUICK = [
    flag
    for override in (
        *("model.preset=nano", "train.epochs=2", "pretrain.preset=nano", "pretrain.epochs=2"),
        *("train.accelerator=cpu", "baselines=[recency]"),
    )
    for flag in ("--set", override)
]


def stopped(folder, verb: str, name: str) -> None:
    """Train, but for what comes after the last epoch."""
    write_shop(folder)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(f"mlc.training.{name}", lambda *_: 1 / 0)
        done = in_process(verb, "shop.yaml", *QUICK, folder=folder)
    assert done.code == 3, done.err


@pytest.fixture(scope="session")
def stopped_training(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stopped")
    stopped(folder, "train", "supervised.score_batches")
    return folder


@pytest.fixture(scope="session")
def stopped_pretraining(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stopped_pretraining")
    stopped(folder, "pretrain", "pretraining.save_foundation")
    return folder


@pytest.fixture
def refused(mlc, tmp_path):
    """Resumes a training that must be refused, and changes nothing; gives the message."""

    def run(verb: str = "train") -> str:
        before = snapshot(tmp_path)
        result = mlc(verb, "shop.yaml", *QUICK, "--resume")
        assert (result.code, result.out) == (2, ""), result.err
        after = snapshot(tmp_path)
        assert {name: after.get(name) for name in before} == before
        assert all(name.startswith("runs/store/") for name in after.keys() - before.keys())
        return result.err

    return run


@pytest.fixture
def shop(stopped_training, tmp_path):
    """A folder with tables and a training that was stopped; a copy that does not know it."""
    shutil.copytree(stopped_training, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_a_training_is_not_resumed_on_other_tables(refused, shop):
    sales = shop_tables()["sales"]
    pl.concat([sales, sales.tail(1)]).write_parquet(shop / "sales.parquet")
    said = refused()
    assert (
        "runs/shop: the tables are not those that this training began with "
        "(sales: sales.parquet has changed). --overwrite starts over." in said
    )


def test_a_pretraining_is_not_resumed_on_other_tables(refused, stopped_pretraining, tmp_path):
    shutil.copytree(stopped_pretraining, tmp_path, dirs_exist_ok=True)
    shop_tables()["items"].head(2).write_parquet(tmp_path / "items.parquet")
    assert "(items: items.parquet has changed)" in refused("pretrain")


def test_a_training_goes_on_where_the_same_tables_were_moved_and_touched(mlc, shop):
    for file in shop.glob("*.parquet"):
        os.utime(file, (1_000_000_000, 1_000_000_000))
    (shop / "moved").mkdir()
    (shop / "sales.parquet").rename(shop / "moved" / "bought.parquet")
    (shop / "shop.yaml").write_text(SCENARIO.replace("sales.parquet", "moved/bought.parquet"))
    resumed = mlc("train", "shop.yaml", *QUICK, "--resume")
    assert resumed.code == 0, resumed.err
    assert "path: moved/bought.parquet" in (shop / "runs" / "shop" / "resolved.yaml").read_text()
    assert mlc("predict", "shop").code == 0


def test_a_training_that_was_moved_goes_on_with_the_epoch_that_was_best(mlc, shop):
    state = torch.load(shop / "runs/shop/checkpoints/last.ckpt", weights_only=True)
    (kept,) = (one for key, one in state["callbacks"].items() if key.startswith("BestEpoch"))
    assert not kept["best_model_path"].startswith(str(shop))
    best = BestEpoch(shop / "runs/shop/checkpoints", kept["monitor"])
    best.load_state_dict(kept)
    assert best.best_model_score == kept["best_model_score"]
    assert Path(best.best_model_path) == shop / "runs/shop/checkpoints/best.ckpt"
    assert mlc("train", "shop.yaml", *QUICK, "--resume").code == 0
    assert mlc("evaluate", "shop").code == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ["hats"]}, "the labels were hats, and are "),
        ({"examples": "0"}, "the examples are not those that this training began with."),
        ({"vocabulary": "0"}, "the vocabulary is not that which this training began with."),
        ({"foundation": "0"}, "the foundation has been trained again since this training began (it was 0,"),
        ({"versions": {"torch": "1.0"}}, "torch was 1.0, and is "),
        ({"tables": {"sales": 3}}, "beginning.json: not as mlc train wrote it"),
    ],
)
def test_every_other_difference_is_refused_too(refused, shop, changes, message):
    path = shop / "runs" / "shop" / BEGINNING
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    assert message in refused()


def test_a_training_that_recorded_nothing_is_not_resumed(refused, shop):
    (shop / "runs" / "shop" / BEGINNING).unlink()
    assert "an earlier version of mlc began this training, and did not record its tables." in refused()


@pytest.fixture
def parts(tmp_path):
    """A scenario whose sales are three files, and a run that began with them."""
    write_shop(tmp_path, SCENARIO.replace("sales.parquet", "sales"))
    (tmp_path / "sales").mkdir()
    for number in range(3):
        shop_tables()["sales"].slice(number * 5, 5).write_parquet(tmp_path / "sales" / f"{number}.parquet")
    scenario = load_scenario(tmp_path / "shop.yaml")
    run = RunFolder(tmp_path / "run")
    run.folder.mkdir()
    tables = {name: [vars(s) for s in sources_of(scenario, name, {})] for name in scenario.data.tables}
    from mlc.training.beginning import versions

    folder = str(run.folder)
    run.write_json(BEGINNING, {"folder": folder, "tables": tables, "versions": versions()})
    return tmp_path, scenario, run


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "1.parquet").unlink(), r"\(sales: 1.parquet is gone\)"),
        (lambda folder: shutil.copy(folder / "1.parquet", folder / "9.parquet"), "9.parquet is new"),
        (lambda folder: shutil.copy(folder / "1.parquet", folder / "2.parquet"), "2.parquet has changed"),
        (lambda folder: (folder / "0.parquet").rename(folder / "9.parquet"), "is gone, 9.parquet is new"),
    ],
)
def test_files_that_came_went_or_changed_are_named(parts, change, message):
    place, scenario, run = parts
    check_tables_of(run, scenario)
    change(place / "sales")
    with pytest.raises(RunError, match=message):
        check_tables_of(run, scenario)


def test_a_file_whose_name_and_time_alone_have_changed_is_the_same(parts):
    place, scenario, run = parts
    (place / "sales" / "2.parquet").rename(place / "sales" / "3.parquet")
    os.utime(place / "sales" / "1.parquet")
    check_tables_of(run, scenario)


# ── one process at a time ───────────────────────────────────────────────────────────────────────


def test_nobody_else_works_on_a_run_while_it_is_trained(mlc, tmp_path):
    write_shop(tmp_path)
    long = ("--set", "train.epochs=10000", "--set", "train.patience=10000")
    with started("train", "shop.yaml", *QUICK, *long, folder=tmp_path) as training:
        while not RunFolder(tmp_path / "runs" / "shop").last_checkpoint:
            assert training.poll() is None
            time.sleep(0.05)
        for flags in ([], ["--resume"], ["--overwrite"], ["--overwrite", "--set", "train.seed=3"]):
            result = mlc("train", "shop.yaml", *QUICK, *flags)
            assert (result.code, result.out) == (2, "")
            assert f"runs/shop: process {training.pid} on " in result.err
            assert "is working on this run. Wait until it has ended, or choose another name" in result.err
            assert "--resume" not in result.err
        assert f"process {training.pid} on" in mlc("predict", "shop").err
        listed = mlc("runs").out
        assert f"shop: process {training.pid} on" in listed
        assert "--resume" not in listed
        training.send_signal(signal.SIGTERM)
        training.communicate(timeout=60)
    assert training.returncode == 143
    assert holder_of(tmp_path / "runs" / "shop") == ""
    assert not [path for path in (tmp_path / "runs").iterdir() if path.name.endswith(".lock")]


def test_of_trainings_that_begin_at_once_under_one_name_one_trains(tmp_path):
    write_shop(tmp_path)
    trainings = [
        started("train", "shop.yaml", *QUICK, "--set", f"train.seed={seed}", folder=tmp_path)
        for seed in range(2)
    ]
    errors = [training.communicate(timeout=200)[1] for training in trainings]
    codes = [training.returncode for training in trainings]
    assert sorted(codes) == [0, 2], errors
    resolved = (tmp_path / "runs" / "shop" / "resolved.yaml").read_text()
    assert f"  seed: {codes.index(0)}" in resolved


def test_smoke_replaces_a_smoke_run_and_no_other(mlc, tmp_path):
    write_shop(tmp_path)
    smoke = ("train", "shop.yaml", "--smoke", *QUICK[-4:])
    assert mlc(*smoke).code == 0
    assert mlc(*smoke).code == 0
    facts = tmp_path / "runs" / "shop-smoke" / "run.json"
    facts.write_text(json.dumps({k: v for k, v in json.loads(facts.read_text()).items() if k != "smoke"}))
    before = snapshot(tmp_path)
    result = mlc(*smoke)
    assert result.code == 2
    assert "Add --overwrite to start over" in result.err
    assert snapshot(tmp_path) == before
