"""Which paths of a project a glob means."""

from collections.abc import Iterable
from fnmatch import fnmatchcase


def matches(pattern: str, path: str) -> bool:
    """Tell whether a glob means a path.

    A glob is anchored at the project's directory. `*`, `?` and `[...]` stay within one part of the path; `**`
    as a part of its own stands for any number of directories (`**/*.py` is every Python file), and at the
    end for all that is below. Without any of these it means that file, or that directory with all below it.

    Args:
        pattern: such as `train.py`, `configs`, `src/**/test_*.py`.
        path: of a file, relative to the project's directory, its parts separated by `/`.

    Returns:
        True where it is meant. An empty pattern means nothing.
    """
    parts = [part for part in pattern.split("/") if part not in {"", "."}]
    names = path.split("/")
    if not any(char in part for part in parts for char in "*?["):
        return bool(parts) and names[: len(parts)] == parts
    return _fits(parts, names)


def any_matches(patterns: Iterable[str], path: str) -> str:
    """Find the first of several globs that means a path.

    Returns:
        That glob; "" where none does.
    """
    return next((pattern for pattern in patterns if matches(pattern, path)), "")


def _fits(parts: list[str], names: list[str]) -> bool:
    """Whether names fit the parts of a pattern, in time of their product.

    `reached` holds how many names the parts so far may have used up.
    """
    reached = {0}
    for index, part in enumerate(parts):
        if part == "**":
            at_least = index == len(parts) - 1  # `src/**` is what is below src
            reached = set(range(min(reached) + at_least, len(names) + 1))
        else:
            reached = {at + 1 for at in reached if at < len(names) and fnmatchcase(names[at], part)}
        if not reached:
            return False
    return len(names) in reached
