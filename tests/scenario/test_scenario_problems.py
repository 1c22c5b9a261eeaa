"""What the scenario reader refuses, and how it says so."""

import re

import pytest

from tests.support.scenario_texts import SHORTEST, problems_of, shortest

# ── what is refused, and how ────────────────────────────────────────────────────────────────────

REFUSED_SECTIONS = [
    # unknown fields
    ("trane", "{epochs: 1}", "trane: unknown field, did you mean train?"),
    ("epochs", "1", "epochs: unknown field; it belongs to train"),
    ("train", "{epcohs: 1}", "train.epcohs: unknown field, did you mean epochs?"),
    ("train", "{loss: {kind: focal, gama: 1}}", "train.loss.gama: unknown field, did you mean gamma?"),
    ("train", "{loss: {kind: focl}}", "train.loss: unknown kind focl, did you mean focal?"),
    (
        "train",
        "{loss: {gamma: 1}}",
        "train.loss: kind is missing. Add kind: bce or focal or asymmetric.",
    ),
    ("examples", "{gap_days: 3}", "examples.gap_days: unknown field; it belongs to target"),
    ("model", "{prest: nano}", "model.prest: unknown field, did you mean preset?"),
    (
        "thresholds",
        "{Dress: {kind: fixed, value: 1, valu: 1}}",
        "thresholds.Dress.valu: unknown field, did you mean value?",
    ),
    (
        "thresholds",
        "{default: .3, Dress: .4}",
        "thresholds.Dress: unknown field; where default or per_label is written, labels stand below "
        "per_label",
    ),
    ("thresholds", "max_f2", "thresholds: unknown kind max_f2, did you mean max_f1?"),
    # wrong types and values
    ("train", "[1]", "train: must be a mapping, not a list"),
    ("model", "small", "model: must be a mapping, not 'small'"),
    ("model", "", "model: must be a mapping, not null"),
    ("train", "{epochs: many}", "train.epochs: must be a whole number, not 'many'"),
    ("train", "{epochs: '3'}", "train.epochs: must be a whole number, not '3'. Remove the quotes."),
    ("train", "{epochs: true}", "train.epochs: must be a whole number, not true"),
    ("train", "{epochs: 2.5}", "train.epochs: must be a whole number, not 2.5"),
    ("train", "{epochs: 0}", "train.epochs: must be at least 1, not 0"),
    ("train", "{learning_rate: true}", "train.learning_rate: must be a number, not true"),
    ("train", "{learning_rate: 0}", "train.learning_rate: must be at least 1e-09, not 0"),
    ("train", "{learning_rate: .inf}", "train.learning_rate: must be a finite number, not inf"),
    ("train", "{limit_val_batches: 0}", "train.limit_val_batches: must be at least 1, not 0"),
    ("train", "{limit_val_batches: 1.5}", "train.limit_val_batches: must be at most 1, not 1.5"),
    (
        "train",
        "{limit_val_batches: true}",
        "train.limit_val_batches: must be a number of batches, such as 100, or a share of them, such as"
        " 0.1, not true",
    ),
    ("train", "{devices: al}", "train.devices: must be auto or a whole number of devices, not 'al'"),
    (
        "train",
        "{strategy: dp}",
        "train.strategy: must be auto, ddp or fsdp, not 'dp'. Did you mean ddp?",
    ),
    ("train", "{seed: 4294967296}", "train.seed: must be less than 4294967296, not 4294967296"),
    (
        "train",
        "{loggers: [tensorbord]}",
        "train.loggers.0: must be csv, tensorboard, mlflow or wandb, not 'tensorbord'. Did you mean "
        "tensorboard?",
    ),
    (
        "train",
        "{loggers: [csv, csv]}",
        "train.loggers: csv is there twice. Remove one.",
    ),
    ("gates", "{macro_pa: 0.3}", "gates.macro_pa: unknown field, did you mean macro_ap?"),
    (
        "gates",
        "{macro_ap: '<= 0.2'}",
        "gates.macro_ap: must be a number such as 0.25, or \">= 0.25\", not '<= 0.2'",
    ),
    (
        "gates",
        "{macro_log_loss: '>= 0.2'}",
        "gates.macro_log_loss: must be a number such as 0.25, or \"<= 0.25\", not '>= 0.2'",
    ),
    ("gates", "{macro_auroc: 70}", "gates.macro_auroc: must be at most 1, not 70. Write 0.7 for 70 %."),
    ("gates", "{label_auroc_min: 0}", "gates.label_auroc_min: must be greater than 0, not 0"),
    (
        "gates",
        "{beats: recent}",
        "gates.beats: must be prevalence, frequency, recency, boosting, linear or trees, "
        "not 'recent'. Did you mean recency?",
    ),
    (
        "gates",
        "{beats: [recency, recency]}",
        "gates.beats: recency is there twice. Remove one.",
    ),
    ("model", "{history: 1}", "model.history: must be true or false, not 1. Write true."),
    ("model", "{history: yes}", "model.history: must be true or false, not 'yes'. Write true."),
    (
        "model",
        "{history: false, attributes: false}",
        "model: history, attributes, memory and context are all off. Switch one of them on.",
    ),
    (
        "model",
        "{max_events: 100}",
        "model: max_events has no effect without memory, foundation or context. Remove it.",
    ),
    ("examples", "{holdout_entities: 1}", "examples.holdout_entities: must be less than 1, not 1"),
    ("examples", "{every_days: 99999}", "examples.every_days: must be at most 36500, not 99999"),
    (
        "examples",
        "{test_from: soon}",
        "examples.test_from: must be a date such as 2024-03-31 or 2024-03-31T18:00:00, not 'soon'",
    ),
    (
        "examples",
        "{test_from: 20200901}",
        "examples.test_from: must be a date such as 2024-03-31 or 2024-03-31T18:00:00, not 20200901. "
        "Write 2020-09-01.",
    ),
    (
        "examples",
        "{test_from: true}",
        "examples.test_from: must be a date such as 2024-03-31 or 2024-03-31T18:00:00, not true",
    ),
    (
        "examples",
        "{test_from: 2020-02-30}",
        "examples.test_from: 2020-02-30 cannot be read: day is out of range for month. Quote it if it "
        "is text.",
    ),
    ("thresholds", "1.5", "thresholds: must be at most 1, not 1.5"),
    ("thresholds", "true", "thresholds: must be a mapping, not true"),
    ("thresholds", "{Dress: -1}", "thresholds.Dress: must be at least 0, not -1"),
    (
        "thresholds",
        "'0.5'",
        "thresholds: unknown kind 0.5, known: auto, cost, fixed, max_f1, max_fbeta, never, …",
    ),
    (
        "name",
        "a/b",
        "name: must be letters, digits, '.', '_' or '-', and begin with a letter or digit, not 'a/b'",
    ),
    ("name", "12", "name: must be text, not 12. Quote it."),
    # YAML
    ("<<", "{train: 1}", "<<: merge keys (<<) are not read; write the fields out"),
    ("12", "x", "12: a key must be text, not 12. Quote it."),
    ("~", "x", "~: a key must be text, not ~. Quote it."),
    ("? [a]\n", "x", "line 10: a key must be text, not a list or mapping. Quote it."),
    ("train", "{epochs: !!int x}", "train.epochs: a tag such as !!int means nothing here; remove it"),
    ("train", "!mine {epochs: 1}", "train: a tag such as !mine means nothing here; remove it"),
    ("train", "&a {epochs: *a}", "train.epochs: an alias must not contain itself; write the value out"),
    (
        "train",
        "{epochs: 1, epochs: 2}",
        "train.epochs: this field is in line 10 already. Remove one of them.",
    ),
    # contradictions
    (
        "examples",
        "{validation_from: 2020-08-20, test_from: 2020-09-01}",
        "examples.validation_from: must lie at least 21 days (gap and window) before test_from, but "
        "2020-08-20 and 2020-09-01 do not. Move it back by 9 days.",
    ),
    (
        "examples",
        "{test_from: 2020-09-01, observed_until: 2020-09-10}",
        "examples.test_from: must lie at least 21 days (gap and window) before observed_until, but "
        "2020-09-01 and 2020-09-10 do not. Move it back by 12 days.",
    ),
    (
        "examples",
        "{validation_from: 8999-12-31, test_from: 1000-01-01}",
        "examples.validation_from: must lie at least 21 days (gap and window) before test_from, but "
        "8999-12-31 and 1000-01-01 do not. Move it back by 2921960 days.",
    ),
    (
        "examples",
        "{validation_from: 2020-08-01, test_from: 2020-09-01T00:00Z}",
        "examples.validation_from: validation_from without a time zone, and others with one. Add one, "
        "such as Z.",
    ),
    (
        "thresholds",
        "{Dres: .4}",
        "thresholds.Dres: Dres is none of class_names. Did you mean Dress?",
    ),
    (
        "thresholds",
        "{per_label: {J.Crew: 1}}",
        "thresholds.per_label.J.Crew: J.Crew is none of class_names. Known: Dress, Skirt.",
    ),
]


