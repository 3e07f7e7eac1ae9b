"""Why an idea stands where it stands, and what would change that: sentences from plain facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orze.client.story import Attempt
from orze.core.states import NOT_ITS_FAULT, RUNNING, SUCCEEDED, UNCOUNTED, State
from orze.ideas.model import Idea
from orze.report.advice import advice
from orze.report.model import FREE, HostRow
from orze.report.text import counted, duration


@dataclass(frozen=True)
class Facts:
    """What is known of an idea and of what it depends on.

    Attributes:
        reason: the queue's own words for why it does not run; empty where it could.
        registered: whether the journal has its section.
        held: why it is held by an operator or as a duplicate; empty where it is not.
        edited: its section is no longer what its result came of.
        after: the ideas of its After that have not succeeded, and where they stand; None for unknown ones.
        ahead: ready ideas that stand before it.
        same: another idea that runs with its configuration and seed, for which it waits; empty for none.
        asked: kinds of requests about it that nobody has answered yet.
        hosts: those with a living daemon, `drained` as the journal has it.
        silent: hosts whose daemons have said nothing for long, and for how many seconds.
        disk: what keeps hosts from starting anything for lack of space; empty where there is enough.
        problems: what the leader has trouble with.
        retry: how many further attempts each cause of failure gets.
        failures: how often it failed by each cause since it was last retried by hand.
        limit: failures after which it is skipped; 0 for none.
    """

    idea_id: str
    state: State
    reason: str = ""
    idea: Idea | None = None
    registered: bool = True
    held: str = ""
    edited: bool = False
    attempts: Sequence[Attempt] = ()
    after: Sequence[tuple[str, State | None]] = ()
    ahead: int = 0
    same: str = ""
    asked: Sequence[str] = ()
    hosts: Sequence[HostRow] = ()
    silent: Mapping[str, float] = field(default_factory=dict)
    disk: str = ""
    problems: Sequence[str] = ()
    retry: Mapping[str, int] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)
    limit: int = 0
    start: str = "orze run"


@dataclass
class Explanation:
    """The answer.

    Attributes:
        headline: where it stands, in one sentence.
        because: what brought it there.
        change: what would change that, each a thing to do; empty where nothing has to.
    """

    headline: str
    because: list[str] = field(default_factory=list)
    change: list[str] = field(default_factory=list)


def explain(facts: Facts) -> Explanation:
    """Say why an idea stands where it stands, and what would change that."""
    if facts.state in RUNNING:
        told = _running(facts)
    elif facts.state in SUCCEEDED:
        told = _succeeded(facts)
    else:
        told = _TELLERS.get(facts.state, _queued)(facts)
    if facts.edited:
        told.because.append("its section was edited after it ran: the result is of the earlier text")
        if not any(f"orze retry {facts.idea_id}" in line for line in told.change):
            told.change.append(f"orze retry {facts.idea_id} runs it with the present text")
    for kind in facts.asked:
        told.because.append(f"a request to {kind} it waits for the leader")
    return told


def obstacle(host: HostRow, idea: Idea) -> str:
    """Why an idea cannot start on a host now; empty where it can."""
    if host.drained:
        return "drained"
    if not idea.may_run_on(host.name):
        return f"its Hosts are {', '.join(idea.hosts)}"
    cards = {_card(card.key) for card in host.cards}
    if len(cards) < idea.gpus:
        return f"{counted(len(cards), 'card')}, and it needs {idea.gpus}"
    free = {_card(card.key) for card in host.cards if card.state == FREE}
    if len(free) >= idea.gpus:
        return ""
    others = [f"{card.key}: {card.state}" for card in host.cards if " " in card.state]
    unusable = f" ({'; '.join(others[:3])})" if others else ""
    if idea.gpus > 1:
        return f"{len(free)} of {len(cards)} cards are free, and it needs {idea.gpus}{unusable}"
    return f"no slot is free{unusable}"


def _queued(facts: Facts) -> Explanation:
    idea_id, idea = facts.idea_id, facts.idea
    if facts.after:
        return _waits(facts)
    if idea is None:
        return Explanation(f"{idea_id} is {facts.state}", [facts.reason] if facts.reason else [])
    told = Explanation(f"{idea_id} is queued, {_place(facts.ahead)}")
    if facts.same:
        told.because.append(f"{facts.same} runs with the same configuration and seed, and it waits for that")
        told.change.append("write **Rerun**: yes into its section to have it run all the same")
        return told
    again = [attempt for attempt in facts.attempts if attempt.state is State.QUEUED]
    if again:
        told.because.append(f"attempt {again[-1].number} ended and it runs again: {_cause(again[-1])}")
    if not facts.hosts:
        told.because.append(_nobody(facts))
        told.change.append(f"start a daemon: {facts.start}")
        return told
    if not facts.registered:
        told.because.append("the leader has not taken its section in yet, which it does in its next cycle")
    if facts.disk:
        told.because.append(facts.disk)
        told.change.append("make room there, or lower min_disk_gb in orze.yaml")
    told.because += [f"the leader tells of a problem: {problem}" for problem in facts.problems]
    _judge_hosts(facts, idea, told)
    return told


def _judge_hosts(facts: Facts, idea: Idea, told: Explanation) -> None:
    """Say of each host why it does not start it, or that one is about to."""
    obstacles = {host.name: obstacle(host, idea) for host in facts.hosts}
    ready = [name for name, why in obstacles.items() if not why]
    if ready and not facts.disk:
        told.because.append(f"{ready[0]} has room for it and starts it when its turn comes")
        return
    told.because += [f"{name}: {why}" for name, why in obstacles.items() if why]
    drained = [host.name for host in facts.hosts if host.drained]
    told.change += [f"orze undrain {name}" for name in drained]
    fits = [
        host
        for host in facts.hosts
        if idea.may_run_on(host.name) and len({_card(card.key) for card in host.cards}) >= idea.gpus
    ]
    if not fits:
        told.change.append("change Hosts or GPUs of its section, or start a daemon on a host that has them")
    elif len(fits) > len(drained):
        told.change.append(f"wait until a slot is free; orze priority {facts.idea_id} high moves it forward")


def _waits(facts: Facts) -> Explanation:
    told = Explanation(f"{facts.idea_id} is queued and waits for {_list([name for name, _ in facts.after])}")
    for other, state in facts.after:
        told.because.append(f"{other} is {_word(state)}" if state else f"{other} is not in ideas.md")
        told.change.append(
            f"orze explain {other}" if state else f"add {other}, or take it out of After of {facts.idea_id}"
        )
    return told


def _held(facts: Facts) -> Explanation:
    idea_id = facts.idea_id
    told = Explanation(f"{idea_id} is held and does not run", [facts.held or facts.reason])
    if facts.held:
        told.change.append(f"orze release {idea_id}")
    elif facts.idea is None:
        told.change += [
            f"orze restore {idea_id} puts its section back",
            f"orze withdraw {idea_id} gives it up",
        ]
    else:
        told.change.append("change After in one of the sections that wait for one another")
    return told


def _quarantined(facts: Facts) -> Explanation:
    return Explanation(
        f"{facts.idea_id} is quarantined: its section cannot be accepted",
        [facts.reason],
        ["correct it at its place; it is read again by itself, and orze lint tells whether it is right"],
    )


def _running(facts: Facts) -> Explanation:
    idea_id = facts.idea_id
    if not facts.attempts:
        return Explanation(f"{idea_id} is just being claimed")
    last = facts.attempts[-1]
    told = Explanation(f"{idea_id} is {_word(facts.state)} on {_where(last)}, attempt {last.number}")
    if last.host in facts.silent:
        silence = duration(facts.silent[last.host])
        told.because.append(
            f"the daemon of {last.host} is silent for {silence}; if the attempt is as well, it is taken for "
            "lost and queued again"
        )
        if not facts.hosts:
            told.change.append(f"start a daemon that can see to it: {facts.start}")
    told.change += [f"orze logs {idea_id} -f shows what it prints", f"orze stop {idea_id} ends it for good"]
    return told


def _succeeded(facts: Facts) -> Explanation:
    told = Explanation(f"{facts.idea_id} is {_word(facts.state)}: nothing has to be done")
    last = facts.attempts[-1] if facts.attempts else None
    if last and last.error:
        told.because.append(f"after the training something went wrong: {last.error}")
        told.change += [
            f"orze logs {facts.idea_id} --eval shows what was printed",
            f"orze retry {facts.idea_id} trains and evaluates it anew",
        ]
    return told


def _failed(facts: Facts) -> Explanation:
    last = facts.attempts[-1] if facts.attempts else None
    told = Explanation(f"{facts.idea_id} failed")
    if last is None:
        told.because.append("another program left its result, and says that it failed")
        return told
    told.headline = f"{facts.idea_id} failed in attempt {last.number} on {_where(last)}"
    told.because += [_cause(last), _retries(facts, last.cause)]
    told.change += [
        advice(last.cause),
        f"orze logs {facts.idea_id} shows what it printed",
        f"orze retry {facts.idea_id} runs it again",
    ]
    return told


def _retries(facts: Facts, cause: str) -> str:
    allowed, failed = facts.retry.get(cause, 0), facts.failures.get(cause, 0)
    if allowed:
        more = counted(allowed, "more try", "more tries")
        return f"retry in orze.yaml gives {cause} {more}; it failed so {_times(failed)}"
    if cause in NOT_ITS_FAULT:
        return "such an end is never counted"
    return f"retry in orze.yaml gives {cause or 'this cause'} no more tries, so the failure is final"


def _skipped(facts: Facts) -> Explanation:
    idea_id = facts.idea_id
    if facts.after:
        others = [name for name, _ in facts.after]
        told = Explanation(f"{idea_id} is skipped, because it comes after {_list(others)}")
        told.because += [f"{name} is {_word(state)}" for name, state in facts.after if state]
        told.change += [f"orze explain {name}, then orze retry {name}" for name in others]
        return told
    total = sum(1 for attempt in facts.attempts if attempt.cause and attempt.cause not in UNCOUNTED)
    told = Explanation(f"{idea_id} is skipped: it failed {_times(total)}")
    told.because += [f"attempt {attempt.number}: {_cause(attempt)}" for attempt in facts.attempts[-3:]]
    told.change += [
        f"raise max_idea_failures in orze.yaml (now {facts.limit or 'off'}), then orze retry {idea_id}",
        advice(facts.attempts[-1].cause) if facts.attempts else "read its log",
    ]
    return told


def _stopped(facts: Facts) -> Explanation:
    return Explanation(
        f"{facts.idea_id} was stopped",
        ["an operator asked for it"],
        [f"orze retry {facts.idea_id} runs it again"],
    )


def _pruned(facts: Facts) -> Explanation:
    told = Explanation(f"{facts.idea_id} was stopped early, as hopeless")
    if facts.attempts:
        told.headline += f", in attempt {facts.attempts[-1].number} on {_where(facts.attempts[-1])}"
        told.because.append(facts.attempts[-1].error)
    told.change.append(f"orze retry {facts.idea_id} runs it again, and to its end")
    return told


def _withdrawn(facts: Facts) -> Explanation:
    return Explanation(
        f"{facts.idea_id} is withdrawn",
        [facts.reason or "an operator took it back before it ran"],
        [f"orze release {facts.idea_id} queues it"],
    )


_TELLERS = {
    State.QUEUED: _queued,
    State.HELD: _held,
    State.QUARANTINED: _quarantined,
    State.FAILED: _failed,
    State.SKIPPED: _skipped,
    State.STOPPED: _stopped,
    State.PRUNED: _pruned,
    State.WITHDRAWN: _withdrawn,
}


def _nobody(facts: Facts) -> str:
    if not facts.silent:
        return "no daemon runs"
    return "no daemon runs; " + ", ".join(
        f"{name} is silent for {duration(seconds)}" for name, seconds in facts.silent.items()
    )


def _place(ahead: int) -> str:
    return "the next in order" if not ahead else f"behind {counted(ahead, 'other')}"


def _cause(attempt: Attempt) -> str:
    return ": ".join(filter(None, [attempt.cause, attempt.error])) or "it did not say why"


def _where(attempt: Attempt) -> str:
    return f"{attempt.host}:{attempt.gpu}" if attempt.gpu else attempt.host


def _card(key: str) -> str:
    """The card of a slot."""
    return key.partition("#")[0]


def _word(state: State) -> str:
    return state.lower()


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")
