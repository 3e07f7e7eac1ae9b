"""Sections made of the values of a command line, and cut out of texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orze.client.sections import check, compose, fingerprint, read_config, split
from orze.ideas.merge import renumber
from orze.ideas.model import IdeaError
from orze.ideas.parse import load_config, parse

TITLES = st.text(min_size=1, max_size=40).filter(lambda text: text.split())
KEYS = st.text("abcxyz_", min_size=1, max_size=8)
VALUES = st.one_of(
    st.integers(-(10**6), 10**6),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
    st.text(max_size=20),
    st.lists(st.integers(0, 9), max_size=3),
)


def config_of(text: str) -> dict[str, object]:
    return load_config(renumber(text, "idea-001"), path="", line=1)


def test_a_section_says_what_it_is_made_of():
    text = compose("Twice  the\nbatch", [("Priority", "high"), ("Parent", "idea-007")], {"a": {"b": 1}})
    assert text == (
        "## idea: Twice the batch\n- **Priority**: high\n- **Parent**: idea-007\n\n```yaml\na:\n  b: 1\n```\n"
    )
    idea = parse(renumber(text, "idea-009"), path="", line=1)
    assert (idea.title, idea.priority, idea.parent) == ("Twice the batch", 1, "idea-007")


@given(TITLES, st.dictionaries(KEYS, VALUES, max_size=4))
def test_a_configuration_comes_back_as_it_was_or_is_refused(title: str, config: dict[str, object]):
    try:
        text = compose(title, [], config)
    except IdeaError:
        return
    assert config_of(text) == config
    assert split(text, path="") == [text]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ([("Priority", "urgent")], "Priority: 'urgent' is none of"),
        ([("GPUs", "0")], "GPUs"),
        ([("Parent", "seven")], "Parent"),
    ],
)
def test_a_field_at_fault_is_told_before_anything_is_left(fields, told):
    with pytest.raises(IdeaError, match=told):
        compose("A title", fields, {})


@pytest.mark.parametrize(
    ("pairs", "config"),
    [
        (["lr=0.01"], {"lr": 0.01}),
        (["lr=1e-3"], {"lr": 0.001}),
        (["training.lr=0.01", "training.epochs=3"], {"training": {"lr": 0.01, "epochs": 3}}),
        (["layers=[64, 64]"], {"layers": [64, 64]}),
        (["name=adam", "name2='1'"], {"name": "adam", "name2": "1"}),
        (["drop=null", "on=true", "off_="], {"drop": None, "on": True, "off_": None}),
        (["url=http://a/b"], {"url": "http://a/b"}),
    ],
)
def test_settings_are_read_as_yaml(pairs, config):
    assert read_config(pairs) == config


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        (["lr"], "'lr' is no setting"),
        (["a..b=1"], "is no setting"),
        (["=1"], "is no setting"),
        (["a=1", "a=2"], "'a' is given twice"),
        (["a=1", "a.b=2"], "goes below a key"),
        (["a=: :"], "is no value of YAML"),
        (["a=[1"], "is no value of YAML"),
        (["a=!!python/object:os.system x"], "is no value of YAML"),
    ],
)
def test_a_setting_that_cannot_be_read_is_told(pairs, told):
    with pytest.raises(IdeaError, match=told):
        read_config(pairs)


def test_sections_are_cut_out_and_what_is_between_them_is_left():
    text = "# Ideas\n\nprose\n\n## idea: A\n\n```yaml\nx: 1\n```\n\n# End\n\n## idea-?: B\nmore\n\n## Other\n"
    assert split(text, path="f.md") == ["## idea: A\n\n```yaml\nx: 1\n```\n", "## idea-?: B\nmore\n"]


def test_a_heading_inside_a_fence_opens_no_section():
    assert len(split("## idea: A\n\n```text\n## idea: B\n```\n", path="")) == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "f.md:1: there is no idea"),
        ("just text\n", "f.md:1: there is no idea"),
        ("## idea: A\n\n## idea: B\n- **Priority**: no\n", "f.md:4: Priority"),
        ("\n\n## idea: A\n```yaml\nx: [\n```\n", r"f\.md:\d: the yaml block is not valid"),
        ("## idea: A\n\n```yaml\nx: 1\n", "f.md:3: .*never closed"),
        ("## idea: A\0\n", "NUL"),
        ("## idea: A\n" + "x" * 300_000, "longer than 256 KiB"),
    ],
)
def test_a_text_at_fault_is_told_with_its_line(text, told):
    with pytest.raises(IdeaError, match=told):
        split(text, path="f.md")


@given(st.text(max_size=200))
def test_any_text_is_split_or_refused_with_a_sentence(text: str):
    try:
        found = split(text, path="f.md")
    except IdeaError:
        return
    assert all(check(section, path="") for section in found)


@pytest.mark.parametrize(
    "other", ["## idea-017: A\nbody\n", "## idea-?: A\nbody\n\n\n", "## idea: A\r\nbody\r\n"]
)
def test_the_same_content_has_the_same_fingerprint_whatever_its_id(other):
    assert fingerprint(other) == fingerprint("## idea: A\nbody\n")
    assert fingerprint("## idea: A\nbody!\n") != fingerprint("## idea: A\nbody\n")
