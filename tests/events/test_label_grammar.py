"""Every rule, label form and window against one plain loop over the rows; unknown targets; given cutoffs."""

import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlc.errors import DataError, ScenarioError
from mlc.events.cutoffs import choose_cutoffs
from mlc.events.label_names import label_line, label_query, resolve_labels, value_counts
from mlc.events.store import open_store
from mlc.events.targets import by_time, own_pairs, shared_pairs
from mlc.tables import UNKNOWN, microseconds, targets_of
from tests.support import reference
from tests.support.small_tables import START, Rows, build, folder, scenario_at, some, write

DAY = timedelta(days=1)
VALUES = ["Dress", "Dress Long", "Skirt", "Hat", ""]
SPECS: dict[str, dict[str, Any]] = {
    "One": {"values": ["Dress"]},
    "Any": {"values": ["Skirt", "Hat", "Dress"]},
    "Found": {"pattern": "^Dress"},
    "Both": {"values": ["Hat"], "pattern": "Long$"},
    "Dear": {"values": ["Dress", "Skirt"], "where": "price > 3"},
    "Soon": {"values": ["Dress", "Hat"], "window_days": 2},
}
RULES: dict[str, dict[str, Any]] = {
    "exists": {"kind": "exists"},
    "count": {"kind": "count_at_least", "times": 2},
    "sum": {"kind": "sum_at_least", "column": "price", "amount": 7},
    "new": {"kind": "new"},
    "lapsed": {"kind": "lapsed", "active_within_days": 6},
    "where": {"kind": "exists", "where": "price < 6"},
}
# How the values of an event are written: in one column, one text, one list, or two columns.
FORMS = ("one", "separator", "list", "two")

events = st.lists(
    st.fixed_dictionaries(
        {
            "who": st.sampled_from(["ann", "bob", "eve"]),
            "at": st.integers(0, 40 * 4).map(lambda quarter: START + quarter * DAY / 4),
            "price": st.none() | st.integers(1, 9),
            "values": st.lists(st.sampled_from(VALUES), max_size=3, unique=True),
        }
    ),
    min_size=1,
    max_size=40,
)


def anchored(rows: Rows, form: str) -> Rows:
    """The rows, and for every value an event long before and long after, so that nothing is refused."""
    everywhere: Rows = [
        {"who": who, "at": START + days * DAY, "price": 5, "values": [value]}
        for value in VALUES[:4]
        for days in (-300, -299, 300)
        for who in ("ann", "bob")
    ]
    kept = [row for row in rows if form != "one" or len(row["values"]) <= 1]
    return [*kept, *everywhere]


def written(rows: Rows, form: str, place: Path) -> dict[str, Any]:
    """Write the events in one of the forms; returns the scenario's `column` section."""
    base = pl.DataFrame(
        [{key: row[key] for key in ("who", "at", "price")} for row in rows],
        schema={"who": pl.String, "at": pl.Datetime("us"), "price": pl.Int64},
    )
    values = [row["values"] for row in rows]

    def nth(place: int) -> pl.Series:
        return pl.Series(f"v{place}", [v[place] if len(v) > place else None for v in values], pl.String)

    section: dict[str, Any]
    match form:
        case "one":
            base, section = base.with_columns(nth(0)), {"column": "v0"}
        case "separator":
            texts = pl.Series("v", [" | ".join(v) if v else None for v in values], pl.String)
            base, section = base.with_columns(texts), {"column": "v", "separator": "|"}
        case "list":
            base, section = base.with_columns(pl.Series("v", values, pl.List(pl.String))), {"column": "v"}
        case _:
            columns = [nth(0), nth(1), nth(2)]
            base, section = base.with_columns(columns), {"column": ["v0", "v1", "v2"]}
    write(place / "t.parquet", base)
    return section


