"""Groups: what a section with a sweep or repeats makes of itself, and what it may not say."""

from itertools import product
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from orze.ideas.canonical import add_seed
from orze.ideas.members import Group, members_in, section_of_member
from orze.ideas.model import Idea, IdeaError, group_of, is_member, member_ids
from orze.ideas.parse import deep_merge, load_config, parse
from orze.ideas.sweep import count_members, label, nested, read_sweep

SECTION = """## idea-003: Rates
- **Priority**: high
- **Parent**: idea-001
- **Repeats**: 2
- **Colour**: blue

Prose with `code`.

```yaml
training: {lr: 0.1, seed: 5}  # a remark
sweep:
  training.lr: [0.001, 1.0e-4]
  zip:
    model.depth: [1, 2, 3]
    model.width: {log: [16, 64, 3]}
```

Words behind it.
"""


def group(text: str, *, most: int = 100) -> Group:
    return Group(text, parse(text, path="ideas.md", line=7, max_members=most), path="ideas.md")


def config(text: str) -> dict[str, Any]:
    return load_config(text, path="", line=1)


def a_group(block: str, fields: str = "") -> str:
    return f"## idea-1: x\n{fields}\n```yaml\n{block}\n```\n"


def test_a_member_has_the_text_of_its_group_with_values_and_seed_of_its_own() -> None:
    assert (
        group(SECTION).text(4)
        == """## idea-003.4: Rates [training.lr=0.001, model.depth=2, model.width=32, seed +1]
- **Priority**: high
- **Parent**: idea-001
- **Seed**: 1
- **Colour**: blue

Prose with `code`.



Words behind it.

```yaml
training:
  lr: 0.001
  seed: 5
model:
  depth: 2
  width: 32
```
"""
    )


def test_members_are_ideas_in_the_order_of_the_file_with_repeats_fastest() -> None:
    made = group(SECTION)
    members = made.members()
    assert [one.id for one in members] == member_ids("idea-003", 12)
    assert [one.seed for one in members] == [0, 1] * 6
    values = [config(made.text(number)) for number in range(1, 13, 2)]
    told = [(one["training"]["lr"], one["model"]["depth"], one["model"]["width"]) for one in values]
    assert told == [(lr, *pair) for lr, pair in product([0.001, 0.0001], [(1, 16), (2, 32), (3, 64)])]
    first = members[0]
    assert (first.priority, first.parent, first.fields) == (1, "idea-001", (("Colour", "blue"),))
    assert (first.repeats, first.members, first.line, first.number) == (1, 0, 7, 3)
    assert first == parse(made.text(1), path="ideas.md", line=7)


@pytest.mark.parametrize(
    ("fields", "seeds"),
    [
        ("- **Repeats**: 3", [0, 1, 2]),
        ("- **Seed**: 4\n- **Repeats**: 3", [4, 5, 6]),
        ("- **Repeats**: 2\n- **seed**: 9\n- **Rerun**: yes", [9, 10]),
    ],
)
def test_repeats_have_one_seed_after_the_other(fields: str, seeds: list[int]) -> None:
    members = group(f"## idea-1: x\n{fields}\n").members()
    assert [one.seed for one in members] == seeds
    assert [one.title for one in members] == [f"x [seed +{seed}]" for seed in seeds]
    assert {one.rerun for one in members} == {"Rerun" in fields}


def test_a_sweep_without_repeats_keeps_the_seed_of_its_section() -> None:
    members = group(a_group("sweep: {a: [1, 2]}", "- **Seed**: 3\n")).members()
    assert [(one.seed, one.title) for one in members] == [(3, "x [a=1]"), (3, "x [a=2]")]


def test_an_edit_of_one_axis_changes_only_its_members() -> None:
    before = group(a_group("sweep: {a: [1, 2], b: [3, 4]}")).members()
    after = group(a_group("sweep: {a: [1, 2], b: [3, 5]}")).members()
    assert [one.sha == other.sha for one, other in zip(before, after, strict=True)] == [True, False] * 2


