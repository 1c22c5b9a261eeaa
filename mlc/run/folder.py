"""What a run folder holds, and how a training begins and ends in it.

runs/<name>/
    scenario.yaml resolved.yaml   as given · with every default written out
    beginning.json                tables, labels and versions that the training began with: for --resume
    run.json                      versions, fingerprints, seed, times, peak memory
    examples.parquet vocabulary.json
    checkpoints/                  best.ckpt, last.ckpt: for --resume
    model.safetensors model.json  the weights, and what it takes to build the network again
    refit.safetensors             those of train.refit
    predictions.parquet calibration.json thresholds.json parts.json boosting.json
    columns.json linear.* trees.* row_boosting.json held_out.parquet    of rows
    report.json report.md report.html MODEL_CARD.md mistakes.json log.jsonl logs/
"""

import glob
import hashlib
import json
import os
import platform
import re
import resource
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, cast, get_args

from mlc import __version__
from mlc.errors import MlcError, Problem, RunError, did_you_mean, sentences
from mlc.files.atomic import replacing, write_text
from mlc.files.lock import HeldError, holder_of, locked
from mlc.run.other_tables import OWN_TABLES, OtherTables
from mlc.scenario import Scenario, load_scenario, portable_yaml, resolved

Opening = Literal["new", "resume", "overwrite", "smoke"]
"""`smoke` replaces a former run of `--smoke`, and no other."""

Kind = Literal["model", "foundation"]
"""What a run holds."""

_FREE_TO_CHANGE = (
    ("train", "devices"),
    ("train", "accelerator"),
    ("train", "strategy"),
    ("train", "checkpoint_minutes"),
    ("train", "loggers"),
)
"""Where a training runs may change between a stop and its resumption; what it computes may not."""
BEGINNING = "beginning.json"
"""What a training began with, see `training.beginning`."""
_SCENARIO_FOLDER = "scenario_folder"
_ENVIRONMENT = "environment"
_PACKAGES = ("torch", "pytorch-lightning", "torchmetrics", "polars", "numpy")


