"""Tells why a command ended: from its exit status and the end of its log, both of them untrusted."""

from __future__ import annotations

import os
import signal

from orze.core.states import Cause

ERROR_LIMIT = 500  # characters of the sentence that is kept and shown
TAIL_LIMIT = 16384  # bytes of a log that are looked at
_AFTER_RAISED = 30  # lines behind an exception, beyond which the script went on and so had handled it
_LAST_LINES = 5  # of a log without an exception at its end
_SHELL_SIGNALS = 128  # exit code 128 + n of a shell: the command was ended by signal n (POSIX, sh, 2.8.2)
_CLASSIC_SIGNALS = 32
_EPILOGUE = ("wandb:",)  # printed at exit, at any length

# Signals that come from what the process itself did: then, and at a plain exit code, the log tells more.
_ITS_OWN = frozenset(
    {0, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV, signal.SIGTRAP}
)
_TELLTALES = (  # in lower case
    (
        Cause.CUDA_OOM,
        (
            "cuda out of memory",
            "cuda error: out of memory",
            "cuda driver error: out of memory",
            "cudamalloc failed: out of memory",
            "cuda_error_out_of_memory",
            "cudaerrormemoryallocation",
            "cuda failure 'out of memory'",
            "cuda failure 2 'out of memory'",
            "torch.outofmemoryerror",
            "torch.cuda.outofmemoryerror",
            "cupy.cuda.memory.outofmemoryerror",
            "cublas_status_alloc_failed",
            "cudnn_status_alloc_failed",
            "resource_exhausted: out of memory",
            "oom when allocating tensor",
        ),
    ),
    (
        Cause.DISK_FULL,
        ("no space left on device", "[errno 28]", "enospc", "disk quota exceeded", "[errno 122]", "edquot"),
    ),
    (
        Cause.HOST_OOM,
        ("std::bad_alloc", "defaultcpuallocator", "cannot allocate memory", "oom_kill event"),
    ),
)
_OUT_OF_MEMORY_ERRORS = frozenset({"MemoryError", "_ArrayMemoryError"})
_KILLED_CHILD = ("killed by signal: killed", "<signals.sigkill: 9>")  # of a loader worker; of a subprocess
_LAUNCHERS = frozenset({"ChildFailedError", "CalledProcessError"})  # of torchrun; of accelerate
_DIRECT_CAUSE = "The above exception was the direct cause of the following exception:"  # traceback, chained
_OOM_KILLED = (
    "the kernel killed it for lack of memory (oom_kill in /proc/vmstat rose): use less of the host's memory, "
    "such as fewer or leaner loader workers"
)
_TRACEBACK = "Traceback (most recent call last)"
_FIELD_DIGITS = 9
_FULL = 1 << 20  # bytes
_CSI_PARAMETERS = "".join(map(chr, range(0x20, 0x40)))  # ECMA-48, 5.4


class Verdict:
    """Why a command ended.

    Attributes:
        cause: None for a clean end.
        error: one sentence of at most 500 characters; empty for a clean end.
    """

    __slots__ = ("cause", "error")

    def __init__(self, cause: Cause | None, error: str) -> None:
        self.cause = cause
        self.error = one_line(error)

    def __repr__(self) -> str:
        return f"Verdict({self.cause!r}, {self.error!r})"


class _Final:
    """What the end of a log says: a line to show, the text to judge, a signal that a launcher tells of."""

    __slots__ = ("headline", "raised", "signal", "text")

    def __init__(self, headline: str, text: list[str], *, raised: bool, number: int = 0) -> None:
        self.headline = headline
        self.text = "\n".join(text).lower()
        self.raised = raised
        self.signal = number


def classify(
    *,
    exit_status: int | None,
    killed_for: str | None = None,
    oom_kills: int = 0,
    log_tail: bytes = b"",
    limit: float = 0.0,
) -> Verdict:
    """Tell why a command ended.

    Args:
        exit_status: as waitpid(2) gives it; None where it is not known.
        killed_for: why the keeper itself ended it (`timeout`, `stall`, `stop`, `preempt`; any other word is
            a lost lease); empty or None where it did not. It decides, whatever the command said then.
        oom_kills: by how much `oom_kill_count` rose meanwhile.
        log_tail: the end of what it printed. Read only where it failed: what a script printed and then
            handled counts for nothing.
        limit: the seconds that it was allowed, for `timeout` and `stall`.

    Returns:
        The cause and a sentence.
    """
    if killed_for:
        return _ended_by_keeper(killed_for, limit)
    if exit_status == 0:
        return Verdict(None, "")
    final = _final(_lines(log_tail))
    code = os.WEXITSTATUS(exit_status) if exit_status is not None and os.WIFEXITED(exit_status) else None
    number = _signal_of(exit_status) or final.signal
    if oom_kills > 0 and (number == signal.SIGKILL or any(word in final.text for word in _KILLED_CHILD)):
        return Verdict(Cause.HOST_OOM, _OOM_KILLED)
    if number in _ITS_OWN and (cause := _telltale(final)):
        return Verdict(cause, final.headline)
    if number:
        return Verdict(Cause.SIGNAL, _describe_signal(number, final.headline))
    if final.raised:
        return Verdict(Cause.EXCEPTION, final.headline)
    said = final.headline or "it printed nothing"
    return Verdict(Cause.EXIT_CODE, f"exit code {'unknown' if code is None else code}: {said}")


