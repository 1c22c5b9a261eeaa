"""Common mistakes in a scenario, and the whole message for each: its line, its cause, what to write."""

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from mlc.commands.check import check
from mlc.errors import MlcError
from mlc.errors.names import FIELDS, nearest, similarity, synonym_of
from mlc.scenario import scenario_schema
from tests.support.event_scenarios import load_events
from tests.support.scenario_texts import SHORTEST, problems_of, shortest

# ── names of other tools, other sections, and misspelt ones ─────────────────────────────────────

FIELD_MISTAKES = [
    ("lr", "1", "lr: unknown field, did you mean learning_rate? It belongs to train"),
    ("max_epochs", "3", "max_epochs: unknown field, did you mean epochs? It belongs to train"),
    ("seed", "7", "seed: unknown field; it belongs to train"),
    ("horizon", "21", "horizon: unknown field, did you mean window_days? It belongs to target"),
    ("labels", "[a]", "labels: unknown field, did you mean class_names? It belongs to target"),
    ("target_column", "x", "target_column: unknown field, did you mean column? It belongs to target"),
    ("epohcs", "3", "epohcs: unknown field, did you mean epochs? It belongs to train"),
    ("path", "x", "path: unknown field; it belongs to data.tables.<table>"),
    ("date_col", "x", "date_col: unknown field, did you mean time? It belongs to data.tables.<table>"),
    ("train", "{lr: 1}", "train.lr: unknown field, did you mean learning_rate?"),
    ("train", "{bs: 8}", "train.bs: unknown field, did you mean batch_size?"),
    ("train", "{n_epochs: 8}", "train.n_epochs: unknown field, did you mean epochs?"),
    ("train", "{maxEpochs: 8}", "train.maxEpochs: unknown field, did you mean epochs?"),
    ("train", "{random_state: 8}", "train.random_state: unknown field, did you mean seed?"),
    ("train", "{window_days: 8}", "train.window_days: unknown field; it belongs to target"),
    ("train", "{epochs:3}", "train.epochs:3: unknown field; put a space after the colon: epochs: 3"),
    (
        "train",
        "epochs:3",
        "train: must be a mapping, not 'epochs:3'. Put a space after the colon: epochs: 3.",
    ),
    ("model", "{size: small}", "model.size: unknown field, did you mean preset?"),
    ("Train", "{epochs: 1}", "Train: unknown field, did you mean train?"),
]


@pytest.mark.parametrize(("section", "text", "problem"), FIELD_MISTAKES)
def test_a_field_of_another_name_or_another_section_is_told_where_it_belongs(
    tmp_path, section, text, problem
):
    assert problems_of(tmp_path, shortest(**{section: text})) == [f"scenario.yaml:10: {problem}"]


def test_every_synonym_is_of_a_name_that_a_scenario_has():
    schema = str(scenario_schema())
    assert [name for name in FIELDS if f"'{name}'" not in schema] == []


@pytest.mark.parametrize(
    ("wrong", "known", "found"),
    [
        ("client_id", ["article_id", "customer_id", "price"], ["customer_id"]),
        ("custmoer_id", ["article_id", "customer_id"], ["customer_id"]),
        ("user", ["customer", "item"], ["customer"]),
        ("macro_pa", ["macro_ap", "macro_auroc"], ["macro_ap"]),
        ("Denim", ["Denim 1", "Denim 2", "Skirt"], ["Denim 1", "Denim 2"]),
        ("zzz", ["customer", "item"], []),
        ("x", [], []),
    ],
)
def test_only_the_nearest_names_are_proposed(wrong, known, found):
    assert nearest(wrong, known) == found


def test_names_are_alike_whatever_their_case_and_the_order_of_their_letters():
    assert similarity("Price", "price") == 1.0
    assert similarity("pirce", "price") > similarity("prize", "price") > similarity("x", "price")
    assert synonym_of("LR", ["learning_rate", "loss"]) == "learning_rate"
    assert synonym_of("lr", ["epochs"]) is None


