"""Positives of labels by split, as lines of text."""

from collections.abc import Iterator, Mapping, Sequence

from mlc.drawing.text_tables import one_line

_LONGEST_NAME = 40


def name_width(names: Sequence[str]) -> int:
    """Return the width of a column of label names."""
    return min(_LONGEST_NAME, max(len(name) for name in names))


def short_name(name: str, width: int) -> str:
    """Return a label's name in one line of at most this many characters."""
    name = one_line(name)
    return name if len(name) <= width else name[: width - 1] + "…"


def count_lines(
    names: Sequence[str], what: str, sizes: Mapping[str, int], positives: Mapping[str, Sequence[int]]
) -> Iterator[str]:
    """Write positives and prevalence of every label by split, one line per label.

    Args:
        names: The K labels.
        what: What an example is called: `examples`.
        sizes: Split → how many examples it has.
        positives: Split → positive targets of each label.

    Examples:
        >>> for line in count_lines(["joy"], "rows", {"test": 8}, {"test": [2]}):
        ...     print(line)
        label                  test
        rows                      8
        joy              2   25.00%
    """
    width = max(len("label"), name_width(names))
    yield f"{'label':<{width}}" + "".join(f"{split:>22}" for split in sizes)
    yield f"{what:<{width}}" + "".join(f"{size:>22,}" for size in sizes.values())
    for index, name in enumerate(names):
        cells = [
            f"{positives[split][index]:,} {positives[split][index] / max(size, 1):>8.2%}"
            for split, size in sizes.items()
        ]
        yield f"{short_name(name, width):<{width}}" + "".join(f"{cell:>22}" for cell in cells)
