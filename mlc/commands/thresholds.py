"""`mlc thresholds`: other cuts for a finished run, from its saved predictions; nothing is trained."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from mlc.atomic import write_text
from mlc.drawing.text_tables import one_line
from mlc.errors import MlcError, Problem, ScenarioError, did_you_mean
from mlc.evaluation.thresholds import Threshold, replace_thresholds
from mlc.models.reporting import decide_on_validation
from mlc.models.trained import stored_thresholds
from mlc.run import RunFolder
from mlc.scenario import (
    POLICIES,
    Fixed,
    Never,
    Policy,
    Scenario,
    Thresholds,
    TopK,
    load_scenario,
    thresholds_yaml,
)
from mlc.tables import CUTOFF, ENTITY_ID, RAW_SCORES, SPLIT, scores_of, targets_of

_EXAMPLE = (ENTITY_ID, CUTOFF, SPLIT)
_MARK = "# Thresholds of the run "
_HEAD = _MARK + "{name}: for mlc predict --threshold, or as the thresholds: of a scenario.\n"


def choose(run: RunFolder, policy: str | None, per_label: Sequence[str]) -> list[Threshold]:
    """Choose the cuts of a run again.

    Args:
        run: A finished run.
        policy: For every label: `max_f1`, `0.4`, `precision_at_least=0.8` or a mapping in YAML. Default: as
            in the run's scenario.
        per_label: `label=policy` texts. With a `policy`, the scenario's own exceptions no longer hold.

    Raises:
        MlcError: A policy or label does not exist.
    """
    names = [threshold.name for threshold in stored_thresholds(run)]
    given = run.scenario().thresholds
    default = _json(given.default) if policy is None else _as_yaml(policy)
    parts = {} if policy else {name: _json(one) for name, one in given.per_label.items()}
    parts |= dict(_named(text, names) for text in per_label)
    asked = f"{{default: {default}, per_label: {{{_mapping(parts)}}}}}"
    changed = _with_thresholds(run, asked, "--policy and --per-label")
    with run.reading("predictions.parquet") as path:
        predictions = pl.read_parquet(path)
        raw_NK = scores_of(predictions, RAW_SCORES)
    with run.reading("examples.parquet") as path:
        examples = pl.read_parquet(path)
        same = examples.select(_EXAMPLE).equals(predictions.select(_EXAMPLE))
        if not same or targets_of(examples).shape != raw_NK.shape:
            raise ValueError("its examples are not those of predictions.parquet")
    _, chosen = decide_on_validation(changed, names, examples, raw_NK)
    return chosen


def check_replaceable(path: Path) -> None:
    """Refuse to write thresholds over a YAML file that holds anything else, such as the scenario.

    Raises:
        MlcError: Another file is there.
    """
    if path.is_file() and path.stat().st_size:
        with path.open("rb") as file:
            if file.read(len(_MARK)) != _MARK.encode():
                rule = "is there already, and was not written by mlc thresholds. Choose another file."
                raise MlcError(Problem(rule, "", f"--out {path}"))


def write_thresholds(chosen: Sequence[Threshold], run: RunFolder, path: Path) -> None:
    """Write cuts as YAML: for `mlc predict --threshold`, or for a scenario."""
    head = _HEAD.format(name=run.folder.name) + "".join(
        f"# {one_line(f'{cut.name}: {cut.note}')}\n" for cut in chosen if cut.misses and cut.note
    )
    fixed = {cut.name: _as_policy(cut) for cut in chosen}
    write_text(path, head + thresholds_yaml(Thresholds(per_label=fixed)))


def goals_missed(thresholds: Sequence[Threshold]) -> list[str]:
    """What `--strict` objects to: a line for each label without decisions, or whose goal is not reached."""
    return [f"{cut.name}: {cut.note or 'no decisions'}" for cut in thresholds if cut.misses]


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
    section = _with_thresholds(run, text, threshold).thresholds
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


def lines(chosen: Sequence[Threshold]) -> list[str]:
    """What was chosen and what to expect of it, one line per label."""
    width = min(40, max(len("label"), *(len(cut.name) for cut in chosen)))
    found = [f"{'label':<{width}}{'policy':>20}{'cut':>9}{'precision':>20}{'recall':>20}{'share of yes':>20}"]
    for cut in chosen:
        name = one_line(cut.name)
        name = name if len(name) <= width else name[: width - 1] + "…"
        estimate = cut.estimate
        cells = [None] * 3 if estimate is None else [estimate.precision, estimate.recall, estimate.yes]
        ranges = ["-" if one is None else f"{one.value:.3f} {one.low:.3f}-{one.high:.3f}" for one in cells]
        found.append(
            f"{name:<{width}}{cut.policy:>20}{cut.text:>9}" + "".join(f"{cell:>20}" for cell in ranges)
        )
    return found + [one_line(f"{cut.name}: {cut.note}") for cut in chosen if cut.note]


def _as_policy(cut: Threshold) -> Policy:
    if cut.top_k:
        return TopK(kind="top_k", k=cut.top_k)
    return Never() if cut.value is None else Fixed(kind="fixed", value=cut.value)


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


def _with_thresholds(run: RunFolder, text: str, place: str) -> Scenario:
    """The run's scenario with another `thresholds` section, its problems said of `place`."""
    try:
        return load_scenario(run / "resolved.yaml", [f"thresholds={text}"])
    except ScenarioError as error:
        raise MlcError(Problem(one.rule, one.field, place) for one in error.problems) from None


