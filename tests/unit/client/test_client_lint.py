"""What `orze lint` finds, and where."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orze.client.findings import ERROR, WARNING, Finding
from orze.client.lint import lint
from orze.client.lint_ideas import Surroundings, lint_ideas
from orze.core.errors import OrzeError
from tests.unit.farm.farm_examples import section

BASE = "model: {type: mlp, layers: [64]}\ntraining: {learning_rate: 0.1, epochs: 3}\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project without a fault."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "base.yaml").write_text(BASE)
    (tmp_path / "train_idea.py").write_text("")
    (tmp_path / "orze.yaml").write_text("poll: 5\n")
    write(tmp_path, idea(1), idea(2))
    return tmp_path


def idea(number: int, yaml: str = "", **fields: str) -> str:
    return section(number, yaml=yaml or f"training: {{epochs: {number}}}", **fields)


def write(home: Path, *sections: str) -> None:
    (home / "ideas.md").write_text("".join(sections))


def told(home: Path, file: str | None = None, stdin: bytes = b"") -> list[str]:
    return [str(one) for one in lint(file, None, cwd=home, environ=os.environ, stdin=io.BytesIO(stdin))]


def host(home: Path, name: str, *cards: str) -> None:
    folder = home / "results" / ".orze" / "hosts"
    folder.mkdir(parents=True, exist_ok=True)
    rows = [[card, "A card", "free", None, None, None, None] for card in cards]
    (folder / f"{name}.json").write_text(json.dumps({"name": name, "cards": rows, "running": 0, "free": 1}))


def test_nothing_is_said_of_a_project_without_a_fault(project: Path):
    assert told(project) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (idea(1) + "## idea-2 no colon\n", "ideas.md:7: error: 'idea-2 no colon': put a colon"),
        (idea(1) + idea(2, GPUs="none"), "ideas.md:8: error: GPUs: 'none' is no number of cards"),
        (idea(1) + idea(2, yaml="a: [1"), "error: the yaml block is not valid YAML"),
        (idea(1) + idea(1, yaml="model: {}"), "ideas.md:7: error: idea-001 is already at ideas.md:1"),
        (idea(1) + "```\nnever closed\n", "error: the fence opened on line 7 is never closed"),
        (idea(1) + idea(2) + idea(1), "ideas.md:13: warning: idea-001 stands here again, as on line 1"),
        (
            idea(1) + idea(2, yaml="training: {epochs: 1}"),
            "ideas.md:7: warning: idea-002 would run the same as idea-001",
        ),
        (
            idea(1, After="idea-007"),
            "ideas.md:1: warning: After idea-007 is not in ideas.md: it would wait for ever",
        ),
        (idea(1, Parent="idea-007"), "ideas.md:1: warning: Parent idea-007 is not in ideas.md"),
        (
            idea(1, After="idea-002") + idea(2, After="idea-001"),
            "idea-001 cannot start: its After idea-002 waits",
        ),
    ],
)
def test_each_problem_of_ideas_is_told_with_its_line(project: Path, text: str, said: str):
    write(project, text)
    assert any(said in line for line in told(project)), told(project)


@pytest.mark.parametrize(
    ("yaml", "place", "key", "hint"),
    [
        ("training:\n  epochs: 4\n  learning_rat: 1", 6, "training.learning_rat", "learning_rate"),
        ("modle: {}", 4, "modle", "model"),
        ("training: {epochs: 1, zzz: 2}", 4, "training.zzz", ""),
        ("model: {training: 1}\ntraining: {x: 1}", 5, "training.x", ""),
    ],
)
def test_a_key_that_the_base_does_not_have_is_told_with_the_one_that_was_meant(
    project: Path, yaml: str, place: int, key: str, hint: str
):
    write(project, section(1, yaml=yaml))
    meant = f"; did you mean {hint!r}?" if hint else ""
    assert f"ideas.md:{place}: warning: {key!r} is not in the base configuration{meant}" in told(project)


@pytest.mark.parametrize("yaml", ["seed: 1", "training: {seed: 2}", "model: {layers: [1]}", "model: null"])
def test_seeds_and_known_keys_are_not_strange(project: Path, yaml: str):
    write(project, section(1, yaml=yaml))
    assert told(project) == []


def test_an_empty_base_says_nothing_about_keys(project: Path):
    (project / "configs" / "base.yaml").write_text("{}\n")
    assert told(project) == []


def test_ideas_with_another_parent_or_after_do_not_run_the_same(project: Path):
    same = "training: {epochs: 9}"
    write(project, idea(1, same), idea(2, same, Parent="idea-001"), idea(3, same, After="idea-001"))
    assert told(project) == []


def test_hosts_and_cards_that_no_running_host_has(project: Path):
    write(project, idea(1, Hosts="gpu-b*"), idea(2, GPUs="3"), idea(3, Hosts="gpu-a", GPUs="2"))
    assert told(project) == []  # where no daemon runs, nobody knows
    host(project, "gpu-a", "0#0", "0#1", "1")
    host(project, "other", "0", "1")
    assert told(project) == [
        "ideas.md:1: warning: no host fits Hosts gpu-b*; these run: gpu-a, other",
        "ideas.md:8: warning: GPUs 3 is more than any host has that it may run on: 2",
    ]
    (project / "results" / "idea-001").mkdir()
    (project / "results" / "idea-002").mkdir()
    assert told(project) == []  # they have begun


def test_garbage_that_hosts_left_is_passed_over(project: Path):
    host(project, "gpu-a", "0")
    folder = project / "results" / ".orze" / "hosts"
    (folder / "x.json").write_text("[")
    (folder / "y.json").write_text('{"cards": 1}')
    (folder / "z.json").mkdir()
    assert told(project) == []


def test_an_idea_that_only_results_know_is_known(project: Path):
    (project / "results" / "idea-007").mkdir(parents=True)
    write(project, idea(1, After="idea-007"))
    assert told(project) == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("pol: 5\n", "orze.yaml:1: error: unknown key 'pol' — did you mean 'poll'?"),
        ("poll: 5\ngrace: x\n", "orze.yaml:2: error: grace must be"),
        ("poll: 1\ntrain_script: no.py\n", "orze.yaml:2: error: train_script: there is no file"),
        ("python: /no/such\n", "orze.yaml:1: error: python: '/no/such' is not a program"),
        ("post_scripts:\n- {name: a, script: no.py}\n", "orze.yaml:1: error: post_scripts: there is no file"),
        ("a: [\n", "orze.yaml:2: error: not valid YAML"),
        ("timeout: ${NO_SUCH_VARIABLE}\n", "orze.yaml:1: error: timeout needs the environment variable"),
    ],
)
def test_each_problem_of_the_settings_is_told_with_its_line(project: Path, settings: str, said: str):
    (project / "orze.yaml").write_text(settings)
    assert any(line.startswith(said) for line in told(project)), told(project)


def test_a_base_that_cannot_be_read_is_an_error_with_its_line(project: Path):
    (project / "configs" / "base.yaml").write_text("a: 1\n- b\n")
    (said,) = told(project)
    assert f"{project}/configs/base.yaml:2: error: " in said


def test_problems_of_settings_hide_none_of_the_ideas_that_are_named(project: Path):
    (project / "orze.yaml").write_text("pol: 5\n")
    (project / "draft.md").write_text("## idea-x: no\n")
    assert [line.partition(": ")[0] for line in told(project, "draft.md")] == ["orze.yaml:1", "draft.md:1"]


def test_a_file_outside_a_farm_is_checked_by_itself(tmp_path: Path):
    (tmp_path / "draft.md").write_text(idea(1, GPUs="x"))
    (said,) = told(tmp_path, "draft.md")
    assert said.startswith("draft.md:2: error: GPUs")


def test_a_draft_may_build_on_the_ideas_of_the_project(project: Path):
    (project / "draft.md").write_text(idea(3, After="idea-001", Parent="idea-009"))
    assert told(project, "draft.md") == [
        "draft.md:1: warning: Parent idea-009 is not in draft.md and results/"
    ]


def test_standard_input_is_named_as_such(project: Path):
    said = told(project, "-", idea(3, yaml="modle: 1").encode() + b"## idea-3 x\n")
    assert [line.partition(": ")[0] for line in said] == ["<stdin>:4", "<stdin>:7"]
    assert told(project, "-") == []


@pytest.mark.parametrize("make", ["missing", "directory", "pipe"])
def test_what_is_no_file_of_ideas_is_one_sentence(project: Path, make: str):
    path = project / "draft.md"
    {"missing": lambda: None, "directory": path.mkdir, "pipe": lambda: os.mkfifo(path)}[make]()
    with pytest.raises((OrzeError, OSError)) as fault:
        told(project, "draft.md")
    assert "\n" not in str(fault.value)


def test_a_project_without_ideas_is_told(project: Path):
    (project / "ideas.md").unlink()
    with pytest.raises(OrzeError, match=r"^ideas\.md: no such file"):
        told(project)


def test_findings_come_in_the_order_of_the_lines(project: Path):
    write(project, idea(1, After="idea-9"), section(2, yaml="zzz: 1\nyyy: 2"), "## idea-x: no\n")
    lines = [int(line.split(":")[1]) for line in told(project)]
    assert lines == sorted(lines)
    assert len(lines) == 4


@given(
    st.binary(max_size=300)
    | st.text(max_size=300).map(lambda text: (idea(1) + text).encode("utf-8", "replace"))
)
def test_whatever_the_file_holds_is_told_and_never_a_crash(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
):
    path = tmp_path_factory.getbasetemp() / "any.md"
    path.write_bytes(data)
    for found in lint_ideas(path, "any.md", Surroundings(base={"model": {"a": 1}})):
        assert isinstance(found, Finding)
        assert found.kind in (ERROR, WARNING)
        assert found.line >= 1
