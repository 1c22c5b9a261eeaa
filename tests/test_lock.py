"""One process at a time holds a lock, and none that has ended."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from mlc.files import lock as locks
from mlc.files.lock import HeldError, holder_of, lock_path, locked

HOLD = """
import signal, sys, time
from pathlib import Path
from mlc.files.lock import HeldError, locked
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores Ctrl-C
try:
    with locked(Path(sys.argv[1]), print):
        print("held", flush=True)
        time.sleep(float(sys.argv[2]))
except HeldError as error:
    sys.exit(str(error))
"""


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "runs" / "shop"


def holding(folder, seconds: float = 60.0) -> subprocess.Popen[str]:
    """A process that holds the lock of a folder."""
    command = [sys.executable, "-c", HOLD, str(folder), str(seconds)]
    process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def ended(process: subprocess.Popen[str], number: int = signal.SIGKILL) -> None:
    process.send_signal(number)
    process.communicate(timeout=20)


def take(folder, lines: list[str] | None = None) -> str:
    """Take and release the lock; gives its holder where it is held."""
    try:
        with locked(folder, (lines if lines is not None else []).append):
            return ""
    except HeldError as error:
        return str(error)


def written_by(folder, **changes: object) -> None:
    """Leave the file of a holder that is not there."""
    with locked(folder, print):
        fields = json.loads(lock_path(folder).read_text())
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock_path(folder).write_text(json.dumps({**fields, "pid": 4_000_000, "token": "other", **changes}))


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(locks, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(locks, "SILENCE_SECONDS", 0.5)
    monkeypatch.setattr(locks, "_SETTLE_SECONDS", 0.1)
    monkeypatch.setattr(locks, "_BLOCKED_SECONDS", 0.2)


@pytest.fixture
def without_flock(monkeypatch):
    monkeypatch.setattr(locks, "_flock", lambda *_: False)


def test_a_held_lock_names_host_process_and_time_and_leaves_nothing_when_it_is_released(folder):
    process = holding(folder)
    held = take(folder)
    assert held.startswith(f"process {process.pid} on {socket.gethostname()} (since 20")
    assert holder_of(folder) == held
    ended(process, signal.SIGINT)
    assert not folder.parent.exists()
    assert (holder_of(folder), take(folder)) == ("", "")


def test_a_lock_is_free_at_once_when_its_holder_was_killed(folder):
    ended(holding(folder))
    assert lock_path(folder).exists()
    assert holder_of(folder) == ""
    lines: list[str] = []
    begun = time.monotonic()
    assert take(folder, lines) == ""
    assert time.monotonic() - begun < 10  # a silent holder is given up after 45 seconds
    assert lines == []
    assert not folder.parent.exists() or not any(folder.parent.iterdir())


def race(folder) -> None:
    """Many begin at once: one holds the lock until all others have given up, and they name it."""
    command = [sys.executable, "-c", HOLD, str(folder), "120"]
    processes = [
        subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(5)
    ]
    end = time.monotonic() + 100
    while sum(process.poll() is None for process in processes) > 1 and time.monotonic() < end:
        time.sleep(0.05)
    running = [process for process in processes if process.poll() is None]
    others = [process for process in processes if process not in running]
    errors = [process.communicate()[1] for process in others]
    for process in running:
        ended(process)
    assert len(running) == 1
    assert [process.returncode for process in others] == [1] * 4
    assert all(f"process {running[0].pid} on" in error for error in errors)


def test_of_many_that_begin_at_once_one_holds_the_lock(folder):
    race(folder)


def test_of_many_that_take_over_from_a_killed_holder_one_holds_the_lock(folder):
    ended(holding(folder))
    for _ in range(2):
        race(folder)  # the one that held it is killed


@pytest.mark.usefixtures("without_flock", "impatient")
def test_without_flock_a_process_is_told_from_a_later_one_of_the_same_number(folder):
    process = holding(folder)
    assert f"process {process.pid}" in take(folder)
    written = json.loads(lock_path(folder).read_text())
    lock_path(folder).write_text(json.dumps({**written, "birth": "1"}))
    assert holder_of(folder) == ""
    assert take(folder) == ""
    ended(process)


@pytest.mark.usefixtures("without_flock", "impatient")
def test_without_flock_a_killed_holder_is_gone_though_nobody_has_waited_for_it(folder):
    process = holding(folder)
    process.kill()
    time.sleep(0.2)  # a zombie
    assert take(folder) == ""
    process.communicate()


@pytest.mark.parametrize("flock", [True, False])
@pytest.mark.usefixtures("impatient")
def test_a_silent_holder_on_another_machine_is_gone_after_a_while(folder, monkeypatch, flock):
    if not flock:
        monkeypatch.setattr(locks, "_flock", lambda *_: False)
    written_by(folder, host="elsewhere", boot="another")
    assert "on elsewhere" in holder_of(folder)
    lines: list[str] = []
    assert take(folder, lines) == ""
    assert len(lines) == 1
    assert "process 4000000 on elsewhere (since" in lines[0]


@pytest.mark.usefixtures("impatient")
def test_a_holder_on_another_machine_that_renews_its_file_keeps_the_lock(folder):
    written_by(folder, host="elsewhere", boot="another")
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(0.1):
            os.utime(lock_path(folder))

    beats = threading.Thread(target=beat)
    beats.start()
    try:
        assert "on elsewhere" in take(folder)
    finally:
        stop.set()
        beats.join()
    assert json.loads(lock_path(folder).read_text())["host"] == "elsewhere"


@pytest.mark.usefixtures("impatient")
def test_a_holder_renews_its_file(folder):
    with locked(folder, print):
        seen = lock_path(folder).stat().st_mtime_ns
        time.sleep(0.3)
        assert lock_path(folder).stat().st_mtime_ns > seen


def test_a_holder_that_another_took_over_from_ends_at_once(folder):
    code = "import mlc.files.lock; mlc.files.lock.BEAT_SECONDS = 0.1\n" + HOLD
    command = [sys.executable, "-c", code, str(folder), "60"]
    process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    written = json.loads(lock_path(folder).read_text())
    lock_path(folder).write_text(json.dumps({**written, "host": "elsewhere", "token": "other"}))
    _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "on elsewhere" in err
    assert "has taken over, this process ends." in err
    assert lock_path(folder).exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"null", b"\xff"])
@pytest.mark.usefixtures("impatient")
def test_a_half_written_file_locks_nothing(folder, content):
    folder.parent.mkdir(parents=True)
    lock_path(folder).write_bytes(content)
    assert holder_of(folder) == ""
    assert take(folder) == ""
    assert not lock_path(folder).exists()


def test_waiting_ends_when_the_holder_ends(folder):
    process = holding(folder, 2.0)
    lines: list[str] = []
    with locked(folder, lines.append, "builds the event store"):
        assert process.wait(timeout=1) == 0
    assert len(lines) == 1
    assert lines[0].endswith("builds the event store: waiting for it")
    process.communicate()


def test_a_child_that_was_forked_does_not_release_the_lock_of_its_parent(folder):
    code = (
        "import os, sys, time\nfrom pathlib import Path\nfrom mlc.files.lock import locked\n"
        "with locked(Path(sys.argv[1]), print):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n        sys.exit()\n"
        "    os.waitpid(child, 0)\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, str(folder)], text=True, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    assert f"process {process.pid}" in take(folder)
    ended(process)
