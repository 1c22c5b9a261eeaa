"""No command writes where it reads, however the path is written."""

import glob
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlc.run.outputs import Input, Output, _fits, check_outputs, inputs_of
from mlc.scenario import load_scenario
from tests.support.effort import drawn
from tests.support.shop_tables import SCENARIO, shop_tables, snapshot, write_shop

NAMELESS = "\n".join(line for line in SCENARIO.splitlines() if not line.startswith("name:")) + "\n"


@pytest.fixture
def shop(mlc, tmp_path):  # noqa: ARG001 - `mlc` makes it the working folder
    write_shop(tmp_path)
    return tmp_path


@pytest.fixture
def refused(mlc, shop):
    """Runs a command that must be refused before it changes a single byte; gives its message."""

    def run(*arguments: object) -> str:
        before = snapshot(shop)
        result = mlc(*arguments)
        assert (result.code, result.out) == (2, ""), result.err
        assert "Traceback" not in result.err
        assert snapshot(shop) == before
        return result.err

    return run


def line_of(text: str) -> int:
    return next(number for number, line in enumerate(SCENARIO.splitlines(), start=1) if text in line)


@pytest.mark.parametrize(
    "way",
    ["sales.parquet", "./sales.parquet", "new/../sales.parquet", "linked/sales.parquet", "link.parquet"],
)
def test_labels_refuses_to_write_over_a_table_however_it_is_written(refused, shop, way):
    (shop / "linked").symlink_to(shop)
    (shop / "new").mkdir()
    (shop / "link.parquet").symlink_to("sales.parquet")
    said = refused("labels", "shop.yaml", "--out", way)
    place = f"shop.yaml:{line_of('sales.parquet')}"
    assert f"--out {Path(way)}: is a table of the scenario ({place}). Choose another file." in said


def test_a_hard_link_to_a_table_is_the_table(refused, shop):
    os.link(shop / "items.parquet", shop / "other.parquet")
    said = refused("labels", "shop.yaml", "--out", "other.parquet")
    assert "--out other.parquet: is a table of the scenario" in said


