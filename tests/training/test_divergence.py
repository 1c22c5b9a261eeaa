"""A training whose weights or scores are no longer numbers ends with one error, on all ranks."""

from pathlib import Path

import pytest
import torch
from torch import nn

from mlc.training.divergence import is_finite
from tests.conftest import Result, python
from tests.support.shop_tables import write_shop

STEEP = """
import mlc.training.pretrainer as pretrainer
import mlc.training.module as module
from mlc.cli import main

module.learning_rate_factor = pretrainer.learning_rate_factor = lambda step, steps: 1e33
if __name__ == "__main__":
    main()
"""
NANO = (
    *("--set", "model.preset=nano", "--set", "train.epochs=2", "--set", "baselines=[recency]"),
    *("--set", "pretrain.epochs=2", "--set", "pretrain.preset=nano"),
)


def diverging(mlc, folder: Path, *arguments: object) -> Result:
    """The command line with a learning rate that no scenario may have."""
    if "--devices" not in arguments:
        with pytest.MonkeyPatch.context() as patched:
            for module in ("pretrainer", "module"):
                patched.setattr(f"mlc.training.{module}.learning_rate_factor", lambda *_: 1e33)
            return mlc(*arguments)
    script = folder / "steep.py"
    script.write_text(STEEP)
    with python(script, *arguments, folder=folder) as running:
        out, err = running.communicate(timeout=300)
    return Result(running.returncode, out, err)


@pytest.mark.parametrize(
    ("command", "more", "field"),
    [
        ("train", (), "train.learning_rate"),
        ("train", ("--devices", "2"), "train.learning_rate"),
        ("train", ("--set", "train.ema_decay=0.9", "--set", "train.refit=true"), "train.learning_rate"),
        ("pretrain", (), "pretrain.learning_rate"),
    ],
)
@pytest.mark.filterwarnings("ignore:Encountered `nan` values")
def test_a_loss_that_is_no_number_ends_the_training_at_its_learning_rate(mlc, tmp_path, command, more, field):
    scenario = write_shop(tmp_path)
    ended = diverging(mlc, tmp_path, command, scenario, *NANO, *more)
    said = f"{field}: the loss is no longer a number after epoch 1. Lower {field}, "
    assert ended.code == 2, ended.err
    assert ended.err.count(said) == 1
    assert "Traceback" not in ended.err
    runs = mlc("runs")
    assert runs.code == 0
    assert "unfinished" in runs.out
    assert not list((tmp_path / "runs").glob("*/model.safetensors"))
    again = mlc(command, scenario, *NANO)
    assert again.code == 2
    assert "--overwrite" in again.err
    assert mlc(command, scenario, *NANO, "--overwrite").code == 0


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_one_weight_that_is_not_finite_is_enough(bad):
    last = nn.Linear(2, 1)
    network = nn.Sequential(nn.Linear(3, 2), last)
    assert bool(is_finite(network))
    with torch.no_grad():
        last.weight[0, 1] = bad
    assert not bool(is_finite(network))
