"""Baselines against plain loops."""

from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
from hypothesis import given

from mlc.events.baselines import baseline_predictions, day_counts
from mlc.events.examples import Examples
from mlc.tables import SPLIT, array_column, check_predictions, scores_of, targets_of
from tests.support import reference
from tests.support.small_tables import (
    anchors,
    build,
    few,
    folder,
    label_rows,
    sales,
    scenario_at,
    shop,
    write_shop,
)

NAMES = ["Dress", "Skirt", "Hat"]


@few
@given(rows=sales())
def test_baselines_equal_the_loop(rows):
    rows = anchors("ann") + rows
    with folder() as name:
        write_shop(Path(name), rows)
        built = build(scenario_at(Path(name), shop()), Path(name) / "runs")
    labelled = label_rows(rows, NAMES)
    predictions = baseline_predictions(built.examples, built.label_line)
    plain_NK, decayed_NK = day_counts(built.examples, built.label_line)
    train = [targets for split, targets in built.by_key().values() if split == "train"]
    for name, table in predictions.items():
        check_predictions(table, built.examples.table)
        scores_NK = scores_of(table)
        for row, (entity, cutoff, _, _) in enumerate(built.examples.table.rows()):
            for k in range(len(NAMES)):
                days, decayed = reference.day_counts(labelled, entity, cutoff, k)
                assert plain_NK[row, k] == days
                assert abs(decayed_NK[row, k] - decayed) < 1e-9
                expected = {
                    "prevalence": sum(targets[k] for targets in train) / len(train),
                    "frequency": days / (1 + days),
                    "recency": decayed / (1 + decayed),
                }[name]
                assert abs(scores_NK[row, k] - expected) < 1e-6


def test_unknown_targets_do_not_count_in_the_prevalence(tmp_path):
    write_shop(tmp_path, anchors("ann") + anchors("bob"))
    built = build(scenario_at(tmp_path, shop()), tmp_path / "runs")
    table, train = built.examples.table, (built.examples.table[SPLIT] == "train").to_numpy()
    targets_NK = targets_of(table).copy()
    targets_NK[train, 0] = np.arange(train.sum()) % 2
    targets_NK[np.flatnonzero(train)[:2], 0] = 255
    targets_NK[train, 1] = 255
    changed = Examples(
        table.with_columns(array_column("targets", targets_NK)),
        built.examples.rows,
        built.examples.labels,
        [],
    )
    scores_NK = scores_of(baseline_predictions(changed, built.label_line)["prevalence"])
    assert scores_NK[0].tolist() == [0.5, 0.0, 1.0]


def test_one_label_and_one_example_have_the_right_shape():
    table = pl.DataFrame({"cutoff": [datetime(2024, 1, 1)]})
    found = table.with_columns(array_column("targets", np.ones((1, 1), np.uint8)))
    assert targets_of(found).shape == (1, 1)
