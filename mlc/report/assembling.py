"""The dict of a report: every number of a run, and the verdict that rests on them."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy.typing as npt
import polars as pl

from mlc.errors import DataError, Problem
from mlc.evaluation.calibration import Calibrator
from mlc.evaluation.metrics import (
    ENOUGH,
    MARGINS,
    VERDICT_RULE,
    macro_differences,
    outcome,
    overall_decisions,
    overall_scores,
    score_decisions,
    score_examples,
    score_labels,
)
from mlc.evaluation.thresholds import Threshold, decide
from mlc.report.cells import ORACLE, score_text
from mlc.report.parts import backtest, sliced
from mlc.report.trust import trust
from mlc.tables import (
    CUTOFF,
    ENTITY_ID,
    RAW_SCORES,
    SCORES,
    SPLIT,
    SPLITS,
    Split,
    check_predictions,
    scores_of,
    targets_of,
)

SCHEMA = "mlc/report/2"

_FEW_ENTITIES = 100
_MOST_NAMED = 3  # labels without a verdict, in the first line
_SCORES = {"ap": "AP", "auroc": "AUROC", "log_loss": "log-loss"}

Matrix = npt.NDArray[Any]


def build_report(
    scenario: str,
    class_names: Sequence[str],
    examples: pl.DataFrame,
    predictions: pl.DataFrame,
    *,
    baselines: Mapping[str, pl.DataFrame],
    no_probabilities: Collection[str] = (),
    baseline_notes: Sequence[str] = (),
    missing_baselines: Sequence[str] = (),
    thresholds: Sequence[Threshold],
    calibrators: Sequence[Calibrator] = (),
    oracle: pl.DataFrame | None = None,
    slices: Mapping[str, pl.Series] | None = None,
    funnel: Sequence[Mapping[str, Any]] = (),
    warnings: Sequence[str] = (),
) -> dict[str, Any]:
    """Every number of a run, from its saved tables.

    Args:
        scenario: Its name.
        class_names: The K labels, in the order of targets and scores.
        examples: `entity_id`, `cutoff`, `split`, `targets`.
        predictions: `entity_id`, `cutoff`, `split`, `scores` of the same examples, in any order; with
            `calibrators` also `raw_scores`.
        baselines: Name → predictions of a rival on the same examples.
        no_probabilities: Baselines whose scores only rank: they have no log-loss.
        baseline_notes: What a reader should know of the baselines.
        missing_baselines: Why a baseline is not there, a sentence each; the verdict ends with them.
        thresholds: One a label, in order.
        calibrators: What made the scores of the raw ones, one a label, in order; or none.
        oracle: True probabilities in the shape of predictions, for generated tables.
        slices: What examples are told apart by → the value of each, Enum in the order to show.
        funnel: `reason`, `removed`, `kept` of each filter on the way to the examples.
        warnings: What other steps want to be read here.

    Returns:
        What `json.dumps(…, allow_nan=False)` takes: `schema`, `scenario`, `verdict`, `comparison` (what the
        verdict rests on), `judged` (the labels that it rests on, and why not on the others), `trust`,
        `splits`, `baselines`, `baseline_notes`, `missing_baselines`, `oracle` where given, `backtest` (the
        test cutoff by cutoff, where there are several), `slices`, `funnel`, `warnings`. `difference` is model
        minus baseline in a macro score of the test split over the judged labels, with its 95 % interval.

    Raises:
        DataError: Predictions do not have each example once, or are no probabilities;
            thresholds are not those of the labels.

    Examples:
        >>> from datetime import datetime
        >>> import numpy as np
        >>> from mlc.tables import array_column
        >>> day = datetime(2020, 9, 1)
        >>> rows = pl.DataFrame({"entity_id": [1, 2], "cutoff": [day, day], "split": ["test", "test"]})
        >>> examples = rows.with_columns(array_column("targets", np.array([[1], [0]], np.uint8)))
        >>> scores = rows.with_columns(array_column("scores", np.array([[0.9], [0.1]])))
        >>> cuts = [Threshold("Dress", 0.5, "fixed")]
        >>> report = build_report("demo", ["Dress"], examples, scores, baselines={}, thresholds=cuts)
        >>> report["judged"]["left_out"]
        [{'name': 'Dress', 'why': 'only 1 entity has a positive example'}]
    """
    if [cut.name for cut in thresholds] != list(class_names):
        raise DataError("thresholds must be one a label, in order, however: they are of other labels")
    rival_tables = {**baselines, **({} if oracle is None else {ORACLE: oracle})}
    splits: dict[str, Any] = {}
    rivals: dict[str, dict[str, Any]] = {name: {} for name in rival_tables}
    for split in SPLITS:
        part = examples.filter(pl.col(SPLIT) == split)
        scores_NK = _scores("predictions", predictions, part, split)
        rival_scores = {name: _scores(name, table, part, split) for name, table in rival_tables.items()}
        splits[split] = _model_entry(class_names, part, scores_NK, thresholds)
        if calibrators:
            raw_NK = _scores("predictions", predictions, part, split, RAW_SCORES)
            _add_calibration(splits[split]["labels"], part, raw_NK, calibrators)
        differences = _differences(part, scores_NK, rival_scores) if split == "test" else {}
        for name, rival_NK in rival_scores.items():
            entry = _rival_entry(class_names, part, rival_NK) | differences.get(name, {})
            rivals[name][split] = _without_log_loss(entry) if name in no_probabilities else entry
    best_possible = {ORACLE: rivals.pop(ORACLE)} if oracle is not None else {}
    comparison = {score: _compare(score, splits["test"], rivals) for score in _SCORES}
    test = examples.filter(pl.col(SPLIT) == "test")
    test_NK = _scores("predictions", predictions, test, "test")
    judged = _judged(splits["test"]["labels"])
    verdict = _verdict(splits["test"], comparison, judged)
    return {
        "schema": SCHEMA,
        "scenario": scenario,
        "verdict": " ".join([verdict, *map(_not_compared, missing_baselines)]),
        "comparison": comparison,
        "judged": judged,
        "trust": trust(splits["test"]["labels"]),
        "splits": splits,
        "baselines": rivals,
        "baseline_notes": list(baseline_notes),
        "missing_baselines": list(missing_baselines),
        **best_possible,
        "backtest": backtest(test, test_NK, class_names),
        "slices": sliced(test, test_NK, class_names, _of_test(examples, slices or {})),
        "funnel": [dict(step) for step in funnel],
        "warnings": [*warnings, *_own_warnings(splits["test"], thresholds)],
    }


def _of_test(examples: pl.DataFrame, slices: Mapping[str, pl.Series]) -> dict[str, pl.Series]:
    return {by: values.filter(examples[SPLIT] == "test") for by, values in slices.items()}


def _scores(
    name: str, predictions: pl.DataFrame, part: pl.DataFrame, split: Split, column: str = SCORES
) -> Matrix:
    """The scores of one split, brought into the order of its examples by entity and cutoff."""
    given = predictions.filter(pl.col(SPLIT) == split)
    try:
        check_predictions(given, part)
    except DataError as error:
        raise DataError(Problem(str(error), location=f"{name}, {split} split")) from error
    keys = [ENTITY_ID, CUTOFF]
    joined = part.select(keys).join(
        given.select(*keys, column), on=keys, how="left", validate="1:1", maintain_order="left"
    )
    return scores_of(joined, column)


def _model_entry(
    class_names: Sequence[str], part: pl.DataFrame, scores_NK: Matrix, thresholds: Sequence[Threshold]
) -> dict[str, Any]:
    """One split of the model: how many examples, means over the labels, and each label at its threshold."""
    targets_NK, entities_N = targets_of(part), part[ENTITY_ID].rank("dense").to_numpy()
    labels = score_labels(scores_NK, targets_NK, class_names, entities_N)
    decisions_NK = decide(scores_NK, thresholds)
    decided = score_decisions(decisions_NK, targets_NK, class_names)
    rows = []
    for label, cut, decision in zip(labels, thresholds, decided, strict=True):
        chosen = {
            "threshold": cut.value,
            "threshold_policy": cut.policy,
            "threshold_reachable": cut.reachable,
            "threshold_note": cut.note,
        }
        estimate = None if cut.estimate is None else asdict(cut.estimate)
        rows.append({**_plain(label), **chosen, "threshold_estimate": estimate, **asdict(decision)})
    return {
        **_counts(part),
        **_plain(overall_scores(scores_NK, targets_NK, labels, entities_N)),
        "decisions": asdict(overall_decisions(decisions_NK, targets_NK, decided)),
        "per_example": asdict(score_examples(scores_NK, targets_NK)),
        "labels": rows,
    }


def _add_calibration(
    rows: Sequence[dict[str, Any]], part: pl.DataFrame, raw_NK: Matrix, calibrators: Sequence[Calibrator]
) -> None:
    """How good the probabilities were before."""
    before = score_labels(raw_NK, targets_of(part), [one.name for one in calibrators])
    for row, calibrator, label in zip(rows, calibrators, before, strict=True):
        row["calibration"] = calibrator.method
        row["log_loss_before"] = label.log_loss
        row["calibration_error_before"] = label.calibration_error


def _rival_entry(class_names: Sequence[str], part: pl.DataFrame, scores_NK: Matrix) -> dict[str, Any]:
    targets_NK, entities_N = targets_of(part), part[ENTITY_ID].rank("dense").to_numpy()
    labels = score_labels(scores_NK, targets_NK, class_names, entities_N)
    rows = [{"name": label.name, "auroc": label.auroc, "ap": label.ap} for label in labels]
    return {**_plain(overall_scores(scores_NK, targets_NK, labels, entities_N)), "labels": rows}


def _plain(scores: Any) -> dict[str, Any]:
    """A dataclass as JSON has it: intervals are lists."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(scores)))
    return plain


