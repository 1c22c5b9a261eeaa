"""Labels that will not teach or not tell.

Late, fading, doubled, implied, too rare, spelt in two ways.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from mlc.errors.names import spelled_out
from mlc.events.cutoffs import Cutoffs
from mlc.events.examples import Examples
from mlc.events.findings.finding import Subject, listed
from mlc.events.label_names import EVENTS, LABEL, VALUE, Labels
from mlc.events.timeline import Timeline
from mlc.events.windows import opens
from mlc.scenario import EventScenario
from mlc.sources import visible_expr
from mlc.tables import MICROSECONDS_PER_DAY, SPLIT, SPLITS, microseconds, targets_of
from mlc.task import Finding, Severity

_FEW_POSITIVES = 10
_WIDE = 0.1  # half width of an interval that says little
_TYPICAL_AUROC = 0.75
_FADED = 1 / 3  # of the former share
_EXPECTED = 20  # positives that a label would have had, to call it faded
_BY_CHANCE = 1e-6
_SAMPLE = 50_000


def auroc_half_width(positives: int, negatives: int, auroc: float = _TYPICAL_AUROC) -> float | None:
    """Half of the 95 % interval of an AUROC, roughly; None where there is no AUROC.

    Args:
        positives: Number of positives.
        negatives: Number of negatives.
        auroc: The area itself: the nearer to 1, the narrower.

    Examples:
        >>> round(auroc_half_width(10, 1000), 2)
        0.18
        >>> round(auroc_half_width(100, 1000), 2)
        0.06

    Source: Hanley and McNeil (1982), The meaning and use of the area under a ROC curve.
    """
    if not positives or not negatives:
        return None
    one = auroc / (2 - auroc)  # two positives rank above the same negative
    two = 2 * auroc**2 / (1 + auroc)  # one positive ranks above two negatives
    variance = (
        auroc * (1 - auroc) + (positives - 1) * (one - auroc**2) + (negatives - 1) * (two - auroc**2)
    ) / (positives * negatives)
    return 1.96 * math.sqrt(variance)


def support_findings(scenario: EventScenario, examples: Examples) -> Iterator[Finding]:
    """Labels with too few positives to learn from, or to tell how good the model is."""
    say, field = Subject(scenario, "labels"), "target.class_names"
    names = examples.labels.names
    counts = _counts(examples)
    few = [
        f"{name} ({positives:,})"
        for name, positives in zip(names, counts["train"][0].tolist(), strict=True)
        if positives < _FEW_POSITIVES
    ]
    if few:
        yield say(
            "warning",
            field,
            f"fewer than {_FEW_POSITIVES} positives in train, hardly enough to learn from: {listed(few)}",
            "more train_cutoffs, a longer window, or one label for several rare values",
        )
    wide = {split: _wide(names, *counts[split]) for split in SPLITS[1:]}
    if any(wide.values()):
        details = "; ".join(
            f"in {split} {len(labels)} of {len(names)}: {listed(labels)}"
            for split, labels in wide.items()
            if labels
        )
        yield say(
            "warning",
            field,
            f"labels with too few positives to know an AUROC within ±{_WIDE}: {details}",
            "earlier examples.test_from and validation_from give more cutoffs; or a longer window, or one "
            "label for several rare values; do not choose a model by these alone",
        )


def _wide(names: Sequence[str], positives_K: np.ndarray, negatives_K: np.ndarray) -> list[str]:
    """Labels whose AUROC is hardly known, the fewest positives first."""
    descriptions = []
    for k in np.argsort(positives_K, kind="stable").tolist():
        positives, negatives = int(positives_K[k]), int(negatives_K[k])
        width = auroc_half_width(positives, negatives)
        if width is None:
            descriptions.append(f"{names[k]} (none)" if not positives else f"{names[k]} (all positive)")
        elif width > _WIDE:
            descriptions.append(f"{names[k]} ({positives:,}, ±{width:.2f})")
    return descriptions


def _counts(examples: Examples) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Split → positives and negatives of each label."""
    targets_NK, splits = targets_of(examples.table), examples.table[SPLIT]
    chosen = {split: targets_NK[(splits == split).to_numpy()] for split in SPLITS}
    return {split: ((t_NK == 1).sum(axis=0), (t_NK == 0).sum(axis=0)) for split, t_NK in chosen.items()}


