"""From YAML text to a `Scenario`: every problem of a file at once, each with its line.

YAML is read by the rules of version 1.2 where PyYAML follows 1.1: `No` and `on` are text, `1e-3` is a
number. Two equal keys are an error, where PyYAML would silently keep the last.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from mlc.errors import Problem, ScenarioError, did_you_mean
from mlc.scenario.models import Origin, Scenario

Keys = tuple[str | int, ...]
Places = dict[Keys, str]


class _Loader(yaml.SafeLoader):
    """SafeLoader that resolves plain scalars by the YAML 1.2 core schema, and dates."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "-+.0123456789"),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("timestamp", r"\d{4}-\d\d-\d\d([Tt ]\d\d?:\d\d:\d\d(\.\d+)?\s*(Z|[-+]\d\d?(:\d\d)?)?)?", "0123456789"),
):
    _first_characters = [*_first.replace("\0", ""), *([""] if "\0" in _first else [])]
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first_characters)


def _construct_int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(node.value)  # 010 is ten, as in YAML 1.2


def _construct_float(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    return float(node.value.replace(".inf", "inf").replace(".Inf", "inf").replace(".nan", "nan").replace(".NaN", "nan"))


_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _construct_float)


def load_scenario(path: Path, overrides: Sequence[str] = ()) -> Scenario:
    """Read, override and check a scenario file.

    Args:
        path: The YAML file.
        overrides: `key.sub=value` texts, the value in YAML: they replace or add fields before the check.

    Raises:
        ScenarioError: All problems of the file at once, each with `path:line`.
    """
    text = _read(path)
    places: Places = {(): f"{path}:1"}
    value, problems = _parse(text, path, (), places)
    base = path.parent
    if isinstance(value, dict):
        if isinstance(value.get("data"), str):
            shared = path.parent / value["data"]
            base = shared.parent
            value["data"], more = _parse(_read(shared), shared, ("data",), places)
            problems += more
        for override in overrides:
            problems += _override(value, override, places)
        value.setdefault("name", re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).lstrip("._-") or "scenario")
    origin = Origin(path=path, text=text, places=places, base=base)
    try:
        scenario = Scenario.model_validate(value)
    except ValidationError as error:
        raise ScenarioError(_unique([*problems, *_translate(error, value, origin)])) from None
    scenario._origin = origin
    problems += scenario.contradictions()
    if problems:
        raise ScenarioError(_unique(problems))
    return scenario


