"""A settings file and the command line's flags become one block, or one ConfigError with every fault."""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from orze.config.document import Document, KeyPath, Place, Problem, label, read_document, shorten
from orze.config.form import Form, Root
from orze.config.lease import lease_problems
from orze.config.schema import FORM, Settings
from orze.core.errors import ConfigError

CONFIG_NAME: Final = "orze.yaml"

_MAX_BYTES: Final = 2**20
_MAX_TOLD: Final = 100
_NOTHING: Final[Mapping[str, Any]] = {}
_SECRET: Final = re.compile(r"(.*_)?(api_?key|access_?key|secret(_?key)?|token|password)", re.IGNORECASE)
_FLAGS: Final = {
    "gpus": "--gpus",
    "timeout": "--timeout",
    "poll": "--poll",
    "ideas_file": "--ideas-md",
    "base_config": "--base-config",
    "results_dir": "--results-dir",
    "train_script": "--train-script",
}
_PATH_FLAGS: Final = ("ideas_file", "base_config", "results_dir", "train_script")

# What pydantic calls a fault -> how the sentence goes on after the key.
_PHRASES: Final = {
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text (in quotes where it looks like a number)",
    "string_unicode": "must be text in UTF-8",
    "tuple_type": "must be a list",
    "dict_type": "must be a block of keys",
    "model_type": "must be a block of keys",
    "literal_error": "must be {expected}",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be {ge:g} or more",
    "less_than_equal": "must be {le:,.0f} or less",
    "string_too_short": "must not be empty",
    "string_too_long": "must be shorter than {max_length} characters",
    "too_short": "must not be empty",
    "too_long": "must not have more than {max_length} entries",
}


def load_settings(
    config_file: Path | None, flags: Mapping[str, Any], cwd: Path, environ: Mapping[str, str]
) -> Settings:
    """Put together what is in force.

    Args:
        config_file: what --config-file named; None takes orze.yaml in `cwd` if there is one.
        flags: what the command line gave and nothing else, under the names of the settings: gpus,
            timeout, poll, ideas_file, base_config, results_dir, train_script. They win over the file.
        cwd: absolute working directory; relative paths in `flags` and `config_file` start there.
        environ: what `${VAR}` stands for in the file.

    Returns:
        Settings whose paths are absolute; those of the file start at its directory.

    Raises:
        ConfigError: with every fault, one sentence each, in the order of the lines.
    """
    file = cwd / (config_file or CONFIG_NAME)
    shown = str(config_file or CONFIG_NAME)
    text = read_text(file, shown)
    if text is None and config_file is not None:
        raise ConfigError([f"{shown}: no such file; give the path of your {CONFIG_NAME}"])
    document = read_form(FORM, text or "", environ)
    given = dict(flags)
    for name in _PATH_FLAGS:
        if given.get(name):
            given[name] = cwd / given[name]
    own = {
        "project_dir": file.parent if text is not None else cwd,
        "lease_place": _lease_place(document, shown),
        "config_file": file if text is not None else None,
    }
    return fill(FORM, document, shown, own=own, given=given, written=flags)


def read_form(form: Form[Root], text: str, environ: Mapping[str, str]) -> Document:
    """Read the text of a settings file of one form; `environ` is what `${VAR}` stands for."""
    return read_document(text, environ, as_written=form.is_as_written, secret=form.is_secret)


def fill(
    form: Form[Root],
    document: Document,
    shown: str,
    *,
    own: Mapping[str, Any],
    given: Mapping[str, Any] = _NOTHING,
    written: Mapping[str, Any] = _NOTHING,
) -> Root:
    """Make of a settings file what is in force.

    Args:
        shown: how messages name the file.
        own: the fields that do not come from it.
        given: what the command line gave, which wins over it; `written`: the same as it was written there.

    Raises:
        ConfigError: with every fault, one sentence each, in the order of the lines.
    """
    problems = [*document.problems, *_misplaced(form, document)]
    values = {name: value for name, value in document.data.items() if name not in form.not_keys}
    try:
        filled = form.root.model_validate({**values, **given, **own})
    except ValidationError as error:
        problems += _faults(form, error, document, written)
    if problems:
        raise ConfigError(_told(problems, shown))
    return filled


def check_lease(settings: Settings, attribute_cache: float) -> None:
    """Hold the lease against what the mount of the results directory caches.

    Args:
        attribute_cache: seconds, as read from the mount (C of docs/protocol.md).

    Raises:
        ConfigError: with each inequality that does not hold, and where the file sets the lease.
    """
    place = f"{settings.lease_place}: " if settings.lease_place else ""
    problems = lease_problems(settings.lease, attribute_cache, settings.orphan_timeout_hours)
    if problems:
        whose = f"(attribute_cache is that of the mount of {settings.results_dir})"
        raise ConfigError([f"{place}{problem} {whose}" for problem in problems])


