"""The processes of one training: when one dies, the others say so and end."""

import os
import re
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from subprocess import Popen

from pytorch_lightning.strategies.launchers import subprocess_script

from mlc.errors import RunError
from mlc.training.ranks import by_torchrun, is_rank_zero

LOST = "A process of this training died. Run the same command with --resume to go on."

_RANK_ZERO = "MLC_RANK_ZERO"
"""The process that started the others, in their environment."""
_OBSERVER = "_launch_process_observer"
"""Lightning's function that is given the processes it has started."""
_SIGNS = re.compile(
    r"(closed|reset) by peer|broken pipe|likely closed|remote (process|server)|socket closed|socket timeout|"
    r"connection closed|communicator was aborted",
    re.IGNORECASE,
)
"""What gloo, NCCL and PyTorch's store say of a process that no longer answers."""
_GRACE = 4.0  # seconds that a process has to notice by itself
_EVERY = 0.25


@contextmanager
def one_for_all() -> Iterator[None]:
    """Turn the death of another training process into one error, in every process.

    A process that cannot notice, since it waits for the dead one, ends a few seconds later. Lightning would
    kill rank zero without a word.

    Raises:
        RunError: Another process has died.
    """
    started = os.environ.get(_RANK_ZERO)
    if started is not None and not is_rank_zero():
        _Watch(parent=int(started)).start()
    else:
        os.environ[_RANK_ZERO] = str(os.getpid())
    observer = getattr(subprocess_script, _OBSERVER)
    setattr(subprocess_script, _OBSERVER, _watch_children)
    try:
        yield
    except Exception as error:
        if not _is_lost(error):
            raise
        if _told_by_another(started):
            raise SystemExit(2) from None
        raise RunError(LOST) from error
    finally:
        setattr(subprocess_script, _OBSERVER, observer)
        if started is None:
            os.environ.pop(_RANK_ZERO, None)


def _is_lost(error: BaseException | None) -> bool:
    """Whether an error is what PyTorch makes of a peer that no longer answers."""
    while error is not None:
        if isinstance(error, RuntimeError) and _SIGNS.search(f"{type(error).__name__}: {error}"):
            return True
        error = error.__cause__ or error.__context__
    return False


def _told_by_another(started: str | None) -> bool:
    """Rank zero tells, where it lives."""
    return not is_rank_zero() and not by_torchrun() and started is not None and os.getppid() == int(started)


def _watch_children(children: Sequence[Popen[bytes]]) -> None:
    """In the place of Lightning's own observer."""
    _Watch(children=children).start()


class _Watch(threading.Thread):
    """Ends this process when another one has died and it has not noticed.

    Args:
        parent: The process that started this one; None in rank zero.
        children: The processes that rank zero has started.
    """

    def __init__(self, parent: int | None = None, children: Sequence[Popen[bytes]] = ()) -> None:
        super().__init__(daemon=True, name="mlc-peers")
        self._parent, self._children = parent, children

    def run(self) -> None:
        """Look until the children have ended well."""
        while not self._died():
            if self._parent is None and all(child.poll() == 0 for child in self._children):
                return
            time.sleep(_EVERY)
        time.sleep(_GRACE)
        sys.stderr.write(f"{LOST}\n")
        sys.stderr.flush()
        for child in self._children:
            child.kill()
        os._exit(2)

    def _died(self) -> bool:
        if self._parent is not None:
            return os.getppid() != self._parent
        return any(child.poll() not in (None, 0) for child in self._children)
