"""A lock that one process holds, and nobody once that process has ended.

The holder keeps an exclusive `flock` on the file, which the kernel drops however the process ends, and
writes into the file who it is. On one machine that decides, on any file system. Some network file systems
have no `flock`, or keep it to one machine. Without it, a process of this machine is looked up by its number
and its start time. A holder on another machine, or before a reboot, counts as gone when the time of the file
has not moved for `SILENCE_SECONDS`: a living holder renews it every `BEAT_SECONDS`.
"""

import contextlib
import errno
import fcntl
import json
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from mlc.errors import MlcError

BEAT_SECONDS = 10.0
SILENCE_SECONDS = 45.0
_BLOCKED_SECONDS = 1.0
"""How long a taken `flock` is tried again: whoever only looks holds it for an instant."""
_SETTLE_SECONDS = 0.5
"""Longer than it takes to write into the file: then the last of several that took it over has it."""


@dataclass(frozen=True)
class _Holder:
    """A process.

    Attributes:
        host: Name of its machine.
        pid: Its number.
        since: When it took the lock, UTC.
        boot: Changes with machine and reboot.
        namespace: Where its number means something; containers have their own.
        birth: When it began, in ticks since the boot; empty where the system does not tell.
        token: Of this lock alone.
    """

    host: str
    pid: int
    since: str
    boot: str
    namespace: str
    birth: str
    token: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} (since {self.since})"


class HeldError(Exception):
    """Somebody else holds the lock; the text says who."""


class Lock:
    """A lock that this process holds until `release`."""

    def __init__(self, path: Path, file: int, holder: _Holder) -> None:
        self._path, self._file, self._holder = path, file, holder
        self._ended = threading.Event()
        self._beats = threading.Thread(target=self._beat, daemon=True, name=f"beats of {path.name}")
        self._beats.start()

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError):  # a server that does not answer may answer the next time
                now = _read(self._file)
                if now is not None and now.token != self._holder.token:
                    # This process was suspended for so long that another took over: not one byte more.
                    sys.stderr.write(f"{self._path}: {now} has taken over, this process ends.\n")
                    os._exit(2)
                os.utime(self._file)

    def release(self) -> None:
        """Let go of the lock and remove its file, unless somebody else has taken it over."""
        if os.getpid() != self._holder.pid:  # a fork ends
            return
        self._ended.set()
        self._beats.join(timeout=1.0)
        with contextlib.suppress(OSError):
            now = _read(self._file)
            if now is not None and now.token == self._holder.token and _lies_at(self._file, self._path):
                self._path.unlink()
        if not self._beats.is_alive():
            os.close(self._file)


def lock_path(folder: Path) -> Path:
    """The lock of a folder: beside it, since the folder itself may be replaced."""
    return folder.with_name(f".{folder.name}.lock")


@contextmanager
def locked(folder: Path, say: Callable[[str], None], waiting: str = "") -> Iterator[None]:
    """Hold the lock of a folder, which need not exist, for the length of the block.

    Args:
        folder: What is locked. The folders around it are made; those still empty at the end are removed.
        say: Receives a line where it takes long to find out.
        waiting: Wait until the lock is free, and say this of its holder; empty to raise instead.

    Raises:
        HeldError: Another process holds the lock.
        MlcError: The folder cannot be written.
    """
    missing = [parent for parent in folder.absolute().parents if not parent.exists()]
    try:
        lock = _taken(lock_path(folder), say, waiting)
    except OSError as error:
        raise MlcError(f"{folder}: cannot be written: {error.strerror}") from error
    try:
        yield
    finally:
        lock.release()
        for parent in missing:
            with contextlib.suppress(OSError):
                parent.rmdir()


def holder_of(folder: Path) -> str:
    """Who holds the lock of a folder; empty where nobody does."""
    try:
        file = os.open(lock_path(folder), os.O_RDONLY)
    except OSError:
        return ""
    try:
        holder = _read(file)
        alone = _flock(file, fcntl.LOCK_SH)
        age = time.time() - os.fstat(file).st_mtime
    except BlockingIOError:
        return str(holder or "another process")
    finally:
        os.close(file)
    if holder is None:
        return ""
    here = _lives_here(holder, alone)
    return str(holder) if here or (here is None and age < SILENCE_SECONDS) else ""


def _taken(path: Path, say: Callable[[str], None], waiting: str) -> Lock:
    """The lock, as soon as it is free."""
    message = ""
    while True:
        try:
            return _take(path, say)
        except HeldError as error:
            if not waiting:
                raise
            if str(error) != message:
                message = str(error)
                say(f"{message} {waiting}: waiting for it")
        time.sleep(_BLOCKED_SECONDS / 4)