def belongs(row: dict[str, Any], name: str) -> bool:
    """Whether an event is one of a label."""
    spec = SPECS[name]
    values = spec.get("values", [])
    found = any(v in values or ("pattern" in spec and re.search(spec["pattern"], v)) for v in row["values"])
    return found and ("where" not in spec or (row["price"] is not None and row["price"] > 3))


def target(
    rows: Rows, who: str, cutoff: datetime, name: str, rule: dict[str, Any], gap: int, days: int | str
) -> int:
    """The obviously right version."""
    counted = [row for row in rows if row["who"] == who and belongs(row, name)]
    if rule.get("where"):
        counted = [row for row in counted if row["price"] is not None and row["price"] < 6]
    word = "window" if isinstance(days, str) else "window_days"
    first, end = reference.window({word: days, "gap_days": gap}, cutoff)
    window = [row for row in counted if first <= row["at"] < end]
    past = [row for row in counted if row["at"] <= cutoff]
    match rule["kind"]:
        case "exists":
            return int(len(window) >= 1)
        case "count_at_least":
            return int(len(window) >= rule["times"])
        case "sum_at_least":
            return int(sum(row["price"] or 0 for row in window) >= rule["amount"])
        case "new":
            return int(bool(window) and not past)
        case _:
            recent = [row for row in past if row["at"] > cutoff - rule["active_within_days"] * DAY]
            return int(bool(recent) and not window)


