"""Every cause of failure has a sentence of advice."""

import pytest

from orze.core.states import Cause
from orze.report.advice import ADVICE, HELD, QUARANTINED, RETRY, UNFENCED, advice
from orze.report.text import md


@pytest.mark.parametrize("cause", list(Cause))
def test_every_cause_has_one_sentence_of_advice(cause):
    sentence = advice(cause)
    assert sentence == ADVICE[cause]
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert ". " not in sentence
    assert 30 < len(sentence) < 260


def test_no_two_causes_have_the_same_advice():
    assert len(set(ADVICE.values())) == len(Cause)


@pytest.mark.parametrize("cause", [None, "", "something new"])
def test_an_unknown_cause_sends_the_reader_to_the_log(cause):
    assert "train_output.log" in advice(cause)


@pytest.mark.parametrize("text", [HELD, QUARANTINED, RETRY, UNFENCED, *ADVICE.values()])
def test_advice_is_shown_whole_and_without_escapes(text):
    assert md(text, 300) == text
