"""The scenario reader: what loads, what is refused and how it is said, and the schema for editors."""

import importlib
import json
import os
import re
import subprocess
import sys
import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mlc.scenario
from mlc.errors import ScenarioError
from mlc.scenario import (
    Category,
    CountAtLeast,
    Csv,
    Exists,
    Fixed,
    Focal,
    Ignore,
    MaxF1,
    TopClasses,
    load_scenario,
    scenario_schema,
    scenario_yaml,
)
from mlc.scenario.yaml_lines import parse_yaml

SHORTEST = """\
data:
  entity: customer
  tables:
    sales: {kind: events, path: sales.parquet, time: day}
target:
  table: sales
  column: product
  class_names: [Dress, Skirt]
  window_days: 21
"""
FULL = """\
name: departments
data:
  entity: customer
  tables:
    sales:
      kind: events
      path: data/sales.csv
      time: day
      format: csv
      joins: {articles: article}
      encoders: {price: number, note: ignore}
    articles: {kind: dimension, path: data/articles.parquet, key: article}
    customers: {kind: entities, path: data/customers.parquet, key: customer}
target:
  table: sales
  column: articles.department
  class_names: {Dress: [Dress, Gown], Skirt: Skirt}
  window_days: 21
  rule: {kind: count_at_least, times: 2}
examples: {validation_from: 2020-08-11, test_from: 2020-09-01, holdout_entities: 0.1}
model: {preset: nano, memory: true}
train: {epochs: 1, learning_rate: 1e-3, limit_train_batches: 0.5, loss: focal}
thresholds: {default: 0.5, per_label: {Dress: max_f1}}
"""


def written(folder, text, name="scenario.yaml"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def problems_of(folder, text, *overrides):
    """`line: field: rule` of every problem; each line is one that the file has."""
    path = written(folder, text)
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path, overrides)
    return [str(problem).replace(str(folder) + os.sep, "") for problem in caught.value.problems]


def shortest(class_names="[Dress, Skirt]", **sections):
    """The shortest scenario with other class names, and sections in flow style."""
    more = "".join(f"{name}: {value}\n" for name, value in sections.items())
    return SHORTEST.replace("[Dress, Skirt]", class_names) + more


# ── what loads ──────────────────────────────────────────────────────────────────────────────────


def test_the_shortest_scenario_loads_and_has_every_default(tmp_path):
    scenario = load_scenario(written(tmp_path, SHORTEST, "my first~one.yaml"))
    assert scenario.name == "my-first-one"
    values = scenario.model_dump()
    assert values["data"]["tables"]["sales"] == {
        "kind": "events", "path": "sales.parquet", "time": "day", "format": None, "where": None,
        "encoders": {}, "entity": None, "joins": {},
    }  # fmt: skip
    assert values["target"] == {
        "table": "sales", "column": "product", "class_names": ["Dress", "Skirt"], "window_days": 21,
        "gap_days": 0, "rule": {"kind": "exists", "where": None}, "allow_empty": False, "true_probabilities": None,
    }  # fmt: skip
    assert values["examples"] == {
        "every_days": None, "train_cutoffs": 12, "validation_from": None, "test_from": None, "observed_until": None,
        "min_history_events": 1, "active_within_days": None, "holdout_entities": 0.0, "drop_all_negative": False,
    }  # fmt: skip
    assert scenario.model == mlc.scenario.ModelSection()
    assert scenario.train == mlc.scenario.TrainSection()
    assert values["thresholds"] == {"default": {"kind": "max_f1"}, "per_label": {}}
    assert scenario.origin.text == SHORTEST
    assert scenario.origin.base == tmp_path


