"""The door: parses the command line, calls one step, prints, and gives the exit code.

Exit codes: 0 done · 1 a check or a gate failed · 2 something the user can mend · 3 a bug of ours, with a
trace in the run folder · 130 stopped by Ctrl-C · 143 by SIGTERM. Nothing heavy is imported before a command
needs it.
"""

import json
import os
import signal
import sys
import traceback
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from mlc import __version__
from mlc.atomic import refusal
from mlc.errors import MlcError, Terminated

if TYPE_CHECKING:
    from mlc.findings import Severity
    from mlc.run import Opening
    from mlc.scenario import Scenario
    from mlc.steps.check import Checked
    from mlc.steps.labels import Prepared

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help=(
        "Which of these K things will each customer do in the next N days? "
        "One YAML scenario, one command, per-label AUROC and average precision next to honest baselines."
    ),
)

ScenarioFile = Annotated[Path, typer.Argument(metavar="SCENARIO", help="The scenario, a YAML file.")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run: its name, or the path of its folder.")]
RunsDir = Annotated[Path, typer.Option("--runs-dir", help="Folder of the runs and of the event store.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a field: --set train.epochs=1. Repeatable."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_RUNS = Path("runs")
_SMOKE = (
    "model.preset=nano",
    "train.epochs=1",
    "train.limit_train_batches=20",
    "examples.train_cutoffs=2",
    "examples.max_entities=2000",
    "target.allow_empty=true",
)
"""A slice that shows in seconds whether the whole path works; its numbers say nothing."""
_USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]
"""An unknown command or option, a wrong value: click's own, or of the copy within newer versions of Typer."""
_trace_folders = [Path()]
"""Where the trace of a bug goes: the run's folder, as soon as there is one."""


def _say(line: str) -> None:
    """Progress goes to standard error: standard output holds results alone. Only the first rank speaks."""
    if os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) == "0":
        print(line, file=sys.stderr, flush=True)


def _load(path: Path, overrides: list[str] | None) -> "Scenario":
    from mlc.scenario import load_scenario

    return load_scenario(path, overrides or [])


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write tables and scenarios.")],
    customers: Annotated[int, typer.Option(help="How many customers.")] = 4000,
    seed: Annotated[int, typer.Option(help="Another seed, other customers.")] = 7,
) -> None:
    """Write generated retail tables, whose true probabilities are known, and scenarios that use them."""
    from mlc.atomic import write_text
    from mlc.demo import write_demo

    paths = write_demo(folder, customers, seed, _say)
    write_text(folder / "schema.json", _schema_text())  # the scenarios name it for editors
    for path in paths:
        print(path)


@app.command()
def init(
    tables: Annotated[
        list[Path], typer.Argument(metavar="TABLE…", help="Parquet or CSV files, folders or globs.")
    ],
    entity: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Whom to predict for. Default: guessed.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The scenario to write.")] = Path("scenario.yaml"),
) -> None:
    """Write a first scenario from tables: guesses entity, time, joins, target and labels, and says why."""
    from mlc.steps.init import init as step

    print(step(tables, entity, out), end="")
    _say(f"{out} is written; next: mlc check {out}")


@app.command()
def check(
    scenario: ScenarioFile,
    override: Overrides = None,
    runs_dir: RunsDir = _RUNS,
    as_json: AsJson = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when there is a warning.")] = False,
) -> None:
    """Check a scenario and its tables: everything that costs people days, at once, each with what to do."""
    from mlc.steps.check import Checked
    from mlc.steps.check import check as step

    try:
        checked = step(_load(scenario, override), runs_dir)
    except MlcError as error:
        checked = Checked(error.problems)
    if as_json:
        print(json.dumps(checked.as_json(), indent=1, ensure_ascii=False, default=str))
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
        print(problem, file=sys.stderr)
    for finding in checked.findings:
        if finding.severity == "warning":
            print(f"{finding.place}: warning: {finding.found}; {finding.advice}", file=sys.stderr)


