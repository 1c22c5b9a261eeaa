"""Which of these K things will each customer do in the next N days?

The functions here are those of the command line, for Python: see `mlc.commands.api`. They are loaded when
they are first used, so that `import mlc` loads nothing else.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlc.commands.api import Run, check, labels, load_scenario, open_run, train
    from mlc.errors import MlcError

__version__ = "0.1.0"

__all__ = ["MlcError", "Run", "__version__", "check", "labels", "load_scenario", "open_run", "train"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'mlc' has no attribute {name!r}")
    return getattr(import_module("mlc.errors" if name == "MlcError" else "mlc.commands.api"), name)
