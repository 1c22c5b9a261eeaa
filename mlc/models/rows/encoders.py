"""Frozen encoders: they turn texts or pictures into vectors, once."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import polars as pl

from mlc.rows.inputs import RowColumns
from mlc.scenario import RowScenario


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
    match value.get("kind"):
        case "image":
            from mlc.models.rows.image_encoder import load_image_encoder  # loads torch and transformers

            return load_image_encoder(value["name"], value["pixels"])
        case "text":
            from mlc.models.rows.text_encoder import text_encoder_from_json

            return text_encoder_from_json(value)
        case kind:
            raise ValueError(f"{kind!r} is no kind of encoder that this version knows")


def frozen_encoders(scenario: RowScenario, columns: RowColumns) -> dict[str, FrozenEncoder]:
    """Load the frozen encoders of a scenario.

    Args:
        scenario: Checked scenario.
        columns: How each column enters the model.

    Returns:
        Column → its encoder, for those whose encoder is not trained itself.

    Raises:
        DataError: A package is not installed, or there is no such model.
    """
    encoders: dict[str, FrozenEncoder] = {}
    image = scenario.model.image
    if columns.images and image.encoder is not None and image.tune == "head":
        from mlc.models.rows.image_encoder import load_image_encoder

        for column, missing in columns.images.items():
            encoders[column] = load_image_encoder(image.encoder, image.size, missing)
    text = scenario.model.text
    if columns.texts and text.encoder is not None and text.tune == "head":
        from mlc.models.rows.text_encoder import load_text_encoder

        base = scenario.origin.base
        own = load_text_encoder(text.encoder, text.max_tokens, text.max_windows, base)
        encoders |= dict.fromkeys(columns.texts, own)
    return encoders
