"""What do rare labels gain from the others? Train each label alone and all together; compare, by support.

    MLC_DATA=… python scripts/bench_support.py              # purchase_cards, completejourney, the demo
    MLC_DATA=… python scripts/bench_support.py --write      # also into DECISIONS.md

Alone means a scenario with one class name. Average precision is divided by the prevalence, since rare labels
have a low one; both are means over the labels whose positive training targets lie in the range.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import polars as pl
import yaml
from bench_quality import between_marks, scenarios_of, train

from mlc.tables import SPLIT, targets_of

ROOT = Path(__file__).resolve().parent.parent
MARKS = ("<!-- support:begin -->", "<!-- support:end -->")
SETS = ("completejourney", "purchase_cards", "departments_28d")
RANGES = ((1, 100), (100, 300), (300, 1_000), (1_000, 10_000), (10_000, 10**9))
OVERRIDES = ["baselines=[recency]", "model.foundation=null"]


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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--write", action="store_true", help="replace the table in DECISIONS.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = [
            label
            for scenario in scenarios_of(Path(folder))
            if scenario.stem in arguments.sets
            for label in labels_of(scenario, Path(folder))
        ]
    table = "\n".join(lines(found))
    print(table)
    if arguments.write:
        between_marks(ROOT / "DECISIONS.md", MARKS, table)
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


def lines(labels: list[Label]) -> Iterator[str]:
    """The table, a row a range of support."""
    yield "| positive training targets | labels | AUROC alone | together | AP ÷ prevalence alone | together |"
    yield "|---|---:|---:|---:|---:|---:|"
    for low, high in RANGES:
        here = [label for label in labels if low <= label.positives < high]
        if here:
            auroc = [mean(getattr(label, way)[0] for label in here) for way in ("alone", "together")]
            lift = [
                mean(getattr(label, way)[1] / label.prevalence for label in here)
                for way in ("alone", "together")
            ]
            span = f"{low:,} to {high - 1:,}" if high < 10**9 else f"{low:,} and more"
            cells = [span, str(len(here)), *(f"{v:.3f}" for v in auroc), *(f"{v:.1f}" for v in lift)]
            yield f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
