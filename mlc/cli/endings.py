"""How a command ends: the paths that it wrote, then one command to go on with."""

import shlex
from collections.abc import Iterable
from pathlib import Path

from mlc.cli.arguments import RUNS, say, show

NEXT = {
    "demo": "mlc train {scenario}",
    "init": "mlc check {scenario}",
    "check": "mlc train {scenario}",
    "compile": "mlc labels {scenario}",
    "labels": "mlc train {scenario}",
    "pretrain": "mlc train {scenario} --set model.foundation={run}",
    "pretrain, tables alone": "mlc embed {run} --out vectors.parquet",
    "train": "mlc predict {run} --out scores.parquet",
    "train, smoke": "mlc train {scenario}",
    "evaluate": "mlc thresholds {run}",
    "compare": "mlc evaluate {run} --full",
    "schema": "mlc check {scenario}",
    "schema, of the report": "mlc runs",
    "runs": "mlc evaluate {run}",
    "thresholds": "mlc predict {run} --threshold {thresholds} --out scores.parquet",
    "thresholds, not written": "mlc thresholds {run} --out thresholds.yaml",
    "predict": "mlc evaluate {run}",
    "embed": "mlc predict {run} --out scores.parquet",
    "embed, foundation": "mlc runs",
    "export": "mlc evaluate {run}",
}
"""Command, and which of its endings → the next one."""


def finish(
    ending: str,
    written: Iterable[Path] = (),
    options: Iterable[str] = (),
    runs_dir: Path = RUNS,
    **names: object,
) -> None:
    """Print the paths that a command wrote, and the next command for people.

    Args:
        ending: A key of `NEXT`.
        written: The paths.
        options: More words of the next command.
        runs_dir: Folder of all runs; named where it is not the default.
        names: What the next command is about.
    """
    for path in written:
        show(path)
    quoted = {name: shlex.quote(str(value)) for name, value in names.items()}
    elsewhere = ["--runs-dir", str(runs_dir)] if runs_dir != RUNS else []
    say(f"Next: {' '.join([NEXT[ending].format(**quoted), *map(shlex.quote, [*options, *elsewhere])])}")


def set_again(overrides: Iterable[str] | None) -> list[str]:
    """Return the `--set` options of this command for the next."""
    return [word for override in overrides or () for word in ("--set", override)]
