"""Starts a command of the user's, and ends its whole process tree.

The keeper is a child subreaper (PR_SET_CHILD_SUBREAPER, prctl(2)): whatever loses its parent below it
becomes its own child. So the tree is gone exactly when waitpid(2) knows of no child, and only direct
children are ever signalled: their pids cannot be reused before they are waited for, and what they leave
behind becomes a direct child in its turn.
"""

from __future__ import annotations

import errno
import os
import signal
import warnings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from typing import NoReturn

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_PR_GET_DUMPABLE = 3
_PR_SET_CHILD_SUBREAPER = 36
_AGAIN = 1.0  # seconds between two looks at what is still there
_FIRST_OTHER = 3  # descriptor behind standard input, output and error
_SIGNALS = range(1, 32)  # signal(7); the real-time signals above are not used in a keeper


def become_subreaper() -> None:
    """Adopt from now on whatever loses its parent among the descendants of this process (Linux 3.4).

    Raises:
        OSError: the kernel refused.
    """
    if _PRCTL(_PR_SET_CHILD_SUBREAPER, 1) != 0:
        raise OSError(errno.ENOSYS, "the kernel refused to make the keeper a child subreaper")


def die_with_parent() -> None:
    """Have this process killed when the thread that started it ends; for a child, before it executes."""
    _PRCTL(_PR_SET_PDEATHSIG, signal.SIGKILL)


def spawn(
    argv: Sequence[str], *, env: dict[str, str], cwd: str, output: int, keep: Collection[int] = ()
) -> int:
    """Start a command in a session of its own; it is killed when the calling thread ends (PR_SET_PDEATHSIG).

    Descriptors 0 to 2 of this process must be open. The call returns when the program has been executed, and
    so waits where the program's file is on a share that hangs.

    Args:
        argv: the program and its arguments; a program without a slash is looked for on the PATH of `env`.
        env: its whole environment.
        cwd: its working directory.
        output: the descriptor of its standard output and error; its input is /dev/null.
        keep: descriptors above 2 that it inherits; every other is closed in it.

    Returns:
        Its pid, which is also its session and process group.

    Raises:
        OSError: it could not be started; errno and filename tell why. Nothing is left behind.
    """
    programs = _programs(argv[0], env)
    handled = [number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_DFL]
    descriptors = [int(name) for name in os.listdir("/proc/self/fd")]
    keeper = os.getpid()

    def become() -> NoReturn:
        _leave(keeper, handled)
        _connect(output, keep, descriptors)
        os.chdir(cwd)
        _execute(programs, list(argv), env)

    report, tell = os.pipe()
    with open(report, "rb", buffering=0) as stream:
        try:
            pid = _fork_into(become, tell)
        finally:
            os.close(tell)
        told = stream.readall()  # nothing, once the program is executed: the pipe is closed with that
    if told:
        os.waitpid(pid, 0)
        number, _, name = told.partition(b"\0")
        raise OSError(int(number), os.strerror(int(number)), os.fsdecode(name))
    return pid


def reap(main: int) -> int | None:
    """Wait for every child that has ended, without blocking.

    Args:
        main: the pid that `spawn` returned.

    Returns:
        The status of `main`, as waitpid(2) gives it, if it was among them.
    """
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == main:
            found = status


