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
    given_moment,
    load,
    say,
    show,
)
from mlc.drawing.text_tables import one_line
from mlc.errors import MlcError

if TYPE_CHECKING:
    from mlc.commands.check import Checked
    from mlc.events.findings import Severity
    from mlc.events.preparing import Prepared


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write tables and scenarios.")],
    customers: Annotated[int, typer.Option(help="How many customers.")] = 4000,
    seed: Annotated[int, typer.Option(help="Another seed, other customers.")] = 7,
) -> None:
    """Write generated retail tables, whose true probabilities are known, and scenarios that use them."""
    from mlc.atomic import write_text
    from mlc.demo import write_demo

    paths = write_demo(folder, customers, seed, say)
    write_text(folder / "schema.json", _schema_text())  # the scenarios name it for editors
    for path in paths:
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
    from mlc.commands.init import init as step
    from mlc.events.preparing import check_ending

    check_ending(out, ".yaml", ".yml")
    show(step(tables, entity, out), end="")
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
    from mlc.commands.check import Checked
    from mlc.commands.check import check as step
    from mlc.commands.outputs import check_files, inputs_of

    try:
        loaded = load(scenario, override)
        check_files([*inputs_of(loaded, runs_dir)], runs_dir)
        checked = step(loaded, runs_dir)
    except MlcError as error:
        checked = Checked(error.problems)
    if as_json:
        show(json.dumps(checked.as_json(), indent=1, ensure_ascii=False, default=str))
    elif checked.problems:
        _print_problems(checked)
    else:
        _print_checked(scenario, checked)
    if checked.problems:
        raise typer.Exit(2)
    if strict and checked.count("warning"):
        raise typer.Exit(1)


def _print_problems(checked: "Checked") -> None:
    """What stops a training, then what else is likely wrong, a line each, to standard error."""
    for problem in checked.problems:
        show(problem, error=True)
    for finding in checked.findings:
        if finding.severity == "warning":
            show(f"{finding.place}: warning: {finding.found}; {finding.advice}", error=True)


def _print_checked(path: Path, checked: "Checked") -> None:
    expected = checked.expected
    assert expected is not None  # there are no problems
    show(f"{path}: no errors, {_number(checked, 'warning')}, {_number(checked, 'note')}")
    for join in checked.joins:
        show(f"join {join.table} → {join.dimension}: {join.matched:,} of {join.events:,} events match")
    show(expected.funnel)
    names = expected.class_names
    _print_counts(names, [(s.split, s.examples, s.positives) for s in expected.splits])
    sizes = expected.sizes
    show("memory: " + ", ".join(f"{name} {size:,.1f} MiB" for name, size in sizes.memory_mb.items()))
    if sizes.training_minutes is not None:
        minutes = max(0.1, sizes.training_minutes)
        show(f"training: all epochs take roughly {minutes:,.1f} minutes on this CPU")
    for finding in checked.findings:
        show(f"\n{finding.severity}: {finding.found}\n  → {finding.advice}  ({finding.place})")


def _number(checked: "Checked", severity: "Severity") -> str:
    count = checked.count(severity)
    return f"{count} {severity}{'' if count == 1 else 's'}"


def _print_counts(names: list[str], splits: list[tuple[str, int, list[int]]]) -> None:
    """Positives and prevalence of every label in every split."""
    width = min(40, max(len("label"), *(len(name) for name in names)))
    show(f"{'label':<{width}}" + "".join(f"{split:>22}" for split, _, _ in splits))
    show(f"{'examples':<{width}}" + "".join(f"{examples:>22,}" for _, examples, _ in splits))
    for index, name in enumerate(names):
        cells = [
            f"{positives[index]:,} {positives[index] / max(examples, 1):>8.2%}"
            for _, examples, positives in splits
        ]
        shown = one_line(name)
        shown = shown if len(shown) <= width else shown[: width - 1] + "…"
        show(f"{shown:<{width}}" + "".join(f"{cell:>22}" for cell in cells))


@app.command()
def compile(scenario: ScenarioFile, override: Overrides = None) -> None:
    """Show the task as a picture in words, and the optimised Polars plan of each query."""
    from mlc.commands.compile import compile_task

    show(compile_task(load(scenario, override)))


