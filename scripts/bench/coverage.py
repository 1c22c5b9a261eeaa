"""How often the 95 % intervals of AUROC and AP hold the truth, on scores whose truth is known.

    python -m scripts.bench.coverage --repeats 500

Scores are normal with deviation 1, those of positives higher by the distance. Rows with several examples an
entity share half of the variance of their score and, mostly, their target. The interval of the macro mean is
over labels of all four prevalences.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from scipy.stats import norm

from mlc.evaluation.metrics import overall_scores, score_labels
from scripts.bench.harness import Record, parser

LEAD = (
    "Share of samples whose 95 % interval contains the true value; where some samples have none, "
    "of the share that has."
)

PREVALENCES = (0.005, 0.02, 0.1, 0.3)
POSITIVES = (10, 20, 50, 200, 1000)
DISTANCES = (0.5, 1.2, 2.5)

Sample = tuple[Any, Any, Any]


def main() -> int:
    """Run the command line of this script."""
    command_line = parser(__doc__)
    command_line.add_argument("--repeats", type=int, default=500)
    arguments = command_line.parse_args()
    with Record(arguments.out, "How often the intervals hold", LEAD) as record:
        for title, row in rows(np.random.default_rng(7), arguments.repeats):
            record.add(title, row)
    return 0


def rows(generator: Any, repeats: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the title of a table and a row of it."""
    for prevalence in PREVALENCES:
        for positives in POSITIVES:
            for distance in DISTANCES:
                examples = round(positives / prevalence)
                if examples <= 60_000:
                    draw = drawn(generator, examples, [prevalence], distance)
                    truth = truths(prevalence, distance)
                    held = coverage(draw, truth, repeats, partial(of_entities, keep=False))
                    yield "One label", {"prevalence": prevalence, "positives": positives} | cells(truth, held)
    several = [(distance, examples) for distance in (0.5, 1.2) for examples in (1000, 10_000)]
    for distance, examples in several:
        draw = drawn(generator, examples, PREVALENCES, distance)
        each = [truths(prevalence, distance) for prevalence in PREVALENCES]
        truth = {name: float(np.mean([one[name] for one in each])) for name in each[0]}
        held = coverage(draw, truth, repeats, macro)
        yield "Macro means", {"examples": examples} | cells(truth, held)
    for prevalence in (0.02, 0.1):
        draw = clustered(generator, 3000, prevalence, 1.2)
        truth = truths(prevalence, 1.2)
        for name, keep in (("yes", True), ("no", False)):
            held = coverage(draw, truth, repeats, partial(of_entities, keep=keep))
            known = {"prevalence": prevalence, "entities_known": name}
            yield "Four rows per entity", known | cells(truth, held)


def drawn(generator: Any, examples: int, prevalences: Any, distance: float) -> Callable[[], Sample]:
    """Samples of independent examples."""

    def draw() -> Sample:
        targets = (generator.random((examples, len(prevalences))) < prevalences).astype(np.uint8)
        scores = norm.cdf(generator.normal(size=targets.shape) + distance * targets)
        return scores, targets, None

    return draw


def clustered(generator: Any, entities: int, prevalence: float, distance: float) -> Callable[[], Sample]:
    """Samples with four examples an entity; nine of ten repeat the target of its first."""

    def draw() -> Sample:
        own = generator.random((entities, 4)) < prevalence
        targets = np.where(generator.random((entities, 4)) < 0.9, own[:, :1], own).astype(np.uint8)
        noise = generator.normal(size=(entities, 1)) + generator.normal(size=(entities, 4))
        scores = norm.cdf(noise / np.sqrt(2) + distance * targets)
        return scores.reshape(-1, 1), targets.reshape(-1, 1), np.repeat(np.arange(entities), 4)

    return draw


def named(scores: Any, targets: Any, entities: Any) -> Any:
    """Arguments of `score_labels`."""
    return scores, targets, [str(label) for label in range(targets.shape[1])], entities


def of_entities(sample: Sample, keep: bool) -> Any:
    """The label's score, with or without knowing which examples are of one entity."""
    scores, targets, entities = sample
    return score_labels(*named(scores, targets, entities if keep else None))[0]


def macro(sample: Sample) -> Any:
    """The mean over the labels."""
    scores, targets, _ = sample
    return overall_scores(scores, targets, score_labels(*named(*sample))).macro


def truths(prevalence: float, distance: float) -> dict[str, float]:
    """AUROC and AP of endless data."""
    at = np.linspace(-8.0, 12.0, 200_001)
    recall, alarms = norm.sf(at - distance), norm.sf(at)
    precision = prevalence * recall / (prevalence * recall + (1 - prevalence) * alarms)
    ap = np.trapezoid(precision * norm.pdf(at - distance), at)
    return {"auroc": float(norm.cdf(distance / np.sqrt(2))), "ap": float(ap)}


def coverage(
    draw: Callable[[], Sample], truth: dict[str, float], repeats: int, judge: Callable[[Sample], Any]
) -> dict[str, str]:
    """The share of samples whose interval holds the truth, of those that have one."""
    held, counts = Counter[str](), Counter[str]()
    for _ in range(repeats):
        scores = judge(draw())
        for name, value in truth.items():
            interval = getattr(scores, f"{name}_interval")
            if interval is not None:
                counts[name] += 1
                held[name] += interval[0] <= value <= interval[1]
    shares = {name: f"{held[name] / counts[name]:.1%}" for name in truth if counts[name]}
    for name, share in shares.items():
        if counts[name] < 0.99 * repeats:
            shares[name] = f"{share} of {counts[name] / repeats:.0%}"
    return shares


def cells(truth: dict[str, float], held: dict[str, str]) -> dict[str, Any]:
    """Return the truth and the share of intervals that hold it, of each score."""
    row: dict[str, Any] = {}
    for name in ("auroc", "ap"):
        row |= {name: round(truth[name], 3), f"{name}_held": held.get(name)}
    return row


if __name__ == "__main__":
    sys.exit(main())
