"""The report: one dict with every number, and two texts that are written from it alone.

`report.json` is the dict, `report.md` is for a pull request, the text for a terminal. Undefined is null,
never NaN and never 0. The first line answers "is it good, and than what".
"""

import json
import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy.typing as npt
import polars as pl

from mlc.calibration import Calibrator
from mlc.errors import DataError, Problem
from mlc.metrics import (
    macro_differences,
    overall_decisions,
    overall_scores,
    score_decisions,
    score_examples,
    score_labels,
)
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
from mlc.text_tables import Row, aligned, escaped, markdown_table, one_line
from mlc.thresholds import Threshold, decide

SCHEMA = "mlc/report/1"

_FEW_ENTITIES = 100  # with fewer, bootstrap intervals are known to be too narrow
_ORACLE = "oracle"
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
    funnel: Sequence[Mapping[str, Any]] = (),
    warnings: Sequence[str] = (),
    replicates: int = 200,
    seed: int = 7,
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
        funnel: `reason`, `removed`, `kept` of each filter on the way to the examples.
        warnings: What other steps want to be read here.
        replicates: Resamples of the test entities for the intervals.
        seed: Fixes the resamples.

    Returns:
        What `json.dumps(…, allow_nan=False)` takes: `schema`, `scenario`, `verdict`, `comparison` (what the
        verdict rests on), `splits`, `baselines`, `baseline_notes`, `missing_baselines`, `oracle` where given,
        `funnel`, `warnings`. `difference` is model minus rival in a macro score of the test split, with its
        95 % interval.

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
        >>> build_report("demo", ["Dress"], examples, scores, baselines={}, thresholds=cuts)["verdict"]
        'No verdict: there is no baseline to compare with. Test split: macro AP 1.000, macro AUROC 1.000.'
    """
    if [cut.name for cut in thresholds] != list(class_names):
        raise DataError("thresholds must be one a label, in order, however: they are of other labels")
    rival_tables = {**baselines, **({} if oracle is None else {_ORACLE: oracle})}
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
        differences = _differences(part, scores_NK, rival_scores, replicates, seed) if split == "test" else {}
        for name, rival_NK in rival_scores.items():
            entry = _rival_entry(class_names, part, rival_NK) | differences.get(name, {})
            rivals[name][split] = _without_log_loss(entry) if name in no_probabilities else entry
    best_possible = {_ORACLE: rivals.pop(_ORACLE)} if oracle is not None else {}
    comparison = {score: _compare(score, splits["test"], rivals) for score in _SCORES}
    return {
        "schema": SCHEMA,
        "scenario": scenario,
        "verdict": " ".join([_verdict(splits["test"], comparison), *map(_not_compared, missing_baselines)]),
        "comparison": comparison,
        "splits": splits,
        "baselines": rivals,
        "baseline_notes": list(baseline_notes),
        "missing_baselines": list(missing_baselines),
        **best_possible,
        "funnel": [dict(step) for step in funnel],
        "warnings": [*warnings, *_own_warnings(splits["test"], thresholds)],
    }


def report_markdown(report: Mapping[str, Any]) -> str:
    """The report for a pull request.

    Args:
        report: Of `build_report`, or read back from `report.json`.
    """
    lines = [f"**{escaped(report['scenario'])}**: {escaped(report['verdict'])}", ""]
    for section in _sections(report):
        lines += [f"## {section.title}", ""]
        if section.header:
            lines += markdown_table(section.header, section.rows)
        else:
            lines += [f"- {escaped(row[0])}" for row in section.rows]
        lines.append("")
    return "\n".join(lines)


def report_text(report: Mapping[str, Any], split: Split = "test", width: int = 100) -> str:
    """The report for a terminal: what `report_markdown` says, in aligned columns.

    Args:
        report: Of `build_report`, or read back from `report.json`.
        split: Whose labels to show. The verdict, and differences to rivals, are always those of the test.
        width: Columns of the terminal. Names are shortened to fit; below 90 the table of labels is wider.
    """
    lines = [*textwrap.wrap(f"{report['scenario']}: {one_line(report['verdict'])}", width), ""]
    for section in _sections(report, split):
        lines.append(section.title)
        if section.header:
            lines += aligned([section.header, *section.rows], width)
        else:
            for row in section.rows:
                item = one_line(row[0])
                lines += textwrap.wrap(item, width, initial_indent="  ", subsequent_indent="    ")
        lines.append("")
    return "\n".join(lines)


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
        chosen = {"threshold": cut.value, "threshold_policy": cut.policy, "threshold_note": cut.note}
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
    labels = score_labels(scores_NK, targets_of(part), class_names)
    rows = [{"name": label.name, "auroc": label.auroc, "ap": label.ap} for label in labels]
    return {**_plain(overall_scores(scores_NK, targets_of(part), labels)), "labels": rows}


def _plain(scores: Any) -> dict[str, Any]:
    """A dataclass as JSON has it: intervals are lists."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(scores)))
    return plain


