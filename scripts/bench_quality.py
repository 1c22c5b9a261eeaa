"""Train scenarios, presets, seeds and test cutoffs, and print one table: the model next to every rival.

    MLC_DATA=… python scripts/bench_quality.py  # configs/public/*.yaml and the demo, once
    MLC_DATA=… python scripts/bench_quality.py --seeds 3 --cutoffs 2 --presets small base
    MLC_DATA=… python scripts/bench_quality.py --seeds 3 --set model.foundation=null  # without pre-training
    MLC_DATA=… python scripts/bench_quality.py --write               # also into README.md

`--cutoffs 2` repeats it with the tables observed up to one window earlier, so another window is the test.
Scores, differences and ends of their 95 % intervals are means over the runs of a row; ± is half the distance
between the best and the worst run.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

from mlc.scenario import load_scenario

ROOT = Path(__file__).resolve().parent.parent
MARKS = ("<!-- quality:begin -->", "<!-- quality:end -->")
RIVALS = ("boosting", "recency", "frequency", "prevalence")
HEADER = (
    f"| scenario, setting | labels | test examples | runs | model | {' | '.join(RIVALS)} "
    "| model minus boosting: AUROC | AP | log-loss | better, equal, worse in AP | seconds |\n"
    f"|---|---:|---:|---:|---:|{'---:|' * len(RIVALS)}---:|---:|---:|---:|---:|"
)


@dataclass(frozen=True)
class Trained:
    """One training: its report, how long the command took, and up to when its tables were observed."""

    report: dict[str, Any]
    seconds: float
    observed_until: datetime


def main() -> int:
    """Run the command line of this script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--scenarios", nargs="*", type=Path, help="default: configs/public/*.yaml and the demo"
    )
    parser.add_argument("--presets", nargs="*", default=["small"])
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds")
    parser.add_argument("--cutoffs", type=int, default=1, help="how many test cutoffs, a window apart")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--write", action="store_true", help="replace the table in README.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scenarios = arguments.scenarios or scenarios_of(Path(folder))
        rows = []
        for scenario, preset in product(scenarios, arguments.presets):
            overrides = [f"model.preset={preset}", *arguments.overrides]
            trained = runs(scenario, Path(folder), arguments.seeds, arguments.cutoffs, overrides)
            rows.append(row(", ".join([preset, *arguments.overrides]), list(trained)))
            print(rows[-1], flush=True)
    table = "\n".join([HEADER, *rows])
    print("\nmacro AUROC / macro AP on the test split\n\n" + table)
    if arguments.write:
        between_marks(ROOT / "README.md", MARKS, table)
    return 0


def scenarios_of(folder: Path) -> list[Path]:
    """Those of `configs/public/`, and a generated one."""
    mlc("demo", str(folder / "demo"), cwd=folder)
    return [*sorted((ROOT / "configs" / "public").glob("*.yaml")), folder / "demo" / "departments_28d.yaml"]


def between_marks(path: Path, marks: tuple[str, str], table: str) -> None:
    """Replace what stands between two marks of a file."""
    begin, end = marks
    text = path.read_text()
    path.write_text(re.sub(f"{begin}.*?{end}", lambda _: f"{begin}\n{table}\n{end}", text, flags=re.DOTALL))


def mlc(*arguments: str, cwd: Path) -> None:
    """One command of the tool, as a user runs it."""
    subprocess.run(
        [sys.executable, "-m", "mlc", *arguments],
        cwd=cwd,
        check=True,
        stdout=subprocess.DEVNULL,
        env=os.environ,
    )


def runs(
    scenario: Path, folder: Path, seeds: int, cutoffs: int, overrides: Sequence[str]
) -> Iterator[Trained]:
    """Every seed at every test cutoff; the first cutoff is the scenario's own."""
    first: Trained | None = None
    for back, seed in product(range(cutoffs), range(7, 7 + seeds)):
        name = f"{scenario.stem}-{back}-{seed}"
        moved = earlier(first, folder / "runs" / f"{scenario.stem}-0-7", back) if first and back else []
        trained = train(scenario, folder, name, [f"train.seed={seed}", *overrides, *moved])
        first = first or trained
        yield trained


def earlier(first: Trained, run: Path, windows: int) -> list[str]:
    """What moves the test so many windows back; boundaries and truth of the scenario are of its own test."""
    days = load_scenario(run / "resolved.yaml").target.longest_days
    until = first.observed_until - timedelta(days=windows * days)
    cleared = ["examples.validation_from", "examples.test_from", "target.true_probabilities"]
    return [f"examples.observed_until={until.isoformat()}", *(f"{field}=null" for field in cleared)]


def train(scenario: Path, folder: Path, name: str, overrides: Sequence[str]) -> Trained:
    """Train one scenario once."""
    flags = [flag for override in (f"name={name}", *overrides) for flag in ("--set", override)]
    begun = time.monotonic()
    mlc("train", str(scenario.resolve()), *flags, "--overwrite", cwd=folder)
    seconds = time.monotonic() - begun
    run = folder / "runs" / name
    observed_until = json.loads((run / "run.json").read_text())["observed_until"]
    return Trained(
        json.loads((run / "report.json").read_text()), seconds, datetime.fromisoformat(observed_until)
    )


def row(setting: str, trained: list[Trained]) -> str:
    """One line of the table."""
    reports = [one.report for one in trained]
    tests = [report["splits"]["test"] for report in reports]
    boosted = [report["baselines"]["boosting"]["test"] for report in reports]
    outcomes = Counter(outcome(one["difference"]["ap"]) for one in boosted)
    cells = [
        f"{re.sub(r'-[0-9]+-[0-9]+$', '', reports[0]['scenario'])}, {setting}",
        str(tests[0]["macro"]["labels"]),
        f"{mean(test['examples'] for test in tests):,.0f}",
        str(len(trained)),
        f"**{scores(tests)}**",
        *(scores([report["baselines"][name]["test"] for report in reports]) for name in RIVALS),
        *(difference([one["difference"][score] for one in boosted]) for score in ("auroc", "ap", "log_loss")),
        ", ".join(str(outcomes[word]) for word in ("better", "equal", "worse")),
        f"{mean(one.seconds for one in trained):.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def scores(entries: list[dict[str, Any]]) -> str:
    """Macro AUROC and AP: means, and half the range where runs differ."""
    shown = []
    for score in ("auroc", "ap"):
        values = [entry["macro"][score] for entry in entries]
        half = (max(values) - min(values)) / 2
        shown.append(f"{mean(values):.3f}" + (f" ± {half:.3f}" if half >= 0.0005 else ""))
    return " / ".join(shown)


def difference(found: list[dict[str, float]]) -> str:
    """Means of a difference and of the ends of its interval."""
    value, low, high = (mean(one[key] for one in found) for key in ("value", "low", "high"))
    return f"{value:+.4f} [{low:+.4f}, {high:+.4f}]"


def outcome(found: dict[str, float]) -> str:
    """Where an interval lies; "equal" are all that contain 0."""
    if found["low"] <= 0 <= found["high"]:
        return "equal"
    return "better" if found["low"] > 0 else "worse"


if __name__ == "__main__":
    sys.exit(main())
