"""Reads what a training script reports: metrics.json (or eval.json) and progress.jsonl, all untrusted."""

from __future__ import annotations

import errno
import json
import os
from codecs import BOM_UTF8

from orze.attempt.verdict import one_line, read_tail
from orze.core.files import RealFiles
from orze.core.states import Cause

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import NoReturn

METRICS, EVAL = "metrics.json", "eval.json"
SIZE_LIMIT = 1 << 20  # bytes of a metrics file
LINE_LIMIT = 8192  # bytes of a line of progress.jsonl
DEPTH_LIMIT = 64  # objects and lists inside one another
# The metric that counts where orze.yaml names none. Validation before test.
PREFERRED = (
    "val_accuracy",
    "val_loss",
    "validation_accuracy",
    "validation_loss",
    "accuracy",
    "test_accuracy",
    "loss",
    "test_loss",
)
STEP_NAMES = ("step", "global_step", "iteration", "epoch")  # of a line of progress; the first that counts
_COMPLETED, _FAILED = "COMPLETED", "FAILED"
_INFINITY = float("inf")
_INTEGER_DIGITS = 300  # a longer integer is read as a float, for the sake of whoever turns it into one
_DROPPED_LIMIT = 50  # names that are listed
_NAME_LIMIT = 200  # characters of such a name
_TOO_DEEP = f"nested more than {DEPTH_LIMIT} deep"
_NOT_A_FILE = frozenset({errno.EINVAL, errno.ELOOP, errno.ENXIO, errno.ENODEV, errno.EISDIR})
_REFUSED = frozenset({errno.EACCES, errno.EPERM})


class MetricsError(Exception):
    """A metrics file that is no result.

    Attributes:
        cause: which of the causes of RULES.md it is.
        sentence: what is wrong and what to do about it.
    """

    def __init__(self, cause: Cause, sentence: str) -> None:
        super().__init__(sentence)
        self.cause = cause
        self.sentence = sentence


class Metrics:
    """What a completed script reported.

    Attributes:
        values: the whole object without its status; every number is finite, what was not is None.
        dropped: dotted names of what was not finite (the first 50).
    """

    __slots__ = ("dropped", "values")

    def __init__(self, values: dict[str, object], dropped: list[str]) -> None:
        self.values = values
        self.dropped = dropped


def read_metrics(directory: str, *, primary: str | None = None, elsewhere: str | None = None) -> Metrics:
    """Read the metrics file of an attempt: metrics.json, else eval.json (flat, or under `metrics`).

    Args:
        directory: where the script was told to write.
        primary: the dotted name of the metric that must be finite; None for the first of `PREFERRED`.
        elsewhere: a metrics file that a script which ignores `--results-dir` would have written, where the
            caller knows that nothing of the farm's has that name.

    Returns:
        What the script reported as COMPLETED.

    Raises:
        MetricsError: it is no result; the cause and the sentence say why.
        OSError: the directory cannot be read just now (EIO, ESTALE, no descriptors left): ask again.
    """
    name, data = _read_file(directory, elsewhere)
    values = _parse(name, data)
    if name == EVAL and isinstance(inner := values.get("metrics"), dict):
        values = {**{key: value for key, value in values.items() if key != "metrics"}, **inner}
    _check_status(name, values)
    values.pop("status", None)
    _check_primary(name, values, primary)
    dropped: list[str] = []
    return Metrics(_clean_object(values, "", dropped), dropped)


def parse_progress_line(line: bytes) -> dict[str, object] | None:
    """Read one line of progress.jsonl; None for one that is no JSON object, too long or too deep.

    Returns:
        The object, with None for every number that is not finite.
    """
    if len(line) > LINE_LIMIT:
        return None
    try:
        found = _load(line)
    except ValueError:
        return None
    return _clean_object(found, "", []) if isinstance(found, dict) else None


def last_progress(path: str, max_bytes: int = LINE_LIMIT) -> dict[str, object] | None:
    """Read the last whole object of progress.jsonl; None where there is none.

    Args:
        path: a regular file; a link is not followed.
        max_bytes: how much of its end is read.
    """
    tail = read_tail(path, max_bytes)
    lines = tail.split(b"\n")
    if len(tail) >= max_bytes:
        del lines[0]  # it may have begun before
    return next((found for line in reversed(lines) if (found := parse_progress_line(line))), None)


def _read_file(directory: str, elsewhere: str | None) -> tuple[str, bytes]:
    files = RealFiles()
    try:
        present = files.listdir(directory)  # a listing is fresh where the lookup of a new name may be stale
    except (FileNotFoundError, NotADirectoryError):
        present = []
    for name in (METRICS, EVAL):
        if name in present:
            try:
                return name, files.read(f"{directory}/{name}", SIZE_LIMIT)
            except OSError as error:
                _refuse(name, error)
    if elsewhere is not None and os.path.isfile(elsewhere):
        raise MetricsError(
            Cause.METRICS_MISPLACED,
            f"the script wrote {elsewhere} and nothing under its --results-dir: write "
            f"<--results-dir>/<--idea-id>/{METRICS}, or set doors: false in orze.yaml (RULES.md)",
        )
    raise MetricsError(
        Cause.NO_METRICS,
        f"the script ended well but wrote no {METRICS}: write <--results-dir>/<--idea-id>/{METRICS} with "
        f'"status": "{_COMPLETED}" and the metrics (RULES.md)',
    )