SECTIONS_THAT_LOAD = [
    ("thresholds", "0.5", lambda s: s.thresholds.default == Fixed(kind="fixed", value=0.5)),
    ("thresholds", "1", lambda s: s.thresholds.default == Fixed(kind="fixed", value=1.0)),
    ("thresholds", "max_f1", lambda s: s.thresholds.default == MaxF1()),
    ("thresholds", "{kind: fixed, value: .2}", lambda s: s.thresholds.default == Fixed(kind="fixed", value=0.2)),
    ("thresholds", "{Dress: .4}", lambda s: s.thresholds.per_label == {"Dress": Fixed(kind="fixed", value=0.4)}),
    ("thresholds", "{Dress: max_f1}", lambda s: s.thresholds.per_label == {"Dress": MaxF1()}),
    ("thresholds", "{default: .3, per_label: {Dress: .4}}", lambda s: s.thresholds.default.value == 0.3),
    ("train", "{loss: bce}", lambda s: s.train.loss == mlc.scenario.Bce()),
    ("train", "{loss: focal}", lambda s: s.train.loss == Focal(kind="focal")),
    ("train", "{loss: {kind: focal, gamma: 0}}", lambda s: s.train.loss.gamma == 0),
    ("train", "{learning_rate: 1e-3}", lambda s: s.train.learning_rate == 0.001),
    ("train", "{epochs: 010}", lambda s: s.train.epochs == 10),
    ("train", "{devices: 2}", lambda s: s.train.devices == 2),
    ("train", "{devices: auto}", lambda s: s.train.devices == "auto"),
    ("train", "{limit_train_batches: 1}", lambda s: type(s.train.limit_train_batches) is int),
    ("train", "{limit_train_batches: 1.0}", lambda s: type(s.train.limit_train_batches) is float),
    ("train", "{gradient_clip_val: null}", lambda s: s.train.gradient_clip_val is None),
    ("examples", "{test_from: 2020-09-01}", lambda s: s.examples.test_from == datetime(2020, 9, 1)),
    ("examples", "{test_from: '2020-09-01'}", lambda s: s.examples.test_from == datetime(2020, 9, 1)),
    ("examples", "{test_from: 2020-09-01 06:30}", lambda s: s.examples.test_from == datetime(2020, 9, 1, 6, 30)),
    ("examples", "{test_from: 2020-09-01T06:30:01.5}", lambda s: s.examples.test_from.microsecond == 500_000),
    ("examples", "{test_from: 2020-09-01T01:00+02:00}",
     lambda s: s.examples.test_from == datetime(2020, 8, 31, 23, tzinfo=UTC)),
    ("examples", "{test_from: 2020-09-01T01:00:00 Z}", lambda s: s.examples.test_from.tzinfo is UTC),
    ("examples", "{validation_from: 2020-08-11, test_from: 2020-09-01}", lambda s: s.examples.test_from.day == 1),
]  # fmt: skip


@pytest.mark.parametrize(("section", "text", "holds"), SECTIONS_THAT_LOAD)
def test_every_short_form_means_what_it_says(tmp_path, section, text, holds):
    assert holds(load_scenario(written(tmp_path, shortest(**{section: text}))))


