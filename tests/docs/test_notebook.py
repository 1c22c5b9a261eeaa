"""The notebook of the documentation: its cells run in order, and it is stored without results."""

import json

from tests.support.places import ROOT

NOTEBOOK = ROOT / "docs" / "howto" / "notebooks.ipynb"


def cells() -> list[dict[str, object]]:
    read: list[dict[str, object]] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return read


def test_the_cells_of_the_notebook_run_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for cell in cells():
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), NOTEBOOK.name, "exec"), names)  # type: ignore[arg-type]
    assert str(names["message"]).startswith("entities: 1 have no history at the cutoff: nobody")
    assert (tmp_path / "shop" / "runs" / "departments_28d" / "report.html").exists()


def test_the_notebook_holds_no_results():
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells())
