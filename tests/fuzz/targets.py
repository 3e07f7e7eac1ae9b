"""What is fuzzed: each target takes bytes from outside, and fails where our code does not bear them.

A target returns where the input was taken or refused as the pages say, and raises anything else: a traceback
that is none of the documented errors, or an AssertionError where something came through that must not.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from orze.attempt.metrics import LINE_LIMIT, MetricsError, parse_progress_line, read_metrics
from orze.attempt.projections import claim_of, directory_of, metrics_of
from orze.config.lease import lease_problems
from orze.config.load import load_settings
from orze.coord.chain import Chain
from orze.coord.heartbeat import SIZE, Watch
from orze.coord.idea_chain import IdeaFold
from orze.coord.journal import JournalFold
from orze.coord.leader import LeaderFold
from orze.coord.record import decode, encode, is_host, is_name, slot_name
from orze.coord.requests import KINDS, pending
from orze.core.clock import ManualClock
from orze.core.errors import ConfigError
from orze.core.files import make_dirs
from orze.core.memory import MemoryFiles
from orze.farm.board import result_of
from orze.farm.hosts import row_of
from orze.farm.launch import trained_of
from orze.farm.outcomes import outcome_of
from orze.ideas.merge import renumber
from orze.ideas.parse import IdeaError, load_config, parse
from orze.ideas.scan import scan_all
from orze.ideas.stream import scan_file
from orze.report.columns import format_value
from orze.report.leaderboard import Leaderboard
from orze.report.text import clean, number

_HOME = Path(tempfile.mkdtemp(prefix="orze-fuzz-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
_CHAIN = "/results/idea-001/.chain"


def ideas(data: bytes) -> None:
    """ideas.md: sections lie where they say, a file read in pieces gives the same, what parses loads."""
    whole = scan_all(data)
    fd = os.open(_HOME, os.O_TMPFILE | os.O_RDWR)
    try:
        os.write(fd, data)
        pieces = [section for found in scan_file(fd, end=len(data)) for section in found.sections]
    finally:
        os.close(fd)
    assert [(s.id, s.offset, s.length, s.sha) for s in pieces] == [
        (s.id, s.offset, s.length, s.sha) for s in whole.sections
    ]
    end = 0
    for section in whole.sections:
        assert end <= section.offset
        end = section.offset + section.length
        assert end <= len(data)
        if not section.problem:
            _section(data[section.offset : end].decode())


def _section(text: str) -> None:
    try:
        idea = parse(text, path="ideas.md", line=1)
        load_config(text, path="ideas.md", line=1)
    except IdeaError:
        return
    assert 1 <= idea.gpus <= 1024
    assert is_name(idea.id)


def values(data: bytes) -> None:
    """The YAML of an idea: plain values within the bounds, or an IdeaError with its line."""
    text = data.decode("utf-8", "replace")
    section = f"## idea-1: a\n\n```yaml\n{text}\n```\n"
    try:
        found = load_config(section, path="ideas.md", line=1)
    except IdeaError as fault:
        assert 1 <= fault.line <= len(section.splitlines()) + 1
        return
    assert _weight(found) <= 10_100
    json.dumps(found)


def _weight(value: object, depth: int = 0) -> int:
    assert depth <= 21
    if isinstance(value, dict):
        assert all(isinstance(key, str) for key in value)
        return 1 + sum(_weight(inner, depth + 1) for inner in value.values())
    if isinstance(value, list):
        return 1 + sum(_weight(inner, depth + 1) for inner in value)
    assert value is None or isinstance(value, str | int | float | bool)
    return 1


def metrics(data: bytes) -> None:
    """metrics.json: finite JSON, or one of the causes with one sentence."""
    path = _HOME / "metrics.json"
    path.write_bytes(data)
    try:
        found = read_metrics(str(_HOME))
    except MetricsError as error:
        assert "\n" not in error.sentence
        assert len(error.sentence) < 3000
        return
    encode({"metrics": found.values})


def progress(data: bytes) -> None:
    """progress.jsonl: each line is an object that can be shown, or none."""
    for line in data.split(b"\n"):
        found = parse_progress_line(line)
        assert found is None or len(encode({"last": found})) < 100 * LINE_LIMIT


def settings(data: bytes) -> None:
    """orze.yaml: settings that keep the inequalities, or sentences."""
    (_HOME / "orze.yaml").write_bytes(data)
    try:
        found = load_settings(None, {}, _HOME, {"HOME": "/home/ada"})
    except ConfigError as error:
        assert error.problems
        assert all(problem and "\n" not in problem for problem in error.problems)
        return
    assert not lease_problems(found.lease, found.lease.attribute_cache or 0.0)
    found.for_host("gpu-a")


def _chained(data: bytes, fold: IdeaFold | LeaderFold | JournalFold) -> None:
    """Slots of a chain, one a line; a line that begins with `+` gets the predecessor that makes it count."""
    files = MemoryFiles()
    make_dirs(files, _CHAIN)
    chain = Chain(files, _CHAIN, fold, ManualClock())
    for slot, line in enumerate(data.split(b"\n")[:12], 1):
        raw = line
        if line.startswith(b"+"):
            try:
                record = decode(line[1:])
                raw = encode({**_named(record, fold.tail), "prev": fold.tail})
            except ValueError:
                raw = line
        files.write_new(f"{_CHAIN}/{slot_name(slot)}", raw)
        try:
            chain.refresh()
        except OSError:
            return  # a slot that cannot be read decides nothing, and nothing behind it is read


def _named(record: dict[str, object], tail: str) -> dict[str, object]:
    return {name: tail if value == "$tail" else value for name, value in record.items()}


def idea_chain(data: bytes) -> None:
    """Records of an idea: whatever counts can be shown, journaled and used as a path."""
    fold = IdeaFold()
    _chained(data, fold)
    encode({"claim": claim_of(fold.claim or {}), "state": fold.state})
    assert is_name(directory_of(fold))
    assert not fold.token or is_name(fold.token)
    for record in filter(None, (fold.claim, fold.trained, fold.end)):
        for name, kind in (("pid", int), ("start", int), ("seconds", float), ("at", float)):
            assert math.isfinite(kind(record.get(name, 0)))
    if fold.trained:
        trained = trained_of(fold)
        assert trained
        assert is_name(trained["directory"])
    if fold.end:
        json.dumps(metrics_of(fold.end))
        found = outcome_of(fold)
        assert found
        encode({"outcomes": [["idea-001", *found]]})
        board = Leaderboard()
        board.add(result_of("idea-001", *found, 1))
        _shown(board)


def leader_chain(data: bytes) -> None:
    """Records of the leader's chain."""
    fold = LeaderFold()
    _chained(data, fold)
    assert fold.term >= 0
    assert not fold.token or is_name(fold.token)


