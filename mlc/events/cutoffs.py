"""Moments of prediction: which cutoffs there are, and which split each belongs to.

A cutoff whose window is not complete is dropped by time alone, before any event is looked at: keeping the
incomplete windows that are already positive would raise the prevalence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from mlc.errors import DataError, Problem
from mlc.events.windows import TICK, closes, eves, moment_of
from mlc.scenario import EventScenario
from mlc.tables import SPLITS, Split, microseconds

_TEST_SHARE = 10  # with cutoffs of the entities' own, test and validation have a tenth of the time each


@dataclass(frozen=True)
class Cutoffs:
    """The cutoffs of a scenario.

    Attributes:
        splits: Split → cutoffs of all entities, rising, naive (UTC where the tables have a zone); none where
            each entity has its own.
        incomplete: Cutoffs of the grid whose window passes `observed_until`.
        observed_until: The tables are complete up to here.
        own_spans: Split → between which moments the entities' own cutoffs may lie, both included.
    """

    splits: Mapping[Split, Sequence[datetime]]
    incomplete: Sequence[datetime]
    observed_until: datetime
    own_spans: Mapping[Split, tuple[datetime, datetime]] | None = None

    @property
    def spans(self) -> Mapping[Split, tuple[datetime, datetime]]:
        """Split → first and last moment of its cutoffs, both included."""
        return self.own_spans or {split: (moments[0], moments[-1]) for split, moments in self.splits.items()}

    @property
    def fit_until(self) -> datetime:
        """Vocabularies, bins and class lists see events up to here only.

        The first validation cutoff.
        """
        return min(self.spans["validation"][0], self.spans["test"][0])

    @property
    def shared(self) -> bool:
        """Whether all entities have the same cutoffs."""
        return self.own_spans is None

    @property
    def rows(self) -> list[tuple[datetime, Split]]:
        """Every shared cutoff with its split, training first."""
        return [(cutoff, split) for split, cutoffs in self.splits.items() for cutoff in cutoffs]

    def split_of(self, cutoffs_N: np.ndarray) -> np.ndarray:
        """The split of each cutoff.

        Args:
            cutoffs_N: Microseconds since 1970, int64.

        Returns:
            Position in `tables.SPLITS`, -1 between the splits, int8, shape (N).
        """
        split_N = np.full(len(cutoffs_N), -1, dtype=np.int8)
        for index, split in enumerate(SPLITS):
            first, last = map(microseconds, self.spans[split])
            split_N[(first <= cutoffs_N) & (cutoffs_N <= last)] = index
        return split_N


def choose_cutoffs(
    scenario: EventScenario, first: datetime, last: datetime, dates_only: bool = False
) -> Cutoffs:
    """Lay the cutoffs over the observed time.

    The window of a training cutoff ends at or before the first validation cutoff, that of a validation cutoff
    at or before the first test cutoff. On a grid each split has its own, as near to its end as it can be: by
    default the test is the last complete window that begins at a midnight, validation the window before it.

    Args:
        scenario: Checked scenario.
        first: Time of the first event, naive.
        last: Time of the last event, naive.
        dates_only: Whether all times are midnights: a calendar period is then complete on its last one.

    Raises:
        DataError: A split has no cutoff with a complete window.
    """
    examples = scenario.examples
    until = observed_until(scenario, last, dates_only)
    if (naive(examples.observed_until) or last) <= first:
        rule = f"must lie after the first event, which is at {first:%Y-%m-%d %H:%M}"
        raise DataError(scenario.problem("examples.observed_until", rule))
    if examples.at is not None:
        return _own_spans(scenario, first, last, until)
    if examples.cutoffs is not None:
        moments = {naive(cutoff) for cutoff in examples.cutoffs}
        given = sorted(moment for moment in moments if moment is not None and first <= moment)
        splits = _given_splits(scenario, given, until)
    elif scenario.target.window is not None:
        splits = _given_splits(scenario, eves(scenario.target, first, until), until)
    else:
        splits = _grid_splits(scenario, first, until)
    return _complete(scenario, splits, first, last, until)


def observed_until(scenario: EventScenario, last: datetime, dates_only: bool = False) -> datetime:
    """Return up to when the tables are complete.

    As the scenario says, else up to the last event.

    Args:
        scenario: Checked scenario.
        last: Time of the last event, naive.
        dates_only: Whether all times are midnights: a calendar period is then complete on its last one.
    """
    until = naive(scenario.examples.observed_until) or last
    if dates_only and scenario.target.window is not None:
        return _midnight(until) + timedelta(days=1) - TICK
    return until


@dataclass(frozen=True)
class _Found:
    """Cutoffs of each split, and where each split would begin."""

    splits: Mapping[Split, Sequence[datetime]]
    starts: Mapping[Split, datetime]


def _grid_splits(scenario: EventScenario, first: datetime, until: datetime) -> _Found:
    target, examples = scenario.target, scenario.examples
    reach = timedelta(days=target.gap_days + target.longest_days)
    step = timedelta(days=examples.every_days or max(1, target.longest_days // 2))
    test_from = naive(examples.test_from) or _midnight(until - reach)
    validation_from = naive(examples.validation_from) or test_from - reach
    newest = validation_from - reach
    count = min(examples.train_cutoffs, max(0, (newest - first) // step + 1))
    validation = _forward(validation_from, test_from - reach, step)
    return _Found(
        {
            "train": [newest - index * step for index in range(count)][::-1],
            "validation": [cutoff for cutoff in validation if first <= cutoff],
            "test": _forward(test_from, until, step),
        },
        {"train": newest, "validation": validation_from, "test": test_from},
    )


def _given_splits(scenario: EventScenario, given: Sequence[datetime], until: datetime) -> _Found:
    """Split cutoffs by time, such that no window reaches into the next split."""
    examples = scenario.examples
    test_from = naive(examples.test_from) or _last(scenario, given, until)
    validation_from = naive(examples.validation_from) or _last(scenario, given, test_from)
    train = [cutoff for cutoff in given if _end(scenario, cutoff) <= validation_from]
    return _Found(
        {
            "train": train[-examples.train_cutoffs :],
            "validation": [
                cutoff
                for cutoff in given
                if validation_from <= cutoff and _end(scenario, cutoff) <= test_from
            ],
            "test": [cutoff for cutoff in given if test_from <= cutoff],
        },
        {"train": _latest(scenario, validation_from), "validation": validation_from, "test": test_from},
    )


def _complete(
    scenario: EventScenario, candidates: _Found, first: datetime, last: datetime, until: datetime
) -> Cutoffs:
    """Leave out test cutoffs whose window is not complete.

    Complain of splits without a cutoff.
    """
    tests = candidates.splits["test"]
    shortest = scenario.target.shortest_days
    complete = [cutoff for cutoff in tests if _end(scenario, cutoff, shortest) <= until]
    incomplete = tests[len(complete) :]
    if scenario.examples.test_from is None:  # one window unless the user says where the test begins
        complete, incomplete = complete[:1], []
    splits: dict[Split, Sequence[datetime]] = {**candidates.splits, "test": complete}
    field = "examples.test_from"
    if scenario.examples.test_from is None:
        field = "target.window_days" if scenario.target.window is None else "target.window"
    problems = [
        _no_room(scenario, field, split, candidates.starts[split], first, until)
        for split, cutoffs in splits.items()
        if not cutoffs
    ]
    if complete and complete[-1] >= last:
        field = "examples.observed_until" if scenario.examples.test_from is None else "examples.test_from"
        rule = (
            f"no test window begins before the last event: that is at {last:%Y-%m-%d %H:%M}, "
            f"and the test cutoff would be {complete[-1]:%Y-%m-%d %H:%M}"
        )
        problems.append(scenario.problem(field, rule))
    if problems:
        raise DataError(problems)
    return Cutoffs(splits, incomplete, until)


def _own_spans(scenario: EventScenario, first: datetime, last: datetime, until: datetime) -> Cutoffs:
    """Between which moments the entities' own cutoffs lie in each split."""
    examples = scenario.examples
    # In a test that was asked for, a label whose own window is not complete is unknown.
    days = scenario.target.shortest_days if examples.test_from else scenario.target.longest_days
    newest_test = min(_latest(scenario, until, days), last - TICK)
    span = max((newest_test - first) / _TEST_SHARE, _end(scenario, first) - first)
    test_from = naive(examples.test_from) or _midnight(newest_test - span)
    newest_validation = _latest(scenario, test_from)
    validation_from = naive(examples.validation_from) or _midnight(newest_validation - span)
    spans: dict[Split, tuple[datetime, datetime]] = {
        "train": (first, _latest(scenario, validation_from)),
        "validation": (validation_from, newest_validation),
        "test": (test_from, newest_test),
    }
    problems = [
        _no_room(scenario, "examples.at", split, start, first, until)
        for split, (start, end) in spans.items()
        if max(start, first) > end
    ]
    if problems:
        raise DataError(problems)
    return Cutoffs({split: [] for split in SPLITS}, [], until, spans)


