"""The run folder: what a training leaves behind, and who may write there."""

from mlc.run.folder import (
    BEGINNING,
    Opening,
    Run,
    find_run,
    fingerprint_of,
    finish_run,
    open_run,
    peak_memory_mb,
    start_run,
    what_is_left,
    working_on,
)

__all__ = [
    "BEGINNING",
    "Opening",
    "Run",
    "find_run",
    "fingerprint_of",
    "finish_run",
    "open_run",
    "peak_memory_mb",
    "start_run",
    "what_is_left",
    "working_on",
]
