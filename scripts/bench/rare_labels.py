"""Micro- and macro-F1 of threshold rules over many labels, most of them rare.

    MLC_DATA=… python -m scripts.bench.rare_labels --repeats 3

Simulated sets: logits of the true probability are those of two normal distributions; prevalences are
log-uniform. Scores are these probabilities (calibrated), stretched and shifted at random (skewed), or of
a training that weighs both classes alike (balanced). Rules choose on one sample and are judged on another.
Real sets, where $MLC_DATA is given: logistic regressions, plain and balanced, on text, on tables, and on
decayed counts of the 100 most frequent values. `single` is the best threshold for all labels together, chosen
on validation; `hindsight` the same chosen on the test sample. `before` are the rules up to version 0.1.
"""

import itertools
import json
import os
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy.special import expit, logit
from scipy.stats import norm
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from mlc.evaluation.calibration import calibrated, entity_folds, fit_calibration
from mlc.evaluation.thresholds import choose_thresholds, threshold_value
from mlc.scenario import Auto, MaxF1, Thresholds
from scripts.bench.harness import Record, parser

LEAD = (
    "Micro-F1 and macro-F1 on a sample that had no part in choosing. single is the best threshold for all "
    "labels together, chosen on validation; hindsight the same chosen on the test sample; before is the rule "
    "of earlier versions."
)
RULES = ("auto before", "max_f1 before", "auto", "max_f1", "single")
SHAPES = (  # labels, examples, prevalences
    (100, 1_000, (0.0005, 0.2)),
    (100, 5_000, (0.0005, 0.2)),
    (100, 5_000, (0.0005, 0.01)),
    (30, 25_000, (0.0005, 0.2)),
    (1_000, 2_000, (0.0005, 0.05)),
    (12, 2_000, (0.01, 0.2)),
)
AUROCS = ((0.6, 0.8), (0.7, 0.95), (0.85, 0.995))
KINDS = ("calibrated", "skewed", "balanced")
Sample = tuple[Any, Any]


def main() -> int:
    """Run the command line of this script."""
    command_line = parser(__doc__)
    command_line.add_argument("--repeats", type=int, default=3)
    arguments = command_line.parse_args()
    rows: list[dict[str, Any]] = []
    with Record(arguments.out, "Threshold rules over many labels", LEAD) as record:
        for row in itertools.chain(simulated_rows(arguments.repeats), real_rows()):
            rows.append(row)
            record.add("Sets, micro-F1 / macro-F1", cells(row))
        for group in groups(rows):
            chosen = [row for row in rows if row["set"].startswith(group)]
            for rule in (*RULES, "hindsight"):
                record.add("Means over sets", {"group": group, "sets": len(chosen), **summed(rule, chosen)})
        record.add("CPU seconds of auto", seconds())
    return 0


