"""Checks of a host and its share: pure judgements, and a runner that nothing stops."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from orze.client import checks_host as host
from orze.client import checks_share as share
from orze.client.checks import Check, Probe, Verdict, exit_status, run_probes, within
from orze.config.lease import Lease
from orze.config.schema import Settings
from orze.core.clock import SystemClock
from orze.core.errors import ConfigError
from orze.gpu.inventory import Card
from tests.fakes.nvml import FakeNvml, needs_gcc

OK, WARN, FAIL, SKIP = Verdict.OK, Verdict.WARN, Verdict.FAIL, Verdict.SKIP
GOOD = Check("good", OK, "well")
CARD = Card("0", "GPU-a", "H200", 143_771, 4, (), 40, 7)
TWO = (CARD, Card("1", "GPU-b", "T4", 15_360, 4, ()))
HERE = host.Cards(TWO, "570.1", None, None, 2)
NFS = share.Mount("/shared", "server:/x", "nfs4", frozenset({"rw", "hard"}), 60.0)


def raising(error: Exception):
    def look() -> list[Check]:
        raise error

    return look


def test_one_check_that_fails_or_hangs_does_not_stop_the_others():
    for_ever = threading.Event()

    def hang() -> list[Check]:
        for_ever.wait()
        return []

    probes = [
        Probe("a", lambda: [GOOD]),
        Probe("hangs", hang, 0.05),
        Probe("settings", raising(ConfigError(["one", "two"]))),
        Probe("share", raising(OSError(116, "Stale file handle", "/x"))),
        Probe("odd", raising(ZeroDivisionError("division by zero"))),
        Probe("b", lambda: [GOOD, GOOD]),
    ]
    found = list(run_probes(probes))
    for_ever.set()
    assert found[0] == [GOOD]
    assert [check.sentence for checks in found[1:5] for check in checks] == [
        "no answer within 0.05 s",
        "one",
        "two",
        "/x: Stale file handle",
        "could not be looked at: ZeroDivisionError: division by zero",
    ]
    assert {check.verdict for checks in found[1:5] for check in checks} == {FAIL}
    assert found[5] == [GOOD, GOOD]


def test_what_hangs_is_left_behind_and_what_raises_raises():
    for_ever = threading.Event()
    with pytest.raises(TimeoutError, match=r"no answer within 0\.01 s"):
        within(0.01, for_ever.wait)
    for_ever.set()
    with pytest.raises(KeyError):
        within(5, lambda: {}["a"])
    assert within(5, lambda: 3) == 3


@pytest.mark.parametrize(("verdicts", "status"), [((), 0), ((OK, WARN, SKIP), 0), ((OK, FAIL), 1)])
def test_the_exit_status_is_1_if_one_fails(verdicts, status):
    assert exit_status(Check("a", verdict, "") for verdict in verdicts) == status


@pytest.mark.parametrize(
    ("version", "missing", "verdict"),
    [((3, 12, 1), [], OK), ((3, 10, 9), [], FAIL), ((3, 11, 0), ["matplotlib"], OK)],
)
def test_the_interpreter_must_be_new_enough(version, missing, verdict):
    check = host.judge_python(version, "/py", missing)
    assert check.verdict is verdict
    assert all(name in check.sentence for name in missing)


@pytest.mark.parametrize(
    ("changes", "verdict", "said"),
    [
        ({}, OK, "NVIDIA 570.1, 2 GPUs"),
        ({"fault": "Driver/library version mismatch"}, FAIL, "Driver/library version mismatch"),
        ({"absent": "no NVIDIA driver", "devices": 0}, SKIP, "ideas run on CPU slots"),
        ({"absent": "no NVIDIA driver", "devices": 2}, WARN, "the PCI bus shows 2 NVIDIA devices"),
    ],
)
def test_the_driver_is_judged(changes, verdict, said):
    check = host.judge_driver(replace(HERE, **changes))
    assert check.verdict is verdict
    assert said in check.sentence


@pytest.mark.parametrize(
    ("changes", "verdict", "said"),
    [
        ({}, OK, "H200, 4 of 143771 MiB used, 7 % busy, 40 °C"),
        ({"processes": ((12, 100),)}, OK, "used by process 12"),
        ({"temperature": 90}, WARN, "90 °C"),
        ({"processes": None}, WARN, "its processes cannot be listed"),
        ({"error": "GPU is lost"}, FAIL, "GPU is lost"),
        ({"memory_used_mib": None, "utilization": None}, OK, "? of 143771 MiB"),
    ],
)
def test_each_card_is_judged(changes, verdict, said):
    check = host.judge_card(replace(CARD, **changes))
    assert check.name == "GPU 0"
    assert check.verdict is verdict
    assert said in check.sentence


@pytest.mark.parametrize(
    ("request_", "environ", "verdicts", "said"),
    [
        (None, {}, [OK], "GPUs 0, 1 are used; scripts count them in PCI order"),
        ("1", {}, [OK], "GPUs 1 are used"),
        (None, {"CUDA_VISIBLE_DEVICES": "1"}, [WARN, OK], "read in PCI order"),
        (None, {"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, [OK], "GPUs 1 are used"),
        ("7", {}, [FAIL], "no such GPU"),
        ("cpu:2", {}, [SKIP], "2 CPU slots"),
    ],
)
def test_the_order_of_the_cards_is_told(request_, environ, verdicts, said):
    checks = host.judge_order(HERE, request_, environ, 8)
    assert [check.verdict for check in checks] == verdicts
    assert said in checks[0].sentence


@needs_gcc
def test_the_cards_are_read_by_nvml(tmp_path, run_python):
    fake = FakeNvml(tmp_path, cards=2)
    fake.set(1, lost=True)
    code = """