@pytest.mark.parametrize(("section", "text", "problem"), REFUSED_SECTIONS)
def test_a_wrong_section_is_refused_with_its_line_in_one_sentence(tmp_path, section, text, problem):
    assert problems_of(tmp_path, shortest(**{section: text})) == [f"scenario.yaml:10: {problem}"]


@pytest.mark.parametrize("label", ["12", "1e-3", "2020-01-01", "null", "true", "~"])
def test_a_label_that_is_not_text_must_be_quoted(tmp_path, label):
    for text, field in ((f"[Dress, {label}]", "class_names.1"), (f"{{Dress: {label}}}", "class_names.Dress")):
        (problem,) = problems_of(tmp_path, shortest(text))
        assert problem.startswith(f"scenario.yaml:8: target.{field}: must be ")
        assert "Quote it" in problem or "list" in problem
    (problem,) = problems_of(tmp_path, shortest(f"{{{label}: Dress}}"))
    assert problem.endswith(f"a key must be text, not {label}. Quote it.")


REFUSED_CLASS_NAMES = [
    (
        "Dress",
        "class_names: must be a list of names, {top: 25}, or a mapping of label to values, not 'Dress'."
        " Write [Dress].",
    ),
    ("[]", "class_names: must not be empty"),
    ("{}", "class_names: must not be empty"),
    (
        "['']",
        "class_names.0: must have a visible character: empty and blank text is no label, not ''",
    ),
    ("[A, B, A]", "class_names: A is there twice. Remove one."),
    ("[[A]]", "class_names.0: must be text, not a list. Write it without brackets: A."),
    ("{top: '25'}", "class_names.top: must be a whole number, not '25'. Remove the quotes."),
    ("{top: 2.5}", "class_names.top: must be a whole number, not 2.5"),
    ("{min_support: 3}", "class_names.top: this field is required"),
    ("{top: 3, min_suport: 3}", "class_names.min_suport: unknown field, did you mean min_support?"),
    ("{groups: [A], top: [B, {}]}", "class_names.top.1: must be text, not a mapping"),
    ("{top: 3, top: 4}", "class_names.top: this field is in line 8 already. Remove one of them."),
]


