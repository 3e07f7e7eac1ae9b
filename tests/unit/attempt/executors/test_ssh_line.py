"""The line by the system's ssh: how ssh is called, what is tried again, what is told to the keeper."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from orze.attempt import told
from orze.attempt.ends import Failed, Over
from orze.attempt.executors.faults import Lost, Refused
from orze.attempt.executors.line import Line
from orze.attempt.executors.output import Output
from orze.attempt.executors.persist import Persistence, ToldToEnd
from orze.attempt.executors.room import Room
from orze.attempt.executors.sync import changes
from orze.attempt.executors.waiting import Waiting
from orze.core.states import Cause

SPEC: dict[str, Any] = {
    "host": "[::1]", "user": "me", "port": 2222, "key_path": "/k e y", "options": ["ProxyJump=gate"],
    "connect_timeout": 7.0, "work_dir": "/w", "python": "python3", "patience": 5.0, "stall": 0.0,
}  # fmt: skip


@pytest.fixture
def waiting() -> Iterator[Waiting]:
    """The signals of this process, put back behind the test."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)}
    yield Waiting()
    signal.set_wakeup_fd(-1)
    for number, handler in before.items():
        signal.signal(number, handler)


def pretend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str) -> Path:
    """Have a program stand for ssh, which notes its words."""
    (tmp_path / "ssh").write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" >> {tmp_path}/words\n{script}\n")
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path / "words"


def test_ssh_gets_the_settings_and_asks_nobody(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, waiting: Waiting
) -> None:
    words = pretend(monkeypatch, tmp_path, "echo 'Host key verification failed.' >&2; exit 255")
    line = Line(SPEC, waiting)  # type: ignore[arg-type]  # the rest is of no matter here
    with pytest.raises(Refused, match="not in known_hosts"):
        line.ask({}, install=False, told=lambda *_: None)
    line.close()
    said = words.read_text().splitlines()
    assert said[-1] == "::1"
    options = [word for before, word in pairwise(said) if before == "-o"]
    assert options[:2] == ["ControlPersist=no", "ProxyJump=gate"]
    assert {"ConnectTimeout=7", "BatchMode=yes", "IdentitiesOnly=yes", "ForwardAgent=no"} <= set(options)
    assert not [option for option in options if "StrictHostKey" in option]
    assert ("-l", "me") in pairwise(said)
    assert ("-i", "/k e y") in pairwise(said)
    assert not list(Path(line._directory).parent.glob(Path(line._directory).name))


@pytest.mark.parametrize("python", ["python3", "~/my env/bin/python3", "/opt/py thon/bin/python3"])
def test_what_the_login_shell_there_reads_is_plain_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, waiting: Waiting, python: str
) -> None:
    # The socket of the master is made as ssh makes it; the question gets no answer.
    master = 'for w; do case "$w" in ControlPath=*) p=${w#ControlPath=};; esac; done\n'
    master += 'case "$*" in *" -N "*) touch "$p"; exec sleep 60;; esac\nexit 127'
    words = pretend(monkeypatch, tmp_path, master)
    line = Line({**SPEC, "python": python}, waiting)  # type: ignore[typeddict-item]
    with pytest.raises(Refused, match=f"there is no {python} on"):
        line.ask({"key": "it's $HOME"}, install=True, told=lambda *_: None)
    line.close()
    shown = {"python3": "python3", "~/my env/bin/python3": "~/'my env/bin/python3'"}
    there = words.read_text().splitlines()[-4:]
    assert there == [shown.get(python, f"'{python}'"), "-I", "-S", "-"]


def test_a_directory_for_sockets_is_short_and_what_the_dead_left_is_removed(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    short = tempfile.TemporaryDirectory(dir="/tmp")  # that of pytest may be too long itself
    request.addfinalizer(short.cleanup)
    tmp_path = Path(short.name)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    used, left = Room(), Room()
    os.close(left._lock)  # as when its process is killed
    new = tmp_path / "orze-ssh-new"
    new.mkdir()
    for path in (used.path, left.path):
        os.utime(path, (0, 0))
    third = Room()
    assert sorted(tmp_path.iterdir()) == sorted(map(Path, [used.path, str(new), third.path]))
    used.close()
    third.close()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("long" * 30)))
    there = Room()
    assert len(there.path) < 80
    there.close()


