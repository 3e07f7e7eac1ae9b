"""The lines of a file that are nearest to lines which are not in it."""

from __future__ import annotations

import difflib
import heapq
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final

_MOST_LINES: Final = 10_000
_LONGEST: Final = 120  # characters of a line that are compared
_COMMON: Final = 50  # a line that occurs more often says nothing about the place
_SHOWN: Final = 20
_JUDGED: Final = 20


def nearest(lines: Sequence[str], search: Sequence[str]) -> str:
    """Describe where lines that were looked for may have been meant.

    Args:
        lines: of the file.
        search: what was looked for.

    Returns:
        Some lines of text that begin with `; the nearest lines are`, with the numbers of the file's lines
        and the first line that differs; or a half-sentence that there is nothing like it.
    """
    file = [line.strip() for line in lines[:_MOST_LINES]]
    place = _by_equal_lines(file, [line.strip() for line in search])
    if place is None:
        place = _by_one_line(file, search)
    if place is None:
        return f", nor anything like them (it has {len(lines)} lines)"
    end = min(place + max(len(search), 1), len(lines), place + _SHOWN)
    window = [f"{number + 1:6}| {lines[number].rstrip()[:200]}" for number in range(place, end)]
    return "; the nearest lines are\n" + "\n".join(window) + _difference(lines, search, place)


def _by_equal_lines(file: Sequence[str], search: Sequence[str]) -> int | None:
    """Where most lines are the same but for indentation."""
    where: dict[str, list[int]] = defaultdict(list)
    for number, line in enumerate(file):
        where[line].append(number)
    votes: Counter[int] = Counter()
    for number, line in enumerate(search[:1000]):
        found = where.get(line, [])
        if line and len(found) <= _COMMON:
            votes.update(max(at - number, 0) for at in found)
    return min(votes, key=lambda at: (-votes[at], at)) if votes else None


def _by_one_line(file: Sequence[str], search: Sequence[str]) -> int | None:
    """Where the longest of the lines has something like it.

    difflib takes a second for 10,000 lines, so it judges only those with the most runs of three characters
    in common.
    """
    number, line = max(enumerate(search), key=lambda pair: len(pair[1].strip()))
    line = line.strip()[:_LONGEST]
    wanted = _runs(line)
    common = ((len(wanted & _runs(text)), -at) for at, text in enumerate(file))
    likely = [file[-at][:_LONGEST] for count, at in heapq.nlargest(_JUDGED, common) if count]
    found = difflib.get_close_matches(line, likely, n=1, cutoff=0.6)
    return max([text[:_LONGEST] for text in file].index(found[0]) - number, 0) if found else None


def _runs(line: str) -> set[str]:
    return {line[at : at + 3] for at in range(min(len(line), _LONGEST) - 2)}


def _difference(lines: Sequence[str], search: Sequence[str], place: int) -> str:
    """The first of the lines that differs."""
    for number, wanted in enumerate(search):
        at = place + number
        if at >= len(lines):
            return f"\nthe file ends at line {len(lines)}, before SEARCH has {wanted.strip()[:200]!r}"
        if lines[at].rstrip() != wanted.rstrip():
            return (
                f"\nline {at + 1} is {lines[at].rstrip()[:200]!r}, where SEARCH has {wanted.rstrip()[:200]!r}"
            )
    return ""
