"""Every problem of orze.yaml, and of what it names on this host."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from orze.client.base import BadBase, read_base
from orze.client.findings import ERROR, Finding
from orze.config.load import CONFIG_NAME, check_lease, load_settings
from orze.config.locate import python_command
from orze.config.schema import Settings
from orze.coord.mount import attribute_cache
from orze.core.errors import ConfigError
from orze.research.ready import lacking

_PLACE = re.compile(r"(?P<path>.+?):(?P<line>[0-9]+): (?P<text>.*)", re.DOTALL)


def lint_settings(
    config_file: Path | None, *, cwd: Path, environ: Mapping[str, str]
) -> tuple[Settings | None, list[Finding]]:
    """Check orze.yaml, and what it names on this host.

    Args:
        config_file: what -c named; None takes orze.yaml in `cwd` if there is one.
        cwd: absolute working directory.
        environ: what `${VAR}` stands for in the file.

    Returns:
        The settings, None where the file is at fault; what was found.
    """
    shown = str(config_file or CONFIG_NAME)
    try:
        settings = load_settings(config_file, {}, cwd, environ).for_host(os.uname().nodename)
    except ConfigError as error:
        return None, [_placed(problem, shown) for problem in error.problems]
    return settings, list(_of_host(settings, _Keys(cwd / shown, shown), environ))


def _of_host(settings: Settings, keys: _Keys, environ: Mapping[str, str]) -> Iterator[Finding]:
    scripts = {"train_script": None if settings.train_command else settings.train_script}
    scripts |= {"pre_script": settings.pre_script}
    scripts |= {"eval_script": settings.eval_script, "cleanup": settings.cleanup.script}
    named = [*scripts.items(), *(("post_scripts", post.script) for post in settings.post_scripts)]
    for key, path in named:
        if path and not os.path.isfile(path):
            yield keys.fault(key, f"{key}: there is no file {path}")
    try:
        python_command(settings.python, environ)
    except ConfigError as error:
        yield from (keys.fault("python", problem) for problem in error.problems)
    try:
        read_base(settings)
    except BadBase as error:
        yield Finding(error.path, error.line, ERROR, error.reason)
    yield from (keys.fault("research", problem) for problem in lacking(settings.researcher))
    try:
        if os.path.isdir(settings.results_dir):
            check_lease(settings, attribute_cache(str(settings.results_dir)))
    except ConfigError as error:
        yield from (_placed(problem, keys.shown) for problem in error.problems)


class _Keys:
    """Where the keys at the top of orze.yaml stand."""

    def __init__(self, path: Path, shown: str) -> None:
        self.shown = shown
        try:
            self._lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            self._lines = []

    def fault(self, key: str, text: str) -> Finding:
        """An error about a key; one that the file does not have is about the file."""
        lines = (at for at, line in enumerate(self._lines, 1) if re.match(rf"['\"]?{key}['\"]?\s*:", line))
        return Finding(self.shown, next(lines, 0), ERROR, text)


def _placed(problem: str, shown: str) -> Finding:
    match = _PLACE.fullmatch(problem)
    if match:
        return Finding(match["path"], int(match["line"]), ERROR, match["text"])
    return Finding(shown, 0, ERROR, problem.removeprefix(f"{shown}: "))
