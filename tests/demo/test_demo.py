"""The demo's truth is what happens, its tables are sound, and its folder is all or nothing."""

import dataclasses
import json
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mlc.demo import simulation as demo
from mlc.demo import write_demo, writing
from mlc.demo.scenarios import SCENARIOS
from mlc.demo.simulation import CUTOFFS, DEPARTMENTS, END, LATE_CATEGORIES, START, WINDOW_DAYS
from mlc.errors import RunError
from tests.support.event_scenarios import load_events

Tables = dict[str, pl.DataFrame]
NAMES = [department.name for department in DEPARTMENTS]
CUSTOMERS = 2000
SEED = 7


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "shop"
    write_demo(folder, CUSTOMERS, SEED)
    return folder


@pytest.fixture(scope="module")
def tables(folder: Path) -> Tables:
    tables = {
        "transactions": pl.read_parquet(folder / "data/transactions/*.parquet"),
        "articles": pl.read_parquet(folder / "data/articles.parquet"),
        "customers": pl.read_parquet(folder / "data/customers.parquet"),
        "truth": pl.read_parquet(folder / "data/truth/*.parquet"),
    }
    tables["bought"] = tables["transactions"].join(tables["articles"], on="article_id", how="left")
    return tables


@pytest.fixture(scope="module")
def world() -> demo.World:
    return demo.draw_world(SEED)


def truth_and_targets(
    tables: Tables, cutoff: datetime, days: int = WINDOW_DAYS
) -> tuple[np.ndarray, np.ndarray]:
    """Two (C, D) matrices: the truth, and by plain filtering what was bought in (cutoff, cutoff + days]."""
    truth = tables["truth"].filter(pl.col("cutoff") == cutoff).sort("customer_id")
    end = cutoff + timedelta(days=days)
    window = tables["bought"].filter((pl.col("bought_at") > cutoff) & (pl.col("bought_at") <= end))
    pairs = set(window.select("customer_id", "department").iter_rows())
    targets = [[(customer, name) in pairs for name in NAMES] for customer in truth["customer_id"]]
    return truth.select(NAMES).to_numpy().astype(np.float64), np.array(targets, dtype=np.float64)


@pytest.fixture(scope="module")
def disjoint_windows(tables: Tables) -> tuple[np.ndarray, np.ndarray]:
    """Truth and targets of every second cutoff, stacked: windows that do not overlap."""
    pairs = [truth_and_targets(tables, cutoff) for cutoff in CUTOFFS[::2]]
    return np.concatenate([truth for truth, _ in pairs]), np.concatenate([target for _, target in pairs])


# ── the truth ───────────────────────────────────────────────────────────────────────────────────


def test_the_true_probabilities_match_what_happens(disjoint_windows: tuple[np.ndarray, np.ndarray]) -> None:
    truth, targets = disjoint_windows
    surprise = (targets - truth).sum(0)
    standard_error = np.sqrt((truth * (1 - truth)).sum(0))
    assert np.all(np.abs(surprise) < 4 * standard_error), dict(
        zip(NAMES, surprise / standard_error, strict=True)
    )


def test_the_true_probabilities_match_what_happens_on_the_test_cutoff_alone(tables: Tables) -> None:
    truth, targets = truth_and_targets(tables, CUTOFFS[0])
    assert np.all(np.abs((targets - truth).sum(0)) < 4 * np.sqrt((truth * (1 - truth)).sum(0)))


def test_each_decile_of_the_true_probabilities_matches_what_happens(
    disjoint_windows: tuple[np.ndarray, np.ndarray],
) -> None:
    truth, targets = disjoint_windows
    some = truth > 0
    edges = np.quantile(truth[some], np.linspace(0, 1, 11)[1:-1])
    decile = np.digitize(truth, edges)
    for number in range(10):
        inside = some & (decile == number)
        # The labels of an example share its visits: sum over them before squaring.
        surprise = ((targets - truth) * inside).sum(1)
        assert abs(surprise.sum()) < 4 * np.sqrt((surprise**2).sum()), number


@pytest.mark.parametrize("days", [WINDOW_DAYS - 2, WINDOW_DAYS + 2])
def test_a_window_that_is_too_short_or_too_long_does_not_match_the_truth(tables: Tables, days: int) -> None:
    """So the tests above would see it."""
    pairs = [truth_and_targets(tables, cutoff, days) for cutoff in CUTOFFS[::2]]
    surprise = np.concatenate([targets - truth for truth, targets in pairs]).sum(1)
    assert abs(surprise.sum()) > 4 * np.sqrt((surprise**2).sum())


