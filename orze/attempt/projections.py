"""What people read at the top of results/<idea>/: shown from the chain, never read back by the farm."""

from __future__ import annotations

import json
import os

from orze.attempt.spec import CODE, CONFIG, ENVIRONMENT, EVAL_LOG, INPUT, LOG, PROGRESS
from orze.coord.chain import Chain
from orze.coord.idea_chain import DONE, IdeaFold
from orze.core.paths import attempt_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orze.core.files import Files
    from orze.core.paths import IdeaPaths

CLAIM_FILE, METRICS_FILE, LATEST = "claim.json", "metrics.json", "latest"
_OWN = frozenset({CLAIM_FILE, METRICS_FILE, CONFIG, LATEST, "attempts", ".chain", INPUT, CODE})
_LINKED_AT_ONCE = (LOG, PROGRESS, ENVIRONMENT)
_LINKS = 1000  # a script that writes more files than this is read through latest/
_NAME = 200  # bytes of a name; the temporary name of its link is longer
_CONFIG_LIMIT = 1 << 20


def project(files: Files, idea: IdeaPaths, chain: Chain, fold: IdeaFold) -> None:
    """Write the projections, to last, and again for as long as the chain moved meanwhile.

    Raises:
        OSError: the share failed; the leader writes them later.
    """
    while True:
        tail = fold.tail
        if fold.claim:
            try:
                _write(files, idea, fold)
            finally:  # also the name of .chain is in this directory, and lasts only now
                files.sync_dir(idea.home)
        chain.refresh()
        if fold.tail == tail:
            return


def directory_of(fold: IdeaFold) -> str:
    """The attempt directory that holds the current files of the idea, under `attempts/`."""
    claim = fold.claim or {}
    named = (fold.end or {}).get("directory") or (fold.trained or {}).get("directory")
    return str(named or attempt_name(int(claim.get("attempt", 0)), str(claim.get("token", ""))))


def metrics_of(end: dict[str, object]) -> dict[str, object]:
    """What metrics.json says of a settled idea."""
    if end["kind"] == DONE:
        metrics = end.get("metrics")
        return {"status": "COMPLETED", **(metrics if isinstance(metrics, dict) else {})}
    return {"status": "FAILED", "cause": end.get("cause"), "error": end.get("error")}


def claim_of(claim: dict[str, object]) -> dict[str, object]:
    """What claim.json says of an attempt."""
    return {
        "claimed_by": claim.get("host"),
        "claimed_at": claim.get("at"),
        "pid": claim.get("pid"),
        "gpu": claim.get("gpu"),
        "attempt": claim.get("attempt"),
    }


def _write(files: Files, idea: IdeaPaths, fold: IdeaFold) -> None:
    name = directory_of(fold)
    _put(files, idea.projection(CLAIM_FILE), _json(claim_of(fold.claim or {})))
    if os.path.exists(f"{idea.attempts}/{name}/{CONFIG}"):  # without doors the files are at the top already
        _write_files(files, idea, fold, name)
    if fold.end:  # last: whoever finds it finds the others
        _put(files, idea.projection(METRICS_FILE), _json(metrics_of(fold.end)))


def _write_files(files: Files, idea: IdeaPaths, fold: IdeaFold, name: str) -> None:
    current = f"{idea.attempts}/{name}"
    _put(files, idea.projection(CONFIG), files.read(f"{current}/{CONFIG}", _CONFIG_LIMIT))
    early = (*_LINKED_AT_ONCE, EVAL_LOG) if fold.trained else _LINKED_AT_ONCE
    present = _written(files, current) if fold.end else early
    links = {LATEST: f"attempts/{name}", **{entry: f"attempts/{name}/{entry}" for entry in present}}
    for entry in files.listdir(idea.home):
        if entry not in links and _leads_to_attempt(idea.projection(entry)):
            files.unlink(idea.projection(entry))  # of an earlier attempt, which this one does not write
    for entry, target in links.items():
        _link(files, idea, entry, target)


def _written(files: Files, directory: str) -> list[str]:
    """What a script left, as far as links are made to it."""
    names = sorted(set(files.listdir(directory)) - _OWN)[:_LINKS]
    return [name for name in names if len(os.fsencode(name)) <= _NAME]


def _leads_to_attempt(path: str) -> bool:
    try:
        return os.readlink(path).startswith("attempts/")
    except OSError:
        return False


def _link(files: Files, idea: IdeaPaths, name: str, target: str) -> None:
    path = idea.projection(name)
    try:
        if os.readlink(path) == target:
            return
    except FileNotFoundError:
        pass
    except OSError:
        return  # a file of the user's has the name; it is not ours to replace
    files.symlink(target, path)


def _put(files: Files, path: str, data: bytes) -> None:
    """Replace a file, unless it is so already: at the end of an attempt most are."""
    try:
        if files.read(path, len(data)) == data:
            return
    except OSError:
        pass  # it is not there, or is something else
    files.replace(path, data)


def _json(content: dict[str, object]) -> bytes:
    return json.dumps(content, indent=2, sort_keys=False).encode() + b"\n"
