"""The pages and the code name the same things, and what the pages show works."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pages import ROOT, Block, Page
from pydantic import BaseModel

from orze.attempt.metrics import last_progress, read_metrics
from orze.attempt.workspace import Workspace
from orze.cli import app
from orze.cli.flags import parser
from orze.config.load import load_settings
from orze.config.schema import FieldDoc, Settings, known_keys
from orze.coord import idea_chain, journal, leader, requests
from orze.core.files import RealFiles
from orze.core.states import Cause, State
from orze.farm.launch import Launcher, Start
from orze.gpu.slots import Slot
from orze.ideas import fields, inbox
from orze.ideas import parse as ideas
from orze.ideas.merge import renumber
from orze.ideas.scan import scan
from orze.report.advice import ADVICE
from orze.report.merit import Config, judge
from orze.report.model import (
    CardRow,
    Column,
    Group,
    HostRow,
    PrimaryMetric,
    Problem,
    Ranked,
    Result,
    Running,
    Snapshot,
    Waiting,
)
from orze.report.research import ArmRow, ResearchStanding
from orze.report.status import status_json

RULES, README = Page("RULES.md"), Page("README.md")
PROTOCOL, ARCHITECTURE = Page("docs/protocol.md"), Page("docs/architecture.md")
GUIDES = [RULES, README]
PAGES = [
    *GUIDES,
    PROTOCOL,
    ARCHITECTURE,
    Page("CONTRIBUTING.md"),
    Page("CHANGELOG.md"),
    Page("docs/cli.md"),
    Page("docs/research.md"),
]
PAGES += [Page(str(path.relative_to(ROOT))) for path in sorted(ROOT.glob("examples/**/*.md"))]
COMMANDS = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

# Objects of status.json whose names come from results or ideas, not from the program.
FREE = {"states", "research.budget_left", "top_results[].metrics", "top_results[].columns"}


def only(names: list[tuple[str, ...]]) -> list[str]:
    """The names of a table that has one in each row, none of them twice."""
    flat = [name for row in names for name in row]
    assert len(flat) == len(names) == len(set(flat))
    return flat


def blocks(pages: list[Page], kind: str) -> list[Any]:
    return [pytest.param(b, id=f"{p.path.name}:{b.line}") for p in pages for b in p.blocks(kind)]


def snapshot() -> Snapshot:
    """One of everything that status.json can tell."""
    result = Result("idea-002", "t", State.COMPLETED, None, None, "a", "0", 1, 1e9, 1.0, {"loss": 0.5}, 1)
    waiting = [Waiting("idea-003", "t", "why", "ideas.md:3")]
    config = Config("k", ("idea-002",), "idea-002", 1, 1, 0.5)
    return Snapshot(
        title="t",
        generated_at=1e9,
        iteration=1,
        leader="a",
        primary=PrimaryMetric("loss", ascending=True, configured=False),
        counts={State.COMPLETED: 1},
        merit=judge([config], ascending=True),
        groups=[Group("idea-002", "t", 1, 1, 1, config)],
        top=[Ranked(1, 0.5, "", result, ("0.5",), config)],
        running=[Running("idea-001", "t", State.TRAINING, "a", "0", 1.0, 1)],
        recent=[result],
        failed=[result],
        pruned=[result],
        held=waiting,
        quarantined=waiting,
        waiting=waiting,
        hosts=[
            HostRow(
                "a", alive=True, leader=True, cards=(CardRow("0", "n", "free"),), running=1, free=0, seen_s=0
            )
        ],
        research=ResearchStanding(
            "llm", "llm (m)", "waiting", arms=[ArmRow("llm", False, 1, 1, 1, 1, 1, 1, 0.1)]
        ),
        problems=[Problem("text", 1e9)],
        columns=[Column("loss")],
    )


def keys_of(value: object, above: str = "") -> set[str]:
    """Dotted keys, with [] behind those of lists."""
    if isinstance(value, list):
        return set().union(*(keys_of(item, f"{above}[]") for item in value))
    if not isinstance(value, dict) or above in FREE:
        return set()
    paths = {name: f"{above}.{name}".removeprefix(".") for name in value}
    return set(paths.values()).union(*(keys_of(value[name], path) for name, path in paths.items()))


def written(doc: FieldDoc) -> str:
    """A default of orze.yaml as RULES.md writes it."""
    if doc.required:
        return "required"
    if isinstance(doc.default, BaseModel):
        return "see below"
    if doc.default in ((), {}, None):
        return "none"
    if isinstance(doc.default, bool):
        return f"`{str(doc.default).lower()}`"
    return f"`{doc.default:g}`" if isinstance(doc.default, float) else f"`{doc.default}`"


# ---- names


def test_the_states_of_the_rules_are_those_of_the_code() -> None:
    assert only(RULES.names("States")) == [state.value for state in State]


def test_the_causes_of_the_rules_are_those_of_the_code_with_the_same_advice() -> None:
    told = dict(zip(only(RULES.names("Causes of failure")), RULES.table("Causes of failure"), strict=True))
    assert {cause: row[1] for cause, row in told.items()} == {c.value: ADVICE[c] for c in Cause}


def test_the_fields_of_the_rules_are_those_that_the_parser_reads() -> None:
    assert {name.lower() for name in only(RULES.names("Fields"))} == set(fields._READERS)


def test_the_flags_of_the_rules_are_those_of_the_parser() -> None:
    actions = [tuple(action.option_strings) for action in parser()._actions]
    assert sorted(RULES.names("farm.py")) == sorted(actions)


def test_the_keys_of_orze_yaml_and_their_defaults_are_in_the_rules() -> None:
    rows = dict(zip(only(RULES.names("orze.yaml")), RULES.table("orze.yaml"), strict=True))
    assert {key: row[1] for key, row in rows.items()} == {k: written(doc) for k, doc in known_keys().items()}
    assert [key for key, row in rows.items() if not row[2]] == []


def test_the_keys_of_status_json_are_in_the_rules() -> None:
    told = [name for row in RULES.names("status.json") for name in row]
    assert len(told) == len(set(told))
    assert set(told) == keys_of(json.loads(status_json(snapshot())))


def test_the_requests_of_the_rules_are_those_of_the_code() -> None:
    assert only(RULES.names("Requests")) == list(requests.KINDS)


def test_the_environment_of_a_script_is_in_the_rules(tmp_path: Path) -> None:
    section = "## idea-001: A title\n"
    start = Start(ideas.parse(section, path="ideas.md", line=1), section, (Slot("cpu0", None, 0, ""),), {})
    launcher = Launcher(Settings(project_dir=tmp_path), {})
    (tmp_path / "idea-001/attempts").mkdir(parents=True)
    go: Any = {"doors": True, "attempt": 1, "trained": None, "resume_above": 0, "cwd": "", "checkout": None}
    space = Workspace(str(tmp_path), "idea-001", "token", go)
    given = {*launcher.variables(start, "1-token", 0), *space.environment()}
    assert set(only(RULES.names("Environment"))) == given


def test_the_record_kinds_of_the_protocol_are_those_of_the_code() -> None:
    kinds = ("CLAIM", "TRAINED", "DONE", "FAIL", "REQUEUE", "LOST", "RETRY")
    assert only(PROTOCOL.names("The chain of an idea")) == [getattr(idea_chain, kind) for kind in kinds]
    assert only(PROTOCOL.names("The leader")) == [leader.LEAD, leader.RESIGN, leader.LOST]
    assert only(PROTOCOL.names("The journal")) == list(journal.PARTS)


def test_the_tests_and_defects_that_the_protocol_names_exist() -> None:
    text = PROTOCOL.path.read_text()
    code = "".join(path.read_text() for path in ROOT.glob("tests/**/test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", text))
    assert named
    assert sorted(name for name in named if f"def {name}(" not in code) == []
    defects = (ROOT / "tests" / "model" / "defects.py").read_text()
    (table,) = re.findall(r"\n\| promise, or rule.*?\n\n", text, re.DOTALL)
    planted = re.findall(r"`(\w+)`", "".join(row.rpartition(" | ")[2] for row in table.splitlines()))
    assert sorted(planted) == sorted(re.findall(r"^def (\w+)\(\) -> ", defects, re.MULTILINE))


def test_the_architecture_lists_every_module() -> None:
    paths = [*ROOT.glob("orze/*/*.py"), *ROOT.glob("orze/attempt/executors/*.py")]
    modules = [str(path.relative_to(ROOT)) for path in paths if path.name != "__init__.py"]
    assert sorted(only(ARCHITECTURE.names("All modules"))) == sorted(modules)


# ---- links


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.path.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Page) -> None:
    dead = []
    for link in page.links():
        name, _, anchor = link.partition("#")
        target = page.path.parent / name if name else page.path
        if "://" in link:
            continue
        if not target.exists() or (anchor and anchor not in Page(str(target.relative_to(ROOT))).anchors()):
            dead.append(link)
    assert dead == []


# ---- what is shown


@pytest.mark.parametrize("block", blocks(GUIDES, "markdown"))
def test_the_ideas_that_are_shown_are_accepted(block: Block) -> None:
    sections = scan(block.text.encode())
    assert sections
    for section in sections:
        text = block.text.encode()[section.offset :][: section.length].decode()
        idea = ideas.parse(text, path="page", line=block.line + section.line)
        assert not {name.lower() for name, _ in idea.fields}
        ideas.load_config(text, path="page", line=block.line + section.line)


@pytest.mark.parametrize("block", blocks(GUIDES, "yaml"))
def test_the_settings_that_are_shown_load(block: Block, tmp_path: Path) -> None:
    first = block.text.partition("\n")[0]
    assert first in ("# orze.yaml", "# configs/base.yaml"), "say on the first line which file it is"
    if first == "# orze.yaml":
        (tmp_path / "orze.yaml").write_text(block.text)
        assert load_settings(None, {}, tmp_path, {}).model_fields_set > {"project_dir"}
    else:
        assert isinstance(yaml.safe_load(block.text), dict)


@pytest.mark.parametrize("block", blocks(GUIDES, "json"))
def test_the_metrics_that_are_shown_are_understood(block: Block, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(block.text)
    status = json.loads(block.text)["status"]
    if status == "COMPLETED":
        assert read_metrics(str(tmp_path)).values
    else:
        with pytest.raises(Exception, match="no validation split"):
            read_metrics(str(tmp_path))


@pytest.mark.parametrize("block", blocks(GUIDES, "python"))
def test_the_python_that_is_shown_compiles(block: Block) -> None:
    assert compile(block.text, "page", "exec").co_names


@pytest.mark.parametrize("block", blocks([*GUIDES, Page("examples/gpu/README.md")], "bash"))
def test_the_flags_of_the_commands_that_are_shown_exist(block: Block) -> None:
    for line in block.text.splitlines():
        if "farm.py" in line:
            flags = line.partition("farm.py")[2].partition("#")[0].split()
            assert parser().parse_args(flags), line  # an unknown flag ends it


def test_the_script_of_the_readme_does_what_the_readme_says(tmp_path: Path) -> None:
    script = next(block for block in README.blocks("python") if block.text.startswith("# train.py"))
    base = next(block for block in README.blocks("yaml") if block.text.startswith("# configs/base.yaml"))
    losses: dict[str, Any] = {}
    for name, own in {"idea-001": {}, "idea-002": {"lr": 0.4}}.items():
        (tmp_path / name).mkdir()
        (tmp_path / "train.py").write_text(script.text)
        (tmp_path / "idea.yaml").write_text(yaml.safe_dump(ideas.deep_merge(yaml.safe_load(base.text), own)))
        argv = [sys.executable, "train.py", "--idea-id", name, "--results-dir", str(tmp_path)]
        environment = {**os.environ, "ORZE_IDEA_CONFIG": str(tmp_path / "idea.yaml")}
        subprocess.run(argv, cwd=tmp_path, env=environment, check=True, timeout=60)
        losses[name] = read_metrics(str(tmp_path / name)).values["val_loss"]
        assert (last_progress(str(tmp_path / name / "progress.jsonl")) or {})["step"] == 19
    assert losses["idea-001"] > 1e-3
    assert losses["idea-002"] < 1e-6


def run(page: Page, part: str, cwd: Path) -> str:
    """Run the one bash block of a page that holds `part`."""
    (text,) = [block.text for block in page.blocks("bash") if part in block.text]
    done = subprocess.run(
        ["bash", "-eu", "-c", text], cwd=cwd, env=COMMANDS, check=True, capture_output=True, timeout=60
    )
    return done.stdout.decode()


def test_the_commands_that_the_readme_shows_are_those_of_orze() -> None:
    (block,) = [block.text for block in README.blocks("text") if "orze status" in block.text]
    names = re.findall(r"^orze (\w+)", block, re.MULTILINE)
    assert set(names) <= {entry.name for entry in app.COMMANDS}
    assert len(names) == len(set(names)) > 8


def test_the_request_that_is_shown_is_understood(tmp_path: Path) -> None:
    directory = tmp_path / "results/.orze/requests"
    directory.mkdir(parents=True)
    run(RULES, '"kind"', tmp_path)
    (request,) = requests.pending(RealFiles(), str(directory))
    assert request.problem == ""
    assert request.kind in requests.KINDS


def test_the_entry_of_the_inbox_that_is_shown_is_taken(tmp_path: Path) -> None:
    run(RULES, "ideas.d/new", tmp_path)
    directory = inbox.inbox_of(str(tmp_path / "ideas.md"))
    (uuid,) = inbox.waiting(RealFiles(), directory)
    text = renumber(inbox.read_entry(RealFiles(), directory, uuid), "idea-013")
    assert ideas.parse(text, path="entry", line=1).parent == "idea-007"
    assert ideas.load_config(text, path="entry", line=1) == {"training": {"batch_size": 128}}


def test_the_first_look_of_the_worked_example_runs(tmp_path: Path) -> None:
    (tmp_path / "results/idea-002").mkdir(parents=True)
    (tmp_path / "results/status.json").write_bytes(status_json(snapshot()))
    (tmp_path / "results/idea-002/progress.jsonl").write_text('{"step": 1}\n')
    said = run(RULES, "results/status.json", tmp_path)
    assert "1 idea-002 0.5 t" in said
    assert '{"step": 1}' in said
