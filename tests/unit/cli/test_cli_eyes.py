"""What status, show, compare, explain and logs print of a farm that is always the same."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from eyes_farm import EyesFarm, make_farm
from rich.console import Console, RenderableType
from snapshots import kept

from orze.cli.app import main
from orze.cli.views.compare import CompareView
from orze.cli.views.idea import explanation_view, idea_view
from orze.cli.views.status import StatusView
from orze.client.explain import explain
from orze.client.facts import facts_of
from orze.client.status import look
from orze.client.whole import gather


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> EyesFarm:
    return make_farm(tmp_path_factory.mktemp("farm"))


@pytest.fixture(autouse=True)
def in_the_project(farm: EyesFarm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(farm.home)


def drawn(view: RenderableType, width: int = 80, height: int = 24) -> str:
    """What a view is on a plain terminal of this size, without the blanks at the ends of lines."""
    stream = io.StringIO()
    Console(file=stream, width=width, height=height, markup=False, highlight=False).print(view)
    return "".join(f"{line.rstrip()}\n" for line in stream.getvalue().splitlines())


def check(name: str, text: str, farm: EyesFarm) -> None:
    """Hold a text against its snapshot."""
    told = text.replace(str(farm.home), "HOME")
    assert told == kept(name, told)
    assert max(map(len, text.replace(str(farm.home), "").splitlines())) <= 120
    assert "\x1b" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize("width", [80, 120])
def test_status_shows_the_farm_as_in_its_snapshot(farm: EyesFarm, width: int):
    view = StatusView(look(farm.project()), start="orze run")
    text = drawn(view, width)
    check(f"status-{width}", text, farm)
    assert max(map(len, text.splitlines())) <= width


def test_drained_slots_are_neither_busy_nor_free(farm: EyesFarm):
    cards = [[str(n), "NVIDIA H200", "drained", 420, 143771, 0, 34] for n in range(2)]
    farm.host("gpu-y", cards, running=0)
    try:
        text = drawn(StatusView(look(farm.project()), start="orze run"))
    finally:
        Path(farm.paths.host("token-gpu-y")).unlink()
    assert "2 × NVIDIA H200; 0 run, 0 free, 2 drained" in text


def test_a_low_window_gets_a_status_that_fits_it(farm: EyesFarm):
    cards = [[str(n), "NVIDIA H200", "free", 420, 143771, 0, 34] for n in range(40)]
    farm.host("gpu-z", cards)
    try:
        text = drawn(StatusView(look(farm.project()), start="orze run", low=True), height=30)
    finally:
        Path(farm.paths.host("token-gpu-z")).unlink()
    assert len(text.splitlines()) <= 30
    assert "of 43)" in text


@pytest.mark.parametrize("idea_id", [f"idea-{number:03d}" for number in range(1, 11)])
def test_show_and_explain_tell_of_an_idea_as_in_its_snapshot(farm: EyesFarm, idea_id: str):
    project, reader = farm.project(), farm.reader()
    whole = gather(project, reader, idea_id)
    parent = gather(project, reader, whole.parent) if whole.parent else None
    check(f"show-{idea_id}", drawn(idea_view(whole, parent)), farm)
    answer = explain(facts_of(project, reader, idea_id, start="orze run"))
    check(f"explain-{idea_id}", drawn(explanation_view(answer.headline, answer.because, answer.change)), farm)


def test_compare_shows_only_what_differs_as_in_its_snapshot(farm: EyesFarm):
    project, reader = farm.project(), farm.reader()
    ideas = [gather(project, reader, f"idea-{number:03d}") for number in (1, 2, 3, 4, 9)]
    text = drawn(CompareView(ideas))
    check("compare", text, farm)
    assert max(map(len, text.splitlines())) <= 80
    assert "seed" not in text


@pytest.fixture
def orze(farm: EyesFarm, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(farm.home)
    monkeypatch.setenv("HOME", str(farm.home))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def call(*argv: str) -> tuple[int, str, str]:
        status = main(argv)
        out, err = capsys.readouterr()
        return status, out, err

    return call


@pytest.mark.parametrize(
    "argv",
    [
        ("status", "--json"),
        ("show", "idea-002", "--json"),
        ("compare", "idea-001", "idea-002", "--json"),
        ("explain", "idea-006", "--json"),
        ("logs", "idea-001", "--json"),
    ],
)
def test_every_view_has_its_json(orze, argv: tuple[str, ...]):
    status, out, _ = orze(*argv)
    assert status == 0
    assert isinstance(json.loads(out), dict)


@pytest.mark.parametrize("command", ["show", "explain", "logs", "compare"])
def test_of_an_idea_that_is_not_there_the_nearest_are_named(orze, command: str):
    more = ["idea-001"] if command == "compare" else []
    status, out, err = orze(command, "idea-2", *more)
    assert (status, out) == (2, "")
    assert err.startswith("orze: there is no idea idea-2; the nearest are idea-002")


def test_logs_shows_the_end_of_the_last_attempt(orze):
    status, out, _ = orze("logs", "idea-001", "-n", "2")
    assert (status, out) == (0, "epoch 199: loss 0.005\nepoch 200: loss 0.005\n")


def test_logs_makes_what_a_script_printed_harmless(orze):
    status, out, _ = orze("logs", "idea-004")
    assert status == 0
    assert out == "starting\nred [bold]not markup[/bold]\N{REPLACEMENT CHARACTER}\ndone\n"


def test_logs_shows_the_evaluation_and_earlier_attempts(orze, farm: EyesFarm):
    assert orze("logs", "idea-002", "--eval")[1] == "evaluated\n"
    status, out, err = orze("logs", "idea-002", "--attempt", "1")
    assert (status, out) == (1, "")
    assert "attempt 1 of idea-002 has no such log" in err
    status, _, err = orze("logs", "idea-002", "--attempt", "7")
    assert (status, err) == (2, "orze: idea-002 has no attempt 7; there are: 1, 2\n")


def test_logs_of_an_idea_that_never_ran_says_so(orze):
    status, _, err = orze("logs", "idea-009", "-f")
    assert status == 1
    assert "idea-009 has not run" in err


def test_following_an_attempt_that_has_ended_returns(orze):
    assert orze("logs", "idea-001", "-f", "-n", "1") == (0, "epoch 200: loss 0.005\n", "")


def test_status_tells_when_no_daemon_is_at_work(orze):
    status, out, _ = orze("status")
    assert status == 0
    assert "no daemon has written since" in out
    assert "start one with orze run" in out


def test_the_live_status_wants_a_terminal(orze):
    status, _, err = orze("status", "-w")
    assert (status, "terminal" in err) == (2, True)


def test_comparing_one_idea_is_wrong_usage(orze):
    status, _, err = orze("compare", "idea-001", "idea-001")
    assert (status, "two ideas" in err) == (2, True)


def test_status_in_a_directory_without_a_farm_says_so(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["status"]) == 2
    assert "no farm has run" in capsys.readouterr().err


def test_what_is_piped_is_plain(farm: EyesFarm):
    done = subprocess.run(
        [sys.executable, "-m", "orze.cli.app", "show", "idea-003"],
        cwd=farm.home,
        capture_output=True,
        check=True,
        env={**os.environ, "HOME": str(farm.home)},
    )
    assert b"\x1b" not in done.stdout
