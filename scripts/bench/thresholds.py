"""What each threshold policy loses against the best cut, on simulated scores whose true probabilities are
known.

    python -m scripts.bench.thresholds --repeats 40

Validation examples are drawn from a population: logits of the true probability are normal with deviation
1.5. The scores are these probabilities (calibrated), or too extreme and too high (skewed: logit times 1.5,
plus 1). Regret is F1 of the best cut in the population minus F1 of the chosen one. `promise` is how much
more F1 the policy reports for its cut on its own validation examples than it gives; `held` the share of new
samples in which F1 lies in the stated range. For precision_at_least the goal is the population's precision
at recall .3.
"""

import sys
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
    """True probabilities, sorted from the highest down, and the F1 and precision of each cut."""

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

    def decided(self, scores: Any, cut: float | None) -> int:
        """How many pass a cut; scores fall along the population."""
        return int(np.sum(scores >= np.float32(threshold_value(cut))))


@dataclass
class Found:
    """What repeated choices of one policy gave."""

    regret: list[float] = field(default_factory=list)
    promise: list[float] = field(default_factory=list)
    held: list[bool] = field(default_factory=list)
    precision: list[float] = field(default_factory=list)
    precision_held: list[bool] = field(default_factory=list)
    recall: list[float] = field(default_factory=list)


def main() -> int:
    """Run the command line of this script."""
    asked = parser(__doc__)
    asked.add_argument("--repeats", type=int, default=40)
    asked.add_argument("--skewed", action="store_true", help="scores that are not probabilities")
    arguments = asked.parse_args()
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
    """One line of the table."""
    slope, bias = (1.5, 1.0) if arguments.skewed else (1.0, 0.0)
    scores = expit(slope * population.logits + bias).astype(np.float32)
    goal = float(population.precision[np.searchsorted(population.recall, 0.3)])
    examples = round(positives / prevalence)
    policies: dict[str, tuple[Policy, bool]] = {
        "fixed 0.5": (Fixed(kind="fixed", value=0.5), False),
        "max_f1": (MaxF1(), True),
        "auto, raw": (Auto(), False),
        "auto": (Auto(), True),
        "precision": (
            PrecisionAtLeast(kind="precision_at_least", precision=goal, when_unreachable="best"),
            True,
        ),
    }
    found = {name: Found() for name in policies}
    for _ in range(arguments.repeats):
        at = generator.integers(0, POPULATION, examples)
        targets = (generator.random(examples) < population.truth[at]).astype(np.uint8)[:, None]
        folds = entity_folds(np.arange(examples), seed=int(generator.integers(1 << 30)))
        raw = scores[at][:, None]
        maps, outside = fit_calibration("auto", ["a"], raw, targets, folds)
        mapped = calibrated(scores[:, None], maps)[:, 0]
        fresh = generator.integers(0, POPULATION, examples)
        new = generator.random(examples) < population.truth[fresh]
        for name, (policy, calibrate) in policies.items():
            cut = choose_thresholds(
                Thresholds(default=policy), ["a"], outside if calibrate else raw, targets
            )[0]
            all_scores = mapped if calibrate else scores
            yes = population.decided(all_scores, cut.value)
            one = found[name]
            one.regret.append(population.f1.max() - (population.f1[yes - 1] if yes else 0.0))
            decided = all_scores[fresh] >= np.float32(threshold_value(cut.value))
            expected = cut.estimate
            if expected is not None and expected.f1 is not None:
                given = 2 * np.sum(decided & new) / max(1, decided.sum() + new.sum())
                one.promise.append(expected.f1.value - (population.f1[yes - 1] if yes else 0.0))
                one.held.append(bool(expected.f1.low <= given <= expected.f1.high))
            if yes:
                one.precision.append(float(population.precision[yes - 1]))
                one.recall.append(float(population.recall[yes - 1]))
            if decided.any() and expected is not None and expected.precision is not None:
                given = float(np.mean(new[decided]))
                one.precision_held.append(bool(expected.precision.low <= given <= expected.precision.high))
    goal_found, held = found["precision"], [*found["max_f1"].held, *found["auto"].held]
    regrets = {
        name: round(float(mean(found[name].regret)), 3)
        for name in ("fixed 0.5", "max_f1", "auto, raw", "auto")
    }
    return {
        "prevalence": prevalence,
        "positives": positives,
        "best_f1": round(float(population.f1.max()), 3),
        **{
            name.replace(", raw", "_not_calibrated").replace(" ", "_"): value
            for name, value in regrets.items()
        },
        "held": _share(held),
        "precision_goal": round(goal, 2),
        "precision_reached": round(float(mean(goal_found.precision)), 2),
        "recall_at_it": round(float(mean(goal_found.recall)), 2),
        "precision_held": _share(goal_found.precision_held),
    }


def _share(flags: list[bool]) -> float | None:
    return round(float(mean(flags)), 2) if flags else None


if __name__ == "__main__":
    sys.exit(main())
