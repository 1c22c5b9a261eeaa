"""`python -m mlc`."""

import signal

if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing to tidy while the command line is loaded

    from mlc.cli import main

    main()
