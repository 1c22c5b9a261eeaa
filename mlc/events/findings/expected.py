"""What a training would have: labels, examples, memory and time."""

from dataclasses import dataclass

from mlc.events.findings.class_names import auroc_half_width
from mlc.events.findings.sizes import Sizes, expected_sizes
from mlc.events.preparing import Prepared, SplitCounts, funnel_line, split_counts


@dataclass(frozen=True)
class Expected:
    """What a training would have.

    Attributes:
        class_names: The K labels.
        splits: Examples and positives of every split.
        auroc_half_widths: Split → of each label half the 95 % interval of an AUROC, roughly; None: no AUROC.
        funnel: What was left out, in a sentence.
        sizes: Estimates of memory and time.
    """

    class_names: list[str]
    splits: list[SplitCounts]
    auroc_half_widths: dict[str, list[float | None]]
    funnel: str
    sizes: Sizes


def expected_of(prepared: Prepared) -> Expected:
    """Count and estimate what a training on these examples would have."""
    splits = split_counts(prepared)
    return Expected(
        class_names=list(prepared.examples.labels.names),
        splits=splits,
        auroc_half_widths={
            counts.split: [
                auroc_half_width(positives, known - positives)
                for positives, known in zip(counts.positives, counts.known, strict=True)
            ]
            for counts in splits
        },
        funnel=funnel_line(prepared.examples),
        sizes=expected_sizes(prepared.scenario, prepared.store, prepared.examples),
    )
