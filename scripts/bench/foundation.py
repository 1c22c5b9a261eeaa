"""Does pre-training pay? Train on 1, 10 and 100 % of the labelled entities, with a foundation and without.

    MLC_DATA=… python -m scripts.bench.foundation                      # three sets, all starts, two seeds
    MLC_DATA=… python -m scripts.bench.foundation configs/public/online_retail.yaml --starts scratch head
    MLC_DATA=… python -m scripts.bench.foundation --targets --shares 1 # other targets, the same foundation

Validation and test keep all entities; only the training examples are thinned. The foundation is pre-trained
once a set on everything before the first validation cutoff, as `mlc pretrain` does. Fewer examples get
smaller batches and more epochs, alike for every start. "epochs" and "seconds" are those until the best
validation macro AP of `scratch`, same share and seed, is reached; empty if some seed does not reach it. The
seconds of the pre-training, once per set, are in a table of their own. `hedge` is what a scenario with
a foundation does by default: `head` and `scratch` side by side, weighed on validation. `boosting` is LightGBM
on the features of the label histories. Scores are means over the seeds, each of which labels other entities;
± is half their range. The differences to `scratch` are paired by seed, with 95 % intervals (Student's t).
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from typing import Any
from unittest.mock import patch

import numpy as np
import polars as pl
from scipy.stats import t

from mlc.evaluation.held_out import PartScores
from mlc.evaluation.metrics import overall_scores, score_labels
from mlc.events.entity_cutoffs import entity_keys
from mlc.events.preparing import Prepared, prepare
from mlc.events.task import Inputs
from mlc.events.vocabulary import fit_vocabulary
from mlc.models.boosting import fit_boosting
from mlc.models.model import Model
from mlc.models.reading.events import EventReader
from mlc.run import RunFolder
from mlc.scenario import EventScenario, load_scenario
from mlc.tables import SCORES, SPLIT, array_column, scores_of, targets_of
from mlc.task import AnyTask, Examples
from mlc.training.pretraining import pretrain
from mlc.training.supervised import Setting, train
from scripts.bench.harness import ROOT, Record, parser
from scripts.bench.trainings import FIRST_SEED, spread

STARTS = {
    "boosting": [],
    "scratch": ["model.foundation=null"],
    "memory": ["model.foundation=null", "model.memory=true"],
    "hedge": ["model.foundation=base"],
    "head": ["model.foundation=base", "model.hedge=false"],
    "rate": ["model.foundation=base", "model.hedge=false", "model.tune={foundation_learning_rate: 1.0e-4}"],
    "all": ["model.foundation=base", "model.hedge=false", "model.tune=all"],
}
TARGETS = {
    "nycflights13": {
        "carrier": ["target.column=carrier", "target.class_names={top: 16}"],
        "origin in 7 days": ["target.column=origin", "target.class_names={top: 3}", "target.window_days=7"],
    },
    "purchase_cards": {
        "directorate in 14 days": [
            "target.column=cost_centres.directorate",
            "target.class_names={top: 7}",
            "target.window_days=14",
        ],
        "top 40 merchants": [
            "target.column=merchant_code",
            "target.class_names={top: 40}",
            "target.allow_empty=true",
        ],
    },
}
"""Other targets on the tables of a scenario."""
LEAD = (
    "Validation and test keep all entities; only the stated share of the entities has labels in training. "
    "The foundation reads the events of all. Differences are to a training from scratch."
)


@dataclass(frozen=True)
class Outcome:
    """One training.

    Attributes:
        auroc: Macro AUROC on the test split.
        ap: Macro average precision on it.
        curve: (seconds, validation macro AP) after each epoch.
    """

    auroc: float
    ap: float
    curve: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Case:
    """What is learned from how much.

    Attributes:
        path: The scenario.
        target: Which other target; empty for its own.
        overrides: Changes of the scenario.
        share: Of the labelled entities.
    """

    path: Path
    target: str
    overrides: Sequence[str]
    share: float


def main() -> int:
    """Run the command line of this script."""
    command_line = parser(__doc__)
    sets = ("completejourney", "nycflights13", "purchase_cards")
    default = [ROOT / f"configs/public/{name}.yaml" for name in sets]
    command_line.add_argument("scenarios", nargs="*", type=Path, default=default)
    command_line.add_argument("--shares", nargs="+", type=float, default=[0.01, 0.1, 1.0])
    command_line.add_argument("--starts", nargs="+", choices=list(STARTS), default=list(STARTS))
    command_line.add_argument("--seeds", type=int, default=2)
    command_line.add_argument(
        "--targets", action="store_true", help="other targets in place of the scenario's own"
    )
    command_line.add_argument(
        "--runs-dir", type=Path, help="keep runs and foundations here, and use those that are there"
    )
    command_line.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    arguments = command_line.parse_args()
    with (
        tempfile.TemporaryDirectory() as temporary,
        Record(arguments.out, "Foundation models where labels are few", LEAD) as record,
    ):
        runs = arguments.runs_dir or Path(temporary)
        for path in arguments.scenarios:
            record.add("Pre-training", make_foundation(path, runs, arguments.overrides))
            targets = TARGETS.get(path.stem, {}) if arguments.targets else {"": []}
            for (target, changes), share in product(targets.items(), arguments.shares):
                outcomes: dict[str, list[Outcome]] = {}
                case = Case(path, target, [*changes, *arguments.overrides], share)
                for start in arguments.starts:
                    seeds = range(FIRST_SEED, FIRST_SEED + arguments.seeds)
                    outcomes[start] = [one_training(case, runs, start, seed) for seed in seeds]
                    record.add("Test scores", row(case, start, outcomes))
    return 0


def make_foundation(path: Path, runs: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """Pre-train `<scenario>-base`, unless it is there; return what it cost."""
    name = f"{path.stem}-base"
    if not RunFolder(runs / name).finished:
        scenario = EventScenario.of(load_scenario(path, [*overrides, f"name={name}"]), "this benchmark")
        pretrain(scenario, runs, "overwrite", silent)
    facts, report = (RunFolder(runs / name).read_json(file) for file in ("run.json", "report.json"))
    cost = {"epochs": facts["epochs"], "seconds": round(facts["seconds"])}
    return {"foundation": name, **cost, "loss_over_frequencies": report["objective"]}


def one_training(case: Case, runs: Path, start: str, seed: int) -> Outcome:
    """Train on a share of the labelled entities and score the test split."""
    name = "-".join(filter(None, [case.path.stem, case.target, f"{case.share:g}", start, str(seed)]))
    name = name.replace(" ", "_")
    begun = [text.replace("=base", f"={case.path.stem}-base") for text in STARTS[start]]
    scenario = EventScenario.of(
        load_scenario(case.path, [f"name={name}", f"train.seed={seed}", *begun, *case.overrides]),
        "this benchmark",
    )
    prepared = thinned(prepare(scenario, runs, silent), case.share, seed)
    scenario = scaled(scenario, int((prepared.examples.table[SPLIT] == "train").sum()), case.share)
    prepared = replace(prepared, scenario=scenario)
    if start == "boosting":
        return Outcome(*tested(prepared, boosted(prepared, seed)), [])
    run = RunFolder(runs / name)
    if not run.finished:
        with (
            patch("mlc.events.task.prepare", lambda *_: prepared),
            patch("mlc.training.supervised.write_report", kept),
            patch("mlc.training.supervised.log_report"),
            patch("mlc.training.supervised.write_page"),
            patch("mlc.training.event_learner.fitted_boosting", return_value=None),
        ):
            train(scenario, Setting(runs, "overwrite"), silent)
    predictions = pl.read_parquet(run / "predictions.parquet")
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    curve = [(line["seconds"], line["validation_macro_ap"]) for line in lines]
    return Outcome(*tested(prepared, scores_of(predictions)), curve)


def kept(run: RunFolder, _: AnyTask, examples: Examples, model: Model, part_scores: PartScores) -> None:
    """The predictions as they are, in place of a report."""
    scores = array_column(SCORES, model.mixed(part_scores.by_part))
    predictions = examples.table.drop("targets").with_columns(scores)
    predictions.write_parquet(run / "predictions.parquet")
    run.write_json("report.json", {})


def boosted(prepared: Prepared, seed: int) -> np.ndarray:
    """The scores of LightGBM, trained on the same examples."""
    nothing = fit_vocabulary(prepared.store, prepared.cutoffs.fit_until, attributes=False, memory=False)
    splits = prepared.examples.table[SPLIT].to_numpy()
    batches = EventReader(nothing, prepared.scenario.model.most_events).batches(Inputs.of(prepared))
    boosting = fit_boosting(
        batches, np.flatnonzero(splits == "train"), np.flatnonzero(splits == "validation"), seed
    )
    assert boosting is not None
    return boosting.scores(batches)


def tested(prepared: Prepared, scores_NK: np.ndarray) -> tuple[float, float]:
    """Macro AUROC and average precision on the test split."""
    test = (prepared.examples.table[SPLIT] == "test").to_numpy()
    scores, targets = scores_NK[test], targets_of(prepared.examples.table)[test]
    names = prepared.examples.labels.names
    macro = overall_scores(scores, targets, score_labels(scores, targets, names)).macro
    assert macro.auroc is not None
    assert macro.ap is not None
    return macro.auroc, macro.ap


def silent(_: str) -> None:
    """Say nothing."""


def thinned(prepared: Prepared, share: float, seed: int) -> Prepared:
    """Training examples of a share of the entities; validation and test whole."""
    examples = prepared.examples
    chosen = entity_keys(prepared.store.entity_ids, seed) < np.uint64(min(int(share * 2**64), 2**64 - 1))
    eligible_N = (examples.table[SPLIT] != "train").to_numpy() | chosen[examples.rows]
    return replace(
        prepared,
        examples=replace(examples, table=examples.table.filter(eligible_N), rows=examples.rows[eligible_N]),
    )


def scaled(scenario: EventScenario, examples: int, share: float) -> EventScenario:
    """At least 16 steps an epoch where examples are few, and twice the epochs."""
    epochs = scenario.train.epochs * (1 if share >= 1 else 2)
    update = {"batch_size": int(np.clip(examples // 16, 16, 512)), "epochs": epochs}
    return scenario.model_copy(update={"train": scenario.train.model_copy(update=update)})


def row(case: Case, start: str, outcomes: dict[str, list[Outcome]]) -> dict[str, Any]:
    """Return a row of the table."""
    ours, scratch = outcomes[start], outcomes.get("scratch", [])
    cells: dict[str, Any] = {
        "scenario": ", ".join(filter(None, [case.path.stem, case.target])),
        "labelled": f"{case.share:.0%}",
        "start": start,
        "auroc": spread([one.auroc for one in ours]),
        "ap": spread([one.ap for one in ours]),
    }
    if start != "scratch" and scratch:
        pairs = list(zip(ours, scratch, strict=True))
        cells["difference_auroc"] = difference([one.auroc - other.auroc for one, other in pairs])
        cells["difference_ap"] = difference([one.ap - other.ap for one, other in pairs])
    reached = [
        until(one, max((ap for _, ap in other.curve), default=0.0))
        for one, other in zip(ours, scratch or ours, strict=True)
    ]
    known = [pair for pair in reached if pair]
    if start != "boosting" and known and all(reached):
        cells["epochs"] = spread([epochs for epochs, _ in known], 0)
        cells["seconds"] = spread([seconds for _, seconds in known], 0)
    return cells


def until(outcome: Outcome, quality: float) -> tuple[int, float] | None:
    """After how many epochs and seconds a validation macro AP is reached."""
    for epoch, (seconds, ap) in enumerate(outcome.curve, start=1):
        if ap >= quality:
            return epoch, seconds
    return None


def difference(values: Sequence[float]) -> float | dict[str, float]:
    """Return the mean, and with several seeds its 95 % interval."""
    middle = round(mean(values), 4)
    if len(values) == 1:
        return middle
    half = float(t.ppf(0.975, len(values) - 1)) * stdev(values) / len(values) ** 0.5
    return {"value": middle, "low": round(middle - half, 4), "high": round(middle + half, 4)}


if __name__ == "__main__":
    sys.exit(main())
