"""The records of a session: which are legal when, what a crash at any point leaves, what is bounded."""

import json
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from session_examples import BASE, CHAIN, TERMS, Play, a_session, completed, ended, records_of, sha

from orze.config.refine import Budget
from orze.coord.record import LIMIT, decode, digest, encode
from orze.refine import records as rec
from orze.refine.decide import Ask, Make, Run, View, decide
from orze.refine.fold import SessionFold
from orze.refine.model import Ended, Outcome, Reason, Try, Verdict
from orze.refine.session import OtherMetric, Session, Superseded, settings_of
from orze.refine.terms import Terms


def opened(play):
    """Another process that has read the records."""
    session = Session(play.files, CHAIN, play.clock)
    session.refresh()
    return session


def folded(datas):
    fold, valid = SessionFold(), []
    for data in datas:
        valid.append(fold.apply(decode(data), digest(data)))
    return fold, valid


def known(fold):
    """All that a fold knows."""
    return {name: value for name, value in vars(fold).items() if name != "tail"}


def test_what_was_recorded_is_known_to_whoever_reads_it():
    play = Play(budget=Budget(time=100.0, usd=2.0))
    play.baseline(1.0)
    play.answer(1)
    play.clock.advance(7)
    play.end_run(1, completed(0.5))
    fold = opened(play).fold
    assert known(fold) == known(play.fold)
    assert (fold.name, fold.base, fold.command, fold.budget.usd) == ("s", BASE, "python train.py", 2.0)
    assert (fold.best, fold.best_value, fold.runs, fold.usd, fold.tokens) == (1, 0.5, 2, 0.1, 50)
    assert fold.terms == TERMS
    assert fold.settings["entry"] == "python train.py"
    one = fold.steps[1].tries[0]
    assert (one.hypothesis, one.files, one.usd, one.tokens) == ("h", ("train.py",), 0.1, 50)
    assert (fold.steps[1].verdict, fold.steps[1].commit) == (Verdict.KEPT, sha("final", 1))
    assert fold.taken["host"] == "h"


def test_a_session_is_begun_once():
    play = Play()
    assert not play.session.begin(
        "other", base=BASE, command="x", settings=settings_of(TERMS), budget=Budget()
    )
    assert play.fold.name == "s"


def test_a_process_that_was_superseded_has_no_say():
    play = Play()
    late = play.session
    opened(play).take(settings_of(TERMS))
    for write in (late.tick, lambda: late.step(0, BASE), lambda: late.end(Reason.STOPPED, "x")):
        with pytest.raises(Superseded):
            write()
    assert opened(play).fold.end is None


def test_the_records_of_a_process_that_was_superseded_are_void_even_if_they_were_linked():
    play = Play()
    late = play.session.token
    opened(play).take(settings_of(TERMS))
    fold, _ = folded(records_of(play))
    record = {"kind": "STEP", "nonce": "1" * 16, "active": 0, "at": 0, "step": 0, "parent": BASE}
    assert not fold.apply({**record, "token": late, "prev": fold.tail}, "x")
    assert fold.apply({**record, "token": fold.owner, "prev": fold.tail}, "x")


def test_of_two_processes_that_take_a_session_at_once_one_owns_it_in_the_end():
    play = Play()
    one, other = opened(play), opened(play)
    one.take(settings_of(TERMS))
    other.take(settings_of(TERMS))
    other.step(0, BASE)
    with pytest.raises(Superseded):
        one.tick()


def test_nobody_takes_a_session_with_another_metric_or_direction():
    play = Play()
    for terms in (Terms("accuracy", ascending=True), Terms("val_loss", ascending=False)):
        with pytest.raises(OtherMetric, match="was begun with the metric val_loss, smaller is better"):
            opened(play).take(settings_of(terms))
    assert opened(play).fold.owner == play.session.token


def test_there_is_nothing_to_take_where_nothing_was_begun():
    empty = Session(Play().files, "/session/other", Play().clock)
    with pytest.raises(ValueError, match="no session"):
        empty.take(settings_of(TERMS))


