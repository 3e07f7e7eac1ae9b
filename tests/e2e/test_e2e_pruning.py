"""Early stopping: what is hopeless by its curve ends on whatever host it runs, and nothing ends unasked."""

from __future__ import annotations

import pytest
from farmhouse import SHORT_LEASE, idea
from machines import two_machines

pytestmark = pytest.mark.skipif(bool(two_machines()), reason=two_machines() or "two machines can be had")

GOOD = (
    "for step in range(1, 21): progress(step=step, val_accuracy=0.5 + 0.02 * step)\nmetrics(val_accuracy=0.9)"
)
BAD = """
on_term(lambda: save("step 12"))
for step in range(1, 13): progress(step=step, val_accuracy=0.1)
wait("go")
metrics(val_accuracy=0.1)
"""


def test_a_hopeless_attempt_on_another_host_saves_and_is_pruned_and_a_retry_runs_to_its_end(make_farm):
    research = {"mode": "none", "prune": "median", "prune_runs": 3}
    farm = make_farm(poll=1, lease=SHORT_LEASE, research=research, report={"primary_metric": "val_accuracy"})
    farm.write(*[idea(n, GOOD, Hosts="alpha") for n in range(1, 5)])
    farm.start(gpus="cpu:2", on=farm.machine("alpha"))
    farm.wait_states(COMPLETED=4)
    farm.append(idea(5, BAD, Hosts="beta"), idea(6, "wait('good')\n" + GOOD, Hosts="beta"))
    farm.start(gpus="cpu:2", on=farm.machine("beta", up=7200))
    farm.wait_for(idea_005="CLAIM FAIL")
    farm.flag("good")
    farm.wait_states(COMPLETED=5, PRUNED=1)
    assert farm.last("idea-005")["cause"] == "pruned"
    told = "pruned at step 12: val_accuracy 0.1000, the median of 4 others there is 0.7400"
    assert farm.last("idea-005")["error"] == told
    (start,) = farm.starts("idea-005")
    saved = farm.results / "idea-005" / "attempts" / start["attempt"] / "checkpoints" / "checkpoint"
    assert (start["host"], saved.read_text()) == ("beta", "step 12")
    assert not list((farm.results / "idea-005" / ".chain").glob("prune-*"))
    assert farm.status()["failed"] == 0
    assert farm.status()["recent_pruned"][0]["reason"] == told
    assert told in farm.report()
    farm.ask("retry", "idea-005")
    farm.wait(lambda: len(farm.starts("idea-005")) == 2, "the second attempt")
    farm.flag("go")
    farm.wait_states(COMPLETED=6)
