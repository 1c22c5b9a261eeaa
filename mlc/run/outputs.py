"""What a scenario reads, and the check that no command writes there.

Paths are compared by what they are, not by how they are written: after links, `..`, hard links, and upper and
lower case where the file system ignores it.
"""

import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from mlc.errors import MlcError, Problem
from mlc.run.folder import RunFolder
from mlc.scenario import (
    AUTO,
    EventScenario,
    Iceberg,
    Scenario,
    Sql,
    database_file,
    database_of,
    expand_environment,
    load_scenario,
)

_RUN_FILES = (
    *("examples.parquet", "predictions.parquet", "log.jsonl", "report.json", "model.json"),
    *("boosting.json", "row_boosting.json", "columns.json", "held_out.parquet", "linear.json"),
    *("linear.safetensors", "trees.json", "trees.safetensors", "model.safetensors"),
    *("scenario.yaml", "report.html", "report.md"),
    *("logs/metrics.csv", "logs/version_0/metrics.csv", "parts/0.parquet", "checkpoints/last.ckpt"),
)
_STORE_FILES = ("x/entities.parquet", "x/values.0.parquet", "x/store.json", "x/events/time.npy")
_SIDECARS = ("-wal", "-shm", "-journal", ".wal")
"""Files that SQLite and DuckDB keep beside a database."""


@dataclass(frozen=True)
class Input:
    """Something that a command reads.

    Attributes:
        what: What it is, for a message.
        place: Where the scenario names it; may be empty.
        path: A file, a folder with all that is in it, or a pattern.
        pattern: Whether the path stands for all files that fit it.
    """

    what: str
    place: str
    path: Path
    pattern: bool = False

    def __str__(self) -> str:
        return f"{self.what} ({self.place})" if self.place else self.what


@dataclass(frozen=True)
class Output:
    """Something that a command writes.

    Attributes:
        path: A file, or a folder.
        files: For a folder, names of files that it will hold.
    """

    path: Path
    files: Sequence[str] = ()

    @property
    def places(self) -> Iterator[Path]:
        """The path, its links resolved but for the last one.

        Then with that one resolved too.
        """
        parent = Path(os.path.realpath(self.path.absolute().parent))
        yield (
            parent / self.path.name if self.path.name not in ("", "..") else Path(os.path.realpath(self.path))
        )
        yield Path(os.path.realpath(self.path))


# ── what is read ────────────────────────────────────────────────────────────────────────────────


def inputs_of(scenario: Scenario, runs: Path) -> Iterator[Input]:
    """Everything that a command on a scenario reads.

    Args:
        scenario: Checked scenario.
        runs: Folder of all runs, where a foundation is looked up by its name.
    """
    origin = scenario.origin
    yield Input("the scenario", "", origin.path)
    shared = Path(origin.place(("data", "tables")).rpartition(":")[0])
    if shared.is_file() and not _same(shared, origin.path):
        yield Input("the data section of the scenario", origin.place(("data",)), shared)
    for name in scenario.data.tables:
        yield from _table_inputs(scenario, name)
    if scenario.has_target and scenario.target.truth:
        place = origin.place(("target", "true_probabilities"))
        truth = _pattern_or_path(scenario, scenario.target.truth)
        yield Input("the true probabilities of the scenario", place, *truth)
    foundation = scenario.model.foundation if isinstance(scenario, EventScenario) else None
    if foundation is not None and foundation != AUTO:
        beside = scenario.path(foundation)
        place = origin.place(("model", "foundation"))
        folder = beside if beside.exists() else runs / expand_environment(foundation)
        yield Input("the foundation that the scenario starts from", place, folder)


def inputs_of_run(run: RunFolder, runs: Path) -> Iterator[Input]:
    """Yield everything that a command on a run reads, with the scenario's lines."""
    try:
        lines = load_scenario(run / "scenario.yaml", tables_suffice=True).origin.places
    except MlcError:  # it was given with --set, or with a data section beside it
        lines = {}
    scenario = run.scenario()
    for one in inputs_of(scenario, runs):
        if not one.place.startswith(f"{run / 'resolved.yaml'}:"):  # given on the command line
            yield one
            continue
        places = [keys for keys, place in scenario.origin.places.items() if place == one.place]
        line = next((lines[keys] for keys in reversed(places) if keys in lines), one.place)
        yield replace(one, place=line)


