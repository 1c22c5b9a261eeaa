"""How often verdicts call two equally good models different, where one time in twenty is right.

    python -m scripts.bench.verdicts --repeats 1000 --out docs/results/intervals.json

Both models see the truth through noise of their own, of the same size, so that neither is better. A draw is
of examples of distinct entities with a given number of positives for each label, and counts where the 95 %
interval of the macro difference leaves out 0. Labels with too few positives are part of each draw and have
no part in the verdict.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlc.evaluation.metrics import ENOUGH, macro_differences
from scripts.bench.harness import Record, parser

SCORES = ("auroc", "ap", "log_loss")
LEAD = (
    "Verdicts on pairs of models that are equally good; with 95 % intervals about 0.05 of the draws should "
    "be told apart. A setting lists the positives of each label; labels with fewer than 10 are not judged."
)


@dataclass(frozen=True)
class Setting:
    """Examples and labels of a draw.

    Attributes:
        name: What it is called in the table.
        supports: Positives of each label.
        examples: As many entities.
        shift: How far the scores of positives lie above those of negatives, in standard deviations.
        share: Of the repeats that are asked for, where a draw takes long.
    """

    name: str
    supports: Sequence[int]
    examples: int = 250
    shift: float = 1.0
    share: float = 1.0


def rare(labels: int, seed: int = 1) -> list[int]:
    """Supports of 1 to 3."""
    return [int(support) for support in np.random.default_rng(seed).integers(1, 4, labels)]


SETTINGS = (
    Setting("[86]", [86]),
    Setting("[86, 1]", [86, 1]),
    Setting("[86, 2]", [86, 2]),
    Setting("[86, 86, 86, 1, 1, 1]", [86, 86, 86, 1, 1, 1]),
    Setting("[10]", [10]),
    Setting("[10], 2,000 examples", [10], 2000),
    Setting("[30], 2,000 examples", [30], 2000),
    Setting("[10], apart", [10], 250, 2.5),
    Setting("[86], apart", [86], 250, 2.5),
    Setting("[10] * 20", [10] * 20),
    Setting("[10] * 20, 2,000 examples", [10] * 20, 2000, 1.0, 0.5),
    Setting("400 of 1 to 3", rare(400), 250, 1.0, 0.1),
    Setting("2,000 of 1 to 3", rare(2000), 250, 1.0, 0.1),
    Setting("400 of 1 to 3, three of 86", [86] * 3 + rare(400), 250, 1.0, 0.5),
    Setting("2,000 of 1 to 3, three of 86", [86] * 3 + rare(2000), 250, 1.0, 0.3),
    Setting("400 of 1 to 3, twenty of 12 to 40", [*range(12, 52, 2), *rare(400)], 1000, 1.0, 0.3),
)


def drawn(generator: np.random.Generator, setting: Setting) -> tuple[Any, Any, Any]:
    """Two models' scores and the targets."""
    shape = setting.examples, len(setting.supports)
    order_NK = np.argsort(generator.random(shape, np.float32), axis=0)
    targets_NK = (order_NK < np.array(setting.supports)).astype(np.uint8)
    first, second = (
        1 / (1 + np.exp(-setting.shift * targets_NK - generator.standard_normal(shape, np.float32)))
        for _ in range(2)
    )
    return first, second, targets_NK


def told_apart(setting: Setting, repeats: int, seed: int = 7) -> dict[str, Any]:
    """The share of draws in which the interval leaves out 0, of those with a verdict."""
    generator, counts, verdicts = np.random.default_rng(seed), Counter[str](), 0
    for _ in range(repeats):
        first, second, targets_NK = drawn(generator, setting)
        differences = macro_differences(first, {"second": second}, targets_NK, np.arange(setting.examples))[
            "second"
        ]
        verdicts += differences["ap"].low is not None
        for score, difference in differences.items():
            low, high = difference.low, difference.high
            counts[score] += low is not None and high is not None and (low > 0 or high < 0)
    shares = {score: round(counts[score] / verdicts, 3) if verdicts else None for score in SCORES}
    judged = sum(min(support, setting.examples - support) >= ENOUGH for support in setting.supports)
    return {
        "setting": setting.name,
        "examples": setting.examples,
        "labels": len(setting.supports),
        "judged": judged,
        "draws": repeats,
        "verdicts": verdicts,
        **{f"told_apart_{score}": share for score, share in shares.items()},
    }


def main() -> int:
    """Run the command line of this script."""
    command_line = parser(__doc__)
    command_line.add_argument("--repeats", type=int, default=1000)
    arguments = command_line.parse_args()
    with Record(arguments.out, "How often two equally good models are called different", LEAD) as record:
        for setting in SETTINGS:
            repeats = round(arguments.repeats * setting.share)
            record.add("Share of draws in which the models are told apart", told_apart(setting, repeats))
    return 0


if __name__ == "__main__":
    sys.exit(main())
