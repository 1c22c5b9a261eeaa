"""Ctrl-C, SIGTERM and SIGHUP at odd moments: the exit code is right, and nothing is swallowed."""

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlc.cli.signals import Signals
from mlc.errors import Terminated

ENDINGS = [
    (signal.SIGTERM, 143, "stopped by SIGTERM\n"),
    (signal.SIGINT, 130, "stopped\n"),
    (signal.SIGHUP, 129, "stopped by SIGHUP: the terminal was closed\n"),
]


@pytest.fixture(autouse=True)
def _listening() -> Iterator[None]:
    """In the background of a shell Ctrl-C is ignored, under nohup SIGHUP, by commands too."""
    usual: dict[int, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    former = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in former.items():
        signal.signal(number, handler)


class PanicError(BaseException):
    """What Rust libraries make of an exception within their callbacks."""


def send(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(0.01)


def in_a_destructor(number: int) -> None:
    class Leaving:
        def __del__(self) -> None:
            send(number)

    Leaving()
    time.sleep(5)  # Python ignores what a destructor raises
    raise AssertionError("the signal was swallowed")


def within_another_exception(kind: type[BaseException]) -> Callable[[int], None]:
    def raised(number: int) -> None:
        try:
            send(number)
        except BaseException as error:
            raise kind(f"callback failed: {error!r}") from None

    return raised


def in_a_finally_block(number: int) -> None:
    try:
        raise ZeroDivisionError
    finally:
        send(number)


@pytest.mark.parametrize(("number", "code", "told"), ENDINGS)
@pytest.mark.parametrize(
    "arrives",
    [
        send,
        in_a_destructor,
        in_a_finally_block,
        within_another_exception(ValueError),
        within_another_exception(PanicError),
        within_another_exception(SystemExit),
    ],
    ids=["plainly", "in a destructor", "in a finally block", "as another", "as a panic", "as an exit"],
)
def test_a_signal_ends_a_command_with_its_code_wherever_it_arrives(
    mlc, monkeypatch, arrives, number, code, told
):
    monkeypatch.setattr("mlc.commands.runs.runs", lambda _: arrives(number))
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    result = mlc("runs")
    assert (result.code, result.out, result.err) == (code, "", told)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_a_signal_while_an_error_is_told_changes_nothing(mlc, monkeypatch):
    def told_late(*_: object) -> str:
        send(signal.SIGTERM)
        return ""

    monkeypatch.setattr("mlc.run.what_is_left", told_late)
    monkeypatch.setattr("mlc.cli.trace_folders", [Path(), Path("runs/x")])
    monkeypatch.setattr("mlc.cli.refusal", lambda _: "no space")
    result = mlc("runs", "--runs-dir", "nowhere")
    assert result.code == 2
    assert "nowhere" in result.err


def test_a_signal_raises_only_while_a_command_works():
    with Signals() as signals:
        signals.raising = True
        with pytest.raises(Terminated):
            send(signal.SIGTERM)
        signals.raising = False
        send(signal.SIGTERM)


WORKING = """
import time
from mlc.cli.display import on_terminal
from mlc.cli.signals import Signals
with Signals() as signals, on_terminal("working"):
    signals.raising = True
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_however_a_command_ends_the_terminal_has_its_cursor(number):
    ours, its = pty.openpty()
    working = subprocess.Popen(
        [sys.executable, "-c", WORKING],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=its,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(its)
    written = b""
    while b"working" not in written:
        written += os.read(ours, 4096)
    time.sleep(0.5)  # the line is drawn again
    working.send_signal(number)
    working.wait(30)
    with contextlib.suppress(OSError):  # the end of a terminal is an error
        while more := os.read(ours, 4096):
            written += more
    os.close(ours)
    assert re.findall(rb"\x1b\[\?25([lh])", written)[-1] == b"h"
