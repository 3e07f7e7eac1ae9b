"""Which cards are chosen by --gpus under CUDA_VISIBLE_DEVICES, and when a card is free."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orze.core.errors import GpuError
from orze.gpu.inventory import Card
from orze.gpu.select import Selection, busy_reason, select

A, B, C, D = (
    Card(str(index), uuid, "NVIDIA H100", 81920, 0, ())
    for index, uuid in enumerate(["GPU-aa10", "GPU-aa20", "GPU-bb30", "GPU-cc40"])
)
HOST = [A, B, C, D]
SPLIT = [Card("0:0", "MIG-e1", "MIG 1g", 9728, 0, ()), Card("0:1", "MIG-e2", "MIG 1g", 9728, 0, ()), B]
PCI = "PCI_BUS_ID"


def chosen(request, visible=None, cards=HOST):
    return select(cards, request, visible, 8, order=PCI).cards


@pytest.mark.parametrize(
    ("request_", "uuids"),
    [
        (None, ("GPU-aa10", "GPU-aa20", "GPU-bb30", "GPU-cc40")),
        ("0", ("GPU-aa10",)),
        ("2,0", ("GPU-bb30", "GPU-aa10")),
        (" 1 , 03 ", ("GPU-aa20", "GPU-cc40")),
        ("GPU-aa20", ("GPU-aa20",)),
        ("GPU-b,gpu-CC", ("GPU-bb30", "GPU-cc40")),
    ],
)
def test_cards_are_named_by_index_or_uuid_in_the_order_asked_for(request_, uuids):
    assert chosen(request_) == uuids


@pytest.mark.parametrize(
    ("request_", "uuids"),
    [
        (None, ("MIG-e1", "MIG-e2", "GPU-aa20")),
        ("0", ("MIG-e1", "MIG-e2")),
        ("0:1", ("MIG-e2",)),
        ("MIG-e1,1", ("MIG-e1", "GPU-aa20")),
    ],
)
def test_the_index_of_a_card_in_mig_mode_means_all_its_instances(request_, uuids):
    assert chosen(request_, cards=SPLIT) == uuids


def test_an_exact_uuid_is_never_the_beginning_of_another():
    short, long = Card("0", "GPU-aa", "x"), Card("1", "GPU-aab", "x")
    assert chosen("GPU-aa", cards=[short, long]) == ("GPU-aa",)


@pytest.mark.parametrize(
    ("visible", "uuids"),
    [
        (None, ("GPU-aa10", "GPU-aa20", "GPU-bb30", "GPU-cc40")),
        ("2,0", ("GPU-bb30", "GPU-aa10")),
        ("0,2,-1,1", ("GPU-aa10", "GPU-bb30")),
        ("1,7,0", ("GPU-aa20",)),
        ("1,x,0", ("GPU-aa20",)),
        ("1,GPU-aa,0", ("GPU-aa20",)),
        ("GPU-b, GPU-aa10", ("GPU-bb30", "GPU-aa10")),
        ("3,3", ("GPU-cc40",)),
        ("2,", ("GPU-bb30",)),
    ],
)
def test_cuda_visible_devices_is_read_as_cuda_reads_it(visible, uuids):
    assert chosen(None, visible) == uuids


@pytest.mark.parametrize("visible", ["", "-1", " ", "-1,0", "NoDevFiles"])
def test_hiding_every_card_asks_for_one_cpu_slot_and_says_so(visible):
    assert select(HOST, None, visible, 8) == Selection(
        cpu_slots=1, notices=("CUDA_VISIBLE_DEVICES hides every GPU: one CPU slot is used",)
    )


def test_an_empty_entry_is_not_the_card_whose_uuid_is_unknown():
    nameless = Card("1", "", "", error="GPU is lost")
    assert select([A, nameless], None, "", 8).cpu_slots == 1
    assert select([A, nameless], None, "0,", 8, order=PCI).notices == ()


def test_no_driver_means_one_cpu_slot_and_says_so():
    assert select([], None, None, 8, absent="no NVIDIA driver") == Selection(
        cpu_slots=1, notices=("no NVIDIA driver: one CPU slot is used",)
    )


@pytest.mark.parametrize(("request_", "number"), [("cpu", 1), ("cpu:2", 2), (" cpu:8 ", 8)])
def test_cpu_slots_are_counted_and_need_no_driver(request_, number):
    assert select([], request_, "0", 8, absent="no NVIDIA driver") == Selection(cpu_slots=number)
    assert select([], request_, None, 8, fault="Unknown Error") == Selection(cpu_slots=number)


def test_more_cpu_slots_than_cpus_are_given_with_a_notice():
    assert select([], "cpu:3", None, 1).notices == ("3 CPU slots share 1 CPU",)


@pytest.mark.parametrize(
    ("request_", "visible", "words"),
    [
        ("7", None, ["--gpus 7: no such GPU", "0 (NVIDIA H100, GPU-aa10)", "3 (NVIDIA H100, GPU-cc40)"]),
        ("0,7", None, ["--gpus 7:"]),
        ("GPU-aa", None, ["GPU-aa: no UUID, nor the start of just one"]),
        ("GPU-ff", None, ["GPU-ff"]),
        ("G", None, ["--gpus G:"]),
        ("0:1", None, ["0:1"]),
        ("0,0", None, ["GPU 0 is named twice"]),
        ("0,GPU-aa1", None, ["GPU 0 is named twice"]),
        ("0,1", "2,3", ["GPU 0 is hidden", 'CUDA_VISIBLE_DEVICES="2,3"', "It leaves 2 (", "3 ("]),
        ("0", "", ["GPU 0 is hidden", "It leaves no GPU"]),
        ("", None, ["write indices or UUIDs"]),
        ("0,", None, ["write indices or UUIDs"]),
        ("0,cpu", None, ["write indices or UUIDs"]),
        ("cpu:0", None, ["write cpu, or cpu:N"]),
        ("cpu:", None, ["write cpu, or cpu:N"]),
        ("cpu:1000", None, ["write cpu, or cpu:N"]),
        ("cpu,0", None, ["write cpu, or cpu:N"]),
        ("-1", None, ["--gpus -1:"]),
        ("²", None, ["--gpus ²:"]),
        ("9" * 6000, None, ["9999…: no such GPU"]),
        ("0\x1b[2J", None, ["--gpus 0?[2J:"]),
        (None, "7", ['CUDA_VISIBLE_DEVICES="7", under', "names no GPU", "0 (NVIDIA H100", "--gpus cpu"]),
        (None, "2O", ['CUDA_VISIBLE_DEVICES="2O"']),
    ],
)
def test_a_request_that_cannot_be_met_says_what_is_wrong_and_what_there_is(request_, visible, words):
    with pytest.raises(GpuError) as error:
        select(HOST, request_, visible, 8)
    for word in words:
        assert word in str(error.value)


def test_asking_for_a_card_without_a_driver_names_the_reason():
    with pytest.raises(GpuError, match=r"--gpus 0: no NVIDIA driver\. This host has no GPU\."):
        select([], "0", None, 8, absent="no NVIDIA driver")


@pytest.mark.parametrize("request_", [None, "0"])
def test_a_driver_that_fails_is_never_answered_with_cpu_slots(request_):
    with pytest.raises(GpuError, match=r"driver does not answer: Unknown Error; .* --gpus cpu"):
        select([], request_, None, 8, fault="Unknown Error")


def test_a_failing_card_is_chosen_where_it_may_come_back_and_left_out_where_it_is_nameless():
    ill = Card("1", "GPU-aa20", "NVIDIA H100", error="GPU is lost")
    nameless = Card("2", "", "", error="Unknown Error")
    assert select([A, ill, nameless], None, None, 8) == Selection(
        cards=("GPU-aa10", "GPU-aa20"),
        notices=(
            "GPU 1 fails and is not used until it works again: GPU is lost",
            "GPU 2 fails and is not used: Unknown Error",
        ),
    )


def test_when_only_nameless_cards_are_left_the_error_tells_their_fault():
    nameless = Card("0", "", "", error="GPU is lost")
    with pytest.raises(GpuError, match="GPU 0 fails and is not used: GPU is lost"):
        select([nameless], "0", None, 8)


@pytest.mark.parametrize(
    ("visible", "order", "cards", "said"),
    [
        ("0", None, HOST, True),
        ("0", "FASTEST_FIRST", HOST, True),
        ("0", PCI, HOST, False),
        ("GPU-aa1", None, HOST, False),
        ("0", None, [A], False),
        (None, None, HOST, False),
    ],
)
def test_indices_that_cuda_may_count_otherwise_are_mentioned(visible, order, cards, said):
    notices = select(cards, None, visible, 8, order=order).notices
    assert ("PCI order" in " ".join(notices)) is said


def test_an_entry_that_cuda_stops_at_is_mentioned_unless_it_is_meant_to_stop():
    assert "ends before 9" in " ".join(select(HOST, None, "0,9,1", 8, order=PCI).notices)
    assert select(HOST, None, "0,-1,1", 8, order=PCI).notices == ()


LISTS = st.lists(st.sampled_from(["0", "1", "3", "7", "-1", "GPU-a", "GPU-aa1", "cpu"])).map(",".join)
WORDS = st.text() | LISTS


@given(request_=st.none() | WORDS, visible=st.none() | WORDS, order=st.sampled_from([None, PCI]))
def test_any_text_gives_either_cards_of_the_host_or_cpu_slots_or_one_clear_sentence(request_, visible, order):
    try:
        selection = select(HOST, request_, visible, 8, order=order)
    except GpuError as error:
        assert len(str(error).splitlines()) == 1
        return
    assert set(selection.cards) <= {card.uuid for card in HOST}
    assert len(set(selection.cards)) == len(selection.cards)
    assert bool(selection.cards) != bool(selection.cpu_slots)


@given(visible=st.lists(st.sampled_from(["0", "1", "2", "3"]), min_size=1, unique=True), data=st.data())
def test_a_request_within_what_is_visible_is_met_and_any_other_is_refused(visible, data):
    wanted = data.draw(st.lists(st.sampled_from(["0", "1", "2", "3"]), min_size=1, unique=True))
    if set(wanted) <= set(visible):
        assert chosen(",".join(wanted), ",".join(visible)) == tuple(HOST[int(word)].uuid for word in wanted)
    else:
        with pytest.raises(GpuError, match="is hidden by"):
            chosen(",".join(wanted), ",".join(visible))


def reading(used=0, processes=(), error=None):
    return Card("0", "GPU-aa10", "NVIDIA H100", 81920, used, processes, error=error)


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        (reading(), None),
        (reading(used=1999), None),
        (reading(used=2000), "2000 MiB used"),
        (reading(used=30000, processes=((10, 29000),)), None),
        (reading(used=31000, processes=((10, 29000),)), "2000 MiB used"),
        (reading(used=31000, processes=((10, 15000), (11, 14500))), None),
        (reading(used=3000, processes=((10, None),)), "3000 MiB used"),
        (reading(used=100, processes=((10, None),)), None),
        (reading(used=10, processes=((10, 500),)), None),
        (reading(processes=((99, 1),)), "foreign process 99"),
        (reading(processes=((10, 1), (99, None), (98, 5), (97, 5))), "foreign process 97 and 2 more"),
        (reading(used=None), "unknown: its memory cannot be read"),
        (reading(processes=None), "unknown: its processes cannot be listed"),
        (reading(error="GPU is lost"), "unknown: GPU is lost"),
        (Card("0", "", "", error="GPU is lost"), "unknown: GPU is lost"),
    ],
)
def test_a_card_is_free_only_when_everything_is_known_and_nothing_foreign_is_on_it(card, reason):
    assert busy_reason(card, ours=[10, 11], threshold_mib=2000) == reason


PROCESSES = st.lists(st.tuples(st.integers(1, 5), st.none() | st.integers(0, 4000)), max_size=4).map(tuple)
READINGS = st.builds(reading, used=st.none() | st.integers(0, 9000), processes=st.none() | PROCESSES)


@given(card=READINGS, ours=st.sets(st.integers(1, 5)), more=st.integers(0, 9000))
def test_more_memory_or_fewer_processes_of_our_own_never_free_a_card(card, ours, more):
    if busy_reason(card, ours=ours, threshold_mib=2000) is None:
        return
    fuller = reading(None if card.memory_used_mib is None else card.memory_used_mib + more, card.processes)
    assert busy_reason(fuller, ours=ours, threshold_mib=2000) is not None
    for pid in ours:
        assert busy_reason(card, ours=ours - {pid}, threshold_mib=2000) is not None
