"""Windows against plain loops over the days of the calendar."""

from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlc.events.windows import TICK, closes, eves, moment_of, opens, window_of
from mlc.scenario import TargetSection
from mlc.tables import microseconds
from tests.support.reference import next_period

DAY = timedelta(days=1)
moments = st.datetimes(datetime(1950, 1, 1), datetime(2090, 1, 1))
calendars = st.sampled_from(["next_week", "next_month"])


def target(gap, **window):
    return TargetSection(table="t", column=["c"], class_names=["a"], gap_days=gap, **window)


@given(cutoffs=st.lists(moments, min_size=1, max_size=5), gap=st.integers(0, 40), kind=calendars)
def test_a_calendar_window_has_the_days_of_the_first_period_that_begins_after_cutoff_and_gap(
    cutoffs, gap, kind
):
    asked = target(gap, window=kind)
    at = np.array([microseconds(cutoff) for cutoff in cutoffs])
    for index, cutoff in enumerate(cutoffs):
        first, end = next_period(kind, cutoff + gap * DAY)
        assert moment_of(opens(asked, at)[index]) == first - TICK
        assert moment_of(closes(asked, at, 7)[index]) == end - TICK
        assert window_of(asked, cutoff, 7) == (first - TICK, end - TICK)


@given(cutoff=moments, gap=st.integers(0, 40), days=st.integers(1, 400))
def test_a_window_of_days_begins_after_the_gap_and_has_that_length(cutoff, gap, days):
    opening = cutoff + gap * DAY
    assert window_of(target(gap, window_days=days), cutoff, days) == (opening, opening + days * DAY)


@given(first=moments, span=st.integers(0, 200), gap=st.integers(0, 40), kind=calendars)
def test_an_eve_is_the_last_moment_before_its_period_and_none_is_left_out(first, span, gap, kind):
    asked, last = target(gap, window=kind), first + span * DAY
    found = eves(asked, first, last)
    assert found == sorted(set(found))
    for eve in found:
        assert first <= eve <= last
        assert window_of(asked, eve, 7)[0] == eve + gap * DAY
    started = [
        day for day in days_between(first, last + (gap + 1) * DAY) if next_period(kind, day - TICK)[0] == day
    ]
    expected = [day - gap * DAY - TICK for day in started]
    assert found == [eve for eve in expected if first <= eve <= last]


def days_between(first, last):
    day = datetime(first.year, first.month, first.day)
    while day <= last:
        yield day
        day += DAY


@pytest.mark.parametrize(("kind", "length"), [("next_week", 7), ("next_month", 31)])
def test_lengths_of_labels_do_not_change_a_calendar_window_and_keep_their_shape(kind, length):
    at = np.array([microseconds(datetime(2024, 6, 30, 12))])
    ends = closes(target(0, window=kind), at, np.array([3, 5]))
    assert ends.shape == (2,)
    assert {moment_of(end) for end in ends} == {datetime(2024, 7, 1) + length * DAY - TICK}