# ── values ──────────────────────────────────────────────────────────────────────────────────────

VALUE_MISTAKES = [
    (
        "model",
        "{foundation: True}",
        "model.foundation: must be text, not true. Write the name of a run, or auto.",
    ),
    ("model", "{history: on}", "model.history: must be true or false, not 'on'. Write true."),
    ("model", "{history: No}", "model.history: must be true or false, not 'No'. Write false."),
    (
        "train",
        "{epochs: [3]}",
        "train.epochs: must be a whole number, not a list. Write it without brackets: 3.",
    ),
    (
        "train",
        "{batch_size: '1,000'}",
        "train.batch_size: must be a whole number, not '1,000'. Write 1000.",
    ),
    ("train", "{learning_rate: '0,1'}", "train.learning_rate: must be a number, not '0,1'. Write 0.1."),
    ("train", "{loggers: csv}", "train.loggers: must be a list, not 'csv'. Write [csv]."),
    ("examples", "{every_days: 3w}", "examples.every_days: must be a whole number, not '3w'. Write 21."),
    ("examples", "{every_days: -1}", "examples.every_days: must be at least 1, not -1"),
    (
        "examples",
        "{holdout_entities: 80%}",
        "examples.holdout_entities: must be a number, not '80%'. Write 0.8.",
    ),
    (
        "examples",
        "{holdout_entities: 20}",
        "examples.holdout_entities: must be less than 1, not 20. Write 0.2 for 20 %.",
    ),
    (
        "examples",
        "{test_from: 31.12.2024}",
        "examples.test_from: must be a date such as 2024-03-31 or 2024-03-31T18:00:00, not "
        "'31.12.2024'. Write 2024-12-31.",
    ),
    (
        "examples",
        "{test_from: 3/4/2024}",
        "examples.test_from: must be a date such as 2024-03-31 or 2024-03-31T18:00:00, not '3/4/2024'. "
        "Write year, month and day: 2024-03-04 or 2024-04-03.",
    ),
    (
        "examples",
        "{test_from: 0999-01-01}",
        "examples.test_from: must be a date in the years 1000 to 8999, not 0999-01-01",
    ),
    ("gates", "{macro_ap: 80}", "gates.macro_ap: must be at most 1, not 80. Write 0.8 for 80 %."),
    (
        "thresholds",
        "{precision: .6}",
        "thresholds.precision: precision is none of class_names. Did you mean the policy precision_at_least?",
    ),
]


@pytest.mark.parametrize(("section", "text", "problem"), VALUE_MISTAKES)
def test_a_value_in_another_form_is_told_how_to_write_it(tmp_path, section, text, problem):
    assert problems_of(tmp_path, shortest(**{section: text})) == [f"scenario.yaml:10: {problem}"]


@pytest.mark.parametrize(
    ("window", "problem"),
    [
        (
            "window: 21",
            "target.window: must be next_week or next_month, not 21. For days, use window_days.",
        ),
        ("window_days: 21 days", "target.window_days: must be a whole number, not '21 days'. Write 21."),
        ("window_days: -7", "target.window_days: must be at least 1, not -7"),
        ("horizon_days: 21", "target.horizon_days: unknown field, did you mean window_days?"),
    ],
)
def test_a_window_in_another_form_is_told_how_to_write_it(tmp_path, window, problem):
    text = SHORTEST.replace("window_days: 21", window)
    assert problems_of(tmp_path, text)[-1] == f"scenario.yaml:9: {problem}"


# ── YAML ────────────────────────────────────────────────────────────────────────────────────────

