"""Stand-ins for a shared directory that misbehaves: they stand between our code and a real `Files`."""

from __future__ import annotations

import errno
import posixpath
import threading
from collections.abc import Callable, Sequence
from typing import Any

from orze.coord.chain import Chain, Fold
from orze.coord.record import new_record

CALLS = (
    "mkdir", "listdir", "read", "write_new", "overwrite", "link", "replace", "symlink", "sync_dir", "unlink",
    "rmdir", "stat",
)  # fmt: skip


def error(number: int) -> OSError:
    """The exception that Python raises for this errno."""
    return OSError(number, errno.errorcode[number])


class Share:
    """Passes every call on to `inner`, and keeps the names and arguments of all of them in `calls`."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.calls: list[tuple[Any, ...]] = []

    def around(self, name: str, arguments: tuple[Any, ...], call: Callable[[], Any]) -> Any:
        """What happens at a call; subclasses do something else."""
        return call()

    def names(self) -> list[str]:
        """The names of the calls so far."""
        return [name for name, *_ in self.calls]


def _pass_on(name: str) -> Callable[..., Any]:
    def method(self: Share, *arguments: Any) -> Any:
        self.calls.append((name, *arguments))
        return self.around(name, arguments, lambda: getattr(self.inner, name)(*arguments))

    return method


for _name in CALLS:
    setattr(Share, _name, _pass_on(_name))


class Died(BaseException):
    """The process was killed."""


class Killed(Share):
    """The process dies just before its call number `at` (from 0), or in the middle of that write."""

    def __init__(self, inner: Any, at: int) -> None:
        super().__init__(inner)
        self.at = at

    def around(self, name, arguments, call):
        if len(self.calls) <= self.at:
            return call()
        if name == "write_new" and len(self.calls) == self.at + 1:
            self.inner.write_new(arguments[0], arguments[1][: len(arguments[1]) // 2])
        raise Died


class At(Share):
    """Something happens on the share just before call number `at`."""

    def __init__(self, inner: Any, at: int, event: Callable[[], None]) -> None:
        super().__init__(inner)
        self.at = at
        self.event = event

    def around(self, name, arguments, call):
        if len(self.calls) == self.at + 1:
            self.event()
        return call()


class Answers(Share):
    """The calls of one name are answered by `answer(count, call, arguments)`, count from 0."""

    def __init__(self, inner: Any, name: str, answer: Callable[..., Any]) -> None:
        super().__init__(inner)
        self.name = name
        self.answer = answer
        self.count = 0

    def around(self, name, arguments, call):
        if name != self.name:
            return call()
        self.count += 1
        return self.answer(self.count - 1, call, arguments)


def fails_once(inner: Any, name: str, number: int, *, done: bool, at: int = 0) -> Answers:
    """Call number `at` of this name fails with this errno; it is done all the same, or not."""

    def answer(count, call, arguments):
        if count != at:
            return call()
        if done:
            call()
        raise error(number)

    return Answers(inner, name, answer)


def fails_always(inner: Any, name: str, number: int) -> Answers:
    """Every call of this name fails with this errno and does nothing."""

    def answer(count, call, arguments):
        raise error(number)

    return Answers(inner, name, answer)


class Turns:
    """Runs actors in threads, one call to the share at a time, in an order that the test decides."""

    def __init__(self, files: Any) -> None:
        self._files = files
        self._yielded = threading.Semaphore(0)

    def run(self, actors: Sequence[Callable[[Any], Any]], order: Sequence[int]) -> list[Any]:
        """Give each actor a share of its own, grant calls in `order`, then let each run to its end.

        Returns:
            What each returned, or the OSError that it raised.
        """
        runners = [_Runner(actor, self._files, self._yielded) for actor in actors]
        for runner in runners:
            runner.start()
            self._yielded.acquire()
        for turn in order:
            self._grant(runners[turn])
        for runner in runners:
            while not runner.ended:
                self._grant(runner)
            runner.join()
            if runner.broken:
                raise runner.broken
        return [runner.outcome for runner in runners]

    def _grant(self, runner: _Runner) -> None:
        if not runner.ended:
            runner.go.release()
            self._yielded.acquire()


class _Runner(threading.Thread):
    def __init__(self, actor: Callable[[Any], Any], files: Any, yielded: threading.Semaphore) -> None:
        super().__init__(daemon=True)
        self.go = threading.Semaphore(0)
        self.yielded = yielded
        self.ended = False
        self.outcome: Any = None
        self.broken: BaseException | None = None
        self._actor = actor
        self._share = _Waiting(files, self)

    def run(self) -> None:
        try:
            self.outcome = self._actor(self._share)
        except OSError as refusal:
            self.outcome = refusal
        except BaseException as fault:
            self.broken = fault
        self.ended = True
        self.yielded.release()


class _Waiting(Share):
    def __init__(self, inner: Any, runner: _Runner) -> None:
        super().__init__(inner)
        self._runner = runner

    def around(self, name, arguments, call):
        self._runner.yielded.release()
        self._runner.go.acquire()
        return call()


def remove_tree(files: Any, path: str) -> None:
    """rm -rf."""
    for step in removal_steps(files, path):
        step()


def removal_steps(files: Any, path: str) -> list[Callable[[], None]]:
    """The single calls of an rm -rf of what is there now."""
    steps: list[Callable[[], None]] = []
    for name in files.listdir(path):
        child = posixpath.join(path, name)
        try:
            steps += removal_steps(files, child)
        except NotADirectoryError:
            steps.append(lambda child=child: files.unlink(child))
    steps.append(lambda: files.rmdir(path))
    return steps


class Words(Fold):
    """A state for tests: the words that were said, each at most once."""

    def clear(self) -> None:
        super().clear()
        self.said: list[str] = []

    def step(self, record: dict[str, Any]) -> bool:
        if record["word"] in self.said:
            return False
        self.said.append(record["word"])
        return True


def words(files: Any, directory: str, clock: Any, *, fanout: int = 0) -> Chain:
    """A chain of words, as a new process sees it."""
    return Chain(files, directory, Words(), clock, fanout=fanout)


def say(chain: Chain, word: str) -> Any:
    """Append a word unless it was said."""
    return chain.append(lambda: None if word in chain.fold.said else new_record("WORD", word=word))


def said(files: Any, directory: str, clock: Any, *, fanout: int = 0) -> list[str]:
    """The words as a new process reads them."""
    chain = words(files, directory, clock, fanout=fanout)
    chain.refresh()
    return chain.fold.said
