"""Events and labels in the memory of a GPU with room, where batches are built."""

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback

from mlc.models.reading.batches import BatchBuilder, ExampleBatches
from mlc.models.reading.device import device_batches
from mlc.task import Say


class EventsOnDevice(Callback):
    """Callback that copies what batches are made of to the device, if it fits.

    Each rank has its own copy. It stays there until `ExampleBatches.resident` is None again: scoring uses it
    too.

    Args:
        examples: All examples of the training.
        say: Receives a line where the device is a GPU.
    """

    def __init__(self, examples: ExampleBatches, say: Say) -> None:
        self.examples, self.say = examples, say

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """The process knows its device, and nothing of the training is there yet."""
        del pl_module, stage
        device = trainer.strategy.root_device
        if not isinstance(self.examples.builder, BatchBuilder):  # rows lie where batches are built
            return
        free = free_memory(device)
        if free is None:
            return
        self.examples.resident, needed = device_batches(self.examples, device, free)
        place = "there" if self.examples.resident else "in main memory, since this is more than half"
        sizes = f"{needed / 1e9:.2f} of {free / 1e9:.2f} GB of free GPU memory"
        self.say(f"events and labels take {sizes}: batches are built {place}")


def free_memory(device: torch.device) -> int | None:
    """Bytes that are free on a GPU; None for other devices.

    For a CPU the columns are where they should be: memory-mapped, and shared with other processes.
    """
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    # What torch keeps for later is free too.
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
