"""Where a training writes its curves beside `log.jsonl`.

Lightning's own loggers, imported when wanted.
"""

import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import assert_never

from pytorch_lightning.loggers import CSVLogger, Logger

from mlc.errors import ScenarioError
from mlc.evaluation.metrics import MeanScore
from mlc.run import RunFolder
from mlc.scenario import LoggerName, Scenario, resolved

_FOLDER = "logs"
_PROJECT = "mlc"
_MLFLOW_PLACE = "MLFLOW_TRACKING_URI"
_SECTIONS = ("target", "examples", "model", "train")


def check_loggers(scenario: Scenario) -> None:
    """Refuse a logger whose package or address is missing, before anything is read.

    Raises:
        ScenarioError: It is not installed, with the line that installs it; or MLflow does not know where to.
    """
    wanted, rules = scenario.train.loggers, []
    for name in wanted:
        if name != "csv" and find_spec(name) is None:
            install = f"pip install 'mlc[{name}]'"
            rules.append(f"{name} is not installed. Install it: {install}, or leave it out.")
    if "mlflow" in wanted and not os.environ.get(_MLFLOW_PLACE):
        rules.append(
            f"mlflow does not know where to write: the environment variable {_MLFLOW_PLACE} is not set. "
            f"Set it: export {_MLFLOW_PLACE}=…"
        )
    if rules:
        raise ScenarioError(scenario.problem("train.loggers", rule) for rule in rules)


def open_loggers(scenario: Scenario, run: RunFolder) -> list[Logger]:
    """A logger for each name in the scenario, which knows how the run was set up.

    Args:
        scenario: Names them.
        run: Its folder `logs` is where they write, those that write to disk.

    Raises:
        ScenarioError: One cannot write: no connection, no login, no disk.
    """
    given = resolved(scenario)
    loggers = []
    for name in scenario.train.loggers:
        try:
            logger = _logger(name, scenario, run)
            logger.log_hyperparams({section: given[section] for section in _SECTIONS})
        except Exception as error:  # each service raises what it likes
            rule = f"{name} cannot write: {error}"
            raise ScenarioError(scenario.problem("train.loggers", rule)) from error
        loggers.append(logger)
    return loggers


def _logger(name: LoggerName, scenario: Scenario, run: RunFolder) -> Logger:
    folder = run / _FOLDER
    match name:
        case "csv":
            return CSVLogger(folder, name="csv")
        case "tensorboard":
            from pytorch_lightning.loggers import TensorBoardLogger

            return TensorBoardLogger(folder, name="tensorboard", default_hp_metric=False)
        case "mlflow":
            from pytorch_lightning.loggers import MLFlowLogger

            return MLFlowLogger(_PROJECT, run_name=scenario.name, tracking_uri=os.environ[_MLFLOW_PLACE])
        case "wandb":
            from pytorch_lightning.loggers import WandbLogger

            return WandbLogger(project=_PROJECT, name=scenario.name, save_dir=folder)
        case unreachable:
            assert_never(unreachable)


def log_scores(loggers: Sequence[Logger], macro: MeanScore, steps: int) -> None:
    """Write the headline numbers of the test split, to sort runs by.

    Args:
        loggers: Of the training.
        macro: Means over the labels of the test split.
        steps: How many the training took: where on the axis to put them.
    """
    scores = {"auroc": macro.auroc, "ap": macro.ap, "log_loss": macro.log_loss}
    defined = {f"test_macro_{name}": value for name, value in scores.items() if value is not None}
    for logger in loggers:
        logger.log_metrics(defined, step=steps)
        logger.finalize("success")
