"""What every benchmark shares: its arguments, its record, and the pages made of it."""

import importlib
import json

import pytest

from scripts import docs_results
from scripts.bench.harness import Record, command, parser
from tests.support.places import ROOT

SHARED = {"harness", "trainings"}
BENCHES = sorted(path.stem for path in (ROOT / "scripts/bench").glob("*.py") if path.stem not in SHARED)


def recorded(out, rows):
    with Record(out, "A title", "What it means.", "A condition.") as record:
        for row in rows:
            record.add("A table", row)


def test_a_record_is_printed_and_written_with_what_made_it(tmp_path, capsys):
    out = tmp_path / "made" / "result.json"
    recorded(out, [{"set": "one", "auroc": 0.5}, {"set": "two", "auroc": {"value": 0.25, "spread": 0.1}}])
    result = json.loads(out.read_text())
    assert {"command", "commit", "date", "versions", "machine"} <= result.keys()
    assert result["note"] == "A condition."
    assert "| two | 0.25 ± 0.10 |" in capsys.readouterr().out
    assert "| two | 0.25 ± 0.10 |" in docs_results.page(result)


def test_a_benchmark_that_is_stopped_leaves_what_it_has(tmp_path):
    out = tmp_path / "result.json"

    def rows():
        yield {"set": "one"}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recorded(out, rows())
    result = json.loads(out.read_text())
    assert result["tables"][0]["rows"] == [{"set": "one"}]
    assert "was stopped" in result["note"]


def test_the_command_is_the_one_to_type_without_the_file_it_writes(monkeypatch):
    monkeypatch.delenv("MLC_DATA", raising=False)
    monkeypatch.setattr("sys.argv", ["/x/scripts/bench/quality.py", "--seeds", "3", "--out", "a.json"])
    assert command() == "python -m scripts.bench.quality --seeds 3"


@pytest.mark.parametrize("name", BENCHES)
def test_each_benchmark_is_a_module_with_the_shared_options(name, monkeypatch, capsys):
    module = importlib.import_module(f"scripts.bench.{name}")
    monkeypatch.setattr("sys.argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit) as stopped:
        module.main()
    assert stopped.value.code == 0
    assert "--out FILE" in capsys.readouterr().out
    assert parser(module.__doc__).description
