"""Files of a run that someone has changed: refused with exit 2 and their name; nothing is executed."""

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.conftest import in_process
from tests.support.shop_tables import QUICK, write_shop

MARK = "executed"


class Payload:
    """Creates a file when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.mkdir, (MARK,)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A folder with a shop and one finished run of it, `shop`; copied for every test."""
    folder = tmp_path_factory.mktemp("finished")
    result = in_process("train", write_shop(folder), *QUICK, folder=folder)
    assert result.code == 0, result.err
    return folder


@pytest.fixture
def shop(finished, tmp_path, mlc) -> Path:  # noqa: ARG001 - `mlc` makes it the working folder
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "runs" / "shop" / "resolved.yaml"
    path.write_text(path.read_text().replace(str(finished), str(tmp_path)))
    return tmp_path


def refused(mlc, folder: Path, *arguments: object) -> str:
    result = mlc(*arguments)
    assert (result.code, result.out) == (2, ""), result.err
    assert "Traceback" not in result.err
    assert not (folder / MARK).exists()
    return result.err


def changed(path: Path, how: str) -> None:
    weights = load_file(path)
    name = next(name for name, tensor in weights.items() if tensor.is_floating_point() and tensor.ndim == 2)
    match how:
        case "truncated":
            path.write_bytes(path.read_bytes()[:-100])
            return
        case "empty":
            path.write_bytes(b"")
            return
        case "a pickle":
            path.write_bytes(pickle.dumps(Payload()))
            return
        case "a folder":
            path.unlink()
            path.mkdir()
            return
        case "other shape":
            weights[name] = weights[name][:-1].clone()
        case "NaN":
            weights[name][0, 0] = float("nan")
        case "16 bits":
            weights[name] = weights[name].half()
        case "whole numbers":
            weights[name] = weights[name].to(torch.int32)
        case "without one":
            del weights[name]
        case "one more":
            weights["more"] = torch.zeros(3)
    save_file(weights, path)


WEIGHTS = ("truncated", "empty", "a pickle", "a folder", "other shape", "NaN", "16 bits", "whole numbers")


@pytest.mark.parametrize("how", [*WEIGHTS, "without one", "one more"])
def test_weights_that_are_not_those_of_the_network_are_refused(mlc, shop, how):
    changed(shop / "runs/shop/model.safetensors", how)
    for command in ("predict", "evaluate"):
        assert "runs/shop/model.safetensors: " in refused(mlc, shop, command, "shop")


JSON = ("thresholds.json", "calibration.json", "vocabulary.json", "model.json", "boosting.json", "run.json")


@pytest.mark.parametrize("name", JSON)
@pytest.mark.parametrize(
    "content", ["[]", "null", "7", '"text"', '{"schema": []}', "[[1]]", '[{"name": NaN}]', "{"]
)
def test_a_json_file_of_another_type_is_refused_by_name(mlc, shop, name, content):
    if not (shop / "runs/shop" / name).exists():
        pytest.skip("not in this run")
    (shop / "runs/shop" / name).write_text(content)
    told = refused(mlc, shop, "evaluate" if name == "boosting.json" else "predict", "shop")
    assert name in told or name == "run.json"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", '"high"', "7"])
def test_a_threshold_that_is_no_number_between_0_and_1_is_refused(mlc, shop, number):
    path = shop / "runs/shop/thresholds.json"
    found = json.loads(path.read_text())
    text = json.dumps(found)
    rows = found["thresholds"] if isinstance(found, dict) and "thresholds" in found else found
    first = rows[0] if isinstance(rows, list) else next(iter(rows.values()))
    path.write_text(text.replace(f'"value": {json.dumps(first["value"])}', f'"value": {number}', 1))
    assert "thresholds.json" in refused(mlc, shop, "predict", "shop")


@pytest.mark.parametrize("name", ["examples.parquet", "predictions.parquet"])
@pytest.mark.parametrize("how", ["other columns", "fewer rows", "no parquet", "missing"])
def test_a_table_of_the_run_with_other_columns_or_rows_is_refused_by_name(mlc, shop, name, how):
    path = shop / "runs/shop" / name
    match how:
        case "other columns":
            pl.DataFrame({"a": [1]}).write_parquet(path)
        case "fewer rows":
            pl.read_parquet(path).head(3).write_parquet(path)
        case "no parquet":
            path.write_bytes(pickle.dumps(Payload()))
        case "missing":
            path.unlink()
    assert ".parquet" in refused(mlc, shop, "thresholds", "shop", "--policy", "max_f1")


@pytest.fixture
def with_store(mlc, shop) -> Path:
    """The shop, with one event store that the next command opens."""
    shutil.rmtree(shop / "runs/store")
    assert mlc("predict", "shop", "--out", "first.parquet").code == 0
    return shop


def test_an_array_of_objects_in_the_event_store_is_refused_and_never_unpickled(mlc, with_store):
    shop = with_store
    [path] = shop.glob("runs/store/*/events/time.npy")
    objects = np.empty(2, dtype=object)
    objects[:] = [Payload(), Payload()]
    np.save(path, objects, allow_pickle=True)
    told = refused(mlc, shop, "predict", "shop")
    assert "the event store is damaged" in told
    assert "time.npy" in told
    shutil.rmtree(path.parent.parent)
    assert mlc("predict", "shop").code == 0  # it is built again


@pytest.mark.parametrize("name", ["store.json", "entities.parquet", "events/offsets.npy"])
def test_a_damaged_store_says_which_folder_to_delete(mlc, with_store, name):
    shop = with_store
    [path] = shop.glob(f"runs/store/*/{name}")
    path.write_bytes(path.read_bytes()[:20])
    assert "Delete this folder; the next command builds it again." in refused(mlc, shop, "predict", "shop")


@pytest.mark.parametrize("how", ["a pickle", "truncated", "another network", "no state"])
def test_a_checkpoint_that_holds_code_or_another_network_is_refused_and_never_executed(shop, mlc, how):
    run = shop / "runs/shop"
    facts = json.loads((run / "run.json").read_text())
    del facts["finished"]
    (run / "run.json").write_text(json.dumps(facts))  # as if it had been stopped
    (run / "report.json").unlink()
    path = run / "checkpoints/last.ckpt"
    match how:
        case "a pickle":
            torch.save({"state_dict": {}, "payload": Payload()}, path)
        case "truncated":
            path.write_bytes(path.read_bytes()[:1000])
        case "another network":
            state = torch.load(path, weights_only=True)
            name = next(iter(state["state_dict"]))
            state["state_dict"][name] = torch.zeros(2, 3, 4)
            torch.save(state, path)
        case "no state":
            torch.save([1], path)
    result = mlc("train", "shop.yaml", *QUICK, "--resume")
    assert result.code == 2, result.err
    assert "checkpoints/last.ckpt: " in result.err
    assert "Traceback" not in result.err
    assert not (shop / MARK).exists()


def test_a_file_that_is_a_link_is_read_like_any_other_and_a_broken_one_is_named(mlc, shop):
    path = shop / "runs/shop/thresholds.json"
    path.rename(shop / "elsewhere.json")
    path.symlink_to(shop / "elsewhere.json")
    assert mlc("predict", "shop").code == 0
    (shop / "elsewhere.json").unlink()
    assert "thresholds.json" in refused(mlc, shop, "predict", "shop")
