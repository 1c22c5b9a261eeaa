"""Pictures for an encoder that is trained."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from mlc.models.branches.image import ImageBranch, ImageInputs
from mlc.models.network import Network
from mlc.models.rows.image_encoder import embedded_weights
from mlc.models.rows.pictures import read_pictures
from mlc.models.rows.reading import RowBuilder
from mlc.progress import stage
from mlc.rows.inputs import Missing, RowInputs
from mlc.run import RunFolder

_MOST_BYTES = 1_000_000_000
"""Pictures that fit are read once and kept; others are read again for each batch."""


@dataclass(frozen=True)
class PictureMaker:
    """Makes what the image branch reads of rows; see `InputsMaker`.

    Attributes:
        column: The column of paths.
        pixels: Width and height that pictures are brought to.
        missing: What to do about pictures that cannot be read.
    """

    column: str
    pixels: int
    missing: Missing

    def of(self, inputs: RowInputs) -> Callable[[np.ndarray], ImageInputs]:
        """Return what makes the inputs of some rows, by their positions."""
        paths = inputs.frame[self.column]
        if 3 * self.pixels**2 * len(paths) > _MOST_BYTES:
            return lambda rows_B: ImageInputs(
                torch.from_numpy(read_pictures(paths.gather(rows_B), self.pixels, self.missing)[0])
            )
        stage("reading pictures")
        pixels_N3HW, _ = read_pictures(paths, self.pixels, self.missing)
        return lambda rows_B: ImageInputs(torch.from_numpy(pixels_N3HW[rows_B]))

    def save(self, run: RunFolder) -> None:
        """Write nothing: column and size are in the scenario of the run."""


def begin_pictures(networks: Sequence[Network], builder: RowBuilder, rows_M: np.ndarray) -> None:
    """Give the image branch of networks the weights of the embedded encoder."""
    del builder, rows_M
    weights = embedded_weights()
    for network in networks:
        branch = network.branch(ImageBranch)
        assert branch is not None
        branch.encoder.load_state_dict(weights)
