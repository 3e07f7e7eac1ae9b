"""The slots of a host: which are free, which are lost, and what is told of their cards."""

from __future__ import annotations

import ctypes
import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pynvml
import pytest

from orze.config.schema import Settings
from orze.core.clock import ManualClock
from orze.core.errors import GpuError
from orze.farm.cards import Cards
from tests.fakes.nvml import FakeNvml, needs_gcc, uuid

pytestmark = needs_gcc


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    made = FakeNvml(tmp_path / "nvml")
    monkeypatch.setenv("ORZE_FAKE_NVML", str(made.state))
    monkeypatch.setattr(pynvml, "nvmlLib", ctypes.CDLL(str(made.library)))
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # slot locks of our own
    return made


class Host:
    """Cards whose readings are waited for."""

    def __init__(self, home: Path, environ: dict[str, str] | None = None, **settings) -> None:
        self.clock = ManualClock()
        self.read = threading.Event()
        self.cards = Cards(
            Settings.model_validate({"project_dir": home, **settings}),
            environ or {},
            steady=self.clock.steady,
            ready=self.read.set,
        )

    def look(self) -> None:
        """Have the cards read anew, and wait for it."""
        self.clock.advance(10)
        self.read.clear()
        self.cards.ask()
        assert self.read.wait(20)

    def busy(self, **taken: str) -> list[str]:
        return [view.busy for view in self.cards.views(taken)]


@pytest.fixture
def host(fake: FakeNvml, tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_free_cards_have_free_slots(host: Host):
    assert [(slot.name, slot.uuid) for slot in host.cards.slots] == [("0", uuid(0)), ("1", uuid(1))]
    assert host.busy() == ["", ""]
    assert (host.cards.cards_at_most, host.cards.has_gpus, host.cards.driver) == (2, True, "570.86.15")
    assert host.cards.names(host.cards.slots) == ["NVIDIA Fake 80GB"] * 2


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"used_mib": 2000}, "2000 MiB used"),
        ({"used_mib": 1999}, ""),
        ({"used_mib": None}, "unknown: its memory cannot be read"),
        ({"processes": [(1, 500)]}, "foreign process 1"),
        ({"processes": None}, "unknown: its processes cannot be listed"),
    ],
)
def test_a_card_is_free_only_where_that_is_known(fake: FakeNvml, host: Host, state, reason: str):
    fake.set(0, **state)
    host.look()
    assert host.busy() == [reason, ""]


def test_a_reading_that_is_old_says_nothing(host: Host):
    host.clock.advance(6)
    assert host.busy() == ["unknown: the driver has not answered yet"] * 2
    host.look()
    assert host.busy() == ["", ""]


def test_a_reading_from_before_the_end_of_an_attempt_says_nothing(host: Host):
    host.clock.advance(1)
    host.cards.outdate()
    assert not host.cards.fresh
    host.look()
    assert host.cards.fresh


def test_cards_are_not_read_all_the_time(host: Host):
    host.look()
    host.read.clear()
    host.cards.ask()
    assert not host.read.wait(0)
    assert not [thread for thread in threading.enumerate() if thread.name.endswith("(_probe)")]


def test_a_lost_card_is_out_of_use_and_the_other_works_on(fake: FakeNvml, host: Host):
    fake.set(0, lost=True)
    host.look()
    first, second = host.cards.views({})
    assert (first.lost, second.lost, second.busy) == (True, False, "")
    assert first.busy.startswith("unknown: ")
    (problem,) = host.cards.problems()
    assert problem.startswith("GPU 0 is out of use: ")
    fake.set(0, lost=False)
    host.look()
    assert [view.lost for view in host.cards.views({})] == [False, False]
    assert host.cards.problems() == []


def test_a_card_that_is_only_busy_is_not_lost(fake: FakeNvml, host: Host):
    fake.set(0, used_mib=50_000)
    host.look()
    assert [view.lost for view in host.cards.views({"1": "idea-001"})] == [False, False]


def test_a_card_that_fell_off_the_bus_is_lost(fake: FakeNvml, host: Host):
    fake.remove(1)
    host.look()
    views = host.cards.views({})
    assert [view.lost for view in views] == [False, True]
    assert views[1].busy.startswith("unknown: ")


def test_a_driver_that_fails_is_a_problem_and_unknown_is_not_free(fake: FakeNvml, host: Host):
    fake.driver(999)
    host.look()
    assert all(host.busy())
    assert host.cards.problems()
    fake.driver()
    host.look()
    assert (host.busy(), host.cards.problems()) == (["", ""], [])


def test_our_own_attempts_and_locks_take_their_slots(host: Host):
    path = Path(host.cards.lock_of(host.cards.slot("1")))
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        assert host.busy(**{"0": "idea-001"}) == [
            "runs idea-001",
            "taken by another farm, or by an attempt that is just ending",
        ]
    assert host.busy() == ["", ""]


def test_a_lock_that_cannot_be_read_is_not_free(host: Host):
    path = Path(host.cards.lock_of(host.cards.slot("0")))
    path.parent.mkdir(exist_ok=True)
    path.symlink_to("/etc/passwd")
    assert host.busy()[0].startswith("its lock cannot be read: ")


def test_a_card_with_more_slots_of_another_farm_is_shared(fake: FakeNvml, tmp_path: Path):
    two = Host(tmp_path, slots_per_gpu=2)
    one = Host(tmp_path)
    path = Path(two.cards.lock_of(two.cards.slot("0#1")))
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        assert one.busy() == ["shared with another farm", ""]
        assert two.busy() == ["", "taken by another farm, or by an attempt that is just ending", "", ""]


