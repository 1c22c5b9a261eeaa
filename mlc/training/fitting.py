"""The trainer of scenarios and foundations, and how it ends."""

import inspect
import logging
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning
import torch
from pytorch_lightning import LightningDataModule, LightningModule, Trainer
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.strategies import DDPStrategy, FSDPStrategy, Strategy
from torch.nn.parallel import DistributedDataParallel

from mlc.errors import Problem, RunError, Terminated
from mlc.progress import advance
from mlc.scenario import TrainSection
from mlc.training.module import Stoppable
from mlc.training.ranks import devices_and_nodes
from mlc.training.stopping import Stopping


class _StepsDone(Callback):
    """Reports each step to whoever shows the progress."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count from the first epoch to the last, which early stopping may never reach."""
        del pl_module, outputs, batch
        steps, epoch, epochs = int(trainer.num_training_batches), trainer.current_epoch, trainer.max_epochs
        assert epochs is not None
        advance(epoch * steps + batch_idx + 1, epochs * steps, f"epoch {epoch + 1} of {epochs}")


def make_trainer(hardware: TrainSection, callbacks: list[Callback], **options: Any) -> Trainer:
    """A trainer on the devices that a scenario wants.

    Args:
        hardware: Gives kind and number of devices, and how they work together.
        callbacks: All of them.
        options: The trainer's other arguments.
    """
    for name in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    gpus = hardware.accelerator != "cpu" and torch.cuda.is_available()
    devices, nodes = devices_and_nodes(hardware)
    if devices == "auto" and not gpus:
        devices = 1
    strategy: Strategy | str = "auto"
    if hardware.strategy == "fsdp":
        strategy = FSDPStrategy(state_dict_type="full")
    elif hardware.strategy == "ddp" or devices != 1 or nodes > 1:
        strategy = DDPStrategy(**_no_buffer_sync())
    return pytorch_lightning.Trainer(
        accelerator=hardware.accelerator,
        devices=devices,
        num_nodes=nodes,
        strategy=strategy,
        callbacks=[*callbacks, _StepsDone()],
        logger=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        enable_progress_bar=False,
        **options,
    )


def run_trainer(
    trainer: Trainer,
    module: Stoppable,
    loaders: LightningDataModule,
    stopping: Stopping,
    checkpoint: Path | None = None,
) -> None:
    """Train, from a checkpoint where there is one.

    Raises:
        KeyboardInterrupt: The user stopped it.
        Terminated: The system did.
        RunError: The checkpoint is damaged, or of another network.
    """
    if checkpoint is not None:
        _check_shapes(checkpoint, module)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty.*")
            # Nothing is logged by step.
            warnings.filterwarnings("ignore", message=".*smaller than the logging interval.*")
            warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # within Lightning, by torch 2.13
            # Ours is resumable; Lightning asks the loader, where the state is that of the data module.
            warnings.filterwarnings("ignore", message=".*your dataloader is not resumable.*")
            trainer.fit(module, datamodule=loaders, ckpt_path=checkpoint, weights_only=True)
    except SystemExit:  # Lightning turns Ctrl-C into an exit
        if stopping.terminated:
            raise Terminated from None
        if trainer.interrupted:
            raise KeyboardInterrupt from None
        raise


def read_checkpoint(path: Path | str) -> dict[str, Any]:
    """Read a checkpoint, on the CPU.

    Code that someone may have pickled into it is never run.

    Raises:
        RunError: It is damaged, or holds anything but numbers, texts and tensors.
    """
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(checkpoint["state_dict"], dict):
            raise TypeError("state_dict is no mapping")
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        rule = f"not a checkpoint of mlc: {reason}. Train again with --overwrite."
        raise RunError(Problem(rule, location=str(path))) from error
    return checkpoint


def _check_shapes(path: Path, module: torch.nn.Module) -> None:
    saved, own = read_checkpoint(path)["state_dict"], module.state_dict()
    different = [name for name in own if name not in saved or saved[name].shape != own[name].shape]
    if different:
        rule = f"a checkpoint of another network: {different[0]} differs. Train again with --overwrite."
        raise RunError(Problem(rule, location=str(path)))


def _no_buffer_sync() -> dict[str, Any]:
    """Buffers are fitted before training and never change.

    Synchronising them would make ranks wait for each other in validation, where they may have different
    numbers of batches. torch 2.13 renamed the option.
    """
    known = inspect.signature(DistributedDataParallel).parameters
    return {"forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers": False}
