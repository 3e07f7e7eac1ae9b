"""docs/cli.md says what the commands are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from orze.cli.app import COMMANDS, load
from orze.cli.manual import EXAMPLES, page

PAGE = Path(__file__).parents[3] / "docs" / "cli.md"


def test_the_page_is_what_the_commands_say():
    same = PAGE.read_text() == page()
    assert same, "docs/cli.md is out of date: python -m orze.cli.manual > docs/cli.md"


def test_every_command_has_an_example():
    assert set(EXAMPLES) == {entry.name for entry in COMMANDS}


@pytest.mark.parametrize("entry", [one for one in COMMANDS if not one.passes_on], ids=lambda one: one.name)
def test_the_options_of_the_examples_exist(entry):
    command = load(entry)
    known = {name for option in command.params for name in [*option.opts, *option.secondary_opts]}
    for example in EXAMPLES[entry.name]:
        own = example.partition(f"orze {entry.name}")[2].partition(")")[0].partition("&&")[0]
        used = {word for word in shlex.split(own) if re.match(r"--?[a-z]", word)}
        assert used <= known | {"-c"}, example


def test_every_option_that_takes_a_value_says_which():
    for entry in (one for one in COMMANDS if not one.passes_on):
        command = load(entry)
        for one in (command, *getattr(command, "commands", {}).values()):
            options = [option for option in one.params if option.param_type_name == "option"]
            assert [option.name for option in options if not (option.is_flag or option.metavar)] == []


def test_the_page_fits_and_shows_nothing_of_rich_or_python():
    for line in page().splitlines():
        assert len(line) <= 110 or line.startswith("|"), line
    assert not re.search(r"<(?:list|str|class)|\[/?(?:red|bold)\]|\bArgs:", page())
