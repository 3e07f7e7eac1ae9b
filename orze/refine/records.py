"""The kinds of records that a session has, and how what it knows is written into them and read back.

Reading raises KeyError or ValueError for anything that is not of its kind, and the record is void: others
may write in the directory. Writing cuts texts and lists, so that every record can be read.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from orze.config.refine import Budget
from orze.coord.record import Record
from orze.refine.model import Ended, Outcome, Try

BEGIN, TAKE, STEP, ASK, ANSWER, TRY = "BEGIN", "TAKE", "STEP", "ASK", "ANSWER", "TRY"
RUN, IDEA, OUTCOME, VERDICT = "RUN", "IDEA", "OUTCOME", "VERDICT"
TICK, EXTEND, END = "TICK", "EXTEND", "END"

SENTENCE: Final = 1000  # characters of a reason
HYPOTHESIS: Final = 4000
FAULT: Final = 4000
FAULTS: Final = 20
TAIL: Final = 16_000
FILES: Final = 300
PATH: Final = 400
COMMAND: Final = 4096
REPLY: Final = 1_000_000  # characters of an answer
CHANGES: Final = 3 << 20  # bytes of an agent's change: in base 64 it fits into a record
METRICS: Final = 64 << 10  # bytes of all metrics of one run
_FLAT: Final = 200  # of them, where they are more
_MOST: Final = 1 << 53
_COMMIT = re.compile(r"[0-9a-f]{7,64}", re.ASCII)


def whole(value: object) -> int:
    """A count."""
    if type(value) is not int or not 0 <= value < _MOST:
        raise ValueError("no count")
    return value


def amount(value: object) -> float:
    """A number from 0 on."""
    number = finite(value)
    if number < 0:
        raise ValueError("no amount")
    return number


def finite(value: object) -> float:
    """A finite number."""
    if type(value) not in (int, float) or not math.isfinite(value) or abs(value) >= _MOST**2:  # type: ignore[arg-type] # a number by now
        raise ValueError("no number")
    return float(value)  # type: ignore[arg-type] # a number by now


def price(value: object) -> float | None:
    """US dollars; None where nobody knows."""
    return None if value is None else amount(value)


def text(value: object, most: int = SENTENCE) -> str:
    """A text; ValueError where it is longer than is ever written."""
    if not isinstance(value, str) or len(value) > most:
        raise ValueError("no text")
    return value


def name(value: object, most: int = 200) -> str:
    """A text that is not empty."""
    if not text(value, most):
        raise ValueError("no name")
    return str(value)


def commit(value: object) -> str:
    """An object name of git."""
    if not isinstance(value, str) or not _COMMIT.fullmatch(value):
        raise ValueError("no commit")
    return value


def texts(value: object, count: int, most: int) -> tuple[str, ...]:
    """Several texts."""
    if not isinstance(value, list) or len(value) > count:
        raise ValueError("no list")
    return tuple(text(item, most) for item in value)


def mapping(value: object) -> Mapping[str, Any]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise ValueError("no object")  # noqa: TRY004 - the record is at fault, not an argument
    return value


def budget_of(value: object) -> Budget:
    """The budget that a record holds."""
    return Budget.model_validate(mapping(value))


def cut(sentence: str, most: int = SENTENCE) -> str:
    """A text that is not longer than a record may hold."""
    return sentence if len(sentence) <= most else sentence[: most - 3] + "..."


def cut_all(items: Iterable[str], count: int, most: int) -> list[str]:
    """The first of several texts."""
    return [cut(item, most) for item, _ in zip(items, range(count), strict=False)]


def try_content(one: Try) -> Record:
    """What the record of a try says."""
    return {
        "try": one.number,
        "hypothesis": cut(one.hypothesis, HYPOTHESIS),
        "files": cut_all(one.files, FILES, PATH),
        "command": one.command,
        "commit": one.commit,
        "faults": cut_all(one.faults, FAULTS, FAULT),
    }


def read_try(record: Record) -> Try:
    """The try that a record tells of: it has a commit or faults."""
    faults = texts(record["faults"], FAULTS, FAULT)
    found = Try(
        number=whole(record["try"]),
        hypothesis=text(record["hypothesis"], HYPOTHESIS),
        files=texts(record["files"], FILES, PATH),
        command=text(record["command"], COMMAND),
        commit="" if faults else commit(record["commit"]),
        faults=faults,
    )
    if faults and record["commit"]:
        raise ValueError("both a commit and faults")
    return found


def outcome_content(outcome: Outcome) -> Record:
    """What the record of an outcome says; numbers that are not finite are told as text."""
    return {
        "ended": outcome.ended.value,
        "values": list(outcome.values),
        "metrics": _bounded(outcome.metrics),
        "seconds": outcome.seconds,
        "error": cut(outcome.error),
        "tail": outcome.tail[-TAIL:],
        "log": cut(outcome.log, COMMAND),
    }


def read_outcome(record: Record) -> Outcome:
    """The outcome that a record tells of: it has values if, and only if, it completed."""
    values = record["values"]
    if not isinstance(values, list) or len(values) > 64:
        raise ValueError("no values")
    found = Outcome(
        ended=Ended(record["ended"]),
        values=tuple(finite(value) for value in values),
        metrics=mapping(record["metrics"]),
        seconds=amount(record["seconds"]),
        error=text(record["error"]),
        tail=text(record["tail"], TAIL),
        log=text(record["log"], COMMAND),
    )
    if (found.ended is Ended.COMPLETED) != bool(values):
        raise ValueError("values of no run that completed")
    return found


def changes_content(changes: Mapping[str, bytes | None] | None) -> dict[str, str | None] | None:
    """Changed files in base 64.

    Raises:
        ValueError: they are larger than a record may hold.
    """
    if changes is None:
        return None
    if sum(len(path) + len(content or b"") for path, content in changes.items()) > CHANGES:
        raise ValueError(f"the changed files have more than {CHANGES >> 20} MiB")
    return {
        path: None if content is None else base64.b64encode(content).decode()
        for path, content in changes.items()
    }


def read_changes(value: object) -> dict[str, bytes | None] | None:
    """The changed files that a record holds."""
    if value is None:
        return None
    try:
        return {
            text(path, COMMAND): None if content is None else base64.b64decode(content, validate=True)
            for path, content in mapping(value).items()
        }
    except (binascii.Error, TypeError):
        raise ValueError("no base 64") from None


def _bounded(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics as JSON holds them; of very many only the first plain ones."""
    plain = {str(key): _plain(value) for key, value in metrics.items()}
    try:
        if len(json.dumps(plain, allow_nan=False)) <= METRICS:
            return plain
    except (TypeError, ValueError, RecursionError):
        pass
    flat = [(key, value) for key, value in plain.items() if type(value) in (int, float, bool)]
    return {key[:200]: value for key, value in flat[:_FLAT] if abs(value) < _MOST**2}


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