def _no_room(
    scenario: EventScenario, field: str, split: Split, start: datetime, first: datetime, until: datetime
) -> Problem:
    target = scenario.target
    window = f"of {target.gap_days + target.longest_days} days"
    if target.window is not None:
        window = f"({target.window.replace('_', ' ')})"
    return scenario.problem(
        field,
        f"the {split} split has no cutoff with a complete window {window}: "
        f"the tables reach from {first:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M}, "
        f"and the first {split} cutoff would be {start:%Y-%m-%d}. "
        f"Choose a shorter window, or earlier test_from and validation_from.",
    )


def _end(scenario: EventScenario, cutoff: datetime, days: int | None = None) -> datetime:
    """The last moment of the longest window, or of one of this many days."""
    at = np.array([microseconds(cutoff)])
    return moment_of(closes(scenario.target, at, days or scenario.target.longest_days)[0])


def _latest(scenario: EventScenario, until: datetime, days: int | None = None) -> datetime:
    """Return the latest cutoff whose window ends by a time.

    The window is the longest, or one of this many days.
    """
    if scenario.target.window is None:
        return until - timedelta(days=scenario.target.gap_days + (days or scenario.target.longest_days))
    # A period's window is that of all cutoffs since the one before began.
    latest = until - scenario.target.gap
    while _end(scenario, latest) > until:
        latest = eves(scenario.target, latest - timedelta(days=62), latest - TICK)[-1]
    return latest


def _forward(start: datetime, end: datetime, step: timedelta) -> list[datetime]:
    return [start + index * step for index in range(max(0, (end - start) // step + 1))]


def _last(scenario: EventScenario, cutoffs: Sequence[datetime], until: datetime) -> datetime:
    """The last of the given cutoffs whose window ends by a moment."""
    fitting = [cutoff for cutoff in cutoffs if _end(scenario, cutoff) <= until]
    return fitting[-1] if fitting else _latest(scenario, until)


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def naive(moment: datetime | None) -> datetime | None:
    """UTC without a zone, as in the tables."""
    if moment is None or moment.tzinfo is None:
        return moment
    return moment.astimezone(UTC).replace(tzinfo=None)
