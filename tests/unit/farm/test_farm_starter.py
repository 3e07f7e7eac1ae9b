"""How attempts are started: a keeper prepares, the idea is claimed for it, and it goes; or is let go."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import select
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from farm_examples import (
    ELSEWHERE,
    HERE,
    Played,
    a_leader,
    chain_of,
    context,
    kinds,
    lead,
    section,
    write_ideas,
)

from orze.core.clock import SystemClock
from orze.core.files import RealFiles
from orze.core.identity import start_time
from orze.core.states import State
from orze.farm.assembly import Assembly
from orze.farm.attempts import Attempt
from orze.farm.base import BadBase
from orze.farm.decide import Launch
from orze.farm.starter import Refusal, Starter
from tests.fakes.shares import Share, error

DEADLINE = 30.0
TRAIN = """
import argparse, json, os
p = argparse.ArgumentParser()
for name in ("--idea-id", "--results-dir", "--ideas-md", "--config"):
    p.add_argument(name)
a = p.parse_args()
door = os.listdir(a.results_dir)
out = os.path.join(a.results_dir, a.idea_id, "metrics.json")
json.dump({"status": "COMPLETED", "val_loss": 0.5, "door": " ".join(sorted(door)),
    "seed": os.environ["ORZE_SEED"], "cuda": os.environ["CUDA_VISIBLE_DEVICES"]}, open(out, "w"))
