"""What `mlc train` takes from a foundation model, and when it refuses one."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from operator import itemgetter
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl
import torch
from torch import nn

from mlc.errors import DataError, Problem, RunError
from mlc.events.cutoffs import choose_cutoffs
from mlc.events.label_names import LABEL, VALUE, Labels
from mlc.events.store import EventStore
from mlc.events.vocabulary import FIRST
from mlc.models.branches.foundation import FoundationBranch, FoundationBranchSpec
from mlc.models.network import Network
from mlc.models.starts import Start, stored_foundation
from mlc.run import Opening, RunFolder, find_run
from mlc.scenario import AUTO, EventScenario, FoundationRate, expand_environment, resolved
from mlc.sources import check_tables, join_columns, observed_span, reading, scan_table
from mlc.task import Say
from mlc.training.pretraining import pretrain
from mlc.training.ranks import by_torchrun


def with_foundation(scenario: EventScenario, runs: Path, opening: Opening, say: Say) -> EventScenario:
    """The scenario with the name of a foundation where it says `auto`.

    That is the one of the same tables in `runs` that has seen most, but nothing after the first validation
    cutoff. Where there is none, `<name>-foundation` is made, on one device; where none can be made of the
    tables, since their time is too short or no column can be seen, the scenario goes without.

    Args:
        scenario: Checked scenario.
        runs: Folder of all runs.
        opening: `overwrite` also replaces a former `<name>-foundation` that does not fit.
        say: Receives progress in lines.

    Raises:
        RunError: None is there by the name that the scenario gives; or none fits, and torchrun has started
            several processes; or the folder is taken.
    """
    if scenario.model.foundation != AUTO:
        _named(scenario, runs)  # that there is none is told before the tables are read
        return scenario
    name = _fitting(scenario, runs) or _made(scenario, runs, opening, say)
    if name is not None:
        say(f"starts from {runs / name}")
    model = scenario.model.model_copy(update={"foundation": name})
    return scenario.model_copy(update={"model": model})


def _made(scenario: EventScenario, runs: Path, opening: Opening, say: Say) -> str | None:
    """The name of a new foundation of the scenario's tables.

    It is None where they are too short for one.
    """
    if by_torchrun():
        rule = "no run of mlc pretrain fits, and torchrun makes none. Run mlc pretrain first."
        raise RunError(scenario.problem("model.foundation", rule))
    hardware = scenario.train.model_copy(update={"devices": 1, "strategy": "auto"})
    name = f"{scenario.name}-foundation"
    run = RunFolder(runs / name)
    if opening == "overwrite" and (run / "examples.parquet").exists():
        rule = (
            "is a run of mlc train, and model.foundation: auto would replace it. "
            "Rename its folder, or choose another name with --set name=…."
        )
        raise RunError(Problem(rule, "", str(run.folder)))
    begun = (run / "run.json").exists() and not run.finished
    own = scenario.model_copy(update={"name": name, "train": hardware})
    try:
        pretrain(own, runs, "resume" if begun and opening != "overwrite" else opening, say)
    except DataError as error:  # what is wrong for a training too, that will tell again
        say(f"trains without a foundation, for none can be made: {error}")
        return None
    return name


def _named(scenario: EventScenario, runs: Path) -> RunFolder | None:
    """The run that the scenario names; None where it names none."""
    named = scenario.model.foundation
    if named is None:
        return None
    beside = scenario.path(named)
    try:
        return find_run(runs, str(beside) if beside.exists() else expand_environment(named))
    except RunError as error:
        raise RunError(
            [scenario.problem("model.foundation", problem.rule) for problem in error.problems]
        ) from None


def _fitting(scenario: EventScenario, runs: Path) -> str | None:
    """The name of the foundation of the same tables that has seen most of what it may."""
    wanted = _made_of(scenario)
    finished = [run for path in sorted(runs.glob("*/model.json")) if (run := RunFolder(path.parent)).finished]
    ends = {
        run.folder.name: run.read_json("run.json", itemgetter("until"))
        for run in finished
        if run.kind == "foundation" and _made_of(EventScenario.of(run.scenario(), "a foundation")) == wanted
    }
    if not ends:
        return None
    check_tables(scenario)
    with reading(scenario):
        fit_until = choose_cutoffs(scenario, *observed_span(scenario)).fit_until
    allowed = [name for name, until in ends.items() if datetime.fromisoformat(until) <= fit_until]
    return max(allowed, key=lambda name: ends[name], default=None)


def _made_of(scenario: EventScenario) -> tuple[dict[str, Any], dict[str, Any]]:
    """All that decides what a foundation is, but for the time."""
    value = resolved(scenario)
    return value["data"], {**value["pretrain"], "until": None}


def open_foundation(
    scenario: EventScenario, runs: Path, fit_until: datetime, store: EventStore, say: Say
) -> Start | None:
    """The foundation that a scenario names; None where it names none.

    Args:
        scenario: Checked scenario.
        runs: Folder of all runs, where its name is looked up.
        fit_until: First validation cutoff: nothing later may have been seen in the pre-training.
        store: The event store.
        say: Receives a line for each field that the foundation does not know, or no longer finds.

    Raises:
        RunError: There is no such run.
        DataError: It has seen what this scenario is judged on, or knows none of its fields.
    """
    run = _named(scenario, runs)
    if run is None:
        return None
    start = stored_foundation(run)
    until = datetime.fromisoformat(start.facts["until"])
    field = "model.foundation"
    if until > fit_until:
        rule = (
            f"it has seen events up to {until:%Y-%m-%d %H:%M}, after the first validation cutoff, "
            f"{fit_until:%Y-%m-%d %H:%M}. Run mlc pretrain with --until {fit_until.isoformat()}."
        )
        raise DataError(scenario.problem(field, rule))
    known = set(start.events.names)
    here = {field.name for field in store.event_fields}
    if not known & here:
        rule = (
            f"it knows no field of these events, only {', '.join(sorted(known)[:6])}. "
            "Name a foundation of the same tables."
        )
        raise DataError(scenario.problem(field, rule))
    for name in sorted(here - known):
        say(f"the foundation does not know {name}: not seen by it")
    for name in sorted(known - here):
        say(f"the foundation knows {name}, the tables do not: taken as missing")
    return start


def branch_spec(start: Start, scenario: EventScenario, labels: Labels) -> FoundationBranchSpec:
    """Return the sizes of what a network takes from a foundation."""
    spec = start.model.spec
    pairs = _predicted(start, scenario, labels)
    outputs = sorted({output for _, output in pairs})
    predicted = [(label, outputs.index(output)) for label, output in pairs]
    return FoundationBranchSpec(spec.sizes, spec.width, spec.vector, len(spec.horizons_days), predicted)


@torch.no_grad()
def begin_from(network: Network, start: Start, scenario: EventScenario, labels: Labels) -> None:
    """Give a network the weights of the foundation, and fix what shall not change."""
    branch = network.branch(FoundationBranch)
    if branch is None:
        return
    model, own = start.model, branch.predictions
    branch.encoder.load_state_dict(model.encoder.state_dict())
    if own is not None and model.cadence is not None:
        outputs = sorted({output for _, output in _predicted(start, scenario, labels)})
        chosen = torch.tensor(outputs)
        horizons = torch.arange(len(model.spec.horizons_days))[:, None]
        rows = (horizons * model.spec.outputs + chosen).flatten()
        own.heads.weight.copy_(model.heads.weight[rows])
        own.heads.bias.copy_(model.heads.bias[rows])
        own.usual_HV.copy_(model.prior[rows].view_as(own.usual_HV))
        own.field_V.copy_(model.field_V[chosen])
        places = torch.full((model.spec.outputs + 1,), -1)  # the last one is for no output
        places[chosen] = torch.arange(len(chosen))
        own.output_R.copy_(places[model.output_R])
        own.cadence.load_state_dict(model.cadence.state_dict())
        for label, days in enumerate(labels.windows_days):
            distances = [abs(days - horizon) for horizon in model.spec.horizons_days]
            branch.direct_KH[label, distances.index(min(distances))] = 1.0
        # Untrained, the rest adds nothing to what is predicted.
        nn.init.zeros_(cast(nn.Linear, network.out[-1]).weight)
    match scenario.model.tune:
        case FoundationRate(foundation_learning_rate=rate):
            branch.learning_rate = rate
        case "head":
            for parameter in branch.pretrained():
                parameter.requires_grad_(False)
        case "all":
            pass


def _predicted(start: Start, scenario: EventScenario, labels: Labels) -> list[tuple[int, int]]:
    """Return (label, output of the foundation) for values predicted one by one."""
    names, sizes = list(start.events.categories), start.events.sizes
    output_R = start.model.output_R.numpy()
    shared_V = np.bincount(output_R[output_R >= 0], minlength=start.model.spec.outputs) > 1
    pairs: set[tuple[int, int]] = set()
    for column in scenario.target.column:
        for field, values in _fields_of(scenario, column, labels, names):
            begin = sum(sizes[: names.index(field)]) + FIRST
            rows = {value: begin + row for row, value in enumerate(start.events.categories[field])}
            for value, label in values.select(VALUE, LABEL).iter_rows():
                output = int(output_R[rows[value]]) if value in rows else -1
                if output >= 0 and not shared_V[output]:
                    pairs.add((int(label), output))
    return sorted(pairs)


def _fields_of(
    scenario: EventScenario, column: str, labels: Labels, names: Sequence[str]
) -> Iterator[tuple[str, pl.DataFrame]]:
    """The fields that tell a label's values, and what stands there for each.

    `value`, `label`. A column of a dimension that has a value of its own in each row is no field; its key
    then tells the same.
    """
    table = scenario.target.table
    field = column if column in names else f"{table}.{column}"
    if field in names:
        yield field, labels.values
        return
    dimension, _, named = column.partition(".")
    events = scenario.data.events[table]
    if dimension not in events.joins:
        return
    pairs = join_columns(events, dimension, scenario.data.dimensions[dimension])
    own, key = pairs[0]
    if len(pairs) > 1 or f"{table}.{own}" not in names:
        return
    frame = scan_table(scenario, dimension).select(
        pl.col(key).cast(pl.String).alias("key"), pl.col(named).cast(pl.String, strict=False).alias(VALUE)
    )
    known = frame.join(labels.values.lazy(), on=VALUE).select(pl.col("key").alias(VALUE), LABEL)
    yield f"{table}.{own}", known.unique(maintain_order=True).collect()