@pytest.mark.parametrize(("class_names", "problem"), REFUSED_CLASS_NAMES)
def test_wrong_class_names_are_refused(tmp_path, class_names, problem):
    assert problems_of(tmp_path, shortest(class_names)) == [f"scenario.yaml:8: target.{problem}"]


TABLE = "{kind: events, path: sales.parquet, time: day}"


REFUSED_TABLES = [
    ("{kind: event, path: p, time: t}", "sales: unknown kind event, did you mean events?"),
    (
        "{path: p, time: t}",
        "sales: kind is missing. Add kind: events or dimension or entities or rows or labels.",
    ),
    ("{kind: events, path: p}", "sales.time: this field is required"),
    ("{kind: events, path: p, time: t, jions: {}}", "sales.jions: unknown field, did you mean joins?"),
    (
        "{kind: events, path: p, time: t, events: 1}",
        "sales.events: unknown field, known: columns, computed, encoders, entity, format, joins, …",
    ),
    ("{kind: events, path: '', time: t}", "sales.path: must not be empty"),
    ("{kind: events, path: p, time: t, format: cvs}", "sales.format: unknown kind cvs, did you mean csv?"),
    (
        "{kind: events, path: p, time: t, format: {kind: csv, seperator: ','}}",
        "sales.format.seperator: unknown field, did you mean separator?",
    ),
    (
        "{kind: events, path: p, time: t, format: {kind: csv, separator: '||'}}",
        "sales.format.separator: must be 1 character long, not '||'",
    ),
    (
        "{kind: events, path: p, time: t, encoders: {category: {kind: category, min_cout: 1}}}",
        "sales.encoders.category.min_cout: unknown field, did you mean min_count?",
    ),
    ("{kind: events, path: p, time: t, encoders: {x: 5}}", "sales.encoders.x: must be a mapping, not 5"),
    (
        "{kind: events, path: p, time: t, joins: {shops: shop}}",
        "sales.joins.shops: shops is no table of kind dimension. There is none.",
    ),
    (
        f"{TABLE}\n    shop: {{kind: dimension, path: p, key: k}}",
        "shop: no table joins this table. Add it to joins, or remove it.",
    ),
    (
        "{kind: events, path: p, time: t, joins: {shop: a}}\n    shop: {kind: dimension, path: p, "
        "key: [k, l]}",
        "sales.joins.shop: a for the key k, l. Name one column for each key column.",
    ),
]


