"""The run folder: what a training leaves behind, and who may write there."""

from mlc.run.folder import (
    BEGINNING,
    Kind,
    Opening,
    RunFolder,
    find_run,
    fingerprint_of,
    finish_run,
    peak_memory_mb,
    run_folder_for,
    start_run,
    what_is_left,
    working_on,
)

__all__ = [
    "BEGINNING",
    "Kind",
    "Opening",
    "RunFolder",
    "find_run",
    "fingerprint_of",
    "finish_run",
    "peak_memory_mb",
    "run_folder_for",
    "start_run",
    "what_is_left",
    "working_on",
]