def journal(data: bytes) -> None:
    """Records of the journal: every id is a name, and every outcome can stand in the report."""
    fold = JournalFold()
    _chained(data, fold)
    changed, outcomes = fold.drain()
    assert all(map(is_name, changed))
    assert all(map(is_name, fold.ideas))
    assert all(map(is_name, fold.allocated.values()))
    assert all(map(is_host, [*fold.drained, *fold.cards]))
    board = Leaderboard()
    for order, (idea_id, state, facts) in enumerate(outcomes, 1):
        if state:
            board.add(result_of(idea_id, state, facts, order))
    _shown(board)


def _shown(board: Leaderboard) -> None:
    board.history()
    for ranked in board.top(10):
        for value in ranked.result.metrics.values():
            assert len(format_value(value, ".4f")) <= 200
        number(ranked.result.seconds)
        clean(ranked.result.title, 70)


def requests(data: bytes) -> None:
    """A request: understood, or answered with what is wrong."""
    files = MemoryFiles()
    make_dirs(files, "/requests")
    files.write_new("/requests/a.json", data)
    for found in pending(files, "/requests"):
        assert found.problem or (found.kind in KINDS and found.target)
        assert len(found.value) <= 1000 or found.problem
        assert len(found.by) <= 100
        encode({"answers": [[found.uuid, found.problem, False]], "by": found.by})


def hosts(data: bytes) -> None:
    """What a host tells of itself: a row of bounded numbers, or none."""
    try:
        about = decode(data)
    except ValueError:
        return
    row = row_of(about, leader=False)
    if row is None:
        return
    assert isinstance(row.running, int)
    for card in row.cards:
        for memory in (card.memory_used_mib, card.memory_total_mib):
            assert memory is None or math.isfinite(memory)


def entry(data: bytes) -> None:
    """An entry of the inbox: exactly one section under the id that is given, or an IdeaError."""
    try:
        text = renumber(data.decode(), "idea-007")
    except (IdeaError, UnicodeDecodeError):
        return
    found = scan_all(text.encode())
    assert [section.id for section in found.sections] == ["idea-007"]
    assert not found.unclosed


def heartbeat(data: bytes) -> None:
    """A heartbeat file of any content proves no death at the first look, nor while it changes."""
    files, clock = MemoryFiles(), ManualClock()
    make_dirs(files, "/beats")
    files.write_new("/beats/a", data)
    watch = Watch(files, clock, steal=10, gap=5)
    dead = []
    for _ in range(5):
        dead = watch.look(["/beats/a"], {"/beats/a"})
        clock.sleep(4)
    assert bool(dead) == (len(data) <= SIZE)


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (
        *(ideas, values, metrics, progress, settings, idea_chain, leader_chain, journal),
        *(requests, hosts, entry, heartbeat),
    )
}
