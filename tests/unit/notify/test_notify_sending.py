"""Sending: the process that sends, what it may say of a failure, and when each target is told again."""

from __future__ import annotations

import io
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from orze.config.values import News
from orze.core.clock import SystemClock
from orze.notify import post
from orze.notify.delivery import Delivery, named
from orze.notify.ledger import Ledger
from orze.notify.news import Event, Told
from orze.notify.post import NO_ANSWER, SENT, Letter, Post
from orze.notify.send import reason, serve

TOLD = Told(outcomes=0, best=None, empty=True, disk_low=False)
TOKEN = "T0KEN"


def events(*numbers: int) -> list[Event]:
    return [Event(kind=News.FAILED, head=f"number {number}") for number in numbers]


# ---- the process


@pytest.fixture
def server() -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """A webhook and what it was told; paths that begin with /bad are refused."""
    heard: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(403 if self.path.startswith("/bad") else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    made = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever, args=(0.02,))
    thread.start()
    yield made.server_port, heard
    made.shutdown()
    made.server_close()
    thread.join()


def closed_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_a_process_of_its_own_sends_and_tells_what_became_of_each(server) -> None:
    port, heard = server
    urls = {
        "json": f"json://127.0.0.1:{port}/{TOKEN}",
        "json 2": f"json://127.0.0.1:{port}/bad/{TOKEN}",
        "json 3": f"json://127.0.0.1:{closed_port()}/{TOKEN}",
        "nosuch": f"nosuch://{TOKEN}",
    }
    sender = Post(SystemClock().steady)
    letters = [Letter(name, url, "farm x: <b>&", "line *1*\nline 2") for name, url in urls.items()]
    assert TOKEN not in repr(letters)
    sender.begin(letters)
    process = Path(f"/proc/{sender._pid}")
    assert TOKEN not in (process / "cmdline").read_text() + (process / "environ").read_text()
    assert sender.answers() is None
    sender.wait(60)
    assert sender.answers() == {
        "json": SENT,
        "json 2": "HTTP 403",
        "json 3": "no connection",
        "nosuch": "not a URL that apprise understands",
    }
    assert not sender.busy
    assert [(one["title"], one["message"]) for one in heard] == [("farm x: <b>&", "line *1*\nline 2")] * 2


def test_a_letter_without_a_body_only_tries_the_url(server) -> None:
    port, heard = server
    sender = Post(SystemClock().steady)
    sender.begin([Letter("json", f"json://127.0.0.1:{port}", "", ""), Letter("x", "x://y", "", "")])
    sender.wait(60)
    assert sender.answers() == {"json": SENT, "x": "not a URL that apprise understands"}
    assert heard == []


def test_a_sender_that_hangs_is_ended_and_what_it_had_told_counts(monkeypatch, tmp_path) -> None:
    program = tmp_path / "sender"
    program.write_text('#!/bin/sh\necho \'["a", ""]\'\necho \'["b\'\nexec sleep 1000\n')
    program.chmod(0o755)
    monkeypatch.setattr(post.sys, "executable", str(program))
    time = [0.0]
    sender = Post(lambda: time[0])
    sender.begin([])
    sender.wait(0.5)
    assert sender.answers() is None
    time[0] = sender.deadline
    assert sender.answers() is None
    sender.wait(10)
    assert (sender.answers() or {}).get("a") == SENT
    assert sender.deadline == float("inf")


def test_a_fault_of_one_plugin_is_that_of_its_target_alone() -> None:
    def deliver(letter: Letter) -> str:
        if letter.name == "bad":
            raise RuntimeError(letter.url)
        return SENT

    letters = [{"name": name, "url": TOKEN, "title": "t", "body": "b"} for name in ("bad", "good")]
    answers = io.StringIO()
    serve(io.BytesIO(json.dumps(letters).encode()), answers, deliver)
    assert sorted(map(json.loads, answers.getvalue().splitlines())) == [["bad", "RuntimeError"], ["good", ""]]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("Failed to send JSON POST notification: Internal Server Error, error=500.", "HTTP 500"),
        (f"A Connection error occurred sending to https://hooks/{TOKEN}.", "no connection"),
        (f"Read timed out. (/{TOKEN})", "no connection"),
        (f"bad token {TOKEN}, error={TOKEN}", "refused"),
        ("", "refused"),
    ],
)
def test_why_a_message_did_not_arrive_is_told_in_our_own_words(said: str, why: str) -> None:
    assert reason(said) == why


# ---- when


