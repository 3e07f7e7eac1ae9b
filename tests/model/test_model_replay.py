"""A seed is a run: it replays exactly, and what it breaks is shown by a smaller one."""

import pytest

from tests.model import defects
from tests.model.attacks import ATTACKS
from tests.model.plan import Fault, draw
from tests.model.runs import laboratory, report, run, shrink


@pytest.fixture(scope="module")
def folder():
    with laboratory() as made:
        yield made


@pytest.mark.parametrize("seed", [2, 7, 9])
def test_the_same_seed_makes_the_same_calls_in_the_same_order(seed: int, folder):
    first: list = []
    second: list = []
    run(draw(seed), folder, first)
    run(draw(seed), folder, second)
    assert len(first) > 300
    assert first == second


def test_another_seed_makes_another_run(folder):
    first: list = []
    second: list = []
    run(draw(1), folder, first)
    run(draw(3), folder, second)
    assert first != second


def test_a_broken_promise_is_shrunk_and_told_with_its_calls(folder):
    name = "a_reused_temporary_name"
    family, number = defects.CAUGHT_BY[name]
    plan = ATTACKS[family](number)
    with defects.switched_on(name):
        outcome = run(plan, folder)
        assert outcome.broken
        small = shrink(outcome, folder)
        told = report(outcome, folder)
    assert small.broken
    assert len(small.plan.faults) <= len(plan.faults)
    assert f"--seed {plan.seed}" in told
    assert "link" in told


def test_a_fault_that_strikes_is_counted(folder):
    plan = ATTACKS[8](0)
    assert any(isinstance(fault, Fault) and fault.kind == "hang" for fault in plan.faults)
    assert run(plan, folder).faults["hang"] == 1