def _refuse(name: str, error: OSError) -> NoReturn:
    if error.errno == errno.EFBIG:
        cause, what = Cause.METRICS_TOO_LARGE, "is larger than 1 MiB: keep only the final numbers in it"
    elif error.errno in _NOT_A_FILE:
        cause, what = Cause.METRICS_NOT_FILE, "is a link, a pipe or a directory: write a regular file"
    elif error.errno in _REFUSED:
        cause, what = Cause.METRICS_NOT_FILE, "may not be read by the farm: give its user the right to"
    else:
        raise error
    raise MetricsError(cause, f"{name} {what} (RULES.md)") from error


def _parse(name: str, data: bytes) -> dict[str, object]:
    try:
        found = _load(data)
    except ValueError as error:
        raise MetricsError(Cause.METRICS_NOT_JSON, f"{name}{_fault(error)} (RULES.md)") from error
    if isinstance(found, dict):
        return found
    raise MetricsError(
        Cause.METRICS_NOT_OBJECT,
        f"{name} holds {_kind(found)} and no JSON object: write the metrics as names and values, such as "
        f'{{"status": "{_COMPLETED}", "val_loss": 0.31}} (RULES.md)',
    )


def _fault(error: ValueError) -> str:
    advice = "write it with json.dump, from one process only"
    if isinstance(error, json.JSONDecodeError):
        return f":{error.lineno}:{error.colno} is not JSON ({error.msg}): {advice}"
    if isinstance(error, UnicodeDecodeError):
        return f" is not JSON (byte {error.start} is not UTF-8): {advice}"
    return f" cannot be read ({error}): make it flatter"


def _kind(value: object) -> str:
    if isinstance(value, list):
        return "a list"
    return "a string" if isinstance(value, str) else one_line(json.dumps(value), 40)


def _load(data: bytes) -> object:
    """Read JSON of bounded depth; ValueError for anything else."""
    try:
        found = json.loads(data.removeprefix(BOM_UTF8).decode(), parse_int=_integer)
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error
    level = [found]
    for _ in range(DEPTH_LIMIT):
        level = [inner for value in level for inner in _inside(value)]
        if not level:
            return found
    raise ValueError(_TOO_DEEP)


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _INTEGER_DIGITS else float(digits)


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _check_status(name: str, values: dict[str, object]) -> None:
    status = values.get("status", _COMPLETED if name == EVAL else None)
    if status == _COMPLETED:
        return
    if status == _FAILED:
        error = values.get("error")
        said = one_line(error if isinstance(error, str) else json.dumps(error)) if error else ""
        unsaid = f'the script reported {_FAILED} without saying why: put the reason under "error" in {name}'
        raise MetricsError(Cause.SCRIPT, said or unsaid)
    found = f'"status": {one_line(json.dumps(status), 60)}' if "status" in values else 'no "status"'
    raise MetricsError(
        Cause.METRICS_BAD_STATUS,
        f'{name} has {found}: write exactly "{_COMPLETED}" or "{_FAILED}" (RULES.md)',
    )


def _check_primary(name: str, values: dict[str, object], primary: str | None) -> None:
    metric = primary or next((known for known in PREFERRED if known in values), "")
    value = look_up(values, metric)
    if isinstance(value, float) and not abs(value) < _INFINITY:
        raise MetricsError(
            Cause.METRICS_NOT_FINITE,
            f"{one_line(metric, _NAME_LIMIT)} in {name} is {value}: the training diverged or divided by 0; "
            f'lower the learning rate, check the data, or report "status": "{_FAILED}" (RULES.md)',
        )


def look_up(values: dict[str, object], dotted: str) -> object:
    """The entry of a dotted name, as one key or one level a part; None where there is none."""
    if dotted in values:
        return values[dotted]
    found: object = values
    for key in dotted.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _clean_object(values: dict[str, object], prefix: str, dropped: list[str]) -> dict[str, object]:
    return {_text(key): _clean(value, f"{prefix}{key}", dropped) for key, value in values.items()}


def _clean(value: object, name: str, dropped: list[str]) -> object:
    """The value with None for what is not finite, whose names go to `dropped`."""
    name = name[:_NAME_LIMIT]  # a long one would be copied for each value below it
    if isinstance(value, dict):
        return _clean_object(value, f"{name}.", dropped)
    if isinstance(value, list):
        return [_clean(item, f"{name}.{index}", dropped) for index, item in enumerate(value)]
    if isinstance(value, str):
        return _text(value)
    if not isinstance(value, float) or abs(value) < _INFINITY:
        return value
    if len(dropped) < _DROPPED_LIMIT:
        dropped.append(one_line(name, _NAME_LIMIT))
    return None


def _text(text: str) -> str:
    """The text without lone surrogates, which JSON can spell and UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode()