def gone() -> bool:
    """Whether no process of the tree is left, not even one that ended and was not waited for."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False


class Ending:
    """The end of a tree: TERM, then KILL after a grace, and KILL again for whatever forks on.

    TERM goes to each direct child once. What lies below it gets its own TERM when its parent has gone: a
    script can so save its checkpoint while its loader workers live, and a launcher that passes signals on
    is not doubled. KILL goes to the whole process group of each direct child, which no fork escapes.

    Call `step` when it begins, whenever a child has ended (SIGCHLD) and at `next_wake`, until `gone`.

    Args:
        grace: seconds between TERM and KILL.
        now: the steady time (CLOCK_BOOTTIME, seconds), as for every method.
    """

    __slots__ = ("_again", "_kill_at", "_told")

    def __init__(self, grace: float, now: float) -> None:
        self._kill_at = now + grace
        self._again = 0.0  # when KILL is to be repeated
        self._told: dict[int, int] = {}

    def hasten(self, kill_at: float) -> None:
        """Send KILL at the steady time `kill_at`, if that is sooner."""
        self._kill_at = min(self._kill_at, kill_at)

    def step(self, now: float) -> None:
        """Signal what is to be signalled by now."""
        number = signal.SIGTERM if now < self._kill_at else signal.SIGKILL
        told = self._told
        if number == signal.SIGKILL and now >= self._again:
            told, self._again = {}, now + _AGAIN
        self._told = dict.fromkeys(children(), number)
        for pid in self._told:
            if told.get(pid) != number:
                _signal(pid, number)

    def next_wake(self, now: float) -> float:
        """The steady time of the next step, if no child ends before it."""
        return min(self._kill_at, now + _AGAIN) if now < self._kill_at else max(self._again, now)

    def stuck(self) -> list[str]:
        """Name the direct children that live: behind a KILL, those that hang in the kernel (state D)."""
        named = []
        for pid in children():
            comm, state, _ = _stat(pid)
            if state:
                named.append(f"{pid} ({comm}, state {state})")
        return named


def children() -> list[int]:
    """The pids of the direct children of this process, those that ended and wait to be reaped included.

    Each thread has a list of its own in /proc (proc_pid_task_tid_children(5), CONFIG_PROC_CHILDREN). Where
    it is missing, or a thread ends under the reading, all of /proc is looked through. A child that is born
    or adopted meanwhile may be missed: the next look finds it. An unreadable /proc shows none.
    """
    try:
        tasks = [f"/proc/self/task/{task}/children" for task in os.listdir("/proc/self/task")]
        return [int(pid) for task in tasks for pid in _read_file(task).split()]
    except OSError:
        return _children_by_scan()


def _children_by_scan() -> list[int]:
    me = os.getpid()
    try:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []
    return [pid for pid in pids if _stat(pid)[2] == me]


def _stat(pid: int) -> tuple[str, str, int]:
    """Command name, state letter and parent (proc_pid_stat(5)); `("", "", 0)` where the process is gone."""
    try:
        head, _, rest = _read_file(f"/proc/{pid}/stat").rpartition(b")")
        state, parent = rest.split()[:2]
    except (OSError, ValueError):
        return "", "", 0
    comm = head.partition(b"(")[2].decode("ascii", "replace")
    return "".join(c if c.isprintable() else "?" for c in comm), state.decode("ascii"), int(parent)


def _signal(pid: int, number: int) -> None:
    try:
        group = os.getpgid(pid)
        if number == signal.SIGKILL and group not in {0, 1, os.getpgrp()}:  # 0: led from outside a container
            os.killpg(group, number)
        else:
            os.kill(pid, number)
    except (PermissionError, ProcessLookupError):
        return  # it took another user's rights: `stuck` names it


def _read_file(path: str) -> bytes:
    with open(path, "rb", buffering=0) as stream:
        return stream.readall()


def _fork_into(become: Callable[[], NoReturn], tell: int) -> int:
    """Fork with the signals blocked, so that none reaches a handler of the keeper's in the child."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        # Python 3.12 warns of a fork beside threads: the child takes no lock that another could hold.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            _run_child(become, tell)
        return pid
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _run_child(become: Callable[[], NoReturn], tell: int) -> NoReturn:
    """Become the command, or say through `tell` why not; whatever happens, this process never returns."""
    try:
        become()
    except OSError as error:
        os.write(tell, b"%d\0%s" % (error.errno or errno.EIO, os.fsencode(error.filename or "")))
    except (ValueError, MemoryError):  # a NUL in an argument, or `=` in the name of a variable
        os.write(tell, b"%d\0" % errno.EINVAL)
    finally:
        os._exit(127)


def _leave(keeper: int, handled: list[int]) -> None:
    """A session of its own, the signals at their defaults, and death with the parent."""
    os.setsid()
    _PRCTL(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != keeper:  # it died before the line above could take effect
        os._exit(127)
    for number in handled:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _connect(output: int, keep: Collection[int], descriptors: list[int]) -> None:
    """The standard descriptors; of the others only `keep` outlives the execution."""
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for descriptor in descriptors:
        try:
            os.set_inheritable(descriptor, descriptor < _FIRST_OTHER or descriptor in keep)
        except OSError:
            continue  # that of the listing itself, closed by now


def _programs(name: str, env: dict[str, str]) -> list[str]:
    if "/" in name:
        return [name]
    return [f"{directory or '.'}/{name}" for directory in env.get("PATH", os.defpath).split(":")]


def _execute(programs: list[str], argv: list[str], env: dict[str, str]) -> NoReturn:
    """Execute the first of the files that there is, as execvp(3) does."""
    failure: OSError = FileNotFoundError(errno.ENOENT, "", argv[0])
    for program in programs:
        try:
            os.execve(program, argv, env)  # noqa: S606 - running the user's command is what this file is for
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError as error:
            failure = error
    raise failure


def _find_prctl() -> Callable[..., int]:
    """prctl(2) by way of the core of ctypes, which loads in a tenth of the time and memory of the whole."""
    try:
        import _ctypes

        address = _ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl")  # type: ignore[arg-type]  # NULL: the program
        _ctypes.call_function(address, (_PR_GET_DUMPABLE,))
        return lambda *arguments: int(_ctypes.call_function(address, arguments))
    except (ImportError, AttributeError, TypeError):  # it is a private module, and may change
        import ctypes

        library = ctypes.CDLL(None)
        return lambda *arguments: int(library.prctl(*arguments))


_PRCTL = _find_prctl()
