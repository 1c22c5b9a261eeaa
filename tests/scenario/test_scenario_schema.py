"""The JSON schema for editors, and what importing costs."""

import re
import subprocess
import sys
from datetime import date
from types import ModuleType
from typing import Any

import pytest

import mlc.scenario
from mlc.scenario import load_scenario, scenario_schema
from mlc.scenario.parsing.yaml_lines import parse_yaml
from tests.scenario.test_scenario import CLASS_NAMES_THAT_LOAD, SECTIONS_THAT_LOAD
from tests.scenario.test_scenario_problems import REFUSED_CLASS_NAMES, REFUSED_SECTIONS, REFUSED_TABLES, TABLE
from tests.support.scenario_texts import FULL, SHORTEST, shared, shortest, written

SCHEMA = scenario_schema()
LOADING = [SHORTEST, FULL, *(shortest(text) for text, _ in CLASS_NAMES_THAT_LOAD)]
LOADING += [shortest(**{section: text}) for section, text, _ in SECTIONS_THAT_LOAD]
# What no schema can say: duplicates and aliases are gone before it looks, contradictions span several fields.
BEYOND = re.compile(
    r"merge keys|a key must|a tag|alias|already|twice|must lie|zone|none of class_names|all off"
    r"|without memory|cannot be read|is no table|joins this|for each key column|finite"
    r"|top: must be a whole number, not '"
)
REFUSED = [shortest(**{section: text}) for section, text, rule in REFUSED_SECTIONS if not BEYOND.search(rule)]
REFUSED += [shortest(text) for text, rule in REFUSED_CLASS_NAMES if not BEYOND.search(rule)]
REFUSED += [SHORTEST.replace(TABLE, table) for table, rule in REFUSED_TABLES if not BEYOND.search(rule)]
REFUSED += [
    "",
    "- a",
    "data: 5\n" + SHORTEST[SHORTEST.index("target") :],
    SHORTEST[: SHORTEST.index("target")],
]


def as_json(text: str) -> Any:
    """The text as an editor hands it to the schema: dates are texts."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(below) for key, below in value.items()}
        if isinstance(value, list):
            return [plain(below) for below in value]
        return value.isoformat() if isinstance(value, date) else value

    return plain(parse_yaml(text, "x.yaml", (), {})[0])


TYPES: dict[str, Any] = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
    "integer": lambda v: isinstance(v, int | float) and not isinstance(v, bool) and v == int(v),
    "number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
}
NUMERIC = {
    "minimum": lambda v, bound: v >= bound,
    "maximum": lambda v, bound: v <= bound,
    "exclusiveMinimum": lambda v, bound: v > bound,
    "exclusiveMaximum": lambda v, bound: v < bound,
}
SILENT = {"$schema", "description", "default", "definitions"}


def accepts(schema: dict[str, Any], value: Any) -> bool:
    """Draft 07, as much of it as our schema uses; a word that is not known here is an error of the test."""
    return all(holds(word, rule, schema, value) for word, rule in schema.items() if word not in SILENT)


def holds(word: str, rule: Any, schema: Any, value: Any) -> bool:
    number, mapping = TYPES["number"](value), value if isinstance(value, dict) else {}
    match word:
        case "$ref":
            return accepts(SCHEMA["definitions"][rule.removeprefix("#/definitions/")], value)
        case "type":
            return bool(TYPES[rule](value))
        case "const":
            return bool(value == rule)
        case "enum":
            return value in rule
        case "anyOf":
            return any(accepts(member, value) for member in rule)
        case "allOf":
            return all(accepts(member, value) for member in rule)
        case "not":
            return not accepts(rule, value)
        case "if":
            return accepts(schema["then" if accepts(rule, value) else "else"], value)
        case "then" | "else":
            return True  # decided where the if is
        case "required":
            return not isinstance(value, dict) or set(rule) <= set(value)
        case "properties":
            return all(accepts(below, value[name]) for name, below in rule.items() if name in mapping)
        case "additionalProperties":
            known = schema.get("properties", {})
            return all(
                rule is not False and accepts(rule, below)
                for name, below in mapping.items()
                if name not in known
            )
        case "propertyNames":
            return all(accepts(rule, name) for name in mapping)
        case "items":
            return not isinstance(value, list) or all(accepts(rule, item) for item in value)
        case "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties":
            kind: type[Any] = {"L": str, "I": list, "P": dict}[word[3]]
            size = len(value) if isinstance(value, kind) else rule
            return bool(size <= rule if word.startswith("max") else size >= rule)
        case "pattern":
            return not isinstance(value, str) or re.search(rule, value) is not None
        case _:
            return not number or NUMERIC[word](value, rule)


@pytest.mark.parametrize("text", LOADING)
def test_the_schema_accepts_whatever_loads(tmp_path, text):
    load_scenario(written(tmp_path, text))
    assert accepts(SCHEMA, as_json(text))


def test_the_schema_accepts_the_path_of_a_shared_data_file(tmp_path):
    assert accepts(SCHEMA, as_json(shared(tmp_path)))


@pytest.mark.parametrize("text", REFUSED)
def test_the_schema_refuses_what_a_single_field_has_wrong(text):
    assert not accepts(SCHEMA, as_json(text))


def test_the_reference_implementation_of_json_schema_agrees():
    validation: ModuleType = pytest.importorskip("jsonschema")
    validation.Draft7Validator.check_schema(SCHEMA)
    validator = validation.Draft7Validator(SCHEMA)
    assert [text for text in LOADING if not validator.is_valid(as_json(text))] == []
    assert [text for text in REFUSED if validator.is_valid(as_json(text))] == []


def test_the_schema_is_draft_07_and_describes_every_field():
    assert SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert SCHEMA["required"] == ["data", "target"]
    assert not re.search(r"\$defs|prefixItems|'title'|oneOf", str(SCHEMA))
    for name, definition in SCHEMA["definitions"].items():
        assert definition["description"]
        for field, schema in definition["properties"].items():
            assert field == "kind" or schema.get("description"), f"{name}.{field} lacks a docstring"
            assert "\n" not in schema.get("description", "")


# ── the front door ──────────────────────────────────────────────────────────────────────────────


def test_reading_a_scenario_needs_neither_torch_nor_polars():
    code = "import sys, mlc.scenario; print({'torch', 'polars', 'numpy'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"


def test_the_public_names_are_those_that_are_exported():
    visible = {
        name
        for name, value in vars(mlc.scenario).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert visible == set(mlc.scenario.__all__)
