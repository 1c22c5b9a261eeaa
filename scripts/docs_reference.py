"""Write the pages of the documentation that are made from the code.

    python -m scripts.docs_reference --write    write the pages
    python -m scripts.docs_reference --check    exit with 1 when a page is stale

Scenario fields come from the models, commands from the command line, report fields from the schema of
report.json, the Python API from its docstrings, and the page on notebooks from the notebook.
"""

import inspect
import json
import sys
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

import mlc.cli  # noqa: F401  importing it registers the commands
from mlc.cli.arguments import app
from mlc.cli.help import in_order
from mlc.report import report_schema
from mlc.scenario import scenario_schema
from scripts.docs_pages import write_or_check
from scripts.docs_python import notebook_lines, python_lines, wrapped

Json = dict[str, Any]
Members = Mapping[str, str]

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference"
NOTEBOOK = FOLDER.parent / "howto" / "notebooks.ipynb"
SCHEMA = scenario_schema()
SHORT_FORMS = {"TopClasses": "`{top: …}`", "FrequentClasses": "`{top: …}`"}
NOTICE = "<!-- Made by scripts/docs_reference.py: edit the docstrings, or the notebook, instead. -->"

# Page → title and sections. Section → models whose fields it lists → their kind, if they have one.
SCENARIO_PAGES: dict[str, tuple[str, dict[str, Members]]] = {
    "scenario": ("Scenario file", {"The file": {"EventScenario": ""}}),
    "data": (
        "Scenario: data",
        {
            "`data`": {"EventTables": ""},
            "`data.tables.*`": {
                "EventsTable": "events",
                "DimensionTable": "dimension",
                "EntitiesTable": "entities",
                "RowsTable": "rows",
                "LabelsTable": "labels",
            },
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
                "Image": "image",
                "Ignore": "ignore",
            },
        },
    ),
    "target": (
        "Scenario: target and examples",
        {
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
        },
    ),
    "model": (
        "Scenario: model and training",
        {
            "`model`": {"ModelSection": ""},
            "`model.tune`": {"FoundationRate": ""},
            "`train`": {"TrainSection": ""},
            "`train.loss`": {"Bce": "bce", "Focal": "focal", "Asymmetric": "asymmetric"},
            "`pretrain`": {"PretrainSection": ""},
        },
    ),
    "rows": (
        "Scenario: rows",
        {
            "`target`": {"RowTarget": ""},
            "`target.class_names: {top: …}`": {"FrequentClasses": ""},
            "`target.class_names.*`": {"LabelValues": ""},
            "`target.columns: {prefix: …}`": {"ColumnPrefix": ""},
            "`examples`": {"RowExamples": ""},
            "`examples.split`": {"SplitSection": ""},
            "`examples.split.files`": {"SplitFiles": ""},
            "`model`": {"RowModel": ""},
            "`model.text`": {"TextSection": ""},
            "`model.image`": {"ImageSection": ""},
        },
    ),
    "decisions": (
        "Scenario: thresholds, gates and metrics",
        {
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
            "`contact`": {"ContactSection": ""},
            "`gates`": {"GatesSection": ""},
            "`metrics.*`": {"MetricSection": ""},
        },
    ),
}  # fmt: skip

LEADS = {
    "scenario": "A scenario is one YAML file. Only `data` and `target` are required. "
    "`mlc schema > schema.json` writes the JSON schema that editors use for completion and checks.",
    "data": "The tables of a scenario, and how their columns are read. "
    "[Use your own tables](../howto/own-tables.md) shows them at work.",
    "target": "What is predicted, for whom and when. "
    "[Define labels](../howto/labels.md) has an example of each.",
    "model": "What the model looks at, and how it is trained. "
    "[The model](../explanation/model.md) explains the choices.",
    "rows": "What differs where `target.table` is of kind `rows`: texts, tables or pictures instead of "
    "events. Tables, training, thresholds and gates are as in every scenario.",
    "decisions": "From scores to decisions, and what a run must reach. "
    "[Choose thresholds by goal](../howto/thresholds.md) shows them at work.",
    "commands": "Every command prints its options with `--help`. Results go to standard output, progress and "
    "errors to standard error. [Exit codes](exit-codes.md) are the same for all.",
    "python": "`import mlc` offers what the commands do, with frames of Polars or pandas in and out. It "
    "loads the rest of the package when a function is first used.",
    "notebooks": "This page shows the cells of a [notebook](notebooks.ipynb) that you can open and run. "
    "All functions are in the [Python API](../reference/python.md).",
    "report": "Each run has a `report.json`. `mlc schema --report` prints its JSON schema; this page lists "
    "its fields. A number that is undefined is null.",
}


