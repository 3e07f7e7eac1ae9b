"""The cache changes the time of a start and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import orze.farm.assembly
from orze.core.states import State
from orze.farm.assembly import Assembly
from orze.farm.cache import cache_path
from tests.unit.farm.farm_examples import context, section, write_ideas


@pytest.fixture(autouse=True)
def small_farms_count(monkeypatch):
    monkeypatch.setattr(orze.farm.assembly, "_SMALL", 0)


@pytest.fixture
def environ(tmp_path):
    return {"PATH": os.environ["PATH"], "XDG_CACHE_HOME": str(tmp_path / "cache")}


SECTIONS = (
    section(1, Priority="low"),
    section(2, After="idea-001", title="Ünïcode | title"),
    section(3, Priority="critical"),
    section(4, Priority="hgih"),
    section(5, yaml="a: ["),
    section(6, Hosts="gpu-z*"),
    section(7, GPUs="2"),
    "## idea-x: no id\n\n",
    section(3, title="The same id again"),
    section(9, Repeats="2", yaml="sweep: {number: [1, 2, 3]}"),
    section(10, After="idea-009"),
)


def read(made: Assembly, *, cached: bool) -> Assembly:
    """Read everything, as a daemon does when it starts."""
    made.leadership.refresh()
    with made.queue.loading():
        if cached:
            made.load_cache()
        made.journal.follow()
        changed, outcomes = made.journal.fold.drain()
        for idea_id in changed:
            made.queue.set_known(idea_id, made.journal.fold.ideas[idea_id])
        made.board.take(outcomes)
        made.intake.read()
        made.context.clock.advance(10.0)
        made.intake.read()
    return made


def seen(made: Assembly) -> dict[str, object]:
    """Everything that a start works out."""
    entries = {idea_id: made.queue.get(idea_id) for idea_id in made.queue.ids()}
    return {
        "standing": {i: (e.state, e.reason, e.idea) for i, e in entries.items()},
        "known": {i: e.known.state() if e.known else None for i, e in entries.items()},
        "ready": [idea.id for idea in made.queue.ready(100)],
        "counts": +made.queue.counts,
        "quarantined": made.intake.quarantined,
        "top": [(r.rank, r.value, r.result.idea_id, r.result.title) for r in made.board.leaderboard.top(10)],
        "allocated": made.journal.fold.allocated,
        "term": made.journal.fold.term,
        "texts": {i: made.intake.section(e.idea) for i, e in entries.items() if e.idea},
    }


@pytest.fixture
def farm(tmp_path, environ):
    """A farm with some of everything, led and left by a daemon that kept what it knew."""

    def build() -> Assembly:
        return Assembly(context(tmp_path, gpus="cpu:1"), environ)

    write_ideas(context(tmp_path), *SECTIONS)
    first = read(build(), cached=False)
    first.leadership.campaign()
    first.steward.step()
    for idea_id, value in (("idea-001", 0.5), ("idea-003", 0.9)):
        first.steward.note(idea_id, State.COMPLETED, {"metrics": {"val_accuracy": value}, "title": "t"})
    first.steward.step()
    read(first, cached=False).save_cache()
    return build


def start(build, *, cached: bool) -> dict[str, object]:
    return seen(read(build(), cached=cached))


def took_up(build) -> bool:
    """Whether the next start believes the cache."""
    made = build()
    made.load_cache()
    return bool(made.journal.fold.ideas)


def test_a_start_with_the_cache_sees_what_a_start_without_it_sees(farm):
    assert took_up(farm)
    without = start(farm, cached=False)
    assert start(farm, cached=True) == without
    assert without["ready"], "the example has something that may run"


def test_what_was_appended_since_is_read_and_the_rest_is_not_parsed_again(farm, tmp_path, monkeypatch):
    with (tmp_path / "ideas.md").open("a") as stream:
        stream.write(section(20) + section(21))
    without = start(farm, cached=False)
    parsed = []
    real = orze.farm.intake.parse
    monkeypatch.setattr(
        "orze.farm.intake.parse", lambda *a, **k: parsed.append(k["section"].id) or real(*a, **k)
    )
    assert start(farm, cached=True) == without
    assert parsed == ["idea-020", "idea-021"]


def test_what_the_journal_says_since_is_followed(farm):
    other = read(farm(), cached=False)
    other.journal.write(
        other.leadership.fold.term, {"hold": [["idea-006", "by ada"]], "reopen": ["idea-001"]}
    )
    without = start(farm, cached=False)
    assert without["known"]["idea-006"][4] == "by ada"
    assert [idea_id for _, _, idea_id, _ in without["top"]] == ["idea-003"], "idea-001 was opened again"
    assert start(farm, cached=True) == without


def test_results_are_ranked_anew_where_another_metric_ranks_by_now(farm, tmp_path, environ):
    made = Assembly(context(tmp_path, gpus="cpu:1", report={"primary_metric": "number"}), environ)
    made.load_cache()
    assert [ranked.rank for ranked in made.board.leaderboard.top(10)] == [None, None]
    assert [ranked.rank for ranked in read(farm(), cached=True).board.leaderboard.top(10)] == [1, 2]


@pytest.mark.parametrize("change", ["edited", "shortened", "removed"])
def test_an_ideas_file_that_does_not_begin_as_it_did_voids_the_cache(farm, tmp_path, change):
    path = tmp_path / "ideas.md"
    text = path.read_text()
    if change == "removed":
        path.unlink()
    else:
        path.write_text(text.replace("number: 1", "number: 2") if change == "edited" else text[:-20])
    assert not took_up(farm)
    assert start(farm, cached=True) == start(farm, cached=False)


def test_a_journal_that_was_begun_anew_voids_the_cache(farm, tmp_path):
    for path in (tmp_path / "results/.orze/journal/0000").iterdir():
        path.unlink()
    other = read(farm(), cached=False)
    other.leadership.campaign()
    other.steward.step()
    assert not took_up(farm)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text", "writable", "link", "directory"])
def test_a_cache_that_is_not_whole_or_not_ours_alone_is_not_believed(farm, tmp_path, environ, damage):
    path = cache_path(str(tmp_path / "results"), environ)
    data = path.read_bytes()
    if damage == "cut":
        path.write_bytes(data[:-1])
    elif damage == "flipped":
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif damage in ("empty", "text"):
        path.write_bytes(b"" if damage == "empty" else b"x" * 100)
    elif damage == "writable":
        path.chmod(0o666)
    else:
        path.rename(path.with_suffix(".old"))
        if damage == "link":
            path.symlink_to(path.with_suffix(".old"))
        else:
            path.mkdir()
    assert not took_up(farm)
    assert start(farm, cached=True) == start(farm, cached=False)


def test_the_cache_of_other_code_is_not_believed(farm, monkeypatch):
    monkeypatch.setattr("orze.farm.cache._CODE", ("core",))
    assert not took_up(farm)


def test_where_no_cache_can_be_kept_nothing_else_goes_wrong(farm, tmp_path, environ):
    path = cache_path(str(tmp_path / "results"), environ)
    path.unlink()
    path.parent.rmdir()
    Path(path.parent).write_text("in the way")
    made = read(farm(), cached=True)
    made.save_cache()
    assert path.parent.read_text() == "in the way"
