"""Fixtures: a small generated demo, one trained run of it, and the command line in and out of process."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from mlc.cli import main

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


@pytest.fixture
def mlc(monkeypatch, capfd, tmp_path) -> Command:
    """Runs the command line in this process, in a fresh working folder: `mlc("check", path)`."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Result:
        return in_process(monkeypatch, capfd, *arguments)

    return run


def in_process(monkeypatch, capfd, *arguments: object) -> Result:
    """One command; everything that it printed before is dropped."""
    capfd.readouterr()
    monkeypatch.setattr(sys, "argv", ["mlc", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    printed = capfd.readouterr()
    return Result(int(stopped.value.code or 0), printed.out, printed.err)


def process(*arguments: object, folder: Path, **environment: str) -> Result:
    """The command line as a process of its own, as users have it."""
    found = subprocess.run(
        [sys.executable, "-m", "mlc", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Result(found.returncode, found.stdout, found.stderr)


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
    result = process("train", demo / "departments_28d.yaml", *NANO, *more, folder=folder)
    assert result.code == 0, result.err
    return folder / "runs"
