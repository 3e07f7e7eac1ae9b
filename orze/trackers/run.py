"""One finished idea as an experiment tracker is told of it: plain values within bounds."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from orze.attempt.metrics import LINE_LIMIT, STEP_NAMES, parse_progress_line
from orze.attempt.spec import CONFIG, PROGRESS
from orze.core.files import RealFiles
from orze.core.paths import FarmPaths, IdeaPaths
from orze.core.states import State
from orze.ideas.model import IdeaError
from orze.ideas.values import MAX_BYTES, load_values
from orze.report.text import clean

_STEPS: Final = 10_000  # of which at least half are told where there are more
_NAMES: Final = 1000  # of one configuration
_METRICS: Final = 64  # of one line of progress
_DEPTH: Final = 20
_NAME_LIMIT: Final = 200  # characters
_TEXT_LIMIT: Final = 4000
_LARGEST: Final = 1 << 53
_ATTEMPT: Final = re.compile(r"\d{1,18}-[\w.-]{1,200}", re.ASCII)
# There is no such file, or none that a script may have made; any other error may be gone the next time.
_NO_FILE: Final = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EINVAL, errno.EFBIG, errno.EACCES}
    | {errno.ENXIO, errno.ENODEV}
)

Scalar = float | int | str | bool | None


@dataclass(frozen=True)
class Run:
    """What a tracker gets.

    Attributes:
        key: 16 hex digits, the same whenever this run is mirrored, and no other's.
        name: the idea's id.
        succeeded: it has a result.
        about: idea, title, state, cause, error, host, card, attempt, seconds.
        config: the merged configuration, with dotted names.
        metrics: the final numbers, each finite; `texts` is what else the result holds.
        steps: the numbers of progress.jsonl, by steps that never decrease.
        begun, ended: unix seconds.
    """

    key: str
    name: str
    succeeded: bool
    about: Mapping[str, str | float]
    config: Mapping[str, Scalar]
    metrics: Mapping[str, float]
    texts: Mapping[str, str]
    steps: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    begun: float = 0.0
    ended: float = 0.0


def read_run(paths: FarmPaths, idea_id: str, state: State, facts: Mapping[str, Any]) -> Run:
    """Gather what is known of an idea that ended.

    Args:
        facts: what the journal says of the end; it and every file are untrusted.

    Returns:
        The run. Files that are gone or broken leave their part of it empty.

    Raises:
        OSError: the share did not answer; a file that is not there raises nothing.
    """
    idea = paths.idea(idea_id)
    directory = str(facts.get("dir", ""))
    own = f"{idea.attempts}/{directory}" if _ATTEMPT.fullmatch(directory) else ""
    values = flat(facts.get("metrics") if isinstance(facts.get("metrics"), dict) else {}, _NAMES)
    seconds, ended = _seconds(facts.get("seconds")), _seconds(facts.get("at"))
    told = {
        name: clean(str(facts.get(name) or ""), _TEXT_LIMIT) for name in ("title", "cause", "error", "host")
    }
    return Run(
        key=_key(idea_id, directory, facts),
        name=idea_id,
        succeeded=not facts.get("cause"),
        about={
            "idea": idea_id,
            **told,
            "state": str(state),
            "card": clean(str(facts.get("gpu", ""))),
            "attempt": int(_seconds(facts.get("attempt", 1))),
            "seconds": seconds,
        },
        config=_config(own, idea),
        metrics=_numbers(values),
        texts={name: str(value) for name, value in values.items() if isinstance(value, str | bool)},
        steps=_steps(_place(own, idea, PROGRESS)),
        begun=max(0.0, ended - seconds),
        ended=ended,
    )


def flat(values: Any, limit: int) -> dict[str, Scalar]:
    """Nested mappings as dotted names in their order; lists become JSON, long texts are cut."""
    found: dict[str, Scalar] = {}
    waiting: list[tuple[str, Any, int]] = [("", values, 0)]
    while waiting and len(found) < limit:
        name, value, depth = waiting.pop()
        if isinstance(value, Mapping) and depth < _DEPTH:
            below = [(f"{name}.{key}" if name else str(key), inner) for key, inner in value.items()]
            waiting += [(key[: 8 * _NAME_LIMIT], inner, depth + 1) for key, inner in reversed(below)]
        elif name:
            found[clean(name, _NAME_LIMIT)] = _scalar(value)
    return found


def _scalar(value: Any) -> Scalar:
    if value is None or isinstance(value, bool | int | float):
        return value if value is None or abs(value) < _LARGEST or isinstance(value, float) else str(value)
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text.encode("utf-8", "replace").decode()[:_TEXT_LIMIT]


def _numbers(values: Mapping[str, Scalar]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def _seconds(value: object) -> float:
    number = float(value) if isinstance(value, int | float) and abs(value) < _LARGEST else 0.0
    return number if number >= 0 else 0.0


def _key(idea_id: str, directory: str, facts: Mapping[str, Any]) -> str:
    """The name of an attempt's directory is unique; a plain result is told by what it is."""
    what = directory or json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(f"{idea_id}/{what}".encode("utf-8", "replace")).hexdigest()[:16]


def _place(own: str, idea: IdeaPaths, name: str) -> str:
    """A file of the attempt; without doors it lies at the top of the idea's directory."""
    return f"{own}/{name}" if own and os.path.exists(f"{own}/{CONFIG}") else idea.projection(name)


def _config(own: str, idea: IdeaPaths) -> dict[str, Scalar]:
    try:
        text = RealFiles().read(_place(own, idea, CONFIG), MAX_BYTES).decode()
        return flat(load_values(text, path=CONFIG, line=1), _NAMES)
    except (IdeaError, UnicodeDecodeError):
        return {}
    except OSError as error:
        if error.errno not in _NO_FILE:
            raise
        return {}


def _steps(path: str) -> list[tuple[int, dict[str, float]]]:
    """Every line, or, of more than 10,000, every second, fourth, … one."""
    kept: list[tuple[int, dict[str, Any]]] = []
    every = 1
    for number, line in enumerate(_lines(path)):
        found = parse_progress_line(line) if number % every == 0 else None
        if found:
            kept.append((number, found))
        if len(kept) > _STEPS:
            every *= 2
            kept = [(at, values) for at, values in kept if at % every == 0]
    name = next((name for name in STEP_NAMES if _counts(kept, name)), "")
    return [
        (int(values[name]) if name else number, _numbers(flat(values, _METRICS))) for number, values in kept
    ]


def _lines(path: str) -> Iterator[bytes]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in _NO_FILE:
            raise
        return
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return
    with open(descriptor, "rb") as stream:
        yield from iter(lambda: stream.readline(LINE_LIMIT + 1), b"")


def _counts(kept: list[tuple[int, dict[str, Any]]], name: str) -> bool:
    """Whether every line has this number, and it never decreases."""
    values = [value for _, found in kept if type(value := found.get(name)) is int and 0 <= value < _LARGEST]
    return len(values) == len(kept) and values == sorted(values)
