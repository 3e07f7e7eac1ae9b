"""What can go wrong on the way to a machine: what passes, what does not, and how people are told."""

from __future__ import annotations

import shlex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from orze.attempt.executors.over_spec import OverSsh

_LIMIT: Final = 300  # characters of what ssh says
_NOT_KNOWN: Final = "host key verification failed"
_CHANGED: Final = "host identification has changed"
_NO_KEY: Final = ("permission denied", "too many authentication failures", "no more authentication methods")
_NEVER: Final = (
    *("no matching", "bad configuration option", "unsupported option", "bad owner or permissions"),
    *(
        "invalid format",
        "bad permissions",
        "unknown option",
        "missing argument",
        "administratively prohibited",
    ),
    *("keyword", "extra arguments", "garbage at end of line", "not a valid"),
)


class Lost(Exception):
    """The line is cut, or something there does not work just now: what was to be done is done again later."""


class Refused(Exception):
    """It cannot work until somebody changes something."""


def explain(complaint: str, spec: OverSsh) -> Lost | Refused:
    """What the words of an ssh that could not connect mean."""
    text, by_hand = complaint.lower(), _by_hand(spec)
    if _CHANGED in text:
        return Refused(
            f"the key of {spec['host']} is not the one in known_hosts: it is another machine, or was set up "
            f"anew; find out which, and then remove the old key (ssh-keygen -R)"
        )
    if _NOT_KNOWN in text:
        return Refused(
            f"the key of {spec['host']} is not in known_hosts: connect once by hand ({by_hand}) and "
            "compare it"
        )
    if any(word in text for word in _NO_KEY):
        return Refused(
            f"{spec['host']} does not let us in ({said(complaint)}): `{by_hand}` must work without a "
            "question; set key_path, or have the key in an agent"
        )
    if any(word in text for word in _NEVER):
        return Refused(f"ssh: {said(complaint)}")
    return Lost(said(complaint) or "ssh ended without a word")


def said(complaint: str) -> str:
    """The last line of a complaint, fit to be shown."""
    lines = [line.strip() for line in complaint.splitlines() if line.strip().strip("@")]
    last = lines[-1] if lines else ""
    return "".join(c if c.isprintable() else "?" for c in last)[:_LIMIT]


def _by_hand(spec: OverSsh) -> str:
    words = ["ssh", *(["-p", str(spec["port"])] if spec["port"] else [])]
    words += ["-i", spec["key_path"]] if spec["key_path"] else []
    return shlex.join([*words, f"{spec['user']}@{spec['host']}" if spec["user"] else spec["host"]])
