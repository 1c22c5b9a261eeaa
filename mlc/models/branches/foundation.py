"""The foundation branch: what a foundation model has learned from the events."""

from dataclasses import dataclass

import torch

from mlc.models.batch import Packed


@dataclass
class CachedInputs(Packed):
    """What a frozen foundation makes of the events, computed once; such a batch has no `EventInputs`.

    Attributes:
        cached_BR: See `Network.remember`, float32.
    """

    cached_BR: torch.Tensor
