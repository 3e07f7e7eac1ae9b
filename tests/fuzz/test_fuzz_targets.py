"""Every target bears its known inputs, and what hypothesis makes of them, in bounded time."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings, target
from hypothesis import strategies as st

from tests.fuzz.corpus import CORPUS
from tests.fuzz.targets import TARGETS

SLOWEST = 3.0  # seconds of one input; the slowest known one takes a third of a second


def test_every_target_has_known_inputs() -> None:
    assert CORPUS.keys() == TARGETS.keys()


@pytest.mark.parametrize("name", TARGETS)
def test_the_known_inputs_are_borne_in_bounded_time(name: str) -> None:
    for data in CORPUS[name]:
        begun = time.monotonic()
        TARGETS[name](data)
        assert time.monotonic() - begun < SLOWEST, data[:80]


@st.composite
def mutated(draw: st.DrawFn, name: str) -> bytes:
    """A known input of at most 4 KiB with pieces of others put into it, bytes changed, cut or repeated."""
    known = [data for data in CORPUS[name] if len(data) <= 4096]
    data = bytearray(draw(st.sampled_from(known)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 30)))
        other = draw(st.sampled_from(known))
        begin = draw(st.integers(0, len(other)))
        piece = st.one_of(
            st.binary(max_size=8),
            st.just(other[begin : begin + 40]),
            st.just(bytes(data[at:end]) * 2),
            st.sampled_from([b"", b"\n", b'"', b"{", b"]", b"\\u0000", b"-", b"1e999", b"../", b"9" * 40]),
        )
        data[at:end] = draw(piece)
    return bytes(data)


@pytest.mark.parametrize("name", TARGETS)
def test_whatever_the_known_inputs_are_made_into_is_borne(name: str) -> None:
    @settings(
        max_examples=60,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    @given(mutated(name))
    def bears(data: bytes) -> None:
        begun = time.monotonic()
        TARGETS[name](data)
        target(time.monotonic() - begun)
        assert time.monotonic() - begun < SLOWEST

    bears()
