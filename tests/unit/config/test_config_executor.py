"""The block `executor` of orze.yaml: what each type needs, and what may not be said."""

from __future__ import annotations

from pathlib import Path

import pytest

from orze.config.executor import Executor, session_of
from orze.config.load import load_settings
from orze.core.errors import ConfigError

SSH = "type: ssh, host: gpu, work_dir: /srv/ada/project"


def load(text: str, home: Path) -> Executor:
    (home / "orze.yaml").write_text(text)
    return load_settings(None, {}, home, {"HOME": "/home/ada"}).executor


def test_without_the_block_attempts_run_on_this_host(tmp_path: Path) -> None:
    assert load("", tmp_path) == Executor(type="local")


def test_everything_that_ssh_may_be_told_is_read(tmp_path: Path) -> None:
    text = (
        "executor:\n  type: ssh\n  host: gpu-1.example.com\n  user: ubuntu\n  port: 2222\n"
        "  key_path: keys/id\n"
        "  work_dir: /srv/ada/project/\n  exclude: [data/, '*.ckpt']\n  artifacts: ['plots/*.png']\n"
        "  gpus: 0,1:1\n  python: /opt/bin/python3.8\n  connect_timeout: 1m\n"
        "  options: ProxyJump=gate 'SetEnv A=b c'\n"
    )
    read = load(text, tmp_path)
    assert (read.host, read.user, read.port) == ("gpu-1.example.com", "ubuntu", 2222)
    assert (read.key_path, read.work_dir) == (tmp_path / "keys" / "id", "/srv/ada/project")
    assert (read.exclude, read.artifacts) == (("data/", "*.ckpt"), ("plots/*.png",))
    assert (read.gpus, read.python, read.connect_timeout) == ("0,1:1", "/opt/bin/python3.8", 60.0)
    assert read.options == ("ProxyJump=gate", "SetEnv A=b c")


def test_a_key_of_the_home_directory_is_found_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    read = load(f"executor: {{{SSH}, key_path: ~/.ssh/id}}", tmp_path)
    assert read.key_path == Path("/home/ada/.ssh/id")


@pytest.mark.parametrize("gpus", ["none", "cpu:2", "GPU-0aa1"])
def test_cards_there_are_written_as_for_the_flag_or_are_none(tmp_path: Path, gpus: str) -> None:
    assert load(f"executor: {{{SSH}, gpus: {gpus}}}", tmp_path).gpus == gpus


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        (
            "type: ssh",
            ["executor needs the key host with type ssh", "executor needs the key work_dir with type ssh"],
        ),
        ("host: gpu", ["executor has the key host, which is for type ssh; its type is local"]),
        ("type: tmux, gpus: 0", ["executor has the key gpus, which is for type ssh; its type is tmux"]),
        ("session: a", ["executor has the key session, which is for type tmux; its type is local"]),
        ("type: screen", ["executor.type must be 'local', 'tmux' or 'ssh', not 'screen'"]),
        (
            "type: tmux, session: 'a:b'",
            ["executor.session must be a short name of letters, digits, '_' and '-', not 'a:b'"],
        ),
    ],
)
def test_a_fault_is_told_with_its_line_and_what_would_be_right(
    tmp_path: Path, text: str, sentences: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(f"executor: {{{text}}}\n", tmp_path)
    assert caught.value.problems == [f"orze.yaml:1: {sentence}" for sentence in sentences]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[
            ("work_dir", path)
            for path in ("/", "/root", "/data", "/home/ada", "/home/ada/..", "code", "~/code")
        ],
        *[("host", host) for host in ("-oProxyCommand=x", "ada@gpu", "a b", '""')],
        *[("user", user) for user in ("-l", "a b")],
        *[("port", port) for port in ("0", "65536")],
        *[("options", option) for option in ("[-v]", "[ProxyCommand]", '["A=b\\nC=d"]')],
        *[("exclude", pattern) for pattern in ("[../data]", '["a\\nb"]')],
        *[("artifacts", pattern) for pattern in ("[../data]", "[/etc/passwd]")],
        *[("python", python) for python in ("-c", '"a\\nb"')],
        ("gpus", "all"),
        ("connect_timeout", "0"),
    ],
)
def test_what_ssh_or_rsync_could_take_for_something_else_is_refused(
    tmp_path: Path, key: str, value: str
) -> None:
    given = {"type": "ssh", "host": "gpu", "work_dir": "/srv/ada/project", key: value}
    with pytest.raises(ConfigError, match=rf"^orze.yaml:\d: executor.{key}"):
        load("executor:\n" + "".join(f"  {name}: {one}\n" for name, one in given.items()), tmp_path)


@pytest.mark.parametrize(
    ("directory", "session"),
    [
        ("/srv/digits", "orze-digits"),
        ("/srv/it's a färm: 2.0", "orze-it-s-a-f-rm-2-0"),
        ("/", "orze-farm"),
        (f"/srv/{'x' * 100}", f"orze-{'x' * 40}"),
    ],
)
def test_a_session_is_named_after_the_directory_of_the_project(directory: str, session: str) -> None:
    assert session_of(Executor(type="tmux"), Path(directory)) == session
    assert session_of(Executor(type="tmux", session="mine"), Path(directory)) == "mine"
