"""Texts as windows of tokens.

A text that fits is one window. A longer one is read in windows that overlap by a quarter, all of one length
and evenly spread, so that what matters may stand anywhere in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from mlc.errors import DataError, Problem
from mlc.progress import advance

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_OVERLAP = 4
"""Windows share a quarter of their tokens with the next."""
_BATCH = 2000
_MOST_LETTERS = 32
"""Letters per token that are looked at, at most: a text of 100,000 letters takes no longer than it must."""


@dataclass(frozen=True)
class Windows:
    """The tokens of N texts; a text without a token has no window.

    Attributes:
        tokens_G: Those of all windows end to end, with the special ones, int32.
        starts_W: Where each window begins, and where the last one ends, int64, shape (W + 1).
        first_N: The first window of each text, and the number of windows, int64, shape (N + 1).
        truncated: How many texts are longer than what is read of them.
    """

    tokens_G: np.ndarray
    starts_W: np.ndarray
    first_N: np.ndarray
    truncated: int

    @property
    def lengths(self) -> np.ndarray:
        """How many tokens are read of each text, int64, shape (N)."""
        lengths_N: np.ndarray = np.diff(self.starts_W[self.first_N])
        return lengths_N

    def of(self, rows_B: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the windows of some texts.

        Args:
            rows_B: Their positions.

        Returns:
            Tokens end to end, the length of each window, and whose each window is: a place in `rows_B`.
        """
        counts_B = self.first_N[rows_B + 1] - self.first_N[rows_B]
        place_W = np.repeat(np.arange(len(rows_B)), counts_B)
        window_W = _runs(self.first_N[rows_B], counts_B)
        lengths_W = self.starts_W[window_W + 1] - self.starts_W[window_W]
        return self.tokens_G[_runs(self.starts_W[window_W], lengths_W)], lengths_W, place_W


def _runs(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the numbers from each start on, end to end.

    Examples:
        >>> _runs(np.array([5, 0]), np.array([2, 3])).tolist()
        [5, 6, 0, 1, 2]
    """
    before = np.cumsum(lengths) - lengths
    runs: np.ndarray = np.arange(int(lengths.sum())) + np.repeat(starts - before, lengths)
    return runs


def window_starts(tokens: int, most: int, most_windows: int) -> list[int]:
    """Return where the windows of a text begin.

    Args:
        tokens: Tokens of the text, without special ones.
        most: Tokens of a window at most.
        most_windows: Windows at most; what they do not reach is left out.

    Examples:
        >>> window_starts(8, 8, 4), window_starts(16, 8, 4), window_starts(1000, 8, 3)
        ([0], [0, 4, 8], [0, 6, 12])
    """
    stride = most - most // _OVERLAP
    windows = 1 + max(0, -(-(tokens - most) // stride))
    if windows > most_windows:
        windows, tokens = most_windows, most + (most_windows - 1) * stride
    if windows == 1:
        return [0]
    return [step * (tokens - most) // (windows - 1) for step in range(windows)]


@dataclass(frozen=True)
class WindowReader:
    """Cuts texts into windows of tokens.

    Attributes:
        tokenizer: Texts to token ids.
        max_tokens: Tokens of a window at most, with special ones.
        max_windows: Windows of a text at most.
    """

    tokenizer: "PreTrainedTokenizerBase"
    max_tokens: int
    max_windows: int

    def windows(self, texts: pl.Series) -> Windows:
        """Return the windows of some texts; null and empty ones have none.

        Args:
            texts: String, length N.
        """
        before, after = _special(self.tokenizer)
        most = self.max_tokens - len(before) - len(after)
        letters = _MOST_LETTERS * self.max_tokens * self.max_windows
        pieces: list[np.ndarray] = []
        counts_N = np.zeros(len(texts), dtype=np.int64)
        truncated = 0
        for start in range(0, len(texts), _BATCH):
            part = texts.slice(start, _BATCH).cast(pl.String).fill_null("")
            cut = part.str.len_chars() > letters
            ids = self._ids(part.str.slice(0, letters).to_list())
            for place, own in enumerate(ids):
                starts = window_starts(len(own), most, self.max_windows) if own else []
                pieces += [np.array([*before, *own[at : at + most], *after], np.int32) for at in starts]
                counts_N[start + place] = len(starts)
                truncated += bool(starts) and (bool(cut[place]) or starts[-1] + most < len(own))
            advance(start + len(part), len(texts), "texts")
        lengths_W = np.array([len(piece) for piece in pieces], dtype=np.int64)
        tokens_G = np.concatenate(pieces) if pieces else np.zeros(0, np.int32)
        return Windows(tokens_G, _ends(lengths_W), _ends(counts_N), truncated)

    def _ids(self, texts: list[str]) -> list[list[int]]:
        # Not verbose: it would complain of texts longer than the model reads, which are cut below.
        encoded = self.tokenizer(
            texts, add_special_tokens=False, return_attention_mask=False, truncation=False, verbose=False
        )
        return list(encoded["input_ids"])


def window_reader(
    tokenizer: "PreTrainedTokenizerBase", max_tokens: int, max_windows: int, limit: int
) -> WindowReader:
    """Return a reader whose windows the encoder can read.

    Args:
        tokenizer: Texts to token ids.
        max_tokens: Tokens of a window at most, with special ones.
        max_windows: Windows of a text at most.
        limit: Tokens that the encoder reads at once at most.

    Raises:
        DataError: It reads fewer.
    """
    if max_tokens > limit:
        rule = f"the encoder reads at most {limit:,} tokens at once, not {max_tokens:,}. Set it to {limit:,}"
        raise DataError(
            Problem(f"{rule}: longer texts are read in several windows.", "model.text.max_tokens")
        )
    return WindowReader(tokenizer, max_tokens, max_windows)


def _ends(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _special(tokenizer: "PreTrainedTokenizerBase") -> tuple[Sequence[int], Sequence[int]]:
    """Return the special tokens before a text, and those after it."""
    plain = list(tokenizer("a", add_special_tokens=False)["input_ids"])
    whole = list(tokenizer("a")["input_ids"])
    for start in range(len(whole) - len(plain) + 1):
        if whole[start : start + len(plain)] == plain:
            return whole[:start], whole[start + len(plain) :]
    return [], []
