"""`mlc compile`: the task as a picture in words, and the plan of each query."""

from collections.abc import Iterator

from mlc.events.cutoffs import Cutoffs, choose_cutoffs
from mlc.events.label_names import Labels, label_query, resolve_labels, value_counts, value_query
from mlc.events.views.picture import task_picture
from mlc.progress import stage
from mlc.scenario import EventScenario, Scenario
from mlc.sources import check_tables, observed_span, reading, scan_events, scan_table
from mlc.tables import ENTITY_ID


def compile(scenario: Scenario, *, full: bool) -> str:
    """Draw the task; no store and no target is built.

    Args:
        scenario: Checked scenario.
        full: Whether to name every label, and to write the plan of each query.

    Raises:
        DataError: The tables do not fit the scenario.
    """
    scenario = EventScenario.of(scenario, "mlc compile")
    stage("reading tables")
    check_tables(scenario)
    with reading(scenario):
        cutoffs = choose_cutoffs(scenario, *observed_span(scenario))
        labels = resolve_labels(scenario, value_counts(scenario, cutoffs.fit_until))
        lines = list(task_picture(scenario, cutoffs, labels, full=full))
        if full:
            lines += _plans(scenario, cutoffs, labels)
    return "\n".join(lines)


def _plans(scenario: EventScenario, cutoffs: Cutoffs, labels: Labels) -> Iterator[str]:
    """The optimised plan of each query, to read from the bottom to the top."""
    queries = {
        "value query: how often each value occurs": value_query(scenario, cutoffs.fit_until),
        "label query: the events that count, with their label": label_query(scenario, labels),
    }
    for name in scenario.data.events:
        queries[f"store: events of {name}"] = scan_events(scenario, name, [])
        queries[f"store: who is in {name}"] = scan_events(scenario, name, []).select(ENTITY_ID).unique()
    for name in (*scenario.data.dimensions, *scenario.data.entities):
        queries[f"store: rows of {name}"] = scan_table(scenario, name)
    for title, query in queries.items():
        yield ""
        yield f"── {title} ──"
        yield query.explain(engine="streaming")
