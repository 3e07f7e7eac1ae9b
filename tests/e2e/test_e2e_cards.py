"""GPUs: which are used, which count as free, what a child sees of them; on a host with a fake driver."""

from __future__ import annotations

from farmhouse import idea

from tests.fakes.nvml import FakeNvml, needs_gcc, uuid

pytestmark = needs_gcc

SEEN = "wait('go')\nmetrics(seen=env['CUDA_VISIBLE_DEVICES'], order=env['CUDA_DEVICE_ORDER'])"


def cards_of(farm) -> dict[str, str]:
    """What the report tells of each card of the only host."""
    return {card["key"]: card["state"] for host in farm.status().get("hosts", ()) for card in host["cards"]}


def test_only_free_cards_get_work_and_those_that_become_free_are_used_without_a_restart(farm):
    fake = FakeNvml(farm.home, cards=5)
    fake.set(1, processes=[(4000000, 100)])
    fake.set(2, used_mib=30000)
    fake.set(3, used_mib=30000)
    fake.set(4, processes=None)
    farm.write(*[idea(n, SEEN) for n in range(1, 7)])
    farm.start(gpus=None, **fake.env)
    farm.wait(farm.starts, "the start")
    fake.set(3, lost=True)
    farm.wait(lambda: "GPU 3 is out of use: GPU is lost" in farm.problems(), "the loss")
    assert cards_of(farm) == {
        "0": "idea-001",
        "1": "foreign process 4000000",
        "2": "30000 MiB used",
        "3": "unknown: GPU is lost",
        "4": "unknown: its processes cannot be listed",
    }
    assert len(farm.starts()) == 1
    fake.set(1, processes=())
    fake.set(2, used_mib=100)
    fake.set(3, lost=False, used_mib=0)
    farm.wait(lambda: len(farm.starts()) == 4, "the other cards")
    fake.driver(fault=999)
    farm.flag("go")
    farm.wait_states(COMPLETED=4, QUEUED=2)
    seen = {farm.last(f"idea-00{n}")["metrics"]["seen"] for n in range(1, 5)}
    assert seen == {"0", "1", "2", "3"}
    assert farm.last("idea-001")["metrics"]["order"] == "PCI_BUS_ID"
    farm.wait(lambda: "out of use" in farm.problems(), "the notice")
    fake.driver()
    farm.wait_states(COMPLETED=6)


def test_our_own_attempts_do_not_make_a_card_busy_and_two_share_it_with_slots_per_gpu_2(make_farm):
    farm = make_farm(slots_per_gpu=2)
    fake = FakeNvml(farm.home, cards=1)
    farm.write(idea(1, SEEN), idea(2, SEEN), idea(3, SEEN), idea(4, SEEN, GPUs="2"))
    farm.start(gpus="0", **fake.env)
    farm.wait(farm.starts, "the start")
    fake.set(0, used_mib=30000, processes=[(farm.starts()[0]["pid"], 30000)])
    farm.wait(lambda: len(farm.starts()) == 2, "the second")
    assert {event["slot"] for event in farm.starts()} == {"0#0", "0#1"}
    fake.set(0, used_mib=0, processes=())
    farm.flag("go")
    farm.wait_states(COMPLETED=3, QUEUED=1)
    assert {farm.last(f"idea-00{n}")["metrics"]["seen"] for n in (1, 2, 3)} == {"0"}


def test_a_card_whose_memory_has_not_dropped_yet_gets_no_work_behind_an_attempt(farm):
    fake = FakeNvml(farm.home, cards=1)
    farm.write(idea(1, SEEN), idea(2))
    farm.start(gpus="0", **fake.env)
    farm.wait(farm.starts, "the start")
    fake.set(0, used_mib=30000)
    farm.flag("go")
    farm.wait(lambda: cards_of(farm).get("0") == "30000 MiB used", "the look at the card")
    assert not farm.starts("idea-002")
    fake.set(0, used_mib=0)
    farm.wait_states(COMPLETED=2)


