"""`mlc predict`: scores and decisions for every entity with history at a cutoff."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter

import numpy as np
import polars as pl

from mlc.errors import DataError, MlcError, Problem, RunError, did_you_mean, sentences
from mlc.evaluation.thresholds import Threshold, decide, pick_pairs
from mlc.events.baselines import check_boosting
from mlc.models import tasks
from mlc.models.decisions import thresholds_for
from mlc.progress import stage
from mlc.report.score_tables import Scored, check_names
from mlc.run import RunFolder
from mlc.scenario import ContactSection
from mlc.tables import ENTITY_ID, SCORES, array_column
from mlc.task import Say


@dataclass(frozen=True)
class Request:
    """What a prediction is asked for.

    Attributes:
        as_of: The cutoff; by default the last observed time.
        threshold: The stored thresholds, or those of a text or file as in `thresholds_for`.
        contact: A budget in YAML that takes the place of the scenario's.
        wide: Whether each label becomes a column, so that it needs a name of its own.
        entities: Ids, as text, of those that are wanted; None for all that can be scored.
    """

    as_of: datetime | None = None
    threshold: str = "stored"
    contact: str | None = None
    wide: bool = True
    entities: Sequence[str] | None = None


def predict(run: RunFolder, request: Request, say: Say) -> Scored:
    """Score every entity that has a history at a cutoff, and decide.

    Args:
        run: A finished run.
        request: What is asked for.
        say: Receives progress in lines.

    Raises:
        MlcError: Thresholds or budget make no sense for the labels.
        DataError: The tables no longer fit or do not reach the cutoff, no entity can be scored there, or the
            model needs LightGBM, which is not installed.
    """
    thresholds = thresholds_for(run, request.threshold)
    if request.wide:
        check_names([threshold.name for threshold in thresholds])
    budget = _budget(run, request.contact)
    check_boosting(run.scenario())
    run.check_place()
    from mlc.models.model import Model  # loads torch

    refit = "refit" in run.facts
    model = Model.load(run, refit=refit)
    keys, inputs = tasks.trained_task(run, say, model.class_names).inputs_at(request.as_of)
    wanted_N = _wanted(keys, request.entities)
    stage("scoring")
    scores_NK = model.score(model.batches(inputs))[wanted_N]
    if refit:
        say("scores are of the refitted weights; report, calibration and thresholds are of the first ones")
    return Scored(
        run.read_json("run.json", itemgetter("fingerprint")),
        keys.filter(wanted_N).with_columns(array_column(SCORES, scores_NK)),
        thresholds,
        decide(scores_NK, thresholds).astype(bool),
        None if budget is None else _picked(budget, scores_NK, thresholds),
    )


def _wanted(keys: pl.DataFrame, entities: Sequence[str] | None) -> np.ndarray:
    """Return which of the keys are wanted, bool, shape (N,).

    Raises:
        DataError: A wanted entity cannot be scored.
    """
    if entities is None:
        return np.ones(keys.height, dtype=bool)
    ids = keys[ENTITY_ID].cast(pl.String)
    unknown = pl.Series(entities, dtype=pl.String).filter(
        ~pl.Series(entities, dtype=pl.String).is_in(ids.implode())
    )
    if len(unknown):
        named = ", ".join(unknown.head(5))
        hint = did_you_mean(unknown[0], ids.head(10_000))
        raise DataError(sentences(f"entities: {len(unknown)} have no history at the cutoff: {named}", hint))
    return ids.is_in(entities).to_numpy()


def _budget(run: RunFolder, given: str | None) -> ContactSection | None:
    """Return the budget that is given, or that of the run's scenario."""
    try:
        return run.scenario([] if given is None else [f"contact={given}"]).contact
    except RunError as error:
        raise MlcError(Problem(one.rule, one.field, "--contact") for one in error.problems) from None


def _picked(budget: ContactSection, scores_NK: np.ndarray, thresholds: list[Threshold]) -> np.ndarray:
    """Return the pairs that a budget picks, bool, shape (N, K).

    None of labels without decisions.
    """
    values_K = np.array([0.0 if one.value is None else budget.value.get(one.name, 1.0) for one in thresholds])
    return pick_pairs(scores_NK, values_K, per_entity=budget.per_entity, total=budget.total)
