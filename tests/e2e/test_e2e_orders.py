"""What operators ask of hosts and of the order, with two daemons: drain, undrain, cards, priority."""

from __future__ import annotations

import pytest
from farmhouse import SHORT_LEASE, Farm, idea
from machines import two_machines

pytestmark = pytest.mark.skipif(bool(two_machines()), reason=two_machines() or "two machines can be had")


def state_of(farm: Farm, host: str) -> str:
    """What the report tells of a host."""
    return next((row["state"] for row in farm.status().get("hosts", ()) if row["name"] == host), "")


def running(farm: Farm) -> list[str]:
    """Which ideas run where, as the report tells it."""
    return sorted(f"{run['idea_id']} {run['host']}:{run['gpu']}" for run in farm.status().get("active", ()))


def test_a_drained_host_a_lent_card_and_a_priority_hold_over_restarts_and_a_change_of_leader(make_farm):
    farm = make_farm(poll=0.5, lease=SHORT_LEASE)
    farm.write(*[idea(n, f"wait('go{n}')\nmetrics()") for n in range(1, 10)])
    text = farm.ideas.read_text()
    machines = {name: farm.machine(name) for name in ("alpha", "beta")}
    alpha = farm.start(gpus="cpu:2", on=machines["alpha"])
    farm.wait(lambda: farm.status().get("leader") == "alpha" and len(farm.starts()) == 2, "alpha")
    beta = farm.start(gpus="cpu:2", on=machines["beta"])
    farm.wait(lambda: len(farm.starts()) == 4 and state_of(farm, "beta") == "alive", "both hosts")
    lent = {event["idea"]: event["slot"] for event in farm.starts() if event["host"] == "alpha"}

    assert farm.answer(farm.ask("drain", "beta")) == "beta takes no new ideas; what runs there goes on"
    assert farm.answer(farm.ask("drain", "beta")) == "beta is drained already"
    assert farm.answer(farm.ask("drain", "gamma")).startswith("no daemon runs on a host called gamma")
    farm.answer(farm.ask("cards", "alpha", "cpu:1"))
    assert farm.answer(farm.ask("priority", "idea-009", "critical")) == "idea-009 has priority critical"
    farm.wait(lambda: "this host is drained by test" in beta.output, "the log of beta")
    farm.wait(lambda: "slots in use from now on: cpu0" in alpha.output, "the log of alpha")
    farm.wait(lambda: state_of(farm, "beta") == "draining", "the report")
    assert len(farm.starts()) == 4  # what runs goes on, on the slot that was taken away as well

    alpha.end()
    farm.wait(lambda: farm.status()["leader"] == "beta", "the other leader")
    again = farm.start(gpus="cpu:2", on=machines["alpha"])
    beta.end()
    farm.wait(lambda: farm.status()["leader"] == "alpha", "the first leader again")
    beta = farm.start(gpus="cpu:2", on=machines["beta"])
    farm.wait(lambda: "this host is drained by test" in beta.output, "the log of beta")
    assert "slots cpu0; results in" in again.output

    for number in range(1, 5):
        farm.flag(f"go{number}")
    farm.wait(lambda: farm.states() == {"COMPLETED": 4, "TRAINING": 1, "QUEUED": 4}, "one slot at work")
    assert running(farm) == ["idea-009 alpha:cpu0"]
    farm.wait(lambda: state_of(farm, "beta") == "drained", "an empty host")
    assert set(lent.values()) == {"cpu0", "cpu1"}
    farm.flag("go9")
    farm.wait(lambda: running(farm) == ["idea-005 alpha:cpu0"], "the next")

    farm.answer(farm.ask("undrain", "beta"))
    farm.answer(farm.ask("cards", "alpha", "default"))
    farm.wait(lambda: len(running(farm)) == 4, "all slots")
    assert {run.partition(" ")[2] for run in running(farm)} == {
        *("alpha:cpu0", "alpha:cpu1", "beta:cpu0", "beta:cpu1")
    }
    for number in range(5, 9):
        farm.flag(f"go{number}")
    farm.wait_states(COMPLETED=9)
    assert len(farm.starts()) == 9
    assert farm.ideas.read_text() == text


def test_cards_that_a_host_does_not_have_are_told_in_the_report_and_it_works_on_with_its_own(make_farm):
    farm = make_farm(poll=0.5, lease=SHORT_LEASE)
    farm.write(idea(1))
    farm.start(gpus="cpu:1", on=farm.machine("alpha"))
    farm.wait(lambda: farm.status().get("leader") == "alpha", "a leader")
    farm.start(gpus="cpu:1", on=farm.machine("beta"))
    farm.wait(lambda: state_of(farm, "beta") == "alive", "both hosts")
    for host in ("alpha", "beta"):
        farm.answer(farm.ask("cards", host, "cpu:none"))
    farm.wait(lambda: "beta: the cards that were asked for are not used" in farm.problems(), "beta's problem")
    assert "write cpu, or cpu:N" in farm.problems()
    assert len(farm.problems().splitlines()) == 2
    farm.append(idea(2, Hosts="beta"), idea(3, Hosts="alpha"))
    farm.wait_states(COMPLETED=3)
    for host in ("alpha", "beta"):
        farm.answer(farm.ask("cards", host, "default"))
    farm.wait(lambda: farm.problems() == "", "no more problems")


def test_a_stop_of_an_idea_that_is_being_claimed_is_done_as_soon_as_it_runs(make_farm):
    farm = make_farm(poll=0.5)
    farm.write(*[idea(n, "on_term(lambda: None)\nrest()") for n in (1, 2)])
    farm.start(gpus="cpu:2")
    farm.wait(lambda: farm.states().get("QUEUED") or farm.starts(), "the ideas")
    for number in (1, 2):
        while "does not run, it is QUEUED" in (said := farm.answer(farm.ask("stop", f"idea-00{number}"))):
            continue
        assert said == f"idea-00{number} is being stopped"
    farm.wait_states(STOPPED=2)