YAML_MISTAKES = [
    ("path: sales.parquet", "path: ${DIR}/x", 4, 'quote a value with ${…} inside braces: "${NAME}/…"'),
    (
        "path: sales.parquet",
        'path: "C:\\data\\sales.parquet"',
        4,
        "a backslash between double quotes begins an escape; use single quotes, or / in paths",
    ),
    ("path: sales.parquet", "path: *.parquet", 4, "quote a value that begins with *: '*.parquet'"),
    ("path: sales.parquet", "path: @x", 4, "quote a value that begins with @: '@x'"),
    ("  column: product", "  column:product", 7, "put a space after the colon: column: product"),
    ("  window_days: 21", "  window_days:21", 9, "put a space after the colon: window_days: 21"),
    ("  column: product", "  column: a: b", 7, "quote a value that contains a colon and a space"),
    ("  column: product", "\tcolumn: product", 7, "a value or an indentation begins with a tab; use spaces"),
    ("column: product", 'column: "items".kind', 7, "quote the whole value: '\"items\".kind'"),
    ("[Dress, Skirt]", "[Dress, Skirt", 8, "the [ that begins here is never closed"),
    ("[Dress, Skirt]", "\n  - Dress\n  -Skirt", 10, "put a space after the dash: - Skirt"),
    (
        "window_days: 21",
        "window_days: 21\n  separator: '",
        10,
        "the quote ' that begins here is never closed",
    ),
    ("target:", "target", 5, "put a colon after target"),
    ("  window_days", "   window_days", 9, "the line must be indented like those it belongs with"),
]


@pytest.mark.parametrize(("old", "new", "line", "problem"), YAML_MISTAKES)
def test_a_slip_in_yaml_is_told_in_its_line_with_what_to_write(tmp_path, old, new, line, problem):
    assert problems_of(tmp_path, SHORTEST.replace(old, new)) == [f"scenario.yaml:{line}: {problem}"]


def test_a_bar_alone_is_not_taken_for_an_empty_text(tmp_path):
    text = SHORTEST.replace("window_days: 21", "window_days: 21\n  separator: |")
    problem = "target.separator: quote it: '|' alone begins a block of text"
    assert problems_of(tmp_path, text) == [f"scenario.yaml:10: {problem}"]


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        (r'"a\0b"', "must have no NUL character"),
        ("x" * 300, "must have at most 255 bytes between two slashes"),
    ],
)
def test_a_path_that_no_file_can_have_is_refused_before_one_is_looked_for(tmp_path, path, problem):
    (found,) = problems_of(tmp_path, SHORTEST.replace("sales.parquet", path))
    assert "data.tables.sales.path: " + problem in found


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\xff\xfe" + SHORTEST.encode("utf-16-le"), "it is UTF-16. Save it as UTF-8."),
        (
            SHORTEST.replace("Skirt", "Jupé").encode("latin-1"),
            "line 8 has the byte 0xe9, as in Latin-1. Save it as UTF-8.",
        ),
        (b"PAR1\xff\xff", "it is a table. mlc init writes a scenario that names it."),
    ],
)
def test_a_file_that_is_no_utf_8_is_named_as_what_it_is(tmp_path, content, problem):
    expected = f"scenario.yaml: this is no YAML file: {problem}"
    assert problems_of(tmp_path, content) == [expected]


def test_a_byte_order_mark_is_no_mistake(tmp_path):
    (tmp_path / "x.yaml").write_text("\ufeff" + SHORTEST, encoding="utf-8")
    assert load_events(tmp_path / "x.yaml").target.window_days == 21


# ── --set ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("train.lr=1", "train.lr: unknown field, did you mean learning_rate?"),
        ("lr=1", "lr: unknown field, did you mean learning_rate? It belongs to train"),
        ("trian.epochs=3", "trian: unknown field, did you mean train?"),
        ("train.epochs 3", "must be section.field=value, but there is no '='. Write train.epochs=3."),
        ("train.epochs:3", "must be section.field=value, but there is no '='. Write train.epochs=3."),
        (
            "target.class_names.0=Hat",
            "target.class_names.0: target.class_names is a list, and is set as a whole: "
            "--set target.class_names=[…]",
        ),
        (
            "data.tables.sale.path=x",
            "data.tables.sale.path: there is no table sale, did you mean sales?",
        ),
    ],
)
def test_a_wrong_override_is_told_what_to_type(tmp_path, override, problem):
    assert problems_of(tmp_path, SHORTEST, override) == [f"--set {override}: {problem}"]


