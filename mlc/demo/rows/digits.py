"""Pictures with up to three handwritten digits: which digits are in each?

The digits are those that come with scikit-learn (UCI, Alpaydin and Kaynak 1998, CC BY 4.0). Training,
validation and test show different ones.
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from mlc.demo.rows.generated import Generated
from mlc.errors import RunError

SIDE = 32
_SPLITS = {"train": (0.0, 0.6, 0.66), "validation": (0.6, 0.75, 0.14), "test": (0.75, 1.0, 0.2)}
"""Split → from which share of the digits to which, and its share of the pictures."""
SCENARIO = """\
# yaml-language-server: $schema=schema.json
# Which digits are in each picture? Training and test show different handwritten digits.
name: digits
data:
  tables:
    pictures:
      kind: rows
      path: metadata.csv
      key: file_name
      encoders: {file_name: {kind: image, folder: pictures}}
target:
  table: pictures
  column: digits
  separator: "|"                         # 3|7
  class_names: ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
examples:
  split: {column: split}
model:
  image: {size: 32}                      # a small network that is trained from the start
train: {batch_size: 64, learning_rate: 3.0e-3}
"""


def digits(rows: int, seed: int) -> Generated:
    """Return pictures of digits.

    Args:
        rows: How many pictures.
        seed: Another seed gives other pictures.

    Raises:
        RunError: Pillow is not installed.
    """
    if importlib.util.find_spec("PIL") is None:
        rule = "this demo writes pictures, which needs the package pillow"
        raise RunError(f"{rule}. Install it: pip install 'mlc[image]'")
    from sklearn.datasets import load_digits

    noise = np.random.default_rng([seed, 3])
    known = load_digits()
    images = np.stack([_enlarged(image) for image in known.images])
    order = noise.permutation(len(images))
    names: list[str] = []
    targets: list[str] = []
    splits: list[str] = []
    files: dict[str, Callable[[Path], None]] = {}
    for split, (first, last, share) in _SPLITS.items():
        own = order[int(first * len(order)) : int(last * len(order))]
        for _ in range(max(1, round(share * rows))):
            picture, shown = _composed(images, known.target, own, noise)
            name = f"p{len(names):06d}.png"
            files[f"pictures/{name}"] = _writer(picture)
            names.append(name)
            targets.append("|".join(map(str, sorted(shown))))
            splits.append(split)
    table = pl.DataFrame({"file_name": names, "digits": targets, "split": splits})
    return Generated(SCENARIO, {"metadata.csv": table}, files)


def _enlarged(image: np.ndarray) -> np.ndarray:
    """Return an image of 8 by 8 as one of 12 by 12, from 0 to 255."""
    at = np.linspace(0, 7, 12)
    wide = np.stack([np.interp(at, np.arange(8), row) for row in image])
    return np.stack([np.interp(at, np.arange(8), column) for column in wide.T], axis=1) * 15.9


def _composed(
    images: np.ndarray, classes: np.ndarray, own: np.ndarray, noise: np.random.Generator
) -> tuple[np.ndarray, set[int]]:
    """A picture with one to three of some digits, and which these are."""
    picture, shown, half = np.zeros((SIDE, SIDE), dtype=np.uint8), set(), SIDE // 2
    for quarter in noise.permutation(4)[: int(noise.integers(1, 4))].tolist():
        chosen = int(noise.choice(own))
        down, right = (int(noise.integers(0, half - 12 + 1)) + half * part for part in divmod(quarter, 2))
        picture[down : down + 12, right : right + 12] = images[chosen].astype(np.uint8)
        shown.add(int(classes[chosen]))
    return picture, shown


def _writer(picture: np.ndarray) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        from PIL import Image

        Image.fromarray(picture).save(path)

    return write
