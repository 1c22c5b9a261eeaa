"""From a YAML file to a `Scenario`.

Every problem of the file at once, each with its line.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from mlc.errors import Problem, ScenarioError, did_you_mean, sentences
from mlc.scenario.database import absolute_uri, without_passwords
from mlc.scenario.events.foundation import AUTO
from mlc.scenario.events.scenario import EventScenario
from mlc.scenario.fields import expand_environment
from mlc.scenario.messages import shown, translate
from mlc.scenario.parsing.origin import Origin, Places, dotted
from mlc.scenario.parsing.yaml_lines import dump_yaml, parse_yaml
from mlc.scenario.rows.scenario import RowScenario
from mlc.scenario.scenario import Scenario
from mlc.scenario.thresholds import Fixed, Never, Thresholds

_UNNAMED = "scenario"
_TELLING = re.compile(
    r"(?!(scenarios?|configs?|src|data|work|home|root|app|te?mp.*|tests?)$)[a-z][a-z0-9_-]{2,}", re.IGNORECASE
)
"""A name that tells one scenario from another; temporary and general folders have none."""
_FOLDERS = (("foundation",), ("text", "encoder"), ("image", "encoder"))
"""Fields of the model that may name a folder, and may name something else."""
_TABLE_DEPTH = 3  # data.tables.sales
_LARGEST = 10_000_000  # bytes: a scenario has thousands; a table given by mistake has more


def load_scenario(
    path: Path, overrides: Sequence[str] = (), *, tables_suffice: bool = False, base: Path | None = None
) -> Scenario:
    """Read, override and check a scenario file.

    Args:
        path: The YAML file.
        overrides: `key.sub=value` texts, the value in YAML: they replace or add fields before the check.
        tables_suffice: Whether there may be no target, and the file may hold the data section alone. The
            scenario then has no `target`.
        base: The folder that paths are relative to; that of the file by default.

    Raises:
        ScenarioError: All problems of the file at once, each with `path:line`.
    """
    return _loaded(path, _read(path), overrides, tables_suffice=tables_suffice, base=base)


def scenario_of(value: Mapping[str, Any], overrides: Sequence[str] = ()) -> Scenario:
    """Check a scenario that is given as a mapping.

    Its paths are relative to the working folder.

    Args:
        value: Sections and fields, as in a scenario file.
        overrides: As of `load_scenario`.

    Raises:
        ScenarioError: All problems at once, with the line as if the mapping were a file.
    """
    return _loaded(Path("scenario"), dump_yaml(dict(value)), overrides, tables_suffice=False, base=None)


def _loaded(
    path: Path, text: str, overrides: Sequence[str], *, tables_suffice: bool, base: Path | None
) -> Scenario:
    places: Places = {(): f"{path}:1"}
    value, problems = parse_yaml(text, str(path), (), places)
    base = path.absolute().parent if base is None else base
    if isinstance(value, dict) and tables_suffice and "tables" in value:
        places = {(): f"{path}:1"}
        data, problems = parse_yaml(text, str(path), ("data",), places)
        value = {"data": data}
    if isinstance(value, dict):
        # Which file `data` names is settled before its fields are overridden.
        later = [override for override in overrides if not override.startswith("data=")]
        for override in [override for override in overrides if override.startswith("data=")]:
            problems = _override(value, override, places, problems)
        if isinstance(value.get("data"), str):
            base = _read_shared(value, path, places, problems)
        for override in later:
            problems = _override(value, override, places, problems)
        value.setdefault("name", default_name(path))
    scenario, faults = _check(value, Origin(path=path, text=text, places=places, base=base), tables_suffice)
    fields = {problem.field for problem in problems}  # what could not be read is not complained of twice
    problems += [problem for problem in faults if problem.field not in fields or not problem.field]
    if problems or scenario is None:
        raise ScenarioError(_in_order(problems, path))
    return scenario


def default_name(path: Path) -> str:
    """Return the name of a scenario that gives none: its file's, or its folder's.

    A file called `scenario.yaml` says nothing, and a temporary folder no more: the name is then `scenario`.

    Args:
        path: The scenario file.

    Examples:
        >>> default_name(Path("shop/next month.yaml")), default_name(Path("shop/scenario.yaml"))
        ('next-month', 'shop')
        >>> default_name(Path("/tmp/tmp.x7Ab/scenario.yaml"))
        'scenario'
    """
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("._-")
    if name and name.lower() != _UNNAMED:
        return name
    folder = path.absolute().parent.name.replace(" ", "-")
    return folder if _TELLING.fullmatch(folder) else _UNNAMED


def with_gates(scenario: Scenario, text: str, name: str) -> Scenario:
    """Return a scenario with other gates.

    Args:
        scenario: Checked scenario.
        text: The gates in YAML, or a YAML file with a section `gates`, such as a scenario.
        name: What problems are located in: a file, or an option of the command line.

    Raises:
        ScenarioError: All problems of the gates at once.
    """
    places: Places = {}
    value, problems = parse_yaml(text, name, ("gates",), places)
    if isinstance(value, dict) and "gates" in value:
        places = {}
        whole, problems = parse_yaml(text, name, (), places)
        value = whole["gates"] if isinstance(whole, dict) else None
        problems = [problem for problem in problems if f"{problem.field}.".startswith("gates.")]
    origin = Origin(path=Path(name), text=text, places=places, base=scenario.origin.base)
    changed, faults = _check({**resolved(scenario), "gates": value}, origin, tables_suffice=False)
    problems += faults
    if value is None and not problems:
        problems.append(Problem("there is no gate. Write for example {macro_ap: 0.25}.", "gates", name))
    if problems or changed is None:
        raise ScenarioError(problems)
    return changed


def resolved(scenario: Scenario) -> dict[str, Any]:
    """The scenario as a mapping, with every default written out and absolute paths."""
    value = scenario.model_dump(exclude=None if scenario.has_target else {"target"})
    for table in value["data"]["tables"].values():
        if table["path"] is not None:
            table["path"] = _absolute(scenario, table["path"])
        if table["format"] is not None and "uri" in table["format"]:
            table["format"]["uri"] = absolute_uri(table["format"]["uri"], scenario.origin.base)
    for *sections, field in _FOLDERS:
        section = value["model"]
        for name in sections:
            section = section.get(name, {})
        folder = section.get(field)
        if folder is not None and folder != AUTO and scenario.path(folder).exists():
            section[field] = _absolute(scenario, folder)
    if scenario.has_target and scenario.target.truth:
        value["target"]["true_probabilities"] = _absolute(scenario, scenario.target.truth)
    return value


def scenario_yaml(scenario: Scenario) -> str:
    """`resolved` as YAML: it can be read from anywhere."""
    return dump_yaml(resolved(scenario))


def portable_yaml(scenario: Scenario) -> str:
    """Return the scenario as YAML with every default, and its paths as given."""
    return dump_yaml(scenario.model_dump(exclude=None if scenario.has_target else {"target"}))


def thresholds_yaml(thresholds: Thresholds) -> str:
    """A `thresholds` section as YAML, in its short forms where these say all."""
    per_label: dict[str, object] = {}
    for name, policy in thresholds.per_label.items():
        match policy:
            case Fixed(value=value):
                per_label[name] = value
            case Never(kind=kind):
                per_label[name] = kind
            case _:
                per_label[name] = policy.model_dump()
    return dump_yaml({"per_label": per_label})


def _absolute(scenario: Scenario, text: str) -> str:
    """Cloud URLs are left alone: a `Path` would merge their slashes."""
    return text if "://" in text else str(scenario.path(text))


def _check(value: object, origin: Origin, tables_suffice: bool) -> tuple[Scenario | None, list[Problem]]:
    """Return the scenario if its fields are right, and what is wrong with them.

    They are checked alone and together.
    """
    kind = scenario_type(value)
    try:
        scenario = kind.model_validate(value)
        problems: list[Problem] = []
    except ValidationError as error:
        problems = list(translate(error, kind, value, origin))
        if not isinstance(value, dict):
            return None, problems
        wrong = [(item["type"], item["loc"]) for item in error.errors(include_url=False)]
        scenario = _sound_sections(kind, value, {str(place[0]) for _, place in wrong})
        scenario._origin = origin
        if tables_suffice and wrong == [("missing", ("target",))]:
            return scenario, list(scenario.contradictions())
        return None, [*problems, *scenario.contradictions()]
    scenario._origin = origin
    return scenario, list(scenario.contradictions())


def scenario_type(value: object) -> type[Scenario]:
    """Return the class of the scenario that a mapping describes, right or wrong.

    The table that decides the targets says which: events, or rows.
    """
    tables = _below(_below(value, "data"), "tables")
    target = _below(_below(value, "target"), "table")
    kinds = (
        {name: _below(table, "kind") for name, table in tables.items()} if isinstance(tables, dict) else {}
    )
    if isinstance(target, str) and target in kinds:
        return RowScenario if kinds[target] == "rows" else EventScenario
    return RowScenario if "rows" in kinds.values() and "events" not in kinds.values() else EventScenario


def _below(value: object, key: str) -> object:
    return value.get(key) if isinstance(value, dict) else None


def _sound_sections(kind: type[Scenario], value: dict[str, object], failed: set[str]) -> Scenario:
    """Return the sections that are right alone, to check them against each other."""
    sections: dict[str, Any] = {
        name: TypeAdapter[object](field.rebuild_annotation()).validate_python(value[name])
        for name, field in kind.model_fields.items()
        if name in value and name not in failed
    }
    return kind.model_construct(**sections)


def _in_order(problems: Iterable[Problem], path: Path) -> list[Problem]:
    """Each problem once, by file and line; those of the command line last."""

    def position(problem: Problem) -> tuple[int, str, int]:
        file, _, line = problem.location.rpartition(":")
        if problem.location.startswith("--set "):
            return 2, "", 0
        return int(file != str(path)), file, int(line) if line.isdigit() else 0

    return sorted(dict.fromkeys(problems), key=position)


# ── files ───────────────────────────────────────────────────────────────────────────────────────


def _read(path: Path) -> str:
    """The text of a scenario file.

    Raises:
        ScenarioError: There is no such file, or it is no text.
    """
    try:
        if path.is_dir():
            hint = ", ".join(_beside(path / "_")[:3]) or "there is none"
            reason = f"it is a folder. Name a YAML file in it: {hint}"
        elif path.stat().st_size > _LARGEST:
            reason = f"it has {path.stat().st_size / 1e6:.0f} MB. Name a YAML file."
        else:
            return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        beside = _beside(path)
        hint = did_you_mean(path.name, beside) if beside else "there is no YAML file in that folder"
        raise ScenarioError(Problem(sentences("no such file", hint), "", str(path))) from None
    except UnicodeDecodeError as error:
        reason = _not_text(error.object, error.start)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = f"{getattr(error, 'strerror', None) or error}. Choose another, or mend its permissions."
    raise ScenarioError(Problem(f"this is no YAML file: {reason}", "", str(path)))


def _not_text(content: bytes, start: int) -> str:
    """What a file is that is no UTF-8, and what to do."""
    if content[:4] in (b"PAR1", b"ARRO"):
        return "it is a table. mlc init writes a scenario that names it."
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "it is UTF-16. Save it as UTF-8."
    if b"\0" in content:
        return "it is binary. Name a YAML file."
    line = content[:start].count(b"\n") + 1
    return f"line {line} has the byte 0x{content[start]:02x}, as in Latin-1. Save it as UTF-8."


def _beside(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.glob("*.y*ml")) if path.parent.is_dir() else []


def _read_shared(value: dict[str, object], path: Path, places: Places, problems: list[Problem]) -> Path:
    """Put the file that `data` names in the place of its name.

    Returns:
        The folder of that file, absolute: the paths of the tables are relative to it.
    """
    place = places[("data",)]
    try:
        shared = path.parent / expand_environment(str(value.pop("data")))
        text = _read(shared)
        value["data"], faults = parse_yaml(text, str(shared), ("data",), places)
        problems += faults
        return shared.absolute().parent
    except PydanticCustomError as error:
        problems.append(Problem(error.message(), "data", place))
    except ScenarioError as error:
        for problem in error.problems:
            # Without a field: the file could not be read at all, so the line that names it is to mend.
            unread = f"{problem.location}: {problem.rule}"
            problems.append(problem if problem.field else Problem(unread, "data", place))
    return path.absolute().parent


# ── overrides ───────────────────────────────────────────────────────────────────────────────────


def _override(
    value: dict[str, object], override: str, places: Places, problems: list[Problem]
) -> list[Problem]:
    """Replace or add a field, and forget what was wrong with its old value.

    Returns:
        The problems that are left, and those of the override.
    """
    name, equals, text = override.partition("=")
    location = f"--set {without_passwords(override)}"
    name = name.strip()
    keys = tuple(name.split("."))
    if not equals or "" in keys:
        what = "a field has no name" if equals else "there is no '='"
        spaced = re.fullmatch(r"([\w.]+)(?:\s+|:\s*)(\S.*)", name)
        example = f"{spaced[1]}={spaced[2]}" if spaced and not equals else "for example train.epochs=1"
        rule = f"must be section.field=value, but {what}. Write {example}."
        return [*problems, Problem(rule, "", location)]
    try:
        new, faults = parse_yaml(text, location, keys, {})
    except ScenarioError as error:
        new, faults = None, list(error.problems)
    parent = value
    for depth, key in enumerate(keys[:-1], start=1):
        if parent.get(key) is None:
            if depth == _TABLE_DEPTH and keys[:2] == ("data", "tables") and parent:
                rule = f"there is no table {key}, {did_you_mean(key, parent)}"
                return [*problems, Problem(rule, name, location)]
            parent[key] = {}
            places[keys[:depth]] = location
        below = parent[key]
        if isinstance(below, list):
            whole = dotted(keys[:depth])
            rule = f"{whole} is a list, and is set as a whole: --set {whole}=[…]"
            return [*problems, Problem(rule, name, location)]
        if not isinstance(below, dict):
            rule = f"{dotted(keys[:depth])} is {shown(below)} and has no fields"
            return [*problems, Problem(rule, name, location)]
        parent = below
    parent[keys[-1]] = new
    for place in [place for place in places if place[: len(keys)] == keys]:
        del places[place]
    places[keys] = location
    left = [problem for problem in problems if not f"{problem.field}.".startswith(f"{name}.")]
    return [*left, *(Problem(problem.rule, name, location) for problem in faults)]