def _without_log_loss(entry: dict[str, Any]) -> dict[str, Any]:
    """The same entry of a rival whose scores are no probabilities."""
    means = {mean: {**entry[mean], "log_loss": None} for mean in ("macro", "micro", "weighted")}
    kept = {"difference": {**entry["difference"], "log_loss": None}} if "difference" in entry else {}
    return {**entry, **means, **kept}


def _differences(
    part: pl.DataFrame, scores_NK: Matrix, rivals: Mapping[str, Matrix], replicates: int, seed: int
) -> dict[str, dict[str, Any]]:
    """Rival → what its entry has more on the test split."""
    entities_N = part[ENTITY_ID].rank("dense").to_numpy()
    targets_NK = targets_of(part)
    found = macro_differences(scores_NK, rivals, targets_NK, entities_N, replicates=replicates, seed=seed)
    return {name: {"difference": {key: asdict(each[key]) for key in each}} for name, each in found.items()}


def _counts(part: pl.DataFrame) -> dict[str, Any]:
    cutoffs = part[CUTOFF].unique().sort()
    first, last = (cutoffs[0].isoformat(), cutoffs[-1].isoformat()) if len(cutoffs) else (None, None)
    counted = {"examples": part.height, "entities": part[ENTITY_ID].n_unique()}
    return {**counted, "cutoffs": {"number": len(cutoffs), "first": first, "last": last}}


def _compare(score: str, test: Mapping[str, Any], baselines: Mapping[str, Any]) -> dict[str, Any] | None:
    """The model against the baseline that is best in this macro score; None where none has it."""
    model = test["macro"][score]
    rivals = {name: entry["test"]["macro"][score] for name, entry in baselines.items()}
    rivals = {name: rival for name, rival in rivals.items() if rival is not None}
    if model is None or not rivals:
        return None
    sign = -1 if score == "log_loss" else 1  # a low loss is good
    best = max(rivals, key=lambda name: sign * float(rivals[name]))
    difference = baselines[best]["test"]["difference"][score]
    if difference["low"] is None:
        outcome = "undecided"
    elif difference["low"] <= 0 <= difference["high"]:
        outcome = "equal"
    else:
        outcome = "better" if sign * difference["low"] > 0 else "worse"
    return {"outcome": outcome, "baseline": best, "model": model, "rival": rivals[best], **difference}


def _verdict(test: Mapping[str, Any], comparison: Mapping[str, Any]) -> str:
    macro = test["macro"]
    if not test["examples"]:
        return "No verdict: the test split has no example."
    if not macro["labels_defined"]:
        return (
            f"No verdict: none of the {macro['labels']} labels has both a positive and a negative among the "
            f"{test['examples']:,} test examples, so that neither AUROC nor average precision is defined."
        )
    if comparison["ap"] is None:
        scores = f"macro AP {_score(macro['ap'])}, macro AUROC {_score(macro['auroc'])}"
        return f"No verdict: there is no baseline to compare with. Test split: {scores}."
    compared = {score: comparison[score] for score in _SCORES if comparison[score] is not None}
    named = [None, *(each["baseline"] for each in compared.values())]
    clauses = [
        _clause(score, compared[score], before) for score, before in zip(compared, named, strict=False)
    ]
    over = f"Test split, {macro['labels_defined']} of {macro['labels']} labels defined."
    return f"{clauses[0][0].upper()}{'; '.join(clauses)[1:]}. {over}"


def _not_compared(missing: str) -> str:
    return f"Not compared: {missing}."


