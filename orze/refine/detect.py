"""What a project says of itself: how it is trained, which metrics it writes. Nothing of it is run."""

from __future__ import annotations

import ast
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orze.attempt.metrics import STEP_NAMES
from orze.client.setup import look

_MAX_BYTES: Final = 1 << 20  # of a file that is read
_MAX_FILES: Final = 500
_MAX_ENTRIES: Final = 50_000  # that are looked through for them: a project may hold a data set
_STEPS: Final = frozenset(STEP_NAMES)
_MAX_NAMES: Final = 50
_NOT_SOURCES: Final = frozenset(
    {"node_modules", "site-packages", "__pycache__", "venv", "env", "build", "dist"}
)
_COMMAND = re.compile(
    r"^[ \t]*(?:\$[ \t]+)?((?:python3?|torchrun|accelerate launch|uv run)[ \t][^#`\n]*)", re.MULTILINE
)
_SCRIPT = re.compile(r"[\w./-]+\.py", re.ASCII)
_PLACEHOLDER = re.compile(r"[<>\[\]{}|&;\\…]|\.\.\.|/path/to")
_TARGET = re.compile(r"^(train\w*)\s*:(?!=)", re.MULTILINE | re.ASCII)
_HOST_LINE = re.compile(r"^[ \t]*host(?:[ \t]+|[ \t]*=[ \t]*)(.+)$", re.MULTILINE | re.IGNORECASE)
_WRITTEN: Final = "eval.json"


@dataclass(frozen=True, slots=True)
class Found:
    """What is there.

    Attributes:
        directory: absolute.
        commands: training commands, the likeliest first; none where nothing looks like one.
        metrics: names under which its sources write to eval.json, in their order.
        writes: whether a source names eval.json at all.
        hosts: of ~/.ssh/config, in their order, without patterns.
        tmux: whether tmux is installed.
        git: whether the directory is in a git repository.
        present: which of the files that would be written are there.
    """

    directory: Path
    commands: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    writes: bool = False
    hosts: tuple[str, ...] = ()
    tmux: bool = False
    git: bool = False
    present: frozenset[str] = frozenset()


def detect(directory: Path, environ: Mapping[str, str], names: Iterable[str] = ()) -> Found:
    """Look at a project.

    Args:
        directory: absolute.
        environ: PATH, HOME and VIRTUAL_ENV are looked up here.
        names: files below the directory of which `Found.present` tells.
    """
    metrics, writes = _metrics(directory)
    return Found(
        directory=directory,
        commands=tuple(dict.fromkeys(_commands(directory, environ))),
        metrics=metrics,
        writes=writes,
        hosts=ssh_hosts(Path(environ.get("HOME") or "~").expanduser() / ".ssh/config"),
        tmux=shutil.which("tmux", path=environ.get("PATH", os.defpath)) is not None,
        git=any((place / ".git").exists() for place in (directory, *directory.parents)),
        present=frozenset(name for name in names if os.path.lexists(directory / name)),
    )


def ssh_hosts(config: Path) -> tuple[str, ...]:
    """The hosts that ssh_config(5) names, without patterns; files that it includes are not read."""
    hosts = [
        word.strip('"') for line in _HOST_LINE.findall(_read(config)) for word in line.split("#")[0].split()
    ]
    return tuple(dict.fromkeys(host for host in hosts if host and not set(host) & set("*?!")))[:_MAX_NAMES]


def written_metrics(source: str) -> list[str]:
    """The keys that a Python source writes by json.dump or json.dumps, where it names eval.json.

    Keys of a dictionary that is written out, or of one that is given a name first; where it holds one under
    the key `metrics`, those of that one. One that counts steps is taken for a line of progress where
    something else is written out as well.
    """
    if _WRITTEN not in source:
        return []
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    named = _named_dicts(nodes)
    found: list[str] = []
    steps: list[str] = []
    for node in nodes:
        if isinstance(node, ast.Call) and _called(node) in ("dump", "dumps") and node.args:
            value = node.args[0]
            keys = named.get(value.id, []) if isinstance(value, ast.Name) else _keys(value)
            (steps if _STEPS & set(keys) else found).extend(keys or [""])
    return [name for name in dict.fromkeys(found or steps) if name][:_MAX_NAMES]