def test_spaces_around_the_equals_sign_of_an_override_are_no_mistake(tmp_path):
    (tmp_path / "x.yaml").write_text(SHORTEST, encoding="utf-8")
    assert load_events(tmp_path / "x.yaml", ["train.epochs = 3"]).train.epochs == 3


# ── columns and conditions ──────────────────────────────────────────────────────────────────────

SHOP = """\
data:
  entity: customer_id
  tables:
    transactions:
      kind: events
      path: transactions.parquet
      time: ts
      joins: {articles: article_id}
    articles: {kind: dimension, path: articles.parquet, key: article_id}
    customers: {kind: entities, path: customers.parquet, key: customer_id}
target:
  table: transactions
  column: articles.department_name
  class_names: [Denim 1, Skirt]
  window_days: 7
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    """Three small tables."""
    folder = tmp_path_factory.mktemp("shop")
    rows = range(300)
    pl.DataFrame(
        {
            "customer_id": [f"c{row % 20}" for row in rows],
            "ts": [date(2024, 1, 1) + timedelta(days=row * 90 // 300) for row in rows],
            "article_id": [row % 6 for row in rows],
            "price": [1.0 + row % 50 for row in rows],
        }
    ).write_parquet(folder / "transactions.parquet")
    kinds = {"department_name": ["Denim 1", "Denim 2", "Skirt"] * 2, "product type": ["a", "b", "c"] * 2}
    pl.DataFrame({"article_id": range(6), **kinds, "cost": range(6)}).write_parquet(
        folder / "articles.parquet"
    )
    clubs = {"customer_id": [f"c{row}" for row in range(20)], "club": ["N", "S"] * 10}
    pl.DataFrame(clubs).write_parquet(folder / "customers.parquet")
    return folder


def checked(folder: Path, text: str) -> list[str]:
    """Every problem of `mlc check`, its path without the folder."""
    path = folder / "shop.yaml"
    path.write_text(text, encoding="utf-8")
    try:
        problems = check(load_events(path), folder / "runs").problems
    except MlcError as error:
        problems = error.problems
    return [str(problem).replace(f"{folder}/", "") for problem in problems]


JOINS = "joins: {articles: article_id}"
COLUMN = "column: articles.department_name"
SELF = "and this field takes a column of transactions itself"
COLUMN_MISTAKES = [
    (
        "entity: customer_id",
        "entity: client_id",
        "2: data.entity: transactions has no column client_id. Did you mean customer_id?",
    ),
    (
        COLUMN,
        "column: department_name",
        "13: target.column: transactions has no column department_name. Did you mean "
        "articles.department_name?",
    ),
    (
        COLUMN,
        "column: departmnt_name",
        "13: target.column: transactions has no column departmnt_name. Did you mean "
        "articles.department_name?",
    ),
    (
        COLUMN,
        "column: transactions.price",
        "13: target.column: columns of transactions stand without its name; write price",
    ),
    (
        COLUMN,
        'column: articles."product type"',
        '13: target.column: articles has no column "product type". Write articles.product type, '
        "without quotes.",
    ),
    (
        COLUMN,
        "column: club",
        "13: target.column: transactions has no column club. It is in customers, which is no "
        "dimension that transactions joins.",
    ),
    (
        "time: ts",
        "time: articles.cost",
        "7: data.tables.transactions.time: transactions has no column articles.cost. "
        f"It is in articles, {SELF}.",
    ),
    (
        "time: ts",
        "time: date",
        "7: data.tables.transactions.time: transactions has no column date. Did you mean ts?",
    ),
    (
        JOINS,
        f"{JOINS}\n      encoders: {{cost: number}}",
        "9: data.tables.transactions.encoders.cost: transactions has no column cost. "
        f"It is in articles, {SELF}.",
    ),
    (
        JOINS,
        f"{JOINS}\n      leave_out: [club]",
        "9: data.tables.transactions.leave_out.0: transactions has no column club. "
        f"It is in customers, {SELF}.",
    ),
    (
        JOINS,
        f"{JOINS}\n      entity: club",
        f"9: data.tables.transactions.entity: transactions has no column club. It is in customers, {SELF}.",
    ),
    (
        JOINS,
        f"{JOINS}\n      where: cost > 1",
        "9: data.tables.transactions.where: not true or false for every row: there is no column cost, "
        f"it is in articles, {SELF}",
    ),
    (
        "window_days: 7",
        "window_days: 7\n  rule: {kind: sum_at_least, column: cost, amount: 2}",
        "16: target.rule.column: transactions has no column cost. Did you mean articles.cost?",
    ),
    (
        "window_days: 7",
        "window_days: 7\nslices: [club]",
        "16: slices.0: club is no column of an entities table that the model may see. "
        "Did you mean customers.club?",
    ),
    (
        "[Denim 1, Skirt]",
        '{Denim: "^Denim", Skirt: Skirt}',
        "14: target.class_names.Denim: '^Denim' never occurs in articles.department_name. For a regular"
        ' expression, use {pattern: "^Denim"}.',
    ),
    (
        "path: transactions.parquet",
        "path: transaction.parquet",
        "6: data.tables.transactions.path: no such file: transaction.parquet. Did you mean "
        "transactions.parquet?",
    ),
    (
        "path: transactions.parquet",
        "path: customer.parquet",
        "6: data.tables.transactions.path: no such file: customer.parquet. Known: transactions.parquet.",
    ),
]


@pytest.mark.parametrize(("old", "new", "problem"), COLUMN_MISTAKES)
def test_a_wrong_column_or_path_is_told_at_its_own_line_with_the_nearest_name(shop, old, new, problem):
    assert old in SHOP
    assert checked(shop, SHOP.replace(old, new)) == [f"shop.yaml:{problem}"]


CONDITION_MISTAKES = [
    ("ts > '2024-03-01'", "it compares a date with text; write date('2024-03-01')"),
    ("ts > '2024-03-01 10:00:00'", "it compares a date with text; write timestamp('2024-03-01 10:00:00')"),
    ("price >> 3 = 1", ">> is not read here; write a / pow(2, b)"),
    ("price && articles.cost", "&& is not read here; write AND"),
    ("price ** 2 > 4", "** is not read here; write pow(a, b)"),
    ("!price", "! is not read here; write NOT"),
    ("department_name = 'x'", "there is no column department_name, did you mean articles.department_name?"),
    ("prize > 1", "there is no column prize, did you mean price?"),
    ('articles.department_name = "Skirt"', "there is no column Skirt; write text in single quotes: 'Skirt'"),
    ("price > 1,5", "write decimals with a point: 1.5"),
    ("price", "it gives a number, not true or false"),
    ("price in [1,2]", "write in (…) with round brackets"),
    ("price > 5;", "leave the ; out"),
    ("[price] > 1", 'names stand without brackets; write price, or "…" around a name with spaces'),
    ("price = 'a'", "it compares a number with text; write numbers without quotes, text in single quotes"),
]


@pytest.mark.parametrize(("where", "problem"), CONDITION_MISTAKES)
def test_a_wrong_condition_is_told_as_it_was_typed_with_what_to_write(shop, where, problem):
    text = SHOP + f"  rule:\n    kind: exists\n    where: |-\n      {where}\n"
    rule = "not true or false for every event"
    assert checked(shop, text) == [f"shop.yaml:18: target.rule.where: {rule}: {problem}"]


@pytest.mark.parametrize(
    "where",
    [
        "ts > date('2024-02-01')",
        "ts > timestamp('2024-02-01 10:00:00')",
        "extract(year from ts) = 2024",
        "price / pow(2, 3) > 1",
        "articles.\"product type\" in ('a', 'c')",
        "price > 1.5 AND NOT articles.cost > 100",
    ],
)
def test_what_the_messages_propose_to_write_works(shop, where):
    assert checked(shop, SHOP + f"  rule:\n    kind: exists\n    where: |-\n      {where}\n") == []
