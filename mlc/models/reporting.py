"""From scores to calibration, thresholds and the report.

The same for `mlc train` and `mlc evaluate`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from mlc.evaluation.calibration import calibrated
from mlc.evaluation.held_out import VALIDATION, PartScores, judged
from mlc.evaluation.thresholds import decide
from mlc.evaluation.validation import decide_on_validation
from mlc.files.atomic import replacing, write_text
from mlc.models.baselines import all_baselines
from mlc.models.model import Model
from mlc.models.part import NETWORK
from mlc.report import (
    MetricScore,
    PageInputs,
    Report,
    ReportInputs,
    build_report,
    description_of,
    report_markdown,
    report_page,
)
from mlc.report.card import model_card
from mlc.report.mistakes import mistakes_from_json, mistakes_to_json, worst_mistakes
from mlc.run import RunFolder
from mlc.scenario import GatesSection, Scenario
from mlc.tables import (
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
from mlc.task import AnyTask, Examples

_MISTAKES = "mistakes.json"


@dataclass(frozen=True)
class Scored:
    """A model with its scores of the examples.

    Attributes:
        examples: The examples.
        model: Calibrated, with thresholds.
        part_scores: The raw scores of each part.
        predictions: Calibrated `scores`, and `raw_scores` as the mixed parts give them.
    """

    examples: Examples
    model: Model
    part_scores: PartScores
    predictions: pl.DataFrame


def write_report(
    run: RunFolder, task: AnyTask, examples: Examples, model: Model, part_scores: PartScores
) -> Report:
    """Calibrate and choose thresholds on what the model had not learned from.

    Write predictions, maps, thresholds and report.

    Args:
        run: Where to.
        task: The task.
        examples: Its examples.
        model: Not yet calibrated, without thresholds.
        part_scores: The raw scores of each part.
    """
    names, raw_NK = examples.class_names, model.mixed(part_scores.by_part)
    calibrators, thresholds = decide_on_validation(
        examples.scenario, names, examples.table, raw_NK, task.periods, part_scores.judging
    )
    model = replace(model, calibrators=calibrators, thresholds=thresholds)
    scored = Scored(examples, model, part_scores, _predictions(examples, model, raw_NK))
    report = _report(task, scored)
    with replacing(run / "predictions.parquet") as temporary:
        scored.predictions.write_parquet(temporary, metadata=with_class_names(names))
    model.save_decisions(run)
    shown = task.shown(examples)
    if shown is not None:
        mistakes = worst_mistakes(names, examples.table, scored.predictions, shown)
        run.write_json(_MISTAKES, mistakes_to_json(mistakes))
    write_text(run / "report.md", report_markdown(report))
    write_text(run / "MODEL_CARD.md", model_card(report, description_of(examples.scenario, report)))
    run.write_json("report.json", report.to_json())
    return report


def write_page(run: RunFolder) -> None:
    """`report.html`, from the files of a finished run."""
    with run.reading("examples.parquet") as path:
        examples = pl.read_parquet(path)
    with run.reading("predictions.parquet") as path:
        predictions = pl.read_parquet(path)
    log = []
    if (run / "log.jsonl").exists():  # a model without a network has no epochs
        with run.reading("log.jsonl") as path:
            log = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    with run.reading("scenario.yaml") as path:
        scenario = path.read_text(encoding="utf-8")
    made, report = run.read_json("run.json"), run.read_json("report.json", Report.from_json)
    question = description_of(run.scenario(), report).question
    shown = (run / _MISTAKES).exists()
    page = PageInputs(
        report=report,
        question=question,
        examples=examples,
        predictions=predictions,
        made=made,
        log=log,
        scenario=scenario,
        mistakes=run.read_json(_MISTAKES, mistakes_from_json) if shown else {},
    )
    write_text(run / "report.html", report_page(page))


def make_report(
    task: AnyTask,
    examples: Examples,
    model: Model,
    part_scores: PartScores,
    gates: GatesSection | None = None,
) -> Report:
    """Return the report of a model on the examples.

    Args:
        task: The task.
        examples: Its examples.
        model: Calibrated, with thresholds.
        part_scores: The raw scores of each part.
        gates: Judged in place of those of the scenario.
    """
    predictions = _predictions(examples, model, model.mixed(part_scores.by_part))
    return _report(task, Scored(examples, model, part_scores, predictions), gates)


def _predictions(examples: Examples, model: Model, raw_NK: np.ndarray) -> pl.DataFrame:
    """Return the predictions of a model, given the mixed scores of its parts."""
    return examples.table.drop(TARGETS).with_columns(
        array_column(RAW_SCORES, raw_NK), array_column(SCORES, calibrated(raw_NK, model.calibrators))
    )


def _report(task: AnyTask, scored: Scored, gates: GatesSection | None = None) -> Report:
    examples, model, predictions = scored.examples, scored.model, scored.predictions
    scenario = examples.scenario
    baselines = all_baselines(task, examples, model, scored.part_scores)
    return build_report(
        ReportInputs(
            scenario=scenario.name,
            class_names=examples.class_names,
            examples=examples.table,
            predictions=predictions,
            thresholds=model.thresholds,
            baselines=baselines.predictions,
            no_probabilities=baselines.no_probabilities,
            baseline_notes=[*baselines.notes, *model.notes, *_judging_notes(scored)],
            missing_baselines=baselines.missing,
            calibrators=model.calibrators,
            oracle=task.oracle(examples),
            slices=task.slices(examples),
            funnel=examples.funnel,
            metrics=_metrics(examples, model, predictions),
            gates=gates or scenario.gates,
            warnings=_warnings(scenario, task.limits(examples), model),
        )
    )


def _metrics(examples: Examples, model: Model, predictions: pl.DataFrame) -> dict[str, list[MetricScore]]:
    """Return the metrics that the scenario names, of every split."""
    wanted, table = wanted_metrics(examples.scenario), examples.table
    if not wanted:
        return {}
    from mlc.models.custom_metrics import custom_scores  # torchmetrics takes a second to load

    scores: dict[str, list[MetricScore]] = {}
    for name in split_names(table):
        rows_N = in_split(table, name)
        scores_NK, targets_NK = scores_of(predictions)[rows_N], targets_of(table)[rows_N]
        decisions_NK = decide(scores_NK, model.thresholds)
        scores[name] = custom_scores(wanted, scores_NK, decisions_NK, targets_NK)
    return scores


def wanted_metrics(scenario: Scenario) -> list[tuple[str, dict[str, Any]]]:
    """Name and options of each metric that the scenario names."""
    return [(metric.name, metric.options) for metric in scenario.metrics]


def _judging_notes(scored: Scored) -> list[str]:
    """What a reader should know of scores out of fold, where there are any."""
    splits = scored.part_scores.judging
    if splits == VALIDATION:
        return []
    rows = int(judged(scored.examples.table, splits).sum())
    return [
        f"the scores of {rows:,} examples of {' and '.join(splits)} are out of fold: parts were trained "
        "without each third of them to score it. Weights, calibration and thresholds are chosen on these"
    ]


def _warnings(scenario: Scenario, limits: Sequence[str], model: Model) -> list[str]:
    """What limits how the numbers may be read."""
    warnings = [*_refit_notes(scenario, model), *limits]
    raw = [one.name for one in model.calibrators if one.method == "none"]
    if scenario.train.loss.kind != "bce" and raw:
        warnings.append(
            f"Trained with {scenario.train.loss.kind} loss and not calibrated: the scores of "
            f"{', '.join(raw)} rank, they are not probabilities."
        )
    return warnings


def _refit_notes(scenario: Scenario, model: Model) -> list[str]:
    """What a reader should know of `train.refit`, which trains the network again."""
    if not scenario.train.refit or NETWORK not in model.weights:
        return []
    note = (
        "mlc predict scores with weights that were trained once more on all examples, test included: these "
        "figures, calibration and thresholds are not of those weights."
    )
    once = " and ".join(name for name in model.weights if name != NETWORK)
    return [note + f" The {once} in the blend is not trained again." * bool(once)]
