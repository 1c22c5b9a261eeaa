"""Fixtures: a small generated demo, one trained run of it, and the command line in and out of process.

With `--fast`, tests marked `slow` are left out, a test is skipped where it begins to train, and Hypothesis
draws fewer examples.
"""

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded: sums do not depend on the machine

from mlc.cli import main
from tests.support.browser import browser, opened  # noqa: F401  fixtures
from tests.support.effort import FAST, load_profile

NANO = (
    *("--set", "model.preset=nano", "--set", "train.epochs=2", "--set", "target.allow_empty=true"),
    *("--set", "baselines=[recency]", "--set", "examples.train_cutoffs=12"),
)
GATES = "gates={macro_ap: '>= 0.2', beats: prevalence}"


@dataclass(frozen=True)
class Result:
    """What a command gave."""

    code: int
    out: str
    err: str


Command = Callable[..., Result]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fast", action="store_true", help="leave out tests that train or take long")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--fast"):
        os.environ[FAST] = "1"
        config.option.markexpr = f"({config.option.markexpr or 'not slow'}) and not slow"
    load_profile()


@pytest.fixture(scope="session", autouse=True)
def _skip_where_training_begins() -> Iterator[None]:
    if FAST not in os.environ:
        yield
        return
    import pytorch_lightning

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pytorch_lightning.Trainer, "fit", lambda *_, **__: pytest.skip("it trains"))
        yield


def exit_code(*arguments: object) -> int:
    """Run one command in this process."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "argv", ["mlc", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
    if isinstance(stopped.value.__context__, pytest.skip.Exception):
        raise stopped.value.__context__
    return int(stopped.value.code or 0)


@pytest.fixture
def mlc(monkeypatch, capfd, tmp_path) -> Command:
    """Runs the command line in this process, in a fresh working folder: `mlc("check", path)`."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Result:
        capfd.readouterr()
        code = exit_code(*arguments)
        return Result(code, *capfd.readouterr())

    return run


def in_process(*arguments: object, folder: Path) -> Result:
    """Run the command line in this process, in a folder; for fixtures that outlive a test."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = exit_code(*arguments)
    return Result(code, out.getvalue(), err.getvalue())


def process(*arguments: object, folder: Path, **environment: str) -> Result:
    """The command line as a process of its own, as users have it."""
    with started(*arguments, folder=folder, **environment) as running:
        out, err = running.communicate(timeout=300)
    return Result(running.returncode, out, err)


def started(*arguments: object, folder: Path, **environment: str) -> subprocess.Popen[str]:
    """Start the command line as a process of its own."""
    return python("-m", "mlc", *arguments, folder=folder, **environment)


def python(*arguments: object, folder: Path, **environment: str) -> subprocess.Popen[str]:
    """Start a Python process."""
    if FAST in os.environ and {"train", "pretrain"} & set(arguments):
        pytest.skip("it trains")
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="session")
def demo(tmp_path_factory) -> Path:
    """A folder with the generated tables of 400 customers; read only."""
    from mlc.demo import write_demo

    folder = tmp_path_factory.mktemp("demo")
    write_demo(folder, customers=400, seed=7)
    return folder


@pytest.fixture(scope="session")
def trained(demo, tmp_path_factory) -> Path:
    """A runs folder with one finished run, `departments_28d`; read only."""
    folder = tmp_path_factory.mktemp("trained")
    more = ("--set", "baselines=null", "--set", GATES)
    result = in_process("train", demo / "departments_28d.yaml", *NANO, *more, folder=folder)
    assert result.code == 0, result.err
    return folder / "runs"
