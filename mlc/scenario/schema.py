"""The JSON schema of a scenario file, for editors that complete and check YAML.

Draft 07, since that is what the YAML language server understands.
"""

from typing import Any

from mlc.scenario.events.scenario import EventScenario
from mlc.scenario.rows.scenario import RowScenario
from mlc.scenario.scenario import Scenario

_SCHEMA_MAPS = ("properties", "definitions")
_SCHEMA_LISTS = ("anyOf", "allOf")
_SCHEMAS = ("items", "additionalProperties", "propertyNames", "not")


def scenario_schema() -> dict[str, Any]:
    """Return the JSON schema of a scenario file, short forms included.

    So is the path under `data`.

    Returns:
        A schema that accepts every file that `load_scenario` accepts. Contradictions between fields are
        beyond it, and so are duplicate keys.

    Examples:
        >>> scenario_schema()["required"]
        ['data', 'target']
    """
    definitions: dict[str, Any] = {}
    for kind in (EventScenario, RowScenario):
        schema = _schema_of(kind)
        definitions |= schema.pop("definitions") | {kind.__name__: schema}
    on_events, on_rows = ({"$ref": f"#/definitions/{kind.__name__}"} for kind in (EventScenario, RowScenario))
    of_rows = {"properties": {"kind": {"const": "rows"}}, "required": ["kind"]}
    mapping = {"properties": {"data": {"type": "object"}}}
    without_rows = {"properties": {"tables": {"additionalProperties": {"not": of_rows}}}}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "required": ["data", "target"],
        "if": mapping,
        "then": {
            "if": {"properties": {"data": without_rows}},
            "then": on_events,
            "else": on_rows,
        },
        "else": {"anyOf": [on_events, on_rows]},  # the tables are in another file
        "definitions": definitions,
    }


def _schema_of(kind: type[Scenario]) -> dict[str, Any]:
    schema = kind.model_json_schema(ref_template="#/definitions/{model}")
    schema["definitions"] = schema.pop("$defs")
    for definition in schema["definitions"].values():
        if "kind" in definition["properties"]:
            # A default of `kind` serves Python; in a file the kind is what tells the members apart.
            definition["required"] = [
                "kind",
                *(name for name in definition.get("required", []) if name != "kind"),
            ]
    schema["required"].remove("name")
    tables = schema["properties"]["data"]
    schema["properties"]["data"] = {
        "description": tables["description"],
        "anyOf": [{"$ref": tables["$ref"]}, {"type": "string", "minLength": 1}],
    }
    return _draft_07(schema)


def _draft_07(schema: dict[str, Any]) -> dict[str, Any]:
    """One schema and all below it, in the words of draft 07."""
    result: dict[str, Any] = {}
    for word, value in schema.items():
        match word:
            case "title" | "discriminator":
                continue  # noise that the name of the field repeats; a word of OpenAPI
            case "oneOf":
                # Of a whole number both `integer` and `number` are true, and `oneOf` wants exactly one.
                result["anyOf"] = [_draft_07(member) for member in value]
            case "description":
                result[word] = " ".join(value.split())
            case _ if word in _SCHEMA_MAPS:
                result[word] = {name: _draft_07(below) for name, below in value.items()}
            case _ if word in _SCHEMA_LISTS:
                result[word] = [_draft_07(member) for member in value]
            case _ if word in _SCHEMAS and isinstance(value, dict):
                result[word] = _draft_07(value)
            case _:
                result[word] = value
    if "$ref" in result and len(result) > 1:
        result["allOf"] = [{"$ref": result.pop("$ref")}]  # draft 07 ignores whatever stands beside a $ref
    return result
