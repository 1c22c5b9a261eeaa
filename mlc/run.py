"""The run folder: what a training leaves behind, and who may write there.

runs/<name>/
    scenario.yaml resolved.yaml   as given · with every default written out
    run.json                      versions, fingerprints, seed, times, peak memory
    examples.parquet vocabulary.json
    checkpoints/                  best.ckpt, last.ckpt: for --resume
    model.safetensors model.json  the weights, and what it takes to build the network again
    predictions.parquet thresholds.json
    report.json report.md log.jsonl
"""

import hashlib
import json
import platform
import resource
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from mlc import __version__
from mlc.atomic import write_text
from mlc.errors import Problem, RunError, did_you_mean
from mlc.scenario import Scenario, load_scenario, resolved, scenario_yaml

Opening = Literal["new", "resume", "overwrite"]

_FREE_TO_CHANGE = (("train", "devices"), ("train", "accelerator"), ("train", "strategy"))
"""Where a training runs may change between a stop and its resumption; what it computes may not."""
_PACKAGES = ("torch", "pytorch-lightning", "torchmetrics", "polars", "numpy")


@dataclass(frozen=True)
class Run:
    """A run folder."""

    folder: Path

    @property
    def finished(self) -> bool:
        """Whether the training came to its end."""
        return (self.folder / "report.json").exists()

    @property
    def last_checkpoint(self) -> Path | None:
        """Where a stopped training goes on, if it came so far."""
        path = self.folder / "checkpoints" / "last.ckpt"
        return path if path.exists() else None

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    def read_json(self, name: str) -> Any:
        """A JSON file of the run."""
        return json.loads((self.folder / name).read_text(encoding="utf-8"))

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file, whole or not at all."""
        write_text(
            self.folder / name, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        )

    def scenario(self) -> Scenario:
        """The scenario that the run was made from, defaults and paths resolved."""
        return load_scenario(self.folder / "resolved.yaml")


def open_run(runs: Path, scenario: Scenario, opening: Opening) -> Run:
    """Make sure that the run folder may be used; creates nothing.

    Args:
        runs: Folder of all runs.
        scenario: Gives the name.
        opening: `new` must not exist; `resume` must exist, unfinished, from the same scenario; `overwrite`
            need not exist.

    Raises:
        RunError: The folder is not in that state.
    """
    run = Run(runs / scenario.name)
    exists = (run / "run.json").exists()
    if not exists and run.folder.exists() and any(run.folder.iterdir()):
        raise RunError(
            f"{run.folder} must be a run or not exist, however: it holds other files; choose another name"
        )
    if opening == "overwrite" or (opening == "new" and not exists):
        return run
    if not exists:
        raise RunError(f"{run.folder} must exist to be resumed, however: it does not; leave --resume out")
    changes = list(_changes(run, scenario))
    if opening == "new":
        state = "finished" if run.finished else "unfinished"
        same = "from the same scenario" if not changes else "from another scenario: " + "; ".join(changes)
        mend = (
            "--overwrite starts over"
            if run.finished or changes
            else "--resume goes on, --overwrite starts over"
        )
        raise RunError(
            f"{run.folder} must not exist, however: a {state} run {same} is there; "
            f"{mend}, --set name=… makes another"
        )
    if changes:
        raise RunError(
            [
                Problem(
                    f"must be as it was to resume, however: {change}; --overwrite starts over",
                    "",
                    str(run.folder),
                )
                for change in changes
            ]
        )
    if run.finished:
        raise RunError(
            f"{run.folder} must be unfinished to be resumed, however: it is complete; --overwrite starts over"
        )
    return run


def start_run(run: Run, scenario: Scenario, opening: Opening) -> None:
    """Write the first files; `overwrite` sets the former run aside until the new one is complete.

    It then lies in `<name>.previous`.
    """
    previous = _previous(run)
    if opening == "overwrite" and run.folder.exists():
        if run.finished or not previous.exists():
            shutil.rmtree(previous, ignore_errors=True)
            run.folder.rename(previous)
        else:
            shutil.rmtree(run.folder)
    if opening == "resume":
        return
    run.folder.mkdir(parents=True, exist_ok=True)
    write_text(run / "scenario.yaml", scenario.origin.text)
    write_text(run / "resolved.yaml", scenario_yaml(scenario))
    run.write_json("run.json", {"name": scenario.name, "started": _now(), "mlc": __version__})


def finish_run(run: Run, facts: dict[str, Any]) -> None:
    """Write the last file, and let the former run go.

    Args:
        run: The run.
        facts: Fingerprints, seed, times: whatever `run.json` should say beside versions and memory.
    """
    run.write_json(
        "run.json",
        {
            **run.read_json("run.json"),
            "finished": _now(),
            **facts,
            "python": platform.python_version(),
            "platform": platform.platform(),
            "versions": {package: version(package) for package in _PACKAGES},
            "peak_memory_mb": peak_memory_mb(),
            "command": sys.argv[1:],
        },
    )
    shutil.rmtree(_previous(run), ignore_errors=True)


def _previous(run: Run) -> Path:
    return run.folder.with_name(run.folder.name + ".previous")


def find_run(runs: Path, name: str) -> Run:
    """A finished run by its name in the runs folder, or by its path.

    Raises:
        RunError: There is no such run, or it is not finished.
    """
    for folder in (runs / name, Path(name)):
        run = Run(folder)
        if run.finished and (run / "model.safetensors").exists():
            return run
        if (run / "run.json").exists():
            raise RunError(
                f"{folder} must be a finished run, however: its training did not end; "
                "mlc train --resume goes on"
            )
    known = [path.parent.name for path in runs.glob("*/report.json")] if runs.is_dir() else []
    raise RunError(f"{name} must be a run in {runs}, however: {did_you_mean(name, known)}")


def fingerprint_of(file: Path) -> str:
    """Twelve hexadecimal digits of the content."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:12]


def peak_memory_mb() -> int:
    """Largest resident memory of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1024 if sys.platform != "darwin" else peak // 2**20


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _changes(run: Run, scenario: Scenario) -> Iterator[str]:
    """What differs between the run's scenario and this one."""
    before, after = _flat(resolved(run.scenario())), _flat(resolved(scenario))
    for key in sorted(set(before) | set(after)):
        if key[:2] not in _FREE_TO_CHANGE and before.get(key) != after.get(key):
            yield f"{'.'.join(key)} was {before.get(key)!r} and is {after.get(key)!r}"


def _flat(value: Any, keys: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    if isinstance(value, dict) and value:
        return {k: v for key, item in value.items() for k, v in _flat(item, (*keys, str(key))).items()}
    return {keys: value}