@some
@given(
    rows=events,
    form=st.sampled_from(FORMS),
    rule=st.sampled_from(list(RULES)),
    windows=st.sampled_from([3, [3, 8], "next_week", "next_month"]),
    gap=st.integers(0, 2),
    quarters=st.lists(st.integers(0, 30 * 4), min_size=2, max_size=4),
)
def test_targets_equal_a_plain_loop_for_every_rule_label_form_and_window(
    rows, form, rule, windows, gap, quarters
):
    rows = anchored(rows, form)
    moments = [START + quarter * DAY / 4 for quarter in quarters]
    calendar = isinstance(windows, str)
    specs = {
        name: {word: value for word, value in spec.items() if not calendar or word != "window_days"}
        for name, spec in SPECS.items()
    }
    with folder() as name:
        section = written(rows, form, Path(name))
        scenario = scenario_at(
            Path(name),
            {
                "data": {
                    "entity": "who",
                    "tables": {"t": {"kind": "events", "path": "t.parquet", "time": "at"}},
                },
                "target": {
                    "table": "t",
                    **section,
                    "class_names": specs,
                    "window" if calendar else "window_days": windows,
                    "gap_days": gap,
                    "rule": RULES[rule],
                },
            },
        )
        labels = resolve_labels(scenario, value_counts(scenario, datetime(2100, 1, 1)))
        store = build_store(scenario, Path(name))
        line = label_line(scenario, labels, store)
        times = np.array([microseconds(moment) for moment in moments])
        events = by_time(scenario, line, times)
        shared = {
            (str(store.entity_ids[row]), at, labels.names[label])
            for at, time in zip(moments, times.tolist(), strict=True)
            for row, label in shared_pairs(scenario, labels, events, time).iter_rows()
        }
        entities = np.arange(len(store.entity_ids))
        rows_N, times_N = np.tile(entities, len(times)), np.repeat(times, len(entities))
        own = {
            (str(store.entity_ids[int(rows_N[n])]), moments[n // len(entities)], labels.names[label])
            for n, label in own_pairs(scenario, labels, line, rows_N, times_N).iter_rows()
        }
    expected = {
        (who, at, head)
        for who in {row["who"] for row in rows}
        for at in moments
        for base, spec in specs.items()
        for head, days in heads(base, spec, windows)
        if target(rows, who, at, base, RULES[rule], gap, days)
    }
    assert shared == own == expected


def heads(base, spec, windows):
    """Names and windows that one class name gives."""
    if "window_days" in spec:
        return [(base, spec["window_days"])]
    return [(f"{base} {days}d", days) for days in windows] if isinstance(windows, list) else [(base, windows)]


def build_store(scenario, place):
    return open_store(scenario, place / "runs", lambda _: None)


def shop(
    place: Path, target: dict[str, Any], examples: dict[str, Any] | None = None, days: int = 60, end: int = 60
):
    """A daily event with each of two values, and the scenario around it."""
    rows = [
        {"who": who, "at": START + day * DAY, "v": value, "price": 2.0}
        for who in ("ann", "bob")
        for day in range(days)
        for value in ("a", "b")
        if (day + (who == "bob")) % 2 or value == "a"
    ]
    write(place / "t.parquet", pl.DataFrame(rows).filter(pl.col("at") <= START + end * DAY))
    return scenario_at(
        place,
        {
            "data": {"entity": "who", "tables": {"t": {"kind": "events", "path": "t.parquet", "time": "at"}}},
            "target": {"table": "t", "column": "v", "class_names": ["a", "b"], **target},
            "examples": examples or {},
        },
    )


def test_a_label_whose_own_window_is_not_complete_is_unknown_and_not_negative(tmp_path):
    last = START + 59 * DAY
    scenario = shop(tmp_path, {"window_days": [2, 10]}, {"test_from": last - 5 * DAY, "every_days": 3})
    built = build(scenario, tmp_path)
    test = (built.examples.table["split"] == "test").to_numpy()
    targets = targets_of(built.examples.table)[test]
    names = list(built.examples.labels.names)
    assert names == ["a 2d", "a 10d", "b 2d", "b 10d"]
    assert (targets[:, [1, 3]] == UNKNOWN).all()
    assert (targets[:, [0, 2]] != UNKNOWN).all()
    assert (targets_of(built.examples.table)[~test] != UNKNOWN).all()


def test_given_cutoffs_are_split_by_time_and_their_windows_stay_apart(tmp_path):
    given = [START + day * DAY for day in (10, 20, 30, 40, 50)]
    scenario = shop(tmp_path, {"window_days": 8}, {"cutoffs": given})
    cutoffs = choose_cutoffs(scenario, START, START + 59 * DAY)
    assert cutoffs.splits == {"train": given[:3], "validation": [given[3]], "test": [given[4]]}
    later = choose_cutoffs(scenario, START, START + 57 * DAY)  # the last window is no longer complete
    assert later.splits == {"train": given[:2], "validation": [given[2]], "test": [given[3]]}


def test_given_cutoffs_and_a_grid_exclude_each_other(tmp_path):
    with pytest.raises(ScenarioError, match=r"examples\.every_days: has no effect: cutoffs says which"):
        shop(tmp_path, {"window_days": 8}, {"cutoffs": [START], "every_days": 7})


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ({"class_names": {"A": {"where": "price > 1"}}}, "no values and no pattern"),
        ({"class_names": {"A": {"pattern": "("}}}, "this is no regular expression"),
        ({"class_names": {"A": {"values": "a", "patern": "b"}}}, "did you mean pattern"),
        ({"window_days": [7, 7]}, "a window is there twice"),
        ({"class_names": {"A": {"values": "a", "window_days": 3}}, "window_days": [2, 5]}, "has no effect"),
        (
            {"class_names": {"A 2d": {"values": "a", "window_days": 3}, "A": "a"}, "window_days": [2, 5]},
            "two labels are called A 2d",
        ),
        ({"rule": {"kind": "sum_at_least", "column": "price"}}, "target.rule.amount: this field is required"),
        ({"rule": {"kind": "lapsed"}}, "active_within_days: this field is required"),
        ({"window": "next_week"}, "there are both. Write window_days or window."),
        ({"window_days": None}, "there is neither. Write window_days or window."),
        ({"window_days": None, "window": "next_year"}, "next_month"),
        (
            {
                "window_days": None,
                "window": "next_week",
                "class_names": {"A": {"values": "a", "window_days": 3}},
            },
            "has no effect: target.window is next_week for every label",
        ),
    ],
)
def test_a_wrong_grammar_is_refused_with_what_to_do(tmp_path, target, told):
    with pytest.raises(ScenarioError, match=re.escape(told)):
        shop(tmp_path, {"window_days": 5, **target})


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ({"rule": {"kind": "sum_at_least", "column": "prize", "amount": 1}}, "Did you mean price"),
        ({"rule": {"kind": "sum_at_least", "column": "who", "amount": 1}}, "must be a number"),
        ({"class_names": {"A": {"values": "a", "where": "prize > 1"}}}, "prize"),
        ({"class_names": {"A": {"pattern": "^z"}, "B": "b"}}, "no value of v has ^z"),
        ({"column": ["v", "w"]}, "has no column w"),
    ],
)
def test_columns_and_patterns_that_the_tables_do_not_have_are_refused(tmp_path, target, told):
    with pytest.raises(DataError, match=re.escape(told)):
        build(shop(tmp_path, {"window_days": 5, **target}), tmp_path)