def describe_timeout(seconds: float) -> str:
    """The sentence for a command that ran longer than it was allowed."""
    return (
        f"ran longer than its time limit of {_span(seconds)}: give the idea a longer `Timeout`, raise "
        "timeout in orze.yaml, or do less"
    )


def describe_stall(seconds: float) -> str:
    """The sentence for a command that showed no progress for so long."""
    return (
        f"neither its log nor progress.jsonl grew for {_span(seconds)}: print or append progress more often, "
        "or raise stall_minutes in orze.yaml"
    )


def one_line(text: str, limit: int = ERROR_LIMIT) -> str:
    """Make untrusted text a single line: no control characters, single blanks, at most `limit` characters."""
    cut = text[: 4 * limit]
    plain = " ".join("".join(c if c.isprintable() else " " for c in _without_escapes(cut)).split())
    return plain if len(plain) <= limit else plain[: limit - 1] + "…"


def read_tail(path: str, limit: int = TAIL_LIMIT) -> bytes:
    """Read the last bytes of a regular file; empty where there is none that can be read.

    Args:
        path: neither a link nor a FIFO is followed.
        limit: bytes.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        status = os.fstat(descriptor)
        if status.st_mode & 0o170000 != 0o100000:  # S_IFMT, S_IFREG (inode(7))
            return b""
        return os.pread(descriptor, limit, max(0, status.st_size - limit))
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def disk_is_full(path: str) -> bool:
    """Whether hardly anything can be written where a file lies: what a script printed last is then lost."""
    try:
        status = os.statvfs(path)
    except OSError:
        return False
    return status.f_bavail * status.f_frsize < _FULL


def oom_kill_count() -> int:
    """How many processes the kernel of this machine has killed for lack of memory since boot, in any cgroup.

    It is the `oom_kill` of /proc/vmstat (Linux 4.13); 0 where it cannot be read.
    """
    try:
        with open("/proc/vmstat", "rb") as stream:
            return next((int(line[9:]) for line in stream if line.startswith(b"oom_kill ")), 0)
    except (OSError, ValueError):
        return 0


def _ended_by_keeper(why: str, limit: float) -> Verdict:
    if why == "timeout":
        return Verdict(Cause.TIMEOUT, describe_timeout(limit))
    if why == "stall":
        return Verdict(Cause.STALL, describe_stall(limit))
    if why == "stop":
        return Verdict(Cause.STOPPED, "stopped by an operator")
    if why == "preempt":
        return Verdict(Cause.PREEMPTED, "stopped by the daemon of its host; it is queued again")
    return Verdict(Cause.HOST_LOST, "its host lost the lease of the attempt, and ended it")


def _span(seconds: float) -> str:
    whole = int(seconds)
    parts = ((whole // 3600, "h"), (whole // 60 % 60, "min"), (whole % 60, "s"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or f"{seconds:g} s"


def _signal_of(exit_status: int | None) -> int:
    if exit_status is None:
        return 0
    if os.WIFSIGNALED(exit_status):
        return os.WTERMSIG(exit_status)
    number = os.WEXITSTATUS(exit_status) - _SHELL_SIGNALS
    return number if 0 < number < _CLASSIC_SIGNALS else 0


def _describe_signal(number: int, said: str) -> str:
    try:
        name = f"{signal.Signals(number).name} ({signal.strsignal(number)})"
    except ValueError:
        name = f"signal {number}"
    whose = "" if number in _ITS_OWN else ", which this farm did not send"
    return f"ended by {name}{whose}; its last line: {said}" if said else f"ended by {name}{whose}"


def _telltale(final: _Final) -> Cause | None:
    for cause, words in _TELLTALES:
        if any(word in final.text for word in words):
            return cause
    starved = final.raised and _class_name(final.headline) in _OUT_OF_MEMORY_ERRORS
    return Cause.HOST_OOM if starved else None


def _lines(tail: bytes) -> list[str]:
    text = _without_escapes(tail[-TAIL_LIMIT:].decode("utf-8", "replace"))
    return [line.rstrip() for line in text.replace("\r", "\n").split("\n")]


def _without_escapes(text: str) -> str:
    first, *rest = text.split("\x1b")
    return first + "".join(_after_escape(part) for part in rest)


def _after_escape(part: str) -> str:
    if part.startswith("["):  # a colour or a movement of the cursor
        return part[1:].lstrip(_CSI_PARAMETERS)[1:]
    if part.startswith("]"):  # a title or a hyperlink, up to BEL or the next escape
        return part.partition("\x07")[2]
    return part[1:]


def _final(lines: list[str]) -> _Final:
    raised = _last_raised(lines)
    if raised is None:
        last = [line.strip() for line in lines if line.strip() and not line.startswith(_EPILOGUE)]
        return _Final(last[-1] if last else "", last[-_LAST_LINES:], raised=False)
    index, headline = raised
    if _class_name(headline) in _LAUNCHERS:
        return _launched(lines, index, headline)
    return _raised(lines, index, headline)


def _raised(lines: list[str], index: int, headline: str, number: int = 0) -> _Final:
    behind = lines[index + 1 : index + 1 + _AFTER_RAISED]
    if headline.endswith(":"):
        headline += " " + next((line.strip() for line in behind if line.strip()), "")
    return _Final(headline, [headline, *behind, *_direct_causes(lines, index)], raised=True, number=number)


def _launched(lines: list[str], index: int, headline: str) -> _Final:
    """Look behind a launcher's own exception for that of its workers, and read the table of torchrun."""
    rank, code = _field(lines[index:], "rank"), _field(lines[index:], "exitcode")
    number = -code if code is not None and code < 0 else 0
    above = lines[: _traceback_of(lines, index)]
    mine = [line for line in above if line.startswith(f"[rank{rank}]:")]
    inner = _last_raised(mine or above)
    if inner is not None:
        return _raised(mine or above, *inner, number)
    if code is None:
        return _raised(lines, index, headline)
    headline = f"rank {rank} ended with exit code {code}"
    return _Final(headline, lines[index:], raised=False, number=number)


