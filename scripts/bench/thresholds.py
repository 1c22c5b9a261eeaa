"""What threshold policies lose against the best threshold, on scores whose true probabilities are known.

    python -m scripts.bench.thresholds --repeats 40

Validation examples are drawn from a population: logits of the true probability are normal with deviation
1.5. The scores are these probabilities (calibrated), or too extreme and too high (skewed: logit times 1.5,
plus 1). Regret is F1 of the best threshold in the population minus F1 of the chosen one; `held` is the share
of new samples in which F1 lies in the stated range. For precision_at_least the goal is the population's
precision at recall .3.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import mean
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from mlc.evaluation.calibration import calibrated, entity_folds, fit_calibration
from mlc.evaluation.thresholds import choose_thresholds, threshold_value
from mlc.scenario import Auto, Fixed, MaxF1, Policy, PrecisionAtLeast, Thresholds
from scripts.bench.harness import Record, parser

POPULATION = 400_000
LARGEST = 300_000
PREVALENCES = (0.002, 0.01, 0.05, 0.2)
POSITIVES = (5, 20, 100, 500, 5000)
LEAD = (
    "Loss in F1 of one label against its best threshold in the population, whose F1 is best_f1. Held is the "
    "share of new samples in which a figure lies in the stated range."
)


@dataclass(frozen=True)
class Population:
    """True probabilities, sorted from the highest down; F1 and precision of each threshold."""

    logits: Any
    truth: Any
    f1: Any
    precision: Any
    recall: Any

    @classmethod
    def of(cls, prevalence: float, generator: Any) -> "Population":
        """Draw one of this prevalence."""
        noise = np.sort(generator.normal(size=POPULATION))[::-1] * 1.5
        center = brentq(lambda shift: expit(noise + shift).mean() - prevalence, -20, 5)
        truth = expit(noise + center)
        hits, yes = np.cumsum(truth), np.arange(1, POPULATION + 1)
        return cls(noise + center, truth, 2 * hits / (yes + hits[-1]), hits / yes, hits / hits[-1])

    def decided(self, scores: Any, threshold: float | None) -> int:
        """Return how many pass a threshold; scores fall along the population."""
        return int(np.sum(scores >= np.float32(threshold_value(threshold))))


@dataclass
class Outcomes:
    """What repeated choices of one policy gave."""

    regret: list[float] = field(default_factory=list)
    held: list[bool] = field(default_factory=list)
    precision: list[float] = field(default_factory=list)
    precision_held: list[bool] = field(default_factory=list)
    recall: list[float] = field(default_factory=list)


def main() -> int:
    """Run the command line of this script."""
    command_line = parser(__doc__)
    command_line.add_argument("--repeats", type=int, default=40)
    command_line.add_argument("--skewed", action="store_true", help="scores that are not probabilities")
    arguments = command_line.parse_args()
    with Record(arguments.out, "Threshold rules", LEAD) as record:
        for prevalence in PREVALENCES:
            generator = np.random.default_rng(7)
            population = Population.of(prevalence, generator)
            for positives in POSITIVES:
                if positives / prevalence <= LARGEST:
                    cells = row(population, prevalence, positives, arguments, generator)
                    record.add("Regret in F1 of one label", cells)
    return 0


def row(
    population: Population, prevalence: float, positives: int, arguments: Any, generator: Any
) -> dict[str, Any]:
    """Return a row of the table: what repeated choices give on samples of a population."""
    slope, bias = (1.5, 1.0) if arguments.skewed else (1.0, 0.0)
    scores = expit(slope * population.logits + bias).astype(np.float32)
    goal = float(population.precision[np.searchsorted(population.recall, 0.3)])
    policies = policies_for(goal)
    outcomes = {name: Outcomes() for name in policies}
    for _ in range(arguments.repeats):
        sample = Sample.drawn(population, scores, round(positives / prevalence), generator)
        for name, (policy, calibrate) in policies.items():
            judge(outcomes[name], population, sample, policy, calibrate)
    reached, held = outcomes["precision"], [*outcomes["max_f1"].held, *outcomes["auto"].held]
    regrets = {name: _mean(one.regret, 3) for name, one in outcomes.items() if name != "precision"}
    return {
        "prevalence": prevalence,
        "positives": positives,
        "best_f1": round(float(population.f1.max()), 3),
        **regrets,
        "held": _mean(held),
        "precision_goal": round(goal, 2),
        "precision_reached": _mean(reached.precision),
        "recall_at_it": _mean(reached.recall),
        "precision_held": _mean(reached.precision_held),
    }


def policies_for(goal: float) -> dict[str, tuple[Policy, bool]]:
    """Return column → a policy, and whether it decides on calibrated scores."""
    at_precision = PrecisionAtLeast(kind="precision_at_least", precision=goal, when_unreachable="best")
    return {
        "fixed_0.5": (Fixed(kind="fixed", value=0.5), False),
        "max_f1": (MaxF1(), True),
        "auto_not_calibrated": (Auto(), False),
        "auto": (Auto(), True),
        "precision": (at_precision, True),
    }


@dataclass(frozen=True)
class Sample:
    """Validation examples, and new examples of the same population.

    Attributes:
        raw: Scores of the validation examples.
        outside: The same, calibrated out of fold.
        targets: Their targets.
        all_raw: Scores of the population.
        all_mapped: The same, calibrated.
        fresh: Where the new examples are in the population.
        new: Their targets.
    """

    raw: Any
    outside: Any
    targets: Any
    all_raw: Any
    all_mapped: Any
    fresh: Any
    new: Any

    @classmethod
    def drawn(cls, population: Population, scores: Any, examples: int, generator: Any) -> "Sample":
        """Draw as many validation as new examples."""
        at = generator.integers(0, POPULATION, examples)
        targets = (generator.random(examples) < population.truth[at]).astype(np.uint8)[:, None]
        folds = entity_folds(np.arange(examples), seed=int(generator.integers(1 << 30)))
        raw = scores[at][:, None]
        maps, outside = fit_calibration("auto", ["a"], raw, targets, folds)
        mapped = calibrated(scores[:, None], maps)[:, 0]
        fresh = generator.integers(0, POPULATION, examples)
        new = generator.random(examples) < population.truth[fresh]
        return cls(raw, outside, targets, scores, mapped, fresh, new)


def judge(
    outcomes: Outcomes, population: Population, sample: Sample, policy: Policy, calibrate: bool
) -> None:
    """Choose a threshold on the validation examples, and add what it gives."""
    given = sample.outside if calibrate else sample.raw
    chosen = choose_thresholds(Thresholds(default=policy), ["a"], given, sample.targets)[0]
    scores, expected = (sample.all_mapped if calibrate else sample.all_raw), chosen.estimate
    yes = population.decided(scores, chosen.value)
    f1 = population.f1[yes - 1] if yes else 0.0
    outcomes.regret.append(population.f1.max() - f1)
    decided, new = scores[sample.fresh] >= np.float32(threshold_value(chosen.value)), sample.new
    if expected is not None and expected.f1 is not None:
        actual = 2 * np.sum(decided & new) / max(1, decided.sum() + new.sum())
        outcomes.held.append(bool(expected.f1.low <= actual <= expected.f1.high))
    if yes:
        outcomes.precision.append(float(population.precision[yes - 1]))
        outcomes.recall.append(float(population.recall[yes - 1]))
    if decided.any() and expected is not None and expected.precision is not None:
        actual = float(np.mean(new[decided]))
        outcomes.precision_held.append(bool(expected.precision.low <= actual <= expected.precision.high))


def _mean(values: Sequence[float], digits: int = 2) -> float | None:
    return round(float(mean(values)), digits) if values else None


if __name__ == "__main__":
    sys.exit(main())
