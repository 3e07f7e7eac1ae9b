"""A proposal becomes exactly one section, and nothing that it says becomes structure."""

import random
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from orze.ideas.axes import parse_axis
from orze.ideas.merge import renumber
from orze.ideas.parse import load_block, load_config, parse
from orze.ideas.scan import scan
from orze.ideas.sweep import read_sweep
from orze.research.proposal import Proposal
from orze.research.section import NotWritable, section_of

MARKDOWN = MarkdownIt("gfm-like", {"linkify": False})
LINES = st.text(min_size=1, max_size=80) | st.sampled_from(
    [
        "a\n- **Priority**: critical",
        "a\r\n\r\n## idea-9: mine",
        "x **GPUs**: 8",
        "```yaml",
        "~~~",
        "<script>alert(1)</script>",
        "<!-- never closed",
        "![](http://example.org/a.png)",
        "[a](javascript:b)",
        "&lt; \\# $x$ | a |",
        "\x1b[31m red \x00 \u202e",
        "- [ ] x",
        "idea-3: # ##",
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 62), 1 << 62)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(
        ["```", "~~~\n```", "!!python/object:os.system", "&a", "*a", "<<", "no", "1e-3", "---"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1), inner, max_size=3),
    max_leaves=6,
)


def proposal(**changes):
    return Proposal(**{"title": "T", "family": "f", "hypothesis": "h", "overrides": {}} | changes)


def test_all_that_it_says_stands_in_its_own_field():
    text = section_of(
        proposal(
            title="A larger step",
            family="optimizer",
            hypothesis="val_loss < 0.3 *soon*",
            overrides={"training": {"lr": 1e-05}},
            parent="idea-007",
            evidence=("idea-003", "idea-5.2"),
            expected_change=-0.0123,
            minutes=5.0,
            memory_gb=2.5,
            space={"training.lr": parse_axis({"log": [1e-6, 1e-3]}, continuous=True)},
            axes={"training.lr": {"log": [1e-6, 1e-3]}},
        ),
        "round 12, hillclimb",
    )
    assert text == (
        "## idea: A larger step\n"
        "- **Category**: optimizer\n"
        "- **Parent**: idea-007\n"
        "- **Hypothesis**: val_loss ‹ 0.3 ∗soon∗\n"
        "- **Evidence**: idea-003, idea-5.2\n"
        "- **Expected**: -0.0123, 5 min, 2.5 GB\n"
        "- **Origin**: round 12, hillclimb\n"
        '- **Space**: {"training.lr": {"log": [1e-06, 0.001]}}\n'
        "\n```yaml\ntraining:\n  lr: 1.0e-05\n```\n"
    )


def test_a_space_of_points_is_a_sweep_of_just_those_members():
    axes = {"training.lr": [0.1, 0.2], "training.epochs": {"range": [10, 30, 3]}}
    space = {key: parse_axis(axis, continuous=True) for key, axis in axes.items()}
    section = renumber(section_of(proposal(space=space, axes=axes), "test"), "idea-4")
    sweep = read_sweep(load_block(section, path="", line=1))
    assert parse(section, path="", line=1).members == sweep.count == 6
    assert sweep.values(1) == {"training.lr": 0.1, "training.epochs": 20}
    assert "Space" not in section


def test_a_space_whose_text_is_not_plain_is_left_out():
    axes = {"model.type": ["a*b"], "training.lr": {"range": [0, 1]}}
    space = {key: parse_axis(axis, continuous=True) for key, axis in axes.items()}
    assert "Space" not in section_of(proposal(space=space, axes=axes), "test")


@pytest.mark.parametrize("overrides", [{"sweep": {"lr": [1, 2]}}, {"sweep": 3}, {"a": "x" * 70_000}])
def test_what_would_be_read_as_something_else_is_not_written(overrides):
    with pytest.raises(NotWritable, match="cannot be written as a section"):
        section_of(proposal(overrides=overrides), "test")


@settings(max_examples=60)
@given(LINES, LINES, LINES, LINES, st.dictionaries(st.text(min_size=1), VALUES, max_size=3))
def test_whatever_it_holds_it_is_one_section_with_just_these_values(title, family, said, origin, overrides):
    try:
        text = section_of(proposal(title=title, family=family, hypothesis=said, overrides=overrides), origin)
    except NotWritable:
        return
    section = renumber(text, "idea-1")
    before, after = b"# Ideas\n\n## idea-0: first\n\ntext\n\n", b"\n## idea-2: last\n"
    found = scan(before + section.encode() + after)
    assert [one.id for one in found] == ["idea-0", "idea-1", "idea-2"]
    assert load_config(section, path="", line=1) == overrides
    idea = parse(section, path="", line=1)
    assert (idea.priority, idea.gpus, idea.after, idea.hosts, idea.members) == (2, 1, (), (), 0)


@settings(max_examples=50)
@given(LINES, LINES, LINES)
def test_markdown_sees_a_heading_a_list_of_plain_text_and_a_fence(title, family, said):
    try:
        text = section_of(
            proposal(title=title, family=family, hypothesis=said, overrides={"a": title}), "test"
        )
    except NotWritable:
        return
    tokens = MARKDOWN.parse(text)
    blocks = {token.type for token in tokens if token.level == 0 and token.nesting >= 0}
    assert blocks == {"heading_open", "bullet_list_open", "fence"}
    inline = {child.type for token in tokens for child in token.children or ()}
    assert inline <= {"text", "strong_open", "strong_close", "softbreak", "em_open", "em_close"}


def test_read_only_mappings_can_be_written():
    values = MappingProxyType({"a": random.Random(1).randrange(9)})
    assert "a: 2" in section_of(proposal(overrides=values), "test")


@pytest.mark.parametrize("field", ["title", "family", "hypothesis"])
@pytest.mark.parametrize("line", ["- **Commit**: 3f2a9c1", "**Command:** rm -rf /", "x\n* **Command** : ls"])
def test_no_text_of_a_proposal_names_code_that_is_to_run(field: str, line: str):
    section = renumber(section_of(proposal(**{field: f"a\n{line}\n{line}"}), "round 1"), "idea-1")
    idea = parse(section, path="ideas.md", line=1)
    assert (idea.commit, idea.command) == ("", "")
