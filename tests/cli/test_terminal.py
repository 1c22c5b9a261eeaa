"""What commands print: it fits any width, and only a terminal gets colours."""

import io
import json
import re

import pytest

from mlc.cli.terminal import print_sections
from mlc.drawing.sections import Code, Notes, Section, Table
from mlc.report import Report, report_sections, summary_sections
from tests.support.reports import as_text

NAME = "departments_28d"
CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


@pytest.fixture(scope="module")
def report(trained):
    return json.loads((trained / NAME / "report.json").read_text())


class Terminal(io.StringIO):
    """A file that says it is a terminal."""

    def isatty(self):
        return True


@pytest.mark.parametrize("width", [60, 80, 100, 120])
@pytest.mark.parametrize("full", [False, True])
def test_every_line_fits_the_width_and_no_number_is_cut(report, width, full):
    lines = as_text(report, width, full=full).splitlines()
    assert max(map(len, lines)) <= width
    assert not [line for line in lines if re.search(r"[\d.]…", line)]


def test_the_summary_is_one_screen_with_verdict_baselines_and_a_row_for_each_label(report):
    file = io.StringIO()
    print_sections(summary_sections(Report.from_json(report)), file, 80)
    lines = file.getvalue().splitlines()
    assert len(lines) <= 40
    verdicts = "WORSE than|Better than|Equal to|No detectable difference from"
    assert re.match(f"({verdicts}) the best baseline, ", lines[0])
    rows = {line.split("  ")[1]: line for line in lines if line.startswith("  ")}
    for name in ("model", *report["baselines"]):
        assert name in rows
    for label in report["splits"]["test"]["labels"]:
        assert rows[label["name"]].rstrip().endswith(("trusted", "weak", "not evaluable"))


def test_many_warnings_are_one_line_that_names_some_labels(report):
    labels = report["splits"]["test"]["labels"]
    noted = [{**label, "threshold_note": "few positives"} for label in labels]
    warnings = [*(f"threshold of {label['name']}: few positives" for label in labels), "drop_all_negative"]
    splits = {**report["splits"], "test": {**report["splits"]["test"], "labels": noted}}
    text = as_text({**report, "splits": splits, "warnings": warnings}, 200, full=False)
    names = ", ".join(label["name"] for label in labels[:3])
    count = len(labels)
    assert (
        f"{count + 1} warnings: on the thresholds of {names} and {count - 3} more; 1 on other things. "
        "--full shows them"
    ) in text
    assert text.count("few positives") == 0


def test_of_many_labels_the_most_frequent_are_on_the_screen(report):
    label = report["splits"]["test"]["labels"][0]
    many = [{**label, "name": f"label {k}", "support": k} for k in range(50)]
    splits = {**report["splits"], "test": {**report["splits"]["test"], "labels": many}}
    trust = {**report["trust"], "trusted": [one["name"] for one in many], "weak": [], "not_evaluable": []}
    text = as_text({**report, "splits": splits, "trust": trust}, full=False)
    assert "label 49 " in text
    assert "label 29 " not in text
    assert "Test: each label at its threshold, the 20 most frequent of 50." in text


def test_a_terminal_gets_colours_and_a_pipe_or_no_color_none(report, monkeypatch):
    sections = report_sections(Report.from_json(report))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured, pipe, plain = Terminal(), io.StringIO(), Terminal()
    print_sections(sections, coloured, 80)
    print_sections(sections, pipe, 80)
    monkeypatch.setenv("NO_COLOR", "1")
    print_sections(sections, plain, 80)
    assert "\x1b[" in coloured.getvalue()
    assert not CONTROLS.search(pipe.getvalue())
    assert plain.getvalue() == pipe.getvalue()


def test_control_characters_of_names_are_written_out_wherever_they_are():
    evil = "\x1b[2Jx\ny"
    table = Table((evil, ""), [(evil, evil)])
    file = Terminal()
    print_sections([Section(evil, evil, [table, Notes([evil]), Code("\x1b[2J")])], file, 80)
    shown = re.sub(r"\x1b\[[\d;]*m", "", file.getvalue())
    assert not CONTROLS.search(shown)
    assert shown.count(r"\u001b[2Jx y") == 6


def test_train_ends_with_the_page_and_one_next_command(mlc, demo):
    nano = ("--set", "model.preset=nano", "--set", "train.epochs=1", "--set", "examples.train_cutoffs=2")
    more = ("--set", "baselines=[recency]", "--set", "target.allow_empty=true")
    result = mlc("train", demo / f"{NAME}.yaml", *nano, *more)
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert lines[0].startswith("Which of 12 departments will each customer buy from in the 28")
    assert lines[-1] == f"runs/{NAME}/report.html"
    assert result.err.splitlines()[-1] == f"Next: mlc predict {NAME} --out scores.parquet"
    assert len(lines) <= 45
    assert not CONTROLS.search(result.out)
    quiet = mlc("train", demo / f"{NAME}.yaml", *nano, *more, "--overwrite", "--quiet")
    assert (quiet.code, quiet.out, quiet.err) == (0, f"runs/{NAME}/report.html\n", "")


def test_evaluate_prints_a_screen_or_everything(trained, mlc):
    short = mlc("evaluate", NAME, "--runs-dir", trained)
    full = mlc("evaluate", NAME, "--runs-dir", trained, "--full")
    assert "Which of 12 departments" in short.out
    assert "lift among the highest scores" not in short.out
    assert "lift among the highest scores" in full.out
