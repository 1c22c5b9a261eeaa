"""What does each part of the model pay? Switch one at a time, on every set, and print what changes.

    MLC_DATA=… python scripts/bench_ablation.py         # configs/public/*.yaml and the demo
    MLC_DATA=… python scripts/bench_ablation.py --seeds 2 --variants "model.memory=true" "model.members=4"
    MLC_DATA=… python scripts/bench_ablation.py --write                      # also into DECISIONS.md

Each cell is macro AUROC / macro AP / macro log-loss on the test split, minus that of the default with
the same seed and test cutoff; ± is half the distance between the best and the worst of them.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean

from bench_quality import Trained, between_marks, runs, scenarios_of

ROOT = Path(__file__).resolve().parent.parent
MARKS = ("<!-- ablation:begin -->", "<!-- ablation:end -->")
VARIANTS = (
    "model.history=false",
    "model.attributes=false",
    "model.calendar=false",
    "model.memory=true",
    "model.context=gru",
    "model.context=transformer",
    "model.popularity=true",
    "model.preset=nano",
    "model.preset=base",
    "model.members=4",
    "model.blend=boosting",
    "train.ema_decay=null",
    "train.monitor=macro_ap",
)
SCORES = ("auroc", "ap", "log_loss")


def main() -> int:
    """Run the command line of this script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--scenarios", nargs="*", type=Path, help="default: configs/public/*.yaml and the demo"
    )
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS), metavar="KEY=VALUE")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds")
    parser.add_argument("--cutoffs", type=int, default=1, help="how many test cutoffs, a window apart")
    parser.add_argument("--write", action="store_true", help="replace the table in DECISIONS.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scenarios = arguments.scenarios or scenarios_of(Path(folder))
        table = list(lines(scenarios, Path(folder), arguments.variants, arguments.seeds, arguments.cutoffs))
    print("\n".join(table))
    if arguments.write:
        between_marks(ROOT / "DECISIONS.md", MARKS, "\n".join(table))
    return 0


def lines(
    scenarios: Sequence[Path], folder: Path, variants: Sequence[str], seeds: int, cutoffs: int
) -> Iterator[str]:
    """The table, a row a variant and a column a set."""
    rows: dict[str, list[str]] = {"default": [], **{variant: [] for variant in variants}}
    for scenario in scenarios:
        default = list(runs(scenario, folder, seeds, cutoffs, baselines("")))
        rows["default"].append(" / ".join(f"{mean(scores(default, score)):.4f}" for score in SCORES))
        for variant in variants:
            trained = list(runs(scenario, folder, seeds, cutoffs, [variant, *baselines(variant)]))
            rows[variant].append(" / ".join(change(trained, default, score) for score in SCORES))
            print(f"{scenario.stem} {variant}: {rows[variant][-1]}", file=sys.stderr, flush=True)
    yield f"| | {' | '.join(scenario.stem for scenario in scenarios)} |"
    yield f"|---|{'---:|' * len(scenarios)}"
    for name, cells in rows.items():
        yield f"| {name} | {' | '.join(cells)} |"


def baselines(variant: str) -> list[str]:
    """No rival that takes its time, but where it is blended; no foundation."""
    return ["model.foundation=null", *([] if "blend" in variant else ["baselines=[recency]"])]


def scores(trained: Sequence[Trained], score: str) -> list[float]:
    """One macro mean of the test split of each run."""
    return [one.report["splits"]["test"]["macro"][score] for one in trained]


def change(trained: Sequence[Trained], default: Sequence[Trained], score: str) -> str:
    """The mean of the differences, and half their range."""
    found = [
        ours - theirs for ours, theirs in zip(scores(trained, score), scores(default, score), strict=True)
    ]
    half = f" ± {(max(found) - min(found)) / 2:.4f}" if len(found) > 1 else ""
    return f"{mean(found):+.4f}{half}"


if __name__ == "__main__":
    sys.exit(main())
