"""Pages that a script makes: written, or checked for being fresh."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path


def write_or_check(description: str | None, command: str, pages: Mapping[Path, str]) -> int:
    """Read `--write` or `--check` from the command line, do it, and return the exit code.

    Args:
        description: What `--help` says.
        command: How the script is run; named where a page is stale.
        pages: Path → text of every page.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--write", action="store_true", help="write the pages")
    choice.add_argument("--check", action="store_true", help="exit with 1 when a page is stale")
    arguments = parser.parse_args()
    stale = {
        path: text
        for path, text in pages.items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    }
    if arguments.check and stale:
        print(f"stale: {', '.join(path.name for path in stale)}", file=sys.stderr)
        print(f"Run: {command} --write", file=sys.stderr)
        return 1
    for path, text in stale.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0
