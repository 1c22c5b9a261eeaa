"""What a generated table of rows consists of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl


@dataclass(frozen=True)
class Generated:
    """Tables, files and a scenario.

    Attributes:
        scenario: The scenario, as a person would write it.
        tables: Path of a CSV or Parquet file, relative to the demo's folder → its table.
        files: Path of any other file → what writes it.
    """

    scenario: str
    tables: Mapping[str, pl.DataFrame]
    files: Mapping[str, Callable[[Path], None]] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write all of it into a folder."""
        for name, table in self.tables.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".csv":
                table.write_csv(path)
            else:
                table.write_parquet(path)
        for name, write in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            write(folder / name)
        (folder / "scenario.yaml").write_text(self.scenario, encoding="utf-8")


@dataclass(frozen=True)
class Topic:
    """What people say of one label.

    Attributes:
        strong: Sentences that nearly always mean it.
        weak: Sentences that mean it about as often as not.
    """

    strong: Sequence[str]
    weak: Sequence[str]


STRONG, WEAK, BASE = (4.2, 6.4), (2.0, 3.4), -3.2
"""Log-odds that the first and the last sentence of a topic add, and those of a text without one."""
_FILLER = 0.2
"""Standard deviation of what a sentence of no topic adds, so that hardly two texts are alike."""


def spoken(
    topics: Mapping[str, Topic], fillers: Sequence[str], rows: int, noise: np.random.Generator
) -> tuple[list[str], np.ndarray]:
    """Return texts, and the log-odds of each label, shape (rows, labels).

    A text has up to three sentences of the topics and some of none, in any order; one of fifty is long, one
    of five hundred is empty. A sentence that comes again adds nothing.

    Args:
        topics: Label → what people say of it.
        fillers: Sentences of no topic.
        rows: How many texts.
        noise: Source of chance.
    """
    names = list(topics)
    popularity_K = np.linspace(1.6, 0.6, len(names))
    popularity_K /= popularity_K.sum()
    filler_FK = np.random.default_rng(11).normal(0.0, _FILLER, (len(fillers), len(names)))
    log_odds_NK = np.full((rows, len(names)), BASE)
    texts = []
    for row in range(rows):
        sentences: list[str] = []
        for k in noise.choice(len(names), size=int(noise.integers(0, 4)), replace=False, p=popularity_K):
            strong = noise.random() < 0.6
            topic = topics[names[k]]
            known, (low, high) = (topic.strong, STRONG) if strong else (topic.weak, WEAK)
            chosen = int(noise.integers(len(known)))
            sentences.append(known[chosen])
            log_odds_NK[row, k] += low + (high - low) * chosen / (len(known) - 1)
        fillings = int(noise.integers(60, 120)) if noise.random() < 0.02 else int(noise.integers(1, 5))
        places = noise.integers(len(fillers), size=fillings)
        log_odds_NK[row] += filler_FK[np.unique(places)].sum(axis=0)
        sentences += [fillers[place] for place in places]
        order = noise.permutation(len(sentences))
        texts.append(" ".join(sentences[place] for place in order))
        if noise.random() < 0.002:
            texts[-1], log_odds_NK[row] = "", BASE
    return texts, log_odds_NK


def drawn(log_odds_NK: np.ndarray, noise: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return labels drawn from their probabilities, bool, and these, float32.

    Both have the shape (rows, labels).
    """
    probabilities_NK = 1.0 / (1.0 + np.exp(-log_odds_NK))
    return noise.random(log_odds_NK.shape) < probabilities_NK, probabilities_NK.astype(np.float32)


def truth_table(key: pl.Series, names: Sequence[str], probabilities_NK: np.ndarray) -> pl.DataFrame:
    """Return the true probabilities as a table: the key, and one column per label."""
    columns = [pl.Series(name, probabilities_NK[:, k]) for k, name in enumerate(names)]
    return pl.DataFrame([key, *columns])


def joined_names(names: Sequence[str], labels_NK: np.ndarray, separator: str) -> list[str]:
    """Return the names of the labels of each row as one text."""
    return [separator.join(name for name, has in zip(names, row, strict=True) if has) for row in labels_NK]
