"""Every code block of the README and the documentation runs, or says why it cannot.

The blocks of a page are one session in a folder of their own, as a reader would go through them. Trainings
are cut short, and all pages that start from a finished run share one.
"""

import re
import shlex
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
import yaml

from mlc.demo import write_rows_demo
from mlc.scenario import load_scenario
from tests.conftest import Result, in_process
from tests.support.markdown import Block, blocks_of, setup_of
from tests.support.places import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SKIPPED = 17
"""How many blocks cannot run in a test: change it only with a reason in the page."""
QUICK = (
    *("model.preset=nano", "train.epochs=1", "pretrain.preset=nano", "pretrain.epochs=1"),
    *("baselines=[recency]", "examples.train_cutoffs=4", "target.allow_empty=true"),
)
ADDED = {
    "demo": ["--customers", "400"],
    **{key: [word for field in QUICK for word in ("--set", field)] for key in ("train", "pretrain")},
}
"""What keeps a command of a page short."""
QUICK_ROWS = ["--set", "target.allow_empty=true", "--set", "baselines=[prevalence]"]
"""The same for rows."""
NOT_RUN = {"text", "bibtex"}
"""Languages of drawings and outputs; an output is compared where the page asks for it."""
ROWS = """
name: comments
data: {tables: {comments: {kind: rows, path: comments/comments.csv, key: comment_id}}}
target: {table: comments, column: topics, separator: ","}
"""
"""A scenario on the generated comments."""
TODAY = "2025-10-01"
"""What `--as-of today` means here: the tables of the demo end the day before."""
MADE = {page for page in PAGES if "<!-- Made by scripts/" in page.read_text(encoding="utf-8")}
"""Pages made from something that has tests of its own."""
TO_RUN = [
    page
    for page in PAGES
    if page not in MADE and any(not (block.skipped or block.language in NOT_RUN) for block in blocks_of(page))
]


@pytest.fixture(scope="session")
def tables(demo, tmp_path_factory) -> Path:
    """A folder `shop` with the tables of the demo and a scenario on them; read only."""
    folder = tmp_path_factory.mktemp("pages") / "shop"
    shutil.copytree(demo, folder)
    scenario = yaml.safe_load((folder / "departments_28d.yaml").read_text())
    del scenario["target"]["true_probabilities"]
    (folder / "scenario.yaml").write_text(yaml.safe_dump({"name": "shop", **scenario}, sort_keys=False))
    return folder


@pytest.fixture(scope="session")
def with_run(tables, tmp_path_factory) -> Path:
    """The same with a finished run `shop`; read only."""
    folder = tmp_path_factory.mktemp("pages") / "shop"
    shutil.copytree(tables, folder)
    trained = in_process("train", *ADDED["train"], "scenario.yaml", folder=folder)
    assert trained.code == 0, trained.err
    return folder


@pytest.fixture
def start(request, tmp_path, monkeypatch) -> Callable[[Path], Path]:
    """Make the folder that a page starts from, and go there."""

    def made(page: Path) -> Path:
        folder = tmp_path / "shop"
        match setup_of(page):
            case "data":
                shutil.copytree(request.getfixturevalue("tables") / "data", folder / "data")
            case "tables":
                shutil.copytree(request.getfixturevalue("tables"), folder)
            case "run":
                shutil.copytree(request.getfixturevalue("with_run"), folder)
            case "rows":
                folder.mkdir()
                write_rows_demo(folder / "comments", "text", 1000)
                (folder / "scenario.yaml").write_text(ROWS)
            case "database":
                folder.mkdir()
                write_sales(folder / "shop.db")
            case _:
                folder.mkdir()
        monkeypatch.chdir(folder)
        return folder

    return made


def write_sales(path: Path) -> None:
    """Write a database with a table of sales."""
    days = [date(2025, 1, 1) + timedelta(days=number % 270) for number in range(4_000)]
    rows = [(f"c{number % 40}", day.isoformat(), "ab"[number % 3 % 2]) for number, day in enumerate(days)]
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE sales (customer TEXT, day TEXT, product TEXT, quantity INTEGER)")
    connection.executemany("INSERT INTO sales VALUES (?, ?, ?, 1)", rows)
    connection.commit()
    connection.close()


