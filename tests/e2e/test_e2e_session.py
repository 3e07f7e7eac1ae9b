"""One session of an operator: every command of `orze`, from three hosts, against a farm of two daemons."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from farmhouse import DEADLINE, ROOT, SHORT_LEASE, Daemon, Farm, idea
from machines import Machine, two_machines

from orze.cli.app import COMMANDS
from orze.farm.preview import TOKEN

pytestmark = pytest.mark.skipif(bool(two_machines()), reason=two_machines() or "two machines can be had")

FIRST = "print('epoch 1 of 2')\ntouch('printed')\nwait('go1')\nmetrics(val_accuracy=0.7)"
THIRD_TIME = """
print('attempt', attempt[0])
wait('go2')
if attempt[0] < '3':
    raise ValueError('no data')
metrics(val_accuracy=0.6)
"""
ENDLESS_ONCE = "touch('seven')\nif attempt[0] == '1':\n    rest()\nmetrics(val_accuracy=0.1)"
ORZE = (sys.executable, "-m", "orze.cli.app")


class Session:
    """A terminal on each host: alpha and beta, which have a daemon each, and this one, which has none.

    Attributes:
        driven: the commands that were run.
        planned: the argv of the first training, as it was foretold.
    """

    def __init__(self, farm: Farm) -> None:
        self.farm = farm
        self.hosts = {name: farm.machine(name) for name in ("alpha", "beta")}
        self.driven: set[str] = set()
        self.planned: list[str] = []
        self.bin = farm.home / "bin"
        self.bin.mkdir()
        for name in ("systemctl", "loginctl"):
            program = self.bin / name
            source = Path(__file__).with_name("systemctl.py").read_text()
            program.write_text(f"#!{sys.executable} -ISB\n{source}")
            program.chmod(0o755)

    def environ(self, machine: Machine | None) -> dict[str, str]:
        """What a shell on a host has in its environment."""
        home = self.farm.home / (machine.name if machine else "here")
        return self.farm.environ(
            machine,
            {
                "PATH": f"{self.bin}:{os.environ['PATH']}",
                "XDG_CONFIG_HOME": str(home),
                "PYTHONPATH": str(ROOT),
                "NO_COLOR": "1",
            },
        )

    def begin(self, *argv: str, on: str = "", stdin: str = "") -> subprocess.Popen[str]:
        """Start a command on a host."""
        machine = self.hosts.get(on)
        self.driven.add(argv[0])
        command = [*ORZE, *argv]
        process = subprocess.Popen(
            machine.command(command, self.farm.home) if machine else command,
            cwd=self.farm.home,
            env=self.environ(machine),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdin
        process.stdin.write(stdin)
        return process

    def end(self, process: subprocess.Popen[str], status: int = 0) -> tuple[str, str]:
        """Wait for the end of a command; what it printed on stdout and on stderr."""
        out, err = process.communicate(timeout=DEADLINE)
        told = f"{process.args}\n{out}{err}"
        assert process.returncode == status, f"{told}\n{self.farm.story()}"
        assert "Traceback" not in err, told
        return out, err

    def orze(self, *argv: str, on: str = "", status: int = 0, stdin: str = "") -> str:
        """Run a command on a host; what it printed."""
        out, err = self.end(self.begin(*argv, on=on, stdin=stdin), status)
        return out + err

    def json(self, *argv: str, on: str = "", status: int = 0) -> Any:
        """What a command prints with --json."""
        return json.loads(self.end(self.begin(*argv, "--json", on=on), status)[0])

    def explain(self, idea_id: str) -> str:
        """What `orze explain` says, a sentence a line."""
        told = self.json("explain", idea_id)
        return "\n".join([told["headline"], *told["because"], *told["change"]])

    def host_state(self, name: str) -> str:
        """What the report tells of a host."""
        return next((row["state"] for row in self.farm.status().get("hosts", ()) if row["name"] == name), "")


@pytest.fixture
def session(make_farm) -> Session:
    farm = make_farm(
        poll=0.5, grace=0.5, retry={}, lease=SHORT_LEASE, report={"primary_metric": "val_accuracy"}
    )
    (farm.home / "configs" / "base.yaml").write_text("number: 0\nlr: 0.1\ntrain: ''\n")
    farm.write(idea(1, FIRST, Hosts="alpha"), idea(2, THIRD_TIME, Hosts="beta"), last="# End\n")
    return Session(farm)


def test_every_command_does_on_a_farm_of_two_hosts_what_it_says(session):
    before_there_is_a_farm(session)
    two_daemons_start(session)
    an_idea_fails_and_is_run_again(session)
    a_host_is_drained(session)
    ideas_are_added(session)
    queued_ideas_are_moved_about(session)
    a_section_vanishes_and_one_is_wrong(session)
    cards_are_lent_and_the_order_holds(session)
    all_ends_well(session)
    results_are_read(session)
    old_attempts_are_removed(session)
    the_daemons_leave(session)
    assert session.driven == {entry.name for entry in COMMANDS}


def running(farm: Farm) -> dict[str, int]:
    """How many attempts run on each host, as the report tells it."""
    return {host["name"]: host["running"] for host in farm.status().get("hosts", ())}


def before_there_is_a_farm(session: Session) -> None:
    """init, run --dry-run; status has nothing to tell."""
    orze, farm = session.orze, session.farm
    orze("init", "another", "--yes")
    made = {str(path.relative_to(farm.home / "another")) for path in (farm.home / "another").rglob("*")}
    assert {"orze.yaml", "ideas.md", "configs/base.yaml", "RULES.md", "train_idea.py"} <= made
    assert "no farm has run" in orze("status", status=2)
    (planned,) = session.json("run", "--dry-run", "--gpus", "cpu:1", on="alpha")
    assert (planned["idea_id"], planned["slots"]) == ("idea-001", "cpu0")  # idea-002 is for another host
    assert not farm.kinds("idea-001")
    session.planned = planned["steps"][0]["argv"]


def two_daemons_start(session: Session) -> None:
    """run, service install and status, doctor, status, logs."""
    farm = session.farm
    run = [*ORZE, "run", "-v", "--gpus", "cpu:1"]
    farm.daemons.append(Daemon(farm, run, session.hosts["alpha"], None, {"PYTHONPATH": str(ROOT)}))
    farm.wait(lambda: farm.status().get("leader") == "alpha", "a leader")
    install = ["service", "install", "--name", "farm", "--env", "PYTHONPATH"]
    assert "is enabled and runs" in session.orze(*install, "--", "-v", "--gpus", "cpu:1", on="beta")
    farm.wait(lambda: running(farm) == {"alpha": 1, "beta": 1}, "an attempt on each host")
    (first,) = farm.starts("idea-001")
    *_, name = first["attempt"].partition("-")
    assert [word.replace(TOKEN, name) for word in session.planned][2:] == first["argv"]
    unit = session.json("service", "status", "--name", "farm", on="beta")
    assert (unit["active"], unit["enabled"], unit["lingers"]) == ("active", True, True)
    checks = {check["name"]: check for check in session.json("doctor", on="beta")}
    assert checks["leader"]["sentence"] == "alpha leads"
    assert checks["host beta"]["sentence"] == "1 running, 0 slots free"
    told = session.json("status")
    assert told["attended"]
    assert {host["name"]: host["leader"] for host in told["hosts"]} == {"alpha": True, "beta": False}
    assert {(run["idea_id"], run["host"]) for run in told["active"]} == {
        ("idea-001", "alpha"),
        ("idea-002", "beta"),
    }
    shown = session.orze("status")
    assert all(word in shown for word in ("alpha", "beta", "idea-001", "idea-002"))
    farm.wait(lambda: farm.flagged("printed"), "its first line")
    assert session.orze("logs", "idea-001", on="beta") == "epoch 1 of 2\n"


def an_idea_fails_and_is_run_again(session: Session) -> None:
    """logs -f, wait, explain, show, retry --failed."""
    farm, orze = session.farm, session.orze
    following = session.begin("logs", "idea-002", "-f", on="alpha")
    assert following.stdout
    assert following.stdout.readline() == "attempt 1\n"
    farm.flag("go2")
    assert session.end(following)[0].endswith("ValueError: no data\n")
    assert orze("wait", "idea-002", status=1) == "idea-002 FAILED\n"
    assert "failed in attempt 1 on beta:cpu0" in (said := session.explain("idea-002"))
    assert "exception: ValueError: no data" in said
    (attempt,) = session.json("show", "idea-002")["attempts"]
    assert (attempt["host"], attempt["cause"]) == ("beta", "exception")
    assert orze("retry", "--failed") == "idea-002 is queued again\n"
    farm.wait_for(idea_002="CLAIM FAIL RETRY CLAIM FAIL")


def a_host_is_drained(session: Session) -> None:
    """drain of the host that it is asked on, retry --cause."""
    farm, orze = session.farm, session.orze
    assert orze("drain", on="beta") == "beta takes no new ideas; what runs there goes on\n"
    farm.wait(lambda: session.host_state("beta") == "drained", "the report")
    assert orze("retry", "--cause", "exception", on="beta") == "idea-002 is queued again\n"


def ideas_are_added(session: Session) -> None:
    """add, from options, a file and stdin; the same content once."""
    farm, orze = session.farm, session.orze
    made = ["--title", "By [options]", "--parent", "idea-001", "--config", "number=3", "--config", "lr=1e-3"]
    assert orze("add", *made, on="beta") == "idea-003\n"
    more = idea(100) + idea(101, "metrics(val_accuracy=0.9)")
    (farm.home / "more.md").write_text(more)
    assert orze("add", "more.md", on="alpha") == "idea-004\nidea-005\n"
    out, err = session.end(session.begin("add", "--if-absent", stdin=more + idea(102, title="From stdin")))
    assert out == "idea-004\nidea-005\nidea-006\n"
    assert err.count("has this content already; nothing is added") == 2
    farm.wait(lambda: "## idea-006: From stdin" in farm.ideas.read_text(), "the sections")
    text = farm.ideas.read_text()
    assert "## idea-003: By [options]\n- **Parent**: idea-001\n\n```yaml\nnumber: 3\n" in text
    assert text.count("## idea-") == 6
    farm.wait_states(TRAINING=1, QUEUED=5)


def queued_ideas_are_moved_about(session: Session) -> None:
    """hold, withdraw, priority; explain of what is held and of what waits."""
    farm, orze = session.farm, session.orze
    assert orze("hold", "idea-004") == "idea-004 is held\n"
    assert orze("withdraw", "idea-005", on="beta") == "idea-005 is withdrawn\n"
    assert orze("priority", "idea-006", "critical") == "idea-006 has priority critical\n"
    farm.wait_states(TRAINING=1, QUEUED=3, HELD=1, WITHDRAWN=1)
    assert "idea-004 is held and does not run\nheld by" in session.explain("idea-004")
    waiting = session.explain("idea-003")
    assert "alpha: no slot is free" in waiting
    assert "beta: drained" in waiting
    assert "orze undrain beta" in waiting


def a_section_vanishes_and_one_is_wrong(session: Session) -> None:
    """restore; explain and lint of a section that cannot be accepted."""
    farm, orze = session.farm, session.orze
    text = farm.ideas.read_text()
    begin, end = text.index("## idea-003"), text.index("## idea-004")
    farm.ideas.write_text(text[:begin] + text[end:])
    farm.wait_states(TRAINING=1, QUEUED=2, HELD=2, WITHDRAWN=1)
    assert orze("restore", "idea-003") == "idea-003 is back in ideas.md\n"
    assert text[begin:end].strip() in farm.ideas.read_text()
    farm.append("\n", idea(7, ENDLESS_ONCE, Priority="lowest"), "# End\n")
    farm.wait_states(TRAINING=1, QUEUED=3, HELD=1, WITHDRAWN=1, QUARANTINED=1)
    line = farm.ideas.read_text().partition("lowest")[0].count("\n") + 1
    assert "idea-007 is quarantined" in (said := session.explain("idea-007"))
    assert "Priority" in said
    assert f"ideas.md:{line}: error: Priority" in orze("lint", status=1)
    farm.ideas.write_text(farm.ideas.read_text().replace("lowest", "low"))
    farm.wait_states(TRAINING=1, QUEUED=4, HELD=1, WITHDRAWN=1)


def cards_are_lent_and_the_order_holds(session: Session) -> None:
    """cards, stop: on the slot that alpha is lent, the idea that was put first runs first."""
    farm, orze = session.farm, session.orze
    before = len(farm.starts())
    orze("cards", "alpha", "cpu:2")
    farm.wait(lambda: farm.flagged("seven"), "the last in the queue")
    begun = [(event["idea"], event["host"], event["slot"]) for event in farm.starts()[before:]]
    assert begun == [(name, "alpha", "cpu1") for name in ("idea-006", "idea-003", "idea-007")]
    assert orze("stop", "idea-007", on="beta") == "idea-007 is being stopped\n"
    farm.wait_states(TRAINING=1, COMPLETED=2, STOPPED=1, QUEUED=1, HELD=1, WITHDRAWN=1)


def all_ends_well(session: Session) -> None:
    """undrain, release, retry, wait."""
    farm, orze = session.farm, session.orze
    orze("undrain", "beta")
    orze("release", "idea-004", "idea-005")
    assert orze("retry", "idea-007") == "idea-007 is queued again\n"
    waiting = session.begin("wait", "--all")
    farm.wait_states(TRAINING=1, COMPLETED=6)
    assert farm.starts("idea-002")[-1]["host"] == "beta"
    assert waiting.poll() is None
    farm.flag("go1")
    assert session.end(waiting)[0].endswith("7 COMPLETED\n")


def results_are_read(session: Session) -> None:
    """compare, export as JSON and CSV."""
    farm, orze = session.farm, session.orze
    differ = session.json("compare", "idea-003", "idea-005", on="beta")
    assert differ["config"]["lr"] == {"idea-003": 0.001, "idea-005": 0.1}
    assert differ["metrics"]["val_accuracy"] == {"idea-003": 0.5, "idea-005": 0.9}
    rows = session.json("export")
    best = [row["id"] for row in sorted(rows, key=lambda row: row["rank"])]
    assert best == [row["idea_id"] for row in farm.status()["top_results"]]
    assert best[:3] == ["idea-005", "idea-001", "idea-002"]
    assert "7 rows are in results.csv" in orze("export", "-o", "results.csv")
    with (farm.home / "results.csv").open() as stream:
        table = {row["id"]: row["metric.val_accuracy"] for row in csv.DictReader(stream)}
    assert table == {row["id"]: str(row["metric.val_accuracy"]) for row in rows}


def old_attempts_are_removed(session: Session) -> None:
    """clean --dry-run removes nothing, clean --yes the attempts before the last."""
    found = session.json("clean", "--dry-run")
    attempts = [session.farm.results / item["path"] for item in found["items"] if item["kind"] == "attempt"]
    old = sorted(path.relative_to(session.farm.results).as_posix()[:19] for path in attempts)
    assert old == ["idea-002/attempts/1", "idea-002/attempts/2", "idea-007/attempts/1"]
    assert all(path.is_dir() for path in attempts)
    assert session.json("clean", "--yes", on="beta")["removed"]
    assert not any(path.exists() for path in attempts)
    assert len(list((session.farm.results / "idea-002" / "attempts").iterdir())) == 1


def the_daemons_leave(session: Session) -> None:
    """service uninstall leaves the attempt running; without daemons only report and reading go on."""
    farm, orze = session.farm, session.orze
    section = idea(200, "wait('go8')\nmetrics(val_accuracy=0.2)", Hosts="beta")
    entry = orze("add", "--no-wait", stdin=section)
    assert entry.startswith("ideas.d/new/")
    farm.wait(lambda: farm.starts("idea-008"), "the last idea")
    orze("service", "uninstall", "--name", "farm", on="beta")
    assert not list((farm.home / "beta").rglob("*.service"))
    farm.wait(lambda: session.host_state("beta") == "", "beta's leave")
    assert session.hosts["beta"].runs("train_idea.py")
    assert not session.hosts["beta"].runs("orze run")
    farm.flag("go8")
    farm.wait_states(COMPLETED=8)
    assert "Traceback" not in (session.bin / "orze-farm.service.log").read_text()
    assert farm.daemons[0].end() == 0
    assert "no daemon runs" in orze("hold", "idea-008", "--timeout", "0", status=3)
    (farm.results / "report.md").unlink()
    assert "report.md is written" in orze("report")
    assert "8 completed" in farm.report()