def _print_checked(path: Path, checked: "Checked") -> None:
    expected = checked.expected
    assert expected is not None  # there are no problems
    print(f"{path}: no errors, {_number(checked, 'warning')}, {_number(checked, 'note')}")
    for join in checked.joins:
        print(f"join {join.table} → {join.dimension}: {join.matched:,} of {join.events:,} events match")
    print(expected.funnel)
    names = expected.class_names
    _print_counts(names, [(s.split, s.examples, s.positives) for s in expected.splits])
    sizes = expected.sizes
    print("memory: " + ", ".join(f"{name} {size:,.1f} MiB" for name, size in sizes.memory_mb.items()))
    if sizes.training_minutes is not None:
        minutes = max(0.1, sizes.training_minutes)
        print(f"training: all epochs take roughly {minutes:,.1f} minutes on this CPU")
    for finding in checked.findings:
        print(f"\n{finding.severity}: {finding.found}\n  → {finding.advice}  ({finding.place})")


def _number(checked: "Checked", severity: "Severity") -> str:
    count = checked.count(severity)
    return f"{count} {severity}{'' if count == 1 else 's'}"


def _print_counts(names: list[str], splits: list[tuple[str, int, list[int]]]) -> None:
    """Positives and prevalence of every label in every split."""
    width = min(40, max(len("label"), *(len(name) for name in names)))
    print(f"{'label':<{width}}" + "".join(f"{split:>22}" for split, _, _ in splits))
    print(f"{'examples':<{width}}" + "".join(f"{examples:>22,}" for _, examples, _ in splits))
    for index, name in enumerate(names):
        cells = [
            f"{positives[index]:,} {positives[index] / max(examples, 1):>8.2%}"
            for _, examples, positives in splits
        ]
        shown = name if len(name) <= width else name[: width - 1] + "…"
        print(f"{shown:<{width}}" + "".join(f"{cell:>22}" for cell in cells))


@app.command()
def compile(scenario: ScenarioFile, override: Overrides = None) -> None:
    """Show the task as a picture in words, and the optimised Polars plan of each query."""
    from mlc.steps.compile import compile_task

    print(compile_task(_load(scenario, override)))


@app.command()
def labels(
    scenario: ScenarioFile,
    override: Overrides = None,
    runs_dir: RunsDir = _RUNS,
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
    from mlc.steps.labels import check_ending, dropped_rows, prepare, split_counts, write_examples

    if long and wide:
        raise MlcError("--long and --wide exclude each other: a row a label, or a column a label")
    if explain is None and cutoff is not None:
        raise MlcError("--cutoff must come with --explain ENTITY, however: it stands alone")
    moment = _moment(cutoff, "--cutoff")
    check_ending(out, ".parquet")
    html = html or out.with_suffix(".html")
    check_ending(html, ".html", option="--html")
    prepared = prepare(_load(scenario, override), runs_dir, lambda _: None)
    from mlc.steps import explain as explaining
    from mlc.steps import label_tables
    from mlc.steps.labels_page import labels_page

    if explain is not None:
        print(explaining.timeline_text(explaining.explain(prepared, explain, moment)))
        return
    found = prepared.examples
    table = label_tables.long(found) if long else label_tables.wide(found) if wide else found.table
    write_examples(found, out, prepared.store.fingerprint, table)
    for line in dropped_rows(prepared.store):
        _say(f"warning: {line}")
    _print_funnel(prepared)
    _print_counts(
        list(found.labels.names), [(s.split, s.examples, s.positives) for s in split_counts(prepared)]
    )
    for line in (*label_tables.spark_lines(found), *label_tables.pair_lines(found)):
        print(line)
    explained = explaining.explain_positives(prepared, examples)
    for name, shown in explained:
        print("\n" + explaining.timeline_text(shown, history=3, label=name))
    write_text(html, labels_page(prepared, explained))
    print(html)
    print(out)


def _print_funnel(prepared: "Prepared") -> None:
    for step in prepared.examples.funnel:
        removed = f"-{step.removed:,}" if step.removed else ""
        print(f"{removed:>14} {step.kept:>14,}  {step.reason}")
    for split, (first, last) in prepared.cutoffs.spans.items():
        count = len(prepared.cutoffs.splits[split])
        what = f"{count} cutoff{'' if count == 1 else 's'}" if count else "the entities' own cutoffs"
        print(f"{split}: {what}, {first:%Y-%m-%d} to {last:%Y-%m-%d}")


@app.command()
def train(
    scenario: ScenarioFile,
    override: Overrides = None,
    runs_dir: RunsDir = _RUNS,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run.")] = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Start over; the former run goes when the new one is complete."),
    ] = False,
    devices: Annotated[
        int | None, typer.Option(help="Number of devices; short for --set train.devices=N.", min=1)
    ] = None,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="The whole path on a small slice, in a run of its own.")
    ] = False,
) -> None:
    """Train a scenario: labels, model, predictions, baselines, report."""
    if resume and overwrite:
        raise MlcError("--resume and --overwrite exclude each other: one goes on, the other starts over")
    overrides = [*(override or []), *([f"train.devices={devices}"] if devices else [])]
    loaded = _load(scenario, overrides)
    if smoke:
        loaded = _load(scenario, [*_SMOKE, *overrides, f"name={loaded.name}-smoke"])
    _trace_folders.append(runs_dir / loaded.name)
    from mlc.report import report_text
    from mlc.steps.train import Setting
    from mlc.steps.train import train as step

    opening: Opening = "resume" if resume else "overwrite" if overwrite or smoke else "new"
    report = step(loaded, Setting(runs_dir, opening, interactive=sys.stdout.isatty()), _say)
    if report is not None:
        print(report_text(report))
        print(f"\n{runs_dir / loaded.name / 'report.md'}")


