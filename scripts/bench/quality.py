"""Train scenarios, presets, seeds and test cutoffs: the model next to every baseline.

    MLC_DATA=… python -m scripts.bench.quality                         # configs/public/*.yaml and the demo
    MLC_DATA=… python -m scripts.bench.quality --seeds 3 --cutoffs 2
    MLC_DATA=… python -m scripts.bench.quality --foundation none       # without pre-training

`--cutoffs 2` repeats it with the tables observed up to one window earlier, so another window is the test.
Scores, differences and ends of their 95 % intervals are means over the runs of a row; ± is half the distance
between the best and the worst run.
"""

import re
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

from scripts.bench.harness import Record, parser
from scripts.bench.trainings import Trained, add_runs, interval, macro, runs, scenarios_of, spread

BASELINES = ("boosting", "recency", "frequency", "prevalence")
FOUNDATIONS = {"auto": ["model.foundation=auto"], "none": ["model.foundation=null"]}
OUTCOMES = {
    "better": "runs_better_in_ap",
    "not told apart": "runs_not_told_apart",
    "worse": "runs_worse_in_ap",
}
LEAD = (
    "Macro AUROC and AP on the test window, defaults throughout, next to the baselines. ± is half the "
    "distance between the best and the worst run; a difference is paired by entity, with its 95 % interval. "
    "The seconds include boosting and the report."
)


def main() -> int:
    """Run the command line of this script."""
    command_line = parser(__doc__)
    add_runs(command_line)
    command_line.add_argument("--foundation", nargs="*", choices=list(FOUNDATIONS), default=list(FOUNDATIONS))
    command_line.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    arguments = command_line.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        Record(arguments.out, "Quality on five data sets", LEAD) as record,
    ):
        folder = Path(name)
        for start, scenario in product(arguments.foundation, arguments.scenarios or scenarios_of(folder)):
            overrides = [*FOUNDATIONS[start], *arguments.overrides]
            trained = list(runs(scenario, folder, arguments.seeds, arguments.cutoffs, overrides))
            for title, row in rows(trained, "with a" if start == "auto" else "without a"):
                record.add(title, row)
    return 0


def rows(trained: Sequence[Trained], start: str) -> list[tuple[str, dict[str, Any]]]:
    """Return a row of each table: AUROC, AP, and the differences to boosting."""
    reports = [one.report for one in trained]
    test = reports[0]["splits"]["test"]
    name = re.sub(r"-[0-9]+-[0-9]+$", "", reports[0]["scenario"]).replace("departments_28d", "demo")
    boosted = [report["baselines"]["boosting"]["test"]["difference"] for report in reports]
    counts = Counter(outcome(one["ap"]) for one in boosted)
    facts = {
        "labels": test["macro"]["labels"],
        "test_examples": round(mean(report["splits"]["test"]["examples"] for report in reports)),
        "runs": len(trained),
    }
    differences = {
        f"difference_{score}": interval([one[score] for one in boosted])
        for score in ("auroc", "ap", "log_loss")
    }
    counted = {column: counts[word] for word, column in OUTCOMES.items()}
    return [
        (f"Macro AUROC, {start} foundation", {"scenario": name, **facts, **scores(trained, "auroc")}),
        (f"Macro AP, {start} foundation", {"scenario": name, **scores(trained, "ap")}),
        (
            f"Model minus boosting, {start} foundation",
            {
                "scenario": name,
                **differences,
                **counted,
                "seconds": round(mean(one.seconds for one in trained)),
            },
        ),
    ]


def scores(trained: Sequence[Trained], score: str) -> dict[str, Any]:
    """Return the macro mean of the model and of each baseline."""
    cells: dict[str, Any] = {f"model_{score}": spread(macro(trained, score), 3)}
    for name in BASELINES:
        values = [one.report["baselines"][name]["test"]["macro"][score] for one in trained]
        cells[f"{name}_{score}"] = spread(values, 3)
    return cells


def outcome(difference: dict[str, float]) -> str:
    """Return where the interval of a difference lies."""
    if difference["low"] <= 0 <= difference["high"]:
        return "not told apart"
    return "better" if difference["low"] > 0 else "worse"


if __name__ == "__main__":
    sys.exit(main())