@app.command()
def labels(
    scenario: ScenarioFile,
    override: Overrides = None,
    runs_dir: RunsDir = RUNS,
    out: Annotated[Path, typer.Option(help="Where to write the examples table.")] = Path("examples.parquet"),
    long: Annotated[bool, typer.Option("--long", help="Write a row an (entity, cutoff, label).")] = False,
    wide: Annotated[bool, typer.Option("--wide", help="Write a column a label, not an array of K.")] = False,
    explain: Annotated[
        str | None, typer.Option(metavar="ENTITY", help="Write nothing: show what set this one's targets.")
    ] = None,
    cutoff: Annotated[
        str | None, typer.Option(help="With --explain: a date or datetime. Default: the newest test cutoff.")
    ] = None,
    examples: Annotated[int, typer.Option(help="Also show so many random positives.", min=0)] = 0,
    html: Annotated[
        Path | None, typer.Option(help="Where to write the page. Default: beside --out, ending in .html.")
    ] = None,
) -> None:
    """Build the examples with their targets; show what was left out, prevalence over time, examples."""
    from mlc.atomic import write_text
    from mlc.commands.outputs import check_files, inputs_of
    from mlc.events.preparing import check_ending, dropped_rows, prepare, split_counts, write_examples

    if long and wide:
        raise MlcError("--long and --wide exclude each other: a row a label, or a column a label")
    if explain is None and cutoff is not None:
        raise MlcError("--cutoff must come with --explain ENTITY, however: it stands alone")
    moment = given_moment(cutoff, "--cutoff")
    check_ending(out, ".parquet")
    html = html or out.with_suffix(".html")
    check_ending(html, ".html", option="--html")
    loaded = load(scenario, override)
    files = {} if explain is not None else {"out": out, "html": html}
    check_files([*inputs_of(loaded, runs_dir)], runs_dir, **files)
    prepared = prepare(loaded, runs_dir, lambda _: None)
    from mlc.events import label_tables
    from mlc.events import tracing as explaining
    from mlc.events.labels_page import labels_page

    if explain is not None:
        show(explaining.timeline_text(explaining.explain(prepared, explain, moment)))
        return
    found = prepared.examples
    table = label_tables.long(found) if long else label_tables.wide(found) if wide else found.table
    write_examples(found, out, prepared.store.fingerprint, table)
    for line in dropped_rows(prepared.store):
        say(f"warning: {line}")
    _print_funnel(prepared)
    _print_counts(
        list(found.labels.names), [(s.split, s.examples, s.positives) for s in split_counts(prepared)]
    )
    for line in (*label_tables.spark_lines(found), *label_tables.pair_lines(found)):
        show(line)
    explained = explaining.explain_positives(prepared, examples)
    for name, shown in explained:
        show("\n" + explaining.timeline_text(shown, history=3, label=name))
    write_text(html, labels_page(prepared, explained))
    show(html)
    show(out)


def _print_funnel(prepared: "Prepared") -> None:
    for step in prepared.examples.funnel:
        removed = f"-{step.removed:,}" if step.removed else ""
        show(f"{removed:>14} {step.kept:>14,}  {step.reason}")
    for split, (first, last) in prepared.cutoffs.spans.items():
        count = len(prepared.cutoffs.splits[split])
        what = f"{count} cutoff{'' if count == 1 else 's'}" if count else "the entities' own cutoffs"
        show(f"{split}: {what}, {first:%Y-%m-%d} to {last:%Y-%m-%d}")


@app.command()
def schema(
    report: Annotated[bool, typer.Option("--report", help="That of report.json instead.")] = False,
) -> None:
    """Print the JSON schema of the scenario, for editors: mlc schema > schema.json."""
    if report:
        from mlc.report import report_schema

        show(json.dumps(report_schema(), indent=1, ensure_ascii=False))
        return
    show(_schema_text(), end="")


def _schema_text() -> str:
    from mlc.scenario import scenario_schema

    return json.dumps(scenario_schema(), indent=1, ensure_ascii=False) + "\n"
