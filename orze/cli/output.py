"""What commands print: tables and lines that fit the terminal, JSON where it is asked for, and faults."""

from __future__ import annotations

import json as _json
import math
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from orze.report.text import clean

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

_T = TypeVar("_T")
_LINE = 2000  # characters of one line of prose
_speaker = ["orze"]


def speak_as(program: str) -> None:
    """Put the name of this program before what is complained of from now on."""
    _speaker[:] = [program]


def safe(value: object, limit: int = _LINE) -> str:
    """Make any text one line that a terminal only shows: no control characters, nothing that does not print.

    Args:
        limit: the longest result, in characters.
    """
    return clean(str(value), limit)


def verbatim(line: str) -> str:
    """A line of others as it is, its blanks kept, without what a terminal would obey."""
    from orze.client.logs import harmless

    return harmless(line).expandtabs(4)


def text(value: object, style: str = "", *, limit: int = _LINE) -> Text:
    """Any text for a table: made harmless, and never read as markup.

    Args:
        style: of rich, such as `bold` or `red`; nothing of it is seen where output is plain.
        limit: the longest text, in characters.
    """
    from rich.text import Text

    return Text(safe(value, limit), style=style)


def console(stream: TextIO | None = None) -> Console:
    """The terminal: its width, its colours unless NO_COLOR is set; 80 columns and plain where it is a pipe.

    Args:
        stream: stdout where it is not given.
    """
    from rich.console import Console

    return Console(file=stream or sys.stdout, markup=False, highlight=False, emoji=False)


def emit(value: _T, *, json: bool, show: Callable[[_T], RenderableType]) -> None:
    """Print a result once, as JSON or for people.

    Args:
        value: plain values: what --json prints.
        json: whether --json was given.
        show: makes of it what rich prints; called only where it is needed. Text of others goes into it
            through `text` alone.
    """
    if json:
        print(as_json(value))
    else:
        draw(show(value))


def draw(view: RenderableType) -> None:
    """Print a table, or what else rich prints, for people."""
    screen = console()
    if screen.is_terminal:
        screen.print(view)
        return
    with screen.capture() as drawn:  # tables are filled up with blanks, which a file has no use for
        screen.print(view)
    for line in drawn.get().splitlines():
        print(line.rstrip())


def as_json(value: object) -> str:
    """Plain values as JSON in ASCII; numbers that JSON does not know become null (RFC 8259, section 6)."""
    return _json.dumps(_finite(value), indent=1)


def say(line: object) -> None:
    """Print one line of plain text on stdout."""
    print(safe(line), flush=True)


def complain(line: object) -> None:
    """Print one line of plain text on stderr, as every fault is told."""
    print(f"{_speaker[0]}: {safe(line)}", file=sys.stderr, flush=True)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(member) for member in value]
    return value
