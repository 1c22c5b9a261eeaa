"""`mlc train`: from a scenario to a run folder."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mlc.run import Opening
from mlc.run.outputs import check_run_folder
from mlc.scenario import AUTO, EventScenario, Scenario, load_scenario

if TYPE_CHECKING:
    from mlc.report import Report

_SMOKE = (
    "model.preset=nano",
    "train.epochs=1",
    "train.limit_train_batches=20",
    "target.allow_empty=true",
)
"""A slice that shows in seconds whether the whole path works; its numbers say nothing."""
_SMOKE_EVENTS: tuple[str, ...] = ("examples.train_cutoffs=2", "examples.max_entities=2000")
_SMOKE_ROWS = ("examples.max_rows=2000",)


def smoke_scenario(path: Path, overrides: list[str]) -> Scenario:
    """Load a scenario for a quick trial of the whole path, under a name of its own.

    Raises:
        ScenarioError: All problems of the file at once.
    """
    loaded = load_scenario(path, overrides)
    # A foundation reads all events, and that takes its time.
    if isinstance(loaded, EventScenario):
        few, quick = _SMOKE_EVENTS, ["model.foundation=null"] if loaded.model.foundation == AUTO else []
    else:
        few, quick = _SMOKE_ROWS, []
    return load_scenario(path, [*_SMOKE, *few, *overrides, *quick, f"name={loaded.name}-smoke"])


def train(
    scenario: Scenario,
    runs: Path,
    say: Callable[[str], None],
    opening: Opening = "new",
) -> "Report | None":
    """Train a scenario and write its run folder.

    Args:
        scenario: Checked scenario.
        runs: Folder of all runs.
        say: Receives progress in lines.
        opening: Start anew, go on, or start over.

    Returns:
        The report, or None on any rank but the first.

    Raises:
        MlcError: The tables do not fit, or the run folder is taken.
    """
    check_run_folder(scenario, runs)
    from mlc.training.peers import one_for_all  # these load Lightning
    from mlc.training.supervised import Setting
    from mlc.training.supervised import train as fit

    with one_for_all():
        return fit(scenario, Setting(runs, opening), say)
