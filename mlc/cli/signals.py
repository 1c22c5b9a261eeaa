"""Ctrl-C, SIGTERM and SIGHUP: exceptions while a command works, else a note."""

import signal
import sys
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from mlc.errors import Terminated

_SOON = 0.05  # seconds


class Signals:
    """Turn signals into exceptions, so that half-written files are removed.

    A context: afterwards the former handlers are back. An exception that Python ignores, since it was raised
    while an object was deleted, is raised again soon after.

    Attributes:
        raising: Whether a signal raises; otherwise it is only noted.
        received: The signal that arrived last.
    """

    def __init__(self) -> None:
        self.raising = False
        self.received: int | None = None
        self._former: dict[int, Any] = {}
        self._hook: Callable[..., object] = sys.unraisablehook

    def __enter__(self) -> "Signals":
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # nohup wants a command to ignore SIGHUP, a shell one in the background to ignore Ctrl-C.
            if signal.getsignal(number) != signal.SIG_IGN:
                self._former[number] = signal.signal(number, self._arrived)
        self._former[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._again)
        self._hook, sys.unraisablehook = sys.unraisablehook, self._ignored
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.raising = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = self._hook
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.received = number
        self._raise()

    def _again(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._raise()

    def _raise(self) -> None:
        if self.raising:
            raise KeyboardInterrupt if self.received == signal.SIGINT else Terminated

    def _ignored(self, ignored: "sys.UnraisableHookArgs") -> None:
        if isinstance(ignored.exc_value, KeyboardInterrupt | Terminated) and self.received is not None:
            signal.setitimer(signal.ITIMER_REAL, _SOON)
        else:
            self._hook(ignored)
