"""From predictions to thresholds, baselines and the report; the same for `mlc train` and `mlc evaluate`."""

from collections.abc import Sequence
from dataclasses import asdict
from operator import itemgetter
from typing import Any

import polars as pl

from mlc.atomic import write_text
from mlc.baselines import baseline_predictions
from mlc.errors import DataError, Problem
from mlc.ingest import EventStore
from mlc.module import Network, load_network
from mlc.report import build_report, report_markdown
from mlc.run import Run
from mlc.scenario import Scenario
from mlc.sources import entity_expr
from mlc.steps.labels import Prepared, Say
from mlc.tables import CUTOFF, ENTITY_ID, SCORES, SPLIT, TARGETS, array_column, scores_of, targets_of
from mlc.thresholds import Threshold, choose_thresholds, thresholds_from_json, thresholds_to_json
from mlc.vocabulary import Vocabulary


def write_report(run: Run, prepared: Prepared, predictions: pl.DataFrame) -> dict[str, Any]:
    """Choose thresholds on validation and write `thresholds.json`, `report.md`, `report.json`."""
    names = prepared.examples.labels.names
    validation = (prepared.examples.table[SPLIT] == "validation").to_numpy()
    targets_NK, scores_NK = targets_of(prepared.examples.table), scores_of(predictions)
    thresholds = choose_thresholds(
        prepared.scenario.thresholds, names, scores_NK[validation], targets_NK[validation]
    )
    report = make_report(prepared, predictions, thresholds)
    run.write_json("thresholds.json", thresholds_to_json(thresholds))
    write_text(run / "report.md", report_markdown(report))
    run.write_json("report.json", report)
    return report


def stored_thresholds(run: Run) -> list[Threshold]:
    """The thresholds that the training chose."""
    thresholds: list[Threshold] = run.read_json("thresholds.json", thresholds_from_json)
    return thresholds


def stored_vocabulary(run: Run, store: EventStore, say: Say) -> Vocabulary:
    """What the model knows of the columns, compared with what the tables now have.

    Raises:
        DataError: A column was a number in the training and is now a category, or the reverse.
    """
    vocabulary: Vocabulary = run.read_json("vocabulary.json", Vocabulary.from_json)
    now = {field.name: field.kind for field in (*store.event_fields, *store.entity_fields)}
    problems = []
    for rows in (vocabulary.attributes, vocabulary.events):
        for kind, names in (("category", rows.categories), ("number", rows.numbers)):
            gone = [name for name in names if name not in now]
            if gone:
                say(f"the model knows {', '.join(gone)}, the tables no longer do: taken as missing")
            problems += [
                Problem(
                    f"must be a {kind} as in the training, however: it is now a {now[name]}; "
                    f"give its table encoders: {{column: {kind}}} and train again",
                    name,
                    str(run.folder),
                )
                for name in names
                if now.get(name, kind) != kind
            ]
    if problems:
        raise DataError(problems)
    return vocabulary


def stored_network(run: Run) -> tuple[Network, list[str]]:
    """The network of a run with its weights, and its class names."""
    run.read_json("model.json", itemgetter("network", "class_names"))  # complained of by its own name
    with run.reading("model.safetensors"):
        return load_network(run.folder)


def make_report(
    prepared: Prepared, predictions: pl.DataFrame, thresholds: Sequence[Threshold]
) -> dict[str, Any]:
    """The report of these predictions, which stand in the order of the examples."""
    examples, scenario = prepared.examples, prepared.scenario
    return build_report(
        scenario.name,
        examples.labels.names,
        examples.table,
        predictions,
        baselines=baseline_predictions(examples, prepared.label_line),
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
