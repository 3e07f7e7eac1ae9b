"""The YAML of ideas: what PyYAML says it is, within bounds, and nothing that cannot be written again."""

import json
import math
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from orze.ideas.model import IdeaError
from orze.ideas.plain import is_plain
from orze.ideas.values import load_values


def load(text: str) -> dict[str, Any]:
    return load_values(text, path="ideas.md", line=10)


def comparable(value: object) -> str:
    """A form in which NaN equals itself, and 1 differs from True and 1.0."""
    return repr(value)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        ["yes", "1e-3", "0x1F", "010", "1_000", "1:30", ".5", "~", "<<", "=", "2024-01-01", "- a", "a: b"]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
)


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(st.text(max_size=8), VALUES, max_size=5), st.sampled_from([True, False, None]))
def test_what_yaml_writes_is_read_as_it_was(values: dict[str, Any], flow: bool | None) -> None:
    text = yaml.dump(values, Dumper=yaml.CSafeDumper, default_flow_style=flow, allow_unicode=True)
    assert comparable(load(text)) == comparable(yaml.load(text, yaml.CSafeLoader))


NUMBERS = "1|-1|+1|0|1.5|-.5|1.|.inf|-.INF|.nan|1e3|1.0e+3|1.0e3|0b11|0o7|010|09|0x1f|1_000|1:30|1:30.5"
WORDS = "yes|No|on|~|null|<<|Null|true|TRUE|truE|''|'1'|\"a\tb\"|a b|a#b|a/b|é"
TAGGED = "!!str 1|!!int '1'|!!float 1e-3|!!bool yes|! 1|!!null ''"


@pytest.mark.parametrize("word", f"{NUMBERS}|{WORDS}|{TAGGED}".split("|"))
def test_a_scalar_means_what_it_means_to_pyyaml(word: str) -> None:
    expected = {"a": "<<"} if word == "<<" else yaml.safe_load(f"a: {word}")
    assert comparable(load(f"a: {word}")) == comparable(expected)
    assert comparable(load(f"a: [{word}]")) == comparable({"a": [expected["a"]]})


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("# nothing\n", {}),
        ("~", {}),
        ("{}", {}),
        ("---\na: 1\n...\n", {"a": 1}),
        ("a: 2024-01-01", {"a": "2024-01-01"}),
        ("a: 2024-99-99", {"a": "2024-99-99"}),
        ("a: =", {"a": "="}),
        ("? a", {"a": None}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("a: &x 1\nb: [*x, *x]", {"a": 1, "b": [1, 1]}),
        ("b: &b {c: 1, d: 2}\na:\n  <<: *b\n  d: 3", {"b": {"c": 1, "d": 2}, "a": {"c": 1, "d": 3}}),
        ("a:\n  d: 3\n  <<: {c: 1, d: 2}", {"a": {"c": 1, "d": 3}}),
        ("a:\n  <<: [{c: 1}, {c: 2, d: 3}]", {"a": {"c": 1, "d": 3}}),
        ("'<<': 1", {"<<": 1}),
    ],
)
def test_values_are_read(text: str, values: dict[str, Any]) -> None:
    assert load(text) == values


def test_numbers_that_are_not_finite_are_values() -> None:
    values = load("a: .inf\nb: -.inf\nc: .nan\n")
    assert (values["a"], values["b"]) == (math.inf, -math.inf)
    assert math.isnan(values["c"])


