"""Requests of operators: left once, understood or answered with a problem, never dropped in silence."""

import errno
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orze.coord.requests import KINDS, OF_HOSTS, OF_IDEAS, pending, remove, submit
from orze.core.clock import ManualClock
from orze.core.files import RealFiles
from orze.core.memory import MemoryFiles
from tests.fakes.shares import fails_always, fails_once

HOME = "/results/.orze/requests"
LIMIT = 64 << 10


@pytest.fixture
def files():
    return MemoryFiles()


VALUES = {"priority": "high", "cards": "0,GPU-ab"}


def ask(files, kind="stop", target="idea-001", value="", by="ann", home=HOME, clock=None):
    return submit(files, home, clock or ManualClock(), kind=kind, target=target, value=value, by=by)


def put(files, data, name="0123"):
    """A file that some other program put there."""
    if "results" not in files.listdir("/"):
        ask(files)
        for request in pending(files, HOME):
            remove(files, HOME, request)
    files.write_new(f"{HOME}/{name}.json", data)


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_is_found_as_it_was_asked(files, kind):
    target, value = "idea-001" if kind in OF_IDEAS else "gpu-a.example", VALUES.get(kind, "")
    uuid = ask(files, kind, target, value)
    (request,) = pending(files, HOME)
    assert (request.uuid, request.kind, request.target, request.by) == (uuid, kind, target, "ann")
    assert (request.value, request.problem) == (value, "")


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_says_which_idea_or_which_host_it_is_about(files, kind):
    uuid = ask(files, kind, "gpu-a", VALUES.get(kind, ""))
    body = json.loads(files.read(f"{HOME}/{uuid}.json", LIMIT))
    subject = "host" if kind in OF_HOSTS else "idea"
    assert body.keys() == {"kind", subject, "by", "at"} | ({"value"} if kind in VALUES else set())
    assert body[subject] == "gpu-a"


def test_requests_of_one_terminal_are_in_the_order_in_which_they_were_made(files):
    clock = ManualClock()
    uuids = []
    for number in range(20):
        uuids.append(ask(files, target=f"idea-{number}", clock=clock))
        clock.advance(0.001)
    assert [request.uuid for request in pending(files, HOME)] == uuids


def test_a_request_on_a_real_disk_is_one_whole_file(tmp_path):
    home = str(tmp_path / "requests")
    uuid = ask(RealFiles(), home=home)
    assert RealFiles().listdir(home) == [f"{uuid}.json"]
    assert [request.uuid for request in pending(RealFiles(), home)] == [uuid]


def test_requests_do_not_share_a_name(files):
    uuids = {ask(files) for _ in range(100)}
    assert len(uuids) == 100
    assert {request.uuid for request in pending(files, HOME)} == uuids


def test_an_answered_request_is_removed_and_may_be_removed_again(files):
    uuids = [ask(files), ask(files)]
    gone = next(request for request in pending(files, HOME) if request.uuid == uuids[0])
    remove(files, HOME, gone)
    remove(files, HOME, gone)
    assert [request.uuid for request in pending(files, HOME)] == [uuids[1]]


def test_where_nobody_ever_asked_nothing_waits(files):
    assert pending(files, HOME) == []