def _table_inputs(scenario: Scenario, name: str) -> Iterator[Input]:
    table, keys = scenario.data.tables[name], ("data", "tables", name)
    if isinstance(table.format, Sql):
        if database_of(table.format.uri) != "postgresql":
            file = database_file(table.format.uri, scenario.origin.base)
            place = scenario.origin.place((*keys, "format", "uri"))
            for path in (file, *(file.with_name(file.name + ending) for ending in _SIDECARS)):
                yield Input("a database of the scenario", place, path)
    elif table.path is not None and "://" not in table.path:
        path, pattern = _pattern_or_path(scenario, table.path)
        if isinstance(table.format, Iceberg) and path.parent.name == "metadata":
            path = path.parent.parent
        yield Input("a table of the scenario", scenario.origin.place((*keys, "path")), path, pattern)


def _pattern_or_path(scenario: Scenario, text: str) -> tuple[Path, bool]:
    """The path, and whether it is a pattern."""
    path = scenario.path(text)
    if path.exists() or not glob.has_magic(expand_environment(text)):
        return path, False
    return Path(scenario.pattern(text)), True


# ── what is written ─────────────────────────────────────────────────────────────────────────────


def check_ending(path: Path, *endings: str, option: str = "--out") -> None:
    """Refuse a result file whose ending does not say what it holds, before any work.

    Raises:
        MlcError: The ending is another, or a folder is there.
    """
    if path.suffix not in endings:
        ending = f"not in {path.suffix}" if path.suffix else "and has no ending"
        raise MlcError(f"{option} {path}: must end in {' or '.join(endings)}, {ending}")
    if path.is_dir():
        raise MlcError(f"{option} {path}: is a folder. Choose another name.")


def check_outputs(inputs: Sequence[Input], outputs: Mapping[str, Output]) -> None:
    """Refuse to write where a command reads, before any work.

    Args:
        inputs: Everything that is read.
        outputs: What is written, by the option and path that a message shows.

    Raises:
        MlcError: An output is an input, contains one, or would be read as a part of one; or lies in a run.
    """
    problems = [
        Problem(rule, "", name)
        for name, output in outputs.items()
        if (rule := next(_conflicts(output, inputs), None))
    ]
    if problems:
        raise MlcError(problems)


def check_files(inputs: Sequence[Input], runs: Path, **options: Path) -> None:
    """Refuse result files and a store that lie where a command reads.

    See `check_outputs`.

    Args:
        inputs: Everything that is read.
        runs: Folder of all runs, where the event store lies.
        options: Option of the command line without its dashes → file.
    """
    files = {f"--{option} {path}": Output(path) for option, path in options.items()}
    store = runs / "store"
    for name, output in files.items():
        if any(_lies_in(place, store) or _same(place, store) for place in output.places):
            raise MlcError(Problem("lies in the folder of the event stores. Choose another place.", "", name))
    check_outputs(inputs, {**files, f"--runs-dir {runs}": Output(store, _STORE_FILES)})


def check_run_folder(scenario: Scenario, runs: Path) -> None:
    """Refuse a training whose run, or store, would lie where it reads.

    See `check_outputs`.
    """
    folder = runs / scenario.name
    inputs = [
        one
        for one in inputs_of(scenario, runs)
        # A run can be made again from its own copy of the scenario, which is written anew.
        if not any(_same(one.path, folder / copy) for copy in ("scenario.yaml", "resolved.yaml"))
    ]
    outputs = {
        f"--runs-dir {runs}": Output(runs / "store", _STORE_FILES),
        str(folder): Output(folder, _RUN_FILES),
        f"{folder}.previous": Output(folder.with_name(f"{folder.name}.previous"), _RUN_FILES),
    }
    check_outputs(inputs, outputs)


