"""Every key of orze.yaml has an effect: which test here shows it."""

from __future__ import annotations

from pathlib import Path

from orze.config.schema import known_keys

_PATHS = "test_paths_in_the_settings_are_relative_to_them_and_python_names_the_interpreter"
_COMMAND = "test_a_training_gets_its_command_snapshots_and_environment_as_the_contract_says"
_RETRY = "test_failures_are_retried_by_cause_and_who_fails_too_often_is_skipped_with_its_waiters"
_LIMIT = "test_an_idea_with_its_own_time_limit_ignores_that_of_the_farm"
_DEAF = "test_a_deaf_script_gets_one_term_and_is_killed_after_the_grace"
_STALL = "test_a_stall_is_measured_between_looks_so_that_a_busy_script_outlives_a_short_limit"
_REMOVED = "test_an_idea_whose_directory_is_removed_runs_again_and_what_still_runs_of_it_is_ended"
_HOSTS = "test_gpu_mem_threshold_says_how_much_may_be_in_use_and_overrides_hold_on_their_hosts_alone"
_SHARED = "test_our_own_attempts_do_not_make_a_card_busy_and_two_share_it_with_slots_per_gpu_2"
_DISK = "test_a_low_disk_pauses_launches_and_nothing_else"
_LEADER = "test_when_the_leader_dies_the_other_host_leads_after_the_lease_and_the_reports_go_on"
_DEAD = "test_what_a_dead_host_ran_is_run_again_once_by_the_other_after_the_lease"
_FENCE = "test_an_attempt_whose_heartbeat_is_taken_away_ends_itself_and_is_run_again"
_DOORS = "test_with_doors_false_a_script_may_ignore_results_dir_and_the_farm_is_marked_as_unfenced"
_PRE = "test_pre_script_runs_before_each_training_and_its_failure_is_a_cause_of_its_own"
_EVAL = "test_evaluation_and_post_scripts_run_on_the_card_of_the_training_and_their_faults_are_shown"
_CLEANUP = "test_cleanup_removes_the_patterns_from_ended_ideas_but_for_the_best_and_runs_its_script"
_NEWS = "test_what_happens_is_told_once_but_no_failure_that_is_retried"
_HANGS = "test_a_target_that_hangs_slows_nothing_and_one_that_refuses_is_named_without_its_url"
_MIRRORED = "test_every_finished_idea_is_mirrored_once_though_daemons_are_killed"
_UNREACHED = "test_trackers_that_cannot_be_reached_are_problems_and_the_farm_goes_on"
_MODEL = "test_a_model_proposes_within_its_budgets_and_its_key_is_in_no_file"
_PROGRAM = "test_a_program_proposes_until_the_target_is_reached_and_the_control_has_its_share"
_REFUSED = "test_a_round_that_the_budget_does_not_cover_is_refused_before_anything_is_asked"
_NO_ROUND = "test_no_round_is_due"
_NEXT = "test_after_three_empty_rounds_the_next_one_is_asked_and_the_first_again_ten_rounds_later"
_FULL = "test_a_full_queue_costs_nothing_but_a_look_a_minute"
_LOW = "test_a_round_is_run_when_the_queue_runs_low_and_the_next_after_the_cooldown"
_ENDED = "test_a_round_that_hangs_is_killed_behind_its_time_and_settled"
_PRUNED = "test_a_hopeless_attempt_on_another_host_saves_and_is_pruned_and_a_retry_runs_to_its_end"
_SPARED = "test_nothing_is_left_where_there_is_no_reason"
_CONFIRMED = "test_a_new_best_is_run_on_two_more_seeds_exactly_once_although_the_daemon_is_killed"
_NOISE = "test_runs_of_the_base_are_entered_and_again_when_it_changes"
_BOUND = "test_a_group_that_cannot_be_accepted_any_more_has_no_members"
_SHOWN = "test_progress_and_log_are_seen_while_it_runs"
_BRACES = "test_a_command_line_trains_as_it_is_written_and_needs_no_script_and_no_base"
_VOID = "test_a_run_that_touches_a_protected_file_is_void"
_REFINES = "test_the_leader_keeps_the_refiner_at_work_and_starts_it_again_where_it_fails"
_FAR = "test_an_idea_runs_on_the_machine_behind_ssh_and_its_results_come_home"
_ASKS = "test_ssh_gets_the_settings_and_asks_nobody"
_THERE = "test_a_free_card_is_chosen_there_and_one_that_a_farm_there_has_is_not"
_THITHER = "test_a_commit_runs_there_with_its_other_scripts_and_its_protected_files_are_looked_after"
_ASKED = "test_a_model_gets_key_and_prompt_and_its_code_comes_back_as_it_is"
_GATE = "test_what_is_allowed_denied_and_protected"
_TOLD = "test_the_prompt_reads_as_people_approved_it"
_SMOKE = "test_a_smoke_command_that_fails_goes_into_the_next_asking_with_the_end_of_its_log"
_WHOLE = "test_a_budget_of_runs_that_is_no_whole_step_is_left_and_says_so"
_AT_ONCE = "test_steps_are_tried_at_once_each_from_the_best_and_asked_for_one_by_one"
_TIME = "test_the_budget_of_time_ends_runs_in_progress"
_DOLLARS = "test_with_a_budget_of_dollars_nothing_is_asked_that_it_may_not_hold"
_RESERVED = "test_an_asking_waits_for_what_others_reserve_and_may_go_on_when_they_cost_less"
_LIMITS = "test_what_the_session_says_is_what_its_farm_does"
_PLATEAU = "test_at_a_plateau_runs_in_progress_come_to_their_end_and_may_yet_be_kept"
_FAILURES = "test_failures_are_counted_one_behind_the_other"
_DIVERGED = "test_divergence_is_so_many_runs_that_are_all_worse_than_the_baseline"
_REACHED = "test_the_target_ends_all_and_nobody_is_asked_any_more"
_EIGHT = "test_eight_ideas_run_to_the_end_and_report_and_status_tell_of_them"

