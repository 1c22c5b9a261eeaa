"""Whatever stands in a field, a command works or says what to mend: exit 0 or 2, never 3."""

import json
import os
import random
import re
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from mlc.scenario import scenario_schema
from tests.support.every_field import Spot, spots, write_tables, written

SECONDS = float(os.environ.get("MLC_FIELDS_SECONDS", "6"))
"""How long each of the tests below draws field values; `MLC_FIELDS_SECONDS=3600` tries all of them."""
SEED = int(os.environ.get("MLC_FIELDS_SEED", "7"))


def drawn(chosen: list[Spot], seed: int) -> list[tuple[Spot, Any]]:
    """All (field, value) pairs in random order, a first value of every field before a second of any."""
    rng = random.Random(seed)
    rounds: list[tuple[int, float, Spot, Any]] = []
    for spot in chosen:
        values = rng.sample(spot.values, len(spot.values))
        rounds += [(index, rng.random(), spot, value) for index, value in enumerate(values)]
    return [
        (spot, value)
        for _, _, spot, value in sorted(rounds, key=lambda one: one[:2])
        if not (spot.name == "train.devices" and value == 2)  # would start this test a second time
    ]


def left_behind(folder: Path) -> list[str]:
    """What is there besides the tables, the scenario, and the store of their events."""
    kept = {"sales.csv", "items.csv", "customers.csv", "tiny.yaml", "runs"}
    paths = [path for path in folder.iterdir() if path.name not in kept]
    runs = folder / "runs"
    paths += [path for path in runs.iterdir() if path.name != "store"] if runs.exists() else []
    return sorted(str(path.relative_to(folder)) for path in paths)


@pytest.fixture
def run(mlc, tmp_path):
    """Runs a command on a scenario with one field changed, and checks what it leaves."""
    write_tables(tmp_path)

    def command(verb: str, spot: Spot, value: Any) -> int:
        path = written(tmp_path, spot.scenario(value))
        result = mlc(verb, path)
        what = f"{verb} with {spot.name} = {value!r:.60}: {result.err[-600:]}"
        assert result.code in (0, 2), what
        assert "Traceback" not in result.err, what
        if result.code == 2:
            assert result.err.strip(), what
            assert left_behind(tmp_path) == [], what
        shutil.rmtree(tmp_path / "runs" / "tiny", ignore_errors=True)
        shutil.rmtree(tmp_path / "runs" / "tiny-foundation", ignore_errors=True)
        return result.code

    return command


def test_every_field_is_found_by_walking_the_models():
    """The names of the fields, as the JSON schema has them."""
    fields = {str(spot.keys[-1]) for spot in spots()} | {"kind", "options"}
    below = {str(key) for spot in spots() for key in spot.keys}
    schema = scenario_schema()
    for definition in reachable(schema, "EventScenario") - {"RowsTable", "LabelsTable"}:
        assert set(schema["definitions"][definition]["properties"]) <= fields | below


def reachable(schema: dict[str, Any], name: str) -> set[str]:
    """The definitions that one of them leads to, and itself."""
    names: set[str] = set()
    open_names = {name}
    while open_names:
        names |= open_names
        text = json.dumps([schema["definitions"][one] for one in open_names])
        open_names = set(re.findall(r"#/definitions/(\w+)", text)) - names
    return names


def numbers(schema: Any, name: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Every number of a JSON schema with the name of its field."""
    found = []
    if isinstance(schema, dict):
        if schema.get("type") in ("integer", "number"):
            found.append((name, schema))
        for key, below in schema.items():
            found += numbers(below, name if key in ("anyOf", "items", "additionalProperties") else key)
    elif isinstance(schema, list):
        found = [one for below in schema for one in numbers(below, name)]
    return found


def test_every_number_of_the_schema_has_a_lower_and_an_upper_bound():
    free = {"options", "metrics"}  # of a metric of torchmetrics, which has rules of its own
    without = [
        name
        for name, schema in numbers(scenario_schema())
        if name not in free
        and not (
            {"minimum", "exclusiveMinimum"} & set(schema) and {"maximum", "exclusiveMaximum"} & set(schema)
        )
    ]
    assert without == []


def test_any_value_of_any_field_is_checked_with_exit_0_or_2(run):
    begun = time.monotonic()
    for spot, value in drawn(list(spots()), SEED):
        run("check", spot, value)
        if time.monotonic() - begun > SECONDS:
            break


def test_any_value_that_the_check_accepts_trains_or_is_refused_with_nothing_left(run):
    begun = time.monotonic()
    for spot, value in drawn(list(spots()), SEED + 1):
        if spot.keys[0] == "pretrain":
            run("pretrain", spot, value)
        elif run("check", spot, value) == 0:
            run("train", spot, value)
        if time.monotonic() - begun > SECONDS:
            break