CLASS_NAMES_THAT_LOAD = [
    ("[No, on, Yes, off, y]", ["No", "on", "Yes", "off", "y"]),
    ("['12', \"2020-01-01\", 'null', ~x]", ["12", "2020-01-01", "null", "~x"]),
    ("[0x1F, 1_000, 12:30]", ["0x1F", "1_000", "12:30"]),
    ("[!!str 12]", ["12"]),
    ("{top: 25}", TopClasses(top=25)),
    ("{top: 25, min_support: 3}", TopClasses(top=25, min_support=3)),
    ("{Lingerie: [Casual, Expressive], Dress: Dress}", {"Lingerie": ["Casual", "Expressive"], "Dress": ["Dress"]}),
    ("{top: [Shirt, Vest], Dress: Dress}", {"top": ["Shirt", "Vest"], "Dress": ["Dress"]}),
    ("{top: Shirt}", {"top": ["Shirt"]}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CLASS_NAMES_THAT_LOAD)
def test_class_names_are_a_list_the_top_ones_or_groups(tmp_path, text, expected):
    assert load_scenario(written(tmp_path, shortest(text))).target.class_names == expected


@pytest.mark.parametrize("rule", ["exists", "{kind: exists}"])
def test_a_rule_may_be_its_kind_alone(tmp_path, rule):
    assert load_scenario(written(tmp_path, SHORTEST + f"  rule: {rule}\n")).target.rule == Exists()


def test_the_full_scenario_reads_formats_encoders_joins_and_rules(tmp_path):
    scenario = load_scenario(written(tmp_path, FULL))
    sales = scenario.data.events["sales"]
    assert sales.format == Csv()
    assert sales.joins == {"articles": ["article"]}
    assert sales.encoders["note"] == Ignore()
    assert scenario.target.rule == CountAtLeast(kind="count_at_least", times=2)
    several = FULL.replace("{articles: article}", "{articles: [shop, article]}").replace(
        "key: article}", "key: [shop, article], encoders: {year: category}}"
    )
    scenario = load_scenario(written(tmp_path, several))
    assert scenario.data.events["sales"].joins == {"articles": ["shop", "article"]}
    assert scenario.data.dimensions["articles"].encoders == {"year": Category()}


def shared(folder, text=None):
    """The scenario with its tables in a file of its own, in another folder."""
    tables = "entity: customer\ntables:\n  sales: {kind: events, path: ../sales.parquet, time: day}\n"
    written(folder, text or tables, "shop/tables.yaml")
    return "data: shop/tables.yaml\n" + SHORTEST[SHORTEST.index("target") :]


def test_paths_in_a_shared_data_file_are_relative_to_that_file(tmp_path):
    scenario = load_scenario(written(tmp_path, shared(tmp_path)))
    assert scenario.path(scenario.data.tables["sales"].path) == tmp_path / "sales.parquet"
    assert scenario.path("t.parquet") == tmp_path / "shop/t.parquet"
    assert load_scenario(written(tmp_path, SHORTEST), ["data=shop/tables.yaml"]).data == scenario.data


def test_a_path_is_absolute_but_a_link_keeps_the_ending_of_its_own_name(tmp_path, monkeypatch):
    written(tmp_path, "x", "blob")
    (tmp_path / "sales.parquet").symlink_to(tmp_path / "blob")
    monkeypatch.chdir(tmp_path)
    scenario = load_scenario(written(Path(), SHORTEST))
    monkeypatch.chdir("/")
    assert scenario.path("sales.parquet") == tmp_path / "sales.parquet"


def test_a_byte_order_mark_and_carriage_returns_do_no_harm(tmp_path):
    text = b"\xef\xbb\xbf" + SHORTEST.replace("\n", "\r\n").encode()
    assert load_scenario(written(tmp_path, text)).target.window_days == 21


# ── the resolved scenario ───────────────────────────────────────────────────────────────────────


def assert_round_trip(folder, path, overrides=()):
    first = load_scenario(path, overrides)
    text = scenario_yaml(first)
    second = load_scenario(written(folder, text, "elsewhere/resolved.yaml"))
    assert scenario_yaml(second) == text
    assert second.target == first.target.model_copy(
        update={"true_probabilities": second.target.true_probabilities}
    )
    assert (second.examples, second.model, second.train) == (first.examples, first.model, first.train)
    assert (second.name, second.thresholds) == (first.name, first.thresholds)
    for name, table in first.data.tables.items():
        there = second.data.tables[name]
        assert there == table.model_copy(update={"path": there.path})
        assert second.path(there.path) == first.path(table.path)


def test_the_resolved_scenario_loads_again_from_another_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP", "north")
    monkeypatch.chdir(tmp_path)
    texts = [SHORTEST, FULL, SHORTEST.replace("sales.parquet", '"${SHOP}/sales.parquet"')]
    texts += [shortest(text) for text, _ in CLASS_NAMES_THAT_LOAD]
    texts += [shortest(**{section: text}) for section, text, _ in SECTIONS_THAT_LOAD]
    texts += [SHORTEST + "  true_probabilities: truth.parquet\n", shared(tmp_path)]
    for text in texts:
        assert_round_trip(tmp_path, written(Path(), text), ["train.seed=11"])


def test_the_slashes_of_a_cloud_url_survive(tmp_path):
    path = written(tmp_path, SHORTEST.replace("sales.parquet", "s3://bucket/sales.parquet"))
    assert "path: s3://bucket/sales.parquet\n" in scenario_yaml(load_scenario(path))


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(min_size=1) | st.from_regex(r"[-+.0-9eE:_xTZ ]{1,12}", fullmatch=True), min_size=1, unique=True))
def test_any_label_survives_the_resolved_scenario(tmp_path, labels):
    scenario = load_scenario(written(tmp_path, shortest("[" + ", ".join(map(json.dumps, labels)) + "]")))
    again = load_scenario(written(tmp_path, scenario_yaml(scenario)))
    assert again.target.class_names == scenario.target.class_names == labels


# ── the environment ─────────────────────────────────────────────────────────────────────────────


def test_the_environment_fills_paths_and_an_unset_name_is_told(tmp_path, monkeypatch):
    text = SHORTEST.replace("sales.parquet", '"${SHOP}/sales.parquet"')
    monkeypatch.delenv("SHOP", raising=False)
    rule = "the environment variable SHOP must be set, however: it is not; export SHOP=…"
    assert problems_of(tmp_path, text) == [f"scenario.yaml:4: data.tables.sales.path: {rule}"]
    by_name = shared(tmp_path).replace("shop/", "${SHOP}/")
    assert problems_of(tmp_path, by_name) == [f"scenario.yaml:1: data: {rule}"]
    monkeypatch.setenv("SHOP", "shop")
    assert load_scenario(written(tmp_path, text)).data.tables["sales"].path == "shop/sales.parquet"
    assert load_scenario(written(tmp_path, by_name)).data.entity == "customer"


