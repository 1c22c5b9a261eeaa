"""Texts as bags of hashed parts: the words, and every three letters of a word.

So a text that was never seen says something still, where it shares words, or parts of them, with others.
Buckets go by a fixed hash: the same in every process, on every machine, for every table.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from mlc.events.timeline import packed
from mlc.models.reading.batch import BUCKETS

_LETTERS = 3
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Bags:
    """The bags of some texts, end to end.

    Attributes:
        starts: Where the bag of each text begins, and the end, int64, shape (texts + 1).
        buckets: Bucket of each part, int64.
    """

    starts: np.ndarray
    buckets: np.ndarray

    @classmethod
    def of(cls, texts: Sequence[str]) -> "Bags":
        """The bags of some texts.

        Examples:
            >>> bags = Bags.of(["", "Red mug", "red  MUG!"])
            >>> bags.starts.tolist(), bool((bags.buckets[:8] == bags.buckets[8:]).all())
            ([0, 0, 8, 16], True)
        """
        known: dict[str, list[int]] = {}
        starts: list[int] = [0]
        buckets: list[int] = []
        for text in texts:
            for word in _WORD.findall(text.casefold()):
                if word not in known:
                    known[word] = [crc32(part.encode()) % BUCKETS for part in parts(word)]
                buckets += known[word]
            starts.append(len(buckets))
        return cls(np.array(starts), np.array(buckets, dtype=np.int64))

    def chosen(self, texts_U: np.ndarray) -> "Bags":
        """The bags of some of the texts, by their positions."""
        starts_U, ends_U = self.starts[texts_U], self.starts[texts_U + 1]
        _, index = packed(starts_U, ends_U)
        return Bags(np.concatenate([[0], np.cumsum(ends_U - starts_U)]), self.buckets[index])


def joined(bags: Sequence[Bags]) -> Bags:
    """The texts of several fields, one after the other.

    Each field has buckets of its own.
    """
    starts, buckets, length = [np.zeros(1, np.int64)], [np.zeros(0, np.int64)], 0
    for place, one in enumerate(bags):
        starts.append(one.starts[1:] + length)
        buckets.append(one.buckets + place * BUCKETS)
        length += len(one.buckets)
    return Bags(np.concatenate(starts), np.concatenate(buckets))


def parts(word: str) -> Iterator[str]:
    """A word, and every three letters of it, with marks where it begins and ends.

    Examples:
        >>> list(parts("mug"))
        [' mug', '<mu', 'mug', 'ug>']
    """
    yield f" {word}"
    marked = f"<{word}>"
    for begin in range(len(marked) - _LETTERS + 1):
        yield marked[begin : begin + _LETTERS]
