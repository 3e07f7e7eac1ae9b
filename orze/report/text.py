"""How values are written for people: numbers, durations, times, and the text of others made harmless."""

from __future__ import annotations

import math
import re
import unicodedata
from datetime import UTC, datetime

NOTHING = "–"
_COMMIT = 7  # digits of a hash

# CommonMark 2.4: a backslash before ASCII punctuation makes it plain. `_` between letters or digits can
# neither open nor close emphasis (CommonMark 6.2, rules 2 and 4), so names such as val_loss stay readable.
_SPECIAL = re.compile(r"[\\`*\[\]<>#|~$&]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


class Markdown(str):
    """Text that is Markdown already and goes into the report as it is."""

    __slots__ = ()


def clean(text: str, limit: int = 80) -> str:
    """Make any text one harmless line.

    White space of every kind becomes one space, control characters (also the ESC of a terminal) their
    visible pictures, and all else that does not print (bidi overrides, zero-width and unassigned characters,
    lone surrogates) U+FFFD.

    Args:
        text: what somebody wrote.
        limit: the longest result, in characters; what is cut off is marked by `…`.

    Returns:
        Text that `str.isprintable` calls printable.
    """
    head = text[: 8 * limit]
    if not head.isprintable():
        head = "".join(char if char.isprintable() else _visible(char) for char in head)
    line = " ".join(head.split())
    if len(line) > limit or len(head) < len(text):
        return line[: limit - 1].rstrip() + "…"
    return line


def _visible(char: str) -> str:
    code = ord(char)
    if char.isspace() and code not in range(0x1C, 0x20):
        return " "
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else "\N{REPLACEMENT CHARACTER}"


def md(value: object, limit: int = 80) -> Markdown:
    """Make any value safe wherever GitHub-flavoured Markdown takes inline text, table cells included.

    Args:
        value: text, a number, a truth value or None; `Markdown` is returned as it is.
        limit: the longest text before escaping, in characters.

    Returns:
        One line that shows the value and nothing else.
    """
    if isinstance(value, Markdown):
        return value
    return Markdown(_SPECIAL.sub(r"\\\g<0>", plain(value, limit)))


def plain(value: object, limit: int = 80) -> str:
    """Write a value as one line of text, numbers as `number` does and None as a dash."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return number(value)
    return clean(str(value), limit)


def number(value: float) -> str:
    """Write a number in at most a dozen characters: whole numbers as they are, others with four decimals."""
    if isinstance(value, int) and abs(value) < 10**12:
        return str(value)
    real = as_float(value)
    if not math.isfinite(real):
        return "NaN" if math.isnan(real) else ("inf" if real > 0 else "-inf")
    if real == 0 or 1e-3 <= abs(real) < 1e4:
        return f"{real:.4f}"
    return f"{real:.4g}"


def interval(mean: float, half: float) -> str:
    """Write a mean and half the width of its interval, which has two figures: `0.9750 ± 0.0031`."""
    if half == 0 or not math.isfinite(half):  # results near the largest float have a spread beyond it
        return f"{number(mean)} ± {number(half) if half else 0}"
    digits = 1 - math.floor(math.log10(half))
    if not 0 <= digits <= 8 or abs(mean) >= 1e6:
        return f"{number(mean)} ± {half:.2g}"
    return f"{mean:.{digits}f} ± {half:.{digits}f}"


def as_float(value: float) -> float:
    """Turn any int or float into a float; one too large for it becomes infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def duration(seconds: float) -> str:
    """Write a duration in seconds with its two leading units: `42s`, `3m05s`, `2h07m`, `3d04h`."""
    if not 0 <= seconds < 1e10:
        return NOTHING
    whole = round(seconds)
    for size, unit, small, digits in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            return f"{whole // size}{unit}{whole % size // small:02d}{digits}"
    return f"{whole}s"


def moment(unix: float) -> datetime | None:
    """Turn unix seconds into a time in UTC, or None where they are none."""
    try:
        return datetime.fromtimestamp(unix, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def minute(unix: float) -> str:
    """Write unix seconds as `2025-11-21 22:04` (UTC)."""
    when = moment(unix)
    return f"{when:%Y-%m-%d %H:%M}" if when else NOTHING


def width(text: str) -> int:
    """Count the terminal cells of a printable text (Unicode Standard Annex 11: wide characters take two)."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def short_commit(commit: str) -> str:
    """A commit as people read it: the first digits of its hash, if it has any."""
    return commit[:_COMMIT]


def counted(number: int, one: str, many: str = "") -> str:
    """A number and what is counted: `1 file`, `2 files`.

    Args:
        many: the plural, where it is not made by an s.
    """
    return f"{number} {one if number == 1 else many or one + 's'}"


def size(count: float) -> str:
    """Bytes as people read them: 4.0 KiB, 1.2 GiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