# ── words for a schema ──────────────────────────────────────────────────────────────────────────


def definition(name: str) -> Json:
    """Return the schema of one model."""
    schema: Json = SCHEMA["definitions"][name]
    return schema


def in_words(schema: Json) -> str:
    """Return the type of a field in plain words.

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
    if isinstance(schema["type"], list):
        return in_words(schema | {"type": schema["type"][0]})
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
            inner = schema.get("additionalProperties")
            return f"mapping to {in_words(inner)}" if isinstance(inner, dict) else "section"
        case _:
            return "date" if "[0-9]{4}-" in schema.get("pattern", "") else "text"


def _alternatives(schema: Json) -> list[str]:
    """Return the types that a field may have, each once; the default shows whether null is one."""
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


def _repeats(mapping: Json, words: Sequence[str]) -> bool:
    """Return whether the values of a mapping have the types named before it."""
    inner = mapping.get("additionalProperties")
    return isinstance(inner, dict) and "anyOf" in inner and set(_alternatives(inner)) <= set(words)


def _or(words: Sequence[str]) -> str:
    return " or ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)


def _bounds(schema: Json) -> str:
    """Return ` ≥ 1`, ` in [0, 1)`, or nothing."""
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    lower, upper = (low if low is not None else above), (high if high is not None else below)
    if lower is None:
        return ""
    if upper is None or upper > 1_000:  # a century of days, the seeds of NumPy: nobody asks
        return f" {'≥' if low is not None else '>'} {lower:g}"
    return f" in {'[' if low is not None else '('}{lower:g}, {upper:g}{']' if high is not None else ')'}"


def default_in_words(field: Json, required: bool) -> str:
    """Return the default as one would write it, or nothing where the description states it."""
    if required:
        return "required"
    match field.get("default"):
        case None | {} | []:
            return ""
        case {"kind": kind}:
            return f"default `{kind}`"
        case dict():
            return ""
        case bool() as value:
            return f"default `{str(value).lower()}`"
        case list() as value:
            return "default " + ", ".join(f"`{json.dumps(item)}`" for item in value)
        case float() as value:
            return f"default `{value:g}`"
        case value:
            return f"default `{value}`"


# ── pages ───────────────────────────────────────────────────────────────────────────────────────


def pages() -> dict[str, str]:
    """Return file name → text of every page."""
    texts = {name: _page(name, title, _sections(parts)) for name, (title, parts) in SCENARIO_PAGES.items()}
    texts["commands"] = _page("commands", "Commands", _commands())
    texts["python"] = _page("python", "Python API", python_lines())
    texts["report"] = _page("report", "report.json", _report_fields())
    texts["../howto/notebooks"] = _page("notebooks", "Work in a notebook", notebook_lines(NOTEBOOK))
    return {f"{name}.md": text for name, text in texts.items()}


def _page(name: str, title: str, lines: Iterator[str]) -> str:
    head = [f"# {title}", "", NOTICE, "", wrapped(LEADS[name]), ""]
    return "\n".join([*head, *lines]).rstrip() + "\n"


def _entry(head: str, text: str) -> str:
    """Return a list item with its explanation, wrapped."""
    return wrapped(f"- {head}" + (f": {text}" if text else ""), indent="  ")


def _sections(parts: dict[str, Members]) -> Iterator[str]:
    """Yield the sections of a scenario page: the kinds, then the fields."""
    for title, members in parts.items():
        yield from (f"## {title}", "")
        for name, kind in members.items():
            description = definition(name)["description"]
            yield _entry(f"`kind: {kind}`", description) if kind else wrapped(description)
        yield ""
        fields = list(_fields(members))
        yield from fields
        if fields:
            yield ""


def _fields(members: Members) -> Iterator[str]:
    """Yield an entry for each field of a family; a field that several kinds share comes once."""
    fields: dict[tuple[str, str, str], list[str]] = {}
    for name, kind in members.items():
        model = definition(name)
        for field, schema in model["properties"].items():
            if field == "kind":
                continue
            default = default_in_words(schema, field in model.get("required", []))
            facts = ", ".join(part for part in (in_words(schema), default) if part)
            fields.setdefault((field, facts, schema.get("description", "")), []).append(kind)
    for (field, facts, description), kinds in fields.items():
        owner = "" if len(kinds) == len(members) else f"{', '.join(kinds)}: "
        yield _entry(f"**`{field}`** ({owner}{facts})", description)


def _commands() -> Iterator[str]:
    """Yield a section for each command, in the order of `mlc --help`."""
    for command in in_order(app.registered_commands):
        callback = command.callback
        assert callback is not None
        name = command.name or callback.__name__.replace("_", "-")
        summary = " ".join((inspect.getdoc(callback) or "").split())
        parameters = list(_parameters(callback))
        arguments = [f"{head.strip('`')}" for head, _ in parameters if not head.startswith("`-")]
        yield from (f"## mlc {name}", "", wrapped(summary), "")
        yield from ("```text", f"mlc {' '.join([name, *arguments])} [OPTIONS]", "```", "")
        yield from (_entry(head, text) for head, text in parameters)
        yield from ("", f"{(command.epilog or '').replace('mlc', '`mlc', 1)}`", "")


def _parameters(callback: Any) -> Iterator[tuple[str, str]]:
    """Yield each argument and option of a command with its help."""
    hints = typing.get_type_hints(callback, include_extras=True)
    for name, parameter in inspect.signature(callback).parameters.items():
        given = next(
            (
                one
                for one in getattr(hints[name], "__metadata__", ())
                if isinstance(one, typer.models.ParameterInfo)
            ),
            None,
        )
        if given is None or getattr(given, "hidden", False):
            continue
        if isinstance(given, typer.models.ArgumentInfo):
            yield f"`{given.metavar or name.upper()}`", given.help or ""
        else:
            yield _option(name, given, hints[name].__origin__, parameter.default)


def _option(name: str, given: Any, hint: Any, default: Any) -> tuple[str, str]:
    """Return an option as one would type it, and its help with the default."""
    # Within Annotated, Typer keeps the first name of an option where its default would be.
    words = [word for word in (given.default, *(given.param_decls or ())) if str(word).startswith("-")]
    words = words or ["--" + name.replace("_", "-")]
    value = "" if hint is bool else f" {given.metavar or _metavar(hint)}"
    default_text = f" Default: `{default}`." if default not in (None, False) and default is not ... else ""
    return ", ".join(f"`{word}{value}`" for word in words), (given.help or "") + default_text


def _metavar(hint: Any) -> str:
    choices = [one for part in (hint, *typing.get_args(hint)) for one in typing.get_args(part)]
    if typing.get_origin(hint) is typing.Literal:
        return "|".join(map(str, typing.get_args(hint)))
    names = {int: "N", float: "NUMBER", Path: "PATH", str: "TEXT"}
    candidates = [hint, *typing.get_args(hint), *choices]
    return next((names[one] for one in candidates if isinstance(one, type) and one in names), "VALUE")


def _report_fields() -> Iterator[str]:
    """Yield the fields of report.json; an object that comes again is listed once."""
    paths: dict[tuple[str, ...], str] = {}
    yield from ("## Fields", "")
    yield from _below("", report_schema(), paths)


def _below(path: str, schema: Json, paths: dict[tuple[str, ...], str]) -> Iterator[str]:
    for member in schema.get("anyOf", ()):
        yield from _below(path, member, paths)
    if "properties" in schema:
        fields = tuple(schema["properties"])
        if fields in paths:
            yield _entry(
                f"`{path}`", f"{schema.get('description', '')} Same fields as `{paths[fields]}`.".strip()
            )
            return
        paths[fields] = path
        for name, below in schema["properties"].items():
            inner = f"{path}.{name}" if path else name
            if not _nested(below):
                yield _entry(f"`{inner}` ({in_words(below)})", below.get("description", ""))
            yield from _below(inner, below, paths)
    for key, suffix in (("items", "[]"), ("additionalProperties", ".*")):
        if isinstance(schema.get(key), dict):
            yield from _below(path + suffix, schema[key], paths)


def _nested(schema: Json) -> bool:
    """Return whether a field holds an object with named fields."""
    inside = [*schema.get("anyOf", ()), schema.get("items"), schema.get("additionalProperties")]
    return "properties" in schema or any(_nested(one) for one in inside if isinstance(one, dict))


def main() -> int:
    """Write or check the pages; return the exit code."""
    named = {FOLDER / name: text for name, text in pages().items()}
    return write_or_check(__doc__, "python -m scripts.docs_reference", named)


if __name__ == "__main__":
    sys.exit(main())
