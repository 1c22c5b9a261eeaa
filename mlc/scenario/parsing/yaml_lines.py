"""YAML text to plain values, with the line of each, and back.

YAML is read by the core schema of version 1.2 where PyYAML follows 1.1: `No` and `on` are text, `1e-3` is a
number, 010 is ten. Only dates are kept from 1.1. Two equal keys are an error, where PyYAML would silently
keep the last.
"""

import re
from bisect import bisect_left
from collections.abc import Mapping
from datetime import date, datetime

import yaml

from mlc.errors import Problem, ScenarioError
from mlc.scenario.fields import MOMENT_PATTERN, read_moment
from mlc.scenario.parsing.origin import Keys, Places, dotted
from mlc.scenario.parsing.yaml_slips import slip

_TAG = "tag:yaml.org,2002:"
_MOST_VALUES = 100_000  # far above any scenario; aliases of aliases can stand for billions
_END = re.compile("but (got|found) .<stream end>.")

_SCALARS = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("timestamp", MOMENT_PATTERN, "0123456789"),
)


class _Loader(yaml.SafeLoader):
    """SafeLoader that resolves plain scalars by the YAML 1.2 core schema, and dates."""


class _Dumper(yaml.SafeDumper):
    """SafeDumper that quotes what some YAML reader would not take for text."""


_Loader.yaml_implicit_resolvers = {}
for _kind, _pattern, _first in _SCALARS:
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(_TAG + _kind, re.compile(f"^(?:{_pattern})$"), list(_first))


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Text with escaped line breaks.

    Outside double quotes PyYAML folds U+0085 and its like to a space.
    """
    style = '"' if text.splitlines() != [text] else None
    return dumper.represent_scalar(_TAG + "str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def _number(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


def _scalar(kind: str, text: str) -> str | bool | int | float | date | datetime | None:
    """The value of a scalar whose text has been matched by the pattern of its kind.

    Raises:
        ValueError: There is no such day, or the number has thousands of digits.
    """
    match kind:
        case "bool":
            return text.lower() == "true"
        case "int":
            return int(text)
        case "float":
            return _number(text)
        case "null":
            return None
        case "timestamp":
            return read_moment(text)
        case _:
            return text


class _Reading:
    """One text on its way to values.

    Attributes:
        places: Filled with the line of every value.
        problems: What is wrong, in the order of the text.
    """

    def __init__(self, text: str, file: str, places: Places) -> None:
        self.file, self.places = file, places
        self.problems: list[Problem] = []
        self._resolver = _Loader("")
        self._line_ends = [match.start() for match in re.finditer("\n", text.rstrip("\n"))]
        self._left = _MOST_VALUES
        self._around: set[int] = set()

    def place(self, index: int) -> str:
        """`file:line` of a character; PyYAML's own count has lines that no editor shows."""
        return f"{self.file}:{bisect_left(self._line_ends, index) + 1}"

    def note(self, rule: str, keys: Keys, index: int) -> None:
        """Add a problem to those of the file."""
        self.problems.append(Problem(rule, dotted(keys), self.place(index)))

    def build(self, node: yaml.Node, keys: Keys) -> object:
        """The value of a node; notes the line of everything below it."""
        start = node.start_mark.index
        self.places[keys] = self.place(start)
        self._left -= 1
        if self._left == 0:
            rule = f"more than {_MOST_VALUES} values, aliases resolved. Write less, or put it into a table."
            raise ScenarioError(Problem(rule, dotted(keys[:1]), self.place(start)))
        if id(node) in self._around:
            self.note("an alias must not contain itself; write the value out", keys, start)
            return None
        if isinstance(node, yaml.ScalarNode):
            return self._build_scalar(node, keys)
        if node.tag not in (_TAG + "seq", _TAG + "map"):
            self.note(f"a tag such as {_shown_tag(node.tag)} means nothing here; remove it", keys, start)
            return None
        self._around.add(id(node))
        value: object
        if isinstance(node, yaml.SequenceNode):
            value = [self.build(item, (*keys, index)) for index, item in enumerate(node.value)]
        else:
            value = self._build_mapping(node, keys)
        self._around.remove(id(node))
        return value

    def _build_mapping(self, node: yaml.Node, keys: Keys) -> dict[str, object]:
        mapping: dict[str, object] = {}
        for key_node, value_node in node.value:
            start = key_node.start_mark.index
            scalar = isinstance(key_node, yaml.ScalarNode)
            key = _characters(key_node.value) if scalar else f"line {self.place(start).rpartition(':')[2]}"
            below = (*keys, key)
            if key == "<<" and key_node.style is None:
                self.note("merge keys (<<) are not read; write the fields out", below, start)
                continue
            if key_node.tag != _TAG + "str":
                what = (key or "nothing") if scalar else "a list or mapping"
                self.note(f"a key must be text, not {what}. Quote it.", below, start)
            if key in mapping:
                first = self.places[below].rpartition(":")[2]
                self.note(f"this field is in line {first} already. Remove one of them.", below, start)
                continue
            mapping[key] = self.build(value_node, below)
            self.places[below] = self.place(start)
        return mapping

    def _build_scalar(self, node: yaml.ScalarNode, keys: Keys) -> object:
        """Build a scalar, refusing a tag such as `!!int` that changes what the text is.

        It may say that the value is text.
        """
        plain = self._resolver.resolve(yaml.ScalarNode, node.value, (True, False))  # type: ignore[no-untyped-call]
        tags = (_TAG + "str", plain)
        if node.style in ("|", ">") and not node.value.strip():
            self.note(f"quote it: '{node.style}' alone begins a block of text", keys, node.start_mark.index)
            return node.style
        if node.tag not in tags:
            rule = f"a tag such as {_shown_tag(node.tag)} means nothing here; remove it"
            self.note(rule, keys, node.start_mark.index)
            return node.value
        try:
            return _scalar(node.tag.removeprefix(_TAG), _characters(node.value))
        except (ValueError, OverflowError) as error:
            text = node.value if len(node.value) <= 60 else node.value[:57] + "…"
            self.note(
                f"{text} cannot be read: {error}. Quote it if it is text.",
                keys,
                node.start_mark.index,
            )
            return node.value


