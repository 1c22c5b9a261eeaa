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
from mlc.run.other_tables import OWN_TABLES, OtherTables

__all__ = [
    "BEGINNING",
    "OWN_TABLES",
    "Kind",
    "Opening",
    "OtherTables",
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
