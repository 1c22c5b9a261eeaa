"""A scenario on rows and its tables, checked without a training."""

from collections.abc import Iterator

from mlc.errors import DataError
from mlc.rows.preparing import PreparedRows, positives_of, prepare
from mlc.rows.slices import check_slices
from mlc.scenario import RowScenario
from mlc.sources import duplicate_keys, lost_text_problems, lost_texts, reading
from mlc.tables import SPLIT, SPLITS
from mlc.task import Checked

_MOST_NAMED = 8


def checked(scenario: RowScenario) -> Checked:
    """Check the tables, count the rows, and look for all that costs people days.

    Args:
        scenario: Checked scenario.

    Raises:
        DataError: A row cannot be read.
    """
    try:
        prepared = prepare(scenario, lambda _: None)
        check_slices(prepared)
    except DataError as error:
        return Checked(error.problems)
    with reading(scenario):
        problems = list(lost_text_problems(scenario, lost_texts(scenario))) or list(duplicate_keys(scenario))
    if problems:
        return Checked(problems, class_names=prepared.class_names)
    return Checked([], [], prepared.class_names, list(_lines(prepared)), _facts(prepared))


def _lines(prepared: PreparedRows) -> Iterator[str]:
    columns = prepared.columns
    for what, names in (
        ("texts", columns.texts),
        ("categories", columns.categories),
        ("numbers", columns.numbers),
        ("pictures", list(columns.images)),
    ):
        if names:
            more = f", … ({len(names):,})" if len(names) > _MOST_NAMED else ""
            yield f"{what}: {', '.join(names[:_MOST_NAMED])}{more}"
    sizes = {name: int((prepared.table[SPLIT] == name).sum()) for name in SPLITS}
    width = max(len("label"), *(len(name) for name in prepared.class_names))
    yield f"{'label':<{width}}" + "".join(f"{name:>22}" for name in SPLITS)
    yield f"{'rows':<{width}}" + "".join(f"{size:>22,}" for size in sizes.values())
    positives = positives_of(prepared)
    for k, label in enumerate(prepared.class_names):
        cells = [
            f"{positives[name][k]:,} {positives[name][k] / max(1, sizes[name]):>8.2%}" for name in SPLITS
        ]
        yield f"{label:<{width}}" + "".join(f"{cell:>22}" for cell in cells)


def _facts(prepared: PreparedRows) -> dict[str, object]:
    return {
        "class_names": list(prepared.class_names),
        "columns": prepared.columns.as_json(),
        "positives": positives_of(prepared),
        "rows": {name: int((prepared.table[SPLIT] == name).sum()) for name in SPLITS},
    }
