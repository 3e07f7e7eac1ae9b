"""One command on a machine behind ssh, from this side: send, start, follow, bring home, end as it ended."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import resource
import signal

from orze.attempt import guard, told, verdict
from orze.attempt.executors import sync
from orze.attempt.executors.faults import Refused
from orze.attempt.executors.line import Line
from orze.attempt.executors.output import Output
from orze.attempt.executors.persist import Persistence, ToldToEnd
from orze.attempt.executors.travel import Places, variables
from orze.attempt.spec import INPUT, PROGRESS
from orze.core.globs import any_matches
from orze.core.states import Cause

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, Final, NoReturn

    from orze.attempt.executors.over_spec import OverSsh
    from orze.attempt.executors.waiting import Waiting

_FAULT: Final = 76  # EX_PROTOCOL of sysexits.h, for whoever runs this by hand; the keeper reads the file
_TIMEOUT, _KILLED, _STOPPED = "timeout", "killed", "stop"  # why it ended, as the keeper there says


class OverRun:
    """Runs one command there; see `run`.

    Args:
        spec: what the executor told.
        name: the command's name in `spec`.
        argv: the command, as it would run here.
        environ: its environment here.
        cwd: its working directory here.
        waiting: what ends every wait early.
    """

    def __init__(
        self,
        spec: OverSsh,
        name: str,
        argv: Sequence[str],
        *,
        environ: Mapping[str, str],
        cwd: str,
        waiting: Waiting,
    ) -> None:
        self._spec = spec
        self._name = name
        self._command = spec["commands"][name]
        self._argv = argv
        self._environ = environ
        self._waiting = waiting
        self._places = Places(spec, environ, cwd)
        self._input = f"{self._places.own}/{INPUT}"
        self._output = Output(spec["host"], f"{self._places.data}/{PROGRESS}")
        self._persistence = Persistence(spec, self._output, waiting, self._command["limit"])
        self._project = hashlib.sha256(os.fsencode(spec["project"])).hexdigest()[:12]
        self._key = f"{spec['idea_id']}-{self._digest()}"

    def run(self) -> int | None:
        """Do it all.

        Returns:
            The status of the command as waitpid(2) gives it; None where there is none, and the keeper was
            told why.
        """
        line = None
        try:
            told.forget(self._input)
            line = Line(self._spec, self._waiting)
            return self._run(line)
        except Refused as refused:
            self._tell(Cause.START, str(refused))
        except ToldToEnd:
            return signal.SIGTERM  # nothing runs there
        except Over:
            self._tell(Cause.START, "a later attempt has taken over this run")
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            cause = Cause.DISK_FULL if full else Cause.START
            self._tell(cause, f"{error.filename or 'a file of this machine'}: {error.strerror}")
        finally:
            if line:
                line.close()
        return None

    def end_like(self, status: int | None) -> NoReturn:
        """End this process as the command ended."""
        if status is not None and os.WIFSIGNALED(status):
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the core, if any, is there
            number = os.WTERMSIG(status)
            with contextlib.suppress(OSError, ValueError):
                signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        os._exit(_FAULT if status is None else os.waitstatus_to_exitcode(status) & 0xFF)

    def _run(self, line: Line) -> int | None:
        begun = self._begin(line)
        if begun["known"]:
            self._output.say(f"this ran for an earlier attempt on {begun['host']}: it is taken over")
        elif not begun["sent"]:
            self._send(line, begun)
        answer = self._follow(line, begun)
        ended = answer["ended"]
        touched = ""
        if self._command["fetch"]:
            self._bring_home(line, begun["run"], int(answer.get("bytes", 0)))
        if self._name == "train" and self._spec["protected"] and ended["status"] == 0:
            touched = self._touched(line, begun["run"])
        self._forget_there(line, remove=self._command["last"] or ended["status"] != 0 or bool(touched))
        if touched:
            self._tell(Cause.PROTECTED, touched)
            return None
        return self._judged(ended)

    def _begin(self, line: Line) -> Any:
        begun = self._persistence.of(
            lambda: self._ask(line, "begin", install=True, idea=self._spec["idea_id"]), may_end=True
        )
        if not begun["rsync"]:
            raise Refused(f"there is no rsync on {self._spec['host']}: install it there")
        return begun

    def _send(self, line: Line, begun: Mapping[str, Any]) -> None:
        run, places, exclude = begun["run"], self._places, self._spec["exclude"]
        self._output.say(f"sends the code to {begun['host']}:{run}")

        def send() -> None:
            try:
                line.copy(*sync.send_code(places, run, exclude=exclude, base=begun["base"]), may_end=True)
            except Refused:
                if not begun["base"]:
                    raise  # else it was put away under the copy
                line.copy(*sync.send_code(places, run, exclude=exclude, base=""), may_end=True)
            for words in sync.send_attempt(places, run):
                line.copy(*words, may_end=True)

        self._persistence.of(send, may_end=True)

    def _follow(self, line: Line, begun: Mapping[str, Any]) -> Any:
        spec = self._remote_spec(begun["run"], begun["python"])
        progress = f"{self._places.idea}/{PROGRESS}" if self._name == "train" else ""
        offsets = self._output.offsets

        def stop() -> None:
            self._ask(line, "stop")

        return self._persistence.of(
            lambda: self._ask(line, "follow", stop, spec=spec, offsets=offsets, progress=progress)
        )

    def _bring_home(self, line: Line, run: str, size: int) -> None:
        if size > sync.LARGE:
            small = f"only files of at most {sync.SMALL >> 20} MiB are brought home"
            self._output.say(f"{size >> 30} GiB of results lie there: {small}")

        def bring() -> None:
            line.copy(*sync.bring_results(self._places, run, size=size))
            if self._spec["artifacts"]:
                line.copy(*sync.bring_artifacts(self._places, run, self._spec["artifacts"]))

        self._persistence.of(bring)

    def _touched(self, line: Line, run: str) -> str:
        """What protected files of the code the training has touched there, in a sentence; empty for none."""
        words = sync.compare_code(self._places, run, exclude=self._spec["exclude"])
        printed: str = self._persistence.of(lambda: line.copy(*words))
        before: dict[str, str] = {}
        after: dict[str, str] = {}
        for what, path in sync.changes(printed):
            relative = os.path.relpath(path, self._places.inside or ".")
            if any_matches(self._spec["protected"], relative):
                before |= {relative: "before"} if what != "added" else {}
                after |= {relative: "after"} if what != "removed" else {}
        nothing: dict[str, str] = {}
        return guard.sentence({"run": before, "elsewhere": nothing}, {"run": after, "elsewhere": nothing})

    def _forget_there(self, line: Line, *, remove: bool) -> None:
        self._persistence.of(lambda: self._ask(line, "end", remove=remove))

    def _judged(self, ended: Mapping[str, Any]) -> int | None:
        """The status to end with, or None behind a word to the keeper."""
        status, why, host = ended["status"], ended["why"], self._spec["host"]
        if why == _TIMEOUT:
            self._tell(Cause.TIMEOUT, verdict.describe_timeout(self._command["limit"]))
        elif why == _KILLED:
            self._tell(Cause.HOST_LOST, f"{host} was restarted, or what kept the run there was killed")
        elif status is None and why == _STOPPED:
            return signal.SIGTERM
        elif status is None:
            self._tell(Cause.START, f"{host}: {ended['error'] or 'it could not be started'}")
        elif ended["oom_kills"] > 0 and status == signal.SIGKILL:
            self._tell(Cause.HOST_OOM, f"{host} killed it for lack of memory: use less of that host's memory")
        else:
            return int(status)
        return None

    def _remote_spec(self, run: str, python: str) -> dict[str, Any]:
        spec, names = self._spec, self._places.names(run, python)
        count = 0 if spec["gpus"] == "none" or spec["gpus"].startswith("cpu") else spec["cards"]
        return {
            "argv": names.argv(self._argv),
            "env": variables(self._environ, names, more=spec["names"], work_dir=spec["work_dir"]),
            "cwd": f"{run}/code/{self._places.inside}".rstrip("/"),
            "limit": self._command["limit"],
            "grace": spec["grace"],
            "path": os.path.dirname(python) if "/" in spec["python"] else "",
            "cards": {
                "count": count,
                "allowed": spec["gpus"] if count else "",
                "threshold": spec["threshold"],
            },
        }

    def _ask(
        self,
        line: Line,
        ask: str,
        end: Callable[[], None] | None = None,
        *,
        install: bool = False,
        **request: Any,
    ) -> Any:
        request |= {"ask": ask, "key": self._key, "attempt": self._spec["attempt"]}
        request |= {"project": self._project, "name": self._name}
        answer = line.ask(request, install=install, told=self._output.take, end=end)
        if answer.get("over"):
            raise Over
        return answer

    def _tell(self, cause: Cause, error: str) -> None:
        """Tell the keeper what its command's status cannot."""
        self._output.say(error)
        try:
            told.tell(self._input, cause, error)
        except OSError as failure:
            self._output.say(f"{self._input}: {failure.strerror}")

    def _digest(self) -> str:
        """What the run is, whichever attempt it is of: the idea's first record is like no other's."""
        with open(f"{self._places.home}/.chain/000001.json", "rb") as stream:
            first = stream.read(1 << 20)
        return hashlib.sha256(first + self._spec["digest"].encode()).hexdigest()[:20]


class Over(Exception):
    """A later attempt has the run."""
