"""The scenario reader: what loads and what it means, overrides, and the resolved scenario."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import mlc.scenario
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
    scenario_yaml,
)
from tests.support.effort import drawn
from tests.support.event_scenarios import load_events
from tests.support.scenario_texts import FULL, SHORTEST, problems_of, shared, shortest, written

# ── what loads ──────────────────────────────────────────────────────────────────────────────────


def test_the_shortest_scenario_loads_and_has_every_default(tmp_path):
    scenario = load_events(written(tmp_path, SHORTEST, "my first~one.yaml"))
    assert scenario.name == "my-first-one"
    values = scenario.model_dump()
    assert values["data"]["tables"]["sales"] == {
        "kind": "events",
        "path": "sales.parquet",
        "time": "day",
        "format": None,
        "columns": None,
        "leave_out": None,
        "types": {},
        "computed": {},
        "where": None,
        "encoders": {},
        "entity": None,
        "joins": {},
    }
    assert values["target"] == {
        "table": "sales",
        "column": ["product"],
        "separator": None,
        "class_names": ["Dress", "Skirt"],
        "window_days": 21,
        "window": None,
        "gap_days": 0,
        "rule": {"kind": "exists", "where": None},
        "allow_empty": False,
        "true_probabilities": None,
    }
    assert values["examples"] == {
        "every_days": None,
        "cutoffs": None,
        "at": None,
        "train_cutoffs": 26,
        "validation_from": None,
        "test_from": None,
        "observed_until": None,
        "min_history_events": 1,
        "active_within_days": None,
        "holdout_entities": 0.0,
        "max_entities": None,
        "drop_all_negative": False,
    }
    assert scenario.model == mlc.scenario.ModelSection()
    assert scenario.train == mlc.scenario.TrainSection()
    assert values["thresholds"] == {"default": {"kind": "auto", "beta": 1.0}, "per_label": {}}
    assert scenario.origin.text == SHORTEST
    assert scenario.origin.base == tmp_path


SECTIONS_THAT_LOAD = [
    ("thresholds", "0.5", lambda s: s.thresholds.default == Fixed(kind="fixed", value=0.5)),
    ("thresholds", "1", lambda s: s.thresholds.default == Fixed(kind="fixed", value=1.0)),
    ("thresholds", "max_f1", lambda s: s.thresholds.default == MaxF1()),
    (
        "thresholds",
        "{kind: fixed, value: .2}",
        lambda s: s.thresholds.default == Fixed(kind="fixed", value=0.2),
    ),
    (
        "thresholds",
        "{Dress: .4}",
        lambda s: s.thresholds.per_label == {"Dress": Fixed(kind="fixed", value=0.4)},
    ),
    ("thresholds", "{Dress: max_f1}", lambda s: s.thresholds.per_label == {"Dress": MaxF1()}),
    ("thresholds", "{default: .3, per_label: {Dress: .4}}", lambda s: s.thresholds.default.value == 0.3),
    ("train", "{loss: bce}", lambda s: s.train.loss == mlc.scenario.Bce()),
    ("train", "{loss: focal}", lambda s: s.train.loss == Focal(kind="focal")),
    ("train", "{loss: {kind: focal, gamma: 0}}", lambda s: s.train.loss.gamma == 0),
    ("train", "{learning_rate: 1e-3}", lambda s: s.train.learning_rate == 0.001),
    ("train", "{loggers: [csv, tensorboard]}", lambda s: s.train.loggers == ["csv", "tensorboard"]),
    ("gates", "{macro_ap: '>= 0.25'}", lambda s: s.gates.macro_ap == 0.25),
    ("gates", "{macro_auroc: .7, label_auroc_min: '>=.6'}", lambda s: s.gates.label_auroc_min == 0.6),
    ("gates", "{macro_log_loss: '<= 1.5'}", lambda s: s.gates.macro_log_loss == 1.5),
    ("gates", "{beats: recency}", lambda s: s.gates.beats == ["recency"]),
    ("gates", "{beats: [recency, boosting]}", lambda s: s.gates.beats == ["recency", "boosting"]),
    ("train", "{epochs: 010}", lambda s: s.train.epochs == 10),
    ("train", "{devices: 2}", lambda s: s.train.devices == 2),
    ("train", "{devices: auto}", lambda s: s.train.devices == "auto"),
    ("train", "{limit_train_batches: 1}", lambda s: type(s.train.limit_train_batches) is int),
    ("train", "{limit_train_batches: 1.0}", lambda s: type(s.train.limit_train_batches) is float),
    ("train", "{gradient_clip_val: null}", lambda s: s.train.gradient_clip_val is None),
    ("examples", "{test_from: 2020-09-01}", lambda s: s.examples.test_from == datetime(2020, 9, 1)),
    ("examples", "{test_from: '2020-09-01'}", lambda s: s.examples.test_from == datetime(2020, 9, 1)),
    (
        "examples",
        "{test_from: 2020-09-01 06:30}",
        lambda s: s.examples.test_from == datetime(2020, 9, 1, 6, 30),
    ),
    ("examples", "{test_from: 2020-09-01T06:30:01.5}", lambda s: s.examples.test_from.microsecond == 500_000),
    (
        "examples",
        "{test_from: 2020-09-01T01:00+02:00}",
        lambda s: s.examples.test_from == datetime(2020, 8, 31, 23, tzinfo=UTC),
    ),
    ("examples", "{test_from: 2020-09-01T01:00:00 Z}", lambda s: s.examples.test_from.tzinfo is UTC),
    (
        "examples",
        "{validation_from: 2020-08-11, test_from: 2020-09-01}",
        lambda s: s.examples.test_from.day == 1,
    ),
]


@pytest.mark.parametrize(("section", "text", "holds"), SECTIONS_THAT_LOAD)
def test_every_short_form_means_what_it_says(tmp_path, section, text, holds):
    assert holds(load_events(written(tmp_path, shortest(**{section: text}))))


CLASS_NAMES_THAT_LOAD = [
    ("[No, on, Yes, off, y]", ["No", "on", "Yes", "off", "y"]),
    ("['12', \"2020-01-01\", 'null', ~x]", ["12", "2020-01-01", "null", "~x"]),
    ("[0x1F, 1_000, 12:30]", ["0x1F", "1_000", "12:30"]),
    ("[!!str 12]", ["12"]),
    ("{top: 25}", TopClasses(top=25)),
    ("{top: 25, min_support: 3}", TopClasses(top=25, min_support=3)),
    (
        "{Lingerie: [Casual, Expressive], Dress: Dress}",
        {"Lingerie": ["Casual", "Expressive"], "Dress": ["Dress"]},
    ),
    ("{top: [Shirt, Vest], Dress: Dress}", {"top": ["Shirt", "Vest"], "Dress": ["Dress"]}),
    ("{top: Shirt}", {"top": ["Shirt"]}),
]


@pytest.mark.parametrize(("text", "expected"), CLASS_NAMES_THAT_LOAD)
def test_class_names_are_a_list_the_top_ones_or_groups(tmp_path, text, expected):
    found = load_events(written(tmp_path, shortest(text))).target.class_names
    values = {name: spec.values for name, spec in found.items()} if isinstance(found, dict) else found
    assert values == expected


@pytest.mark.parametrize("rule", ["exists", "{kind: exists}"])
def test_a_rule_may_be_its_kind_alone(tmp_path, rule):
    assert load_events(written(tmp_path, SHORTEST + f"  rule: {rule}\n")).target.rule == Exists()


def test_the_full_scenario_reads_formats_encoders_joins_and_rules(tmp_path):
    scenario = load_events(written(tmp_path, FULL))
    sales = scenario.data.events["sales"]
    assert sales.format == Csv()
    assert sales.joins == {"articles": ["article"]}
    assert sales.encoders["note"] == Ignore()
    assert scenario.target.rule == CountAtLeast(kind="count_at_least", times=2)
    several = FULL.replace("{articles: article}", "{articles: [shop, article]}").replace(
        "key: article}", "key: [shop, article], encoders: {year: category}}"
    )
    scenario = load_events(written(tmp_path, several))
    assert scenario.data.events["sales"].joins == {"articles": ["shop", "article"]}
    assert scenario.data.dimensions["articles"].encoders == {"year": Category()}


def test_paths_in_a_shared_data_file_are_relative_to_that_file(tmp_path):
    scenario = load_events(written(tmp_path, shared(tmp_path)))
    assert scenario.path(scenario.data.tables["sales"].path or "") == tmp_path / "sales.parquet"
    assert scenario.path("t.parquet") == tmp_path / "shop/t.parquet"
    assert load_events(written(tmp_path, SHORTEST), ["data=shop/tables.yaml"]).data == scenario.data


def test_a_path_is_absolute_but_a_link_keeps_the_ending_of_its_own_name(tmp_path, monkeypatch):
    written(tmp_path, "x", "blob")
    (tmp_path / "sales.parquet").symlink_to(tmp_path / "blob")
    monkeypatch.chdir(tmp_path)
    scenario = load_events(written(Path(), SHORTEST))
    monkeypatch.chdir("/")
    assert scenario.path("sales.parquet") == tmp_path / "sales.parquet"


def test_a_byte_order_mark_and_carriage_returns_do_no_harm(tmp_path):
    text = b"\xef\xbb\xbf" + SHORTEST.replace("\n", "\r\n").encode()
    assert load_events(written(tmp_path, text)).target.window_days == 21


# ── the resolved scenario ───────────────────────────────────────────────────────────────────────


def assert_round_trip(folder: Path, path: Path, overrides: Sequence[str] = ()) -> None:
    first = load_events(path, overrides)
    text = scenario_yaml(first)
    second = load_events(written(folder, text, "elsewhere/resolved.yaml"))
    assert scenario_yaml(second) == text
    assert second.target == first.target.model_copy(
        update={"true_probabilities": second.target.true_probabilities}
    )
    assert (second.examples, second.model, second.train) == (first.examples, first.model, first.train)
    assert (second.name, second.thresholds) == (first.name, first.thresholds)
    for name, table in first.data.tables.items():
        there = second.data.tables[name]
        assert there == table.model_copy(update={"path": there.path})
        assert second.path(there.path or "") == first.path(table.path or "")


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
    assert "path: s3://bucket/sales.parquet\n" in scenario_yaml(load_events(path))


def test_pairs_of_escapes_as_json_writes_them_are_one_character(tmp_path):
    scenario = load_events(written(tmp_path, shortest(r'["\ud83d\ude00", "\ud83d"]')))
    assert scenario.target.class_names == ["😀", "�"]


@settings(deadline=None, max_examples=drawn(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        (st.text(min_size=1) | st.from_regex(r"[-+.0-9eE:_xTZ ]{1,12}", fullmatch=True)).filter(
            lambda text: any(letter.isprintable() and not letter.isspace() for letter in text)
        ),
        min_size=1,
        unique=True,
    )
)
@example(["\x85|", "a\u2028b", "1e-3", "010", "<<", "=", "No", " .", "~"])
def test_any_label_survives_the_resolved_scenario(tmp_path, labels):
    quoted = yaml.safe_dump(labels, default_style='"', default_flow_style=True, width=10**9)
    scenario = load_events(written(tmp_path, shortest(quoted)))
    again = load_events(written(tmp_path, scenario_yaml(scenario)))
    assert again.target.class_names == scenario.target.class_names == labels


# ── the environment ─────────────────────────────────────────────────────────────────────────────


def test_the_environment_fills_paths_and_an_unset_name_is_told(tmp_path, monkeypatch):
    text = SHORTEST.replace("sales.parquet", '"${SHOP}/sales.parquet"')
    monkeypatch.delenv("SHOP", raising=False)
    rule = "the environment variable SHOP is not set. Export SHOP=…."
    assert problems_of(tmp_path, text) == [f"scenario.yaml:4: data.tables.sales.path: {rule}"]
    by_name = shared(tmp_path).replace("shop/", "${SHOP}/")
    assert problems_of(tmp_path, by_name) == [f"scenario.yaml:1: data: {rule}"]
    monkeypatch.setenv("SHOP", "shop")
    scenario = load_events(written(tmp_path, text))
    assert scenario.path(scenario.data.tables["sales"].path or "") == tmp_path / "shop" / "sales.parquet"
    assert load_events(written(tmp_path, by_name)).data.entity == "customer"


# ── overrides ───────────────────────────────────────────────────────────────────────────────────


def test_overrides_replace_add_and_win_over_what_is_wrong_in_the_file(tmp_path):
    text = shortest(train="{epochs: 0, epochs: x}", model="", examples="{test_from: 2020-02-30}")
    path = written(tmp_path, text)
    overrides = [
        "train.epochs=3",
        "model.preset=nano",
        "examples.test_from=2020-09-01",
        "thresholds={Dress: 1e-1}",
    ]
    scenario = load_events(path, [*overrides, "target.rule.kind=exists", "train.seed=1", "train.seed=2"])
    assert (scenario.train.epochs, scenario.train.seed, scenario.model.preset) == (3, 2, "nano")
    assert scenario.examples.test_from == datetime(2020, 9, 1)
    assert scenario.thresholds.per_label == {"Dress": Fixed(kind="fixed", value=0.1)}
    assert load_events(path, [*overrides[:3], "target.class_names=[No]"]).target.class_names == ["No"]


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("train", "must be section.field=value, but there is no '='. Write for example train.epochs=1."),
        ("=1", "must be section.field=value, but a field has no name. Write for example train.epochs=1."),
        (
            "train..epochs=1",
            "must be section.field=value, but a field has no name. Write for example train.epochs=1.",
        ),
        ("train.epochs=many", "train.epochs: must be a whole number, not 'many'"),
        ("train.epochs=", "train.epochs: must be a whole number, not null"),
        ("train.epohcs=1", "train.epohcs: unknown field, did you mean epochs?"),
        ("trane.epochs=1", "trane: unknown field, did you mean train?"),
        (
            "target.table.x=1",
            "target.table.x: target.table is 'sales' and has no fields",
        ),
        (
            "train={epochs",
            "train: this is not YAML: expected ',' or '}', but the text ends here. Close what is open.",
        ),
        ("train={epochs: 1, epochs: 2}", "train: this field is in line 1 already. Remove one of them."),
        ("train={epochs: 0}", "train.epochs: must be at least 1, not 0"),
    ],
)
def test_a_wrong_override_is_told_as_it_was_typed(tmp_path, override, problem):
    assert problems_of(tmp_path, SHORTEST, override) == [f"--set {override}: {problem}"]
