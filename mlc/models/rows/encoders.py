"""Frozen encoders: they turn texts or pictures into vectors, once."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import polars as pl

from mlc.rows.inputs import Missing, RowColumns
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


def stored_encoders(stored: Mapping[str, Mapping[str, Any]], columns: RowColumns) -> dict[str, FrozenEncoder]:
    """Find the encoders that `as_json` described, each once for all its columns.

    Args:
        stored: Column → what describes its encoder.
        columns: How each column enters the model.

    Raises:
        DataError: One is no longer there, or has other weights.
        ValueError: This version knows no such kind.
    """
    found: dict[tuple[str, Missing], FrozenEncoder] = {}
    encoders = {}
    for name, value in stored.items():
        missing = columns.images.get(name, "error")
        key = json.dumps(value, sort_keys=True), missing
        if key not in found:
            found[key] = _encoder_from_json(value, missing)
        encoders[name] = found[key]
    return encoders


def _encoder_from_json(value: Mapping[str, Any], missing: Missing) -> FrozenEncoder:
    """Find one encoder.

    Args:
        value: With `kind`, which says whose it is.
        missing: What to do about pictures that cannot be read.

    Raises:
        ValueError: This version knows no such kind.
    """
    match value.get("kind"):
        case "image":
            from mlc.models.rows.image_encoder import image_encoder_from_json  # loads torch

            return image_encoder_from_json(value, missing)
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
    base, image = scenario.origin.base, scenario.model.image
    if columns.images and image.encoder is not None and image.tune == "head":
        from mlc.models.rows.image_encoder import load_image_encoder

        pictures = load_image_encoder(image.encoder, image.size, base=base)
        for column, missing in columns.images.items():
            encoders[column] = replace(pictures, missing=missing)
    text = scenario.model.text
    if columns.texts and text.encoder is not None and text.tune == "head":
        from mlc.models.rows.text_encoder import load_text_encoder

        own = load_text_encoder(text.encoder, text.max_tokens, text.max_windows, base)
        encoders |= dict.fromkeys(columns.texts, own)
    return encoders