@app.command()
def pretrain(
    scenario: Annotated[
        Path,
        typer.Argument(metavar="SCENARIO", help="A scenario, or a YAML file that holds only its tables."),
    ],
    override: Overrides = None,
    runs_dir: RunsDir = _RUNS,
    until: Annotated[
        str | None, typer.Option(help="See nothing after this date; short for --set pretrain.until=DATE.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run.")] = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Start over; the former run goes when the new one is complete."),
    ] = False,
) -> None:
    """Make a foundation model from the tables alone, for `model.foundation` of any scenario on them."""
    if resume and overwrite:
        raise MlcError("--resume and --overwrite exclude each other: one goes on, the other starts over")
    from mlc.scenario import load_scenario

    overrides = [*(override or []), *([f"pretrain.until={until}"] if until else [])]
    loaded = load_scenario(scenario, overrides, tables_suffice=True)
    if not any(text.startswith("name=") for text in overrides):
        loaded = load_scenario(scenario, [*overrides, f"name={loaded.name}-foundation"], tables_suffice=True)
    _trace_folders.append(runs_dir / loaded.name)
    from mlc.report import foundation_markdown
    from mlc.steps.pretrain import pretrain as step

    opening: Opening = "resume" if resume else "overwrite" if overwrite else "new"
    print(foundation_markdown(step(loaded, runs_dir, opening, _say)))
    print(runs_dir / loaded.name / "report.md")


@app.command()
def evaluate(
    run: RunName,
    split: Annotated[Literal["train", "validation", "test"], typer.Option(help="What to show.")] = "test",
    runs_dir: RunsDir = _RUNS,
    as_json: AsJson = False,
    gated: Annotated[
        bool, typer.Option("--check", help="Exit with 1 when a gate of the scenario fails.")
    ] = False,
) -> None:
    """The report again, from the saved model and the tables."""
    from mlc.report import report_text
    from mlc.run import find_run
    from mlc.steps.evaluate import evaluate as step

    found = find_run(runs_dir, run)
    _trace_folders.append(found.folder)
    if gated and found.scenario().gates is None:
        raise MlcError(
            f"--check needs gates, however: the scenario of {run} has none; "
            f"add gates: {{macro_ap: 0.25, beats: recency}} to {found / 'resolved.yaml'}"
        )
    evaluation = step(found, runs_dir, _say)
    print(
        json.dumps(evaluation.report, indent=1, ensure_ascii=False)
        if as_json
        else report_text(evaluation.report, split=split)
    )
    if evaluation.tables_changed:
        _say("the tables have changed since the training: these numbers are of the new ones")
    else:
        _say(
            "the same numbers as in training"
            if evaluation.same
            else "these numbers differ from those of the training"
        )
    if gated:
        gates = evaluation.report["gates"]
        for gate in gates:
            _say(f"{'passed' if gate['passed'] else 'FAILED'}: {gate['gate']}: {gate['found']}")
        if not all(gate["passed"] for gate in gates):
            raise typer.Exit(1)


