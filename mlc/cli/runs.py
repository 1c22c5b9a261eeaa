"""Commands that make runs, and those on runs that there are."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mlc.cli.arguments import (
    RUNS,
    AsJson,
    AsOf,
    DataFile,
    DataOverrides,
    Devices,
    Full,
    Overrides,
    Overwrite,
    Resume,
    RunName,
    RunsDir,
    ScenarioFile,
    Strict,
    listed,
    load,
    open_run,
    other_tables,
    say,
    show,
    trace_folders,
    working,
)
from mlc.cli.endings import finish, set_again
from mlc.commands.moments import given_moment
from mlc.drawing.text_tables import one_line
from mlc.errors import MlcError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlc.evaluation.thresholds import Threshold
    from mlc.report import Report
    from mlc.run import Opening
    from mlc.scenario import Scenario


@listed("Train", "mlc pretrain scenario.yaml --until 2026-06-30")
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
    full: Annotated[bool, typer.Option("--full", help="Also print every loss.")] = False,
) -> None:
    """Train a foundation on the tables alone.

    Any scenario on the same tables can start from it: `model.foundation` names it.
    """
    opening = _opening(resume, overwrite)
    with working():
        from mlc.commands import pretrain as command

        overrides = [*(override or []), *([f"train.devices={devices}"] if devices else [])]
        overrides += [f"pretrain.until={until}"] if until else []
        loaded = command.foundation_scenario(scenario, overrides)
        trace_folders.append(runs_dir / loaded.name)
        report = command.pretrain(loaded, runs_dir, say, opening)
    if report is not None:
        from mlc.cli.terminal import print_sections
        from mlc.report import foundation_sections

        print_sections(foundation_sections(report, full=full))
        startable = loaded.has_target and loaded.pretrain.until is None
        finish(
            "pretrain" if startable else "pretrain, tables alone",
            [runs_dir / loaded.name / "report.md"],
            runs_dir=runs_dir,
            scenario=scenario,
            run=loaded.name,
        )


@listed("Train", "mlc train scenario.yaml --set train.epochs=3")
def train(
    scenario: ScenarioFile,
    override: Overrides = None,
    runs_dir: RunsDir = RUNS,
    resume: Resume = False,
    overwrite: Overwrite = False,
    devices: Devices = None,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="Try the whole path on a small slice, in a run of its own.")
    ] = False,
    full: Full = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print no progress and no report, only where the page is.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train a model and report how good it is.

    The report compares it with simple baselines, label by label.
    """
    opening = _opening(resume, overwrite)
    with working(quiet=quiet):
        from mlc.commands import train as command

        overrides = [*(override or []), *([f"train.devices={devices}"] if devices else [])]
        if smoke:
            loaded = command.smoke_scenario(scenario, overrides)
            opening = "smoke" if opening == "new" else opening
        else:
            loaded = load(scenario, overrides)
        trace_folders.append(runs_dir / loaded.name)
        report = command.train(loaded, runs_dir, _silent if quiet else say, opening)
    if report is None:
        return
    page = runs_dir / loaded.name / "report.html"
    if as_json:
        show(json.dumps(report.to_json(), indent=1, ensure_ascii=False))
    elif quiet:
        show(page)
    else:
        _print_report(loaded, report, full=full)
        show("")
        finish(
            "train, smoke" if smoke else "train",
            [page],
            set_again(overrides) if smoke else (),
            runs_dir,
            scenario=scenario,
            run=loaded.name,
        )


def _silent(line: str) -> None:
    """Progress that nobody asked for."""


def _print_report(scenario: "Scenario", report: "Report", split: str = "test", *, full: bool) -> None:
    """Print the question, and what answers it: on one screen, or everything."""
    from mlc.cli.terminal import print_sections
    from mlc.drawing.sections import Notes, Section
    from mlc.report import description_of, report_sections, summary_sections

    question = Section(description_of(scenario, report).question)
    if full:
        verdict = Section("", content=[Notes([report.verdict])])
        print_sections([question, verdict, *report_sections(report, split)])
    else:
        print_sections([question, *summary_sections(report, split)])


