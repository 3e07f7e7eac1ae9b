"""What to do about each cause of failure: one sentence a cause, for report.md and for RULES.md."""

from __future__ import annotations

from orze.core.states import Cause

ADVICE: dict[Cause, str] = {
    Cause.SCRIPT: "The script itself reported FAILED: read its error, and change the idea or the script.",
    Cause.EXCEPTION: (
        "The script ended with an exception: read the end of train_output.log and fix the line that it names."
    ),
    Cause.EXIT_CODE: "The script ended with an exit code other than 0: read the end of train_output.log.",
    Cause.SIGNAL: (
        "A signal that orze did not send ended the script: look in train_output.log for a crash in "
        "native code, and ask whether somebody killed it."
    ),
    Cause.TIMEOUT: (
        "The time limit was reached: give the idea a longer Timeout, raise timeout in orze.yaml, or "
        "train less; a checkpoint in ORZE_CHECKPOINT_DIR lets the next attempt go on."
    ),
    Cause.STALL: (
        "Neither the log nor progress.jsonl grew for stall_minutes: find what the script waited for, "
        "or let it print as it goes."
    ),
    Cause.CUDA_OOM: (
        "The memory of the card was not enough: use a smaller batch or model, or set fewer slots_per_gpu."
    ),
    Cause.HOST_OOM: (
        "The host ran out of memory and the kernel killed the script: load less at once, use fewer "
        "data workers, or run fewer attempts on that host."
    ),
    Cause.DISK_FULL: "A disk was full: make room, or let cleanup in orze.yaml do it, and retry the idea.",
    Cause.START: (
        "The training command could not be started, or its commit not be checked out: check python, "
        "train_script, launch and code_dir in orze.yaml."
    ),
    Cause.PRE_SCRIPT: (
        "pre_script or pre_command failed, so training did not begin: read the end of train_output.log."
    ),
    Cause.PROTECTED: (
        "The run changed files that are protected in orze.yaml, so that its result is void: leave these "
        "files alone, or name fewer of them."
    ),
    Cause.NO_METRICS: (
        "The script ended with exit code 0 and wrote no metrics: write metrics.json to the directory "
        "of the idea below --results-dir."
    ),
    Cause.METRICS_MISPLACED: (
        "metrics.json was written past the directory given as --results-dir: write there, or set "
        "doors to false in orze.yaml for a script that ignores it."
    ),
    Cause.METRICS_NOT_JSON: (
        "metrics.json is not JSON: write it with json.dump, as the last thing the script does."
    ),
    Cause.METRICS_NOT_OBJECT: (
        "metrics.json holds JSON that is not an object: write one object with the status and one "
        "entry for each metric."
    ),
    Cause.METRICS_TOO_LARGE: (
        "metrics.json is too large: keep single numbers there, and write curves to progress.jsonl."
    ),
    Cause.METRICS_NOT_FILE: "metrics.json is a link or not a regular file: write a plain file.",
    Cause.METRICS_BAD_STATUS: (
        "The status in metrics.json is neither COMPLETED nor FAILED: write one of the two."
    ),
    Cause.METRICS_NOT_FINITE: (
        "The primary metric is NaN or infinite, so the training diverged: lower the learning rate, "
        "clip gradients, or look for a division by zero."
    ),
    Cause.PRUNED: (
        "Early stopping found it hopeless (research.prune): nothing to do; a retry runs it again, to its end."
    ),
    Cause.STOPPED: "Somebody stopped the attempt: retry the idea if it should run again.",
    Cause.PREEMPTED: "The attempt gave way to others: nothing to do, it is queued again by itself.",
    Cause.HOST_LOST: (
        "The host went away during the attempt: nothing to do, it is queued again by itself; look at "
        "the host if this happens often."
    ),
}

RETRY = (
    "To run one again, delete its directory in results/, or say orze retry IDEA; RULES.md tells how a "
    "program asks for it."
)
HELD = (
    "Held ideas are kept and do not run: orze release IDEA lets one run, orze restore IDEA brings back one "
    "that vanished from ideas.md, and orze withdraw IDEA gives one up."
)
QUARANTINED = "These sections could not be accepted. Correct each at its place; all others run meanwhile."
UNFENCED = (
    "This farm is unfenced (doors: false): a script that outlives its attempt may still overwrite files "
    "of the next attempt."
)


def advice(cause: str | None) -> str:
    """Return the sentence for a cause; for a word that is no cause, where to look."""
    try:
        return ADVICE[Cause(cause or "")]
    except ValueError:
        return "Read the end of train_output.log of the idea."
