"""Messages between a daemon and its keeper."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orze.attempt import wire

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@pytest.fixture
def pipe() -> Iterator[list[int]]:
    ends = list(os.pipe())
    yield ends
    for end in ends:
        if end >= 0:
            os.close(end)


def close(pipe: list[int], end: int) -> None:
    os.close(pipe[end])
    pipe[end] = -1


@given(st.lists(st.dictionaries(st.text(), values, max_size=4), max_size=4))
def test_messages_arrive_whole_and_in_order(messages):
    reader, writer = os.pipe()
    try:
        for message in messages:
            wire.send(writer, message)
        os.close(writer)
        assert [wire.receive(reader) for _ in messages] == messages
        assert wire.receive(reader) is None
    finally:
        os.close(reader)


def test_a_message_larger_than_the_pipe_arrives_whole(pipe: list[int]):
    message = {"config": "x" * (1 << 20)}
    sender = threading.Thread(target=wire.send, args=(pipe[1], message))
    sender.start()
    assert wire.receive(pipe[0]) == message
    sender.join()


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\0",
        b"\0\0\0",
        b"\0\0\0\x09{}",
        (17 << 20).to_bytes(4, "big"),
        b"\xff\xff\xff\xff{}",
        b"\0\0\0\x02[]",
        b"\0\0\0\x04null",
    ],
    ids=["nothing", "a byte", "half a head", "half a body", "too large", "garbage", "a list", "null"],
)
def test_what_is_no_message_is_nobody_on_the_other_side(pipe: list[int], sent: bytes):
    os.write(pipe[1], sent)
    close(pipe, 1)
    assert wire.receive(pipe[0]) is None


def test_a_reader_that_is_gone_is_told(pipe: list[int]):
    close(pipe, 0)
    with pytest.raises(BrokenPipeError):
        wire.send(pipe[1], {"ready": ""})
