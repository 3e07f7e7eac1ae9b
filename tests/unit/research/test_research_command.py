"""A program that proposes gets what a model would get; its whims cost a bounded time and leave nothing."""

import json
import os
import signal
import sys
import time

import pytest
from proposal_examples import idea, study, trial

from orze.attempt import tree
from orze.research.program import run_program
from orze.research.proposers import Cost, ProposerError, make_proposer

REPLY = json.dumps({"ideas": [idea()]})


def command(tmp_path, code, *, seconds=60.0):
    script = tmp_path / "agent.py"
    script.write_text(code, encoding="utf-8")
    known = study([trial(1, {}, 0.5)], project_dir=str(tmp_path))
    settings = {"command": (sys.executable, str(script)), "round_timeout": seconds}
    return make_proposer("command", known, settings), known


def ask(tmp_path, code, *, seconds=60.0, faults=(), last=""):
    proposer, known = command(tmp_path, code, seconds=seconds)
    return proposer.propose(known, 2, list(faults), last)


def test_what_it_prints_is_the_reply_and_nobody_knows_what_it_cost(tmp_path):
    reply = ask(tmp_path, f"print({REPLY!r})")
    assert json.loads(reply.text) == json.loads(REPLY)
    assert reply.cost == Cost(usd=None, tokens=0)


def test_it_reads_what_is_known_and_what_was_wrong(tmp_path):
    code = "import sys, os; open('seen', 'w').write(sys.stdin.read() + os.getcwd())"
    ask(tmp_path, code, faults=["idea 1: there is no key lrr"], last="the reply of before")
    seen = (tmp_path / "seen").read_text(encoding="utf-8")
    assert "training.lr" in seen
    assert "there is no key lrr" in seen
    assert "the reply of before" in seen
    assert seen.endswith(str(tmp_path))


def test_it_has_the_keys_that_a_local_agent_needs(tmp_path, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key")
    assert ask(tmp_path, "import os; print(os.environ['ANTHROPIC_API_KEY'])").text == "a-key\n"


def test_junk_is_told_by_whoever_reads_the_reply(tmp_path):
    proposer, known = command(tmp_path, "import sys; sys.stdout.buffer.write(b'Sure!\\xff')")
    assert proposer.repairs
    assert proposer.propose(known, 1, [], "").text == "Sure!\ufffd"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "import sys; sys.stderr.write('no\\nNot logged in\\x1b\\n\\n'); exit(1)",
            "status 1: Not logged in",
        ),
        ("import sys; sys.exit(3)", "status 3: it said nothing on standard error"),
        ("import os; os.kill(os.getpid(), 9)", "status -9"),
        ("import sys\nwhile True: sys.stdout.write('x' * 65536)", "printed more than 1024 KiB and was ended"),
    ],
)
def test_what_goes_wrong_is_one_sentence(tmp_path, code, said):
    with pytest.raises(ProposerError, match=r"research\.command") as fault:
        ask(tmp_path, code)
    assert said in str(fault.value)
    assert str(fault.value).isprintable()


def test_a_program_that_is_not_there_is_told(tmp_path):
    known = study(project_dir=str(tmp_path))
    with pytest.raises(ProposerError, match=r"status 127: .*no-such-agent.*not found"):
        make_proposer("command", known, {"command": ["no-such-agent"]}).propose(known, 1, [], "")


def test_without_a_command_it_says_so():
    with pytest.raises(ProposerError, match="names no program"):
        make_proposer("command", study(), {"command": ()})


HANGS = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
open('pids', 'a').write(f'{os.getpid()}\\n')
time.sleep(600)
"""


def test_one_that_hangs_and_ignores_sigterm_is_ended_with_all_that_it_started(tmp_path, monkeypatch):
    monkeypatch.setattr("orze.research.program._GRACE", 0.2)
    begun = time.monotonic()
    with pytest.raises(ProposerError, match="took longer than the round may take"):
        ask(tmp_path, HANGS, seconds=1.0)
    assert time.monotonic() - begun < 20
    pids = [int(line) for line in (tmp_path / "pids").read_text(encoding="utf-8").split()]
    assert len(pids) == 2
    assert [pid for pid in pids if os.path.exists(f"/proc/{pid}")] == []


def test_what_it_leaves_running_in_the_background_does_not_keep_the_round(tmp_path):
    code = "import os, time\nif os.fork() == 0: time.sleep(600)\nprint('done')"
    assert ask(tmp_path, code, seconds=60.0).text == "done\n"


def test_children_that_are_not_its_own_are_left_alone(tmp_path):
    other = os.spawnv(os.P_NOWAIT, "/bin/sleep", ["sleep", "600"])
    try:
        ran = run_program(["true"], "", cwd=str(tmp_path), env=os.environ, seconds=60, limit=10)
        assert ran.status == 0
        assert other in tree.children()
    finally:
        os.kill(other, signal.SIGKILL)
        os.waitpid(other, 0)


def test_a_long_text_reaches_a_program_that_reads_none_of_it(tmp_path):
    ran = run_program(
        ["echo", "a b"], "x" * 5_000_000, cwd=str(tmp_path), env=os.environ, seconds=60, limit=10
    )
    assert (ran.status, ran.output, ran.why) == (0, b"a b\n", "")