SHOWN_BY = {
    "train_script": _PATHS, "ideas_file": _PATHS, "base_config": _PATHS, "results_dir": _PATHS,
    "python": _PATHS, "launch": _COMMAND, "train_extra_args": _COMMAND, "train_extra_env": _COMMAND,
    "timeout": _LIMIT, "grace": _DEAF, "stall_minutes": _STALL, "max_idea_failures": _RETRY, "retry": _RETRY,
    "poll": _REMOVED, "gpu_mem_threshold": _HOSTS, "slots_per_gpu": _SHARED, "min_disk_gb": _DISK,
    "orphan_timeout_hours": _LEADER, "lease": _DEAD, "lease.heartbeat": _FENCE, "lease.fence": _FENCE,
    "lease.kill": _FENCE, "lease.steal": _DEAD, "lease.attribute_cache": _DEAD, "doors": _DOORS,
    "train_command": _BRACES, "pre_command": _BRACES, "code_dir": _BRACES, "protected": _VOID,
    "pre_script": _PRE, "pre_args": _PRE, "pre_timeout": _PRE,
    "eval_script": _EVAL, "eval_args": _EVAL, "eval_timeout": _EVAL, "eval_output": _EVAL,
    "post_scripts": _EVAL, "post_scripts[].name": _EVAL, "post_scripts[].script": _EVAL,
    "post_scripts[].args": _EVAL, "post_scripts[].timeout": _EVAL, "post_scripts[].output": _EVAL,
    "cleanup": _CLEANUP, "cleanup.patterns": _CLEANUP, "cleanup.script": _CLEANUP,
    "cleanup.interval": _CLEANUP, "cleanup.timeout": _CLEANUP,
    "report": _EIGHT, "report.title": _EIGHT, "report.primary_metric": _EIGHT, "report.sort": _PATHS,
    "report.columns": _EVAL, "report.columns[].key": _EVAL, "report.columns[].label": _EVAL,
    "report.columns[].fmt": _EVAL, "report.columns[].source": _EVAL,
    "notifications": _NEWS, "notifications.urls": _NEWS, "notifications.every": _NEWS,
    "notifications.on": _HANGS,
    "trackers": _MIRRORED, "trackers.mlflow": _MIRRORED, "trackers.mlflow.uri": _MIRRORED,
    "trackers.mlflow.experiment": _MIRRORED, "trackers.wandb": _UNREACHED,
    "trackers.wandb.project": _UNREACHED, "trackers.wandb.entity": _UNREACHED,
    "trackers.wandb.mode": _UNREACHED,
    "trackers.trackio": _UNREACHED, "trackers.trackio.project": _UNREACHED,
    "executor": _SHOWN, "executor.type": _SHOWN, "executor.session": _SHOWN,
    "executor.host": _FAR, "executor.user": _FAR, "executor.port": _FAR, "executor.key_path": _FAR,
    "executor.work_dir": _FAR, "executor.options": _FAR, "executor.connect_timeout": _ASKS,
    "executor.gpus": _THERE, "executor.python": _THERE,
    "executor.exclude": _THITHER, "executor.artifacts": _THITHER,
    "hosts": _HOSTS, "hosts.*.gpus": _HOSTS, "hosts.*.python": _HOSTS, "hosts.*.slots_per_gpu": _HOSTS,
    "hosts.*.train_extra_env": _HOSTS,
    "max_members": _BOUND, "report.confirm": _CONFIRMED, "report.noise_runs": _NOISE,
    "research": _MODEL, "research.mode": _MODEL, "research.model": _MODEL, "research.api_base": _MODEL,
    "research.price": _MODEL, "research.price.input": _MODEL, "research.price.output": _MODEL,
    "research.reply_tokens": _MODEL, "research.goal": _MODEL, "research.steer": _MODEL,
    "research.ideas_per_round": _MODEL, "research.budget": _MODEL, "research.budget.rounds": _MODEL,
    "research.budget.usd": _REFUSED, "research.budget.tokens": _REFUSED,
    "research.budget.gpu_hours": _NO_ROUND,
    "research.fallbacks": _NEXT, "research.plateau": _NO_ROUND, "research.min_queue": _FULL,
    "research.cooldown": _LOW, "research.round_timeout": _ENDED, "research.command": _PROGRAM,
    "research.control": _PROGRAM, "research.target": _PROGRAM, "research.space": _PROGRAM,
    "refine": _REFINES, "refine.name": _REFINES, "refine.agent": _REFINES, "refine.budget": _REFINES,
    "refine.llm": _ASKED, "refine.llm.model": _ASKED, "refine.llm.api_base": _ASKED,
    "refine.llm.api_key_env": _ASKED, "refine.llm.price": _ASKED, "refine.llm.price.input": _ASKED,
    "refine.llm.price.output": _ASKED, "refine.llm.reply_tokens": _ASKED, "refine.llm.timeout": _ASKED,
    "refine.constraints": _TOLD, "refine.allow": _GATE, "refine.deny": _GATE, "refine.protected": _GATE,
    "refine.smoke": _SMOKE, "refine.repeats": _WHOLE, "refine.parallel": _AT_ONCE, "refine.target": _REACHED,
    "refine.budget.runs": _WHOLE, "refine.budget.time": _TIME, "refine.budget.usd": _DOLLARS,
    "refine.budget.tokens": _RESERVED, "refine.guardrails": _LIMITS,
    "refine.guardrails.max_run_duration": _LIMITS, "refine.guardrails.stall_minutes": _LIMITS,
    "refine.guardrails.plateau_runs": _PLATEAU, "refine.guardrails.max_failures": _FAILURES,
    "refine.guardrails.divergence_runs": _DIVERGED,
    "research.prune": _PRUNED, "research.prune_runs": _PRUNED, "research.prune_after": _SPARED,
}  # fmt: skip


def test_every_known_key_is_in_the_table_and_no_other():
    assert SHOWN_BY.keys() == known_keys().keys()


def test_every_test_that_shows_a_key_is_there_and_sets_it():
    tests = Path(__file__).parents[1]
    paths = [
        path
        for part in ("e2e", "unit/research", "unit/farm", "unit/refine", "unit/attempt/executors")
        for path in (tests / part).glob("test_*.py")
    ]
    texts = [path.read_text() for path in paths if path != Path(__file__)]
    there = (tests / "e2e" / "sshd.py").read_text()  # sets what leads to its machine
    texts = [text + there if "from sshd import" in text else text for text in texts]
    bodies = {}
    for text in texts:
        for part in text.split("\ndef ")[1:]:
            bodies[part.partition("(")[0]] = text
    for key, test in SHOWN_BY.items():
        assert test in bodies, f"{key}: {test}"
        name = key.rpartition(".")[2].removesuffix("[]")
        assert name in bodies[test], f"{key} is not in the file of {test}"
