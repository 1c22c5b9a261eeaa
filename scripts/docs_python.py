"""The pages on Python: the API from its docstrings, the notebook from its cells; see `docs_reference.py`."""

import inspect
import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import mlc

SECTIONS = ("Args", "Attributes", "Returns", "Raises", "Examples")
WIDTH = 100


def wrapped(text: str, indent: str = "") -> str:
    """Return a paragraph or a list item in lines of at most `WIDTH`; links and long words stay whole."""
    return textwrap.fill(
        text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def python_lines() -> Iterator[str]:
    """Yield a section for each public name of `mlc`: the functions as they are written, then the classes."""
    public: list[Any] = [getattr(mlc, name) for name in mlc.__all__ if not name.startswith("__")]
    functions = sorted(filter(inspect.isfunction, public), key=lambda one: inspect.getsourcelines(one)[1])
    ordered: list[Any] = [*functions, *filter(inspect.isclass, public)]
    for value in ordered:
        yield from (f"## mlc.{value.__name__}", "")
        yield from described(value)
        if inspect.isclass(value):
            for member, one in public_members(value):
                yield from (f"### {value.__name__}.{member}", "")
                yield from described(one)


def notebook_lines(path: Path) -> Iterator[str]:
    """Yield the cells of a notebook after its title, as Markdown."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    for cell in cells:
        text = "".join(cell["source"]).strip()
        if cell["cell_type"] == "code":
            yield from ("```python", text, "```", "")
            continue
        for paragraph in text.split("\n\n"):
            if not paragraph.startswith("# "):
                yield from (wrapped(" ".join(paragraph.split())), "")


def public_members(owner: type) -> Iterator[tuple[str, Any]]:
    """Yield the public properties and methods that a class defines, in their order."""
    for name, value in vars(owner).items():
        if not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
            yield name, value


def described(value: Any) -> Iterator[str]:
    """Yield the signature of a function and the sections of a docstring, as Markdown."""
    text = inspect.getdoc(value) or ""
    if inspect.isfunction(value):
        yield from ("```text", signature(value), "```", "")
    head, *rest = re.split(rf"^({'|'.join(SECTIONS)}):\n", text, flags=re.MULTILINE)
    yield from (*(wrapped(" ".join(one.split())) + "\n" for one in head.strip().split("\n\n")),)
    for title, body in zip(rest[::2], rest[1::2], strict=True):
        yield from section(title, dedent(body).strip())
        yield ""


def section(title: str, body: str) -> Iterator[str]:
    """Yield one section of a docstring."""
    if title == "Examples":
        yield from ("```text", body, "```")
    elif title == "Returns":
        yield wrapped(f"Returns: {' '.join(body.split())}")
    else:
        lead = "Raises " if title == "Raises" else ""
        for name, text in re.findall(r"^([\w*]+)(?: \([^)]*\))?: (.*(?:\n +.*)*)", body, re.MULTILINE):
            yield wrapped(f"- {lead}`{name}`: {' '.join(text.split())}", indent="  ")


def signature(function: Any) -> str:
    """Return a signature without `self` and the modules of its types, a line per argument if it is long."""
    given = inspect.signature(function)
    arguments: list[str] = []
    for one in given.parameters.values():
        if one.kind is one.KEYWORD_ONLY and "*" not in arguments:
            arguments.append("*")
        if one.name != "self":
            arguments.append(_plain(str(one)))
    result = (
        ""
        if given.return_annotation is Any
        else f" -> {_plain(str(inspect.formatannotation(given.return_annotation)))}"
    )
    line = f"{function.__name__}({', '.join(arguments)}){result}"
    if len(line) <= WIDTH:
        return line
    return "\n".join([f"{function.__name__}(", *(f"    {one}," for one in arguments), f"){result}"])


def _plain(annotation: str) -> str:
    """Return an annotation without modules and quotes around names."""
    return re.sub(r"'([A-Z]\w*)'", r"\1", re.sub(r"'?\b(?:[a-z]\w*\.)+(\w+)'?", r"\1", annotation))