def test_the_truth_matches_the_simulator_run_again_from_the_cutoff(world: demo.World) -> None:
    """Monte Carlo: eight customers, each 3000 times, from the same state at the cutoff."""
    cutoff_day, copies = 400, 3000
    rng = np.random.default_rng(1)
    customers = demo.draw_customers(world, rng)
    state = demo.first_state(customers, rng)
    for day in range(cutoff_day):
        demo.live_one_day(customers, state, world, day, rng)
    truth_CD = demo.true_probabilities(customers, state, world, cutoff_day)
    joins_C = np.flatnonzero((customers.joined_C > cutoff_day + 3) & (customers.joined_C < cutoff_day + 15))
    likely_C = np.argsort(-truth_CD.sum(1))
    chosen = [*likely_C[[0, 20, 100, 200, 400]], *joins_C[np.argsort(-truth_CD[joins_C].sum(1))][:3]]
    rows = np.repeat(chosen, copies)
    copied = dataclasses.replace(
        customers,
        **{field.name: getattr(customers, field.name)[rows] for field in dataclasses.fields(customers)},
    )
    again = demo.State(state.left_C[rows], state.last_CD[rows])
    happened = np.zeros((rows.size, len(NAMES)), dtype=bool)
    for day in range(cutoff_day, cutoff_day + WINDOW_DAYS):
        visitors, bought = demo.live_one_day(copied, again, world, day, rng)
        happened[visitors] |= bought
    rate = happened.reshape(len(chosen), copies, -1).mean(1)
    truth = truth_CD[chosen].astype(np.float64)
    assert truth.max() > 0.5
    assert np.all(np.abs(rate - truth) < 4.5 * np.sqrt(truth * (1 - truth) / copies) + 1e-6)


def test_the_truth_equals_a_plain_loop_over_days(world: demo.World) -> None:
    cutoff_day = 500
    rng = np.random.default_rng(2)
    customers = demo.draw_customers(world, rng)
    state = demo.first_state(customers, rng)
    for day in range(cutoff_day):
        demo.live_one_day(customers, state, world, day, rng)
    truth_CD = demo.true_probabilities(customers, state, world, cutoff_day)
    for c in range(0, 1000, 50):
        for d, department in enumerate(DEPARTMENTS):
            none_yet, left = 1.0, state.left_C[c] <= cutoff_day
            for day in range(cutoff_day, cutoff_day + WINDOW_DAYS):
                if day < customers.joined_C[c]:
                    continue
                cycles = (day - state.last_CD[c, d]) * customers.per_day_CD[c, d]
                need = 2.5 - 2.42 / (1 + cycles**4) if department.cycle_days else 1.0
                odds = customers.taste_CD[c, d] * world.season_RTD[customers.region_C[c], day, d] * need
                visit = min(customers.rate_C[c] * customers.weekday_CW[c, day % 7], 0.95)
                # P(no purchase so far) splits into "still there" and "left": only the first goes on.
                none_yet, gone = none_yet * (1 - customers.leaving_C[c]), none_yet * customers.leaving_C[c]
                none_yet *= 1 - visit * odds / (1 + odds)
                left = left + gone
            assert truth_CD[c, d] == pytest.approx(0.0 if left >= 1 else 1 - none_yet - left, abs=1e-5)


def test_those_who_left_have_truth_zero_and_the_others_have_not(world: demo.World) -> None:
    block = demo.simulate_block(SEED, world, 0, 1000)
    never = block["transactions"].group_by("customer_id").len()
    truth = block["truth"].join(block["left"], on="customer_id").join(never, on="customer_id", how="semi")
    day = (pl.col("cutoff") - pl.lit(START)).dt.total_days()
    gone = truth.filter(pl.col("day") < day)
    assert gone.height > 100
    assert gone.select(pl.max_horizontal(NAMES).max()).item() == 0.0
    there = truth.filter((pl.col("day") >= day) & (pl.col("cutoff") == CUTOFFS[0]))
    assert there.select(pl.min_horizontal(NAMES).min()).item() > 0.0