@pytest.mark.parametrize(
    ("sweep", "told"),
    [
        ("3", "it must be a mapping of dotted keys to axes"),
        ("", "it must be a mapping of dotted keys to axes"),
        ("{}", "it has no axes"),
        ("{a: 3}", "sweep: a: it must be a list of values"),
        ("{a: []}", "sweep: a: it has no values"),
        ("{a: {range: [1, 2]}}", "sweep: a: write range"),
        ("{a..b: [1]}", "'a..b' is no key of a configuration"),
        ("{sweep.a: [1]}", "'sweep.a' is no key of a configuration"),
        ("{zip: [1]}", "zip: it must be a mapping"),
        ("{zip: {}}", "zip: it must be a mapping"),
        ("{zip: {a: [1, 2], b: [1]}}", "zip: its axes must have equally many values, and a has 2, b has 1"),
        ("{own.x: [1]}", "own.x lies below own, which the section sets to no mapping"),
        ("{deep.list.x: [1]}", "deep.list.x lies below list, which the section sets to no mapping"),
        ("{a: [1], a.b: [2]}", "a.b is below the axis a"),
        ("{a.b.c: [1], a: [2]}", "a.b.c is below the axis a"),
        ("{a: [1], zip: {a: [2]}}", "a is an axis twice"),
        ("{" + ", ".join(f"a{n}: [1]" for n in range(51)) + "}", "it has 51 axes; 50 are possible"),
        (
            "{a: {range: [1, 101, 101]}}",
            "the section makes 101 members, and max_members in orze.yaml allows 100",
        ),
        (
            "{" + ", ".join(f"a{n}: {{range: [0, 1, 9999]}}" for n in range(9)) + "}",
            "the section makes more than 10^12 members",
        ),
    ],
)
def test_a_sweep_that_cannot_be_is_refused_at_its_line(sweep: str, told: str) -> None:
    text = a_group(f"own: [1]\ndeep: {{list: 1}}\nsweep: {sweep}")
    with pytest.raises(IdeaError) as caught:
        parse(text, path="ideas.md", line=10)
    assert told in caught.value.reason
    assert (caught.value.path, caught.value.line) == ("ideas.md", 15)


@pytest.mark.parametrize(
    "text",
    [
        "## idea-1: x\n- **Repeats**: 2\n\n  ```yaml\n  a: 1\n  sweep: {b: [1, 2]}\n  ```\n- **GPUs**: 2\n",
        "## idea-1: x ##\n```yaml\nsweep:\n  b: [1, 2]\n```\n- **Repeats**: 2\n### M\n- **GPUs**: 2\n",
        "## idea-1\r\n- **Repeats**: 2\r\n- **GPUs**: 2\r\n\r\n~~~ YML\r\nsweep: {b: [1, 2]}\r\n~~~\r\n",
        "## idea-1: x\n> ```yaml\n> sweep: {b: [1, 2]}\n> ```\n* **Repeats**: `2`\n* **GPUs**: 2\n~~~\n~~~\n",
    ],
)
def test_sections_of_any_structure_make_members(text: str) -> None:
    made = group(text)
    assert [(one.gpus, one.seed) for one in made.members()] == [(2, 0), (2, 1), (2, 0), (2, 1)]
    assert [config(made.text(number))["b"] for number in (1, 2, 3, 4)] == [1, 1, 2, 2]


def test_values_that_would_close_the_fence_do_not() -> None:
    made = group(a_group('sweep: {a: ["\\n```\\n## idea-2: y\\n", "````"]}'))
    assert [one.id for one in made.members()] == ["idea-1.1", "idea-1.2"]
    assert config(made.text(1)) == {"a": "\n```\n## idea-2: y\n"}


def test_a_member_that_goes_over_a_bound_quarantines_its_group() -> None:
    deep = "{a: " * 12 + "[" + "1," * 9000 + "]" + "}" * 12
    text = a_group(f"x: {deep}\nsweep: {{a: [1, 2]}}")
    with pytest.raises(IdeaError, match=r"its member idea-1\.1: the yaml block is longer than 64 KiB"):
        group(text).members()


def test_members_that_would_be_very_much_text_are_refused() -> None:
    with pytest.raises(IdeaError, match="its 100 members are more than 4 MiB"):
        group("## idea-1: x\n- **Repeats**: 100\n" + "words\n" * 10_000).members()


def test_a_section_tells_how_many_members_it_makes() -> None:
    assert members_in(SECTION) == 12
    assert members_in("## idea-1: x\n- **Repeats**: 1000\n") == 1000
    assert members_in("## idea-1: x, which repeats\n") == 0
    assert members_in("## idea-1: x\n- **Repeats**: many\n") == 0
    assert members_in("nothing with a sweep") == 0


