#!/usr/bin/env python3
"""The daemon of a farm of experiments: run it on every host, in the project's directory."""

from orze.cli.farm import main

if __name__ == "__main__":
    raise SystemExit(main())
