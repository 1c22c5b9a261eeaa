"""The end of a training whose numbers have left the range of a computer."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from mlc.errors import DataError
from mlc.scenario import Scenario
from mlc.training.ranks import is_rank_zero


class DivergedError(Exception):
    """Weights, or what a network makes of its inputs, are no numbers any more.

    Attributes:
        epoch: After which epoch, from 1.
    """

    def __init__(self, epoch: int) -> None:
        super().__init__(f"after epoch {epoch}")
        self.epoch = epoch


def is_finite(network: nn.Module) -> torch.Tensor:
    """Return whether all weights of a network are finite, as a tensor on its device."""
    finite = [torch.isfinite(weight).all() for weight in network.parameters()]
    return torch.stack(finite).all()


@contextmanager
def naming(scenario: Scenario, section: str) -> Iterator[None]:
    """Turn `DivergedError` into an error at the learning rate.

    Args:
        scenario: That is trained.
        section: Of the scenario, `train` or `pretrain`.

    Raises:
        DataError: The training diverged; the run is unfinished.
        SystemExit: Likewise, on any rank but the first, which reports it.
    """
    try:
        yield
    except DivergedError as diverged:
        if not is_rank_zero():
            raise SystemExit(2) from None
        field = f"{section}.learning_rate"
        rule = f"the loss is no longer a number {diverged}. Lower {field}, and start again with --overwrite."
        raise DataError(scenario.problem(field, rule)) from diverged
