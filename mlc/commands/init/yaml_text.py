"""Texts that are safe in the YAML that `mlc init` writes."""

import json
import re

_WORDS = {"null", "true", "false", "yes", "no", "on", "off"}


def scalar(text: str) -> str:
    """Return a text as YAML, quoted where it could be read as something else."""
    if re.fullmatch(r"(\.\./)*[A-Za-z_][\w./-]*( [\w./&-]+)*", text, re.ASCII) and text.lower() not in _WORDS:
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())


def one_line(text: str) -> str:
    """Return a text for a comment, which must not end before its line does."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
