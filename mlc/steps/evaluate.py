"""`mlc evaluate`: the report again, from the saved model and the tables."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlc.batches import BatchPlan
from mlc.errors import DataError
from mlc.module import EVALUATION_BATCH, load_network, score_examples
from mlc.run import Run
from mlc.steps.labels import Prepared, Say, prepare
from mlc.steps.reporting import make_report, stored_thresholds
from mlc.steps.train import example_batches
from mlc.tables import SCORES, TARGETS, array_column
from mlc.vocabulary import Vocabulary


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        report: The report.
        tables_changed: Whether the tables are others than those of the training.
        same: Whether every number equals the training's report.
    """

    report: dict[str, Any]
    tables_changed: bool
    same: bool


def evaluate(run: Run, runs: Path, say: Say) -> Evaluation:
    """Score every example again with the saved weights and the stored thresholds.

    Args:
        run: A finished run.
        runs: Folder of all runs, for the event store.
        say: Receives progress in lines.

    Raises:
        DataError: The tables no longer fit, or give other labels.
    """
    prepared = prepare(run.scenario(), runs, say)
    network, names = load_network(run.folder)
    if list(prepared.examples.labels.names) != names:
        raise DataError(
            f"{run.folder}: the labels must be those of the training, however: the tables have changed and "
            f"{{top: K}} now gives others; write class_names out in the scenario"
        )
    report = make_report(prepared, _predictions(run, prepared, network), stored_thresholds(run))
    changed = run.read_json("run.json")["store"] != prepared.store.fingerprint
    return Evaluation(report, changed, report == run.read_json("report.json"))


def _predictions(run: Run, prepared: Prepared, network: Any) -> Any:
    examples = example_batches(prepared, Vocabulary.from_json(run.read_json("vocabulary.json")))
    _, scores_NK = score_examples(network, examples, BatchPlan(np.arange(len(examples)), EVALUATION_BATCH))
    return prepared.examples.table.drop(TARGETS).with_columns(array_column(SCORES, scores_NK))
