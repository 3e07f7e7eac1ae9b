"""How attempts end: every cause of failure told apart, by one farm that runs them all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from farmhouse import SHORT_LEASE, Farm, idea

from orze.core.states import Cause

# What the script does -> the cause, and what the error says.
ENDS = {
    "raises": ("raise ValueError('bad | <b>`shape`')", Cause.EXCEPTION, "ValueError: bad | <b>`shape`"),
    "exits with a code": (
        "print('no data', flush=True)\nos._exit(3)",
        Cause.EXIT_CODE,
        "code 3: no data",
    ),
    "is killed": ("os.kill(os.getpid(), signal.SIGKILL)", Cause.SIGNAL, "SIGKILL"),
    "says that it failed": ("metrics('FAILED', error='no such split')", Cause.SCRIPT, "no such split"),
    "fails and says why": ("metrics('FAILED', error='no split')\nos._exit(1)", Cause.SCRIPT, "no split"),
    "takes too long": ("rest()", Cause.TIMEOUT, "time limit of 1 s"),
    "takes too long and is deaf": ("ignore_term()\nleave_children()\nrest()", Cause.TIMEOUT, "limit of 1 s"),
    "shows no progress": ("print('up', flush=True)\nrest()", Cause.STALL, "grew for 2 s"),
    "needs too much of the card": ("raise RuntimeError('CUDA out of memory')", Cause.CUDA_OOM, "CUDA out of"),
    "needs too much of the host": ("raise MemoryError", Cause.HOST_OOM, "MemoryError"),
    "meets a full disk": ("raise OSError(28, 'No space left on device')", Cause.DISK_FULL, "No space left"),
    "writes no metrics": ("pass", Cause.NO_METRICS, "write <--results-dir>/<--idea-id>/metrics.json"),
    "writes past its --results-dir": (
        "open(f'results/{idea}/metrics.json', 'w').write('{\"status\": \"COMPLETED\"}')",
        Cause.METRICS_MISPLACED,
        "--results-dir",
    ),
    "writes half a file": ("write('metrics.json', '{\"status\":')", Cause.METRICS_NOT_JSON, "json:1:"),
    "writes a list": ("write('metrics.json', '[1]')", Cause.METRICS_NOT_OBJECT, "holds a list"),
    "writes a novel": ("metrics(text='x' * (1 << 21))", Cause.METRICS_TOO_LARGE, "larger than 1 MiB"),
    "links to a file": ("os.symlink('/etc/fstab', f'{out}/metrics.json')", Cause.METRICS_NOT_FILE, "a link"),
    "invents a status": ("metrics('GREAT', val_accuracy=1.0)", Cause.METRICS_BAD_STATUS, '"GREAT"'),
    "diverges": ("metrics(val_loss=float('nan'))", Cause.METRICS_NOT_FINITE, "is nan"),
}
# What goes well all the same.
WELL = {
    "handles an exception": "try: 1 / 0\nexcept ArithmeticError: traceback.print_exc()\nmetrics()",
    "speaks of memory": "print('CUDA out of memory, trying a smaller batch', flush=True)\nmetrics()",
    "leaves deaf children": "leave_children()\nmetrics()",
    "writes eval.json": "write('eval.json', json.dumps({'metrics': {'val_loss': 0.25}}))",
    "prints all the time": "for _ in range(24): print('on', flush=True); pause(0.1)\nmetrics()",
    "prints what is not text": "os.write(1, bytes(range(256)) * 100)\nmetrics()",
}
NUMBERS = {name: f"idea-{number:03d}" for number, name in enumerate([*ENDS, *WELL], 1)}


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A farm in which everything has ended."""
    home = tmp_path_factory.mktemp("causes") / "project"
    farm = Farm(home, grace=0.2, stall_minutes=2 / 60, lease=SHORT_LEASE)
    limits = {"takes too long": "1s", "takes too long and is deaf": "1s"}
    scripts = {name: script for name, (script, _, _) in ENDS.items()} | WELL
    farm.write(
        *(
            idea(number, scripts[name], title=name, Timeout=limits.get(name, "30s"))
            for number, name in enumerate(scripts, 1)
        )
    )
    farm.start(gpus="cpu:6")
    farm.wait(lambda: farm.states() == {"FAILED": len(ENDS), "COMPLETED": len(WELL)}, "all ends", 60)
    yield farm
    farm.close()
    farm.check()


@pytest.mark.parametrize("name", ENDS)
def test_an_attempt_that_ends_badly_fails_with_its_own_cause_when_its_script(ended, name):
    _, cause, said = ENDS[name]
    last = ended.last(NUMBERS[name])
    assert ended.kinds(NUMBERS[name]) == ["CLAIM", "FAIL"]
    assert (last["cause"], last["final"]) == (cause, True)
    assert said in last["error"]


@pytest.mark.parametrize("name", WELL)
def test_an_attempt_completes_though_its_script(ended, name):
    assert ended.kinds(NUMBERS[name]) == ["CLAIM", "DONE"]


def test_a_deaf_script_gets_one_term_and_is_killed_after_the_grace(ended):
    idea_id = NUMBERS["takes too long and is deaf"]
    heard = ended.events("deaf", idea_id)
    assert len(heard) == 1
    assert heard[0]["at"] - ended.starts(idea_id)[0]["at"] > 0.5
    assert ended.events("grandchild", idea_id)
    assert not ended.events("end", idea_id)


def test_nothing_of_an_ended_attempt_is_left(ended):
    assert not ended.processes("train_idea.py")
    inside = ended.results / ".orze"
    assert not list((inside / "doors").iterdir())
    assert {path.name.partition(".")[0] for path in (inside / "heartbeats").iterdir()} == {"daemon"}


def test_status_json_tells_every_failure_with_its_cause_and_what_to_do(ended):
    told = {failure["idea_id"]: failure for failure in ended.status()["recent_failures"]}
    assert {idea_id: told[idea_id]["cause"] for idea_id in told} == {
        NUMBERS[name]: str(cause) for name, (_, cause, _) in ENDS.items()
    }
    assert all(failure["what_to_do"] for failure in told.values())


def test_hostile_text_of_an_error_breaks_no_table_of_the_report(ended):
    row = next(line for line in ended.report().splitlines() if "ValueError" in line)
    assert row.startswith("| idea-001 ")
    assert "<b>" not in row
    assert row.replace("\\|", "").count("|") == 8


def test_the_metrics_file_at_the_top_says_why_an_idea_failed(ended):
    top = ended.results / NUMBERS["raises"] / "metrics.json"
    assert '"status": "FAILED"' in top.read_text()
    assert '"cause": "exception"' in top.read_text()


def test_causes_that_no_script_can_bring_about_here_are_the_only_ones_not_shown():
    shown = {cause for _, cause, _ in ENDS.values()}
    elsewhere = {Cause.START, Cause.PRE_SCRIPT, Cause.STOPPED, Cause.PREEMPTED, Cause.HOST_LOST, Cause.PRUNED}
    elsewhere |= {Cause.PROTECTED}  # test_e2e_commits
    assert shown | elsewhere == set(Cause)
