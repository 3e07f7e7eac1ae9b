"""Real keepers: what they leave behind, whom they obey, and when they end what they keep."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from keeper_pipes import LITTLE_SCRIPT, QUICK, Farm, Keeper, command, content, memory, until

from orze.attempt import wire
from orze.core.states import State

REST = "import signal; signal.pause()"
READY = "open(os.path.join(home, 'ready'), 'w').close()\n"


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    made = Farm(tmp_path)
    yield made
    made.close()


@pytest.fixture
def keeper(farm: Farm) -> Keeper:
    return farm.keeper()


def started(keeper: Keeper, code: str = READY + REST, **changes) -> None:
    """Run a script that says when it has begun, and wait for that."""
    keeper.go(code, **changes)
    until((keeper.directory / "ready").exists, "the start")


def locked(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


# ---- before the attempt


def test_a_keeper_without_a_daemon_leaves(farm: Farm, keeper: Keeper):
    keeper.let_go()
    keeper.wait()
    assert keeper.ended


def test_a_prepared_keeper_whose_daemon_is_gone_leaves_no_trace(farm: Farm, keeper: Keeper):
    lock = farm.home / "slot.lock"
    assert keeper.prepare(lock) == ""
    assert (len(farm.heartbeats()), locked(lock)) == (1, True)
    keeper.let_go()
    keeper.wait()
    assert (farm.heartbeats(), locked(lock)) == ([], False)
    assert os.listdir(farm.results) == [".orze"]


def test_a_daemon_that_dies_before_the_answer_leaves_no_trace_either(farm: Farm, keeper: Keeper):
    keeper.signal(signal.SIGSTOP)
    keeper.ask_to_prepare(farm.home / "slot.lock")
    keeper.let_go()
    keeper.signal(signal.SIGCONT)
    keeper.wait()
    assert farm.heartbeats() == []


def test_a_slot_that_is_taken_is_told_and_the_others_are_left_free(farm: Farm, keeper: Keeper):
    free, taken = farm.home / "a.lock", farm.home / "b.lock"
    taken.touch()
    with taken.open() as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        assert keeper.prepare(free, taken) == "a slot is taken"
        assert (farm.heartbeats(), locked(free)) == ([], False)
    assert farm.keeper().prepare(free, taken) == ""


def test_a_heartbeat_that_cannot_be_made_is_told_and_the_slot_left_free(farm: Farm, keeper: Keeper):
    lock = farm.home / "slot.lock"
    keeper.heartbeat.mkdir()
    assert keeper.prepare(lock) == "no heartbeat: File exists"
    assert not locked(lock)


def test_ctrl_c_and_a_closed_terminal_are_the_daemon_s_affair(farm: Farm, keeper: Keeper):
    keeper.signal(signal.SIGINT)
    keeper.signal(signal.SIGHUP)
    assert keeper.prepare() == ""
    keeper.signal(signal.SIGHUP)
    keeper.claim()
    assert keeper.link.tell(go=keeper.message())
    keeper.wait()
    assert farm.kinds() == ["CLAIM", "DONE"]


# ---- the attempt


def test_an_attempt_runs_to_its_result(farm: Farm, keeper: Keeper):
    lock = farm.home / "slot.lock"
    code = "metrics(status='COMPLETED', val_loss=0.25)\nprint('said', locked)\n"
    probe = f"import fcntl\nlocked = os.path.exists({str(lock)!r})\n"
    keeper.go(probe + code, lock)
    keeper.wait()
    claim, done = farm.records()
    assert (claim["kind"], done["kind"], done["metrics"]) == ("CLAIM", "DONE", {"val_loss": 0.25})
    assert (done["token"], done["attempt"], done["directory"]) == (
        keeper.token,
        1,
        f"1-{keeper.token}",
    )
    assert {key: done[key] for key in keeper.frame} == keeper.frame
    assert farm.fold.state is State.COMPLETED
    assert (farm.heartbeats(), farm.doors(), locked(lock)) == ([], [], False)
    assert content(farm.idea("metrics.json")) == {"status": "COMPLETED", "val_loss": 0.25}
    assert farm.idea("train_output.log").read_text() == "said True\n"
    assert (farm.idea("idea.yaml").read_text(), farm.idea("latest").resolve()) == (
        "lr: 0.1\n",
        keeper.directory,
    )
    assert content(farm.idea("claim.json"))["pid"] == keeper.pid


def test_the_slot_is_held_until_no_process_of_the_attempt_is_left(farm: Farm, keeper: Keeper):
    lock = farm.home / "slot.lock"
    code = f"""
