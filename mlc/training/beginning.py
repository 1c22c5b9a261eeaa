"""What a training began with, kept in its run.

`--resume` goes on with the same, or not at all.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mlc import __version__
from mlc.errors import Problem, RunError
from mlc.events.preparing import Prepared
from mlc.events.store import EventStore
from mlc.events.vocabulary import Vocabulary
from mlc.run import BEGINNING, RunFolder
from mlc.scenario import Scenario
from mlc.sources import Source, sources_of
from mlc.tables import ENTITY_ID, SPLIT, targets_of

_MOST_NAMED = 5  # files of a table in a message
_LIBRARIES = ("torch", "pytorch-lightning", "numpy")
_OVERWRITE = "--overwrite starts over."

Beginning = dict[str, Any]
"""As JSON: `tables`, `versions`, `vocabulary`, and of a training `labels`, `examples`, `foundation`."""


def beginning_of(
    scenario: Scenario,
    store: EventStore,
    vocabulary: Vocabulary,
    prepared: Prepared | None = None,
    foundation: str | None = None,
) -> Beginning:
    """Describe what a training begins with.

    Args:
        scenario: Checked scenario.
        store: Its event store.
        vocabulary: What the model knows of the columns.
        prepared: The examples; None for a pre-training, which has none.
        foundation: Fingerprint of the foundation that the model starts from.
    """
    beginning: Beginning = {
        "tables": table_contents(scenario, store.contents),
        "versions": versions(),
        "vocabulary": blake2b(json.dumps(vocabulary.as_json()).encode(), digest_size=10).hexdigest(),
    }
    if prepared is not None:
        beginning["labels"] = list(prepared.examples.labels.names)
        beginning["examples"] = _digest(prepared)
        beginning["foundation"] = foundation
    return beginning


def table_contents(scenario: Scenario, contents: Mapping[str, str]) -> dict[str, Any]:
    """Return what each table of a scenario is made of, as JSON.

    Args:
        scenario: Checked scenario.
        contents: State of a source → digest of its content, where that is known already.
    """
    return {
        name: [
            asdict(_relative(source, scenario.origin.base)) for source in sources_of(scenario, name, contents)
        ]
        for name in scenario.data.tables
    }


def check_tables_of(run: RunFolder, scenario: Scenario) -> None:
    """Refuse to resume a run whose tables, or libraries, have changed.

    Before anything is built of them.

    Raises:
        RunError: They have; every difference is named.
    """
    then = _kept(run)
    differences = [*_tables_changed(then, scenario), *_versions_changed(then)]
    if differences:
        raise RunError(Problem(difference, "", str(run.folder)) for difference in differences)


def tables_changed(run: RunFolder, scenario: Scenario) -> bool:
    """Return whether the tables hold other rows than when the training began.

    Where they lie does not matter.
    """
    return any(_tables_changed(_kept(run), scenario))


def check_beginning(run: RunFolder, now: Beginning) -> None:
    """Refuse to resume with other labels, examples, vocabulary or foundation.

    Raises:
        RunError: It would; every difference is named.
    """
    then = _kept(run)
    differences = []
    if then.get("labels") != now.get("labels"):
        was, names = (", ".join(one.get("labels") or []) for one in (then, now))
        differences.append(f"the labels were {was}, and are {names}. {_OVERWRITE}")
    elif then.get("examples") != now.get("examples"):
        differences.append(f"the examples are not those that this training began with. {_OVERWRITE}")
    if then.get("vocabulary") != now["vocabulary"]:
        differences.append(f"the vocabulary is not that which this training began with. {_OVERWRITE}")
    if then.get("foundation") != now.get("foundation"):
        differences.append(
            f"the foundation has been trained again since this training began "
            f"(it was {then.get('foundation')}, and is {now.get('foundation')}). {_OVERWRITE}"
        )
    if differences:
        raise RunError(Problem(difference, "", str(run.folder)) for difference in differences)


def _kept(run: RunFolder) -> Beginning:
    if not (run / BEGINNING).exists():
        rule = f"an earlier version of mlc began this training, and did not record its tables. {_OVERWRITE}"
        raise RunError(Problem(rule, "", str(run.folder)))
    beginning: Beginning = run.read_json(BEGINNING, _parsed)
    return beginning


def _parsed(value: Any) -> Beginning:
    """The record, its parts made; whatever cannot be made is damage."""
    tables = {
        name: [Source(**source) for source in sources] for name, sources in dict(value["tables"]).items()
    }
    return {**value, "tables": tables, "versions": dict(value["versions"])}


def _tables_changed(then: Beginning, scenario: Scenario) -> Iterator[str]:
    changes = []
    for name in scenario.data.tables:
        before = [_absolute(source, scenario.origin.base) for source in then["tables"].get(name, [])]
        now = list(sources_of(scenario, name, {source.state: source.content for source in before}))
        if [source.content for source in before] != [source.content for source in now]:
            changes.append(f"{name}: {', '.join(_changed(before, now))}")
    if changes:
        yield (f"the tables are not those that this training began with ({'; '.join(changes)}). {_OVERWRITE}")


def _relative(source: Source, base: Path) -> Source:
    """Write the path of a file as it is seen from the scenario's folder.

    The project may be moved.
    """
    if not Path(source.name).is_absolute():
        return source
    name = os.path.relpath(source.name, base)
    return replace(source, name=name, state=name + source.state.removeprefix(source.name))


def _absolute(source: Source, base: Path) -> Source:
    """Undo `_relative`."""
    if not source.name or not source.state.startswith(source.name):
        return source
    name = os.path.normpath(base / source.name)
    return replace(source, name=name, state=name + source.state.removeprefix(source.name))


def _changed(before: Sequence[Source], now: Sequence[Source]) -> list[str]:
    """What became of the files of a table, a phrase for each."""
    names = [*(source.name for source in before), *(source.name for source in now)]
    then_names, now_names = _short([s.name for s in before]), _short([s.name for s in now])
    if not any(names):
        return ["its rows have changed"]
    then = {then_names[source.name]: source.content for source in before}
    today = {now_names[source.name]: source.content for source in now}
    phrases = [f"{name} is gone" for name in then if name not in today]
    phrases += [f"{name} is new" for name in today if name not in then]
    phrases += [f"{name} has changed" for name in then if name in today and then[name] != today[name]]
    more = len(phrases) - _MOST_NAMED
    return [*phrases[:_MOST_NAMED], *([f"and {more} more"] if more > 0 else [])] or [
        "its files are in another order"
    ]


def _short(names: Sequence[str]) -> Mapping[str, str]:
    """The last part of each path where that is enough to tell them apart."""
    last = {name: name.rpartition("/")[2] for name in names}
    counts = Counter(last.values())
    return {name: short if counts[short] == 1 else name for name, short in last.items()}


def versions() -> dict[str, str]:
    """Return the versions of `mlc` and of libraries that may change results."""
    libraries = {name: ".".join(version(name).split(".")[:2]) for name in _LIBRARIES}
    return {"mlc": __version__, **libraries}


def _versions_changed(then: Beginning) -> Iterator[str]:
    now = versions()
    for name in sorted(set(now) | set(then["versions"])):
        was, current = then["versions"].get(name), now.get(name)
        if was != current:
            yield f"{name} was {was}, and is {current}. Install {name} {was} to go on, or {_OVERWRITE}"


def _digest(prepared: Prepared) -> str:
    """Return a digest of entities, cutoffs, splits and targets, in their order."""
    examples, digest = prepared.examples, blake2b(digest_size=10)
    table = examples.table
    splits = table[SPLIT].to_physical().to_numpy()
    for array in (examples.rows, examples.cutoffs, splits, targets_of(table)):
        digest.update(np.ascontiguousarray(array).data)
    ids = prepared.store.entity_ids.cast(pl.String).to_frame(ENTITY_ID)
    for part in ids.iter_slices(1 << 17):
        digest.update("\n".join(part[ENTITY_ID]).encode())
    return digest.hexdigest()
