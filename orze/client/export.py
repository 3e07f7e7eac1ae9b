"""All results as a table for other programs: CSV, JSON or Parquet, however many there are."""

from __future__ import annotations

import csv
import io
import json
import marshal
import math
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from importlib import import_module
from itertools import islice
from typing import IO, Any, BinaryIO, Final

from orze.attempt.metrics import MetricsError, read_metrics
from orze.client.base import BadBase, merged, read_base
from orze.client.flat import Configs, Row, Value, flat
from orze.client.project import Project
from orze.client.reader import Reader
from orze.core.errors import OrzeError
from orze.core.files import nonce
from orze.farm.queue import Entry
from orze.farm.steward import number_of
from orze.ideas.parse import IdeaError
from orze.report.model import Result
from orze.report.text import moment

FORMATS: Final = ("csv", "json", "parquet")
FIXED: Final = (
    *("id", "title", "state", "cause", "error", "host", "gpu", "attempt", "seconds", "finished_at", "rank"),
    *("primary", "config_from"),
)
MOST_COLUMNS: Final = 4096  # of csv and parquet; json has no columns
RAN, WOULD = "ran", "section"
_METRICS_KEPT: Final = 64  # of one result, by the journal; metrics.json has the others
_BATCH: Final = 2000  # rows of one row group
_LENGTH: Final = 4  # bytes
_INT64: Final = 1 << 63
_REMEMBERED: Final = 20_000
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_FORMULA: Final = re.compile(r"[=+\-@\t]")


def rows(project: Project, reader: Reader, *, every: bool = False) -> Iterator[Row]:
    """One row an idea, in the order of their numbers.

    The configuration is what ran: results/<id>/idea.yaml. Where there is none (a plain result, or no attempt
    yet) it is what the present section and base configuration make; `config_from` says which.

    Args:
        reader: that has read the farm.
        every: also ideas that have no result.

    Yields:
        Values by the names in `FIXED`, `metric.<name>` and `config.<dotted.name>`. `rank` is None where the
        primary metric is missing, `primary` its value; `finished_at` is ISO 8601 in UTC.
    """
    board = reader.board.leaderboard
    ranks = {idea_id: rank for rank, idea_id in enumerate(board.ranking(), 1)}
    metric = board.primary.name if board.primary else ""
    configs = _Sources(project, reader)
    for idea_id in sorted(
        reader.queue.ids(), key=lambda idea_id: (number_of(idea_id), len(idea_id), idea_id)
    ):
        entry, result = reader.queue.get(idea_id), board.get(idea_id)
        if entry is None or (result is None and not (every and entry.state)):
            continue  # a group is told of by its members
        row: Row = dict.fromkeys(FIXED)
        row |= {"id": idea_id, "title": reader.queue.title(idea_id), "state": str(entry.state or "")}
        if result:
            row |= _outcome(result)
            row |= {"rank": ranks.get(idea_id), "primary": result.metrics.get(metric) if metric else None}
            found = _metrics(result, project.paths.idea(idea_id).home)
            row |= {f"metric.{name}": value for name, value in found.items()}
        row |= configs.of(idea_id, entry)
        yield portable(row)


def portable(row: Row) -> Row:
    """A row as every format can hold it."""
    return {_encodable(name): _portable(value) for name, value in row.items()}


def write(
    table: Iterable[Row], stream: BinaryIO, form: str, *, first: Sequence[str] = FIXED
) -> tuple[int, int]:
    """Write a table.

    CSV (RFC 4180, UTF-8) is what people open in spreadsheets: a text that a spreadsheet would take for a
    formula (it begins with = + - @ or a tab, and is no number) gets an apostrophe before it, and control
    characters become U+FFFD. JSON (an array, one row a line) and Parquet have every text as it is.

    Args:
        table: of portable rows.
        form: one of `FORMATS`.
        first: the columns that are always there, in this order before all others.

    Returns:
        How many rows were written, and how many columns were left out because there are too many.

    Raises:
        OrzeError: pyarrow is needed and not there.
        OSError: it cannot be written.
    """
    if form == "json":
        return _write_json(table, stream), 0
    arrow = _pyarrow() if form == "parquet" else None
    with _Spool(table, first) as spool:
        if arrow:
            _write_parquet(arrow, spool, stream)
        else:
            _write_csv(spool, stream)
        return spool.count, spool.left_out