DEEP = "".join(f"{' ' * level}a:\n" for level in range(20)) + " " * 20 + "1"
CHAIN = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 30))
LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)
)


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a: [", 11, "the yaml block is not valid YAML: did not find expected node content"),
        (
            "a: 1\nb:\n\tc: 1",
            12,
            "the yaml block is not valid YAML: found character that cannot start any token",
        ),
        ("a: 1\nb: \x01", 11, "the yaml block is not valid YAML: control characters are not allowed"),
        ("a: %x", 10, "the yaml block is not valid YAML"),
        ("a: '\\", 10, "the yaml block is not valid YAML"),
        ('a: "\\ud800"', 10, "the yaml block is not valid YAML"),
        ("a: 1\nb: 2\na: 3", 12, "the key 'a' is given twice"),
        ("x:\n  a: 1\n  a: 3", 12, "the key 'a' is given twice"),
        ("? a\n: b\n? 'a'\n: c", 12, "the key 'a' is given twice"),
        ("a:\n  <<: {b: 1}\n  <<: {c: 1}", 12, "the key '<<' is given twice"),
        ("- 1", 10, "the yaml block must hold 'key: value' lines"),
        ("word", 10, "the yaml block must hold 'key: value' lines"),
        ("a: 1\n---\nb: 1", 11, "the yaml block holds more than one document: remove the line '---'"),
        ("1: x", 10, "a key must be text, not 1: put it in quotes"),
        ("a: {on: x}", 10, "a key must be text, not on: put it in quotes"),
        ("~: x", 10, "a key must be text, not ~: put it in quotes"),
        ("? [a]\n: x", 10, "a key must be text, not a list or a mapping: put it in quotes"),
        ("a: &x 1\n*x : 2", 11, "a key must be text"),
        ("<<: 3", 10, "the key << needs a mapping or a list of mappings"),
        ("<<: [{a: 1}, 2]", 10, "the key << needs a mapping or a list of mappings"),
        ("a: *x", 10, "the alias *x has no anchor whose value ends before it"),
        ("a: &x [*x]", 10, "the alias *x has no anchor whose value ends before it"),
        ("a: &x 1\nb: &x 2", 11, "the anchor &x is given twice"),
        (
            "a: !!python/object/apply:os.system [ls]",
            10,
            "the tag 'tag:yaml.org,2002:python/object/apply:os.system'",
        ),
        ("a: !!binary aGk=", 10, "the tag 'tag:yaml.org,2002:binary' is not understood: remove it"),
        ("a: !!set {x}", 10, "the tag 'tag:yaml.org,2002:set' is not understood"),
        ("a: !!omap [x: 1]", 10, "the tag 'tag:yaml.org,2002:omap' is not understood"),
        ("a: !!timestamp 2024-01-01", 10, "the tag 'tag:yaml.org,2002:timestamp' is not understood"),
        ("a: !mine 1", 10, "the tag '!mine' is not understood"),
        ("a: !!map [1]", 10, "the tag 'tag:yaml.org,2002:map' is not understood"),
        ("a: !!int x", 10, "'x' is no value of its kind: put it in quotes or correct it"),
        ("a: !!int ''", 10, "'' is no value of its kind"),
        ("a: !!bool maybe", 10, "'maybe' is no value of its kind"),
        ("a: 0b_", 10, "'0b_' is no value of its kind"),
        ("a: 0x_", 10, "'0x_' is no value of its kind"),
        ("a: 1" + ":59" * 300 + ".5", 10, "is no value of its kind"),
        ("a: " + "9" * 1001, 10, "a number of more than 1000 characters"),
        ("a: 0x" + "f" * 1000, 10, "a number of more than 1000 characters"),
        ("a: " + "x" * 65536, 10, "the yaml block is longer than 64 KiB"),
        ("a: " + "é" * 40000, 10, "the yaml block is longer than 64 KiB"),
        (DEEP + ": 1", 30, "the yaml block is nested more than 20 levels deep"),
        ("a: " + "[" * 60_000, 10, "the yaml block is nested more than 20 levels deep"),
        ("- " * 30_000, 10, "the yaml block must hold 'key: value' lines"),
        ("? " * 30_000, 10, "the yaml block is nested more than 20 levels deep"),
        (CHAIN, 29, "the yaml block holds more than 10000 values or 20 levels"),
        (LAUGHS, 14, "the yaml block holds more than 10000 values or 20 levels"),
        ("a: &x 1\nb: [" + "*x, " * 101 + "]", 11, "the yaml block has more than 100 aliases"),
        (
            "a: &x " + "y" * 20_000 + "\nb: [" + "*x, " * 100 + "]",
            11,
            "the yaml block holds more than 10000 values",
        ),
        ("a: [" + "x," * 10_001 + "]", 10, "the yaml block holds more than 10000 values"),
    ],
)
def test_bad_or_excessive_yaml_is_refused_with_its_line(text: str, line: int, reason: str) -> None:
    assert not is_plain(text, {"sweep"})
    with pytest.raises(IdeaError) as caught:
        load(text)
    assert reason in caught.value.reason
    assert (caught.value.path, caught.value.line) == ("ideas.md", line)


