"""`mlc compare`: paired differences on what two runs share."""

import json
import shutil
import subprocess
import sys
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from mlc.commands.compare import compare
from mlc.errors import RunError
from mlc.evaluation.metrics import label_differences, macro_differences
from mlc.run import RunFolder
from mlc.tables import CUTOFF, ENTITY_ID, SCORES, SPLIT, TARGETS, array_column, with_class_names

NAME = "departments_28d"


def test_the_mean_over_labels_is_the_macro_difference():
    generator = np.random.default_rng(1)
    scores, baseline = generator.random((2, 200, 3))
    targets = (generator.random((200, 3)) < scores).astype(np.uint8)
    entities = np.arange(200)
    each = label_differences(scores, baseline, targets, entities)
    whole = macro_differences(scores, {"baseline": baseline}, targets, entities)["baseline"]
    for name in ("auroc", "ap", "log_loss"):
        values = [label[name].value for label in each]
        assert whole[name].value == pytest.approx(np.mean(np.array(values, float)))


@pytest.fixture
def changed(trained, tmp_path):
    """Makes a copy of the run, its tables changed by functions: `changed("b", predictions=…)`."""

    def make(name, *, class_names=None, **changes):
        run = RunFolder(tmp_path / "runs" / name)
        run.folder.mkdir(parents=True)
        for file in ("run.json", "report.json", "examples.parquet", "predictions.parquet"):
            shutil.copy(trained / NAME / file, run / file)
        metadata = with_class_names(class_names or labels_of(run))
        for table, change in {"predictions": lambda t: t, **changes}.items():
            change(pl.read_parquet(run / f"{table}.parquet")).write_parquet(
                run / f"{table}.parquet", metadata=metadata
            )
        return run

    return make


def labels_of(run):
    return json.loads(pl.read_parquet_metadata(run / "predictions.parquet")["class_names"])


def test_a_run_against_itself_is_equal_in_every_label(trained):
    run = RunFolder(trained / NAME)
    found = compare(run, run)
    assert found["left_out"] == []
    assert found["examples"] == json.loads((run / "report.json").read_text())["splits"]["test"]["examples"]
    macro = json.loads((run / "report.json").read_text())["splits"]["test"]["judged"]
    assert found["macro"]["ap"]["first"] == pytest.approx(macro["ap"])
    for entry in (found["macro"], *found["labels"]):
        for score in ("auroc", "ap", "log_loss"):
            if entry[score]["outcome"] == "undecided":
                assert entry["not_judged"]
                continue
            assert entry[score]["outcome"] == "equal"
            assert [entry[score][key] for key in ("value", "low", "high")] == [0.0, 0.0, 0.0]


def test_a_label_that_won_and_one_that_lost_are_called_so(trained, changed):
    """The second knows the first label's targets, and the wrong way round the second's."""
    targets = pl.read_parquet(trained / NAME / "examples.parquet")[TARGETS].to_numpy()

    def oracle(table):
        scores = table[SCORES].to_numpy().copy()
        scores[:, 0] = 0.1 + 0.8 * (targets[:, 0] == 1)
        scores[:, 1] = 0.9 - 0.8 * (targets[:, 1] == 1)
        return table.with_columns(array_column(SCORES, scores))

    found = compare(RunFolder(trained / NAME), changed("b", predictions=oracle))
    first, second = found["labels"][:2]
    assert {first[score]["outcome"] for score in ("auroc", "ap", "log_loss")} == {"better"}
    assert {second[score]["outcome"] for score in ("auroc", "ap", "log_loss")} == {"worse"}
    assert first["log_loss"]["high"] < 0 < first["ap"]["low"]
    assert first["ap"]["second"] == 1.0
    assert {label["ap"]["outcome"] for label in found["labels"][2:]} <= {"equal", "undecided"}


def test_rows_in_another_order_and_labels_in_another_order_change_nothing(trained, changed):
    names = labels_of(RunFolder(trained / NAME))

    def turned(table):
        columns = [name for name in (TARGETS, SCORES) if name in table.columns]
        turned = [array_column(name, table[name].to_numpy()[:, ::-1]) for name in columns]
        return table.with_columns(turned).sample(fraction=1.0, shuffle=True, seed=1)

    other = changed("b", class_names=names[::-1], predictions=turned, examples=turned)
    found = compare(RunFolder(trained / NAME), other)
    assert [label["name"] for label in found["labels"]] == names
    assert found["macro"]["ap"]["value"] == pytest.approx(0.0)
    assert found["left_out"] == []


def test_what_is_not_shared_is_left_out_and_said(trained, changed):
    names = labels_of(RunFolder(trained / NAME))

    def half(table):
        return table.filter((pl.col(SPLIT) != "test") | (pl.int_range(pl.len()) % 2 == 0))

    def other_rule(table):
        targets = table[TARGETS].to_numpy().copy()
        targets[:, 1] = 1 - targets[:, 1]
        targets[:, 2] = 255
        return half(table.with_columns(array_column(TARGETS, targets)))

    other = changed("b", class_names=["Other", *names[1:]], predictions=half, examples=other_rule)
    found = compare(RunFolder(trained / NAME), other)
    whole = json.loads((trained / NAME / "report.json").read_text())["splits"]["test"]["examples"]
    left = whole - found["examples"]
    assert 0 < left < whole
    assert found["left_out"] == [
        f"{left} of {whole} test examples only in {NAME}",
        f"label {names[0]}: only in {NAME}",
        "label Other: only in b",
        f"label {names[1]}: its targets differ in {found['examples']} of {found['examples']} examples "
        f"(another window, rule or table)",
    ]
    assert [label["name"] for label in found["labels"]] == names[2:]
    assert found["labels"][0]["ap"]["outcome"] == "undefined"
    assert found["labels"][0]["log_loss"]["first"] is None


def later(table):
    return table.with_columns(pl.col(CUTOFF) + timedelta(days=7))


def numbered(table):
    return table.with_columns(pl.int_range(pl.len()).alias(ENTITY_ID))


@pytest.mark.parametrize(
    ("changes", "class_names", "complaint"),
    [
        ({"predictions": later, "examples": later}, None, "the runs share no test example: "),
        ({"predictions": numbered, "examples": numbered}, None, "the entities of the runs are of two types"),
        ({}, [f"x{index}" for index in range(12)], "the runs share no label: "),
        (
            {"predictions": lambda table: table.drop(SCORES)},
            None,
            "predictions.parquet: not as mlc train",
        ),
    ],
)
def test_runs_that_share_nothing_are_refused(trained, changed, changes, class_names, complaint):
    other = changed("b", class_names=class_names, **changes)
    with pytest.raises(RunError, match=complaint):
        compare(RunFolder(trained / NAME), other)


def test_the_command_prints_text_markdown_and_json(trained, mlc, changed):
    run, other = trained / NAME, changed("b")
    text = mlc("compare", run, other.folder)
    assert text.code == 0, text.err
    assert text.out.startswith(f"b is equal to {NAME} in macro AP within ±0.005: ")
    assert max(map(len, text.out.splitlines())) <= 120
    assert (
        "| label | support | by AP | AP | AUROC | log-loss |" in mlc("compare", run, other.folder, "--md").out
    )
    found = json.loads(mlc("compare", run, other.folder, "--json").out)
    assert found == compare(RunFolder(run), other)
    assert mlc("compare", run, other.folder, "--json", "--md").code == 2


def test_comparing_does_not_load_torch():
    code = "import sys, mlc.commands.compare; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
