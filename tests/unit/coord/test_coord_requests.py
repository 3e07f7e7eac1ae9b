"""Requests of operators: left once, understood or answered with a problem, never dropped in silence."""

import errno
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orze.coord.requests import KINDS, pending, remove, submit
from orze.core.clock import ManualClock
from orze.core.files import RealFiles
from orze.core.memory import MemoryFiles
from tests.fakes.shares import fails_always, fails_once

HOME = "/results/.orze/requests"
LIMIT = 64 << 10


@pytest.fixture
def files():
    return MemoryFiles()


def ask(files, kind="stop", idea_id="idea-001", by="ann", home=HOME):
    return submit(files, home, ManualClock(), kind=kind, idea_id=idea_id, by=by)


def put(files, data, name="0123"):
    """A file that some other program put there."""
    if "results" not in files.listdir("/"):
        ask(files)
        for request in pending(files, HOME):
            remove(files, HOME, request)
    files.write_new(f"{HOME}/{name}.json", data)


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_is_found_as_it_was_asked(files, kind):
    uuid = ask(files, kind)
    (request,) = pending(files, HOME)
    assert (request.uuid, request.kind, request.idea_id, request.by) == (uuid, kind, "idea-001", "ann")
    assert request.problem == ""


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
