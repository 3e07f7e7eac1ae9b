"""The words for where an idea stands and for why an attempt failed."""

from enum import StrEnum


class State(StrEnum):
    """Where an idea stands (the table of RULES.md)."""

    QUEUED = "QUEUED"
    HELD = "HELD"
    QUARANTINED = "QUARANTINED"
    CLAIMED = "CLAIMED"
    TRAINING = "TRAINING"
    EVALUATING = "EVALUATING"
    COMPLETED = "COMPLETED"
    EVALUATED = "EVALUATED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"
    STOPPED = "STOPPED"
    PRUNED = "PRUNED"
    WITHDRAWN = "WITHDRAWN"


RUNNING = frozenset({State.CLAIMED, State.TRAINING, State.EVALUATING})
SUCCEEDED = frozenset({State.COMPLETED, State.EVALUATED})
TERMINAL = SUCCEEDED | {State.FAILED, State.SKIPPED, State.STOPPED, State.PRUNED, State.WITHDRAWN}


class Cause(StrEnum):
    """Why an attempt ended without a result; the key of `retry` in orze.yaml."""

    SCRIPT = "script"
    EXCEPTION = "exception"
    EXIT_CODE = "exit_code"
    SIGNAL = "signal"
    TIMEOUT = "timeout"
    STALL = "stall"
    CUDA_OOM = "cuda_oom"
    HOST_OOM = "host_oom"
    DISK_FULL = "disk_full"
    START = "start"
    PRE_SCRIPT = "pre_script"
    PROTECTED = "protected"
    NO_METRICS = "no_metrics"
    METRICS_MISPLACED = "metrics_misplaced"
    METRICS_NOT_JSON = "metrics_not_json"
    METRICS_NOT_OBJECT = "metrics_not_object"
    METRICS_TOO_LARGE = "metrics_too_large"
    METRICS_NOT_FILE = "metrics_not_file"
    METRICS_BAD_STATUS = "metrics_bad_status"
    METRICS_NOT_FINITE = "metrics_not_finite"
    STOPPED = "stopped"
    PRUNED = "pruned"
    PREEMPTED = "preempted"
    HOST_LOST = "host_lost"


# These say nothing about the experiment: they are requeued without limit and never counted.
NOT_ITS_FAULT = frozenset({Cause.PREEMPTED, Cause.HOST_LOST})
# And these are no failures: early stopping is a judgement of the farm's, and is final.
UNCOUNTED = NOT_ITS_FAULT | {Cause.PRUNED}
