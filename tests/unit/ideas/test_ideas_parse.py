"""Sections as ideas: every field, every fault with its line."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orze.ideas.model import Idea, Priority
from orze.ideas.parse import IdeaError, code_in, deep_merge, load_config, parse
from orze.ideas.scan import scan

FULL = """## idea-007: A wider network
- **Priority**: high
- **Category**: architecture
- **Parent**: idea-000
- **Hypothesis**: why it might
  work in the end
- **GPUs**: 2
- **Timeout**: 2h
- **After**: idea-000, idea-003
- **Hosts**: gpu-a*, gpu-b1
- **Seed paper**: Smith 2020

```yaml
model: {type: simple_cnn, channels: [32, 64, 128]}
training: {lr: 0.001, epochs: 5}
```
"""


def read(text: str) -> Idea:
    return parse(text, path="ideas.md", line=100)


def test_a_section_with_every_field_is_read_in_full() -> None:
    assert read(FULL) == Idea(
        id="idea-007",
        number=7,
        title="A wider network",
        priority=Priority.HIGH,
        category="architecture",
        parent="idea-000",
        hypothesis="why it might work in the end",
        gpus=2,
        timeout=7200.0,
        after=("idea-000", "idea-003"),
        hosts=("gpu-a*", "gpu-b1"),
        fields=(("Seed paper", "Smith 2020"),),
        line=100,
        sha=scan(FULL.encode())[0].sha.hex(),
    )
    assert load_config(FULL, path="ideas.md", line=100) == {
        "model": {"type": "simple_cnn", "channels": [32, 64, 128]},
        "training": {"lr": 0.001, "epochs": 5},
    }


def test_a_heading_alone_is_an_idea_that_runs_the_base_configuration() -> None:
    idea = read("## idea-1: x")
    assert (idea.priority, idea.gpus, idea.timeout, idea.parent) == (Priority.MEDIUM, 1, None, None)
    assert (idea.category, idea.hypothesis, idea.after, idea.hosts, idea.fields) == ("", "", (), (), ())
    assert load_config("## idea-1: x", path="ideas.md", line=1) == {}


@pytest.mark.parametrize(
    "line",
    [
        "- **Priority**: low",
        "* **Priority:** low",
        "+   **Priority** :   low  ",
        "   - **priority**: LOW",
        "**PRIORITY**: `low`",
        "- **Priority**: low\r",
    ],
)
def test_a_field_line_may_be_written_in_several_ways(line: str) -> None:
    assert read(f"## idea-1: x\n\n{line}\n").priority == Priority.LOW


@pytest.mark.parametrize(
    "text",
    [
        "    - **Priority**: low",
        "```\n- **Priority**: low\n```",
        "~~~\n- **Priority**: low\n~~~",
        "- x\n  ```\n- **Priority**: high\n\n      **Priority**: low",
        "<!--\n- **Priority**: low\n-->",
        "> - **Priority**: low",
        "Priority: low",
        "- Priority: low",
    ],
)
def test_a_line_that_is_no_field_of_the_section_is_not_read_as_one(text: str) -> None:
    assert read(f"## idea-1: x\n{text}\n").priority != Priority.LOW


def test_fields_after_the_yaml_block_count_too() -> None:
    assert read("## idea-1: x\n\n```yaml\na: 1\n```\n- **GPUs**: 3\n").gpus == 3


@pytest.mark.parametrize("value", ["", "none", "None", "-", "`none`"])
def test_no_parent_and_nothing_to_wait_for_can_be_said_in_words(value: str) -> None:
    idea = read(f"## idea-1: x\n- **Parent**: {value}\n- **After**: {value}\n- **Hosts**: {value}\n")
    assert (idea.parent, idea.after, idea.hosts) == (None, (), ())


def test_ids_may_stand_in_backticks_and_count_once() -> None:
    assert read("## idea-1: x\n- **After**: `idea-2`,idea-3 idea-2,\n").after == ("idea-2", "idea-3")


@pytest.mark.parametrize(
    "line",
    [
        *("- **Repeats**: 1", "- **Commit**:", "- **Timeout**:", "- **GPUs**:", "- **Priority**:"),
        *("- **Repeats**:", "- **Seed**:", "- **Seed**: 0", "- **Rerun**:", "- **Rerun**: no"),
    ],
)
def test_a_field_that_asks_for_nothing_is_accepted(line: str) -> None:
    idea = read(f"## idea-1: x\n{line}\n")
    assert (idea.gpus, idea.timeout, idea.priority, idea.fields) == (1, None, Priority.MEDIUM, ())
    assert (idea.repeats, idea.seed, idea.rerun, idea.members) == (1, 0, False, 0)


@pytest.mark.parametrize("prose", ["", "> A quote, so that the section is read line by line.\n"])
def test_a_text_of_several_lines_keeps_its_last_line_end_whatever_stands_around_it(prose: str) -> None:
    text = f"## idea-1: x\n{prose}~~~yaml\na: |\n  one\n  two\n~~~\n"
    assert load_config(text, path="", line=1) == {"a": "one\ntwo\n"}
    assert load_config(text.replace("~~~", "```"), path="", line=1) == {"a": "one\ntwo\n"}


def test_sweep_and_repeats_make_a_group_and_seed_and_rerun_are_read() -> None:
    idea = read(
        "## idea-1: x\n- **Repeats**: 3\n- **Seed**: 7\n- **Rerun**: yes\n```yaml\nsweep: {a: [1, 2]}\n```\n"
    )
    assert (idea.repeats, idea.seed, idea.rerun, idea.members) == (3, 7, True, 6)
    assert load_config("## idea-1: x\n```yaml\nb: 1\nsweep: {a: [1]}\n```\n", path="", line=1) == {"b": 1}


def test_members_are_named_in_parent_and_after_and_have_sections_that_are_read() -> None:
    idea = read("## idea-1.12: x [a=1]\n- **Parent**: idea-2.1\n- **After**: idea-3, idea-4.10\n")
    assert (idea.id, idea.number, idea.order) == ("idea-1.12", 1, (2, 1, 12, "idea-1.12"))
    assert (idea.parent, idea.after) == ("idea-2.1", ("idea-3", "idea-4.10"))


@pytest.mark.parametrize(
    ("body", "line", "reason"),
    [
        ("- **Priority**: hgih", 101, "Priority: 'hgih' is none of critical, high, medium and low"),
        ("\n- **GPUs**: 0", 102, "GPUs: '0' is no number of cards: write a whole number from 1 to 1024"),
        ("- **GPUs**: two", 101, "GPUs: 'two' is no number of cards"),
        ("- **GPUs**: ²", 101, "GPUs: '²' is no number of cards"),
        ("- **GPUs**: 1025", 101, "GPUs: '1025' is no number of cards"),
        ("- **Timeout**: soon", 101, "Timeout: 'soon' is not a duration: write seconds such as 3600"),
        ("- **Timeout**: 0", 101, "Timeout: it must be longer than 0"),
        ("- **Parent**: the first", 101, "Parent: 'the' is no id of an idea: write it as in idea-001"),
        ("- **Parent**: idea-2, idea-3", 101, "Parent: an idea has one parent: name the others in After"),
        ("- **Parent**: idea-1", 100, "idea-1 names itself in Parent or After"),
        ("- **After**: idea-2, idea-1", 100, "idea-1 names itself in Parent or After"),
        ("- **After**: idea-001.", 101, "After: 'idea-001.' is no id of an idea"),
        ("- **After**: idea-2, idea-1.3", 100, "idea-1 names itself in Parent or After"),
        ("- **After**: ../../etc", 101, "After: '../../etc' is no id of an idea"),
        ("- **Hosts**: " + "h,".join(map(str, range(102))), 101, "Hosts: it names more than 100"),
        (
            "- **Priority**: low\n- x\n- **priority**: high",
            103,
            "priority: it is given twice: keep one of them",
        ),
        ("- **Repeats**: 0", 101, "Repeats: '0' is no whole number from 1 to"),
        ("- **Repeats**: many", 101, "Repeats: 'many' is no whole number from 1 to"),
        ("- **Repeats**: 101", 100, "the section makes 101 members, and max_members in orze.yaml allows 100"),
        ("- **Seed**: -1", 101, "Seed: '-1' is no whole number from 0 to"),
        ("- **Rerun**: maybe", 101, "Rerun: 'maybe' is neither yes nor no"),
        ("- **Commit**: main", 101, "Commit: 'main' is no commit: write 7 to 40 digits of its hash"),
        ("- **Commit**: 3f2a9c", 101, "Commit: '3f2a9c' is no commit"),
        ("- **Commit**: 3f2a9c1 -x", 101, "Commit: '3f2a9c1 -x' is no commit"),
        ("- **Command**: a\x1bb", 101, "Command: it must be one line of at most 4096 printable characters"),
        ("- **Command**: " + "x" * 4097, 101, "Command: it must be one line"),
        ("- **x**: y\n" * 101, 201, "x: the section has more than 100 fields"),
        ("```yaml\na: 1\nsweep:\n  lr: []\n```", 103, "sweep: lr: it has no values"),
        ("```yaml\nsweep: [1, 2]\n```\ntext", 102, "sweep: it must be a mapping of dotted keys to axes"),
        (
            "- **Repeats**: 3\n```yaml\nsweep: {a: [1, 2, 3, 4, 5, 6], b: {range: [1, 6, 6]}}\n```",
            103,
            "the section makes 108 members, and max_members in orze.yaml allows 100",
        ),
        (
            "```yaml\na: 1\n```\n\n~~~ yml\nb: 1\n~~~",
            105,
            "a second yaml block; the first is on line 101: keep one",
        ),
        ("- **x**: y\n\n```yaml\na: 1\na: 2\n```", 105, "the key 'a' is given twice"),
        ("- x\n\n  ```yaml\n  a: [\n  ```", 105, "the yaml block is not valid YAML"),
        ("```yaml\n- a\n```", 102, "the yaml block must hold 'key: value' lines"),
        ("```yaml\na: 1", 101, "the fence opened on line 101 is never closed"),
        ("<!--", 101, "the HTML block opened on line 101 is never closed"),
        ("x\0", 100, "line 101 holds a NUL byte"),
        ("x\ud800", 100, "the section holds a character that is not in UTF-8"),
        ("x\n## idea-2: y", 100, "this must be one idea"),
        ("x\n# Notes", 100, "this must be one idea"),
    ],
)
def test_a_bad_section_is_refused_with_the_line_at_fault(body: str, line: int, reason: str) -> None:
    with pytest.raises(IdeaError) as caught:
        read(f"## idea-1: x\n{body}\n")
    assert reason in caught.value.reason
    assert (caught.value.path, caught.value.line) == ("ideas.md", line)
    assert str(caught.value) == f"ideas.md:{line}: {caught.value.reason}"


@pytest.mark.parametrize("text", ["", "text", "# idea-1: x", "text\n## idea-1: x\n", "## idea-x: y"])
def test_a_text_that_is_not_one_section_is_refused(text: str) -> None:
    with pytest.raises(IdeaError):
        read(text)


@pytest.mark.parametrize(
    "fence",
    [
        "```yaml\nlr: 1\n```",
        "```yml\nlr: 1\n````",
        "````YAML title=x\nlr: 1\n````",
        "~~~ yaml\nlr: 1\n~~~",
        "  ```yaml\n  lr: 1\n  ```",
        "- x\n\n  ```yaml\n  lr: 1\n  ```",
        "1. x\n   - y\n     ```yaml\n     lr: 1\n     ```",
        "> ```yaml\n> lr: 1\n> ```",
        "```\nlr: 2\n```\n```yaml\nlr: 1\n```",
        "```yaml\r\nlr: 1\r\n```",
        "```yaml\rlr: 1\r```",
        "- ```yaml\n  lr: 1\n\ntext",
    ],
)
def test_the_yaml_block_is_found_as_commonmark_finds_it(fence: str) -> None:
    text = f"## idea-1: x\n\n{fence}\n"
    read(text)
    assert load_config(text, path="ideas.md", line=1) == {"lr": 1}


@pytest.mark.parametrize(
    "text",
    [
        "```\nlr: 1\n```",
        "```python\nlr: 1\n```",
        "    ```yaml\n    lr: 1\n    ```",
        "<!--\n```yaml\nlr: 1\n```\n-->",
    ],
)
def test_other_blocks_are_no_configuration(text: str) -> None:
    assert load_config(f"## idea-1: x\n\n{text}\n", path="ideas.md", line=1) == {}


def test_what_is_kept_in_memory_is_bounded() -> None:
    long = "word " * 50_000
    idea = read(f"## idea-1: {long}\n- **Hypothesis**: {long}\n- **Category**: {long}\n- **Note**: {long}\n")
    assert len(idea.title) == 200
    assert {len(idea.hypothesis), len(idea.category), len(idea.fields[0][1])} == {1000}


def test_ideas_are_ordered_by_priority_then_number_then_id() -> None:
    texts = [
        "idea-2: a\n- **Priority**: low",
        "idea-10: b",
        "idea-9: c",
        "idea-09: d",
        "idea-50: e\n- **Priority**: critical",
    ]
    ideas = sorted((read(f"## {text}\n") for text in texts), key=lambda idea: idea.order)
    assert [idea.id for idea in ideas] == ["idea-50", "idea-09", "idea-9", "idea-10", "idea-2"]


LINES = st.sampled_from(
    [
        "- **Priority**: high",
        "- **A b**: c",
        "  more",
        "",
        "text",
        "```yaml",
        "```",
        "lr: 1",
        "a: [1",
        "- x",
        "  ```yaml",
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(LINES, max_size=12))
def test_what_is_accepted_can_always_be_loaded_and_nothing_else_is_raised(lines: list[str]) -> None:
    text = "\n".join(["## idea-1: x", *lines])
    try:
        read(text)
    except IdeaError:
        return
    assert isinstance(load_config(text, path="ideas.md", line=1), dict)


@settings(max_examples=400, deadline=None)
@given(st.lists(LINES, max_size=12))
def test_the_quick_reading_of_a_section_agrees_with_the_careful_one(lines: list[str]) -> None:
    def seen(text: str) -> tuple[object, ...]:
        try:
            idea = parse(text, path="", line=1)
        except IdeaError as error:
            return error.line, error.reason
        return idea.priority, idea.fields, load_config(text, path="", line=1)

    text = "\n".join(["## idea-1: x", *lines, ""])
    careful = text + "\n<!-- c -->\n"  # an HTML block is never read quickly
    assert seen(text) == seen(careful) or "never closed" in str(seen(text))


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "bomb",
    [
        "- **a**: " + "\n " * 100_000,
        "- **" * 50_000,
        "**" + " " * 100_000,
        "- " * 100_000 + "**x**: y",
        "- **x**: y\n" + "  z\n" * 100_000,
        "`" * 100_000 + "\n" + "`" * 100_000,
        " " * 200_000 + "x",
        "- **After**: " + "," * 200_000,
    ],
    ids=lambda bomb: bomb[:10],
)
def test_no_section_takes_more_than_its_length(bomb: str) -> None:
    assert read(f"## idea-1: x\n{bomb}\n").id == "idea-1"


@pytest.mark.parametrize(
    ("base", "over", "merged"),
    [
        ({}, {}, {}),
        ({"a": 1}, {}, {"a": 1}),
        ({"a": 1}, {"a": None}, {"a": None}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}, {"a": {"b": 1, "c": 3}}),
        ({"a": {"b": 1}}, {"a": [1]}, {"a": [1]}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": 1}, {"a": {"b": 2}}, {"a": {"b": 2}}),
        ({"a": {"b": 1}}, {"a": {}}, {"a": {"b": 1}}),
    ],
)
def test_mappings_are_merged_key_by_key_and_all_else_is_replaced(
    base: dict[str, object], over: dict[str, object], merged: dict[str, object]
) -> None:
    before = repr(base), repr(over)
    assert deep_merge(base, over) == merged
    assert (repr(base), repr(over)) == before


@pytest.mark.parametrize(
    ("fields", "commit", "command"),
    [
        ("", "", ""),
        ("- **Commit**: 3F2A9C1\n", "3f2a9c1", ""),
        ("- **Commit**: `3f2a9c1`\n", "3f2a9c1", ""),
        ("- **Commit**:\n- **Command**:\n", "", ""),
        ("- **Command**: python x.py --name 'a  b' $(date)\n", "", "python x.py --name 'a  b' $(date)"),
        ("- **Command**: `python x.py`\n", "", "python x.py"),
        ("- **Command**: `date` > x; `date` > y`\n", "", "`date` > x; `date` > y`"),
        ("- **Command**: python x.py\n  --lr 1\n", "", "python x.py   --lr 1"),
    ],
)
def test_a_commit_and_a_command_line_are_read_as_they_are_written(fields: str, commit: str, command: str):
    text = f"## idea-1: x\n{fields}"
    idea = read(text)
    assert (idea.commit, idea.command) == (commit, command) == code_in(text)


def test_a_command_line_is_refused_where_ideas_may_bring_none() -> None:
    with pytest.raises(IdeaError, match=r"^ideas\.md:8: Command: .*orze\.yaml has no train_command"):
        parse("## idea-1: x\n- **Command**: ls\n", path="ideas.md", line=7, commands=False)
    assert parse("## idea-1: x\n- **Command**:\n", path="ideas.md", line=7, commands=False).command == ""
