"""The settings name an executor, and people are told where attempts run."""

from __future__ import annotations

from pathlib import Path

import pytest

from orze.attempt.executors.make import make_executor
from orze.config.load import load_settings


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "processes of this host"),
        ("executor: {type: tmux}", "tmux session orze-digits: tmux attach -t orze-digits"),
        ("executor: {type: tmux, session: mine}", "tmux session mine: tmux attach -t mine"),
        (
            "executor: {type: ssh, host: gpu, user: ada, work_dir: /srv/ada/digits}",
            "ada@gpu by ssh, in /srv/ada/digits",
        ),
    ],
)
def test_the_executor_of_the_settings_says_where_attempts_run(tmp_path: Path, text: str, words: str) -> None:
    home = tmp_path / "digits"
    home.mkdir()
    (home / "orze.yaml").write_text(text)
    settings = load_settings(None, {}, home, {"HOME": "/home/ada"})
    assert make_executor(settings, python=["python3"], environ={}).words == words