def read_text(file: Path, shown: str) -> str | None:
    """Read a settings file whole; None where there is none.

    Raises:
        ConfigError: it is no text of at most 1 MiB.
    """
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):
            raise ConfigError([f"{shown}: not a regular file; name the settings file itself"])
        with open(file, "rb") as stream:
            content = stream.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError([f"{shown}: cannot be read: {error.strerror}"]) from None
    if len(content) > _MAX_BYTES:
        raise ConfigError([f"{shown}: larger than 1 MiB; this cannot be a settings file"])
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError([f"{shown}:{line}: not UTF-8 text; save the file as UTF-8"]) from None


def _told(problems: list[Problem], shown: str) -> list[str]:
    """Write the problems out in the order of the lines; line 0 is the command line."""
    ordered = sorted(set(problems), key=lambda problem: (problem.line, problem.sentence))
    told = [f"{shown}:{one.line}: {one.sentence}" if one.line else one.sentence for one in ordered]
    rest = len(told) - _MAX_TOLD
    return told if rest <= 0 else [*told[:_MAX_TOLD], f"{shown}: and {rest} more"]


def _misplaced(form: Form[Root], document: Document) -> Iterator[Problem]:
    """Keys that the block has, but that the file may not set."""
    for name in form.not_keys & document.data.keys():
        yield Problem(document.places[(name,)].line, _unknown(form, (name,)))


def _faults(
    form: Form[Root], error: ValidationError, document: Document, flags: Mapping[str, Any]
) -> Iterator[Problem]:
    for fault in error.errors(include_url=False):
        path = fault["loc"]
        if path[-1] == "[key]" and path not in document.places:
            path = path[:-1]
        if any(path[:length] in document.unread for length in range(1, len(path) + 1)):
            continue
        if path[0] in flags:
            name, place = _FLAGS[str(path[0])], Place(0, repr(flags[str(path[0])])[:60])
        else:
            name, place = label(path), _place(path, document)
        for sentence in _sentences(form, fault, path, name, place.written):
            yield Problem(place.line, sentence)


def _place(path: KeyPath, document: Document) -> Place:
    """Find the value or, where a key is missing, the block that should hold it."""
    # A lease that the file leaves alone can only be at odds with the key that overrides it.
    candidates = [path, path[:-1], ("orphan_timeout_hours",)]
    return next((document.places[one] for one in candidates if one in document.places), Place(1, ""))


def _lease_place(document: Document, shown: str) -> str:
    """Where the file sets the lease; empty where it does not."""
    keys: list[KeyPath] = [("lease",), ("orphan_timeout_hours",)]
    return next((f"{shown}:{document.places[key].line}" for key in keys if key in document.places), "")


def _sentences(form: Form[Root], fault: ErrorDetails, path: KeyPath, name: str, written: str) -> list[str]:
    kind, context = fault["type"], fault.get("ctx", {})
    if kind == "extra_forbidden":
        return [_unknown(form, path)]
    if kind == "missing":
        return [f"{label(path[:-1])} needs the key {path[-1]}".lstrip()]
    if fault["input"] is None and written:
        return [f"{name} has no value; give it one or remove the line"]
    if kind == "value_error":
        phrases = str(context["error"]).splitlines()
    else:
        phrases = [_PHRASES.get(kind, "cannot be used").format(**context)]
    return [f"{name} {one}" + (f", not {written}" if one.startswith("must be ") else "") for one in phrases]


def _unknown(form: Form[Root], path: KeyPath) -> str:
    """Tell an unknown key, and the one that was meant where that can be seen."""
    name, block = str(path[-1]), form.named(path[:-1])
    keys = [key.rpartition(".") for key in form.known()]
    where = f" in {label(path[:-1])}" if block else ""
    said = f"unknown key {shorten(name)}{where}"
    if homes := [home for home, _, key in keys if key == name]:
        places = " or ".join(f"under {home}" if home else "at the top level" for home in homes)
        return f"{said} — it belongs {places}"
    here = [key for home, _, key in keys if home == block]
    if _SECRET.fullmatch(name):
        named = " and name its variable in api_key_env" if "api_key_env" in here else ""
        return f"{said} — a key to an account stays out of this file: set it in the environment{named}"
    if close := get_close_matches(name, here, 1):
        return f"{said} — did you mean {close[0]!r}?"
    return f"{said} — {'it may hold ' + ', '.join(here) if block else form.listed}"