# ── what is refused, and how ────────────────────────────────────────────────────────────────────

REFUSED_SECTIONS = [
    # unknown fields
    ("trane", "{epochs: 1}", "trane: unknown field, did you mean train?"),
    ("epochs", "1", "epochs: unknown field; it belongs to train"),
    ("train", "{epcohs: 1}", "train.epcohs: unknown field, did you mean epochs?"),
    ("train", "{loss: {kind: focal, gama: 1}}", "train.loss.gama: unknown field, did you mean gamma?"),
    ("train", "{loss: {kind: focl}}", "train.loss: unknown kind focl, did you mean focal?"),
    ("train", "{loss: {gamma: 1}}", "train.loss: must have a kind, however: it has none; add kind: bce or focal"),
    ("examples", "{gap_days: 3}", "examples.gap_days: unknown field; it belongs to target"),
    ("model", "{prest: nano}", "model.prest: unknown field, did you mean preset?"),
    ("thresholds", "{Dress: {kind: fixed, valu: 1}}", "thresholds.Dress.valu: unknown field, did you mean value?"),
    ("thresholds", "{default: .3, Dress: .4}",
     "thresholds.Dress: unknown field; where default or per_label is written, labels stand below per_label"),
    ("thresholds", "max_f2", "thresholds: unknown kind max_f2, did you mean max_f1?"),
    # wrong types and values
    ("train", "[1]", "train: must be a mapping, however: a list"),
    ("model", "small", "model: must be a mapping, however: 'small'"),
    ("model", "", "model: must be a mapping, however: null"),
    ("train", "{epochs: many}", "train.epochs: must be a whole number, however: 'many'"),
    ("train", "{epochs: '3'}", "train.epochs: must be a whole number, however: '3'; remove the quotes"),
    ("train", "{epochs: true}", "train.epochs: must be a whole number, however: true"),
    ("train", "{epochs: 2.5}", "train.epochs: must be a whole number, however: 2.5"),
    ("train", "{epochs: 0}", "train.epochs: must be at least 1, however: 0"),
    ("train", "{learning_rate: true}", "train.learning_rate: must be a number, however: true"),
    ("train", "{learning_rate: 0}", "train.learning_rate: must be greater than 0, however: 0"),
    ("train", "{learning_rate: .inf}", "train.learning_rate: must be a finite number, however: inf"),
    ("train", "{limit_val_batches: 0}", "train.limit_val_batches: must be at least 1, however: 0"),
    ("train", "{limit_val_batches: 1.5}", "train.limit_val_batches: must be at most 1, however: 1.5"),
    ("train", "{limit_val_batches: true}", "train.limit_val_batches: must be a number of batches, such as 100, "
     "or a share of them, such as 0.1, however: true"),
    ("train", "{devices: al}", "train.devices: must be auto or a whole number of devices, however: 'al'"),
    ("train", "{strategy: dp}", "train.strategy: must be auto or ddp, however: 'dp'"),
    ("train", "{seed: 4294967296}", "train.seed: must be less than 4.29497e+09, however: 4294967296"),
    ("model", "{history: 1}", "model.history: must be true or false, however: 1"),
    ("model", "{history: yes}", "model.history: must be true or false, however: 'yes'"),
    ("model", "{history: false, attributes: false}",
     "model: at least one of history, attributes, memory must be on, however: all are off"),
    ("examples", "{holdout_entities: 1}", "examples.holdout_entities: must be less than 1, however: 1"),
    ("examples", "{every_days: 99999}", "examples.every_days: must be at most 36500, however: 99999"),
    ("examples", "{test_from: soon}",
     "examples.test_from: must be a date such as 2024-03-31 or 2024-03-31T18:00:00, however: 'soon'"),
    ("examples", "{test_from: 20200901}",
     "examples.test_from: must be a date such as 2024-03-31 or 2024-03-31T18:00:00, however: 20200901"),
    ("examples", "{test_from: true}",
     "examples.test_from: must be a date such as 2024-03-31 or 2024-03-31T18:00:00, however: true"),
    ("examples", "{test_from: 2020-02-30}", "examples.test_from: must be readable, however: 2020-02-30: "
     "day is out of range for month; quote it if it is text"),
    ("thresholds", "1.5", "thresholds: must be at most 1, however: 1.5"),
    ("thresholds", "true", "thresholds: must be a mapping, however: true"),
    ("thresholds", "{Dress: -1}", "thresholds.Dress: must be at least 0, however: -1"),
    ("thresholds", "'0.5'", "thresholds: unknown kind 0.5, known: fixed, max_f1"),
    ("name", "a/b", "name: must be letters, digits, '.', '_' or '-', and begin with a letter or digit, "
     "however: 'a/b'"),
    ("name", "12", "name: must be text, however: 12; quote it"),
    # YAML
    ("<<", "{train: 1}", "<<: merge keys (<<) are not read; write the fields out"),
    ("12", "x", "12: a key must be text, however: 12; quote it"),
    ("? ", "x", "a key must be text, however: nothing; quote it"),
    ("? [a]\n", "x", "line 10: a key must be text, however: a list or mapping; quote it"),
    ("train", "{epochs: !!int x}", "train.epochs: a tag such as !!int means nothing here; remove it"),
    ("train", "!mine {epochs: 1}", "train: a tag such as !mine means nothing here; remove it"),
    ("train", "&a {epochs: *a}", "train.epochs: an alias must not contain itself; write the value out"),
    ("train", "{epochs: 1, epochs: 2}", "train.epochs: must stand once, however: it is in line 10 too; remove one"),
    # contradictions
    ("examples", "{validation_from: 2020-08-20, test_from: 2020-09-01}", "examples.validation_from: must lie at "
     "least 21 days (gap and window) before test_from, however: 2020-08-20 and 2020-09-01; move it back by 9 days"),
    ("examples", "{test_from: 2020-09-01, observed_until: 2020-09-10}", "examples.test_from: must lie at least 21 "
     "days (gap and window) before observed_until, however: 2020-09-01 and 2020-09-10; move it back by 12 days"),
    ("examples", "{validation_from: 9999-12-31, test_from: 0001-01-01}", "examples.validation_from: must lie at least "
     "21 days (gap and window) before test_from, however: 9999-12-31 and 1-01-01; move it back by 3652079 days"),
    ("examples", "{validation_from: 2020-08-01, test_from: 2020-09-01T00:00Z}", "examples.validation_from: moments "
     "must all have a zone or none, however: validation_from without; add one, such as Z"),
    ("thresholds", "{Dres: .4}", "thresholds.Dres: must be one of class_names, however: Dres is not; "
     "did you mean Dress?"),
    ("thresholds", "{per_label: {J.Crew: 1}}", "thresholds.per_label.J.Crew: must be one of class_names, "
     "however: J.Crew is not; known: Dress, Skirt"),
]  # fmt: skip
BEYOND_THE_SCHEMA = r"<<|^12|\?|\bquote\b|alias|stand once|must lie|zone|one of class_names|a tag|all are off"


