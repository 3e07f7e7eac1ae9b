"""status.json from a snapshot: what a program reads where a person reads report.md."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from orze.core.states import SUCCEEDED, State
from orze.report.advice import advice
from orze.report.leaderboard import finite
from orze.report.merit import Config, Merit
from orze.report.model import Group, HostRow, PrimaryMetric, Ranked, Result, Running, Snapshot, Waiting
from orze.report.research import research_json
from orze.report.text import moment, short_commit

SCHEMA = 1
_IDEAS = 100  # ideas of one configuration that are named


def status_json(snapshot: Snapshot) -> bytes:
    """Render status.json.

    Args:
        snapshot: all that is told; none of its texts or numbers is trusted.

    Returns:
        One JSON object (RFC 8259) in ASCII, ending in a newline. Times are ISO 8601 in UTC. A number that
        JSON does not have (NaN, infinity) is null.
    """
    counts = snapshot.counts
    status = {
        "schema": SCHEMA,
        "title": snapshot.title,
        "timestamp": _time(snapshot.generated_at),
        "iteration": snapshot.iteration,
        "leader": snapshot.leader,
        "unfenced": snapshot.unfenced,
        "active": [_active(run) for run in snapshot.running],
        "running": len(snapshot.running),
        "queue_depth": snapshot.queue_depth,
        "completed": sum(counts.get(state, 0) for state in SUCCEEDED),
        "failed": counts.get(State.FAILED, 0),
        "skipped": counts.get(State.SKIPPED, 0),
        "states": {state.value: counts[state] for state in State if counts.get(state)},
        "free_gpus": list(snapshot.free_gpus),
        "disk_free_gb": _number(snapshot.disk_free_gb, 1),
        "primary_metric": _primary(snapshot),
        "best": _best(snapshot.merit),
        "groups": [_group(group) for group in snapshot.groups],
        "top_results": [_result(entry, snapshot) for entry in snapshot.top],
        "recent_results": [_recent(result, snapshot.primary) for result in snapshot.recent],
        "recent_failures": [_failure(result) for result in snapshot.failed],
        "recent_pruned": [_pruned(result) for result in snapshot.pruned],
        "held": [_waiting(idea) for idea in snapshot.held],
        "quarantined": [_waiting(idea) for idea in snapshot.quarantined],
        "waiting": [_waiting(idea) for idea in snapshot.waiting],
        "hosts": [_host(host) for host in snapshot.hosts],
        "research": research_json(snapshot.research),
        "problems": [{"text": p.text, "since": _time(p.since)} for p in snapshot.problems],
        "notices": list(snapshot.notices),
    }
    return json.dumps(_jsonable(status), indent=2, allow_nan=False).encode("ascii") + b"\n"


def _jsonable(value: Any) -> Any:
    """Replace what JSON has no form for, or what a strict reader refuses (RFC 8259, 8.2: lone surrogates)."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, Mapping):
        return {_jsonable(str(key)): _jsonable(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_jsonable(entry) for entry in value]
    if value is None or isinstance(value, bool):
        return value
    # RFC 8259, 6: beyond 2**53 readers disagree about whole numbers.
    return value if isinstance(value, int) and abs(value) < 2**53 else finite(value)


def _number(value: float | None, digits: int) -> float | None:
    real = None if value is None else finite(value)
    return None if real is None else round(real, digits)


def _time(unix: float) -> str | None:
    when = moment(unix)
    return when.isoformat(timespec="seconds") if when else None


def _primary(snapshot: Snapshot) -> dict[str, object] | None:
    primary = snapshot.primary
    if primary is None:
        return None
    sort = "ascending" if primary.ascending else "descending"
    return {"name": primary.name, "sort": sort, "configured": primary.configured}


def _best(merit: Merit) -> dict[str, object] | None:
    """What the results say of the best configuration; None where there is none."""
    if merit.best is None:
        return None
    return {
        "verdict": merit.verdict,
        "sentence": merit.sentence,
        **_config(merit.best),
        "cleared": merit.old.name if merit.old and merit.verdict == "best" else None,
        "tied": [config.name for config in merit.tied],
        "noise": merit.noise,
        "noise_runs": merit.noise_runs,
    }


def _config(config: Config) -> dict[str, object]:
    return {
        "idea_id": config.name,
        "ideas": list(config.ids[:_IDEAS]),
        "best_run": config.best,
        "runs": config.n,
        "mean": config.mean,
        "low": config.low,
        "high": config.high,
    }


def _group(group: Group) -> dict[str, object]:
    return {
        "name": group.name,
        "title": group.title,
        "ended": group.ended,
        "total": group.total,
        "configurations": group.configs,
        "best": _config(group.best),
    }


def _active(run: Running) -> dict[str, object]:
    return {
        "idea_id": run.idea_id,
        "title": run.title,
        "state": run.state.value,
        "host": run.host,
        "gpu": run.gpu,
        "attempt": run.attempt,
        "elapsed_min": _number(run.elapsed_s / 60, 2),
        "last": run.last,
    }


def _result(entry: Ranked, snapshot: Snapshot) -> dict[str, object]:
    result = entry.result
    return {
        "rank": entry.rank,
        "idea_id": result.idea_id,
        "title": result.title,
        "state": result.state.value,
        "commit": short_commit(result.commit) or None,
        "value": entry.value,
        "note": entry.note,
        "config": _config(entry.config) if entry.config else None,
        "metrics": result.metrics,
        "columns": {column.key: cell for column, cell in zip(snapshot.columns, entry.cells, strict=False)},
        "error": result.error,
        "host": result.host,
        "gpu": result.gpu,
        "attempt": result.attempt,
        "seconds": _number(result.seconds, 1),
        "finished_at": _time(result.finished_at),
    }


def _recent(result: Result, primary: PrimaryMetric | None) -> dict[str, object]:
    return {
        "idea_id": result.idea_id,
        "title": result.title,
        "state": result.state.value,
        "commit": short_commit(result.commit) or None,
        "value": finite(result.metrics.get(primary.name)) if primary else None,
        "cause": result.cause,
        "host": result.host,
        "gpu": result.gpu,
        "attempt": result.attempt,
        "seconds": _number(result.seconds, 1),
        "finished_at": _time(result.finished_at),
    }


def _failure(result: Result) -> dict[str, object]:
    return {
        "idea_id": result.idea_id,
        "title": result.title,
        "commit": short_commit(result.commit) or None,
        "cause": result.cause,
        "error": result.error,
        "what_to_do": advice(result.cause),
        "host": result.host,
        "gpu": result.gpu,
        "attempt": result.attempt,
        "finished_at": _time(result.finished_at),
    }


def _pruned(result: Result) -> dict[str, object]:
    return {
        "idea_id": result.idea_id,
        "title": result.title,
        "reason": result.error,
        "host": result.host,
        "gpu": result.gpu,
        "attempt": result.attempt,
        "seconds": _number(result.seconds, 1),
        "finished_at": _time(result.finished_at),
    }


def _waiting(idea: Waiting) -> dict[str, object]:
    return {"idea_id": idea.idea_id, "title": idea.title, "reason": idea.reason, "where": idea.where}


def _host(host: HostRow) -> dict[str, object]:
    return {
        "name": host.name,
        "alive": host.alive,
        "state": host.state,
        "leader": host.leader,
        "running": host.running,
        "free": host.free,
        "seen_s": _number(host.seen_s, 1),
        "cards_asked": host.cards_asked,
        "cards": [
            {
                "key": card.key,
                "name": card.name,
                "state": card.state,
                "memory_used_mib": card.memory_used_mib,
                "memory_total_mib": card.memory_total_mib,
                "utilization": card.utilization,
                "temperature": card.temperature,
            }
            for card in host.cards
        ],
    }
