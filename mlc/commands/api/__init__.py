"""The Python API: what the commands do, with tables in and tables out.

`import mlc` offers all of it. Progress goes to the logger `mlc` at level INFO, warnings at level WARNING,
which Python shows by default.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlc.commands.api.opened import Run
from mlc.commands.api.progress import log
from mlc.run import RunFolder, find_run
from mlc.scenario import Scenario, scenario_of
from mlc.scenario import load_scenario as load_file

if TYPE_CHECKING:
    import polars as pl

    from mlc.commands.labels import Form
    from mlc.task import Checked

__all__ = ["Run", "check", "labels", "load_scenario", "open_run", "train"]


def load_scenario(
    scenario: str | Path | Mapping[str, Any], overrides: Sequence[str] | Mapping[str, Any] = ()
) -> Scenario:
    """Read and check a scenario.

    Args:
        scenario: A YAML file, or its content; paths in content are relative to the working folder.
        overrides: Fields to replace: `{"train.epochs": 1}`, or `["train.epochs=1"]` as on the command line.

    Raises:
        MlcError: All problems at once.
    """
    if isinstance(overrides, Mapping):
        overrides = [f"{field}={json.dumps(value, default=str)}" for field, value in overrides.items()]
    if isinstance(scenario, Mapping):
        return scenario_of(scenario, overrides)
    return load_file(Path(scenario), overrides)


def check(scenario: Scenario, runs: str | Path = "runs") -> "Checked":
    """Check the tables of a scenario.

    The findings are what would stop a training, and what may surprise.

    Args:
        scenario: Of `load_scenario`.
        runs: Folder of all runs, where the event store is built.

    Raises:
        MlcError: A row cannot be read.
    """
    from mlc.commands.check import check as command

    return command(scenario, Path(runs))


def labels(scenario: Scenario, runs: str | Path = "runs", form: "Form" = "wide") -> "pl.DataFrame":
    """Build the examples of a scenario with their targets.

    Args:
        scenario: Of `load_scenario`.
        runs: Folder of all runs, where the event store is built.
        form: `wide`: one column per label; `long`: one row per label; `arrays`: all targets in one column.

    Raises:
        MlcError: The tables do not fit the scenario.
    """
    from mlc.commands.labels import labels as command

    return command(scenario, Path(runs), log, form)


def train(
    scenario: Scenario, runs: str | Path = "runs", *, resume: bool = False, overwrite: bool = False
) -> Run:
    """Train a scenario, on one device.

    Args:
        scenario: Of `load_scenario`.
        runs: Folder of all runs.
        resume: Go on with an unfinished run.
        overwrite: Start over; the former run goes when the new one is complete.

    Raises:
        MlcError: The tables do not fit, or the run folder is taken.
    """
    from mlc.commands.train import train as command

    command(scenario, Path(runs), log, "resume" if resume else "overwrite" if overwrite else "new")
    return Run(RunFolder(Path(runs) / scenario.name))


def open_run(run: str | Path, runs: str | Path = "runs") -> Run:
    """Open a finished run.

    Args:
        run: Its name, its folder, or its scenario file.
        runs: Folder of all runs.

    Raises:
        MlcError: There is no such run, or it is not finished.
    """
    return Run(find_run(Path(runs), str(run)))
