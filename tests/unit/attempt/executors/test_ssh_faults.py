"""What ssh says when it cannot connect, and what comes through a line: what passes and what does not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orze.attempt.executors.faults import Lost, Refused, explain
from orze.attempt.executors.frames import FRAME, NOISE, Frames
from orze.attempt.executors.package import MARK

SPEC: Any = {"host": "gpu", "user": "me", "port": 2222, "key_path": "/k e y"}


@pytest.mark.parametrize(
    ("complaint", "kind", "said"),
    [
        ("ssh: connect to host gpu port 22: Connection refused\r\n", Lost, "Connection refused"),
        ("ssh: Could not resolve hostname gpu: Temporary failure\r\n", Lost, "Could not resolve"),
        ("Connection timed out during banner exchange\r\n", Lost, "timed out"),
        ("kex_exchange_identification: Connection closed by remote host\r\n", Lost, "closed"),
        ("", Lost, "without a word"),
        ("Host key verification failed.\r\n", Refused, "ssh -p 2222 -i '/k e y' me@gpu"),
        (
            "@@@\n@ REMOTE HOST IDENTIFICATION HAS CHANGED! @\n@@@\nHost key verification failed.\n",
            Refused,
            "not the one in known_hosts",
        ),
        ("me@gpu: Permission denied (publickey).\r\n", Refused, "must work without a question"),
        ("Received disconnect: Too many authentication failures\n", Refused, "does not let us in"),
        ("command-line: line 0: Bad configuration option: nonsense\n", Refused, "Bad configuration option"),
        ("Unable to negotiate with gpu: no matching host key type found.\n", Refused, "no matching host key"),
    ],
)
def test_what_ssh_says_is_told_with_what_to_do(complaint: str, kind: type[Exception], said: str) -> None:
    found = explain(complaint, SPEC)
    assert type(found) is kind
    assert said in str(found)
    assert str(found).isprintable()


def test_frames_come_whole_however_the_line_cuts_them() -> None:
    sent = b"Welcome!\nanswer 3\n" + MARK + b"0 3\nab\n" + b"beat 0\n" + b"answer 2\n{}"
    frames = Frames()
    found = [frame for byte in sent for frame in frames.feed(bytes([byte]))]
    assert found == [("0", b"ab\n"), ("beat", b""), ("answer", b"{}")]


@pytest.mark.parametrize(
    "nonsense",
    [b"hello\n", b"0 -1\n", b"0 x\n", b"a b c\n", b"0 %d\n" % (FRAME + 1), b"x" * 100, b" 3\nabc"],
)
def test_what_is_no_frame_is_a_lost_line(nonsense: bytes) -> None:
    with pytest.raises(Lost, match="makes no sense"):
        list(Frames().feed(MARK + nonsense))


def test_a_login_shell_that_prints_without_end_is_a_lost_line() -> None:
    with pytest.raises(Lost, match="without end"):
        list(Frames().feed(b"x" * (NOISE + 1)))


@given(st.lists(st.binary(max_size=64), max_size=8))
def test_any_bytes_are_frames_or_a_lost_line(pieces: list[bytes]) -> None:
    frames = Frames()
    try:
        found = [frame for piece in [MARK, *pieces] for frame in frames.feed(piece)]
    except Lost:
        return
    assert sum(len(payload) for _, payload in found) <= sum(map(len, pieces))