def test_the_truth_has_every_customer_at_every_cutoff_once(tables: Tables) -> None:
    truth = tables["truth"]
    assert truth.columns == ["customer_id", "cutoff", *NAMES]
    assert truth.schema["cutoff"] == pl.Datetime("us")
    assert set(truth.select(NAMES).dtypes) == {pl.Float32}
    assert truth.height == CUSTOMERS * len(CUTOFFS) == truth.select("customer_id", "cutoff").n_unique()
    assert truth.select(pl.max_horizontal(NAMES).max()).item() <= 1.0


def test_the_truth_covers_every_cutoff_of_the_scenario(folder: Path) -> None:
    examples = load_events(folder / "departments_28d.yaml").examples
    assert examples.validation_from is not None
    assert examples.test_from is not None
    assert examples.every_days is not None
    last_training = examples.validation_from - timedelta(days=WINDOW_DAYS)
    training = [
        last_training - timedelta(days=examples.every_days * k) for k in range(examples.train_cutoffs)
    ]
    assert {examples.test_from, examples.validation_from, *training} <= set(CUTOFFS)
    assert examples.test_from + timedelta(days=WINDOW_DAYS) == examples.observed_until == END


# ── the tables ──────────────────────────────────────────────────────────────────────────────────


def test_the_columns_are_those_promised(tables: Tables) -> None:
    assert tables["transactions"].schema == {
        "customer_id": pl.String,
        "bought_at": pl.Datetime("us"),
        "article_id": pl.String,
        "quantity": pl.Int32,
        "price": pl.Float64,
        "channel": pl.String,
    }
    columns = ["article_id", "department", "category", "price_band", "description", "tags"]
    assert tables["articles"].columns == columns
    assert tables["customers"].schema == {
        "customer_id": pl.String,
        "joined_on": pl.Date,
        "age": pl.Int32,
        "region": pl.String,
        "loyalty_tier": pl.String,
    }
    assert tables["customers"]["customer_id"].to_list() == [f"c{row:07d}" for row in range(CUSTOMERS)]
    assert tables["customers"].select("joined_on", "loyalty_tier").null_count().row(0) == (0, 0)
    gaps = tables["customers"].select(pl.col("age", "region").is_null().mean()).row(0)
    assert all(0.02 < share < 0.12 for share in gaps)
    assert tables["transactions"].null_count().sum_horizontal().item() == 0
    assert tables["bought"].null_count().sum_horizontal().item() == 0


def test_twelve_departments_hold_sixty_categories_each_in_one_department(tables: Tables) -> None:
    kinds = tables["articles"].select("department", "category").unique()
    assert kinds["department"].n_unique() == 12
    assert kinds.height == kinds["category"].n_unique() == 60
    assert {"Men's Wear", "Food, Fresh"} <= set(kinds["department"])
    assert tables["articles"]["article_id"].is_unique().all()


def test_the_sizes_are_those_of_a_shop(tables: Tables) -> None:
    assert 30 < tables["transactions"].height / CUSTOMERS < 65
    truth, targets = truth_and_targets(tables, CUTOFFS[0])
    active = np.isin(tables["customers"]["customer_id"], tables["transactions"]["customer_id"])
    prevalence = targets[active].mean(0)
    assert prevalence.max() > 0.3
    assert prevalence.min() < 0.02
    assert truth.mean(0).min() > 0.002


def test_nothing_is_bought_outside_opening_hours_or_the_observation(tables: Tables) -> None:
    bought_at = tables["transactions"]["bought_at"]
    assert bought_at.is_between(START, END, closed="left").all()
    assert bought_at.dt.hour().is_between(8, 21).all()


def test_nobody_buys_before_joining(tables: Tables) -> None:
    joined = tables["transactions"].join(tables["customers"], on="customer_id")
    assert joined.filter(pl.col("bought_at").dt.date() < pl.col("joined_on")).is_empty()
    assert (tables["customers"]["joined_on"] > START.date()).any()


def test_nobody_buys_after_leaving(world: demo.World) -> None:
    block = demo.simulate_block(SEED, world, 0, 1000)
    bought = block["transactions"].join(block["left"], on="customer_id")
    day = (pl.col("bought_at") - pl.lit(START)).dt.total_days()
    assert bought.filter(day >= pl.col("day")).is_empty()
    assert 100 < block["left"].filter(pl.col("day") < demo.NEVER).height < 500


