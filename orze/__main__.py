"""`python -m orze`: the command `orze`, for whoever knows the interpreter and not where the command lies."""

from __future__ import annotations

import sys

from orze.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