def test_a_model_keeps_its_frequent_labels_when_others_become_frequent(tmp_path):
    scenario = shop(tmp_path, {"class_names": {"top": 1}, "window_days": [2, 5]})
    counts = value_counts(scenario, datetime(2100, 1, 1))
    labels = resolve_labels(scenario, counts)
    assert labels.names == ["a 2d", "a 5d"]
    turned = counts.with_columns((10_000 - pl.col("fitted")).alias("fitted"))
    assert resolve_labels(scenario, turned).names == ["b 2d", "b 5d"]
    assert resolve_labels(scenario, turned, labels.names).names == labels.names


def test_an_event_with_two_values_of_one_label_is_one_event(tmp_path):
    write(tmp_path / "t.parquet", pl.DataFrame({"who": ["ann"], "at": [START], "v": ["a|b|a"]}))
    scenario = scenario_at(
        tmp_path,
        {
            "data": {"entity": "who", "tables": {"t": {"kind": "events", "path": "t.parquet", "time": "at"}}},
            "target": {
                "table": "t",
                "column": "v",
                "separator": "|",
                "class_names": {"Either": ["a", "b"]},
                "window_days": 1,
            },
        },
    )
    labels = resolve_labels(scenario, value_counts(scenario, START))
    assert label_query(scenario, labels).collect().height == 1


def test_several_windows_and_unknown_targets_go_the_whole_path(mlc, tmp_path):
    """Train, evaluate and predict with a head for each window, some targets unknown."""
    rng = np.random.default_rng(0)
    rows: Rows = [
        {"who": f"c{c:02}", "at": START + float(t) * DAY, "v": "ab"[int(t + c) % 2], "price": 1.0}
        for c in range(40)
        for t in np.sort(rng.uniform(0, 90, 30))
    ]
    write(tmp_path / "t.parquet", pl.DataFrame(rows))
    last = max(row["at"] for row in rows)
    (tmp_path / "s.yaml").write_text(
        f"""
data: {{entity: who, tables: {{t: {{kind: events, path: t.parquet, time: at}}}}}}
target: {{table: t, column: v, class_names: [a, b], window_days: [3, 12]}}
examples: {{test_from: {last - 9 * DAY:%Y-%m-%dT%H:%M:%S}, every_days: 4}}
model: {{preset: nano}}
train: {{epochs: 1}}
"""
    )
    assert mlc("train", "s.yaml").code == 0
    report = json.loads((tmp_path / "runs/s/report.json").read_text())
    test = {label["name"]: label for label in report["splits"]["test"]["labels"]}
    assert list(test) == ["a 3d", "a 12d", "b 3d", "b 12d"]
    assert test["a 12d"]["undefined"] == "no example"
    assert test["a 12d"]["auroc"] is None
    assert "the same numbers" in mlc("evaluate", "s").err
    assert mlc("predict", "s", "--out", "scores.parquet").code == 0
    assert {"a 3d", "a 12d", "b 3d", "b 12d"} <= set(pl.read_parquet(tmp_path / "scores.parquet").columns)
