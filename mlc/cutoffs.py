"""Moments of prediction: which cutoffs there are, and which split each belongs to.

A cutoff whose window is not complete is dropped by time alone, before any event is looked at: keeping the
incomplete windows that are already positive would raise the prevalence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mlc.errors import DataError
from mlc.scenario import Scenario
from mlc.tables import Split


@dataclass(frozen=True)
class Cutoffs:
    """The cutoffs of a scenario.

    Attributes:
        splits: Split → cutoffs, rising, naive (UTC where the tables have a zone).
        incomplete: Cutoffs of the grid whose window passes `observed_until`.
        observed_until: The tables are complete up to here.
    """

    splits: dict[Split, Sequence[datetime]]
    incomplete: Sequence[datetime]
    observed_until: datetime

    @property
    def fit_until(self) -> datetime:
        """Vocabularies, bins and class lists see events up to here only: the first validation cutoff."""
        return min([*self.splits["validation"], *self.splits["test"]])

    @property
    def rows(self) -> list[tuple[datetime, Split]]:
        """Every cutoff with its split, training first."""
        return [(cutoff, split) for split, cutoffs in self.splits.items() for cutoff in cutoffs]


def choose_cutoffs(scenario: Scenario, first: datetime, last: datetime) -> Cutoffs:
    """Lay the grid of cutoffs over the observed time.

    The window of a training cutoff ends at or before the first validation cutoff, that of a validation cutoff
    at or before the first test cutoff. Each split has its own grid, as near to its end as it can be: by
    default the test is the last complete window that begins at a midnight, validation the window before it.

    Args:
        scenario: Checked scenario.
        first: Time of the first event, naive.
        last: Time of the last event, naive.

    Raises:
        DataError: A split has no cutoff with a complete window.
    """
    target, examples = scenario.target, scenario.examples
    reach = target.gap + target.window
    least = target.gap + target.shortest_window
    until = naive(examples.observed_until) or last
    half_window = max(1, target.window.days // 2)
    step = timedelta(days=examples.every_days or half_window)

    if until <= first:
        found = f"that is {first:%Y-%m-%d %H:%M}"
        raise DataError(
            scenario.problem("examples.observed_until", f"must lie after the first event, however: {found}")
        )
    if examples.cutoffs is None:
        test_from = naive(examples.test_from) or _midnight(until - reach)
        validation_from = naive(examples.validation_from) or test_from - reach
        newest = validation_from - reach
        count = min(examples.train_cutoffs, max(0, (newest - first) // step + 1))
        train = [newest - index * step for index in range(count)][::-1]
        validation = _forward(validation_from, test_from - reach, step)
        tests = _forward(test_from, until, step)
    else:
        moments = {naive(cutoff) for cutoff in examples.cutoffs}
        given = sorted(moment for moment in moments if moment is not None and first <= moment)
        test_from = naive(examples.test_from) or _last(given, until - reach)
        validation_from = naive(examples.validation_from) or _last(given, test_from - reach)
        newest = validation_from - reach
        train = [cutoff for cutoff in given if cutoff <= newest][-examples.train_cutoffs :]
        validation = [cutoff for cutoff in given if validation_from <= cutoff <= test_from - reach]
        tests = [cutoff for cutoff in given if test_from <= cutoff]
    validation = [cutoff for cutoff in validation if first <= cutoff]
    complete = [cutoff for cutoff in tests if cutoff <= until - least]
    incomplete = [cutoff for cutoff in tests if cutoff > until - least]
    if examples.test_from is None:  # one window unless the user says where the test begins
        complete, incomplete = complete[:1], []
    splits: dict[Split, Sequence[datetime]] = {
        "train": train,
        "validation": validation,
        "test": complete,
    }
    problems = [
        scenario.problem(
            "target.window_days" if examples.test_from is None else "examples.test_from",
            f"the {split} split must have a cutoff with a complete window of {reach.days} days, however: "
            f"the tables reach from {first:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} "
            f"and the first {split} cutoff would be {start:%Y-%m-%d}; "
            f"choose a shorter window, or earlier test_from and validation_from",
        )
        for (split, cutoffs), start in zip(splits.items(), (newest, validation_from, test_from), strict=True)
        if not cutoffs
    ]
    if complete and complete[-1] >= last:
        field = "examples.observed_until" if examples.test_from is None else "examples.test_from"
        found = f"that is {last:%Y-%m-%d %H:%M} and the test cutoff would be {complete[-1]:%Y-%m-%d %H:%M}"
        problems.append(
            scenario.problem(field, f"a test window must begin before the last event, however: {found}")
        )
    if problems:
        raise DataError(problems)
    return Cutoffs(splits, incomplete, until)


def _forward(start: datetime, end: datetime, step: timedelta) -> list[datetime]:
    return [start + index * step for index in range(max(0, (end - start) // step + 1))]


def _last(cutoffs: Sequence[datetime], at_most: datetime) -> datetime:
    """The last of the given cutoffs that leaves room for the window."""
    return max((cutoff for cutoff in cutoffs if cutoff <= at_most), default=at_most)


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def naive(moment: datetime | None) -> datetime | None:
    """UTC without a zone, as in the tables."""
    if moment is None or moment.tzinfo is None:
        return moment
    return moment.astimezone(UTC).replace(tzinfo=None)