def test_some_customers_never_buy_anything(tables: Tables) -> None:
    there = tables["customers"].filter(pl.col("joined_on") < START.date())
    silent = there.join(tables["transactions"], on="customer_id", how="anti")
    assert 0.02 < silent.height / there.height < 0.12


def test_no_article_is_bought_before_it_is_introduced(tables: Tables, world: demo.World) -> None:
    introduced = tables["articles"].select("article_id").with_columns(day=pl.Series(world.introduced_A))
    bought = tables["bought"].join(introduced, on="article_id")
    assert bought.filter((pl.col("bought_at") - pl.lit(START)).dt.total_days() < pl.col("day")).is_empty()
    assert (world.introduced_A > 0).mean() > 0.3


def test_late_categories_appear_late_and_then_sell(tables: Tables) -> None:
    for category, day in LATE_CATEGORIES.items():
        sales = tables["bought"].filter(pl.col("category") == category)["bought_at"]
        assert sales.len() > 0
        assert (sales >= START + timedelta(days=day)).all()


def test_age_and_region_tell_something_about_preferences(tables: Tables) -> None:
    bought = tables["bought"].join(tables["customers"], on="customer_id").drop_nulls(["age", "region"])
    share_of_garden = (pl.col("department") == "Garden").mean().alias("share")
    young, old = bought.group_by(pl.col("age") >= 50).agg(share_of_garden).sort("age")["share"]
    assert old > 1.5 * young
    regions = bought.group_by("region").agg(share_of_garden)["share"].to_numpy()
    assert regions.max() > 1.3 * regions.min()


def test_the_oracle_is_clearly_better_than_personal_frequency(tables: Tables) -> None:
    cutoff = CUTOFFS[0]
    history = tables["bought"].filter(pl.col("bought_at") <= cutoff)
    counts = history.group_by("customer_id", "department").agg(pl.col("bought_at").dt.date().n_unique())
    known = {(customer, name): days for customer, name, days in counts.iter_rows()}
    customers = sorted(set(history["customer_id"]))
    rows = [int(customer[1:]) for customer in customers]
    frequency = np.array([[known.get((customer, name), 0) for name in NAMES] for customer in customers])
    truth, targets = truth_and_targets(tables, cutoff)
    oracle = np.mean([area(truth[rows, k], targets[rows, k]) for k in range(len(NAMES))])
    personal = np.mean([area(frequency[:, k], targets[rows, k]) for k in range(len(NAMES))])
    assert 0.83 < oracle < 0.93
    assert personal < oracle - 0.07


def area(scores: np.ndarray, targets: np.ndarray) -> float:
    """AUROC, by counting pairs."""
    positive, negative = scores[targets == 1], scores[targets == 0]
    wins = (positive[:, None] > negative).mean() + 0.5 * (positive[:, None] == negative).mean()
    return float(wins)


# ── seeds, blocks, folders ──────────────────────────────────────────────────────────────────────


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_seed_gives_equal_files_and_another_seed_gives_others(tmp_path: Path) -> None:
    write_demo(tmp_path / "a", 30, 3)
    write_demo(tmp_path / "b", 30, 3)
    write_demo(tmp_path / "c", 30, 4)
    a, b, c = (contents(tmp_path / name) for name in "abc")
    assert a == b
    assert a.keys() == c.keys()
    assert all(a[name] != c[name] for name in a if name.endswith(".parquet"))


def test_the_first_customers_do_not_depend_on_how_many_follow(tables: Tables, tmp_path: Path) -> None:
    write_demo(tmp_path / "small", 1200, SEED)
    for name in ("transactions", "truth"):
        small = pl.read_parquet(tmp_path / f"small/data/{name}/*.parquet").sort(pl.all())
        assert small.equals(tables[name].filter(pl.col("customer_id") < "c0001200").sort(pl.all()))
    small = pl.read_parquet(tmp_path / "small/data/customers.parquet")
    assert small.equals(tables["customers"][:1200])


