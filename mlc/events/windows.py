"""Where the window of a cutoff begins and ends.

This many days, or a week or month of the calendar. A window is open on the left and closed on the right,
`(opens, closes]`. A calendar period contains its first moment and not the next period's, so its window begins
a microsecond before it and ends a microsecond before the next: `2024-04-01` is in April's window, as a date
and as a moment.
"""

from datetime import datetime, timedelta
from typing import Literal

import numpy as np

from mlc.scenario import TargetSection
from mlc.tables import MICROSECONDS_PER_DAY, microseconds

EPOCH = datetime(1970, 1, 1)
TICK = timedelta(microseconds=1)
_EPOCH_TO_MONDAY = 4  # 1970-01-01 was a Thursday
_WEEK = 7


def opens(target: TargetSection, cutoffs_N: np.ndarray) -> np.ndarray:
    """After which moment the windows begin.

    Args:
        target: Gives gap and kind of window.
        cutoffs_N: Microseconds since 1970, int64.

    Returns:
        Microseconds, int64, shape (N); this moment itself is not in the window.
    """
    after_N = cutoffs_N + target.gap_days * MICROSECONDS_PER_DAY
    return after_N if target.window is None else _next_start(target.window, after_N) - 1


def closes(target: TargetSection, cutoffs_N: np.ndarray, days: np.ndarray | int) -> np.ndarray:
    """The last moment of the windows.

    Args:
        target: Gives gap and kind of window.
        cutoffs_N: Microseconds since 1970, int64.
        days: Length of the windows, in a shape that broadcasts with `cutoffs_N`; of no effect where the
            window is a calendar period.

    Returns:
        Microseconds, int64; this moment is in the window.
    """
    opens_N = opens(target, cutoffs_N)
    if target.window is None:
        return opens_N + days * MICROSECONDS_PER_DAY
    return np.broadcast_arrays(_next_start(target.window, opens_N + 1) - 1, days)[0]


def window_of(target: TargetSection, cutoff: datetime, days: int) -> tuple[datetime, datetime]:
    """Where the window of one cutoff opens and closes: `(opens, closes]`.

    Args:
        target: Gives gap and kind of window.
        cutoff: Naive.
        days: Length of the window; of no effect where it is a calendar period.
    """
    at = np.array([microseconds(cutoff)])
    return moment_of(opens(target, at)[0]), moment_of(closes(target, at, days)[0])


def eves(target: TargetSection, first: datetime, last: datetime) -> list[datetime]:
    """The cutoffs from which the next calendar period begins at once.

    The last moments before it and the gap.

    Args:
        target: With a calendar window.
        first: No cutoff before this moment.
        last: No cutoff after this one.
    """
    assert target.window is not None
    cutoffs, start = [], microseconds(first + target.gap)
    while moment_of(start) - TICK - target.gap <= last:
        start = int(_next_start(target.window, np.array([start]))[0])
        cutoffs.append(moment_of(start) - TICK - target.gap)
    return [cutoff for cutoff in cutoffs if first <= cutoff <= last]


def moment_of(time: np.int64 | int) -> datetime:
    """Microseconds since 1970 as a naive moment.

    Examples:
        >>> moment_of(86_400_000_000)
        datetime.datetime(1970, 1, 2, 0, 0)
    """
    return EPOCH + timedelta(microseconds=int(time))


def _next_start(period: Literal["next_week", "next_month"], times_N: np.ndarray) -> np.ndarray:
    """The first beginning of a period after each moment, never the moment itself."""
    if period == "next_month":
        months_N = times_N.astype("datetime64[us]").astype("datetime64[M]") + 1
        return months_N.astype("datetime64[us]").astype(np.int64)
    weeks_N = (times_N // MICROSECONDS_PER_DAY - _EPOCH_TO_MONDAY) // _WEEK + 1
    return np.asarray((weeks_N * _WEEK + _EPOCH_TO_MONDAY) * MICROSECONDS_PER_DAY)
