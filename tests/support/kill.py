"""Kill commands at random moments, run them again, and compare every file with an uninterrupted run.

    python -m tests.support.kill --count 200 --seed 3 labels train

runs the commands named, or all of them, until so many were killed in all. The tests run a few.
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import in_process
from tests.support.shop_tables import SCENARIO, snapshot, write_shop

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
CODES = {signal.SIGKILL: {-9}, signal.SIGTERM: {143, -15}, signal.SIGINT: {130, -2}}
"""How a command ends by a signal; below 0 where it came before the command line was loaded, or at exit."""

_RUN = "shop"
_SMALL = (
    *("--set", "model.preset=nano", "--set", "train.epochs=2", "--set", "train.batch_size=64"),
    *("--set", "baselines=[recency]", "--set", "train.checkpoint_minutes=0.000001"),
    *("--set", "examples.train_cutoffs=2"),
)
_SMALL_FOUNDATION = (
    *("--set", "pretrain.preset=nano", "--set", "pretrain.epochs=1", "--set", "pretrain.batch_size=32"),
    *("--set", "pretrain.cutoffs_per_entity=2", "--set", "train.checkpoint_minutes=0.000001"),
)
_TIMED = {"seconds", "started", "finished", "peak_memory_mb", "command"}
"""Keys of `run.json` and of lines of `log.jsonl` that say when, how long and how, not what."""


_TIMED_ROWS = re.compile(
    rf"(>(?:{'|'.join(_TIMED).replace('_mb', ', MB').replace('_', ' ')})</td>)<td[^>]*>[^<]*"
)
"""The same in the page of a run."""


_PASSING = re.compile(r"/checkpoints/|/logs/|\.lock$")
"""Files that may differ: checkpoints know how often they were written, each start has curves of its own."""


@dataclass(frozen=True)
class Command:
    """A command to kill.

    Attributes:
        name: Of the command line.
        arguments: What follows it.
        resumes: Whether `--resume` goes on where it was stopped.
        needs_run: Whether it reads a finished run.
    """

    name: str
    arguments: Sequence[str]
    resumes: bool = False
    needs_run: bool = True


COMMANDS = (
    Command("demo", ("made", "--customers", "60"), needs_run=False),
    Command("init", ("sales.parquet", "items.parquet", "--out", "first.yaml"), needs_run=False),
    Command("check", ("shop.yaml",), needs_run=False),
    Command("labels", ("shop.yaml",), needs_run=False),
    Command("train", ("shop.yaml", *_SMALL), resumes=True, needs_run=False),
    Command("pretrain", ("shop.yaml", *_SMALL_FOUNDATION), resumes=True, needs_run=False),
    Command("predict", (_RUN, "--out", "scores.csv")),
    Command("evaluate", (_RUN, "--json")),
    Command("thresholds", (_RUN, "--policy", "max_f1", "--out", "chosen.yaml")),
    Command("embed", ("base", "--out", "vectors.parquet")),
)


@dataclass
class Killed:
    """What one kill and the run after it have shown; `faults` is empty where all is well."""

    command: str
    signal: signal.Signals
    after: float
    code: int
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        told = "; ".join(self.faults) or "well"
        return f"{self.command} {self.signal.name} after {self.after:.2f} s, exit {self.code}: {told}"


def run(
    folder: Path, *arguments: str, stop: tuple[signal.Signals, float] | None = None
) -> tuple[int, str, str]:
    """Run `mlc` in a folder, and send it a signal after some seconds; the exit code and what was printed."""
    command = [sys.executable, "-m", "mlc", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=_listen,
    ) as running:
        try:
            out, err = running.communicate(timeout=stop[1] if stop else 300)
        except subprocess.TimeoutExpired:
            if stop is None:
                running.kill()
                raise
            running.send_signal(stop[0])
            out, err = running.communicate(timeout=60)
    return running.returncode, out, err


def _listen() -> None:
    """Children of a shell's background jobs ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def contents(folder: Path) -> dict[str, object]:
    """Every file of a folder that matters in the end; times, and what is only there to resume, left out."""
    found: dict[str, object] = {}
    for name, data in snapshot(folder).items():
        if _PASSING.search(name):
            continue
        if name.endswith("run.json"):
            found[name] = _without_times(json.loads(data))
        elif name.endswith("log.jsonl"):
            found[name] = [_without_times(json.loads(line)) for line in data.splitlines()]
        elif name.endswith("report.html"):
            found[name] = _page_without_times(data)
        else:
            found[name] = data
    return found


def _page_without_times(page: bytes) -> str:
    return _TIMED_ROWS.sub(r"\1", page.decode())


def _without_times(facts: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in facts.items() if key not in _TIMED}