def _named(text: str, names: Sequence[str]) -> tuple[str, str]:
    """Label and policy of `label=policy`; a label may hold `=`."""
    found = [name for name in names if text.startswith(f"{name}=")]
    if not found:
        name = text.split("=", 1)[0]
        rule = f"{name!r} must be a label, however: it is not; {did_you_mean(name, names)}"
        if "=" not in text:
            rule = f"must be label=policy, however: {text!r}"
        raise MlcError(Problem(rule, "--per-label"))
    name = max(found, key=len)
    return name, _as_yaml(text.removeprefix(f"{name}="))


def _as_yaml(text: str) -> str:
    """`top_n=500` as `{top_n: 500}`; further fields follow after commas.

    Raises:
        MlcError: There is no such policy, or it needs more than one number.
    """
    if "=" not in text or "{" in text:
        return text
    _check_kind(text)
    fields = re.sub(r"(^|,)([^,=]*)=", r"\1 \2: ", text)
    return f"{{{fields.strip()}}}"


def _check_kind(text: str) -> None:
    """Refuse `kind=value` where there is no such kind, or where it takes something else."""
    place = f"--policy {text}"
    kind, _, value = (part.strip() for part in re.split(r",[^,=]*=", text)[0].partition("="))
    if kind == "cost":
        numbers = [*re.findall(r"[0-9]*\.?[0-9]+", value), "1", "5"]
        example = f"{{cost: {{false_positive: {numbers[0]}, false_negative: {numbers[1]}}}}}"
        raise MlcError(Problem(f'cost needs two numbers. Write "{example}".', "", place))
    if kind not in POLICIES:
        near = did_you_mean(kind, POLICIES)
        asked = f"{near[:-1]}={value}?" if near.endswith("?") else near
        raise MlcError(Problem(f"unknown policy {kind}, {asked}", "", place))
    if re.fullmatch(r"[0-9]+,[0-9]+", value):
        raise MlcError(Problem(f"write decimals with a point: {kind}={value.replace(',', '.')}", "", place))
    if percent := re.fullmatch(r"([0-9.]+) ?%", value):
        raise MlcError(Problem(f"write a share from 0 to 1: {kind}={float(percent[1]) / 100:g}", "", place))


def _json(policy: Any) -> str:
    return json.dumps(policy.model_dump())


def _mapping(parts: Mapping[str, str]) -> str:
    return ", ".join(f"{json.dumps(name)}: {value}" for name, value in parts.items())
