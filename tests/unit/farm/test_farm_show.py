"""What is shown costs a bounded part of the leader's time, however large the farm is."""

from __future__ import annotations

import json
from pathlib import Path

from farm_examples import ELSEWHERE, Played, a_leader

from orze.farm.show import Show


def test_the_free_slots_of_a_large_farm_are_told_from_some_of_its_hosts(tmp_path: Path):
    members = a_leader(tmp_path)
    paths = members.context.paths
    show = Show(members.context, members)
    for number in range(100):
        token = f"{number:04d}{ELSEWHERE.new_token()}"
        Path(paths.heartbeat("daemon", token)).write_bytes(b"%020d\n" % 1)
        Path(paths.host(token)).write_text(json.dumps({"cards": [], "running": 0, "free": 3}))
    members.attempts.look(judge=False, clones=False)
    members.leadership.resign()  # the leader reads all of them for the report
    assert show.farm_slots() == 1
    show.after_cycle({})
    assert show.farm_slots() == 300
    assert len(members.hosts._seen) == 32


def test_one_report_reads_the_states_of_some_attempts_and_the_next_ones_those_of_others(tmp_path: Path):
    members = a_leader(tmp_path)
    show = Show(members.context, members)
    for number in range(1, 101):
        Played(members.context, f"idea-{number:03d}", ELSEWHERE)
    members.attempts.look(judge=True, clones=False)
    read: list[str] = []
    refresh = members.attempts.refresh
    members.attempts.refresh = lambda attempt: (read.append(attempt.idea_id), refresh(attempt))[1]
    show.write()
    assert len(read) == len(set(read)) == 64
    show.write()
    assert len(set(read)) == 100


def test_a_report_that_takes_long_to_write_is_written_the_less_often(tmp_path: Path):
    members = a_leader(tmp_path)
    clock = members.context.clock
    show = Show(members.context, members)
    show.write()
    show.changed()
    assert show.due() - clock.steady() == 1.0
    rows = members.hosts.rows
    members.hosts.rows = lambda tokens, leader: (clock.advance(4.0), rows(tokens, leader))[1]
    show.write()
    begun = clock.steady() - 4.0
    show.changed()
    assert show.due() == begun + 40.0
