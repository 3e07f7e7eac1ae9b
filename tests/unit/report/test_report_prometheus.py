"""The numbers as Prometheus reads them: held against the parser of its own Python client."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orze.core.states import Cause, State
from orze.report.model import DRAINED, FREE, CardRow, HostRow
from orze.report.prometheus import Durations, Family, Numbers, exposition, families, slot_use

parser = pytest.importorskip("prometheus_client.parser", reason="prometheus-client is not installed")

CARDS = (
    CardRow("0", "H200", "idea-001", 1024, 4096, 50, 40),
    CardRow("1", "H200", "free", 0, 4096, 0, 30),
    CardRow("2", "H200", "2000 MiB used by pid 7"),
    CardRow("cpu0", "CPU slot", "idea-000000000000000002"),
)


def host(name: str = "gpu-a", cards: tuple[CardRow, ...] = CARDS, running: int = 2) -> HostRow:
    return HostRow(name, alive=True, leader=False, cards=cards, running=running, free=1, seen_s=0.0)


def numbers(**other) -> Numbers:
    made = {
        "farm": "/share/results",
        "host": "gpu-a",
        "counts": {State.QUEUED: 3, State.COMPLETED: 2},
        "finished": {("COMPLETED", ""): 2, ("FAILED", "cuda_oom"): 1},
        "hosts": [host()],
        "slots": {("gpu-a", "busy"): 2},
        "slot_seconds": {("gpu-a", "busy"): 12.5},
        "started": 4,
        "ended": {"": 2, "timeout": 1},
        "cycles": Durations().with_another(0.002).with_another(70.0),
        "reads": Durations().with_another(0.0005),
        "problems": 1,
        "at": 1e9,
        "disk_free_gb": 1.5,
    }
    return Numbers(**{**made, **other})


def read(data: bytes) -> dict[tuple[str, frozenset], float]:
    """Every sample of a text, each told once."""
    found = {}
    for family in parser.text_string_to_metric_families(data.decode()):
        assert family.documentation
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


def value(data: bytes, name: str, **labels: str) -> float:
    """The sample of this name with at least these labels."""
    fitting = [v for (n, told), v in read(data).items() if n == name and frozenset(labels.items()) <= told]
    assert len(fitting) == 1, (name, labels, fitting)
    return fitting[0]


TOLD = exposition(families(numbers()))


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("orze_queue_depth", {}, 3),
        ("orze_ideas", {"state": "COMPLETED"}, 2),
        ("orze_ideas", {"state": "HELD"}, 0),
        ("orze_ideas_finished_total", {"state": "COMPLETED", "cause": "none"}, 2),
        ("orze_ideas_finished_total", {"state": "FAILED", "cause": "cuda_oom"}, 1),
        ("orze_attempts_running", {"host": "gpu-a"}, 2),
        ("orze_slots", {"host": "gpu-a", "state": "busy"}, 2),
        ("orze_slots", {"host": "gpu-a", "state": "unusable"}, 0),
        ("orze_slot_seconds_total", {"host": "gpu-a", "state": "busy"}, 12.5),
        ("orze_card_memory_used_bytes", {"slot": "0"}, 1 << 30),
        ("orze_card_utilization_ratio", {"slot": "0"}, 0.5),
        ("orze_attempts_started_total", {"host": "gpu-a"}, 4),
        ("orze_attempts_ended_total", {"cause": "timeout"}, 1),
        ("orze_problems", {}, 1),
        ("orze_disk_free_bytes", {}, 1.5e9),
        ("orze_told_timestamp_seconds", {"farm": "/share/results"}, 1e9),
        ("orze_cycle_seconds_count", {}, 2),
        ("orze_cycle_seconds_sum", {}, 70.002),
        ("orze_cycle_seconds_bucket", {"le": "0.0025"}, 1),
        ("orze_cycle_seconds_bucket", {"le": "30.0"}, 1),
        ("orze_cycle_seconds_bucket", {"le": "+Inf"}, 2),
        ("orze_share_read_seconds_bucket", {"le": "0.001"}, 1),
    ],
)
def test_a_number_is_told_under_its_name_and_labels_in_base_units(name, labels, expected):
    assert value(TOLD, name, **labels) == expected


def test_every_sample_names_the_farm_and_no_line_has_a_timestamp():
    assert all(("farm", "/share/results") in labels for _, labels in read(TOLD))
    assert all(
        len(line.rpartition("}")[2].split()) == 1 for line in TOLD.decode().splitlines() if line[0] != "#"
    )


def test_names_are_as_the_documentation_of_prometheus_asks():
    for family in families(numbers()):
        assert family.name.startswith("orze_")
        assert (family.kind == "counter") == family.name.endswith("_total")
        assert {"timestamp", "bytes", "ratio", "seconds"} & set(
            family.name.split("_")
        ) or family.kind != "histogram"


def test_what_is_not_known_is_left_out():
    data = exposition(families(numbers(disk_free_gb=None, hosts=[], slots={}, slot_seconds={}, ended={})))
    assert b"orze_disk_free_bytes" not in data
    assert b"orze_slots" not in data
    assert b"orze_attempts_running" not in data


def test_daemons_that_show_the_same_host_name_are_one_sample():
    data = exposition(families(numbers(hosts=[host(), host()])))
    assert value(data, "orze_attempts_running", host="gpu-a") == 4


def test_a_cause_that_nobody_knows_makes_no_label_of_its_own():
    made = numbers(
        ended={"x": 1, "y": 2}, finished={("FAILED", str(c)): 1 for c in Cause} | {("FAILED", "?"): 5}
    )
    data = exposition(families(made))
    assert value(data, "orze_attempts_ended_total", cause="other") == 3
    assert value(data, "orze_ideas_finished_total", cause="other") == 5
    assert value(data, "orze_ideas_finished_total", cause="host_lost") == 1


@given(st.text(max_size=300), st.text(max_size=50), st.integers(-(10**400), 10**400))
def test_whatever_a_host_calls_itself_the_text_can_be_read_and_tells_everything_once(name, slot, running):
    rows = [host(name, (CardRow(slot, "n", "free", 1.0),), running), host("b")]
    data = exposition(families(numbers(farm=name, host=name, hosts=rows, slots=slot_use(rows, work=True))))
    assert any(sample == "orze_attempts_running" for sample, _ in read(data))


@pytest.mark.parametrize("text", ['a"b', "a\\b", "a\\nb", "{x=1}", "é日本", "a,b", "#", "\\", '"'])
def test_a_label_comes_back_as_it_was(text):
    family = Family("orze_x", "gauge", "About \\ this.")
    family.add(1, name=text)
    (labels,) = [labels for _, labels in read(exposition([family]))]
    assert dict(labels) == {"name": text}


@pytest.mark.parametrize(
    ("number", "told"),
    [(1, 1.0), (0.1, 0.1), (math.inf, math.inf), (-math.inf, -math.inf), (10**400, math.inf)],
)
def test_numbers_of_every_size_can_be_read(number, told):
    family = Family("orze_x", "gauge", "x")
    family.add(number)
    assert list(read(exposition([family])).values()) == [told]
    family.add(math.nan)
    assert math.isnan(next(iter(read(exposition([family])).values())))


@given(st.lists(st.floats(0, 1e6)))
def test_buckets_count_everything_up_to_their_bound(times):
    made = Durations()
    for seconds in times:
        made = made.with_another(seconds)
    data = read(exposition(families(numbers(cycles=made))))
    buckets = sorted(
        (float(dict(labels)["le"]), count)
        for (name, labels), count in data.items()
        if name == "orze_cycle_seconds_bucket"
    )
    assert all(a <= b for (_, a), (_, b) in pairwise(buckets))
    assert all(count == sum(seconds <= bound for seconds in times) for bound, count in buckets)
    assert made.total == pytest.approx(sum(times))


@pytest.mark.parametrize(("work", "free"), [(True, "free_despite_work"), (False, "free_without_work")])
def test_drained_slots_are_neither_busy_nor_free(work, free):
    drained = host("gpu-a", (CardRow("0", "H200", DRAINED), CardRow("1", "H200", FREE)))
    assert slot_use([drained], work=work) == {("gpu-a", "unusable"): 1, ("gpu-a", free): 1}


@pytest.mark.parametrize(("work", "free"), [(True, "free_despite_work"), (False, "free_without_work")])
def test_slots_are_counted_by_what_they_do(work, free):
    expected = {("gpu-a", "busy"): 2, ("gpu-a", free): 1, ("gpu-a", "unusable"): 1}
    assert slot_use([host()], work=work) == Counter(expected)
