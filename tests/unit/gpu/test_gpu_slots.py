"""The names of slots, their lock files, and the variables that a child is started with."""

import os
from itertools import product

import pytest

from orze.gpu.inventory import Card
from orze.gpu.locks import try_lock
from orze.gpu.select import Selection
from orze.gpu.slots import Slot, environment, lock_directory, lock_path, make_slots, taken_ordinals

A, B = Card("0", "GPU-aa10", "x", 1, 0, ()), Card("1", "GPU-bb20", "x", 1, 0, ())
M, N = Card("0:0", "MIG-e1", "x", 1, 0, ()), Card("0:1", "MIG-e2", "x", 1, 0, ())
FARM = "/data/farm/results"


def slots(cards, uuids, per_card=1):
    return make_slots(Selection(cards=uuids), cards, per_card)


@pytest.mark.parametrize(
    ("per_card", "names"),
    [(1, ["1", "0"]), (2, ["1#0", "1#1", "0#0", "0#1"])],
)
def test_each_chosen_card_has_its_slots_in_the_order_chosen(per_card, names):
    assert [slot.name for slot in slots([A, B], ("GPU-bb20", "GPU-aa10"), per_card)] == names


def test_a_slot_follows_its_card_to_another_index():
    moved = Card("5", "GPU-bb20", "x", 1, 0, ())
    assert slots([A, moved], ("GPU-bb20",)) == (Slot("5", "GPU-bb20", 0, "5"),)


def test_a_chosen_card_that_is_gone_has_no_slot():
    assert slots([A], ("GPU-aa10", "GPU-bb20")) == (Slot("0", "GPU-aa10", 0, "0"),)


def test_cpu_slots_are_those_of_the_selection():
    assert [slot.name for slot in make_slots(Selection(cpu_slots=2), [A], 4)] == ["cpu0", "cpu1"]


def shown(*chosen):
    return environment(chosen)["CUDA_VISIBLE_DEVICES"]


def test_a_child_is_shown_whole_cards_by_index_in_pci_order():
    assert environment(slots([A, B], ("GPU-bb20", "GPU-aa10"))) == {
        "CUDA_VISIBLE_DEVICES": "1,0",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
    }


def test_on_a_host_with_a_card_in_mig_mode_a_child_is_shown_uuids():
    assert shown(*slots([M, N, B], ("MIG-e2", "GPU-bb20"))) == "MIG-e2,GPU-bb20"


def test_a_child_with_two_slots_of_one_card_is_shown_the_card_once():
    assert shown(*slots([A], ("GPU-aa10",), 2)) == "0"


def test_a_child_on_a_cpu_slot_is_shown_no_card():
    assert shown(*make_slots(Selection(cpu_slots=1), [], 1)) == ""


def test_a_card_has_one_lock_for_every_farm_and_a_cpu_slot_one_for_each_farm():
    card, cpu = Slot("0", "GPU-aa10", 0, "0"), Slot("cpu0", None, 0, "")
    assert lock_path(card, "/t", FARM) == lock_path(card, "/t", "/other") == "/t/gpu-GPU-aa10-0.lock"
    assert lock_path(cpu, "/t", FARM) != lock_path(cpu, "/t", "/other")
    assert lock_path(cpu, "/t", FARM) == lock_path(cpu, "/t", FARM)


def test_no_two_slots_share_a_lock():
    every = [Slot("x", uuid, k, "") for uuid, k in product(["GPU-aa10", "GPU-aa1", None], range(12))]
    assert len({lock_path(slot, "/t", FARM) for slot in every}) == len(every)


@pytest.mark.parametrize("uuid", ["MIG-GPU-aa10/1/0", "../../etc/passwd", "a\0b", "é"])
def test_a_strange_uuid_stays_inside_the_directory(uuid):
    path = lock_path(Slot("0", uuid, 0, ""), "/t", FARM)
    assert os.path.dirname(path) == "/t"
    assert os.path.basename(path).isascii()
    assert "\0" not in path


def test_the_locks_are_kept_in_the_temporary_directory(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert lock_directory() == str(tmp_path / "orze-slots")


def test_slots_taken_by_a_farm_with_more_slots_a_card_are_seen(tmp_path):
    directory = str(tmp_path)
    assert taken_ordinals("GPU-aa10", str(tmp_path / "missing")) == frozenset()
    places = [Slot("", uuid, k, "") for uuid in ("GPU-aa10", "GPU-bb20") for k in (0, 3)]
    held = [try_lock(lock_path(slot, directory, FARM)) for slot in places]
    (tmp_path / "gpu-GPU-aa10-x.lock").touch()
    os.close(held.pop(0))
    assert taken_ordinals("GPU-aa10", directory) == {3}
    assert taken_ordinals("GPU-bb20", directory) == {0, 3}
    for descriptor in held:
        os.close(descriptor)