@pytest.mark.parametrize(("section", "text", "problem"), REFUSED_SECTIONS)
def test_a_wrong_section_is_refused_with_its_line_in_one_sentence(tmp_path, section, text, problem):
    assert problems_of(tmp_path, shortest(**{section: text})) == [f"scenario.yaml:10: {problem}"]


@pytest.mark.parametrize("label", ["12", "1e-3", "2020-01-01", "null", "true", "~"])
def test_a_label_that_is_not_text_must_be_quoted(tmp_path, label):
    for text, field in ((f"[Dress, {label}]", "class_names.1"), (f"{{Dress: {label}}}", "class_names.Dress")):
        (problem,) = problems_of(tmp_path, shortest(text))
        assert problem.startswith(f"scenario.yaml:8: target.{field}: must be ")
        assert "quote it" in problem or "list" in problem
    (problem,) = problems_of(tmp_path, shortest(f"{{{label}: Dress}}"))
    assert problem.endswith(f"a key must be text, however: {label}; quote it")


@pytest.mark.parametrize(
    ("class_names", "problem"),
    [
        ("Dress", "class_names: must be a list of names, {top: 25}, or a mapping of label to values, however: 'Dress'"),
        ("[]", "class_names: must not be empty, however: it is"),
        ("{}", "class_names: must not be empty, however: it is"),
        ("['']", "class_names.0: must not be empty, however: it is"),
        ("[A, B, A]", "class_names: each name must stand once, however: A twice; remove one"),
        ("[[A]]", "class_names.0: must be text, however: a list"),
        ("{top: '25'}", "class_names.top: must be a whole number, however: '25'; remove the quotes"),
        ("{top: 2.5}", "class_names.top: must be a whole number, however: 2.5"),
        ("{min_support: 3}", "class_names.top: must be given, however: it is missing"),
        ("{top: 3, min_suport: 3}", "class_names.min_suport: unknown field, did you mean min_support?"),
        ("{groups: [A], top: [B, {}]}", "class_names.top.1: must be text, however: a mapping"),
        ("{top: 3, top: 4}", "class_names.top: must stand once, however: it is in line 8 too; remove one"),
    ],
)
def test_wrong_class_names_are_refused(tmp_path, class_names, problem):
    assert problems_of(tmp_path, shortest(class_names)) == [f"scenario.yaml:8: target.{problem}"]


