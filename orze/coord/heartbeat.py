"""Who is alive: counters that living processes renew, watched without comparing clocks."""

from __future__ import annotations

from orze.core.files import make_dirs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orze.core.clock import Clock
    from orze.core.files import Files

_WIDTH = 20
_LOOKS = 3  # fresh readings before anybody is called dead
SIZE = _WIDTH + 1  # bytes of a heartbeat file, for ever: overwriting it needs no space


class Beat:
    """The heartbeat of this process: one file of fixed length whose counter grows.

    Attributes:
        renewed: the steady time before the last renewal that succeeded began, in seconds.
    """

    def __init__(self, files: Files, path: str, clock: Clock) -> None:
        self._files = files
        self._path = path
        self._clock = clock
        self._count = 0
        self.renewed = 0.0

    def begin(self) -> None:
        """Make the file; FileExistsError means that the name is somebody else's."""
        begun = self._clock.steady()
        folder = self._path.rpartition("/")[0]
        make_dirs(self._files, folder)
        self._files.write_new(self._path, self._content())
        self.renewed = begun

    def renew(self) -> None:
        """Count on. Any OSError, ENOENT too, is a failed renewal: a removed heartbeat is never made again."""
        begun = self._clock.steady()
        self._count += 1
        self._files.overwrite(self._path, self._content())
        self.renewed = begun

    def end(self) -> None:
        """Remove the file: nothing of this attempt is under way any more."""
        self._files.unlink(self._path)

    def _content(self) -> bytes:
        return b"%0*d\n" % (_WIDTH, self._count)


class _Seen:
    __slots__ = ("content", "looks", "since")

    def __init__(self, content: bytes | None, since: float) -> None:
        self.content = content
        self.since = since
        self.looks = 0


class Watch:
    """Judges heartbeats by this host's own steady clock: dead is what did not change for `steal` seconds.

    An observer that was itself paused, or whose reading failed, starts again from zero: a long gap between
    two of its own looks is no proof of anything about others.

    Args:
        steal: seconds (S of docs/protocol.md).
        gap: seconds; two looks of this observer further apart than this prove nothing about others.
        every: seconds; a look sooner than this after the last one reads nothing and finds what that found.
    """

    def __init__(self, files: Files, clock: Clock, *, steal: float, gap: float, every: float = 0.0) -> None:
        self._files = files
        self._clock = clock
        self._steal = steal
        self._gap = gap
        self._every = every
        self._dead: list[str] = []
        self._seen: dict[str, _Seen] = {}
        self._last_look = clock.steady()

    def look(self, paths: list[str], present: set[str]) -> list[str]:
        """Read each heartbeat once and return those that are dead.

        Args:
            paths: heartbeat files of attempts and daemons that are believed to live.
            present: those of them that a fresh listing showed.
        """
        now = self._clock.steady()
        if self._seen and now - self._last_look < self._every and self._seen.keys() >= set(paths):
            return [path for path in self._dead if path in paths]
        if now - self._last_look > self._gap:
            self._seen.clear()
        self._last_look = now
        self._dead = dead = [path for path in paths if self._silent(path, path in present)]
        if self._clock.steady() - now > self._gap:
            self._seen.clear()  # a reading hung: whoever could not renew meanwhile is not dead
            self._dead = []
            return []
        for path in self._seen.keys() - set(paths):
            del self._seen[path]
        return dead

    def _silent(self, path: str, present: bool) -> bool:
        before = self._clock.steady()
        try:
            content = self._files.read(path, SIZE) if present else None
        except OSError:
            self._seen.pop(path, None)
            return False
        seen = self._seen.get(path)
        if seen is None or seen.content != content:
            self._seen[path] = _Seen(content, before)
            return False
        seen.looks += 1
        return seen.looks >= _LOOKS and before - seen.since >= self._steal