@pytest.mark.parametrize(("table", "problem"), REFUSED_TABLES)
def test_a_wrong_table_is_refused_at_its_own_depth(tmp_path, table, problem):
    found = problems_of(tmp_path, SHORTEST.replace(TABLE, table))
    assert [re.sub(r"scenario.yaml:\d+: data.tables.", "", line) for line in found] == [problem]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "table: sales",
            "table: sale",
            "6: target.table: sale is no table of kind events. Did you mean sales?",
        ),
        (
            "column: product",
            "column: shop.name",
            "7: target.column: shop is not joined to sales. Add joins: {shop: …} to it.",
        ),
        (
            "[Dress, Skirt]",
            "{top: 3}\n  true_probabilities: p",
            "9: target.true_probabilities: needs the list of class_names, not {top: K}. "
            "List them, or remove this.",
        ),
        (
            "21",
            "21\n  rule: {kind: count_at_least, tims: 3, times: 2}",
            "10: target.rule.tims: unknown field, did you mean times?",
        ),
        (
            "entity: customer",
            "entity: customer\n  memory_limit: 8 gigs",
            "3: data.memory_limit: must be a size of memory such as 8GB or 500MB, not '8 gigs'",
        ),
        ("21", "21\n  rule: count_at_least", "10: target.rule.times: this field is required"),
    ],
)
def test_a_wrong_target_is_refused(tmp_path, old, new, problem):
    assert problems_of(tmp_path, SHORTEST.replace(old, new)) == [f"scenario.yaml:{problem}"]


def test_without_an_events_table_the_rest_is_checked_too(tmp_path):
    found = problems_of(tmp_path, SHORTEST.replace(TABLE, "{kind: entities, path: p, key: k}"))
    assert found == [
        "scenario.yaml:3: data.tables: no table is of kind events. Add one.",
        "scenario.yaml:6: target.table: sales is no table of kind events. There is none.",
    ]
