"""Attempts in windows of a real tmux with a server of its own, and what is said where tmux cannot."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orze.attempt.executors import tmux
from orze.attempt.executors.base import Keeper
from orze.attempt.executors.tmux import Tmux
from orze.coord.chain import Chain
from orze.coord.idea_chain import IdeaFold
from orze.coord.record import new_record
from orze.core.clock import SystemClock
from orze.core.errors import ConfigError
from orze.core.files import RealFiles, make_dirs
from orze.core.identity import lives
from orze.core.paths import FarmPaths

DEADLINE = 30.0
FORMAT = "#{session_name} #{window_name} #{pane_current_path}"


class Server:
    """A tmux server of the test's own, and farms that use it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.directory = tempfile.mkdtemp(prefix="orze-", dir="/tmp")  # a socket's path must be short
        self.environ = {**os.environ, "TMUX_TMPDIR": self.directory, "SHELL": "/bin/false"}
        self.keepers: list[Keeper] = []
        self.executors: list[Tmux] = []

    def executor(self, **environ: str) -> Tmux:
        environ = {**self.environ, **environ}
        self.executors.append(Tmux("s", project_dir=self.home, doors=True, environ=environ))
        return self.executors[-1]

    def keeper(self, executor: Tmux, idea_id: str) -> str:
        """Have a keeper prepare; what it answers."""
        paths = FarmPaths(str(self.home / "results"))
        make_dirs(RealFiles(), paths.heartbeats)
        keeper = executor.keeper()
        self.keepers.append(keeper)
        keeper.tell(prepare={"results": paths.results, "idea_id": idea_id, "token": "t", "locks": []})
        return keeper.answer()

    def ask(self, *words: str) -> str:
        return subprocess.run(
            ["tmux", *words], env=self.environ, capture_output=True, text=True, check=False
        ).stdout

    def windows(self) -> list[str]:
        return self.ask("list-windows", "-a", "-F", FORMAT).splitlines()

    def close(self) -> None:
        for keeper in self.keepers:
            keeper.let_go()
        for executor in self.executors:
            executor.close()
        self.ask("kill-server")
        shutil.rmtree(self.directory)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    home = tmp_path / "it's a $färm; #{x};"
    home.mkdir()
    made = Server(home)
    yield made
    made.close()


def claim(server: Server, idea_id: str) -> None:
    """The claim of the keeper's attempt, as its daemon would make it."""
    directory = FarmPaths(str(server.home / "results")).idea(idea_id).chain
    make_dirs(RealFiles(), directory)
    chain = Chain(RealFiles(), directory, IdeaFold(), SystemClock())
    chain.refresh()
    assert chain.append(lambda: new_record("CLAIM", token="t", attempt=1))


def until(happened: Callable[[], object]) -> None:
    end = time.monotonic() + DEADLINE
    while not happened():
        assert time.monotonic() < end
        select.select([], [], [], 0.01)


def a_tmux(directory: Path, *lines: str) -> dict[str, str]:
    """A stand-in for the program; the environment in which it is found."""
    program = directory / "tmux"
    program.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    program.chmod(0o755)
    return {"PATH": f"{directory}:{os.defpath}"}


def test_each_keeper_has_a_window_of_one_session_that_closes_when_it_leaves(server: Server) -> None:
    executor = server.executor()
    executor.check()
    assert [server.keeper(executor, name) for name in ("idea-001", "idea-002")] == ["", ""]
    until(lambda: server.windows() == [f"s {name} {server.home}" for name in ("idea-001", "idea-002")])
    assert executor.words == "tmux session s: tmux attach -t s"
    server.keepers.pop().let_go()
    until(lambda: len(server.windows()) == 1)
    server.keepers.pop().let_go()
    until(lambda: not server.windows())