def _without_log_loss(entry: dict[str, Any]) -> dict[str, Any]:
    """The same entry of a rival whose scores are no probabilities."""
    means = {mean: {**entry[mean], "log_loss": None} for mean in ("macro", "micro", "weighted", "judged")}
    kept = {"difference": {**entry["difference"], "log_loss": None}} if "difference" in entry else {}
    return {**entry, **means, **kept}


def _differences(
    part: pl.DataFrame, scores_NK: Matrix, rivals: Mapping[str, Matrix]
) -> dict[str, dict[str, Any]]:
    """Rival → what its entry has more on the test split."""
    entities_N = part[ENTITY_ID].rank("dense").to_numpy()
    targets_NK = targets_of(part)
    found = macro_differences(scores_NK, rivals, targets_NK, entities_N)
    return {name: {"difference": {key: asdict(each[key]) for key in each}} for name, each in found.items()}


def _counts(part: pl.DataFrame) -> dict[str, Any]:
    cutoffs = part[CUTOFF].unique().sort()
    first, last = (cutoffs[0].isoformat(), cutoffs[-1].isoformat()) if len(cutoffs) else (None, None)
    counted = {"examples": part.height, "entities": part[ENTITY_ID].n_unique()}
    return {**counted, "cutoffs": {"number": len(cutoffs), "first": first, "last": last}}


