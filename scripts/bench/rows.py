"""Train models of rows on public sets with published splits, next to what is known of them.

    MLC_DATA=… python -m scripts.bench.rows --out docs/results/rows.json
    MLC_DATA=… python -m scripts.bench.rows --sets emotions --seeds 5

Every training runs with the defaults of a scenario that names the table, its labels and its split, in a
process of its own. Figures are of the published test split; thresholds are `auto`, and so never saw it.
"""

import json
import os
import resource
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn.metrics import average_precision_score, f1_score

from mlc.evaluation.thresholds import decide
from mlc.models.decisions import stored_thresholds
from mlc.run import RunFolder
from mlc.tables import in_split, scores_of, targets_of
from scripts.bench.harness import Record, parser
from scripts.bench.trainings import mlc, spread

LEAD = (
    "Macro AP, and F1 at the thresholds of auto, on published test splits, with the defaults and without "
    "extras but LightGBM, which is a baseline. Figures are means over seeds, ± half the distance between the "
    "best and the worst. To reach is what the project asks of itself; known is what others reach."
)
SETS: dict[str, dict[str, Any]] = {
    "emotions": {"ap": 0.765, "known": "ExtraTrees AP .767, LightGBM per label .731"},
    "scene": {"ap": 0.86, "known": "ExtraTrees AP .850, LightGBM per label .843"},
    "yeast": {"ap": 0.525, "known": "ExtraTrees AP .522, LightGBM per label .495"},
    "goemotions": {
        "ap": 0.44,
        "macro_f1": 0.485,
        "micro_f1": 0.55,
        "known": "linear SVM AP .437, macro-F1 .486; BERT macro-F1 .46",
    },
}


def main() -> int:
    """Run the command line of this script."""
    command_line = parser(__doc__)
    command_line.add_argument("--sets", nargs="*", choices=list(SETS), default=list(SETS))
    command_line.add_argument("--seeds", type=int, default=3)
    arguments = command_line.parse_args()
    with Record(arguments.out, "Models of rows", LEAD) as record, tempfile.TemporaryDirectory() as name:
        for one in arguments.sets:
            figures = [measured(Path(name), one, 7 + seed) for seed in range(arguments.seeds)]
            record.add("Quality", quality(one, figures))
            record.add("Parts", parts(one, figures))
    return 0


def scenario_of(name: str, seed: int) -> str:
    """Return a scenario in YAML, whose paths are below $MLC_DATA."""
    root = Path(os.environ["MLC_DATA"]).absolute()
    if name == "goemotions":
        table = f"{{kind: rows, path: {root}/goemotions/comments.parquet, key: comment_id}}"
        target = "{table: rows, column: labels}"
    else:
        labels = json.loads((root / "mulan" / "labels.json").read_text())[name]["labels"]
        table = f"{{kind: rows, path: {root}/mulan/{name}.parquet}}"
        target = f"{{table: rows, columns: {json.dumps(labels)}}}"
    return (
        f"name: {name}-{seed}\ndata: {{tables: {{rows: {table}}}}}\ntarget: {target}\n"
        f"examples: {{split: {{column: split}}}}\ntrain: {{seed: {seed}}}\n"
    )


def measured(folder: Path, name: str, seed: int) -> dict[str, Any]:
    """Train once, and return the figures of the test split."""
    path = folder / f"{name}-{seed}.yaml"
    path.write_text(scenario_of(name, seed))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    mlc("train", path.name, cwd=folder)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    run = RunFolder(folder / "runs" / f"{name}-{seed}")
    examples, predictions = (pl.read_parquet(run / f"{each}.parquet") for each in ("examples", "predictions"))
    test_N = in_split(examples, "test")
    targets_NK, scores_NK = targets_of(examples)[test_N], scores_of(predictions)[test_N]
    decisions_NK = decide(scores_NK, stored_thresholds(run))
    report = run.read_json("report.json")
    baselines = {each: one["test"]["macro"]["ap"] for each, one in report["baselines"].items()}
    return {
        "ap": float(average_precision_score(targets_NK, scores_NK)),
        "macro_f1": float(f1_score(targets_NK, decisions_NK, average="macro", zero_division=0)),
        "micro_f1": float(f1_score(targets_NK, decisions_NK, average="micro")),
        "single_f1": best_single(targets_NK, scores_NK),
        "seconds": seconds,
        "baselines": baselines,
        "weights": run.read_json("parts.json")["weights"],
    }


def best_single(targets_NK: Any, scores_NK: Any) -> float:
    """Return the micro-F1 of the best threshold for all labels, chosen on the test split itself."""
    return max(
        float(f1_score(targets_NK, scores_NK >= threshold, average="micro", zero_division=0))
        for threshold in np.linspace(0.05, 0.6, 56)
    )


def quality(name: str, figures: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a row of figures next to what is to be reached."""
    goals = SETS[name]
    row: dict[str, Any] = {"set": name, "runs": len(figures)}
    for figure, title in (("ap", "macro AP"), ("macro_f1", "macro-F1"), ("micro_f1", "micro-F1")):
        row[title] = spread([one[figure] for one in figures], 4)
        row[f"{title} to reach"] = goals.get(figure)
    row["micro-F1 of the best single threshold in hindsight"] = spread(
        [one["single_f1"] for one in figures], 4
    )
    row["known"] = goals["known"]
    row["CPU seconds"] = spread([one["seconds"] for one in figures], 1)
    return row


def parts(name: str, figures: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the macro AP of each part, and its weight."""
    row: dict[str, Any] = {"set": name, "mix": spread([one["ap"] for one in figures], 4)}
    for part in _names(figures):
        known = [one["baselines"].get(part) for one in figures]
        scored = [ap for ap in known if ap is not None]
        row[f"{part} AP"] = spread(scored, 4) if len(scored) == len(figures) else None
        weights = [one["weights"].get(part) or 0.0 for one in figures]
        row[f"{part} weight"] = spread(weights, 2)
    return row


def _names(figures: list[dict[str, Any]]) -> Iterator[str]:
    yield from sorted({part for one in figures for part in one["weights"]})


if __name__ == "__main__":
    sys.exit(main())
