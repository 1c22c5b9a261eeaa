"""Frozen encoders: they turn texts or pictures into vectors, once."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import polars as pl


class FrozenEncoder(Protocol):
    """Turns the values of one column into vectors; nothing of it is trained."""

    @property
    def size(self) -> int:
        """Length D of its vectors."""

    def vectors(self, values: pl.Series) -> np.ndarray:
        """Return one vector per value, float32, shape (N, D); zeros where a value is null.

        The vector of a value does not depend on the others.
        """

    def as_json(self) -> Mapping[str, Any]:
        """Return what finds the same encoder again, with a digest of its weights."""


def encoder_from_json(value: Mapping[str, Any]) -> FrozenEncoder:
    """Find the encoder that `as_json` described.

    Args:
        value: With `kind`, which says whose it is.

    Raises:
        ValueError: This version knows no such kind.
    """
    raise ValueError(f"{value.get('kind')!r} is no kind of encoder that this version knows")
