"""Progress: one line at the bottom of a terminal, below all messages; nothing anywhere else."""

import io
import os
import pty
import re
import subprocess
import sys

import pytest
from rich.console import Console

from mlc.cli.display import BottomLine
from mlc.progress import advance, shown_on, stage
from tests.conftest import process
from tests.support.effort import FAST

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
PLACES = re.compile(r"\r|\n|\x1b\[2K")


def on_terminal(*arguments, folder, **environment):
    """Run the command line with standard error on a terminal; return what was written there."""
    controller, terminal = pty.openpty()
    unset = {name: value for name, value in os.environ.items() if name not in ("CI", "NO_COLOR")}
    command = [sys.executable, "-m", "mlc", *map(str, arguments)]
    environment = {**unset, "TERM": "xterm-256color", "COLUMNS": "80", **environment}
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=terminal, env=environment
    ) as running:
        os.close(terminal)
        written = b""
        while block := _read(controller):
            written += block
    os.close(controller)
    assert running.returncode == 0, written.decode()
    return written.decode()


def _read(controller):
    try:
        return os.read(controller, 65536)
    except OSError:  # Linux says so where the other side is closed
        return b""


def drawn(line, width):
    """Draw a line on a terminal of a width."""
    file = io.StringIO()
    Console(file=file, width=width).print(line)
    return file.getvalue().removesuffix("\n")


def test_the_stages_of_a_training_are_named_and_epochs_count_from_1(demo, tmp_path):
    if FAST in os.environ:
        pytest.skip("it trains")
    written = on_terminal("train", demo / "departments_28d.yaml", "--smoke", folder=tmp_path)
    places = [text for place in PLACES.split(written) if (text := ESCAPE.sub("", place).rstrip())]
    stages = [match[1] for text in places if (match := re.match(r"[-\\|/] ([a-z ]+?) (?:\d|epoch)", text))]
    expected = ["loading", "reading tables", "training", "boosting", "report"]
    assert [name for name in dict.fromkeys(stages) if name in expected] == expected
    assert "epoch 1 of 1" in written
    assert "epoch 0" not in written
    assert [text for text in places if text.startswith("kept ")]
    assert [text for text in places if text.startswith("best epoch 1")]
    assert places[-1].startswith("Next: mlc train ")


def test_the_first_stage_stands_there_before_anything_is_loaded(tmp_path):
    written = on_terminal("demo", "shop", "--customers", 20, folder=tmp_path)
    assert written.startswith("loading\r")
    assert "simulated 20 of 20 customers" in written


@pytest.mark.parametrize("plain", [{"NO_COLOR": "1"}, {"CI": "true"}, {"TERM": "dumb"}])
def test_a_plain_terminal_gets_the_messages_alone(plain, tmp_path):
    lines = on_terminal("demo", "shop", "--customers", 20, folder=tmp_path, **plain).splitlines()
    assert lines == ["simulated 20 of 20 customers", "Next: mlc train shop/departments_28d.yaml"]


def test_a_pipe_gets_no_control_characters(tmp_path):
    result = process("demo", "shop", "--customers", 20, folder=tmp_path)
    assert result.err.splitlines()[0] == "simulated 20 of 20 customers"
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", result.out + result.err)


@pytest.mark.parametrize("width", [60, 80])
def test_the_line_fits_and_shows_stage_epoch_and_time_left(width, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("mlc.cli.display.time.monotonic", lambda: clock[0])
    line = BottomLine("loading")
    with shown_on(line):
        stage("training again")
        advance(100, 1000, "epoch 11 of 100")  # resumed: what was done before took no time
        clock[0] = 60.0
        advance(200, 1000, "epoch 21 of 100")
    text = drawn(line, width)
    assert "training again epoch 21 of 100" in text
    assert text.rstrip().endswith("0:08:00 left")
    assert "\n" not in text


def test_progress_without_a_display_is_silent(capfd):
    stage("training")
    advance(1, 2, "epoch 1 of 1")
    assert capfd.readouterr() == ("", "")