def test_somebody_who_is_attached_sees_the_end_and_closes_it_by_a_key(server: Server) -> None:
    executor = server.executor()
    assert server.keeper(executor, "idea-001") == ""
    claim(server, "idea-001")
    terminal, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    client = subprocess.Popen(
        ["tmux", "attach", "-t", "s"],
        env={**server.environ, "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    until(lambda: server.ask("list-clients"))
    server.keepers.pop().let_go()
    until(lambda: "A key closes this window." in server.ask("capture-pane", "-p", "-t", "s:"))
    os.write(terminal, b"q")
    assert client.wait(DEADLINE) == 0
    os.close(terminal)
    assert server.windows() == []


def test_the_end_of_the_server_is_nothing_to_a_keeper_and_the_next_one_has_a_window(server: Server) -> None:
    executor = server.executor()
    assert server.keeper(executor, "idea-001") == ""
    server.ask("kill-server")
    assert lives(server.keepers[0].pid, server.keepers[0].start)
    assert server.keeper(executor, "idea-002") == ""
    assert server.windows() == [f"s idea-002 {server.home}"]


def test_no_key_of_the_daemon_is_in_the_environment_of_the_server(server: Server) -> None:
    executor = server.executor(OPENAI_API_KEY="secret", LC_TIME="C.UTF-8", TMUX="/tmp/other,1,0")
    assert server.keeper(executor, "idea-001") == ""
    told = server.ask("show-environment", "-g")
    assert "secret" not in told
    assert "LC_TIME=C.UTF-8" in told


def test_a_session_that_somebody_else_made_is_used(server: Server) -> None:
    server.ask("-f", os.devnull, "new-session", "-d", "-s", "s", "-n", "theirs", "sleep", "600")
    executor = server.executor()
    assert server.keeper(executor, "idea-001") == ""
    assert [line.split()[1] for line in server.windows()] == ["theirs", "idea-001"]


@pytest.mark.parametrize("settings", ["set -g destroy-unattached on", "set -g default-command /bin/false"])
def test_settings_of_the_user_s_do_not_end_a_window(server: Server, settings: str) -> None:
    (server.home / ".tmux.conf").write_text(f"{settings}\n")
    executor = server.executor(HOME=str(server.home))
    assert server.keeper(executor, "idea-001") == ""
    until(lambda: "what its run prints" in server.ask("capture-pane", "-p", "-t", "s:"))
    assert len(server.windows()) == 1


def test_a_window_closes_where_the_user_s_settings_would_keep_it(server: Server) -> None:
    (server.home / ".tmux.conf").write_text("set -g remain-on-exit on\n")
    assert server.keeper(server.executor(HOME=str(server.home)), "idea-001") == ""
    assert len(server.windows()) == 1
    server.keepers.pop().let_go()
    until(lambda: not server.windows())
    assert server.ask("list-sessions") == ""


def test_where_tmux_makes_no_window_its_words_are_the_answer(server: Server) -> None:
    (server.home / f"tmux-{os.getuid()}").mkdir(mode=0o755)
    (server.home / f"tmux-{os.getuid()}").chmod(0o777)
    executor = server.executor(TMUX_TMPDIR=str(server.home))
    why = server.keeper(executor, "idea-001")
    assert why.startswith("tmux makes no window: "), why
    assert "unsafe permissions" in why


def test_words_of_tmux_are_one_line_without_control_characters(server: Server, tmp_path: Path) -> None:
    executor = server.executor(**a_tmux(tmp_path, r"printf '\033[31mno\nroom\007' >&2; exit 1"))
    assert server.keeper(executor, "idea-001") == "tmux makes no window: no room"


def test_a_tmux_that_hangs_is_given_up(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tmux, "_PATIENCE", 0.1)
    executor = server.executor(**a_tmux(tmp_path, "exec sleep 600"))
    why = "tmux makes no window: it did not answer within 0.1 s"
    assert server.keeper(executor, "idea-001") == why


def test_a_word_that_ends_in_a_semicolon_reaches_tmux_whole(server: Server) -> None:
    executor = server.executor()
    assert server.keeper(executor, "idea-001") == ""
    assert executor._ask("display-message", "-p", "a;") == ("a;", "")


def test_without_tmux_the_package_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no tmux is on PATH; install the package tmux"):
        Tmux("s", project_dir=tmp_path, doors=True, environ={"PATH": str(tmp_path)}).check()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["echo tmux 1.8"], "tmux 1.8 is too old; install tmux 2.6 or later"),
        (["echo broken library >&2; exit 127"], "-V fails: broken library"),
    ],
)
def test_a_tmux_that_cannot_do_is_refused_at_once(tmp_path: Path, lines: list[str], said: str) -> None:
    executor = Tmux("s", project_dir=tmp_path, doors=True, environ=a_tmux(tmp_path, *lines))
    with pytest.raises(ConfigError, match=said):
        executor.check()


@pytest.mark.parametrize("version", ["3.3a", "next-3.5", "openbsd-7.4", "2.6", "master"])
def test_every_other_version_will_do(tmp_path: Path, version: str) -> None:
    environ = a_tmux(tmp_path, f"echo tmux {version}")
    executor = Tmux("s", project_dir=tmp_path, doors=True, environ=environ)
    executor.check()
    assert executor.adapt({"gpu": "0"}) == {"gpu": "0"}


def test_the_interpreter_of_a_window_is_that_of_the_daemon(server: Server) -> None:
    executor = server.executor()
    assert server.keeper(executor, "idea-001") == ""
    command = server.ask("display-message", "-p", "-t", "s:", "#{pane_start_command}")
    assert sys.executable in command