@pytest.fixture
def attempt() -> Iterator[Callable[..., int]]:
    made: list[subprocess.Popen[bytes]] = []

    def start(**environ: str) -> int:
        argv = [sys.executable, "-I", "-S", "-c", "import signal; signal.pause()"]
        made.append(subprocess.Popen(argv, env=environ))
        return made[-1].pid

    yield start
    for one in made:
        one.kill()
        one.wait()


def test_a_process_of_an_attempt_is_not_foreign(fake: FakeNvml, host: Host, attempt):
    ours, theirs = attempt(ORZE_ATTEMPT="1-abc"), attempt()
    fake.set(0, used_mib=40_000, processes=[(ours, 39_000)])
    fake.set(1, processes=[(ours, 10), (theirs, 10)])
    host.look()
    assert host.busy() == ["", f"foreign process {theirs}"]


def test_rows_tell_of_cards_what_people_ask(fake: FakeNvml, host: Host):
    fake.set(1, used_mib=30_000)
    host.look()
    first, second = host.cards.rows({"0": "idea-001"})
    assert (first.key, first.name, first.state, first.memory_used_mib, first.memory_total_mib) == (
        "0",
        "NVIDIA Fake 80GB",
        "idea-001",
        0,
        81920,
    )
    assert second.state == "30000 MiB used"


def test_cpu_slots_need_no_driver_and_are_a_farm_s_own(fake: FakeNvml, tmp_path: Path):
    host = Host(tmp_path, gpus="cpu:2")
    assert [slot.name for slot in host.cards.slots] == ["cpu0", "cpu1"]
    assert (host.cards.has_gpus, host.cards.fresh, host.busy()) == (False, True, ["", ""])
    other = Host(tmp_path / "other", gpus="cpu:2")
    assert host.cards.lock_of(host.cards.slots[0]) != other.cards.lock_of(other.cards.slots[0])
    assert host.cards.rows({})[0].name == "CPU slot"
    host.cards.ask()
    assert not host.read.wait(0)


def test_a_card_that_is_not_there_is_refused_with_those_that_are(fake: FakeNvml, tmp_path: Path):
    with pytest.raises(GpuError, match="7"):
        Host(tmp_path, gpus="7")


def test_what_the_daemon_itself_may_use_is_a_limit(fake: FakeNvml, tmp_path: Path):
    host = Host(tmp_path, {"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"})
    assert [slot.name for slot in host.cards.slots] == ["1"]
    assert os.environ.get("CUDA_VISIBLE_DEVICES") is None


def names(host: Host) -> list[str]:
    return [slot.name for slot in host.cards.slots]


def test_other_cards_can_be_used_and_those_of_the_start_again(host: Host):
    assert host.cards.use("1")
    assert (names(host), host.cards.cards_at_most, len(host.busy())) == (["1"], 1, 1)
    assert not host.cards.use("1")
    assert host.cards.use("cpu:3")
    assert (names(host), host.cards.has_gpus) == (["cpu0", "cpu1", "cpu2"], False)
    assert host.cards.use(None)
    assert names(host) == ["0", "1"]
    assert host.cards.problems() == []


def test_a_card_that_was_taken_away_is_shown_for_as_long_as_an_attempt_runs_on_it(host: Host):
    host.cards.use("1")
    rows = host.cards.rows({"0": "idea-001"})
    assert [(row.key, row.state, row.name) for row in rows] == [
        ("1", "free", "NVIDIA Fake 80GB"),
        ("0", "idea-001", "NVIDIA Fake 80GB"),
    ]
    assert [row.key for row in host.cards.rows({})] == ["1"]
    assert [row.key for row in host.cards.rows({"7": "idea-002"})] == ["1"]  # of another life of this host


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ("0,7", "--gpus 7: no such GPU. This host has 0"),
        ("", "write indices or UUIDs"),
        ("0,0", "named twice"),
        ("cpu:0", "write cpu, or cpu:N"),
        ("\u2603" * 2000, "--gpus"),
        ("1,,", "write indices or UUIDs"),
    ],
)
def test_cards_that_are_not_there_are_a_problem_and_those_in_use_stay(host: Host, asked: str, problem: str):
    host.cards.use("1")
    assert not host.cards.use(asked)
    assert names(host) == ["1"]
    (told,) = host.cards.problems()
    assert told.startswith("the cards that were asked for are not used: ")
    assert problem in told
    assert len(told) < 400
    assert not host.cards.use("1")
    assert host.cards.problems() == []


def test_cards_that_come_back_are_used_then(fake: FakeNvml, host: Host):
    fake.driver(999)
    host.look()
    host.look()
    assert not host.cards.use("1")
    assert "The NVIDIA driver does not answer" in host.cards.problems()[-1]
    fake.driver()
    host.clock.advance(10)
    host.read.clear()
    host.cards.use("1")
    assert host.read.wait(20)
    host.cards.use("1")
    assert (names(host), host.cards.problems()) == (["1"], [])


def test_a_host_that_was_started_without_cards_uses_some_once_the_driver_has_answered(
    fake: FakeNvml, tmp_path: Path
):
    host = Host(tmp_path, gpus="cpu:2")
    host.cards.use("0")
    assert host.cards.problems() == []
    assert host.read.wait(20)
    host.cards.use("0")
    assert (names(host), host.busy()) == (["0"], [""])
    assert host.cards.use(None)
    assert names(host) == ["cpu0", "cpu1"]