def _conflicts(output: Output, inputs: Sequence[Input]) -> Iterator[str]:
    """What is wrong with an output, the nearest first."""
    kind = "folder" if output.files else "file"
    for one in inputs:
        if any(_same(place, one.path) or _is_file_of(place, one) for place in output.places):
            yield f"is {one}. Choose another {kind}."
    for place in output.places:
        for folder in place.parents:
            if (folder / "run.json").is_file():
                yield f"lies in the run {folder}. Choose another place."
            if (folder / "store.json").is_file():
                yield f"lies in the event store {folder}. Choose another place."
    for one in inputs:
        if any(_lies_in(Path(os.path.realpath(one.path)), place) for place in output.places):
            yield f"contains {one}. Choose another {kind}."
        if one.path.is_dir() and any(_lies_in(place, one.path) for place in output.places):
            yield f"lies in the folder of {one}. Choose another place."
        if one.pattern and any(_fits(file, str(one.path)) for file in _files(output)):
            yield f"fits the pattern of {one}, and would be read as a part of it. Choose another place."


def _files(output: Output) -> Iterator[Path]:
    for place in output.places:
        yield from (place / file for file in output.files) if output.files else (place,)


def _is_file_of(path: Path, one: Input) -> bool:
    """Return whether an existing file is read as part of an input.

    It may have another name there.
    """
    if not path.is_file():
        return False
    if one.pattern:
        return any(_same(path, file) for file in _expanded(one.path))
    return one.path.is_dir() and any(
        _same(path, Path(folder, file)) for folder, _, files in os.walk(one.path) for file in files
    )


# ── paths ───────────────────────────────────────────────────────────────────────────────────────


def _same(one: Path, other: Path) -> bool:
    """Whether two paths are one file or folder, or would be if they existed."""
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        first, second = os.path.realpath(one), os.path.realpath(other)
        return first == second or (first.lower() == second.lower() and _ignores_case(Path(first).parent))


def _lies_in(path: Path, folder: Path) -> bool:
    """Whether a resolved path lies below a folder that exists."""
    return folder.is_dir() and any(parent.exists() and _same(parent, folder) for parent in path.parents)


def _ignores_case(folder: Path) -> bool:
    """Whether names in a folder that differ in case alone are one.

    Judged by its own path.
    """
    while not folder.exists():
        folder = folder.parent
    swapped = Path(str(folder).swapcase())
    return swapped != folder and swapped.exists() and folder.samefile(swapped)


def _fits(path: Path, pattern: str) -> bool:
    """Return whether a resolved path is one of those that a pattern stands for.

    The path need not exist.
    """
    parts = Path(pattern).parts
    letters = [glob.escape(_unescaped(part)) == part for part in parts[:-1]]
    fixed = letters.index(False) if False in letters else len(letters)
    root = Path(*map(_unescaped, parts[:fixed]))
    lower = _ignores_case(root)
    for depth, parent in enumerate(reversed(path.parents), start=1):
        if _same(parent, root) and _parts_fit(path.parts[depth:], parts[fixed:], lower):
            return True
    if not path.parent.is_dir() or not _part_fits(path.name, parts[-1], lower):
        return False
    return any(_same(path.parent, folder) for folder in _expanded(Path(*parts[:-1])))  # links among them


def _expanded(pattern: Path) -> Iterator[Path]:
    return map(Path, glob.iglob(str(pattern), recursive=True))  # noqa: PTH207 - a pattern with its folder


def _unescaped(part: str) -> str:
    """Undo `glob.escape`.

    Examples:
        >>> _unescaped(glob.escape("a[1]*"))
        'a[1]*'
    """
    for letter in "*?[":
        part = part.replace(f"[{letter}]", letter)
    return part


def _parts_fit(parts: Sequence[str], pattern: Sequence[str], lower: bool) -> bool:
    if not pattern:
        return not parts
    if list(pattern) == ["**"]:  # at the end it stands for what lies below, not for the folder itself
        return bool(parts) and not any(part.startswith(".") for part in parts)
    if pattern[0] == "**":
        rest = bool(parts) and not parts[0].startswith(".") and _parts_fit(parts[1:], pattern, lower)
        return rest or _parts_fit(parts, pattern[1:], lower)
    return (
        bool(parts) and _part_fits(parts[0], pattern[0], lower) and _parts_fit(parts[1:], pattern[1:], lower)
    )


def _part_fits(name: str, pattern: str, lower: bool) -> bool:
    """As `glob` does: a star does not stand for a hidden file."""
    if name.startswith(".") and not pattern.startswith("."):
        return False
    return fnmatchcase(name.lower(), pattern.lower()) if lower else fnmatchcase(name, pattern)
