"""Replies are read as JSON and as nothing else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orze.research.proposal import MOST_IDEAS, read_reply

ONE = '{"ideas": [{"title": "a"}]}'


@pytest.mark.parametrize(
    "text",
    [ONE, f"  {ONE}\n", f"```json\n{ONE}\n```", f"```\n{ONE}\n```\n", f"\n```JSON\n{ONE}\n```"],
)
def test_json_with_or_without_one_fence_is_read(text):
    assert read_reply(text) == ([{"title": "a"}], [])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ("I think we should try more.", "not JSON"),
        (f"Here you are:\n```json\n{ONE}\n```", "not JSON"),
        (f"```json\n{ONE}\n```\nGood luck!", "not JSON"),
        ('{"ideas": [', "line 1, column 12"),
        ("[]", 'the one key "ideas"'),
        ('{"ideas": {}}', 'the one key "ideas"'),
        ('{"ideas": [], "thoughts": ""}', 'the one key "ideas"'),
        ('{"ideas": [], "ideas": []}', "twice"),
        ('{"ideas": [{"minutes": NaN}]}', "number or a nesting"),
        ('{"ideas": [{"minutes": 1' + "0" * 5000 + "}]}", "number or a nesting"),
        ("[" * 200_000, "number or a nesting"),
        ('{"ideas": [{"title": ' + "[" * 40 + "]" * 40 + "}]}", "number or a nesting"),
        ('{"ideas": [3]}', "idea 1: it must be an object"),
        ("x" * (1 << 20) + "x", "longer than 1024 KiB"),
    ],
)
def test_whatever_else_comes_is_one_sentence(text, said):
    candidates, faults = read_reply(text)
    assert candidates == []
    assert len(faults) == 1
    assert said in faults[0]


def test_of_too_many_ideas_the_first_are_read_and_it_is_told():
    candidates, faults = read_reply(json.dumps({"ideas": [{"title": str(n)} for n in range(MOST_IDEAS + 1)]}))
    assert len(candidates) == MOST_IDEAS
    assert faults == [f"the reply has {MOST_IDEAS + 1} ideas; {MOST_IDEAS} are read at most"]


@given(st.text())
def test_no_text_raises(text):
    candidates, faults = read_reply(text)
    assert candidates == [] or not faults
