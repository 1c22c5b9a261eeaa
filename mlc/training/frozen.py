"""A frozen memory says the same of an example in every epoch: it is asked once, and the answers are kept."""

from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback

from mlc.models.batches import ExampleBatches
from mlc.training.module import Classifier


class FrozenMemory(Callback):
    """Before the training, computes what a frozen memory makes of all examples; batches then carry that.

    Each rank computes its share, in the batches of an evaluation, so that scores do not depend on it. The
    file is memory-mapped: it needs no memory of its own, and may be removed when all is scored.

    Args:
        examples: All examples of the training.
        path: The file, on a file system that all nodes share.
    """

    def __init__(self, examples: ExampleBatches, path: Path) -> None:
        self.examples, self.path = examples, path

    @torch.no_grad()
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """The processes know each other, and the weights are still whole on each."""
        del stage
        assert isinstance(pl_module, Classifier)
        first = pl_module.members[0]  # frozen, all remember the same
        if not first.frozen:
            return
        device = trainer.strategy.root_device
        network = deepcopy(first).to(device).eval()
        if trainer.is_global_zero:
            self.path.write_bytes(b"")
        trainer.strategy.barrier()
        with self.path.open("r+b") as file:
            for batch in self.examples.in_order(trainer.global_rank, trainer.world_size):
                remembered_BR = network.remember(batch.to(device)).float().cpu().numpy()
                file.seek(int(batch.index_B[0]) * remembered_BR[0].nbytes)
                file.write(remembered_BR.tobytes())
        trainer.strategy.barrier()
        kept = np.memmap(self.path, np.float32, mode="r")
        self.examples.cached_NR = kept.reshape(len(self.examples), -1)