@pytest.mark.parametrize("page", TO_RUN, ids=[str(page.relative_to(ROOT)) for page in TO_RUN])
def test_the_blocks_of_a_page_run(page, start, monkeypatch, mlc):
    start(page)
    printed = ""
    for block in blocks_of(page):
        where = f"{page.name}:{block.line}"
        if block.directive == "output":
            for line in block.text.splitlines():
                assert line.strip() in printed, f"{where}: not in the output: {line}\n{printed}"
        elif block.skipped or block.language in NOT_RUN:
            continue
        elif block.language == "bash":
            printed = ran(block, monkeypatch, mlc, where)
        elif block.language == "yaml":
            check_yaml(block)
        elif block.language == "python":
            exec(compile(block.text, where, "exec"), {})
        else:
            pytest.fail(f"{where}: nothing tests blocks of {block.language}")


def ran(block: Block, monkeypatch, mlc, where: str) -> str:
    """Run the commands of a block; return what they printed."""
    expected = int(block.directive.removeprefix("exit ") or 0)
    printed = ""
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if not words:
            continue
        result = command(words, line, monkeypatch, mlc)
        assert result.code == expected, f"{where}: {line}\n{result.out}{result.err}"
        printed += result.out + result.err
    return printed


def command(words: list[str], line: str, monkeypatch, mlc) -> Result:
    """Run one command: `mlc` and `cd` here, all others in a shell."""
    if words[0] == "cd":
        monkeypatch.chdir(words[1])
        return Result(0, "", "")
    if words[0] != "mlc":
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, check=False)
        return Result(done.returncode, done.stdout, done.stderr)
    target = None
    if ">" in words:
        words, target = words[: words.index(">")], words[words.index(">") + 1]
    given = [TODAY if word == "today" else word for word in words[2:]]
    on_rows = words[1] == "train" and any("kind: rows" in text for text in scenarios_in(given))
    result = mlc(words[1], *(QUICK_ROWS if on_rows else ADDED.get(words[1], [])), *given)
    if target is not None:
        Path(target).write_text(result.out)
    return result


def scenarios_in(words: list[str]) -> list[str]:
    """Return the texts of the scenario files that a command names."""
    return [Path(word).read_text() for word in words if word.endswith(".yaml") and Path(word).is_file()]


def check_yaml(block: Block) -> None:
    """Write the file that a block shows, or load it as sections of the scenario at hand."""
    if block.title is not None:
        Path(block.title).write_text(block.text)
        return
    given = yaml.safe_load(block.text)
    base = {} if "data" in given else scenario_at_hand()
    if "target" in given:
        base.pop("examples", None)  # they belong to the window of the other target
    fragment = Path("fragment.yaml")
    fragment.write_text(yaml.safe_dump({**base, **given}, sort_keys=False))
    load_scenario(fragment, tables_suffice="target" not in given)


def scenario_at_hand() -> dict[str, object]:
    """Return the scenario of the folder, or that of the demo."""
    for name in ("scenario.yaml", "departments_28d.yaml"):
        if Path(name).is_file():
            scenario: dict[str, object] = yaml.safe_load(Path(name).read_text())
            return scenario
    return {
        "data": {
            "entity": "customer_id",
            "tables": {"sales": {"kind": "events", "path": "sales.parquet", "time": "day"}},
        },
        "target": {"table": "sales", "column": "product", "class_names": ["a", "b"], "window_days": 28},
    }


def test_blocks_that_do_not_run_say_why_and_are_counted():
    skipped = [(page.name, block) for page in PAGES for block in blocks_of(page) if block.skipped]
    assert all(len(block.directive.removeprefix("skip: ")) > 5 for _, block in skipped)
    assert len(skipped) == SKIPPED, [f"{name}:{block.line}" for name, block in skipped]


def test_outputs_are_compared_or_skipped_with_a_reason():
    bare = [
        f"{page.name}:{block.line}"
        for page in PAGES
        for block in blocks_of(page)
        if page not in MADE and block.language == "text" and not block.directive
    ]
    assert bare == []


def test_every_fence_is_a_block_with_a_language():
    for page in PAGES:
        fences = len(re.findall(r"^ *```", page.read_text(encoding="utf-8"), re.MULTILINE))
        assert fences == 2 * len(blocks_of(page)), page
