"""`mlc` and `python -m mlc`."""

import signal
from typing import NoReturn


def main() -> NoReturn:
    """Load and run the command line; Ctrl-C ends the loading at once, without a trace."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from mlc.cli import main as run

    run()


if __name__ == "__main__":
    main()