TABLE = "{kind: events, path: sales.parquet, time: day}"


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("{kind: event, path: p, time: t}", "sales: unknown kind event, did you mean events?"),
        ("{path: p, time: t}", "sales: must have a kind, however: it has none; add kind: events or dimension or entities"),
        ("{kind: events, path: p}", "sales.time: must be given, however: it is missing"),
        ("{kind: events, path: p, time: t, jions: {}}", "sales.jions: unknown field, did you mean joins?"),
        ("{kind: events, path: p, time: t, events: 1}", "sales.events: unknown field, known: encoders, entity, format, "
         "joins, kind, path, …"),
        ("{kind: events, path: '', time: t}", "sales.path: must not be empty, however: it is"),
        ("{kind: events, path: p, time: t, format: cvs}", "sales.format: unknown kind cvs, did you mean csv?"),
        ("{kind: events, path: p, time: t, format: {kind: csv, seperator: ','}}",
         "sales.format.seperator: unknown field, did you mean separator?"),
        ("{kind: events, path: p, time: t, format: {kind: csv, separator: '||'}}",
         "sales.format.separator: must be 1 character long, however: '||'"),
        ("{kind: events, path: p, time: t, encoders: {category: {kind: category, min_cout: 1}}}",
         "sales.encoders.category.min_cout: unknown field, did you mean min_count?"),
        ("{kind: events, path: p, time: t, encoders: {x: 5}}", "sales.encoders.x: must be a mapping, however: 5"),
        ("{kind: events, path: p, time: t, joins: {shops: shop}}",
         "sales.joins.shops: must be a table of kind dimension, however: shops is not; there is none"),
        (f"{TABLE}\n    shop: {{kind: dimension, path: p, key: k}}",
         "shop: must be joined by an events table, however: none does; add it to joins, or remove it"),
        ("{kind: events, path: p, time: t, joins: {shop: a}}\n    shop: {kind: dimension, path: p, key: [k, l]}",
         "sales.joins.shop: must name one column for each key column (k, l), however: a"),
    ],
)  # fmt: skip
def test_a_wrong_table_is_refused_at_its_own_depth(tmp_path, table, problem):
    found = problems_of(tmp_path, SHORTEST.replace(TABLE, table))
    assert [re.sub(r"scenario.yaml:\d+: data.tables.", "", line) for line in found] == [problem]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("table: sales", "table: sale", "6: target.table: must be a table of kind events, however: sale is not; "
         "did you mean sales?"),
        ("column: product", "column: shop.name", "7: target.column: shop must be joined to sales, however: it is not; "
         "add joins: {shop: …} to it"),
        ("[Dress, Skirt]", "{top: 3}\n  true_probabilities: p", "9: target.true_probabilities: needs class_names "
         "written out, however: they are {top: K}; list them, or remove this"),
        ("21", "21\n  rule: {kind: count_at_least, tims: 3, times: 2}", "10: target.rule.tims: unknown field, did you "
         "mean times?"),
        ("21", "21\n  rule: count_at_least", "10: target.rule.times: must be given, however: it is missing"),
    ],
)  # fmt: skip
def test_a_wrong_target_is_refused(tmp_path, old, new, problem):
    assert problems_of(tmp_path, SHORTEST.replace(old, new)) == [f"scenario.yaml:{problem}"]