def test_active_seconds_go_on_where_the_process_before_left_them():
    play = Play()
    play.clock.advance(10)
    play.session.tick()
    play.clock.advance(5)  # forgotten by the crash
    play.open_session()
    assert play.session.active == 10
    play.clock.advance(3)
    play.session.tick()
    assert opened(play).fold.active == 13
    play.clock.advance(100)
    assert opened(play).active == 13, "nobody is at work who only reads"


def test_an_asking_without_an_answer_counts_as_spent_when_its_process_is_gone():
    play = Play()
    play.baseline()
    assert (play.fold.usd, play.fold.reserved.usd) == (0, 0.25)
    play.open_session()
    assert (play.fold.usd, play.fold.tokens, play.fold.reserved.usd) == (0.25, 100, 0)
    assert play.decide() == [Ask(1, 1)]


def test_an_answer_is_kept_over_a_crash_and_nobody_is_asked_again():
    play = Play()
    play.baseline()
    play.session.answer(1, 1, text="good", changes={"a.py": b"\x00\xff", "b.py": None}, usd=0.1, tokens=1)
    play.open_session()
    assert play.decide() == [Make(1, 1)]
    answer = play.fold.asked[1].answer
    assert (answer.text, answer.changes) == ("good", {"a.py": b"\x00\xff", "b.py": None})
    assert answer.at > 0


def test_a_run_that_never_reached_the_farm_is_left_there_again_under_its_name():
    play = Play()
    play.settle()
    play.farm.clear()
    play.open_session()
    assert play.decide() == [Run(0, 1)]
    play.settle()
    assert list(play.farm) == ["revis-s-0-1"]
    assert len([r for r in records_of(play) if json.loads(r)["kind"] == "RUN"]) == 1


def test_a_session_that_was_stopped_goes_on_with_the_steps_that_were_stopped():
    play = Play()
    play.baseline()
    play.answer(1)
    play.stop = True
    play.settle()
    assert play.stopping == {1}
    play.end_run(1, ended(Ended.STOPPED, ""))
    assert (play.fold.end.reason, play.fold.steps[1].verdict) == ("stopped", Verdict.STOPPED)
    play.stop = False
    play.open_session()
    assert play.fold.end is None
    again = play.fold.steps[1].last
    assert (again.number, again.commit, again.uuid) == (2, sha("final", 1), "")
    play.settle()
    assert play.fold.runs == 1, "a run that was stopped is not spent"
    play.end_run(1, completed(0.5))
    assert (play.fold.best, play.fold.runs) == (1, 2)


def test_an_answer_that_was_paid_for_is_used_when_the_session_goes_on():
    play = Play()
    play.baseline()
    play.asking.clear()
    play.session.answer(1, 1, text="good", usd=0.1, tokens=1)
    play.stop = True
    play.settle()
    assert play.fold.steps[1].verdict is Verdict.STOPPED
    play.stop = False
    play.open_session()
    assert play.decide() == [Make(1, 1)]


def test_a_baseline_that_gave_nothing_is_run_again_when_the_session_is_resumed():
    play = Play()
    play.settle()
    play.end_run(0, ended(Ended.CRASHED))
    assert play.fold.end.reason == "failed"
    assert "the run crashed: it broke" in play.fold.end.sentence
    play.open_session()
    play.settle()
    play.end_run(0, completed(1.0))
    assert (play.fold.best, play.fold.runs) == (0, 2)


def test_a_resumed_session_counts_plateau_and_failures_anew_and_its_budget_on():
    play = Play(Terms("val_loss", ascending=True, plateau_runs=2), Budget(runs=9))
    play.baseline()
    for step in (1, 2):
        play.improve(step, 2.0)
    assert play.fold.end.reason == "plateau"
    play.open_session()
    play.settle()
    play.improve(3, 2.0)
    assert (play.fold.end, play.fold.runs) == (None, 4)
    play.improve(4, 2.0)
    assert play.fold.end.reason == "plateau"


def test_nothing_but_taking_it_is_legal_in_a_session_that_has_ended():
    play = Play()
    play.session.end(Reason.STOPPED, "x")
    with pytest.raises(Superseded):
        play.session.tick()
    play.open_session()
    play.session.tick()
    assert play.fold.end is None