def scenario_yaml(scenario: Scenario) -> str:
    """The scenario with every default written out; paths are absolute, so that it can be read from anywhere."""
    value = scenario.model_dump(mode="json")
    for table in value["data"]["tables"].values():
        table["path"] = str(scenario.path(table["path"]))
    if scenario.target.true_probabilities:
        value["target"]["true_probabilities"] = str(scenario.path(scenario.target.true_probabilities))
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=110)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        beside = [p.name for p in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        hint = did_you_mean(path.name, beside) if beside else "there is no YAML file in that folder"
        raise ScenarioError(Problem(f"the file must exist, however: it does not; {hint}", "", str(path))) from None
    except UnicodeDecodeError:
        raise ScenarioError(Problem("must be YAML text in UTF-8, however: it is binary", "", str(path))) from None
    except OSError as error:
        raise ScenarioError(Problem(f"must be a readable file, however: {error.strerror}", "", str(path))) from None


def _parse(text: str, path: Path, keys: Keys, places: Places) -> tuple[Any, list[Problem]]:
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        reason = error.problem or error.context or "cannot be parsed"
        raise ScenarioError(Problem(f"must be YAML, however: {reason}", "", place)) from None
    except yaml.YAMLError as error:
        raise ScenarioError(Problem(f"must be YAML text, however: {str(error).splitlines()[0]}", "", str(path))) from None
    problems: list[Problem] = []
    if node is None:
        return None, problems
    loader = _Loader("")
    try:
        return _build(node, keys, path, places, problems, loader, ()), problems
    finally:
        loader.dispose()


def _build(
    node: yaml.Node,
    keys: Keys,
    path: Path,
    places: Places,
    problems: list[Problem],
    loader: _Loader,
    around: tuple[int, ...],
) -> Any:
    """The value of a node; notes the line of everything below it."""
    places[keys] = f"{path}:{node.start_mark.line + 1}"
    if id(node) in around:
        problems.append(Problem("an alias must not contain itself", _dotted(keys), places[keys]))
        return None
    around = (*around, id(node))
    if isinstance(node, yaml.SequenceNode):
        return [
            _build(item, (*keys, index), path, places, problems, loader, around) for index, item in enumerate(node.value)
        ]
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            place = f"{path}:{key_node.start_mark.line + 1}"
            key = key_node.value
            if not isinstance(key, str) or key_node.tag != "tag:yaml.org,2002:str":
                shown = key if isinstance(key, str) else "a list or mapping"
                problems.append(Problem(f"a key must be text, however: {shown}; quote it", _dotted(keys), place))
                key = str(key) if isinstance(key, str) else repr(place)
            if key in mapping:
                first = places[(*keys, key)].rsplit(":", 1)[-1]
                problems.append(
                    Problem(f"the key must stand once, however: it stands in line {first} too", _dotted((*keys, key)), place)
                )
                continue
            mapping[key] = _build(value_node, (*keys, key), path, places, problems, loader, around)
            places[(*keys, key)] = place
        return mapping
    try:
        return loader.construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        reason = error.problem if isinstance(error, yaml.MarkedYAMLError) else error
        problems.append(Problem(f"{node.value!r} cannot be read: {reason}; quote it if it is text", _dotted(keys), places[keys]))
        return node.value


def _override(value: dict[str, Any], override: str, places: Places) -> list[Problem]:
    name, equals, text = override.partition("=")
    location = f"--set {override}"
    if not equals or not name:
        return [Problem("must be key.sub=value, however: no '='" if not equals else "must name a field", "", location)]
    keys: Keys = tuple(name.split("."))
    try:
        new, problems = _parse(text, Path(location), keys, {})
    except ScenarioError as error:
        return [Problem(problem.rule, name, location) for problem in error.problems]
    parent: Any = value
    for depth, key in enumerate(keys[:-1]):
        if isinstance(parent.get(key), dict):
            parent = parent[key]
        elif parent.get(key) is None:
            parent[key] = {}
            parent = parent[key]
            places[keys[: depth + 1]] = location
        else:
            return [Problem(f"{_dotted(keys[: depth + 1])} must be a mapping, however: {parent[key]!r}", name, location)]
    parent[keys[-1]] = new
    for place in [place for place in places if place[: len(keys)] == keys]:
        del places[place]
    places[keys] = location
    return [Problem(problem.rule, name, location) for problem in problems]


def _unique(problems: Sequence[Problem]) -> list[Problem]:
    return list({(problem.location, problem.field, problem.rule): problem for problem in problems}.values())


def _dotted(keys: Keys) -> str:
    return ".".join(str(key) for key in keys)


def _translate(error: ValidationError, value: Any, origin: Origin) -> Iterator[Problem]:
    """Pydantic's findings in our words, in the order of the file."""
    for item in error.errors(include_url=False):
        keys = _raw_keys(item["loc"], value)
        kind, context = item["type"], item.get("ctx", {})
        shown = repr(item["input"]) if not isinstance(item["input"], dict | list) else f"a {type(item['input']).__name__}"
        shown = shown if len(shown) <= 60 else shown[:57] + "…"
        match kind:
            case "extra_forbidden":
                known = _known_fields(item["loc"][:-1])
                rule = f"unknown field, {did_you_mean(str(item['loc'][-1]), known)}"
            case "missing":
                keys = (*keys, item["loc"][-1])
                rule = "must be given, however: it is missing"
            case "union_tag_not_found":
                rule = f"must say its kind: {context['discriminator']} is missing"
            case "union_tag_invalid":
                known_tags = [tag.strip().strip("'") for tag in context["expected_tags"].split(",")]
                rule = f"unknown kind {context['tag']}, {did_you_mean(context['tag'], known_tags)}"
            case "string_type":
                rule = f"must be text, however: {shown}; quote it"
            case "bool_type":
                rule = f"must be true or false, however: {shown}"
            case "int_type" | "float_type":
                rule = f"must be a {'whole ' if kind == 'int_type' else ''}number, however: {shown}"
            case "model_type" | "dict_type" | "model_attributes_type":
                rule = f"must be a mapping, however: {shown}"
            case "literal_error":
                rule = f"must be {context['expected']}, however: {shown}"
            case _ if kind.startswith(("date", "timezone")):
                rule = f"must be a date such as 2024-03-31, however: {shown}"
            case _ if "however" in item["msg"] or kind == "class_names":
                rule = item["msg"]
            case _:
                message = item["msg"].removeprefix("Input should be ").removeprefix("Input should ")
                rule = f"must be {message[0].lower()}{message[1:]}, however: {shown}"
        yield Problem(rule, _dotted(keys), origin.place(keys))


def _raw_keys(location: tuple[str | int, ...], value: Any) -> Keys:
    """The part of a Pydantic location that is in the file: tags of unions and short forms are not."""
    keys: list[str | int] = []
    for key in location:
        if (isinstance(value, dict) and key in value) or (
            isinstance(value, list) and isinstance(key, int) and key < len(value)
        ):
            keys.append(key)
            value = value[key]
    return tuple(keys)


def _known_fields(location: tuple[str | int, ...]) -> list[str]:
    """Field names of the model at a Pydantic location."""
    models: list[type[BaseModel]] = [Scenario]
    for key in location:
        found: list[type[BaseModel]] = []
        for model in models:
            if isinstance(key, str) and key in model.model_fields:
                found += _models_in(model.model_fields[key].annotation)
        tagged = [model for model in found or models if _tag(model) == key]
        models = tagged or found or models
    return sorted({field for model in models for field in model.model_fields})


def _tag(model: type[BaseModel]) -> str | None:
    kind = model.model_fields.get("kind")
    return kind.annotation.__args__[0] if kind is not None and hasattr(kind.annotation, "__args__") else None


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models_in(part)]
