"""The process that has LiteLLM loaded: what is given up before it is ready is never asked, and it goes."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from orze.refine.warm import Forked, Warm


@pytest.fixture
def warm() -> Iterator[Warm]:
    """One that loads what it needs for seconds yet."""
    made = Warm({"PATH": os.defpath})
    yield made
    made.end()
    assert not made.alive


def asked(warm: Warm) -> Forked:
    question, answer = os.memfd_create("question"), os.memfd_create("answer")
    try:
        return warm.spawn(question, answer)
    finally:
        os.close(question)
        os.close(answer)


def test_a_question_that_is_given_up_before_it_is_asked_is_over_at_once(warm: Warm):
    forked = asked(warm)
    assert forked.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        forked.wait(0.0)
    forked.send_signal(signal.SIGTERM)
    assert forked.poll() == 0
    assert forked.wait(0.0) == 0
    forked.close()


def test_a_question_is_over_when_the_process_is_killed_and_the_next_one_starts_another(warm: Warm):
    forked = asked(warm)
    process = warm._process
    process.kill()
    process.wait()
    assert forked.poll() == 0
    forked.close()
    again = asked(warm)
    assert warm._process is not process
    assert again.poll() is None
    again.close()
