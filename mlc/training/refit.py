"""`train.refit`: weights for `mlc predict`, trained once more on all examples.

The report is of the first weights: for these ones no example is left to judge them on.
"""

from collections.abc import Sequence
from pathlib import Path

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback

from mlc.models.ensemble import Hedge
from mlc.training.module import Classifier


class UpTo(Callback):
    """Callback that stops after some epochs, as scheduled, and saves the weights.

    Args:
        epochs: How many; of a hedge, how many each kind.
        path: The checkpoint.
    """

    def __init__(self, epochs: Sequence[int], path: Path) -> None:
        self.epochs, self.path = epochs, path

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Enough?"""
        assert isinstance(pl_module, Classifier)
        pl_module.check_finite()
        done = trainer.current_epoch + 1
        if pl_module.kept is not None:
            for kind, epochs in zip(Hedge.KINDS, self.epochs, strict=True):
                if done == epochs:
                    pl_module.keep(kind)
        if done >= max(self.epochs):
            trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """All ranks together: weights may be sharded."""
        del pl_module
        trainer.save_checkpoint(self.path, weights_only=True)
