"""`mlc predict`: scores and decisions for every entity with history, at any moment that the tables reach."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from operator import itemgetter
from pathlib import Path

import numpy as np
import polars as pl

from mlc.atomic import replacing
from mlc.errors import MlcError, Problem, ScenarioError
from mlc.evaluation.thresholds import Threshold, decide, pick_pairs
from mlc.events.baselines import check_boosting
from mlc.events.preparing import Say
from mlc.events.task import EventTask
from mlc.models.model import Model
from mlc.models.trained import scenario_as_trained
from mlc.run import RunFolder
from mlc.scenario import load_scenario
from mlc.tables import CUTOFF, ENTITY_ID, SCORES, array_column, scores_of, with_class_names

RUN = "run"
_FORMULA = r"^[=+\-@\t\r]"


def predict(run: RunFolder, runs: Path, as_of: datetime | None, say: Say) -> pl.DataFrame:
    """Score every entity with history at a moment.

    Args:
        run: A finished run.
        runs: Folder of all runs, for the event store.
        as_of: The cutoff; by default the last observed time.
        say: Receives progress in lines.

    Returns:
        A predictions table: `entity_id`, `cutoff`, `scores`.

    Raises:
        DataError: The tables no longer fit, do not reach the moment, or no entity has history at it; or the
            model is a blend and LightGBM is not installed.
    """
    check_boosting(run.scenario())
    refit = run.scenario().train.refit
    model = Model.load(run, refit=refit)
    scenario = scenario_as_trained(run, model.vocabulary, runs, say)
    keys, inputs = EventTask(scenario, runs, say).inputs_at(as_of, model.class_names)
    scores_NK = model.score(model.batches(inputs))
    if refit:
        say("scores are of the refitted weights; report, calibration and thresholds are of the first ones")
    return keys.with_columns(array_column(SCORES, scores_NK))


def decisions(predictions: pl.DataFrame, thresholds: Sequence[Threshold]) -> np.ndarray:
    """Decisions, bool, shape (N, K)."""
    return decide(scores_of(predictions), thresholds).astype(bool)


def volume_lines(thresholds: Sequence[Threshold], decided_NK: np.ndarray) -> Iterator[str]:
    """How many decisions each label has, or why it has none."""
    for cut, decided_N in zip(thresholds, decided_NK.T, strict=True):
        if cut.value is None:
            yield f"{cut.name}: no decisions ({cut.policy}{'; ' if cut.note else ''}{cut.note or ''})"
            continue
        missed = f"; {cut.note}" if not cut.reachable else ""
        yield (
            f"{cut.name}: {int(decided_N.sum()):,} of {len(decided_N):,} at {cut.value:.4g} "
            f"({cut.policy}{missed})"
        )


def contact_lines(thresholds: Sequence[Threshold], picked_NK: np.ndarray) -> Iterator[str]:
    """How many pairs the budget picks, and which labels it leaves out."""
    yield f"contact: {int(picked_NK.sum()):,} pairs of {int(picked_NK.any(axis=1).sum()):,} entities"
    without = [cut.name for cut in thresholds if cut.value is None]
    if without:
        yield f"contact leaves out labels without decisions: {', '.join(without)}"


def contacts(
    run: RunFolder, predictions: pl.DataFrame, thresholds: Sequence[Threshold], budget: str | None
) -> np.ndarray | None:
    """The pairs that the budget picks, bool, shape (N, K); None without one.

    Args:
        run: A finished run: its scenario may have a budget.
        predictions: Of `predict`.
        thresholds: One per label; labels without decisions are not picked.
        budget: A budget in YAML that takes the place of the scenario's, or None.

    Raises:
        MlcError: The budget is not one.
    """
    try:
        overrides = [] if budget is None else [f"contact={budget}"]
        section = load_scenario(run / "resolved.yaml", overrides).contact
    except ScenarioError as error:
        raise MlcError(Problem(one.rule, one.field, "--contact") for one in error.problems) from None
    if section is None:
        return None
    values_K = np.array(
        [0.0 if cut.value is None else section.value.get(cut.name, 1.0) for cut in thresholds]
    )
    scores_NK = scores_of(predictions)
    return pick_pairs(scores_NK, values_K, per_entity=section.per_entity, total=section.total)


def with_contacts(
    table: pl.DataFrame, picked_NK: np.ndarray, names: Sequence[str], *, long: bool
) -> pl.DataFrame:
    """The table of `wide` or `long` with a column of what the budget picks: one, or one a label."""
    if long:
        return table.with_columns(pl.Series("contact", picked_NK.reshape(-1)))
    return table.with_columns(
        pl.Series(f"{name}: contact", column) for name, column in zip(names, picked_NK.T, strict=True)
    )


def check_names(names: Sequence[str]) -> None:
    """Refuse labels that cannot be columns beside the others.

    Raises:
        MlcError: A label is called like another column.
    """
    others = [f"{name}: {kind}" for name in names for kind in ("decision", "contact")]
    counts = Counter([ENTITY_ID, CUTOFF, RUN, *names, *others])
    doubled = [name for name, count in counts.items() if count > 1]
    if doubled:
        raise MlcError(
            f"a label must not be called like another column, however: {', '.join(doubled)}; use --long"
        )


def wide(
    run: RunFolder, predictions: pl.DataFrame, decided_NK: np.ndarray, thresholds: Sequence[Threshold]
) -> pl.DataFrame:
    """One row per entity: the score of each label, then each decision, null for a label without decisions."""
    scores_NK = scores_of(predictions)
    names = [cut.name for cut in thresholds]
    decided = [
        [None] * len(decided_N) if cut.value is None else decided_N
        for cut, decided_N in zip(thresholds, decided_NK.T, strict=True)
    ]
    return predictions.select(
        ENTITY_ID,
        CUTOFF,
        pl.lit(run.read_json("run.json", itemgetter("fingerprint"))).alias(RUN),
        *map(pl.Series, names, scores_NK.T),
        *(
            pl.Series(f"{name}: decision", values, pl.Boolean)
            for name, values in zip(names, decided, strict=True)
        ),
    )


def long(
    run: RunFolder, predictions: pl.DataFrame, decided_NK: np.ndarray, thresholds: Sequence[Threshold]
) -> pl.DataFrame:
    """One row per (entity, label): score, threshold, decision; both null for a label without decisions."""
    names = [threshold.name for threshold in thresholds]
    entities = predictions.height
    return (
        predictions.select(
            pl.col(ENTITY_ID, CUTOFF).repeat_by(len(names)).explode(empty_as_null=False),
            pl.lit(run.read_json("run.json", itemgetter("fingerprint"))).alias(RUN),
        )
        .with_columns(
            pl.Series("label", names * entities),
            pl.Series("score", scores_of(predictions).reshape(-1)),
            pl.Series("threshold", [threshold.value for threshold in thresholds] * entities, pl.Float64),
            pl.Series("decision", decided_NK.reshape(-1)),
        )
        .with_columns(pl.when(pl.col("threshold").is_not_null()).then("decision").alias("decision"))
    )


def write_scores(table: pl.DataFrame, path: Path, names: Sequence[str]) -> None:
    """Write CSV or Parquet by the file's ending, whole or not at all."""
    with replacing(path) as temporary:
        if path.suffix == ".csv":
            table.write_csv(temporary)
        else:
            table.write_parquet(temporary, metadata=with_class_names(names))


def formula_warning(table: pl.DataFrame, path: Path) -> str | None:
    """Warn of a CSV file whose texts a spreadsheet would take for formulas; they are written as they are.

    Args:
        table: What was written.
        path: Where.
    """
    texts = [pl.Series(table.columns), *table.select(pl.col(pl.String)).iter_columns()]
    found = next((text for column in texts for text in column.filter(column.str.contains(_FORMULA))), None)
    if path.suffix != ".csv" or found is None:
        return None
    return (
        f"warning: {path}: a spreadsheet may take texts such as {found!r} for formulas. They are written as "
        "they are. Import the columns as text, or write .parquet."
    )
