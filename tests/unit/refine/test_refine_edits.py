"""Reading a model's reply and applying it: exact or a fault that helps, whatever text comes."""

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orze.refine.edits import FORMAT, Change, NewFile, Replace, SetKey, apply, read_change

TRAIN = (
    "import torch\n\n\ndef main():\n    lr = 0.1\n    model = net()\n    for x in data:\n        step(x)\n"
)


def reply(*lines: str) -> str:
    return "\n".join(("HYPOTHESIS: it helps", *lines, ""))


def block(search: str, replace: str, path: str = "train.py") -> str:
    return f"FILE: {path}\n<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE"


def change_of(text: str) -> Change:
    change, faults = read_change(text)
    assert change is not None, faults
    return change


def faults_of(text: str) -> list[str]:
    change, faults = read_change(text)
    assert change is None
    return faults


def applied(text: str, *blocks: str) -> tuple[str, list[str]]:
    texts, faults = apply(change_of(reply(*blocks)), {"train.py": text}.get)
    return texts.get("train.py", ""), faults


def test_the_example_of_the_form_is_read_as_it_says() -> None:
    change = change_of("HYPOTHESIS: why\n" + FORMAT)
    assert change == Change(
        "why",
        (
            Replace(
                "train.py",
                "    optimizer = SGD(model.parameters(), lr=0.1)",
                "    optimizer = AdamW(model.parameters(), lr=1e-3)",
            ),
            NewFile("augment.py", "def augment(batch):\n    return batch.flip(-1)\n"),
            SetKey("config.yaml", "training.batch_size", "64"),
        ),
        "python train.py --epochs 20",
    )


def test_prose_fences_carriage_returns_and_trailing_blanks_are_tolerated() -> None:
    said = reply("```python", block("    lr = 0.1", "    lr = 0.2"), "```")
    text = f"Let me think = 1.\n```\n{said}\n```\nDone."
    spoilt = text.replace("\n", "  \r\n")
    for form in (text, spoilt, spoilt.rstrip()):
        texts, faults = apply(change_of(form), {"train.py": TRAIN.replace("lr = 0.1", "lr = 0.1  ")}.get)
        assert not faults
        assert texts["train.py"].replace("  \n", "\n") == TRAIN.replace("0.1", "0.2")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "no lines `HYPOTHESIS"),
        ("HYPOTHESIS: a", "changes nothing"),
        ("HYPOTHESIS:\nCOMMAND: x", "HYPOTHESIS: says nothing"),
        ("HYPOTHESIS: a\nHYPOTHESIS: b\nCOMMAND: x", "2 lines `HYPOTHESIS"),
        ("HYPOTHESIS: a\nCOMMAND: x\nCOMMAND: y", "2 lines `COMMAND"),
        ("HYPOTHESIS: a\nCOMMAND: x\x1b", "line 2 of the reply: COMMAND: holds a character"),
        ("**HYPOTHESIS**: a\nCOMMAND: x", "line 1 of the reply: write `HYPOTHESIS: …`"),
        ("**HYPOTHESIS:** a\nCOMMAND: x", "line 1 of the reply: write `HYPOTHESIS: …`"),
        (reply("### FILE: train.py"), "line 2 of the reply: write `FILE: …`"),
        (reply("<<<<<<< SEARCH", "a", "=======", "b", ">>>>>>> REPLACE"), "`FILE: path` must stand before"),
        (
            reply("FILE: a", "<<<<<<< SEARCH", "a", ">>>>>>> REPLACE"),
            "line 3 of the reply: the block has no line",
        ),
        (
            reply("FILE: a", "<<<<<<< SEARCH", "=======", "=======", ">>>>>>> REPLACE"),
            "has 2 lines `=======`",
        ),
        (reply("FILE: a", "<<<<<<< SEARCH", "a", "======="), "line 3 of the reply: the block is not closed"),
        (reply("FILE: a", "<<<<<<< SEARCH", "<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE"), "is not closed"),
        (reply("FILE: a", "<<<<<<< ORIGINAL", "a"), "`<<<<<<< ORIGINAL` opens no block"),
        (reply("FILE: a", ">>>>>>> REPLACE"), "`>>>>>>> REPLACE` opens no block"),
        (reply("NEW FILE: a.py"), "NEW FILE: a.py has no block"),
        (
            reply("NEW FILE: a.py", "NEW FILE: b.py", "<<<<<<< NEW", ">>>>>>> NEW"),
            "NEW FILE: a.py has no block",
        ),
        (reply("<<<<<<< NEW", ">>>>>>> NEW"), "`NEW FILE: path` must stand before"),
        (reply("FILE: /etc/passwd"), "absolute"),
        (reply("NEW FILE: a/../../b"), "leads out"),
        (reply("SET: ../a.yaml lr = 1"), "leads out"),
        (reply("SET: a.yaml lr"), "SET is written"),
        (reply("SET: lr = 1"), "SET is written"),
        ("HYPOTHESIS: a\nCOMMAND: \ud800", "line 2 of the reply: holds half a character"),
        (reply("COMMAND: x" + "y" * (1 << 20)), "1048576 are the most"),
        (reply(*["SET: a.yaml b = 1"] * 201), "201 edits"),
    ],
)
def test_what_is_wrong_with_a_reply_is_told_with_its_line(text: str, fault: str) -> None:
    assert any(fault in told for told in faults_of(text)), faults_of(text)


