"""Cards of the machine behind ssh: as nvidia-smi there tells them, locked as a farm there locks them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orze.attempt.executors import remote_cards
from orze.attempt.executors.remote_cards import Cards, NoCards, parse_cards
from orze.gpu.inventory import Card
from orze.gpu.locks import is_taken, try_lock
from orze.gpu.slots import Slot, environment, lock_directory, lock_path

LISTED = "0, GPU-aa, 5, [N/A]\n1, GPU-bb, 5, Disabled\n2, GPU-cc, 5, Enabled\n3, GPU-dd, [N/A], [N/A]\n"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with four cards, one divided and one that cannot tell its memory."""
    monkeypatch.setattr(remote_cards.tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    (tmp_path / "busy").write_text("")
    (tmp_path / "listed").write_text(LISTED)
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\ncase "$1" in *compute-apps*) cat {tmp_path}/busy;; *) cat {tmp_path}/listed;; esac\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return tmp_path


def test_a_free_card_is_taken_with_the_lock_and_variables_of_a_farm_there(machine: Path) -> None:
    cards = Cards(1, "", 2000)
    assert cards.take()
    slot = Slot("0", "GPU-aa", 0, "0")
    assert is_taken(lock_path(slot, lock_directory(), "/any"))
    assert cards.variables() == environment([slot])
    os.close(cards.locks[0])


def test_cards_of_farms_there_and_of_others_are_left_alone(machine: Path) -> None:
    (machine / "busy").write_text("GPU-bb, 77\n")
    second = try_lock(lock_path(Slot("0#1", "GPU-aa", 1, "0"), lock_directory(), "/any"))
    assert second is not None
    cards = Cards(1, "", 2000)
    assert not cards.take()
    assert cards.why == ("0: a farm has a part of it; 1: a process runs on it; 3: its memory cannot be read")
    os.close(second)
    assert cards.take()
    os.close(cards.locks[0])


def test_two_cards_are_taken_together_or_none(machine: Path) -> None:
    (machine / "busy").write_text("GPU-bb, 77\n")
    assert not Cards(2, "", 2000).take()
    assert not is_taken(lock_path(Slot("0", "GPU-aa", 0, "0"), lock_directory(), "/any"))


@pytest.mark.parametrize(("count", "allowed"), [(4, ""), (2, "0"), (1, "GPU-xx"), (1, "2")])
def test_what_the_machine_never_has_is_told_at_once(machine: Path, count: int, allowed: str) -> None:
    with pytest.raises(NoCards, match=f"and {count} are needed"):
        Cards(count, allowed, 2000).take()


def test_a_machine_without_nvidia_smi_runs_without_a_card_unless_cards_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    cards = Cards(1, "", 2000)
    assert cards.take()
    assert cards.variables()["CUDA_VISIBLE_DEVICES"] == ""
    with pytest.raises(NoCards, match="no nvidia-smi"):
        Cards(1, "0", 2000).take()


def test_a_driver_that_fails_is_waited_for(machine: Path) -> None:
    (machine / "bin" / "nvidia-smi").write_text("#!/bin/sh\necho no driver; exit 9\n")
    cards = Cards(1, "", 2000)
    assert not cards.take()
    assert cards.why == "nvidia-smi fails: no driver"


@pytest.mark.parametrize("uuid", ["GPU-12-ab", "MIG-1/2", "odd é"])
def test_locks_have_the_names_that_farms_give_them(uuid: str) -> None:
    card = Card("0", uuid, "")
    path = lock_path(Slot("0", card.uuid, 7, "0"), remote_cards.lock_directory(), "/any")
    assert path == f"{remote_cards.lock_directory()}/{remote_cards.lock_prefix(uuid)}7.lock"
    assert remote_cards.lock_directory() == lock_directory()


@pytest.mark.parametrize("text", ["", "No devices were found\n", "a,b,c,d\n", "0,GPU\n", "\0\n,,,\n"])
def test_lines_that_are_no_card_are_left_out(text: str) -> None:
    assert parse_cards(text, set()) == []
