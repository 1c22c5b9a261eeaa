"""Trainings of a scenario as a user runs them, for the benchmarks that compare runs."""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

from mlc.scenario import EventScenario, load_scenario
from scripts.bench.harness import ROOT

FIRST_SEED = 7


@dataclass(frozen=True)
class Trained:
    """One training: its report, how long the command took, and up to when its tables were observed."""

    report: dict[str, Any]
    seconds: float
    observed_until: datetime


def add_scenarios(parser: argparse.ArgumentParser) -> None:
    """Add the option that names scenarios."""
    parser.add_argument(
        "--scenarios", nargs="*", type=Path, help="default: configs/public/*.yaml and the demo"
    )


def add_runs(parser: argparse.ArgumentParser) -> None:
    """Add the options of benchmarks that repeat a training."""
    add_scenarios(parser)
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds")
    parser.add_argument("--cutoffs", type=int, default=1, help="how many test cutoffs, a window apart")


def scenarios_of(folder: Path) -> list[Path]:
    """Return the scenarios on public tables, and the generated one."""
    if not (folder / "demo").exists():
        mlc("demo", folder / "demo", cwd=folder)
    return [*sorted((ROOT / "configs/public").glob("*.yaml")), folder / "demo" / "departments_28d.yaml"]


def mlc(*arguments: object, cwd: Path | None = None) -> None:
    """Run one command of the tool; what it prints is shown if it fails.

    Raises:
        SystemExit: The command failed.
    """
    command = [sys.executable, "-m", "mlc", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, check=False, capture_output=True, text=True, env=os.environ)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")


def runs(
    scenario: Path, folder: Path, seeds: int, cutoffs: int, overrides: Sequence[str]
) -> Iterator[Trained]:
    """Yield every seed at every test cutoff; the first cutoff is the scenario's own."""
    first: Trained | None = None
    for back, seed in product(range(cutoffs), range(FIRST_SEED, FIRST_SEED + seeds)):
        name = f"{scenario.stem}-{back}-{seed}"
        begun = folder / "runs" / f"{scenario.stem}-0-{FIRST_SEED}"
        moved = earlier(first, begun, back) if first and back else []
        trained = train(scenario, folder, name, [f"train.seed={seed}", *overrides, *moved])
        first = first or trained
        yield trained


def earlier(first: Trained, run: Path, windows: int) -> list[str]:
    """Return what moves the test back by whole windows; boundaries and truth belong to its own test."""
    days = EventScenario.of(load_scenario(run / "resolved.yaml"), "this benchmark").target.longest_days
    until = first.observed_until - timedelta(days=windows * days)
    cleared = ["examples.validation_from", "examples.test_from", "target.true_probabilities"]
    return [f"examples.observed_until={until.isoformat()}", *(f"{field}=null" for field in cleared)]


def train(scenario: Path, folder: Path, name: str, overrides: Sequence[str]) -> Trained:
    """Train one scenario once."""
    flags = [flag for override in (f"name={name}", *overrides) for flag in ("--set", override)]
    begun = time.monotonic()
    mlc("train", scenario.resolve(), *flags, "--overwrite", cwd=folder)
    seconds = time.monotonic() - begun
    run = folder / "runs" / name
    observed_until = json.loads((run / "run.json").read_text())["observed_until"]
    return Trained(
        json.loads((run / "report.json").read_text()), seconds, datetime.fromisoformat(observed_until)
    )


def macro(trained: Sequence[Trained], score: str) -> list[float]:
    """Return one macro mean of the test split of each run."""
    return [one.report["splits"]["test"]["macro"][score] for one in trained]


def spread(values: Sequence[float], digits: int = 4) -> float | dict[str, float]:
    """Return the mean, and half the range if values differ.

    Examples:
        >>> spread([0.5, 0.7], 3)
        {'value': 0.6, 'spread': 0.1}
    """
    half = round((max(values) - min(values)) / 2, digits)
    value = round(mean(values), digits)
    return {"value": value, "spread": half} if half else value


def interval(differences: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the means of differences and of the ends of their intervals."""
    return {key: round(mean(one[key] for one in differences), 4) for key in ("value", "low", "high")}