def test_temporary_and_other_files_are_no_requests(files):
    put(files, b"{}", ".tmp-1")
    files.write_new(f"{HOME}/readme.txt", b"")
    assert pending(files, HOME) == []


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "the request is"),
        (b"stop idea-001", "the request is"),
        (b"[]", "not a JSON object"),
        (b"[" * 20_000, "nested too deeply"),
        (b"{}", "'None' is no request; known are stop, retry"),
        (b'{"kind":"explode","idea":"idea-001"}', "'explode' is no request"),
        (b'{"kind":["stop"],"idea":"idea-001"}', "is no request"),
        (json.dumps({"kind": "x" * 1000, "idea": "idea-001"}).encode(), "is no request"),
        (b'{"kind":"stop"}', "names no idea"),
        (b'{"kind":"stop","idea":""}', "names no idea"),
        (b'{"kind":"stop","host":"gpu-a"}', "names no idea"),
        (b'{"kind":"hold","idea":"../../etc"}', "'../../etc' is no name of an idea"),
        (b'{"kind":"hold","idea":["idea-001"]}', "is no name of an idea"),
        (json.dumps({"kind": "hold", "idea": "x" * 201}).encode(), "is no name of an idea"),
        (b'{"kind":"drain","idea":"idea-001"}', "names no host"),
        (b'{"kind":"drain","host":"gpu a"}', "'gpu a' is no name of a host"),
        (b'{"kind":"undrain","host":"a\\u001b[31m"}', "is no name of a host"),
        (b'{"kind":"undrain","host":"a\\ud800"}', "is no name of a host"),
        (json.dumps({"kind": "cards", "host": "x" * 254}).encode(), "is no name of a host"),
        (
            b'{"kind":"priority","idea":"idea-001"}',
            "'' is no priority; known are critical, high, medium, low",
        ),
        (b'{"kind":"priority","idea":"idea-001","value":"HIGH"}', "'HIGH' is no priority"),
        (b'{"kind":"priority","idea":"idea-001","value":0}', "'0' is no priority"),
        (b'{"kind":"cards","host":"gpu-a"}', "'' names no cards; write them as for --gpus, or default"),
        (b'{"kind":"cards","host":"gpu-a","value":"0\\n1"}', "names no cards"),
        (json.dumps({"kind": "cards", "host": "gpu-a", "value": "0," * 501}).encode(), "names no cards"),
        (b'{"kind":"stop","idea":"idea-001","by":"' + b"x" * LIMIT + b'"}', "larger than 65536 bytes"),
    ],
    ids=repr,
)
def test_a_request_that_cannot_be_understood_says_why(files, data, problem):
    put(files, data)
    (request,) = pending(files, HOME)
    assert request.uuid == "0123"
    assert problem in request.problem
    assert len(request.problem) < 200
    remove(files, HOME, request)
    assert pending(files, HOME) == []


def test_who_asks_is_told_in_one_short_line(files):
    ask(files, by="ann\n\x1b[2J" + "x" * 200)
    (request,) = pending(files, HOME)
    assert request.by == ("ann[2J" + "x" * 200)[:100]


@settings(deadline=None)
@given(
    st.binary(max_size=200)
    | st.dictionaries(st.text(), st.integers() | st.text()).map(lambda o: json.dumps(o).encode())
)
def test_no_file_breaks_the_reading(data):
    files = MemoryFiles()
    put(files, data)
    ask(files)
    assert len(pending(files, HOME)) == 2


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ENOENT])
def test_a_request_that_cannot_be_read_now_waits(files, number):
    uuids = [ask(files), ask(files)]
    share = fails_once(files, "read", number, done=False)
    assert len(pending(share, HOME)) == 1
    assert {request.uuid for request in pending(share, HOME)} == set(uuids)


def test_a_share_that_does_not_list_is_an_error(files):
    ask(files)
    with pytest.raises(OSError, match="EIO"):
        pending(fails_always(files, "listdir", errno.EIO), HOME)


@pytest.mark.parametrize("number", [errno.EEXIST, errno.EIO])
def test_a_request_whose_reply_was_lost_was_made(files, number):
    uuid = ask(fails_once(files, "link", number, done=True))
    assert [request.uuid for request in pending(files, HOME)] == [uuid]
    assert files.listdir(HOME) == [f"{uuid}.json"]


@pytest.mark.parametrize("name", ["mkdir", "write_new", "link"])
def test_a_request_that_was_not_made_is_told(files, name):
    with pytest.raises(OSError, match="ENOSPC"):
        ask(fails_always(files, name, errno.ENOSPC))
    assert pending(files, HOME) == []
