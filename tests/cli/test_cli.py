"""The door: what it loads, what it prints, how it ends."""

import json
import subprocess
import sys

import pytest

from mlc.cli.arguments import app


def test_help_loads_neither_torch_nor_polars():
    code = (
        "import sys; sys.argv = ['mlc', '--help']\n"
        "from mlc.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'polars', 'numpy', 'pydantic', 'pytorch_lightning', 'yaml'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Usage: mlc" in found.stdout


@pytest.mark.parametrize("heavy", ["torch", "pytorch_lightning"])
@pytest.mark.parametrize("module", ["mlc.commands.check", "mlc.events.preparing", "mlc.demo"])
def test_events_do_not_load_models(module, heavy):
    code = f"import sys, {module}; assert {heavy!r} not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("module", ["encoders", "branches.history", "losses", "reading.batch"])
def test_the_network_does_not_load_polars(module):
    subprocess.run(
        [sys.executable, "-c", f"import sys, mlc.models.{module}; assert 'polars' not in sys.modules"],
        check=True,
    )


@pytest.mark.parametrize("command", ["compare", "thresholds", "predict", "labels", "train"])
def test_what_a_command_loads_before_it_knows_that_it_needs_more_is_light(command):
    heavy = {"torch", "pytorch_lightning", "sklearn", "scipy.stats", "lightgbm"}
    code = f"import sys, mlc.commands.{command}; print(sorted({heavy!r} & sys.modules.keys()))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


@pytest.mark.parametrize("command", ["evaluate", "embed"])
def test_scoring_loads_torch_without_its_compiler_and_without_lightning(command):
    heavy = {"pytorch_lightning", "torch._dynamo", "torchmetrics", "sklearn", "scipy.stats", "lightgbm"}
    code = (
        f"import sys, mlc.models.model, mlc.commands.{command}; print(sorted({heavy!r} & sys.modules.keys()))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


@pytest.mark.parametrize("arguments", [("predict", "nowhere"), ("evaluate", "x", "--set", "train.epochs=1")])
def test_a_mistake_that_needs_no_table_is_reported_before_anything_heavy_is_loaded(arguments, tmp_path):
    code = (
        f"import sys; sys.argv = ['mlc', *{arguments!r}]\n"
        "from mlc.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: code = end.code\n"
        "print(code, sorted({'torch', 'polars'} & sys.modules.keys()))"
    )
    printed = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=tmp_path)
    assert printed == "2 []\n"


def test_every_command_has_help(mlc):
    for command in app.registered_commands:
        assert command.callback is not None
        assert mlc(command.callback.__name__, "--help").code == 0


def test_the_version_is_that_of_the_package(mlc):
    assert mlc("--version").out.startswith("mlc 0.")


def test_the_next_command_after_schema_checks_the_scenario_of_this_folder(mlc, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert mlc("schema").err == "Next: mlc check scenario.yaml\n"
    (tmp_path / "shop.yaml").touch()
    assert mlc("schema").err == "Next: mlc check shop.yaml\n"
    assert mlc("schema", "--report").err == "Next: mlc runs\n"


def test_schema_prints_the_schema_that_the_demo_lies_beside(mlc, tmp_path):
    printed = json.loads(mlc("schema").out)
    assert printed["$schema"].startswith("http://json-schema.org/draft-07")
    assert mlc("demo", "shop", "--customers", 20).code == 0
    assert json.loads((tmp_path / "shop" / "schema.json").read_text()) == printed


def test_demo_prints_the_scenarios_that_it_wrote(mlc, tmp_path):
    listed = mlc("demo", "shop", "--customers", 20).out.split()
    assert [(tmp_path / path).name for path in listed] == ["departments_28d.yaml", "categories_28d.yaml"]


def test_check_says_joins_examples_positives_and_memory(mlc, demo):
    result = mlc("check", demo / "departments_28d.yaml")
    assert result.code == 0
    for part in ("no errors", "join transactions → articles", "kept ", "Men's Wear", "memory: ", "warning: "):
        assert part in result.out


def test_check_as_json_gives_the_same_counts_as_labels(mlc, demo):
    checked = json.loads(mlc("check", demo / "departments_28d.yaml", "--json").out)
    assert checked["ok"]
    listed = mlc("labels", demo / "departments_28d.yaml")
    assert listed.code == 0
    for split in checked["splits"]:
        assert f"{split['examples']:,}" in listed.out
        assert f"{split['positives'][0]:,} " in listed.out


def test_labels_writes_the_examples_and_says_what_was_left_out(mlc, demo, tmp_path):
    import polars as pl

    result = mlc("labels", demo / "departments_28d.yaml", "--out", "examples.parquet")
    examples = pl.read_parquet(tmp_path / "examples.parquet")
    assert examples.columns == ["entity_id", "cutoff", "split", "targets"]
    assert f"{examples.height:,}  without history" in result.out
    assert (
        json.loads(pl.read_parquet_metadata(tmp_path / "examples.parquet")["class_names"])[0] == "Food, Fresh"
    )
