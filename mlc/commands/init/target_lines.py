"""What `mlc init` writes of the target and the examples."""

from collections.abc import Iterator

from mlc.commands.init.propose import Proposal
from mlc.commands.init.yaml_text import one_line, scalar

_MOST_LABELS = 12


def target_lines(proposals: list[Proposal]) -> Iterator[str]:
    """Write the section of the best proposal; the others are comments."""
    best = proposals[0]
    labels = best.labels[:_MOST_LABELS]
    yield "target:"
    yield f"  table: {best.table}"
    yield f"  column: {scalar(best.column)}   # {len(best.labels)} values with enough support"
    if best.codes:
        codes = one_line(", ".join(best.codes))
        yield f"  # chosen since people read it: {codes} has the same labels as codes"
    for other in proposals[1:5]:
        yield f"  # or {one_line(other.column)} of {other.table}: {_shown(other)}"
    yield (
        f"  class_names:   # entities that have it in the last window, of {best.examples:,}; "
        "the most frequent in training first"
    )
    for label in labels:
        share = label.positives / max(1, best.examples)
        yield f"    - {scalar(label.name)}   # {label.positives:,} ({share:.1%})"
    if len(best.labels) > len(labels):
        rest = [label.name for label in best.labels[_MOST_LABELS : _MOST_LABELS + 12]]
        yield f"  # further ones: {one_line(', '.join(rest))}"
        yield f"  # or the most frequent ones: class_names: {{top: {min(25, len(best.labels))}}}"
    if best.skipped:
        yield f"  # left out, since they say little: {one_line(', '.join(best.skipped))}"
    yield f"  window_days: {best.window_days}{_window_reason(best)}"


def examples_lines(best: Proposal) -> Iterator[str]:
    """Write up to when the tables are complete, and where they have gaps."""
    span = best.span
    until = span.observed_until
    if until is not None:
        yield "examples:"
        yield (
            f"  observed_until: {until}   # {best.table} ends on {span.last}, "
            f"but after {span.complete} days are missing or partial"
        )
    for first, last in span.gaps[:4]:
        yield f"# {best.table} has hardly an event from {first} to {last}"


def _window_reason(best: Proposal) -> str:
    days = (best.span.complete - best.span.first).days + 1
    if best.window_days == 28:
        return f"   # four weeks; the tables cover {days:,} days, three windows are the least"
    return f"   # the tables cover only {days:,} days: training, validation and test take a window each"


def _shown(proposal: Proposal) -> str:
    names = [label.name for label in proposal.labels[:4]]
    more = f", … ({len(proposal.labels)} values)" if len(proposal.labels) > 4 else ""
    return one_line(", ".join(names)) + more
