"""The JSON schema of `report.json`: what stands there, and what each score means.

The scores are described by the dataclasses that compute them, so that schema and report cannot part.
"""

import re
import types
import typing
from collections.abc import Collection, Mapping
from dataclasses import fields
from textwrap import dedent
from typing import Any

from mlc.evaluation.metrics import (
    DecisionScore,
    Difference,
    ExampleScore,
    LabelScore,
    Outcome,
    OverallDecision,
    OverallScore,
)
from mlc.evaluation.thresholds import Estimate
from mlc.report.assembling import SCHEMA
from mlc.tables import SPLITS

Json = dict[str, Any]

_TEXT: Json = {"type": "string"}
_COUNT: Json = {"type": "integer", "minimum": 0}
_NUMBER: Json = {"type": ["number", "null"]}
_MOMENT: Json = {"type": ["string", "null"], "description": "ISO 8601, without a zone."}


def report_schema() -> Json:
    """JSON schema (2020-12) of `report.json`, of the version that its field `schema` names.

    Examples:
        >>> report_schema()["properties"]["schema"]
        {'const': 'mlc/report/2'}
    """
    comparison = {"outcome": {"enum": list(typing.get_args(Outcome))}, "baseline": _TEXT}
    means = _properties(OverallScore)
    difference = _described(Difference)
    differences = _object({"ap": difference, "auroc": difference, "log_loss": _or_null(difference)})
    rival_label = _object({"name": _TEXT, "auroc": _NUMBER, "ap": _NUMBER})
    rival = _by_split(
        _object({**means, "labels": _list(rival_label), "difference": differences}, optional={"difference"})
    )
    macro = {"ap": _NUMBER, "auroc": _NUMBER, "log_loss": _NUMBER, "labels_defined": _COUNT, "labels": _COUNT}
    gate = {"gate": _TEXT, "passed": {"type": "boolean"}, "value": _NUMBER, "found": _TEXT}
    part = {"examples": _COUNT, "positives": _COUNT, "macro": _object(macro)}
    properties: Json = {
        "schema": {"const": SCHEMA},
        "scenario": _TEXT,
        "verdict": _TEXT,
        "comparison": _object(
            {
                score: _or_null(
                    _object({**comparison, "model": _NUMBER, "rival": _NUMBER, **_properties(Difference)})
                )
                for score in ("ap", "auroc", "log_loss")
            }
        ),
        "judged": _object(
            {
                "rule": _TEXT,
                "labels": _list(_TEXT),
                "left_out": _list(_object({"name": _TEXT, "why": _TEXT})),
            }
        ),
        "trust": _object(
            {"rule": _TEXT, **{kind: _list(_TEXT) for kind in ("trusted", "weak", "not_evaluable")}}
        ),
        "splits": _by_split(_split(means)),
        "baselines": {"type": "object", "additionalProperties": rival},
        "baseline_notes": _list(_TEXT),
        "missing_baselines": _list(_TEXT),
        "oracle": rival,
        "backtest": _list(_object({"first": _MOMENT, "last": _MOMENT, **part})),
        "slices": _list(_object({"by": _TEXT, "parts": _list(_object({"value": _TEXT, **part}))})),
        "funnel": _list(_object({"reason": _TEXT, "removed": _COUNT, "kept": _COUNT})),
        "warnings": _list(_TEXT),
        "gates": _list(_object(gate)),
    }
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": SCHEMA}
    return {**head, **_object(properties, optional={"oracle", "gates"})}


def _split(means: Json) -> Json:
    calibration = {
        "calibration": {"enum": ["none", "bias", "platt", "isotonic"]},
        "log_loss_before": _NUMBER,
        "calibration_error_before": _NUMBER,
    }
    chosen = {
        "threshold": {
            "type": ["number", "null"],
            "minimum": 0,
            "maximum": 1,
            "description": "Null: no decisions for this label.",
        },
        "threshold_policy": _TEXT,
        "threshold_reachable": {
            "type": "boolean",
            "description": "False: validation does not reach the goal of the policy.",
        },
        "threshold_note": {"type": ["string", "null"]},
        "threshold_estimate": _or_null(_described(Estimate)),
    }
    label = {**_properties(LabelScore), **chosen, **_properties(DecisionScore), **calibration}
    metric = {
        "name": _TEXT,
        "options": {"type": "object"},
        "value": {"type": ["number", "null", "array"], "items": _NUMBER},
        "labels": _COUNT,
        "undefined": {"type": ["string", "null"]},
    }
    return _object(
        {
            "examples": _COUNT,
            "entities": _COUNT,
            "cutoffs": _object({"number": _COUNT, "first": _MOMENT, "last": _MOMENT}),
            **means,
            "decisions": _described(OverallDecision),
            "per_example": _described(ExampleScore),
            "labels": _list(_object(label, optional=calibration)),
            "metrics": _list(_object(metric)),
        },
        optional={"metrics"},
    )


def _by_split(one: Json) -> Json:
    return _object(dict.fromkeys(SPLITS, one))


def _list(one: Json) -> Json:
    return {"type": "array", "items": one}


def _or_null(one: Json) -> Json:
    return {"anyOf": [one, {"type": "null"}]}


def _object(properties: Json, optional: Collection[str] = ()) -> Json:
    required = [name for name in properties if name not in optional]
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


# ── dataclasses ─────────────────────────────────────────────────────────────────────────────────


def _described(score: type) -> Json:
    return _object(_properties(score))


def _properties(score: type) -> Json:
    """Its fields, with the sentences of its docstring."""
    hints, sentences = typing.get_type_hints(score), _sentences(score)
    return {
        field.name: _of_type(hints[field.name])
        | ({"description": sentences[field.name]} if field.name in sentences else {})
        for field in fields(score)
    }


def _of_type(hint: Any) -> Json:
    simple: Mapping[Any, Json] = {str: _TEXT, int: _COUNT, float: {"type": "number"}}
    if hint in simple:
        return simple[hint]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        (inner,) = (one for one in arguments if one is not type(None))
        return _or_null(_of_type(inner))
    if origin is dict:
        return {"type": "object", "additionalProperties": _of_type(arguments[1])}
    if origin is tuple:
        return {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
    return _described(hint)


def _sentences(score: type) -> dict[str, str]:
    """Field → what the docstring says of it under `Attributes:`."""
    text = dedent((score.__doc__ or "").partition("Attributes:\n")[2]).strip()
    found = re.findall(r"^(\w+): (.*(?:\n +.*)*)", dedent("    " + text) if text else "", re.MULTILINE)
    return {name: " ".join(sentence.split()) for name, sentence in found}
