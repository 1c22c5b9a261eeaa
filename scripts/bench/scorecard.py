"""Time and memory of the scorecard on generated scores: every figure with its interval, and the means.

python -m scripts.bench.scorecard --examples 1000000 --labels 20
"""

import sys
import time
from collections.abc import Callable

import numpy as np

from mlc.evaluation.metrics import (
    overall_decisions,
    overall_scores,
    score_decisions,
    score_examples,
    score_labels,
)
from mlc.run import peak_memory_mb
from scripts.bench.harness import Record, parser

LEAD = "Seconds of the clock, and peak memory of the process in MiB after each part."


def main() -> int:
    """Run the command line of this script."""
    command_line = parser(__doc__)
    command_line.add_argument("--examples", type=int, default=1_000_000)
    command_line.add_argument("--labels", type=int, default=20)
    command_line.add_argument("--cutoffs", type=int, default=4, help="examples an entity")
    arguments = command_line.parse_args()
    shape = arguments.examples, arguments.labels
    generator = np.random.default_rng(7)
    truth_NK = generator.random(shape, np.float32) ** np.linspace(2, 40, arguments.labels, dtype=np.float32)
    targets_NK = (generator.random(shape, np.float32) < truth_NK).astype(np.uint8)
    entities_N = np.arange(arguments.examples) // arguments.cutoffs
    names = [f"label {label}" for label in range(arguments.labels)]
    parts: dict[str, Callable[[], object]] = {
        "each label": lambda: score_labels(truth_NK, targets_NK, names, entities_N),
        "means over labels": lambda: overall_scores(
            truth_NK, targets_NK, score_labels(truth_NK[:1000], targets_NK[:1000], names), entities_N
        ),
        "labels of each example": lambda: score_examples(truth_NK, targets_NK),
        "decisions": lambda: overall_decisions(
            truth_NK >= 0.3, targets_NK, score_decisions(truth_NK >= 0.3, targets_NK, names)
        ),
    }
    title = f"{arguments.examples:,} examples, {arguments.labels} labels"
    with Record(arguments.out, "Time and memory of the scorecard", LEAD) as record:
        record.add(title, {"part": "before", "seconds": None, "peak_mib": peak_memory_mb()})
        for name, work in parts.items():
            begun = time.monotonic()
            work()
            seconds = round(time.monotonic() - begun, 1)
            record.add(title, {"part": name, "seconds": seconds, "peak_mib": peak_memory_mb()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
