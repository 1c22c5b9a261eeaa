"""What a training needs in order to stop anywhere and go on as if it had not.

Lightning keeps weights, optimiser, schedule and its own counters. Here is the rest: where in the epoch the
loader stands, the lines of the log, checkpoints within an epoch, and the end when the system asks for it.
What is random needs no state, see `Classifier`.
"""

import json
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint

from mlc.errors import DataError
from mlc.files.atomic import write_text
from mlc.models.ensemble import Hedge
from mlc.models.reading.batches import EVALUATION_BATCH, BatchPlan, ExampleBatches, Loader
from mlc.scenario import TrainSection
from mlc.task import Say
from mlc.training.module import Classifier, Stoppable


class BestEpoch(ModelCheckpoint):
    """Callback that keeps the weights of the best and last epoch, wherever the run is.

    Lightning forgets which epoch was best where the folder of a stopped training has been moved.

    Args:
        folder: Where the checkpoints go.
        monitor: What is best.
        mode: Whether that is the highest or the lowest value.
    """

    def __init__(self, folder: Path, monitor: str, mode: str = "min") -> None:
        super().__init__(
            dirpath=folder,
            filename="best",
            monitor=monitor,
            mode=mode,
            save_last=True,
            enable_version_counter=False,
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the state of a stopped training; its paths are those of this folder."""
        moved = {
            key: self._here(state_dict[key])
            for key in ("best_model_path", "kth_best_model_path", "last_model_path")
        }
        best = {self._here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **moved, "best_k_models": best, "dirpath": self.dirpath})

    def _here(self, path: str) -> str:
        assert self.dirpath is not None
        return str(Path(self.dirpath, Path(path).name)) if path else path


class ResumableLoaders(pytorch_lightning.LightningDataModule):
    """Keeps the position in the epoch.

    Lightning forgets that of a loader where the schedule has asked how many steps there are (its issue
    20550).
    """

    def __init__(self) -> None:
        super().__init__()
        self._loader: Loader | None = None
        self._resumed = (-1, 0)

    def training(self) -> Loader:
        """The training batches of this rank."""
        raise NotImplementedError

    def train_dataloader(self) -> Loader:
        """In the resumed epoch, without the batches that were given."""
        self._loader = self.training()
        self._loader.resume(*self._resumed)
        return self._loader

    def state_dict(self) -> dict[str, int]:
        """Epoch, and how many of its batches were given."""
        assert self._loader is not None
        return {"epoch": self._loader.sampler.epoch, "given": self._loader.given}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """See `state_dict`."""
        self._resumed = (state_dict["epoch"], state_dict["given"])


class Loaders(ResumableLoaders):
    """Training and validation batches; made when the trainer knows which rank this is.

    Args:
        examples: Build the batches.
        splits: Split of each example.
        train: Gives batch size and seed.
    """

    def __init__(self, examples: ExampleBatches, splits: np.ndarray, train: TrainSection) -> None:
        super().__init__()
        self.examples, self.splits, self.train_section = examples, splits, train

    def training(self) -> Loader:
        """All of the training split, in a new order in each epoch."""
        loader = self._planned("train", self.train_section.batch_size, self.train_section.seed)
        assert self.trainer is not None
        self.trainer.limit_train_batches = _at_least_one(self.trainer.limit_train_batches, len(loader))
        return loader

    def val_dataloader(self) -> Loader:
        """All of the validation split."""
        loader = self._planned("validation", EVALUATION_BATCH, None)
        assert self.trainer is not None
        self.trainer.limit_val_batches = _at_least_one(self.trainer.limit_val_batches, len(loader))
        return loader

    def _planned(self, split: str, batch_size: int, seed: int | None) -> Loader:
        assert self.trainer is not None
        positions = np.flatnonzero(self.splits == split)
        world = self.trainer.world_size
        if len(positions) < world:
            raise DataError(
                f"too few {split} examples for {world} devices: {len(positions)}. Use fewer devices."
            )
        batch_size = min(batch_size, len(positions) // world)  # Lightning wants a batch for every rank
        return Loader(self.examples, BatchPlan(positions, batch_size, seed, self.trainer.global_rank, world))


def _at_least_one(limit: int | float, batches: int) -> int | float:
    """A share of the batches as their number.

    Lightning refuses a share that rounds to none.

    Examples:
        >>> _at_least_one(0.01, 7), _at_least_one(0.5, 7), _at_least_one(1.0, 7), _at_least_one(0, 7)
        (1, 3, 1.0, 0)
    """
    return max(1, int(limit * batches)) if isinstance(limit, float) and limit < 1 else limit


class EpochLines(Callback):
    """One line per epoch: on the screen, and as JSON in `log.jsonl`.

    Args:
        path: The log.
        titles: What stands on the screen for each logged value that is told there.
        say: Receives the line for the screen.
    """

    def __init__(self, path: Path, titles: dict[str, str], say: Say) -> None:
        self.path, self.titles, self.say = path, titles, say
        self._begun, self._lines = time.monotonic(), list[str]()

    def state_dict(self) -> dict[str, Any]:
        """The lines of the epochs before a checkpoint, and the seconds they took."""
        return {"lines": self._lines, "seconds": time.monotonic() - self._begun}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See `state_dict`."""
        self._lines, self._begun = list(state_dict["lines"]), time.monotonic() - state_dict["seconds"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """An epoch that ended after the checkpoint is trained again: its line goes."""
        del pl_module
        if trainer.is_global_zero:
            write_text(self.path, "".join(self._lines))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Before the checkpoint of the epoch, which holds its line."""
        del pl_module
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        line = {"epoch": trainer.current_epoch + 1, "seconds": round(time.monotonic() - self._begun, 1)}
        defined = {name: round(value, 6) for name, value in metrics.items() if np.isfinite(value)}
        self._lines.append(json.dumps({**line, **defined}) + "\n")
        if not trainer.is_global_zero:
            return
        write_text(self.path, "".join(self._lines))
        texts = [
            f"{label} {metrics[name]:.4f}" if name in defined else f"{label} undefined"
            for name, label in self.titles.items()
        ]
        self.say(", ".join([f"epoch {line['epoch']}", *texts, f"{line['seconds']:.0f} s"]))


class Stopping(Callback):
    """Checkpoints within an epoch, and a clean end at SIGTERM.

    All ranks save and stop after the same step, since each tells the others with the sums of the step.
    Lightning's own handler talks to the other ranks from within the signal, in the middle of anything.

    Args:
        path: The checkpoint that a resumed training goes on from.
        minutes: Between two checkpoints within an epoch.

    Attributes:
        terminated: Whether the system has asked this process to end.
    """

    def __init__(self, path: Path, minutes: float) -> None:
        self.path, self.minutes = path, minutes
        self.terminated = False
        self._saved = time.monotonic()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the signal over; Lightning gives it back at the end of the training."""
        del pl_module
        signal.signal(signal.SIGTERM, self._terminate)
        for stopping in trainer.early_stopping_callbacks:
            # The checkpoint of the last epoch holds the counter, not that it was full.
            if isinstance(stopping, EarlyStopping) and stopping.wait_count >= stopping.patience:
                trainer.should_stop = True

    def _terminate(self, signum: int, frame: object) -> None:
        del signum, frame
        self.terminated = True

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Tell what this rank wants."""
        del trainer, batch, batch_idx
        assert isinstance(pl_module, Stoppable)
        pl_module.votes = (self.terminated, time.monotonic() - self._saved >= self.minutes * 60)
        pl_module.agreed = (False, False)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Do what one rank wanted.

        The last step of an epoch is saved after the validation.
        """
        del outputs, batch
        assert isinstance(pl_module, Stoppable)
        stop, save = pl_module.agreed
        if (stop or save) and batch_idx + 1 < trainer.num_training_batches:
            trainer.save_checkpoint(self.path)
            self._saved = time.monotonic()
            if stop:
                self._stop()

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """A validation is not saved halfway.

        A resumed training trains again from the last checkpoint.
        """
        assert isinstance(pl_module, Stoppable)
        if pl_module.agreed[0] or (self.terminated and trainer.world_size == 1):
            self._stop()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The checkpoint of the epoch comes now."""
        del trainer, pl_module
        self._saved = time.monotonic()

    def _stop(self) -> None:
        self.terminated = True
        raise KeyboardInterrupt  # on which Lightning ends the processes that it started


class UpTo(Callback):
    """Callback of `train.refit`: stops after some epochs, and saves the weights.

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
