"""One configuration and seed is run once, whatever the idea is called and whichever host has room for it."""

from __future__ import annotations

import pytest
from farmhouse import ELSEWHERE
from machines import two_machines

pytestmark = pytest.mark.skipif(bool(two_machines()), reason=two_machines() or "two machines can be had")

TRAIN = "train: |\n  wait('go')\n  metrics(val_accuracy=0.9722)\n"
ONE = "training: {lr: 0.1, epochs: 2}\n"
SAME = "training:\n  epochs: 2.0\n  lr: 0.1\n"
RUNS_NOW = "idea-002 is not started: the same configuration and seed as idea-001, which runs now"
EARLIER = "the same configuration and seed as idea-001, which has val_accuracy 0.9722"


def section(number: int, host: str, *yaml: str, more: str = "") -> str:
    return f"## idea-{number:03d}: An idea\n- **Hosts**: {host}\n{more}\n```yaml\n{''.join(yaml)}```\n\n"


def test_what_another_host_runs_is_waited_for_and_then_held_until_somebody_wants_it_all_the_same(make_farm):
    farm = make_farm(poll=0.5)
    farm.write(section(1, "alpha", ONE, TRAIN))
    farm.start(on=farm.machine("alpha"))
    farm.wait(farm.starts, "the first")
    beta = farm.start(gpus="cpu:2", on=farm.machine("beta", up=7200))
    again = section(2, "beta", TRAIN, SAME)
    farm.write(section(1, "alpha", ONE, TRAIN), again)
    farm.wait(lambda: RUNS_NOW in beta.output, "the wait for the first")
    assert len(farm.starts()) == 1
    farm.flag("go")
    farm.wait_states(COMPLETED=1, HELD=1)
    (held,) = farm.status()["held"]
    assert held["reason"] == f"{EARLIER}; release it, or write **Rerun**: yes, to run it all the same"
    seeded = section(3, "beta", SAME, TRAIN, "seed: 1\n")
    rerun = section(4, "beta", SAME, TRAIN, more="- **Rerun**: yes\n")
    farm.append(seeded, rerun, ELSEWHERE.replace("9999", "9998"))
    farm.wait_states(COMPLETED=3, HELD=1, QUEUED=1)
    assert [record["seed"] for record in farm.records("idea-003") if record["kind"] == "CLAIM"] == [1]
    keys = {farm.records(f"idea-00{number}")[0]["config"] for number in (1, 3, 4)}
    assert len(keys) == 1
    farm.answer(farm.ask("release", "idea-002"))
    farm.wait_states(COMPLETED=4, QUEUED=1)
    assert sorted(event["idea"] for event in farm.starts()) == [f"idea-00{n}" for n in (1, 2, 3, 4)]
    farm.remove("idea-001")
    farm.wait(lambda: len(farm.starts("idea-001")) == 2, "the first again, whatever else has its result")
    assert not list((farm.results / ".orze" / "requests").iterdir())