def test_an_idea_that_needs_two_cards_waits_for_both_and_is_not_overtaken_by_smaller_ones(farm):
    fake = FakeNvml(farm.home, cards=2)
    farm.write(idea(1, SEEN, Priority="critical"), idea(2, SEEN, GPUs="2"), idea(3))
    farm.start(gpus="0,1", **fake.env)
    farm.wait_states(TRAINING=1, QUEUED=2)
    farm.flag("go")
    farm.wait_states(COMPLETED=3)
    assert [event["idea"] for event in farm.starts()] == ["idea-001", "idea-002", "idea-003"]
    assert farm.last("idea-002")["metrics"]["seen"] == "0,1"
    assert farm.records("idea-002")[0]["cards"] == [uuid(0), uuid(1)]


def test_two_farms_that_want_the_same_pairs_of_cards_take_turns_and_never_overlap(make_farm):
    farms = [make_farm(), make_farm()]
    fake = FakeNvml(farms[0].home, cards=2)
    (farms[1].home / "locks").rmdir()
    (farms[1].home / "locks").symlink_to(farms[0].home / "locks")
    for number, farm in enumerate(farms):
        farm.write(*[idea(4 * number + n, GPUs=str(1 + n % 2)) for n in range(1, 5)])
        farm.start(gpus="0,1" if number else "1,0", **fake.env, TMPDIR=str(farms[0].home / "tmp"))
    for farm in farms:
        farm.wait_states(COMPLETED=4)
        assert len(farm.starts()) == 4
        assert farm.events("overlap") == []


def test_gpus_are_chosen_by_index_and_uuid_within_cuda_visible_devices_and_mig_instances_by_uuid(farm):
    fake = FakeNvml(farm.home, cards=3)
    farm.write(last=idea(1, GPUs="2"))

    def seen(gpus: str | None, **env: str) -> str:
        said = farm.run("--dry-run", gpus=gpus, **fake.env, **env)
        return said.partition("CUDA_VISIBLE_DEVICES=")[2].partition(" ")[0]

    assert seen(f"2,{uuid(1)}", CUDA_VISIBLE_DEVICES="1,2,7,0") == "2,1"
    fake.split(0, 2)
    assert seen("2,0:1") == f"{uuid(2)},{fake.devices['0:1'].uuid}"
    said = farm.run("--once", gpus="0:0,7", status=2, **fake.env)
    assert "--gpus 7: no such GPU. This host has 0:0 (NVIDIA Fake MIG 1g.10gb, MIG-" in said
    said = farm.run("--once", gpus="2", status=2, **fake.env, CUDA_VISIBLE_DEVICES="1")
    assert 'GPU 2 is hidden by CUDA_VISIBLE_DEVICES="1"' in said


def test_gpu_mem_threshold_says_how_much_may_be_in_use_and_overrides_hold_on_their_hosts_alone(make_farm):
    farm = make_farm(
        gpu_mem_threshold=40000,
        python="/no/such/python",
        train_extra_env={"A": "farm", "B": "farm"},
        hosts={
            "*": {"gpus": "1", "python": "python3", "slots_per_gpu": 2, "train_extra_env": {"B": "host"}},
            "no-such-host": {"gpus": "0", "train_extra_env": {"A": "other"}},
        },
    )
    fake = FakeNvml(farm.home, cards=2)
    fake.set(1, used_mib=30000)
    farm.write(idea(1, "metrics(a=env['A'], b=env['B'], seen=env['CUDA_VISIBLE_DEVICES'])"))
    daemon = farm.start(gpus=None, **fake.env)
    farm.wait_states(COMPLETED=1)
    metrics = farm.last("idea-001")["metrics"]
    assert (metrics["a"], metrics["b"], metrics["seen"]) == ("farm", "host", "1")
    assert "slots 1#0, 1#1;" in daemon.output


def test_without_a_driver_one_cpu_slot_is_used_and_one_line_says_so(farm):
    fake = FakeNvml(farm.home, cards=0)
    fake.driver(fault=9)
    farm.write(idea(1, "metrics(seen=env['CUDA_VISIBLE_DEVICES'])"))
    daemon = farm.start(gpus=None, **fake.env)
    farm.wait_states(COMPLETED=1)
    assert "no NVIDIA driver: one CPU slot is used" in daemon.output
    assert farm.last("idea-001")["metrics"]["seen"] == ""
