"""Whether a run keeps its word on the test split: promised precision, volumes, the first sentence.

    MLC_DATA=… python -m scripts.bench.promises               # configs/public/*.yaml and the demo
    MLC_DATA=… python -m scripts.bench.promises --runs-dir checked --scenarios X.yaml

Each scenario is trained with `precision_at_least: 0.5` for every label; a run that `--runs-dir` holds
already is taken as it is. Then: of the labels whose goal was promised, how many have a precision on the test
split within the stated range, or above; whether `mlc predict` at the test cutoff says yes as often as the
report; whether the verdict is true by scikit-learn and another bootstrap. Exit code 1 when one of the last
two is not so.
"""

import html
import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from mlc.evaluation.held_out import PartScores
from mlc.evaluation.outcomes import MARGINS
from mlc.events.baselines import NO_PROBABILITIES
from mlc.models.baselines import all_baselines
from mlc.models.model import Model
from mlc.models.tasks import trained_task
from mlc.run import RunFolder
from mlc.tables import CUTOFF, ENTITY_ID, SPLIT, UNKNOWN, scores_of, targets_of
from scripts.bench.harness import Record, parser
from scripts.bench.trainings import add_scenarios, mlc, scenarios_of

GOAL = "thresholds={default: {kind: precision_at_least, precision: 0.5}}"
LEAD = (
    "Every label asks for precision_at_least: 0.5. The promised range is a 95 % range; the verdict is judged "
    "by scikit-learn on the saved predictions and another bootstrap, volumes by mlc predict."
)
SCORES = {"AP": average_precision_score, "AUROC": roc_auc_score, "log-loss": log_loss}
CLAUSE = re.compile(
    r"((?i:better than|equal to|worse than|no detectable difference from)) (?:the best baseline, (\w+),|it) "
    r"in macro (AP|AUROC|log-loss): ([\d.]+) against ([\d.]+)"
)
RESAMPLES = 200
NEAR = 0.1  # two bootstraps of so many resamples place an end within about so much of the interval's width

Matrix = Any


@dataclass(frozen=True)
class Kept:
    """What one run said and did.

    Attributes:
        labels: How many there are.
        promised: Labels whose goal was not said to be out of reach or likely missed.
        inside: Of these, how many have a precision on the test split within the stated range.
        above: How many lie above it; the rest lie below, or said yes to nobody.
        repeated: Labels with the same volume in `mlc predict` as in the report.
        untrue: What is not true of the verdict, a sentence each.
    """

    labels: int
    promised: int
    inside: int
    above: int
    repeated: int
    untrue: list[str]

    @property
    def sound(self) -> bool:
        """Whether volumes and verdict are right; a promise may fail by chance."""
        return self.repeated == self.labels and not self.untrue

    def row(self, name: str) -> dict[str, Any]:
        """Return a row of the table."""
        return {
            "scenario": name,
            "labels": self.labels,
            "promised": self.promised,
            "in_range": self.inside,
            "above": self.above,
            "below": self.promised - self.inside - self.above,
            "volumes_repeated": f"{self.repeated} of {self.labels}",
            "first_sentence": "; ".join(self.untrue) or "true",
        }


def main() -> int:
    """Run the command line of this script."""
    command_line = parser(__doc__)
    add_scenarios(command_line)
    command_line.add_argument("--runs-dir", type=Path, help="keep the runs here; default: a temporary folder")
    command_line.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    arguments = command_line.parse_args()
    sound = True
    with (
        tempfile.TemporaryDirectory() as temporary,
        Record(arguments.out, "How well thresholds keep their promises", LEAD) as record,
    ):
        runs = (arguments.runs_dir or Path(temporary)).resolve()
        runs.mkdir(parents=True, exist_ok=True)
        for scenario in arguments.scenarios or scenarios_of(runs):
            run = trained(scenario, runs, arguments.overrides)
            promises = examined(run, runs)
            record.add("Labels whose promised precision held", promises.row(run.folder.name))
            sound &= promises.sound
    return 0 if sound else 1


def trained(scenario: Path, runs: Path, overrides: Sequence[str]) -> RunFolder:
    """The run of a scenario, trained where there is none. Its name must be that of the file."""
    run = RunFolder(runs / scenario.stem)
    if not run.folder.exists():
        flags = [flag for override in (GOAL, *overrides) for flag in ("--set", override)]
        mlc("train", scenario.resolve(), "--runs-dir", runs, *flags)
    return run


def examined(run: RunFolder, runs: Path) -> Kept:
    """Everything that one run said, against what is."""
    report = run.read_json("report.json")
    labels = report["splits"]["test"]["labels"]
    # A note says that the goal is out of reach or likely missed, or that there are few positives.
    promised = [label for label in labels if "precision" not in (label["threshold_note"] or "")]
    ranges = [label["threshold_estimate"]["precision"] for label in promised]
    pairs = list(zip([label["precision"] for label in promised], ranges, strict=True))
    return Kept(
        len(labels),
        len(promised),
        sum(value is not None and interval["low"] <= value <= interval["high"] for value, interval in pairs),
        sum(value is not None and value > interval["high"] for value, interval in pairs),
        repeated_volumes(run, runs, report),
        untrue(run, report),
    )


def repeated_volumes(run: RunFolder, runs: Path, report: dict[str, Any]) -> int:
    """Labels to which `mlc predict` at the only test cutoff says yes as often as the report."""
    test = report["splits"]["test"]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "scores.parquet"
        as_of = ("--as-of", test["cutoffs"]["first"], "--threshold", "stored")
        mlc("predict", run.folder.name, "--runs-dir", runs, *as_of, "--out", out)
        scored = pl.read_parquet(out)
    if scored.height != test["examples"]:
        return 0
    return sum(int(scored[f"{label['name']}: decision"].sum()) == label["volume"] for label in test["labels"])


