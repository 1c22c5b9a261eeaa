"""Timelines against plain loops."""

from datetime import timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mlc.events.timeline import Timeline, first_of_day, open_timeline, pack, read_columns, write_column
from mlc.tables import MICROSECONDS_PER_DAY
from tests.support import reference
from tests.support.small_tables import many

HALF_DAY = MICROSECONDS_PER_DAY // 2
# Few different moments, so that many are equal; before 1970 too.
moments = st.builds(
    lambda half_days, ticks: half_days * HALF_DAY + ticks, st.integers(-4, 6), st.sampled_from([-1, 0, 0, 1])
)
timelines = st.lists(
    st.lists(st.tuples(moments, st.integers(0, 2)), max_size=9).map(
        lambda rows: sorted(rows, key=lambda r: r[0])
    ),
    max_size=6,
)


def write_timeline(timeline, folder):
    """One `.npy` a column, as in a store."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "offsets.npy", timeline.offsets)
    np.save(folder / "time.npy", timeline.time)
    for name, values in timeline.columns.items():
        write_column(folder, name, values)


def packed(entities: list[list[tuple[int, int]]]) -> Timeline:
    offsets = np.cumsum([0, *(len(rows) for rows in entities)]).astype(np.int64)
    flat = [row for rows in entities for row in rows]
    time = np.array([row[0] for row in flat], dtype=np.int64)
    return Timeline(offsets, time, {"group": np.array([row[1] for row in flat], dtype=np.int64)})


@many
@given(timelines, st.data())
def test_ends_and_history_equal_the_loop(entities, data):
    line = packed(entities)
    rows = data.draw(st.lists(st.integers(0, max(0, len(entities) - 1)), max_size=6 if entities else 0))
    cutoffs = data.draw(st.lists(moments, min_size=len(rows), max_size=len(rows)))
    most = data.draw(st.sampled_from([None, 0, 1, 3]))
    offsets, time = line.offsets.tolist(), line.time.tolist()
    rows_B, cutoffs_B = np.array(rows, dtype=np.int64), np.array(cutoffs, dtype=np.int64)
    ends = [reference.end_of_history(offsets, time, r, c) for r, c in zip(rows, cutoffs, strict=True)]
    assert line.ends(rows_B, cutoffs_B).tolist() == ends
    example_T, index_T = line.history(rows_B, cutoffs_B, most)
    expected = []
    for example, (row, end) in enumerate(zip(rows, ends, strict=True)):
        start = offsets[row] if most is None else max(offsets[row], end - most)
        expected += [(example, index) for index in range(start, end)]
    assert list(zip(example_T.tolist(), index_T.tolist(), strict=True)) == expected


@many
@given(timelines)
def test_first_of_day_equals_the_loop(entities):
    line = packed(entities)
    offsets, time, group = line.offsets.tolist(), line.time.tolist(), line.columns["group"]
    assert first_of_day(line).tolist() == reference.first_of_day(offsets, time, [0] * len(time))
    assert first_of_day(line, group).tolist() == reference.first_of_day(offsets, time, group.tolist())


@many
@given(st.lists(st.tuples(st.integers(0, 5), moments), max_size=30))
def test_pack_sorts_stably_and_leaves_an_empty_range_for_who_has_nothing(pairs):
    rows_T = np.array([row for row, _ in pairs], dtype=np.uint32)
    time_T = np.array([moment for _, moment in pairs], dtype=np.int64)
    line = pack(rows_T, time_T, 8, {"order": np.arange(len(pairs))})
    assert line.entities == 8
    found = [
        (row, int(line.time[i]), int(line.columns["order"][i]))
        for row in range(8)
        for i in range(line.offsets[row], line.offsets[row + 1])
    ]
    assert found == sorted((row, moment, order) for order, (row, moment) in enumerate(pairs))


def test_a_count_of_first_moments_is_the_number_of_days_also_in_the_middle_of_a_day():
    hour = timedelta(hours=1) // timedelta(microseconds=1)
    line = pack(np.zeros(4, np.int64), np.array([30, 1, 5, 2]) * hour, 1, {})
    first = np.concatenate([[0], np.cumsum(first_of_day(line))])
    cutoffs = np.array([0, 1, 3, 6, 29, 30]) * hour
    assert first[line.ends(np.zeros(6, np.int64), cutoffs)].tolist() == [0, 1, 1, 1, 1, 2]


def test_a_written_timeline_is_read_back_and_cannot_be_changed(tmp_path):
    names = ["a/b", "ü", "a.b", "with space", "..", ">products", "time", "100%", "x" * 80]
    rows = np.repeat(np.arange(3), 9000)
    line = pack(rows, np.arange(len(rows))[::-1].copy(), 4, {n: rows + i for i, n in enumerate(names)})
    write_timeline(line, tmp_path)
    found = open_timeline(tmp_path)
    assert found.offsets.tolist() == line.offsets.tolist()
    assert (found.time == line.time).all()
    assert set(found.columns) == set(names)
    for name in names:
        assert (found.columns[name] == line.columns[name]).all()
        assert not found.columns[name].flags.writeable


def test_no_columns_and_no_rows_are_read_back_too(tmp_path):
    assert read_columns(tmp_path / "nowhere") == {}
    write_column(tmp_path, "empty", np.zeros(0, np.uint8))
    assert read_columns(tmp_path)["empty"].shape == (0,)
    line = Timeline(np.zeros(3, np.int64), np.zeros(0, np.int64), {})
    write_timeline(line, tmp_path / "line")
    assert open_timeline(tmp_path / "line").ends(np.array([0, 1]), np.array([5, 5])).tolist() == [0, 0]
