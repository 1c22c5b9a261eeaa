"""The door: parses the command line, calls one step, prints, sets the exit code.

Exit codes: 0 done · 1 a check or a gate failed · 2 something the user can mend · 3 an internal error, with a
trace in the run folder · 130 stopped by Ctrl-C · 143 by SIGTERM · 129 by SIGHUP. Nothing heavy
is imported before a command needs it.
"""

import signal
import sys
import traceback
from typing import Annotated, Any, NoReturn

import typer

from mlc import __version__
from mlc.cli import runs, scenarios  # noqa: F401  each registers its commands
from mlc.cli.arguments import app, show, trace_folders
from mlc.cli.signals import Signals
from mlc.errors import MlcError, Terminated
from mlc.files.atomic import refusal

_USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]
"""An unknown command or option, a wrong value: click's own, or of the copy within newer versions of Typer."""

_RENAMED = {"--explain": "--trace"}


def _version(value: bool) -> None:
    if value:
        show(f"mlc {__version__}")
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
    with Signals() as signals:
        try:
            try:
                signals.raising = True
                code: Any = app(standalone_mode=False)
            finally:
                signals.raising = False  # from here on a signal no longer breaks into what is being said
        except BaseException as error:
            if isinstance(error, SystemExit) and signals.received is None:
                raise
            _end_by(error, signals.received)
        if code == 130:  # how newer versions of Typer tell Ctrl-C
            _end(130, "stopped")
        sys.exit(code if isinstance(code, int) else 0)


def _end_by(error: BaseException, received: int | None) -> NoReturn:
    """Exit as an error demands.

    A signal that arrived counts even where a library made another exception of ours: Polars turns what is
    raised within its callbacks into its own.
    """
    if received == signal.SIGHUP:
        _end(129, "stopped by SIGHUP: the terminal was closed")
    if isinstance(error, Terminated) or received == signal.SIGTERM:
        _end(143, "stopped by SIGTERM")
    if isinstance(error, KeyboardInterrupt | typer.Abort) or received == signal.SIGINT:
        _end(130, "stopped")
    if isinstance(error, MlcError):
        _end(2, str(error), stopped=refusal(error) is not None)
    if isinstance(error, _USAGE_ERROR):
        renamed = _RENAMED.get(getattr(error, "option_name", ""))
        if renamed is not None:
            error.possibilities = [renamed]  # type: ignore[attr-defined]
        error.show()  # type: ignore[attr-defined]
        sys.exit(2)
    reason = refusal(error)
    if reason is not None:
        _end(2, f"cannot read or write a file: {reason}{_file_of(error)}")
    _end(3, f"internal error: {type(error).__name__}: {error}\n{_write_trace(error)}")


def _end(code: int, message: str, *, stopped: bool = True) -> NoReturn:
    """Say why a command ends, and what a stopped training has left."""
    try:
        message = _with_what_is_left(message, stopped)
    except Exception:
        if code not in (129, 130, 143):  # a signal may have cut short the loading of what is needed here
            raise
    show(message, error=True)
    sys.exit(code)


def _with_what_is_left(message: str, stopped: bool) -> str:
    from mlc.run import RunFolder, what_is_left
    from mlc.scenario import without_any_secrets

    left = what_is_left(RunFolder(trace_folders[-1])) if stopped and len(trace_folders) > 1 else ""
    return without_any_secrets("\n".join(line for line in (message, left) if line))


def _file_of(error: BaseException) -> str:
    name = getattr(error, "filename", None)
    return f" ({name})" if name else ""


def _write_trace(error: BaseException) -> str:
    from mlc.scenario import without_any_secrets

    trace = f"mlc {__version__} {' '.join(sys.argv[1:])}\n{''.join(traceback.format_exception(error))}"
    trace = without_any_secrets(trace)
    path = next(folder for folder in reversed(trace_folders) if folder.is_dir()) / "mlc-error.log"
    try:
        path.write_text(trace, encoding="utf-8")
    except OSError as error:
        return f"{trace}please report it; {path} could not be written: {error.strerror}"
    return f"the trace is in {path}; please report it"
