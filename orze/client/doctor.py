"""`orze doctor`: which checks there are, and in which order they are told."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from orze.client import checks_farm, checks_host, checks_project, checks_research, checks_share, trial
from orze.client.checks import Check, Probe, Verdict, findings, run_probes, within
from orze.client.project import Project, open_project
from orze.core.errors import ConfigError

_OPTIONAL = ("matplotlib",)
_DRIVER_LIMIT = 15.0  # seconds that NVML may take; a busy host with eight cards takes two
_SETTINGS_LIMIT = 10.0
_MODEL_LIMIT = 90.0  # LiteLLM takes seconds to load, on a slow share many


class Doctor:
    """The checks of one project, on this host.

    Args:
        config_file: what -c named; None for orze.yaml in `cwd`, if there is one.
        cwd: absolute working directory.
        environ: of this process.
    """

    def __init__(self, config_file: Path | None, *, cwd: Path, environ: Mapping[str, str]) -> None:
        self._config_file = config_file
        self._cwd = cwd
        self._environ = environ
        self._project: Project | None = None

    def examine(self, *, train: bool) -> Iterator[Check]:
        """Look at everything; what fails or hangs does not stop the rest.

        Args:
            train: also run one idea, when all else has been looked at.
        """
        yield from self._settings()
        for found in run_probes(self._probes()):
            yield from found
        if train and (project := self._project) is not None:
            yield from findings("dry run", lambda: [_train(project, self._environ)])

    def _settings(self) -> list[Check]:
        shown = str(self._config_file or "orze.yaml")

        def opened() -> Project:
            return open_project(self._config_file, cwd=self._cwd, environ=self._environ)

        try:
            self._project = within(_SETTINGS_LIMIT, opened)
        except ConfigError as error:
            advice = "correct it; what depends on the settings is not looked at"
            return [Check("settings", Verdict.FAIL, problem, advice) for problem in error.problems]
        except TimeoutError as error:
            advice = "the directory hangs: look at its mount"
            return [Check("settings", Verdict.FAIL, f"{shown}: {error}", advice)]
        exists = self._config_file is not None or os.path.exists(self._cwd / shown)
        return [checks_project.judge_settings(shown, exists=exists)]

    def _probes(self) -> list[Probe]:
        host = [
            Probe("Python", self._python),
            Probe("driver", self._cards, _DRIVER_LIMIT),
            Probe("slot locks", lambda: [_locks()]),
        ]
        if (project := self._project) is None:
            return [*host, Probe("LLM", lambda: checks_research.check_researcher(None, self._environ))]
        settings, environ = project.settings, self._environ
        here = str(settings.results_dir)

        def researcher() -> list[Check]:
            return checks_research.check_researcher(settings.researcher, environ)

        def scripts() -> Iterator[Check]:
            for script in checks_project.scripts_of(settings):
                facts = checks_project.ask_interpreter(settings, script, environ)
                yield checks_project.judge_script(facts)

        return [
            *host,
            Probe("disk", lambda: _room(here, settings.min_disk_gb)),
            Probe("mount", lambda: checks_share.judge_mount(checks_share.read_mount(_near(here)), settings)),
            Probe("operations", lambda: [checks_share.try_directory(_near(here))]),
            Probe("latency", lambda: [_speed(project)]),
            Probe("files", lambda: [checks_project.check_files(settings, environ)]),
            Probe("scripts", scripts, 60.0),
            Probe("executor", lambda: [checks_project.check_executor(settings, environ)]),
            Probe("leader", lambda: _farm(project)),
            Probe("clock skew", lambda: [_skew(project)]),
            Probe("LLM", researcher, _MODEL_LIMIT),
        ]

    def _python(self) -> list[Check]:
        missing = [name for name in _OPTIONAL if importlib.util.find_spec(name) is None]
        return [checks_host.judge_python(sys.version_info[:3], sys.executable, missing)]

    def _cards(self) -> list[Check]:
        found = checks_host.read_cards()
        request = self._project.settings.gpus if self._project else None
        order = checks_host.judge_order(found, request, self._environ, os.cpu_count() or 1)
        cards = [checks_host.judge_card(card) for card in found.cards]
        return [checks_host.judge_driver(found), *cards, *order]


def _near(results: str) -> str:
    """Where the results directory is tried: in it, or above it while there is none."""
    home = f"{results}/.orze"
    return checks_share.nearest(home)


def _room(results: str, min_disk_gb: float) -> list[Check]:
    return checks_share.judge_room(checks_share.read_room(_near(results)), min_disk_gb)


def _speed(project: Project) -> Check:
    where = _near(str(project.settings.results_dir))
    seconds = checks_share.measure(where, project.clock.steady)
    return checks_share.judge_speed(seconds, project.settings.lease.heartbeat)


def _locks() -> Check:
    home = tempfile.gettempdir()
    return checks_share.judge_locks(home, writable=os.access(home, os.W_OK | os.X_OK))


def _farm(project: Project) -> list[Check]:
    if not os.path.isdir(project.paths.home):
        return [Check("leader", Verdict.SKIP, "no farm has run here yet")]
    facts = checks_farm.read_farm(project)
    lease = project.settings.lease
    return [checks_farm.judge_leader(facts, lease), *checks_farm.judge_daemons(facts.daemons, lease)]


def _skew(project: Project) -> Check:
    begun = os.path.isdir(project.paths.home)
    return checks_farm.judge_skews(checks_farm.read_skews(project) if begun else {})


def _train(project: Project, environ: Mapping[str, str]) -> Check:
    """The dry run, in this very thread: it starts processes and waits for them."""
    settings = project.settings
    sample = trial.first_idea(settings.ideas_file)
    tried = trial.try_idea(settings, sample, environ)
    return trial.judge_trial(tried, sample.shown, settings.report.primary_metric)
