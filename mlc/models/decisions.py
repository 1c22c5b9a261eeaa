"""Calibration and thresholds: chosen on validation, stored in a run, replaced by hand; never torch."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from mlc.errors import MlcError, Problem, RunError, ScenarioError, did_you_mean
from mlc.evaluation.calibration import (
    Calibrator,
    calibrated,
    calibration_from_json,
    entity_folds,
    fit_calibration,
)
from mlc.evaluation.thresholds import (
    PERIODS_A_WINDOW,
    Threshold,
    Windows,
    choose_thresholds,
    replace_thresholds,
    thresholds_from_json,
)
from mlc.run import RunFolder
from mlc.scenario import Fixed, Never, Scenario, Thresholds, TopK, load_scenario
from mlc.tables import CUTOFF, ENTITY_ID, MICROSECONDS_PER_DAY, SPLIT, targets_of


def decide_on_validation(
    scenario: Scenario, names: Sequence[str], examples: pl.DataFrame, raw_NK: np.ndarray
) -> tuple[list[Calibrator], list[Threshold]]:
    """Calibration and thresholds from the validation examples.

    Args:
        scenario: Says how.
        names: The K labels.
        examples: All examples.
        raw_NK: Their scores as the network gives them, in their order.
    """
    validation = (examples[SPLIT] == "validation").to_numpy()
    part, scores_NK = examples.filter(validation), raw_NK[validation]
    targets_NK, entities_N = targets_of(part), part[ENTITY_ID].rank("dense").to_numpy()
    calibrators, outside_NK = fit_calibration(
        scenario.calibration, names, scores_NK, targets_NK, entity_folds(entities_N)
    )
    thresholds = choose_thresholds(
        scenario.thresholds,
        names,
        outside_NK,
        targets_NK,
        entities_N,
        cutoffs=max(1, part[CUTOFF].n_unique()),
        windows=_windows(scenario, examples, calibrated(raw_NK, calibrators)),
    )
    return calibrators, thresholds


def _windows(scenario: Scenario, examples: pl.DataFrame, scores_NK: np.ndarray) -> Windows:
    """The examples of training and validation, by half windows."""
    known = (examples[SPLIT] != "test").to_numpy()
    part = examples.filter(known)
    cutoffs_N = part[CUTOFF].cast(pl.Int64).to_numpy()
    period = scenario.target.longest_days * MICROSECONDS_PER_DAY // PERIODS_A_WINDOW
    back_N = (cutoffs_N.max(initial=0) - cutoffs_N) // period
    return Windows(scores_NK[known], targets_of(part), part[ENTITY_ID].rank("dense").to_numpy(), back_N)


def stored_thresholds(run: RunFolder) -> list[Threshold]:
    """The thresholds that the training chose.

    Raises:
        RunError: The run is a foundation model, which has no labels.
    """
    if "foundation" in run.read_json("model.json"):
        rule = "must be a run of mlc train, however: it is a foundation model; name it in model.foundation"
        raise RunError(f"{run.folder} {rule} of a scenario, and train that")
    thresholds: list[Threshold] = run.read_json("thresholds.json", thresholds_from_json)
    return thresholds


def stored_calibration(run: RunFolder) -> list[Calibrator]:
    """The maps that make the network's scores probabilities."""
    calibrators: list[Calibrator] = run.read_json("calibration.json", calibration_from_json)
    return calibrators


def thresholds_for(run: RunFolder, threshold: str) -> list[Threshold]:
    """The stored thresholds, or those of `--threshold`: a number, `label=number` texts, or a YAML file.

    Raises:
        MlcError: `--threshold` makes no sense for these labels.
    """
    stored = stored_thresholds(run)
    path = Path(threshold)
    if path.suffix not in (".yaml", ".yml"):
        return replace_thresholds(threshold, stored)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        rule = f"must be a file written by mlc thresholds, however: {error.strerror}"
        raise MlcError(Problem(rule, "--threshold", threshold)) from None
    section = with_thresholds(run, text, threshold).thresholds
    unknown = [
        Problem(
            f"must be a label, however: it is not; {did_you_mean(name, [cut.name for cut in stored])}", name
        )
        for name in section.per_label
        if name not in [cut.name for cut in stored]
    ]
    if unknown:
        raise MlcError(Problem(one.rule, one.field, threshold) for one in unknown)
    return [_given(cut, section, threshold) for cut in stored]


def with_thresholds(run: RunFolder, text: str, place: str) -> Scenario:
    """Return the run's scenario with another `thresholds` section, its problems said of `place`."""
    try:
        return load_scenario(run / "resolved.yaml", [f"thresholds={text}"])
    except ScenarioError as error:
        raise MlcError(Problem(one.rule, one.field, place) for one in error.problems) from None


def _given(cut: Threshold, section: Thresholds, path: str) -> Threshold:
    if cut.name not in section.per_label and not section.model_fields_set & {"default"}:
        return cut
    match section.per_label.get(cut.name, section.default):
        case Fixed(value=value):
            return Threshold(cut.name, value, "given")
        case Never():
            return Threshold(cut.name, None, "given")
        case TopK(k=k):
            return Threshold(cut.name, 0.0, "given", top_k=k)
        case other:
            rule = f"{other.kind} is no number, top_k or never. mlc thresholds --out turns it into a number."
            raise MlcError(Problem(rule, cut.name, path))
