"""Cutoffs and splits: no window looks into a later split, and none is incomplete."""

from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlc.errors import DataError, ScenarioError
from mlc.events.cutoffs import choose_cutoffs, naive
from mlc.scenario import EventScenario
from tests.support.effort import drawn
from tests.support.small_tables import START, folder, many, scenario_at, shop, utc

DAY = timedelta(days=1)


def asked(place: Path, target: dict[str, Any], examples: dict[str, Any]) -> EventScenario:
    value = shop(target=target)
    value["examples"] = examples
    return scenario_at(place, value)


spans = st.integers(0, 200).map(lambda hours: timedelta(hours=7 * hours))
maybe_days = st.none() | st.integers(1, 9)


@settings(many, max_examples=drawn(400))
@given(
    window=st.integers(1, 9),
    gap=st.integers(0, 4),
    every=maybe_days,
    train_cutoffs=st.integers(1, 9),
    last=spans,
    until=st.none() | spans,
    validation=st.none() | spans,
    test=st.none() | spans,
)
def test_windows_end_before_the_next_split_and_are_complete(
    window, gap, every, train_cutoffs, last, until, validation, test
):
    examples = {
        "every_days": every,
        "train_cutoffs": train_cutoffs,
        "observed_until": None if until is None else START + until,
        "validation_from": None if validation is None else START + validation,
        "test_from": None if test is None else START + test,
    }
    with folder() as name:
        try:
            scenario = asked(Path(name), {"window_days": window, "gap_days": gap}, examples)
        except ScenarioError:
            return  # the moments contradict each other
    end = START + (last if until is None else until)
    reach = (window + gap) * DAY
    step = (every or max(1, window // 2)) * DAY
    try:
        cutoffs = choose_cutoffs(scenario, START, START + last)
    except DataError:
        first_test = START + test if test is not None else end - reach
        first_validation = START + validation if validation is not None else first_test - reach
        # Right only where some split has no room, by time alone.
        assert (
            first_validation - reach - DAY < START
            or first_validation + reach > first_test - DAY
            or first_test + reach > end
            or end - reach + DAY > START + last  # some test cutoff would lie after the last event
        )
        return
    train, valid, tests = (list(cutoffs.splits[s]) for s in ("train", "validation", "test"))
    assert max(train) + reach <= min(valid) == cutoffs.fit_until
    assert max(valid) + reach <= min(tests)
    assert max(tests) + reach <= end == cutoffs.observed_until
    assert min(train) >= START
    assert len(train) <= train_cutoffs
    for split in (train, valid, tests):
        assert split == sorted(set(split))
        assert {b - a for a, b in pairwise(split)} <= {step}
    assert all(cutoff + reach > end >= cutoff for cutoff in cutoffs.incomplete)
    assert [split for _, split in cutoffs.rows] == ["train"] * len(train) + ["validation"] * len(valid) + [
        "test"
    ] * len(tests)
    # Each split is as full as it can be.
    assert len(train) == train_cutoffs or min(train) - step < START
    assert max(train) + reach == min(valid)
    assert max(valid) + step + reach > min(tests)
    if test is None:
        assert len(tests) == 1
        assert tests[0] == tests[0].replace(hour=0, minute=0, second=0, microsecond=0)
        assert tests[0] + reach <= end < tests[0] + reach + DAY
    else:
        assert tests[0] == START + test
        assert max(tests) + step + reach > end
    if validation is not None:
        assert valid[0] == START + validation


def test_the_default_is_the_last_complete_window_and_the_one_before(tmp_path):
    scenario = asked(tmp_path, {"window_days": 21}, {})
    cutoffs = choose_cutoffs(scenario, datetime(2020, 1, 1), datetime(2020, 9, 22, 18, 30))
    assert cutoffs.splits["test"] == [datetime(2020, 9, 1)]
    assert cutoffs.splits["validation"] == [datetime(2020, 8, 11)]
    assert cutoffs.splits["train"][-1] == datetime(2020, 7, 21)
    assert cutoffs.splits["train"][-2] == datetime(2020, 7, 11)
    assert len(cutoffs.splits["train"]) == 21  # of 26, since the tables begin then


def test_where_no_cutoff_fits_every_such_split_is_named(tmp_path):
    scenario = asked(tmp_path, {"window_days": 21, "gap_days": 1}, {})
    with pytest.raises(DataError) as caught:
        choose_cutoffs(scenario, START, START + 30 * DAY)
    rules = [str(problem) for problem in caught.value.problems]
    assert len(rules) == 2
    assert "the train split has no cutoff with a complete window of 22 days" in rules[0]
    assert "the validation split" in rules[1]
    assert "the tables reach from 2024-03-04 00:00 to 2024-04-03 00:00" in rules[1]
    assert "target.window_days" in rules[0]


def test_more_training_cutoffs_than_there_is_time_are_no_error(tmp_path):
    scenario = asked(tmp_path, {}, {"every_days": 30_000, "train_cutoffs": 1_000_000_000})
    cutoffs = choose_cutoffs(scenario, START, START + 90 * DAY)
    assert len(cutoffs.splits["train"]) == 1


def test_moments_with_a_zone_are_compared_in_utc(tmp_path):
    zoned = {"test_from": utc(START + 30 * DAY), "observed_until": utc(START + 40 * DAY)}
    cutoffs = choose_cutoffs(asked(tmp_path, {}, zoned), START, START + 90 * DAY)
    assert cutoffs.splits["test"][0] == START + 30 * DAY
    assert cutoffs.observed_until == START + 40 * DAY
    assert naive(None) is None
