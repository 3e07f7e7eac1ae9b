"""One round: what it leaves, what it costs, what goes wrong in it, and a crash at every operation."""

import json
import os
import signal

import pytest
from round_examples import INBOX, brief, inbox, job, ledger, program, project, run

from orze.core.clock import SystemClock
from orze.core.files import RealFiles, make_dirs
from orze.core.paths import FarmPaths
from orze.ideas.merge import renumber
from orze.ideas.parse import parse
from orze.research.brief import Brief
from orze.research.ledger import Ledger
from orze.research.process import RoundProcess
from orze.research.proposers import Cost
from orze.research.round import plus, run_round, unaffordable
from tests.fakes.shares import Died, Killed

IDEA = {
    "title": "Wider",
    "family": "width",
    "hypothesis": "It is too narrow.",
    "overrides": {"training": {"width": 32}},
}
PRICE = {"input": 1.0, "output": 2.0}


def ideas(*values):
    """What a program prints: one idea for each width."""
    told = [{**IDEA, "title": f"w {value}", "overrides": {"training.width": value}} for value in values]
    return f"print({json.dumps(json.dumps({'ideas': told}))})"


def test_a_round_leaves_ideas_that_can_be_read_and_says_what_it_did():
    files = project()
    outcome = run(files, ideas_per_round=3)
    assert outcome.round["new"] == 3
    assert inbox(files) == [f"research-000001-0{index}.md" for index in (1, 2, 3)]
    idea = parse(
        renumber(files.read(f"{INBOX}/research-000001-01.md", 9999).decode(), "idea-1"), path="", line=1
    )
    assert ("Origin", "round 1, hillclimb") in idea.fields
    assert [entry.arm for entry in ledger(files).fold.rounds[0].entries] == ["hillclimb"] * 3


def test_two_rounds_leave_different_names():
    files = project()
    run(files, 1)
    run(files, 2)
    assert len(inbox(files)) == len(set(inbox(files))) == 8


def test_a_number_that_was_run_is_not_run_again():
    files = project()
    run(files, 1)
    before = inbox(files)
    outcome = run(files, 1)
    assert (outcome.round, outcome.refused, outcome.fault) == (None, "", "")
    assert inbox(files) == before


def test_after_a_crash_at_any_operation_no_round_is_run_twice_and_no_idea_comes_twice():
    crashes = kept = 0
    for at in range(400):
        files = project()
        try:
            run(Killed(files, at), ideas_per_round=2)
            break
        except Died:
            crashes += 1
        books = ledger(files)
        left = inbox(files)
        kept += bool(left)
        if books.fold.open:
            assert books.settle(1)
        number = len(books.fold.rounds) + 1
        assert run(files, number, ideas_per_round=2).round["new"] == 2
        assert len(ledger(files).fold.rounds) == number
        assert set(left) <= set(inbox(files))
        assert len(inbox(files)) == len(left) + 2 if number == 2 else 2
    assert crashes > 40
    assert kept


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("print('no JSON at all')", "not JSON"),
        ('print(\'{"ideas": [{"title": 5}]}\')', "title"),
        ("raise SystemExit(3)", "3"),
        (ideas(32).replace("training.width", "training.wdith"), "wdith"),
    ],
)
def test_junk_is_dropped_counted_and_explained(tmp_path, text, said):
    files = on_disk(tmp_path)
    ended = run_there(files, tmp_path, program(text))
    assert (ended.ended, ended.entries) == (True, ())
    assert said in " ".join([*ended.dropped, ended.error])
    assert ended.empty


def test_a_program_is_told_what_was_wrong_and_what_was_right_is_kept(tmp_path):
    text = f"""
import os, sys
asked = sys.stdin.read()
again = os.path.exists("asked")
open("asked", "a").write(asked)
if again:
    {ideas(64)}
else:
    {ideas(32, "wide")}
"""
    ended = run_there(on_disk(tmp_path), tmp_path, program(text))
    assert [entry.title for entry in ended.entries] == ["w 32", "w 64"]
    assert (ended.proposed, ended.valid, ended.dropped) == (2, 2, ())
    assert "wide" in (tmp_path / "asked").read_text()


def test_a_duplicate_is_valid_but_not_new(tmp_path):
    ended = run_there(on_disk(tmp_path), tmp_path, program(ideas(32, 32)))
    assert (ended.proposed, ended.valid, len(ended.entries)) == (2, 2, 1)


def test_no_more_is_left_than_one_round_may(tmp_path):
    ended = run_there(on_disk(tmp_path), tmp_path, program(ideas(*range(20, 40))))
    assert len(ended.entries) == 4


def test_a_configuration_that_waits_is_not_proposed_again(tmp_path):
    files = on_disk(tmp_path)
    sections = [(7, 32), (8, 64)]
    text = [f"## idea-{n}: T\n\n```yaml\ntraining: {{width: {width}}}\n```\n\n" for n, width in sections]
    (tmp_path / "ideas.md").write_text("".join(text))
    ended = run_there(files, tmp_path, program(ideas(32, 64)), waiting=["idea-7"])
    assert [entry.title for entry in ended.entries] == ["w 64"]