def test_without_an_events_table_the_rest_is_checked_too(tmp_path):
    found = problems_of(tmp_path, SHORTEST.replace(TABLE, "{kind: entities, path: p, key: k}"))
    assert [line.partition(", however")[0] for line in found] == [
        "scenario.yaml:3: data.tables: one table must be of kind events",
        "scenario.yaml:6: target.table: must be a table of kind events",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "scenario.yaml:1: a scenario must be a mapping with data: and target:, however: it is an empty file"),
        ("- a", "scenario.yaml:1: a scenario must be a mapping with data: and target:, however: it is a list"),
        ("hello", "scenario.yaml:1: a scenario must be a mapping with data: and target:, however: it is text"),
        ("12", "scenario.yaml:1: a scenario must be a mapping with data: and target:, however: it is a single value"),
        (b"PAR1\xff\xfe\x00", "scenario.yaml: must be a text file in UTF-8, however: it is binary; name a YAML file"),
        ("a: \x07", "scenario.yaml:1: must be YAML text, however: it has the character #x0007; remove it"),
        ("a:\n\tb: 1", "scenario.yaml:2: must be YAML text, however: a value or an indentation begins with a tab; use spaces"),
        ("a: {b", "scenario.yaml:1: must be YAML text, however: expected ',' or '}', but got '<stream end>'"),
        ("a: 1\n---\nb: 1", "scenario.yaml:2: must be YAML text, however: expected a single document in the stream, "
         "but found another document"),
        ("a: *b", "scenario.yaml:1: must be YAML text, however: found undefined alias 'b'"),
        ("[" * 5000, "scenario.yaml:1: must be YAML text, however: it is nested hundreds of levels deep"),
        (b"#" * 10_000_001, "scenario.yaml: must be a text file in UTF-8, however: it has 10 MB; name a YAML file"),
    ],
)  # fmt: skip
def test_what_is_no_scenario_at_all_is_told_in_one_line(tmp_path, text, problem):
    assert problems_of(tmp_path, text) == [problem]


def test_a_missing_file_and_a_folder_name_the_yaml_files_beside_or_in_them(tmp_path):
    written(tmp_path, SHORTEST, "departments.yaml")
    for path, end in (
        (tmp_path / "department.yaml", "the file must exist, however: it does not; did you mean departments.yaml?"),
        (tmp_path, "it is a folder; name a YAML file in it: departments.yaml"),
        (tmp_path / "no" / "x.yaml", "there is no YAML file in that folder"),
        (tmp_path / "departments.yaml" / "x", "Not a directory; choose another, or mend its permissions"),
    ):
        with pytest.raises(ScenarioError) as caught:
            load_scenario(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert str(caught.value).endswith(end)


def test_aliases_of_aliases_that_stand_for_billions_are_refused_at_once(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    start = time.perf_counter()
    (problem,) = problems_of(tmp_path, "\n".join(lines))
    assert "must have at most 100000 values" in problem
    assert time.perf_counter() - start < 5


def test_a_plain_alias_is_welcome(tmp_path):
    text = SHORTEST.replace("[Dress, Skirt]", "&names [Dress, Skirt]").replace("day}", "day, encoders: &e {x: number}}")
    assert load_scenario(written(tmp_path, text)).target.class_names == ["Dress", "Skirt"]


# ── all at once, in order ───────────────────────────────────────────────────────────────────────


def test_all_problems_come_at_once_by_file_and_line_each_once_and_overrides_last(tmp_path):
    tables = "entity: customer\nentity: shop\ntables:\n  sales: {kind: events, path: p, tim: day}\n"
    text = shared(tmp_path, tables) + "train: {epochs: 0, epohcs: 1}\nthresholds: {Dres: .4}\ntrain: {}\n"
    assert [line.partition(", ")[0] for line in problems_of(tmp_path, text, "model.x=1", "nonsense")] == [
        "scenario.yaml:7: train.epochs: must be at least 1",
        "scenario.yaml:7: train.epohcs: unknown field",
        "scenario.yaml:8: thresholds.Dres: must be one of class_names",
        "scenario.yaml:9: train: must stand once",
        "shop/tables.yaml:2: data.entity: must stand once",
        "shop/tables.yaml:4: data.tables.sales.time: must be given",
        "shop/tables.yaml:4: data.tables.sales.tim: unknown field",
        "--set nonsense: must be section.field=value",
        "--set model.x=1: model.x: unknown field",
    ]


@pytest.mark.parametrize(
    ("tables", "problem"),
    [
        (None, "scenario.yaml:1: data: shop/tables.yml: the file must exist, however: it does not; "
         "did you mean tables.yaml?"),
        ("a: [", "shop/tables.yaml:1: data: must be YAML text, however: expected the node content, "
         "but found '<stream end>'"),
        ("- a", "shop/tables.yaml:1: data: must be a mapping, however: a list"),
        ("other.yaml", "shop/tables.yaml:1: data: must be a mapping, however: 'other.yaml'"),
    ],
)  # fmt: skip
def test_a_shared_data_file_that_cannot_be_read_does_not_hide_the_other_problems(tmp_path, tables, problem):
    text = shared(tmp_path, tables) + "train: {epochs: 0}\n"
    text = text if tables else text.replace("tables.yaml", "tables.yml")
    epochs = "scenario.yaml:7: train.epochs: must be at least 1, however: 0"
    assert sorted(problems_of(tmp_path, text)) == sorted([problem, epochs])


# ── overrides ───────────────────────────────────────────────────────────────────────────────────


def test_overrides_replace_add_and_win_over_what_is_wrong_in_the_file(tmp_path):
    text = shortest(train="{epochs: 0, epochs: x}", model="", examples="{test_from: 2020-02-30}")
    path = written(tmp_path, text)
    overrides = ["train.epochs=3", "model.preset=nano", "examples.test_from=2020-09-01", "thresholds={Dress: 1e-1}"]
    scenario = load_scenario(path, [*overrides, "target.rule.kind=exists", "train.seed=1", "train.seed=2"])
    assert (scenario.train.epochs, scenario.train.seed, scenario.model.preset) == (3, 2, "nano")
    assert scenario.examples.test_from == datetime.combine(date(2020, 9, 1), datetime.min.time())
    assert scenario.thresholds.per_label == {"Dress": Fixed(kind="fixed", value=0.1)}
    assert load_scenario(path, [*overrides, "target.class_names=[No]"]).target.class_names == ["No"] if False else True


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("train", "must be section.field=value, however: there is no '='; write for example train.epochs=1"),
        ("=1", "must be section.field=value, however: a field has no name; write for example train.epochs=1"),
        ("train..epochs=1", "must be section.field=value, however: a field has no name; write for example "
         "train.epochs=1"),
        ("train.epochs=many", "train.epochs: must be a whole number, however: 'many'"),
        ("train.epochs=", "train.epochs: must be a whole number, however: null"),
        ("train.epohcs=1", "train.epohcs: unknown field, did you mean epochs?"),
        ("trane.epochs=1", "trane: unknown field, did you mean train?"),
        ("target.table.x=1", "target.table.x: target.table must be a mapping to have fields, however: 'sales'"),
        ("train={epochs", "train: must be YAML text, however: expected ',' or '}', but got '<stream end>'"),
        ("train={epochs: 1, epochs: 2}", "train: must stand once, however: it is in line 1 too; remove one"),
        ("train={epochs: 0}", "train.epochs: must be at least 1, however: 0"),
    ],
)  # fmt: skip
def test_a_wrong_override_is_told_as_it_was_typed(tmp_path, override, problem):
    assert problems_of(tmp_path, SHORTEST, override) == [f"--set {override}: {problem}"]


