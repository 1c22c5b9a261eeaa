"""Whether the devices that a scenario asks for exist, before any work."""

import os
from collections.abc import Iterator

from pytorch_lightning.accelerators import CUDAAccelerator, MPSAccelerator, XLAAccelerator

from mlc.errors import DataError
from mlc.scenario import Scenario, TrainSection
from mlc.training.ranks import by_torchrun

_ACCELERATORS = {"gpu": (CUDAAccelerator, MPSAccelerator), "mps": (MPSAccelerator,), "tpu": (XLAAccelerator,)}


def check_devices(scenario: Scenario) -> None:
    """Refuse a scenario that asks for devices that this machine does not have.

    Raises:
        DataError: There are none of this kind, or too few.
    """
    problems = [scenario.problem(f"train.{field}", rule) for field, rule in _missing(scenario.train)]
    if problems:
        raise DataError(problems)


def _missing(train: TrainSection) -> Iterator[tuple[str, str]]:
    there = _available(train.accelerator)
    if not there:
        mend = "Use auto or cpu"
        yield "accelerator", f"this machine has no {train.accelerator} that PyTorch can use. {mend}."
        return
    kind, number = next(iter(there.items()))
    if isinstance(train.devices, int) and train.devices > number and not by_torchrun():
        what = "CPU core" if kind == "cpu" else kind.upper()
        rule = f"asks for {train.devices} devices, but this machine has {number} {what}{'s' * (number != 1)}."
        yield "devices", f"{rule} Use auto, or at most {number}."
    if train.strategy == "fsdp" and "gpu" not in there:
        yield "strategy", "fsdp needs GPUs, and PyTorch finds none here. Use ddp or auto."


def _available(choice: str) -> dict[str, int]:
    """Kind of device → how many there are.

    Of kinds that are there, the one that would be used first.
    """
    kinds = ("tpu", "gpu") if choice == "auto" else (choice,)
    for kind in kinds:
        for accelerator in _ACCELERATORS.get(kind, ()):
            if accelerator.is_available():
                return {kind: accelerator.auto_device_count()}
    return {"cpu": os.cpu_count() or 1} if choice in ("auto", "cpu") else {}
