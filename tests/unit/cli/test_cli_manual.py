"""docs/cli.md and docs/revis-cli.md say what the commands are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from orze.cli.manual import MANUAL as ORZE
from orze.cli.manual import Manual
from orze.cli.revis.manual import MANUAL as REVIS
from orze.cli.table import Entry

DOCS = Path(__file__).parents[3] / "docs"
PAGES = [
    pytest.param(ORZE, "cli.md", "orze.cli.manual", id="orze"),
    pytest.param(REVIS, "revis-cli.md", "orze.cli.revis.manual", id="revis"),
]
MANUALS = [pytest.param(manual, id=manual.program.name) for manual in (ORZE, REVIS)]
COMMANDS = [
    pytest.param(manual, entry, id=f"{manual.program.name}-{entry.name}")
    for manual in (ORZE, REVIS)
    for entry in manual.program.entries
    if not entry.passes_on
]


@pytest.mark.parametrize(("manual", "name", "module"), PAGES)
def test_the_page_is_what_the_commands_say(manual: Manual, name: str, module: str):
    same = (DOCS / name).read_text() == manual.page()
    assert same, f"docs/{name} is out of date: python -m {module} > docs/{name}"


@pytest.mark.parametrize("manual", MANUALS)
def test_every_command_has_an_example(manual: Manual):
    assert set(manual.examples) == {entry.name for entry in manual.program.entries}


@pytest.mark.parametrize(("manual", "entry"), COMMANDS)
def test_the_options_of_the_examples_exist(manual: Manual, entry: Entry):
    command = manual.program.load(entry)
    known = {name for option in command.params for name in [*option.opts, *option.secondary_opts]}
    for example in manual.examples[entry.name]:
        call = f"{manual.program.name} {entry.name}"
        own = example.partition(call)[2].partition(")")[0].partition("&&")[0]
        used = {word for word in shlex.split(own) if re.match(r"--?[a-z]", word)}
        assert used <= known | {"-c"}, example


@pytest.mark.parametrize(("manual", "entry"), COMMANDS)
def test_every_option_that_takes_a_value_says_which(manual: Manual, entry: Entry):
    command = manual.program.load(entry)
    for one in (command, *getattr(command, "commands", {}).values()):
        options = [option for option in one.params if option.param_type_name == "option"]
        assert [option.name for option in options if not (option.is_flag or option.metavar)] == []


@pytest.mark.parametrize("manual", MANUALS)
def test_the_page_fits_and_shows_nothing_of_rich_or_python(manual: Manual):
    for line in manual.page().splitlines():
        assert len(line) <= 110 or line.startswith("|"), line
    assert not re.search(r"<(?:list|str|class)|\[/?(?:red|bold)\]|\bArgs:", manual.page())
