"""Write the pages under docs/results, and the table in README.md, from docs/results/*.json.

    python -m scripts.docs_results --write    write the pages and the table
    python -m scripts.docs_results --check    exit with 1 when one is stale

A result has `title`, `lead`, `command`, `commit`, `date`, `versions`, `machine`, perhaps a `note`, and
`tables`: each a title and rows of named cells. A cell is a number, a text, null, or a number with its
`spread`, or with the `low` and `high` end of its interval.
"""

import json
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from scripts.docs_pages import write_or_check

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "results"
README = ROOT / "README.md"
NOTICE = "<!-- Made by scripts/docs_results.py from the JSON file of the same name. -->"
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
WORDS = {"auroc": "AUROC", "ap": "AP", "f1": "F1", "avx2": "AVX2", "zen4": "Zen 4", "duckdb": "DuckDB"}

Row = dict[str, Any]


def load() -> dict[str, Any]:
    """Return name → result, in alphabetical order."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}


def pages(results: dict[str, Any]) -> dict[Path, str]:
    """Return path → text of everything that is made from the results."""
    made = {FOLDER / f"{name}.md": page(result) for name, result in results.items()}
    made[FOLDER / "index.md"] = index(results)
    made[README] = between_marks(
        README.read_text(encoding="utf-8"), "\n".join(readme_table(results["quality"]))
    )
    return made


def page(result: dict[str, Any]) -> str:
    """Return the page of one result."""
    lines = [f"# {result['title']}", "", NOTICE, "", _wrapped(result["lead"]), ""]
    for one in result["tables"]:
        lines += [f"## {one['title']}", "", *table(one["rows"]), ""]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    facts = {"Commit": f"`{result['commit'][:12]}`, {result['date']}", "Versions": versions}
    lines += ["## How it was measured", "", "```text", *_wrapped_code(result["command"]), "```", ""]
    for name, fact in {**facts, "Machine": result["machine"], "Note": result.get("note")}.items():
        if fact:
            lines += [_wrapped(f"- {name}: {fact}", indent="  ")]
    return "\n".join(lines) + "\n"


def index(results: dict[str, Any]) -> str:
    """Return the page that lists the results."""
    lead = (
        "Every figure was printed or written by a script of this repository, which its page names. "
        "The pages are made from the JSON files beside them."
    )
    lines = [
        "# Results",
        "",
        NOTICE.replace(" file of the same name", " files beside it"),
        "",
        _wrapped(lead),
        "",
    ]
    return (
        "\n".join([*lines, *(f"- [{result['title']}]({name}.md)" for name, result in results.items())]) + "\n"
    )


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of a Markdown table of all columns that occur."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    yield f"| {' | '.join(map(heading, columns))} |"
    yield "|" + "|".join("---" if _is_text(rows, name) else "---:" for name in columns) + "|"
    cells = {name: _column([row.get(name) for row in rows], signed="difference" in name) for name in columns}
    for number in range(len(rows)):
        yield f"| {' | '.join(cells[name][number] for name in columns)} |"


def heading(column: str) -> str:
    """Return the words of a column.

    Examples:
        >>> heading("model_ap")
        'model AP'
    """
    return " ".join(WORDS.get(word, word) for word in column.split("_"))


def _is_text(rows: Sequence[Row], name: str) -> bool:
    return any(isinstance(row.get(name), str) for row in rows)


def _column(values: Sequence[Any], signed: bool = False) -> list[str]:
    """Return the cells of a column, its numbers with the same number of decimals."""
    numbers = [number for value in values for number in _numbers(value)]
    digits = max(
        (len(repr(number).partition(".")[2]) for number in numbers if isinstance(number, float)), default=0
    )
    sign = "+" if signed or any(number < 0 for number in numbers) else ""
    return [_cell(value, f"{sign},.{digits}f", f",.{digits}f") for value in values]


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def _cell(value: Any, style: str, plain: str) -> str:
    match value:
        case None:
            return ""
        case {"value": middle, "low": low, "high": high}:
            return f"{middle:{style}} [{low:{style}}, {high:{style}}]"
        case {"value": middle, "spread": spread}:
            return f"{middle:{style}} ± {spread:{plain}}"
        case bool() | str():
            return str(value)
        case _:
            return f"{value:{style}}"


def readme_table(quality: dict[str, Any]) -> Iterator[str]:
    """Yield the summary in the README: the model with a foundation next to boosting and recency."""
    auroc, ap, difference = (
        {row["scenario"]: row for row in one["rows"]} for one in quality["tables"] if "with a" in one["title"]
    )
    yield "| data set | labels | mlc: AUROC / AP | LightGBM | recency | mlc minus LightGBM in AP |"
    yield "|---|---:|---:|---:|---:|---:|"
    for name, row in auroc.items():
        pairs = (
            f"{_middle(row[f'{who}_auroc']):.3f} / {_middle(ap[name][f'{who}_ap']):.3f}"
            for who in ("model", "boosting", "recency")
        )
        gain = _cell(difference[name]["difference_ap"], "+.3f", ".3f")
        yield f"| {name} | {row['labels']} | {' | '.join(pairs)} | {gain} |"
    yield ""
    yield _wrapped(
        "Means over the labels, with a foundation; the interval is a 95 % interval. "
        "Details and conditions: [Quality on five data sets](docs/results/quality.md)."
    )


def _middle(value: Any) -> float:
    return float(value["value"] if isinstance(value, dict) else value)


def between_marks(text: str, table_text: str) -> str:
    """Return the text with another table between its marks."""
    pattern = f"{re.escape(BEGIN)}.*?{re.escape(END)}"
    return re.sub(pattern, lambda _: f"{BEGIN}\n{table_text}\n{END}", text, flags=re.DOTALL)


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(text, 100, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _wrapped_code(command: str) -> list[str]:
    return [line for one in command.split("; ") for line in textwrap.wrap(one, 100, break_on_hyphens=False)]


def main() -> int:
    """Write or check the pages and the table; return the exit code."""
    return write_or_check(__doc__, "python -m scripts.docs_results", pages(load()))


if __name__ == "__main__":
    sys.exit(main())
