"""The commands that ask, where nobody answers: what they leave, print and return."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

import pytest

from orze.cli.app import main
from orze.cli.common import asker
from orze.client.sections import check
from orze.coord.journal import Journal
from orze.coord.requests import KINDS, pending
from orze.core.clock import ManualClock
from orze.core.files import RealFiles
from orze.core.paths import FarmPaths
from orze.ideas.canonical import config_key
from orze.ideas.model import Priority


@pytest.fixture
def farm(tmp_path: Path):
    """A project in which a daemon has run, as working directory."""
    (tmp_path / "orze.yaml").write_text("timeout: 60\n")
    (tmp_path / "results" / ".orze").mkdir(parents=True)
    with contextlib.chdir(tmp_path):
        yield tmp_path


def left(farm: Path) -> list[tuple[str, str, str]]:
    found = pending(RealFiles(), str(farm / "results" / ".orze" / "requests"))
    assert all(request.by == asker() and not request.problem for request in found)
    return [(request.kind, request.target, request.value) for request in found]


@pytest.mark.parametrize(
    ("argv", "requests"),
    [
        (["stop", "idea-001", "idea-002"], [("stop", "idea-001", ""), ("stop", "idea-002", "")]),
        (["hold", "idea-001", "idea-001"], [("hold", "idea-001", "")]),
        (["release", "idea-001"], [("release", "idea-001", "")]),
        (["withdraw", "idea-001"], [("withdraw", "idea-001", "")]),
        (["restore", "idea-001"], [("restore", "idea-001", "")]),
        (["retry", "idea-001"], [("retry", "idea-001", "")]),
        (["priority", "idea-002", "idea-001", "low"], [("priority", f"idea-00{n}", "low") for n in (2, 1)]),
        (["drain"], [("drain", os.uname().nodename, "")]),
        (["drain", "gpu-a"], [("drain", "gpu-a", "")]),
        (["undrain", "gpu-a"], [("undrain", "gpu-a", "")]),
        (["cards", "gpu-a", "0,1"], [("cards", "gpu-a", "0,1")]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value[0], str) else "",
)
def test_a_command_leaves_its_requests_in_their_order(argv, requests, farm: Path, capsys):
    assert main([*argv, "--no-wait"]) == 0
    assert left(farm) == requests
    out, err = capsys.readouterr()
    assert out.splitlines() == [f"{target}: {kind} is asked for" for kind, target, _ in requests]
    assert err == ""


def test_every_kind_of_request_has_a_command(farm: Path):
    from orze.cli.app import COMMANDS

    assert set(KINDS) <= {entry.name for entry in COMMANDS if entry.module == "asking"}


def test_where_nobody_answers_the_request_stays_and_the_exit_status_is_3(farm: Path, capsys):
    assert main(["hold", "idea-001", "idea-002", "--timeout", "0"]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err == ("orze: no answer for idea-001, idea-002: no daemon runs (waited 0 s); the request stays\n")
    assert len(left(farm)) == 2


def test_json_tells_that_there_is_no_answer(farm: Path, capsys):
    assert main(["drain", "gpu-a", "--json", "--timeout", "0"]) == 3
    (row,) = json.loads(capsys.readouterr().out)
    assert len(row.pop("request")) > 16
    assert row == {"kind": "drain", "target": "gpu-a", "value": "", "answer": None, "done": None}


def test_retry_of_the_failed_asks_nothing_where_none_failed(farm: Path, capsys):
    assert main(["retry", "--failed"]) == 0
    assert main(["retry", "--cause", "oom"]) == 0
    assert capsys.readouterr().out == "no idea FAILED\nno idea FAILED by oom\n"
    assert main(["retry", "--cause", "boredom"]) == 2
    assert left(farm) == []


def test_an_added_idea_lies_in_the_inbox_until_a_daemon_comes(farm: Path, capsys):
    argv = ["add", "--title", "A", "--config", "lr=0.1", "--timeout", "0"]
    assert main(argv) == 3
    out, err = capsys.readouterr()
    (entry,) = (farm / "ideas.d" / "new").iterdir()
    assert out == "" and f"a daemon will take in ideas.d/new/{entry.name}" in err
    assert entry.read_text() == "## idea: A\n\n```yaml\nlr: 0.1\n```\n"


def test_an_idea_made_of_options_has_each_of_them_as_its_field(farm: Path):
    options = {
        "--priority": "high", "--category": "norm", "--parent": "idea-1", "--hypothesis": "It helps.",
        "--gpus": "2", "--time-limit": "2h", "--repeats": "3", "--seed": "7", "--after": "idea-002",
        "--hosts": "gpu-*",
    }  # fmt: skip
    assert (
        main(["add", "--title", "A", "--no-wait", *(word for pair in options.items() for word in pair)]) == 0
    )
    (entry,) = (farm / "ideas.d" / "new").iterdir()
    idea = check(entry.read_text(), path="")
    told = (idea.priority, idea.category, idea.parent, idea.hypothesis, idea.gpus, idea.timeout)
    assert told == (Priority.HIGH, "norm", "idea-1", "It helps.", 2, 7200.0)
    assert (idea.repeats, idea.seed, idea.after, idea.hosts) == (3, 7, ("idea-002",), ("gpu-*",))


def test_wait_tells_what_is_not_ended_when_the_time_is_up(farm: Path, capsys):
    (farm / "ideas.md").write_text("## idea-001: A\n\n## idea-002: B\n- **Hosts**: nowhere\n")
    assert main(["wait", "idea-002", "--timeout", "0"]) == 3
    assert main(["wait", "--all", "--timeout", "0", "--json"]) == 3
    out, err = capsys.readouterr()
    assert json.loads(out) == [{"id": f"idea-00{n}", "state": "QUEUED"} for n in (1, 2)]
    assert "orze: nothing of it can run now: idea-002 QUEUED (for hosts nowhere)" in err.splitlines()
    assert "orze: not ended when the time was up: idea-001 QUEUED, idea-002 QUEUED (for hosts nowhere)" in err


def test_an_idea_whose_configuration_has_a_result_is_answered_with_it(farm: Path, capsys):
    values = {"lr": 0.1, "layers": [64, 64]}
    facts = {"config": config_key(values), "seed": 3, "metrics": {"val_loss": 0.25}}
    paths = FarmPaths(str(farm / "results"))
    journal = Journal(RealFiles(), paths.journal, ManualClock(), frame={})
    journal.write(1, {"outcomes": [["idea-001", "COMPLETED", facts]]})
    (farm / "configs").mkdir()
    (farm / "configs" / "base.yaml").write_text("lr: 1\nlayers: [64, 64]\nseed: 1\n")
    same = "## idea: Again\n- **Seed**: 2\n\n```yaml\nlr: 1.0e-1\n```\n"
    (farm / "more.md").write_text(f"{same}\n## idea: New\n\n```yaml\nlr: 0.1\n```\n")
    assert main(["add", "more.md", "--timeout", "0", "--no-wait", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    earlier = "the same configuration and seed as idea-001, which has val_loss 0.2500"
    assert [(one["title"], one["added"], one["earlier"]) for one in told] == [
        ("Again", False, earlier),
        ("New", True, None),
    ]
    (farm / "same.md").write_text(same)
    assert main(["add", "same.md", "--no-wait"]) == 1
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"orze: Again is not added: it has {earlier}; --allow-duplicate adds it\n")
    before = set((farm / "ideas.d" / "new").iterdir())
    assert main(["add", "same.md", "--no-wait", "--allow-duplicate"]) == 0
    (entry,) = set((farm / "ideas.d" / "new").iterdir()) - before
    assert entry.read_text() == same.replace("Again\n", "Again\n- **Rerun**: yes\n")
