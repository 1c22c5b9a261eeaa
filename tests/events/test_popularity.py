"""Popularity of the labels among all entities: against plain loops, and blind to the future."""

from datetime import datetime, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mlc.events.popularity import POPULARITY_FEATURES, Popularity
from mlc.models.branches.popularity import POPULARITY
from mlc.tables import microseconds
from tests.conftest import NANO, Command
from tests.support import reference
from tests.support.small_tables import some

START = datetime(2021, 1, 1)
WINDOWS = [7, 28, 400]

moments = st.builds(
    lambda days, beside: START + timedelta(days=days) + beside,
    st.integers(0, 900),
    st.sampled_from([timedelta(), timedelta(microseconds=1), timedelta(hours=23)]),
)
label_events = st.lists(st.tuples(moments, st.integers(0, 2)), max_size=60)


def features(events, cutoffs, gap=0):
    times = np.array([microseconds(moment) for moment, _ in events], dtype=np.int64)
    labels = np.array([label for _, label in events], dtype=np.uint16)
    asked = np.array([microseconds(cutoff) for cutoff in cutoffs], dtype=np.int64)
    return Popularity(times, labels, WINDOWS, gap).at(asked)


@some
@given(label_events, st.lists(moments, max_size=4), st.sampled_from([0, 3, 500]))
def test_features_equal_the_loop(events, cutoffs, gap):
    found = features(events, cutoffs, gap)
    assert found.shape == (len(cutoffs), 3, POPULARITY)
    assert found.dtype == np.float32
    for at, cutoff in enumerate(cutoffs):
        for label in range(3):
            expected = reference.popularity(events, cutoff, label, WINDOWS, gap)
            wanted = [np.nan if value is None else value for value in expected]
            np.testing.assert_allclose(found[at, label], wanted, rtol=1e-5, atol=1e-5)


@some
@given(label_events, label_events, moments)
def test_no_event_after_the_cutoff_changes_anything(events, more, cutoff):
    later = [(moment + (cutoff - START) + timedelta(microseconds=1), label) for moment, label in more]
    np.testing.assert_array_equal(features(events, [cutoff]), features(events + later, [cutoff]))


def test_ratios_stay_when_everything_doubles():
    events = [(START + timedelta(days=day), label) for day in range(500) for label in (0, 0, 1, 2) * 50]
    once, twice = (features(events * times, [START + timedelta(days=480)]) for times in (1, 2))
    np.testing.assert_allclose(once, twice, atol=0.02)


def test_a_label_that_comes_at_one_time_of_the_year_has_a_season():
    events = [(START + timedelta(days=day), 0) for day in range(900)]
    events += [
        (START + timedelta(days=year * 364 + day), 1) for year in (0, 1) for day in range(200, 207)
    ] * 9
    before, after = (features(events, [START + timedelta(days=day)])[0] for day in (364 + 199, 364 + 300))
    season = POPULARITY_FEATURES.index("season of a year ago")
    assert before[1, season] > 1 > 0 > after[1, season]
    assert abs(before[0, season]) < 0.2


def test_it_is_trained_evaluated_and_predicted_with(mlc: Command, demo, tmp_path):
    on = ("--set", "model.popularity=true")
    assert mlc("train", demo / "departments_28d.yaml", *NANO, *on).code == 0
    evaluated = mlc("evaluate", "departments_28d")
    assert evaluated.code == 0, evaluated.err
    assert "the same numbers as in training" in evaluated.err
    predicted = mlc("predict", "departments_28d", "--out", tmp_path / "scores.csv")
    assert predicted.code == 0, predicted.err