class Patient:
    """Stands for the time that passes: pauses are only noted."""

    def __init__(self) -> None:
        self.told = False
        self.pauses: list[float] = []

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


def persistence(tmp_path: Path, **spec: Any) -> tuple[Persistence, Patient, Output]:
    patient, output = Patient(), Output("gpu", str(tmp_path / "progress.jsonl"))
    made = Persistence({**SPEC, **spec}, output, patient, 10.0)  # type: ignore[arg-type,typeddict-item]
    return made, patient, output


def test_a_lost_line_is_tried_again_with_growing_pauses_and_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    made, patient, _ = persistence(tmp_path)
    left = [Lost("no route")] * 9
    assert made.of(lambda: _raise(left.pop()) if left else "done") == "done"
    assert patient.pauses == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    said = capfd.readouterr().out.splitlines()
    assert said[:2] == ["[gpu] no route; again in 0.5 s", "[gpu] no route; again in 1 s"]


def test_a_keeper_that_looks_for_a_stall_sees_signs_of_life_in_time(tmp_path: Path) -> None:
    made, patient, _ = persistence(tmp_path, stall=6.0)
    left = [Lost("no route")] * 5
    made.of(lambda: _raise(left.pop()) if left else None)
    assert max(patient.pauses) == 2.0


def test_what_was_heard_begins_the_pauses_anew(tmp_path: Path) -> None:
    made, patient, output = persistence(tmp_path)
    left = [Lost("no route")] * 4

    def try_it() -> None:
        if len(left) == 2:
            output.take("beat", b"")
        if left:
            raise left.pop()

    made.of(try_it)
    assert patient.pauses == [0.5, 1, 0.5, 1]


def test_a_machine_that_was_never_reached_is_given_up(tmp_path: Path) -> None:
    made, _, _ = persistence(tmp_path, patience=-1.0)
    with pytest.raises(Refused, match=r"\[::1\] cannot be reached: no route"):
        made.of(lambda: _raise(Lost("no route")))


def test_nothing_is_begun_where_the_process_was_told_to_end(tmp_path: Path) -> None:
    made, patient, _ = persistence(tmp_path)
    patient.told = True
    with pytest.raises(ToldToEnd):
        made.of(lambda: pytest.fail("it was done"), may_end=True)


def test_streams_go_where_the_keeper_looks(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    output = Output("gpu", str(tmp_path / "progress.jsonl"))
    for name, piece in (
        ("1", b"out\n"),
        ("2", b"{}\n"),
        ("0", b"waits\x1b[2J\n"),
        ("beat", b""),
        ("7", b"x"),
    ):
        output.take(name, piece)
    assert capfd.readouterr().out == "out\n[gpu] waits?[2J\n"
    assert (tmp_path / "progress.jsonl").read_bytes() == b"{}\n"
    assert (output.offsets, output.heard) == ([10, 4, 3], 5)


@pytest.mark.parametrize(
    ("cause", "raised"),
    [(Cause.START, Failed), (Cause.TIMEOUT, Failed), (Cause.HOST_OOM, Failed), (Cause.HOST_LOST, Over)],
)
def test_what_is_told_to_the_keeper_is_heard_once(
    tmp_path: Path, cause: Cause, raised: type[Exception]
) -> None:
    told.tell(str(tmp_path), cause, "two\nlines")
    with pytest.raises(raised) as heard:
        told.hear(str(tmp_path))
    if isinstance(heard.value, Failed):
        assert (heard.value.cause, heard.value.error) == (cause, "two lines")
    told.forget(str(tmp_path))
    told.forget(str(tmp_path))
    told.hear(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"cause": "no such"}', json.dumps({"cause": "exit_code", "error": "x"})]
)
def test_what_is_no_word_of_ours_is_not_heard(tmp_path: Path, text: str) -> None:
    (tmp_path / told.TOLD).write_text(text)
    told.hear(str(tmp_path))
    assert (tmp_path / told.TOLD).read_text() == text


def test_changes_there_are_read_from_what_rsync_prints() -> None:
    printed = (
        ">fc........ a b.py\n*deleting   gone.py\n>f+++++++++ d/new.py\ncd+++++++++ d/\ncL+++++++++ link\n\n"
    )
    assert list(changes(printed)) == [
        ("changed", "a b.py"), ("removed", "gone.py"), ("added", "d/new.py"), ("added", "link"),
    ]  # fmt: skip


def _raise(error: Exception) -> None:
    raise error