def cells(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with each pair of figures in one cell."""
    return {
        name: " / ".join(f"{one:.3f}" for one in value) if isinstance(value, list) else value
        for name, value in row.items()
    }


def simulated_rows(repeats: int) -> Iterator[dict[str, Any]]:
    """A row per simulated set, the mean of the repeats; sets of 1,000 labels are drawn once."""
    for kind, (low, high), (labels, examples, prevalences) in itertools.product(KINDS, AUROCS, SHAPES):
        generator = np.random.default_rng([labels, examples, round(low * 100), KINDS.index(kind)])
        drawn = [
            judged(*simulated(generator, (labels, examples), prevalences, (low, high), kind))
            for _ in range(repeats if labels < 1_000 else 1)
        ]
        name = f"{kind}, K={labels}, N={examples}, prevalence {prevalences[0]:g}-{prevalences[1]:g}"
        figures = {rule: np.mean([one[rule] for one in drawn], axis=0).round(4).tolist() for rule in drawn[0]}
        yield {"set": f"{name}, AUROC {low:g}-{high:g}", **figures}


def real_rows() -> Iterator[dict[str, Any]]:
    """A row per real set."""
    for name, samples in real_sets():
        figures = {rule: np.round(both, 4).tolist() for rule, both in judged(*samples).items()}
        yield {"set": name, **figures}


def groups(rows: list[dict[str, Any]]) -> list[str]:
    """Kinds of simulated scores, and every real set."""
    return [
        *(kind for kind in KINDS if any(row["set"].startswith(kind) for row in rows)),
        *(row["set"] for row in rows if not row["set"].startswith(tuple(f"{kind}, " for kind in KINDS))),
    ]


def summed(rule: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over sets, and how far micro-F1 is below the single threshold at worst."""
    return {
        "rule": rule,
        "micro F1": round(float(np.mean([row[rule][0] for row in rows])), 3),
        "macro F1": round(float(np.mean([row[rule][1] for row in rows])), 3),
        "at worst below single": round(max(row["single"][0] - row[rule][0] for row in rows), 3),
        "at worst below hindsight": round(max(row["hindsight"][0] - row[rule][0] for row in rows), 3),
    }


def judged(validation: Sample, test: Sample) -> dict[str, tuple[float, float]]:
    """Micro- and macro-F1 on the test sample of each rule, calibrated and chosen on validation."""
    (raw_NK, targets_NK), (new_NK, truth_NK) = validation, test
    names = [str(label) for label in range(raw_NK.shape[1])]
    maps, scores_NK = fit_calibration("auto", names, raw_NK, targets_NK, entity_folds(np.arange(len(raw_NK))))
    new_NK = calibrated(new_NK, maps)
    cuts = {
        "auto before": [
            unlimited(s, t, expected=True) for s, t in zip(scores_NK.T, targets_NK.T, strict=True)
        ],
        "max_f1 before": [
            unlimited(s, t, expected=False) for s, t in zip(scores_NK.T, targets_NK.T, strict=True)
        ],
        "single": [unlimited(scores_NK.ravel(), targets_NK.ravel(), expected=False)] * len(names),
        "hindsight": [unlimited(new_NK.ravel(), truth_NK.ravel(), expected=False)] * len(names),
    }
    for name, policy in (("auto", Auto()), ("max_f1", MaxF1())):
        chosen = choose_thresholds(Thresholds(default=policy), names, scores_NK, targets_NK)
        cuts[name] = [threshold_value(cut.value) for cut in chosen]
    return {
        name: f1_scores(new_NK >= np.array(each, np.float32), truth_NK == 1) for name, each in cuts.items()
    }


def unlimited(scores_N: Any, targets_N: Any, *, expected: bool) -> float:
    """The rules up to version 0.1: the best expected or seen F1 of all cuts, whatever its volume."""
    if not expected and not targets_N.any():
        return 0.5
    order = np.argsort(-scores_N)
    sorted_N = scores_N[order].astype(np.float64)
    last = np.append(np.flatnonzero(sorted_N[1:] != sorted_N[:-1]), len(sorted_N) - 1)
    hits = np.cumsum(sorted_N if expected else targets_N[order].astype(np.float64))[last]
    at = last[int(np.argmax(2 * hits / np.maximum(last + 1 + hits[-1], 1e-12)))]
    below = sorted_N[at + 1] if at + 1 < len(sorted_N) else 0.0
    return float((sorted_N[at] + below) / 2)


def f1_scores(yes_NK: Any, positive_NK: Any) -> tuple[float, float]:
    """Micro-F1, and the mean over labels that have a positive."""
    hits_K, yes_K, positives_K = (each.sum(axis=0) for each in (yes_NK & positive_NK, yes_NK, positive_NK))
    has_positive = positives_K > 0
    micro = 2 * hits_K.sum() / max(1, yes_K.sum() + positives_K.sum())
    return float(micro), float(
        np.mean(2 * hits_K[has_positive] / (yes_K[has_positive] + positives_K[has_positive]))
    )


def simulated(
    generator: Any,
    shape: tuple[int, int],
    prevalences: tuple[float, float],
    aurocs: tuple[float, float],
    kind: str,
) -> tuple[Sample, Sample]:
    """Scores and targets of validation and test."""
    labels, examples = shape
    prevalence_K = np.exp(generator.uniform(*np.log(prevalences), labels))
    apart_K = np.sqrt(2) * norm.ppf(generator.uniform(*aurocs, labels))
    slope_K, bias_K = np.ones(labels), np.zeros(labels)
    if kind == "skewed":
        slope_K, bias_K = generator.uniform(0.6, 1.8, labels), generator.normal(0.5, 1.0, labels)
    if kind == "balanced":
        bias_K = -0.7 * logit(prevalence_K)

    def sample() -> Sample:
        targets_NK = (generator.random((examples, labels)) < prevalence_K).astype(np.uint8)
        signal_NK = generator.normal(size=(examples, labels)) + apart_K * targets_NK
        logits_NK = logit(prevalence_K) + apart_K * signal_NK - apart_K**2 / 2
        return expit(slope_K * logits_NK + bias_K).astype(np.float32), targets_NK

    return sample(), sample()


def real_sets() -> Iterator[tuple[str, tuple[Sample, Sample]]]:
    """Scores of logistic regressions on the public sets below $MLC_DATA."""
    if "MLC_DATA" not in os.environ:
        return
    root = Path(os.environ["MLC_DATA"])
    for name, inputs, targets in (*tables(root), *events(root), comments(root)):
        for weights in (None, "balanced"):
            validation, test = fitted(inputs, targets, weights)
            yield f"{name}, {weights or 'plain'}", ((validation, targets[1]), (test, targets[2]))


def fitted(inputs: Any, targets: Any, weights: str | None) -> tuple[Any, Any]:
    """Scores of validation and test, label by label; one feature table, or one per label."""
    own = isinstance(inputs[0], list)
    scores = [np.zeros(each.shape, np.float32) for each in targets[1:]]
    for label in range(targets[0].shape[1]):
        parts = [each[label] if own else each for each in inputs]
        if 0 < targets[0][:, label].sum() < len(targets[0]):
            model = LogisticRegression(max_iter=300, class_weight=weights).fit(parts[0], targets[0][:, label])
            for into, part in zip(scores, parts[1:], strict=True):
                into[:, label] = model.predict_proba(part)[:, 1]
    return scores[0], scores[1]


def tables(root: Path) -> Iterator[tuple[str, Any, Any]]:
    """The Mulan tables; a third of the training rows are validation."""
    described = json.loads((root / "mulan" / "labels.json").read_text())
    for name, entry in described.items():
        table = pl.read_parquet(root / "mulan" / f"{name}.parquet")
        columns = [column for column in table.columns if column not in (*entry["labels"], "split")]
        values, targets = (
            table[columns].to_numpy().astype(float),
            table[entry["labels"]].to_numpy().astype(np.uint8),
        )
        training = (table["split"] == "train").to_numpy()
        values = (values - values[training].mean(axis=0)) / (values[training].std(axis=0) + 1e-9)
        held = training & (np.arange(len(values)) % 3 == 0)
        parts = training & ~held, held, ~training
        yield name, [values[part] for part in parts], [targets[part] for part in parts]


def comments(root: Path) -> tuple[str, Any, Any]:
    """GoEmotions, with TF-IDF."""
    table = pl.read_parquet(root / "goemotions" / "comments.parquet")
    names = sorted(table["labels"].explode().drop_nulls().unique())
    parts = [table.filter(pl.col("split") == split) for split in ("train", "dev", "test")]
    words = TfidfVectorizer(min_df=3, sublinear_tf=True).fit(parts[0]["text"])
    targets = [
        part.select(pl.col("labels").list.contains(name).fill_null(False).alias(name) for name in names)
        .to_numpy()
        .astype(np.uint8)
        for part in parts
    ]
    return "goemotions", [words.transform(part["text"]) for part in parts], targets


def events(root: Path) -> Iterator[tuple[str, Any, Any]]:
    """Decayed counts of the 100 most frequent values, and of all events, before three cutoffs."""
    shop = pl.read_parquet(root / "completejourney" / "transactions_sample.parquet").join(
        pl.read_parquet(root / "completejourney" / "products.parquet"), on="product_id"
    )
    cards = pl.read_parquet(root / "purchase_cards" / "transactions.parquet").join(
        pl.read_parquet(root / "purchase_cards" / "categories.parquet"), on="category_code"
    )
    flights = pl.read_parquet(root / "nycflights13" / "flights.parquet")
    yield "completejourney", *windows(shop, "household_id", "transaction_timestamp", "product_category", 28)
    complete = cards.filter(pl.col("trans_date") <= datetime(2017, 11, 30))
    yield "purchase_cards", *windows(complete, "card_id", "trans_date", "category", 28)
    yield "nycflights13", *windows(flights, "tailnum", "dep_ts", "dest", 7)


def windows(table: pl.DataFrame, entity: str, at: str, value: str, days: int) -> tuple[Any, Any]:
    """Features of each label and targets, for training, validation and test."""
    table = table.select(
        entity=pl.col(entity).cast(pl.String),
        at=pl.col(at).cast(pl.Datetime),
        value=pl.col(value).cast(pl.String),
    ).drop_nulls()
    last: Any = table["at"].max()
    names = table["value"].value_counts(sort=True)["value"].head(100).to_list()
    inputs, targets = [], []
    for back in (3, 2, 1):
        cutoff = last - timedelta(days=back * days)
        before = table.filter(pl.col("at").is_between(cutoff - timedelta(days=400), cutoff))
        age = (pl.lit(cutoff) - pl.col("at")).dt.total_seconds() / 86_400
        weighed = before.with_columns(weight=0.5 ** (age / 45)).filter(pl.col("value").is_in(names))
        keys = before.select("entity").unique().sort("entity")
        after = table.filter(pl.col("at").is_between(cutoff, cutoff + timedelta(days=days), closed="right"))
        count = counted(keys, weighed, pl.col("weight").sum(), names)
        hit = counted(keys, after.filter(pl.col("value").is_in(names)), pl.len(), names)
        every = np.log1p(count.sum(axis=1))
        inputs.append([np.stack([np.log1p(column), every], axis=1) for column in count.T])
        targets.append((hit > 0).astype(np.uint8))
    return inputs, targets


def counted(keys: pl.DataFrame, rows: pl.DataFrame, what: pl.Expr, names: list[str]) -> Any:
    """A figure per entity and value; 0 where there are no rows."""
    figures = rows.group_by("entity", "value").agg(what.cast(pl.Float64).alias("figure"))
    wide = figures.pivot("value", index="entity", values="figure")
    missing = [pl.lit(None, pl.Float64).alias(name) for name in names if name not in wide.columns]
    joined = keys.join(wide.with_columns(missing), on="entity", how="left", maintain_order="left")
    return joined.select(names).fill_null(0.0).to_numpy()


def seconds(labels: int = 1_000, examples: int = 50_000) -> dict[str, float]:
    """CPU seconds that `auto` takes to choose with estimates."""
    generator = np.random.default_rng(0)
    scores_NK = generator.random((examples, labels), np.float32) ** 8
    targets_NK = (generator.random((examples, labels), np.float32) < scores_NK).astype(np.uint8)
    started = time.process_time()
    choose_thresholds(Thresholds(), [str(label) for label in range(labels)], scores_NK, targets_NK)
    return {"labels": labels, "examples": examples, "auto": round(time.process_time() - started, 1)}


if __name__ == "__main__":
    sys.exit(main())
