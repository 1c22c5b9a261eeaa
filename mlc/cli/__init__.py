"""The door: parses the command line, calls one step, prints, and gives the exit code.

Exit codes: 0 done · 1 a check or a gate failed · 2 something the user can mend · 3 a bug of ours, with a
trace in the run folder · 130 stopped by Ctrl-C · 143 by SIGTERM. Nothing heavy is imported before a command
needs it.
"""

import signal
import sys
import traceback
from typing import Annotated, Any, NoReturn

import typer

from mlc import __version__
from mlc.atomic import refusal
from mlc.cli import runs, scenarios  # noqa: F401  each registers its commands
from mlc.cli.arguments import app, trace_folders
from mlc.errors import MlcError, Terminated

_USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]
"""An unknown command or option, a wrong value: click's own, or of the copy within newer versions of Typer."""


def _version(value: bool) -> None:
    if value:
        print(f"mlc {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """See the commands."""


def main() -> NoReturn:
    """Run the command line and exit."""
    del trace_folders[1:]
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        code: Any = app(standalone_mode=False)
        if code == 130:  # how newer versions of Typer tell Ctrl-C
            _end(130, "stopped")
        sys.exit(code if isinstance(code, int) else 0)
    except MlcError as error:
        _end(2, str(error), stopped=refusal(error) is not None)
    except _USAGE_ERROR as error:
        error.show()  # type: ignore[attr-defined]
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        _end(130, "stopped")
    except Terminated:
        _end(143, "stopped by SIGTERM")
    except Exception as error:
        reason = refusal(error)
        if reason is not None:
            _end(2, f"files must be readable and writable, however: {reason}{_file_of(error)}")
        _end(3, f"a bug of mlc: {type(error).__name__}: {error}\n{_write_trace()}")
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(signum: int, frame: object) -> NoReturn:
    """Files that are half written are removed on the way out."""
    del signum, frame
    raise Terminated


def _end(code: int, message: str, *, stopped: bool = True) -> NoReturn:
    """Say why a command ends, and what a training that was stopped on its way has left."""
    from mlc.run import Run, what_is_left

    left = what_is_left(Run(trace_folders[-1])) if stopped and len(trace_folders) > 1 else ""
    print("\n".join(line for line in (message, left) if line), file=sys.stderr)
    sys.exit(code)


def _file_of(error: Exception) -> str:
    name = getattr(error, "filename", None)
    return f" ({name})" if name else ""


def _write_trace() -> str:
    trace = f"mlc {__version__} {' '.join(sys.argv[1:])}\n{traceback.format_exc()}"
    path = next(folder for folder in reversed(trace_folders) if folder.is_dir()) / "mlc-error.log"
    try:
        path.write_text(trace, encoding="utf-8")
    except OSError as error:
        return f"{trace}please report it; {path} could not be written: {error.strerror}"
    return f"the trace is in {path}; please report it"
