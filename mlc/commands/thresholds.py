"""`mlc thresholds`: other thresholds for a finished run, without training."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from mlc.drawing.text_tables import one_line
from mlc.errors import MlcError, Problem, did_you_mean, sentences
from mlc.evaluation.held_out import HELD_OUT, TRAIN_AND_VALIDATION, VALIDATION
from mlc.evaluation.thresholds import Threshold
from mlc.evaluation.validation import decide_on_validation
from mlc.files.atomic import write_text
from mlc.models import tasks
from mlc.models.decisions import stored_thresholds, with_thresholds
from mlc.run import RunFolder
from mlc.scenario import Fixed, Never, Policy, Thresholds, TopK, policy_yaml, thresholds_yaml
from mlc.tables import RAW_SCORES, SPLIT, key_columns, scores_of, targets_of

_MARK = "# Thresholds of the run "
_HEAD = _MARK + "{name}: for mlc predict --threshold, or as the thresholds: of a scenario.\n"


def thresholds(run: RunFolder, policy: str | None, per_label: Sequence[str]) -> list[Threshold]:
    """Choose the thresholds of a run again, without training.

    Args:
        run: A finished run.
        policy: For every label: `max_f1`, `0.4`, `precision_at_least=0.8` or a mapping in YAML. Default: as
            in the run's scenario.
        per_label: `label=policy` texts. With a `policy`, the scenario's own exceptions no longer hold.

    Raises:
        MlcError: A policy or label does not exist.
    """
    names = [threshold.name for threshold in stored_thresholds(run)]
    section = run.scenario().thresholds
    default = _json(section.default) if policy is None else policy_yaml(policy)
    parts = {} if policy else {name: _json(one) for name, one in section.per_label.items()}
    parts |= dict(_named(text, names) for text in per_label)
    policies = f"{{default: {default}, per_label: {{{_mapping(parts)}}}}}"
    changed = with_thresholds(run, policies, "--policy and --per-label")
    with run.reading("predictions.parquet") as path:
        predictions = pl.read_parquet(path)
        raw_NK = scores_of(predictions, RAW_SCORES)
    with run.reading("examples.parquet") as path:
        examples = pl.read_parquet(path)
        example = [*key_columns(examples), SPLIT]
        same = examples.select(example).equals(predictions.select(example))
        if not same or targets_of(examples).shape != raw_NK.shape:
            raise ValueError("its examples are not those of predictions.parquet")
    task = tasks.task_of(changed, run.folder.parent, lambda _: None)
    judging = TRAIN_AND_VALIDATION if (run / HELD_OUT).exists() else VALIDATION
    _, chosen = decide_on_validation(changed, names, examples, raw_NK, task.periods, judging)
    return chosen


def check_replaceable(path: Path) -> None:
    """Refuse to write thresholds over a YAML file that holds anything else.

    Raises:
        MlcError: Another file is there.
    """
    if path.is_file() and path.stat().st_size:
        with path.open("rb") as file:
            if file.read(len(_MARK)) != _MARK.encode():
                rule = "is there already, and was not written by mlc thresholds. Choose another file."
                raise MlcError(Problem(rule, "", f"--out {path}"))


def write_thresholds(chosen: Sequence[Threshold], run: RunFolder, path: Path) -> None:
    """Write thresholds as YAML: for `mlc predict --threshold`, or for a scenario."""
    head = _HEAD.format(name=run.folder.name) + "".join(
        f"# {one_line(f'{one.name}: {one.note}')}\n" for one in chosen if one.misses and one.note
    )
    fixed = {one.name: _as_policy(one) for one in chosen}
    write_text(path, head + thresholds_yaml(Thresholds(per_label=fixed)))


def _as_policy(threshold: Threshold) -> Policy:
    if threshold.top_k:
        return TopK(kind="top_k", k=threshold.top_k)
    return Never() if threshold.value is None else Fixed(kind="fixed", value=threshold.value)


def _named(text: str, names: Sequence[str]) -> tuple[str, str]:
    """Label and policy of `label=policy`; a label may hold `=`."""
    matches = [name for name in names if text.startswith(f"{name}=")]
    if not matches:
        name = text.split("=", 1)[0]
        rule = sentences(f"{name!r} is no label", did_you_mean(name, names))
        if "=" not in text:
            rule = f"must be label=policy, not {text!r}"
        raise MlcError(Problem(rule, "--per-label"))
    name = max(matches, key=len)
    return name, policy_yaml(text.removeprefix(f"{name}="))


def _json(policy: Any) -> str:
    return json.dumps(policy.model_dump())


def _mapping(parts: Mapping[str, str]) -> str:
    return ", ".join(f"{json.dumps(name)}: {value}" for name, value in parts.items())