@dataclass(frozen=True)
class RunFolder:
    """A run folder.

    Attributes:
        folder: The folder.
        tables: What takes the place of the tables of its scenario.
    """

    folder: Path
    tables: OtherTables = OWN_TABLES

    @property
    def finished(self) -> bool:
        """Whether the training came to its end."""
        return (self.folder / "report.json").exists() and "finished" in self.read_json("run.json")

    @property
    def kind(self) -> Kind:
        """Whether it holds a model of labels, or a foundation model."""
        return cast(Kind, self.facts["kind"])

    @property
    def facts(self) -> dict[str, Any]:
        """What `run.json` holds.

        Raises:
            RunError: It is missing or damaged, or an earlier version of mlc wrote it.
        """
        facts: dict[str, Any] = self.read_json("run.json", _facts)
        return facts

    @property
    def verb(self) -> str:
        """The command that makes it: `train` or `pretrain`."""
        return "pretrain" if self.kind == "foundation" else "train"

    @property
    def holder(self) -> str:
        """The process that works on it just now; empty where none does."""
        return holder_of(self.folder)

    @property
    def last_checkpoint(self) -> Path | None:
        """Where a stopped training goes on, if it came so far."""
        path = self.folder / "checkpoints" / "last.ckpt"
        return path if path.exists() else None

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    @contextmanager
    def reading(self, name: str) -> Iterator[Path]:
        """The path of a file of the run.

        Whatever goes wrong in the block is a `RunError` that names it.
        """
        path = self.folder / name
        try:
            yield path
        except MlcError as error:
            raise RunError(
                Problem(p.rule, p.field, p.location or str(path)) for p in error.problems
            ) from error
        except Exception as error:
            missing = isinstance(error, FileNotFoundError)
            rule = "no such file" if missing else f"not as mlc train wrote it: {error!r}"
            raise RunError(f"{path}: {rule}. Restore it, or train again.") from error

    def read_json(self, name: str, parse: Callable[[Any], Any] | None = None) -> Any:
        """A JSON file of the run, and what `parse` makes of it.

        Without one it must hold a mapping.
        """
        with self.reading(name) as path:
            value = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
            if parse is not None:
                return parse(value)
            if not isinstance(value, dict):
                raise TypeError(f"a mapping, not {type(value).__name__}")
            return value

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file, whole or not at all."""
        write_text(
            self.folder / name, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        )

    def scenario(self, overrides: Sequence[str] = ()) -> Scenario:
        """Load the scenario that the run was made from, with every default.

        Its paths are relative to the folder that lies where the scenario's lay, seen from the run.

        Args:
            overrides: `key.sub=value` texts beside those of `tables`.

        Raises:
            RunError: An override breaks a rule, or the file is damaged.
        """
        folder = self.facts.get(_SCENARIO_FOLDER)
        base = None if folder is None else (self.folder.absolute() / folder).resolve()
        with self.reading("resolved.yaml") as path:
            overrides = [*self.tables.all_overrides, *overrides]
            return load_scenario(path, overrides, tables_suffice=True, base=base)

    def on_table(self, path: Path) -> "RunFolder":
        """Return the same run on another file in the place of the target's table.

        A file with another ending is read as its ending says, not as the scenario does.

        Args:
            path: The file, relative to the working folder.
        """
        scenario = self.scenario()
        name = scenario.target.table
        overrides = [f"data.tables.{name}.path={json.dumps(str(path.absolute()))}"]
        before = scenario.data.tables[name].path
        if before is None or Path(before).suffix.lower() != path.suffix.lower():
            overrides.append(f"data.tables.{name}.format=null")
        tables = replace(self.tables, overrides=[*self.tables.overrides, *overrides])
        return replace(self, tables=tables)

    def check_place(self) -> None:
        """Refuse a run that was moved without its tables.

        Raises:
            RunError: No table is there.
        """
        scenario = self.scenario()
        if not _has_a_table(scenario):
            rule = (
                f"none of its tables is in {scenario.origin.base}, where they were in training. "
                "Name a YAML file with the data section of the scenario: --data data.yaml."
            )
            raise RunError(Problem(rule, "", str(self.folder)))

    def changed_environment(self) -> list[str]:
        """Return the environment variables in paths that changed since the training."""
        before = self.facts.get(_ENVIRONMENT, {})
        now = _environment(self.scenario())
        return [name for name, digest in before.items() if now.get(name, digest) != digest]


@contextmanager
def working_on(run: RunFolder, say: Callable[[str], None]) -> Iterator[None]:
    """Make this process the only one that works on a run, for the length of the block.

    Args:
        run: The run, which need not exist yet.
        say: Receives a line where it takes long to find out whether another process works on it.

    Raises:
        RunError: Another process works on it.
    """
    with ExitStack() as stack:
        holder = ""
        try:
            stack.enter_context(locked(run.folder, say))
        except HeldError as error:
            holder = str(error)
        if holder:  # raised here: what the system refused is no cause that a user can mend
            raise RunError(Problem(_in_use(holder), "", str(run.folder)))
        yield


def _in_use(holder: str) -> str:
    return (
        f"{holder} is working on this run. Wait until it has ended, or choose another name with --set name=…."
    )


def run_folder_for(runs: Path, scenario: Scenario, opening: Opening) -> RunFolder:
    """Make sure that the run folder may be used; creates nothing.

    Args:
        runs: Folder of all runs.
        scenario: Gives the name.
        opening: `new` must not exist; `resume` must exist, unfinished, from the same scenario; `overwrite`
            need not exist; `smoke` must not exist, or be of `--smoke` too.

    Raises:
        RunError: The folder is not in that state.
    """
    run = RunFolder(runs / scenario.name)
    exists = (run / "run.json").exists()
    if not exists and run.folder.exists() and not (run.folder.is_dir() and not any(run.folder.iterdir())):
        rule = "holds files that are no run" if run.folder.is_dir() else "is a file, where a run has a folder"
        raise RunError(f"{run.folder}: {rule}. Choose another name with --set name=….")
    if opening == "smoke":
        opening = "overwrite" if not exists or run.read_json("run.json").get("smoke") else "new"
    if opening == "overwrite" or (opening == "new" and not exists):
        return run
    if not exists:
        raise RunError(f"{run.folder}: no such run to resume. Leave --resume out.")
    changes = list(_changes(run, scenario, opening))
    if opening == "new":
        state = "a finished" if run.finished else "an unfinished"
        resume = "" if run.finished or changes else "--resume to go on, "
        same = "another" if changes else "the same"
        rule = (
            f"{state} run of {same} scenario is there already. "
            f"Add {resume}--overwrite to start over, or --set name=… to make another."
        )
        taken = Problem(rule, "", str(run.folder))
        raise RunError([taken, *(Problem(f"changed: {change}", "", str(run.folder)) for change in changes)])
    if changes:
        raise RunError(
            Problem(f"cannot be resumed: {change}. --overwrite starts over.", "", str(run.folder))
            for change in changes
        )
    if run.finished:
        raise RunError(f"{run.folder}: a finished run, which cannot be resumed. --overwrite starts over.")
    return run


def start_run(
    run: RunFolder, scenario: Scenario, opening: Opening, beginning: dict[str, Any], kind: Kind = "model"
) -> None:
    """Write the first files of a run.

    `overwrite` sets the former run aside until the new one is complete. It then lies in `<name>.previous`. A
    resumed run only learns where its tables are now.

    Args:
        run: The run.
        scenario: The scenario.
        opening: As of `run_folder_for`.
        beginning: What the training begins with.
        kind: What it makes.

    Raises:
        RunError: The folder is no longer as `run_folder_for` found it.
    """
    run_folder_for(run.folder.parent, scenario, opening)
    places = {
        _SCENARIO_FOLDER: os.path.relpath(scenario.origin.base.resolve(), run.folder.absolute().resolve()),
        _ENVIRONMENT: _environment(scenario),
    }
    if opening == "resume":
        write_text(run / "resolved.yaml", portable_yaml(scenario))
        run.write_json("run.json", {**run.read_json("run.json"), **places})
        return
    with replacing(run.folder) as temporary:
        temporary.mkdir()
        write_text(temporary / "scenario.yaml", scenario.origin.text)
        write_text(temporary / "resolved.yaml", portable_yaml(scenario))
        smoke = {"smoke": True} if opening == "smoke" else {}
        facts = {
            "kind": kind,
            "name": scenario.name,
            "started": _now(),
            "mlc": __version__,
            **smoke,
            **places,
        }
        RunFolder(temporary).write_json("run.json", facts)
        RunFolder(temporary).write_json(BEGINNING, beginning)
        if opening in ("overwrite", "smoke") and run.folder.exists():
            _set_aside(run)


def _set_aside(run: RunFolder) -> None:
    """Move a former run to `<name>.previous`.

    An unfinished one does not replace a better one there.
    """
    previous = _previous(run)
    if (run / "report.json").exists() or not previous.exists():
        shutil.rmtree(previous, ignore_errors=True)
        run.folder.rename(previous)


def what_is_left(run: RunFolder) -> str:
    """What a training that was stopped has left, and how to go on.

    It is empty where it left nothing.
    """
    if not (run / "run.json").exists() or (run / "report.json").exists() or run.holder:
        return ""
    return f"{run.folder} is unfinished: mlc {run.verb} with --resume goes on{_former(run)}"


def _former(run: RunFolder) -> str:
    return f"; the former run is in {_previous(run)}" if _previous(run).exists() else ""


def finish_run(run: RunFolder, facts: dict[str, Any]) -> None:
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
            "command": _command(),
        },
    )
    shutil.rmtree(_previous(run), ignore_errors=True)


def _command() -> list[str]:
    """Return the words after `mlc` on the command line.

    It is None where another program trains.
    """
    program = Path(sys.argv[0])
    return sys.argv[1:] if program.name == "mlc" or program.parts[-2:] == ("mlc", "__main__.py") else []


def _previous(run: RunFolder) -> Path:
    return run.folder.with_name(run.folder.name + ".previous")


def find_run(runs: Path, name: str) -> RunFolder:
    """Find a finished run by its name in the runs folder, its path or its scenario.

    Raises:
        RunError: There is no such run, or it is not finished.
    """
    for folder in (runs / name, Path(name), *_of_scenario(runs, name)):
        run = RunFolder(folder)
        if run.finished:
            return run
        if (run / "run.json").exists():
            if run.holder:
                rule = f"{run.holder} is still working on this run. Wait until it has ended."
                raise RunError(Problem(rule, "", str(folder)))
            raise RunError(
                f"{folder}: its training did not end. mlc {run.verb} with --resume goes on{_former(run)}"
            )
    known = [path.parent.name for path in runs.glob("*/report.json")] if runs.is_dir() else []
    hint = did_you_mean(name, known) if known else "train first, or name another folder: --runs-dir"
    raise RunError(sentences(f"no run {name} in {runs}", hint))


def _of_scenario(runs: Path, name: str) -> Iterator[Path]:
    """The run folder of a scenario file, `shop.yaml` or `shop` for short."""
    for path in (Path(name), Path(f"{name}.yaml")):
        if path.suffix in (".yaml", ".yml") and path.is_file():
            yield runs / load_scenario(path, tables_suffice=True).name


def _has_a_table(scenario: Scenario) -> bool:
    """Whether a file of any table lies where the scenario says."""
    paths = [table.path for table in scenario.data.tables.values() if table.path and "://" not in table.path]
    return not paths or any(
        scenario.path(path).exists() or next(glob.iglob(scenario.pattern(path), recursive=True), None)  # noqa: PTH207
        for path in paths
    )


def _facts(value: Any) -> dict[str, Any]:
    """Return what `run.json` holds.

    Raises:
        ValueError: A version wrote it whose runs this one cannot read.
    """
    if value["kind"] not in get_args(Kind):
        raise ValueError(f"its kind is {value['kind']!r}")
    if not isinstance(value.get(_SCENARIO_FOLDER, ""), str):
        raise ValueError("an earlier version of mlc wrote it")
    return dict(value)


def _environment(scenario: Scenario) -> dict[str, str]:
    """Return a digest of each environment variable in the path of a table.

    A change shows, no value does.
    """
    paths = [table.path for table in scenario.data.tables.values() if table.path and "://" not in table.path]
    names = sorted({name for path in paths for name in re.findall(r"\$\{(\w+)\}", path)})
    return {name: hashlib.sha256(os.environ[name].encode()).hexdigest()[:12] for name in names}


def _no_number(text: str) -> None:
    """JSON has no NaN and no infinity: Python would read them all the same."""
    raise ValueError(f"{text} is no number")


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


def _changes(run: RunFolder, scenario: Scenario, opening: Opening) -> Iterator[str]:
    """What differs between the run's scenario and this one.

    Where tables lie may change between a stop and its resumption: what they hold is compared then.
    """
    before, after = _flat(resolved(run.scenario())), _flat(resolved(scenario))
    for key in sorted(set(before) | set(after)):
        if opening == "resume" and key[:2] == ("data", "tables") and key[3:] == ("path",):
            continue
        if key[:2] not in _FREE_TO_CHANGE and before.get(key) != after.get(key):
            yield f"{'.'.join(key)} was {before.get(key)!r} and is {after.get(key)!r}"


def _flat(value: Any, keys: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    if isinstance(value, dict) and value:
        return {k: v for key, item in value.items() for k, v in _flat(item, (*keys, str(key))).items()}
    return {keys: value}
