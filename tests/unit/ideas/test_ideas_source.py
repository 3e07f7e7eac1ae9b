"""The incremental reader: whatever is done to the file, it ends where a reader who begins anew ends."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orze.ideas import stream
from orze.ideas.scan import scan
from orze.ideas.source import IdeasSource, Quarantine, StaleSection, Update

SETTLE = 2.0


class Farm:
    """A file of ideas, a clock, and what a reader of the updates believes."""

    def __init__(self, folder: str | Path) -> None:
        self.path = Path(folder) / "ideas.md"
        self.now = 1000.0
        self.believed: dict[str, bytes] = {}
        self.problems: list[Quarantine] = []
        self.complete = False
        self._mtime = 10**18
        self.source = self.fresh()

    def fresh(self) -> IdeasSource:
        return IdeasSource(self.path, SETTLE, lambda: self.now)

    def write(self, data: bytes | str, *, rename: bool = False) -> None:
        data = data.encode() if isinstance(data, str) else data
        target = self.path.with_suffix(".new") if rename else self.path
        with target.open("wb" if rename or not target.exists() else "r+b") as file:
            file.truncate()
            file.write(data)
        self.stamp(target)
        if rename:
            target.rename(self.path)

    def append(self, data: str) -> None:
        with self.path.open("ab") as file:
            file.write(data.encode())
        self.stamp(self.path)

    def stamp(self, path: Path) -> None:
        """Give the file a new time: two writes within one tick of the kernel's clock would show the same."""
        self._mtime += 1_000_000
        os.utime(path, ns=(self._mtime, self._mtime))

    def poll(self) -> Update | None:
        update = self.source.poll()
        if update is not None:
            for section in update.upserted:
                assert self.believed.get(section.id) != section.sha
                self.believed[section.id] = section.sha
            for idea_id in update.removed:
                del self.believed[idea_id]
            self.problems, self.complete = update.problems, update.complete
        return update

    def settle(self) -> Update | None:
        """Poll, wait, and poll again: both updates as one."""
        first = self.poll()
        self.now += SETTLE
        second = self.poll()
        if first is None or second is None:
            return first or second
        upserted, removed = first.upserted + second.upserted, first.removed + second.removed
        return Update(upserted, removed, second.problems, second.complete)


@pytest.fixture
def farm(tmp_path: Path) -> Farm:
    return Farm(tmp_path)


def section(number: int, text: str = "text") -> str:
    return f"## idea-{number}: t{number}\n{text}\n\n"


def ids(update: Update | None) -> list[str]:
    assert update is not None
    return [found.id for found in update.upserted]


def test_the_first_poll_reads_all_but_the_last_section_which_must_settle(farm: Farm) -> None:
    farm.write(section(1) + section(2) + section(3))
    first = farm.poll()
    assert ids(first) == ["idea-1", "idea-2"]
    assert first is not None and not first.complete
    assert farm.source.due() == farm.now + SETTLE
    farm.now += SETTLE - 0.001
    assert farm.poll() is None
    farm.now += 0.001
    second = farm.poll()
    assert ids(second) == ["idea-3"]
    assert second == Update(second.upserted if second else [], [], [], complete=True)
    assert farm.source.due() is None
    assert farm.source.ids() == ["idea-1", "idea-2", "idea-3"]


def test_a_last_section_that_is_known_to_be_whole_counts_at_once_and_once(farm: Farm) -> None:
    known: dict[str, bytes] = {}
    whole = lambda idea_id, sha: known.get(idea_id) == sha  # noqa: E731
    farm.source = IdeasSource(farm.path, SETTLE, lambda: farm.now, whole=whole)
    farm.write(section(1) + section(2))
    assert ids(farm.poll()) == ["idea-1"]
    known["idea-3"] = scan(section(3).encode())[0].sha
    farm.append(section(3))
    update = farm.poll()
    assert ids(update) == ["idea-2", "idea-3"]
    assert update is not None and not update.complete
    farm.append("more of it\n")  # so it is another revision, which nobody knows
    assert farm.poll() is None
    assert ids(farm.settle()) == ["idea-3"]


