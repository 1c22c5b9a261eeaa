"""What the commands share: the application, arguments, progress, traces."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlc.cli.help import Group, GroupedHelp
from mlc.drawing.text_tables import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlc.run import OtherTables, RunFolder
    from mlc.scenario import Scenario

app = typer.Typer(
    cls=GroupedHelp,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help=(
        "Which of these K things will each customer do in the next N days? "
        "One YAML scenario, one command, per-label AUROC and average precision next to honest baselines."
    ),
)


def listed(group: Group, example: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a command in a group of `mlc --help`, with an example in its own help."""
    return app.command(rich_help_panel=group, epilog=f"Example: {example}")


ScenarioFile = Annotated[Path, typer.Argument(metavar="SCENARIO", help="The scenario, a YAML file.")]
RunName = Annotated[
    str, typer.Argument(metavar="RUN", help="A run: its name, its folder, or its scenario file.")
]
RunsDir = Annotated[Path, typer.Option("--runs-dir", help="Folder of the runs and of the event store.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a field: --set train.epochs=1. Repeatable."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Start over; the former run goes when the new one is complete.")
]
Devices = Annotated[
    int | None, typer.Option(help="Number of devices; short for --set train.devices=N.", min=1)
]
DataFile = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="FILE",
        help="Use other tables with the same columns: a YAML file with a data section.",
    ),
]
DataOverrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Replace a field of the run's data: --set data.tables.sales.path=new.parquet. Repeatable.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Full = Annotated[bool, typer.Option("--full", help="Print every table of the report.")]
Strict = Annotated[
    bool, typer.Option("--strict", help="Exit with 1 when a label misses its goal or has no decisions.")
]
RUNS = Path("runs")
trace_folders = [Path()]
"""Where the trace of a bug goes: the run's folder, as soon as there is one."""


def show(text: object, *, end: str = "\n", error: bool = False) -> None:
    """Print a result, or an error; the control characters of names are written out."""
    print(visible(str(text)), end=end, file=sys.stderr if error else sys.stdout)


def say(line: str) -> None:
    """Print progress of the first rank to standard error, apart from the results."""
    sys.stdout.flush()  # what was printed before comes before, also where both go to one file
    if _speaks():
        print(visible(line), file=sys.stderr, flush=True)


def _speaks() -> bool:
    return os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) == "0"


@contextmanager
def working(*, quiet: bool = False) -> Iterator[None]:
    """Show the stages of the block on a terminal; print results after it.

    Pipes, CI, `NO_COLOR` and terminals that cannot move the cursor get the messages alone.

    Args:
        quiet: Show nothing.
    """
    plain = os.environ.get("NO_COLOR") or os.environ.get("CI") or os.environ.get("TERM") == "dumb"
    if quiet or plain or not _speaks() or not sys.stderr.isatty():
        yield
        return
    first = "loading"
    print(first, end="\r", file=sys.stderr, flush=True)  # at once; Rich draws over it
    from mlc.cli.display import on_terminal

    with on_terminal(first):
        yield


def load(path: Path, overrides: list[str] | None) -> "Scenario":
    """The checked scenario, its fields overridden by `--set`."""
    from mlc.scenario import load_scenario

    return load_scenario(path, overrides or [])


def other_tables(data: Path | None, overrides: list[str] | None) -> "OtherTables":
    """Return what `--data` and `--set` put in the place of a run's tables."""
    from mlc.run import OtherTables

    return OtherTables(data, overrides or ())


def open_run(
    name: str,
    runs_dir: Path,
    out: Path | None = None,
    endings: "Sequence[str]" = (),
    tables: "OtherTables | None" = None,
    table: Path | None = None,
) -> "RunFolder":
    """Find a run for a command, and refuse a result file where the command reads.

    Args:
        name: The run's name, its folder, or its scenario file.
        runs_dir: Folder of all runs.
        out: The result file; None for a command that writes none.
        endings: Endings that the result file may have.
        tables: What takes the place of the run's tables.
        table: A file that takes the place of the target's table.
    """
    from mlc.run import OWN_TABLES, RunFolder, find_run
    from mlc.run.outputs import check_ending, check_files, inputs_of_run

    if out is not None:
        check_ending(out, *endings)
    run = RunFolder(find_run(runs_dir, name).folder, tables or OWN_TABLES)
    if table is not None:
        run = run.on_table(table)
    runs = run.folder.parent  # the event store lies beside the run, wherever that is
    check_files([*inputs_of_run(run, runs)], runs, **({} if out is None else {"out": out}))
    trace_folders.append(run.folder)
    return run


AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of", help="The cutoff: a date, a datetime, or today (last midnight). Default: the last event."
    ),
]