def _opening(resume: bool, overwrite: bool) -> "Opening":
    if resume and overwrite:
        raise MlcError("--resume and --overwrite exclude each other: one goes on, the other starts over")
    return "resume" if resume else "overwrite" if overwrite else "new"


@listed("Judge", "mlc evaluate departments_28d --check")
def evaluate(
    run: RunName,
    split: Annotated[Literal["train", "validation", "test"], typer.Option(help="What to show.")] = "test",
    full: Full = False,
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
    data: DataFile = None,
    override: DataOverrides = None,
) -> None:
    """Evaluate a saved model on the tables again.

    It prints the report of the run; gates and other tables can be given.
    """
    gated = gated or gates is not None
    with working():
        opened = open_run(run, runs_dir, tables=other_tables(data, override))
        from mlc.commands import evaluate as command

        evaluation = command.evaluate(opened, say, command.given_gates(opened, gates) if gated else None)
    if as_json:
        show(json.dumps(evaluation.report.to_json(), indent=1, ensure_ascii=False))
    else:
        _print_report(opened.scenario(), evaluation.report, split, full=full)
    for line in command.notes(evaluation, gated=gated):
        say(line)
    if not as_json:
        finish("evaluate", runs_dir=runs_dir, run=run)
    if gated and not all(gate.passed for gate in evaluation.report.gates or ()):
        raise typer.Exit(1)
    if strict:
        _exit_where_missed(evaluation.thresholds)


@listed("Judge", "mlc compare departments_28d departments_28d_large --md")
def compare(
    first: Annotated[
        str, typer.Argument(metavar="RUN", help="A run: its name, its folder, or its scenario file.")
    ],
    second: Annotated[str, typer.Argument(metavar="RUN", help="The run that may be better.")],
    markdown: Annotated[bool, typer.Option("--md", help="Print Markdown, for a pull request.")] = False,
    as_json: AsJson = False,
    runs_dir: RunsDir = RUNS,
) -> None:
    """Compare two runs label by label.

    Both are judged on the test examples that they share: which labels improved, which got worse.
    """
    if markdown and as_json:
        raise MlcError("--md and --json exclude each other: choose one")
    with working():
        from mlc.run import find_run

        both = find_run(runs_dir, first), find_run(runs_dir, second)
        from mlc.commands.compare import compare as compare_runs
        from mlc.report.comparison import comparison_markdown, comparison_sections

        compared = compare_runs(*both)
    if as_json:
        show(json.dumps(compared, indent=1, ensure_ascii=False, allow_nan=False))
    elif markdown:
        show(comparison_markdown(compared))
    else:
        from mlc.cli.terminal import print_sections

        print_sections(comparison_sections(compared))
        finish("compare", runs_dir=runs_dir, run=second)


@listed("Judge", "mlc runs --json")
def runs(runs_dir: RunsDir = RUNS, as_json: AsJson = False) -> None:
    """List the runs with their main scores.

    The newest comes first.
    """
    from mlc.commands import runs as command

    every = command.runs(runs_dir)
    if as_json:
        show(json.dumps([asdict(run) for run in every], indent=1, ensure_ascii=False))
    else:
        from mlc.cli.terminal import print_sections

        print_sections([command.runs_section(every)])
        newest = [run.name for run in every if run.state == "finished" and run.kind == "model"]
        if newest:
            finish("runs", runs_dir=runs_dir, run=newest[0])


@listed("Judge", "mlc thresholds departments_28d --policy precision_at_least=0.8")
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
        Path | None, typer.Option(help="Write the thresholds as YAML, for mlc predict --threshold.")
    ] = None,
    strict: Strict = False,
    runs_dir: RunsDir = RUNS,
) -> None:
    """Choose the thresholds of a run again.

    It shows what to expect of them, without training.
    """
    with working():
        opened = open_run(run, runs_dir, out, (".yaml", ".yml"))
        from mlc.commands import thresholds as command
        from mlc.evaluation.thresholds import threshold_lines

        if out is not None:
            command.check_replaceable(out)
        chosen = command.thresholds(opened, policy, per_label or [])
    for line in threshold_lines(chosen):
        show(line)
    if out is not None:
        command.write_thresholds(chosen, opened, out)
        say(f"{out} is written")
        finish("thresholds", runs_dir=runs_dir, run=run, thresholds=out)
    else:
        chosen_again = ["--policy", policy] if policy else []
        chosen_again += [word for one in per_label or () for word in ("--per-label", one)]
        finish("thresholds, not written", options=chosen_again, runs_dir=runs_dir, run=run)
    if strict:
        _exit_where_missed(chosen)


