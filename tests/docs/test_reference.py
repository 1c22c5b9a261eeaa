"""The reference pages that are made from the code."""

import re
from pathlib import Path

import pytest

from mlc.scenario import scenario_schema
from scripts import docs_reference

PAGES = docs_reference.pages()


def test_the_reference_names_every_field_without_python_in_it():
    text = "\n".join(PAGES.values())
    schema = scenario_schema()
    for definition in schema["definitions"].values():
        assert all(f"**`{field}`**" in text for field in definition["properties"] if field != "kind")
    scenario_pages = "\n".join(PAGES[f"{name}.md"] for name in docs_reference.SCENARIO_PAGES)
    assert not re.search(r"None|True|False|Annotated|<class|\{'", scenario_pages)


def test_the_reference_shows_every_option_as_it_is_typed():
    text = PAGES["commands.md"]
    assert "`--set KEY=VALUE`" in text
    assert "`--split train|validation|test`" in text
    assert "--override" not in text


def test_the_reference_shows_the_python_api_as_it_is_called():
    text = PAGES["python.md"]
    assert "open_run(run: str | Path, runs: str | Path = 'runs') -> Run" in text
    assert "### Run.predict" in text
    assert "    *,\n    tables: Mapping[str, Any] | None = None," in text
    assert "- `as_of`: " in text


def test_the_reference_lists_an_object_that_comes_again_once():
    lines = PAGES["report.md"].splitlines()
    assert "- `comparison.log_loss`: Same fields as `comparison.ap`." in lines
    assert sum(line.startswith("- `splits.*.labels[].auroc` ") for line in lines) == 1


@pytest.mark.parametrize("name", PAGES)
def test_the_reference_is_not_stale(name):
    page = docs_reference.FOLDER / name
    assert page.read_text(encoding="utf-8") == PAGES[name], "python -m scripts.docs_reference --write"


def test_a_stale_page_is_reported_and_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(docs_reference, "FOLDER", tmp_path / "reference")

    def code(argument: str) -> int:
        monkeypatch.setattr("sys.argv", ["docs_reference.py", argument])
        return docs_reference.main()

    assert code("--check") == 1
    assert "stale: scenario.md" in capsys.readouterr().err
    assert (code("--write"), code("--check")) == (0, 0)
    assert {Path(name).name for name in PAGES} == {path.name for path in tmp_path.rglob("*.md")}
