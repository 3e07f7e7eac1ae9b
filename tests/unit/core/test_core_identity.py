"""Which process is meant: two must share a boot and a pid namespace before a pid says anything."""

import os
import subprocess
import sys
import time

import pytest

from orze.core.identity import Machine, lives, start_time, this_machine

HERE = Machine(host="node1", boot="b1", pidns="pid:[1]", machine_id="m1")


@pytest.mark.parametrize(
    ("record", "seen"),
    [
        (HERE.frame(1, 2), True),
        (HERE.frame(1, 2) | {"host": "renamed"}, True),
        (HERE.frame(1, 2) | {"boot": "b2"}, False),
        (HERE.frame(1, 2) | {"pidns": "pid:[2]"}, False),
        ({"host": "node1", "machine": "m1"}, False),
        ({}, False),
        ({"boot": None, "pidns": "pid:[1]"}, False),
    ],
)
def test_pids_of_a_record_count_only_in_the_same_boot_and_namespace(record, seen):
    assert HERE.sees(record) is seen


def test_two_machines_that_cannot_tell_their_boot_are_not_one():
    nameless = Machine(host="node1", boot="", pidns="pid:[4026531836]", machine_id="")
    assert not nameless.sees(nameless.frame(1, 2))


def test_the_frame_of_a_record_names_a_process_of_the_machine():
    assert HERE.frame(7, 99) == {
        "host": "node1", "boot": "b1", "pidns": "pid:[1]", "machine": "m1", "pid": 7, "start": 99,
    }  # fmt: skip


def test_this_machine_knows_itself():
    machine = this_machine()
    assert machine.host == os.uname().nodename
    assert machine.boot
    assert machine.pidns.startswith("pid:[")
    assert machine.sees(machine.frame(1, 1))


def test_tokens_of_a_machine_differ_and_carry_its_tag():
    tokens = {HERE.new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(HERE.may_own(token) for token in tokens)
    other = Machine(host="node1", boot="b2", pidns="pid:[1]", machine_id="m1")
    assert not any(other.may_own(token) for token in tokens)


def test_a_living_process_is_told_from_an_earlier_one_with_its_pid():
    start = start_time(os.getpid())
    assert start is not None
    assert lives(os.getpid(), start)
    assert not lives(os.getpid(), start - 1)


def test_the_start_of_a_process_is_counted_in_ticks_since_boot():
    ticks = os.sysconf("SC_CLK_TCK")
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", "input()"], stdin=subprocess.PIPE) as process:
        start = start_time(process.pid)
        after = time.clock_gettime(time.CLOCK_BOOTTIME)
        process.communicate(b"\n")
    assert start is not None
    assert before * ticks - 2 <= start <= after * ticks + 2


def test_a_process_is_not_confused_by_a_name_with_brackets(tmp_path):
    program = tmp_path / "a) R 1 (b"
    program.symlink_to(sys.executable)
    with subprocess.Popen([program, "-I", "-S", "-c", "input()"], stdin=subprocess.PIPE) as process:
        expected = start_time(os.getpid())
        start = start_time(process.pid)
        process.communicate(b"\n")
    assert expected is not None
    assert start is not None
    assert start >= expected


def test_a_zombie_and_a_reaped_process_do_not_live():
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", "input()"], stdin=subprocess.PIPE) as process:
        start = start_time(process.pid)
        assert start is not None
        process.stdin.close()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert start_time(process.pid) is None
        assert not lives(process.pid, start)
    assert start_time(process.pid) is None
