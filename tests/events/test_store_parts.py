"""The store in parts: within a memory limit, and from an older store where files were added."""

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlc.errors import DataError
from mlc.events.store import memory, memory_limit, open_store, store_fingerprint
from mlc.scenario import EventScenario
from tests.support.small_tables import START, Rows, few, folder, scenario_at, silent, write

SALES: dict[str, Any] = {
    "who": pl.String, "at": pl.Datetime("us"), "item": pl.String, "number": pl.Int64, "note": pl.String,
    "kind": pl.Categorical, "flag": pl.Boolean, "price": pl.Float64, "nothing": pl.Null,
}  # fmt: skip
VISITS = {"user": pl.String, "seen": pl.Datetime("us"), "thing": pl.String, "page": pl.String}
ITEMS = {"id": pl.String, "name": pl.String, "cost": pl.Float64}
KINDS: dict[str, dict[str, Any]] = {
    "sales": {"kind": "events", "time": "at", "joins": {"items": "item"}, "encoders": {"note": "text"}},
    "visits": {"kind": "events", "time": "seen", "entity": "user", "joins": {"items": "thing"}},
    "items": {"kind": "dimension", "key": "id", "encoders": {"name": "category"}},
    "people": {"kind": "entities", "key": "id"},
}
SCHEMAS: dict[str, dict[str, Any]] = {
    "sales": SALES,
    "visits": VISITS,
    "items": ITEMS,
    "people": {"id": pl.String, "age": pl.Int64},
}

moment = st.one_of(st.none(), *[st.integers(0, 4).map(lambda day: START + timedelta(days=day))] * 8)
person = st.sampled_from(["ann", "bob", "eve", "zoe", "kim", "max", None])
item = st.sampled_from(["i1", "i2", "i3", "i4", None])
sale = st.fixed_dictionaries(
    {
        "who": person, "at": moment, "item": item, "number": st.none() | st.integers(0, 9),
        "note": st.none() | st.text(max_size=2), "kind": st.sampled_from(["x", "y", "z", None]),
        "flag": st.none() | st.booleans(), "price": st.none() | st.floats(-5, 5, width=32),
        "nothing": st.none(),
    }
)  # fmt: skip
visit = st.fixed_dictionaries(
    {"user": person, "seen": moment, "thing": item, "page": st.sampled_from(["home", "cart", None])}
)
FIRST_SALE: dict[str, Any] = dict.fromkeys(SALES) | {"who": "ann", "at": START}
FIRST_VISIT: dict[str, Any] = dict.fromkeys(VISITS) | {"user": "bob", "seen": START}


@st.composite
def items(draw: st.DrawFn) -> Rows:
    keys = draw(st.lists(st.sampled_from(["i1", "i2", "i3", "i4"]), unique=True))
    return [{"id": key, "name": draw(st.sampled_from(["n", "m", None])), "cost": 1.5} for key in keys]


def shop(place: Path, ending: str = "parquet", **more: Any) -> EventScenario:
    """A scenario on the tables that lie in folders, one file after the other."""
    there = [name for name in KINDS if (place / name).exists()]
    tables = {name: {**KINDS[name], "path": f"{name}/*.{ending}"} for name in there}
    if "items" not in there:
        del tables["sales"]["joins"]
    if ending == "ndjson":
        tables["sales"]["types"] = {"at": "datetime"}
    target = {"table": "sales", "column": "note", "class_names": ["1"], "window_days": 1}
    return scenario_at(place, {"data": {"entity": "who", "tables": tables, **more}, "target": target})


def add(place: Path, table: str, rows: Rows, number: int, ending: str = "parquet") -> None:
    """Write one more file of a table."""
    frame = pl.DataFrame(rows, schema=SCHEMAS[table], orient="row")
    path = place / table / f"part-{number:02}.{ending}"
    if ending == "arrow":
        path.parent.mkdir(exist_ok=True)
        frame.write_ipc(path)
    elif ending == "ndjson":
        path.parent.mkdir(exist_ok=True)
        frame.write_ndjson(path)
    else:
        write(path, frame.drop("nothing", strict=False) if ending == "csv" else frame)


