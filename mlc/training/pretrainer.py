"""How a foundation model is trained (Lightning)."""

from typing import Any, cast

import torch
from torch import nn

from mlc.models.foundation import Foundation
from mlc.models.reading.batch import FutureBatch
from mlc.scenario import PretrainSection
from mlc.training.module import Stoppable, learning_rate_factor, matrices_of, parameter_groups

MONITOR = "validation_loss"


class Pretrainer(Stoppable):
    """Trains a `Foundation`.

    The gradient of a step is that of the objective over the batches of all ranks.

    Args:
        foundation: Fitted foundation.
        section: How to train it.
    """

    validation_sums: torch.Tensor

    def __init__(self, foundation: Foundation, section: PretrainSection) -> None:
        super().__init__()
        self.foundation = foundation
        self.section = section
        for name in ("epoch_sums", "validation_sums"):  # losses, and how often each counts
            self.register_buffer(name, torch.zeros(2, len(foundation.tasks)), persistent=False)

    def training_step(self, batch: FutureBatch, batch_idx: int) -> torch.Tensor:
        """The objective of one batch; its losses count as often as on all ranks together."""
        self.seed_step(self.section.seed, batch_idx)
        sums_L, counts_L = self.foundation(batch)
        everywhere = self.over_ranks(torch.cat([sums_L.detach(), counts_L])).view(2, -1)
        self.epoch_sums += everywhere
        # DDP divides by the number of ranks.
        return self.foundation.objective(sums_L * self.trainer.world_size, everywhere[1])

    @property
    def judged(self) -> nn.Module:
        """The foundation itself."""
        return self.foundation

    def validation_step(self, batch: FutureBatch, _: int) -> None:
        """Add up the losses of one batch."""
        sums_L, counts_L = self.foundation(batch)
        self.check_outputs(sums_L)
        self.validation_sums += torch.stack([sums_L, counts_L])

    def on_validation_epoch_end(self) -> None:
        """Log the objective over all examples of all ranks, in training and validation."""
        self.check_finite()
        validation = self.trainer.strategy.reduce(self.validation_sums.clone(), reduce_op="sum")
        self.log(MONITOR, self.foundation.objective(*cast(torch.Tensor, validation)))
        self.log("train_loss", self.foundation.objective(*self.epoch_sums))
        self.validation_sums.zero_()
        self.epoch_sums.zero_()

    def configure_optimizers(self) -> Any:
        """As for a network: AdamW, with a learning rate that rises and falls step by step."""
        section = self.section
        matrices = matrices_of(self.foundation)
        groups = parameter_groups(self.foundation.parameters(), section.weight_decay, matrices)
        optimizer = torch.optim.AdamW(
            groups, lr=section.learning_rate, fused=self.device.type in ("cpu", "cuda")
        )
        steps = max(1, int(self.trainer.estimated_stepping_batches))
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: learning_rate_factor(step, steps)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