"""


class Trial:
    """A leader with one or two CPU slots, its starter, and what the starter told."""

    def __init__(self, members: Assembly) -> None:
        self.members = members
        self.started: list[Attempt] = []
        self.refused: list[Refusal] = []
        self.starter: Starter = members.starter(started=self.started.append, refused=self.refused.append)

    def launch(self, idea_id: str = "idea-001", *slots: str) -> None:
        """Launch, and answer the keeper."""
        self.starter.launch(Launch(idea_id, slots or ("cpu0",)))
        self.answer()

    def answer(self) -> None:
        clock = SystemClock()
        until = clock.steady() + DEADLINE
        while self.starter.taken:
            assert clock.steady() < until
            self.members.events.wait(until - clock.steady())

    def wait(self) -> None:
        """Wait until the attempt has ended."""
        (attempt,) = self.started
        assert attempt.pidfd < 0 or select.select([attempt.pidfd], [], [], DEADLINE)[0]

    def refusal(self) -> Refusal:
        assert self.started == []
        (refusal,) = self.refused
        return refusal


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Callable[..., Trial]]:
    made: list[Trial] = []

    def make(*sections: str, files: Any = None, **settings: Any) -> Trial:
        (tmp_path / "train_idea.py").write_text(TRAIN)
        settings = {"python": sys.executable, **settings}
        members = a_leader(tmp_path, **settings)
        write_ideas(members.context, *(sections or (section(1), section(2))))
        members.intake.read()
        members.context.clock.sleep(1.1)
        lead(members)
        if files:
            object.__setattr__(members.context, "files", files)
        made.append(Trial(members))
        return made[-1]

    yield make
    for one in made:
        one.starter.close()


def heartbeats(trial: Trial) -> list[str]:
    return os.listdir(trial.members.context.paths.heartbeats)


def until(happened: Callable[[], object]) -> None:
    clock = SystemClock()
    end = clock.steady() + DEADLINE
    while not happened():
        assert clock.steady() < end
        select.select([], [], [], 0.01)


def test_an_idea_is_prepared_claimed_and_run(trial):
    one = trial(section(1, yaml="training: {seed: 7}"), section(2))
    one.starter.launch(Launch("idea-001", ("cpu0",)))
    assert one.starter.taken == {"cpu0": "idea-001"}
    one.answer()
    assert (one.starter.taken, one.refused) == ({}, [])
    (attempt,) = one.started
    assert (attempt.idea_id, attempt.number, attempt.slots) == ("idea-001", 1, ("cpu0",))
    assert one.members.attempts.here() == [attempt]
    one.wait()
    _, fold = chain_of(one.members.context, "idea-001")
    assert fold.state is State.COMPLETED
    assert fold.end["metrics"] == {"val_loss": 0.5, "door": "idea-001", "seed": "7", "cuda": ""}
    assert fold.claim["section"] == one.members.journal.section("idea-001")
    assert fold.claim["sha"] == one.members.journal.fold.ideas["idea-001"].sha
    home = Path(one.members.context.paths.idea("idea-001").home)
    environment = json.loads((home / "environment.json").read_text())
    assert environment["argv"][0] == sys.executable
    assert (environment["gpu"], environment["python"]) == ("cpu0", sys.version.split()[0])
    until(lambda: heartbeats(one) == [])


def test_several_are_under_way_at_once(trial):
    one = trial(gpus="cpu:2")
    for number, slot in ((1, "cpu0"), (2, "cpu1")):
        one.starter.launch(Launch(f"idea-00{number}", (slot,)))
    assert one.starter.taken == {"cpu0": "idea-001", "cpu1": "idea-002"}
    one.answer()
    assert sorted(attempt.idea_id for attempt in one.started) == ["idea-001", "idea-002"]


def test_the_door_shows_parent_and_after(trial):
    ended = section(2)
    one = trial(section(1, Parent="idea-002", After="idea-003"), ended)
    Played(one.members.context, "idea-002").end()
    one.launch()
    one.wait()
    _, fold = chain_of(one.members.context, "idea-001")
    assert fold.end["metrics"]["door"] == "idea-001 idea-002 idea-003"


def test_an_idea_whose_section_has_changed_is_refused_for_a_moment(trial):
    one = trial()
    write_ideas(one.members.context, section(1, Priority="low"), section(2))
    one.launch()
    assert (one.refusal().why, one.refusal().wait, one.refusal().fold) == (
        "its section is changing",
        1.0,
        None,
    )
    one.refused.clear()
    one.launch("idea-999")
    assert one.refusal().why == "its section is changing"
    assert heartbeats(one) == []


def test_a_slot_that_another_took_first_is_told(trial):
    one = trial()
    cards = one.members.cards
    path = Path(cards.lock_of(cards.slot("cpu0")))
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        one.launch()
    assert (one.refusal().why, one.refusal().wait) == ("a slot is taken", 1.0)
    assert not Path(one.members.context.paths.idea("idea-001").home).exists()


def test_a_directory_without_a_record_is_left_to_settle(trial):
    one = trial()
    Path(one.members.context.paths.idea("idea-001").home).mkdir()
    one.launch()
    assert "holds no record yet" in one.refusal().why
    assert one.refusal().wait == 2 * 180 / 3
    until(lambda: heartbeats(one) == [])


def test_a_plain_farm_s_directory_is_left_alone(trial):
    one = trial()
    home = Path(one.members.context.paths.idea("idea-001").home)
    home.mkdir()
    (home / "claim.json").write_text("{}")
    one.launch()
    assert "plain farm or a person" in one.refusal().why
    assert os.listdir(home) == ["claim.json"]


@pytest.mark.parametrize("ended", [False, True])
def test_an_idea_that_another_host_has_is_refused_with_its_chain(trial, ended: bool):
    one = trial()
    played = Played(one.members.context, "idea-001", ELSEWHERE)
    if ended:
        played.end()
    one.launch()
    fold = one.refusal().fold
    assert fold
    assert (fold.running, fold.end is not None) == (not ended, ended)
    assert len(kinds(one.members.context, "idea-001")) == 1 + ended


@pytest.mark.parametrize(
    ("base", "sentence"),
    [("a: [", "base.yaml:2: "), (None, "base.yaml: No such file"), ("- 1", "key: value")],
)
def test_a_bad_base_claims_nothing(trial, tmp_path: Path, base: str | None, sentence: str):
    one = trial()
    path = tmp_path / "configs" / "base.yaml"
    path.unlink()
    if base:
        path.write_text(base)
    one.launch()
    assert sentence in one.refusal().why
    assert one.refusal().wait == one.members.context.settings.poll
    assert not Path(one.members.context.paths.idea("idea-001").home).exists()
    until(lambda: heartbeats(one) == [])


class Failing(Share):
    """The link of the CLAIM is done, and its reply and every look behind it are lost."""

    broken = False

    def around(self, name, arguments, call):
        if self.broken or name == "link":
            if name == "link":
                call()
                self.broken = True
            raise error(errno.EIO)
        return call()


def test_a_claim_whose_end_was_not_seen_has_no_keeper_that_serves_others(trial):
    share = Failing(RealFiles())
    one = trial(files=share)
    one.launch()
    assert "EIO" in one.refusal().why
    share.broken = False
    _, fold = chain_of(context_of(one), "idea-001")
    assert fold.running  # the claim stands
    pid, start = fold.claim["pid"], fold.claim["start"]
    until(lambda: start_time(pid) != start)
    one.members.attempts.watch_chain("idea-001", fold)
    one.members.attempts.look(judge=True, clones=False)
    (dead,) = one.members.attempts.dead
    assert (dead.token, dead.here) == (fold.token, True)


def context_of(one: Trial):
    return context(one.members.context.settings.project_dir)


def test_a_fault_behind_the_claim_lets_the_keeper_go(trial, tmp_path: Path):
    one = trial()

    def spoil() -> dict[str, object]:
        raise BadBase("configs/base.yaml: changed just now")

    one.starter._facts = spoil
    with pytest.raises(BadBase):
        one.launch()
    _, fold = chain_of(one.members.context, "idea-001")
    until(lambda: start_time(fold.claim["pid"]) != fold.claim["start"])
    one.members.attempts.watch_chain("idea-001", fold)
    one.members.attempts.look(judge=False, clones=False)
    assert [dead.token for dead in one.members.attempts.dead] == [fold.token]


def keeper_of(one: Trial) -> psutil.Process:
    (preparing,) = one.starter._preparing.values()
    return psutil.Process(preparing.keeper.pid)


def test_a_keeper_that_dies_while_it_prepares_is_told(trial):
    one = trial()
    one.starter.launch(Launch("idea-001", ("cpu0",)))
    keeper = keeper_of(one)
    keeper.suspend()
    keeper.kill()
    one.answer()
    if one.refused:  # unless it had answered already
        assert one.refusal().why == "the keeper died"


def test_a_keeper_that_dies_behind_its_answer_is_found_dead(trial):
    one = trial()
    one.starter.launch(Launch("idea-001", ("cpu0",)))
    until(lambda: heartbeats(one))
    keeper = keeper_of(one)
    select.select([next(iter(one.starter._preparing.values())).keeper.replies], [], [], DEADLINE)
    keeper.kill()
    until(lambda: not keeper.is_running() or keeper.status() == psutil.STATUS_ZOMBIE)
    one.answer()
    (attempt,) = one.started
    one.members.attempts.look(judge=False, clones=False)
    assert [dead.token for dead in one.members.attempts.dead] == [attempt.token]


def test_keepers_without_an_attempt_leave_with_the_daemon(trial):
    one = trial()
    one.starter.launch(Launch("idea-001", ("cpu0",)))
    until(lambda: heartbeats(one))
    one.starter.close()
    until(lambda: not heartbeats(one))
    assert one.started == []
    one.starter._preparing.clear()


def test_the_machine_of_these_tests_is_not_the_real_one():
    assert HERE.boot == "boot-here"  # what is adopted here by pid is adopted on purpose