def variant_findings(scenario: EventScenario, labels: Labels, counts: pl.DataFrame) -> Iterator[Finding]:
    """Values that look like a label's.

    They differ only in Unicode form, case, space or punctuation.

    Args:
        scenario: Checked scenario.
        labels: The K labels.
        counts: From `labels.value_counts`.
    """
    plain = (
        visible_expr(pl.col(VALUE))
        .str.to_lowercase()
        .str.replace_all(r"\s+", " ")
        .str.strip_chars(" .,;:!?-_*'\"")
        .alias("plain")
    )
    owned = labels.values.with_columns(plain).rename({VALUE: "own"})
    pairs = (
        counts.with_columns(plain)
        .join(owned, on="plain", how="inner")
        .filter(pl.col(VALUE) != pl.col("own"), pl.col("plain") != "")
        .join(labels.values.select(VALUE, pl.col(LABEL).alias("of")), on=VALUE, how="left")
        .filter(pl.col("of").is_null() | (pl.col("of") > pl.col(LABEL)))
        .sort(EVENTS, VALUE, descending=[True, False])
    )
    say = Subject(scenario, "labels")
    for row in pairs.iter_rows(named=True):
        name = labels.names[row[LABEL]]
        where = "counts for no label" if row["of"] is None else "is a label of its own"
        value, own = row[VALUE], row["own"]
        hidden = not (value + own).isascii() or not (value + own).isprintable()
        one, other = (spelled_out(text) if hidden else repr(text) for text in (own, value))
        what = "Unicode form, invisible characters, case, space" if hidden else "case, space"
        yield say(
            "warning",
            "target.class_names",
            f"{other} ({row[EVENTS]:,} events) {where}, and differs from {one} only in {what} or punctuation",
            "text is compared as it is; if they are one thing: "
            f"class_names: {{{name!r}: [{one}, {other}], …}}, or mend the source",
        )


def label_findings(
    scenario: EventScenario, cutoffs: Cutoffs, examples: Examples, label_line: Timeline
) -> Iterator[Finding]:
    """Labels that begin late, fade, are one and the same, or imply each other."""
    yield from _late_findings(scenario, cutoffs, examples, label_line)
    yield from _fading_findings(scenario, examples)
    yield from _former_findings(scenario, cutoffs, examples, label_line)
    yield from _twin_findings(scenario, examples)


def _late_findings(
    scenario: EventScenario, cutoffs: Cutoffs, examples: Examples, label_line: Timeline
) -> Iterator[Finding]:
    say, names = Subject(scenario, "labels"), examples.labels.names
    first_K = np.full(len(names), np.iinfo(np.int64).max)
    np.minimum.at(first_K, label_line.columns[LABEL], label_line.time)
    trained_N = (examples.table[SPLIT] == "train").to_numpy()
    opens_N = np.sort(opens(scenario.target, examples.cutoffs[trained_N]))
    begun_K = 1 - np.searchsorted(opens_N, first_K) / len(opens_N)  # share of the examples
    ends = microseconds(cutoffs.fit_until)
    for name, first, begun in zip(names, first_K.tolist(), begun_K.tolist(), strict=True):
        day = str(np.datetime64(first, "us"))[:10]
        if ends < first < np.iinfo(np.int64).max:
            message = f"{name} appears only after the training period: first on {day}"
            advice = "leave it out, or move the splits later; nothing can be learned for it"
        elif begun < 0.5 and first <= ends:
            message = (
                f"{name} appears late: first on {day}; only {begun:.0%} of the training examples have "
                "their window after that"
            )
            advice = "fewer train_cutoffs, so that training looks like today; or leave it out for now"
        else:
            continue
        yield say("warning", "target.class_names", message, advice)