class Senders:
    """Stands in for the processes: keeps their letters, and ends when told what to answer."""

    def __init__(self) -> None:
        self.letters: list[list[Letter]] = []
        self._answers = -1

    def spawn(self, source: int, answers: int) -> int:
        self.letters.append([Letter(**one) for one in json.loads(os.pread(source, 1 << 20, 0))])
        self._answers = os.dup(answers)
        return 1_000_000 + len(self.letters)

    def end(self, delivery: Delivery, **answers: str) -> dict[str, int]:
        """The sender that runs ends; who is not named gave no answer."""
        for name, why in answers.items():
            os.write(self._answers, json.dumps([name, why]).encode() + b"\n")
        os.close(self._answers)
        delivery.child_ended(1_000_000 + len(self.letters))
        return delivery.collect()


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def senders(monkeypatch) -> Senders:
    made = Senders()
    monkeypatch.setattr(post, "_spawn", made.spawn)
    return made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(senders: Senders, clock: Clock) -> Callable[..., tuple[Delivery, Ledger]]:
    """A delivery whose URLs have been tried, and a ledger in which nothing waits."""

    def begin(*schemes: str, every: float = 60.0) -> tuple[Delivery, Ledger]:
        delivery = Delivery("mnist", [SecretStr(f"{scheme}://{TOKEN}") for scheme in schemes], every, clock)
        ledger = Ledger(told=TOLD).with_targets(delivery.targets)
        delivery.send(ledger)
        assert [letter.body for letter in senders.letters[0]] == [""] * len(schemes)
        assert set(senders.end(delivery, **dict.fromkeys(schemes, SENT)).values()) <= {0}
        return delivery, ledger

    return begin


def test_the_first_message_goes_at_once_and_the_next_after_the_rest_with_all_in_between(
    make, senders, clock
) -> None:
    delivery, ledger = make("slack")
    assert delivery.due(ledger) == float("inf")
    ledger = ledger.with_events(TOLD, events(1))
    assert delivery.due(ledger) <= clock.now
    delivery.send(ledger)
    assert [letter.title for letter in senders.letters[1]] == ["farm mnist: number 1"]
    delivery.send(ledger)
    assert len(senders.letters) == 2, "one round at a time"
    ledger = ledger.with_events(TOLD, events(2, 3))
    assert senders.end(delivery, slack=SENT) == {"slack": 1}
    ledger = ledger.delivered("slack", 1)
    delivery.send(ledger)
    assert len(senders.letters) == 2
    assert delivery.due(ledger) == clock.now + 60
    clock.now += 60
    delivery.send(ledger)
    assert senders.letters[2][0].body == "number 2\nnumber 3"


def test_a_target_that_fails_is_tried_again_later_and_later_and_alone(make, senders, clock) -> None:
    delivery, ledger = make("slack", "json", every=0.0)
    ledger = ledger.with_events(TOLD, events(1))
    delivery.send(ledger)
    assert senders.end(delivery, slack=SENT, json="HTTP 500") == {"slack": 1}
    assert delivery.problems == ["notifications: 1 of 2 targets not reached: HTTP 500 (json)"]
    ledger = ledger.delivered("slack", 1)
    rests = []
    for _ in range(12):
        rests.append(delivery.due(ledger) - clock.now)
        clock.now += rests[-1] - 0.1
        delivery.send(ledger)
        clock.now += 0.1
        before = len(senders.letters)
        delivery.send(ledger)
        assert [letter.name for letter in senders.letters[-1]] == ["json"]
        assert len(senders.letters) == before + 1
        assert senders.end(delivery) == {}
    assert [round(rest) for rest in rests] == [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600, 3600]
    assert delivery.problems == [f"notifications: 1 of 2 targets not reached: {NO_ANSWER} (json)"]
    clock.now += 3600
    delivery.send(ledger)
    assert senders.end(delivery, json=SENT) == {"json": 1}
    assert delivery.problems == []


def test_who_leaves_sends_what_waits_whatever_the_time(make, senders) -> None:
    delivery, ledger = make("slack")
    for number in (1, 2):
        ledger = ledger.with_events(TOLD, events(number))
        delivery.send(ledger, now=True)
        ledger = ledger.delivered("slack", senders.end(delivery, slack=SENT)["slack"])
    delivery.send(ledger, now=True)
    assert len(senders.letters) == 3, "and nothing where nothing waits"


def test_a_round_of_an_earlier_term_counts_no_more(make, senders) -> None:
    delivery, ledger = make("slack")
    delivery.send(ledger.with_events(TOLD, events(1)))
    delivery.begin()
    assert senders.end(delivery, slack=SENT) == {}


def test_targets_are_named_by_their_schemes() -> None:
    urls = [SecretStr(f"{scheme}://{TOKEN}") for scheme in ("slack", "Slack", "mailto")]
    assert list(named(urls)) == ["slack", "slack 2", "mailto"]
    assert TOKEN not in repr(named(urls))
