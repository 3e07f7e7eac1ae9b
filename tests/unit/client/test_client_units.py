"""The text of a systemd unit, whatever the paths and variables are; systemd itself reads it back."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orze.client.units import UnitError, exec_line, same_directory, unit_text, written_by_us

HOSTILE = [
    "a b",
    "100%",
    "%n",
    "$HOME",
    "${HOME}",
    'q"uote',
    "it's",
    "back\\slash\\",
    ";",
    "new\nline",
    "é",
    "",
    "#",
]
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_UNESCAPED = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"'}


def unquoted(line: str) -> list[str]:
    """The words of a line by systemd.syntax(7), with specifiers resolved."""

    def unescape(text: str) -> str:
        raw = re.sub(
            r"\\(x[0-9a-f]{2}|.)",
            lambda m: chr(int(m[1][1:], 16)) if m[1][0] == "x" else chr(0xE000 + ord(_UNESCAPED[m[1]])),
            text,
        )
        # what was an escaped byte is Latin-1 now; all else is put back as it was
        parts = [c.encode("latin-1") if 0x80 <= ord(c) < 0x100 and c not in text else c.encode() for c in raw]
        return re.sub("[\ue000-\ue07f]", lambda m: chr(ord(m[0]) - 0xE000), b"".join(parts).decode())

    words = [unescape(match[1]) for match in _WORD.finditer(line)]
    assert _WORD.sub("", line).strip() == ""
    return [word.replace("%%", "%") for word in words]


@pytest.mark.parametrize("word", HOSTILE)
def test_a_word_of_the_command_comes_out_as_it_went_in(word):
    program, told, *words = unquoted(exec_line(["/bin/py thon$x%", "-P", word]))
    assert program == "@/bin/py thon$x%"
    assert [text.replace("$$", "$") for text in (told, *words)] == ["/bin/py thon$x%", "-P", word]


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0", max_codepoint=0x7F)))
def test_any_word_is_one_line_and_reads_back(word):
    line = exec_line(["/py", word])
    assert "\n" not in line
    assert unquoted(line)[2].replace("$$", "$") == word


def test_the_unit_keeps_attempts_running_and_comes_back():
    lines = unit_text("/a", ["/py", "run"], {"PATH": "/b", "A": "1"}).splitlines()
    assert {
        "KillMode=process", "Restart=on-failure", "RestartSec=30", "StartLimitIntervalSec=0",
        "OOMPolicy=continue", "WantedBy=default.target", "WorkingDirectory=/a",
    } <= set(lines)  # fmt: skip
    assert lines.index('Environment="A=1"') < lines.index('Environment="PATH=/b"')


@pytest.mark.parametrize("path", ["/a ", "/a\n", "/a\\", "/a\tb", "/\udcff"])
def test_a_directory_that_systemd_cannot_be_told_is_refused(path):
    with pytest.raises(UnitError):
        unit_text(path, ["/py"], {})


@pytest.mark.parametrize(
    ("command", "variables"), [(["/py", "a\0b"], {}), (["/py"], {"A B": "1"}), (["/\udcff"], {})]
)
def test_what_no_unit_can_say_is_refused(command, variables):
    with pytest.raises(UnitError):
        unit_text("/a", command, variables)


def test_a_unit_of_ours_is_known_again_and_for_which_directory():
    text = unit_text("/a %b", ["/py"], {})
    assert written_by_us(text)
    assert same_directory(text, "/a %b")
    assert not same_directory(text, "/a %")
    assert not written_by_us(text.partition("\n")[2])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is needed to read a unit")
@pytest.mark.parametrize(
    "name", [name for name in HOSTILE if name and "\n" not in name and not name.endswith("\\")]
)
def test_systemd_itself_finds_no_fault_and_the_program_where_it_is(tmp_path: Path, name):
    home = tmp_path / name
    home.mkdir()
    program = (tmp_path if set(name) & set("'\"") else home) / "python $x%"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "orze-test.service"
    unit.write_text(unit_text(str(home), [str(program), *HOSTILE], {"A": name}))

    def verify() -> str:
        done = subprocess.run(
            ["systemd-analyze", "verify", "--user", "--man=no", str(unit)],
            env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.stdout + done.stderr

    assert verify() == ""
    program.unlink()
    assert f"Command {program} is not executable" in verify()
