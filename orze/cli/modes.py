"""What `python farm.py` does in each of its modes."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orze.cli.console import Console
from orze.cli.research import research_once
from orze.config.load import check_lease, load_settings
from orze.config.schema import Settings
from orze.coord.mount import attribute_cache, preflight
from orze.core.errors import ConfigError, OrzeError
from orze.core.files import RealFiles
from orze.farm.board import METRICS, PICTURE, REPORT, STATUS
from orze.farm.context import Context, make_context
from orze.farm.daemon import Daemon
from orze.farm.exporter import Exporter
from orze.farm.preview import preview, preview_json


def run_mode(options: argparse.Namespace, given: Mapping[str, Any]) -> int:
    """Do what the flags say; a fault of the user's is one sentence on stderr and exit status 2."""
    console = Console(sys.stderr, verbose=options.verbose)
    try:
        settings = _settings(Path(options.config_file) if options.config_file else None, given)
        if options.research_only and settings.researcher is None:
            raise ConfigError(["no research is configured: give orze.yaml a block research (see RULES.md)"])
        daemon = Daemon(_context(settings), os.environ, once=options.once)
        return _in_mode(options, daemon, settings, console)
    except OrzeError as error:
        for line in str(error).splitlines():
            print(f"farm.py: {line}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # who read our output has seen enough
        return 0
    except OSError as error:
        print(
            f"farm.py: {error.filename or 'the results directory'}: {error.strerror or error}",
            file=sys.stderr,
        )
        return 2


def _in_mode(options: argparse.Namespace, daemon: Daemon, settings: Settings, console: Console) -> int:
    if options.report_only:
        _write_report(daemon)
        print(f"{settings.results_dir}/report.md is written")
        return 0
    if options.dry_run:
        daemon.read(whole=True)
        for line in [preview_json(daemon.members)] if options.json else preview(daemon.members):
            print(line)
        return 0
    if options.research_only:
        return research_once(daemon)
    if options.stop_attempts:
        return _stop_attempts(daemon)
    if options.metrics_port:
        daemon.members.telemetry.exporter = Exporter(options.metrics_port)
    return _serve(daemon, settings, console, once=options.once)


def _settings(config_file: Path | None, given: Mapping[str, Any]) -> Settings:
    return load_settings(config_file, given, Path.cwd(), os.environ).for_host(os.uname().nodename)


def _context(settings: Settings) -> Context:
    """Try the mount, and hold the lease against what it caches."""
    results = str(settings.results_dir)
    preflight(RealFiles(), f"{results}/.orze")
    cache = settings.lease.attribute_cache
    if cache is None:
        cache = attribute_cache(results)
    check_lease(settings, cache)
    return make_context(settings, cache)


def write_report(config_file: Path | None) -> list[str]:
    """Write the report now, without taking part in the farm.

    Returns:
        The files of it that are there, report.md first; there is no picture without a result.

    Raises:
        OrzeError: the settings are at fault, or the directory cannot carry a farm.
        OSError: the share does not take it.
    """
    settings = _settings(config_file, {})
    _write_report(Daemon(_context(settings), os.environ, once=False))
    paths = [f"{settings.results_dir}/{name}" for name in (REPORT, STATUS, METRICS, PICTURE)]
    return [path for path in paths if os.path.exists(path)]


def _write_report(daemon: Daemon) -> None:
    daemon.read(whole=True)
    daemon.show.write_all()


def _stop_attempts(daemon: Daemon) -> int:
    daemon.members.events.listen_to_signals()
    daemon.read()
    stopped = daemon.stop_attempts()
    if not stopped:
        print("no attempt runs on this host")
        return 0
    print(f"stopping {', '.join(stopped)}: each has its grace to save, and is queued again", flush=True)
    print("(a farm.py that still runs on this host starts them again)", flush=True)
    daemon.wait_for_attempts()
    return 0


def _serve(daemon: Daemon, settings: Settings, console: Console, *, once: bool) -> int:
    members = daemon.members
    members.launcher.check()
    members.executor.check()
    members.notifying.check()
    members.researching.check()
    members.refining.check()
    members.events.listen_to_signals()
    members.watch_files()
    daemon.begin()
    if not once:
        members.researching.begin()
        members.refining.begin()
    _say_what_is_in_force(daemon, settings)
    console.attach(daemon)
    try:
        daemon.run()
    finally:
        console.detach()
    if once:
        daemon.show.write_all()
    elif not members.events.terminated:
        _second_thoughts(daemon)
    daemon.leave()
    if once:
        succeeded, failed = daemon.ended
        print(f"{succeeded} ended well, {failed} failed; see {settings.results_dir}/report.md")
        return 1 if failed else 0
    _say_what_goes_on(daemon)
    return 0


def _second_thoughts(daemon: Daemon) -> None:
    """Behind a first Ctrl-C: a second one within a few seconds stops the attempts too."""
    members = daemon.members
    running = members.attempts.here()
    if not running:
        return
    names = ", ".join(attempt.idea_id for attempt in running)
    print(f"leaving {names} running; Ctrl-C again within 3 s stops and requeues them", flush=True)
    until = members.context.clock.steady() + 3
    while (left := until - members.context.clock.steady()) > 0 and members.events.interrupts < 2:
        members.events.wait(left)
    if members.events.interrupts >= 2:
        print("stopping them: each has its grace to save a checkpoint", flush=True)
        daemon.stop_attempts()
        daemon.wait_for_attempts()


def _say_what_is_in_force(daemon: Daemon, settings: Settings) -> None:
    m = daemon.members
    log = logging.getLogger("orze")
    for notice in m.cards.notices:
        log.info("%s", notice)
    slots = ", ".join(slot.name for slot in m.cards.slots)
    log.info("%s: slots %s; results in %s", m.context.machine.host, slots, settings.results_dir)
    if settings.executor.type != "local":
        log.info("attempts run in %s", m.executor.words)
    default = (
        "" if "timeout" in settings.model_fields_set else " (the default; --timeout or `timeout:` sets it)"
    )
    log.info("time limit of a training: %.0f s%s", settings.timeout, default)
    lead = m.leadership.fold
    leader = f"{lead.lead.get('host')} leads" if lead.token else "nobody leads yet"
    log.info("%s; %d ideas queued, %d run", leader, m.queue.depth, len(m.attempts.here()))


def _say_what_goes_on(daemon: Daemon) -> None:
    running = daemon.members.attempts.here()
    if running:
        names = ", ".join(attempt.idea_id for attempt in running)
        print(f"{names} run on without this daemon; farm.py adopts them when it starts again,")
        print("farm.py --stop-attempts stops and requeues them")
