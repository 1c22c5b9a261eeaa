"""`mlc runs`: every run in a line, whatever state it is in."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mlc.run import find_run
from mlc.scenario import default_name

NAME = "departments_28d"


@pytest.fixture
def folder(trained, tmp_path):
    """A runs folder with one finished run, the store, and things that are no runs."""
    runs = tmp_path / "runs"
    (runs / NAME).mkdir(parents=True)
    for file in ("run.json", "report.json"):
        shutil.copy(trained / NAME / file, runs / NAME / file)
    (runs / "store" / "abc").mkdir(parents=True)
    (runs / "notes.txt").write_text("mine")
    return runs


def listed(mlc, folder):
    result = mlc("runs", "--runs-dir", folder, "--json")
    assert result.code == 0, result.err
    return json.loads(result.out)


def test_a_finished_run_shows_the_numbers_of_its_report(mlc, folder):
    [run] = listed(mlc, folder)
    report = json.loads((folder / NAME / "report.json").read_text())
    assert (run["name"], run["scenario"], run["state"]) == (NAME, NAME, "finished")
    assert run["macro_ap"] == report["splits"]["test"]["macro"]["ap"]
    assert run["macro_auroc"] == report["splits"]["test"]["macro"]["auroc"]
    compared = report["comparison"]["ap"]
    assert (run["verdict"], run["baseline"]) == (compared["outcome"], compared["baseline"])
    shown = mlc("runs", "--runs-dir", folder).out
    assert f"{run['macro_ap']:.3f}" in shown
    assert compared["baseline"] in shown


def test_a_stopped_run_is_unfinished_and_the_newest_comes_first(mlc, folder):
    (folder / "later").mkdir()
    facts = {"kind": "model", "name": "x", "started": "2999-01-01T00:00:00+00:00", "mlc": "0"}
    (folder / "later" / "run.json").write_text(json.dumps(facts))
    assert [(run["name"], run["state"]) for run in listed(mlc, folder)] == [
        ("later", "unfinished"),
        (NAME, "finished"),
    ]
    assert "later: mlc train with --resume goes on" in mlc("runs", "--runs-dir", folder).out


@pytest.mark.parametrize("file", ["run.json", "report.json"])
@pytest.mark.parametrize(
    "content",
    [None, b"", b"{", b"[]", b"{}", b"null", b"\xff", b'{"name": 1, "started": 2}', b'{"splits": 3}'],
)
def test_a_damaged_run_is_listed_as_such_and_the_others_are_shown(mlc, folder, file, content):
    shutil.copytree(folder / NAME, folder / "broken")
    (folder / "broken" / file).unlink()
    if content is not None:
        (folder / "broken" / file).write_bytes(content)
    states = {run["name"]: (run["state"], run["note"]) for run in listed(mlc, folder)}
    assert states[NAME] == ("finished", None)
    assert states["broken"][0] == "damaged"
    rule = "no such file" if content is None else "not as mlc train wrote it"
    assert f"{file}: {rule}" in states["broken"][1]


@pytest.fixture
def foundation(folder):
    """A finished foundation beside the run, as `mlc pretrain` leaves one."""
    made = folder / "base"
    made.mkdir()
    facts = {
        "kind": "foundation",
        "name": "base",
        "started": "2024-05-01T10:00:00+00:00",
        "finished": "2024-05-01T11:00:00+00:00",
    }
    (made / "run.json").write_text(json.dumps(facts))
    (made / "vocabulary.json").write_text("{}")
    report = {"schema": "mlc/foundation-report/1", "until": "2024-03-31T00:00:00", "losses": []}
    (made / "report.json").write_text(json.dumps(report))
    return made


@pytest.mark.usefixtures("foundation")
def test_a_foundation_is_listed_as_one_and_not_as_damaged(mlc, folder):
    kinds = {run["name"]: (run["state"], run["kind"], run["until"]) for run in listed(mlc, folder)}
    assert kinds == {
        NAME: ("finished", "model", None),
        "base": ("finished", "foundation", "2024-03-31T00:00:00"),
    }
    shown = mlc("runs", "--runs-dir", folder).out.splitlines()
    [line] = [line for line in shown if line.split()[0] == "base"]
    assert line.split()[:5] == ["base", "2024-05-01", "11:00", "-", "-"]
    assert "foundation, sees events up to 2024-03-31" in line


def test_an_unfinished_and_a_damaged_foundation_are_listed_as_foundations_too(mlc, folder, foundation):
    (foundation / "report.json").write_text("{}")
    states = {run["name"]: (run["state"], run["kind"]) for run in listed(mlc, folder)}
    assert states["base"] == ("damaged", "foundation")
    facts = json.loads((foundation / "run.json").read_text())
    del facts["finished"]
    (foundation / "run.json").write_text(json.dumps(facts))
    notes = {run["name"]: (run["state"], run["kind"], run["note"]) for run in listed(mlc, folder)}
    assert notes["base"] == ("unfinished", "foundation", "mlc pretrain with --resume goes on")


def test_a_run_without_a_defined_score_or_a_baseline_has_no_verdict(mlc, folder):
    path = folder / NAME / "report.json"
    report = json.loads(path.read_text())
    report["comparison"]["ap"] = None
    report["splits"]["test"]["macro"] |= {"ap": None, "auroc": None}
    path.write_text(json.dumps(report))
    [run] = listed(mlc, folder)
    assert (run["macro_ap"], run["verdict"]) == (None, None)
    assert mlc("runs", "--runs-dir", folder).out.splitlines()[1].split()[-4:] == ["-", "-", "no", "verdict"]


def test_an_empty_folder_has_no_runs_and_a_missing_one_is_an_error(mlc, tmp_path):
    assert listed(mlc, tmp_path) == []
    missing = mlc("runs", "--runs-dir", tmp_path / "nowhere")
    assert missing.code == 2
    assert "no such folder of runs" in missing.err


def test_listing_loads_neither_torch_nor_polars():
    code = "import sys, mlc.commands.runs; assert not {'torch', 'polars', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_run_is_found_by_its_scenario_file_too(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tables = "{entity: c, tables: {t: {kind: events, path: t.csv, time: at}}}"
    (tmp_path / "shop.yaml").write_text(f"name: {NAME}\ndata: {tables}\n")
    for name in ("shop.yaml", "shop", NAME):
        assert find_run(trained, name).folder == trained / NAME


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("shop/scenario.yaml", "shop"),
        ("shop/next month.yaml", "next-month"),
        ("my shop/scenario.yaml", "my-shop"),
        ("tmp.aB3/scenario.yaml", "scenario"),
        ("configs/scenario.yaml", "scenario"),
        ("a/scenario.yaml", "scenario"),
    ],
)
def test_a_scenario_without_a_name_has_that_of_its_file_or_of_a_folder_that_tells_something(place, name):
    assert default_name(Path("/data") / place) == name


def test_a_run_of_an_earlier_version_is_refused_with_the_advice_to_train_again(mlc, folder):
    shutil.copytree(folder / NAME, folder / "old")
    facts = json.loads((folder / "old" / "run.json").read_text())
    facts["scenario_folder"] = {"from_run": "../..", "absolute": "/data"}
    (folder / "old" / "run.json").write_text(json.dumps(facts))
    result = mlc("predict", "old", "--runs-dir", folder)
    assert result.code == 2
    assert "run.json: not as mlc train wrote it" in result.err
    assert "an earlier version of mlc wrote it" in result.err
    assert "train again" in result.err