@app.command()
def compare(
    first: Annotated[str, typer.Argument(metavar="RUN", help="A run: its name, or the path of its folder.")],
    second: Annotated[str, typer.Argument(metavar="RUN", help="The run that may be better.")],
    markdown: Annotated[bool, typer.Option("--md", help="Print Markdown, for a pull request.")] = False,
    as_json: AsJson = False,
    runs_dir: RunsDir = _RUNS,
) -> None:
    """Two runs on the test examples that they share: which labels won, lost, or cannot be told apart."""
    from mlc.run import find_run
    from mlc.steps import compare as step

    if markdown and as_json:
        raise MlcError("--md and --json exclude each other: choose one")
    compared = step.compare(find_run(runs_dir, first), find_run(runs_dir, second))
    if as_json:
        print(json.dumps(compared, indent=1, ensure_ascii=False, allow_nan=False))
    else:
        print(step.markdown(compared) if markdown else "\n".join(step.lines(compared)))


@app.command()
def runs(runs_dir: RunsDir = _RUNS, as_json: AsJson = False) -> None:
    """Every run with its headline numbers, the newest first."""
    from mlc.steps import runs as step

    found = step.list_runs(runs_dir)
    if as_json:
        print(json.dumps([asdict(run) for run in found], indent=1, ensure_ascii=False))
    else:
        print("\n".join(step.lines(found)))


