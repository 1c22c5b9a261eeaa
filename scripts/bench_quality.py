"""Train the scenarios of configs/ and the demo, and print one table: the model next to every baseline.

    MLC_DATA=… python scripts/bench_quality.py                       # each scenario once, as it stands
    MLC_DATA=… python scripts/bench_quality.py --seeds 3 --set model.memory=true
    MLC_DATA=… python scripts/bench_quality.py --write               # also into README.md

Scores are means over the seeds; ± is half the distance between the best and the worst seed.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MARKS = ("<!-- quality:begin -->", "<!-- quality:end -->")
HEADER = (
    "| scenario | labels | test examples | model | prevalence | frequency | recency | seconds |\n"
    "|---|---:|---:|---:|---:|---:|---:|---:|"
)


@dataclass(frozen=True)
class Trained:
    """One training: its report and how long the command took."""

    report: dict[str, Any]
    seconds: float


def main() -> int:
    """Run the command line of this script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenarios", nargs="*", type=Path, help="default: configs/*.yaml and the demo")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--write", action="store_true", help="replace the table in README.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scenarios = arguments.scenarios or [*sorted((ROOT / "configs").glob("*.yaml")), demo(Path(folder))]
        rows = []
        for scenario in scenarios:
            trained = [
                train(scenario, Path(folder), seed, arguments.overrides)
                for seed in range(7, 7 + arguments.seeds)
            ]
            rows.append(row(trained))
            print(rows[-1], flush=True)
    table = "\n".join([HEADER, *rows])
    print("\nmacro AUROC / macro AP on the test split\n\n" + table)
    if arguments.write:
        readme = ROOT / "README.md"
        begin, end = MARKS
        text = re.sub(
            f"{begin}.*?{end}", lambda _: f"{begin}\n{table}\n{end}", readme.read_text(), flags=re.DOTALL
        )
        readme.write_text(text)
    return 0


def demo(folder: Path) -> Path:
    """The generated scenario."""
    mlc("demo", str(folder / "demo"), cwd=folder)
    return folder / "demo" / "departments_28d.yaml"


def mlc(*arguments: str, cwd: Path) -> None:
    """One command of the tool, as a user runs it."""
    subprocess.run(
        [sys.executable, "-m", "mlc", *arguments],
        cwd=cwd,
        check=True,
        stdout=subprocess.DEVNULL,
        env=os.environ,
    )


def train(scenario: Path, folder: Path, seed: int, overrides: list[str]) -> Trained:
    """Train one scenario with one seed."""
    name = f"{scenario.stem}-{seed}"
    flags = [flag for override in overrides for flag in ("--set", override)]
    begun = time.monotonic()
    mlc(
        "train",
        str(scenario.resolve()),
        "--set",
        f"name={name}",
        "--set",
        f"train.seed={seed}",
        *flags,
        cwd=folder,
    )
    seconds = time.monotonic() - begun
    return Trained(json.loads((folder / "runs" / name / "report.json").read_text()), seconds)


def row(trained: list[Trained]) -> str:
    """One line of the table."""
    report = trained[0].report
    test = report["splits"]["test"]
    models = [one.report["splits"]["test"]["macro"] for one in trained]
    rivals = [report["baselines"][name]["test"]["macro"] for name in ("prevalence", "frequency", "recency")]
    cells = [
        re.sub(r"-\d+$", "", report["scenario"]),
        str(test["macro"]["labels"]),
        f"{test['examples']:,}",
        f"**{spread(models, 'auroc')} / {spread(models, 'ap')}**",
        *(f"{rival['auroc']:.3f} / {rival['ap']:.3f}" for rival in rivals),
        f"{mean(one.seconds for one in trained):.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def spread(scores: list[dict[str, float]], name: str) -> str:
    """Mean, and half the range where there are several seeds."""
    values = [score[name] for score in scores]
    half = (max(values) - min(values)) / 2
    return f"{mean(values):.3f}" + (f" ± {half:.3f}" if len(values) > 1 else "")


if __name__ == "__main__":
    sys.exit(main())