import subprocess
metrics(status="COMPLETED")
subprocess.Popen([sys.executable, "-I", "-S", "-c",
    "import os, signal; signal.signal(15, lambda *_: os._exit(0));"
    "open({str(farm.home / "child")!r}, 'w').write(str(os.getpid())); signal.pause()"],
    start_new_session=True)
while not os.path.exists({str(farm.home / "child")!r}): pass
"""
    keeper.go(code, lock)
    keeper.wait()
    child = int((farm.home / "child").read_text())
    assert not Path(f"/proc/{child}").exists()
    assert not locked(lock)


def test_snapshots_and_paths_are_the_attempt_s_own(farm: Farm, keeper: Keeper):
    script = farm.home / "script.py"
    script.write_text(
        "import json, os, sys\n"
        "a = dict(zip(sys.argv[1::2], sys.argv[2::2]))\n"
        "out = os.path.join(a['--results-dir'], 'idea-001', 'metrics.json')\n"
        "names = ('ORZE_IDEA_CONFIG', 'ORZE_CHECKPOINT_DIR', 'ORZE_RESUME_FROM', 'REVIS_OUTPUT_DIR')\n"
        "json.dump({'status': 'COMPLETED', 'ideas': open(a['--ideas-md']).read(),\n"
        "    'config': open(a['--config']).read(), 'merged': open(os.environ['ORZE_IDEA_CONFIG']).read(),\n"
        "    'door': a['--results-dir'], 'env': {n: os.environ[n] for n in names}, 'cwd': os.getcwd()},\n"
        "    open(out, 'w'))\n"
    )
    argv = [sys.executable, "-I", "-S", str(script), "--results-dir", "{results_dir}"]
    train = {**command(""), "argv": [*argv, "--ideas-md", "{ideas_md}", "--config", "{config}"]}
    keeper.go(train=train)
    keeper.wait()
    found = farm.fold.end["metrics"]
    door = farm.paths.door(keeper.token)
    assert (found["ideas"], found["config"], found["merged"]) == (
        "## idea-001: An idea\n",
        "lr: 0.2\n",
        "lr: 0.1\n",
    )
    assert (found["door"], found["cwd"]) == (door, str(farm.home))
    assert found["env"] == {
        "ORZE_IDEA_CONFIG": str(keeper.directory / "idea.yaml"),
        "ORZE_CHECKPOINT_DIR": str(keeper.directory / "checkpoints"),
        "ORZE_RESUME_FROM": "",
        "REVIS_OUTPUT_DIR": f"{door}/idea-001",
    }


def test_the_delay_behind_a_loss_is_waited_for(farm: Farm, keeper: Keeper):
    keeper.go(delay=3600.0)
    until(lambda: farm.kinds() == ["CLAIM"])
    assert not keeper.directory.exists()
    keeper.signal(signal.SIGTERM)
    keeper.wait()
    assert farm.kinds() == ["CLAIM", "REQUEUE"]
    assert not keeper.directory.exists()


# ---- who may end it


def test_a_stop_request_ends_it_at_once_when_its_keeper_is_woken(farm: Farm, keeper: Keeper):
    started(keeper)
    keeper.stop_request.write_text("stop\n")
    keeper.signal(signal.SIGUSR1)
    keeper.wait()
    claim, fail = farm.records()
    assert (fail["kind"], fail["cause"], fail["final"]) == ("FAIL", "stopped", True)
    assert farm.fold.state is State.STOPPED
    assert content(farm.idea("metrics.json"))["error"] == "stopped by an operator"
    assert not keeper.stop_request.exists()
    assert claim["kind"] == "CLAIM"


def test_a_stop_request_is_found_without_a_wake_up_at_the_next_heartbeat(farm: Farm, keeper: Keeper):
    started(keeper, lease=QUICK)
    keeper.stop_request.write_text("stop\n")
    keeper.wait()
    assert farm.fold.state is State.STOPPED


def test_a_stop_request_for_another_attempt_is_not_its_own(farm: Farm, keeper: Keeper):
    code = (
        READY
        + "import time\nwhile not os.path.exists('flag'): time.sleep(0.01)\n"
        + "metrics(status='COMPLETED')"
    )
    started(keeper, code, lease=QUICK)
    Path(farm.paths.idea("idea-001").stop_request("other")).write_text("stop\n")
    beat = keeper.heartbeat.read_bytes()
    until(lambda: keeper.heartbeat.read_bytes() != beat, "a heartbeat")
    (farm.home / "flag").touch()
    keeper.wait()
    assert farm.fold.state is State.COMPLETED


def test_sigterm_lets_it_save_and_requeues_it(farm: Farm, keeper: Keeper):
    code = (
        "import signal\n"
        "def save(*_):\n"
        "    open(os.path.join(os.environ['ORZE_CHECKPOINT_DIR'], 'step-7'), 'w').write('weights')\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, save)\n" + READY + "signal.pause()"
    )
    started(keeper, code)
    keeper.signal(signal.SIGTERM)
    keeper.wait()
    assert farm.kinds() == ["CLAIM", "REQUEUE"]
    assert (farm.fold.state, farm.heartbeats(), farm.doors()) == (State.QUEUED, [], [])
    second = farm.keeper()
    second.go("metrics(status='COMPLETED', found=os.listdir(os.environ['ORZE_RESUME_FROM']))")
    second.wait()
    assert farm.fold.end["metrics"] == {"found": ["step-7"]}


def test_a_superseded_attempt_ends_without_a_record(farm: Farm, keeper: Keeper):
    started(keeper, lease=QUICK)
    farm.lose(keeper.token)
    keeper.wait()
    assert farm.kinds() == ["CLAIM", "LOST"]


def test_an_attempt_whose_directory_is_removed_ends(farm: Farm, keeper: Keeper):
    started(keeper, lease=QUICK)
    while farm.idea().exists():
        subprocess.run(["rm", "-rf", farm.idea()], check=False)
    keeper.wait()
    assert not farm.idea(".chain").exists()


def test_one_that_cannot_renew_its_lease_ends_the_tree_and_writes_nothing(farm: Farm, keeper: Keeper):
    """The heartbeat is removed: after F it is fenced, TERM is ignored, KILL follows after K."""
    code = (
        "import signal\n"
        "signal.signal(signal.SIGTERM, lambda *_: open('told', 'w').close())\n"
        "open('pid', 'w').write(str(os.getpid()))\n" + READY + "while True: signal.pause()"
    )
    started(keeper, code, lease={"heartbeat": 0.05, "fence": 0.4, "kill": 0.2}, grace=100.0)
    before = sorted(os.listdir(farm.idea()))
    keeper.heartbeat.unlink()
    keeper.wait()
    assert (farm.home / "told").exists()
    assert not Path("/proc", (farm.home / "pid").read_text()).exists()
    assert farm.kinds() == ["CLAIM"]
    assert sorted(os.listdir(farm.idea())) == before
    assert farm.doors() == [keeper.token]  # it does not touch the share any more, not even to clean up
    assert not keeper.heartbeat.exists()


def test_one_that_was_paused_for_longer_than_its_lease_ends_when_it_goes_on(farm: Farm, keeper: Keeper):
    started(keeper, lease={"heartbeat": 0.05, "fence": 0.5, "kill": 0.1})
    keeper.signal(signal.SIGSTOP)
    threads = Path(f"/proc/{keeper.pid}/task")
    until(lambda: all(") T " in (one / "stat").read_text() for one in threads.iterdir()), "the pause")
    before = keeper.heartbeat.read_bytes()
    over = time.monotonic() + 0.6
    until(lambda: time.monotonic() > over, "the end of the lease")
    keeper.signal(signal.SIGCONT)
    keeper.wait()
    assert farm.kinds() == ["CLAIM"]
    assert keeper.heartbeat.read_bytes() == before


def test_one_that_is_told_to_go_after_its_lease_has_run_out_starts_nothing(farm: Farm, keeper: Keeper):
    """Its daemon was paused between the claim and the word to go: another host may have the idea by now."""
    assert keeper.prepare() == ""
    keeper.claim()
    before = keeper.heartbeat.read_bytes()
    over = time.monotonic() + 0.3
    until(lambda: time.monotonic() > over, "the end of the lease")
    code = "open('begun', 'w').close()"
    assert keeper.link.tell(go=keeper.message(code, lease={"heartbeat": 0.05, "fence": 0.2, "kill": 0.1}))
    keeper.let_go()
    keeper.wait()
    assert not (farm.home / "begun").exists()
    assert farm.kinds() == ["CLAIM"]
    assert os.listdir(farm.idea()) == [".chain"]
    assert keeper.heartbeat.read_bytes() == before


def test_the_heartbeat_goes_on_while_a_script_computes(farm: Farm, keeper: Keeper):
    started(keeper, READY + "while True: pass", lease=QUICK)
    first = keeper.heartbeat.read_bytes()
    until(lambda: keeper.heartbeat.read_bytes() > first, "a renewal")
    assert len(keeper.heartbeat.read_bytes()) == len(first)


# ---- size


def test_a_keeper_is_small(farm: Farm, keeper: Keeper, capfd: pytest.CaptureFixture[str]):
    assert keeper.prepare() == ""
    idle = memory(keeper.pid)
    keeper.claim()
    trained = command(READY + REST)
    assert keeper.link.tell(go=keeper.message(train=trained, lease=QUICK))
    until((keeper.directory / "ready").exists)
    beat = keeper.heartbeat.read_bytes()
    until(lambda: keeper.heartbeat.read_bytes() > beat, "a renewal")
    busy = memory(keeper.pid)
    with capfd.disabled():
        print(
            f"\nkeeper idle {idle[0]:.1f} MB RSS {idle[1]:.1f} MB PSS, busy {busy[0]:.1f} / {busy[1]:.1f} MB"
        )
    assert busy[0] <= 16


# All that a keeper loads beyond the interpreter itself: it costs every busy slot of a farm.
LOADED = {
    *(
        "__future__",
        "array",
        "codecs",
        "collections",
        "collections.abc",
        "copyreg",
        "enum",
        "errno",
        "fcntl",
        "functools",
        "gc",
    ),
    *("genericpath", "io", "itertools", "json", "json.decoder", "json.encoder", "json.scanner", "keyword"),
    *("math", "operator", "os", "os.path", "posixpath", "re", "re._casefix", "re._compiler", "re._constants"),
    *("re._parser", "reprlib", "select", "selectors", "signal", "socket", "stat", "struct", "types"),
    *("warnings", "zlib"),
}
HEAVY = {
    "subprocess",
    "pathlib",
    "typing",
    "dataclasses",
    "hashlib",
    "_hashlib",
    "logging",
    "tempfile",
    "inspect",
}
HEAVY |= {"threading", "shlex", "shutil", "random", "contextlib", "ctypes", "ssl", "asyncio", "argparse"}


def test_a_keeper_loads_what_it_must_and_nothing_else():
    root = str(Path(wire.__file__).parents[2])
    code = (
        "import sys; before = set(sys.modules); sys.path.insert(0, sys.argv[1]);"
        "import orze.attempt.keeper; print(*set(sys.modules) - before)"
    )
    done = subprocess.run([*LITTLE_SCRIPT, code, root], capture_output=True, text=True, check=True)
    found = {name for name in done.stdout.split() if not name.startswith(("orze", "_")) or name in HEAVY}
    assert found - LOADED == set()
    assert found & HEAVY == set()
