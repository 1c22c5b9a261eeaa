"""How often two equally good models are told apart for one label, where it should be one time in twenty.

python scripts/bench_compare.py [--repeats 300]

Both models see the truth through noise of their own, of the same size, so that neither is better. The other
columns: how often the better one of two is named, where one sees the truth through less noise.
"""

import argparse

import numpy as np

from mlc.evaluation.metrics import label_differences

EXAMPLES = 2_000


def told_apart(generator: np.random.Generator, positives: int, noises: tuple[float, float]) -> np.ndarray:
    """Whether an interval lies above 0, and below, for AUROC and AP, shape (2, 2)."""
    targets_N1 = np.zeros((EXAMPLES, 1), np.uint8)
    targets_N1[:positives] = 1
    truth_N1 = targets_N1 * 1.5 + generator.normal(size=targets_N1.shape)
    first, second = (
        1 / (1 + np.exp(-(truth_N1 + noise * generator.normal(size=truth_N1.shape)))) for noise in noises
    )
    [found] = label_differences(first, second, targets_N1, np.arange(EXAMPLES), replicates=400)
    ends = [(found[score].low, found[score].high) for score in ("auroc", "ap")]
    return np.array([(low is not None and low > 0, high is not None and high < 0) for low, high in ends])


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=300)
    repeats = parser.parse_args().repeats
    generator = np.random.default_rng(7)
    print("| positives | equal: AUROC | equal: AP | better found: AUROC | better found: AP |")
    print("|---:|---:|---:|---:|---:|")
    for positives in (2, 5, 10, 20, 50, 200):
        equal, better = (
            np.mean([told_apart(generator, positives, noises) for _ in range(repeats)], axis=0)
            for noises in ((0.5, 0.5), (0.2, 0.8))
        )
        cells = [*equal.sum(axis=1), *better[:, 0]]
        print(f"| {positives} | " + " | ".join(f"{cell:.1%}" for cell in cells) + " |")


if __name__ == "__main__":
    main()
