"""Pre-trained encoders of texts that are not trained any further."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from mlc.models.rows.pooling import fast_on_cpu, pooled
from mlc.models.rows.pretrained import FIELD, Pretrained, load_pretrained
from mlc.models.rows.text_windows import WindowReader, window_reader
from mlc.models.rows.weights import check_digest
from mlc.progress import advance, stage

KIND = "text"
_TEXTS = 512
"""Texts between two reports of progress."""


@dataclass(frozen=True)
class FrozenTextEncoder:
    """A frozen encoder of texts; see `mlc.models.rows.encoders.FrozenEncoder`.

    The vector of a text is the mean over the hidden vectors of its tokens, and over its windows.

    Attributes:
        pretrained: The encoder.
        reader: Cuts texts into windows of tokens.
    """

    pretrained: Pretrained
    reader: WindowReader

    @property
    def size(self) -> int:
        """Length D of its vectors."""
        return self.pretrained.size

    @torch.inference_mode()
    def vectors(self, values: pl.Series) -> np.ndarray:
        """See `FrozenEncoder`."""
        stage("reading texts")
        windows = self.reader.windows(values)
        stage("encoding texts")
        vectors_ND = np.zeros((len(values), self.size), dtype=np.float32)
        # Texts of like length together: what is filled up costs as much as what is read.
        order_N = np.argsort(windows.lengths, kind="stable")
        for start in range(0, len(order_N), _TEXTS):
            rows_M = order_N[start : start + _TEXTS]
            tokens_G, lengths_W, place_W = (torch.from_numpy(part) for part in windows.of(rows_M))
            with fast_on_cpu():
                made_MD = pooled(self.pretrained.network, tokens_G, lengths_W, place_W, len(rows_M))
            vectors_ND[rows_M] = made_MD.numpy()
            advance(start + len(rows_M), len(order_N), "texts")
        return vectors_ND

    def as_json(self) -> Mapping[str, Any]:
        """See `FrozenEncoder`."""
        return {
            "kind": KIND,
            "name": self.pretrained.name,
            "digest": self.pretrained.digest,
            "max_tokens": self.reader.max_tokens,
            "max_windows": self.reader.max_windows,
        }


def load_text_encoder(
    name: str, max_tokens: int, max_windows: int, base: Path | None = None
) -> FrozenTextEncoder:
    """Load a pre-trained encoder of texts.

    Args:
        name: `embedded`, the path of a folder, or a name on the Hugging Face hub.
        max_tokens: Tokens that are read at once at most.
        max_windows: Windows of a text at most.
        base: Folder that a relative path starts from. Default: the current one.

    Raises:
        DataError: A package is not installed, there is no such model, no safe weights, or it reads fewer
            tokens at once.
    """
    pretrained = load_pretrained(name, base)
    reader = window_reader(pretrained.tokenizer, max_tokens, max_windows, pretrained.most_tokens)
    return FrozenTextEncoder(pretrained, reader)


def text_encoder_from_json(value: Mapping[str, Any]) -> FrozenTextEncoder:
    """Find the encoder again that `FrozenTextEncoder.as_json` described.

    Raises:
        DataError: It is no longer there, or has other weights.
    """
    encoder = load_text_encoder(value["name"], value["max_tokens"], value["max_windows"])
    check_digest(value["name"], encoder.pretrained.digest, value["digest"], FIELD)
    return encoder