def _judged(labels: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The labels that the verdict rests on, and why not on the others."""
    return {
        "rule": VERDICT_RULE,
        "labels": [label["name"] for label in labels if not label["not_judged"]],
        "left_out": [
            {"name": label["name"], "why": label["not_judged"]} for label in labels if label["not_judged"]
        ],
    }


def _compare(score: str, test: Mapping[str, Any], baselines: Mapping[str, Any]) -> dict[str, Any] | None:
    """The model against the baseline that is best in this score over the judged labels; None without one."""
    model = test["judged"][score]
    rivals = {name: entry["test"]["judged"][score] for name, entry in baselines.items()}
    rivals = {name: rival for name, rival in rivals.items() if rival is not None}
    if model is None or not rivals:
        return None
    sign = -1 if score == "log_loss" else 1  # a low loss is good
    best = max(rivals, key=lambda name: sign * float(rivals[name]))
    difference = baselines[best]["test"]["difference"][score]
    said = outcome(score, difference["low"], difference["high"])
    return {"outcome": said, "baseline": best, "model": model, "rival": rivals[best], **difference}


def _verdict(test: Mapping[str, Any], comparison: Mapping[str, Any], judged: Mapping[str, Any]) -> str:
    macro = test["macro"]
    scores = f"macro AP {score_text(macro['ap'])}, macro AUROC {score_text(macro['auroc'])}"
    if not test["examples"]:
        return "No verdict: the test split has no example."
    if not macro["labels_defined"]:
        return (
            f"No verdict: none of the {macro['labels']} labels has both a positive and a negative among the "
            f"{test['examples']:,} test examples, so that neither AUROC nor average precision is defined."
        )
    if not judged["labels"]:
        return (
            f"No verdict: for none of the {macro['labels']} labels do at least {ENOUGH} entities have a "
            f"positive and {ENOUGH} a negative test example. Over the {macro['labels_defined']} labels with "
            f"both: {scores}."
        )
    if comparison["ap"] is None:
        return f"No verdict: there is no baseline to compare with. Test split: {scores}."
    compared = {score: comparison[score] for score in _SCORES if comparison[score] is not None}
    named = [None, *(each["baseline"] for each in compared.values())]
    clauses = [
        _clause(score, compared[score], before) for score, before in zip(compared, named, strict=False)
    ]
    over = f"Test split, {len(judged['labels'])} of {macro['labels']} labels judged{_left_out(judged)}."
    return f"{clauses[0][0].upper()}{'; '.join(clauses)[1:]}. {over}"


def _left_out(judged: Mapping[str, Any]) -> str:
    """The labels that a verdict does not rest on, as the end of its sentence."""
    rest = judged["left_out"]
    named = ", ".join(f"{label['name']} ({label['why']})" for label in rest[:_MOST_NAMED])
    more = f" and {len(rest) - _MOST_NAMED:,} more" if len(rest) > _MOST_NAMED else ""
    return f"; not judged: {named}{more}" if rest else ""


def _not_compared(missing: str) -> str:
    return f"Not compared: {missing}."


def _clause(score: str, compared: Mapping[str, Any], before: str | None) -> str:
    """One part of the verdict; `before` is the baseline of the part before it."""
    words = {
        "better": "better than",
        "equal": "equal to",
        "worse": "WORSE than",
        "no_detectable_difference": "no detectable difference from",
    }
    digits = 4 if score == "log_loss" else 3
    scores = f"{compared['model']:.{digits}f} against {compared['rival']:.{digits}f}"
    low, high = (f"{compared[end]:+.{digits}f}" for end in ("low", "high"))
    margin = f", within ±{MARGINS[score]:g}" if compared["outcome"] == "equal" else ""
    best = compared["baseline"]
    rival = "it" if best == before else f"the best baseline, {best},"
    return (
        f"{words[compared['outcome']]} {rival} in macro {_SCORES[score]}: {scores}, "
        f"{compared['value']:+.{digits}f} (95 % interval {low} to {high}{margin})"
    )


def _own_warnings(test: Mapping[str, Any], thresholds: Sequence[Threshold]) -> list[str]:
    entities, messages = test["entities"], []
    if 0 < entities < _FEW_ENTITIES:
        counted = "only 1 entity" if entities == 1 else f"only {entities} entities"
        messages.append(f"the test split has {counted}: its intervals are rough")
    return messages + [f"threshold of {cut.name}: {cut.note}" for cut in thresholds if cut.note]
