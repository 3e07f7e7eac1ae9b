"""Where each idea stands, and in what order ideas are offered."""

from __future__ import annotations

import pytest
from farm_examples import an_idea

from orze.coord.known import Known
from orze.core.states import RUNNING, SUCCEEDED, TERMINAL, State
from orze.farm.queue import Queue

VANISHED = "its section vanished from ideas.md; ask to restore or to withdraw it"


def queue(*numbers: int, host: str = "gpu-a", cards: int = 2) -> Queue:
    made = Queue(host, cards)
    for number in numbers:
        made.set_idea(f"idea-{number:03d}", an_idea(number))
    return made


def known(
    outcome: State | None = None, *, held: str = "", withdrawn: bool = False, vanished: bool = False
) -> Known:
    made = Known("ab" * 16, 1)
    made.outcome, made.held, made.withdrawn, made.vanished = outcome, held, withdrawn, vanished
    return made


def where(made: Queue, number: int) -> tuple[State | None, str]:
    entry = made.get(f"idea-{number:03d}")
    return (entry.state, entry.reason) if entry else (None, "")


def offered(made: Queue, limit: int = 100) -> list[int]:
    return [idea.number for idea in made.ready(limit)]


@pytest.mark.parametrize(
    ("present", "bad", "journal", "running", "expected"),
    [
        (True, "", None, None, (State.QUEUED, "")),
        (True, "", known(), None, (State.QUEUED, "")),
        (True, "", known(vanished=True), None, (State.QUEUED, "")),
        (True, "", known(held="held by ann"), None, (State.HELD, "held by ann")),
        (True, "", known(withdrawn=True), None, (State.WITHDRAWN, "withdrawn by an operator")),
        (True, "", known(held="held", withdrawn=True), None, (State.WITHDRAWN, "withdrawn by an operator")),
        (True, "", known(held="held", withdrawn=True), State.TRAINING, (State.TRAINING, "")),
        (True, "", None, State.CLAIMED, (State.CLAIMED, "")),
        (True, "", known(State.FAILED), State.EVALUATING, (State.FAILED, "")),
        (True, "", known(State.COMPLETED, held="held"), None, (State.COMPLETED, "")),
        (False, "no YAML", None, None, (State.QUARANTINED, "no YAML")),
        (False, "no YAML", known(), None, (State.QUARANTINED, "no YAML")),
        (False, "no YAML", known(held="held"), None, (State.HELD, "held")),
        (False, "no YAML", known(), State.TRAINING, (State.TRAINING, "")),
        (False, "no YAML", known(State.COMPLETED), None, (State.COMPLETED, "")),
        (False, "", known(), None, (State.HELD, VANISHED)),
        (False, "", known(vanished=True), None, (State.HELD, VANISHED)),
        (False, "", known(State.EVALUATED, vanished=True), None, (State.EVALUATED, "")),
        (False, "", None, State.TRAINING, (State.TRAINING, "")),
        (False, "", None, None, (None, "")),
    ],
)
def test_a_state_follows_from_the_file_the_journal_and_the_attempts(present, bad, journal, running, expected):
    made = Queue("gpu-a", 1)
    made.set_idea("idea-001", an_idea(1) if present else None)
    if bad:
        made.set_bad("idea-001", bad)
    if journal:
        made.set_known("idea-001", journal)
    made.set_running("idea-001", running)
    assert where(made, 1) == expected
    assert offered(made) == ([1] if expected == (State.QUEUED, "") else [])


@pytest.mark.parametrize("state", [None, *State])
def test_an_idea_waits_for_its_after_to_succeed_and_is_skipped_where_it_cannot(state: State | None):
    made = Queue("gpu-a", 1)
    made.set_idea("idea-002", an_idea(2, After="idea-001"))
    settled = {State.HELD: known(held="held"), State.WITHDRAWN: known(withdrawn=True)}
    if state is State.QUARANTINED:
        made.set_bad("idea-001", "no YAML")
    elif state is not None:
        made.set_idea("idea-001", an_idea(1))
    if state in RUNNING:
        made.set_running("idea-001", state)
    elif state in settled or state in TERMINAL:
        made.set_known("idea-001", settled.get(state) or known(state))
    assert where(made, 1)[0] is state
    if state is None:
        assert where(made, 2) == (State.QUEUED, "waits for idea-001, which is not in ideas.md")
    elif state in SUCCEEDED:
        assert where(made, 2) == (State.QUEUED, "")
    elif state in TERMINAL:
        assert where(made, 2) == (State.SKIPPED, f"its After idea-001 is {state}")
    else:
        assert where(made, 2) == (State.QUEUED, "waits for idea-001")