@contextmanager
def replaced(path: str) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` when it has been written whole; else nothing has changed.

    Raises:
        OSError: it cannot be written.
    """
    scratch = f"{path}.{nonce()}.part"
    try:
        with open(scratch, "xb") as stream:
            yield stream
        os.replace(scratch, path)
    except BaseException:
        if os.path.exists(scratch):
            os.unlink(scratch)
        raise


class _Sources:
    """Where the configuration of an idea comes from."""

    def __init__(self, project: Project, reader: Reader) -> None:
        self._paths = project.paths
        self._intake = reader.intake
        self._configs = Configs()
        try:
            self._base: dict[str, Any] | None = read_base(project.settings)
        except BadBase:
            self._base = None  # what ran is known all the same

    def of(self, idea_id: str, entry: Entry) -> Row:
        """The columns of its configuration."""
        source, found = RAN, self._configs.ran(self._paths.idea(idea_id).home)
        if found is None:
            source, found = WOULD, self._would_run(entry)
        if found is None:
            return {}
        return {"config_from": source, **{f"config.{name}": value for name, value in found.items()}}

    def _would_run(self, entry: Entry) -> Row | None:
        section = self._intake.section(entry.idea) if entry.idea and self._base is not None else None
        if section is None or self._base is None:
            return None
        try:
            return flat(merged(self._base, section))
        except IdeaError:
            return None


def _outcome(result: Result) -> Row:
    when = moment(result.finished_at)
    return {
        "title": result.title,
        "state": str(result.state),
        "cause": result.cause,
        "error": result.error,
        "host": result.host,
        "gpu": result.gpu,
        "attempt": result.attempt,
        "seconds": result.seconds,
        "finished_at": when.isoformat(timespec="seconds") if when else None,
    }


def _metrics(result: Result, home: str) -> Row:
    """All metrics; of a result that may have more than the journal keeps, those of metrics.json."""
    if len(result.metrics) < _METRICS_KEPT:
        return dict(result.metrics)
    try:
        return flat(read_metrics(home, primary=None).values)
    except (MetricsError, OSError):
        return dict(result.metrics)


@lru_cache(maxsize=_REMEMBERED)  # names and many texts are the same in all rows
def _encodable(text: str) -> str:
    """A text without the lone surrogates that JSON can hold and UTF-8 cannot."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _portable(value: Value) -> Value:
    """What every format can hold: a whole number that 64 bits do not hold becomes its text."""
    if type(value) is str:
        return _encodable(value)
    return str(value) if type(value) is int and not -_INT64 <= value < _INT64 else value


# ---- json


def _write_json(table: Iterable[Row], stream: BinaryIO) -> int:
    count = 0
    for count, row in enumerate(table, 1):
        values = {name: _jsonable(value) for name, value in row.items()}
        stream.write((b"[\n" if count == 1 else b",\n") + json.dumps(values, allow_nan=False).encode())
    stream.write(b"\n]\n" if count else b"[]\n")
    return count


def _jsonable(value: Value) -> Value:
    return None if isinstance(value, float) and not math.isfinite(value) else value


# ---- two passes: the columns are known when all rows were seen


class _Spool:
    """Rows on a temporary file, and the columns that they have.

    Attributes:
        columns: names, and which kinds of values each holds.
        left_out: how many names are no columns.
    """

    def __init__(self, table: Iterable[Row], first: Sequence[str]) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self.count = 0
        kinds: dict[str, set[type]] = {name: set() for name in first}
        shapes = set[tuple[tuple[str, ...], tuple[type, ...]]]()
        for row in table:
            data = marshal.dumps(row)
            self._file.write(len(data).to_bytes(_LENGTH, "big") + data)
            self.count += 1
            shape = tuple(row), tuple(map(type, row.values()))
            if shape not in shapes:
                shapes.add(shape)
                for name, kind in zip(*shape, strict=True):
                    kinds.setdefault(name, set()).add(kind)
                if len(shapes) > _REMEMBERED:
                    shapes.clear()
        others = sorted(kinds.keys() - set(first), key=lambda name: (name[:7] != "metric.", name))
        names = [*first, *others][:MOST_COLUMNS]
        self.left_out = len(kinds) - len(names)
        self.columns = {name: kinds[name] - {type(None)} for name in names}

    def __enter__(self) -> _Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def rows(self) -> Iterator[Row]:
        """The rows again."""
        self._file.seek(0)
        while length := self._file.read(_LENGTH):
            data = self._file.read(int.from_bytes(length, "big"))
            yield marshal.loads(data)  # noqa: S302 - written above, into a file without a name


def _write_csv(spool: _Spool, stream: BinaryIO) -> None:
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
    try:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([_cell(name) for name in spool.columns])
        for row in spool.rows():
            writer.writerow([_cell(row.get(name)) for name in spool.columns])
    finally:
        text.detach()


def _cell(value: Value) -> Value:
    """What the csv module is to write: numbers as Python does, None as nothing."""
    return _safe(value) if type(value) is str else value


@lru_cache(maxsize=_REMEMBERED)
def _safe(text: str) -> str:
    """A text that neither a terminal nor a spreadsheet takes for a command."""
    text = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
    return f"'{text}" if _FORMULA.match(text) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


# ---- parquet


def _pyarrow() -> Any:
    try:
        import_module("pyarrow.parquet")
        return import_module("pyarrow")
    except ImportError:
        raise OrzeError("Parquet needs the package pyarrow: pip install 'orze[parquet]'") from None


def _write_parquet(arrow: Any, spool: _Spool, stream: BinaryIO) -> None:
    kinds = {name: _kind(name, kinds) for name, kinds in spool.columns.items()}
    types = {
        bool: arrow.bool_(),
        int: arrow.int64(),
        float: arrow.float64(),
        str: arrow.string(),
        datetime: arrow.timestamp("us", tz="UTC"),
    }
    schema = arrow.schema([(name, types[kind]) for name, kind in kinds.items()])
    found = spool.rows()
    with arrow.parquet.ParquetWriter(stream, schema) as writer:
        while batch := list(islice(found, _BATCH)):
            writer.write_table(_table(arrow, schema, kinds, batch))


def _table(arrow: Any, schema: Any, kinds: dict[str, type], batch: Sequence[Row]) -> Any:
    columns = [
        arrow.array([_as(kind, row.get(name)) for row in batch], type=schema.field(name).type)
        for name, kind in kinds.items()
    ]
    return arrow.Table.from_arrays(columns, schema=schema)


def _kind(name: str, kinds: set[type]) -> type:
    """The one type of a column: a number where all are numbers, text where they differ or are none."""
    if name == "finished_at":
        return datetime
    if name in ("attempt", "rank"):
        return int
    if kinds == {int, float}:
        return float
    return next(iter(kinds)) if len(kinds) == 1 else str


def _as(kind: type, value: Value) -> Any:
    """A value as its column has it."""
    if value is None or type(value) is kind:
        return value
    if kind is datetime:
        return datetime.fromisoformat(str(value))
    return float(value) if kind is float else str(value)
