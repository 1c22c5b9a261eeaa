"""The image branch: a picture of each row, read by a network that is trained."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from mlc.models.branches.branch import Branch, BranchSpec, Known, Sums
from mlc.models.branches.gathering import BranchInputs
from mlc.models.reading.batch import Batch
from mlc.models.rows.efficientnet import EfficientNetLite0

_CHANNELS = (32, 64, 128, 256)
_GROUPS = 8
_SHIFT = 1 / 16
"""Largest shift of a picture in training, as a share of its side."""


@dataclass
class ImageInputs(BranchInputs):
    """The picture of each row.

    Attributes:
        pixels_B3HW: Red, green and blue, uint8.
    """

    pixels_B3HW: torch.Tensor

    @classmethod
    def gatherer(cls, *_: object) -> None:
        """Gather nothing of events: the reader of rows makes these inputs."""


@dataclass(frozen=True)
class ImageSpec(BranchSpec):
    """Sizes of the image branch.

    Attributes:
        pixels: Width and height of the pictures.
        encoder: Which network reads them: `small`, or `efficientnet_lite0`.
        learning_rate: Highest learning rate of a pre-trained encoder; None for one that starts anew.
    """

    pixels: int
    encoder: str = "small"
    learning_rate: float | None = None


class SmallEncoder(nn.Module):
    """A small convolutional network, for pictures that need no pre-training.

    Each stage halves width and height; the last map is pooled by its mean and its maximum. Its norms are of
    groups of channels, so that a score does not depend on the other pictures of a batch.

    Shape:
        uint8 `(B, 3, H, W)` → `(B, 512)`.
    """

    size = 2 * _CHANNELS[-1]

    def __init__(self) -> None:
        super().__init__()
        inside, stages = 3, []
        for channels in _CHANNELS:
            stages += [
                nn.Conv2d(inside, channels, 3, padding=1),
                nn.GroupNorm(_GROUPS, channels),
                nn.GELU(),
                nn.MaxPool2d(2),
            ]
            inside = channels
        self.stages = nn.Sequential(*stages)

    def forward(self, pixels_B3HW: torch.Tensor) -> torch.Tensor:
        """See Shape above."""
        maps = self.stages(pixels_B3HW.float() / 127.5 - 1.0)
        return torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)


class ImageBranch(Branch):
    """An encoder of pictures, whose vector is added to that of the row."""

    name = "image"
    inputs = (ImageInputs,)
    spec_type = ImageSpec

    def __init__(self, spec: ImageSpec, labels: int, width: int) -> None:
        super().__init__(spec, labels, width)
        self.learning_rate = spec.learning_rate
        self.encoder: nn.Module = SmallEncoder() if spec.encoder == "small" else EfficientNetLite0()
        size = SmallEncoder.size if spec.encoder == "small" else 1280
        self.norm = nn.LayerNorm(size)
        self.to_row = nn.Linear(size, width)
        self.head = nn.Linear(size, labels)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    @classmethod
    def spec_of(cls, _: Known) -> None:
        """Return nothing: events have no pictures."""

    def forward(self, batch: Batch, sums: Sums) -> Sums:
        """See `Branch`."""
        pixels_B3HW = batch.of(ImageInputs).pixels_B3HW
        if self.training:
            pixels_B3HW = shifted(pixels_B3HW)
        vectors_BD = self.norm(self.encoder(pixels_B3HW))
        row_BD = sums.entity_BD + self.to_row(vectors_BD)
        return Sums(row_BD, sums.hidden_BKD, sums.direct_BK + self.head(vectors_BD))

    def train(self, mode: bool = True) -> "ImageBranch":
        """Train, but leave the means and variances of a pre-trained encoder as they are."""
        super().train(mode)
        if self.learning_rate is not None:
            for module in self.encoder.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def pretrained(self) -> list[nn.Parameter]:
        """See `Branch`."""
        return [] if self.learning_rate is None else list(self.encoder.parameters())


def shifted(pixels_B3HW: torch.Tensor) -> torch.Tensor:
    """Return each picture moved by some random pixels; its edge is repeated.

    Args:
        pixels_B3HW: uint8, shape (B, 3, H, W).
    """
    side = pixels_B3HW.shape[2]
    most = max(1, round(side * _SHIFT))
    padded = functional.pad(pixels_B3HW.float(), (most, most, most, most), mode="replicate")
    windows = padded.unfold(2, side, 1).unfold(3, side, 1)
    picture_B = torch.arange(len(pixels_B3HW), device=pixels_B3HW.device)
    down_B, right_B = torch.randint(0, 2 * most + 1, (2, len(pixels_B3HW)), device=pixels_B3HW.device)
    return windows[picture_B, :, down_B, right_B]