def test_all_faults_are_told_at_once() -> None:
    text = "\n".join(["FILE: ../x", "<<<<<<< OLD", "SET: x", "COMMAND:", "NEW FILE: b"])
    assert len(faults_of(text)) == 6


def test_the_hypothesis_is_one_clean_line() -> None:
    change = change_of("HYPOTHESIS: a\x1b[31m\x0bb  " + "c" * 2000 + "\nCOMMAND: x")
    assert change.hypothesis.startswith("a [31m b ccc") and len(change.hypothesis) == 1000


def test_longer_marks_let_a_block_hold_the_usual_ones() -> None:
    long = "<<<<<<<<< SEARCH\na\n=======\nb\n=========\n<<<<<<< NEW\n>>>>>>>>> REPLACE"
    new = "<<<<<<<< NEW\n>>>>>>> NEW\n```\n>>>>>>>> NEW"
    change = change_of(reply("FILE: x", long, "NEW FILE: y", new))
    assert change.edits == (Replace("x", "a\n=======\nb", "<<<<<<< NEW"), NewFile("y", ">>>>>>> NEW\n```\n"))


def test_the_edits_of_a_file_are_applied_in_order_and_each_sees_those_before() -> None:
    text, faults = applied(
        TRAIN, block("    lr = 0.1", "    lr = 0.2\n    wd = 0"), block("    wd = 0", "    wd = 1")
    )
    assert not faults and text == TRAIN.replace("    lr = 0.1\n", "    lr = 0.2\n    wd = 1\n")
    change = change_of(reply("NEW FILE: n.yaml", "<<<<<<< NEW", "a: 1", ">>>>>>> NEW", "SET: n.yaml a = 2"))
    assert apply(change, lambda _: None) == ({"n.yaml": "a: 2\n"}, [])


@pytest.mark.parametrize(
    ("before", "search", "replace", "after"),
    [
        ("a\nb\nc\n", "b", "B", "a\nB\nc\n"),
        ("a\nb", "b", "B", "a\nB"),
        ("a\r\nb\r\nc\r\n", "b", "B\nD", "a\r\nB\r\nD\r\nc\r\n"),
        ("a\nb\n", "a\nb", "", "\n"),
        ("ab\nb\n", "b", "c", "ab\nc\n"),
        ("a \na\n", "a", "c", "a \nc\n"),
        ("x\x0cy\n", "x\x0cy", "z", "z\n"),
    ],
)
def test_whole_lines_are_replaced_with_the_ends_of_lines_of_the_file(
    before: str, search: str, replace: str, after: str
) -> None:
    assert applied(before, block(search, replace)) == (after, [])


def test_an_empty_half_deletes_lines_and_an_empty_file_is_filled_by_an_empty_search() -> None:
    gone = "FILE: train.py\n<<<<<<< SEARCH\nb\n=======\n>>>>>>> REPLACE"
    assert applied("a\nb\nc\n", gone) == ("a\nc\n", [])
    fill = "FILE: train.py\n<<<<<<< SEARCH\n=======\nx\n>>>>>>> REPLACE"
    assert applied("", fill) == ("x\n", [])
    assert "SEARCH is empty" in applied("a\n", fill)[1][0]


def test_a_search_that_fails_shows_the_nearest_lines_and_the_first_that_differs() -> None:
    _, faults = applied(TRAIN, block("def main():\n    lr = 0.01\n    model = net()", "pass"))
    assert faults[0] == (
        "edit 1, train.py: the SEARCH lines are not in the file; the nearest lines are\n"
        "     4| def main():\n     5|     lr = 0.1\n     6|     model = net()\n"
        "line 5 is '    lr = 0.1', where SEARCH has '    lr = 0.01'"
    )
    _, faults = applied(TRAIN, block("for x in data:\n    step(x)", "pass"))
    assert "line 7 is '    for x in data:', where SEARCH has 'for x in data:'" in faults[0]
    _, faults = applied(TRAIN, block("    model = nets()", "pass"))
    assert "     6|     model = net()" in faults[0]
    _, faults = applied(TRAIN, block("zzzzzzzz\n" * 3, "pass"))
    assert "nor anything like them (it has 9 lines)" in faults[0]