LONG = "x" * 1_100_000


def test_texts_and_lists_are_cut_so_that_every_record_can_be_read():
    play = Play()
    play.baseline()
    session = play.session
    session.answer(1, 1, text="good", usd=None, tokens=0)
    session.tried(1, Try(1, LONG, (LONG,) * 3000, "c", "", (LONG,) * 300))
    play.asking.clear()
    play.settle()
    play.answer(1, LONG, usd=None)
    play.answer(1, "", changes={"a": LONG.encode() * 3})
    assert all("more than" in one.faults[0] for one in play.fold.steps[1].tries[1:])
    play.answer(1)
    metrics = {f"m{i}": 0.5 for i in range(100_000)} | {"deep": [[[1]]], "t": "x" * 100_000}
    log = Outcome(Ended.COMPLETED, (0.5,), metrics, 1.0, LONG, LONG, LONG)
    session.outcome(1, 4, log)
    session.verdict(1, Verdict.KEPT, LONG, sha(1))
    session.end(Reason.STOPPED, LONG)
    assert known(opened(play).fold) == known(play.fold)
    assert max(len(data) for data in records_of(play)) < 300_000
    assert len(play.fold.steps[1].outcome.metrics) == 200


def test_a_command_that_is_too_long_to_be_kept_is_a_fault():
    play = Play()
    play.baseline()
    play.session.answer(1, 1, text="good", usd=0.1, tokens=1)
    play.session.tried(1, Try(1, command=LONG, commit=BASE))
    assert play.fold.steps[1].tries[0].faults == ("the command line has more than 4096 characters",)


def test_metrics_that_json_has_no_words_for_are_told_as_text():
    play = Play()
    play.settle()
    metrics = {"val_loss": math.nan, "b": -math.inf, "n": {"c": 1}}
    play.session.outcome(0, 1, Outcome(Ended.NOT_FINITE, (), metrics))
    assert opened(play).fold.steps[0].outcome.metrics == {"val_loss": "nan", "b": "-inf", "n": {"c": 1}}


STEP_1 = {"step": 1, "try": 1}
ANSWER = {**STEP_1, "text": "", "changes": None, "usd": 0.1, "tokens": 1, "fault": "", "passing": False}
TRY = {**STEP_1, "hypothesis": "", "files": [], "command": "", "commit": BASE, "faults": []}
OUTCOME = {
    "ended": "completed",
    "values": [1.0],
    "metrics": {},
    "seconds": 1,
    "error": "",
    "tail": "",
    "log": "",
}


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("BEGIN", {"name": "x", "base": BASE, "command": "", "settings": settings_of(TERMS), "budget": {}}),
        ("TAKE", {"token": "t", "takes": "wrong", "settings": settings_of(TERMS)}),
        ("TAKE", {"token": "t", "takes": None, "settings": {}}),
        ("STEP", {"step": 3, "parent": BASE}),
        ("STEP", {"step": 2, "parent": "no commit"}),
        ("STEP", {"step": -1, "parent": BASE}),
        ("ASK", {"step": 0, "try": 2, "usd": 0, "tokens": 0}),
        ("ASK", {"step": 1, "try": 2, "usd": 0, "tokens": 0}),
        ("ASK", {"step": 1, "try": 1, "usd": -1, "tokens": 0}),
        ("ASK", {"step": 1, "try": 1, "usd": math.nan, "tokens": 0}),
        ("ANSWER", {**ANSWER, "try": 2}),
        ("ANSWER", {**ANSWER, "step": 0}),
        ("ANSWER", {**ANSWER, "passing": 1}),
        ("ANSWER", {**ANSWER, "changes": {"a": "no base 64!"}}),
        ("ANSWER", {**ANSWER, "tokens": True}),
        ("TRY", TRY),
        ("RUN", {**STEP_1, "uuid": "u"}),
        ("RUN", {"step": 0, "try": 1, "uuid": "revis-s-0-1"}),
        ("IDEA", {**STEP_1, "idea": "idea-1"}),
        ("OUTCOME", {**STEP_1, **OUTCOME}),
        ("OUTCOME", {"step": 0, "try": 1, **OUTCOME}),
        ("VERDICT", {"step": 0, "verdict": "baseline", "reason": "", "commit": BASE}),
        ("VERDICT", {"step": 1, "verdict": "kept", "reason": "", "commit": BASE}),
        ("VERDICT", {"step": 1, "verdict": "refused", "reason": "", "commit": ""}),
        ("VERDICT", {"step": 1, "verdict": "stopped", "reason": "", "commit": "x y"}),
        ("EXTEND", {"budget": {"usd": -1}}),
        ("EXTEND", {"budget": {"euros": 1}}),
        ("END", {"reason": "bored", "sentence": ""}),
        ("END", {"reason": "plateau", "sentence": "x" * 2000}),
        ("SING", {}),
    ],
)
def test_a_record_is_void_where_it_makes_no_sense_and_changes_nothing(kind, content):
    play = Play()
    play.baseline()  # step 1 is being asked for
    fold, _ = folded(records_of(play))
    before = repr(known(fold))
    frame = {"kind": kind, "nonce": "1" * 16, "token": fold.owner, "active": 1, "at": 1, "prev": fold.tail}
    assert not fold.apply({**frame, **content}, "sha")
    assert repr(known(fold)) == before


