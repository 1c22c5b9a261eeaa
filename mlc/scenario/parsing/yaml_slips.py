"""Common slips in YAML, and what to write instead."""

import re

_GLUED = re.compile(r"\s*(?:- )?([A-Za-z_][\w.-]*):(?![\s/\\]|$)(.*)")
_HALF_QUOTED = re.compile(r"""[\w.-]+: ((["'])[^"']*\2\s*[^\s,\]}#][^,}]*)""")
_SPECIAL = re.compile(r"(?:^|[:,\[{-] )\s*([@`%*&!|>][^\s,\]}]*)")


def slip(text: str, begun: int, index: int, reason: str) -> tuple[int, str] | None:
    """Where a mistake is and what to write instead.

    It is None where it is none of the common ones.

    Args:
        text: The whole file.
        begun: Where the parser began to read what it could not finish.
        index: Where it gave up.
        reason: Why, in its words.
    """
    start, line = _line(text, index)
    before = text[start:index]
    opened = text[begun : begun + 1]
    if text[index - 1 : index + 1] == "${":
        return index, 'quote a value with ${…} inside braces: "${NAME}/…"'
    if text[index : index + 1] == "\t" or "\t" in line[: len(line) - len(line.lstrip())]:
        return index, "a value or an indentation begins with a tab; use spaces"
    if text[index - 1 : index] == "\\" and '"' in before:
        return index, "a backslash between double quotes begins an escape; use single quotes, or / in paths"
    if opened in ("'", '"') and not text[index:].strip():
        return begun, f"the quote {opened} that begins here is never closed"
    for place in (begun, index):
        first, whole = _line(text, place)
        if rule := _unfinished(whole):
            return first, rule
    if text[index : index + 1] == ":" and re.search(r":\s", before):
        return index, "quote a value that contains a colon and a space"
    special = _SPECIAL.search(line)
    if special and start + special.start(1) <= index <= start + special.end(1):
        return index, f"quote a value that begins with {special[1][0]}: '{special[1]}'"
    value = _HALF_QUOTED.search(line)
    if value:
        mark = '"' if value[2] == "'" else "'"
        return index, f"quote the whole value: {mark}{value[1].strip()}{mark}"
    if opened in ("[", "{") and _line(text, begun)[0] != start:
        return begun, f"the {opened} that begins here is never closed"
    if "<block end>" in reason:
        return index, "the line must be indented like those it belongs with"
    return None


def _unfinished(line: str) -> str:
    """What a line lacks to be a field or an item of a list."""
    if glued := _GLUED.fullmatch(line):
        return f"put a space after the colon: {glued[1]}: {glued[2]}"
    if dashed := re.fullmatch(r"\s*-([^\s-].*)", line):
        return f"put a space after the dash: - {dashed[1]}"
    if word := re.fullmatch(r"\s*([A-Za-z_]+)\s*", line):
        return f"put a colon after {word[1]}"
    return ""


def _line(text: str, index: int) -> tuple[int, str]:
    """Where the line around a character begins, and the line."""
    start = text.rfind("\n", 0, index) + 1
    end = text.find("\n", index)
    return start, text[start : end if end >= 0 else len(text)]