@pytest.fixture
def parts(shop):
    """The sales in a folder, as two files."""
    (shop / "in").mkdir()
    sales = shop_tables()["sales"]
    sales.head(len(sales) // 2).write_parquet(shop / "in" / "a.parquet")
    sales.tail(len(sales) - len(sales) // 2).write_parquet(shop / "in" / "b.parquet")
    return shop


@pytest.mark.parametrize(
    ("pattern", "out"),
    [
        ("in/*.parquet", "in/examples.parquet"),
        ("in/[a-f].parquet", "in/c.parquet"),
        ("i?/*.parquet", "in/examples.parquet"),
        ("in/**/*.parquet", "in/examples.parquet"),
        ("in/**/*.parquet", "in/new/deep/examples.parquet"),
        ("in/*.parquet", "linked/examples.parquet"),
        ("linked/*.parquet", "in/examples.parquet"),
        ("l*/*.parquet", "in/examples.parquet"),
        ("../*/in/*.parquet", "in/examples.parquet"),
    ],
)
def test_a_file_that_would_fit_the_pattern_of_a_table_is_refused(refused, parts, pattern, out):
    (parts / "linked").symlink_to("in")
    said = refused("labels", "shop.yaml", "--set", f"data.tables.sales.path={pattern}", "--out", out)
    assert f"--out {out}: fits the pattern of a table of the scenario (--set data.tables.sales.path" in said
    assert "Choose another place." in said


def test_the_default_files_never_land_in_the_pattern_of_a_table(refused, shop):
    shutil.copy(shop / "sales.parquet", shop / "sales-1.parquet")
    said = refused("labels", "shop.yaml", "--set", "data.tables.sales.path='[!iu]*.parquet'")
    assert "--out examples.parquet: fits the pattern of a table" in said


@pytest.mark.parametrize("out", ["in/examples.parquet", "in/new/x.parquet", "linked/x.parquet"])
def test_a_file_in_the_folder_of_a_table_is_refused(refused, parts, out):
    (parts / "linked").symlink_to("in")
    said = refused("labels", "shop.yaml", "--set", "data.tables.sales.path=in", "--out", out)
    assert f"--out {out}: lies in the folder of a table of the scenario" in said


def test_a_file_that_a_folder_of_links_reads_is_the_table(refused, parts):
    (parts / "links").mkdir()
    (parts / "links" / "a.parquet").symlink_to(parts / "in" / "a.parquet")
    said = refused("labels", "shop.yaml", "--set", "data.tables.sales.path=links", "--out", "in/a.parquet")
    assert "--out in/a.parquet: is a table of the scenario" in said


@pytest.mark.usefixtures("parts")
def test_the_page_is_checked_as_well_and_all_is_said_at_once(refused):
    more = ("--set", "data.tables.sales.path=in")
    said = refused("labels", "shop.yaml", *more, "--out", "in/x.parquet", "--html", "in/x.html")
    assert "--out in/x.parquet: lies in" in said
    assert "--html in/x.html: lies in" in said


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize("command", ["labels", "check", "train", "pretrain"])
def test_runs_in_the_folder_or_pattern_of_a_table_are_refused(refused, command):
    inside = ("--set", "data.tables.sales.path=in", "--runs-dir", "in/runs")
    assert "--runs-dir in/runs: lies in the folder of a table" in refused(command, "shop.yaml", *inside)
    around = ("--set", "data.tables.sales.path='**/*.parquet'")
    assert "--runs-dir runs: fits the pattern of a table" in refused(command, "shop.yaml", *around)


@pytest.mark.parametrize("command", ["train", "pretrain"])
def test_a_run_never_takes_the_place_of_a_folder_with_a_table(refused, shop, command):
    name = "shop" if command == "train" else "shop-foundation"
    (shop / "runs" / name / "data").mkdir(parents=True)
    shutil.copy(shop / "sales.parquet", shop / "runs" / name / "data" / "sales.parquet")
    (shop / "runs" / name / "run.json").write_text("{}")
    moved = ("--set", f"data.tables.sales.path=runs/{name}/data/sales.parquet")
    said = refused(command, "shop.yaml", *moved, "--overwrite")
    assert f"runs/{name}: contains a table of the scenario" in said


def test_a_run_never_takes_the_place_of_the_foundation_that_it_starts_from(refused, shop):
    (shop / "runs" / "shop").mkdir(parents=True)
    said = refused("train", "shop.yaml", "--set", "model.foundation=shop", "--overwrite")
    assert "runs/shop: is the foundation that the scenario starts from" in said


def test_a_database_and_the_files_beside_it_are_inputs(shop):
    sqlite3.connect(shop / "shop.db").close()
    text = SCENARIO.replace(
        "path: sales.parquet", "format: {kind: sql, uri: 'sqlite:///shop.db', query: SELECT 1}"
    )
    (shop / "shop.yaml").write_text(text)
    inputs = [*inputs_of(load_scenario(shop / "shop.yaml"), shop / "runs")]
    for name in ("shop.db", "shop.db-wal"):
        with pytest.raises(Exception, match="is a database of the scenario"):
            check_outputs(inputs, {name: Output(shop / name)})


@pytest.mark.parametrize("out", ["runs/other/x.parquet", "runs/store/x.parquet", "runs/store/a/x.parquet"])
def test_nothing_is_written_into_a_run_or_a_store(refused, shop, out):
    (shop / "runs" / "other").mkdir(parents=True)
    (shop / "runs" / "other" / "run.json").write_text("{}")
    (shop / "runs" / "store").mkdir()
    said = refused("labels", "shop.yaml", "--out", out)
    where = "lies in the run" if "other" in out else "lies in the folder of the event stores"
    assert where in said


def test_a_shared_data_section_and_the_scenario_are_inputs(shop):
    data, rest = NAMELESS.split("target:", 1)
    (shop / "tables.yaml").write_text("\n".join(line.removeprefix("  ") for line in data.splitlines()[1:]))
    (shop / "shop.yaml").write_text(f"data: tables.yaml\ntarget:{rest}")
    names = {one.path.name for one in inputs_of(load_scenario(shop / "shop.yaml"), shop / "runs")}
    assert {"shop.yaml", "tables.yaml", "sales.parquet", "items.parquet"} <= names


def test_init_writes_a_scenario_and_nothing_that_could_be_a_table(refused):
    assert "must end in .yaml or .yml" in refused("init", "sales.parquet", "--out", "new.parquet")


@pytest.mark.usefixtures("shop")
def test_files_beside_tables_are_written_as_before(mlc):
    assert mlc("labels", "shop.yaml").code == 0
    assert mlc("labels", "shop.yaml").code == 0  # over its own files
    assert pl.read_parquet("examples.parquet").height


# ── names ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["store", "Store", "shop.previous", "a" * 201])
def test_a_name_that_means_something_in_the_folder_of_the_runs_is_refused(refused, shop, name):
    path = shop / "shop.yaml"
    path.write_text(f"name: {name}\n{NAMELESS}")
    for command in ("check", "labels", "train", "pretrain"):
        assert "shop.yaml:1: name: " in refused(command, "shop.yaml")
    path.write_text(SCENARIO)
    said = refused("train", "shop.yaml", "--set", f"name={name}")
    assert f"--set name={name}: name: " in said
    assert "Choose another name." in said


def test_a_file_called_store_needs_a_name(refused, shop):
    (shop / "store.yaml").write_text(NAMELESS)
    said = refused("train", "store.yaml")
    assert said == "store.yaml:1: name: store is the folder of the event stores. Choose another name.\n"


# ── patterns ────────────────────────────────────────────────────────────────────────────────────

NAMES = st.sampled_from(["a", "b", "ab", ".a", "a.x", "[a]"])
PARTS = st.sampled_from(["a", "*", "?", "a*", "*.x", "[ab]", ".*", "**", "[[]a]"])


@given(st.lists(NAMES, min_size=1, max_size=3), st.lists(PARTS, min_size=1, max_size=3))
@settings(deadline=None, max_examples=drawn(300))
def test_a_path_fits_a_pattern_exactly_when_glob_finds_the_file_there(names, parts):
    root = Path(tempfile.mkdtemp(prefix="[odd]*"))
    file = root.joinpath(*names)
    pattern = Path(glob.escape(str(root)), *parts)
    fits = glob.has_magic("/".join(parts)) and _fits(file, str(pattern))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    found = glob.has_magic("/".join(parts)) and any(
        Path(one) == file and not one.endswith("/")  # a slash stands for a folder
        for one in glob.glob(str(pattern), recursive=True)  # noqa: PTH207
    )
    assert fits == found
    shutil.rmtree(root)


def test_case_counts_only_where_the_file_system_says_so(tmp_path, monkeypatch):
    table = Input("a table", "x.yaml:1", tmp_path / "Sales.parquet")
    check_outputs([table], {"--out": Output(tmp_path / "sales.PARQUET")})
    monkeypatch.setattr("mlc.run.outputs._ignores_case", lambda _: True)
    with pytest.raises(Exception, match="is a table"):
        check_outputs([table], {"--out": Output(tmp_path / "sales.PARQUET")})
    pattern = Input("a table", "x.yaml:1", tmp_path / "*.parquet", pattern=True)
    with pytest.raises(Exception, match="fits the pattern"):
        check_outputs([pattern], {"--out": Output(tmp_path / "x.PARQUET")})
