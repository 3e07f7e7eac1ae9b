"""The fields of a section: where they stand in its prose, and what each of them may be."""

import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

from orze.core.units import DURATION_FORMS, parse_duration
from orze.ideas.model import IdeaError, Priority

_LONGEST_PROSE: Final = 1000  # characters that are kept in memory; the file has the rest
_MOST_FIELDS: Final = 100
_MOST_NAMES: Final = 100  # ids in After, patterns in Hosts
_MOST_GPUS: Final = 1024
_MOST_REPEATS: Final = 10**6  # what max_members allows is far less
_HIGHEST_SEED: Final = 2**32 - 1  # what the generators of NumPy and PyTorch take
_LONGEST_LINE: Final = 4096  # characters of a command line
_NO_COMMANDS: Final = "this farm runs no command lines of ideas: orze.yaml has no train_command"

_NAME = r"(?:[-*+][ \t]+)?\*\*([^*\n]{1,60})(?::\*\*|\*\*[ \t]*:)"
FIELD: Final = re.compile(rf"^ {{0,3}}{_NAME}[ \t]*(.*(?:\n(?![ \t]*{_NAME})[ \t]+\S.*)*)", re.MULTILINE)

_ID = re.compile(r"idea-[0-9]{1,18}(?:\.[0-9]{1,9})?")
_COMMIT = re.compile(r"[0-9a-fA-F]{7,40}")
_SEPARATOR = re.compile(r"[,\s]+")
_NONE = {"", "none", "-"}
_TRUTH: Final = {"yes": True, "true": True, "no": False, "false": False, "": False}


def read_fields(
    prose: str, path: str, line: int, *, commands: bool = True
) -> tuple[dict[str, Any], tuple[tuple[str, str], ...]]:
    """Read the field lines.

    Args:
        prose: a section, with its lines where they are, less what stands in fences.
        path: the file, for messages.
        line: number of its first line in the file.
        commands: whether ideas may bring command lines of their own.

    Returns:
        The values of the known fields by their names in small letters; names and values of the others.

    Raises:
        IdeaError: a value that a field cannot have, or a field that is given twice.
    """
    known: dict[str, Any] = {}
    others: list[tuple[str, str]] = []
    for match in FIELD.finditer(prose):
        name = match[1].strip()
        key = name.lower()
        value = " ".join(match[2].splitlines() if key in _AS_WRITTEN else match[2].split())
        try:
            if len(known) + len(others) == _MOST_FIELDS:
                raise ValueError(f"the section has more than {_MOST_FIELDS} fields")
            if key not in _READERS:
                others.append((sys.intern(name), value[:_LONGEST_PROSE]))
            elif key in known:
                raise ValueError("it is given twice: keep one of them")
            elif key == "command" and value and not commands:
                raise ValueError(_NO_COMMANDS)
            else:
                known[key] = _READERS[key](value)
        except ValueError as error:
            raise IdeaError(line + prose.count("\n", 0, match.start()), f"{name}: {error}", path) from None
    return known, tuple(others)


def _bare(value: str) -> str:
    return value.strip("` ")


def _priority(value: str) -> Priority:
    try:
        return Priority[_bare(value).upper() or "MEDIUM"]
    except KeyError:
        raise ValueError(f"{value[:40]!r} is none of critical, high, medium and low") from None


def _gpus(value: str) -> int:
    text = _bare(value) or "1"
    count = int(text) if text.isascii() and text.isdigit() and len(text) <= 4 else 0
    if not 1 <= count <= _MOST_GPUS:
        raise ValueError(f"{value[:40]!r} is no number of cards: write a whole number from 1 to {_MOST_GPUS}")
    return count


def _timeout(value: str) -> float | None:
    text = _bare(value)
    if not text:
        return None
    seconds = parse_duration(text)
    if seconds == 0:
        raise ValueError(f"it must be longer than 0: write {DURATION_FORMS}")
    return seconds


def _names(value: str) -> tuple[str, ...]:
    """The words of a list with commas, each once; none for an empty field, `none` and `-`."""
    if _bare(value).lower() in _NONE:
        return ()
    names = tuple(dict.fromkeys(name for part in _SEPARATOR.split(value) if (name := _bare(part))))
    if len(names) > _MOST_NAMES:
        raise ValueError(f"it names more than {_MOST_NAMES}")
    return names


def _ids(value: str) -> tuple[str, ...]:
    names = _names(value)
    for name in names:
        if not _ID.fullmatch(name):
            raise ValueError(f"{name[:40]!r} is no id of an idea: write it as in idea-001")
    return names


def _parent(value: str) -> str | None:
    ids = _ids(value)
    if len(ids) > 1:
        raise ValueError("an idea has one parent: name the others in After")
    return ids[0] if ids else None


def _whole(value: str, least: int, most: int) -> int:
    text = _bare(value)
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else -1
    if not least <= number <= most:
        raise ValueError(f"{value[:40]!r} is no whole number from {least} to {most}")
    return number


def _repeats(value: str) -> int:
    return _whole(value, 1, _MOST_REPEATS) if _bare(value) else 1


def _seed(value: str) -> int:
    return _whole(value, 0, _HIGHEST_SEED) if _bare(value) else 0


def _rerun(value: str) -> bool:
    try:
        return _TRUTH[_bare(value).lower()]
    except KeyError:
        raise ValueError(f"{value[:40]!r} is neither yes nor no") from None


def _commit(value: str) -> str:
    text = _bare(value)
    if text and not _COMMIT.fullmatch(text):
        raise ValueError(f"{value[:60]!r} is no commit: write 7 to 40 digits of its hash")
    return text.lower()


def _command(value: str) -> str:
    line = value.strip()
    if line.startswith("`") and line.find("`", 1) == len(line) - 1:  # Markdown's marks around the whole of it
        line = line[1:-1].strip()
    if len(line) > _LONGEST_LINE or not line.isprintable():
        raise ValueError(f"it must be one line of at most {_LONGEST_LINE} printable characters")
    return line


def _prose(value: str) -> str:
    return value[:_LONGEST_PROSE]


_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "priority": _priority,
    "category": _prose,
    "parent": _parent,
    "hypothesis": _prose,
    "gpus": _gpus,
    "timeout": _timeout,
    "after": _ids,
    "hosts": _names,
    "repeats": _repeats,
    "seed": _seed,
    "rerun": _rerun,
    "commit": _commit,
    "command": _command,
}
_AS_WRITTEN: Final = frozenset({"command"})  # blanks in quotes are part of it
