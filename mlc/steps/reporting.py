"""From predictions to thresholds, baselines and the report; the same for `mlc train` and `mlc evaluate`."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import polars as pl

from mlc.atomic import write_text
from mlc.baselines import NO_PROBABILITIES
from mlc.errors import DataError
from mlc.report import build_report, report_markdown
from mlc.run import Run
from mlc.scenario import Scenario
from mlc.sources import entity_expr
from mlc.steps.labels import Prepared
from mlc.steps.rivals import Rivals
from mlc.tables import CUTOFF, ENTITY_ID, SCORES, SPLIT, TARGETS, array_column, scores_of, targets_of
from mlc.thresholds import Threshold, choose_thresholds, thresholds_to_json


def write_report(run: Run, prepared: Prepared, predictions: pl.DataFrame, rivals: Rivals) -> dict[str, Any]:
    """Choose thresholds on validation and write `thresholds.json`, `report.md`, `report.json`."""
    names = prepared.examples.labels.names
    validation = (prepared.examples.table[SPLIT] == "validation").to_numpy()
    targets_NK, scores_NK = targets_of(prepared.examples.table), scores_of(predictions)
    thresholds = choose_thresholds(
        prepared.scenario.thresholds, names, scores_NK[validation], targets_NK[validation]
    )
    report = make_report(prepared, predictions, thresholds, rivals)
    run.write_json("thresholds.json", thresholds_to_json(thresholds))
    write_text(run / "report.md", report_markdown(report))
    run.write_json("report.json", report)
    return report


def make_report(
    prepared: Prepared, predictions: pl.DataFrame, thresholds: Sequence[Threshold], rivals: Rivals
) -> dict[str, Any]:
    """The report of these predictions, which stand in the order of the examples."""
    examples, scenario = prepared.examples, prepared.scenario
    return build_report(
        scenario.name,
        examples.labels.names,
        examples.table,
        predictions,
        baselines=rivals.predictions,
        no_probabilities=NO_PROBABILITIES,
        baseline_notes=rivals.notes,
        missing_baselines=rivals.missing,
        thresholds=thresholds,
        oracle=oracle_predictions(scenario, examples.table, examples.labels.names),
        funnel=[asdict(step) for step in examples.funnel],
        warnings=_warnings(scenario),
        seed=scenario.train.seed,
    )


def oracle_predictions(
    scenario: Scenario, examples: pl.DataFrame, names: Sequence[str]
) -> pl.DataFrame | None:
    """The true probabilities of generated tables as predictions; None for real ones.

    Raises:
        DataError: The table lacks a label, a cutoff or an entity.
    """
    if scenario.target.true_probabilities is None:
        return None
    path = scenario.path(scenario.target.true_probabilities)
    field = "target.true_probabilities"
    if not path.exists():
        raise DataError(scenario.problem(field, f"a table must be at {path}, however: there is none"))
    truth = pl.scan_parquet(path / "*.parquet" if path.is_dir() else path)
    schema = truth.collect_schema()
    missing = [name for name in (scenario.data.entity, CUTOFF, *names) if name not in schema]
    if missing:
        raise DataError(
            scenario.problem(field, f"must have the columns {', '.join(missing)}, however: it lacks them")
        )
    entity = scenario.data.entity
    keys = examples.drop(TARGETS)
    wanted = truth.with_columns(
        entity_expr(entity, schema[entity]).alias(ENTITY_ID), pl.col(CUTOFF).cast(pl.Datetime("us"))
    )
    found = (
        keys.lazy()
        .join(
            wanted.select(ENTITY_ID, CUTOFF, *(pl.col(name).cast(pl.Float32) for name in names)),
            on=[ENTITY_ID, CUTOFF],
            how="left",
            maintain_order="left",
        )
        .collect()
    )
    if found.select(pl.col(names[0]).is_null().any()).item():
        raise DataError(
            scenario.problem(field, "must have a row for every example, however: some are missing")
        )
    return keys.with_columns(array_column(SCORES, found.select(names).to_numpy().astype("float32")))


def _warnings(scenario: Scenario) -> list[str]:
    """What limits how the numbers may be read."""
    warnings = []
    if scenario.examples.drop_all_negative:
        warnings.append(
            "Examples without any positive target were left out (drop_all_negative): prevalence and "
            "precision are higher than among all entities."
        )
    if scenario.train.loss.kind != "bce":
        warnings.append(
            f"Trained with {scenario.train.loss.kind} loss: the scores rank, they are not probabilities."
        )
    return warnings
