"""What calibration and promised ranges are worth on the test split of finished runs.

    python -m scripts.bench.calibration runs/purchase_cards runs/completejourney

For each run: log-loss and calibration error, means over labels, before and after; labels by method; and how
many of the figures that thresholds promised lie in their range on the test split: of `auto`, and of
`precision_at_least` with the goal of each label twice its prevalence.
"""

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mlc.evaluation.calibration import calibrated, entity_folds, fit_calibration
from mlc.evaluation.metrics import score_decisions, score_labels
from mlc.evaluation.thresholds import choose_thresholds, decide
from mlc.run import RunFolder
from mlc.scenario import Auto, Policy, PrecisionAtLeast, Thresholds
from mlc.tables import ENTITY_ID, RAW_SCORES, SPLIT, scores_of, targets_of
from scripts.bench.harness import Record, parser

LEAD = "Means over the labels on the test split, before and after calibration."


def main() -> int:
    """Run the command line of this script."""
    command_line = parser(__doc__)
    command_line.add_argument("runs", nargs="+", type=Path)
    arguments = command_line.parse_args()
    with Record(arguments.out, "What calibration gives", LEAD) as record:
        for folder in arguments.runs:
            record.add("Runs", row(RunFolder(folder)))
    return 0


def row(run: RunFolder) -> dict[str, Any]:
    """The cells of one run."""
    names = run.read_json("model.json")["class_names"]
    predictions, examples = (pl.read_parquet(run / f"{name}.parquet") for name in ("predictions", "examples"))
    raw_NK, targets_NK, split = scores_of(predictions, RAW_SCORES), targets_of(examples), examples[SPLIT]
    validation, test = (split == "validation").to_numpy(), (split == "test").to_numpy()
    entities = examples[ENTITY_ID].rank("dense").to_numpy()[validation]
    folds = entity_folds(entities)
    maps, outside_NK = fit_calibration("auto", names, raw_NK[validation], targets_NK[validation], folds)
    after_NK = calibrated(raw_NK[test], maps)
    before, after = (score_labels(scores, targets_NK[test], names) for scores in (raw_NK[test], after_NK))
    methods = Counter(one.method for one in maps)
    prevalence_K = (targets_NK[validation] == 1).sum(axis=0) / (targets_NK[validation] != 255).sum(axis=0)
    goals: dict[str, Policy] = {
        name: PrecisionAtLeast(kind="precision_at_least", precision=float(np.clip(2 * share, 0.01, 0.9)))
        for name, share in zip(names, prevalence_K, strict=True)
    }
    held = []
    for policies in (Thresholds(default=Auto()), Thresholds(per_label=goals)):
        cuts = choose_thresholds(policies, names, outside_NK, targets_NK[validation], entities)
        given = score_decisions(decide(after_NK, cuts), targets_NK[test], names)
        held.append(in_range(cuts, given, ("precision",) if policies.per_label else ("precision", "recall")))
    cells: dict[str, Any] = {"run": run.folder.name, "labels": len(names)}
    for name in ("log_loss", "calibration_error"):
        for when, side in (("before", before), ("after", after)):
            cells[f"{name}_{when}"] = round(float(np.mean([getattr(one, name) for one in side])), 5)
    cells["methods"] = ", ".join(f"{count} {name}" for name, count in methods.most_common())
    return cells | {"auto_held": held[0], "precision_goal_held": held[1]}


def in_range(cuts: Any, given: Any, figures: tuple[str, ...]) -> str:
    """How many figures of the test lie in the range that was promised."""
    flags = [
        promise.low <= getattr(decision, figure) <= promise.high
        for cut, decision in zip(cuts, given, strict=True)
        for figure in figures
        if (promise := getattr(cut.estimate, figure)) is not None and getattr(decision, figure) is not None
    ]
    return f"{sum(flags)} of {len(flags)}"


if __name__ == "__main__":
    sys.exit(main())