def _clause(score: str, compared: Mapping[str, Any], before: str | None) -> str:
    """One part of the verdict; `before` is the baseline of the part before it."""
    words = {"better": "better than", "equal": "equal to", "worse": "WORSE than"}
    relation = words.get(compared["outcome"], "not decided against")
    digits = 4 if score == "log_loss" else 3
    scores = f"{compared['model']:.{digits}f} against {compared['rival']:.{digits}f}"
    interval = "no interval: too few test entities"
    if compared["low"] is not None:
        covers = " covers 0" if compared["outcome"] == "equal" else ""
        interval = f"95 % interval {compared['low']:+.{digits}f} to {compared['high']:+.{digits}f}{covers}"
    best = compared["baseline"]
    rival = "it" if best == before else f"the best baseline, {best},"
    difference = f"{compared['value']:+.{digits}f}"
    return f"{relation} {rival} in macro {_SCORES[score]}: {scores}, {difference} ({interval})"


def _own_warnings(test: Mapping[str, Any], thresholds: Sequence[Threshold]) -> list[str]:
    found = []
    if 0 < test["entities"] < _FEW_ENTITIES:
        found.append(f"the test split has only {test['entities']} entities: its intervals are too narrow")
    found += [f"threshold of {cut.name}: {cut.note}" for cut in thresholds if cut.note]
    return found


@dataclass(frozen=True)
class _Section:
    """A table, or a list of sentences where the header is empty."""

    title: str
    header: Row
    rows: Sequence[Row]


def _sections(report: Mapping[str, Any], split: Split = "test") -> list[_Section]:
    """What both texts show after the verdict, in order; empty lists are left out."""
    shown, title = report["splits"][split], split.capitalize()
    others = [other for other in SPLITS[::-1] if other != split]
    undefined = [(f"{row['name']}: {row['undefined']}",) for row in shown["labels"] if row["undefined"]]
    funnel = [(step["reason"], _count(step["removed"]), _count(step["kept"])) for step in report["funnel"]]
    means = ("", "macro AP", "macro AUROC", "micro AP", "micro AUROC", "weighted AP", "weighted AUROC")
    gates = [
        (gate["gate"], gate["found"], "passed" if gate["passed"] else "FAILED")
        for gate in report.get("gates", ())
    ]
    sections = [
        _Section("Gates", ("gate", "found", ""), gates),
        _Section(f"{title}: {_described(shown)}", *_against_rivals(report, split)),
        _Section(f"{title}: each label at its threshold", *_label_rows(shown)),
        _Section(f"{title}: log-loss, low is good", *_log_losses(report, split)),
        _Section("Baselines", (), [(note,) for note in _baseline_notes(report)]),
        _Section(f"{title}: labels without AUROC", (), undefined),
        _Section(f"{title}: 95 % intervals, and lift among the highest scores", *_interval_rows(shown)),
        _Section(f"{title}: what the thresholds gave, and 95 % range promised", *_promise_rows(shown)),
        _Section(f"{title}: probabilities before and after calibration", *_calibration_rows(shown)),
        _Section(f"{title}: all labels together", (), _together(shown)),
        _Section(f"{title}: other means", means, _mean_rows(report, split)),
        *(
            _Section(
                f"{other.capitalize()}: {_described(report['splits'][other])}",
                means,
                _mean_rows(report, other),
            )
            for other in others
        ),
        _Section("Examples", ("reason", "removed", "kept"), funnel),
        _Section("Warnings", (), [(warning,) for warning in report["warnings"]]),
    ]
    return [section for section in sections if section.rows]


def _competitors(report: Mapping[str, Any], split: Split) -> list[tuple[str, Mapping[str, Any]]]:
    """Model, baselines and oracle, by the name to show."""
    named = [("model", report["splits"][split])]
    named += [(name, entry[split]) for name, entry in report["baselines"].items()]
    return named + ([("best possible", report[_ORACLE][split])] if _ORACLE in report else [])


