"""Why a command ended, told from logs as they really look."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from verdict_logs import (
    ACCELERATE,
    ARGPARSE,
    CHAINED,
    COLOURED,
    CROWD,
    CUT_OFF,
    FROM_OOM,
    GROUP,
    HANDLED_LONG_AGO,
    JAX,
    LOADER_KILLED,
    MESSAGE_BELOW,
    MULTI_LINE,
    NUMPY,
    OOM_THEN_BUG,
    PLAIN,
    POOL,
    PROGRESS_BAR,
    RANKS,
    RECORDED,
    RICH,
    SYNTAX,
    TABLE,
    WANDB,
    raised,
)

from orze.attempt.verdict import (
    ERROR_LIMIT,
    TAIL_LIMIT,
    classify,
    describe_stall,
    describe_timeout,
    one_line,
    oom_kill_count,
    read_tail,
)
from orze.core.states import Cause


def exited(code: int) -> int:
    return code << 8


EXCEPTIONS = {
    "plain": (PLAIN, "ValueError: bad learning rate -1"),
    "chained": (CHAINED, "RuntimeError: no such setting"),
    "a bug in the handler": (OOM_THEN_BUG, "TypeError: unsupported operand type(s) for /: 'list' and 'int'"),
    "multi-line": (MULTI_LINE, "pydantic_core._pydantic_core.ValidationError: 1 validation error for Config"),
    "message on the next line": (MESSAGE_BELOW, "AssertionError: Tensor-likes are not close!"),
    "syntax error": (SYNTAX, "SyntaxError: '(' was never closed"),
    "coloured": (COLOURED, "ZeroDivisionError: division by zero"),
    "behind a summary of wandb": (WANDB, "ValueError: bad learning rate -1"),
    "behind a progress bar": (PROGRESS_BAR, "ValueError: bad learning rate -1"),
    "rich": (RICH, "ValueError: no data"),
    "pool": (POOL, "FileNotFoundError: [Errno 2] No such file: 'data.csv'"),
    "loader killed by somebody": (
        LOADER_KILLED,
        "RuntimeError: DataLoader worker (pid 4711) is killed by signal: Killed.",
    ),
    "head cut off": (CUT_OFF, "ValueError: bad learning rate -1"),
    "no message": (raised("KeyboardInterrupt"), "KeyboardInterrupt"),
    "local class": (raised("__main__.f.<locals>.Odd: x"), "__main__.f.<locals>.Odd: x"),
    "ray": (raised("ray.RayTaskError(ValueError): x"), "ray.RayTaskError(ValueError): x"),
    "recorded by torchrun": (RECORDED, "RuntimeError: boom"),
    "under accelerate": (PLAIN + ACCELERATE, "ValueError: bad learning rate -1"),
    "a rank alone": (
        RANKS[: RANKS.index("[rank0]")] + "".join(line for line in RANKS.splitlines(True) if "rank1" in line),
        "torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:2044, remote process exited",
    ),
}


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_an_exception_at_the_end_of_the_log_is_told_by_its_line(name: str):
    log, error = EXCEPTIONS[name]
    verdict = classify(exit_status=exited(1), log_tail=log.encode())
    assert (verdict.cause, verdict.error) == (Cause.EXCEPTION, error)


OUT_OF_MEMORY_OR_DISK = [
    (Cause.CUDA_OOM, raised("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.")),
    (Cause.CUDA_OOM, raised("torch.cuda.OutOfMemoryError: Allocation on device")),
    (Cause.CUDA_OOM, raised("RuntimeError: CUDA out of memory. Tried to allocate 20.00 MiB")),
    (Cause.CUDA_OOM, raised("RuntimeError: CUDA error: out of memory\nCUDA kernel errors might be")),
    (Cause.CUDA_OOM, raised("RuntimeError: cuDNN error: CUDNN_STATUS_ALLOC_FAILED")),
    (Cause.CUDA_OOM, raised("RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling")),
    (Cause.CUDA_OOM, raised("DistBackendError: NCCL error\nLast error:\nCuda failure 2 'out of memory'")),
    (Cause.CUDA_OOM, raised("cupy.cuda.memory.OutOfMemoryError: Out of memory allocating 8,000,000 bytes")),
    (Cause.CUDA_OOM, raised("numba.cuda.CudaAPIError: [2] Call results in CUDA_ERROR_OUT_OF_MEMORY")),
    (Cause.CUDA_OOM, raised("ResourceExhaustedError: OOM when allocating tensor with shape[9]")),
    (Cause.CUDA_OOM, JAX),
    (Cause.CUDA_OOM, FROM_OOM),
    (Cause.CUDA_OOM, RANKS + TABLE.format(code=1)),
    (Cause.CUDA_OOM, "CUDA error: out of memory at llama.cu:12\n"),
    (Cause.DISK_FULL, raised("OSError: [Errno 28] No space left on device: '/r/ckpt.pt'")),
    (Cause.DISK_FULL, raised("OSError: [Errno 122] Disk quota exceeded")),
    (Cause.DISK_FULL, "cp: error writing '/r/a': No space left on device\nmake: *** [train] Error 1\n"),
    (Cause.DISK_FULL, "Error: ENOSPC: write failed\n"),
    (Cause.DISK_FULL, GROUP),
    (Cause.HOST_OOM, raised("MemoryError")),
    (Cause.HOST_OOM, raised("OSError: [Errno 12] Cannot allocate memory")),
    (Cause.HOST_OOM, raised("RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate")),
    (Cause.HOST_OOM, NUMPY),
    (Cause.HOST_OOM, "slurmstepd: error: Detected 1 oom_kill event in StepId=7.0. Some was killed.\n"),
]


@pytest.mark.parametrize(("cause", "log"), OUT_OF_MEMORY_OR_DISK)
def test_a_lack_of_memory_or_disk_is_told_from_other_failures(cause: Cause, log: str):
    verdict = classify(exit_status=exited(1), log_tail=log.encode())
    assert verdict.cause is cause
    assert verdict.error in " ".join(log.split())


def test_the_error_of_an_out_of_memory_rank_is_that_of_the_rank():
    verdict = classify(exit_status=exited(1), log_tail=(RANKS + TABLE.format(code=1)).encode())
    assert verdict.error == "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB."


EXIT_CODES = [
    (2, ARGPARSE, "exit code 2: train.py: error: unrecognized arguments: --idea-id"),
    (3, HANDLED_LONG_AGO, "exit code 3: validation set is empty"),
    (7, "", "exit code 7: it printed nothing"),
    (9, "\n \n\x1b[0m\n", "exit code 9: it printed nothing"),
    (1, "loading\rloading 50%\rloading failed\r\n", "exit code 1: loading failed"),
    (127, "bash: pyhton: command not found\n", "exit code 127: bash: pyhton: command not found"),
    (255, "ssh: connect to host a: refused", "exit code 255: ssh: connect to host a: refused"),
    (200, "odd", "exit code 200: odd"),
    (1, 'see File "x.py", line 3\nno\n', "exit code 1: no"),
    (1, '  File "x.py", line 3 in main\n', 'exit code 1: File "x.py", line 3 in main'),
    (1, "step 1\nwandb: Synced\n", "exit code 1: step 1"),
    (1, TABLE.format(code=7).split("Traceback", 1)[0] + "x", "exit code 1: x"),
]


@pytest.mark.parametrize(("code", "log", "error"), EXIT_CODES)
def test_another_exit_code_is_told_with_the_last_line(code: int, log: str, error: str):
    verdict = classify(exit_status=exited(code), log_tail=log.encode())
    assert (verdict.cause, verdict.error) == (Cause.EXIT_CODE, error)


@pytest.mark.parametrize("table", [TABLE, CROWD])
def test_a_table_of_torchrun_without_a_traceback_names_the_rank_and_its_exit_code(table: str):
    verdict = classify(exit_status=exited(1), log_tail=table.format(code=7).encode())
    assert (verdict.cause, verdict.error) == (Cause.EXIT_CODE, "exit code 1: rank 0 ended with exit code 7")


@pytest.mark.parametrize("code", ["9" * 5000, "12345678x", "", "-"])
def test_a_table_of_torchrun_that_is_spoilt_is_an_exception_like_another(code: str):
    verdict = classify(exit_status=exited(1), log_tail=TABLE.format(code=code).encode())
    assert verdict.cause is Cause.EXCEPTION
    assert "ChildFailedError" in verdict.error


def test_what_was_printed_and_handled_does_not_count():
    verdict = classify(exit_status=0, log_tail=PLAIN.encode(), oom_kills=3)
    assert (verdict.cause, verdict.error) == (None, "")


SEGV, NOT_OURS = "ended by SIGSEGV (Segmentation fault)", ", which this farm did not send"
SIGNALS = [
    (signal.SIGSEGV, "x\nlast words\n", f"{SEGV}; its last line: last words"),
    (exited(139), "Segmentation fault\n", f"{SEGV}; its last line: Segmentation fault"),
    (signal.SIGSEGV | 0x80, "", SEGV),
    (signal.SIGKILL, "", f"ended by SIGKILL (Killed){NOT_OURS}"),
    (exited(137), "", f"ended by SIGKILL (Killed){NOT_OURS}"),
    (exited(143), "", f"ended by SIGTERM (Terminated){NOT_OURS}"),
    (
        signal.SIGTERM,
        "CUDA out of memory: halving the batch",
        f"ended by SIGTERM (Terminated){NOT_OURS}; its last line: CUDA out of memory: halving the batch",
    ),
    (exited(1), TABLE.format(code=-11), f"{SEGV}; its last line: rank 0 ended with exit code -11"),
    (50, "", f"ended by signal 50{NOT_OURS}"),
]


@pytest.mark.parametrize(("status", "log", "error"), SIGNALS)
def test_a_signal_is_named(status: int, log: str, error: str):
    verdict = classify(exit_status=status, log_tail=log.encode())
    assert (verdict.cause, verdict.error) == (Cause.SIGNAL, error)


HOST_OOM_KILLS = [
    (signal.SIGKILL, "epoch 3\n"),
    (exited(137), "bash: line 1: 4711 Killed python train.py\n"),
    (exited(1), LOADER_KILLED),
    (exited(1), TABLE.format(code=-9)),
    (exited(1), ACCELERATE.replace("returned non-zero exit status 1.", "died with <Signals.SIGKILL: 9>.")),
]


@pytest.mark.parametrize(("status", "log"), HOST_OOM_KILLS)
def test_a_kill_while_the_kernel_killed_for_memory_is_a_lack_of_host_memory(status: int, log: str):
    assert classify(exit_status=status, log_tail=log.encode(), oom_kills=1).cause is Cause.HOST_OOM
    assert classify(exit_status=status, log_tail=log.encode(), oom_kills=0).cause is not Cause.HOST_OOM


def test_an_out_of_memory_kill_elsewhere_does_not_explain_an_exception():
    assert classify(exit_status=exited(1), log_tail=PLAIN.encode(), oom_kills=4).cause is Cause.EXCEPTION


def test_an_abort_of_the_library_itself_is_told_by_what_it_printed():
    log = b"terminate called after throwing an instance of 'c10::Error'\n  what():  CUDA out of memory.\n"
    verdict = classify(exit_status=signal.SIGABRT, log_tail=log)
    assert (verdict.cause, verdict.error) == (Cause.CUDA_OOM, "what(): CUDA out of memory.")


KEEPER = [
    ("timeout", Cause.TIMEOUT, "ran longer than its time limit of 1 h 30 min"),
    ("stall", Cause.STALL, "neither its log nor progress.jsonl grew for 1 h 30 min"),
    ("stop", Cause.STOPPED, "stopped by an operator"),
    ("preempt", Cause.PREEMPTED, "stopped by the daemon"),
    ("fence", Cause.HOST_LOST, "lost the lease"),
    ("superseded", Cause.HOST_LOST, "lost the lease"),
]


@pytest.mark.parametrize(("why", "cause", "words"), KEEPER)
@pytest.mark.parametrize("status", [0, signal.SIGTERM, signal.SIGKILL, exited(1), None])
def test_what_the_keeper_ended_was_ended_for_its_reason_whatever_it_said(
    why: str, cause: Cause, words: str, status: int | None
):
    verdict = classify(exit_status=status, killed_for=why, oom_kills=1, log_tail=PLAIN.encode(), limit=5400)
    assert verdict.cause is cause
    assert words in verdict.error


def test_an_unknown_status_is_a_failure():
    assert classify(exit_status=None, log_tail=b"x").error == "exit code unknown: x"
    assert classify(exit_status=None, log_tail=PLAIN.encode()).cause is Cause.EXCEPTION


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.5, "0.5 s"), (45, "45 s"), (60, "1 min"), (3600, "1 h"), (3725, "1 h 2 min 5 s")],
)
def test_the_sentences_say_how_long_and_what_to_change(seconds: float, words: str):
    assert f" {words}: " in describe_timeout(seconds)
    assert "orze.yaml" in describe_timeout(seconds)
    assert f" {words}: " in describe_stall(seconds)
    assert "stall_minutes" in describe_stall(seconds)


def test_a_real_traceback_of_this_interpreter_is_read(tmp_path: Path):
    script = tmp_path / "train.py"
    script.write_text("def f(n):\n    return f(n - 1) if n else [][1]\nf(20)\n")
    done = subprocess.run([sys.executable, script], stderr=subprocess.PIPE, check=False)
    verdict = classify(exit_status=exited(done.returncode), log_tail=done.stderr)
    assert (verdict.cause, verdict.error) == (Cause.EXCEPTION, "IndexError: list index out of range")


@pytest.mark.parametrize("size", [0, 1, 400])
def test_an_error_is_one_bounded_line_without_control_characters(size: int):
    log = raised("ValueError: a\x00b\x07\x1b]0;title\x07c\u202ed " + "é" * size * 10)
    error = classify(exit_status=exited(1), log_tail=log.encode()).error
    assert error.startswith("ValueError: a b c d")
    assert len(error) <= ERROR_LIMIT
    assert error.isprintable()


@given(st.text())
def test_one_line_is_printable_bounded_and_stable(text: str):
    line = one_line(text, 40)
    assert len(line) <= 40
    assert line.isprintable()
    assert one_line(line, 40) == line


PIECES = [
    '  File "a.py", line 1, in f\n',
    "Traceback (most recent call last):\n",
    "The above exception was the direct cause of the following exception:\n",
    "ValueError: x\n",
    "torch.ChildFailedError:\n",
    "exitcode : -9\n",
    "exitcode : 12345678x\n",
    "rank : x\n",
    *("[rank0]: ", "╰──\n", "\x1b[", "\x1b]", "\r", "\n", "\xff", "é", " "),
]


@given(st.lists(st.sampled_from(PIECES), max_size=40), st.integers(0, 0xFFFF) | st.none(), st.integers(0, 2))
def test_no_log_and_no_status_breaks_the_verdict(pieces: list[str], status: int | None, oom_kills: int):
    log = "".join(pieces).encode("latin-1", "replace")
    verdict = classify(exit_status=status, log_tail=log, oom_kills=oom_kills)
    assert (verdict.cause is None) == (status == 0)
    assert bool(verdict.error) == (verdict.cause is not None)
    assert verdict.error.isprintable()


@given(st.binary(max_size=300))
def test_any_bytes_make_a_verdict(tail: bytes):
    assert classify(exit_status=exited(1), log_tail=tail).cause is not None


@pytest.mark.parametrize(
    "line", ['  File "a.py", line 1, in f\n', "╰\n", "Traceback (most recent call last)\n"]
)
def test_only_the_end_of_a_hostile_log_is_looked_at(line: str):
    log = (line * 100_000).encode()[: 1 << 20]
    raises = log + raised("ValueError: x").encode()
    assert classify(exit_status=exited(1), log_tail=raises).error == "ValueError: x"
    assert classify(exit_status=exited(1), log_tail=log).cause is Cause.EXIT_CODE
    before = raised("ValueError: x").encode() + b"\n" * TAIL_LIMIT
    assert classify(exit_status=exited(1), log_tail=before).error == "exit code 1: it printed nothing"


def test_the_tail_of_a_log_is_read(tmp_path: Path):
    log = tmp_path / "log"
    log.write_bytes(b"x" * TAIL_LIMIT + b"the end")
    assert read_tail(str(log), 7) == b"the end"
    assert len(read_tail(str(log))) == TAIL_LIMIT
    log.write_bytes(b"short")
    assert read_tail(str(log)) == b"short"


def test_a_log_that_is_no_regular_file_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "log").write_bytes(b"secret")
    (tmp_path / "link").symlink_to(tmp_path / "log")
    names = ("fifo", "link", "missing", ".")
    assert [read_tail(str(tmp_path / name)) for name in names] == [b""] * 4


def test_the_kernel_s_count_of_out_of_memory_kills_is_read():
    lines = Path("/proc/vmstat").read_text().splitlines()
    told = [int(line.split()[1]) for line in lines if line.split()[0] == "oom_kill"]
    assert oom_kill_count() >= (told or [0])[0] >= 0
