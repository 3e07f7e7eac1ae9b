"""Stands on this machine for a command that runs on another.

Run in the place of the command by its keeper: `over_ssh.py NAME -- COMMAND…`, with the rest in ORZE_OVER_SSH.
It sends the code, has the command started there, prints what it prints, and ends as it ended. The keeper's
rules hold here as for any command: TERM ends it, there and here. When this process is killed, the command
goes on there.
"""

from __future__ import annotations

import json
import os
import sys

if __name__ == "__main__":
    _HERE = os.path.abspath(__file__)
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(_HERE))))

from orze.attempt.executors.over_run import OverRun
from orze.attempt.executors.over_spec import VARIABLE
from orze.attempt.executors.waiting import Waiting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    """Run the command of the arguments."""
    name, _, *argv = sys.argv[1:]
    spec = json.loads(os.environ[VARIABLE])
    run = OverRun(spec, name, argv, environ=os.environ, cwd=os.getcwd(), waiting=Waiting())
    run.end_like(run.run())


if __name__ == "__main__":
    main()
