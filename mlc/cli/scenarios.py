"""Commands on tables and scenarios, before anything is trained."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlc.cli.arguments import (
    RUNS,
    AsJson,
    Overrides,
    RunsDir,
    ScenarioFile,
    app,
    load,
    say,
    show,
)
from mlc.commands.moments import given_moment
from mlc.errors import MlcError

if TYPE_CHECKING:
    pass


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write tables and scenarios.")],
    customers: Annotated[int, typer.Option(help="How many customers.")] = 4000,
    seed: Annotated[int, typer.Option(help="Another seed, other customers.")] = 7,
) -> None:
    """Write generated retail tables, whose true probabilities are known, and scenarios that use them."""
    from mlc.commands.demo import demo as write_demo

    for path in write_demo(folder, customers, seed, say):
        show(path)


@app.command()
def init(
    tables: Annotated[
        list[Path],
        typer.Argument(metavar="TABLE…", help="Parquet or CSV files, folders or globs."),
    ],
    entity: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Whom to predict for. Default: guessed.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The scenario to write.")] = Path("scenario.yaml"),
) -> None:
    """Write a first scenario from tables: guesses entity, time, joins, target and labels, and says why."""
    from mlc.commands.init import init as propose
    from mlc.run.outputs import check_ending

    check_ending(out, ".yaml", ".yml")
    show(propose(tables, entity, out), end="")
    say(f"{out} is written; next: mlc check {out}")


@app.command()
def check(
    scenario: ScenarioFile,
    override: Overrides = None,
    runs_dir: RunsDir = RUNS,
    as_json: AsJson = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when there is a warning.")] = False,
) -> None:
    """Check a scenario and its tables: everything that costs people days, at once, each with what to do."""
    from mlc.commands import check as command
    from mlc.run.outputs import check_files, inputs_of

    try:
        loaded = load(scenario, override)
        check_files([*inputs_of(loaded, runs_dir)], runs_dir)
        checked = command.check(loaded, runs_dir)
    except MlcError as error:
        checked = command.Checked(error.problems)
    if as_json:
        show(json.dumps(checked.as_json(), indent=1, ensure_ascii=False, default=str))
    elif checked.problems:
        for line in command.problem_lines(checked):
            show(line, error=True)
    else:
        for line in command.lines(checked, scenario):
            show(line)
    if checked.problems:
        raise typer.Exit(2)
    if strict and checked.count("warning"):
        raise typer.Exit(1)


@app.command()
def compile(scenario: ScenarioFile, override: Overrides = None) -> None:
    """Show the task as a picture in words, and the optimised Polars plan of each query."""
    from mlc.commands.compile import compile as compiled

    show(compiled(load(scenario, override)))


@app.command()
def labels(
    scenario: ScenarioFile,
    override: Overrides = None,
    runs_dir: RunsDir = RUNS,
    out: Annotated[Path, typer.Option(help="Where to write the examples table.")] = Path("examples.parquet"),
    long: Annotated[bool, typer.Option("--long", help="Write one row per entity, cutoff and label.")] = False,
    wide: Annotated[
        bool, typer.Option("--wide", help="Write one column per label, not an array of K.")
    ] = False,
    trace: Annotated[
        str | None, typer.Option(metavar="ENTITY", help="Write nothing: show what set this one's targets.")
    ] = None,
    cutoff: Annotated[
        str | None, typer.Option(help="With --trace: a date or datetime. Default: the newest test cutoff.")
    ] = None,
    examples: Annotated[int, typer.Option(help="Also show this many random positives.", min=0)] = 0,
    html: Annotated[
        Path | None, typer.Option(help="Where to write the page. Default: beside --out, ending in .html.")
    ] = None,
) -> None:
    """Build the examples with their targets; show what was left out, prevalence over time, examples."""
    from mlc.commands.labels import Files, trace_entity, write_labels
    from mlc.run.outputs import check_ending, check_files, inputs_of

    if long and wide:
        raise MlcError("--long and --wide exclude each other: one row per label, or one column per label")
    if trace is None and cutoff is not None:
        raise MlcError("--cutoff must come with --trace ENTITY, however: it stands alone")
    moment = given_moment(cutoff, "--cutoff")
    check_ending(out, ".parquet")
    html = html or out.with_suffix(".html")
    check_ending(html, ".html", option="--html")
    loaded = load(scenario, override)
    if trace is not None:
        check_files([*inputs_of(loaded, runs_dir)], runs_dir)
        show(trace_entity(loaded, runs_dir, trace, moment))
        return
    check_files([*inputs_of(loaded, runs_dir)], runs_dir, out=out, html=html)
    files = Files(out, html, "long" if long else "wide" if wide else "arrays")
    written = write_labels(loaded, runs_dir, files, examples)
    for line in written.warnings:
        say(f"warning: {line}")
    for line in written.lines:
        show(line)
    show(html)
    show(out)


@app.command()
def schema(
    report: Annotated[bool, typer.Option("--report", help="That of report.json instead.")] = False,
) -> None:
    """Print the JSON schema of the scenario, for editors: mlc schema > schema.json."""
    from mlc.commands.schema import schema as text_of

    show(text_of(of_report=report), end="")
