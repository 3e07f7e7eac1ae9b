"""`python farm.py`: reads the flags, and turns every fault of the user's into a sentence."""

from __future__ import annotations

import sys

from orze.cli.flags import FLAG_SETTINGS, parser


def main(argv: list[str] | None = None) -> int:
    """Run farm.py.

    Args:
        argv: the arguments; those of the process where not given.

    Returns:
        The exit status: 0 well, 1 an attempt of --once failed, 2 usage or settings.
    """
    options = parser().parse_args(argv)
    try:
        from orze.cli.modes import run_mode
    except ModuleNotFoundError as missing:
        if (missing.name or "orze").partition(".")[0] == "orze":
            raise
        print(
            f"farm.py: the package {missing.name!r} is missing; install what is needed: pip install .",
            file=sys.stderr,
        )
        return 2
    given = {
        setting: value
        for flag, setting in FLAG_SETTINGS.items()
        if (value := getattr(options, flag)) is not None
    }
    return run_mode(options, given)