def _fading_findings(scenario: EventScenario, examples: Examples) -> Iterator[Finding]:
    counts = _counts(examples)
    (before_K, others_K), *newest = (counts[split] for split in SPLITS)
    now_K, not_now_K = sum(positives for positives, _ in newest), sum(negatives for _, negatives in newest)
    was_K = before_K / np.maximum(before_K + others_K, 1)
    known_K = now_K + not_now_K
    is_K = now_K / np.maximum(known_K, 1)
    names = _faded(examples.labels.names, was_K, is_K, known_K)
    if names:
        yield Subject(scenario, "labels")(
            "warning",
            "target.class_names",
            f"far rarer in the newest windows (validation and test) than in training: {listed(names)}",
            "ended or seasonal: leave them out if they ended; fewer train_cutoffs look more like today, "
            "cutoffs a year back know the season",
        )


def _faded(names: Sequence[str], was_K: np.ndarray, is_K: np.ndarray, of_K: np.ndarray | int) -> list[str]:
    """Return labels whose share fell far below the former one.

    The former share would have made enough of `of_K`.
    """
    faded_K = (is_K < _FADED * was_K) & (was_K * of_K >= _EXPECTED)
    return [f"{names[k]} ({was_K[k]:.2%} → {is_K[k]:.2%})" for k in np.flatnonzero(faded_K).tolist()]


def _former_findings(
    scenario: EventScenario, cutoffs: Cutoffs, examples: Examples, label_line: Timeline
) -> Iterator[Finding]:
    """Compare the last year with as long a time before it, so that seasons cancel.

    The time before may be longer.
    """
    until = microseconds(cutoffs.observed_until)
    since = until - 365 * MICROSECONDS_PER_DAY
    time = label_line.time[label_line.time <= until]
    if not len(time) or time.min() > since - 365 * MICROSECONDS_PER_DAY:
        return
    names, labels = examples.labels.names, label_line.columns[LABEL][label_line.time <= until]
    was_K, is_K = (np.bincount(labels[part], minlength=len(names)) for part in (time <= since, time > since))
    was_share_K, is_share_K = was_K / max(was_K.sum(), 1), is_K / max(is_K.sum(), 1)
    descriptions = _faded(names, was_share_K, is_share_K, is_K.sum())
    if descriptions:
        yield Subject(scenario, "labels")(
            "warning",
            "target.class_names",
            f"far rarer in the last year than before, among the events with a label: {listed(descriptions)}",
            "leave them out if they ended",
        )


def _twin_findings(scenario: EventScenario, examples: Examples) -> Iterator[Finding]:
    """Labels whose targets are the same, or one within the other, in all examples."""
    say, names = Subject(scenario, "labels"), examples.labels.names
    positive_NK = targets_of(examples.table) == 1
    share_K = positive_NK.mean(axis=0)
    for one, other in _maybe_inside(positive_NK):
        one_N, other_N = positive_NK[:, one], positive_NK[:, other]
        if (one_N & ~other_N).any():
            continue
        same = not (other_N & ~one_N).any()
        entities = len(np.unique(examples.rows[one_N]))
        if (same and one > other) or share_K[other] ** entities > _BY_CHANCE:
            continue  # told already, or a rare label beside a very frequent one
        severity: Severity = "warning" if same else "note"
        yield say(
            severity,
            "target.class_names",
            f"{names[one]} and {names[other]} have the same targets in all {len(one_N):,} examples"
            if same
            else f"{names[one]} implies {names[other]}: each of its {int(one_N.sum()):,} positives is "
            "one there too",
            "leave one out: it counts twice in every mean"
            if same
            else "nothing, where one is part of the other",
        )


def _maybe_inside(positive_NK: np.ndarray) -> list[tuple[int, int]]:
    """Return pairs of labels where each positive of one is a positive of the other.

    That is seen in a sample.
    """
    sample_NK = positive_NK[:: max(1, -(-len(positive_NK) // _SAMPLE))].astype(np.float32)
    both_KK = sample_NK.T @ sample_NK
    inside_KK = (both_KK == np.diag(both_KK)[:, None]) & (np.diag(both_KK)[:, None] > 0)
    np.fill_diagonal(inside_KK, val=False)
    return [(one, other) for one, other in np.argwhere(inside_KK).tolist()]
