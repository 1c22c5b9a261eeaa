"""Switch one part of the model at a time, on every set, and see what changes.

    MLC_DATA=… python -m scripts.bench.ablation                      # configs/public/*.yaml and the demo
    MLC_DATA=… python -m scripts.bench.ablation --seeds 2 --variants "model.memory=true" "model.members=4"

A cell is a macro score on the test split minus that of the default with the same seed and test cutoff; ± is
half the distance between the best and the worst of them.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.bench.harness import Record, parser
from scripts.bench.trainings import Trained, add_runs, macro, runs, scenarios_of, spread

VARIANTS = (
    "model.history=false",
    "model.attributes=false",
    "model.calendar=false",
    "model.memory=true",
    "model.context=gru",
    "model.context=transformer",
    "model.popularity=true",
    "model.preset=nano",
    "model.preset=base",
    "model.members=4",
    "model.blend=boosting",
    "train.ema_decay=null",
    "train.monitor=macro_ap",
)
SCORES = ("auroc", "ap", "log_loss")
LEAD = (
    "Each row changes one field: test scores minus those of the default with the same seed, without a "
    "foundation. Seeds alone differ by about 0.002."
)


def main() -> int:
    """Run the command line of this script."""
    command_line = parser(__doc__)
    add_runs(command_line)
    command_line.add_argument("--variants", nargs="*", default=list(VARIANTS), metavar="KEY=VALUE")
    arguments = command_line.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        Record(arguments.out, "What each switch of the model pays", LEAD) as record,
    ):
        folder = Path(name)
        for scenario in arguments.scenarios or scenarios_of(folder):
            repeats = (scenario, folder, arguments.seeds, arguments.cutoffs)
            default = list(runs(*repeats, baselines("")))
            for variant in arguments.variants:
                changed = list(runs(*repeats, [variant, *baselines(variant)]))
                record.add(scenario.stem, {"switch": variant, **change(changed, default)})
    return 0


def baselines(variant: str) -> list[str]:
    """Return overrides: no baseline that takes long, unless it is blended, and no foundation."""
    return ["model.foundation=null", *([] if "blend" in variant else ["baselines=[recency]"])]


def change(changed: Sequence[Trained], default: Sequence[Trained]) -> dict[str, Any]:
    """Return the mean of the differences in each score, and half their range."""
    return {
        f"difference_{score}": spread(
            [one - other for one, other in zip(macro(changed, score), macro(default, score), strict=True)]
        )
        for score in SCORES
    }


if __name__ == "__main__":
    sys.exit(main())