@pytest.mark.parametrize(
    ("research", "said"),
    [
        ({"budget": {"usd": 0.001}, "price": PRICE}, "a round may cost 0.1"),
        ({"budget": {"tokens": 1000}, "price": PRICE}, "tokens, and 1000 of budget.tokens are left"),
    ],
)
def test_a_round_that_the_budget_does_not_cover_is_refused_before_anything_is_asked(research, said):
    files = project()
    outcome = run(files, mode="llm", model="nobody/knows", **research)
    assert said in outcome.refused
    assert ledger(files).fold.rounds == []


def test_a_budget_in_dollars_is_not_held_with_a_price_that_nobody_knows():
    told = brief(mode="llm", model="nobody/knows", budget={"usd": 5.0})
    assert "the price of m is not known" in unaffordable(told, "m", Cost(None, 10), ledger(project()))


def test_what_an_earlier_round_spent_counts():
    files = project()
    books = ledger(files)
    books.begin(1, proposer="llm", model="m", control=False, reserved=Cost(0.9, 10))
    books.settle(1)
    refused = run(files, 2, mode="llm", model="m", price=PRICE, budget={"usd": 1.0}).refused
    assert "0.1000 of budget.usd are left" in refused


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (Cost(), Cost(), Cost()),
        (Cost(0.1, 5), Cost(0.2, 6), Cost(0.30000000000000004, 11)),
        (Cost(None, 5), Cost(0.2, 6), Cost(None, 11)),
        (Cost(0.2, 6), Cost(None, 5), Cost(None, 11)),
    ],
)
def test_a_price_that_is_not_known_makes_the_sum_unknown(one, other, both):
    assert plus(one, other) == both


def test_the_process_answers_and_its_group_ends_with_it(tmp_path):
    files, paths = on_disk(tmp_path), FarmPaths(str(tmp_path / "results"))
    process = RoundProcess(job(home=str(tmp_path), ideas_per_round=2))
    outcome = process.ended(os.waitpid(process.pid, 0)[1], files, paths)
    assert (outcome.fault, outcome.round["new"]) == ("", 2)
    assert not alive(process.pid)
    frame = books_of(files, tmp_path).fold.frame
    assert frame["pid"] == process.pid


def test_a_round_that_hangs_ends_at_its_time_limit_and_its_program_with_it(tmp_path, monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", "abcdefgh-secret")
    files, paths = on_disk(tmp_path), FarmPaths(str(tmp_path / "results"))
    os.mkfifo(tmp_path / "pid")
    text = "import os, sys; print(os.environ, file=sys.stderr, flush=True); "
    text += "open('pid', 'w').write(str(os.getpid())); open('pid').read()"
    research = {"mode": "command", "command": program(text), "round_timeout": 2.0}
    process = RoundProcess(job(home=str(tmp_path), **research))
    program_pid = int((tmp_path / "pid").read_text())
    outcome = process.ended(os.waitpid(process.pid, 0)[1], files, paths)
    assert outcome.round["new"] == 0
    assert outcome.round["error"]
    assert not alive(program_pid)
    written = [path for path in (tmp_path / "results").rglob("*") if path.is_file()]
    assert len(written) >= 4
    assert [path for path in written if b"abcdefgh-secret" in path.read_bytes()] == []


def test_a_round_that_is_killed_says_how_it_ended_and_leaves_an_open_round(tmp_path):
    files, paths = on_disk(tmp_path), FarmPaths(str(tmp_path / "results"))
    os.mkfifo(tmp_path / "asked")
    text = "open('asked', 'w').write('x'); open('asked').read()"
    process = RoundProcess(job(home=str(tmp_path), mode="command", command=program(text)))
    (tmp_path / "asked").read_text()
    process.kill()
    outcome = process.ended(os.waitpid(process.pid, 0)[1], files, paths)
    assert f"signal {signal.SIGKILL.value}" in outcome.fault
    assert books_of(files, tmp_path).fold.open is not None
    assert (tmp_path / "results/.orze/research/round.log").exists()


# ---- on a real disk, for programs


def on_disk(home):
    files = RealFiles()
    (home / "configs").mkdir()
    (home / "configs/base.yaml").write_text("training: {lr: 0.1, width: 16}\n")
    (home / "ideas.md").write_text("# Ideas\n")
    make_dirs(files, f"{home}/results/.orze")
    return files


@pytest.fixture(autouse=True)
def _in_the_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # as the process of a round does


def run_there(files, home, command, waiting=()):
    """Run a round of a program; the round as the books have it."""
    told = {**job(home=str(home), mode="command", command=command), "waiting": list(waiting)}
    run_round(told, files, SystemClock(), frame={})
    return books_of(files, home).fold.rounds[0]


def books_of(files, home):
    one = Ledger(files, FarmPaths(str(home / "results")), SystemClock(), frame={})
    one.refresh()
    return one


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_a_brief_is_the_same_behind_a_pipe():
    told = job(3)["brief"]
    assert Brief.of(json.loads(json.dumps(told))).plain() == told


@pytest.mark.parametrize("bad", [{"more": 1}, {"top": [{"nobody": 1}]}])
def test_a_brief_with_members_of_another_version_is_refused(bad):
    with pytest.raises(TypeError):
        Brief.of({**job()["brief"], **bad})
