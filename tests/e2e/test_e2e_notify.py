"""Notifications: real daemons tell a real HTTP server what happens, once, whoever leads."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

import pytest
from farmhouse import SHORT_LEASE, Farm, idea

SECRET = "s3cr3t-t0ken"


class Target:
    """A webhook that keeps what it is told; it answers with `status`, or not before it is closed."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.asked = 0
        self.status = 200
        self.hangs = False
        self._end = threading.Event()
        target = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                target.asked += 1
                if target.hangs:
                    target._end.wait()
                if target.status == 200:
                    target.messages.append(body)
                self.send_response(target.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"json://ada:{SECRET}@127.0.0.1:{self._server.server_port}/{SECRET}"

    def told(self, part: str) -> int:
        """In how many messages this stands."""
        return sum(part in message["title"] + "\n" + message["message"] for message in self.messages)

    def story(self) -> str:
        return json.dumps(self.messages, indent=1)

    def close(self) -> None:
        self._end.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def make_target() -> Iterator[Callable[[], Target]]:
    made: list[Target] = []

    def make() -> Target:
        made.append(Target())
        return made[-1]

    yield make
    for target in made:
        target.close()


@pytest.fixture
def target(make_target: Callable[[], Target]) -> Target:
    return make_target()


def recorded(farm: Farm) -> bool:
    """Whether every message that was sent is recorded: who is killed before that repeats it."""
    ledgers = [json.loads(path.read_text()) for path in (farm.results / ".orze" / "notify").glob("*.json")]
    return bool(ledgers) and all(set(one["sent"].values()) == {one["count"]} for one in ledgers)


def nothing_shows_the_secret(farm: Farm) -> None:
    for path in farm.home.rglob("*"):
        if path.is_file() and path.name != "orze.yaml":
            assert SECRET.encode() not in path.read_bytes(), path


def hooks(*names: str, **more: Any) -> dict[str, Any]:
    """The key `notifications` for targets whose URLs are in these variables of the environment."""
    return {"urls": [f"${{{name}}}" for name in names], "every": 0.5, **more}


BAD = "raise ValueError('no such <layer>, @everyone')"
FLAKY = "metrics(val_loss=0.9) if attempt.startswith('2-') else sys.exit(3)"


def test_what_happens_is_told_once_but_no_failure_that_is_retried(make_farm, target):
    farm = make_farm(notifications=hooks("HOOK"), retry={"exit_code": 1}, poll=0.2)
    farm.start(HOOK=target.url)
    farm.wait(lambda: farm.status().get("leader"), "a leader")
    farm.write(
        idea(1, "metrics(val_loss=0.5)", title="A first one"),
        idea(2, "wait('second')\nmetrics(val_loss=0.25)", title="Better @here"),
        idea(3, FLAKY),
        idea(4, BAD, title="<!channel> looks"),
        last="",
    )
    farm.wait(lambda: target.told("new best idea-001"), "the first result")
    farm.flag("second")
    farm.wait_states(COMPLETED=3, FAILED=1)
    best = "new best idea-002 val_loss 0.2500 (was 0.5000)"
    farm.wait(lambda: target.told(best) and target.told("idea-004 failed for good: exception"), "both")
    farm.wait(lambda: target.told("queue is empty"), "the last message")
    assert not target.told("idea-003 failed"), target.story()
    assert target.told("Better ＠here")
    assert not target.told("@"), target.story()
    assert not target.told("<")
    assert all(message["title"].startswith("farm it's a färm 0: ") for message in target.messages)
    farm.wait(lambda: recorded(farm), "the record of the last message")
    farm.daemons[0].kill()
    farm.append(idea(5, BAD), idea(6, "metrics(val_loss=0.75)"))
    farm.start(HOOK=target.url)
    farm.wait(lambda: target.told("idea-005 failed"), "the failure that the next daemon saw")
    farm.wait_states(COMPLETED=4, FAILED=2)
    farm.wait(lambda: target.told("queue is empty") >= 2, "an empty queue again")
    farm.daemons[1].end()
    once = ("new best idea-001", best, "idea-004 failed", "idea-005 failed")
    assert [target.told(part) for part in once] == [1] * len(once), target.story()
    assert not target.told("lost"), "a daemon that was started again on its host is no lost host"
    nothing_shows_the_secret(farm)


def test_a_new_leader_repeats_nothing_and_tells_that_the_host_of_the_old_one_is_lost(make_farm, target):
    farm = make_farm(notifications=hooks("HOOK"), lease=SHORT_LEASE, poll=0.2)
    machine = farm.machine("gpu-a")
    farm.write(idea(1, "metrics(val_loss=0.5)"), idea(2, BAD))
    farm.start(on=machine, HOOK=target.url)
    farm.wait(lambda: target.told("new best idea-001") and target.told("idea-002 failed"), "both")
    farm.start(on=farm.machine("gpu-b"), HOOK=target.url)
    farm.wait(lambda: len(farm.status().get("hosts", ())) == 2, "two hosts")
    farm.wait(lambda: recorded(farm), "the record of the first messages")
    farm.daemons[0].may_end = {None, -9, 137, 1}
    machine.cut()
    farm.wait(lambda: target.told("host gpu-a is lost"), "the loss")
    farm.append(idea(3, "metrics(val_loss=0.25)"))
    farm.wait(lambda: target.told("new best idea-003 val_loss 0.2500 (was 0.5000)"), "the next best")
    once = ("idea-001", "idea-002 failed", "new best idea-003", "host gpu-a is lost", "lost")
    assert [target.told(part) for part in once] == [1] * len(once), target.story()


def test_a_target_that_hangs_slows_nothing_and_one_that_refuses_is_named_without_its_url(
    make_farm, make_target
):
    hangs, refuses, takes = make_target(), make_target(), make_target()
    hangs.hangs, refuses.status = True, 500
    farm = make_farm(notifications=hooks("A", "B", "C", on=["new_best"]), poll=0.2)
    farm.write(*(idea(number, f"metrics(val_loss={1 / number})") for number in range(1, 7)))
    farm.start(A=hangs.url, B=refuses.url, C=takes.url)
    farm.wait(lambda: hangs.asked, "a message that hangs")
    farm.wait_states(COMPLETED=6)
    assert hangs.messages == []
    farm.wait(lambda: takes.told("idea-006"), "the message after the one that hung")
    farm.wait(lambda: "HTTP 500 (json 2)" in farm.problems(), "the problem")
    assert "notifications: 2 of 3 targets not reached: no connection (json), " in farm.problems()
    assert not takes.told("queue")
    started = [event["at"] for event in farm.starts()]
    assert max(b - a for a, b in pairwise(started)) < 4, "the least that a server hangs"
    nothing_shows_the_secret(farm)


def test_an_old_farm_is_no_news_and_a_low_disk_is(make_farm, target):
    farm = make_farm(poll=0.2, notifications=hooks("HOOK"))
    farm.write(*(idea(number, BAD) for number in range(1, 40)))
    for number in range(1, 40):
        status = {"status": "FAILED", "error": "x"} if number % 2 else {"status": "COMPLETED", "loss": number}
        (farm.results / f"idea-{number:03d}").mkdir(parents=True)
        (farm.results / f"idea-{number:03d}" / "metrics.json").write_text(json.dumps(status))
    first = farm.start(HOOK=target.url)
    farm.wait(lambda: list((farm.results / ".orze" / "notify").glob("*.json")), "the first look")
    first.end()
    assert target.messages == []
    farm.append(idea(40, BAD))
    farm.run("--once", status=1, HOOK=target.url)
    assert target.told("idea-040 failed") == 1, "--once waits until its last message is sent"
    farm.configure(poll=0.2, notifications=hooks("HOOK"), min_disk_gb=1e8)
    farm.start(HOOK=target.url)
    farm.wait(lambda: target.told("disk low"), "the disk")
    assert len(target.messages) == 2, target.story()


def test_a_daemon_without_apprise_says_how_to_install_it(make_farm, target):
    farm = make_farm(notifications=hooks("HOOK"))
    (farm.home / "tmp" / "sitecustomize.py").write_text(
        "import sys\n"
        "finders = [finder.find_spec for finder in sys.meta_path]\n"
        "class Without:\n"
        "    def find_spec(name, *more):\n"
        "        known = () if name == 'apprise' else finders\n"
        "        return next(filter(None, (find(name, *more) for find in known)), None)\n"
        "sys.meta_path[:] = [Without]\n"
    )
    said = farm.run(status=2, HOOK=target.url, PYTHONPATH=str(farm.home / "tmp"))
    assert "notifications need the package apprise: pip install 'orze[notify]'" in said
    assert SECRET not in said
