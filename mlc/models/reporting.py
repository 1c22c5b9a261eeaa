"""From scores to calibration, thresholds and the report; the same for `mlc train` and `mlc evaluate`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import polars as pl

from mlc.atomic import replacing, write_text
from mlc.errors import DataError
from mlc.evaluation.calibration import (
    Calibrator,
    calibrated,
)
from mlc.evaluation.thresholds import (
    decide,
)
from mlc.events.baselines import BOOSTING, NO_PROBABILITIES, blends
from mlc.events.preparing import Prepared
from mlc.events.slices import slices_of
from mlc.models.baselines import make_baselines
from mlc.models.decisions import decide_on_validation
from mlc.models.model import Model
from mlc.report import (
    FunnelStep,
    MetricScore,
    Report,
    ReportInputs,
    build_report,
    report_markdown,
    report_page,
)
from mlc.report.card import model_card
from mlc.run import RunFolder
from mlc.scenario import Scenario
from mlc.sources import id_expr
from mlc.tables import (
    CUTOFF,
    ENTITY_ID,
    RAW_SCORES,
    SCORES,
    TARGETS,
    array_column,
    in_split,
    scores_of,
    split_names,
    targets_of,
    with_class_names,
)


def write_report(
    run: RunFolder, prepared: Prepared, model: Model, part_scores: Mapping[str, np.ndarray]
) -> Report:
    """Calibrate and choose thresholds on validation; write predictions, maps, thresholds and report.

    Args:
        run: Where to.
        prepared: The examples.
        model: Not yet calibrated, without thresholds.
        part_scores: Name of each part → its raw scores of the examples, in their order.
    """
    names = prepared.examples.labels.names
    raw_NK = model.mixed(part_scores)
    calibrators, thresholds = decide_on_validation(prepared.scenario, names, prepared.examples.table, raw_NK)
    model = replace(model, calibrators=calibrators, thresholds=thresholds)
    predictions = model_predictions(prepared, model, part_scores)
    report = make_report(prepared, model, part_scores)
    with replacing(run / "predictions.parquet") as temporary:
        predictions.write_parquet(temporary, metadata=with_class_names(names))
    model.save_decisions(run)
    write_text(run / "report.md", report_markdown(report))
    write_text(run / "MODEL_CARD.md", model_card(prepared.scenario, report))
    run.write_json("report.json", report.to_json())
    return report


def write_page(run: RunFolder) -> None:
    """`report.html`, from the files of a finished run."""
    with run.reading("examples.parquet") as path:
        examples = pl.read_parquet(path)
    with run.reading("predictions.parquet") as path:
        predictions = pl.read_parquet(path)
    with run.reading("log.jsonl") as path:
        log = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    with run.reading("scenario.yaml") as path:
        scenario = path.read_text(encoding="utf-8")
    made, report = run.read_json("run.json"), run.read_json("report.json", Report.from_json)
    shown = report_page(report, examples, predictions, made=made, log=log, scenario=scenario)
    write_text(run / "report.html", shown)


def model_predictions(
    prepared: Prepared, model: Model, part_scores: Mapping[str, np.ndarray]
) -> pl.DataFrame:
    """The predictions table of a model: calibrated `scores`, and `raw_scores` as the parts give them."""
    raw_NK = model.mixed(part_scores)
    scores_NK = calibrated(raw_NK, model.calibrators)
    return prepared.examples.table.drop(TARGETS).with_columns(
        array_column(RAW_SCORES, raw_NK), array_column(SCORES, scores_NK)
    )


def make_report(prepared: Prepared, model: Model, part_scores: Mapping[str, np.ndarray]) -> Report:
    """The report of a model on the examples.

    Args:
        prepared: The examples.
        model: Calibrated, with thresholds.
        part_scores: Name of each part → its raw scores of the examples, in their order.
    """
    examples, scenario = prepared.examples, prepared.scenario
    predictions = model_predictions(prepared, model, part_scores)
    baselines = make_baselines(prepared, model.parts.get(BOOSTING), part_scores.get(BOOSTING))
    return build_report(
        ReportInputs(
            scenario=scenario.name,
            class_names=examples.labels.names,
            examples=examples.table,
            predictions=predictions,
            thresholds=model.thresholds,
            baselines=baselines.predictions,
            no_probabilities=NO_PROBABILITIES,
            baseline_notes=[*baselines.notes, *model.notes],
            missing_baselines=baselines.missing,
            calibrators=model.calibrators,
            oracle=oracle_predictions(scenario, examples.table, examples.labels.names),
            slices=slices_of(prepared),
            funnel=[FunnelStep(**asdict(step)) for step in examples.funnel],
            metrics=_metrics(prepared, model, predictions),
            gates=scenario.gates,
            warnings=_warnings(scenario, model.calibrators),
        )
    )


def _metrics(prepared: Prepared, model: Model, predictions: pl.DataFrame) -> dict[str, list[MetricScore]]:
    """The metrics that the scenario names, of every split."""
    wanted, targets = wanted_metrics(prepared.scenario), prepared.examples.table
    if not wanted:
        return {}
    from mlc.models.custom_metrics import custom_scores  # torchmetrics takes a second to load

    scores: dict[str, list[MetricScore]] = {}
    for name in split_names(targets):
        rows = in_split(targets, name)
        scores_NK, targets_NK = scores_of(predictions)[rows], targets_of(targets)[rows]
        decisions_NK = decide(scores_NK, model.thresholds)
        scores[name] = custom_scores(wanted, scores_NK, decisions_NK, targets_NK)
    return scores


def wanted_metrics(scenario: Scenario) -> list[tuple[str, dict[str, Any]]]:
    """Name and options of each metric that the scenario names."""
    return [(metric.name, metric.options) for metric in scenario.metrics]


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
        id_expr(entity, keys.schema[ENTITY_ID]).alias(ENTITY_ID), pl.col(CUTOFF).cast(pl.Datetime("us"))
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


def _warnings(scenario: Scenario, calibrators: Sequence[Calibrator]) -> list[str]:
    """What limits how the numbers may be read."""
    warnings = _refit_notes(scenario)
    if scenario.examples.drop_all_negative:
        warnings.append(
            "Examples without any positive target were left out (drop_all_negative): prevalence and "
            "precision are higher than among all entities."
        )
    raw = [one.name for one in calibrators if one.method == "none"]
    if scenario.train.loss.kind != "bce" and raw:
        warnings.append(
            f"Trained with {scenario.train.loss.kind} loss and not calibrated: the scores of "
            f"{', '.join(raw)} rank, they are not probabilities."
        )
    return warnings


def _refit_notes(scenario: Scenario) -> list[str]:
    """What a reader of the report should know of `train.refit`."""
    if not scenario.train.refit:
        return []
    note = (
        "mlc predict scores with weights that were trained once more on all examples, test included: these "
        "figures, calibration and thresholds are not of those weights."
    )
    return [note + " The boosting in the blend is not trained again." * blends(scenario)]