def _commands(directory: Path, environ: Mapping[str, str]) -> Iterator[str]:
    there = look(directory, script=None, cards=())
    python = _python(there.python, environ)
    for command in _told(directory):
        first, _, rest = command.partition(" ")
        yield f"{python} {rest}" if first in ("python", "python3") else command
    for script in (there.script, *there.others):
        if script:
            yield f"{python} {script}"
    yield from (f"make {target}" for target in _TARGET.findall(_read(directory / "Makefile")))
    if (directory / "train.sh").is_file():
        yield "sh train.sh"


def _python(found: str, environ: Mapping[str, str]) -> str:
    """The interpreter: of an environment in the project, which a copy of its commit lacks, or on PATH."""
    if found:
        return f'"$REVIS_PROJECT_DIR"/{found}'
    path = environ.get("PATH", os.defpath)
    return next((name for name in ("python", "python3") if shutil.which(name, path=path)), "python")


def _told(directory: Path) -> Iterator[str]:
    """Commands of README.md that name a script which is there and trains, and leave nothing open."""
    for line in _COMMAND.findall(_read(directory / "README.md")):
        command = " ".join(line.split())
        scripts = [word for word in _SCRIPT.findall(command) if (directory / word).is_file()]
        trains = scripts and ("train" in scripts[0] or Path(scripts[0]).name in ("main.py", "run.py"))
        if trains and len(command) < 200 and not _PLACEHOLDER.search(command):
            yield command


def _metrics(directory: Path) -> tuple[tuple[str, ...], bool]:
    found: list[str] = []
    writes = False
    for path in _sources(directory):
        source = _read(path)
        writes = writes or _WRITTEN in source
        found += written_metrics(source)
    return tuple(dict.fromkeys(found))[:_MAX_NAMES], writes


def _sources(directory: Path) -> Iterator[Path]:
    entries = files = 0
    for home, below, names in os.walk(directory):
        below[:] = sorted(name for name in below if name not in _NOT_SOURCES and not name.startswith("."))
        entries += len(below) + len(names)
        for name in sorted(name for name in names if name.endswith(".py")):
            files += 1
            if files > _MAX_FILES:
                return
            yield Path(home, name)
        if entries > _MAX_ENTRIES:
            return


def _named_dicts(nodes: list[ast.AST]) -> dict[str, list[str]]:
    """Name -> keys of the dictionary that it is given, those that are set later among them."""
    named: dict[str, list[str]] = {}
    for node in nodes:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Name):
                    named.setdefault(target.id, []).extend(_keys(node.value))
                elif isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
                    named.setdefault(target.value.id, []).extend(_texts([target.slice]))
    return named


def _keys(node: ast.expr) -> list[str]:
    """The keys of a dictionary that is written as one, or as dict(...)."""
    if isinstance(node, ast.Call) and _called(node) == "dict":
        return [word.arg for word in node.keywords if word.arg]
    if not isinstance(node, ast.Dict):
        return []
    for key, value in zip(node.keys, node.values, strict=True):
        if isinstance(key, ast.Constant) and key.value == "metrics" and (inner := _keys(value)):
            return inner
    return _texts(node.keys)


def _texts(nodes: Iterable[ast.expr | None]) -> list[str]:
    return [
        node.value
        for node in nodes
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.isprintable()
        and 0 < len(node.value) <= 100
    ]


def _called(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _read(path: Path) -> str:
    """A text file as far as it is one; empty where it is none, or too large."""
    try:
        if not path.is_file() or path.stat().st_size > _MAX_BYTES:
            return ""
        return path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""
