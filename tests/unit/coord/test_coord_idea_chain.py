"""The transition table of an idea, as a table."""

import pytest

from orze.coord.idea_chain import (
    CLAIM,
    DONE,
    EVALUATE,
    FAIL,
    LOST,
    OPEN,
    REQUEUE,
    RETRY,
    RUN,
    SETTLED,
    TRAINED,
    IdeaFold,
    settled_state,
)
from orze.coord.record import digest, encode, new_record
from orze.core.states import Cause, State


class Story:
    """A chain of records that are all legal, told in short."""

    def __init__(self):
        self.fold = IdeaFold()

    def add(self, record):
        data = encode(record | {"prev": self.fold.tail})
        return self.fold.apply(record | {"prev": self.fold.tail}, digest(data))

    def tell(self, *records):
        for make in records:
            assert self.add(make(self.fold)), f"{make(self.fold)} is not legal after {self.fold.phase}"
        return self.fold


def claim(token="t", **more):
    return lambda fold: new_record(CLAIM, **{"token": token, "attempt": fold.attempt + 1} | more)


def own(kind, token="t", **more):
    return lambda fold: new_record(kind, token=token, **more)


def fail(token="t", cause=Cause.EXCEPTION, final=True, **more):
    return own(FAIL, token, cause=cause, final=final, **more)


def lost(fold):
    return new_record(LOST, supersedes=fold.tail, seen_gone=True)


def retry(fold):
    return new_record(RETRY, reopens=fold.tail)


STORIES = {
    "new": (),
    "running": (claim(),),
    "trained": (claim(), own(TRAINED)),
    "lost": (claim("u"), lost),
    "requeued": (claim("u"), own(REQUEUE, "u")),
    "failed once": (claim("u"), fail("u", final=False)),
    "lost when trained": (claim("u"), own(TRAINED, "u"), lost),
    "running again": (claim("u"), lost, claim()),
    "evaluating again": (claim("u"), own(TRAINED, "u"), lost, claim()),
    "done": (claim("u"), own(DONE, "u")),
    "failed": (claim("u"), fail("u")),
    "retried": (claim("u"), own(DONE, "u"), retry),
    "running a retry": (claim("u"), fail("u"), retry, claim()),
}
RECORDS = {
    "CLAIM": claim("v"),
    "TRAINED": own(TRAINED),
    "DONE": own(DONE),
    "FAIL final": fail(),
    "FAIL not final": fail(final=False),
    "REQUEUE": own(REQUEUE),
    "LOST": lost,
    "RETRY": retry,
}
IN_RUN = {
    "TRAINED": EVALUATE,
    "DONE": SETTLED,
    "FAIL final": SETTLED,
    "FAIL not final": OPEN,
    "REQUEUE": OPEN,
    "LOST": OPEN,
}
IN_EVALUATION = {kind: phase for kind, phase in IN_RUN.items() if kind != "TRAINED"}
# (the story so far) -> {the record that is legal now: the phase that it leads to}; every other is void
LEGAL = {
    "new": {"CLAIM": RUN},
    "running": IN_RUN,
    "trained": IN_EVALUATION,
    "lost": {"CLAIM": RUN},
    "requeued": {"CLAIM": RUN},
    "failed once": {"CLAIM": RUN},
    "lost when trained": {"CLAIM": EVALUATE},
    "running again": IN_RUN,
    "evaluating again": IN_EVALUATION,
    "done": {"RETRY": OPEN},
    "failed": {"RETRY": OPEN},
    "retried": {"CLAIM": RUN},
    "running a retry": IN_RUN,
}
# Records that are void whatever came before.
NEVER = {
    "a CLAIM with the number of an earlier attempt": claim("v", attempt=0),
    "a CLAIM that leaves a number out": lambda fold: new_record(CLAIM, token="v", attempt=fold.attempt + 2),
    "a CLAIM without a number": lambda fold: new_record(CLAIM, token="v"),
    "a CLAIM whose number is no number": claim("v", attempt="1"),
    "a CLAIM without a token": lambda fold: new_record(CLAIM, attempt=fold.attempt + 1),
    "a CLAIM with an empty token": claim(""),
    "a CLAIM with a token that is no text": claim(7),
    "a TRAINED of another attempt": own(TRAINED, "other"),
    "a DONE of another attempt": own(DONE, "other"),
    "a DONE of an attempt that is over": own(DONE, "u"),
    "a DONE without a token": lambda fold: new_record(DONE),
    "a DONE with an empty token": own(DONE, ""),
    "a FAIL of an attempt that is over": fail("u"),
    "a FAIL without a cause": own(FAIL, final=True),
    "a FAIL that does not say whether it is final": own(FAIL, cause=Cause.SCRIPT),
    "a REQUEUE of an attempt that is over": own(REQUEUE, "u"),
    "a LOST that names another record": lambda fold: new_record(LOST, supersedes="0" * 64, seen_gone=True),
    "a LOST that names nothing": lambda fold: new_record(LOST, seen_gone=True),
    "a RETRY that names another record": lambda fold: new_record(RETRY, reopens="0" * 64),
    "a RETRY that names nothing": lambda fold: new_record(RETRY),
    "a record of another kind": own("PAUSE"),
    "a record whose kind is no text": own(["DONE"]),
    "a record without a kind": lambda fold: {"nonce": "1", "token": "t"},
}