def _characters(text: str) -> str:
    """Join pairs of escapes that stand for one character, as JSON writes them."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _shown_tag(tag: str) -> str:
    return tag.replace(_TAG, "!!")


def parse_yaml(text: str, file: str, keys: Keys, places: Places) -> tuple[object, list[Problem]]:
    """The value of a YAML text and what is wrong with it.

    Args:
        text: One YAML document.
        file: Its name in the problems.
        keys: Where in the scenario the value stands.
        places: Filled with the line of every value.

    Returns:
        The value, and the problems in the order of the text.

    Raises:
        ScenarioError: The text is no YAML, so that there is no value.
    """
    reading = _Reading(text, file, places)
    try:
        node = yaml.compose(text, Loader=_Loader)
        return None if node is None else reading.build(node, keys), reading.problems
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        index, reason = mark.index if mark else 0, error.problem or error.context or "it cannot be parsed"
        if reason.startswith("but "):
            reason = f"{error.context}, {reason}"
        begun = error.context_mark.index if error.context_mark else index
        known = slip(text, begun, index, reason)
        if known is not None:
            raise ScenarioError(Problem(known[1], dotted(keys), reading.place(known[0]))) from None
        reason = _END.sub("but the text ends here. Close what is open.", reason)
        reason = reason.replace("the node content", "a value")
    except yaml.reader.ReaderError as error:
        # The stub says bytes; for a text it is the number of the character.
        index, reason = error.position, f"it has the character #x{int(error.character):04x}. Remove it."
    except RecursionError:
        index, reason = 0, "it is nested hundreds of levels deep"
    raise ScenarioError(Problem(f"this is not YAML: {reason}", dotted(keys), reading.place(index)))


def dump_yaml(value: Mapping[str, object]) -> str:
    """Return a value as YAML that every reader of YAML understands alike."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