def test_a_search_that_matches_several_times_says_where() -> None:
    _, faults = applied("a\nb\n" * 3, block("b", "c"))
    assert "at lines 2, 4, 6; add lines around" in faults[0]
    _, faults = applied("a\n" * 100, block("a", "c"))
    assert "at lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and more" in faults[0]


def test_files_that_are_there_or_not_and_keys_that_cannot_be_set_are_faults_told_together() -> None:
    change = Change(
        "h", (NewFile("a", ""), Replace("b", "x", "y"), SetKey("c.txt", "k", "1"), SetKey("d.json", "k", "1"))
    )
    _, faults = apply(change, {"a": "", "c.txt": "", "d.json": "{}"}.get)
    assert [fault.split(":")[0] for fault in faults] == [
        "edit 1, a",
        "edit 2, b",
        "edit 3, c.txt",
        "edit 4, d.json",
    ]


def test_a_search_in_a_large_file_is_answered_soon() -> None:
    lines = [
        f"value_{number % 97} = function_{number}(argument, {number * 7919})" for number in range(10_000)
    ]
    text = "\n".join(lines)
    began = time.process_time()
    for search in (
        "value_1 = funktion_500(argumant, 3959501)",
        "\n".join(lines[100:5000]) + "\nx",
        "a" * 5000,
    ):
        _, faults = applied(text, block(search, "pass"))
        assert len(faults) == 1 and len(faults[0]) < 10_000
    assert time.process_time() - began < 3


MARKS = (
    "<",
    "=",
    ">",
    "SEARCH",
    "REPLACE",
    "NEW",
    "FILE: a",
    "NEW FILE: b",
    "SET: c.yaml k = v",
    "COMMAND: x",
    "HYPOTHESIS: h",
    "```",
    "x",
)
USUAL = ("<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE", "<<<<<<< NEW", ">>>>>>> NEW")
LINES = st.lists(st.sampled_from([*MARKS, *USUAL]) | st.text(max_size=12), max_size=25).map("\n".join)


@given(LINES)
@example("<" * 100_000)
@example("*" * 100_000 + "FILE" + "*" * 100_000 + ":")
@example("\n".join(["<<<<<<< SEARCH", "======="] * 20_000))
@example("NEW FILE: a\n" * 50_000)
@settings(max_examples=70, deadline=2000)
def test_whatever_comes_is_read_or_told_and_never_raises(text: str) -> None:
    change, faults = read_change(text)
    assert (change is None) == bool(faults)
    if change is not None:
        apply(change, {"a": text}.get)


def rendered(first: str, second: str) -> str:
    """A block that turns one text into the other, its marks as long as they need to be."""
    length = 7
    while any(mark * length in first + second for mark in "<=>"):
        length += 1
    above = "".join(f"{line}\n" for line in first.split("\n")) if first else ""
    below = "".join(f"{line}\n" for line in second.split("\n"))
    return f"FILE: f\n{'<' * length} SEARCH\n{above}{'=' * length}\n{below}{'>' * length} REPLACE"


TEXTS = st.text(st.sampled_from("ab <=>#\n\t\x0cé`"), max_size=60)


@given(TEXTS, TEXTS)
@settings(max_examples=70, deadline=2000)
def test_a_block_of_two_texts_turns_one_into_the_other(first: str, second: str) -> None:
    texts, faults = apply(change_of(reply(rendered(first, second))), {"f": first}.get)
    assert not faults
    assert texts["f"] == (second if first else second + "\n")


@given(st.lists(st.text("abc ", max_size=3), min_size=1, max_size=12), st.data())
@settings(max_examples=70, deadline=2000)
def test_a_block_changes_the_lines_it_names_and_no_other_or_is_a_fault(
    lines: list[str], data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(lines) - 1))
    end = data.draw(st.integers(start + 1, len(lines)))
    change = Change("h", (Replace("f", "\n".join(lines[start:end]), "NEW"),))
    texts, faults = apply(change, {"f": "\n".join(lines)}.get)
    if faults:
        assert "several times" in faults[0]
    else:
        assert texts["f"] == "\n".join([*lines[:start], "NEW", *lines[end:]])
