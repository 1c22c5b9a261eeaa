"""One of two processes of a training is killed: the other says so, ends, and `--resume` goes on."""

import os
import signal
import time
from pathlib import Path

import pytest

from mlc.run import RunFolder
from mlc.training.peers import LOST
from tests.conftest import process, started
from tests.support.shop_tables import write_shop

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc")

FLAGS = (
    *("--set", "model.preset=nano", "--set", "train.batch_size=32", "--set", "train.patience=1000"),
    *("--set", "baselines=[recency]", "--set", "train.checkpoint_minutes=0.000001", "--devices", "2"),
    *("--set", "train.epochs=5"),
)


def children_of(parent: int) -> list[int]:
    """The processes that a process has started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, above = path.read_text().rpartition(") ")[2].split()[:2]
        except OSError:  # it has just ended
            continue
        if int(above) == parent and state != "Z":
            found.append(int(path.parent.name))
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("victim", "moment"), [(1, "training"), (0, "training"), (1, "starting"), (0, "starting")]
)
def test_a_process_that_dies_ends_the_training_with_one_sentence_and_it_can_go_on(tmp_path, victim, moment):
    scenario = write_shop(tmp_path)
    run = RunFolder(tmp_path / "runs" / "shop")
    with started("train", scenario, *FLAGS, folder=tmp_path) as training:
        while not (run.last_checkpoint if moment == "training" else children_of(training.pid)):
            assert training.poll() is None
            time.sleep(0.02)
        [other] = children_of(training.pid)
        os.kill(training.pid if victim == 0 else other, signal.SIGKILL)
        out, err = training.communicate(timeout=60)  # the pipes close when the last process has ended
    assert not alive(other)
    assert training.returncode == (-signal.SIGKILL if victim == 0 else 2), err
    assert out == ""
    assert err.count(LOST) == 1, err
    assert "Traceback" not in err
    assert "internal error" not in err
    if (victim, moment) == (1, "training"):
        resumed = process("train", scenario, *FLAGS, "--resume", folder=tmp_path)
        assert resumed.code == 0, resumed.err
