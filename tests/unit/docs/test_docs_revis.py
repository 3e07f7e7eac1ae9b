"""docs/howto/revis.md and the code name the same things, and what the page shows works."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml
from pages import ROOT, Block, Page
from pydantic import BaseModel

from orze.cli.revis.app import COMMANDS, load
from orze.config.load import load_settings
from orze.config.schema import FieldDoc
from orze.refine.budget import parse_budget
from orze.refine.control import EXIT
from orze.refine.model import Verdict
from orze.refine.settings import FORM, load_revis

HOWTO, CLI = Page("docs/howto/revis.md"), Page("docs/revis-cli.md")
EXAMPLE = Page("examples/revis_digits/README.md")
PAGES = [HOWTO, CLI, EXAMPLE]
KEY = {"OPENAI_API_KEY": "none"}


def written(doc: FieldDoc) -> str:
    """A default of revis.yaml as the page writes it."""
    if doc.required:
        return "required"
    if isinstance(doc.default, BaseModel):
        return "see below"
    if doc.default in ((), {}, None):
        return "none"
    return f"`{doc.default:g}`" if isinstance(doc.default, float) else f"`{doc.default}`"


def test_every_key_of_revis_yaml_and_its_default_is_on_the_page() -> None:
    rows = HOWTO.table("Every key")
    names = [name for (name,) in HOWTO.names("Every key")]
    assert len(names) == len(set(names))
    known = {key: written(doc) for key, doc in FORM.known().items()}
    known["entry"] = "required"  # it may be left out with a farm alone
    assert {name: row[1] for name, row in zip(names, rows, strict=True)} == known
    assert [row[0] for row in rows if not row[2]] == []


def test_the_verdicts_of_the_page_are_those_of_the_code() -> None:
    assert [name for (name,) in HOWTO.names("What is kept, and when")] == [one.value for one in Verdict]


@pytest.mark.parametrize(
    ("page", "heading"), [(HOWTO, "Budgets and ends"), (CLI, "For scripts")], ids=["howto", "cli"]
)
def test_the_exit_status_of_a_loop_is_on_the_page(page: Page, heading: str) -> None:
    words = {
        "target": "target",
        "budget": "budget",
        "plateau": "plateau",
        "stopped": "stopped",
        "failed": "failed",
        "divergence": "diverged",
    }
    told = {int(row[0]): row[1] for row in page.table(heading)}
    assert [reason for reason, status in EXIT.items() if words[reason.value] not in told[status]] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path.name)
def test_every_link_leads_somewhere(page: Page) -> None:
    dead = []
    for link in page.links():
        name, _, anchor = link.partition("#")
        target = (page.path.parent / name).resolve() if name else page.path
        if "://" in link:
            continue
        if not target.exists() or (anchor and anchor not in Page(str(target.relative_to(ROOT))).anchors()):
            dead.append(link)
    assert dead == []


@pytest.mark.parametrize("block", HOWTO.blocks("yaml"), ids=lambda block: f"line-{block.line}")
def test_the_settings_that_are_shown_load(block: Block, tmp_path: Path) -> None:
    name = block.text.partition("\n")[0].removeprefix("# ")
    (tmp_path / name).write_text(block.text)
    if name == "revis.yaml":
        assert load_revis(None, tmp_path, KEY).entry
    else:
        assert name == "orze.yaml"
        assert load_settings(None, {}, tmp_path, {}).refine


def test_the_values_that_sentences_show_are_understood(tmp_path: Path) -> None:
    text = " ".join(HOWTO.path.read_text().split())
    (farm,) = re.findall(r"`executor: (\{type: farm[^`]*)`", text)
    shown = {"executor": yaml.safe_load(farm), "metrics": {"primary": "loss"}}
    (tmp_path / "revis.yaml").write_text(yaml.safe_dump(shown))
    assert load_revis(None, tmp_path, KEY).executor.type == "farm"
    (forms,) = re.findall(r"`--budget` takes ([^;]*?)\. The same", text)
    budgets = re.findall(r"`([^`]*)`", forms)
    assert len(budgets) == 6
    assert all(parse_budget(budget).model_dump(exclude_none=True) for budget in budgets)


@pytest.mark.parametrize(
    "block",
    [block for page in (HOWTO, EXAMPLE) for block in page.blocks("bash")],
    ids=lambda block: f"line-{block.line}",
)
def test_the_commands_that_are_shown_exist(block: Block) -> None:
    known = {entry.name: entry for entry in COMMANDS}
    for line in block.text.splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["revis"]:
            command = load(known[words[1]])
            names = {name for option in command.params for name in [*option.opts, *option.secondary_opts]}
            assert {word for word in words[2:] if word.startswith("-")} <= names, line


@pytest.mark.parametrize("block", HOWTO.blocks("python"), ids=lambda block: f"line-{block.line}")
def test_the_python_that_is_shown_compiles(block: Block) -> None:
    assert compile(block.text, "page", "exec").co_names