def contents(store: Path, with_sources: bool = True) -> dict[str, Any]:
    """All that lies in a store, by file."""
    found: dict[str, Any] = {}
    for file in store.rglob("*"):
        if file.suffix == ".parquet":
            frame = pl.read_parquet(file)
            found[str(file.relative_to(store))] = (frame.schema, frame.rows())
        elif file.is_file():
            found[str(file.relative_to(store))] = file.read_bytes()
    described = json.loads(found.pop("store.json"))
    if not with_sources:
        for source in described["sources"].values():
            del source["distinct"]["values"]  # bounds, where a column was not counted again
    return {**found, "store.json": described}


def built(scenario: EventScenario, runs: Path) -> dict[str, Any]:
    return contents(open_store(scenario, runs, silent).folder)


def appended(place: Path, scenario: EventScenario) -> bool:
    """Open the store of the tables as they are now; it must be what a store from scratch is.

    Returns:
        Whether it was made of a former store.
    """
    said: list[str] = []
    store = open_store(scenario, place / "runs", said.append)
    scratch = open_store(scenario, place / "scratch", silent)
    assert store.fingerprint == scratch.fingerprint
    assert contents(store.folder, with_sources=False) == contents(scratch.folder, with_sources=False)
    assert store.counts == scratch.counts
    for folder_ in (place / "scratch" / "store").iterdir():
        for file in sorted(folder_.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
        folder_.rmdir()
    return "new" in said[0]


# ── the memory limit ────────────────────────────────────────────────────────────────────────────


@few
@given(st.lists(sale, max_size=40), st.lists(visit, max_size=20), items())
@pytest.mark.slow
def test_a_small_memory_limit_makes_the_same_store(sales, visits, rows):
    with folder() as name:
        place = Path(name)
        add(place, "sales", [FIRST_SALE, *sales], 0)
        add(place, "visits", [FIRST_VISIT, *visits], 0)
        add(place, "items", rows, 0)
        whole, parts = shop(place), shop(place, memory_limit="1kB")
        assert store_fingerprint(whole) == store_fingerprint(parts)
        assert built(whole, place / "whole") == built(parts, place / "parts")


def test_an_entity_with_more_events_than_fit_is_sorted_all_the_same(tmp_path):
    rng = np.random.default_rng(3)
    rows = [
        FIRST_SALE | {"at": START + timedelta(days=int(day)), "number": number}
        for number, day in enumerate(rng.integers(0, 9, 300))
    ]
    add(tmp_path, "sales", rows, 0)
    parts = built(shop(tmp_path, memory_limit="1kB"), tmp_path / "parts")
    assert parts == built(shop(tmp_path), tmp_path / "whole")


def test_the_limit_is_half_of_what_the_machine_or_its_control_group_has(tmp_path):
    add(tmp_path, "sales", [FIRST_SALE], 0)
    assert memory_limit(shop(tmp_path, memory_limit="1.5GB")) == 1_500_000_000
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < memory_limit(shop(tmp_path)) <= machine // 2
    for controllers, file in (("", "memory.max"), ("cpu,memory", "memory.limit_in_bytes")):
        groups = tmp_path / (controllers or "unified")
        job = (groups / "memory" if controllers else groups) / "batch" / "job"
        job.mkdir(parents=True)
        (job / file).write_text("max\n")
        (job.parent / file).write_text("4096\n")
        own = tmp_path / "own"
        own.write_text(f"7:cpuset:/other\n0:{controllers}:/batch/job\n")
        assert list(memory._group_limits(own, groups)) == [4096]
    assert list(memory._group_limits(tmp_path / "nowhere", tmp_path)) == []


# ── added files ─────────────────────────────────────────────────────────────────────────────────


@few
@given(
    st.lists(st.lists(sale, max_size=12), min_size=2, max_size=4),
    st.lists(st.lists(visit, max_size=8), max_size=3),
    st.lists(items(), min_size=1, max_size=2),
    st.integers(1, 3),
)
@pytest.mark.slow
def test_a_store_that_goes_on_from_an_older_one_is_the_one_from_scratch(sales, visits, dimension, first):
    with folder() as name:
        place = Path(name)
        for number, rows in enumerate(sales[:first]):
            add(place, "sales", [FIRST_SALE, *rows], number)
        for number, rows in enumerate(visits[:first]):
            add(place, "visits", [FIRST_VISIT, *rows], number)
        add(place, "items", dimension[0], 0)
        open_store(shop(place), place / "runs", silent)
        for number in range(first, 4):  # week after week, each from the one before
            for table, parts in (("sales", sales), ("visits", visits)):
                if number < len(parts):
                    add(place, table, parts[number], number)
            if (place / "visits").exists() or not visits:
                add(place, "items", dimension[-1], 0)
            if not (place / "runs" / "store" / store_fingerprint(shop(place))).exists():
                appended(place, shop(place))


WEEK: Rows = [
    FIRST_SALE | {"who": who, "at": START + timedelta(days=day), "note": note, "item": item, "number": number}
    for number, (who, day, note, item) in enumerate(
        [("ann", 3, "b", "i1"), ("new", 0, "a", None), ("ann", 0, "zz", "i2"), ("zoe", 9, None, "i1")]
    )
]


def week(place: Path, number: int, ending: str = "parquet", rows: Rows = WEEK) -> None:
    add(place, "sales", rows, number, ending)


@pytest.mark.parametrize("ending", ["parquet", "arrow", "csv", "ndjson"])
def test_files_of_every_kind_are_added(tmp_path, ending):
    week(tmp_path, 0, ending)
    add(tmp_path, "items", [{"id": "i1", "name": "n", "cost": 2.0}], 0, ending)
    add(tmp_path, "people", [{"id": "zoe", "age": 3}], 0, ending)
    open_store(shop(tmp_path, ending), tmp_path / "runs", silent)
    week(tmp_path, 1, ending, [row | {"who": "eve"} for row in WEEK])
    add(tmp_path, "people", [{"id": "eve", "age": 4}], 1, ending)
    assert appended(tmp_path, shop(tmp_path, ending))


def test_events_of_several_tables_at_one_moment_keep_the_order_of_the_tables(tmp_path):
    both = (("sales", FIRST_SALE | {"who": "ann"}), ("visits", FIRST_VISIT | {"user": "ann"}))
    for number in range(3):
        for table, row in both:
            add(tmp_path, table, [row] * 3, number)
        add(tmp_path, "items", [], 0)
        if number == 0:
            open_store(shop(tmp_path), tmp_path / "runs", silent)
        else:
            assert appended(tmp_path, shop(tmp_path))


def test_a_store_goes_on_from_the_newest_of_several(tmp_path):
    said: list[str] = []
    for number in range(4):
        week(tmp_path, number)
        open_store(shop(tmp_path), tmp_path / "runs", said.append)
    assert said[0] == "events: sales 4"
    assert said[1:] == [f"events: sales {4 * n} (4 of them new)" for n in (2, 3, 4)]


def test_more_than_254_values_widen_the_codes_of_all_events(tmp_path):
    week(tmp_path, 0, rows=[FIRST_SALE | {"note": f"m{n}"} for n in range(250)])
    assert not appended(tmp_path, shop(tmp_path))
    week(tmp_path, 1, rows=[FIRST_SALE | {"note": f"{n}"} for n in range(20)])
    assert appended(tmp_path, shop(tmp_path))


def numbers(values: Any, **more: Any) -> Rows:
    return [FIRST_SALE | {"number": value, **more} for value in values]


@pytest.mark.parametrize(
    ("before", "after", "goes_on"),
    [
        (range(40), range(40), True),  # the bounds do not tell, so it is counted again
        (range(40), range(40, 60), False),  # a category no longer
        ([*range(60), 1], range(40, 80), True),
        (range(60), range(60, 80), True),  # an identifier still
        (range(60), range(40, 80), False),  # an identifier no longer
        ([None] * 3, [*range(49), None], True),
        ([None] * 3, range(50), False),
    ],
)
def test_whole_numbers_that_enter_the_model_otherwise_make_a_store_from_scratch(
    tmp_path, before, after, goes_on
):
    week(tmp_path, 0, rows=numbers(before))
    open_store(shop(tmp_path), tmp_path / "runs", silent)
    week(tmp_path, 1, rows=numbers(after))
    assert appended(tmp_path, shop(tmp_path)) == goes_on
    week(tmp_path, 2, rows=numbers([1]))
    appended(tmp_path, shop(tmp_path))


def test_text_that_turns_from_an_identifier_into_a_category_makes_a_store_from_scratch(tmp_path):
    week(tmp_path, 0, rows=[FIRST_SALE | {"kind": f"k{n}"} for n in range(60)])
    open_store(shop(tmp_path), tmp_path / "runs", silent)
    week(tmp_path, 1, rows=[FIRST_SALE | {"kind": "k1"}] * 40)
    assert appended(tmp_path, shop(tmp_path))
    week(tmp_path, 2, rows=[FIRST_SALE | {"kind": "k1"}] * 40)
    assert not appended(tmp_path, shop(tmp_path))


@pytest.mark.parametrize(
    ("ids", "goes_on"), [(["i1", "i2"], True), (["i0", "i1"], True), (["i1", "i9"], True), (["i2"], False)]
)
def test_a_changed_dimension_is_joined_anew_unless_an_old_event_had_no_row(tmp_path, ids, goes_on):
    week(tmp_path, 0)
    rows: Rows = [{"id": "i1", "name": "n", "cost": 2.0}, {"id": "i2", "name": "m", "cost": None}]
    add(tmp_path, "items", rows[: len(ids)], 0)
    open_store(shop(tmp_path), tmp_path / "runs", silent)
    week(tmp_path, 1)
    add(tmp_path, "items", [{"id": id_, "name": "k", "cost": 0.5} for id_ in ids], 0)
    assert appended(tmp_path, shop(tmp_path)) == goes_on


@pytest.mark.parametrize("change", ["old file", "file before", "gone", "where", "type", "larger than memory"])
def test_any_other_change_makes_a_store_from_scratch(tmp_path, change):
    for number in (1, 2):
        week(tmp_path, number)
    open_store(shop(tmp_path), tmp_path / "runs", silent)
    place = tmp_path / "sales"
    week(tmp_path, 3)
    more: dict[str, Any] = {}
    match change:
        case "old file":
            week(tmp_path, 1, rows=WEEK[1:])
        case "file before":
            week(tmp_path, 0)
        case "gone":
            (place / "part-01.parquet").unlink()
        case "type":
            for file in sorted(place.iterdir()):
                status = file.stat()
                frame = pl.read_parquet(file).with_columns(pl.col("number").cast(pl.Int32))
                frame.write_parquet(file)
                os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
        case "larger than memory":
            more["memory_limit"] = "1kB"
            week(tmp_path, 3, rows=WEEK * 9)
    scenario = shop(tmp_path, **more)
    if change == "where":
        table = scenario.data.tables["sales"].model_copy(update={"where": "number < 3"})
        data = scenario.data.model_copy(update={"tables": {**scenario.data.tables, "sales": table}})
        scenario = scenario.model_copy(update={"data": data})
    assert not appended(tmp_path, scenario)


def test_a_value_that_cannot_be_converted_is_found_in_an_added_file(tmp_path):
    sales = {"kind": "events", "path": "sales", "time": "at", "types": {"note": "integer"}}
    target = {"table": "sales", "column": "kind", "class_names": ["1"], "window_days": 1}
    scenario = scenario_at(
        tmp_path, {"data": {"entity": "who", "tables": {"sales": sales}}, "target": target}
    )
    for number, text in enumerate(["1", "2"]):
        week(tmp_path, number, rows=[FIRST_SALE | {"note": text}])
        open_store(scenario, tmp_path / "runs", silent)
    week(tmp_path, 2, rows=[FIRST_SALE | {"note": "1.5"}])
    with pytest.raises(DataError, match=r"1 value of note is not integer \('1.5'\)"):
        open_store(scenario, tmp_path / "runs", silent)