def untrue(run: RunFolder, report: dict[str, Any]) -> list[str]:
    """Return what scikit-learn finds untrue in the first sentence, on the saved scores."""
    sentence = report["verdict"]
    examples, predictions = (pl.read_parquet(run / f"{name}.parquet") for name in ("examples", "predictions"))
    assert examples.select(ENTITY_ID, CUTOFF).equals(predictions.select(ENTITY_ID, CUTOFF))
    test = (examples[SPLIT] == "test").to_numpy()
    entities_N = examples.filter(test)[ENTITY_ID].rank("dense").to_numpy().astype(np.int64) - 1
    names = [label["name"] for label in report["splits"]["test"]["labels"]]
    judged = [names.index(name) for name in report["judged"]["labels"]]
    targets_NK, scores_NK = (
        matrix_NK[test][:, judged] for matrix_NK in (targets_of(examples), scores_of(predictions))
    )
    baselines = {name: scores[test][:, judged] for name, scores in baseline_scores(run).items()}
    text = html.unescape((run / "report.md").read_text(encoding="utf-8").replace("\\", ""))
    wrong = [] if sentence in text else ["report.md has another sentence"]
    clauses, named = CLAUSE.findall(sentence), ""
    if {SCORES[score] for _, _, score, _, _ in clauses} != {average_precision_score, roc_auc_score, log_loss}:
        wrong.append("a score is missing")
    for outcome, baseline, score, *figures in clauses:
        named = baseline or named
        sign = -1.0 if score == "log-loss" else 1.0
        means = {
            name: macro(score, other_NK, targets_NK)
            for name, other_NK in baselines.items()
            if score != "log-loss" or name not in NO_PROBABILITIES
        }
        model = macro(score, scores_NK, targets_NK)
        digits = len(figures[0]) - 2
        if [f"{value:.{digits}f}" for value in (model, means[named])] != figures:
            wrong.append(f"{score} is {model:.{digits}f} against {means[named]:.{digits}f}")
        if sign * means[named] < max(sign * mean for mean in means.values()):
            wrong.append(f"{named} is not the best baseline in {score}")
        low, high = difference_interval(score, scores_NK, baselines[named], targets_NK, entities_N)
        allowed = outcomes(score, low, high)
        if outcome.lower() not in allowed:
            wrong.append(f"{score} is {allowed[0]} it by {low:+.4f} to {high:+.4f}, not {outcome.lower()} it")
    return wrong


def baseline_scores(run: RunFolder) -> dict[str, Matrix]:
    """What each baseline gives for every example of the run."""
    model = Model.load(run)
    task = trained_task(run, lambda _: None, model.class_names)
    examples = task.prepare()
    part_scores = PartScores(model.part_scores(model.batches(task.inputs(examples)), baselines=True))
    baselines = all_baselines(task, examples, model, part_scores)
    return {name: scores_of(table) for name, table in baselines.predictions.items()}


def macro(score: str, scores_NK: Matrix, targets_NK: Matrix, weights_N: Matrix | None = None) -> float:
    """The mean over the labels with both classes, by scikit-learn."""
    weights_N = np.ones(len(targets_NK)) if weights_N is None else weights_N
    if score == "log-loss":
        scores_NK = np.clip(
            scores_NK.astype(np.float64), np.finfo(np.float32).eps, 1 - np.finfo(np.float32).eps
        )
    values = []
    for scores_N, targets_N in zip(scores_NK.T, targets_NK.T, strict=True):
        known = (targets_N != UNKNOWN) & (weights_N > 0)
        if len(np.unique(targets_N[known])) == 2:
            values.append(SCORES[score](targets_N[known], scores_N[known], sample_weight=weights_N[known]))
    return float(np.mean(values))


def difference_interval(
    score: str, scores_NK: Matrix, other_NK: Matrix, targets_NK: Matrix, entities_N: Matrix
) -> tuple[float, float]:
    """The basic bootstrap interval of model minus baseline: as many entities drawn as there are."""
    generator, drawn = np.random.default_rng(11), []
    entities = int(entities_N.max()) + 1
    for _ in range(RESAMPLES):
        weights_N = generator.multinomial(entities, np.full(entities, 1 / entities))[entities_N].astype(float)
        model, baseline = (macro(score, each, targets_NK, weights_N) for each in (scores_NK, other_NK))
        drawn.append(model - baseline)
    value = macro(score, scores_NK, targets_NK) - macro(score, other_NK, targets_NK)
    low, high = 2 * value - np.percentile(drawn, [97.5, 2.5])
    return float(low), float(high)


def outcomes(score: str, low: float, high: float) -> list[str]:
    """The words that an interval allows, the right one first: an end next to 0 may lie on its other side."""
    words, within = [], MARGINS[score.lower().replace("-", "_")]
    sign = -1.0 if score == "log-loss" else 1.0
    for shift in (0.0, NEAR, -NEAR):
        ends = low + shift * (high - low), high + shift * (high - low)
        if ends[0] <= 0 <= ends[1]:
            near = max(-ends[0], ends[1]) <= within
            words += ["equal to", "no detectable difference from"][:: 1 if near else -1]
        else:
            words.append("better than" if sign * ends[0] > 0 else "worse than")
    return words


if __name__ == "__main__":
    sys.exit(main())