def test_the_customers_do_not_depend_on_the_size_of_a_shard(
    tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_SHARD", 1000)
    write_demo(tmp_path / "shards", CUSTOMERS, SEED)
    assert len(list((tmp_path / "shards/data/truth").iterdir())) == 2
    for name in ("transactions", "truth"):
        sharded = pl.read_parquet(tmp_path / f"shards/data/{name}/*.parquet")
        assert sharded.sort(pl.all()).equals(tables[name].sort(pl.all()))


@pytest.mark.parametrize("name", ["departments_28d.yaml", "categories_28d.yaml"])
def test_the_scenarios_load_and_their_tables_exist(folder: Path, name: str) -> None:
    scenario = load_events(folder / name)
    assert scenario.name == name.removesuffix(".yaml")
    for table in scenario.data.tables.values():
        assert scenario.path(table.path or "").exists()
    assert (
        (folder / name)
        .read_text(encoding="utf-8")
        .startswith("# yaml-language-server: $schema=schema.json\n")
    )


def test_the_departments_scenario_names_the_departments_in_the_order_of_the_truth(
    folder: Path, tables: Tables
) -> None:
    target = load_events(folder / "departments_28d.yaml").target
    assert target.class_names == NAMES == tables["truth"].columns[2:]
    assert target.true_probabilities is not None
    assert (folder / target.true_probabilities).is_dir()


def test_a_demo_is_written_once_and_found_again(tmp_path: Path) -> None:
    said: list[str] = []
    first = write_demo(tmp_path, 5, 1, said.append)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert said == ["simulated 5 of 5 customers"]
    assert write_demo(tmp_path, 5, 1, said.append) == first == [tmp_path / name for name in SCENARIOS]
    assert "already" in said[-1]
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}


def test_nothing_under_a_temporary_name_remains(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    assert names == {"data", "demo.json", "departments_28d.yaml", "categories_28d.yaml"}


def test_a_demo_that_fails_on_the_way_leaves_nothing_and_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(writing, "simulate_block", fail)
    with pytest.raises(KeyboardInterrupt):
        write_demo(tmp_path / "shop", 5)
    assert list((tmp_path / "shop").iterdir()) == []
    monkeypatch.undo()
    assert all(path.exists() for path in write_demo(tmp_path / "shop", 5))


@pytest.mark.parametrize(
    ("customers", "seed", "says"),
    [(0, 7, "customers must be at least 1"), (5, -1, "seed must be at least 0")],
)
def test_numbers_out_of_range_are_refused(tmp_path: Path, customers: int, seed: int, says: str) -> None:
    with pytest.raises(RunError, match=says):
        write_demo(tmp_path / "shop", customers, seed)
    assert not (tmp_path / "shop").exists()


@pytest.mark.parametrize(("customers", "seed"), [(6, 1), (5, 2)])
def test_another_demo_is_not_overwritten(tmp_path: Path, customers: int, seed: int) -> None:
    write_demo(tmp_path, 5, 1)
    before = contents(tmp_path)
    with pytest.raises(
        RunError, match=r"another demo \(5 customers, seed 1, version \d+\): choose another folder"
    ):
        write_demo(tmp_path, customers, seed)
    assert contents(tmp_path) == before


def test_a_demo_of_another_version_is_not_taken_for_this_one(tmp_path: Path) -> None:
    (tmp_path / "demo.json").write_text(json.dumps({"customers": 5, "seed": 1, "version": -1}))
    with pytest.raises(RunError, match="version -1"):
        write_demo(tmp_path, 5, 1)


@pytest.mark.parametrize(
    ("name", "text"), [("notes.txt", "mine"), ("demo.json", "[1]"), ("demo.json", "{"), ("demo.json", "{}")]
)
def test_a_folder_that_holds_anything_else_is_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(RunError, match="not a demo: choose another folder"):
        write_demo(tmp_path, 5)
    assert contents(tmp_path) == {name: text.encode()}


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "shop").write_text("mine")
    with pytest.raises(RunError, match="not a demo"):
        write_demo(tmp_path / "shop", 5)
    with pytest.raises(RunError, match="cannot be written"):
        write_demo(tmp_path / "shop" / "below", 5)


def test_an_unfinished_demo_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / ".unfinished-abc").mkdir()
    with pytest.raises(RunError, match="unfinished demo: delete it"):
        write_demo(tmp_path, 5)


def test_dates_are_whole_days_and_a_monday_begins_the_weeks() -> None:
    assert START.weekday() == 0
    assert all(cutoff.time() == datetime.min.time() for cutoff in CUTOFFS)
    assert CUTOFFS[0] + timedelta(days=WINDOW_DAYS) == END
