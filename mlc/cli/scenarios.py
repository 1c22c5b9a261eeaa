"""Commands on tables and scenarios, before anything is trained."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from mlc.cli.arguments import (
    RUNS,
    AsJson,
    Overrides,
    RunsDir,
    ScenarioFile,
    listed,
    load,
    say,
    show,
    working,
)
from mlc.cli.endings import finish, set_again
from mlc.commands.moments import given_moment
from mlc.errors import MlcError


@listed("Start", "mlc demo shop --customers 500")
def demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write tables and scenarios.")],
    kind: Annotated[
        Literal["shop", "text", "table", "image", "mix"],
        typer.Option(help="A shop's events, or rows: comments, patients, pictures, products."),
    ] = "shop",
    customers: Annotated[int, typer.Option(help="How many customers of the shop.")] = 4000,
    rows: Annotated[int, typer.Option(help="How many rows of any other kind.")] = 4000,
    seed: Annotated[int, typer.Option(help="Another seed, other data.")] = 7,
) -> None:
    """Write generated tables and scenarios.

    The true probabilities are known, so that the report says how much of what is possible a model reaches.
    """
    with working():
        from mlc.commands.demo import demo as write_demo

        scenarios = write_demo(folder, kind, customers if kind == "shop" else rows, seed, say)
    finish("demo", scenarios, scenario=scenarios[0])


@listed("Start", "mlc init sales.parquet customers.parquet --out scenario.yaml")
def init(
    tables: Annotated[
        list[Path],
        typer.Argument(metavar="TABLE…", help="Parquet or CSV files, folders or globs."),
    ],
    entity: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Whom to predict for. Default: a guess.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The scenario to write.")] = Path("scenario.yaml"),
) -> None:
    """Write a first scenario from your tables.

    It guesses entity, time, joins, target and labels; comments in the file give the reasons.
    """
    with working():
        from mlc.commands.init import init as propose
        from mlc.run.outputs import check_ending

        check_ending(out, ".yaml", ".yml")
        text = propose(tables, entity, out)
    show(text, end="")
    say(f"{out} is written")
    finish("init", scenario=out)


@listed("Look", "mlc check scenario.yaml --strict")
def check(
    scenario: ScenarioFile,
    override: Overrides = None,
    runs_dir: RunsDir = RUNS,
    as_json: AsJson = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when there is a warning.")] = False,
) -> None:
    """Check a scenario and its tables.

    It lists everything at once that would stop a training or cost days, each with what to do.
    """
    with working():
        from mlc.commands import check as command
        from mlc.run.outputs import check_files, inputs_of
        from mlc.task import Checked

        try:
            loaded = load(scenario, override)
            check_files([*inputs_of(loaded, runs_dir)], runs_dir)
            checked = command.check(loaded, runs_dir)
        except MlcError as error:
            checked = Checked(error.problems)
    if as_json:
        show(json.dumps(command.as_json(checked), indent=1, ensure_ascii=False, default=str))
    elif checked.problems:
        for line in command.problem_lines(checked):
            show(line, error=True)
    else:
        for line in command.lines(checked, scenario):
            show(line)
    if checked.problems:
        raise typer.Exit(2)
    if not as_json:
        finish("check", options=set_again(override), runs_dir=runs_dir, scenario=scenario)
    if strict and checked.count("warning"):
        raise typer.Exit(1)


@listed("Look", "mlc compile scenario.yaml --full")
def compile(
    scenario: ScenarioFile,
    override: Overrides = None,
    full: Annotated[
        bool, typer.Option("--full", help="Also every label, and the optimised Polars plan of each query.")
    ] = False,
) -> None:
    """Show what a scenario predicts, in words.

    Nothing is built: it takes seconds, whatever the size of the tables.
    """
    with working():
        from mlc.commands.compile import compile as compiled

        text = compiled(load(scenario, override), full=full)
    show(text)
    finish("compile", options=set_again(override), scenario=scenario)


@listed("Look", "mlc labels scenario.yaml --out examples.parquet")
def labels(
    scenario: ScenarioFile,
    override: Overrides = None,
    runs_dir: RunsDir = RUNS,
    out: Annotated[Path, typer.Option(help="Where to write the examples table.")] = Path("examples.parquet"),
    long: Annotated[bool, typer.Option("--long", help="Write one row per entity, cutoff and label.")] = False,
    wide: Annotated[bool, typer.Option("--wide", help="Write one column per label, not an array.")] = False,
    trace: Annotated[
        str | None,
        typer.Option(metavar="ENTITY", help="Write nothing: show what set the targets of this entity."),
    ] = None,
    cutoff: Annotated[
        str | None, typer.Option(help="With --trace: a date or datetime. Default: the newest test cutoff.")
    ] = None,
    examples: Annotated[int, typer.Option(help="Also show this many random positives.", min=0)] = 0,
    html: Annotated[
        Path | None, typer.Option(help="Where to write the page. Default: beside --out, ending in .html.")
    ] = None,
) -> None:
    """Build the examples and their targets.

    It shows what was left out, how frequent each label is over time, and examples.
    """
    if long and wide:
        raise MlcError("--long and --wide exclude each other: one row per label, or one column per label")
    if trace is None and cutoff is not None:
        raise MlcError("--cutoff needs --trace ENTITY: it says when to look at the entity")
    moment = given_moment(cutoff, "--cutoff")
    html = html or out.parent / f"{out.stem}.html"
    outputs = {"out": out, "html": html} if trace is None else {}
    with working():
        from mlc.commands.labels import Files, trace_entity, write_labels
        from mlc.run.outputs import check_ending, check_files, inputs_of

        check_ending(out, ".parquet")
        check_ending(html, ".html", option="--html")
        loaded = load(scenario, override)
        check_files([*inputs_of(loaded, runs_dir)], runs_dir, **outputs)
        if trace is not None:
            text = trace_entity(loaded, runs_dir, trace, moment)
        else:
            files = Files(out, html, "long" if long else "wide" if wide else "arrays")
            written = write_labels(loaded, runs_dir, files, examples)
    if trace is not None:
        show(text)
        return
    for line in written.warnings:
        say(f"warning: {line}")
    for line in written.lines:
        show(line)
    finish("labels", (html, out), set_again(override), runs_dir, scenario=scenario)


@listed("Look", "mlc schema > schema.json")
def schema(
    report: Annotated[bool, typer.Option("--report", help="Print that of report.json instead.")] = False,
) -> None:
    """Print the JSON schema of the scenario.

    Editors use it for completion and checks.
    """
    from mlc.commands.schema import schema as text_of

    show(text_of(of_report=report), end="")
    if report:
        finish("schema, of the report")
    else:
        finish("schema", scenario=next(iter(sorted(Path().glob("*.y*ml"))), "scenario.yaml"))
