"""Progress and warnings of the commands as records of the logger `mlc`."""

import logging

_WARNING = "warning: "


def log(line: str) -> None:
    """Log a line: what begins with `warning: ` as a warning, everything else as information."""
    level = logging.WARNING if line.startswith(_WARNING) else logging.INFO
    logging.getLogger("mlc").log(level, "%s", line.removeprefix(_WARNING))
