"""Checks of a project: its settings, and whether its scripts can start; none of them is run here."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orze.attempt.executors.make import make_executor
from orze.client.checks import Check, Verdict
from orze.client.script import MAX_BYTES, inspect
from orze.config.locate import python_command, python_environment
from orze.config.schema import Settings
from orze.farm.launch import LLM_KEYS, Launcher

_LIMIT = 30.0  # seconds that the interpreter may take
# What the interpreter of the scripts is asked: whether a script compiles there, and which of the packages
# that it imports are not to be found. Importing nothing, it costs milliseconds and has no effect.
_QUESTION = """
import ast, importlib.util, json, os, platform, sys
told = {"python": platform.python_version(), "syntax": "", "missing": [], "later": []}
path = sys.argv[1]
try:
    tree = ast.parse(open(path, "rb").read(), path)
    compile(tree, path, "exec")
except (SyntaxError, ValueError) as error:
    told["syntax"] = f"line {getattr(error, 'lineno', '?')}: {getattr(error, 'msg', error)}"
    tree = ast.parse("")
sys.path.insert(0, os.path.dirname(path))
def there(name):
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return name in sys.modules
def wanted(nodes):
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.partition(".")[0]
at_once = set(wanted(tree.body))
told["missing"] = sorted(name for name in at_once if not there(name))
told["later"] = sorted(name for name in set(wanted(ast.walk(tree))) - at_once if not there(name))
print(json.dumps(told))
"""


@dataclass(frozen=True, slots=True)
class ScriptFacts:
    """What the interpreter of the scripts says of one of them.

    Attributes:
        python: the interpreter's version; empty where it cannot be run, and `fault` says why.
        syntax: what is wrong with the text; empty where it compiles.
        missing: packages that are imported at once and not to be found.
        later: packages that are imported in functions or under conditions, and not to be found.
    """

    script: str
    python: str = ""
    fault: str = ""
    syntax: str = ""
    missing: tuple[str, ...] = ()
    later: tuple[str, ...] = ()


def judge_settings(shown: str, *, exists: bool) -> Check:
    """Settings that could be read."""
    if not exists:
        return Check("settings", Verdict.OK, f"no {shown}: the defaults hold; `orze init` writes one")
    return Check("settings", Verdict.OK, f"{shown} has no fault")


def check_files(settings: Settings, environ: Mapping[str, str]) -> Check:
    """Whether the files are there without which no idea can start; ConfigError and BadBase say which."""
    Launcher(settings, environ).check()
    if not os.path.isfile(settings.ideas_file):
        said = f"there is no {settings.ideas_file} yet"
        return Check("files", Verdict.WARN, said, "write it, or let `orze init` do it")
    trains = "train_command" if settings.train_command else settings.train_script.name
    return Check("files", Verdict.OK, f"{trains}, {settings.ideas_file.name} and the base configuration")


def check_executor(settings: Settings, environ: Mapping[str, str]) -> Check:
    """Whether attempts can run where the settings say; ConfigError tells why not."""
    executor = make_executor(settings, python=python_command(settings.python, environ), environ=environ)
    executor.check()
    return Check("executor", Verdict.OK, executor.words)


def scripts_of(settings: Settings) -> list[Path]:
    """Every script that the settings name, and the one that an adapter runs."""
    named = [settings.pre_script, settings.eval_script]
    named = [settings.train_script, *named] if settings.train_command is None else named
    named += [post.script for post in settings.post_scripts]
    scripts = [path for path in named if path and path.is_file()]
    if settings.train_script in scripts and (behind := _behind(settings.train_script)):
        scripts.insert(1, settings.project_dir / behind)
    return list(dict.fromkeys(scripts))


def ask_interpreter(settings: Settings, script: Path, environ: Mapping[str, str]) -> ScriptFacts:
    """Ask the interpreter of the scripts about one of them.

    Raises:
        ConfigError: `python` of the settings cannot be found on this host.
    """
    kept = {name: value for name, value in environ.items() if name not in LLM_KEYS}
    variables = {**kept, **python_environment(settings.python, environ), **settings.train_extra_env}
    command = [*python_command(settings.python, environ), "-c", _QUESTION, str(script)]
    try:
        done = subprocess.run(
            command, cwd=settings.project_dir, env=variables, stdin=subprocess.DEVNULL, capture_output=True,
            timeout=_LIMIT, check=True,
        )  # fmt: skip
        told = json.loads(done.stdout)
        return ScriptFacts(
            script=script.name,
            python=str(told["python"]),
            syntax=str(told["syntax"]),
            missing=tuple(map(str, told["missing"])),
            later=tuple(map(str, told["later"])),
        )
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode(errors="replace").strip().splitlines()
        return ScriptFacts(script.name, fault=f"{command[0]}: {lines[-1] if lines else error}")
    except (OSError, subprocess.TimeoutExpired, ValueError, LookupError, TypeError) as error:
        return ScriptFacts(script.name, fault=f"{command[0]}: {error}")


def judge_script(facts: ScriptFacts) -> Check:
    """Whether a script can start."""
    name = facts.script
    if facts.fault:
        return Check(name, Verdict.FAIL, f"the interpreter cannot be asked: {facts.fault}", "set `python`")
    if facts.syntax:
        advice = "correct it, or set `python` to an interpreter that knows this syntax"
        return Check(name, Verdict.FAIL, f"Python {facts.python} cannot read it: {facts.syntax}", advice)
    if facts.missing:
        advice = "install them there, or set `python` in orze.yaml to the interpreter that has them"
        return Check(name, Verdict.FAIL, f"Python {facts.python} lacks {_listed(facts.missing)}", advice)
    if facts.later:
        said = f"Python {facts.python} lacks {_listed(facts.later)}, which may be needed later"
        return Check(name, Verdict.WARN, said, "install them if your ideas use them")
    return Check(name, Verdict.OK, f"compiles, and Python {facts.python} has all that it imports")


def _behind(train_script: Path) -> str:
    """The script that an adapter runs; empty for a training script of its own."""
    try:
        with open(train_script, encoding="utf-8", errors="replace") as stream:
            words = inspect(stream.read(MAX_BYTES)).runs
    except (OSError, ValueError):
        return ""
    return words[0] if words else ""


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
