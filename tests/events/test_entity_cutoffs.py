"""Cutoffs of the entities' own against plain loops: which there are, their splits, their targets."""

from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlc.errors import DataError, ScenarioError
from mlc.events.cutoffs import choose_cutoffs
from mlc.tables import UNKNOWN, targets_of
from tests.support import reference
from tests.support.small_tables import (
    PRODUCTS,
    START,
    Rows,
    anchors,
    as_events,
    build,
    folder,
    sales,
    scenario_at,
    shop,
    some,
    write,
    write_shop,
)

DAY = timedelta(days=1)
LABELS = {"Dress": ["Dress"], "Skirt": ["Skirt"], "Hat": ["Hat"]}


@some
@given(
    rows=sales(most=60),
    time_type=st.sampled_from(["date", "us", "ns New York"]),
    where=st.sampled_from([None, "shop = 'north'", "products.cost > 3"]),
    window=st.sampled_from([{"window_days": 3}, {"window_days": 5}, {"window": "next_week"}]),
    gap=st.integers(0, 2),
    newest=st.sampled_from([1, 3, 100]),
    least=st.sampled_from([1, 3]),
)
@pytest.mark.slow
def test_each_event_is_a_cutoff_as_in_the_plain_loop(rows, time_type, where, window, gap, newest, least):
    rows = [*anchors("ann"), *rows]
    at = {"kind": "each_event", **({"where": where} if where else {})}
    value = shop(examples={"at": at, "train_cutoffs": newest, "min_history_events": least})
    del value["examples"]["every_days"], value["target"]["window_days"]
    value["target"] |= {**window, "gap_days": gap}
    if "window" in window:
        words = ("validation_from", "test_from", "observed_until")
        value["examples"] |= {word: START + 14 * n * DAY for n, word in enumerate(words, 1)}
    with folder() as name:
        write_shop(Path(name), rows, time_type)
        built = build(scenario_at(Path(name), value), Path(name) / "runs")
    events = reference.joined(as_events(rows, time_type), PRODUCTS, "products", "product", "code")
    question = {
        "window_days": None,
        **window,
        "gap_days": gap,
        "times": 1,
        "column": "products.department",
        "min_history_events": least,
        "active_within_days": None,
    }
    check_apart(built.cutoffs, question)
    chosen = [event for event in events if counts(event, where)]
    expected = {}
    for entity in {event["entity"] for event in chosen if event["entity"]}:
        times = {e["time"] for e in chosen if e["entity"] == entity and e["time"] is not None}
        for split, (first, last) in built.cutoffs.spans.items():
            inside = sorted(time for time in times if first <= time <= last)
            for cutoff in inside[-newest:] if split == "train" else inside:
                if reference.eligible(events, entity, cutoff, question):
                    targets = [
                        reference.target(events, entity, cutoff, question, values)
                        for values in LABELS.values()
                    ]
                    expected[entity, cutoff] = (split, targets)
    assert built.by_key() == expected
    whole = built.examples.funnel[0]
    pairs = {(e["entity"], e["time"]) for e in chosen if e["entity"] and e["time"] is not None}
    assert whole.kept == len(pairs)
    assert built.examples.funnel[-1].kept == built.examples.table.height


def counts(event, where):
    match where:
        case None:
            return True
        case "shop = 'north'":
            return event["shop"] == "north"
        case _:
            return event["products.cost"] is not None and event["products.cost"] > 3


def check_apart(cutoffs, question):
    """No window reaches into the next split, and the last is complete."""
    ends = {split: reference.window(question, last)[1] for split, (_, last) in cutoffs.spans.items()}
    tick = timedelta(microseconds=1)
    assert ends["train"] - tick <= cutoffs.spans["validation"][0] == cutoffs.fit_until
    assert ends["validation"] - tick <= cutoffs.spans["test"][0]
    assert ends["test"] - tick <= cutoffs.observed_until


def days_of(rows: Rows, seed: int, per_entity: int) -> dict[tuple[str, str], list[datetime]]:
    """(entity, split) → its random days."""
    value = shop(examples={"at": {"kind": "random", "per_entity": per_entity, "seed": seed}})
    del value["examples"]["every_days"]
    with folder() as name:
        write_shop(Path(name), rows)
        built = build(scenario_at(Path(name), value), Path(name) / "runs")
    found: dict[tuple[str, str], list[datetime]] = {}
    for entity, cutoff, split, _ in built.examples.table.rows():
        first, last = built.cutoffs.spans[split]
        assert first <= cutoff <= last
        assert cutoff == datetime(cutoff.year, cutoff.month, cutoff.day)
        found.setdefault((entity, split), []).append(cutoff)
    return found


@some
@given(rows=sales(most=30), seed=st.integers(0, 9), per_entity=st.integers(1, 4))
@pytest.mark.slow
def test_random_days_lie_after_the_first_event_and_do_not_depend_on_the_other_entities(
    rows, seed, per_entity
):
    rows = [*anchors("ann"), *rows]
    found = days_of(rows, seed, per_entity)
    for (entity, split), days in found.items():
        born = min(row["day"] for row in rows if row["customer"] == entity and row["day"] is not None)
        assert min(days) >= born
        assert len(days) == len(set(days)) <= per_entity, split
    alone = days_of(anchors("ann"), seed, per_entity)
    assert alone == {key: days for key, days in found.items() if key[0] == "ann"}