def test_a_run_cannot_get_a_verdict_while_it_is_on_its_way():
    play = Play()
    play.baseline()
    play.answer(1)
    for verdict in Verdict:
        with pytest.raises(ValueError, match="not legal"):
            play.session.verdict(1, verdict, "x", sha(1))
    with pytest.raises(ValueError, match="not legal"):
        play.session.run(1, 1, "another")
    assert (play.fold.steps[1].verdict, play.fold.steps[1].last.uuid) == (None, "revis-s-1-1")


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_every_prefix_of_a_session_folds_and_what_follows_from_it_does_nothing_twice(seed):
    datas = records_of(a_session(seed))
    fold = SessionFold()
    for data in datas:
        assert fold.apply(decode(data), digest(data))
        acts = decide(fold, View(fold.active, usd=0.25))
        for act in acts:
            if isinstance(act, Ask):
                asked = fold.asked.get(act.step)
                assert not (asked and asked.answer), "asked for what is answered"
                assert not any(t.number == act.number for t in fold.steps[act.step].tries)
            if isinstance(act, Run):
                assert not fold.steps[act.step].tries[-1].uuid, "run twice"
            if isinstance(act, Make):
                assert act.step == 0 or fold.asked[act.step].answer


ODD = [None, True, -1, 0, 1, 2, 10**30, 0.5, math.nan, math.inf, "", "x", BASE, [], [None], {}, {"a": 1}]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_records_in_another_order_or_with_other_content_are_void_or_harmless(seed):
    rng = random.Random(seed)
    datas = SESSIONS[seed % len(SESSIONS)]
    fold = SessionFold()
    for data in [*datas, *rng.choices(datas, k=30)]:
        record = decode(data)
        if rng.random() < 0.3:
            record[rng.choice(sorted(record))] = rng.choice(ODD)
        record["prev"] = fold.tail
        if fold.owner and record.get("kind") != "TAKE":
            record["token"] = fold.owner
        before = repr(known(fold))
        if not fold.apply(record, "x"):
            assert repr(known(fold)) == before
        decide(fold, View(1.0))
    assert fold.runs >= 0


SESSIONS = [records_of(a_session(seed, crashes=0.0)) for seed in range(6)]


def test_a_record_can_be_as_large_as_its_bounds_allow():
    content = rec.changes_content({"a": b"\xff" * (rec.CHANGES - 1)})
    assert len(encode({"changes": content, "text": "\x00" * 300_000})) < LIMIT
    assert len(encode({"text": "\u2028" * rec.REPLY})) < LIMIT
    with pytest.raises(ValueError, match="MiB"):
        rec.changes_content({"a": b"x" * rec.CHANGES})
