"""The course of one attempt, from its claim to its last record, in real keepers."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from keeper_pipes import QUICK, Farm, Keeper, command, content, until

from orze.core.identity import start_time
from orze.core.states import State

ROOT = Path(__file__).parents[3]
WELL = "metrics(status='COMPLETED', val_loss=0.5)\n"
READY = "open(os.path.join(home, 'ready'), 'w').close()\n"
REST = "import signal; signal.pause()"


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    made = Farm(tmp_path)
    yield made
    made.close()


def run(farm: Farm, code: str = WELL, **changes) -> Keeper:
    """One attempt from its claim to its end."""
    keeper = farm.keeper()
    keeper.go(code, **changes)
    keeper.wait()
    return keeper


def failure(farm: Farm) -> tuple[str, str]:
    end = farm.records()[-1]
    assert end["kind"] == "FAIL"
    return end["cause"], end["error"]


# ---- how a training ends


@pytest.mark.parametrize(
    ("code", "cause", "words"),
    [
        ("", "no_metrics", "wrote no metrics.json"),
        ("metrics(status='FAILED', error='bad data')", "script", "bad data"),
        ("metrics(status='FAILED', error='bad data')\nsys.exit(3)", "script", "bad data"),
        ("metrics(status='COMPLETED')\nsys.exit(3)", "exit_code", "exit code 3"),
        ("raise ValueError('no such layer')", "exception", "ValueError: no such layer"),
        ("os.kill(os.getpid(), 9)", "signal", "SIGKILL"),
        ("metrics(status='DONE')", "metrics_bad_status", '"DONE"'),
        ("metrics(status='COMPLETED', val_loss=float('nan'))", "metrics_not_finite", "nan"),
        ("open(os.path.join(home, 'metrics.json'), 'w').write('{')", "metrics_not_json", "not JSON"),
        ("os.symlink('x', os.path.join(home, 'metrics.json'))", "metrics_not_file", "link"),
        ("os.mkfifo(os.path.join(home, 'metrics.json'))", "metrics_not_file", "pipe"),
        ("print('CUDA out of memory'); sys.exit(1)", "cuda_oom", "CUDA out of memory"),
        ("print('OSError: [Errno 28] No space left on device'); sys.exit(1)", "disk_full", "No space"),
    ],
)
def test_every_bad_end_has_its_cause_and_a_sentence(farm: Farm, code: str, cause: str, words: str):
    run(farm, code + "\n")
    found, error = failure(farm)
    assert (found, farm.fold.state) == (cause, State.FAILED)
    assert words in error
    assert content(farm.idea("metrics.json")) == {"status": "FAILED", "cause": cause, "error": error}
    assert (farm.heartbeats(), farm.doors()) == ([], [])


def test_a_command_that_is_not_there_is_a_cause_of_its_own(farm: Farm):
    run(farm, train={**command(""), "argv": [str(farm.home / "no-python"), "train.py"]})
    assert failure(farm) == ("start", f"{farm.home}/no-python: No such file or directory")


def test_a_working_directory_that_is_not_there_is_told(farm: Farm):
    run(farm, cwd=str(farm.home / "gone"))
    assert failure(farm) == ("start", f"{farm.home}/gone: No such file or directory")


def test_a_training_that_takes_too_long_is_ended(farm: Farm):
    run(farm, train=command("import signal; signal.pause()", timeout=0.3), grace=0.1)
    cause, error = failure(farm)
    assert cause == "timeout"
    assert "time limit" in error


def test_a_training_that_shows_no_progress_is_ended_and_one_that_does_is_not(farm: Farm):
    run(farm, "print('once', flush=True); import signal; signal.pause()", stall=0.3, lease=QUICK)
    cause, error = failure(farm)
    assert cause == "stall"
    assert "progress.jsonl" in error


def test_progress_of_either_file_keeps_a_training_alive(farm: Farm):
    code = (
        "import time\n"
        "end = time.monotonic() + 1.0\n"
        "with open(os.path.join(home, 'progress.jsonl'), 'a') as stream:\n"
        "    while time.monotonic() < end:\n"
        "        print('{}', file=stream, flush=True); time.sleep(0.05)\n" + WELL
    )
    run(farm, code, stall=0.5, lease=QUICK)
    assert farm.fold.state is State.COMPLETED


def test_a_stop_wins_over_what_the_script_said(farm: Farm):
    keeper = farm.keeper()
    keeper.go(
        "import signal\nsignal.signal(15, lambda *_: (metrics(status='COMPLETED'), os._exit(0)))\n"
        + READY
        + REST
    )
    until((keeper.directory / "ready").exists)
    keeper.stop_request.write_text("stop\n")
    keeper.signal(signal.SIGUSR1)
    keeper.wait()
    assert farm.fold.state is State.STOPPED


def test_a_script_dies_with_its_keeper(farm: Farm):
    keeper = farm.keeper()
    keeper.go(f"open({str(farm.home / 'pid')!r}, 'w').write(str(os.getpid()))\n" + READY + REST)
    until((keeper.directory / "ready").exists)
    keeper.signal(signal.SIGKILL)
    keeper.wait()
    script = int((farm.home / "pid").read_text())
    until(lambda: start_time(script) is None, "the end of the script")
    assert farm.kinds() == ["CLAIM"]


# ---- retries and limits, as the chain holds them


def test_a_cause_is_retried_as_often_as_its_policy_says(farm: Farm):
    for _ in range(2):
        run(farm, "sys.exit(3)", retry={"exit_code": 2})
        assert farm.fold.state is State.QUEUED
    run(farm, "pass", retry={"exit_code": 2, "no_metrics": 1})
    assert farm.fold.state is State.QUEUED
    run(farm, "sys.exit(3)", retry={"exit_code": 2})
    assert farm.fold.state is State.FAILED
    assert [record.get("final") for record in farm.records() if record["kind"] == "FAIL"] == [
        False,
        False,
        False,
        True,
    ]


def test_an_idea_that_failed_too_often_is_skipped_whatever_the_policy(farm: Farm):
    run(farm, "sys.exit(3)", retry={"exit_code": 99}, max_failures=2)
    run(farm, "sys.exit(3)", retry={"exit_code": 99}, max_failures=2)
    assert farm.fold.state is State.SKIPPED


# ---- metrics


def test_metrics_at_the_top_are_told_to_be_misplaced(farm: Farm):
    top = farm.idea("metrics.json")
    run(farm, f"open({str(top)!r}, 'w').write('{{}}')")
    cause, error = failure(farm)
    assert cause == "metrics_misplaced"
    assert str(top) in error


def test_metrics_that_an_earlier_attempt_left_at_the_top_are_not_this_one_s(farm: Farm):
    run(farm, "sys.exit(3)", retry={"exit_code": 1})
    farm.idea("metrics.json").write_text('{"status": "COMPLETED", "val_loss": 0.001}')
    run(farm, "pass")
    assert failure(farm)[0] == "no_metrics"


def test_without_doors_the_attempt_writes_in_results_itself(farm: Farm):
    run(farm, "sys.exit(3)", retry={"exit_code": 1}, doors=False)
    farm.idea("eval.json").write_text('{"metrics": {"val_loss": 0.001}}')  # that attempt's
    code = f"json.dump({{'status': 'COMPLETED', 'auc': 0.5}}, open({str(farm.idea('metrics.json'))!r}, 'w'))"
    keeper = run(farm, code, doors=False)
    assert farm.fold.end["metrics"] == {"auc": 0.5}
    assert content(farm.idea("metrics.json")) == {"status": "COMPLETED", "auc": 0.5}
    assert not farm.idea("eval.json").exists()
    assert farm.idea("idea.yaml").read_text() == "lr: 0.1\n"
    assert (farm.doors(), os.listdir(keeper.directory)) == ([], ["checkpoints"])


def test_another_idea_is_reached_through_the_door(farm: Farm):
    other = farm.results / "idea-000" / "attempts" / "1-x"
    other.mkdir(parents=True)
    (other / "weights").write_text("w")
    code = (
        "door = os.path.dirname(home)\n"
        "metrics(status='COMPLETED', seen=open(os.path.join(door, 'idea-000', 'weights')).read())"
    )
    run(farm, code, links={"idea-000": "idea-000/attempts/1-x"})
    assert farm.fold.end["metrics"] == {"seen": "w"}
    assert farm.doors() == []


# ---- scripts around the training


def test_a_pre_script_runs_first_and_its_failure_is_a_cause_of_its_own(farm: Farm):
    pre = command("print('pre'); open(os.path.join(home, 'made'), 'w').close()", name="pre")
    run(farm, "print(os.path.exists(os.path.join(home, 'made')))\n" + WELL, pre=pre)
    assert farm.idea("train_output.log").read_text() == "pre\nTrue\n"
    assert farm.fold.state is State.COMPLETED


@pytest.mark.parametrize("code", ["raise KeyError('pre')", "import signal; signal.pause()"])
def test_a_pre_script_that_fails_or_takes_too_long_ends_the_attempt(farm: Farm, code: str):
    run(farm, pre=command(code, name="pre", timeout=0.3 if "pause" in code else 60), grace=0.1)
    assert failure(farm)[0] == "pre_script"
    assert farm.kinds() == ["CLAIM", "FAIL"]


def test_evaluation_and_post_scripts_follow_the_record_of_the_training(farm: Farm):
    evaluation = command(
        "print('eval'); open(os.path.join(home, 'eval_report.json'), 'w').write('{}')",
        name="eval",
        output="eval_report.json",
    )
    posts = [command("print('post'); sys.exit(4)", name="export"), command("print('last')", name="notify")]
    run(farm, evaluation=evaluation, posts=posts)
    assert farm.kinds() == ["CLAIM", "TRAINED", "DONE"]
    done = farm.records()[-1]
    assert (done["evaluated"], done["evaluation_error"]) == (True, "")
    assert done["post_errors"] == ["export: exit code 4: post"]
    assert farm.idea("eval_output.log").read_text() == "eval\npost\nlast\n"
    assert (farm.idea("eval_report.json").read_text(), farm.fold.state) == ("{}", State.EVALUATED)


@pytest.mark.parametrize(
    ("code", "output", "error"),
    [
        ("raise KeyError('auc')", "", "KeyError: 'auc'"),
        ("", "eval_report.json", "it ended well but did not write eval_report.json"),
    ],
)
def test_a_failed_evaluation_leaves_the_idea_completed_with_its_error(farm: Farm, code, output, error):
    run(farm, evaluation=command(code, name="eval", output=output))
    done = farm.records()[-1]
    assert (done["kind"], done["evaluated"], done["evaluation_error"]) == ("DONE", False, error)
    assert farm.fold.state is State.COMPLETED


def test_an_attempt_behind_a_training_that_stands_only_evaluates(farm: Farm):
    keeper = farm.keeper()
    keeper.go(WELL, evaluation=command(READY + REST, name="eval"))
    until((keeper.directory / "ready").exists)
    keeper.signal(signal.SIGTERM)
    keeper.wait()
    assert farm.kinds() == ["CLAIM", "TRAINED", "REQUEUE"]
    trained = farm.fold.trained
    second = farm.keeper()
    second.go(
        "sys.exit('never trained again')",
        evaluation=command("metrics(seen=sorted(os.listdir(home)))", name="eval"),
        trained={key: trained[key] for key in ("directory", "metrics", "seconds")},
    )
    second.wait()
    done = farm.records()[-1]
    assert (done["kind"], done["metrics"], done["attempt"]) == ("DONE", {"val_loss": 0.5}, 2)
    assert done["directory"] == f"1-{keeper.token}"
    assert farm.idea("latest").resolve() == keeper.directory
    assert content(farm.idea("claim.json"))["attempt"] == 2


# ---- a share that fails


def test_a_disk_that_takes_no_record_is_asked_again_until_it_does(farm: Farm):
    keeper = farm.keeper()
    keeper.go(READY + "import time\nwhile not os.path.exists('flag'): time.sleep(0.01)\n" + WELL)
    until((keeper.directory / "ready").exists)
    until(farm.idea("train_output.log").is_symlink, "the first projections")
    _, most = resource.prlimit(keeper.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(keeper.pid, resource.RLIMIT_FSIZE, (1, most))  # each write of the keeper: EFBIG
    chain = farm.idea(".chain")
    before = chain.stat().st_mtime_ns
    (farm.home / "flag").touch()
    until(lambda: chain.stat().st_mtime_ns != before, "a first try")
    assert farm.kinds() == ["CLAIM"]
    resource.prlimit(keeper.pid, resource.RLIMIT_FSIZE, (most, most))
    keeper.wait()
    assert farm.kinds() == ["CLAIM", "DONE"]
    assert [name for name in os.listdir(chain) if name.startswith(".tmp")] == []


@pytest.mark.parametrize(
    ("call", "number", "done", "before"),
    [
        ("link", errno.EIO, "done", 0),  # the reply to TRAINED is lost
        ("link", errno.EIO, "done", 1),  # the reply to DONE is lost
        ("link", errno.EEXIST, "done", 1),
        ("link", errno.EIO, "not done", 1),
        ("write_new", errno.ENOSPC, "not done", 0),
        ("listdir", errno.EIO, "not done", 4),
        ("read", errno.EIO, "not done", 1),
    ],
)
def test_one_failure_of_the_share_neither_loses_nor_doubles_a_record(farm: Farm, call, number, done, before):
    program = str(Path(__file__).with_name("course_driver.py"))
    argv = [sys.executable, program, str(ROOT), str(farm.home), call, str(number), done, str(before)]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    records = farm.records()
    valid = [record for record in records if farm_stands(farm, record)]
    assert [record["kind"] for record in valid] == ["CLAIM", "TRAINED", "DONE"]
    assert len({record["nonce"] for record in records}) == 3
    assert content(farm.idea("metrics.json")) == {"status": "COMPLETED", "val_loss": 0.5}


def farm_stands(farm: Farm, record: dict) -> bool:
    chain, _ = farm.chain()
    chain.refresh()
    return chain.stands(record["nonce"])


def test_a_directory_that_cannot_be_made_is_the_attempt_s_failure(farm: Farm):
    keeper = farm.keeper()
    assert keeper.prepare() == ""
    keeper.claim()
    (farm.idea() / "attempts").write_text("a file in the way")
    assert keeper.link.tell(go=keeper.message())
    keeper.wait()
    cause, error = failure(farm)
    assert cause == "start"
    assert "cannot prepare the attempt" in error