def visible(fold):
    return {name: str(value) for name, value in vars(fold).items()}


@pytest.mark.parametrize("record", RECORDS)
@pytest.mark.parametrize("story", STORIES)
def test_a_record_is_legal_where_the_table_says_so_and_void_elsewhere(story, record):
    told = Story()
    fold = told.tell(*STORIES[story])
    before = visible(fold)
    legal = told.add(RECORDS[record](fold))
    assert legal == (record in LEGAL[story])
    if legal:
        assert fold.phase == LEGAL[story][record]
        assert fold.running == (fold.phase in (RUN, EVALUATE))
        assert bool(fold.token) == fold.running
    else:
        assert visible(fold) == before


@pytest.mark.parametrize("record", NEVER)
@pytest.mark.parametrize("story", STORIES)
def test_some_records_are_void_in_every_state(story, record):
    told = Story()
    fold = told.tell(*STORIES[story])
    before = visible(fold)
    assert not told.add(NEVER[record](fold))
    assert visible(fold) == before


@pytest.mark.parametrize("record", RECORDS)
@pytest.mark.parametrize("story", STORIES)
def test_a_legal_record_with_another_predecessor_is_void(story, record):
    fold = Story().tell(*STORIES[story])
    before = visible(fold)
    assert not fold.apply(RECORDS[record](fold) | {"prev": "0" * 64}, "1" * 64)
    assert visible(fold) == before


@pytest.mark.parametrize(
    ("story", "state"),
    [
        ("new", State.QUEUED),
        ("running", State.TRAINING),
        ("trained", State.EVALUATING),
        ("lost when trained", State.QUEUED),
        ("evaluating again", State.EVALUATING),
        ("done", State.COMPLETED),
        ("failed", State.FAILED),
        ("retried", State.QUEUED),
    ],
)
def test_people_read_one_word_for_each_phase(story, state):
    assert Story().tell(*STORIES[story]).state == state


@pytest.mark.parametrize(
    ("end", "state"),
    [
        ({"kind": DONE}, State.COMPLETED),
        ({"kind": DONE, "evaluated": False}, State.COMPLETED),
        ({"kind": DONE, "evaluated": True}, State.EVALUATED),
        ({"kind": FAIL, "cause": "exit_code"}, State.FAILED),
        ({"kind": FAIL, "cause": "exit_code", "skip": True}, State.SKIPPED),
        ({"kind": FAIL, "cause": "stopped"}, State.STOPPED),
        ({"kind": FAIL, "cause": "of a later version"}, State.FAILED),
        ({}, State.FAILED),
    ],
)
def test_the_last_record_says_how_an_idea_ended(end, state):
    assert settled_state(end) == state