def test_what_lies_within_the_bounds_is_accepted() -> None:
    assert load(DEEP)["a"]
    assert len(load("a: [" + "x," * 9_000 + "]")["a"]) == 9_000
    assert load("a: " + "9" * 1000)["a"] == int("9" * 1000)
    assert load("a: &x 1\nb: [" + "*x, " * 100 + "]")["b"] == [1] * 100


@settings(max_examples=600, deadline=None)
@given(st.text(alphabet="ab:- \n\t[]{}&*!|>'\"%@#,?~1.0<=_x", max_size=30))
def test_any_soup_is_read_as_pyyaml_reads_it_or_refused(soup: str) -> None:
    try:
        values = load(soup)
    except IdeaError:
        return
    json.dumps(values)
    assert yaml.safe_load(yaml.safe_dump(values)) is not None
    try:
        expected = yaml.load(soup, yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError):
        assert "=" in soup or "<<" in soup  # words that PyYAML cannot build a value of
    else:
        assert comparable(values) == comparable(expected or {})


KEYS = st.sampled_from(["a", "b", "lr", "on", "sweep", "a-b", "_x", "No", "1"])
ATOMS = [
    "1",
    "-2",
    "0.5",
    "1e-3",
    "007",
    "word",
    "true",
    "a.b",
    "x/y",
    "'q'",
    "2024-01-01",
    "~",
    "- 1",
    "*a",
    "é",
    "1.",
    "",
]
FLOWS = st.sampled_from(
    [*ATOMS, "[]", "[1, b]", "[ 1,b ]", "[1, 2,]", "[[1]]", "{}", "{a: 1, b: [2]}", "{a: 1, a: 2}", "{a:1}"]
)
YAML_LINES = st.builds(
    "{}{}:{}{}{}".format,
    st.sampled_from(["", "", "  ", "    ", " "]),
    KEYS,
    st.sampled_from([" ", " ", "", "  "]),
    FLOWS,
    st.sampled_from(["", "", " ", " # c", "#c"]),
)
OTHER_LINES = st.sampled_from(["", "# c", "   # c", "- 1", "word", "---", "  - x", "\t"])


@settings(max_examples=500, deadline=None)
@given(st.lists(YAML_LINES | OTHER_LINES, max_size=7))
def test_what_is_recognised_as_plain_is_always_accepted(lines: list[str]) -> None:
    text = "\n".join(lines)
    assert not is_plain(text, {"sweep"}) or isinstance(load(text), dict)


@pytest.mark.parametrize(
    "text",
    [
        "model: {type: simple_cnn, channels: [32, 64, 128]}\ntraining: {lr: 0.001, epochs: 5}\n",
        "model:\n  type: mlp\n  hidden: [128, 64]\n\n# tuned\ntraining:\n  lr: 1e-3  # x\n  c:\n    a: on\n",
        "",
        "a:\nb: -1.5\n",
    ],
)
def test_what_ideas_usually_hold_is_recognised_as_plain(text: str) -> None:
    assert is_plain(text, {"sweep"})
    load(text)


@pytest.mark.parametrize("text", ["sweep: 1", "a: 1\nsweep:\n  b: [1]"])
def test_a_key_with_a_meaning_of_its_own_is_not_plain(text: str) -> None:
    assert not is_plain(text, {"sweep"})
    assert is_plain(text, ())


@pytest.mark.parametrize(
    "text", ["a: {" + "b: 1, " * 500 + "c", "a:" + " " * 4000 + "]", "a: [" + "1 , " * 900]
)
@pytest.mark.timeout(10)
def test_recognising_never_takes_long(text: str) -> None:
    assert not is_plain(text, ())
