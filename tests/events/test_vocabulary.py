"""Vocabularies: fitted on the past, stored by value."""

import json
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlc.errors import DataError
from mlc.events.vocabulary import OTHER, FieldRows, Vocabulary, code_rows, digest, fit_vocabulary
from mlc.models.branches.attributes import AttributeInputs
from mlc.models.branches.events import EventInputs
from mlc.tables import microseconds
from tests.support.small_tables import (
    DAYS,
    START,
    Built,
    Rows,
    anchors,
    build,
    builder_of,
    many,
    scenario_at,
    shop,
    write,
    write_shop,
)

COUNT_ALL = {"shop": {"kind": "category", "min_count": 1}, "product": "ignore"}


def built_with(folder, rows, people=None, encoders=None) -> Built:
    write_shop(folder, rows)
    value = shop()
    value["data"]["tables"]["sales"]["encoders"] = encoders or COUNT_ALL
    value["data"]["tables"]["products"]["encoders"] = {"department": {"kind": "category", "min_count": 1}}
    if people is not None:
        write(folder / "people.parquet", people)
        value["data"]["tables"]["people"] = {
            "kind": "entities",
            "path": "people.parquet",
            "key": "customer",
            "encoders": {"city": {"kind": "category", "min_count": 1}, "age": "number"},
        }
    return build(scenario_at(folder, value), folder / "runs")


PEOPLE: Rows = [
    {"customer": "ann", "city": "Rome", "age": 31.0},
    {"customer": "bob", "city": None, "age": None},
    {"customer": "late", "city": "Oslo", "age": 5.0},
    {"customer": "nobody", "city": "Bonn", "age": 50.0},
]


def people_and_a_latecomer(folder) -> Built:
    late = {"customer": "late", "day": START + timedelta(days=DAYS - 2), "product": "p4", "price": None}
    rows = [*anchors("ann"), *anchors("bob"), {**late, "shop": "only later"}]
    return built_with(folder, rows, PEOPLE)


def test_only_the_past_is_known(tmp_path):
    built = people_and_a_latecomer(tmp_path)
    past = fit_vocabulary(built.store, built.cutoffs.fit_until, attributes=True, memory=True)
    assert past.events.categories["sales.shop"] == ["north"]
    assert past.attributes.categories == {"people.city": ["Rome"]}
    assert past.attributes.numbers == ["people.age"]
    now = fit_vocabulary(built.store, START + timedelta(days=DAYS), attributes=True, memory=True)
    assert now.events.categories["sales.shop"] == ["north", "only later"]
    assert now.attributes.categories == {"people.city": ["Oslo", "Rome"]}
    assert now.attributes.sizes == [4]


def test_values_of_a_dimension_count_by_event(tmp_path):
    built = people_and_a_latecomer(tmp_path)
    past = fit_vocabulary(built.store, built.cutoffs.fit_until, attributes=True, memory=True)
    assert past.events.categories["products.department"] == ["Dress", "Hat", "Skirt"]
    assert past.events.numbers == ["sales.price"]
    off = fit_vocabulary(built.store, built.cutoffs.fit_until, attributes=False, memory=False)
    assert off == Vocabulary(FieldRows({}, []), FieldRows({}, []))


def test_rare_values_share_a_row(tmp_path):
    rows = anchors("ann") + [{**row, "shop": "south"} for row in anchors("ann")[:19]]
    built = built_with(tmp_path, rows, encoders={"shop": {"kind": "category", "min_count": 20}})
    known = fit_vocabulary(built.store, built.cutoffs.fit_until, attributes=True, memory=True)
    assert known.events.categories["sales.shop"] == ["north"]


def test_unseen_values_are_row_1_and_missing_ones_row_0(tmp_path):
    built = people_and_a_latecomer(tmp_path)
    vocabulary = fit_vocabulary(built.store, built.cutoffs.fit_until, attributes=True, memory=True)
    assert code_rows(built.store, vocabulary.events, "sales.shop").tolist() == [0, 2, 1]
    ids = built.store.entity_ids.to_list()
    rows = np.array([ids.index(name) for name in ("ann", "bob", "late")])
    cutoffs = np.full(3, microseconds(START + timedelta(days=DAYS)))
    batch = builder_of(built, vocabulary).build(rows, rows, cutoffs, None)
    assert batch.of(AttributeInputs).fields_B.categories_XF.tolist() == [[2], [0], [1]]
    numbers_BN = batch.of(AttributeInputs).fields_B.numbers_XF.numpy()
    np.testing.assert_array_equal(numbers_BN, np.array([[31.0], [np.nan], [5.0]], np.float32))
    events = batch.of(EventInputs)
    last = events.fields_M.categories_XF[events.example_M == 2]
    shop_column = list(vocabulary.events.categories).index("sales.shop")
    assert last[:, shop_column].tolist() == [1]
    assert last[:, list(vocabulary.events.categories).index("products.department")].tolist() == [0]
    assert events.fields_M.numbers_XF[events.example_M == 2].isnan().all()


