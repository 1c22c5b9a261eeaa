"""Texts as windows of tokens."""

import time
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlc.errors import DataError
from mlc.models.rows.pretrained import load_pretrained
from mlc.models.rows.text_windows import WindowReader, window_reader, window_starts
from tests.support.tiny_transformer import WORDS, write_tiny

SPECIAL = 2


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return load_pretrained(str(write_tiny(tmp_path_factory.mktemp("tiny")))).tokenizer


@given(st.integers(1, 500), st.integers(2, 60), st.integers(1, 40))
def test_windows_cover_a_text_evenly_and_overlap(tokens, most, most_windows):
    starts = window_starts(tokens, most, most_windows)
    stride = most - most // 4
    assert starts[0] == 0
    assert len(starts) <= most_windows
    assert all(0 < later - before <= stride for before, later in pairwise(starts))
    if len(starts) < most_windows:
        assert starts[-1] + most >= tokens
    if len(starts) > 1:
        assert starts[-1] + most <= tokens


def test_a_short_text_is_one_window_with_its_special_tokens(tokenizer):
    windows = WindowReader(tokenizer, 8, 4).windows(pl.Series(["w0 w1", "w2"]))
    tokens, lengths, places = windows.of(np.array([1, 0]))
    assert tokens.tolist() == [2, 6, 3, 2, 4, 5, 3]
    assert lengths.tolist() == [3, 4]
    assert places.tolist() == [0, 1]
    assert windows.lengths.tolist() == [4, 3]


def test_texts_that_are_null_empty_or_blank_have_no_window(tokenizer):
    windows = WindowReader(tokenizer, 8, 4).windows(pl.Series([None, "", "  \n", "w1"]))
    assert np.diff(windows.first_N).tolist() == [0, 0, 0, 1]
    assert windows.truncated == 0


def test_a_column_without_any_text_has_no_windows(tokenizer):
    windows = WindowReader(tokenizer, 8, 4).windows(pl.Series([None, None], dtype=pl.String))
    assert [len(part) for part in windows.of(np.arange(2))] == [0, 0, 0]


def test_a_long_text_is_read_in_windows_of_one_length(tokenizer):
    text = " ".join(WORDS[:24])
    windows = WindowReader(tokenizer, 8 + SPECIAL, 8).windows(pl.Series([text]))
    tokens, lengths, _ = windows.of(np.array([0]))
    pieces = np.split(tokens, np.cumsum(lengths)[:-1])
    assert set(lengths.tolist()) == {8 + SPECIAL}
    assert [piece[1] - 4 for piece in pieces] == [0, 5, 10, 16]
    assert {int(token) for piece in pieces for token in piece[1:-1]} == set(range(4, 28))
    assert windows.truncated == 0


def test_texts_that_are_not_read_to_their_end_are_counted(tokenizer):
    texts = pl.Series([" ".join(WORDS[:24]), " ".join(WORDS[:14]), "w0"])
    windows = WindowReader(tokenizer, 8 + SPECIAL, 2).windows(texts)
    assert windows.truncated == 1
    assert np.diff(windows.first_N).tolist() == [2, 2, 1]


def test_a_text_of_100_000_letters_takes_no_longer_than_it_must(tokenizer):
    reader = WindowReader(tokenizer, 16, 4)
    begun = time.monotonic()
    windows = reader.windows(pl.Series(["w1 " * 33_334, "x" * 100_000, "w1"]))
    assert time.monotonic() - begun < 5
    assert np.diff(windows.first_N).tolist() == [4, 1, 1]
    assert windows.truncated == 2


def test_more_tokens_than_the_encoder_reads_at_once_are_an_error(tokenizer):
    with pytest.raises(DataError, match=r"model\.text\.max_tokens: the encoder reads at most 64 tokens"):
        window_reader(tokenizer, 128, 4, 64)