def _take(path: Path, say: Callable[[str], None]) -> Lock:
    """The lock of a file.

    Raises:
        HeldError: Another process holds it.
    """
    end = time.monotonic() + _BLOCKED_SECONDS
    while True:
        file, new = _opened(path)
        lock = None
        try:
            alone = _flock(file, fcntl.LOCK_EX)
            before = None if new else _settled(file)
            gone = before is None or not _alive(before, path, alone, say)
            if not _lies_at(file, path):
                continue  # its holder has just removed it
            if not gone:
                raise HeldError(str(before))
            holder = _this_process()
            _write(file, holder, path)
            if not new and not (alone and before is not None and before.boot == holder.boot):
                time.sleep(_SETTLE_SECONDS)  # others may have taken it over too
                last = _read(file)
                if last is None or last.token != holder.token:
                    raise HeldError(str(last or "another process"))
            lock = Lock(path, file, holder)
            return lock
        except BlockingIOError:
            who = str(_read(file) or "another process")
        finally:
            if lock is None:
                os.close(file)
        if time.monotonic() > end:
            raise HeldError(who)
        time.sleep(_BLOCKED_SECONDS / 20)


def _opened(path: Path) -> tuple[int, bool]:
    """The open file, and whether it was made just now.

    One process makes it, also over a network.
    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        for flags in (os.O_CREAT | os.O_EXCL, 0):
            with contextlib.suppress(FileExistsError, FileNotFoundError):
                return os.open(path, os.O_RDWR | flags, 0o666), bool(flags)


def _flock(file: int, kind: int) -> bool:
    """Whether the kernel gave the lock; false where the file system has none.

    Raises:
        BlockingIOError: Another process has it.
    """
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True


def _settled(file: int) -> _Holder | None:
    """Who is written in the file; whoever has just made it gets the time to write."""
    holder = _read(file)
    if holder is None:
        time.sleep(_SETTLE_SECONDS)
        holder = _read(file)
    return holder


def _alive(holder: _Holder, path: Path, alone: bool, say: Callable[[str], None]) -> bool:
    """Whether the process that is written in the file still works."""
    here = _lives_here(holder, alone)
    if here is not None:
        return here
    say(f"{holder} held {path}: waiting up to {SILENCE_SECONDS:.0f} s for a sign that it still works")
    last_sign, end = _time_of(path), time.monotonic() + SILENCE_SECONDS
    while time.monotonic() < end:
        time.sleep(min(1.0, SILENCE_SECONDS / 10))
        now = _time_of(path)
        if now != last_sign:
            return now is not None  # None: it has let go
    return False


def _lives_here(holder: _Holder, alone: bool) -> bool | None:
    """Whether a process of this machine still works.

    It is None where that cannot be told from here.

    Args:
        holder: The process.
        alone: Whether this process has the `flock`, which a living one of this machine would have.
    """
    me = _this_process()
    if holder.boot != me.boot:
        return None
    if alone:
        return False
    return _birth(holder.pid) == holder.birth if holder.namespace == me.namespace else None


def _this_process() -> _Holder:
    host, pid = socket.gethostname(), os.getpid()
    since = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
    boot = host
    namespace = ""
    with contextlib.suppress(OSError):  # only Linux tells
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = str(Path("/proc/self/ns/pid").readlink())
    return _Holder(host, pid, since, boot, namespace, _birth(pid) or "", uuid.uuid4().hex)


def _birth(pid: int) -> str | None:
    """Return when a process began.

    It is None if there is none, and empty if the system does not tell.
    """
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
    else:
        return None if state == "Z" else fields[18]
    try:
        os.kill(pid, 0)
    except PermissionError:
        return ""
    except OSError:
        return None
    return ""


def _read(file: int) -> _Holder | None:
    """Who is written in the file; None where it is empty or half written."""
    try:
        return _Holder(**json.loads(os.pread(file, 4096, 0)))
    except (ValueError, TypeError):
        return None


def _write(file: int, holder: _Holder, path: Path) -> None:
    text = json.dumps(asdict(holder)).encode()
    try:
        if os.pwrite(file, text, 0) < len(text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.ftruncate(file, len(text))
    except OSError:
        path.unlink()
        raise


def _lies_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except OSError:
        return False


def _time_of(path: Path) -> int | None:
    """When the file was last renewed.

    Opened, since a network file system may otherwise tell an old time.
    """
    try:
        with path.open("rb") as stream:
            return os.fstat(stream.fileno()).st_mtime_ns
    except OSError:
        return None
