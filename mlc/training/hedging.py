"""`model.hedge`: the share of networks that start from a foundation in a score."""

from typing import cast

import numpy as np
import pytorch_lightning
import torch

from mlc.models.ensemble import AnyNetwork, Hedge, hedge_notes
from mlc.models.losses import Objective
from mlc.models.reading.batches import EVALUATION_BATCH, BatchPlan, ExampleBatches
from mlc.task import Say

_WEIGHTS = torch.linspace(0.0, 1.0, 21)


@torch.inference_mode()
def choose_hedge(
    network: AnyNetwork,
    examples: ExampleBatches,
    positions: np.ndarray,
    objective: Objective,
    trainer: pytorch_lightning.Trainer,
    say: Say,
) -> None:
    """Set the weight of a hedge to that of the lowest loss, in steps of .05.

    Each rank looks at its share. The loss is that of the training: both kinds of networks were trained by it,
    so that one that shifts all scores favours none. It has one minimum where it is convex in the logits, as
    the default is.

    Args:
        network: On the trainer's device; left as it is where it is no hedge.
        examples: All examples.
        positions: Those of validation.
        objective: On the same device.
        trainer: Knows the ranks.
        say: Receives a line.
    """
    if not isinstance(network, Hedge):
        return
    network.eval()
    device = network.weight.device
    sums_WL = torch.zeros(len(_WEIGHTS), 2, device=device)  # losses, and the weight of their cells
    rank, world = trainer.global_rank, trainer.world_size
    for batch in examples.planned(BatchPlan(positions, EVALUATION_BATCH, rank=rank, world=world)):
        own = batch.to(device)
        logits = {kind: logits_BK.float() for kind, logits_BK in network.logits(own).items()}
        for place, weight in enumerate(_WEIGHTS.to(device)):
            sums_WL[place] += torch.stack(objective(network.mixed(logits, weight), own.targets_BK))
    totals_WL = cast(torch.Tensor, trainer.strategy.reduce(sums_WL, reduce_op="sum"))
    if totals_WL[0, 1] > 0:
        network.weight.copy_(_WEIGHTS[int(totals_WL[:, 0].argmin())])
    say(hedge_notes(network)[0])


def keep_hedge(network: AnyNetwork, chosen: AnyNetwork) -> None:
    """Give a model, where it is a hedge, the weight of another one."""
    if isinstance(network, Hedge) and isinstance(chosen, Hedge):
        network.weight.copy_(chosen.weight)