def _against_rivals(report: Mapping[str, Any], split: Split) -> tuple[Row, list[Row]]:
    rows = []
    for name, entry in _competitors(report, split):
        difference = entry.get("difference", {})
        intervals = [_interval(difference.get(score)) for score in ("ap", "auroc")]
        rows.append((name, _score(entry["macro"]["ap"]), _score(entry["macro"]["auroc"]), *intervals))
    return ("", "macro AP", "macro AUROC", "model minus it: AP", "model minus it: AUROC"), rows


def _log_losses(report: Mapping[str, Any], split: Split) -> tuple[Row, list[Row]]:
    """Model and rivals whose scores are probabilities."""
    rows: list[Row] = []
    for name, entry in _competitors(report, split):
        if entry["macro"]["log_loss"] is not None:
            difference = _interval(entry.get("difference", {}).get("log_loss"), 4)
            rows.append((name, _number(entry["macro"]["log_loss"], ".4f"), difference))
    return ("", "macro log-loss", "model minus it"), rows


def _baseline_notes(report: Mapping[str, Any]) -> list[str]:
    ranking = [
        name
        for name, entry in report["baselines"].items()
        if entry["test"]["macro"]["log_loss"] is None and entry["test"]["macro"]["ap"] is not None
    ]
    reason = f"{' and '.join(ranking)}: scores that rank and are no probabilities, so without log-loss"
    return [*report["baseline_notes"], *report["missing_baselines"], *([reason] if ranking else [])]


def _mean_rows(report: Mapping[str, Any], split: Split) -> list[Row]:
    rows: list[Row] = []
    for name, entry in _competitors(report, split):
        means = [entry[mean][score] for mean in ("macro", "micro", "weighted") for score in ("ap", "auroc")]
        rows.append((name, *map(_score, means)))
    return rows


def _label_rows(test: Mapping[str, Any]) -> tuple[Row, list[Row]]:
    header = ("label", "support", "prevalence", "AUROC", "AP", "AP/prevalence")
    rows: list[Row] = []
    for label in test["labels"]:
        counted = _count(label["support"]), _number(label["prevalence"], ".4f")
        ranked = _score(label["auroc"]), _score(label["ap"]), _number(label["lift"], ".1f")
        decided = [_score(label[key]) for key in ("threshold", "precision", "recall")]
        rows.append((label["name"], *counted, *ranked, *decided))
    return (*header, "threshold", "precision", "recall"), rows


def _interval_rows(test: Mapping[str, Any]) -> tuple[Row, list[Row]]:
    rows: list[Row] = []
    for label in test["labels"]:
        lifts = (_number(label[f"lift_{percent}"], ".1f") for percent in (1, 5, 10))
        ranges = (_range(label[f"{score}_interval"]) for score in ("auroc", "ap"))
        rows.append((label["name"], *ranges, *lifts))
    return ("label", "AUROC", "AP", "lift at 1 %", "at 5 %", "at 10 %"), rows


def _promise_rows(test: Mapping[str, Any]) -> tuple[Row, list[Row]]:
    rows: list[Row] = []
    for label in test["labels"]:
        estimate, examples = label["threshold_estimate"], label["examples"]
        if estimate is None or not examples:
            continue
        cells = []
        for name in ("precision", "recall"):
            promised = estimate[name]
            cells += [_score(label[name]), _range(promised and (promised["low"], promised["high"]))]
        low, high = (round(estimate["yes"][end] * examples) for end in ("low", "high"))
        rows.append((label["name"], *cells, _count(label["volume"]), f"{low:,}-{high:,}"))
    return ("label", "precision", "promised", "recall", "promised", "volume", "promised"), rows


def _calibration_rows(test: Mapping[str, Any]) -> tuple[Row, list[Row]]:
    rows: list[Row] = []
    for label in test["labels"]:
        if "calibration" in label:
            numbers = (
                f"{name}{when}" for name in ("log_loss", "calibration_error") for when in ("_before", "")
            )
            rows.append((label["name"], label["calibration"], *(_number(label[n], ".4f") for n in numbers)))
    return ("label", "method", "log-loss before", "after", "error before", "after"), rows