def temporaries(folder: Path) -> list[str]:
    """Hidden files and folders: what is being written."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob(".*"))


class World:
    """A folder of small tables, a scenario and finished runs, copied for every command that is killed.

    Args:
        folder: An empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._wholes: dict[str, tuple[Path, float]] = {}
        self._made: set[str] = set()

    def _start(self, command: Command, name: str) -> Path:
        """A folder in which the command can run."""
        template = self.folder / ("with runs" if command.needs_run else "bare")
        if template.name not in self._made:
            self._made.add(template.name)
            write_shop(template, SCENARIO)
            if command.needs_run:
                for made in (
                    ("train", "shop.yaml", *_SMALL),
                    ("pretrain", "shop.yaml", *_SMALL_FOUNDATION, "--set", "name=base"),
                ):
                    done = in_process(*made, folder=template)
                    assert done.code == 0, done.err
        place = self.folder / name
        shutil.copytree(template, place)
        for path in place.glob("runs/*/resolved.yaml"):
            path.write_text(path.read_text().replace(str(template), str(place)))
        return place

    def whole(self, command: Command) -> tuple[Path, float]:
        """A folder in which the command was not interrupted, and how many seconds it took."""
        if command.name not in self._wholes:
            place = self._start(command, "place")  # where it runs stands in the files
            begun = time.monotonic()
            code, _, err = run(place, command.name, *command.arguments)
            assert code == 0, err
            kept = self.folder / f"whole {command.name}"
            place.rename(kept)
            self._wholes[command.name] = kept, time.monotonic() - begun
        return self._wholes[command.name]

    def kill(self, command: Command, number: signal.Signals, share: float) -> Killed:
        """Kill a command after a share of the time that it takes, and run it again.

        Args:
            command: What to kill.
            number: The signal.
            share: Of the time of an uninterrupted run.
        """
        whole, seconds = self.whole(command)
        place = self._start(command, "place")
        before = contents(place)
        code, _, err = run(place, command.name, *command.arguments, stop=(number, share * seconds))
        killed = Killed(command.name, number, share * seconds, code)
        killed.faults += self._after(place, before, whole, killed, err)
        again = self._again(command, place)
        if again:
            done = in_process(command.name, *again, folder=place)
            if done.code:
                killed.faults.append(f"again: exit {done.code}: {done.err.strip()[-300:]}")
        killed.faults += _differences(contents(place), contents(whole))
        killed.faults += [f"left: {name}" for name in temporaries(place)]
        shutil.rmtree(place)
        return killed

    def _after(
        self, place: Path, before: Mapping[str, object], whole: Path, killed: Killed, err: str
    ) -> Iterator[str]:
        """What is wrong when the command has ended."""
        if killed.code != 0 and killed.code not in CODES[killed.signal]:
            yield f"must exit with one of {sorted(CODES[killed.signal])}: {err.strip()[-600:]}"
        if "Traceback" in err or "Exception ignored" in err:
            yield f"a trace: {err.strip()[-600:]}"
        if killed.signal != signal.SIGKILL:
            yield from (f"left at once: {name}" for name in temporaries(place))
        final = contents(whole)
        for name, value in snapshot(place).items():
            if name in before or "/." in f"/{name}" or _PASSING.search(name):
                continue
            if name not in final:
                yield f"{name} is no file of a whole run"
            elif name.endswith((".json", ".jsonl")):
                try:
                    [json.loads(line) for line in ([value] if name.endswith(".json") else value.splitlines())]
                except ValueError:
                    yield f"{name} is broken"
            elif (_page_without_times(value) if name.endswith("report.html") else value) != final[name]:
                yield f"{name} is half-written"

    def _again(self, command: Command, place: Path) -> Sequence[str] | None:
        """The arguments of the run after the kill; None where nothing is left to do."""
        if command.name == "init" and (place / "first.yaml").exists():
            return None
        if command.name == "demo" and any(place.glob("made/.*")):
            shutil.rmtree(place / "made")  # as its message asks for
        if not command.resumes:
            return command.arguments
        facts = list(place.glob("runs/shop*/run.json"))
        if not facts:
            return command.arguments
        if "finished" in json.loads(facts[0].read_text()):
            return None
        return (*command.arguments, "--resume")


def _differences(one: Mapping[str, object], other: Mapping[str, object]) -> Iterator[str]:
    for name in sorted(one.keys() | other.keys()):
        if name not in one:
            yield f"{name} is missing"
        elif name not in other:
            if "/." not in f"/{name}":
                yield f"{name} is too many"
        elif one[name] != other[name]:
            yield f"{name} differs"


def kill_often(folder: Path, commands: Sequence[Command], count: int, seed: int) -> Iterator[Killed]:
    """Kill the commands in turn, with every signal in turn, at random moments."""
    world, rng = World(folder), random.Random(seed)
    for index in range(count):
        command = commands[index % len(commands)]
        number = SIGNALS[(index // len(commands) + index) % len(SIGNALS)]
        yield world.kill(command, number, rng.uniform(0.02, 1.05))


def main() -> None:
    """Kill as often as asked, tell of each kill, and exit with 1 where something is wrong."""
    parser = argparse.ArgumentParser(
        description=re.sub(r"\s+", " ", (__doc__ or "").split("\n\n", maxsplit=1)[0])
    )
    parser.add_argument("commands", nargs="*", metavar="COMMAND", help="default: all")
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    chosen = [command for command in COMMANDS if not arguments.commands or command.name in arguments.commands]
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for killed in kill_often(Path(folder), chosen, arguments.count, arguments.seed):
            sys.stdout.write(f"{killed}\n")
            sys.stdout.flush()
            wrong += bool(killed.faults)
    sys.stdout.write(f"{wrong} of {arguments.count} kills showed a fault\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
