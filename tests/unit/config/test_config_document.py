"""YAML with the line of each value, whatever the file holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orze.config.document import Document, Problem, label, read_document

ENVIRON = {"HOME": "/home/ada", "N": "4", "YES": "yes", "EMPTY": "", "ODD": "a: [${N}"}


def read(text: str, *written: str) -> Document:
    return read_document(text, ENVIRON, as_written=lambda path: path[0] in written)


def test_every_value_has_the_line_of_its_key() -> None:
    document = read("a: 1\n\nb:\n  c: x\n  d:\n    - 2\n    - e: [3,\n          4]\n")
    assert document.data == {"a": 1, "b": {"c": "x", "d": [2, {"e": [3, 4]}]}}
    lines = {"a": 1, "b": 3, "b.c": 4, "b.d": 5, "b.d[0]": 6, "b.d[1]": 7, "b.d[1].e": 7}
    assert {label(path): place.line for path, place in document.places.items()} == {
        **lines,
        "b.d[1].e[0]": 7,
        "b.d[1].e[1]": 8,
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${HOME}/x", "/home/ada/x"),
        ("${N}", 4),
        ("'${N}'", "4"),
        ("1${N}.5", 14.5),
        ("${YES}", True),
        ("${EMPTY}", None),
        ("'${EMPTY}'", ""),
        ("$${N}", "${N}"),
        ("$$${N}", "$${N}"),
        ("$N $ $$", "$N $ $$"),
        ("${ODD}", "a: [${N}"),
        ("2024-01-31", "2024-01-31"),
        ("0x10", 16),
        ("1e-3", "1e-3"),
        ("~", None),
        ("=", "="),
    ],
)
def test_a_value_is_expanded_and_read(text: str, value: object) -> None:
    document = read(f"a: {text}")
    assert (document.data, document.problems) == ({"a": value}, [])


@pytest.mark.parametrize("text", ["1.10", "007", "yes", "1_000", "0x10", "2024-01-31", "1:30", "off"])
def test_words_are_kept_as_they_are_written(text: str) -> None:
    assert read(f"a: [{text}]\nb: {text}", "a", "b").data == {"a": [text], "b": text}
    assert read("a: ${N}\nb: ${EMPTY}\nc: ~", "a", "b", "c").data == {"a": "4", "b": "", "c": None}


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ("a: 1\nb: ${NOPE}", 2, "b needs the environment variable NOPE, which is not set"),
        ("a: ${N", 1, "a holds `${`"),
        ("a: ${N:-3}", 1, "a holds `${`"),
        ("a: [1,\n  '${}']", 2, "a[1] holds `${`"),
        ("a: 1\nb: 2\na: 3", 3, "a is given twice, first on line 2"),
        ("a: {b: 1, b: 2}", 1, "a.b is given twice"),
        ("a: &x {c: 1}\nb:\n  <<: *x", 3, "merge keys"),
        ("? [a]\n: 1", 1, "a key must be text"),
        ("a: !!python/object:os.system {x: 1}", 1, "unknown tag"),
        ("a: !!python/name:os.system", 1, "unknown tag"),
        ("a: !env ${N}", 1, "unknown tag"),
        ("a: !!binary aGk=", 1, "unknown tag"),
        ("a: 0x_", 1, "not a number"),
        ("a: " + "9" * 5000, 1, "not a number"),
        ("a: !!int x", 1, "not a number"),
        ("a: !!bool perhaps", 1, "not a number"),
    ],
)
def test_a_value_that_cannot_be_read_is_told_and_the_others_are_kept(text: str, line: int, part: str) -> None:
    document = read("first: 1\n" + text + "\nlast: 2")
    assert document.data.items() >= {"first": 1, "last": 2}.items()
    [problem] = document.problems
    assert problem.line == line + 1
    assert part in problem.sentence


BOMB = "k0: &k0 [x]\n" + "".join(f"k{n}: &k{n} [{', '.join([f'*k{n - 1}'] * 9)}]\n" for n in range(1, 9))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: [1, 2\nc: 3\n", 3),
        ("a: 1\n\tb: 2\n", 2),
        ("a: b: c", 1),
        ("a: 1\n--- \nb: 2", 2),
        ("a: 1\nb: *nowhere", 2),
        ("é\u4e00: 1\n\nb: \x07", 3),
        ("a: 1\nb: 'open\n", 3),
        ("- a\n- b", 1),
        ("just text", 1),
        ("%YAML 9.9\n---\na: 1", 1),
        ("a: &x [*x]", 1),
        ("a: " + "[" * 21 + "]" * 21, 1),
        ("[" * 500_000, 1),
        ("- " * 500_000, 1),
        (BOMB, 1),
        ("a: [" + "x, " * 30_000 + "]", 1),
    ],
    ids=range(16),
)
def test_a_file_that_cannot_be_read_is_one_problem_at_a_line(text: str, line: int) -> None:
    document = read(text)
    assert document.data == {}
    [problem] = document.problems
    assert problem.line == line
    assert problem.sentence.isprintable()


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n", "~", "{}"])
def test_a_file_without_values_is_fine(text: str) -> None:
    document = read(text)
    assert (document.data, document.problems) == ({}, [])


YAML_PIECES = st.sampled_from(
    [*"abc:-[]{}&*!|>'\"%@#,? \n\t${}", "a: ", "- ", "\n  ", "<<: *a", "${HOME}", "!!int ", "&a ", "*a", "~"]
)


@given(st.lists(YAML_PIECES | st.characters(codec="utf-8"), max_size=40).map("".join))
def test_no_text_makes_the_reader_raise(text: str) -> None:
    document = read(text)
    lines = text.count("\n") + text.count("\r") + text.count("\x85") + 3
    for problem in document.problems:
        assert isinstance(problem, Problem)
        assert 1 <= problem.line <= lines
        assert "\n" not in problem.sentence
