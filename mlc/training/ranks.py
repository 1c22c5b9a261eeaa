"""Which of several processes this one is, and which of them goes first."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from torch.distributed.rendezvous import rendezvous

from mlc.errors import RunError
from mlc.run import RunFolder, working_on
from mlc.scenario import Scenario, TrainSection

_LONGEST = timedelta(days=7)  # that rank zero reads tables before the others give up


def is_rank_zero() -> bool:
    """Whether this process is the one that writes and prints."""
    return all(int(os.environ.get(name, "0")) == 0 for name in ("RANK", "LOCAL_RANK", "NODE_RANK"))


def by_torchrun() -> bool:
    """Whether torchrun has started all processes at once."""
    return "TORCHELASTIC_RUN_ID" in os.environ


@contextmanager
def rank_zero_first() -> Iterator[None]:
    """The other ranks enter the block when rank zero has left it.

    Under torchrun all begin at once. Lightning's own launcher starts the others when rank zero is about to
    train.
    """
    if not by_torchrun():
        yield
        return
    store, rank, _ = next(rendezvous("env://"))
    prepared = f"mlc prepared {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    if rank:
        store.wait([prepared], _LONGEST)
    yield
    if not rank:
        store.set(prepared, "1")


@contextmanager
def own_run(runs: Path, scenario: Scenario, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the run of a scenario for the length of the block.

    Rank zero does that for all ranks.

    Raises:
        RunError: Another process works on it.
    """
    if not is_rank_zero():
        yield
        return
    with working_on(RunFolder(runs / scenario.name), say):
        yield


def shared_run(runs: Path, scenario: Scenario) -> RunFolder:
    """The run of a scenario on any rank but the first, which has just made it.

    Raises:
        RunError: It is not there.
    """
    run = RunFolder(runs / scenario.name)
    if not run.folder.exists():
        raise RunError(
            f"{run.folder}: not on this node. Choose a --runs-dir on a file system that all nodes share."
        )
    return run


def devices_and_nodes(train: TrainSection) -> tuple[int | str, int]:
    """Devices a node, and number of nodes.

    Torchrun knows both, otherwise there is one node.

    Raises:
        RunError: The scenario wants another number of devices than torchrun has started processes.
    """
    if not by_torchrun():
        return train.devices, 1
    processes = int(os.environ["LOCAL_WORLD_SIZE"])
    if train.devices not in ("auto", processes):
        raise RunError(
            f"train.devices is {train.devices}, but torchrun started {processes} processes on this node. "
            "Leave it out."
        )
    return processes, int(os.environ["WORLD_SIZE"]) // processes