from orze.client.checks_host import *
found = read_cards()
for check in [judge_driver(found), *map(judge_card, found.cards), *judge_order(found, None, {}, 4)]:
    print(check.name, check.verdict)
"""
    assert run_python(code, **fake.env).splitlines() == [
        "driver ok", "GPU 0 ok", "GPU 1 fail", "CUDA order warn", "CUDA order ok",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("room", "verdicts"),
    [
        (share.Room(10**12, 10**13, 10**6, 10**7), [OK, OK]),
        (share.Room(10**9, 10**13, 10**6, 10**7), [FAIL, OK]),
        (share.Room(4 * 10**9, 10**13, 500, 10**7), [WARN, WARN]),
        (share.Room(10**12, 10**13, 5, 10**7), [OK, FAIL]),
        (share.Room(10**12, 10**13, 0, 0), [OK, SKIP]),
    ],
)
def test_room_is_judged_by_bytes_and_files(room, verdicts):
    assert [check.verdict for check in share.judge_room(room, 2.0)] == verdicts


@pytest.mark.parametrize(
    ("mount", "expected"),
    [
        (NFS, {"mount": OK, "attribute cache": OK}),
        (
            replace(NFS, options=frozenset({"soft"})),
            {"mount": OK, "mount option": WARN, "attribute cache": OK},
        ),
        (
            replace(NFS, options=frozenset({"nolock"})),
            {"mount": OK, "mount option": OK, "attribute cache": OK},
        ),
        (replace(NFS, options=frozenset({"ro"})), {"mount": OK, "mount option": FAIL, "attribute cache": OK}),
        (replace(NFS, cache=600.0), {"mount": OK, "attribute cache": FAIL}),
        (replace(NFS, kind="tmpfs"), {"mount": WARN}),
        (replace(NFS, kind="overlay", cache=0.0), {"mount": WARN, "attribute cache": OK}),
    ],
)
def test_the_mount_is_judged_by_type_and_options(tmp_path, mount, expected):
    checks = share.judge_mount(mount, Settings(project_dir=tmp_path))
    assert {check.name: check.verdict for check in checks} == expected


@pytest.mark.parametrize(
    ("kind", "said"), [("nfs", "other hosts can"), ("ext4", "only this host"), ("lustre", "other")]
)
def test_whether_others_can_take_part_is_told_by_the_type(tmp_path, kind, said):
    assert said in share.judge_mount(replace(NFS, kind=kind), Settings(project_dir=tmp_path))[0].sentence


def test_the_lease_of_the_settings_is_held_against_the_cache_that_they_tell(tmp_path):
    settings = Settings(project_dir=tmp_path, lease=Lease(attribute_cache=90.0))
    (_, cache) = share.judge_mount(NFS, settings)
    assert "90 s at most, by lease.attribute_cache" in cache.sentence


@pytest.mark.parametrize(("slowest", "verdict"), [(0.01, OK), (0.2, WARN), (5.0, FAIL)])
def test_latency_is_judged_by_the_slowest_operation(slowest, verdict):
    assert share.judge_speed({"list": 0.001, "link": slowest}, 10.0).verdict is verdict


def test_the_share_is_tried_and_nothing_is_left(tmp_path):
    assert share.try_directory(str(tmp_path)).verdict is OK
    seconds = share.measure(str(tmp_path), SystemClock().steady)
    assert len(seconds) == 4
    assert all(value >= 0 for value in seconds.values())
    assert list(tmp_path.iterdir()) == []
    assert share.nearest(f"{tmp_path}/a/b") == str(tmp_path)


def test_mount_and_room_of_a_directory_are_read(tmp_path):
    mount, room = share.read_mount(str(tmp_path)), share.read_room(str(tmp_path))
    assert str(tmp_path).startswith(mount.point)
    assert mount.kind
    assert 0 < room.free <= room.total


@pytest.mark.parametrize(("writable", "verdict"), [(True, OK), (False, FAIL)])
def test_slot_locks_need_a_temporary_directory(writable, verdict):
    assert share.judge_locks("/tmp", writable=writable).verdict is verdict