def test_a_skip_runs_down_the_chain_and_is_taken_back_by_a_retry_that_succeeds():
    made = queue(1)
    made.set_idea("idea-002", an_idea(2, After="idea-001"))
    made.set_idea("idea-003", an_idea(3, After="idea-002"))
    made.set_known("idea-001", known(State.FAILED))
    assert [where(made, number)[0] for number in (2, 3)] == [State.SKIPPED, State.SKIPPED]
    made.set_known("idea-001", known())
    assert [where(made, number)[0] for number in (2, 3)] == [State.QUEUED, State.QUEUED]
    made.set_known("idea-001", known(State.COMPLETED))
    assert offered(made) == [2]


def test_all_of_several_afters_must_succeed():
    made = queue(1, 2)
    made.set_idea("idea-003", an_idea(3, After="idea-001, idea-002"))
    made.set_known("idea-002", known(State.COMPLETED))
    assert where(made, 3) == (State.QUEUED, "waits for idea-001")
    made.set_known("idea-001", known(State.EVALUATED))
    assert where(made, 3) == (State.QUEUED, "")


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1), (1, 3, 2)])
def test_every_idea_of_a_loop_is_held_until_the_loop_is_cut(order: tuple[int, ...]):
    ideas = {n: an_idea(n, After=f"idea-{n % 3 + 1:03d}") for n in (1, 2, 3)}
    made = Queue("gpu-a", 1)
    for number in order:
        made.set_idea(f"idea-{number:03d}", ideas[number])
    made.set_idea("idea-004", an_idea(4, After="idea-001"))
    for number in (1, 2, 3):
        other = f"idea-{number % 3 + 1:03d}"
        assert where(made, number) == (
            State.HELD,
            f"its After {other} waits for it in turn; change one of them",
        )
    assert where(made, 4) == (State.QUEUED, "waits for idea-001")
    made.set_idea("idea-002", an_idea(2))
    assert where(made, 1) == (State.QUEUED, "waits for idea-002")
    assert where(made, 3) == (State.QUEUED, "waits for idea-001")
    assert offered(made) == [2]


def test_a_loop_stays_held_whatever_happened_around_it():
    made = queue(9)
    made.set_idea("idea-001", an_idea(1, After="idea-002"))
    made.set_idea("idea-002", an_idea(2, After="idea-009, idea-001"))
    made.set_known("idea-009", known(State.FAILED))
    made.set_known("idea-009", known(State.COMPLETED))
    assert [where(made, number)[0] for number in (1, 2)] == [State.HELD, State.HELD]


@pytest.mark.parametrize(
    ("patterns", "fits"),
    [
        ("gpu-a", True),
        ("gpu-*", True),
        ("gpu-[ab]", True),
        ("other, gpu-?", True),
        ("GPU-A", False),
        ("gpu", False),
        ("other*", False),
    ],
)
def test_an_idea_runs_only_on_the_hosts_that_it_names(patterns: str, fits: bool):
    made = Queue("gpu-a", 1)
    made.set_idea("idea-001", an_idea(1, Hosts=patterns))
    assert where(made, 1) == (State.QUEUED, "" if fits else f"for hosts {patterns}")
    assert offered(made) == ([1] if fits else [])
    assert list(made.blocked()) == ([] if fits else ["idea-001"])
    assert made.depth == 1


@pytest.mark.parametrize(("cards", "reason"), [(2, ""), (3, "needs 3 cards; gpu-a has 2"), (1, "")])
def test_an_idea_that_needs_more_cards_than_there_are_waits_for_another_host(cards: int, reason: str):
    made = Queue("gpu-a", 2)
    made.set_idea("idea-001", an_idea(1, GPUs=str(cards)))
    assert where(made, 1) == (State.QUEUED, reason)


def test_what_waits_tells_why_before_what_does_not_fit():
    made = Queue("gpu-a", 1)
    made.set_idea("idea-002", an_idea(2, After="idea-001", GPUs="8", Hosts="other"))
    assert where(made, 2)[1].startswith("waits for idea-001")


def test_a_deferred_idea_is_offered_again_when_it_is_time():
    made = queue(1, 2)
    made.defer("idea-001", "its directory holds no record yet")
    assert where(made, 1) == (State.QUEUED, "its directory holds no record yet")
    assert (offered(made), made.depth) == ([2], 2)
    made.offer_again("idea-001")
    made.offer_again("idea-001")
    assert offered(made) == [1, 2]


def test_an_idea_that_was_deferred_and_then_deleted_leaves_nothing():
    made = queue(1)
    made.set_idea("idea-001", None)
    made.forget("idea-001")
    made.defer("idea-001", "its section is changing")
    made.offer_again("idea-001")
    assert (len(made), +made.counts) == (0, {})


def test_ideas_are_offered_by_priority_and_then_by_number():
    made = Queue("gpu-a", 1)
    for number, priority in (
        (5, "low"),
        (10, "medium"),
        (9, "medium"),
        (7, "critical"),
        (8, "high"),
        (6, "high"),
    ):
        made.set_idea(f"idea-{number:03d}", an_idea(number, Priority=priority))
    assert offered(made) == [7, 6, 8, 9, 10, 5]
    assert offered(made, 2) == [7, 6]
    made.set_idea("idea-005", an_idea(5, Priority="critical"))
    assert offered(made)[:2] == [5, 7]


