"""Markdown tables of all scenario fields, made from the models: print them, write or check README.md.

python scripts/readme_reference.py            print
python scripts/readme_reference.py --write    replace the part of README.md between the two marks
python scripts/readme_reference.py --check    exit with 1 when README.md differs
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mlc.scenario import scenario_schema

BEGIN, END = "<!-- reference:begin -->", "<!-- reference:end -->"
README = Path(__file__).resolve().parent.parent / "README.md"
SCHEMA = scenario_schema()
SHORT_FORMS = {"TopClasses": "`{top: …}`"}

# Title → models whose fields are listed → their kind, if they have one. None is the scenario itself.
TABLES: dict[str, dict[str | None, str]] = {
    "The file": {None: ""},
    "`data`": {"Tables": ""},
    "`data.tables.*`": {"EventsTable": "events", "DimensionTable": "dimension", "EntitiesTable": "entities"},
    "`data.tables.*.format`": {
        "Parquet": "parquet",
        "Csv": "csv",
        "Arrow": "arrow",
        "Ndjson": "ndjson",
        "Delta": "delta",
        "Iceberg": "iceberg",
        "Sql": "sql",
    },
    "`data.tables.*.types.*`": {
        "TextType": "text",
        "IntegerType": "integer",
        "NumberType": "number",
        "BooleanType": "boolean",
        "DateType": "date",
        "DatetimeType": "datetime",
    },
    "`data.tables.*.encoders.*`": {
        "Number": "number",
        "Category": "category",
        "FreeText": "text",
        "Ignore": "ignore",
    },
    "`target`": {"TargetSection": ""},
    "`target.class_names: {top: …}`": {"TopClasses": ""},
    "`target.class_names.*`": {"LabelSpec": ""},
    "`target.rule`": {
        "Exists": "exists",
        "CountAtLeast": "count_at_least",
        "SumAtLeast": "sum_at_least",
        "New": "new",
        "Lapsed": "lapsed",
    },
    "`examples`": {"ExamplesSection": ""},
    "`examples.at`": {"EachEvent": "each_event", "RandomDays": "random"},
    "`model`": {"ModelSection": ""},
    "`model.tune`": {"TrunkRate": ""},
    "`train`": {"TrainSection": ""},
    "`train.loss`": {"Bce": "bce", "Focal": "focal", "Asymmetric": "asymmetric"},
    "`pretrain`": {"PretrainSection": ""},
    "`metrics.*`": {"MetricSection": ""},
    "`gates`": {"GatesSection": ""},
    "`contact`": {"ContactSection": ""},
    "`thresholds`": {"Thresholds": ""},
    "`thresholds.default`, `thresholds.per_label.*`": {
        "Auto": "auto",
        "MaxF1": "max_f1",
        "MaxFBeta": "max_fbeta",
        "Never": "never",
        "PrecisionAtLeast": "precision_at_least",
        "RecallAtLeast": "recall_at_least",
        "TopN": "top_n",
        "TopK": "top_k",
        "Cost": "cost",
        "Fixed": "fixed",
    },
}


def definition(name: str | None) -> dict[str, Any]:
    """The schema of one model."""
    found: dict[str, Any] = SCHEMA if name is None else SCHEMA["definitions"][name]
    return found


def in_words(schema: dict[str, Any]) -> str:
    """The type of a field in plain words.

    Examples:
        >>> in_words({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]})
        'whole number ≥ 1'
    """
    if "allOf" in schema:
        return in_words(schema["allOf"][0])
    if "anyOf" in schema:
        return _or(_alternatives(schema))
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        kind = definition(name)["properties"].get("kind", {}).get("const")
        return f"`{kind}`" if kind else SHORT_FORMS.get(name, "section")
    if "const" in schema or "enum" in schema:
        return _or([f"`{value}`" for value in schema.get("enum", [schema.get("const")])])
    match schema["type"]:
        case "integer" | "number":
            return ("whole number" if schema["type"] == "integer" else "number") + _bounds(schema)
        case "boolean":
            return "`true` or `false`"
        case "array":
            one = in_words(schema["items"])
            if "number" in one:
                return f"list of {one.replace('number', 'numbers')}"
            return f"list of {one if one.endswith('`') else one + 's'}"
        case "object":
            return f"mapping to {in_words(schema['additionalProperties'])}"
        case _:
            return "date" if "[0-9]{4}-" in schema.get("pattern", "") else "text"


def _alternatives(schema: dict[str, Any]) -> list[str]:
    """The types that a field may have, each once; null is told by the default."""
    words: list[str] = []
    for member in schema["anyOf"]:
        if "anyOf" in member:
            words += _alternatives(member)
        elif "enum" in member:
            words += [f"`{value}`" for value in member["enum"]]
        elif member.get("type") == "object" and _repeats(member, words):
            words.append("a mapping to such")
        elif member.get("type") == "array" and len(words) > 1 and in_words(member["items"]) == _or(words):
            words.append("a list of such")
        elif member.get("type") != "null":
            words.append(in_words(member))
    return list(dict.fromkeys(words))


def _repeats(mapping: dict[str, Any], words: Sequence[str]) -> bool:
    """Whether the values of a mapping are of the types named before it."""
    inner = mapping["additionalProperties"]
    return "anyOf" in inner and set(_alternatives(inner)) <= set(words)


def _or(words: Sequence[str]) -> str:
    return " or ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)


def _bounds(schema: dict[str, Any]) -> str:
    """` ≥ 1`, ` in [0, 1)`, or nothing."""
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    lower, upper = (low if low is not None else above), (high if high is not None else below)
    if lower is None:
        return ""
    if upper is None or upper > 1_000:  # a century of days, the seeds of NumPy: nobody asks
        return f" {'≥' if low is not None else '>'} {lower:g}"
    return f" in {'[' if low is not None else '('}{lower:g}, {upper:g}{']' if high is not None else ')'}"


def default_in_words(field: dict[str, Any], required: bool) -> str:
    """The default as one would write it."""
    if required:
        return "required"
    match field.get("default"):
        case None:
            return ""
        case {"kind": kind}:
            return f"`{kind}`"
        case dict() | []:
            return ""
        case bool() as value:
            return f"`{str(value).lower()}`"
        case list() as value:
            return ", ".join(f"`{json.dumps(item)}`" for item in value)
        case float() as value:
            return f"`{value:g}`"
        case value:
            return f"`{value}`"


def rows(members: dict[str | None, str]) -> Iterator[tuple[str, str, str, str]]:
    """Field, type, default and meaning of the fields of a family; what all have alike stands once."""
    fields: dict[tuple[str, str, str, str], list[str]] = {}
    for name, kind in members.items():
        model = definition(name)
        for field, schema in model["properties"].items():
            if field == "kind":
                continue
            default = default_in_words(schema, field in model["required"] if "required" in model else False)
            row = (f"`{field}`", in_words(schema), default, schema.get("description", ""))
            fields.setdefault(row, []).append(kind)
    for row, kinds in fields.items():
        owner = "" if len(kinds) == len(members) else f" ({', '.join(kinds)})"
        yield row[0] + owner, *row[1:]


def reference() -> str:
    """All tables."""
    parts = []
    for title, members in TABLES.items():
        part = [f"#### {title}", ""]
        if None not in members:
            part += [
                f"- `kind: {kind}`: {definition(name)['description']}"
                if kind
                else definition(name)["description"]
                for name, kind in members.items()
            ] + [""]
        lines = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows(members)]
        if lines:
            part += ["| field | type | default | meaning |", "|---|---|---|---|"]
            part += [f"| {line} |" for line in lines] + [""]
        parts.append("\n".join(part))
    return "\n".join(parts)


def replaced(text: str) -> str:
    """The README with the reference of today.

    Raises:
        ValueError: The README lacks the two marks.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md must have a line {BEGIN} and a line {END} after it, however: it has not")
    return f"{before}{BEGIN}\n\n{reference()}\n{END}{after}"


def main() -> int:
    """Print, write or check; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--write", action="store_true", help="replace the reference in README.md")
    choice.add_argument("--check", action="store_true", help="exit with 1 when README.md differs")
    arguments = parser.parse_args()
    if not arguments.write and not arguments.check:
        print(reference())
        return 0
    try:
        text = README.read_text(encoding="utf-8")
        new = replaced(text)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    if arguments.write:
        README.write_text(new, encoding="utf-8")
    elif text != new:
        print(
            "README.md differs from the models: python scripts/readme_reference.py --write", file=sys.stderr
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
