"""Sessions of revis from end to end: real loops, farms and trainings, a model that plays a script."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from revis_house import FARM, House, proposal
from sshd import SSHD, Sshd

from orze.refine.places import Place
from orze.refine.table import rows
from tests.fakes.chat import Chat, says, serving
from tests.needs import needs

KEY = "sk-e2e-0123456789abcdef0123456789"


def agent_in(tmp_path: Path) -> list[str]:
    """The agent of a house."""
    return [sys.executable, str(tmp_path / "project" / "agent.py")]


@pytest.fixture
def chat() -> Iterator[Chat]:
    """A server whose model makes the rate larger."""

    def scripted(handler: Any) -> None:
        text = "\n".join(message["content"] for message in server.asked[-1]["messages"])
        says(proposal(text, len(server.asked)), usage=(1000, 100))(handler)

    with serving() as server:
        server.will(scripted)
        yield server


@pytest.fixture
def houses() -> Iterator[list[House]]:
    """Houses that are left empty."""
    made: list[House] = []
    yield made
    for house in made:
        house.close()


@needs("litellm")
def test_eight_steps_improve_the_metric_and_a_killed_loop_is_resumed(
    tmp_path: Path, chat: Chat, houses: list[House]
):
    price = {"input": 1.0, "output": 2.0}
    llm = {"model": "openai/scripted", "api_base": chat.address, "price": price}
    house = House(tmp_path, llm=llm)
    houses.append(house)
    before = house.checkout()
    loop = house.start("loop", "--name", "down", "--budget", "9 runs, $1", OPENAI_API_KEY=KEY)
    house.wait(lambda: len(house.fold("down").judged) >= 4, "four steps")
    loop.send_signal(signal.SIGKILL)
    loop.wait()
    house.wait(lambda: not house.working_here(), "its daemon goes when the loop is gone")
    printed = house.run("resume", "down", status=4, OPENAI_API_KEY=KEY)

    found = house.rows("down")
    values = [row.value for row in found if row.value is not None]
    assert [row.step for row in found] == list(range(9)), printed
    assert min(values) < values[0] / 100
    assert {row.verdict for row in found} == {"baseline", "kept", "discarded"}
    assert len(house.events("start")) == len(house.events("end")) == 9
    assert len(chat.asked) in (8, 9)  # the one that was on its way when the loop was killed is asked again

    kept = [row.commit for row in found if row.verdict in ("baseline", "kept")]
    assert house.git("rev-list", "--reverse", "refs/heads/revis/down", "^main").split() == kept
    assert {house.git("rev-parse", f"refs/revis/down/{row.step}") for row in found} == {
        row.commit for row in found
    }
    for row in found:
        assert house.measured(row.commit) == house.recorded(row.commit) == row.value
    now = house.checkout()
    assert {name: now[name] for name in before} == before

    objects = house.git("cat-file", "--batch-all-objects", "--batch", "--unordered")
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert KEY not in objects
    assert not any(KEY.encode() in data for data in files)
    assert all("OPENAI_API_KEY" not in event["environ"] for event in house.events("start"))

    house.git("init", "-q", "--bare", str(tmp_path / "remote"))
    house.git("remote", "add", "origin", str(tmp_path / "remote"))
    assert "revis/down" in house.run("export", "down")
    there = [line.split() for line in house.git("ls-remote", "origin").splitlines()]
    tags = {f"refs/tags/revis/down/{row.step}": row.commit for row in found}
    assert {name: sha for sha, name in there} == {"refs/heads/revis/down": kept[-1], **tags}


def test_two_steps_at_once_run_on_a_farm_of_two_slots(tmp_path: Path, houses: list[House]):
    place = {"type": "farm", "config": "orze.yaml"}
    house = House(tmp_path, entry=None, executor=place, parallel=2, agent=agent_in(tmp_path))
    houses.append(house)
    command = f"SECONDS_TAKEN=1 {sys.executable} train.py"
    house.write("orze.yaml", {"train_command": command, "base_config": "base.yaml", "poll": 1})
    (house.home / "base.yaml").write_text("{}\n")
    house.start("--gpus", "cpu:2", program=FARM)
    house.run("loop", "--name", "two", "--budget", "5 runs", status=4)
    found = house.rows("two")
    assert [row.verdict != "" for row in found] == [True] * 5
    spans = [(s["at"], e["at"]) for s, e in zip(house.events("start"), house.events("end"), strict=True)]
    assert any(later[0] < earlier[1] for earlier, later in pairwise(spans))


def test_a_loop_in_the_background_is_stopped_and_the_run_in_progress_goes_on(
    tmp_path: Path, houses: list[House]
):
    house = House(tmp_path, agent=agent_in(tmp_path))
    houses.append(house)
    hold = tmp_path / "hold"
    hold.touch()
    house.environ["HOLD"] = str(hold)
    assert "in the background" in house.run("loop", "--name", "bg", "--budget", "3 runs", "--background")
    house.wait(lambda: house.events("start"), "the baseline runs")
    house.run("stop", "bg")
    fold = house.fold("bg")
    assert fold.end is not None
    assert (fold.end.reason, fold.judged) == ("stopped", [])
    house.wait(
        lambda: len(house.trainings()) >= 1 and not house.daemons(), "the baseline goes on, and nothing else"
    )
    hold.unlink()
    house.wait(lambda: house.events("end"), "it comes to its end without a loop")
    house.run("resume", "bg", status=4)
    assert len(house.events("start")) == 3
    assert [row.verdict for row in house.rows("bg")] == ["baseline", "kept", "kept"]
    assert not house.git("worktree", "list").partition("\n")[2]  # only the user's own is left


def test_the_leader_of_a_farm_refines_its_code(tmp_path: Path, houses: list[House]):
    house = House(tmp_path)
    houses.append(house)
    settings = {
        "train_command": f"{sys.executable} train.py",
        "base_config": "base.yaml",
        "report": {"primary_metric": "loss"},
        "refine": {
            "agent": agent_in(tmp_path),
            "smoke": f"echo smoked >> {tmp_path}/smoked",
            "budget": {"runs": 3},
            "guardrails": {"plateau_runs": 0},
        },
    }
    house.write("orze.yaml", settings)
    (house.home / "base.yaml").write_text("{}\n")
    house.start("--gpus", "cpu", program=FARM)
    place = Place(house.home / "results/.orze/refine/refine", "refine")
    house.wait(lambda: place.session().fold.end, "the session ends")
    told = rows(place.session().fold)
    assert [row.verdict for row in told] == ["baseline", "kept", "kept"]
    assert "**Commit**" in (house.home / "ideas.md").read_text()
    assert house.recorded("refs/heads/revis/refine") == told[2].value
    assert (tmp_path / "smoked").read_text().split() == ["smoked"] * 3
    assert len(house.events("start")) == 3


@pytest.mark.skipif(SSHD is None, reason="there is no sshd on this machine")
def test_the_steps_run_on_a_machine_behind_ssh(tmp_path: Path, houses: list[House]):
    there = Sshd(tmp_path / "there")
    try:
        settings = there.settings(gpus="none", python=sys.executable)
        house = House(tmp_path, executor=settings, agent=agent_in(tmp_path))
        houses.append(house)
        house.run("loop", "--name", "far", "--budget", "3 runs", status=4)
    finally:
        there.stop()
    found = house.rows("far")
    assert [row.verdict for row in found] == ["baseline", "kept", "kept"]
    assert house.measured(found[2].commit) == house.recorded(found[2].commit)
    assert all(event["where"].startswith(str(there.work)) for event in house.events("start"))
