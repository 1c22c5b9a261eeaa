"""Pictures of any kind as squares of one size."""

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from mlc.errors import DataError
from mlc.models.rows.weights import require
from mlc.rows.inputs import Missing

if TYPE_CHECKING:
    from PIL.Image import Image

INSTALL = "pip install 'mlc[image]'"
_MOST_PIXELS = 200_000_000
"""Larger pictures are refused: a file of some kilobytes can claim any size."""
_MOST_NAMED = 3
_THREADS = 8


@dataclass(frozen=True)
class Fault:
    """A picture that cannot be read.

    Attributes:
        path: The file.
        reason: Why.
    """

    path: str
    reason: str


def read_pictures(paths: pl.Series, size: int, missing: Missing) -> tuple[np.ndarray, list[Fault]]:
    """Return pictures as squares, and those that cannot be read.

    The shorter side is brought to `size`, and the middle is cut out. Of an animation the first frame counts.
    Transparent parts become white, grey and 16-bit pictures become RGB, and the camera's rotation is undone.

    Args:
        paths: N paths; null for a row without a picture.
        size: Width and height in pixels.
        missing: Whether a picture that cannot be read is an error.

    Returns:
        uint8, shape (N, 3, size, size), 127 everywhere for a row without a picture; and the faults.

    Raises:
        DataError: A picture cannot be read, and that is an error; Pillow is not installed.
    """
    require("pictures need", INSTALL, "PIL")
    pixels = np.full((len(paths), 3, size, size), 127, dtype=np.uint8)

    def read(place: int, path: str | None) -> Fault | None:
        if path is None:
            return None
        try:
            pixels[place] = _square(path, size)
        except (OSError, ValueError, SyntaxError, MemoryError, EOFError) as error:
            return Fault(path, _reason(path, error))
        return None

    with warnings.catch_warnings(), ThreadPoolExecutor(_THREADS) as pool:
        warnings.simplefilter("ignore")  # Pillow warns of damaged metadata, which nothing here reads
        faults = [fault for fault in pool.map(read, range(len(paths)), paths) if fault is not None]
    if faults and missing == "error":
        raise DataError(fault_text(faults, len(paths) - paths.null_count()))
    return pixels, faults


def fault_text(faults: Sequence[Fault], pictures: int) -> str:
    """Return what is wrong with some pictures, and what to do.

    Args:
        faults: At least one.
        pictures: How many there are in all.

    Examples:
        >>> fault_text([Fault("a.jpg", "no such file")], 9)
        '1 of 9 pictures cannot be read: a.jpg (no such file). Mend them, or set missing: leave_out.'
    """
    named = ", ".join(f"{fault.path} ({fault.reason})" for fault in faults[:_MOST_NAMED])
    more = ", …" if len(faults) > _MOST_NAMED else ""
    counted = f"{len(faults):,} of {pictures:,} pictures"
    return f"{counted} cannot be read: {named}{more}. Mend them, or set missing: leave_out."


def _square(path: str, size: int) -> np.ndarray:
    from PIL import Image, ImageOps

    with Image.open(path) as opened:
        if opened.width * opened.height > _MOST_PIXELS:
            raise ValueError(f"it claims {opened.width:,} x {opened.height:,} pixels")
        opened.seek(0)
        if opened.format == "JPEG":
            opened.draft("RGB", (2 * size, 2 * size))  # decodes large ones at a lower resolution
        picture = _in_rgb(ImageOps.exif_transpose(opened))
        square = ImageOps.fit(picture, (size, size), Image.Resampling.BICUBIC)
    return np.asarray(square).transpose(2, 0, 1)


def _in_rgb(picture: "Image") -> "Image":
    """Return a picture of any mode as red, green and blue of 8 bits."""
    from PIL import Image

    if picture.mode.startswith(("I", "F")):  # more than 8 bits of grey, which a conversion would cut off
        values = np.asarray(picture, dtype=np.float64)
        highest = next((top for top in (1.0, 255.0, 65535.0) if values.max() <= top), float(values.max()))
        highest = max(highest, 255.0) if picture.mode.startswith("I") else highest
        grey = np.clip(values / highest, 0.0, 1.0) * 255
        return Image.fromarray(grey.round().astype(np.uint8)).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        clear = picture.convert("RGBA")
        white = Image.new("RGBA", clear.size, "white")
        white.alpha_composite(clear)
        return white.convert("RGB")
    return picture.convert("RGB")


def _reason(path: str, error: Exception) -> str:
    file = Path(path)
    if not file.exists():
        return "no such file"
    if file.is_file() and file.stat().st_size == 0:
        return "the file is empty"
    if type(error).__name__ == "UnidentifiedImageError":
        return "no picture"
    return " ".join(str(error).split())[:80] or type(error).__name__