def test_the_section_of_a_member_is_made_of_that_of_its_group() -> None:
    text = a_group("sweep: {a: [1, 2]}")
    assert section_of_member(text, "idea-1.2", path="") == group(text).text(2)
    for wrong in ("idea-1.3", "idea-1.0", "idea-2.1"):
        with pytest.raises(IdeaError, match="has no member"):
            section_of_member(text, wrong, path="")


def test_ids_of_members_are_told_from_those_of_ideas() -> None:
    assert [is_member(one) for one in ("idea-3", "idea-3.2")] == [False, True]
    assert [group_of(one) for one in ("idea-3", "idea-3.2")] == ["idea-3", "idea-3"]


def test_a_title_stays_within_its_bound() -> None:
    text = (
        "## idea-1: "
        + "t" * 300
        + "\n```yaml\nsweep: {"
        + ", ".join(f"key{n}: [{'v' * 99}]" for n in range(9))
        + "}\n```\n"
    )
    (member,) = group(text).members()
    assert len(member.title) <= 200
    assert member.title.endswith("…]")
    assert label({"a": "x\ny\u2028\x07z", "b": None, "c": [1, {"d": True}]}, 0) == (
        'a=x y z, b=null, c=[1, {"d": true}], seed +0'
    )


_KEYS = st.sampled_from(["a", "b", "lr", "on", "1", "é", "a b", "<<", "~", "2020-01-01"])
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats()
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
    | st.sampled_from(
        ["1e-3", "1_000", "0x1f", "12:30", "=", "<<", "```", "\n```\n## idea-9: z", "no", "\u2028"]
    )
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=80, deadline=None)
@given(
    own=st.dictionaries(_KEYS, _VALUES, max_size=3),
    axes=st.dictionaries(
        st.lists(st.sampled_from(["a", "b", "x", "é"]), min_size=1, max_size=2).map(".".join),
        st.lists(_VALUES, min_size=1, max_size=3),
        min_size=1,
        max_size=3,
    ),
    repeats=st.integers(1, 3),
)
def test_every_member_is_read_again_as_the_configuration_that_was_meant(
    own: dict[str, Any], axes: dict[str, list[Any]], repeats: int
) -> None:
    block = yaml.safe_dump({**own, "sweep": axes}, sort_keys=False, allow_unicode=True)
    text = (
        f"## idea-1: x\n- **Repeats**: {repeats}\n- **Unknown**: kept\n\nProse.\n\n`````yaml\n{block}`````\n"
    )
    try:
        idea = parse(text, path="", line=1)
    except IdeaError as refused:
        with pytest.raises(ValueError, match="sweep"):
            read_sweep({**own, "sweep": axes})
        assert refused.line >= 1
        return
    made = Group(text, idea, path="")
    members = made.members()
    wanted = [
        (deep_merge(own, nested(dict(zip(axes, values, strict=True)))), seed)
        for values in product(*axes.values())
        for seed in range(repeats)
    ]
    assert idea.members == len(wanted) == len(members) == count_members({"sweep": axes}, repeats, 100)
    for number, (member, (merged, seed)) in enumerate(zip(members, wanted, strict=True), 1):
        assert repr(config(made.text(number))) == repr(merged)
        assert (member.seed, member.fields) == (seed, (("Unknown", "kept"),))
        assert "Prose." in made.text(number)


def test_an_ordinary_idea_is_no_group() -> None:
    idea: Idea = parse("## idea-1: x\n```yaml\na: [1, 2]\n```\n", path="", line=1)
    assert (idea.members, idea.repeats) == (0, 1)


@pytest.mark.parametrize(
    ("merged", "expected"),
    [
        ({"training": {"seed": 4, "lr": 1}, "seed": 1}, {"training": {"seed": 6, "lr": 1}, "seed": 1}),
        ({"training": {"lr": 1}, "seed": 1}, {"training": {"lr": 1}, "seed": 3}),
        ({"training": {"seed": True}, "seed": "x"}, {"training": {"seed": True}, "seed": "x"}),
        ({}, {}),
    ],
)
def test_what_an_idea_adds_goes_to_the_seed_that_the_configuration_has(
    merged: dict[str, Any], expected: dict[str, Any]
) -> None:
    before = repr(merged)
    assert add_seed(merged, 2) == expected
    assert repr(merged) == before
