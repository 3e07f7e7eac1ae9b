"""What a keeper does when the leader finds its training hopeless."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from keeper_pipes import QUICK, Farm, Keeper, command, content, until

from orze.core.states import State

WELL = "metrics(status='COMPLETED', val_loss=0.5)"
READY = "open(os.path.join(home, 'ready'), 'w').close()\n"
REST = "import signal; signal.pause()"
SAVE = (
    "import signal\n"
    "def save(*_):\n"
    "    open(os.path.join(os.environ['ORZE_CHECKPOINT_DIR'], 'step-7'), 'w').write('weights')\n"
    "    metrics(status='COMPLETED')\n"
    "    os._exit(0)\n"
    "signal.signal(signal.SIGTERM, save)\n"
)


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    made = Farm(tmp_path)
    yield made
    made.close()


def request(farm: Farm, keeper: Keeper) -> Path:
    return Path(farm.paths.idea("idea-001").prune_request(keeper.token))


def started(farm: Farm, code: str, **changes) -> Keeper:
    """Run a script that says when it has begun, and wait for that."""
    keeper = farm.keeper()
    keeper.go(code, **changes)
    until((keeper.directory / "ready").exists, "the start")
    return keeper


def look_twice(keeper: Keeper) -> None:
    """Wait until the keeper has looked at the chain: it does behind each heartbeat."""
    for _ in range(2):
        beat = keeper.heartbeat.read_bytes()
        until(lambda beat=beat: keeper.heartbeat.read_bytes() != beat, "a heartbeat")


def test_it_lets_the_script_save_and_records_the_reason(farm: Farm):
    keeper = started(farm, SAVE + READY + REST)
    request(farm, keeper).write_text("pruned at step 40: loss 0.9,\n\tthe median\x1b[31m is 0.5")
    keeper.signal(signal.SIGUSR1)
    keeper.wait()
    _, fail = farm.records()
    reason = "pruned at step 40: loss 0.9, the median is 0.5"
    assert (fail["kind"], fail["cause"], fail["error"]) == ("FAIL", "pruned", reason)
    assert (farm.fold.state, farm.fold.failures) == (State.PRUNED, 0)
    assert content(farm.idea("metrics.json")) == {"status": "FAILED", "cause": "pruned", "error": reason}
    assert (keeper.directory / "checkpoints" / "step-7").read_text() == "weights"
    assert not request(farm, keeper).exists()


def test_it_is_found_without_a_wake_up_and_counts_for_no_limit(farm: Farm):
    keeper = started(farm, READY + REST, lease=QUICK, max_failures=1, retry={"pruned": 5})
    request(farm, keeper).write_text("hopeless")
    keeper.wait()
    assert farm.fold.state is State.PRUNED


def test_a_training_that_has_ended_is_evaluated_all_the_same(farm: Farm):
    ready = READY + "import time\nwhile not os.path.exists('flag'): time.sleep(0.01)\n"
    keeper = farm.keeper()
    keeper.go(WELL, evaluation=command(ready), lease=QUICK)
    until((keeper.directory / "ready").exists, "the evaluation")
    request(farm, keeper).write_text("hopeless")
    look_twice(keeper)
    (farm.home / "flag").touch()
    keeper.wait()
    assert farm.fold.state is State.EVALUATED


def test_an_operator_who_stops_it_wins_over_an_evaluation_that_was_spared(farm: Farm):
    keeper = farm.keeper()
    keeper.go(WELL, evaluation=command(READY + REST), lease=QUICK)
    until((keeper.directory / "ready").exists, "the evaluation")
    request(farm, keeper).write_text("hopeless")
    keeper.stop_request.write_text("stop\n")
    keeper.wait()
    assert farm.fold.state is State.STOPPED


@pytest.mark.parametrize("kind", ["directory", "link", "too long", "empty"])
def test_a_request_that_cannot_be_read_ends_nothing(farm: Farm, kind: str):
    code = READY + "import time\nwhile not os.path.exists('flag'): time.sleep(0.01)\n" + WELL
    keeper = started(farm, code, lease=QUICK)
    path = request(farm, keeper)
    if kind == "directory":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(farm.home / "elsewhere")
    else:
        path.write_text("x" * 5000 if kind == "too long" else "")
    look_twice(keeper)
    (farm.home / "flag").touch()
    keeper.wait()
    assert farm.fold.state is State.COMPLETED


def test_a_request_for_another_attempt_is_not_its_own(farm: Farm):
    code = READY + "import time\nwhile not os.path.exists('flag'): time.sleep(0.01)\n" + WELL
    keeper = started(farm, code, lease=QUICK)
    Path(farm.paths.idea("idea-001").prune_request("other")).write_text("hopeless")
    look_twice(keeper)
    (farm.home / "flag").touch()
    keeper.wait()
    assert farm.fold.state is State.COMPLETED