def _field(table: list[str], name: str) -> int | None:
    for line in reversed(table):  # the first failure, the root cause, stands last
        key, _, value = line.partition(":")
        if key.strip() == name:
            token = (value.split() or [""])[0]
            return int(token) if len(token) < _FIELD_DIGITS and token.removeprefix("-").isdecimal() else None
    return None


def _direct_causes(lines: list[str], index: int) -> list[str]:
    """The exceptions from which (`raise … from …`) the one at `index` was raised."""
    causes: list[str] = []
    while True:
        above = [line for line in lines[: _traceback_of(lines, index)] if line.strip()]
        if not above or _DIRECT_CAUSE not in above[-1]:
            return causes
        lines = above[:-1]
        raised = _last_raised(lines)
        if raised is None:
            return causes
        index = raised[0]
        causes.append(raised[1])


def _traceback_of(lines: list[str], index: int) -> int:
    return max((at for at in range(index) if _TRACEBACK in lines[at]), default=0)


def _last_raised(lines: list[str]) -> tuple[int, str] | None:
    """The place and text of the exception at the end of a log, as Python, torch's ranks or rich print it."""
    frame = max((at for at in range(len(lines)) if _frame_indent(lines[at])), default=None)
    if frame is None:
        return None
    indent = _frame_indent(lines[frame])
    mark = indent.rstrip()  # such as `[rank0]:`
    for index in range(frame + 1, len(lines)):
        line = lines[index]
        text = line.removeprefix(mark).strip()
        if not line.startswith(indent) and _class_name(text):
            return (index, text) if _is_last(lines, index, text) else None
    return None


def _frame_indent(line: str) -> str:
    """What stands before a frame of a traceback, and so before all of its source; empty for another line."""
    if line.startswith("╰"):  # the end of rich's box
        return "│"
    head, _, rest = line.partition('File "')
    return head if head.endswith("  ") and '", line ' in rest else ""


def _is_last(lines: list[str], index: int, text: str) -> bool:
    behind = [line for line in lines[index + 1 :] if line and not line.startswith(_EPILOGUE)]
    return len(behind) <= _AFTER_RAISED or _class_name(text) in _LAUNCHERS


def _class_name(text: str) -> str:
    """The class, without its module, of a line such as `torch.OutOfMemoryError: CUDA …`; else empty."""
    name = text.partition(":")[0].partition("(")[0].replace("<locals>.", "")
    return name.rpartition(".")[2] if name.replace(".", "_").isidentifier() else ""
