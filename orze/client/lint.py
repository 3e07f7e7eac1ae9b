"""Every problem of a project's ideas and settings, found without a part in its farm."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Final

from orze.client.base import BadBase, read_base
from orze.client.findings import Finding
from orze.client.lint_ideas import Surroundings, ids_of, lint_ideas
from orze.client.lint_settings import lint_settings
from orze.client.told import read_object
from orze.config.load import CONFIG_NAME
from orze.config.schema import Settings
from orze.core.errors import OrzeError
from orze.core.paths import FarmPaths
from orze.farm.hosts import row_of
from orze.farm.steward import number_of

STDIN, SHOWN_STDIN = "-", "<stdin>"
_LARGEST: Final = 1 << 30  # bytes


def lint(
    file: str | None, config_file: Path | None, *, cwd: Path, environ: Mapping[str, str], stdin: BinaryIO
) -> list[Finding]:
    """Check a project, or one file of ideas.

    Args:
        file: the file of ideas, or `-`; None for that of the project. Where it is named and there are no
            settings, it is checked by itself.
        config_file: what -c named; None takes orze.yaml in `cwd` if there is one.
        cwd: absolute working directory.
        environ: what `${VAR}` stands for in orze.yaml.
        stdin: what `-` stands for.

    Raises:
        OrzeError: there is no such file, or it is no file of ideas.
        OSError: it cannot be read.
    """
    settings, found = None, list[Finding]()
    if file is None or config_file or (cwd / CONFIG_NAME).exists():
        settings, found = lint_settings(config_file, cwd=cwd, environ=environ)
    if file is None and settings is None:
        return found  # where the ideas are is in the settings
    around = _surroundings(settings, file)
    if file == STDIN:
        return found + _lint_stream(stdin, around)
    path = cwd / (file or (settings.ideas_file if settings else ""))
    shown = file or os.path.relpath(path, cwd)
    if not path.exists():
        raise OrzeError(f"{shown}: no such file; name the file of your ideas, or - for standard input")
    return found + lint_ideas(path, shown, around)


def _lint_stream(stream: BinaryIO, around: Surroundings) -> list[Finding]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ideas")
        with path.open("wb") as copy:
            while len(piece := stream.read(1 << 20)) and copy.tell() <= _LARGEST:
                copy.write(piece)
        return lint_ideas(path, SHOWN_STDIN, around)


def _surroundings(settings: Settings | None, file: str | None) -> Surroundings:
    if settings is None:
        return Surroundings()
    try:
        base = read_base(settings)
    except BadBase:
        base = None
    results = str(settings.results_dir)
    elsewhere = ids_of(settings.ideas_file) if file else set()
    return Surroundings(
        base,
        _hosts_in(results),
        _begun_in(results),
        elsewhere,
        settings.max_members,
        commands=settings.train_command is not None,
    )


def _begun_in(results: str) -> frozenset[str]:
    """The ideas that have a directory there."""
    try:
        return frozenset(name for name in os.listdir(results) if number_of(name) >= 0)
    except OSError:
        return frozenset()


def _hosts_in(results: str) -> dict[str, int]:
    """The hosts whose daemons tell of themselves, and how many cards each has."""
    folder = FarmPaths(results).hosts
    found: dict[str, int] = {}
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        row = row_of(read_object(f"{folder}/{name}"), leader=False)
        if row:
            cards = {card.key.partition("#")[0] for card in row.cards}  # 0#1 is the second slot of card 0
            found[row.name] = max(len(cards), found.get(row.name, 0))
    return found
