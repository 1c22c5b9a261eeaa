"""What do rare labels gain from the others? Train each label alone and all together; compare, by support.

    MLC_DATA=… python -m scripts.bench.support              # purchase_cards, completejourney, the demo

Alone means a scenario with one class name. Average precision is divided by the prevalence, since rare labels
have a low one; both are means over the labels whose positive training targets lie in the range.
"""

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import polars as pl
import yaml

from mlc.tables import SPLIT, targets_of
from scripts.bench.harness import Record, parser
from scripts.bench.trainings import scenarios_of, train

SETS = ("completejourney", "purchase_cards", "departments_28d")
RANGES = ((1, 100), (100, 300), (300, 1_000), (1_000, 10_000), (10_000, 10**9))
OVERRIDES = ["baselines=[recency]", "model.foundation=null"]
LEAD = (
    "Each label trained alone, and all together; means over the labels in a range of support. "
    "Lift is AP divided by prevalence."
)


@dataclass(frozen=True)
class Label:
    """One label of one set, with its scores on the test split.

    Attributes:
        positives: Positive training targets.
        prevalence: On the test split.
        together: AUROC and AP when trained with all others.
        alone: The same when trained alone.
    """

    positives: int
    prevalence: float
    together: tuple[float, float]
    alone: tuple[float, float]


def main() -> int:
    """Run the command line of this script."""
    command_line = parser(__doc__)
    command_line.add_argument("--sets", nargs="*", default=list(SETS))
    arguments = command_line.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        Record(arguments.out, "What rare labels gain from the others", LEAD) as record,
    ):
        labels = [
            label
            for scenario in scenarios_of(Path(name))
            if scenario.stem in arguments.sets
            for label in labels_of(scenario, Path(name))
        ]
        for low, high in RANGES:
            here = [label for label in labels if low <= label.positives < high]
            if here:
                record.add("Alone and together", row(here, low, high))
    return 0


def labels_of(scenario: Path, folder: Path) -> Iterator[Label]:
    """Every label of a scenario that has both classes in the test split."""
    together = train(scenario, folder, scenario.stem, OVERRIDES).report
    examples = pl.read_parquet(folder / "runs" / scenario.stem / "examples.parquet")
    positives = (targets_of(examples.filter(pl.col(SPLIT) == "train")) == 1).sum(axis=0)
    for index, entry in enumerate(together["splits"]["test"]["labels"]):
        if entry["auroc"] is None:
            continue
        name = f"{scenario.stem}-{index}"
        one = [f"target.class_names={yaml.safe_dump([entry['name']], default_flow_style=True).strip()}"]
        alone = train(scenario, folder, name, [*OVERRIDES, *one, "target.true_probabilities=null"]).report
        own = alone["splits"]["test"]["labels"][0]
        aurocs = f"AUROC {own['auroc']:.4f} alone, {entry['auroc']:.4f} together"
        print(f"{scenario.stem} {entry['name']}: {aurocs}", file=sys.stderr, flush=True)
        yield Label(
            int(positives[index]),
            entry["prevalence"],
            (entry["auroc"], entry["ap"]),
            (own["auroc"], own["ap"]),
        )


def row(labels: list[Label], low: int, high: int) -> dict[str, Any]:
    """Return the means over the labels of a range of support."""
    cells: dict[str, Any] = {
        "positive_training_targets": f"{low:,} to {high - 1:,}" if high < 10**9 else f"{low:,} and more",
        "labels": len(labels),
    }
    for way in ("alone", "together"):
        cells[f"auroc_{way}"] = round(mean(getattr(label, way)[0] for label in labels), 3)
    for way in ("alone", "together"):
        lifts = [getattr(label, way)[1] / label.prevalence for label in labels]
        cells[f"ap_lift_{way}"] = round(mean(lifts), 1)
    return cells


if __name__ == "__main__":
    sys.exit(main())
