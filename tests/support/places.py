"""Where the repository lies, and where a run looks for its tables."""

import json
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def point_at(run: Path, folder: Path) -> None:
    """Let a run look for its tables as if its scenario lay in another folder."""
    facts = json.loads((run / "run.json").read_text())
    facts["scenario_folder"] = os.path.relpath(folder, run)
    (run / "run.json").write_text(json.dumps(facts))