def _together(test: Mapping[str, Any]) -> list[Row]:
    """Sentences on all labels and decisions at once."""
    ranked, decided, macro = test["per_example"], test["decisions"], test["macro"]
    if decided["hamming"] is None:
        return []
    found = [
        f"macro AP {_score(macro['ap'])} ({_range(macro['ap_interval'])}), "
        f"macro AUROC {_score(macro['auroc'])} ({_range(macro['auroc_interval'])}), "
        f"over {macro['labels_defined']} of {macro['labels']} labels",
        f"labels of an example, over the {ranked['examples']:,} with a positive: "
        f"LRAP {_score(ranked['lrap'])}, coverage error {_score(ranked['coverage_error'])}, "
        f"ranking loss {_score(ranked['ranking_loss'])}",
    ]
    for depth in ranked["precision_at"]:
        found.append(
            f"the {depth} highest: precision {_score(ranked['precision_at'][depth])}, "
            f"recall {_score(ranked['recall_at'][depth])}, nDCG {_score(ranked['ndcg_at'][depth])}"
        )
    for name in ("macro", "micro", "weighted"):
        mean = decided[name]
        found.append(
            f"decisions, {name}: precision {_score(mean['precision'])} ({mean['precision_labels']} labels), "
            f"recall {_score(mean['recall'])} and F1 {_score(mean['f1'])} ({mean['recall_labels']} labels)"
        )
    found.append(
        f"decisions: Hamming loss {_score(decided['hamming'])}, subset accuracy "
        f"{_score(decided['subset_accuracy'])}, yes an example {_score(decided['labels_predicted'])} where "
        f"{_score(decided['labels_true'])} are positive, without a yes {_score(decided['empty'])}"
    )
    for metric in test.get("metrics", ()):
        options = "".join(f", {name} {value}" for name, value in metric["options"].items())
        values = metric["value"] if isinstance(metric["value"], list) else [metric["value"]]
        shown = metric["undefined"] or " ".join(map(_score, values))
        found.append(f"{metric['name']}{options}: {shown} ({metric['labels']} labels)")
    return [(sentence,) for sentence in found]


def _range(ends: Sequence[float] | None) -> str:
    return "-" if ends is None else f"{ends[0]:.3f}-{ends[1]:.3f}"


def _described(entry: Mapping[str, Any]) -> str:
    number = entry["cutoffs"]["number"]
    first, last = (str(entry["cutoffs"][word]).removesuffix("T00:00:00") for word in ("first", "last"))
    moments = f", cutoff {first}" if number == 1 else f", {number:,} cutoffs {first} to {last}"
    return f"{entry['examples']:,} examples of {entry['entities']:,} entities{moments if number else ''}"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _score(value: float | None) -> str:
    return _number(value, ".3f")


def _count(value: int) -> str:
    return f"{value:,}"


def _interval(difference: Mapping[str, Any] | None, digits: int = 3) -> str:
    if difference is None or difference["value"] is None:
        return "" if difference is None else "-"
    value = f"{difference['value']:+.{digits}f}"
    if difference["low"] is None:
        return value
    return f"{value} [{difference['low']:+.{digits}f}, {difference['high']:+.{digits}f}]"


def foundation_markdown(report: dict[str, Any]) -> str:
    """The report of a pre-training: what is foreseen, and how much better than by frequencies alone."""
    told = {
        "set": "values within {horizon_days} days",
        "next": "at the next moment",
        "time": "time to the next moment",
    }
    lines = [
        f"# {report['name']}",
        "",
        f"Nothing after {report['until']} was seen: a scenario whose first validation cutoff lies before "
        f"that moment cannot start from this foundation. Validation from {report['validation_from']} on, "
        f"{report['validation_examples']:,} examples, {report['epochs']} epochs.",
        "",
        "Losses in nats an example, those of a set added up over its values; the baseline gives each value "
        "its frequency in training.",
        "",
        "| field | what | loss | baseline | loss / baseline |",
        "|---|---|---:|---:|---:|",
    ]
    for row in report["losses"]:
        ratio = f"{row['loss'] / row['baseline']:.3f}" if row["baseline"] else ""
        what = told[row["kind"]].format(**row)
        lines.append(
            f"| {row['field'] or ''} | {what} | {row['loss']:.4f} | {row['baseline']:.4f} | {ratio} |"
        )
    if report["left_out_days"]:
        left = ", ".join(str(days) for days in report["left_out_days"])
        lines += ["", f"Horizons longer than a third of the time are left out: {left} days."]
    return "\n".join(lines) + "\n"
