"""Labels of a table of H&M's shape: this tool next to DuckDB, Polars and a Python function per customer.

    python -m scripts.bench.labels --scale 0.01                 # a minute
    python -m scripts.bench.labels --folder /somewhere/large    # 31.8 M rows; keeps tables and store
    python -m scripts.bench.labels --scale 0.1 --cases 1x19 12x250 --ways duckdb mlc_pairs
    python -m scripts.bench.labels --memory-limit 880MB         # only the store, built within that much

Every measurement is a process of its own, one after the other, on files that the page cache knows: wall time
without imports, highest resident memory with them. All ways of a case make the same result: the examples,
which are the customers with an event up to the cutoff, and the labels that each of them buys in the 21 days
after. The case 12x250 has 12 weekly cutoffs and 250 labels.

- duckdb: SQL on the Parquet files: a table of examples, and one of positive (customer, cutoff, label).
- duckdb_table: the same SQL on DuckDB's own table, filled before the clock starts.
- mlc_pairs: on the store (opened before): label events, then the positive pairs of each cutoff.
- mlc_examples: on the store, to the table with an array of K targets an example; needs three cutoffs.
- pandas: a function of one customer's events and a cutoff, for a sample of customers whose events are already
  grouped; the time is multiplied up to all customers, the memory is not shown.
- store: mlc from the files to the opened store; Polars only reads them and sorts by (customer, date).
- append: mlc from the store of all files but the last, six days, and that file to the opened store.
"""

import argparse
import filecmp
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl

from mlc.events.cutoffs import Cutoffs
from mlc.events.examples import build_examples, eligible_rows
from mlc.events.label_names import LABEL, ROW, Labels, label_line, resolve_labels
from mlc.events.store import EventStore, open_store
from mlc.events.targets import by_time, shared_pairs
from mlc.scenario import EventScenario, load_scenario, memory_bytes
from mlc.tables import CUTOFF, ENTITY_ID, microseconds, targets_of
from scripts.bench.harness import ROOT, Record, parser

ROWS, CUSTOMERS, ARTICLES, DAYS = 31_800_000, 1_360_000, 105_000, 734
LAST_DAY, WINDOW_DAYS, DAYS_A_SHARD = datetime(2020, 9, 22), 21, 14
COLUMNS = {19: "index_group_name", 250: "product_type_name"}
TITLE = "Positive targets"
LEAD = (
    "A generated table of the shape of 31.8 million purchases of 1.1 million customers with 64-character "
    "ids. Every way to compute a result gives the same answer; seconds exclude imports, peak memory includes "
    "them."
)
CASES = ("1x19", "12x19", "12x250", "52x19")
SCENARIO = """\
name: bench
data:
  entity: customer_id
  tables:
    transactions: {{kind: events, path: transactions, time: t_dat, joins: {{articles: article_id}}}}
    articles: {{kind: dimension, path: articles.parquet, key: article_id}}
    customers: {{kind: entities, path: customers.parquet, key: customer_id}}
target: {{table: transactions, column: articles.{column}, class_names: {names}, window_days: {window},
  allow_empty: true}}
"""


@dataclass(frozen=True)
class Case:
    """Weekly cutoffs, the last of them with the last complete window, and labels."""

    cutoffs: int
    labels: int

    @property
    def moments(self) -> list[datetime]:
        """The cutoffs, rising."""
        newest = LAST_DAY - timedelta(days=WINDOW_DAYS)
        return [newest - timedelta(days=7 * index) for index in reversed(range(self.cutoffs))]

    @property
    def names(self) -> list[str]:
        """The labels, which are values of a column of the articles."""
        return [f"{COLUMNS[self.labels].split('_')[0]} {index:03}" for index in range(self.labels)]


Frames = tuple[pl.DataFrame, pl.DataFrame]
"""`entity_id` of the examples of a cutoff; `entity_id` and `label` (its number) of their positive targets."""
Answer = Callable[[int], Frames]
"""Frames of the i-th cutoff."""
Way = Callable[[Path, Case], Callable[[], Answer]]
"""Makes ready for a case; what it returns is timed."""
Line = dict[str, Any]
"""One measurement: seconds and peak; of an answer also counts and digests, equal where rows are equal."""


