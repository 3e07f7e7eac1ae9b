"""Durations as people write them (`2h`, `90m`, `1h30m`, `1d` or plain seconds), as seconds."""

import re

_SECONDS = re.compile(r"\d{1,12}(?:\.\d{1,9})?", re.ASCII)
_PARTS = re.compile(
    r"(?:(?P<d>\d{1,9})\s*d\s*)?(?:(?P<h>\d{1,9})\s*h\s*)?"
    r"(?:(?P<m>\d{1,9})\s*m(?:in)?\s*)?(?:(?P<s>\d{1,9})\s*s)?",
    re.ASCII | re.IGNORECASE,
)
_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_TEN_YEARS = 10 * 365 * 86400.0

DURATION_FORMS = "seconds such as 3600, or 90m, 2h, 1h30m, 1d"


def parse_duration(text: str) -> float:
    """Turn a duration into seconds.

    Args:
        text: a number of seconds (`3600`, `0.5`), or days, hours, minutes and seconds in this order,
            each at most once (`1d`, `2h`, `1h30m`, `90m`, `45s`).

    Returns:
        Seconds, from 0 to ten years.

    Raises:
        ValueError: one sentence that names the text and the forms that are understood.
    """
    text = text.strip()
    if _SECONDS.fullmatch(text):
        seconds = float(text)
    elif text and (match := _PARTS.fullmatch(text)):
        seconds = float(sum(int(match[unit] or 0) * size for unit, size in _UNITS.items()))
    else:
        raise ValueError(f"{text[:40]!r} is not a duration: write {DURATION_FORMS}")
    if seconds > _TEN_YEARS:
        raise ValueError(f"{text[:40]!r} is more than ten years: write {DURATION_FORMS}")
    return seconds
