"""URLs of notifications are keys to accounts: no message, no representation shows them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orze.config.load import load_settings
from orze.config.schema import Notifications, Settings
from orze.config.values import News
from orze.core.errors import ConfigError

TOKEN = "T0KEN"
ENVIRON = {"HOOK": f"slack://{TOKEN}", "BARE": TOKEN}


def load(tmp_path: Path, text: str) -> Settings:
    (tmp_path / "orze.yaml").write_text(text)
    return load_settings(None, {}, tmp_path, ENVIRON)


def told(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert caught.value.__context__ is None, "a traceback would show what pydantic was given"
    return str(caught.value)


@pytest.mark.parametrize("text", [f"[slack://{TOKEN}]", "['${HOOK}']", "['slack://${BARE}']"])
def test_a_url_is_held_and_not_shown(tmp_path: Path, text: str) -> None:
    settings = load(tmp_path, f"notifications:\n  urls: {text}\n  on: [failed, host_lost]\n  every: 5m")
    held = settings.notifications
    assert [url.get_secret_value() for url in held.urls] == [f"slack://{TOKEN}"]
    assert (held.on, held.every) == ((News.FAILED, News.HOST_LOST), 300.0)
    for shown in (repr(settings), str(settings), json.dumps(settings.model_dump(mode="json"), default=str)):
        assert TOKEN not in shown


def test_nobody_is_told_by_default() -> None:
    assert (Notifications().urls, Notifications().on) == ((), None)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (f"notifications: slack://{TOKEN}", "must be a block of keys"),
        (f"notifications: [slack://{TOKEN}]", "must be a block of keys"),
        (f"notifications: {{urls: slack://{TOKEN}}}", "must be a list"),
        (f"notifications: {{urls: {TOKEN}}}", "must be a list"),
        (f"notifications: {{urls: [{TOKEN}]}}", "must be a URL that apprise knows"),
        ("notifications: {urls: ['${BARE}']}", "must be a URL that apprise knows"),
        (f'notifications: {{urls: ["slack://{TOKEN}\\n"]}}', "must be a URL"),
        (f"notifications: {{urls: [!!int '{TOKEN}']}}", "which is not a number"),
        (f"notifications: {{urls: [!slack://{TOKEN} x]}}", "unknown tag"),
        (f"notifications: {{urls: [{{slack: {TOKEN}}}]}}", "must be text"),
        (f"notifications: {{slack://{TOKEN}: x}}", "unknown key"),
        (f"notifications: {{urls: {{slack://{TOKEN}: 1, slack://{TOKEN}: 2}}}}", "is given twice"),
        (f"notifications: {{every: {TOKEN}}}", "must be a time"),
        (f"notifications: {{on: [{TOKEN}]}}", "must be one of new_best, failed"),
        (f"slack://{TOKEN}: x", "unknown key"),
        (f"python: {{slack://{TOKEN}: x}}", "python must be text"),
        (f"timeout: slack://{TOKEN}", "must be a time"),
    ],
)
def test_no_fault_quotes_a_url_or_what_stands_in_its_place(tmp_path: Path, text: str, part: str) -> None:
    said = told(tmp_path, text)
    assert part in said
    assert TOKEN not in said


def test_the_other_faults_say_what_to_write(tmp_path: Path) -> None:
    assert "must not be empty" in told(tmp_path, "notifications: {on: []}")
    assert "did you mean 'urls'" in told(tmp_path, "notifications: {url: []}")
    assert "research_dead" in told(tmp_path, "notifications: {on: [research_died]}")
