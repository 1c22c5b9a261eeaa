"""Calibration and thresholds as a run stores them or a person gives them.

It never loads torch.
"""

from pathlib import Path

from mlc.errors import MlcError, Problem, RunError, did_you_mean, sentences
from mlc.evaluation.calibration import Calibrator, calibration_from_json
from mlc.evaluation.thresholds import Threshold, replace_thresholds, thresholds_from_json
from mlc.run import RunFolder
from mlc.scenario import Fixed, Never, Scenario, Thresholds, TopK


def stored_thresholds(run: RunFolder) -> list[Threshold]:
    """The thresholds that the training chose.

    Raises:
        RunError: The run is a foundation model, which has no labels.
    """
    if run.kind == "foundation":
        rule = "a foundation model, which has no labels. Name it in model.foundation of a scenario"
        raise RunError(f"{run.folder}: {rule}, and train that.")
    thresholds: list[Threshold] = run.read_json("thresholds.json", thresholds_from_json)
    return thresholds


def stored_calibration(run: RunFolder) -> list[Calibrator]:
    """The maps that make the network's scores probabilities."""
    calibrators: list[Calibrator] = run.read_json("calibration.json", calibration_from_json)
    return calibrators


def thresholds_for(run: RunFolder, threshold: str) -> list[Threshold]:
    """The stored thresholds, or those of `--threshold`.

    A number, `label=number` texts, or a YAML file.

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
        rule = f"cannot be read: {error.strerror}. Write such a file with mlc thresholds."
        raise MlcError(Problem(rule, "--threshold", threshold)) from None
    section = with_thresholds(run, text, threshold).thresholds
    names = [threshold.name for threshold in stored]
    unknown = [name for name in section.per_label if name not in names]
    if unknown:
        raise MlcError(
            Problem(sentences("no such label", did_you_mean(name, names)), name, threshold)
            for name in unknown
        )
    return [_given(one, section, threshold) for one in stored]


def with_thresholds(run: RunFolder, text: str, place: str) -> Scenario:
    """Return the run's scenario with another `thresholds` section.

    Its problems are reported at `place`.
    """
    try:
        return run.scenario([f"thresholds={text}"])
    except RunError as error:
        raise MlcError(Problem(one.rule, one.field, place) for one in error.problems) from None


def _given(threshold: Threshold, section: Thresholds, path: str) -> Threshold:
    if threshold.name not in section.per_label and not section.model_fields_set & {"default"}:
        return threshold
    match section.per_label.get(threshold.name, section.default):
        case Fixed(value=value):
            return Threshold(threshold.name, value, "given")
        case Never():
            return Threshold(threshold.name, None, "given")
        case TopK(k=k):
            return Threshold(threshold.name, 0.0, "given", top_k=k)
        case other:
            rule = f"{other.kind} is no number, top_k or never. mlc thresholds --out turns it into a number."
            raise MlcError(Problem(rule, threshold.name, path))
