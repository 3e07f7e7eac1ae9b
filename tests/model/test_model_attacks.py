"""The twelve ways to break a naive version of the protocol, and some more, each in several orders."""

from collections.abc import Iterable

import pytest

from orze.core.states import State
from tests.model.attacks import ATTACKS
from tests.model.plan import LEASES, HostPlan, IdeaPlan, Plan, draw
from tests.model.runs import laboratory, run
from tests.model.world import World

ORDERS = tuple(range(6))
SEEDS = [
    *(4376, 10361, 10802, 11056, 11923, 13244, 13505, 15213, 17974, 20213, 21211, 21494),
    *(21981, 22090, 22363, 23058, 23070, 24888, 25241, 27747, 28170, 29828, 36012, 39128, 76884),
    *(79233, 91829, 98010, 98730, 113453, 141495, 153083, 162465),
]


@pytest.fixture(scope="module")
def folder():
    with laboratory() as made:
        yield made


def broken(number: int, folder, orders: Iterable[int] = ORDERS) -> dict[int, str]:
    """The orders of this attack in which a promise was broken, and which."""
    outcomes = {seed: run(ATTACKS[number](seed), folder) for seed in orders}
    return {seed: outcome.broken for seed, outcome in outcomes.items() if outcome.broken}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_schedule_that_once_broke_a_promise_keeps_it(seed: int, folder):
    assert run(draw(seed), folder).broken == ""


def test_without_faults_every_idea_succeeds_at_its_first_attempt(folder):
    plan = Plan(1, (HostPlan(), HostPlan()), tuple(IdeaPlan(20.0) for _ in range(4)), LEASES[0], heal_at=60.0)
    world = World(plan, folder)
    world.run()
    assert {chain.standing.phase for chain in world.ghost.chains.values()} == {"done"}
    assert [chain.standing.attempt for chain in world.ghost.chains.values()] == [1] * 4
    assert world.leader().members.queue.counts[State.COMPLETED] == 4


def test_attack_1_lost_replies_and_a_crash_before_the_first_record_lose_nothing(folder):
    assert broken(1, folder) == {}


def test_attack_2_of_two_judges_one_paused_before_it_acts_only_one_record_counts(folder):
    assert broken(2, folder) == {}


def test_attack_3_an_owner_stopped_past_the_lease_records_nothing_when_it_resumes(folder):
    assert broken(3, folder) == {}


def test_attack_4_a_result_and_a_loss_at_one_instant_get_one_slot(folder):
    assert broken(4, folder) == {}


def test_attack_5_clocks_two_hours_apart_and_stepping_back_decide_nothing(folder):
    assert broken(5, folder) == {}


def test_attack_6_a_reboot_with_recycled_pids_and_two_containers_of_one_name_are_told_apart(folder):
    assert broken(6, folder) == {}


def test_attack_7_stale_lookups_and_reads_delay_and_never_decide(folder):
    assert broken(7, folder) == {}


def test_attack_8_a_share_that_hangs_for_five_minutes_and_comes_back_to_all_at_once_loses_nothing(folder):
    assert broken(8, folder) == {}


def test_attack_9_a_directory_removed_step_by_step_during_its_run_runs_once_more(folder):
    assert broken(9, folder) == {}


def test_attack_10_agents_that_rewrite_truncate_and_append_ideas_lose_and_double_no_idea(folder):
    assert broken(10, folder) == {}


def test_attack_11_a_crash_after_any_call_with_unsynced_data_dropped_and_a_full_disk_lose_no_result(folder):
    assert broken(11, folder) == {}


def test_attack_12_two_leaders_at_once_do_no_harm(folder):
    assert broken(12, folder) == {}


def test_a_host_that_is_cut_off_ends_its_attempt_before_another_begins_it(folder):
    assert broken(13, folder) == {}


def test_nothing_is_appended_above_a_record_that_somebody_removed(folder):
    assert broken(14, folder) == {}


def test_a_late_link_behind_a_record_that_the_power_took_is_void(folder):
    assert broken(15, folder, orders=(0, 1, 3, 4, 5, 6)) == {}


def test_an_attempt_that_a_power_failure_brought_back_without_its_heartbeat_is_reaped(folder):
    assert broken(15, folder, orders=(2,)) == {}


def test_an_attempt_that_ends_between_two_looks_of_the_leader_is_journaled(folder):
    assert broken(17, folder) == {}


def test_a_leader_that_looks_through_results_often_reopens_nothing(folder):
    assert broken(16, folder) == {}


def test_what_is_asked_of_hosts_is_done_once_and_costs_no_idea_its_end(folder):
    assert broken(18, folder, orders=range(60)) == {}
