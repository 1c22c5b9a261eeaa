"""How popular each label is at a cutoff, among all entities.

Its share, where it is heading, its season. Counted in whole days from the label events of all entities. An
event is known from the first midnight at or after it, and a cutoff sees what is known at the last midnight at
or before it: a day's delay at most, and however many cutoffs there are, only this many days have to be looked
at. All are ratios, so that a table that grows moves none of them.
"""

from collections.abc import Sequence

import numpy as np

from mlc.tables import MICROSECONDS_PER_DAY

HALF_LIVES_DAYS = (7.0, 28.0, 112.0)
YEAR_DAYS = 364
"""Whole weeks, so that the same weekdays are compared."""
PRIOR_EVENTS = 5.0
"""Ratios of counts are drawn towards 1 as if this many more events were as expected."""
POPULARITY_FEATURES = ("share", "trend over weeks", "trend over months", "season of a year ago")


class Popularity:
    """The popularity of K labels at any moment.

    Args:
        time_T: Times of the label events of all entities in any order, microseconds since 1970, int64.
        label_T: Their labels.
        windows_days: Length of the window of each label.
        gap_days: Days between cutoff and window.
    """

    def __init__(
        self, time_T: np.ndarray, label_T: np.ndarray, windows_days: Sequence[int], gap_days: int = 0
    ) -> None:
        labels = len(windows_days)
        known_T = -(-time_T // MICROSECONDS_PER_DAY)
        self._days, place_T = np.unique(known_T, return_inverse=True)
        cells = place_T * labels + label_T
        counts_DK = np.bincount(cells, minlength=len(self._days) * labels).reshape(-1, labels)
        # Row 0 is before the first event.
        self._counts_DK = np.concatenate([np.zeros((1, labels)), np.cumsum(counts_DK, axis=0)])
        self._decayed_DHK = np.zeros((len(self._days) + 1, len(HALF_LIVES_DAYS), labels))
        for row, passed in enumerate(np.diff(self._days, prepend=self._days[:1])):
            self._decayed_DHK[row + 1] = self._decayed_DHK[row] * _fading(passed) + counts_DK[row]
        self._windows_K = np.clip(windows_days, 0, max(0, YEAR_DAYS - gap_days))
        self._gap = gap_days

    def at(self, cutoffs_B: np.ndarray) -> np.ndarray:
        """The features at some moments; no event after a moment changes them.

        Args:
            cutoffs_B: Microseconds since 1970, int64.

        Returns:
            float32, shape (B, K, `len(POPULARITY_FEATURES)`); NaN where the year before is not there.

        Examples:
            >>> day = MICROSECONDS_PER_DAY
            >>> popularity = Popularity(np.array([0, 0, day]), np.array([0, 0, 1]), [7, 7])
            >>> np.exp(popularity.at(np.array([0, day]))[:, :, 0].astype(float)).round(2).tolist()
            [[0.75, 0.25], [0.6, 0.4]]
        """
        days_U, day_B = np.unique(cutoffs_B // MICROSECONDS_PER_DAY, return_inverse=True)
        rows_U = self._rows(days_U)
        last_U = np.concatenate([days_U[:1], self._days])[rows_U] if len(days_U) else days_U
        faded_UHK = self._decayed_DHK[rows_U] * _fading((days_U - last_U)[:, None, None])
        share_UHK = (faded_UHK + 1.0) / (faded_UHK.sum(axis=2, keepdims=True) + faded_UHK.shape[2])
        expected_UHK = faded_UHK.sum(axis=2, keepdims=True)[:, :-1] * share_UHK[:, 1:]
        trend_UHK = _log_ratio(faded_UHK[:, :-1], expected_UHK)
        features = [np.log(share_UHK[:, -1]), trend_UHK[:, 0], trend_UHK[:, 1], self._season(days_U)]
        return np.stack(features, axis=2).astype(np.float32)[day_B]

    def _season(self, days_U: np.ndarray) -> np.ndarray:
        """The window a year earlier, against the year since then, shape (U, K)."""
        begin_U1 = days_U[:, None] - YEAR_DAYS
        opens_U1 = begin_U1 + self._gap
        labels = np.arange(len(self._windows_K))
        within_UK = (
            self._counts_DK[self._rows(opens_U1 + self._windows_K), labels]
            - self._counts_DK[self._rows(opens_U1), labels]
        )
        year_UK = self._counts_DK[self._rows(days_U)] - self._counts_DK[self._rows(begin_U1[:, 0])]
        season_UK = _log_ratio(within_UK, year_UK * (self._windows_K / YEAR_DAYS))
        return np.where(self._rows(begin_U1) > 0, season_UK, np.nan)

    def _rows(self, days: np.ndarray) -> np.ndarray:
        """Row of what is known on a day."""
        return np.searchsorted(self._days, days, side="right")


def _fading(days: np.ndarray | int) -> np.ndarray:
    """What is left after this many days, for each half-life, shape (..., H, 1)."""
    return np.asarray(np.exp2(-days / np.array(HALF_LIVES_DAYS)[:, None]))


def _log_ratio(events: np.ndarray, expected: np.ndarray) -> np.ndarray:
    return np.asarray(np.log((events + PRIOR_EVENTS) / (expected + PRIOR_EVENTS)))
