"""Pre-trained encoders of pictures."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl
import torch
from torch import nn

from mlc.models.rows.efficientnet import EfficientNetLite0, renamed
from mlc.models.rows.pictures import INSTALL, read_pictures
from mlc.models.rows.weights import (
    EMBEDDED,
    PICTURES,
    check_digest,
    folder_of,
    one_error,
    quiet,
    require,
    weights_digest,
)
from mlc.progress import stage
from mlc.rows.inputs import Missing

FIELD = "model.image.encoder"
_BATCH = 64
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class Backbone(nn.Module):
    """A vision model of transformers, and the scale of pixels that it knows.

    Args:
        model: Any that takes `pixel_values`.
        mean: Of red, green and blue, as shares of the brightest.
        deviation: Their standard deviations.

    Shape:
        uint8 `(B, 3, H, W)` → float32 `(B, D)`.
    """

    mean_3: torch.Tensor
    deviation_3: torch.Tensor

    def __init__(self, model: nn.Module, mean: Any, deviation: Any) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("mean_3", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("deviation_3", torch.tensor(deviation, dtype=torch.float32))

    def forward(self, pixels_B3HW: torch.Tensor) -> torch.Tensor:
        """See Shape above."""
        scaled = pixels_B3HW.float() / 255.0
        scaled = (scaled - self.mean_3[:, None, None]) / self.deviation_3[:, None, None]
        output = self.model(pixel_values=scaled)
        pooled = getattr(output, "pooler_output", None)
        if pooled is None:
            hidden = output.last_hidden_state
            pooled = hidden.mean(dim=1) if hidden.ndim == 3 else hidden.mean(dim=(2, 3))
        return cast(torch.Tensor, pooled).flatten(1)


@dataclass(frozen=True)
class ImageEncoder:
    """A frozen encoder of pictures; see `mlc.models.rows.encoders.FrozenEncoder`.

    Attributes:
        name: `embedded`, a folder, or a name on the Hugging Face hub.
        digest: SHA-256 of its weights.
        network: Pixels to vectors.
        size: Length D of its vectors.
        pixels: Width and height that pictures are brought to.
        missing: What to do about pictures that cannot be read.
    """

    name: str
    digest: str
    network: nn.Module
    size: int
    pixels: int
    missing: Missing = "error"

    @torch.inference_mode()
    def vectors(self, values: pl.Series) -> np.ndarray:
        """See `FrozenEncoder`.

        Raises:
            DataError: A picture cannot be read, and that is an error.
        """
        stage("reading pictures")
        vectors_ND = np.zeros((len(values), self.size), dtype=np.float32)
        for start in range(0, len(values), _BATCH):
            part = values.slice(start, _BATCH)
            pixels, faults = read_pictures(part, self.pixels, self.missing)
            lost = {fault.path for fault in faults}
            there = [path is not None and path not in lost for path in part]
            # Colours of a pixel beside each other: nearly twice as fast on a CPU.
            pixels_B3HW = torch.from_numpy(pixels).contiguous(memory_format=torch.channels_last)
            encoded = self.network(pixels_B3HW).float().numpy()
            vectors_ND[start : start + len(part)] = np.where(np.array(there)[:, None], encoded, 0.0)
        return vectors_ND

    def as_json(self) -> Mapping[str, Any]:
        """See `FrozenEncoder`."""
        return {"kind": "image", "name": self.name, "digest": self.digest, "pixels": self.pixels}


def load_image_encoder(
    name: str, pixels: int, missing: Missing = "error", base: Path | None = None
) -> ImageEncoder:
    """Load a pre-trained encoder of pictures.

    Args:
        name: `embedded`, the path of a folder, or a name on the Hugging Face hub.
        pixels: Width and height that pictures are brought to.
        missing: What to do about pictures that cannot be read.
        base: Folder that a relative path starts from. Default: the current one.

    Raises:
        DataError: A package is not installed, or there is no such model, or no safe weights.
    """
    if name == EMBEDDED:
        network: nn.Module = EfficientNetLite0()
        network.load_state_dict(embedded_weights())
        digest = PICTURES.digest
    else:
        name, network, digest = _pretrained(name, base)
    with torch.inference_mode():
        size = network.eval()(torch.zeros((1, 3, pixels, pixels), dtype=torch.uint8)).shape[1]
    return ImageEncoder(name, digest, network, size, pixels, missing)


def image_encoder_from_json(value: Mapping[str, Any], missing: Missing) -> ImageEncoder:
    """Find the encoder again that `ImageEncoder.as_json` described.

    Raises:
        DataError: It is no longer there, or has other weights.
    """
    encoder = load_image_encoder(value["name"], value["pixels"], missing)
    check_digest(value["name"], encoder.digest, value["digest"], FIELD)
    return encoder


def embedded_weights() -> dict[str, torch.Tensor]:
    """Return the weights of the embedded encoder.

    Raises:
        DataError: Their package is not installed.
    """
    return renamed(torch.load(PICTURES.file(), weights_only=True))


def _pretrained(name: str, base: Path | None) -> tuple[str, nn.Module, str]:
    """A vision model of transformers: safetensors only, and no code of its own."""
    require("image encoders need", INSTALL, "transformers")
    from transformers import AutoModel

    folder = folder_of(name, base, FIELD)
    with quiet(), one_error(name, folder, FIELD, "a vision model"):
        model = AutoModel.from_pretrained(str(folder or name), use_safetensors=True, trust_remote_code=False)
    mean, deviation = _IMAGENET
    settings = None if folder is None else folder / "preprocessor_config.json"
    if settings is not None and settings.is_file():
        given = json.loads(settings.read_text(encoding="utf-8"))
        mean, deviation = given.get("image_mean", mean), given.get("image_std", deviation)
    found = name if folder is None else str(folder.resolve())
    return found, Backbone(model, mean, deviation), weights_digest(model, folder)