def test_after_a_lost_the_old_token_has_no_legal_record():
    told = Story()
    fold = told.tell(claim("old"), own(TRAINED, "old"), lost)
    for record in RECORDS.values():
        made = record(fold) | {"token": "old"}
        assert made["kind"] == CLAIM or not told.add(made)
    told.tell(claim("new"))
    for kind in (TRAINED, DONE, REQUEUE):
        assert not told.add(own(kind, "old")(fold))
    assert not told.add(fail("old")(fold))
    assert fold.token == "new"


def test_what_was_trained_is_evaluated_by_the_next_attempt_and_not_trained_again():
    fold = Story().tell(claim("u"), own(TRAINED, "u", metrics={"loss": 1}), lost, claim())
    assert fold.phase == EVALUATE
    assert fold.trained["metrics"] == {"loss": 1}


@pytest.mark.parametrize("end", [fail(final=False), fail()])
def test_what_failed_is_trained_again(end):
    told = Story()
    fold = told.tell(claim(), own(TRAINED), end)
    assert fold.trained is None
    if fold.phase == SETTLED:
        told.tell(retry)
    told.tell(claim("v"))
    assert fold.phase == RUN


def test_a_retry_trains_again_although_it_was_trained():
    fold = Story().tell(claim(), own(TRAINED), own(DONE), retry, claim("v"))
    assert (fold.phase, fold.trained, fold.end) == (RUN, None, None)


def test_failures_are_counted_by_cause_and_those_of_the_machine_are_not():
    told = Story()
    causes = [Cause.CUDA_OOM, Cause.CUDA_OOM, Cause.PREEMPTED, Cause.HOST_LOST, Cause.TIMEOUT]
    for cause in causes:
        told.tell(claim(), fail(cause=cause, final=False))
    assert told.fold.failures == 3
    assert told.fold.by_cause == {"cuda_oom": 2, "timeout": 1}
    assert told.fold.last_failure["cause"] == "timeout"
    assert told.fold.attempt == 5


def test_what_was_stopped_early_is_pruned_and_no_failure():
    fold = Story().tell(claim(), fail(cause=Cause.PRUNED))
    assert (fold.state, fold.failures, fold.by_cause) == (State.PRUNED, 0, {})


def test_a_retry_forgives_by_cause_but_counts_all_failures():
    told = Story()
    fold = told.tell(claim(), fail(cause=Cause.SCRIPT), retry)
    assert (fold.by_cause, fold.failures, fold.afresh_after) == ({}, 1, 0)
    told.tell(claim("v"), fail("v", cause=Cause.SCRIPT))
    assert (fold.by_cause, fold.failures, fold.attempt) == ({"script": 1}, 2, 2)


def test_only_an_idea_that_succeeded_begins_afresh_when_it_is_retried():
    told = Story()
    fold = told.tell(claim(), fail(final=True), retry, claim("v"), own(DONE, "v", metrics={}), retry)
    assert (fold.attempt, fold.afresh_after) == (2, 2)


def test_an_owner_that_fell_silent_may_be_a_zombie_and_one_that_was_seen_gone_is_none():
    told = Story()
    fold = told.tell(claim("u"), lambda fold: new_record(LOST, supersedes=fold.tail, seen_gone=False))
    assert fold.lost_elsewhere
    told.tell(claim("v"), lost)
    assert not fold.lost_elsewhere


def test_a_lost_must_say_whether_its_owner_was_seen_gone():
    told = Story()
    fold = told.tell(claim("u"))
    assert not told.add(new_record(LOST, supersedes=fold.tail))
    assert fold.token == "u"


def test_the_claim_of_the_last_attempt_is_kept_when_it_is_over():
    fold = Story().tell(claim("u"), lost, claim(section="x"), own(DONE))
    assert (fold.claim["section"], fold.token, fold.attempt) == ("x", "", 2)


def test_a_cleared_fold_is_a_new_one():
    fold = Story().tell(claim("u"), own(TRAINED, "u"), lost, claim(), fail(), retry, claim("v"))
    fold.clear()
    assert vars(fold) == vars(IdeaFold())
