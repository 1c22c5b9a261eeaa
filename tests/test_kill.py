"""Commands that are killed at random moments: `tests/support/kill.py`, a few times; more by MLC_KILLS=200."""

import os
import random

import pytest

from tests.support.kill import COMMANDS, SIGNALS, World, kill_often

KILLS = int(os.environ.get("MLC_KILLS", "6"))
QUICKEST = [command for command in COMMANDS if command.name in ("labels", "train", "check", "init")]


@pytest.mark.slow
def test_a_command_killed_anywhere_leaves_nothing_broken_and_ends_in_the_same_files(tmp_path):
    commands = QUICKEST if KILLS < 20 else COMMANDS
    seed = random.Random().randrange(1_000_000)
    killed = list(kill_often(tmp_path, commands, KILLS, seed))
    assert len(killed) == KILLS
    faults = [str(one) for one in killed if one.faults]
    assert not faults, f"seed {seed}: " + "\n".join(faults)


def test_the_comparison_sees_a_byte_that_differs_a_file_too_many_and_one_that_is_missing(tmp_path):
    world = World(tmp_path)
    check = next(command for command in COMMANDS if command.name == "init")
    whole, _ = world.whole(check)
    (whole / "first.yaml").write_text("another")
    (whole / "gone.txt").write_text("x")
    found = world.kill(check, SIGNALS[0], 0.01).faults
    assert "first.yaml differs" in found
    assert "gone.txt is missing" in found
