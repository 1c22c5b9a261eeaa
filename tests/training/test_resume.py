"""A training that was stopped, anyhow and anywhere, ends with the weights of one that was not."""

import json
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from mlc.run import RunFolder
from mlc.training.stopping import Stopping, UpTo
from tests.conftest import Result, in_process, started

NAME = "departments_28d"
FLAGS = [
    flag
    for override in (
        *("model.preset=nano", "target.allow_empty=true", "train.epochs=3", "train.batch_size=128"),
        *("train.accumulate_grad_batches=2", "train.ema_decay=0.9", "train.checkpoint_minutes=0.000001"),
        *("train.patience=1", "train.learning_rate=0.02", "examples.train_cutoffs=3"),
    )
    for flag in ("--set", override)
]


@pytest.fixture(scope="module")
def whole(demo, tmp_path_factory) -> Path:
    """A run that was not interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    result = in_process("train", demo / f"{NAME}.yaml", *FLAGS, folder=folder)
    assert result.code == 0, result.err
    return folder / "runs" / NAME


def lines(run: Path) -> list[dict[str, float]]:
    """The log, without what the clock said."""
    found = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in found]


def assert_alike(run: Path, whole: Path) -> None:
    assert (run / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert (run / "report.json").read_bytes() == (whole / "report.json").read_bytes()
    assert lines(run) == lines(whole)


def interrupted(
    scenario: Path, folder: Path, number: int, verb: str = "train", flags: Sequence[str] = FLAGS
) -> Result:
    """A training that gets a signal in the middle of its first epoch."""
    run = RunFolder(folder / "runs" / (NAME if verb == "train" else f"{NAME}-foundation"))
    with started(verb, scenario, *flags, folder=folder) as training:
        for _ in range(3000):
            if run.last_checkpoint or training.poll() is not None:
                break
            time.sleep(0.02)
        training.send_signal(number)
        out, err = training.communicate(timeout=240)
    assert run.last_checkpoint, err
    assert not run.finished
    return Result(training.returncode, out, err)


def test_a_training_that_was_killed_goes_on_as_if_it_had_not_been(demo, whole, mlc, tmp_path):
    interrupted(demo / f"{NAME}.yaml", tmp_path, signal.SIGKILL)
    position = torch.load(tmp_path / "runs" / NAME / "checkpoints/last.ckpt", weights_only=True)["Loaders"]
    assert position["epoch"] == 0
    assert position["given"] > 0
    resumed = mlc("train", demo / f"{NAME}.yaml", *FLAGS, "--resume")
    assert resumed.code == 0, resumed.err
    assert_alike(tmp_path / "runs" / NAME, whole)


def test_a_training_that_the_system_ends_saves_says_so_and_goes_on_exactly(demo, whole, mlc, tmp_path):
    stopped = interrupted(demo / f"{NAME}.yaml", tmp_path, signal.SIGTERM)
    assert stopped.code == 143
    assert "stopped by SIGTERM" in stopped.err
    assert "is unfinished: mlc train with --resume goes on" in stopped.err
    assert "Traceback" not in stopped.err
    resumed = mlc("train", demo / f"{NAME}.yaml", *FLAGS, "--resume")
    assert resumed.code == 0, resumed.err
    assert_alike(tmp_path / "runs" / NAME, whole)


def test_a_pretraining_that_the_system_ends_goes_on_exactly_too(demo, mlc, tmp_path):
    overrides = ("preset=nano", "epochs=2", "cutoffs_per_entity=4", "batch_size=32", "seed=5")
    flags = [text for value in overrides for text in ("--set", f"pretrain.{value}")]
    flags += ["--set", "train.checkpoint_minutes=0.000001"]
    name, scenario, folder = f"{NAME}-foundation", demo / f"{NAME}.yaml", tmp_path / "whole"
    folder.mkdir()
    whole = in_process("pretrain", scenario, *flags, folder=folder)
    assert whole.code == 0, whole.err
    stopped = interrupted(scenario, tmp_path, signal.SIGTERM, "pretrain", flags)
    assert stopped.code == 143, stopped.err
    assert "is unfinished: mlc pretrain with --resume goes on" in stopped.err
    position = torch.load(tmp_path / "runs" / name / "checkpoints/last.ckpt", weights_only=True)
    assert position["_FutureLoaders"]["given"] > 0
    resumed = mlc("pretrain", scenario, *flags, "--resume")
    assert resumed.code == 0, resumed.err
    assert_alike(tmp_path / "runs" / name, folder / "runs" / name)


class CutError(Exception):
    """The process dies here."""


def cut_after(times: int, original: Callable[..., None]) -> Callable[..., None]:
    """A hook that works so many times."""
    seen = []

    def hooked(*arguments: object) -> None:
        original(*arguments)
        seen.append(arguments)
        if len(seen) == times:
            raise CutError

    return hooked


@pytest.mark.parametrize(
    ("hook", "times"),
    [("on_train_batch_end", 9), ("on_validation_batch_end", 2), ("on_validation_end", 2)],
    ids=["in the second epoch", "in its validation", "before its checkpoint"],
)
def test_it_goes_on_exactly_from_every_part_of_an_epoch(demo, whole, mlc, tmp_path, monkeypatch, hook, times):
    command = ("train", demo / f"{NAME}.yaml", *FLAGS)
    with monkeypatch.context() as patched:
        patched.setattr(Stopping, hook, cut_after(times, getattr(Stopping, hook)))
        assert mlc(*command).code == 3
    resumed = mlc(*command, "--resume")
    assert resumed.code == 0, resumed.err
    assert_alike(tmp_path / "runs" / NAME, whole)


@pytest.mark.parametrize("hedged", [False, True], ids=["an ensemble", "a hedge"])
def test_several_networks_go_on_exactly_and_a_refit_that_was_stopped_starts_over(
    demo, mlc, tmp_path, monkeypatch, hedged
):
    several = "model.members=2"
    if hedged:
        small = ("preset=nano", "epochs=1", "cutoffs_per_entity=1")
        flags = [text for value in small for text in ("--set", f"pretrain.{value}")]
        base = mlc("pretrain", demo / f"{NAME}.yaml", *flags, "--runs-dir", tmp_path)
        assert base.code == 0, base.err
        several = f"model.foundation={tmp_path / NAME}-foundation"
    more = ("--set", several, "--set", "train.refit=true", "--set", "baselines=[recency]")
    command = ("train", demo / f"{NAME}.yaml", *FLAGS, *more)
    for folder, cuts in (("whole", ()), ("cut", ((Stopping, "on_train_batch_end"), (UpTo, "on_train_end")))):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        for place, hook in cuts:
            with monkeypatch.context() as patched:
                patched.setattr(place, hook, cut_after(9 if place is Stopping else 1, getattr(place, hook)))
                resumed = () if place is Stopping else ("--resume",)
                assert mlc(*command, *resumed).code == 3
        result = mlc(*command, *(("--resume",) if cuts else ()))
        assert result.code == 0, result.err
    runs = [tmp_path / folder / "runs" / NAME for folder in ("cut", "whole")]
    assert_alike(*runs)
    one, two = ((run / "refit.safetensors").read_bytes() for run in runs)
    assert one == two != (runs[0] / "model.safetensors").read_bytes()
    assert {path.name for path in (runs[0] / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}


def test_a_checkpoint_of_the_last_epoch_does_not_train_one_more(demo, whole, mlc, tmp_path, monkeypatch):
    """Stopped early, and killed before the scores: the weights are there, and stay."""
    command = ("train", demo / f"{NAME}.yaml", *FLAGS)
    with monkeypatch.context() as patched:
        patched.setattr("mlc.training.supervised.score_batches", lambda *_: 1 / 0)
        assert mlc(*command).code == 3
    resumed = mlc(*command, "--resume")
    assert resumed.code == 0, resumed.err
    assert_alike(tmp_path / "runs" / NAME, whole)