def make_tables(folder: Path, scale: float, seed: int = 7) -> None:
    """Write transactions (a file every 14 days), articles, customers and the scenarios into a folder.

    Customers and articles are drawn with a heavy tail, each customer buys about three articles a visit.
    """
    draw = np.random.default_rng(seed)
    rows, customers = int(ROWS * scale), max(200, int(CUSTOMERS * scale))
    articles = max(2_000, int(ARTICLES * scale))
    ids = pl.Series([sha256(f"{seed}:{index}".encode()).hexdigest() for index in range(customers)])
    people = pl.DataFrame({"customer_id": ids, "age": draw.integers(16, 90, customers)})
    people.write_parquet(folder / "customers.parquet")

    number = np.arange(articles)
    kind = np.where(number < 250, number, 250 * draw.random(articles) ** 2).astype(int)
    keys = 108_775_000 + 7 * draw.permutation(articles)
    described = pl.DataFrame({"article_id": keys, "colour": draw.integers(0, 50, articles)})
    for labels, column in COLUMNS.items():
        names = Case(0, labels).names
        described = described.with_columns(pl.Series(column, names).gather(kind % labels))
        text = SCENARIO.format(column=column, names=json.dumps(names), window=WINDOW_DAYS)
        (folder / f"{labels}.yaml").write_text(text)
    described.write_parquet(folder / "articles.parquet")

    by_customer = np.cumsum(draw.lognormal(sigma=1.4, size=customers))
    by_article = np.cumsum(1.0 / (number + 30.0))
    season = 1.0 + 0.3 * np.sin(np.arange(DAYS) * 2 * np.pi / 365) + 0.2 * draw.random(DAYS)
    a_day = np.diff(np.round(np.cumsum(season) / season.sum() * rows), prepend=0).astype(int)
    (folder / "transactions").mkdir()
    for first in range(0, DAYS, DAYS_A_SHARD):
        counts = a_day[first : first + DAYS_A_SHARD]
        buyers, days = [], []
        for day, count in enumerate(counts, first + 1):
            visitors = np.searchsorted(by_customer, draw.random(count // 3 + 1) * by_customer[-1])
            buyers.append(np.sort(draw.choice(visitors, count)))
            days += [LAST_DAY.date() - timedelta(days=DAYS - day)] * int(count)
        total = len(days)
        article = np.searchsorted(by_article, draw.random(total) * by_article[-1])
        columns = {
            "t_dat": days,
            "customer_id": ids.gather(np.concatenate(buyers)),
            "article_id": keys[article],
            "price": np.round(draw.gamma(2.0, 0.015, total), 4),
            "sales_channel_id": draw.integers(1, 3, total).astype(np.int8),
        }
        pl.DataFrame(columns).write_parquet(folder / "transactions" / f"part-{first:03}.parquet")


def opened(folder: Path, case: Case) -> tuple[EventScenario, EventStore, Labels]:
    """A scenario, its store, which is built the first time, and its labels as they are listed."""
    scenario = EventScenario.of(load_scenario(folder / f"{case.labels}.yaml"), "this benchmark")
    counts = pl.DataFrame({"value": case.names, "events": 1, "fitted": 1})  # no way looks for the names
    store = open_store(scenario, folder / "runs", lambda _: None)
    return scenario, store, resolve_labels(scenario, counts)


def mlc_pairs(folder: Path, case: Case) -> Callable[[], Answer]:
    """Positive (customer, label) pairs of every cutoff."""
    scenario, store, labels = opened(folder, case)

    def run() -> Answer:
        times = np.array([microseconds(cutoff) for cutoff in case.moments])
        events = by_time(scenario, label_line(scenario, labels, store), times)
        answers = []
        for cutoff in case.moments:
            rows = eligible_rows(scenario, store, cutoff, lambda _reason, _count: None)
            known = np.zeros(len(store.entity_ids), dtype=bool)
            known[rows] = True
            pairs = shared_pairs(scenario, labels, events, microseconds(cutoff))
            pairs = pairs.filter(known[pairs[ROW].to_numpy()]).unique()
            positives = pl.DataFrame({ENTITY_ID: store.entity_ids.gather(pairs[ROW]), LABEL: pairs[LABEL]})
            answers.append((store.entity_ids.gather(rows).to_frame(ENTITY_ID), positives))
        return answers.__getitem__

    return run


def mlc_examples(folder: Path, case: Case) -> Callable[[], Answer]:
    """The table of examples, with an array of targets each."""
    scenario, store, labels = opened(folder, case)
    *train, validation, test = case.moments
    cutoffs = Cutoffs({"train": train, "validation": [validation], "test": [test]}, [], LAST_DAY)

    def frames(part: pl.DataFrame) -> Frames:
        example, label = np.nonzero(targets_of(part) == 1)
        positives = {ENTITY_ID: part[ENTITY_ID].gather(example), LABEL: label}
        return part.select(ENTITY_ID), pl.DataFrame(positives)

    def run() -> Answer:
        line = label_line(scenario, labels, store)
        table = build_examples(scenario, store, cutoffs, labels, line).table
        return lambda index: frames(table.filter(pl.col(CUTOFF) == case.moments[index]))

    return run


def duckdb(folder: Path, case: Case, table: str | None = None) -> Callable[[], Answer]:
    """SQL on the Parquet files."""
    connect = import_module("duckdb").connect
    engine = connect(str(folder / "events.duckdb"), read_only=True) if table else connect()
    source = table or f"'{folder}/transactions/*.parquet'"
    labels = ", ".join(f"('{name}', {number})" for number, name in enumerate(case.names))
    engine.execute(f"CREATE TEMP TABLE labels AS FROM (VALUES {labels}) AS _(value, label)")
    moments = ", ".join(f"({number}, DATE '{c:%Y-%m-%d}')" for number, c in enumerate(case.moments))
    engine.execute(f"CREATE TEMP TABLE moments AS FROM (VALUES {moments}) AS _(number, cutoff)")
    day = f"cutoff + unnest(generate_series(1, {WINDOW_DAYS}))::INTEGER AS day"  # those of each window
    engine.execute(f"CREATE TEMP TABLE days AS SELECT number, cutoff, {day} FROM moments")

    def fetched(columns: str, table: str, number: int) -> pl.DataFrame:
        query = f"SELECT {columns} FROM {table} WHERE number = {number}"
        with tempfile.TemporaryDirectory() as place:
            engine.execute(f"COPY ({query}) TO '{place}/part.parquet'")
            return pl.read_parquet(f"{place}/part.parquet")

    def run() -> Answer:
        engine.execute(f"""
            CREATE TEMP TABLE begins AS
                SELECT customer_id, min(t_dat) AS first FROM {source} GROUP BY customer_id;
            CREATE TEMP TABLE examples AS
                SELECT customer_id AS {ENTITY_ID}, number FROM begins JOIN moments ON first <= cutoff;
            CREATE TEMP TABLE positives AS
                WITH pairs AS (
                    SELECT DISTINCT customer_id, number, cutoff, label
                    FROM {source} JOIN days ON t_dat = day
                    JOIN (SELECT article_id, label FROM '{folder}/articles.parquet'
                          JOIN labels ON {COLUMNS[case.labels]} = value) USING (article_id)
                    WHERE t_dat > DATE '{case.moments[0]:%Y-%m-%d}')
                SELECT customer_id AS {ENTITY_ID}, number, label
                FROM pairs JOIN begins USING (customer_id) WHERE first <= cutoff;
        """)
        both = f"{ENTITY_ID}, label"
        return lambda index: (fetched(ENTITY_ID, "examples", index), fetched(both, "positives", index))

    return run


def sample_of(folder: Path, case: Case) -> tuple[pl.Series, float]:
    """Every n-th customer, some 12,000 calls of a function per customer and cutoff; all over sampled."""
    ids = pl.read_parquet(folder / "customers.parquet")["customer_id"].rename(ENTITY_ID)
    sample = ids.gather_every(max(1, len(ids) * case.cutoffs // 12_000))
    return sample, len(ids) / len(sample)


def pandas(folder: Path, case: Case) -> Callable[[], Answer]:
    """A function per customer and cutoff, on a sample."""
    pd = import_module("pandas")
    frame = (
        pl.scan_parquet(folder / "transactions")
        .join(sample_of(folder, case)[0].to_frame("customer_id").lazy(), on="customer_id", how="semi")
        .join(pl.scan_parquet(folder / "articles.parquet"), on="article_id")
        .select("customer_id", pl.col("t_dat").cast(pl.Datetime("us")), COLUMNS[case.labels])
        .collect(engine="streaming")
    )
    table = pd.DataFrame({name: frame[name].to_numpy() for name in frame.columns})
    customers = list(table.groupby("customer_id"))

    def targets(events: Any, cutoff: datetime) -> np.ndarray | None:
        if events[events["t_dat"] <= cutoff].empty:
            return None
        closes = cutoff + timedelta(days=WINDOW_DAYS)
        bought = set(events[(events["t_dat"] > cutoff) & (events["t_dat"] <= closes)][COLUMNS[case.labels]])
        return np.array([name in bought for name in case.names], dtype=np.uint8)

    def frames(answers: list[tuple[str, np.ndarray | None]]) -> Frames:
        arrays = [(who, array) for who, array in answers if array is not None]
        pairs = [(who, label) for who, array in arrays for label in array.nonzero()[0].tolist()]
        positives = pl.DataFrame(pairs, schema={ENTITY_ID: pl.String, LABEL: pl.Int64}, orient="row")
        return pl.DataFrame({ENTITY_ID: [who for who, _ in arrays]}), positives

    def run() -> Answer:
        answers = [[(who, targets(events, cutoff)) for who, events in customers] for cutoff in case.moments]
        return lambda index: frames(answers[index])

    return run


WAYS: dict[str, Way] = {
    "duckdb": duckdb,
    "duckdb_table": partial(duckdb, table="transactions"),
    "mlc_pairs": mlc_pairs,
    "mlc_examples": mlc_examples,
    "pandas": pandas,
}


def timed(run: Callable[[], Any]) -> tuple[Any, Line]:
    """What a function returns, its wall time, and the highest resident memory of this process so far."""
    begun = time.perf_counter()
    answer = run()
    seconds = time.perf_counter() - begun
    return answer, {"seconds": seconds, "peak": peak()}


def without_last_file(folder: Path) -> Path:
    """The same tables without the newest transactions, as links."""
    place = folder / "without-last-file"
    if not place.exists():
        (place / "transactions").mkdir(parents=True)
        for file in (folder / "articles.parquet", folder / "customers.parquet", folder / "19.yaml"):
            (place / file.name).symlink_to(file)
        for file in sorted((folder / "transactions").iterdir())[:-1]:
            (place / "transactions" / file.name).symlink_to(file)
    return place


def add_last_file(folder: Path) -> None:
    """Put the newest transactions to the tables of `without_last_file`, and open the store."""
    newest = max((folder / "transactions").iterdir())
    place = without_last_file(folder)
    (place / "transactions" / newest.name).symlink_to(newest)
    messages: list[str] = []
    open_store(
        EventScenario.of(load_scenario(place / "19.yaml"), "this benchmark"), place / "runs", messages.append
    )
    assert "of them new" in messages[0]


def peak() -> int:
    """The highest resident memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def limited(folder: Path, limit: str) -> Line:
    """The store built with a memory limit, and what it took beyond imports; beside it the one without."""
    made = {}
    for name, overrides in (("limited", [f"data.memory_limit={limit}"]), ("free", [])):
        begun, before = time.perf_counter(), peak()
        runs = folder / f"runs-{name}"
        shutil.rmtree(runs, ignore_errors=True)
        store = open_store(
            EventScenario.of(load_scenario(folder / "19.yaml", overrides), "this benchmark"),
            runs,
            lambda _: None,
        )
        made[name] = (store.folder, time.perf_counter() - begun, peak() - before)
    files = [file for file in sorted(made["free"][0].rglob("*")) if file.is_file()]
    same = all(filecmp.cmp(f, made["limited"][0] / f.relative_to(made["free"][0]), False) for f in files)
    tables = sum(pl.read_parquet(f).estimated_size() for f in (folder / "transactions").iterdir())
    return {"table": tables, "seconds": made["limited"][1], "peak": made["limited"][2], "same": same}


def limit_row(folder: Path, limit: str) -> dict[str, Any]:
    """Return what `limited` measured in a process of its own."""
    line, size = child(folder, "limited", limit), memory_bytes(limit)
    return {
        "limit": limit,
        "table_gb": round(line["table"] / 1e9, 2),
        "table_in_limits": round(line["table"] / size, 1),
        "seconds": round(line["seconds"], 1),
        "peak_beyond_imports_gb": round(line["peak"] / 1e9, 2),
        "peak_in_limits": round(line["peak"] / size, 2),
        "same_as_without": "yes" if line["same"] else "no",
    }


def prepare(folder: Path, what: str) -> Line:
    """What happens once: the tables, the store, what a store cannot do without, the table of DuckDB."""
    load = f"CREATE TABLE transactions AS FROM '{folder}/transactions/*.parquet'"
    events = pl.scan_parquet(folder / "transactions")
    ways: dict[str, Callable[[], object]] = {
        "make": lambda: make_tables(folder, float(folder.name.removeprefix("scale-"))),
        "read": lambda: events.select(pl.all().null_count()).collect(engine="streaming"),
        "sort": lambda: events.sort("customer_id", "t_dat").collect(engine="streaming"),
        "store": lambda: opened(folder, Case(1, 19)),
        "before": lambda: opened(without_last_file(folder), Case(1, 19)),
        "append": lambda: add_last_file(folder),
        "load": lambda: import_module("duckdb").connect(str(folder / "events.duckdb")).execute(load),
    }
    return timed(ways[what])[1]


def measured(folder: Path, way: str, case: Case) -> Line:
    """One way, one case, in this process; sums of hashes stand for the rows, in any order."""
    answer, line = timed(WAYS[way](folder, case))
    sample, factor = sample_of(folder, case)
    sums, counts = np.zeros((2, 2), dtype=np.uint64), np.zeros((2, 2), dtype=np.int64)
    for index in range(case.cutoffs):
        for kind, frame in enumerate(answer(index)):
            rows = frame.with_columns(pl.selectors.integer().cast(pl.Int64), pl.lit(index).alias(CUTOFF))
            for part, some in enumerate((rows, rows.join(sample.to_frame(), on=ENTITY_ID, how="semi"))):
                counts[part, kind] += some.height
                sums[part, kind] += some.hash_rows(seed=0).to_numpy().sum(dtype=np.uint64)
    if way == "pandas":
        line["seconds"] *= factor
    digests = [f"{counts[part].tolist()} {sums[part].tolist()}" for part in (0, 1)]
    return {**line, "counts": counts[0].tolist(), "digests": digests}


def child(folder: Path, *arguments: str) -> Line:
    """One measurement in a process of its own."""
    command = [sys.executable, "-m", "scripts.bench.labels", "--folder", str(folder), "--one", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")
    return cast(Line, json.loads(done.stdout.splitlines()[-1]))


def way_row(what: str, by: str, line: Line, first: Line, same: str = "") -> dict[str, Any]:
    """Return a row of the table; a sample has neither memory nor counts of its own."""
    cells: dict[str, Any] = {
        "result": what,
        "by": by,
        "seconds": round(line["seconds"], 2),
        "ratio_to_the_first": round(line["seconds"] / first["seconds"], 2),
    }
    if by != "pandas":
        counts = line.get("counts") or [None, None]
        cells |= {"peak_gb": round(line["peak"] / 1e9, 2), "examples": counts[0], "positives": counts[1]}
    return cells | ({"same": same} if same else {})


def compare(record: Record, folder: Path, cases: Sequence[str], ways: Sequence[str]) -> bool:
    """Measure everything; return whether all results agree."""
    child(folder, "read")
    once = {"sort": "polars scan + sort", "store": "mlc", "append": "mlc, six days more"}
    if "duckdb_table" in ways:
        once["load"] = "duckdb's own table"
    lines: list[Line] = []
    for what in once:
        done = folder / f"{what}.json"  # a kept folder has its store already
        if not done.exists():
            if what == "append":
                child(folder, "before")
            done.write_text(json.dumps(child(folder, what)))
        lines.append(json.loads(done.read_text()))
        record.add("Event store", way_row("store", once[what], lines[-1], lines[0]))
    child(folder, "store")  # a kept folder may have that of another version
    agree = True
    for case in cases:
        lines = []
        for way in ways:
            if way == "mlc_examples" and case.startswith(("1x", "2x")):
                continue
            lines.append(child(folder, way, case))
            first, last = lines[0]["digests"], lines[-1]["digests"]
            same = first[1] == last[1] and (first == last or "pandas" in (way, ways[0]))
            agree &= same
            record.add(TITLE, way_row(case, way, lines[-1], lines[0], "yes" if same else "no"))
    return agree


def main() -> int:
    """Run the command line of this script."""
    command_line = parser(__doc__)
    command_line.add_argument("--scale", type=float, default=1.0, help="1.0 is 31.8 million rows")
    command_line.add_argument(
        "--folder", type=Path, help="keep tables and store here; default: a temporary folder"
    )
    command_line.add_argument("--cases", nargs="+", default=CASES, help="cutoffs x labels, such as 12x250")
    command_line.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    command_line.add_argument(
        "--memory-limit", help="only build the store within so much memory, such as 1GB"
    )
    command_line.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    arguments = command_line.parse_args()
    if arguments.one:
        what, *size = arguments.one
        if what == "limited":
            print(json.dumps(limited(arguments.folder, *size)))
            return 0
        case = Case(*map(int, size[0].split("x"))) if size else None
        line = measured(arguments.folder, what, case) if case else prepare(arguments.folder, what)
        print(json.dumps(line))
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.folder or Path(temporary)).resolve() / f"scale-{arguments.scale:g}"
        if not (folder / "transactions" / "part-728.parquet").exists():
            folder.mkdir(parents=True, exist_ok=True)
            child(folder, "make")
        with Record(arguments.out, "Labels of a large table", LEAD) as record:
            if arguments.memory_limit:
                row = limit_row(folder, arguments.memory_limit)
                record.add("Within a memory limit", row)
                return 0 if row["same_as_without"] == "yes" else 1
            return 0 if compare(record, folder, arguments.cases, arguments.ways) else 1


if __name__ == "__main__":
    sys.exit(main())
