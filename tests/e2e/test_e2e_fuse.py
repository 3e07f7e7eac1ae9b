"""Two hosts over two mounts that lose replies, fail, hang and remember what is no longer so (faultfs.py)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from mounts import READS, WRITES, Shares, no_fuse

pytestmark = pytest.mark.skipif(bool(no_fuse()), reason=no_fuse() or "FUSE can be had")


def fault(ops: str, path: str, error: str, *, done: bool, **more: Any) -> dict[str, Any]:
    """A rule of faultfs.py."""
    return {"ops": ops.split(), "path": path, "error": error, "done": done, **more}


def lost(op: str, path: str, error: str, **more: Any) -> dict[str, Any]:
    """The call is done, but its reply says otherwise; `{}` in the path is an idea."""
    return fault(op, path, error, done=True, **more)


LOST_REPLIES = {
    "the mkdir of an idea's directory": lost("mkdir", "/{}", "EEXIST", times=1),
    "the mkdir of a chain": lost("mkdir", "/{}/.chain", "EEXIST"),
    "the mkdir of an attempt, told as an error": lost("mkdir", "/{}/attempts/*", "EIO", times=2),
    "the link of a record, told as taken": lost("link", "/{}/.chain/0*.json", "EEXIST"),
    "the link of a record, told as an error": lost("link", "/{}/.chain/0*.json", "EIO"),
    "the link of a record, told as absent": lost("link", "/{}/.chain/0*.json", "ENOENT"),
    "the rename of a projection": lost("rename", "/{}/metrics.json", "ENOENT", times=2),
    "the removal of a temporary name": lost("unlink", "/{}/.chain/.tmp-*", "ENOENT"),
    "the removal of a heartbeat": lost("unlink", "/.orze/heartbeats/{}.*", "EIO", times=2),
    "the creation of a heartbeat": lost("create", "/.orze/heartbeats/{}.*", "EEXIST", times=1),
    "the creation of a record": lost("create", "/{}/.chain/.tmp-*", "EEXIST", times=1),
    "the sync of a record": lost("fsync", "/{}/.chain/.tmp-*", "EIO", times=1),
    "the sync of a directory": lost("fsyncdir", "/{}/.chain", "EIO", times=1),
    "the symlink in a door": lost("symlink", "/.orze/doors/*/{}", "EEXIST"),
    "the mkdir of a door": lost("mkdir", "/.orze/doors/*", "EEXIST", times=6),
    "the link of a record of the journal": lost("link", "/.orze/journal/*", "EEXIST", times=6),
    "the rename of a report": lost("rename", "/.orze/out/*", "EIO", times=6),
}


@pytest.fixture(scope="module")
def shares(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shares]:
    """One farm for all faults; each test mends what it broke."""
    made = Shares(tmp_path_factory.mktemp("fuse") / "farm")
    try:
        yield made
        made.check()
    finally:
        made.close()


@pytest.fixture(scope="module")
def after_lost_replies(shares: Shares) -> dict[str, str]:
    """Each reply was lost for an idea of its own; all at once, since some of them must be waited for."""
    ids = dict(zip(LOST_REPLIES, shares.add(len(LOST_REPLIES)), strict=True))
    shares.rules(
        *(
            {**rule, "path": rule["path"].format(ids[name]), "name": name}
            for name, rule in LOST_REPLIES.items()
        )
    )
    shares.show()
    shares.wait_done(list(ids.values()))
    shares.rules()
    return ids


@pytest.mark.parametrize("name", LOST_REPLIES)
def test_an_idea_trains_once_and_has_one_result_though_the_reply_was_lost_of(
    shares: Shares, after_lost_replies: dict[str, str], name: str
):
    idea_id = after_lost_replies[name]
    assert shares.struck(name)
    assert shares.farm.kinds(idea_id).count("DONE") == 1
    assert len(shares.farm.starts(idea_id)) == 1


# What a mount may do at any call, for as long as it does it.
BAD_TIMES = {
    "calls that change something fail": [fault(" ".join(WRITES), "*", "EIO", done=False, chance=0.05)],
    "calls that change something are done and fail": [
        fault(" ".join(WRITES), "*", "EIO", done=True, chance=0.05)
    ],
    "handles are stale": [fault(" ".join(READS), "*", "ESTALE", done=False, chance=0.03)],
    "reads fail": [fault(" ".join(READS), "*", "EIO", done=False, chance=0.03)],
    "the disk is full": [fault("write create mkdir link", "*", "ENOSPC", done=False, chance=0.2)],
    "every call takes its time": [fault(" ".join([*READS, *WRITES]), "*", "", done=True, delay=0.01)],
}


@pytest.mark.parametrize("name", BAD_TIMES)
def test_every_idea_has_one_result_after_a_time_in_which(shares: Shares, name: str):
    before = shares.struck()
    ids = shares.add(4, "pause(0.2)\nmetrics(val_accuracy=0.5)")
    shares.rules(*BAD_TIMES[name])
    shares.show()
    shares.farm.wait(lambda: shares.struck() > before + 10, "the faults")
    shares.rules()
    shares.wait_done(ids)
    assert all(shares.farm.kinds(idea_id).count("DONE") == 1 for idea_id in ids)


HANG = {"ops": [*READS, *WRITES, "fsyncdir"], "hang": True, "name": "hang"}


def test_a_mount_that_hangs_for_less_than_the_fence_costs_nothing_but_time(shares: Shares):
    farm = shares.farm
    (idea_id,) = shares.add(1, "touch('short')\nwait('short over')\nmetrics(val_accuracy=0.5)", Hosts="alpha")
    shares.show()
    farm.wait(lambda: farm.flagged("short"), "the start")
    shares.alpha.rules(HANG)
    farm.wait(lambda: shares.struck("hang") >= 2, "the hang of daemon and keeper")
    shares.alpha.rules()
    farm.flag("short over")
    shares.wait_done([idea_id])
    assert farm.kinds(idea_id) == ["CLAIM", "DONE"]


def test_a_leader_whose_mount_hangs_past_the_lease_goes_on_without_a_second_result_or_a_second_leader(
    shares: Shares,
):
    farm = shares.farm
    leader, other = shares.leading_first()
    shares.add(2, "wait('free')\nmetrics(val_accuracy=0.5)", Hosts=other.name)
    before = len(farm.starts())
    shares.show()
    farm.wait(lambda: len(farm.starts()) == before + 2, "both slots of the other host taken")
    (idea_id,) = shares.add(1, "touch('long')\nwait('long over')\nmetrics(val_accuracy=0.5)")
    shares.show()
    farm.wait(lambda: farm.flagged("long"), "the start on the leading host")
    leader.rules({**HANG, "name": "long hang"})
    farm.flag("free")
    farm.wait(lambda: len(farm.starts(idea_id)) == 2, "the rerun on the other host")
    leader.rules()
    farm.flag("long over")
    shares.wait_done([idea_id])
    assert farm.kinds(idea_id) == ["CLAIM", "LOST", "CLAIM", "DONE"]
    assert farm.last(idea_id)["host"] == other.name
    (again,) = shares.add(1, Hosts=leader.name)
    shares.show()
    shares.wait_done([again])
    farm.wait(lambda: farm.status()["leader"] == other.name, "the report of who leads now")
    assert shares.elections()[-2:] == ["LOST", "LEAD"]
    assert not farm.events("overlap")


def test_two_hosts_that_see_names_and_attributes_of_two_seconds_ago_run_every_idea_once(tmp_path):
    stale = {"negative_timeout": 2.0, "attr_timeout": 2.0, "entry_timeout": 2.0}
    shares = Shares(tmp_path / "farm", stale, lease={"steal": 4.5, "attribute_cache": 2})
    try:
        ids = shares.add(12, "pause(0.1)\nmetrics(val_accuracy=0.5)")
        shares.show()
        shares.wait_done(ids)
        assert {event["host"] for event in shares.farm.starts()} == {"alpha", "beta"}
        assert all(shares.farm.kinds(idea_id) == ["CLAIM", "DONE"] for idea_id in ids)
        assert len(shares.farm.starts()) == 12
        shares.check()
    finally:
        shares.close()
