"""How records are written, named and hashed."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orze.coord.record import (
    LIMIT,
    decode,
    digest,
    encode,
    new_record,
    slot_name,
    slot_of,
    well_formed,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(), JSON, max_size=6))
def test_a_record_is_read_as_it_was_written(record):
    assert decode(encode(record)) == record


@settings(deadline=None)
@given(st.dictionaries(st.text(), st.integers(), max_size=6))
def test_a_record_is_one_line_and_keeps_the_order_of_its_members(record):
    assert encode(record).count(b"\n") == 1
    assert list(decode(encode(record))) == list(record)


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_bytes_that_are_no_record_are_a_value_error_and_nothing_else(data):
    try:
        record = decode(data)
    except ValueError:
        return
    assert isinstance(record, dict)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\0" * 100, b"{", b'{"kind":"CLAIM","tok', b"[]", b"null", b"7", b'"CLAIM"', b"\xff\xfe\x00",
        b"{}{}", b"[" * 100_000, b'{"a":' * 100_000, b'{"a":' + b"9" * 10_000 + b"}",
    ],
    ids=lambda data: repr(data[:12]),
)  # fmt: skip
def test_a_torn_or_hostile_record_is_a_value_error(data):
    with pytest.raises(ValueError, match=r"."):
        decode(data)


def test_a_torn_record_is_never_read_as_a_whole_one():
    data = encode(new_record("CLAIM", token="t", attempt=1, section="## idea-1: ä\n"))
    for length in range(len(data) - 1):
        with pytest.raises(ValueError, match=r"."):
            decode(data[:length])


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_json_does_not_know_is_refused(number):
    with pytest.raises(ValueError, match="JSON"):
        encode({"loss": number})


def test_a_record_that_nobody_could_read_is_not_written():
    overhead = len(encode({"a": ""}))
    assert len(encode({"a": "x" * (LIMIT - overhead)})) == LIMIT
    with pytest.raises(ValueError, match="larger than"):
        encode({"a": "x" * (LIMIT - overhead + 1)})


@settings(deadline=None)
@given(st.binary())
def test_the_digest_is_the_sha256_in_hex(data):
    assert digest(data) == hashlib.sha256(data).hexdigest()


@settings(deadline=None)
@given(st.integers(1, 10**9))
def test_a_slot_is_found_again_from_its_name(slot):
    assert slot_of(slot_name(slot)) == slot


@settings(deadline=None)
@given(st.integers(1, 10**7), st.integers(1, 10**7))
def test_no_two_slots_share_a_name(one, other):
    assert (slot_name(one) == slot_name(other)) == (one == other)


@pytest.mark.parametrize(
    "name",
    [
        "", ".json", "000001", "1.json", "00001.json", "0000001.json", "000000.json", "-00001.json",
        "+00001.json", "00000a.json", "000001.json.json", "000001.JSON", ".tmp-000001.json", "٠٠٠٠٠١.json",
        "00000².json",        " 00001.json", "000001.json ", "stop-abcdef", "0000_1.json", "9" * 200,
    ],
)  # fmt: skip
def test_only_the_one_name_of_a_slot_is_a_slot(name):
    assert slot_of(name) is None


@settings(deadline=None)
@given(st.text(max_size=15))
def test_any_file_name_is_a_slot_or_not(name):
    slot = slot_of(name)
    assert slot is None or slot_name(slot) == name


def test_every_record_has_a_nonce_of_its_own():
    first, second = new_record("LEAD", token="a"), new_record("LEAD", token="a")
    assert first.pop("nonce") != second.pop("nonce")
    assert first == second == {"kind": "LEAD", "token": "a"}


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("token", ["a", "44f46d96c6136e39accb78"], ["", "a/b", "..", "../a", "a\n", "ä", "a" * 201, 5, None]),
        ("directory", ["1-44f4"], ["", ".", "../../etc", "/etc", "a\0", ["a"]]),
        ("pid", [0, 7], [-1, 1 << 62, 7.0, True, "7", None]),
        ("term", [1], [1e400, float("nan"), "1", -1]),
        ("at", [0, 5.5], [float("inf"), float("nan"), 10**400, "5", None, True]),
        ("metrics", [{}, {"a": [1]}], [[], None, "x"]),
        ("post_errors", [[], ["x"]], [5, "x", [5], {"a": 1}]),
        ("error", ["", "x"], [5, None, []]),
        ("config", ["", "c0ffee"], [5, None, ["c0ffee"]]),
        ("seed", [0, -7, 1 << 62], [1.0, True, "7", None, 1 << 64]),
    ],
)
def test_what_a_record_says_is_of_its_kind_or_the_record_is_void(name, good, bad):
    assert all(well_formed({"kind": "X", name: value}) for value in good)
    assert not any(well_formed({"kind": "X", name: value}) for value in bad)
