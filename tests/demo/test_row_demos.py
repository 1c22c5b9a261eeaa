"""The generated tables of rows: their truth is what happens, and they are the same for a seed."""

import numpy as np
import polars as pl
import pytest

from mlc.demo import KINDS, write_rows_demo
from mlc.errors import RunError
from mlc.rows.task import RowTask
from mlc.scenario import RowScenario, load_scenario
from mlc.tables import targets_of

WITH_TRUTH = ("text", "table", "mix")


@pytest.fixture(scope="module", params=list(KINDS))
def kind(request):
    if request.param == "image":
        pytest.importorskip("PIL", reason="pictures need Pillow: pip install 'mlc[image]'")
    return request.param


@pytest.fixture(scope="module")
def folder(kind, tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / kind
    assert write_rows_demo(folder, kind, 1500) == [folder / "scenario.yaml"]
    return folder


def task_of(folder) -> RowTask:
    scenario = load_scenario(folder / "scenario.yaml")
    assert isinstance(scenario, RowScenario)
    return RowTask(scenario, lambda _: None)


def test_the_scenario_of_a_demo_is_checked_without_a_problem(folder):
    checked = task_of(folder).check()
    assert checked.problems == []
    assert checked.class_names is not None
    assert len(checked.class_names) >= 6


def test_a_seed_gives_the_same_tables_and_another_gives_others(kind):
    first, again, other = (KINDS[kind](300, seed).tables for seed in (7, 7, 8))
    for name, table in first.items():
        assert table.equals(again[name])
    assert any(not table.equals(other[name]) for name, table in first.items())


@pytest.mark.parametrize("name", WITH_TRUTH)
def test_the_true_probabilities_are_what_happens(name, tmp_path):
    write_rows_demo(tmp_path / name, name, 4000)
    task = task_of(tmp_path / name)
    prepared = task.prepare()
    oracle = task.oracle(prepared)
    assert oracle is not None
    truth_NK, targets_NK = oracle["scores"].to_numpy(), targets_of(prepared.table)
    known_NK = targets_NK != 255
    truth_M, targets_M = truth_NK[known_NK], targets_NK[known_NK]
    for low in np.arange(0.0, 1.0, 0.1):
        inside = (truth_M >= low) & (truth_M < low + 0.1)
        if inside.sum() < 50:
            continue
        p = truth_M[inside]
        deviations = (targets_M[inside].sum() - p.sum()) / np.sqrt((p * (1 - p)).sum())
        assert abs(deviations) < 4, f"{name}: {low:.1f}"


def test_pictures_of_training_and_test_show_different_digits(tmp_path):
    pytest.importorskip("PIL", reason="pictures need Pillow: pip install 'mlc[image]'")
    write_rows_demo(tmp_path / "digits", "image", 200)
    table = pl.read_csv(tmp_path / "digits" / "metadata.csv", schema_overrides={"digits": pl.String})
    assert sorted(table["split"].unique()) == ["test", "train", "validation"]
    assert all((tmp_path / "digits" / "pictures" / name).is_file() for name in table["file_name"])


def test_a_folder_that_holds_another_demo_is_refused_and_the_same_is_left_as_it_is(tmp_path):
    said: list[str] = []
    write_rows_demo(tmp_path / "demo", "table", 200, say=said.append)
    write_rows_demo(tmp_path / "demo", "table", 200, say=said.append)
    assert said == [f"{tmp_path / 'demo'} holds this demo already: table, 200 rows, seed 7"]
    with pytest.raises(RunError, match=r"holds another demo \(table, 200 rows, seed 7, version 1\)"):
        write_rows_demo(tmp_path / "demo", "text", 200)
    with pytest.raises(RunError, match="rows must be at least 100, not 5"):
        write_rows_demo(tmp_path / "few", "text", 5)
    assert not (tmp_path / "few").exists()


def test_the_command_writes_each_kind(mlc, tmp_path):
    made = mlc("demo", tmp_path / "patients", "--kind", "table", "--rows", "300")
    assert made.code == 0, made.err
    assert (tmp_path / "patients" / "schema.json").is_file()
    checked = mlc("check", tmp_path / "patients" / "scenario.yaml")
    assert checked.code == 0, checked.err
    assert "diabetes" in checked.out
