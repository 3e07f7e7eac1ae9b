"""A program that writes down what files of certain patterns hold; see `orze.attempt.guard`, which runs it.

Called as `python -I -S fingerprint.py OUTPUT SKIP ROOT ELSEWHERE PATTERN...`. OUTPUT becomes a JSON object
`{"run": {path: digest}, "elsewhere": {path: digest}}`: the files below ROOT, and those below ELSEWHERE (none
where it is empty). SKIP is a directory that is not looked into. It imports nothing of the farm. Its exit
status is 1 where there is too much to look at, and it prints why.
"""

import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

MOST_FILES = 20_000
MOST_SEEN = 200_000  # names of directories that are looked through
MOST_BYTES = 64 << 30
_IGNORED = (".git", "__pycache__")
_ANY = "**"
_CHUNK = 1 << 20


class TooMuch(Exception):
    """There is more than this program looks at."""


class Finder:
    """Finds the files of patterns, and adds up what that costs.

    Args:
        skip: a directory that is not looked into.
    """

    def __init__(self, skip: str) -> None:
        self._skip = skip
        self._seen = self._bytes = 0

    def digests(self, root: str, patterns: Sequence[str]) -> dict[str, str]:
        """The digest of each file that fits a pattern, by its path as the pattern has it.

        Raises:
            TooMuch: there are too many, or they are too large.
        """
        found: dict[str, str] = {}
        for pattern in patterns:
            for path in self._matches(root, pattern):
                if path not in found:
                    found[path] = self._digest(os.path.join(root, path))
                    if len(found) > MOST_FILES:
                        raise TooMuch(f"more than {MOST_FILES} files")
        return found

    def _matches(self, root: str, pattern: str) -> Iterator[str]:
        parts = [part for part in pattern.split("/") if part not in ("", ".")]
        wild = next((k for k, part in enumerate(parts) if any(c in part for c in "*?[")), len(parts))
        head = ("/" if pattern.startswith("/") else "") + "/".join(parts[:wild])
        rest = parts[wild:] or [_ANY]  # of a directory, all that it holds
        top = os.path.join(root, head)
        if wild == len(parts) and not os.path.isdir(top):
            return iter([head] if os.path.lexists(top) else [])
        return (os.path.join(head, *found) for found in self._below(top, rest))

    def _below(self, top: str, rest: Sequence[str]) -> Iterator[list[str]]:
        """The names, from `top` on, of each file below it that fits the rest of a pattern."""
        deepest = None if _ANY in rest else len(rest)
        waiting: list[list[str]] = [[]]
        while waiting:
            above = waiting.pop()
            for entry in self._entries(os.path.join(top, *above)):
                names = [*above, entry.name]
                if entry.is_dir(follow_symlinks=False):
                    if deepest is None or len(names) < deepest:
                        waiting.append(names)
                elif _fits(names, rest):
                    yield names

    def _entries(self, directory: str) -> list[os.DirEntry[str]]:
        if directory == self._skip:
            return []
        try:
            with os.scandir(directory) as entries:
                found = sorted((one for one in entries if one.name not in _IGNORED), key=lambda one: one.name)
        except OSError:
            return []
        self._seen += len(found)
        if self._seen > MOST_SEEN:
            raise TooMuch(f"more than {MOST_SEEN} files have to be looked through")
        return found

    def _digest(self, path: str) -> str:
        """What a file holds; of a link, also where it leads."""
        try:
            link = os.readlink(path) if os.path.islink(path) else ""
            status = os.stat(path)
            if not stat.S_ISREG(status.st_mode):
                return f"no file {link}"
            self._bytes += status.st_size
            if self._bytes > MOST_BYTES:
                raise TooMuch(f"more than {MOST_BYTES >> 30} GiB")
            return f"{_sha256(path)} {link}"
        except OSError as error:
            return f"unreadable: {error.strerror}"


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as stream:
        while piece := stream.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def _fits(names: Sequence[str], rest: Sequence[str]) -> bool:
    """Whether names fit the parts of a pattern; `**` stands for any number of directories."""
    if not rest:
        return not names
    if rest[0] == _ANY:
        return len(rest) == 1 or any(_fits(names[k:], rest[1:]) for k in range(len(names)))
    return bool(names) and fnmatchcase(names[0], rest[0]) and _fits(names[1:], rest[1:])


def main(output: str, skip: str, root: str, elsewhere: str, *patterns: str) -> int:
    """Write the digests; the exit status."""
    finder = Finder(skip)
    try:
        run = finder.digests(root, patterns)
        others: dict[str, str] = {}
        if elsewhere:  # what lies anywhere in a project may be more than anybody wants to read
            near = [one for one in patterns if not one.startswith(("/", _ANY))]
            others = finder.digests(elsewhere, near)
    except TooMuch as error:
        print(f"protected: {error}; name fewer of them")
        return 1
    told = {"run": run, "elsewhere": others}
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with open(os.open(output, flags, 0o600), "w", encoding="ascii") as stream:
        json.dump(told, stream)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
