"""A frozen foundation makes the same of an example in every epoch.

It is computed once and cached.
"""

from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback

from mlc.models.branches.foundation import FoundationBranch
from mlc.models.reading.batches import ExampleBatches
from mlc.training.module import Classifier


class FrozenFoundation(Callback):
    """Before the training, computes what a frozen foundation makes of all examples.

    Batches then carry that. Each rank computes its share, in the batches of an evaluation, so that scores do
    not depend on it. The file is memory-mapped: it needs no memory of its own, and may be removed when all is
    scored.

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
        first = pl_module.members[0]  # frozen, all make the same
        branch = first.branch(FoundationBranch)
        if branch is None or not first.frozen:
            return
        device = trainer.strategy.root_device
        branch = deepcopy(branch).to(device).eval()
        if trainer.is_global_zero:
            self.path.write_bytes(b"")
        trainer.strategy.barrier()
        with self.path.open("r+b") as file:
            for batch in self.examples.in_order(trainer.global_rank, trainer.world_size):
                cached_BR = branch.to_cache(batch.to(device)).float().cpu().numpy()
                file.seek(int(batch.index_B[0]) * cached_BR[0].nbytes)
                file.write(cached_BR.tobytes())
        trainer.strategy.barrier()
        cached = np.memmap(self.path, np.float32, mode="r")
        self.examples.cached_NR = cached.reshape(len(self.examples), -1)