def test_a_column_that_left_the_tables_is_missing(tmp_path):
    first = people_and_a_latecomer(tmp_path)
    vocabulary = fit_vocabulary(first.store, first.cutoffs.fit_until, attributes=True, memory=True)
    (tmp_path / "again").mkdir()
    without = [{"customer": person["customer"], "age": person["age"]} for person in PEOPLE]
    write_shop(tmp_path / "again", anchors("ann"))
    write(tmp_path / "again" / "people.parquet", without)
    value = shop()
    value["data"]["tables"]["people"] = {"kind": "entities", "path": "people.parquet", "key": "customer"}
    value["data"]["tables"]["people"]["encoders"] = {"age": "number"}
    built = build(scenario_at(tmp_path / "again", value), tmp_path / "runs")
    one = np.zeros(1, np.int64)
    cutoffs = np.array([microseconds(START + timedelta(days=9))])
    batch = builder_of(built, vocabulary).build(one, one, cutoffs, None)
    assert batch.of(AttributeInputs).fields_B.categories_XF.tolist() == [[0]]
    assert batch.of(AttributeInputs).fields_B.numbers_XF.tolist() == [[31.0]]


@pytest.mark.parametrize("kinds", [("category", "number"), ("number", "category")])
def test_a_column_that_has_changed_its_kind_is_refused(tmp_path, kinds):
    builts = []
    for kind in kinds:
        (tmp_path / kind).mkdir()
        builts.append(built_with(tmp_path / kind, anchors("ann"), encoders={"price": kind}))
    vocabulary = fit_vocabulary(builts[0].store, START + timedelta(days=DAYS), attributes=True, memory=True)
    with pytest.raises(DataError, match=rf"sales.price was a {kinds[0]} in training and is a {kinds[1]} now"):
        builder_of(builts[1], vocabulary)


texts = st.lists(st.text(max_size=4), unique=True, max_size=4)
names = st.text(max_size=4)
field_rows = st.builds(
    FieldRows,
    st.dictionaries(names, texts, max_size=3),
    texts,
    st.dictionaries(names, st.integers(1, 9), max_size=2),
    st.dictionaries(names, st.lists(st.integers(0, 2**32 - 1), max_size=3), max_size=2),
)


@many
@given(st.builds(Vocabulary, field_rows, field_rows))
def test_a_vocabulary_survives_json(vocabulary):
    assert Vocabulary.from_json(json.loads(json.dumps(vocabulary.as_json()))) == vocabulary


# ── rows shared by a hash ───────────────────────────────────────────────────────────────────────


def many_shops(folder) -> Built:
    """Many events in north, 2 in each of 20 small shops, 1 in one more; some in a shop that opened late."""
    anchored = anchors("ann")
    shops = [f"small {index // 2}" for index in range(40)] + ["once"]
    rows = [{**row, "shop": name} for row, name in zip(anchored, shops, strict=False)]
    rows += anchors("bob")
    rows += [{**anchored[-1], "day": START + timedelta(days=DAYS - 1), "shop": "new"}] * 3
    encoder = {"kind": "category", "min_count": 20, "hash_rows": 8}
    return built_with(folder, rows, encoders={"shop": encoder, "product": "ignore"})


def test_rarer_values_share_rows_by_their_text(tmp_path):
    built = many_shops(tmp_path)
    known = fit_vocabulary(built.store, built.cutoffs.fit_until, attributes=True, memory=True).events
    assert known.categories["sales.shop"] == ["north"]
    assert known.sizes[list(known.categories).index("sales.shop")] == 2 + 1 + 8
    names = built.store.values("sales.shop")
    rows = dict(zip(names, code_rows(built.store, known, "sales.shop")[1:].tolist(), strict=True))
    small = {name: row for name, row in rows.items() if name.startswith("small")}
    assert len(small) == 20
    assert all(row == 3 + digest(name) % 8 for name, row in small.items())
    assert len(set(small.values())) > 4


def test_values_seen_once_or_never_keep_the_row_of_all_others(tmp_path):
    built = many_shops(tmp_path)
    known = fit_vocabulary(built.store, built.cutoffs.fit_until, attributes=True, memory=True).events
    rows = dict(
        zip(built.store.values("sales.shop"), code_rows(built.store, known, "sales.shop")[1:], strict=True)
    )
    assert rows["once"] == rows["new"] == OTHER


def test_a_vocabulary_of_before_has_no_shared_rows():
    rows = {"categories": {"sales.shop": ["north"]}, "numbers": []}
    old = Vocabulary.from_json({"attributes": {"categories": {}, "numbers": []}, "events": rows})
    assert old.events.sizes == [3]
