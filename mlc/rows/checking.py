"""A scenario on rows and its tables, checked without a training."""

from collections.abc import Iterator

from mlc.drawing.label_counts import count_lines
from mlc.errors import DataError
from mlc.rows.preparing import PreparedRows, positives_of, prepare, sizes_of
from mlc.rows.slices import check_slices
from mlc.scenario import RowScenario
from mlc.sources import duplicate_keys, lost_text_problems, lost_texts, reading
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
    yield from count_lines(prepared.class_names, "rows", sizes_of(prepared), positives_of(prepared))


def _facts(prepared: PreparedRows) -> dict[str, object]:
    return {
        "class_names": list(prepared.class_names),
        "columns": prepared.columns.as_json(),
        "positives": positives_of(prepared),
        "rows": sizes_of(prepared),
    }
