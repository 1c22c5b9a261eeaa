"""`mlc pretrain`: from the tables of a scenario to a foundation model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlc.run import Opening
from mlc.run.outputs import check_run_folder
from mlc.scenario import EventScenario, Scenario, load_scenario


def foundation_scenario(path: Path, overrides: list[str]) -> EventScenario:
    """Load the tables of a scenario, under the name of their foundation by default.

    Raises:
        ScenarioError: All problems of the file at once.
    """
    loaded = load_scenario(path, overrides, tables_suffice=True)
    if not any(text.startswith("name=") for text in overrides):
        overrides = [*overrides, f"name={loaded.name}-foundation"]
        loaded = load_scenario(path, overrides, tables_suffice=True)
    return EventScenario.of(loaded, "mlc pretrain")


def pretrain(
    scenario: Scenario, runs: Path, say: Callable[[str], None], opening: Opening = "new"
) -> dict[str, Any] | None:
    """Pre-train a foundation model and write its run folder.

    Args:
        scenario: Checked scenario, which may have no target.
        runs: Folder of all runs.
        say: Receives progress in lines.
        opening: Start anew, go on, or start over.

    Returns:
        The report, or None on any rank but the first.

    Raises:
        MlcError: The tables do not fit, or the run folder is taken.
    """
    scenario = EventScenario.of(scenario, "mlc pretrain")
    check_run_folder(scenario, runs)
    from mlc.training.peers import one_for_all  # these load Lightning
    from mlc.training.pretraining import pretrain as fit

    with one_for_all():
        return fit(scenario, runs, opening, say)
