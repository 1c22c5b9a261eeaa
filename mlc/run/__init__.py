"""The run folder: what a training leaves behind, and who may write there."""

from mlc.run.folder import (
    Opening,
    Run,
    find_run,
    fingerprint_of,
    finish_run,
    open_run,
    peak_memory_mb,
    start_run,
    what_is_left,
)

__all__ = [
    "Opening",
    "Run",
    "find_run",
    "fingerprint_of",
    "finish_run",
    "open_run",
    "peak_memory_mb",
    "start_run",
    "what_is_left",
]
