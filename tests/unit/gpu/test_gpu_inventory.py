"""What the inventory makes of NVML's answers, from a driver that works to none at all."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pynvml
import pytest

from orze.gpu.inventory import Card, Inventory
from tests.fakes.nvml import DRIVER_NOT_LOADED, MISMATCH, NO_PERMISSION, UNKNOWN, FakeNvml, needs_gcc, uuid

pytestmark = needs_gcc
ROOT = Path(__file__).parents[3]


@pytest.fixture
def fake(tmp_path, monkeypatch):
    fake = FakeNvml(tmp_path)
    monkeypatch.setenv("ORZE_FAKE_NVML", str(fake.state))
    monkeypatch.setattr(pynvml, "nvmlLib", ctypes.CDLL(str(fake.library)))
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    return fake


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """Run a function and return the NVML calls that it made."""
    log = tmp_path / "calls"
    monkeypatch.setenv("ORZE_FAKE_NVML_CALLS", str(log))

    def record(function, *args, **kwargs):
        log.write_text("")
        function(*args, **kwargs)
        return log.read_text().split()

    return record


def test_cards_are_listed_with_identity_memory_and_processes(fake):
    fake.set(1, used_mib=30000, processes=[(4711, 29000), (4712, None)])
    inventory = Inventory()
    assert inventory.probe() == [
        Card("0", uuid(0), "NVIDIA Fake 80GB", 81920, 0, ()),
        Card("1", uuid(1), "NVIDIA Fake 80GB", 81920, 30000, ((4711, 29000), (4712, None))),
    ]
    assert (inventory.driver, inventory.absent, inventory.fault) == ("570.86.15", None, None)


def test_every_reading_is_fresh(fake):
    inventory = Inventory()
    assert inventory.probe()[0].processes == ()
    fake.set(0, used_mib=500, processes=[(4711, 500)])
    card = inventory.probe()[0]
    assert (card.memory_used_mib, card.processes) == (500, ((4711, 500),))


def test_temperature_and_utilization_are_read_only_on_request(fake):
    fake.set(0, temperature=71, utilization=98)
    inventory = Inventory()
    assert (inventory.probe()[0].temperature, inventory.probe()[0].utilization) == (None, None)
    card = inventory.probe(details=True)[0]
    assert (card.temperature, card.utilization) == (71, 98)


def test_a_further_reading_asks_three_questions_a_card(fake, calls):
    inventory = Inventory()
    inventory.probe()
    assert calls(inventory.probe) == 2 * [
        "nvmlDeviceGetMigMode",
        "nvmlDeviceGetMemoryInfo_v2",
        "nvmlDeviceGetComputeRunningProcesses_v3",
    ]


def test_a_lost_card_is_listed_with_its_error_and_hides_no_other(fake):
    inventory = Inventory()
    inventory.probe()
    fake.set(0, lost=True)
    for _ in range(2):
        lost, sound = inventory.probe()
        assert lost == Card("0", uuid(0), "NVIDIA Fake 80GB", 81920, error="GPU is lost")
        assert (sound.uuid, sound.error) == (uuid(1), None)


def test_a_lost_card_comes_back_when_it_works_again(fake):
    inventory = Inventory()
    fake.set(1, lost=True)
    inventory.probe()
    fake.set(1, lost=False, used_mib=7)
    assert inventory.probe()[1].memory_used_mib == 7


def test_a_card_that_is_lost_from_the_start_has_no_uuid_and_costs_no_new_start_of_nvml(fake, calls):
    fake.set(0, lost=True)
    inventory = Inventory()
    assert inventory.probe()[0] == Card("0", "", "", error="GPU is lost")
    assert "nvmlInitWithFlags" not in calls(inventory.probe)


def test_nvml_is_opened_anew_after_a_working_card_failed(fake, calls):
    inventory = Inventory()
    inventory.probe()
    fake.set(0, fault=UNKNOWN)
    assert inventory.probe()[0].error == "Unknown Error"
    assert calls(inventory.probe)[0] == "nvmlInitWithFlags"


def test_an_error_code_that_nobody_knows_is_shown_in_the_words_of_the_driver(fake):
    fake.set(0, fault=77)
    assert Inventory().probe()[0].error == "Fake Error"


def test_what_a_card_cannot_tell_is_unknown_and_no_error(fake):
    fake.set(0, used_mib=None, processes=None)
    card = Inventory().probe()[0]
    assert card == Card("0", uuid(0), "NVIDIA Fake 80GB")


def test_a_card_that_fails_halfway_is_listed_under_its_name(fake):
    fake.set(0, process_fault=UNKNOWN)
    assert Inventory().probe()[0] == Card("0", uuid(0), "NVIDIA Fake 80GB", error="Unknown Error")


def test_a_card_that_this_user_may_not_see_is_listed_with_the_reason(fake):
    fake.set(1, fault=NO_PERMISSION)
    assert [card.error for card in Inventory().probe()] == [None, "Insufficient Permissions"]


def test_a_name_that_is_no_text_makes_the_card_fail_and_nothing_else(fake):
    fake.state.write_bytes(fake.state.read_bytes().replace(b"Fake 80GB", b"\xff\xfe", 1))
    broken, sound = Inventory().probe()
    assert "decode" in (broken.error or "")
    assert sound.error is None


def test_a_name_cannot_break_a_line_of_a_terminal(fake):
    fake.set(0, name="Evil\x1b[31m\tGPU")
    assert Inventory().probe()[0].name == "Evil?[31m?GPU"


def test_a_card_in_mig_mode_is_replaced_by_its_instances(fake):
    fake.split(0, instances=2)
    fake.set("0:1", used_mib=100, processes=[(9, 100)])
    cards = Inventory().probe(details=True)
    assert [(card.index, card.mig) for card in cards] == [("0:0", True), ("0:1", True), ("1", False)]
    assert cards[1].uuid.startswith("MIG-")
    assert (cards[1].memory_used_mib, cards[1].processes, cards[1].temperature) == (100, ((9, 100),), None)


def test_a_card_with_mig_mode_off_is_a_whole_card(fake):
    fake.set(0, mig=0)
    assert [card.index for card in Inventory().probe()] == ["0", "1"]


def test_a_card_in_mig_mode_without_instances_is_not_listed(fake):
    fake.split(1, instances=0)
    assert [card.index for card in Inventory().probe()] == ["0"]


def test_the_instances_of_a_lost_card_are_all_listed_with_the_error(fake):
    fake.split(0, instances=2)
    inventory = Inventory()
    uuids = [card.uuid for card in inventory.probe()]
    fake.set(0, lost=True)
    cards = inventory.probe()
    assert [card.uuid for card in cards] == uuids
    assert [card.error for card in cards] == ["GPU is lost", "GPU is lost", None]


def test_without_a_driver_there_are_no_cards_and_a_reason(fake):
    fake.driver(fault=DRIVER_NOT_LOADED)
    inventory = Inventory()
    assert inventory.probe() == []
    assert (inventory.driver, inventory.absent, inventory.fault) == (None, "no NVIDIA driver", None)


def test_without_the_library_there_is_no_driver(fake, monkeypatch):
    def no_library(name):
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(pynvml, "nvmlLib", None)
    monkeypatch.setattr(pynvml, "CDLL", no_library)
    inventory = Inventory()
    assert inventory.probe() == []
    assert inventory.absent == "no NVIDIA driver"


def test_without_the_package_the_reason_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    inventory = Inventory()
    assert inventory.probe() == []
    assert "pip install nvidia-ml-py" in (inventory.absent or "")


def test_a_driver_without_cards_counts_as_absent(fake):
    fake.remove(0)
    fake.remove(0)
    inventory = Inventory()
    assert inventory.probe() == []
    assert inventory.absent == "the NVIDIA driver shows no GPU"


def test_a_driver_that_fails_at_the_start_is_a_fault_and_not_an_absence(fake):
    fake.driver(fault=MISMATCH)
    inventory = Inventory()
    assert inventory.probe() == []
    assert inventory.absent is None
    assert "mismatch" in (inventory.fault or "")


def test_a_driver_that_fails_later_leaves_every_card_listed_with_the_error_until_it_is_back(fake):
    inventory = Inventory()
    inventory.probe()
    fake.driver(fault=UNKNOWN)
    for _ in range(3):
        assert [(card.uuid, card.error) for card in inventory.probe()] == [
            (uuid(0), "Unknown Error"),
            (uuid(1), "Unknown Error"),
        ]
    assert inventory.fault == "Unknown Error"
    fake.driver()
    assert [card.error for card in inventory.probe()] == [None, None]
    assert inventory.fault is None


def test_a_card_that_left_the_bus_is_forgotten_and_the_others_keep_their_uuids(fake):
    inventory = Inventory()
    inventory.probe()
    fake.driver(fault=UNKNOWN)
    inventory.probe()
    inventory.probe()
    fake.remove(0)
    fake.driver()
    assert [(card.index, card.uuid) for card in inventory.probe()] == [("0", uuid(1))]


def test_a_card_that_fails_at_an_index_of_another_is_not_taken_for_it(fake):
    inventory = Inventory()
    inventory.probe()
    inventory.close()
    fake.remove(0)
    fake.set(0, lost=True)
    assert inventory.probe() == [Card("0", "", "", error="GPU is lost")]


def test_nvml_that_was_let_go_is_opened_by_the_next_reading(fake, calls):
    inventory = Inventory()
    inventory.probe()
    assert calls(inventory.close) == ["nvmlShutdown"]
    assert calls(inventory.close) == []
    assert inventory.driver is None
    assert len(inventory.probe()) == 2


WATCHER = """
import sys
from orze.gpu.inventory import Inventory
assert "pynvml" not in sys.modules
inventory = Inventory()
for _ in sys.stdin:
    print([(card.memory_used_mib, card.error) for card in inventory.probe()] or inventory.absent, flush=True)
"""


def test_a_process_that_runs_finds_the_fake_library_and_sees_each_change(tmp_path):
    fake = FakeNvml(tmp_path, cards=1)
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", WATCHER],
        cwd=ROOT,
        env={**os.environ, **fake.env},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as watcher:

        def look():
            watcher.stdin.write("\n")
            watcher.stdin.flush()
            return watcher.stdout.readline().strip()

        assert look() == "[(0, None)]"
        fake.set(0, used_mib=1234)
        assert look() == "[(1234, None)]"
        fake.set(0, lost=True)
        assert look() == "[(None, 'GPU is lost')]"
        watcher.stdin.close()
    assert watcher.returncode == 0
