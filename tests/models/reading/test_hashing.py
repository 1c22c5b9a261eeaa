"""Texts as hashed parts: what was never seen still says something, from the tables to the scores."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
import torch

from mlc.events.vocabulary import Vocabulary, fit_vocabulary
from mlc.models.branches.attributes import AttributeInputs
from mlc.models.branches.events import EventInputs
from mlc.models.encoders import TextEmbedding
from mlc.models.reading.batch import BUCKETS, Texts
from mlc.models.reading.hashing import Bags, joined, parts
from mlc.tables import microseconds
from tests.conftest import NANO, Command
from tests.support.small_tables import (
    DAYS,
    START,
    anchors,
    build,
    builder_of,
    scenario_at,
    shop,
    write,
    write_shop,
)

NAMES = {"p1": "Red mug", "p2": "Woollen HAT, red", "p3": None, "p4": "Mug (blue)"}


def bag(text: str) -> list[int]:
    bags = Bags.of([text])
    return sorted(bags.buckets.tolist())


def test_buckets_are_the_same_wherever_they_are_made():
    assert bag("mug") == [281, 866, 1471, 2089]
    assert max(bag("Rosé, Zürich 日本")) < BUCKETS


def test_case_and_punctuation_do_not_matter():
    assert bag("RED, mug!") == bag("red mug")


def test_words_that_share_letters_share_parts():
    assert len(set(parts("candles")) & set(parts("candle"))) == 5
    assert not set(parts("candle")) & set(parts("mug"))


def test_fields_have_buckets_of_their_own():
    both = joined([Bags.of(["mug", ""]), Bags.of(["mug"])])
    assert both.starts.tolist() == [0, 4, 4, 8]
    assert (both.buckets[4:] - both.buckets[:4]).tolist() == [BUCKETS] * 4
    again = both.chosen(np.array([2]))
    assert again.starts.tolist() == [0, 4]
    assert again.buckets.tolist() == both.buckets[4:].tolist()


def texts_of(values: list[str]) -> Texts:
    bags = Bags.of(values)
    places = torch.arange(len(values))[:, None]
    return Texts(places, torch.from_numpy(bags.starts[:-1]), torch.from_numpy(bags.buckets))


def test_an_unseen_text_lies_near_those_that_it_resembles():
    torch.manual_seed(0)
    known, unknown, other, nothing = TextEmbedding(1, 16)(
        texts_of(["scented candle red", "scented candles blue", "garden hose", ""])
    )
    near = torch.cosine_similarity(known, unknown, dim=0)
    far = torch.cosine_similarity(known, other, dim=0)
    assert near > 0.5 > far + 0.2
    assert nothing.abs().sum() == 0


def test_no_event_is_no_problem():
    nothing = torch.zeros(0, dtype=torch.int64)
    assert TextEmbedding(2, 8)(Texts(nothing.view(0, 2), nothing, nothing)).shape == (0, 8)


def named_shop(folder, names=NAMES):
    """The shop, whose products have names that are texts, and customers with a motto."""
    write_shop(folder, [*anchors("ann"), *anchors("bob")])
    products = pl.read_parquet(folder / "products.parquet")
    named = products.with_columns(pl.col("code").replace_strict(names, default=None).alias("name"))
    write(folder / "products.parquet", named)
    write(
        folder / "people.parquet",
        [{"customer": "ann", "motto": "Carpe diem"}, {"customer": "bob", "motto": None}],
    )
    value = shop()
    tables = value["data"]["tables"]
    tables["products"]["encoders"] = {"name": "text"}
    tables["people"] = {
        "kind": "entities",
        "path": "people.parquet",
        "key": "customer",
        "encoders": {"motto": "text"},
    }
    return build(scenario_at(folder, value), folder / "runs")


def test_a_batch_has_each_distinct_text_once(tmp_path):
    built = named_shop(tmp_path)
    vocabulary = fit_vocabulary(built.store, built.cutoffs.fit_until, attributes=True, memory=True)
    assert vocabulary.events.texts == ["products.name"]
    assert vocabulary.attributes.texts == ["people.motto"]
    ids = built.store.entity_ids.to_list()
    rows = np.array([ids.index("ann"), ids.index("bob")])
    cutoffs = np.full(2, microseconds(START + timedelta(days=DAYS)))
    builder = builder_of(built, vocabulary)
    batch = builder.build(rows, rows, cutoffs, None).to("cpu")
    texts_M, texts_B = batch.of(EventInputs).fields_M.texts, batch.of(AttributeInputs).fields_B.texts
    assert texts_M is not None
    assert texts_B is not None

    def bags(texts: Texts) -> list[list[int]]:
        ends = [*texts.starts_U[1:].tolist(), len(texts.buckets_G)]
        distinct = [
            sorted(texts.buckets_G[start:end].tolist())
            for start, end in zip(texts.starts_U.tolist(), ends, strict=True)
        ]
        return [distinct[place] for place in texts.places_XF[:, 0].tolist()]

    assert bags(texts_B) == [bag("Carpe diem"), []]
    _, index_M = built.store.events.history(rows, cutoffs)
    joined_rows = built.store.events.columns[">products"][index_M]
    products = [None, *pl.read_parquet(tmp_path / "products.parquet")["name"].to_list()]
    assert bags(texts_M) == [bag(products[row] or "") for row in joined_rows]
    assert len(texts_M.starts_U) <= 4


def test_a_text_column_that_left_the_tables_is_missing(tmp_path):
    built = named_shop(tmp_path)
    known = fit_vocabulary(built.store, built.cutoffs.fit_until, attributes=True, memory=True)
    gone = Vocabulary(replace(known.attributes, texts=["people.gone"]), known.events)
    builder = builder_of(built, gone)
    one = np.zeros(1, np.int64)
    batch = builder.build(one, one, np.array([microseconds(START)]), None)
    texts_B = batch.of(AttributeInputs).fields_B.texts
    assert texts_B is not None
    assert texts_B.places_XF.tolist() == [[0]]
    assert len(texts_B.buckets_G) == 0


@pytest.mark.parametrize("foundation", [False, True])
def test_texts_go_from_the_tables_to_the_scores_of_texts_never_seen(mlc: Command, demo, tmp_path, foundation):
    """Every article gets a text; at the prediction every text is a new one."""
    articles = pl.read_parquet(demo / "data/articles.parquet")

    def named(first: str) -> None:
        text = pl.format(f"{first} {{}} no {{}}", pl.col("department"), pl.int_range(pl.len()))
        articles.with_columns(text.alias("text")).write_parquet(tmp_path / "articles.parquet")

    named("Old")
    scenario = (demo / "departments_28d.yaml").read_text()
    articles_there = "path: data/articles.parquet, key: article_id"
    assert articles_there in scenario
    ours = "path: articles.parquet, key: article_id, encoders: {text: text}"
    scenario = scenario.replace(articles_there, ours)
    (tmp_path / "named.yaml").write_text(scenario.replace("data/", f"{demo}/data/"))
    on = ["--set", "model.memory=true"]
    if foundation:
        small = ("--set", "pretrain.preset=nano", "--set", "pretrain.epochs=1", "--set", "name=base")
        pretrained = mlc("pretrain", "named.yaml", *small)
        assert pretrained.code == 0, pretrained.err
        on = ["--set", "model.foundation=base", "--set", "model.hedge=false"]  # else its weight may be 0
    done = mlc("train", "named.yaml", *NANO, *on)
    assert done.code == 0, done.err
    assert mlc("predict", "named", "--out", "before.csv").code == 0
    named("New")
    predicted = mlc("predict", "named", "--out", "after.csv")
    assert predicted.code == 0, predicted.err
    before, after = (pl.read_csv(tmp_path / f"{name}.csv") for name in ("before", "after"))
    assert before.height == after.height
    first, second = (
        frame.sort("entity_id").select("Pantry", "Household", "Books").to_numpy().ravel()
        for frame in (before, after)
    )
    assert not np.array_equal(first, second)
    assert np.corrcoef(first, second)[0, 1] > 0.9
