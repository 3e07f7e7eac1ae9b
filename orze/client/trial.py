"""A dry run of one idea, by the farm's own machinery, in a directory that is thrown away."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from orze.client.checks import Check, Verdict
from orze.config.schema import Cleanup, Settings
from orze.core.errors import OrzeError
from orze.core.states import Cause
from orze.farm.context import make_context
from orze.farm.daemon import Daemon
from orze.farm.outcomes import outcome_of
from orze.ideas.members import ANY, section_of_member
from orze.ideas.parse import load_config, parse
from orze.ideas.scan import scan
from orze.report.advice import ADVICE
from orze.report.text import duration

LIMIT = 600.0  # seconds that a dry run trains at most
_MOST = 16 << 20  # bytes of ideas.md in which the first idea is looked for
_ID = "idea-001"
_NAME = "dry run"


@dataclass(frozen=True, slots=True)
class Sample:
    """What is tried: the configuration of an idea, without its title and the like.

    Attributes:
        idea_id: empty for the base configuration alone.
    """

    idea_id: str
    gpus: int
    config: Mapping[str, object]

    @property
    def shown(self) -> str:
        """Its name in a sentence."""
        return self.idea_id or "the base configuration"


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of it.

    Attributes:
        cause: of a failure; empty where it ended well, and where it did not start.
        metrics: flat, with dotted names; None where there is no result.
        seconds: how long it trained.
    """

    cause: str = ""
    error: str = ""
    metrics: Mapping[str, object] | None = None
    seconds: float = 0.0


def first_idea(ideas_file: Path) -> Sample:
    """The first idea of the file that can be accepted; the base configuration alone where there is none."""
    try:
        with open(ideas_file, "rb") as stream:
            data = stream.read(_MOST)
    except OSError:
        data = b""
    for section in scan(data):
        text = data[section.offset : section.offset + section.length].decode(errors="replace")
        try:
            idea = parse(text, path=ideas_file.name, line=section.line, max_members=ANY)
            if idea.members:
                text = section_of_member(text, f"{idea.id}.1", path=ideas_file.name)
                idea = idea._replace(id=f"{idea.id}.1")
            return Sample(idea.id, idea.gpus, load_config(text, path=ideas_file.name, line=section.line))
        except OrzeError:
            continue
    return Sample("", 1, {})


def try_idea(settings: Settings, sample: Sample, environ: Mapping[str, str]) -> Tried:
    """Run it to its end on a free slot of this host, for ten minutes at most, and remove what it left.

    Raises:
        GpuError: a card was asked for that is not there.
        ConfigError: a script or its interpreter is not there.
    """
    with tempfile.TemporaryDirectory(prefix="orze-doctor-", ignore_cleanup_errors=True) as home:
        Path(home, "ideas.md").write_text(_section(sample), encoding="utf-8")
        context = make_context(_settings(settings, Path(home)), 0.0)
        daemon = Daemon(context, environ, once=True)
        daemon.members.launcher.check()
        daemon.begin()
        try:
            daemon.run()
        finally:
            if daemon.stop_attempts():
                daemon.wait_for_attempts()
            daemon.leave()
        try:
            _, fold = context.chain(_ID)
        except FileNotFoundError:
            return Tried()
    outcome = outcome_of(fold)
    if outcome is None:
        return Tried()
    facts = outcome[1]
    return Tried(
        cause=str(facts.get("cause", "")),
        error=str(facts.get("error", "")),
        metrics=facts.get("metrics"),
        seconds=float(facts.get("seconds") or 0.0),
    )


def judge_trial(tried: Tried, shown: str, primary: str | None) -> Check:
    """Whether the training script keeps the contract.

    Args:
        shown: what was tried.
        primary: the metric that ranks, where the settings name one.
    """
    if tried.metrics is None and not tried.cause:
        advice = "try again when a card is free, or with gpus: cpu"
        return Check(_NAME, Verdict.WARN, f"{shown} could not start: no slot of this host is free", advice)
    if tried.cause == Cause.TIMEOUT:
        said = f"{shown} trained until it was ended after {duration(tried.seconds)}; no result was seen"
        return Check(_NAME, Verdict.WARN, said, "try an idea that ends sooner")
    if tried.metrics is None:
        return Check(_NAME, Verdict.FAIL, f"{shown} failed: {tried.error}", _advice(tried.cause))
    names = [name for name, value in tried.metrics.items() if isinstance(value, int | float)]
    if primary is not None and primary not in names:
        said = f"{shown} reported {', '.join(names) or 'nothing'}, but not the primary metric {primary}"
        return Check(_NAME, Verdict.FAIL, said, "correct report.primary_metric, or let the script report it")
    if not names:
        said = f"{shown} ended well, but its metrics hold no number"
        return Check(_NAME, Verdict.WARN, said, "without one it cannot be ranked")
    told = ", ".join(names[:6]) + (" …" if len(names) > 6 else "")
    said = f"{shown} ended well after {duration(tried.seconds)} and reported {told}"
    if tried.error:
        return Check(
            _NAME, Verdict.WARN, f"{said}; then: {tried.error}", "look at eval_script and post_scripts"
        )
    return Check(_NAME, Verdict.OK, said)


def _advice(cause: str) -> str:
    return ADVICE[Cause(cause)] if cause in Cause.__members__.values() else ""


def _settings(settings: Settings, home: Path) -> Settings:
    """The settings, with results elsewhere and nothing that repeats, cleans or waits for room."""
    return settings.model_copy(
        update={
            "results_dir": home / "results",
            "ideas_file": home / "ideas.md",
            "timeout": min(settings.timeout, LIMIT),
            "retry": {},
            "cleanup": Cleanup(),
            "min_disk_gb": 0.0,
        }
    )


def _section(sample: Sample) -> str:
    block = yaml.safe_dump(dict(sample.config), sort_keys=False, allow_unicode=True)
    config = f"\n```yaml\n{block}```\n" if sample.config else ""
    return f"## {_ID}: Dry run\n- **GPUs**: {sample.gpus}\n{config}"