def test_an_unchanged_file_costs_one_stat_and_is_not_opened(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm.write(section(1))
    farm.settle()
    calls: list[str] = []
    stat = os.stat
    monkeypatch.setattr(os, "stat", lambda *args, **kwargs: calls.append("stat") or stat(*args, **kwargs))
    monkeypatch.setattr(os, "open", lambda *args: calls.append("open"))
    for _ in range(10):
        assert farm.poll() is None
    assert calls == ["stat"] * 10


def test_an_append_reads_only_from_the_last_section_on(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    farm.write("".join(section(n, "x" * 200) for n in range(500)))
    farm.settle()
    read: list[int] = []
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, n, at: read.append(n) or pread(fd, n, at))
    farm.append(section(500))
    assert ids(farm.settle()) == ["idea-500"]
    assert sum(read) < 10_000
    assert farm.source.section("idea-500").line == scan(farm.path.read_bytes())[-1].line


def test_the_last_section_stays_accepted_while_others_are_appended(farm: Farm) -> None:
    farm.write(section(1) + section(2))
    farm.settle()
    farm.append(section(3))
    update = farm.poll()
    assert update is not None
    assert (update.upserted, update.removed, update.complete) == ([], [], False)
    assert "idea-2" in farm.source.ids()
    farm.now += SETTLE
    assert ids(farm.poll()) == ["idea-3"]


def test_a_last_section_that_grows_is_accepted_again_when_it_has_settled(farm: Farm) -> None:
    farm.write(section(1) + "## idea-2: two\n")
    farm.settle()
    farm.append("more\n")
    farm.poll()
    assert farm.source.ids() == ["idea-1"]
    farm.now += 1
    farm.append("and more\n")
    assert farm.poll() is None
    farm.now += 1
    assert farm.poll() is None
    farm.now += 1
    assert ids(farm.poll()) == ["idea-2"]
    assert farm.source.read("idea-2") == "## idea-2: two\nmore\nand more\n"


def test_half_a_heading_that_was_accepted_goes_when_the_rest_of_it_comes(farm: Farm) -> None:
    farm.write(section(1) + "## idea-0")
    farm.settle()
    assert set(farm.believed) == {"idea-1", "idea-0"}
    farm.append("02: two\n")
    farm.settle()
    assert set(farm.believed) == {"idea-1", "idea-002"}


def test_a_section_that_vanishes_is_removed_once_the_file_has_settled(farm: Farm) -> None:
    farm.write(section(1) + section(2) + section(3))
    farm.settle()
    farm.write(section(1) + section(3))
    update = farm.poll()
    assert update is not None and update.removed == []
    assert farm.source.ids() == ["idea-1", "idea-3"]
    farm.now += SETTLE
    update = farm.poll()
    assert update is not None and update.removed == ["idea-2"]


def test_an_editor_that_empties_the_file_before_it_writes_removes_nothing(farm: Farm) -> None:
    text = section(1) + section(2) + section(3)
    farm.write(text)
    farm.settle()
    farm.write("")
    farm.poll()
    farm.now += 0.1
    farm.write(text)
    updates = [farm.poll()]
    farm.now += SETTLE
    updates.append(farm.poll())
    assert [(u.upserted, u.removed) for u in updates if u] in ([([], [])], [([], []), ([], [])])
    assert farm.source.ids() == ["idea-1", "idea-2", "idea-3"]


def test_an_edit_is_a_new_revision_of_that_section_alone(farm: Farm) -> None:
    farm.write(section(1) + section(2) + section(3))
    farm.settle()
    farm.write(section(1) + section(2, "other") + section(3), rename=True)
    assert ids(farm.settle()) == ["idea-2"]
    assert farm.source.read("idea-2") == section(2, "other")


def test_moving_sections_about_changes_nothing_but_their_lines(farm: Farm) -> None:
    farm.write(section(1) + section(2))
    farm.settle()
    farm.write("# Notes\n\n" + section(2) + section(1))
    update = farm.settle()
    assert update is not None and (update.upserted, update.removed) == ([], [])
    assert farm.source.section("idea-1").line == 6


def test_equal_duplicates_are_one_idea_and_others_are_quarantined_with_both_lines(farm: Farm) -> None:
    farm.write(section(1) + section(2) + section(1) + section(2, "other") + section(3))
    farm.settle()
    reason = (
        "idea-2 is already at ideas.md:4 with other content, which stands: give one of the two another id"
    )
    assert farm.problems == [Quarantine("idea-2", "ideas.md", 10, reason)]
    assert farm.source.read("idea-2") == section(2)
    farm.append(section(1, "third"))
    farm.settle()
    assert [(bad.id, bad.line) for bad in farm.problems] == [("idea-2", 10), ("idea-1", 16)]
    assert "ideas.md:1 " in farm.problems[1].reason


def test_when_the_first_of_two_goes_the_second_takes_its_place(farm: Farm) -> None:
    farm.write(section(1) + section(1, "other") + section(2))
    farm.settle()
    farm.write(section(1, "other") + section(2))
    assert ids(farm.settle()) == ["idea-1"]
    assert farm.problems == []


@pytest.mark.parametrize(
    ("text", "idea_id", "line", "reason"),
    [
        ("## idea-x: y\n\n" + section(9), None, 4, "the id must be idea- and digits"),
        ("## idea-7.1: y\n", None, 4, "is given to a member of a sweep"),
        (
            "## idea-7: y\n```yaml\na: 1\n" + section(9),
            "idea-7",
            5,
            "the fence opened on line 5 is never closed",
        ),
        ("## idea-7: \0\n" + section(9), "idea-7", 4, "line 4 holds a NUL byte"),
    ],
)
def test_bad_sections_are_problems_with_their_lines_also_after_an_append(
    farm: Farm, text: str, idea_id: str | None, line: int, reason: str
) -> None:
    farm.write(section(1))
    farm.settle()
    farm.append(text)
    farm.settle()
    (problem,) = farm.problems
    assert (problem.id, problem.path, problem.line) == (idea_id, "ideas.md", line)
    assert reason in problem.reason
    farm.append("# Notes\n```\n")
    farm.settle()
    assert farm.problems[:1] == [problem] or problem.line == 5


def test_a_fence_left_open_before_the_first_idea_is_a_problem(farm: Farm) -> None:
    farm.write("text\n\n```\n" + section(1))
    farm.settle()
    assert farm.source.ids() == []
    assert [(bad.id, bad.line) for bad in farm.problems] == [(None, 3)]


def test_a_section_that_becomes_bad_is_neither_removed_nor_lost(farm: Farm) -> None:
    farm.write(section(1) + section(2))
    farm.settle()
    farm.write(section(1) + section(2, "```\nx"))
    update = farm.settle()
    assert update is not None and update.removed == []
    assert [bad.id for bad in farm.problems] == ["idea-2"]
    assert farm.source.ids() == ["idea-1"]
    del farm.believed["idea-2"]
    farm.write(section(1) + section(2))
    assert ids(farm.settle()) == ["idea-2"]
    assert farm.problems == []


def test_a_missing_file_is_a_problem_and_all_that_is_known_stays(farm: Farm) -> None:
    first = farm.poll()
    reason = "the file is not there: what was read from it before still counts"
    assert first == Update([], [], [Quarantine(None, "ideas.md", 1, reason)], complete=False)
    assert farm.poll() is None
    farm.write(section(1) + section(2))
    farm.settle()
    assert (farm.problems, farm.complete) == ([], True)
    farm.path.unlink()
    assert farm.settle() == first
    assert farm.source.ids() == ["idea-1", "idea-2"]
    assert farm.source.due() is None
    with pytest.raises(StaleSection, match="idea-1 cannot be read now: the file is not there"):
        farm.source.read("idea-1")
    farm.write(section(2))
    update = farm.settle()
    assert update is not None
    assert (update.upserted, update.removed, update.problems) == ([], ["idea-1"], [])


@pytest.mark.parametrize("kind", ["folder", "pipe", "loop", "large"])
def test_what_is_no_readable_file_is_a_problem_and_no_crash(farm: Farm, kind: str) -> None:
    if kind == "folder":
        farm.path.mkdir()
    elif kind == "pipe":
        os.mkfifo(farm.path)
    elif kind == "loop":
        farm.path.symlink_to(farm.path)
    else:
        farm.path.touch()
        os.truncate(farm.path, (1 << 30) + 1)
    farm.settle()
    (problem,) = farm.problems
    expected = {
        "folder": "regular file",
        "pipe": "regular file",
        "loop": "symbolic links",
        "large": "larger than 1 GiB",
    }
    assert expected[kind] in problem.reason
    assert farm.poll() is None


def test_a_file_that_shrinks_while_it_is_read_is_read_again_and_removes_nothing(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm.write(section(1) + section(2) + section(3))
    farm.settle()
    pread = os.pread
    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", lambda fd, n, at: pread(fd, max(0, min(n, 20 - at)), at))
        farm.write(section(1) + section(2) + section(3) + section(4) + "# end\n", rename=True)
        farm.source._appends = False
        assert farm.poll() is None
        assert farm.source.due() == farm.now + SETTLE
    assert ids(farm.settle()) == ["idea-4"]
    assert len(farm.source.ids()) == 4


def test_a_file_that_is_rewritten_while_it_is_read_is_read_again(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm.write(section(1) + section(2))
    pread = os.pread

    def meddle(fd: int, length: int, at: int) -> bytes:
        monkeypatch.undo()
        data = pread(fd, length, at)
        farm.write(section(1) + section(9))
        return data

    monkeypatch.setattr(os, "pread", meddle)
    assert farm.poll() is None
    farm.settle()
    assert farm.source.ids() == ["idea-1", "idea-9"]


def test_what_grew_while_it_was_read_is_read_as_a_whole_next_time(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm.write(section(1) + section(2, "x" * 9000) + section(3))
    pread = os.pread

    def meddle(fd: int, length: int, at: int) -> bytes:
        monkeypatch.undo()
        data = pread(fd, length, at)
        farm.write(section(1, "edit") + section(2, "x" * 9000) + section(3) + section(4))
        return data

    monkeypatch.setattr(os, "pread", meddle)
    assert ids(farm.poll()) == ["idea-1", "idea-2"]
    farm.settle()
    assert farm.source.read("idea-1") == section(1, "edit")
    assert farm.source.ids() == ["idea-1", "idea-2", "idea-3", "idea-4"]


def test_an_edit_hidden_behind_an_append_is_found_by_verify(farm: Farm) -> None:
    text = section(1, "aaaa") + section(2, "x" * 9000)
    farm.write(text)
    farm.settle()
    assert not farm.source.verify()
    farm.write(text.replace("aaaa", "bbbb") + section(3))
    assert ids(farm.settle()) == ["idea-3"]
    assert farm.source.verify()
    assert ids(farm.settle()) == ["idea-1"]
    assert not farm.source.verify()


def test_an_edit_that_leaves_size_and_time_alone_is_found_by_verify(farm: Farm) -> None:
    farm.write(section(1, "aaaa") + section(2))
    farm.settle()
    before = farm.path.stat()
    farm.path.write_text(section(1, "bbbb") + section(2))
    os.utime(farm.path, ns=(before.st_mtime_ns, before.st_mtime_ns))
    assert farm.poll() is None
    with pytest.raises(StaleSection, match="idea-1 changed in the file just now"):
        farm.source.read("idea-1")
    assert farm.source.verify()
    assert ids(farm.settle()) == ["idea-1"]


def test_verify_leaves_a_change_that_poll_will_see_to_poll(farm: Farm) -> None:
    farm.write(section(1))
    farm.settle()
    farm.append(section(2))
    assert not farm.source.verify()
    farm.path.unlink()
    assert not farm.source.verify()


def test_the_bytes_of_a_section_are_read_again_and_checked(farm: Farm) -> None:
    farm.write("\ufeff" + section(1, "é") + section(2).replace("\n", "\r\n"))
    farm.settle()
    assert farm.source.read("idea-1") == section(1, "é")
    assert farm.source.read("idea-2") == section(2).replace("\n", "\r\n")
    assert farm.source.section("idea-2") == scan(farm.path.read_bytes())[1]
    with pytest.raises(StaleSection, match=r"idea-3 is not in ideas\.md now"):
        farm.source.read("idea-3")


def test_the_texts_of_many_sections_are_read_at_once(farm: Farm) -> None:
    farm.write(section(1) + section(2) + section(3) + "# end\n")
    update = farm.settle()
    assert update is not None
    found = scan(farm.path.read_bytes())
    farm.path.write_text(section(1) + section(2, "edited") + section(3) + "# end\n")
    texts = [text for _, text in farm.source.texts(found)]
    assert texts == [section(1), None, None]
    farm.path.unlink()
    assert [text for _, text in farm.source.texts(found)] == [None] * 3


def test_a_file_read_in_many_pieces_gives_what_the_scan_of_all_gives(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_PIECE", 7)
    many = "".join(section(n, "é```\n" * (n % 3)) for n in range(30))
    text = f"\ufeffintro\n{many}## idea-x: y\n\n## idea-31: z\n```\n{section(9)}"
    farm.write(text)
    farm.settle()
    *good, bad, last = scan(text.encode())
    assert [farm.source.section(found.id) for found in good] == good
    assert [problem.line for problem in farm.problems] == [bad.line, last.line + 1]


def test_too_much_between_two_ideas_is_a_problem_with_its_line(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_PIECE", 100)
    monkeypatch.setattr(stream, "_LONGEST", 1000)
    farm.write(section(1) + section(2, "x" * 5000) + section(3))
    farm.settle()
    assert [(bad.id, bad.line) for bad in farm.problems] == [(None, 4)]
    assert "without a new idea: split the file" in farm.problems[0].reason


PARTS = st.sampled_from(
    [
        *(section(n, text) for n in (1, 2, 3) for text in ("one", "two")),
        "## idea-4: four\n```yaml\na: 1\n```\n",
        "## idea-5: five\n```\n",
        "```\n",
        "# Notes\n",
        "text\n",
        "## idea-x: bad\n",
        "## idea-6: \0\n",
        "## idea",
        "-7: x\n",
        "\n",
        "é\r\n",
    ]
)
EDITS = st.one_of(
    st.tuples(st.just("append"), PARTS, st.just(0), st.just(0)),
    st.tuples(st.just("splice"), PARTS | st.just(""), st.integers(0, 200), st.integers(0, 80)),
    st.tuples(st.just("rename"), PARTS | st.just(""), st.integers(0, 200), st.integers(0, 80)),
    st.tuples(st.sampled_from(["touch", "poll", "wait", "remove"]), st.just(""), st.just(0), st.just(0)),
)


def edit(farm: Farm, kind: str, text: str, at: int, length: int) -> None:
    if kind == "poll":
        farm.poll()
    elif kind == "wait":
        farm.settle()
    elif kind == "remove":
        farm.path.unlink(missing_ok=True)
        farm.poll()
    elif kind == "touch" and farm.path.exists():
        farm.stamp(farm.path)
    else:
        data = farm.path.read_bytes() if farm.path.exists() else b""
        at = len(data) if kind == "append" else min(at, len(data))
        farm.write(data[:at] + text.encode() + data[at + length :], rename=kind == "rename")


@pytest.fixture(scope="module")
def folder() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as name:
        yield name


@settings(max_examples=250, deadline=None)
@given(st.lists(EDITS, max_size=14))
def test_after_any_edits_the_reader_knows_what_one_who_begins_anew_knows(
    folder: str, edits: list[tuple[str, str, int, int]]
) -> None:
    farm = Farm(folder)
    farm.path.unlink(missing_ok=True)
    farm.write(section(1) + section(2))
    bad = set()
    for change in edits:
        edit(farm, *change)
        bad |= {problem.id for problem in farm.problems}
    if not farm.path.exists():
        farm.write(section(3))
    farm.settle()
    other = Farm(folder)
    other.now = farm.now
    other.settle()
    bad |= {problem.id for problem in other.problems}
    assert farm.problems == other.problems
    assert farm.complete and other.complete
    assert {i: sha for i, sha in farm.believed.items() if i in other.believed} == other.believed
    assert set(farm.believed) - set(other.believed) <= bad
    assert farm.source.ids() == other.source.ids() == list(other.believed)
    for idea_id in other.believed:
        assert farm.source.section(idea_id) == other.source.section(idea_id)
