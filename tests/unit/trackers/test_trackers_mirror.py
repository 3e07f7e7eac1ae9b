"""The mirror's process: when it stops, and what it says of a fault."""

from __future__ import annotations

from pathlib import Path

import pytest
from tracker_examples import Ended

from orze.coord.leader import Leadership
from orze.core.clock import SystemClock
from orze.core.files import RealFiles
from orze.trackers import mirror as program
from orze.trackers.run import Run

JOB = {"tracker": "mlflow", "settings": {"uri": "https://ada:hunter22@ml.example/x"}}


class Noted:
    """A place that keeps names; `then` is called after each."""

    def __init__(self, then=lambda: None, fails: int = 0) -> None:
        self.runs: list[Run] = []
        self.then = then
        self.fails = fails

    def log(self, run: Run) -> None:
        if self.fails:
            self.fails -= 1
            raise ConnectionError("no route to host")
        self.runs.append(run)
        self.then()

    @property
    def names(self) -> list[str]:
        return [run.name for run in self.runs]


@pytest.fixture
def farm(tmp_path: Path) -> Ended:
    made = Ended(tmp_path)
    for number in (1, 2, 3):
        made.ends(number)
    return made


def run(farm: Ended, place: Noted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "MIRRORS", {"noted": lambda: place})
    program.mirror(farm.job("noted"))


def test_all_that_is_new_is_mirrored_and_no_package_is_loaded_for_nothing(farm, monkeypatch):
    place = Noted()
    run(farm, place, monkeypatch)
    assert place.names == ["idea-001", "idea-002", "idea-003"]
    monkeypatch.setattr(program, "MIRRORS", {})
    program.mirror(farm.job("noted"))


def test_a_fault_stops_it_and_the_next_goes_on_there(farm, monkeypatch):
    place = Noted(fails=1)
    with pytest.raises(ConnectionError):
        run(farm, place, monkeypatch)
    place.then = lambda: setattr(place, "fails", 1)
    with pytest.raises(ConnectionError):
        run(farm, place, monkeypatch)
    place.fails, place.then = 0, lambda: None
    run(farm, place, monkeypatch)
    assert place.names == ["idea-001", "idea-002", "idea-003"]


def test_it_stops_when_another_leads_and_goes_on_when_nobody_does(farm, monkeypatch):
    other = Leadership(RealFiles(), farm.paths.leader, SystemClock(), token="other", frame={})
    other.refresh()
    place = Noted(then=farm.leadership.resign)
    run(farm, place, monkeypatch)
    assert place.names == ["idea-001", "idea-002", "idea-003"]
    farm.ends(4)
    other.campaign()
    run(farm, place, monkeypatch)
    assert len(place.runs) == 3


@pytest.mark.parametrize(
    "text",
    [
        "https://ada:hunter22@ml.example/x refused",
        "cannot log in as ada:hunter22",
        "the password hunter22 is wrong",
        "GET https://ml.example/api?token=hunter22&x=1 failed",
        "key abcdef1234567890 is not valid",
        "\x1b[31mabcdef1234567890\x1b[0m",
    ],
)
def test_a_fault_is_told_without_whatever_opens_an_account(text):
    environ = {
        "WANDB_API_KEY": "abcdef1234567890",
        "MLFLOW_TRACKING_PASSWORD": "hunter22",
        "HOME": "/home/ada",
    }
    for known in (environ, {**environ, "MLFLOW_TRACKING_PASSWORD": ""}):
        said = program.told(ConnectionError(text), JOB, known)
        assert "hunter22" not in said
        assert "abcdef1234567890" not in said
        assert said.startswith("ConnectionError")
        assert said.isprintable()
        assert len(said) <= 300


def test_a_missing_package_is_told_with_the_command_that_installs_it():
    said = program.told(ModuleNotFoundError("No module", name="mlflow.entities"), JOB, {})
    assert said == "the package mlflow is missing; install it: pip install 'orze[mlflow]'"
    assert "ModuleNotFoundError" in program.told(ModuleNotFoundError("No x", name="pandas"), JOB, {})