def test_ids_of_one_number_are_two_ideas():
    made = Queue("gpu-a", 1)
    made.set_idea("idea-01", an_idea(1)._replace(id="idea-01"))
    made.set_idea("idea-001", an_idea(1))
    assert [idea.id for idea in made.ready(9)] == ["idea-001", "idea-01"]


def test_an_edit_replaces_what_the_idea_waits_for():
    made = queue(1, 2)
    made.set_idea("idea-003", an_idea(3, After="idea-001"))
    made.set_idea("idea-003", an_idea(3, After="idea-002"))
    made.set_known("idea-001", known(State.FAILED))
    assert where(made, 3) == (State.QUEUED, "waits for idea-002")
    made.set_idea("idea-003", an_idea(3))
    assert where(made, 3) == (State.QUEUED, "")


def test_an_idea_that_nobody_knows_any_more_is_forgotten_and_what_waits_for_it_told():
    made = queue(1)
    made.set_idea("idea-002", an_idea(2, After="idea-001"))
    made.set_idea("idea-001", None)
    made.forget("idea-001")
    assert "idea-001" not in made
    assert where(made, 2) == (State.QUEUED, "waits for idea-001, which is not in ideas.md")
    assert +made.counts == {State.QUEUED: 1}


@pytest.mark.parametrize("keep", ["journal", "attempt", "section", "fault"])
def test_an_idea_that_somebody_knows_is_not_forgotten(keep: str):
    made = queue(1)
    if keep != "section":
        made.set_idea("idea-001", None)
    if keep == "journal":
        made.set_known("idea-001", known())
    if keep == "attempt":
        made.set_running("idea-001", State.TRAINING)
    if keep == "fault":
        made.set_bad("idea-001", "no YAML")
    made.forget("idea-001")
    assert "idea-001" in made


def test_an_attempt_of_an_idea_that_is_not_in_the_file_leaves_nothing_when_it_ends():
    made = queue()
    made.set_running("idea-007", State.CLAIMED)
    assert +made.counts == {State.CLAIMED: 1}
    made.set_running("idea-007", None)
    assert ("idea-007" in made, +made.counts) == (False, {})


def test_a_title_is_told_while_there_is_one():
    made = Queue("gpu-a", 1)
    made.set_idea("idea-001", an_idea(1)._replace(title="Wide"))
    made.set_bad("idea-002", "no YAML")
    assert [made.title(f"idea-00{n}") for n in (1, 2, 3)] == ["Wide", "", ""]


class Counting(Queue):
    """Counts how often the standing of an idea is worked out."""

    worked_out = 0

    def _standing(self, idea_id, entry):
        self.worked_out += 1
        return super()._standing(idea_id, entry)


def test_a_change_costs_what_it_changes_and_not_the_length_of_the_queue():
    made = Counting("gpu-a", 1)
    for number in range(1, 2001):
        made.set_idea(f"idea-{number:03d}", an_idea(number))
    made.set_idea("idea-9001", an_idea(9001, After="idea-1000"))
    made.set_idea("idea-9002", an_idea(9002, After="idea-1000"))
    before = made.worked_out
    made.set_running("idea-1000", State.TRAINING)
    assert made.worked_out - before == 1  # those that wait for it wait on
    made.set_known("idea-1000", known(State.COMPLETED))
    assert made.worked_out - before == 4  # itself and the two that waited for it
    list(made.ready(64))
    assert made.worked_out - before == 4


def test_a_priority_that_was_asked_for_goes_before_that_of_the_section_until_it_is_taken_back():
    made = queue(1, 2, 3)
    asked = known()
    asked.priority = 0
    made.set_known("idea-003", asked)
    assert offered(made) == [3, 1, 2]
    assert [idea.priority for idea in made.ready(9)] == [0, 2, 2]
    made.set_idea("idea-003", an_idea(3, Priority="low"))
    assert offered(made) == [3, 1, 2]
    asked.priority = None  # the journal changes its values in place
    made.set_known("idea-003", asked)
    assert offered(made) == [1, 2, 3]


def test_an_idea_that_is_forgotten_while_much_is_read_is_offered_no_more():
    made = queue(1, 2)
    with made.loading():
        made.set_idea("idea-001", None)
        made.forget("idea-001")
    assert offered(made) == [2]


def test_other_cards_of_a_host_change_which_ideas_may_run_there():
    made = queue(1)
    made.set_idea("idea-002", an_idea(2, GPUs="2"))
    made.set_cards(1)
    assert (offered(made), where(made, 2)) == ([1], (State.QUEUED, "needs 2 cards; gpu-a has 1"))
    made.set_cards(4)
    assert offered(made) == [1, 2]
