"""Help: commands in the order of the work, summaries that are never cut, examples that work."""

import re
import shlex

import pytest
import typer

from mlc.cli.arguments import app
from mlc.cli.endings import NEXT

GROUPS = {
    "Start": ["demo", "init"],
    "Look": ["check", "compile", "labels", "schema"],
    "Train": ["pretrain", "train"],
    "Judge": ["evaluate", "compare", "runs", "thresholds"],
    "Use": ["predict", "embed", "export"],
}
COMMANDS = typer.main.get_group(app).commands
SUMMARIES = {name: (command.help or "").partition("\n")[0] for name, command in COMMANDS.items()}
VERBS = {"Build", "Check", "Choose", "Compare", "Evaluate", "List", "Print", "Show", "Train", "Write"}


def parse(line):
    """Parse a command line as the program does, without running it."""
    program, name, *arguments = shlex.split(line.partition(" > ")[0])
    assert program == "mlc"
    COMMANDS[name].make_context(name, arguments)


def test_the_commands_stand_in_groups_in_the_order_of_the_work(mlc):
    _, *sections = re.split(r"\n(\w+):\n", mlc("--help").out)
    listed = dict(zip(sections[::2], sections[1::2], strict=True))
    del listed["Options"]
    found = {group: re.findall(r"^  (\w+) ", text, re.MULTILINE) for group, text in listed.items()}
    assert found == GROUPS
    assert list(found) == list(GROUPS)
    assert set(COMMANDS) == {name for names in GROUPS.values() for name in names}


@pytest.mark.parametrize("summary", SUMMARIES.values())
def test_a_summary_begins_with_a_verb_and_is_short(summary):
    assert summary.split()[0] in VERBS
    assert len(summary) <= 45
    assert summary.endswith(".")


def test_no_summary_is_cut_or_wrapped_at_60_columns(mlc, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    lines = mlc("--help").out.splitlines()
    assert max(map(len, lines)) <= 60
    for name, summary in SUMMARIES.items():
        assert f"  {name:<10}  {summary}" in lines


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_ends_with_an_example_that_can_be_parsed(name, mlc):
    example = mlc(name, "--help").out.rstrip().splitlines()[-1]
    assert example.startswith(f"  Example: mlc {name}")
    parse(example.removeprefix("  Example: "))


@pytest.mark.parametrize("ending", NEXT)
def test_the_command_that_an_ending_names_can_be_parsed(ending):
    names = dict.fromkeys(["scenario", "run", "thresholds"], "x")
    parse(NEXT[ending].format(**names))


def test_every_command_has_an_ending():
    assert {ending.partition(",")[0] for ending in NEXT} == COMMANDS.keys()