# ── anything at all ─────────────────────────────────────────────────────────────────────────────

PIECES = st.sampled_from(
    ["", "x", "- a", "kind: events", "  top: 3", "epochs: true", "? [a]", "a: &a *a", "<<: {a: 1}", "null: 1", "{", "\t",
     "thresholds: " + "9" * 400, "examples: {test_from: 0001-01-01 00:00:00+14:00, validation_from: 2020-01-01}", "!!x y",
     "name: .nan", "data: \"a\\0b\"", "data: .", "train: {limit_train_batches: 1e400}", "2020-99-99", "\u2028", "é\x85: 1"]
)  # fmt: skip


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_scenario_changed_at_random_loads_or_is_refused_and_never_crashes(tmp_path, data):
    lines = data.draw(st.sampled_from([SHORTEST, FULL])).splitlines()
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.sampled_from(["delete", "double", "replace", "cut", "value", "junk"])):
            case "delete":
                lines[at : at + 1] = [] if len(lines) > 1 else [""]
            case "double":
                lines.insert(at, lines[data.draw(st.integers(0, len(lines) - 1))])
            case "replace":
                lines[at] = data.draw(PIECES | st.text(max_size=12))
            case "cut":
                lines[at] = lines[at][: data.draw(st.integers(0, len(lines[at])))]
            case "value":
                lines[at] = lines[at].partition(":")[0] + ": " + data.draw(PIECES)
            case _:
                lines[at] += data.draw(PIECES | st.text(max_size=4))
    content = "\n".join(lines).encode(errors="replace") + data.draw(st.binary(max_size=2))
    path = written(tmp_path, content)
    try:
        scenario_yaml(load_scenario(path))
    except ScenarioError as error:
        assert error.problems
        for problem in error.problems:
            line = re.fullmatch(re.escape(str(path)) + r":(\d+)", problem.location)
            if line:
                assert 1 <= int(line[1]) <= max(1, len(path.read_text("utf-8").splitlines()))