def _exit_where_missed(thresholds: "Sequence[Threshold]") -> None:
    """End with 1 where `--strict` objects; what the command writes is written by then."""
    from mlc.evaluation.thresholds import goals_missed

    missed = goals_missed(thresholds)
    for line in missed:
        say(one_line(f"FAILED (--strict): {line}"))
    if missed:
        raise typer.Exit(1)


@listed("Use", "mlc predict departments_28d --as-of today --out scores.parquet")
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
        bool, typer.Option("--long", help="Write one row per entity and label, not one column per label.")
    ] = False,
    contact: Annotated[
        str | None,
        typer.Option(
            help="A budget: {per_entity: 2, total: 500, value: {Dress: 3}}. Default: the scenario's."
        ),
    ] = None,
    strict: Strict = False,
    table: Annotated[
        Path | None,
        typer.Option("--table", metavar="FILE", help="Score this file in place of the target's table."),
    ] = None,
    data: DataFile = None,
    override: DataOverrides = None,
    runs_dir: RunsDir = RUNS,
) -> None:
    """Write scores and decisions for each entity.

    Every entity with history gets them; with a budget, also whom to contact for what.
    """
    moment = given_moment(as_of)
    with working():
        tables = other_tables(data, override)
        opened = open_run(run, runs_dir, out, (".parquet", ".csv"), tables, table)
        from mlc.commands.predict import Request
        from mlc.commands.predict import predict as score
        from mlc.evaluation.thresholds import contact_lines, volume_lines
        from mlc.report.score_tables import formula_warnings, write_scores

        scored = score(opened, Request(moment, threshold, contact, wide=not long), say)
        scores = scored.long() if long else scored.wide()
        write_scores(scores, out, scored.names)
    lines = [*formula_warnings(scores, out), *volume_lines(scored.thresholds, scored.decisions_NK)]
    if scored.contacts_NK is not None:
        lines += contact_lines(scored.thresholds, scored.contacts_NK)
    for line in lines:
        say(one_line(line))
    finish("predict", [out], runs_dir=runs_dir, run=run)
    if strict:
        _exit_where_missed(scored.thresholds)


@listed("Use", "mlc embed departments_28d-foundation --out vectors.parquet")
def embed(
    run: RunName,
    as_of: AsOf = None,
    out: Annotated[Path, typer.Option(help="A .parquet file.")] = Path("vectors.parquet"),
    data: DataFile = None,
    override: DataOverrides = None,
    runs_dir: RunsDir = RUNS,
) -> None:
    """Write a vector for each entity.

    It comes from a foundation model or from the memory of a trained one, for other uses.
    """
    moment = given_moment(as_of)
    with working():
        opened = open_run(run, runs_dir, out, (".parquet",), other_tables(data, override))
        from mlc.commands import embed as command

        command.write_vectors(opened, command.embed(opened, moment, say), out)
    finish("embed, foundation" if opened.kind == "foundation" else "embed", [out], runs_dir=runs_dir, run=run)


@listed("Use", "mlc export comments --to hf-folder --out comments-hf")
def export(
    run: RunName,
    to: Annotated[
        Literal["hf-folder", "onnx"],
        typer.Option("--to", help="A folder of Hugging Face transformers, or ONNX."),
    ] = "hf-folder",
    out: Annotated[Path, typer.Option(help="A new folder.")] = Path("exported"),
    runs_dir: RunsDir = RUNS,
) -> None:
    """Write a trained text model for other tools.

    It has the network alone: its scores are those before calibration, and before other parts are mixed in.
    Thresholds, calibration and mix are recorded in config.json.
    """
    with working():
        opened = open_run(run, runs_dir)
        from mlc.commands.export import export as write

        write(opened, to, out)
    finish("export", [out], runs_dir=runs_dir, run=run)
