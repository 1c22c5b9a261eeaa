"""A model says when the tables hold values, labels or ids that it was not trained on."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mlc.events.label_names import resolve_labels, value_counts
from mlc.events.store import EventStore, open_store
from mlc.events.unfamiliar import gone_labels, other_id_type, unfamiliar_values
from mlc.events.vocabulary import Vocabulary, fit_vocabulary
from mlc.scenario import EventScenario
from tests.support.small_tables import START, scenario_at, shop, silent, write, write_shop

KINDS = ["north", "south"]


def tables(place: Path, shops: list[Any]) -> tuple[EventScenario, EventStore]:
    """Write a shop with one sale per hour in each of these shops, and open its store."""
    place.mkdir(exist_ok=True)
    write_shop(place, [])
    sales = pl.DataFrame(
        {
            "customer": [f"c{row % 9}" for row in range(len(shops))],
            "day": [START + row * timedelta(hours=1) for row in range(len(shops))],
            "product": [f"p{row % 3 + 1}" for row in range(len(shops))],
            "price": [1.0] * len(shops),
            "shop": shops,
        }
    )
    write(place / "sales.parquet", sales)
    scenario = scenario_at(place, shop())
    return scenario, open_store(scenario, place / "runs", silent)


@pytest.fixture
def known(tmp_path) -> Vocabulary:
    _, store = tables(tmp_path / "before", KINDS * 300)
    return fit_vocabulary(store, datetime.max, attributes=True, memory=True)


def test_the_tables_of_the_training_are_familiar(tmp_path, known):
    _, store = tables(tmp_path / "now", KINDS * 200)
    assert not list(unfamiliar_values(store, known))


@pytest.mark.parametrize("written", ["NORTH", "n", "1"])
def test_a_column_of_which_the_model_knows_no_value_is_named(tmp_path, known, written):
    _, store = tables(tmp_path / "now", [written] * 400)
    (line,) = unfamiliar_values(store, known)
    assert line == (
        f"sales.shop: the model knows none of the 400 values, such as {written!r}; it was trained on values "
        "such as 'north'. Write them as in the training, or train again."
    )


def test_values_that_are_written_otherwise_lately_are_named(tmp_path, known):
    _, store = tables(tmp_path / "now", [*KINDS * 200, *["N"] * 60])
    (line,) = unfamiliar_values(store, known)
    assert line.startswith("sales.shop: the model does not know 100% of the newest 46 values, such as 'N'")


def test_a_new_value_among_known_ones_is_nothing_to_say(tmp_path, known):
    _, store = tables(tmp_path / "now", [*KINDS, "west"] * 150)
    assert not list(unfamiliar_values(store, known))


def test_labels_whose_values_have_gone_are_named(tmp_path):
    scenario, store = tables(tmp_path / "now", KINDS * 200)
    counts = value_counts(scenario, datetime.max, store)
    left = counts.filter(pl.col("value") != "Hat")
    names = ["Dress", "Skirt", "Hat"]
    assert not list(gone_labels(resolve_labels(scenario, counts, names), counts, "kind"))
    assert list(gone_labels(resolve_labels(scenario, left, names), left, "kind")) == [
        "label Hat: no event has 'Hat' in kind any more, as there was in the training. "
        "Check how the tables write it, or train again without it."
    ]


def test_ids_of_another_type_than_at_the_training_are_named():
    (line,) = other_id_type(pl.String(), pl.Int64(), "cust")
    assert line.startswith("cust is whole numbers, in the training it was text.")
    assert not list(other_id_type(pl.Int64(), pl.UInt64(), "cust"))