def test_random_days_are_spread_evenly_and_another_seed_draws_others():
    rows = [
        {"customer": f"c{number}", "day": START, "product": "p1", "price": 1.0, "shop": "north"}
        for number in range(2_000)
    ]
    rows += anchors("ann")
    found = days_of(rows, 7, 1)
    tallies = {
        split: Counter(days[0] for (_, s), days in found.items() if s == split) for split in ("train", "test")
    }
    for tally in tallies.values():
        expected = sum(tally.values()) / len(tally)
        # Chi-squared over its degrees of freedom is about 1 where all days are as likely.
        assert sum((count - expected) ** 2 / expected for count in tally.values()) / (len(tally) - 1) < 3
    other = days_of(rows, 8, 1)
    same = np.mean([other[key] == days for key, days in found.items() if key in other])
    assert same < 0.5


def test_in_a_test_that_was_asked_for_a_label_with_an_open_window_is_unknown(tmp_path):
    write_shop(tmp_path, anchors("ann"))
    value = shop(target={"window_days": [2, 6]}, examples={"at": "each_event", "test_from": START + 30 * DAY})
    del value["examples"]["every_days"]
    built = build(scenario_at(tmp_path, value), tmp_path / "runs")
    targets = targets_of(built.examples.table)
    late = (built.examples.table["cutoff"] > built.cutoffs.observed_until - 6 * DAY).to_numpy()
    long = np.array([name.endswith("6d") for name in built.examples.labels.names])
    assert late.any()
    assert (targets[late][:, long] == UNKNOWN).all()
    assert (targets[:, ~long] != UNKNOWN).all()
    assert (targets[~late] != UNKNOWN).all()


@pytest.mark.parametrize(
    ("examples", "told"),
    [
        ({"at": "each_event", "every_days": 3}, "every_days: has no effect: at says which cutoffs"),
        (
            {"at": "each_event", "cutoffs": ["2024-03-05"], "every_days": None},
            "at: has no effect: the cutoffs",
        ),
        ({"at": {"kind": "each_event", "table": "salse"}}, "salse is no table of kind events"),
        ({"at": {"kind": "random", "per_entity": 0}}, "per_entity"),
        ({"at": "each_evnt"}, "each_event"),
    ],
)
def test_wrong_cutoffs_of_their_own_are_refused_with_what_to_do(tmp_path, examples, told):
    value = shop(examples={"every_days": None, **examples})
    with pytest.raises(ScenarioError) as caught:
        scenario_at(tmp_path, value)
    assert any(told in str(problem) for problem in caught.value.problems), caught.value.problems


def test_a_condition_on_a_column_that_is_not_there_is_refused(tmp_path):
    write_shop(tmp_path, anchors("ann"))
    value = shop(examples={"at": {"kind": "each_event", "where": "shoop = 'north'"}})
    del value["examples"]["every_days"]
    with pytest.raises(DataError, match=r"examples\.at\.where: .*shoop"):
        build(scenario_at(tmp_path, value), tmp_path / "runs")


def test_too_little_time_for_three_splits_is_refused(tmp_path):
    write_shop(tmp_path, anchors("ann"))
    value = shop(target={"window_days": 20}, examples={"at": "each_event"})
    del value["examples"]["every_days"]
    with pytest.raises(DataError, match="the train split has no cutoff with a complete window"):
        choose_cutoffs(scenario_at(tmp_path, value), START, START + 39 * DAY)


@pytest.mark.parametrize(
    ("target", "examples"),
    [
        ("window: next_week", "{train_cutoffs: 6}"),
        ("window_days: 3", "{at: each_event}"),
        ("window_days: [3, 9]", "{at: {kind: each_event, table: visits, where: \"place = 'home'\"}}"),
        ("window_days: 3", "{at: {kind: random, per_entity: 3}}"),
    ],
)
def test_every_kind_of_cutoff_and_window_goes_the_whole_path(mlc, tmp_path, target, examples):
    """Check, labels, compile, train, evaluate, predict."""
    rng = np.random.default_rng(0)
    rows = [
        {"who": f"c{c:02}", "at": START + float(t) * DAY, "v": "ab"[int(t + c) % 2], "price": 1.0}
        for c in range(30)
        for t in np.sort(rng.uniform(0, 120, 30))
    ]
    write(tmp_path / "t.parquet", pl.DataFrame(rows))
    visits = pl.DataFrame(rows).select("who", "at", place=pl.lit("home"))
    write(tmp_path / "visits.parquet", visits)
    (tmp_path / "s.yaml").write_text(
        f"""
data:
  entity: who
  tables:
    t: {{kind: events, path: t.parquet, time: at}}
    visits: {{kind: events, path: visits.parquet, time: at}}
target: {{table: t, column: v, class_names: [a, b], {target}}}
examples: {examples}
model: {{preset: nano}}
train: {{epochs: 1}}
"""
    )
    assert mlc("check", "s.yaml").code == 0
    told = mlc("labels", "s.yaml", "--trace", "c01")
    assert "── cutoff" in told.out or "cutoff" in told.out
    listed = mlc("labels", "s.yaml").out
    assert (" periods, " in listed) == ("at:" in examples)
    assert "cutoffs" in mlc("compile", "s.yaml").out
    trained = mlc("train", "s.yaml")
    assert trained.code == 0, trained.err
    assert "the same numbers" in mlc("evaluate", "s").err
    assert mlc("predict", "s", "--out", "scores.parquet").code == 0
