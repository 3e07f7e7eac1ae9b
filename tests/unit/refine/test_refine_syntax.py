"""Changed files are read, never run; each fault has its file and line."""

import warnings

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orze.refine.syntax import syntax_faults


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("a.py", b"raise SystemExit(1)\nprint('never')\n"),
        ("a.py", b"# -*- coding: latin-1 -*-\nx = '\xe9'\n"),
        ("a.py", b"\xef\xbb\xbfx = 1\r\n"),
        ("a.py", b"x = '\\d'\nassert (x, 'y')\n1 is 1\n"),
        ("a.py", b""),
        ("a.yaml", b"a: &x !tag [1, *x]\n---\nb: {{}: 1}\n"),
        ("a.yml", b"\xef\xbb\xbf# nothing\n"),
        ("a.json", b'{"a": NaN}'),
        ("a.toml", b"a = 1\r\n"),
        ("a.txt", b"\xff def (:"),
        ("Makefile", b"\0"),
        ("py", b"("),
        ("a.py", None),
    ],
)
def test_what_can_be_read_has_no_fault_and_nothing_is_run_or_warned_about(
    path: str, content: bytes | None
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert syntax_faults({path: content}) == []


@pytest.mark.parametrize(
    ("path", "content", "fault"),
    [
        ("s/a.py", b"x = 1\ndef f(:\n  pass\n", "s/a.py:2: invalid syntax: `def f(:`"),
        ("a.py", b"if 1:\nx\n", "a.py:2: expected an indented block"),
        ("a.py", b"x = 1\nreturn 1\n", "a.py:2: 'return' outside function: `return 1`"),
        ("A.PY", b"(", "A.PY:1: '(' was never closed"),
        ("a.py", b"x\n\0", "a.py:2: holds a null byte"),
        ("a.py", b"x\n'\xff'\n", "a.py:"),
        ("a.py", b"# coding: nothing\n", "a.py:1: unknown encoding"),
        ("a.py", b"(" * 50_000 + b")" * 50_000, "a.py:1: "),
        ("a.py", b"-" * 100_000 + b"1", "a.py:1: "),
        ("a.py", b"+".join([b"1"] * 100_000), "a.py:1: "),
        ("a.py", b"9" * 5000, "a.py:1: "),
        ("a.pyi", b"x" * ((1 << 20) + 1), "a.pyi:1: has 1048577 bytes"),
        ("a.yaml", b"a: 1\nb: [1\nc: 2\n", "a.yaml:3: "),
        ("a.yaml", b"a: 1\n\tb: 2\n", "a.yaml:2: "),
        ("a.yaml", b"a: 1\nb: *x\n", "a.yaml:2: there is no anchor &x"),
        ("a.yaml", b"a: &x 1\n---\nb: *x\n", "a.yaml:3: there is no anchor &x"),
        ("a.yaml", b"[" * 100_000, "a.yaml:1: is nested too deeply"),
        ("a.yaml", b"a: \xff", "a.yaml:1: is not UTF-8"),
        ("a.yaml", b"a: \x01", "a.yaml:1: "),
        ("a.json", b'{\n"a": 1,\n}', "a.json:3: "),
        ("a.json", b'{\n"a": \xff}', "a.json:2: is not UTF-8"),
        ("a.json", b"[" * 100_000, "a.json:1: is nested too deeply"),
        ("a.json", b"9" * 5000, "a.json:1: "),
        ("a.json", b"", "a.json:1: Expecting value"),
        ("a.toml", b"a = 1\nb = = 2\n", "a.toml:2: "),
        ("a.toml", b"a = 1\nb = [", "a.toml:2: "),
        ("a.toml", b"a = 1\na = 2\n", "a.toml:2: "),
        ("a.toml", b"a = " + b"[" * 100_000, "a.toml:1: is nested too deeply"),
    ],
)
def test_a_fault_has_its_file_and_line(path: str, content: bytes, fault: str) -> None:
    told = syntax_faults({path: content})
    assert len(told) == 1 and told[0].startswith(fault) and "\n" not in told[0] and len(told[0]) < 500


def test_all_faults_are_told_at_once_in_order_of_the_files() -> None:
    told = syntax_faults({"b.json": b"{", "a.py": b"(", "c.py": b"ok", "d.toml": b"="})
    assert [fault.split(":")[0] for fault in told] == ["a.py", "b.json", "d.toml"]


@pytest.mark.parametrize("suffix", ["py", "yaml", "json", "toml"])
@given(
    content=st.one_of(
        st.binary(max_size=30), st.text("ab:=[]{}()\"'#\n\t ,.&*!|>\\é\0", max_size=30).map(str.encode)
    )
)
@example(content=b"a: 1\n...\n%YAML 3.0\n")
@settings(max_examples=40, deadline=2000)
def test_whatever_a_file_holds_is_judged(suffix: str, content: bytes) -> None:
    told = syntax_faults({f"a.{suffix}": content})
    assert len(told) <= 1 and all(fault.startswith(f"a.{suffix}:") for fault in told)
