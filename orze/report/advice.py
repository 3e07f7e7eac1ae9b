"""What to do about each cause of failure: one sentence a cause, for report.md and for RULES.md."""

from __future__ import annotations

from orze.core.states import Cause

ADVICE: dict[Cause, str] = {
    Cause.SCRIPT: "The training script itself reported FAILED: read its error, and change the idea or the script.",
    Cause.EXCEPTION: "The script ended with an exception: read the end of train_output.log, "
    "and fix the line that it names.",
    Cause.EXIT_CODE: "The script ended with an exit code other than 0: read the end of train_output.log.",
    Cause.SIGNAL: "A signal that orze did not send ended the script: look for a crash in native code in "
    "train_output.log, and for somebody who killed it.",
    Cause.TIMEOUT: "The time limit was reached: give the idea a Timeout, raise timeout in orze.yaml, or train less; "
    "checkpoints in ORZE_CHECKPOINT_DIR let the next attempt go on.",
    Cause.STALL: "Neither the log nor progress.jsonl grew for stall_minutes: find what the script waited for, "
    "or let it print as it goes.",
    Cause.CUDA_OOM: "The card's memory was not enough: use a smaller batch or model, or give the card fewer slots.",
    Cause.HOST_OOM: "The kernel killed the script because the host ran out of memory: load less at once, "
    "use fewer data workers, or run fewer attempts on that host.",
    Cause.DISK_FULL: "A disk was full: make room, or let cleanup in orze.yaml do so, and retry the idea.",
    Cause.START: "The training command could not be started: check python, train_script and launch in orze.yaml.",
    Cause.PRE_SCRIPT: "pre_script failed, so training was not begun: read the end of train_output.log and fix pre_script.",
    Cause.NO_METRICS: "The script ended with exit code 0 and wrote no metrics: "
    "write metrics.json to the directory RESULTS_DIR/IDEA_ID that it is given.",
    Cause.METRICS_MISPLACED: "metrics.json was written to results/ itself: write below the directory given as "
    "--results-dir, or set doors to false for a script that ignores it.",
    Cause.METRICS_NOT_JSON: "metrics.json is not JSON: write it with json.dump, whole, as the last thing the script does.",
    Cause.METRICS_NOT_OBJECT: "metrics.json holds JSON that is not an object: write one object, "
    "such as a status and one number for each metric.",
    Cause.METRICS_TOO_LARGE: "metrics.json is too large: keep numbers there, and write curves to progress.jsonl.",
    Cause.METRICS_NOT_FILE: "metrics.json is a link or not a regular file: write a plain file.",
    Cause.METRICS_BAD_STATUS: "The status in metrics.json is neither COMPLETED nor FAILED: write one of the two.",
    Cause.METRICS_NOT_FINITE: "The primary metric is NaN or infinite: the training diverged, "
    "so lower the learning rate, clip gradients, or look for a division by zero.",
    Cause.STOPPED: "Somebody stopped the attempt: retry the idea when it should run again.",
    Cause.PREEMPTED: "The attempt gave way to others: nothing to do, it is queued again by itself.",
    Cause.HOST_LOST: "The host went away while it ran: nothing to do, it is queued again by itself; "
    "look at the host if it happens often.",
}

HELD = (
    "Held ideas are kept and not run. A request releases one; one that vanished from ideas.md is restored "
    "or withdrawn by a request too (RULES.md tells how to make requests)."
)
QUARANTINED = (
    "These sections of ideas.md could not be accepted: correct each at its place. All others run meanwhile."
)


def advice(cause: str | None) -> str:
    """Return the sentence for a cause; for a word that this version does not know, where to look."""
    try:
        return ADVICE[Cause(cause or "")]
    except ValueError:
        return "Read the end of train_output.log of the idea."
