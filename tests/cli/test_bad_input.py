"""Commands on runs that are not as they should be, full disks, Ctrl-C: nothing lost, one clear message."""

import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from functools import partial

import polars as pl
import pytest

from mlc.commands.moments import given_moment
from tests.conftest import Result, in_process, python
from tests.support.event_scenarios import load_events
from tests.support.shop_tables import QUICK, SCENARIO, shop_tables, snapshot, write_shop

LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
del sys.argv[1]
from mlc.cli import main
main()
"""


def on_a_full_disk(most: int, *arguments: object, folder) -> Result:
    """The command line where no file can grow beyond `most` bytes."""
    with python("-c", LIMITED, most, *arguments, folder=folder) as running:
        out, err = running.communicate(timeout=120)
    return Result(running.returncode, out, err)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A folder with a shop and one finished run of it, `shop`; copied for every test."""
    folder = tmp_path_factory.mktemp("finished")
    result = in_process("train", write_shop(folder), *QUICK, folder=folder)
    assert result.code == 0, result.err
    return folder


@pytest.fixture
def shop(finished, tmp_path, mlc):  # noqa: ARG001 - `mlc` makes it the working folder
    """A copy of `finished`, as the working folder; paths inside it are relative."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def refused(mlc, shop):
    """Runs a command that must fail; gives its message. Nothing in the folder may change."""

    def run(*arguments: object) -> str:
        before = snapshot(shop)
        result = mlc(*arguments)
        assert (result.code, result.out) == (2, ""), result.err
        assert "Traceback" not in result.err
        after = snapshot(shop)
        assert {name: after.get(name) for name in before} == before
        assert all(name.startswith("runs/store/") for name in after.keys() - before.keys())
        return result.err.replace(f"{shop}/", "")

    return run


# ── the command line ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["chek"], "No such command 'chek'. Did you mean 'check'"),
        (["check"], "Missing argument 'SCENARIO'"),
        (["check", "shop.yaml", "--foo"], "No such option: --foo"),
        (["train", "shop.yaml", "--devices", "0"], "'--devices'"),
        (["train", "shop.yaml", "--devices", "two"], "'--devices'"),
        (["evaluate", "shop", "--split", "tset"], "'--split'"),
        (["check", "shop.yaml", "--set", "nonsense"], "--set nonsense: must be section.field=value"),
        (["check", "shop.yaml", "--set", "train.epochs=many"], "train.epochs: must be a whole number"),
        (
            ["check", "shop.yaml", "--set", "trane.epochs=1"],
            "trane: unknown field, did you mean train?",
        ),
        (["train", "shop.yaml", "--resume", "--overwrite"], "exclude each other"),
        (["labels", "shop.yaml", "--out", "x.csv"], "--out x.csv: must end in .parquet, not in .csv"),
        (["labels", "shop.yaml", "--out", "."], "--out .: must end in .parquet, and has no ending"),
        (["labels", "shop.yaml", "--out", "sales.parquet/x.parquet"], "sales.parquet/x.parquet: cannot be"),
        (["check", "shop.yaml", "--runs-dir", "sales.parquet"], "cannot be written: "),
        (["demo", "sales.parquet"], "sales.parquet holds something that is not a demo"),
        (["demo", "d", "--customers", "0"], "customers must be at least 1, not 0"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused(refused, arguments, told):
    assert told in refused(*arguments)


# ── runs ────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_of_the_same_scenario_is_not_overwritten_unasked(refused):
    told = refused("train", "shop.yaml", *QUICK)
    assert told.startswith("runs/shop: a finished run of the same scenario is there already.")
    assert "Add --overwrite to start over, or --set name=… to make another." in told


@pytest.mark.parametrize("how", [[], ["--resume"]])
def test_a_run_of_another_scenario_is_refused_with_every_difference(refused, how):
    told = refused(
        "train", "shop.yaml", *QUICK, *how, "--set", "target.window_days=20", "--set", "train.seed=8"
    )
    assert "target.window_days was 21 and is 20" in told
    assert "train.seed was 7 and is 8" in told
    assert "--overwrite" in told


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--resume"], "runs/shop: a finished run, which cannot be resumed"),
        (["--resume", "--set", "name=other"], "runs/other: no such run to resume"),
        (
            ["--overwrite", "--set", "target.class_names=[Drss]"],
            "'Drss' never occurs in items.kind. Did you mean Dress?",
        ),
        (["--set", "name=data"], "runs/data: holds files that are no run"),
        (["--set", "name=file"], "runs/file: is a file, where a run has a folder"),
    ],
)
def test_a_run_folder_in_another_state_is_refused(refused, shop, flags, told):
    write_shop(shop / "runs" / "data")
    (shop / "runs" / "file").touch()
    assert told in refused("train", "shop.yaml", *QUICK, *flags)


@pytest.mark.parametrize("command", ["evaluate", "predict"])
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("shp", "no run shp in runs. Did you mean shop?"),
        ("other.yaml", "no run other.yaml in runs."),
        ("half", "runs/half: its training did not end. mlc train"),
    ],
)
def test_a_run_that_is_not_there_or_not_finished_is_refused(refused, shop, command, name, told):
    shutil.copytree(shop / "runs" / "shop", shop / "runs" / "half")
    (shop / "runs" / "half" / "report.json").unlink()
    assert told in refused(command, name)


def test_where_there_is_no_run_at_all_the_way_to_one_is_told(mlc):
    assert "Train first, or name another folder: --runs-dir" in mlc("predict", "shop").err


FILES = ["thresholds.json", "model.json", "vocabulary.json", "run.json", "resolved.yaml", "model.safetensors"]


@pytest.mark.parametrize("damage", ["cut", "other", "gone"])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_of_a_run_is_named(refused, shop, name, damage):
    file = shop / "runs" / "shop" / name
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(b"{}" if damage == "other" else file.read_bytes()[: file.stat().st_size // 3])
    for command in ("predict", "evaluate"):
        told = refused(command, "shop")
        assert f"runs/shop/{name}" in told or (
            name == "run.json" and "runs/shop: its training did not end" in told
        )


def test_tables_that_are_gone_or_changed_are_told(refused, mlc, shop):
    sales = shop_tables()["sales"]
    (shop / "sales.parquet").unlink()
    for command in ("evaluate", "predict"):
        assert "no such file: sales.parquet" in refused(command, "shop")
    sales.drop("item").write_parquet("sales.parquet")
    for command in ("evaluate", "predict"):
        assert "sales has no column item" in refused(command, "shop")
    sales.write_parquet("sales.parquet")
    customers = shop_tables()["customers"]
    customers.with_columns(pl.lit(0.5).alias("region")).write_parquet("customers.parquet")
    for command in ("evaluate", "predict"):
        told = refused(command, "shop")
        assert "customers.region: a category in training, now Float64. Mend" in told
    customers.drop("region").write_parquet("customers.parquet")
    predicted = mlc("predict", "shop", "--out", "new.csv")
    assert predicted.code == 0
    assert "the model knows customers.region, the tables no longer do: taken as missing" in predicted.err


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--as-of", "2099-01-01"], "outside the tables, whose events reach from 2024-01-01 00:00 to"),
        (["--as-of", "1999-01-01"], "one window after the last event"),
        (
            ["--as-of", "yesterday"],
            "--as-of: not a date: yesterday. Write 2024-03-31, 2024-03-31T12:00 or today",
        ),
        (
            ["--threshold", "1.5"],
            "--threshold: '1.5' is no threshold. Write stored, never, a number in [0, 1], or",
        ),
        (["--threshold", "Drss=.4,Skirt=2"], "Did you mean Dress?\n--threshold: 'Skirt' needs a number"),
        (["--out", "x.json"], "--out x.json: must end in .parquet or .csv, not in .json"),
        (["--out", "folder.csv"], "--out folder.csv: is a folder"),
        (["--out", "sales.parquet/x.csv"], "sales.parquet/x.csv: cannot be written: "),
    ],
)
def test_a_prediction_that_makes_no_sense_is_refused(refused, shop, flags, told):
    (shop / "folder.csv").mkdir()
    (shop / "folder.csv" / "precious").write_text("p")
    (shop / "scores.parquet").write_text("former")
    assert told in refused("predict", "shop", *flags)


def test_a_prediction_up_to_one_window_after_the_last_event_is_made_with_a_warning(mlc, shop):
    last = pl.read_parquet(shop / "sales.parquet")["at"].max()
    assert isinstance(last, datetime)
    midnight = (last + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    told = mlc("predict", "shop", "--as-of", midnight.isoformat(), "--out", "a.csv")
    assert told.code == 0, told.err
    assert "warning: --as-of" not in told.err
    late = last + timedelta(days=2, hours=1)
    told = mlc("predict", "shop", "--as-of", late.isoformat(), "--out", "b.csv")
    assert told.code == 0, told.err
    assert f"warning: --as-of {late:%Y-%m-%d %H:%M} is 2 days after the last event (" in told.err
    assert pl.read_csv(shop / "b.csv").height > 0
    window = load_events(shop / "runs/shop/resolved.yaml").target.longest_days
    for days, code in ((window, 0), (window + 1, 2)):
        moment = (last + timedelta(days=days)).isoformat()
        assert mlc("predict", "shop", "--as-of", moment, "--out", "c.csv").code == code


def test_today_is_the_midnight_at_which_today_began():
    moment = given_moment("today")
    assert moment is not None
    assert timedelta(0) <= datetime.now() - moment < timedelta(days=1, seconds=5)
    assert (moment.hour, moment.minute, moment.tzinfo) == (0, 0, None)


# ── odd but right ───────────────────────────────────────────────────────────────────────────────


def test_one_label_and_odd_names_go_all_the_way(mlc, tmp_path):
    odd = ("cutoff", "Food, Fresh=1", "two\nlines 🎁")
    text = SCENARIO.replace("[Dress, Skirt, Shorts]", json.dumps(odd))
    path = write_shop(tmp_path, text, items=shop_tables(odd)["items"])
    for name, flags in (("one", ["--set", 'target.class_names=["Food, Fresh=1"]']), ("odd", [])):
        trained = mlc("train", path, *QUICK, *flags, "--set", f"name={name}")
        assert trained.code == 0, trained.err
        evaluated = mlc("evaluate", name)
        assert evaluated.code == 0, evaluated.err
        assert "the same numbers as in training" in evaluated.err
    assert mlc("predict", "one", "--threshold", "Food, Fresh=1=.3").code == 0
    assert pl.read_parquet("scores.parquet")["Food, Fresh=1: decision"].dtype == pl.Boolean
    refused = mlc("predict", "odd")
    assert (refused.code, refused.out) == (2, "")
    assert "several columns would have the same name: cutoff. Use --long." in refused.err
    assert mlc("predict", "odd", "--long", "--out", "long.csv").code == 0
    assert set(pl.read_csv("long.csv")["label"]) == set(odd)


# ── a full disk ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("most", [0, 2_000, 20_000])
def test_a_full_disk_while_labels_are_made_leaves_what_was_there(tmp_path, most):
    write_shop(tmp_path)
    (tmp_path / "examples.parquet").write_text("former")
    before = snapshot(tmp_path)
    result = on_a_full_disk(most, "labels", "shop.yaml", folder=tmp_path)
    assert (result.code, result.out) == (2, ""), result.err
    assert "cannot be written: " in result.err
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("most", [0, 20_000, 100_000])
def test_a_full_disk_while_the_demo_is_made_leaves_nothing(tmp_path, most):
    result = on_a_full_disk(most, "demo", "demo", "--customers", "300", folder=tmp_path)
    assert (result.code, result.out) == (2, ""), result.err
    assert result.err.startswith("demo: the demo cannot be written: File too large")
    assert snapshot(tmp_path) == {}


def test_a_full_disk_while_scores_are_written_leaves_the_former_ones(shop, mlc):
    assert mlc("labels", "shop.yaml").code == 0  # builds the store
    (shop / "scores.csv").write_text("former")
    before = snapshot(shop)
    result = on_a_full_disk(1_000, "predict", "shop", "--out", "scores.csv", folder=shop)
    assert (result.code, result.out) == (2, ""), result.err
    assert "scores.csv: cannot be written: File too large. What was there is unchanged." in result.err
    assert snapshot(shop) == before


@pytest.mark.parametrize("most", [300, 10_000])
def test_a_full_disk_while_training_leaves_the_former_run(shop, mlc, most):
    assert mlc("labels", "shop.yaml").code == 0  # builds the store
    former = snapshot(shop / "runs" / "shop")
    result = on_a_full_disk(most, "train", "shop.yaml", *QUICK, "--overwrite", folder=shop)
    assert (result.code, result.out) == (2, ""), result.err
    started = most > 300
    kept = shop / "runs" / ("shop.previous" if started else "shop")
    assert snapshot(kept) == former
    assert ("the former run is in runs/shop.previous" in result.err) is started
    assert not [name for name in snapshot(shop) if "/." in f"/{name}"]
    if started:
        assert mlc("train", "shop.yaml", *QUICK, "--resume").code == 0
        assert not kept.exists()


# ── Ctrl-C, and bugs of ours ────────────────────────────────────────────────────────────────────


def test_ctrl_c_in_a_training_leaves_the_former_run_and_can_be_resumed(shop, mlc):
    former = snapshot(shop / "runs" / "shop")
    arguments = ["train", "shop.yaml", *QUICK, "--set", "train.epochs=9", "--set", "train.patience=9"]
    command = [sys.executable, "-m", "mlc", *arguments, "--overwrite"]
    # Where the tests run in the background of a shell, children would ignore Ctrl-C.
    listens = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=shop, preexec_fn=listens
    ) as running:
        assert running.stderr is not None
        while not running.stderr.readline().startswith("epoch 1"):
            assert running.poll() is None
        running.send_signal(signal.SIGINT)
        told, errors = running.communicate(timeout=240)
    assert (running.returncode, told) == (130, "")
    assert "Traceback" not in errors
    assert "stopped\nruns/shop is unfinished: mlc train with --resume goes on; the former run is in" in errors
    assert snapshot(shop / "runs" / "shop.previous") == former
    unfinished = mlc(*arguments)
    assert "an unfinished run of the same scenario is there already. Add --resume to go on" in unfinished.err
    assert "its training did not end" in mlc("predict", "shop").err
    assert mlc("predict", "shop.previous", "--out", "former.csv").code == 0
    assert mlc(*arguments, "--resume").code == 0
    epochs = [json.loads(line)["epoch"] for line in (shop / "runs/shop/log.jsonl").read_text().splitlines()]
    assert sorted(set(epochs)) == list(range(1, 10))  # the one that was stopped may stand twice
    assert not (shop / "runs" / "shop.previous").exists()


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_ctrl_c_while_labels_are_made_leaves_what_was_there(shop, mlc, monkeypatch):
    (shop / "examples.parquet").write_text("former")
    before = snapshot(shop)
    monkeypatch.setattr(pl.DataFrame, "write_parquet", interrupted)
    result = mlc("labels", "shop.yaml", "--runs-dir", "other")
    assert (result.code, result.out, result.err) == (130, "", "stopped\n")
    assert snapshot(shop) == before


def test_a_bug_of_ours_leaves_its_trace_in_the_run(shop, mlc, monkeypatch):
    former = snapshot(shop / "runs" / "shop")

    def broken(*_: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("mlc.training.event_learner.fit_vocabulary", broken)
    result = mlc("train", "shop.yaml", *QUICK, "--overwrite")
    assert (result.code, result.out) == (3, "")
    assert "internal error: ZeroDivisionError: ours\nthe trace is in runs/shop/mlc-error.log" in result.err
    after = snapshot(shop / "runs" / "shop")
    assert "in broken" in after.pop("mlc-error.log").decode()
    assert after == former


def test_a_bug_that_cannot_be_written_down_is_shown(shop, mlc, monkeypatch):
    monkeypatch.setattr("mlc.commands.labels.prepare", lambda *_: 1 / 0)
    (shop / "mlc-error.log").mkdir()
    result = mlc("labels", "shop.yaml")
    assert result.code == 3
    assert "ZeroDivisionError: division by zero\nplease report it; mlc-error.log could not" in result.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_runs_folder_that_cannot_be_written_is_told(shop, mlc):
    (shop / "closed").mkdir(mode=0o555)
    assert "cannot be written: Permission denied" in mlc("check", "shop.yaml", "--runs-dir", "closed").err
