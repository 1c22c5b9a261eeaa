"""Progress and warnings of the commands as records of the logger `mlc`."""

import logging

_WARNING = "warning: "


def log(line: str) -> None:
    """Log a line, as a warning if it begins with `warning: `, else as information."""
    level = logging.WARNING if line.startswith(_WARNING) else logging.INFO
    logging.getLogger("mlc").log(level, "%s", line.removeprefix(_WARNING))
