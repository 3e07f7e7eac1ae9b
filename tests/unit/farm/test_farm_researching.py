"""When the leader starts a round, what becomes of one that is lost, and what people are told of research."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from farm_examples import ELSEWHERE, HERE, NOBODY, a_leader, follow, lead, section, write_ideas

from orze.cli.research import research_once
from orze.cli.research import said as lines
from orze.core.errors import ConfigError
from orze.core.files import RealFiles
from orze.core.states import State
from orze.farm.assembly import Assembly
from orze.ideas.inbox import inbox_of, waiting
from orze.research.control import Wait
from orze.research.job import Outcome
from orze.research.ledger import Ledger
from orze.research.proposers import Cost
from tests.fakes.shares import Share

INFINITE = float("inf")


def farm(home: Path, machine: Any = HERE, *, files: Any = None, **research: Any) -> Assembly:
    """A leader with a base configuration and one idea that waits; rounds are due below two."""
    research = {"min_queue": 2, "ideas_per_round": 2, "cooldown": 60.0, **research}
    members = a_leader(home, machine, research=research, poll=1.0, files=files)
    (home / "configs/base.yaml").write_text("training: {lr: 0.1, width: 16}\n")
    write_ideas(members.context, section(1))
    settled(members)
    members.researching.begin()
    return members


def running(members: Assembly) -> int:
    process = members.researching._process
    return process.pid if process else 0


def finish(members: Assembly) -> None:
    """Wait for the round, tell of its end as the daemon does, and take in what it left."""
    pid = running(members)
    assert members.researching.child_ended(*os.waitpid(pid, 0))
    lead(members)
    settled(members)


def settled(members: Assembly) -> None:
    """Read ideas.md until its last section counts as whole and every idea is registered."""
    for _ in range(20):
        lead(members)
        due, clock = members.intake.due(), members.context.clock
        if due is None and not members.intake.behind and not members.intake.unregistered:
            return
        clock.sleep(max(0.0, (due or 0.0) - clock.steady()) + 0.01)
    pytest.fail("ideas.md is never read whole")


def books(members: Assembly) -> Ledger:
    context = members.context
    one = Ledger(context.files, context.paths, context.clock, frame=context.frame)
    one.refresh()
    return one


def problems(members: Assembly) -> str:
    return "\n".join(problem.text for problem in members.problems)


def left(members: Assembly) -> list[str]:
    return waiting(members.context.files, inbox_of(str(members.context.settings.ideas_file)))


def test_without_research_nothing_is_looked_at_and_nothing_told(tmp_path: Path):
    members = a_leader(tmp_path, files=(share := Share(RealFiles())))
    share.calls.clear()
    members.researching.begin()
    assert members.researching.step() == INFINITE
    assert members.researching.standing() is None
    assert (members.researching.dead, share.calls) == ("", [])


def test_before_the_farm_serves_no_round_is_started(tmp_path: Path):
    members = a_leader(tmp_path, research={})
    assert members.researching.step() == INFINITE
    assert running(members) == 0


def test_a_full_queue_costs_nothing_but_a_look_a_minute(tmp_path: Path):
    members = farm(tmp_path, files=(share := Share(RealFiles())), min_queue=1)
    members.researching.step()
    share.calls.clear()
    for _ in range(50):
        members.context.clock.sleep(1.0)
        members.researching.step()
    assert share.calls == []
    members.context.clock.sleep(15.0)
    members.researching.step()
    assert 0 < len(share.calls) < 10


def test_a_round_is_run_when_the_queue_runs_low_and_the_next_after_the_cooldown(tmp_path: Path):
    members = farm(tmp_path)
    clock = members.context.clock
    members.researching.step()
    assert running(members)
    assert members.researching.standing().state == "proposing"
    finish(members)
    assert members.queue.depth == 3
    (told,) = books(members).fold.rounds
    assert (told.proposer, len(told.entries), told.ended) == ("hillclimb", 2, True)
    assert members.researching.step() <= clock.steady() + 60.0
    assert running(members) == 0
    standing = members.researching.standing()
    assert (standing.state, standing.total("left")) == ("waiting", 2)
    assert "3 ideas are queued" in standing.why


def test_while_the_cooldown_lasts_a_low_queue_waits(tmp_path: Path):
    members = farm(tmp_path, min_queue=9)
    members.researching.step()
    finish(members)
    clock = members.context.clock
    until = members.researching.step()
    assert running(members) == 0
    assert "the last round ended less than 60 s ago" in members.researching.standing().why
    clock.sleep(until - clock.steady() + 0.1)
    members.researching.step()
    assert running(members)
    finish(members)
    assert len(set(members.journal.fold.allocated.values())) == 4


def test_what_a_round_left_counts_as_queued_until_it_is_taken_in(tmp_path: Path):
    members = farm(tmp_path, cooldown=0.0)
    members.researching.step()
    members.researching.child_ended(*os.waitpid(running(members), 0))
    assert len(left(members)) == 2
    members.researching.step()
    assert running(members) == 0


def test_while_launches_pause_nothing_is_proposed(tmp_path: Path):
    members = farm(tmp_path)
    members.problems.show("disk", ["launches pause: 1 GB free"])
    members.researching.step()
    assert running(members) == 0
    assert members.researching.standing().why == "launches pause: 1 GB free"


def begun(members: Assembly, frame: dict[str, object]) -> None:
    """A round that somebody else began."""
    context = members.context
    one = Ledger(context.files, context.paths, context.clock, frame=frame)
    one.begin(1, proposer="llm", model="m", control=False, reserved=Cost(0.5, 100))


def test_a_round_whose_process_is_gone_from_this_machine_is_settled_at_once_and_the_next_begun(
    tmp_path: Path,
):
    members = farm(tmp_path)
    begun(members, HERE.frame(NOBODY, 1))
    members.researching.step()
    assert books(members).fold.rounds[0].lost
    members.context.clock.sleep(61.0)
    members.researching.step()
    assert running(members)
    finish(members)
    fold = books(members).fold
    assert [(one.number, one.lost) for one in fold.rounds] == [(1, True), (2, False)]
    assert (fold.usd, fold.tokens) == (0.5, 100)


def test_a_round_of_another_machine_is_given_up_only_after_its_time_and_the_lease(tmp_path: Path):
    members = farm(tmp_path, round_timeout=100.0)
    begun(members, ELSEWHERE.frame(NOBODY, 1))
    clock, patience = members.context.clock, 100.0 + 20.0 + members.context.steal
    members.researching.step()
    for _ in range(int(patience / 50) - 1):
        clock.sleep(50.0)
        members.researching.step()
        assert books(members).fold.open
    assert members.researching.standing().state == "proposing"
    clock.sleep(160.0)
    members.researching.step()
    assert books(members).fold.rounds[0].lost


def test_a_round_that_hangs_is_killed_behind_its_time_and_settled(tmp_path: Path):
    os.mkfifo(tmp_path / "began")
    text = "open('began', 'w').close(); open('began').read()"
    members = farm(tmp_path, mode="command", command=[sys.executable, "-c", text], round_timeout=600.0)
    deadline = members.researching.step()
    assert deadline > members.context.clock.steady() + 600.0
    (tmp_path / "began").read_text()
    members.context.clock.sleep(deadline - members.context.clock.steady() + 1.0)
    assert members.researching.step() == INFINITE
    finish(members)
    members.researching.step()
    assert books(members).fold.rounds[0].lost
    assert "the round ended by signal 9" in problems(members)


def empty_rounds(members: Assembly, count: int) -> None:
    """Rounds of the configured proposer that left nothing."""
    for number in range(1, count + 1):
        one = books(members)
        one.begin(number, proposer="command", model="", control=False, reserved=Cost())
        one.settle(number)


def test_a_proposer_that_leaves_nothing_is_a_problem_and_another_one_proposes(tmp_path: Path):
    members = farm(tmp_path, mode="command", command=["false"])
    empty_rounds(members, 3)
    members.researching.step()
    assert "research: command left no valid new idea in its last 3 rounds" in problems(members)
    standing = members.researching.standing()
    assert (standing.mode, standing.proposer) == ("command", "hillclimb")
    assert "command left no valid new idea" in standing.dead
    assert members.notifying._now(0).research_dead == members.researching.dead


def test_a_budget_that_does_not_cover_a_round_stops_research_and_says_so(tmp_path: Path):
    research = {"mode": "llm", "model": "m", "price": {"input": 1.0, "output": 1.0}, "budget": {"usd": 0.001}}
    members = farm(tmp_path, **research)
    members.researching.step()
    finish(members)
    members.context.clock.sleep(100.0)
    members.researching.step()
    assert running(members) == 0
    assert "of budget.usd are left" in members.researching.standing().why


def test_a_host_that_cannot_do_research_says_so_before_it_serves(tmp_path: Path):
    members = a_leader(tmp_path, research={"space": {"lr": {"log": [-1, 1]}}})
    with pytest.raises(ConfigError, match=r"research\.space: lr"):
        members.researching.check()


def test_a_person_may_ask_for_a_round_whatever_is_queued_but_not_beyond_a_budget(tmp_path: Path):
    members = farm(tmp_path, min_queue=1, target=0.0, plateau=1, budget={"rounds": 3})
    decided = members.researching.next_round()
    assert not isinstance(decided, Wait)
    empty_rounds(members, 3)
    told = members.researching.next_round()
    assert isinstance(told, Wait)
    assert told.reason == "budget.rounds of 3 is used up"


class Reading:
    """A daemon of which only the members and the reading are wanted."""

    def __init__(self, members: Assembly) -> None:
        self.members = members

    def read(self, *, whole: bool) -> None:
        assert whole


def test_a_round_in_the_foreground_prints_what_came_of_it(tmp_path: Path, capsys):
    members = farm(tmp_path)
    daemon: Any = Reading(members)
    assert research_once(daemon) == 0
    told = capsys.readouterr().out
    assert "round 1: hillclimb proposes 2 ideas" in told
    assert "2 proposed, 2 valid, 2 new; cost 0.0000 USD, 0 tokens" in told
    assert len(left(members)) == 2
    follow(members)


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (Outcome(), "another round was begun at the same time"),
        (Outcome(refused="too dear"), "too dear"),
        (Outcome(fault="the share is gone"), "the share is gone"),
    ],
)
def test_a_round_that_was_not_begun_says_why(outcome: Outcome, said: str):
    assert said in "\n".join(lines(outcome))


def test_the_brief_of_a_round_is_plain_values_and_knows_the_farm(tmp_path: Path):
    members = farm(tmp_path)
    decided = members.researching.next_round()
    job = json.loads(json.dumps(members.researching.job(decided)))
    brief = job["brief"]
    assert brief["queued"] == [["idea-001", "An idea"]]
    assert (brief["round"], brief["count"], job["waiting"]) == (1, 2, ["idea-001"])
    assert brief["research"]["mode"] == "hillclimb"


def test_hours_of_cards_are_those_of_what_research_left_on_all_its_cards(tmp_path: Path):
    members = farm(tmp_path, budget={"gpu_hours": 3.0})
    members.journal.fold.allocated |= {"research-000001-01": "idea-7", "mine": "idea-8"}
    facts = {"metrics": {"val_loss": 0.5}, "seconds": 1800.0}
    ended = [("idea-7", State.COMPLETED, {**facts, "gpu": "0,1"}), ("idea-8", State.COMPLETED, facts)]
    members.board.take(ended)
    assert members.researching.standing().gpu_hours == 1.0
    assert members.researching.standing().left == {"gpu_hours": 2.0}
    members.board.take([("idea-7", State.COMPLETED, {**facts, "gpu": "0,1", "seconds": 5400.0})])
    members.context.clock.sleep(10.0)
    members.researching.step()
    assert "budget.gpu_hours of 3 is used up" in members.researching.standing().why
    assert members.researching.standing().state == "stopped"