@app.command()
def thresholds(
    run: RunName,
    policy: Annotated[
        str | None,
        typer.Option(
            help="For every label: max_f1, 0.4, precision_at_least=.8, top_n=500 … Default: as trained."
        ),
    ] = None,
    per_label: Annotated[
        list[str] | None,
        typer.Option("--per-label", metavar="LABEL=POLICY", help="For one label. Repeatable."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the cuts as YAML, for mlc predict --threshold.")
    ] = None,
    runs_dir: RunsDir = _RUNS,
) -> None:
    """Choose the cuts of a run again, without training, and show what to expect of them."""
    from mlc.run import find_run
    from mlc.steps import thresholds as step
    from mlc.steps.labels import check_ending

    if out is not None:
        check_ending(out, ".yaml", ".yml")
    found = find_run(runs_dir, run)
    _trace_folders.append(found.folder)
    chosen = step.choose(found, policy, per_label or [])
    for line in step.lines(chosen):
        print(line)
    if out is not None:
        step.write_thresholds(chosen, found, out)
        _say(f"{out} is written; next: mlc predict {run} --threshold {out}")


@app.command()
def predict(
    run: RunName,
    as_of: Annotated[
        str | None, typer.Option(help="The cutoff: a date or datetime. Default: the last observed time.")
    ] = None,
    threshold: Annotated[
        str,
        typer.Option(help="stored, 0.4, Dress=.3,Skirt=.5 (others as stored), or a file of mlc thresholds."),
    ] = "stored",
    out: Annotated[Path, typer.Option(help="A .parquet or .csv file.")] = Path("scores.parquet"),
    long: Annotated[
        bool, typer.Option("--long", help="A row an (entity, label) instead of a column a label.")
    ] = False,
    contact: Annotated[
        str | None,
        typer.Option(
            help="A budget: {per_entity: 2, total: 500, value: {Dress: 3}}. Default: the scenario's."
        ),
    ] = None,
    runs_dir: RunsDir = _RUNS,
) -> None:
    """Scores and decisions for every entity with history; with a budget, whom to contact for what."""
    from mlc.run import find_run
    from mlc.steps.labels import check_ending

    check_ending(out, ".parquet", ".csv")
    moment = _moment(as_of)
    found = find_run(runs_dir, run)
    _trace_folders.append(found.folder)
    from mlc.steps import predict as step
    from mlc.steps.thresholds import thresholds_for

    thresholds = thresholds_for(found, threshold)
    names = [t.name for t in thresholds]
    if not long:
        step.check_names(names)
    predictions = step.predict(found, runs_dir, moment, _say)
    decided_NK = step.decisions(predictions, thresholds)
    table = (
        step.long(found, predictions, decided_NK, thresholds)
        if long
        else step.wide(found, predictions, decided_NK, names)
    )
    picked_NK = step.contacts(found, predictions, names, contact)
    if picked_NK is not None:
        table = step.with_contacts(table, picked_NK, names, long=long)
    step.write_scores(table, out, names)
    for index, chosen in enumerate(thresholds):
        _say(
            f"{chosen.name}: {int(decided_NK[:, index].sum()):,} of {predictions.height:,} "
            f"at {chosen.value:.4g} ({chosen.policy})"
        )
    if picked_NK is not None:
        _say(f"contact: {int(picked_NK.sum()):,} pairs of {int(picked_NK.any(axis=1).sum()):,} entities")
    print(out)


@app.command()
def embed(
    run: RunName,
    as_of: Annotated[
        str | None, typer.Option(help="The cutoff: a date or datetime. Default: the last observed time.")
    ] = None,
    out: Annotated[Path, typer.Option(help="A .parquet file.")] = Path("vectors.parquet"),
    runs_dir: RunsDir = _RUNS,
) -> None:
    """A vector of every entity with history, for other uses: from a foundation model or a trained memory."""
    from mlc.run import find_run
    from mlc.steps.labels import check_ending

    check_ending(out, ".parquet")
    moment = _moment(as_of)
    found = find_run(runs_dir, run)
    _trace_folders.append(found.folder)
    from mlc.steps import embed as step

    step.write_vectors(found, step.embed(found, runs_dir, moment, _say), out)
    print(out)


def _moment(text: str | None, option: str = "--as-of") -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise MlcError(
            f"{option} must be a date such as 2024-03-31 or 2024-03-31T12:00, however: {text}"
        ) from None


@app.command()
def schema(
    report: Annotated[bool, typer.Option("--report", help="That of report.json instead.")] = False,
) -> None:
    """Print the JSON schema of the scenario, for editors: mlc schema > schema.json."""
    if report:
        from mlc.report import report_schema

        print(json.dumps(report_schema(), indent=1, ensure_ascii=False))
        return
    print(_schema_text(), end="")


def _schema_text() -> str:
    from mlc.scenario import scenario_schema

    return json.dumps(scenario_schema(), indent=1, ensure_ascii=False) + "\n"


def _version(value: bool) -> None:
    if value:
        print(f"mlc {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """See the commands."""


def main() -> NoReturn:
    """Run the command line and exit."""
    del _trace_folders[1:]
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        code: Any = app(standalone_mode=False)
        if code == 130:  # how newer versions of Typer tell Ctrl-C
            _end(130, "stopped")
        sys.exit(code if isinstance(code, int) else 0)
    except MlcError as error:
        _end(2, str(error), stopped=refusal(error) is not None)
    except _USAGE_ERROR as error:
        error.show()  # type: ignore[attr-defined]
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        _end(130, "stopped")
    except Terminated:
        _end(143, "stopped by SIGTERM")
    except Exception as error:
        reason = refusal(error)
        if reason is not None:
            _end(2, f"files must be readable and writable, however: {reason}{_file_of(error)}")
        _end(3, f"a bug of mlc: {type(error).__name__}: {error}\n{_write_trace()}")
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(signum: int, frame: object) -> NoReturn:
    """Files that are half written are removed on the way out."""
    del signum, frame
    raise Terminated


def _end(code: int, message: str, *, stopped: bool = True) -> NoReturn:
    """Say why a command ends, and what a training that was stopped on its way has left."""
    from mlc.run import Run, what_is_left

    left = what_is_left(Run(_trace_folders[-1])) if stopped and len(_trace_folders) > 1 else ""
    print("\n".join(line for line in (message, left) if line), file=sys.stderr)
    sys.exit(code)


def _file_of(error: Exception) -> str:
    name = getattr(error, "filename", None)
    return f" ({name})" if name else ""


def _write_trace() -> str:
    trace = f"mlc {__version__} {' '.join(sys.argv[1:])}\n{traceback.format_exc()}"
    path = next(folder for folder in reversed(_trace_folders) if folder.is_dir()) / "mlc-error.log"
    try:
        path.write_text(trace, encoding="utf-8")
    except OSError as error:
        return f"{trace}please report it; {path} could not be written: {error.strerror}"
    return f"the trace is in {path}; please report it"
