"""Time and memory of the scorecard on generated scores: every figure with its interval, and the means.

python scripts/bench_scorecard.py --examples 1000000 --labels 20
"""

import argparse
import sys
import time

import numpy as np

from mlc.evaluation.metrics import (
    overall_decisions,
    overall_scores,
    score_decisions,
    score_examples,
    score_labels,
)
from mlc.run import peak_memory_mb


def main() -> int:
    """Run the command line of this script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=1_000_000)
    parser.add_argument("--labels", type=int, default=20)
    parser.add_argument("--cutoffs", type=int, default=4, help="examples an entity")
    arguments = parser.parse_args()
    shape = arguments.examples, arguments.labels
    generator = np.random.default_rng(7)
    truth_NK = generator.random(shape, np.float32) ** np.linspace(2, 40, arguments.labels, dtype=np.float32)
    targets_NK = (generator.random(shape, np.float32) < truth_NK).astype(np.uint8)
    entities_N = np.arange(arguments.examples) // arguments.cutoffs
    names = [f"label {label}" for label in range(arguments.labels)]
    before, total = peak_memory_mb(), 0.0
    for name, work in (
        ("each label", lambda: score_labels(truth_NK, targets_NK, names, entities_N)),
        (
            "means over labels",
            lambda: overall_scores(
                truth_NK, targets_NK, score_labels(truth_NK[:1000], targets_NK[:1000], names), entities_N
            ),
        ),
        ("labels of each example", lambda: score_examples(truth_NK, targets_NK)),
        (
            "decisions",
            lambda: overall_decisions(
                truth_NK >= 0.3, targets_NK, score_decisions(truth_NK >= 0.3, targets_NK, names)
            ),
        ),
    ):
        begun = time.monotonic()
        work()
        seconds = time.monotonic() - begun
        total += seconds
        print(f"{name:<24}{seconds:>8.1f} s{peak_memory_mb():>8,} MiB")
    print(f"{'in all':<24}{total:>8.1f} s; {before:,} MiB before")
    return 0


if __name__ == "__main__":
    sys.exit(main())
