"""Commands that make runs, and those on runs that there are."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mlc.cli.arguments import (
    RUNS,
    AsJson,
    AsOf,
    Devices,
    Overrides,
    Overwrite,
    Resume,
    RunName,
    RunsDir,
    ScenarioFile,
    Strict,
    app,
    given_moment,
    load,
    say,
    show,
    trace_folders,
)
from mlc.drawing.text_tables import one_line
from mlc.errors import MlcError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlc.evaluation.thresholds import Threshold
    from mlc.run import Opening

_SMOKE = (
    "model.preset=nano",
    "train.epochs=1",
    "train.limit_train_batches=20",
    "examples.train_cutoffs=2",
    "examples.max_entities=2000",
    "target.allow_empty=true",
)
"""A slice that shows in seconds whether the whole path works; its numbers say nothing."""


@app.command()
def train(
    scenario: ScenarioFile,
    override: Overrides = None,
    runs_dir: RunsDir = RUNS,
    resume: Resume = False,
    overwrite: Overwrite = False,
    devices: Devices = None,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="The whole path on a small slice, in a run of its own.")
    ] = False,
) -> None:
    """Train a scenario: labels, model, predictions, baselines, report."""
    opening = _opening(resume, overwrite)
    overrides = [*(override or []), *([f"train.devices={devices}"] if devices else [])]
    loaded = load(scenario, overrides)
    if smoke:
        from mlc.scenario import AUTO

        # A foundation reads all events, and that takes its time.
        quick = ["model.foundation=null"] if loaded.model.foundation == AUTO else []
        loaded = load(scenario, [*_SMOKE, *overrides, *quick, f"name={loaded.name}-smoke"])
        opening = "smoke" if opening == "new" else opening
    from mlc.commands.outputs import check_run_folder

    check_run_folder(loaded, runs_dir)
    trace_folders.append(runs_dir / loaded.name)
    from mlc.report import report_text
    from mlc.training.peers import one_for_all
    from mlc.training.supervised import Setting
    from mlc.training.supervised import train as step

    with one_for_all():
        report = step(loaded, Setting(runs_dir, opening, interactive=sys.stdout.isatty()), say)
    if report is not None:
        show(report_text(report))
        show(f"\n{runs_dir / loaded.name / 'report.html'}")


@app.command()
def pretrain(
    scenario: Annotated[
        Path,
        typer.Argument(metavar="SCENARIO", help="A scenario, or a YAML file that holds only its tables."),
    ],
    override: Overrides = None,
    runs_dir: RunsDir = RUNS,
    until: Annotated[
        str | None, typer.Option(help="See nothing after this date; short for --set pretrain.until=DATE.")
    ] = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    devices: Devices = None,
) -> None:
    """Make a foundation model from the tables alone, for `model.foundation` of any scenario on them."""
    opening = _opening(resume, overwrite)
    from mlc.scenario import load_scenario

    overrides = [*(override or []), *([f"train.devices={devices}"] if devices else [])]
    overrides += [f"pretrain.until={until}"] if until else []
    loaded = load_scenario(scenario, overrides, tables_suffice=True)
    if not any(text.startswith("name=") for text in overrides):
        loaded = load_scenario(scenario, [*overrides, f"name={loaded.name}-foundation"], tables_suffice=True)
    from mlc.commands.outputs import check_run_folder

    check_run_folder(loaded, runs_dir)
    trace_folders.append(runs_dir / loaded.name)
    from mlc.report import foundation_markdown
    from mlc.training.peers import one_for_all
    from mlc.training.pretraining import pretrain as step

    with one_for_all():
        report = step(loaded, runs_dir, opening, say)
    if report is not None:
        show(foundation_markdown(report))
        show(runs_dir / loaded.name / "report.md")


def _opening(resume: bool, overwrite: bool) -> "Opening":
    if resume and overwrite:
        raise MlcError("--resume and --overwrite exclude each other: one goes on, the other starts over")
    return "resume" if resume else "overwrite" if overwrite else "new"


@app.command()
def evaluate(
    run: RunName,
    split: Annotated[Literal["train", "validation", "test"], typer.Option(help="What to show.")] = "test",
    runs_dir: RunsDir = RUNS,
    as_json: AsJson = False,
    gated: Annotated[
        bool, typer.Option("--check", help="Exit with 1 when a gate of the scenario fails.")
    ] = False,
    gates: Annotated[
        str | None,
        typer.Option(help="Check these gates instead: a YAML file, or {macro_ap: 0.25, beats: recency}."),
    ] = None,
    strict: Strict = False,
) -> None:
    """The report again, from the saved model and the tables."""
    from mlc.commands.evaluate import evaluate as step
    from mlc.commands.evaluate import given_gates
    from mlc.commands.outputs import check_files, inputs_of_run
    from mlc.report import report_text
    from mlc.run import find_run

    found = find_run(runs_dir, run)
    runs_dir = found.folder.parent  # the event store lies beside the run, wherever that is
    trace_folders.append(found.folder)
    gated = gated or gates is not None
    check_files([*inputs_of_run(found, runs_dir)], runs_dir)
    evaluation = step(found, runs_dir, say, given_gates(found, gates) if gated else None)
    show(
        json.dumps(evaluation.report, indent=1, ensure_ascii=False)
        if as_json
        else report_text(evaluation.report, split=split)
    )
    if evaluation.tables_changed:
        say("the tables have changed since the training: these numbers are of the new ones")
    else:
        say(
            "the same numbers as in training"
            if evaluation.same
            else "these numbers differ from those of the training"
        )
    if gated:
        judged = evaluation.report["gates"]
        for gate in judged:
            say(f"{'passed' if gate['passed'] else 'FAILED'}: {gate['gate']}: {gate['found']}")
        if not all(gate["passed"] for gate in judged):
            raise typer.Exit(1)
    if strict:
        from mlc.models.trained import stored_thresholds

        _exit_where_missed(stored_thresholds(found))


@app.command()
def compare(
    first: Annotated[
        str, typer.Argument(metavar="RUN", help="A run: its name, its folder, or its scenario file.")
    ],
    second: Annotated[str, typer.Argument(metavar="RUN", help="The run that may be better.")],
    markdown: Annotated[bool, typer.Option("--md", help="Print Markdown, for a pull request.")] = False,
    as_json: AsJson = False,
    runs_dir: RunsDir = RUNS,
) -> None:
    """Two runs on the test examples that they share: which labels won, lost, or cannot be told apart."""
    from mlc.commands import compare as step
    from mlc.run import find_run

    if markdown and as_json:
        raise MlcError("--md and --json exclude each other: choose one")
    compared = step.compare(find_run(runs_dir, first), find_run(runs_dir, second))
    if as_json:
        show(json.dumps(compared, indent=1, ensure_ascii=False, allow_nan=False))
    else:
        show(step.markdown(compared) if markdown else "\n".join(step.lines(compared)))


@app.command()
def runs(runs_dir: RunsDir = RUNS, as_json: AsJson = False) -> None:
    """Every run with its headline numbers, the newest first."""
    from mlc.commands import runs as step

    found = step.list_runs(runs_dir)
    if as_json:
        show(json.dumps([asdict(run) for run in found], indent=1, ensure_ascii=False))
    else:
        show("\n".join(step.lines(found)))


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
    strict: Strict = False,
    runs_dir: RunsDir = RUNS,
) -> None:
    """Choose the cuts of a run again, without training, and show what to expect of them."""
    from mlc.commands import thresholds as step
    from mlc.commands.outputs import check_files, inputs_of_run
    from mlc.events.preparing import check_ending
    from mlc.run import find_run

    if out is not None:
        check_ending(out, ".yaml", ".yml")
    found = find_run(runs_dir, run)
    runs_dir = found.folder.parent  # the event store lies beside the run, wherever that is
    if out is not None:
        check_files([*inputs_of_run(found, runs_dir)], runs_dir, out=out)
        step.check_replaceable(out)
    trace_folders.append(found.folder)
    chosen = step.choose(found, policy, per_label or [])
    for line in step.lines(chosen):
        show(line)
    if out is not None:
        step.write_thresholds(chosen, found, out)
        say(f"{out} is written; next: mlc predict {run} --threshold {out}")
    if strict:
        _exit_where_missed(chosen)


def _exit_where_missed(thresholds: "Sequence[Threshold]") -> None:
    """End with 1 where `--strict` objects; what the command writes is written by then."""
    from mlc.commands.thresholds import goals_missed

    missed = goals_missed(thresholds)
    for line in missed:
        say(one_line(f"FAILED (--strict): {line}"))
    if missed:
        raise typer.Exit(1)


@app.command()
def predict(
    run: RunName,
    as_of: AsOf = None,
    threshold: Annotated[
        str,
        typer.Option(
            help="stored, 0.4, Dress=.3,Skirt=never (others as stored), or a file of mlc thresholds."
        ),
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
    strict: Strict = False,
    runs_dir: RunsDir = RUNS,
) -> None:
    """Scores and decisions for every entity with history; with a budget, whom to contact for what."""
    from mlc.commands.outputs import check_files, inputs_of_run
    from mlc.events.preparing import check_ending
    from mlc.run import find_run

    check_ending(out, ".parquet", ".csv")
    moment = given_moment(as_of)
    found = find_run(runs_dir, run)
    runs_dir = found.folder.parent  # the event store lies beside the run, wherever that is
    check_files([*inputs_of_run(found, runs_dir)], runs_dir, out=out)
    trace_folders.append(found.folder)
    from mlc.commands import predict as step
    from mlc.commands.thresholds import thresholds_for

    thresholds = thresholds_for(found, threshold)
    names = [t.name for t in thresholds]
    if not long:
        step.check_names(names)
    predictions = step.predict(found, runs_dir, moment, say)
    decided_NK = step.decisions(predictions, thresholds)
    table = (
        step.long(found, predictions, decided_NK, thresholds)
        if long
        else step.wide(found, predictions, decided_NK, thresholds)
    )
    picked_NK = step.contacts(found, predictions, thresholds, contact)
    if picked_NK is not None:
        table = step.with_contacts(table, picked_NK, names, long=long)
    step.write_scores(table, out, names)
    warning = step.formula_warning(table, out)
    if warning is not None:
        say(warning)
    for line in step.volume_lines(thresholds, decided_NK):
        say(one_line(line))
    if picked_NK is not None:
        for line in step.contact_lines(thresholds, picked_NK):
            say(one_line(line))
    show(out)
    if strict:
        _exit_where_missed(thresholds)


@app.command()
def embed(
    run: RunName,
    as_of: AsOf = None,
    out: Annotated[Path, typer.Option(help="A .parquet file.")] = Path("vectors.parquet"),
    runs_dir: RunsDir = RUNS,
) -> None:
    """A vector of every entity with history, for other uses: from a foundation model or a trained memory."""
    from mlc.commands.outputs import check_files, inputs_of_run
    from mlc.events.preparing import check_ending
    from mlc.run import find_run

    check_ending(out, ".parquet")
    moment = given_moment(as_of)
    found = find_run(runs_dir, run)
    runs_dir = found.folder.parent  # the event store lies beside the run, wherever that is
    check_files([*inputs_of_run(found, runs_dir)], runs_dir, out=out)
    trace_folders.append(found.folder)
    from mlc.commands import embed as step

    step.write_vectors(found, step.embed(found, runs_dir, moment, say), out)
    show(out)
